#include "harness/shrink.h"

#include <gtest/gtest.h>

#include "harness/recording.h"
#include "harness/tampering_for_tests.h"

namespace reel::harness {
namespace {

SimulationOptions seeded(std::uint64_t seed, Setting setting, Workload workload) {
  SimulationOptions options;
  options.seed = seed;
  options.setting = setting;
  options.workload = workload;
  options.cuts.storm = io::seconds(2);  // short runs: these tests make many of them
  return options;
}

// The first seed that fails, as a trial.
Trial failing(Tampering& tampering, SimulationOptions options) {
  for (options.seed = 1; options.seed <= 20; ++options.seed) {
    if (tampering.run(options).failure) break;
  }
  return {options, {}, tampering.between()};
}

// Everybody gives every vote: two leaders of one term, if two ask for it.
void give_every_vote(PeerMessage& message) {
  if (auto* reply = std::get_if<VoteReply>(&message.body)) reply->granted = true;
}

// The same bug told with other numbers would count as two, or two bugs as one.
TEST(Signature, IsTheComplaintWithoutItsNumbers) {
  const auto of = [](const char* oracle, const char* site, const char* text) {
    return signature_of({oracle, site, text});
  };
  EXPECT_EQ(of("election-safety", "election-safety", "nodes 1 and 3 lead term 7"),
            of("election-safety", "election-safety", "nodes 2 and 1 lead term 12"));
  EXPECT_NE(of("election-safety", "election-safety", "nodes 1 and 3 lead term 7"),
            of("leader-completeness", "leader-completeness", "nodes 1 and 3 lead term 7"));
  EXPECT_EQ(of("assertion", "a < b /one/x.cc", "assertion failed: a < b (/one/x.cc:10)"),
            of("assertion", "a < b /two/x.cc", "assertion failed: a < b (/two/x.cc:12)"));
  EXPECT_NE(of("assertion", "a < b /one/x.cc", "assertion failed: a < b (/one/x.cc:10)"),
            of("assertion", "a < c /one/x.cc", "assertion failed: a < c (/one/x.cc:10)"));
  EXPECT_EQ(of("liveness", "liveness", "the core did not answer; client 101 answered 3 of 7"),
            of("liveness", "liveness", "the core did not answer; node 1 is down"));
  EXPECT_EQ(of("strict-serializability", "strict-serializability", "G1c: T1 wrote 7"),
            of("strict-serializability", "strict-serializability", "G1c: T4 read 1, 2"));
  EXPECT_NE(of("strict-serializability", "strict-serializability", "G1c: T1 wrote 7"),
            of("strict-serializability", "strict-serializability", "G0: T1 wrote 7"));
}

// A trial that aborts or never ends would take the shrinker with it.
TEST(Trial, AProcessThatDiesOrHangsIsAnOutcome) {
  Trial trial{
      seeded(1, Setting::calm, Workload::append), {}, [](NodeId, io::Ports&) -> io::Ports& { std::abort(); }};
  const TrialOutcome died = run_trial(trial, {});
  EXPECT_EQ(died.end, TrialEnd::crashed);
  EXPECT_EQ(died.signal, SIGABRT);
  trial.between = {};
  TrialLimits limits;
  limits.events_max = 1000;
  EXPECT_EQ(run_trial(trial, limits).end, TrialEnd::unending);
  EXPECT_EQ(run_trial(trial, {}).end, TrialEnd::passed);
}

// A run in a child process could be another one than here.
TEST(Trial, TellsWhatTheRunDid) {
  const SimulationOptions options = seeded(4, Setting::harsh, Workload::mixed);
  const RunReport here = Simulation(options).run();
  const TrialOutcome there = run_trial({options, {}, {}}, {}, true);
  EXPECT_EQ(there.events, here.events);
  EXPECT_EQ(there.commits, here.commits);
  EXPECT_EQ(there.time_ns, here.simulated_ns);
  EXPECT_FALSE(there.draws.empty());
}

// The first of several that fail must not depend on which process is the fastest.
TEST(Trial, TheFirstOfSeveralIsTheFirstInTheirOrder) {
  Tampering tampering;
  tampering.messages = give_every_vote;
  const Trial bad = failing(tampering, seeded(1, Setting::harsh, Workload::append));
  const std::string signature = signature_of(run_trial(bad, {}).failure);
  Trial good = bad;
  good.between = {};
  const std::vector<Trial> trials{good, good, bad, good, bad};
  for (const std::uint32_t jobs : {1u, 2u, 4u}) {
    TrialLimits limits;
    limits.jobs = jobs;
    const auto found = first_with(signature, trials, limits);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->index, 2u);
    EXPECT_TRUE(found->outcome.has(signature));
    EXPECT_FALSE(first_with("another", trials, limits).has_value());
  }
}

// What is left could fail in another way, be no smaller, or not be the run that was reported.
TEST(Shrink, KeepsTheFailureAndLittleElse) {
  Tampering tampering;
  tampering.messages = give_every_vote;
  const Trial trial = failing(tampering, seeded(1, Setting::harsh, Workload::append));
  ShrinkOptions options;
  options.runs_max = 200;
  options.seconds_max = 0;
  options.jobs = 2;
  const auto shrunk = shrink(trial, options);
  ASSERT_TRUE(shrunk.has_value()) << shrunk.error();
  EXPECT_EQ(shrunk->signature, signature_of(run_trial(trial, {}).failure));
  EXPECT_EQ(signature_of(shrunk->failure), shrunk->signature);
  EXPECT_GT(shrunk->before.decisions, 500u);
  EXPECT_LE(shrunk->after.decisions, 20u);
  EXPECT_LT(shrunk->after.events, shrunk->before.events);
  EXPECT_LE(shrunk->after.clients, shrunk->before.clients);
  // Told again from what a trace holds: options as text, and overrides.
  const auto told = SimulationOptions::from_map(shrunk->trial.options.to_map());
  ASSERT_TRUE(told.has_value());
  SimulationOptions same = *told;
  same.seed = shrunk->trial.options.seed;
  const RunReport report = Simulation(same, shrunk->trial.overrides, tampering.between()).run();
  ASSERT_TRUE(report.failure.has_value());
  EXPECT_EQ(report.failure->text, shrunk->failure.text);
  EXPECT_EQ(report.events, shrunk->after.events);
}

// With a budget in runs the result must not depend on the machine, or nobody gets the same minimum twice.
TEST(Shrink, DoesNotDependOnJobs) {
  Tampering tampering;
  tampering.replies = [](ClientReply& reply) {
    auto* result = std::get_if<AppendResult>(&reply);
    if (result != nullptr && !result->runs.empty() && result->runs.front().id.value >= 20)
      ++result->runs.front().id;
  };
  const Trial trial = failing(tampering, seeded(1, Setting::normal, Workload::append));
  ShrinkOptions options;
  options.runs_max = 30;
  options.seconds_max = 0;
  const auto alone = shrink(trial, options);
  options.jobs = 3;
  const auto together = shrink(trial, options);
  ASSERT_TRUE(alone.has_value() && together.has_value());
  EXPECT_EQ(alone->trial.options.to_map(), together->trial.options.to_map());
  EXPECT_EQ(alone->trial.overrides, together->trial.overrides);
  EXPECT_EQ(alone->runs, together->runs);
  EXPECT_LE(alone->runs, 31u);
}

// Shrinking what does not fail would end with an empty run and prove nothing.
TEST(Shrink, RefusesWhatDoesNotFail) {
  const auto shrunk = shrink({seeded(1, Setting::calm, Workload::append), {}, {}}, {});
  ASSERT_FALSE(shrunk.has_value());
  EXPECT_NE(shrunk.error().find("does not fail"), std::string::npos);
}

}  // namespace
}  // namespace reel::harness
