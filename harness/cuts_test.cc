#include "harness/cuts.h"

#include <gtest/gtest.h>

#include "harness/recording.h"
#include "harness/simulation.h"

namespace reel::harness {
namespace {

SimulationOptions seeded(std::uint64_t seed) {
  SimulationOptions options;
  options.seed = seed;
  options.setting = Setting::harsh;
  return options;
}

// A cut that is lost on its way through a trace would replay another run.
TEST(Cuts, SurviveBeingWrittenIntoATrace) {
  SimulationOptions options = seeded(3);
  options.cuts.plan = Simulation(options).plan();
  ASSERT_FALSE(options.cuts.plan->programs.empty());
  options.cuts.neutral.set(static_cast<std::size_t>(sim::Choice::tie));
  options.cuts.neutral.set(static_cast<std::size_t>(sim::Choice::fault_strike));
  options.cuts.respin = 9;
  options.cuts.without = {NodeId(101), NodeId(104)};
  options.cuts.requests = 7;
  options.cuts.storm = io::milliseconds(1500);
  const auto read = SimulationOptions::from_map(options.to_map());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->to_map(), options.to_map());
  EXPECT_EQ(read->cuts.plan, options.cuts.plan);
  EXPECT_EQ(read->cuts.neutral, options.cuts.neutral);
  EXPECT_EQ(read->cuts.without, options.cuts.without);
}

// A trace may come from a stranger: what cannot be must be refused, not taken for something else.
TEST(Cuts, RefuseWhatCannotBe) {
  for (const auto& [key, value] : std::map<std::string, std::string>{{"plan", "net.nothing id=1"},
                                                                     {"neutral", "tie,nothing"},
                                                                     {"respin", "-1"},
                                                                     {"without", "101,x"},
                                                                     {"requests", "4294967296"},
                                                                     {"storm_ns", "99999999999999999999"}}) {
    const auto read = SimulationOptions::from_map({{key, value}});
    ASSERT_FALSE(read.has_value()) << key;
    EXPECT_NE(read.error().find(key), std::string::npos);
  }
}

// A run could change by the mere way in which its plan is given, and no trace of a shrunk run would be the same run.
TEST(Cuts, ThePlanThatWasDrawnMakesTheSameRunWhenItIsGiven) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SimulationOptions options = seeded(seed);
    Simulation drawn(options);
    options.cuts.plan = drawn.plan();
    EXPECT_EQ(Simulation(options).run().chain, drawn.run().chain);
  }
}

// A run in another world than its seed's could be recorded with that world's seed, and never be replayed.
TEST(Cuts, ARunWithEveryCutReplays) {
  SimulationOptions options = seeded(4);
  options.cuts.plan = Simulation(options).plan();
  options.cuts.plan->programs.resize(options.cuts.plan->programs.size() / 2);
  options.cuts.neutral.set(static_cast<std::size_t>(sim::Choice::net_latency));
  options.cuts.neutral.set(static_cast<std::size_t>(sim::Choice::fault_strike));
  options.cuts.respin = 5;
  options.cuts.without = {NodeId(101)};
  options.cuts.requests = 20;
  options.cuts.storm = io::seconds(2);
  RecordingOptions recording;
  recording.overrides = {{{sim::Choice::net_latency, 1, 0, 5}, 1'000'000},
                         {{sim::Choice::fault_strike, 1, 0, 1}, 1}};
  const Recorded recorded = record(options, recording);
  const auto read = sim::decode_trace(sim::encode_trace(recorded.trace));
  ASSERT_TRUE(read.has_value());
  const auto replayed = replay(*read);
  ASSERT_TRUE(replayed.has_value());
  EXPECT_FALSE(replayed->divergence.has_value()) << replayed->divergence->text;
  EXPECT_GT(replayed->report.events, 1000u);
}

// A client that never starts could still be waited for, and every shrunk run would be stuck.
TEST(Cuts, NobodyWaitsForClientsThatTakeNoPart) {
  for (const Workload workload : {Workload::mixed, Workload::locks, Workload::bank, Workload::groups,
                                  Workload::lists, Workload::views, Workload::log, Workload::feed}) {
    SimulationOptions options = seeded(1);
    options.setting = Setting::calm;
    options.workload = workload;
    options.cuts.without = Simulation(options).clients();
    options.cuts.storm = io::milliseconds(500);
    const RunReport report = Simulation(options).run();
    EXPECT_FALSE(report.failure.has_value()) << name_of(workload) << ": " << report.failure->text;
    EXPECT_EQ(report.commits, 0u) << name_of(workload);
    EXPECT_LT(report.simulated_ns, io::seconds(2).ns) << name_of(workload);
  }
}

// A bound on requests that some clients ignore would leave runs as large as they were.
TEST(Cuts, EachClientMakesFewRequests) {
  for (const Workload workload :
       {Workload::append, Workload::locks, Workload::bank, Workload::lists, Workload::views, Workload::log}) {
    SimulationOptions options = seeded(2);
    options.setting = Setting::calm;
    options.workload = workload;
    options.cuts.storm = io::seconds(1);
    const std::uint64_t all = Simulation(options).run().commits;
    options.cuts.requests = 3;
    const RunReport report = Simulation(options).run();
    EXPECT_FALSE(report.failure.has_value()) << name_of(workload) << ": " << report.failure->text;
    EXPECT_GT(report.commits, 0u) << name_of(workload);
    EXPECT_LT(report.commits, all / 3) << name_of(workload);
  }
}

// Targets that are not there would stop the simulator, or make a fault of some machines one of all.
TEST(Cuts, APlanLosesTheTargetsThatAreNotThere) {
  Cuts cuts;
  cuts.plan = *sim::FaultPlan::parse(
      "net.isolate id=1 start=1 end=2 targets=5\n"
      "net.partition id=2 start=1 end=2 targets=1,5\n"
      "net.partition_partial id=3 start=1 end=2 targets=1,2,2,5\n"
      "node.crash id=4 start=1 end=2\n");
  const std::vector<NodeId> machines{NodeId(1), NodeId(2), NodeId(3)};
  EXPECT_EQ(cuts.plan_among(machines).text(),
            "net.partition id=2 start=1 end=2 targets=1\n"
            "net.partition_partial id=3 start=1 end=2 targets=1,2\n"
            "node.crash id=4 start=1 end=2\n");
}

}  // namespace
}  // namespace reel::harness
