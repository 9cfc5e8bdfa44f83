#include "harness/noticed.h"

#include <gtest/gtest.h>

#include <set>

#include "harness/simulation.h"

namespace reel::harness {
namespace {

using sim::FaultKind;

constexpr std::uint64_t kCalmSeeds = 60;
constexpr std::uint64_t kSeedsMax = 60;

SimulationOptions only(std::uint64_t seed, std::vector<FaultKind> kinds) {
  SimulationOptions options;
  options.seed = seed;
  options.setting = Setting::harsh;
  options.faults = std::move(kinds);
  return options;
}

std::vector<FaultKind> needed_by(FaultKind kind) {
  const bool at_crash = kind == FaultKind::disk_crash_loss || kind == FaultKind::disk_crash_torn ||
                        kind == FaultKind::disk_crash_durable;
  return at_crash ? std::vector{FaultKind::node_crash} : std::vector<FaultKind>{};
}

std::uint64_t reached(const RunReport& report, FaultKind kind) {
  std::uint64_t count = 0;
  for (const NoticeRule& rule : notice_rules()) {
    const auto mark = report.marks.find(rule.mark);
    if (rule.kind == kind && mark != report.marks.end()) count += mark->second;
  }
  return count;
}

// A mark that healthy runs reach as well would call a fault noticed that nobody noticed.
TEST(Noticed, CalmRunsReachHardlyAnyOfTheMarks) {
  std::map<std::string, std::uint64_t> seeds;
  for (std::uint64_t seed = 1; seed <= kCalmSeeds; ++seed) {
    SimulationOptions options;
    options.seed = seed;
    options.setting = Setting::calm;
    const RunReport report = Simulation(options).run();
    // Where partitions are shared out and handed over, leaders and readers change without a fault; see
    // Simulation::reached().
    if (report.marks.contains("node.hands_over") || report.marks.contains("group_reader.share_gained"))
      continue;
    for (const auto& [mark, count] : report.marks) ++seeds[mark];
  }
  std::set<std::string> known;
  for (const NoticeRule& rule : notice_rules()) {
    // Repeated requests also come from overloaded leaders, where a run draws tiny queues.
    EXPECT_LE(seeds[rule.mark], kCalmSeeds / 20) << rule.mark;
    EXPECT_TRUE(!rule.names_its_cause || seeds[rule.mark] == 0) << rule.mark;
  }
}

// A kind without a rule, or whose rules never match, would be missing from every campaign.
class EveryKind : public testing::TestWithParam<std::size_t> {};

// The code under test could be blind to a kind, or reach its marks just as often without it.
TEST_P(EveryKind, IsNoticedAloneAndItsMarksAreNotReachedWithoutIt) {
  const auto kind = static_cast<FaultKind>(GetParam());
  bool noticed = false;
  for (std::uint64_t seed = 1; seed <= kSeedsMax && !noticed; ++seed) {
    std::vector<FaultKind> kinds = needed_by(kind);
    const RunReport without = Simulation(only(seed, kinds)).run();
    kinds.push_back(kind);
    const RunReport with = Simulation(only(seed, kinds)).run();
    ASSERT_FALSE(with.failure.has_value()) << with.failure->text;
    EXPECT_LE(with.faults[kind].noticed, with.faults[kind].fired);
    EXPECT_EQ(without.faults[kind].noticed, 0u);
    noticed = with.faults[kind].noticed > 0 && reached(with, kind) > reached(without, kind);
  }
  EXPECT_TRUE(noticed) << sim::name_of(kind);
}
INSTANTIATE_TEST_SUITE_P(Noticed, EveryKind, testing::Range<std::size_t>(0, sim::kFaultKinds),
                         [](const auto& kind) {
                           std::string name(sim::name_of(static_cast<FaultKind>(kind.param)));
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

// A notice must not be credited to a fault that came later, too long before, or that did not happen.
TEST(Noticed, CountsOnlySoonAfterAFiringAndOnceForEach) {
  sim::FaultCounters counters;
  Noticed noticed(counters, false);
  const FaultKind kind = FaultKind::net_partition;
  const char* const mark = "raft.leader_lost";
  io::Instant now{io::seconds(100).ns};
  noticed.marked(mark, now);
  EXPECT_EQ(counters[kind].noticed, 0u);
  counters.fire(kind);
  noticed.at(now);
  noticed.marked(mark, now + io::milliseconds(10));
  noticed.marked(mark, now + io::milliseconds(20));
  EXPECT_EQ(counters[kind].noticed, 1u) << "one firing, one notice";
  EXPECT_EQ(counters[FaultKind::net_isolate].noticed, 0u) << "did not fire";
  counters.fire(kind);
  noticed.at(now);
  noticed.marked(mark, now + kNoticedWithin + io::milliseconds(1));
  EXPECT_EQ(counters[kind].noticed, 1u) << "too late";
  EXPECT_EQ(noticed.marks().at(mark), 4u);
}

// After the storm, and where rare branches are armed, a mark may have other causes.
TEST(Noticed, CreditsOnlyNamedCausesWhenOthersAreAbout) {
  sim::FaultCounters counters;
  Noticed noticed(counters, true);
  counters.fire(FaultKind::net_partition);
  counters.fire(FaultKind::node_pause);
  noticed.marked("raft.leader_lost", io::Instant{0});
  noticed.marked("group.timer_late", io::Instant{0});
  EXPECT_EQ(counters[FaultKind::net_partition].noticed, 0u);
  EXPECT_EQ(counters[FaultKind::node_pause].noticed, 1u);
}

}  // namespace
}  // namespace reel::harness
