#include "node/client/submitter.h"

#include <gtest/gtest.h>

namespace reel::client {
namespace {

using Kind = SubmitOutcome::Kind;
using Ending = SubmitOutcome::Ending;

io::Now at(std::int64_t ms) { return {io::Instant{io::milliseconds(ms).ns}, {}, {}}; }

SubmitterOptions options() {
  SubmitterOptions options;
  options.nodes = {NodeId(1), NodeId(2), NodeId(3)};
  options.session = {7, 7};
  options.call_transactions_max = 4;
  options.attempts_max = 3;
  options.grace = io::seconds(1);
  return options;
}

CallError error(ErrorCode code, std::uint64_t limit = 0) {
  CallError error;
  error.code = code;
  error.limit = limit;
  return error;
}

// A submitter with its application and a leader that is played by hand.
struct Bench {
  explicit Bench(const SubmitterOptions& with = options()) : submitter(with) {}

  SubmitId submit(std::int64_t deadline_ms = 1'000'000) {
    return submitter.submit({[this](const View& view) { return execute(view); }, at(deadline_ms).monotonic});
  }
  std::optional<Prepared> execute(const View& view) {
    views.push_back(view);
    if (veto) return std::nullopt;
    Prepared prepared;
    prepared.data.assign(data_bytes, std::byte{1});
    return prepared;
  }
  std::vector<OutgoingCall> pump(std::int64_t ms) {
    submitter.pump(at(ms), calls);
    return std::exchange(calls.calls(), {});
  }
  // Until something is sent.
  std::vector<OutgoingCall> pump_on(std::int64_t& ms) {
    for (const std::int64_t end = ms + 20'000; ms < end; ++ms) {
      if (auto sent = pump(ms); !sent.empty()) return sent;
    }
    return {};
  }
  void reply(const OutgoingCall& call, const ClientReply& body, std::int64_t ms) {
    EXPECT_TRUE(submitter.on_reply(call.call, body, at(ms), calls));
  }
  void open(std::int64_t ms = 0) {
    const auto sent = pump(ms);
    ASSERT_EQ(sent.size(), 1u);
    ASSERT_TRUE(std::holds_alternative<ResolveCall>(sent[0].body));
    reply(sent[0], ResolveResult{}, ms);
  }
  SubmitOutcome only_outcome() {
    const auto outcomes = submitter.take_outcomes();
    EXPECT_EQ(outcomes.size(), 1u);
    return outcomes.empty() ? SubmitOutcome{} : outcomes[0];
  }

  bool veto = false;
  std::size_t data_bytes = 8;
  std::vector<View> views;
  Calls calls;
  Submitter submitter;
};

const AppendCall& append_of(const OutgoingCall& call) { return std::get<AppendCall>(call.body); }
const ResolveCall& resolve_of(const OutgoingCall& call) { return std::get<ResolveCall>(call.body); }

AppendResult committed(const OutgoingCall& call, std::uint64_t id) {
  const AppendCall& append = append_of(call);
  return {.runs = {{append.first, append.count, TxnId(id), 1}}, .refusals = {}};
}
AppendResult refused(const OutgoingCall& call, RefusalCode code, std::uint64_t id) {
  return {.runs = {}, .refusals = {{append_of(call).first, code, 0, TxnId(id)}}};
}

// The first session could be one that the cluster dropped long ago: its transactions would end unknown for nothing.
TEST(Submitter, OpensItsSessionBeforeItSendsAnythingOfValue) {
  Bench bench;
  bench.submit();
  auto sent = bench.pump(0);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(resolve_of(sent[0]).sequence, Sequence(1));
  bench.reply(sent[0], error(ErrorCode::expired, 77), 1);
  sent = bench.pump(1);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(resolve_of(sent[0]).opened, Index(77));
  EXPECT_NE(resolve_of(sent[0]).session, (SessionId{7, 7}));
  const SessionId session = resolve_of(sent[0]).session;
  bench.reply(sent[0], ResolveResult{}, 2);
  sent = bench.pump(2);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(append_of(sent[0]).session, session);
  EXPECT_EQ(append_of(sent[0]).opened, Index(77));
  EXPECT_EQ(append_of(sent[0]).first, Sequence(2));
}

// Submits of one turn could each cost a call, or a call could grow without bound.
TEST(Submitter, BatchesWhatIsReady) {
  Bench bench;
  for (int i = 0; i < 6; ++i) bench.submit();
  bench.open();
  const auto sent = bench.pump(1);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(append_of(sent[0]).count, 4u);
  EXPECT_EQ(append_of(sent[1]).first, Sequence(6));
  EXPECT_EQ(append_of(sent[1]).count, 2u);
  bench.reply(sent[1], committed(sent[1], 0), 2);
  bench.reply(sent[0], committed(sent[0], 2), 2);
  const auto outcomes = bench.submitter.take_outcomes();
  ASSERT_EQ(outcomes.size(), 6u);
  EXPECT_EQ(outcomes[0].submit, SubmitId(5));
  EXPECT_EQ(outcomes[2].id, TxnId(2));
  EXPECT_TRUE(bench.submitter.idle());
  EXPECT_EQ(bench.submitter.bytes(), 0u);
}

// Executed again before its view has the change that refused it, it is refused again, and soon out of attempts; under
// another request id, a late copy of the first attempt and the second could both commit.
TEST(Submitter, ExecutesAgainWhenTheViewHasCaughtUpUnderTheSameRequestId) {
  Bench bench;
  bench.submit();
  bench.open();
  auto sent = bench.pump(1);
  const AppendCall first = append_of(sent[0]);
  bench.reply(sent[0], refused(sent[0], RefusalCode::conflict, 9), 2);
  EXPECT_TRUE(bench.pump(5000).empty());
  bench.submitter.applied(TxnId(8));
  EXPECT_TRUE(bench.pump(6000).empty());
  bench.submitter.applied(TxnId(9));
  sent = bench.pump(6001);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(append_of(sent[0]).session, first.session);
  EXPECT_EQ(append_of(sent[0]).first, first.first);
  EXPECT_NE(append_of(sent[0]).block, first.block) << "its base is the new view";
  ASSERT_EQ(bench.views.size(), 2u);
  EXPECT_EQ(bench.views[1].attempt, 2u);
  EXPECT_EQ(bench.views[1].refusal->id, TxnId(9));
  EXPECT_EQ(bench.views[1].applied, TxnId(9));
}

// Clients that were refused together could all come back in the same instant, for ever.
TEST(Submitter, PausesBeforeAnExecutionAfterARefusal) {
  SubmitterOptions with = options();
  with.retry_min = io::milliseconds(100);
  Bench bench(with);
  bench.submit();
  bench.open();
  const auto sent = bench.pump(1);
  bench.submitter.applied(TxnId(9));
  bench.reply(sent[0], refused(sent[0], RefusalCode::conflict, 9), 2);
  EXPECT_TRUE(bench.pump(40).empty());
  EXPECT_GT(bench.submitter.deadline(), at(40).monotonic);
  EXPECT_LE(bench.submitter.deadline(), at(102).monotonic);
  EXPECT_EQ(bench.pump(102).size(), 1u);
}

// A submit that keeps being refused could go on for ever, or end without saying why.
TEST(Submitter, GivesUpAfterItsAttempts) {
  Bench bench;
  bench.submit();
  bench.open();
  bench.submitter.applied(TxnId(9));
  std::int64_t ms = 1;
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto sent = bench.pump_on(ms);
    ASSERT_EQ(sent.size(), 1u);
    bench.reply(sent[0], refused(sent[0], attempt < 2 ? RefusalCode::conflict : RefusalCode::stale, 9), ms);
  }
  const SubmitOutcome outcome = bench.only_outcome();
  EXPECT_EQ(outcome.kind, Kind::stale);
  EXPECT_EQ(outcome.ending, Ending::attempts);
  EXPECT_EQ(outcome.attempts, 3u);
  EXPECT_EQ(outcome.refusal->id, TxnId(9));
}

// A veto could be overruled, or leave something behind that commits.
TEST(Submitter, TheApplicationMayVeto) {
  Bench bench;
  bench.submit();
  bench.open();
  bench.submitter.applied(TxnId(9));
  const auto sent = bench.pump(1);
  bench.reply(sent[0], refused(sent[0], RefusalCode::conflict, 9), 2);
  bench.veto = true;
  EXPECT_TRUE(bench.pump(1000).empty());
  const SubmitOutcome outcome = bench.only_outcome();
  EXPECT_EQ(outcome.kind, Kind::vetoed);
  EXPECT_EQ(outcome.refusal->id, TxnId(9));
  EXPECT_TRUE(bench.submitter.idle());
}

// A lost call's transactions could be executed again although the first copy may commit, or get new request ids.
TEST(Submitter, RepeatsWhatIsLostUnchanged) {
  Bench bench;
  bench.submit();
  bench.submit();
  bench.open();
  const auto first = bench.pump(1);
  std::int64_t ms = 3000;
  const auto again = bench.pump_on(ms);
  EXPECT_EQ(bench.calls.cancels().size(), 1u);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(append_of(again[0]), append_of(first[0]));
  EXPECT_NE(again[0].to, first[0].to);
  EXPECT_EQ(bench.views.size(), 2u);
  // The answer to the lost call comes late: it belongs to nobody any more.
  EXPECT_FALSE(bench.submitter.on_reply(first[0].call, committed(first[0], 5), at(ms), bench.calls));
  bench.reply(again[0], committed(again[0], 5), ms);
  EXPECT_EQ(bench.submitter.take_outcomes().size(), 2u);
}

// At its deadline a submit could be called dead although a copy of it still commits.
TEST(Submitter, ResolvesAtTheDeadline) {
  for (const bool commits : {false, true}) {
    Bench bench;
    bench.submit(1000);
    bench.open();
    ASSERT_EQ(bench.pump(1).size(), 1u);
    EXPECT_LE(bench.submitter.deadline(), at(1000).monotonic);
    const auto sent = bench.pump(1000);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(resolve_of(sent[0]).sequence, Sequence(2));
    EXPECT_FALSE(bench.submitter.has_outcomes());
    ResolveResult result;
    if (commits) result.committed = CommittedRun{Sequence(2), 1, TxnId(5), 6};
    bench.reply(sent[0], result, 1001);
    const SubmitOutcome outcome = bench.only_outcome();
    EXPECT_EQ(outcome.kind, commits ? Kind::committed : Kind::burned);
    EXPECT_EQ(outcome.ending, Ending::deadline);
    EXPECT_EQ(outcome.id, commits ? TxnId(5) : TxnId());
  }
}

// While it is resolved its append may be answered after all: one outcome, not two.
TEST(Submitter, TheAppendsOwnAnswerCountsWhileItIsResolved) {
  Bench bench;
  bench.submit(1000);
  bench.open();
  const auto append = bench.pump(1);
  const auto resolve = bench.pump(1000);
  bench.reply(append[0], committed(append[0], 5), 1001);
  ResolveResult result;
  result.committed = CommittedRun{Sequence(2), 1, TxnId(5), 6};
  bench.reply(resolve[0], result, 1001);
  EXPECT_EQ(bench.only_outcome().kind, Kind::committed);
}

// If nobody answers, the submit could hang, or claim what it cannot know.
TEST(Submitter, IsUnknownWhenNotEvenResolvingIsAnswered) {
  Bench bench;
  bench.submit(1000);
  bench.open();
  bench.pump(1);
  bench.pump(1000);
  bench.pump(1999);
  EXPECT_FALSE(bench.submitter.has_outcomes());
  bench.pump(2000);
  EXPECT_EQ(bench.only_outcome().kind, Kind::unknown);
}

// What was never sent needs no resolve, with nobody there to answer it.
TEST(Submitter, WhatWasNeverSentEndsAtOnce) {
  Bench bench;
  bench.submit(1000);
  const SubmitId second = bench.submit(5000);
  bench.pump(1);  // nobody answers
  bench.submitter.cancel(second, at(2));
  SubmitOutcome outcome = bench.only_outcome();
  EXPECT_EQ(outcome.kind, Kind::burned);
  EXPECT_EQ(outcome.ending, Ending::cancelled);
  bench.pump(1000);
  outcome = bench.only_outcome();
  EXPECT_EQ(outcome.kind, Kind::burned);
  EXPECT_EQ(outcome.sequence, Sequence());
  EXPECT_TRUE(bench.views.empty());
}

// A cancelled submit could be forgotten while its append commits.
TEST(Submitter, CancellingResolves) {
  Bench bench;
  const SubmitId submit = bench.submit();
  bench.open();
  bench.pump(1);
  bench.submitter.cancel(submit, at(2));
  const auto sent = bench.pump(2);
  ASSERT_EQ(sent.size(), 1u);
  bench.reply(sent[0], ResolveResult{}, 3);
  const SubmitOutcome outcome = bench.only_outcome();
  EXPECT_EQ(outcome.kind, Kind::burned);
  EXPECT_EQ(outcome.ending, Ending::cancelled);
}

// With its session gone nobody can say whether a transaction committed: sent again under another session it could
// commit twice. What is certain not to have committed must not suffer from that.
TEST(Submitter, OnlyWhatWasSentIsUnknownWhenItsSessionIsDropped) {
  SubmitterOptions with = options();
  with.call_transactions_max = 1;
  with.calls_in_flight_max = 2;
  Bench bench(with);
  for (int i = 0; i < 3; ++i) bench.submit();
  bench.open();
  auto sent = bench.pump(1);
  ASSERT_EQ(sent.size(), 2u);
  const SessionId session = append_of(sent[0]).session;
  bench.reply(sent[0], refused(sent[0], RefusalCode::conflict, 3), 2);
  bench.reply(sent[1], error(ErrorCode::expired, 50), 2);
  const SubmitOutcome outcome = bench.only_outcome();
  EXPECT_EQ(outcome.submit, SubmitId(2));
  EXPECT_EQ(outcome.kind, Kind::unknown);
  EXPECT_EQ(outcome.ending, Ending::expired);
  bench.submitter.applied(TxnId(3));
  std::int64_t ms = 300;
  sent = bench.pump_on(ms);
  ASSERT_EQ(sent.size(), 1u);
  bench.reply(sent[0], ResolveResult{}, ms);
  std::set<SubmitId> executed;
  for (const OutgoingCall& call : bench.pump(ms)) {
    EXPECT_NE(append_of(call).session, session);
    EXPECT_EQ(append_of(call).opened, Index(50));
    bench.reply(call, committed(call, 10), ms);
  }
  for (const SubmitOutcome& each : bench.submitter.take_outcomes()) executed.insert(each.submit);
  EXPECT_EQ(executed, (std::set<SubmitId>{SubmitId(1), SubmitId(3)}));
}

// One transaction that no node takes could sink its neighbours.
TEST(Submitter, FindsTheOneThatIsMalformed) {
  Bench bench;
  bench.submit();
  bench.submit();
  bench.open();
  auto sent = bench.pump(1);
  bench.reply(sent[0], error(ErrorCode::malformed), 1);
  std::int64_t ms = 1;
  sent = bench.pump_on(ms);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(append_of(sent[0]).count, 1u);
  bench.reply(sent[0], error(ErrorCode::malformed), ms);
  EXPECT_EQ(bench.only_outcome().kind, Kind::failed);
  sent = bench.pump_on(ms);
  ASSERT_EQ(sent.size(), 1u);
  bench.reply(sent[0], committed(sent[0], 0), ms);
  EXPECT_EQ(bench.only_outcome().kind, Kind::committed);
}

// An application could make something that is too large, and have the whole client refused for it.
TEST(Submitter, RefusesWhatIsTooLargeItself) {
  Bench bench;
  bench.data_bytes = kTransactionBytesMax + 1;
  bench.submit();
  bench.open();
  EXPECT_TRUE(bench.pump(1).empty());
  const SubmitOutcome outcome = bench.only_outcome();
  EXPECT_EQ(outcome.kind, Kind::failed);
  EXPECT_EQ(outcome.error->code, ErrorCode::too_large);
}

// A client without rights could ask for ever; and what it was refused is certain.
TEST(Submitter, EndsEverythingWhenGoingOnMakesNoSense) {
  Bench bench;
  bench.submit();
  bench.submit();
  bench.open();
  const auto sent = bench.pump(1);
  bench.reply(sent[0], error(ErrorCode::unauthorized), 2);
  const auto outcomes = bench.submitter.take_outcomes();
  ASSERT_EQ(outcomes.size(), 2u);
  for (const SubmitOutcome& outcome : outcomes) EXPECT_EQ(outcome.kind, Kind::failed);
  EXPECT_FALSE(bench.submitter.can_submit());
  EXPECT_EQ(bench.submitter.deadline(), io::kNever);
}

// Memory could grow with whatever the application makes.
TEST(Submitter, HoldsBytesBack) {
  SubmitterOptions with = options();
  with.bytes_max = 3000;
  Bench bench(with);
  bench.data_bytes = 1000;
  for (int i = 0; i < 10; ++i) bench.submit();
  bench.open();
  auto sent = bench.pump(1);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(append_of(sent[0]).count, 3u);
  EXPECT_FALSE(bench.submitter.can_submit());
  EXPECT_TRUE(bench.pump(2).empty());
  bench.reply(sent[0], committed(sent[0], 0), 3);
  EXPECT_TRUE(bench.submitter.can_submit());
  EXPECT_EQ(append_of(bench.pump(3).at(0)).count, 3u);
}

// One request that is refused for long could fall out of its session's window behind its neighbours.
TEST(Submitter, MovesToANewSessionBeforeTheWindowCloses) {
  SubmitterOptions with = options();
  with.call_transactions_max = 1024;
  Bench bench(with);
  bench.submit();
  bench.open();
  auto sent = bench.pump(1);
  const SessionId session = append_of(sent[0]).session;
  bench.reply(sent[0], refused(sent[0], RefusalCode::conflict, 1'000'000), 1);
  std::uint64_t submitted = 1;
  Sequence highest;
  while (bench.submitter.sessions() == 1 && submitted < 20'000) {
    for (int i = 0; i < 1000; ++i, ++submitted) bench.submit();
    for (const OutgoingCall& call : bench.pump(2)) {
      if (!std::holds_alternative<AppendCall>(call.body)) continue;
      if (append_of(call).session == session) highest = append_of(call).first + append_of(call).count;
      bench.reply(call, committed(call, 0), 2);
    }
  }
  EXPECT_EQ(bench.submitter.sessions(), 2u);
  EXPECT_LE(highest.value, log::kSessionWindow / 2 + 2);
}

}  // namespace
}  // namespace reel::client
