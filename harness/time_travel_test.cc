#include "harness/time_travel.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "harness/recording.h"
#include "harness/tampering_for_tests.h"

namespace reel::harness {
namespace {

SimulationOptions harsh(std::uint64_t seed) {
  SimulationOptions options;
  options.seed = seed;
  options.setting = Setting::harsh;
  options.workload = Workload::append;
  options.cuts.storm = io::seconds(2);
  return options;
}

// What stepping through the trace prints for these commands.
std::string steps(const sim::Trace& trace, const std::string& commands) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  EXPECT_EQ(write(ends[1], commands.data(), commands.size()), static_cast<ssize_t>(commands.size()));
  close(ends[1]);
  testing::internal::CaptureStdout();
  const auto stepped = step_through(trace, ends[0]);
  const std::string said = testing::internal::GetCapturedStdout();
  close(ends[0]);
  EXPECT_TRUE(stepped.has_value());
  return said;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// A moment that is misread shows the state of another one.
TEST(Moment, IsATimeOrANumberOfEvents) {
  EXPECT_EQ(parse_moment("12.3s")->time.ns, 12'300'000'000);
  EXPECT_EQ(parse_moment("450ms")->time.ns, 450'000'000);
  EXPECT_EQ(parse_moment("1.5us")->time.ns, 1'500);
  EXPECT_EQ(parse_moment("7ns")->time.ns, 7);
  EXPECT_EQ(parse_moment("1234")->events, 1234u);
  for (const char* bad : {"", "s", "1.s", "-1s", "1h", "one", "1 s", "1.2.3s", "99999999999999s", "-3"}) {
    EXPECT_FALSE(parse_moment(bad).has_value()) << bad;
  }
}

// Looking could come too late or too early, or be at another run than the recorded one.
TEST(PlayUntil, StopsAtItsMomentOfThatVeryRun) {
  sim::Trace trace = record(harsh(1)).trace;
  ASSERT_GT(trace.events, 2000u);
  std::uint64_t events = 0;
  std::string state;
  ASSERT_TRUE(play_until(trace, *parse_moment("1500"), [&](Simulation& simulation) {
                events = simulation.world().events();
                state = inspect(simulation, NodeId(1));
              }).has_value());
  EXPECT_GE(events, 1500u);
  EXPECT_LE(events, 1503u);  // one entry of the queue may be several events
  EXPECT_NE(state.find("group 1: "), std::string::npos) << state;
  for (const char* words : {"node 1 at ", "term ", "vote ", "timers: election", "log 1..", "sessions ",
                            "lock keys ", "disk: ", "journal-", "under way to it: "}) {
    EXPECT_NE(state.find(words), std::string::npos) << words;
  }
  io::Instant time, next;
  ASSERT_TRUE(play_until(trace, *parse_moment("1.25s"), [&](Simulation& simulation) {
                time = simulation.world().time();
                next = simulation.world().next_time();
              }).has_value());
  EXPECT_LE(time.ns, 1'250'000'000);
  EXPECT_GT(next.ns, 1'250'000'000);
  trace.records[700].chain ^= 1;
  EXPECT_FALSE(play_until(trace, *parse_moment("1500"), [](Simulation&) {}).has_value());
  EXPECT_TRUE(play_until(trace, *parse_moment("100"), [](Simulation&) {}).has_value());
}

// Inspecting a machine that is not there, or is down, must say so.
TEST(Inspect, KnowsTheMachinesOfTheRun) {
  Simulation simulation(harsh(1));
  EXPECT_EQ(machine_by_name(simulation, "node1"), NodeId(1));
  EXPECT_EQ(machine_by_name(simulation, "node 1"), NodeId(1));
  EXPECT_EQ(machine_by_name(simulation, "client101"), NodeId(101));
  EXPECT_EQ(machine_by_name(simulation, "101"), NodeId(101));
  EXPECT_EQ(machine_by_name(simulation, "node99"), std::nullopt);
  EXPECT_EQ(machine_by_name(simulation, "leader"), std::nullopt);
  EXPECT_NE(inspect(simulation, NodeId(1)).find("down"), std::string::npos);
}

// Going back could lead to another state than the one that was there.
TEST(StepThrough, BackwardIsWhereItWasBefore) {
  const sim::Trace trace = record(harsh(2)).trace;
  ASSERT_GT(trace.events, 5000u);
  const std::string there = steps(trace, "g 4000\ni node1\nq\n");
  EXPECT_EQ(there.substr(0, there.find(' ', 6)), "event 0:");
  const std::string back = steps(trace, "g 4500\nb 500\ni node1\nq\n");
  const std::string further = steps(trace, "g 5000\nb 999\nb\ni node1\nn\nb\nq\n");
  const std::string state = there.substr(there.find("event 4000"));
  EXPECT_NE(state.find("group 1: "), std::string::npos) << state;
  EXPECT_EQ(back.substr(back.find("event 4000")), state);
  const std::string again = further.substr(further.find("event 4000"));
  EXPECT_EQ(again.substr(0, state.size()), state);
  const std::vector<std::string> lines = lines_of(further);
  EXPECT_EQ(lines.back().substr(0, 11), "event 4000 ");
  EXPECT_EQ(lines[lines.size() - 2].substr(0, 11), "event 4001 ");
}

// At the run's end, before its beginning, and at nonsense, stepping could hang or die.
TEST(StepThrough, EndsAreNoTrap) {
  const sim::Trace trace = record(harsh(3)).trace;
  const std::string said = steps(trace, "b 10\nwhat\ng never\ni node77\ng 100000000\nn\nb 1\ng 0\nn\n");
  EXPECT_NE(said.find("event 0: nothing has happened"), std::string::npos);
  EXPECT_NE(said.find("'what' is no command"), std::string::npos);
  EXPECT_NE(said.find("'never' is no moment"), std::string::npos);
  EXPECT_NE(said.find("no machine 'node77'"), std::string::npos);
  EXPECT_NE(said.find("the run is over"), std::string::npos);
  EXPECT_NE(said.find("event " + std::to_string(trace.events - 1) + " "), std::string::npos);
  EXPECT_EQ(lines_of(said).back().substr(0, 8), "event 1 ");
}

// Futures that are all the same, or the past itself, say nothing; and they must not depend on how many run at once.
TEST(Futures, AreManyAndRepeatable) {
  Tampering tampering;
  tampering.messages = [](PeerMessage& message) {
    if (auto* reply = std::get_if<VoteReply>(&message.body)) reply->granted = true;
  };
  SimulationOptions options = harsh(1);
  RunReport report;
  for (; options.seed <= 20; ++options.seed) {
    report = tampering.run(options);
    if (report.failure) break;
  }
  ASSERT_TRUE(report.failure.has_value());
  const Past past{{options, {}, tampering.between()},
                  report.events,
                  signature_of({report.failure->oracle, report.failure->signature, report.failure->text})};
  const Moment middle{report.events / 2, {}};
  const Futures alone = fork_at(past, middle, 6, 1);
  const Futures together = fork_at(past, middle, 6, 3);
  EXPECT_EQ(alone.signatures, together.signatures);
  EXPECT_EQ(alone.failed, together.failed);
  EXPECT_EQ(alone.count, 6u);
  // At the very end there is nothing left to choose.
  const Futures end = fork_at(past, {report.events, {}}, 4, 2);
  EXPECT_EQ(end.alike, 4u);
  CulpritOptions few;
  few.futures = 4;
  few.points = 4;
  few.rounds = 3;
  few.jobs = 2;
  const Culprit culprit = find_culprit(past, few);
  ASSERT_GT(culprit.curve.size(), 1u);
  EXPECT_EQ(culprit.curve.back().alike, few.futures);
  for (std::size_t i = 1; i < culprit.curve.size(); ++i) {
    EXPECT_LT(culprit.curve[i - 1].events, culprit.curve[i].events);
    const auto rise = [&](std::size_t at) {
      return static_cast<int>(culprit.curve[at].alike) - static_cast<int>(culprit.curve[at - 1].alike);
    };
    EXPECT_LE(rise(i), rise(culprit.jump));
  }
}

}  // namespace
}  // namespace reel::harness
