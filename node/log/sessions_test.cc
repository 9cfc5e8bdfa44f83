#include "node/log/sessions.h"

#include <gtest/gtest.h>

#include "node/log/log_state.h"
#include "node/log/record.h"

namespace reel::log {
namespace {

Outcome run(std::uint64_t first, std::uint32_t count, std::uint64_t id) {
  return {Sequence(first), count, false, TxnId(id), 1000 + id};
}
Outcome burn(std::uint64_t first, std::uint32_t count) { return {Sequence(first), count, true, {}, 0}; }

// A repeated request could get another outcome than its original, or none.
TEST(Session, AnswersFromTheMiddleOfARun) {
  Session session;
  session.decide(run(1, 10, 100));
  session.decide(run(11, 5, 200));
  EXPECT_EQ(session.outcome(Sequence(4)), (Outcome{Sequence(4), 7, false, TxnId(103), 1103}));
  EXPECT_EQ(session.outcome(Sequence(12))->id, TxnId(201));
  EXPECT_FALSE(session.outcome(Sequence(16)).has_value());
  EXPECT_EQ(session.last(), Sequence(15));
}

// A burned request could commit after "never" was said, or burn its neighbours.
TEST(Session, RemembersWhatIsBurned) {
  Session session;
  session.decide(burn(5, 1));
  EXPECT_TRUE(session.outcome(Sequence(5))->burned);
  EXPECT_FALSE(session.outcome(Sequence(4)).has_value());
  EXPECT_EQ(session.undecided(Sequence(1), 100), 4u);
  session.decide(run(1, 4, 30));
  session.decide(run(6, 2, 40));
  EXPECT_EQ(session.outcome(Sequence(2)), (Outcome{Sequence(2), 3, false, TxnId(31), 1031}));
  EXPECT_TRUE(session.outcome(Sequence(5))->burned);
}

// A late request that fills a gap could be taken for a duplicate, or overlap what is there.
TEST(Session, FillsGapsOfIndependentRequests) {
  Session session;
  session.decide(run(1, 2, 0));
  session.decide(run(8, 2, 2));
  EXPECT_FALSE(session.outcome(Sequence(3)).has_value());
  EXPECT_EQ(session.undecided(Sequence(3), 100), 5u);
  session.decide(run(3, 5, 4));
  EXPECT_EQ(session.outcome(Sequence(7))->id, TxnId(8));
  EXPECT_EQ(session.undecided(Sequence(10), 100), 100u);
}

// The window could grow without bound, or forget what it still promises.
TEST(Session, ForgetsOnlyBelowItsFloor) {
  Session session;
  for (std::uint64_t i = 0; i < 3 * kSessionWindow; i += 16) session.decide(run(1 + i, 16, i));
  EXPECT_EQ(session.floor(), Sequence(2 * kSessionWindow));
  EXPECT_TRUE(session.outcome(session.floor() + 1).has_value());
  EXPECT_FALSE(session.outcome(Sequence(1)).has_value());
}

// A dropped session could look new, and its requests commit a second time; or a new one could be taken for a dropped one.
TEST(SessionTable, DropsTheOneUsedLongestAgoAndRaisesItsFloor) {
  SessionTable table({.sessions_max = 2, .session_expiry = 1'000'000});
  table.use({1, 1}, true, 10, Index(5))->decide(run(1, 5, 0));
  table.use({2, 2}, true, 11, Index(8))->decide(run(1, 3, 5));
  table.use({1, 1}, true, 12, Index(9))->decide(run(6, 1, 8));
  EXPECT_EQ(table.floor(), Index(0));
  table.use({3, 3}, true, 13, Index(10))->decide(run(1, 1, 9));
  EXPECT_EQ(table.find({2, 2}), nullptr);
  EXPECT_NE(table.find({1, 1}), nullptr);
  EXPECT_EQ(table.floor(),
            Index(8));  // drawn before 8: may have been here; drawn at 8 or later: cannot have been
}

// An entry that was on its way when its session was dropped could open it again, and what it had committed before could
// commit a second time.
TEST(SessionTable, ADroppedSessionIsNotOpenedByWhatWasOnItsWay) {
  SessionTable table({.sessions_max = 1, .session_expiry = 1'000'000});
  table.use({1, 1}, true, 10, Index(5))->decide(run(4, 1, 0));
  table.use({2, 2}, true, 11, Index(6))->decide(run(1, 1, 1));
  EXPECT_EQ(table.use({1, 1}, false, 12, Index(7)), nullptr);
  EXPECT_EQ(table.find({1, 1}), nullptr);
  EXPECT_EQ(table.floor(), Index(7));
}

// Expiry could follow a clock, or a busy session expire with its idle neighbours.
TEST(SessionTable, ExpiresByLogTime) {
  SessionTable table({.sessions_max = 10, .session_expiry = 100});
  table.use({1, 1}, true, 1000, Index(1))->decide(run(1, 1, 0));
  table.use({2, 2}, true, 1050, Index(2))->decide(run(1, 1, 1));
  table.use({3, 3}, true, 1100, Index(3))->decide(run(1, 1, 2));
  EXPECT_EQ(table.size(), 3u);
  table.use({2, 2}, true, 1101, Index(4))->decide(run(2, 1, 3));
  EXPECT_EQ(table.find({1, 1}), nullptr);
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(table.floor(), Index(1));
}

// An overlay run could outlive the entry that holds it, or be dropped too early.
TEST(SessionOverlay, LivesUntilItsEntryIsApplied) {
  SessionOverlay overlay;
  const SessionId a{1, 1};
  const SessionId b{2, 2};
  overlay.add(a, {Sequence(1), 3, Index(10)});
  overlay.add(a, {Sequence(4), 1, Index(10)});
  overlay.add(b, {Sequence(1), 1, Index(11)});
  overlay.add(a, {Sequence(5), 2, Index(12)});
  EXPECT_EQ(overlay.last(a), Sequence(6));
  EXPECT_EQ(overlay.pending(a, Sequence(4))->index, Index(10));
  EXPECT_EQ(overlay.unseen(a, Sequence(7), 50), 50u);
  overlay.applied(Index(11));
  EXPECT_FALSE(overlay.has(b));
  EXPECT_FALSE(overlay.pending(a, Sequence(1)).has_value());
  EXPECT_EQ(overlay.pending(a, Sequence(6))->count, 1u);
  overlay.clear();
  EXPECT_EQ(overlay.sessions(), 0u);
}

Bytes payload_of(std::uint64_t first_id, std::uint64_t time, SessionId session, std::uint64_t first,
                 std::uint32_t count) {
  std::vector<std::byte> block;
  for (std::uint32_t i = 0; i < count; ++i) append_record(block, {});
  std::vector<std::byte> payload(kEntryHeaderBytes + kSectionHeaderBytes);
  const std::span<std::byte> room(payload);
  write_entry_header(room.first<kEntryHeaderBytes>(), {1, count, TxnId(first_id), time});
  write_section_header(room.subspan<kEntryHeaderBytes, kSectionHeaderBytes>(),
                       {session, Sequence(first), count, static_cast<std::uint32_t>(block.size()),
                        SectionKind::transactions, first == 1, 0});
  payload.insert(payload.end(), block.begin(), block.end());
  return Bytes::copy_of(payload);
}

EntryIdentity identity_of(std::uint64_t index, EntryKind kind, const Bytes& payload) {
  return {Term(1), Index(index), kind, static_cast<std::uint32_t>(payload.size()),
          io::checksum(payload.span())};
}

// Entries without transactions could take an id, or a lookup by id land in the wrong entry.
TEST(LogState, FindsTheEntryOfEveryTransaction) {
  LogState state;
  const Bytes empty;
  ASSERT_TRUE(state.apply(identity_of(1, EntryKind::empty, empty), empty.span()).has_value());
  const Bytes a = payload_of(0, 50, {1, 1}, 1, 3);
  ASSERT_TRUE(state.apply(identity_of(2, EntryKind::transactions, a), a.span()).has_value());
  ASSERT_TRUE(state.apply(identity_of(3, EntryKind::empty, empty), empty.span()).has_value());
  const Bytes b = payload_of(3, 60, {1, 1}, 4, 2);
  ASSERT_TRUE(state.apply(identity_of(4, EntryKind::transactions, b), b.span()).has_value());
  EXPECT_EQ(state.next_id(), TxnId(5));
  EXPECT_EQ(state.last_time(), 61u);
  EXPECT_EQ(state.entry_of(TxnId(0)), Index(2));
  EXPECT_EQ(state.entry_of(TxnId(2)), Index(2));
  EXPECT_EQ(state.entry_of(TxnId(3)), Index(4));
  EXPECT_EQ(state.sessions().find({1, 1})->outcome(Sequence(5))->id, TxnId(4));
}

// Two nodes could hold different states and the same digest.
TEST(LogState, DigestTellsDifferentHistoriesApart) {
  LogState one;
  LogState two;
  const Bytes a = payload_of(0, 50, {1, 1}, 1, 1);
  const Bytes b = payload_of(0, 51, {1, 1}, 1, 1);
  ASSERT_TRUE(one.apply(identity_of(1, EntryKind::transactions, a), a.span()).has_value());
  ASSERT_TRUE(two.apply(identity_of(1, EntryKind::transactions, b), b.span()).has_value());
  EXPECT_NE(one.digest(), two.digest());
}

// A damaged entry could be applied in part.
TEST(LogState, RefusesWhatItCannotRead) {
  LogState state;
  const Bytes a = payload_of(0, 50, {1, 1}, 1, 1);
  const Bytes cut = a.slice(0, a.size() - 8);
  EXPECT_FALSE(state.apply(identity_of(1, EntryKind::transactions, cut), cut.span()).has_value());
  EXPECT_EQ(state.applied(), Index(0));
  EXPECT_EQ(state.digest(), 0u);
}

}  // namespace
}  // namespace reel::log
