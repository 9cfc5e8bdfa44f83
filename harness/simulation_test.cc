#include "harness/simulation.h"

#include <gtest/gtest.h>

#include <memory>

#include "harness/campaign.h"
#include "harness/recording.h"
#include "harness/tampering_for_tests.h"
#include "io/wire/codec.h"

namespace reel::harness {
namespace {

SimulationOptions seeded(std::uint64_t seed, Setting setting = Setting::normal) {
  SimulationOptions options;
  options.seed = seed;
  options.setting = setting;
  return options;
}

std::string failure_of(const RunReport& report) {
  return report.failure ? report.failure->oracle + ": " + report.failure->text : "";
}

// A run that depends on addresses, on time or on what ran before it could never be played again.
TEST(Simulation, TheSameSeedIsTheSameRun) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const RunReport first = Simulation(seeded(seed)).run();
    const RunReport second = Simulation(seeded(seed)).run();
    EXPECT_EQ(first.chain, second.chain);
    EXPECT_EQ(first.events, second.events);
    EXPECT_EQ(first.marks, second.marks);
  }
}

// A seed that is not mixed into every choice would test the same run a thousand times.
TEST(Simulation, DifferentSeedsAreDifferentRuns) {
  std::set<std::uint64_t> chains;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) chains.insert(Simulation(seeded(seed)).run().chain);
  EXPECT_EQ(chains.size(), 8u);
}

// Threads that share anything would make a campaign's result depend on how many there are.
TEST(Simulation, ACampaignDoesNotDependOnItsJobs) {
  CampaignOptions options;
  options.last_seed = 6;
  const CampaignReport one = run_campaign(options, {});
  options.jobs = 2;
  const CampaignReport two = run_campaign(options, {});
  EXPECT_EQ(one.seeds, 6u);
  EXPECT_EQ(one.chain, two.chain);
  EXPECT_EQ(one.commits, two.commits);
  EXPECT_EQ(one.marks, two.marks);
}

// Without faults a cluster could stall, elect again and again, or lose what clients asked for.
TEST(Simulation, ACalmClusterAnswersEverythingUnderOneLeader) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Simulation simulation(seeded(seed, Setting::calm));
    const RunReport report = simulation.run();
    EXPECT_EQ(failure_of(report), "");
    EXPECT_GT(report.commits, 0u);
    const auto count_of = [&](const char* mark) {
      const auto found = report.marks.find(mark);
      return found == report.marks.end() ? 0 : found->second;
    };
    // One for each partition, from the start or created, and one for each that a node hands over to spread the load.
    EXPECT_LE(report.elections, simulation.partitions() + count_of("node.hands_over")) << "seed " << seed;
    EXPECT_EQ(report.faults.fired_total(), 0u);
  }
}

// A run under faults could fail, or the storm could pass without a single one.
TEST(Simulation, AStormIsSurvived) {
  std::uint64_t fired = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const RunReport report = Simulation(seeded(seed, Setting::harsh)).run();
    EXPECT_EQ(failure_of(report), "");
    EXPECT_GT(report.commits, 0u);
    fired += report.faults.fired_total();
  }
  EXPECT_GT(fired, 100u);
}

// In unbounded mode only safety is checked: being stuck must not count as a failure there.
TEST(Simulation, UnboundedRunsAreNotJudgedOnLiveness) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SimulationOptions options = seeded(seed, Setting::harsh);
    options.mode = Mode::unbounded;
    EXPECT_EQ(failure_of(Simulation(options).run()), "");
  }
}

// Every cluster size and workload that the command line offers must run.
TEST(Simulation, EverySizeAndWorkloadRuns) {
  for (const std::uint32_t nodes : {1u, 2u, 3u, 5u, 7u}) {
    SimulationOptions options = seeded(nodes);
    options.nodes = nodes;
    options.workload = static_cast<Workload>(nodes % 6);
    const RunReport report = Simulation(options).run();
    EXPECT_EQ(failure_of(report), "");
    EXPECT_EQ(report.nodes, nodes);
    EXPECT_GT(report.commits, 0u);
  }
}

// Histories in which nothing was at stake would be judged legal whatever the cluster did.
TEST(Simulation, ListClientsContend) {
  std::map<std::string, std::uint64_t> marks;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SimulationOptions options = seeded(seed);
    options.workload = Workload::lists;
    const RunReport report = Simulation(options).run();
    EXPECT_EQ(failure_of(report), "");
    EXPECT_GT(report.commits, 0u);
    for (const auto& [mark, count] : report.marks) marks[mark] += count;
  }
  EXPECT_GT(marks["submit.committed"], 1'000u);
  EXPECT_GT(marks["group.conflict"], 500u);
  for (const char* mark : {"submit.conflict", "submit.burned", "submit.unknown", "raft.leader_lost"}) {
    EXPECT_GT(marks[mark], 0u) << mark;
  }
}

// A client library that is hardly ever poisoned, closed or lied to would pass by doing nothing.
TEST(Simulation, ViewsMeetWhatTheyArePromisedToSurvive) {
  std::set<std::string> reached;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SimulationOptions options = seeded(seed);
    options.workload = Workload::views;
    const RunReport report = Simulation(options).run();
    EXPECT_EQ(failure_of(report), "") << "seed " << seed;
    if (seed <= 2) {
      EXPECT_EQ(report.chain, Simulation(options).run().chain) << "seed " << seed;
    }
    for (const auto& [mark, times] : report.marks) reached.insert(mark);
  }
  for (const char* mark :
       {"client.closed", "client.flushed", "client.flush_late", "client.garbled", "client.high_water",
        "client.lookup_absent", "client.lookup_found", "client.own_applied", "client.own_skipped",
        "client.poison", "client.resolved", "client.unmounted", "client.view_stopped"}) {
    EXPECT_TRUE(reached.contains(mark)) << mark;
  }
}

// A replay that does not notice a difference proves nothing; one that always finds one is useless.
TEST(Simulation, AReplayStopsAtTheFirstDifference) {
  Recorded recorded = record(seeded(4), {{"journal.found"}});
  const auto same = replay(recorded.trace);
  ASSERT_TRUE(same.has_value());
  EXPECT_FALSE(same->divergence.has_value());
  ASSERT_GT(recorded.trace.records.size(), 500u);
  recorded.trace.records[500].chain ^= 1;
  recorded.trace.marks = {"no.such_mark"};
  const auto other = replay(recorded.trace);
  ASSERT_TRUE(other.has_value());
  ASSERT_TRUE(other->divergence.has_value());
  EXPECT_EQ(other->divergence->index, 500u);
  EXPECT_EQ(other->missed, recorded.trace.marks);
}

// A run that is stopped for inspection could go on, or differ from the one that is not stopped.
TEST(Simulation, ARunStopsWhereItIsTold) {
  Simulation simulation(seeded(1));
  const io::Instant time = io::Instant{io::seconds(2).ns};
  simulation.stop_at(time);
  const RunReport report = simulation.run();
  EXPECT_EQ(failure_of(report), "");
  EXPECT_EQ(report.simulated_ns, time.ns);
  ASSERT_NE(simulation.driver(NodeId(1)), nullptr);
}

// ---- the oracles bite: replicas whose messages are tampered with ------------------------------------------

// Ports in between could change a run by themselves; then what the tests below find would mean nothing.
TEST(Oracles, TamperingWithNothingChangesNothing) {
  Tampering nothing;
  const RunReport report = nothing.run(seeded(2));
  EXPECT_EQ(failure_of(report), "");
  EXPECT_EQ(report.chain, Simulation(seeded(2)).run().chain);
}

// A client could be told an id that its transaction does not have.
TEST(Oracles, AWrongIdInAnAcknowledgementIsFound) {
  Tampering tampering;
  tampering.replies = [](ClientReply& reply) {
    auto* result = std::get_if<AppendResult>(&reply);
    if (result == nullptr || result->runs.empty() || result->runs.front().id.value < 50) return;
    ++result->runs.front().id;
  };
  EXPECT_EQ(tampering.oracle(seeded(1, Setting::calm)), "durability");
}

// An acknowledgement of something that never enters the log could go unnoticed.
TEST(Oracles, AnInventedAcknowledgementIsFound) {
  Tampering tampering;
  tampering.replies = [](ClientReply& reply) {
    const auto* error = std::get_if<CallError>(&reply);
    if (error == nullptr || error->code != ErrorCode::not_leader) return;
    reply = AppendResult{{{Sequence(1), 1, TxnId(1'000'000), 1}}, {}};
  };
  SimulationOptions options = seeded(1, Setting::calm);
  options.workload = Workload::append;
  EXPECT_NE(tampering.oracle(options), "");
}

// A feed could hand over other data than what was committed.
TEST(Oracles, ADamagedFeedIsFound) {
  Tampering tampering;
  tampering.replies = [](ClientReply& reply) {
    auto* result = std::get_if<FeedResult>(&reply);
    if (result == nullptr || result->entries.empty() || result->high_water.value < 100) return;
    std::vector<std::byte> bytes(result->entries.back().span().begin(), result->entries.back().span().end());
    bytes.back() ^= std::byte{1};
    result->entries.back() = Bytes::copy_of(bytes);
  };
  SimulationOptions options = seeded(1, Setting::calm);
  options.workload = Workload::feed;
  EXPECT_EQ(tampering.oracle(options), "feed");
}

// Two leaders of one term, or an elected one that misses committed entries, could go unnoticed.
TEST(Oracles, VotesForEverybodyAreFound) {
  Tampering tampering;
  tampering.messages = [](PeerMessage& message) {
    auto* vote = std::get_if<VoteReply>(&message.body);
    if (vote == nullptr) return;
    vote->granted = true;
    if (!vote->pre) message.term = vote->asked;
  };
  EXPECT_NE(tampering.oracle(seeded(1, Setting::harsh)), "");
}

// Followers that claim to hold what they do not could make a leader commit too early, unnoticed.
TEST(Oracles, AcknowledgementsOfEntriesThatAreNotThereAreFound) {
  Tampering tampering;
  tampering.messages = [](PeerMessage& message) {
    auto* reply = std::get_if<AppendReply>(&message.body);
    if (reply != nullptr && !reply->accepted && reply->rejected.value > 0) {
      *reply = AppendReply{true, reply->rejected, {}, {}, reply->round};
    }
  };
  EXPECT_NE(tampering.oracle(seeded(1, Setting::harsh)), "");
}

}  // namespace
}  // namespace reel::harness
