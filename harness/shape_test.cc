#include "harness/shape.h"

#include <gtest/gtest.h>

namespace reel::harness {
namespace {

using Map = std::map<std::string, std::string>;

// A trace names only seed and options: options that come back different would replay another run.
TEST(Shape, OptionsSurviveTheirMap) {
  SimulationOptions options;
  options.mode = Mode::unbounded;
  options.setting = Setting::harsh;
  options.workload = Workload::log;
  options.scale = 7;
  options.nodes = 5;
  options.faults = {sim::FaultKind::net_drop, sim::FaultKind::client_crash};
  const auto back = SimulationOptions::from_map(options.to_map());
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->to_map(), options.to_map());
  EXPECT_EQ(back->mode, options.mode);
  EXPECT_EQ(back->setting, options.setting);
  EXPECT_EQ(back->workload, options.workload);
  EXPECT_EQ(back->scale, options.scale);
  EXPECT_EQ(back->nodes, options.nodes);
  EXPECT_EQ(back->faults, options.faults);
}

// "No faults" and "all faults" are different runs, and so are their maps.
TEST(Shape, NoFaultsAreNotAllFaults) {
  SimulationOptions none;
  none.faults.emplace();
  const auto back = SimulationOptions::from_map(none.to_map());
  ASSERT_TRUE(back.has_value());
  ASSERT_TRUE(back->faults.has_value());
  EXPECT_TRUE(back->faults->empty());
  EXPECT_FALSE(SimulationOptions::from_map(SimulationOptions().to_map())->faults.has_value());
}

// The header of a trace may come from a stranger: nothing in it may crash, hang, or be taken for something else.
TEST(Shape, HostileMapsAreRefusedWithASentence) {
  const std::vector<Map> hostile = {
      {{"mode", "both"}},
      {{"setting", ""}},
      {{"workload", "mixed "}},
      {{"scale", "0"}},
      {{"scale", "1001"}},
      {{"scale", "-1"}},
      {{"scale", "1x"}},
      {{"scale", "99999999999999999999"}},
      {{"nodes", "0"}},
      {{"nodes", "8"}},
      {{"nodes", ""}},
      {{"faults", "net.everything"}},
      {{"faults", ","}},
      {{"faults", "net.drop,,net.delay"}},
      {{"faults", "net.drop,"}},
      {{"faults", std::string(100'000, 'x')}},
      {{"colour", "blue"}},
      {{"", ""}},
      {{std::string("mode\0", 5), "bounded"}},
  };
  for (const Map& map : hostile) {
    const auto options = SimulationOptions::from_map(map);
    ASSERT_FALSE(options.has_value()) << map.begin()->first << " = " << map.begin()->second.substr(0, 40);
    EXPECT_FALSE(options.error().empty());
  }
}

// Knobs out of the bounds of the code under test would make runs fail for no reason, or hide that they are refused.
TEST(Shape, EverySeedDrawsALegalShape) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    SimulationOptions options;
    options.seed = seed;
    options.workload = static_cast<Workload>(seed % 6);
    sim::Decisions decisions(seed);
    const Shape shape = draw_shape(options, decisions);
    ASSERT_GE(shape.nodes, 1u);
    ASSERT_LE(shape.nodes, 7u);
    ASSERT_EQ(journal::problem_with(shape.node.journal), std::nullopt) << "seed " << seed;
    const node::GroupOptions& group = shape.node.group;
    ASSERT_LE(group.entry_bytes_max, journal::payload_bytes_max(shape.node.journal)) << "seed " << seed;
    ASSERT_GE(group.election_timeout.ns, 4 * group.heartbeat_interval.ns) << "seed " << seed;
    ASSERT_GT(group.heartbeat_interval.ns, 2 * shape.world.network.base_max.ns) << "seed " << seed;
    const Workload workload = options.workload;
    ASSERT_EQ(shape.appenders.empty(),
              workload == Workload::log || workload == Workload::locks || workload == Workload::bank);
    ASSERT_GE(shape.bank_accounts, 2u) << "a transfer needs two";
    ASSERT_EQ(shape.log_clients > 0 && options.workload == Workload::append, false);
    for (const ClientShape& client : shape.appenders) {
      ASSERT_GT(client.total, 0u);
      ASSERT_LE(client.burst, client.outstanding_max);
      ASSERT_GT(client.calls_in_flight_max, 0u);
    }
  }
}

// A dimension that always, or never, stays at its default is not tested by any seed.
TEST(Shape, SeedsDiffer) {
  std::set<std::uint32_t> nodes;
  std::set<std::int64_t> timeouts;
  std::set<std::uint64_t> caches;
  std::uint32_t rare = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SimulationOptions options;
    options.seed = seed;
    sim::Decisions decisions(seed);
    const Shape shape = draw_shape(options, decisions);
    nodes.insert(shape.nodes);
    timeouts.insert(shape.node.group.election_timeout.ns);
    caches.insert(shape.node.group.read_cache_bytes);
    rare += shape.node.group.raft.buggify_seed != 0 ? 1 : 0;
  }
  EXPECT_EQ(nodes.size(), 7u);
  EXPECT_GT(timeouts.size(), 50u);
  EXPECT_GT(caches.size(), 50u);
  EXPECT_GT(rare, 30u);
  EXPECT_LT(rare, 150u);
}

}  // namespace
}  // namespace reel::harness
