#include <gtest/gtest.h>

#include "node/client/appender.h"
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
