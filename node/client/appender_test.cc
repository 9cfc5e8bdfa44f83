#include "node/client/appender.h"

#include <gtest/gtest.h>

#include "node/client/reader.h"

namespace reel::client {
namespace {

io::Now at(std::int64_t ms) { return {io::Instant{io::milliseconds(ms).ns}, {}, {}}; }

AppenderOptions options() {
  AppenderOptions options;
  options.nodes = {NodeId(1), NodeId(2), NodeId(3)};
  options.session = {7, 7};
  options.call_transactions_max = 2;
  options.calls_in_flight_max = 3;
  options.outstanding_max = 100;
  return options;
}

const AppendCall& append_of(const OutgoingCall& call) { return std::get<AppendCall>(call.body); }

AppendResult result_of(const AppendCall& call, std::uint64_t id) {
  return {.runs = {{call.first, call.count, TxnId(id), 1}}, .refusals = {}};
}

CallError error(ErrorCode code, std::uint64_t hint = 0) {
  CallError error;
  error.code = code;
  error.hint = NodeId(hint);
  return error;
}

// Before one call has succeeded the leader is only guessed: a whole window sent to the wrong node is wasted.
TEST(Appender, SendsOneCallUntilOneSucceeds) {
  Appender appender(options());
  Calls calls;
  AppendResult outcomes;
  for (int i = 0; i < 8; ++i) appender.submit({});
  appender.pump(at(0), calls);
  ASSERT_EQ(calls.calls().size(), 1u);
  const OutgoingCall first = calls.calls()[0];
  EXPECT_EQ(append_of(first).first, Sequence(1));
  EXPECT_EQ(append_of(first).count, 2u);
  calls.calls().clear();
  ASSERT_TRUE(appender.on_reply(first.call, result_of(append_of(first), 0), at(1), calls, outcomes));
  appender.pump(at(1), calls);
  EXPECT_EQ(calls.calls().size(), 3u);
  EXPECT_EQ(appender.outstanding(), 6u);
}

// A lost call could be forgotten, or repeated under new request ids and commit twice.
TEST(Appender, RepeatsTheSameSequencesAfterATimeout) {
  Appender appender(options());
  Calls calls;
  appender.submit({});
  appender.pump(at(0), calls);
  const OutgoingCall first = calls.calls()[0];
  calls.calls().clear();
  appender.pump(at(3000), calls);
  EXPECT_EQ(calls.cancels().size(), 1u);
  for (std::int64_t ms = 3000; calls.calls().empty() && ms < 10'000; ms += 10) appender.pump(at(ms), calls);
  ASSERT_EQ(calls.calls().size(), 1u);
  EXPECT_EQ(append_of(calls.calls()[0]), append_of(first));
  EXPECT_EQ(calls.calls()[0].to, NodeId(2));
}

// Hints could be ignored, or two nodes that point at each other be asked without a pause.
TEST(Appender, FollowsTheFirstHintAtOnceAndLaterOnesSlowly) {
  Appender appender(options());
  Calls calls;
  AppendResult outcomes;
  appender.submit({});
  appender.pump(at(0), calls);
  OutgoingCall call = calls.calls()[0];
  calls.calls().clear();
  appender.on_reply(call.call, error(ErrorCode::not_leader, 3), at(1), calls, outcomes);
  appender.pump(at(1), calls);
  ASSERT_EQ(calls.calls().size(), 1u);
  EXPECT_EQ(calls.calls()[0].to, NodeId(3));
  call = calls.calls()[0];
  calls.calls().clear();
  appender.on_reply(call.call, error(ErrorCode::not_leader, 1), at(2), calls, outcomes);
  appender.pump(at(2), calls);
  EXPECT_TRUE(calls.calls().empty());
  EXPECT_GT(appender.deadline().ns, at(2).monotonic.ns);
}

// After a hole the calls behind it are refused; the appender could skip the hole.
TEST(Appender, GoesBackToTheHole) {
  Appender appender(options());
  Calls calls;
  AppendResult outcomes;
  for (int i = 0; i < 8; ++i) appender.submit({});
  appender.pump(at(0), calls);
  OutgoingCall first = calls.calls()[0];
  appender.on_reply(first.call, result_of(append_of(first), 0), at(1), calls, outcomes);
  calls.calls().clear();
  appender.pump(at(1), calls);
  ASSERT_EQ(calls.calls().size(), 3u);
  const OutgoingCall second = calls.calls()[1];
  calls.calls().clear();
  appender.on_reply(second.call, error(ErrorCode::out_of_order), at(2), calls, outcomes);
  for (std::int64_t ms = 2; calls.calls().empty() && ms < 5000; ++ms) appender.pump(at(ms), calls);
  ASSERT_EQ(calls.calls().size(), 1u);
  EXPECT_EQ(append_of(calls.calls()[0]).first, Sequence(3));
}

CallError overloaded(std::int64_t retry_after_ms) {
  CallError refusal = error(ErrorCode::overloaded);
  refusal.retry_after = io::milliseconds(retry_after_ms);
  return refusal;
}

// A client that comes back too early is one more of those that overload the node; and what it had admitted already would
// be done for nobody if the answers were not waited for.
TEST(Appender, ComesBackWhenItWasToldToAndKeepsWhatWasAdmitted) {
  for (const bool ordered : {true, false}) {
    AppenderOptions of_stream = options();
    of_stream.ordered = ordered;
    Appender appender(of_stream);
    Calls calls;
    AppendResult outcomes;
    for (int i = 0; i < 8; ++i) appender.submit({});
    appender.pump(at(0), calls);
    const OutgoingCall first = calls.calls()[0];
    calls.calls().clear();
    appender.on_reply(first.call, result_of(append_of(first), 0), at(1), calls, outcomes);
    appender.pump(at(1), calls);
    const std::vector<OutgoingCall> sent = std::exchange(calls.calls(), {});
    ASSERT_EQ(sent.size(), 3u);
    appender.on_reply(sent[1].call, overloaded(700), at(2), calls, outcomes);
    ASSERT_EQ(calls.cancels().size(), ordered ? 1u : 0u);
    if (ordered) {
      EXPECT_EQ(calls.cancels()[0], sent[2].call);
    }
    EXPECT_TRUE(appender.on_reply(sent[0].call, result_of(append_of(sent[0]), 2), at(3), calls, outcomes));
    EXPECT_EQ(appender.on_reply(sent[2].call, result_of(append_of(sent[2]), 4), at(3), calls, outcomes),
              !ordered);
    for (std::int64_t ms = 3; ms < 702; ++ms) appender.pump(at(ms), calls);
    EXPECT_TRUE(calls.calls().empty());
    EXPECT_EQ(appender.deadline(), at(702).monotonic);
    appender.pump(at(702), calls);
    ASSERT_EQ(calls.calls().size(), ordered ? 2u : 1u);
    EXPECT_EQ(append_of(calls.calls()[0]), append_of(sent[1]));
    EXPECT_EQ(calls.calls()[0].to, sent[1].to);
    EXPECT_EQ(appender.repeats().overloaded, 1u);
  }
}

// A refusal that repeating cannot mend could be repeated for ever.
TEST(Appender, StopsAtAFinalRefusal) {
  Appender appender(options());
  Calls calls;
  AppendResult outcomes;
  appender.submit({});
  appender.pump(at(0), calls);
  appender.on_reply(calls.calls()[0].call, error(ErrorCode::unauthorized), at(1), calls, outcomes);
  ASSERT_TRUE(appender.failure().has_value());
  EXPECT_EQ(appender.failure()->code, ErrorCode::unauthorized);
  EXPECT_FALSE(appender.can_submit());
  EXPECT_EQ(appender.deadline(), io::kNever);
}

// A partition that dropped a session takes none that knows nothing of it: a client whose calls reached nothing could give
// up, or could go on under other sequences than those that it has told its user.
TEST(Appender, BeginsAgainInAnotherSessionWhenNothingWasTaken) {
  Appender appender(options());
  Calls calls;
  AppendResult outcomes;
  for (int i = 0; i < 4; ++i) appender.submit({});
  appender.pump(at(0), calls);
  const OutgoingCall first = calls.calls()[0];
  calls.calls().clear();
  appender.on_reply(first.call, error(ErrorCode::expired), at(1), calls, outcomes);
  ASSERT_TRUE(appender.failure() && appender.untouched());
  appender.begin_again({8, 8}, Index(100));
  appender.pump(at(1), calls);
  ASSERT_EQ(calls.calls().size(), 1u);
  AppendCall again = append_of(first);
  again.session = {8, 8};
  again.opened = Index(100);
  EXPECT_EQ(append_of(calls.calls()[0]), again);
  EXPECT_EQ(appender.outstanding(), 4u);
  EXPECT_EQ(appender.first_unanswered(), Sequence(1));
}

// A call whose answer was lost may have committed: under another session it would commit twice.
TEST(Appender, IsTouchedByWhateverMayHaveReachedTheLog) {
  for (const bool answered : {true, false}) {
    Appender appender(options());
    Calls calls;
    AppendResult outcomes;
    appender.submit({});
    appender.pump(at(0), calls);
    EXPECT_TRUE(appender.untouched());
    if (answered) {
      appender.on_reply(calls.calls()[0].call, error(ErrorCode::not_leader, 2), at(1), calls, outcomes);
      EXPECT_EQ(appender.hindrance()->code, ErrorCode::not_leader);
    } else {
      appender.on_failed(calls.calls()[0].call, at(1), calls);
    }
    EXPECT_FALSE(appender.untouched());
    calls.calls().clear();
    for (std::int64_t ms = 1; calls.calls().empty() && ms < 5000; ++ms) appender.pump(at(ms), calls);
    appender.on_reply(calls.calls()[0].call, error(ErrorCode::expired), at(5000), calls, outcomes);
    EXPECT_TRUE(appender.failure().has_value());
    EXPECT_FALSE(appender.untouched());
  }
}

FeedResult feed_of(std::uint64_t first_id, std::uint32_t count, std::uint64_t high_water,
                   bool damaged = false) {
  std::vector<std::byte> block;
  const std::byte data[3]{std::byte{1}, std::byte{2}, std::byte{3}};
  for (std::uint32_t i = 0; i < count; ++i) {
    log::append_record(block, {.header = 0,
                               .data = data,
                               .write_locks = {},
                               .read_locks = {},
                               .append_locks = {},
                               .based_on = {},
                               .intent = 0});
  }
  if (damaged) block[log::kRecordHeaderBytes] ^= std::byte{1};
  std::vector<std::byte> payload(log::kEntryHeaderBytes + log::kSectionHeaderBytes);
  const std::span<std::byte> room(payload);
  log::write_entry_header(room.first<log::kEntryHeaderBytes>(), {1, count, TxnId(first_id), 1});
  log::write_section_header(room.subspan<log::kEntryHeaderBytes, log::kSectionHeaderBytes>(),
                            {{1, 1}, Sequence(1), count, static_cast<std::uint32_t>(block.size())});
  payload.insert(payload.end(), block.begin(), block.end());
  return {TxnId(high_water), {Bytes::copy_of(payload)}};
}

std::vector<std::uint64_t> drain(Reader& reader) {
  std::vector<std::uint64_t> ids;
  reader.drain([&](const log::Transaction& transaction) { ids.push_back(transaction.id.value); });
  return ids;
}

ReaderOptions reader_options(std::uint64_t from) {
  ReaderOptions options;
  options.nodes = {NodeId(1), NodeId(2)};
  options.from = TxnId(from);
  return options;
}

// The first entry of an answer may begin before the wanted id: transactions could be seen twice.
TEST(Reader, StartsInTheMiddleOfAnEntry) {
  Reader reader(reader_options(2));
  Calls calls;
  reader.pump(at(0), calls);
  reader.on_reply(calls.calls()[0].call, feed_of(0, 4, 4), at(1), calls);
  EXPECT_EQ(drain(reader), (std::vector<std::uint64_t>{2, 3}));
  EXPECT_TRUE(reader.caught_up());
}

// What a node answers to a feed with a filter: its matches, all of one header, and how far it looked.
FeedResult matches_of(const std::vector<std::uint64_t>& ids, std::uint64_t next, std::uint32_t header = 0) {
  FeedResult result;
  result.high_water = TxnId(100);
  result.next = TxnId(next);
  for (const std::uint64_t id : ids) {
    log::TransactionInput input;
    input.header = header;
    std::vector<std::byte> record;
    log::append_record(record, input);
    result.matches.push_back({TxnId(id), 1000 + id, {1, 2}, Sequence(id), Bytes::copy_of(record)});
  }
  return result;
}

// A reader with a filter and a small credit, after it took one answer.
struct FilteredReader {
  explicit FilteredReader(const FeedResult& answer, std::uint64_t from_time = 0)
      : reader(options_of(from_time)) {
    reader.pump(at(0), calls);
    reader.on_reply(calls.calls()[0].call, answer, at(1), calls);
    reader.drain([&](const log::Transaction& transaction) { seen.push_back(transaction.id.value); });
    calls.calls().clear();
    reader.pump(at(1), calls);
  }
  static ReaderOptions options_of(std::uint64_t from_time) {
    ReaderOptions options;
    options.nodes = {NodeId(1), NodeId(2)};
    options.from = TxnId(10);
    options.from_time = from_time;
    options.filter.header_mask = 1;
    options.bytes_max = 128;
    return options;
  }
  const FeedCall& call() { return std::get<FeedCall>(calls.calls().at(0).body); }

  Calls calls;
  Reader reader;
  std::vector<std::uint64_t> seen;
};

// A reader with a filter could go on behind the last match instead of behind what was looked at, or the other way round.
TEST(Reader, GoesOnWhereTheNodeStoppedLooking) {
  FilteredReader some(matches_of({12, 17}, 40));
  EXPECT_EQ(some.seen, (std::vector<std::uint64_t>{12, 17}));
  EXPECT_EQ(some.reader.next(), TxnId(40));
  EXPECT_EQ(some.call().from, TxnId(40));
  EXPECT_EQ(some.call().filter.header_mask, 1u);
  FilteredReader none(matches_of({}, 40));  // at once, and at the same node: there is more to look at
  EXPECT_EQ(none.call().from, TxnId(40));
  EXPECT_EQ(none.calls.calls()[0].to, NodeId(1));
  EXPECT_FALSE(none.reader.failure().has_value());
  const FilteredReader behind(matches_of({}, 5));  // a node that knows less
  EXPECT_EQ(behind.reader.next(), TxnId(10));
  EXPECT_FALSE(behind.reader.failure().has_value());
}

// What a node must not send could be handed on: out of order, beyond its own `next`, more than allowed, or not matching.
TEST(Reader, StopsAtMatchesThatCannotBe) {
  EXPECT_TRUE(FilteredReader(matches_of({9}, 40)).reader.failure().has_value());
  EXPECT_TRUE(FilteredReader(matches_of({12, 12}, 40)).reader.failure().has_value());
  EXPECT_TRUE(FilteredReader(matches_of({12, 40}, 40)).reader.failure().has_value());
  EXPECT_TRUE(FilteredReader(matches_of({12, 13, 14}, 40)).reader.failure().has_value());  // 144 bytes
  const FilteredReader twice(matches_of({12, 12}, 40));
  EXPECT_TRUE(twice.seen.empty());
  const FilteredReader other(matches_of({12}, 40, 1));
  EXPECT_TRUE(other.reader.failure().has_value());
  EXPECT_TRUE(other.seen.empty());
  EXPECT_TRUE(FilteredReader(matches_of({12}, 40), 2000).reader.failure().has_value());  // too early
  FeedResult plain;
  EXPECT_TRUE(FilteredReader(plain).reader.failure().has_value());
}

// A reader from a time could begin at the start of the entry instead, or keep asking by time and never get further.
TEST(Reader, FromATimeBeginsInsideOfAnEntry) {
  ReaderOptions options;
  options.nodes = {NodeId(1)};
  options.from_time = 3;
  Reader reader(options);
  Calls calls;
  reader.pump(at(0), calls);
  EXPECT_EQ(std::get<FeedCall>(calls.calls()[0].body).from_time, 3u);
  FeedResult nothing;
  nothing.high_water = TxnId(7);  // all of them are earlier
  reader.on_reply(calls.calls()[0].call, nothing, at(1), calls);
  EXPECT_TRUE(reader.caught_up());
  calls.calls().clear();
  reader.pump(at(1), calls);
  EXPECT_EQ(std::get<FeedCall>(calls.calls()[0].body).from, TxnId(7));
  reader.on_reply(calls.calls()[0].call, feed_of(7, 4, 11), at(1), calls);  // times 1, 2, 3, 4
  std::vector<std::uint64_t> seen;
  reader.drain([&](const log::Transaction& transaction) { seen.push_back(transaction.id.value); });
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{9, 10}));
  calls.calls().clear();
  reader.pump(at(1), calls);
  EXPECT_EQ(std::get<FeedCall>(calls.calls()[0].body).from, TxnId(11));
  EXPECT_EQ(std::get<FeedCall>(calls.calls()[0].body).from_time, 0u);
}

// A feed that skips, or data that changed on its way, could be handed on.
TEST(Reader, StopsAtGapsAndDamage) {
  Calls calls;
  Reader gap(reader_options(0));
  gap.pump(at(0), calls);
  gap.on_reply(calls.calls()[0].call, feed_of(1, 2, 3), at(1), calls);
  EXPECT_TRUE(drain(gap).empty());
  EXPECT_TRUE(gap.failure().has_value());
  calls.calls().clear();
  Reader damage(reader_options(0));
  damage.pump(at(0), calls);
  damage.on_reply(calls.calls()[0].call, feed_of(0, 1, 1, true), at(1), calls);
  EXPECT_TRUE(drain(damage).empty());
  EXPECT_TRUE(damage.failure().has_value());
}

// A node that died with the call could keep the reader waiting for ever.
TEST(Reader, AsksTheNextNodeAfterItsDeadline) {
  Reader reader(reader_options(0));
  Calls calls;
  reader.pump(at(0), calls);
  EXPECT_EQ(calls.calls()[0].to, NodeId(1));
  calls.calls().clear();
  for (std::int64_t ms = 14'000; calls.calls().empty() && ms < 20'000; ms += 100) reader.pump(at(ms), calls);
  ASSERT_EQ(calls.calls().size(), 1u);
  EXPECT_EQ(calls.calls()[0].to, NodeId(2));
}

}  // namespace
}  // namespace reel::client
