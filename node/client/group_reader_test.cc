#include "node/client/group_reader.h"

#include <gtest/gtest.h>

namespace reel::client {
namespace {

constexpr MemberId kSelf{7, 7};

// The member against a coordinator and feeds that the test plays.
class GroupReaderTest : public testing::Test {
 protected:
  GroupReaderTest() {
    GroupReaderOptions options;
    options.nodes = {NodeId(1), NodeId(2), NodeId(3)};
    options.name = "g";
    options.member = kSelf;
    options.patience = io::seconds(3);
    reader.emplace(options);
    pump();
  }

  void pump() {
    reader->pump(now, out);
    for (OutgoingCall& call : std::exchange(out.calls(), {})) {
      if (std::holds_alternative<ReaderGroupCall>(call.body)) {
        reports.push_back(std::move(call));
      } else {
        feeds.push_back(std::move(call));
      }
    }
    for (const io::CallId call : std::exchange(out.cancels(), {})) cancelled.push_back(call);
    for (const ShareChange& change : reader->take_changes()) changes.push_back(change);
  }
  void pass(io::Duration time) {
    now.monotonic = now.monotonic + time;
    pump();
  }
  const ReaderGroupCall& report() const { return std::get<ReaderGroupCall>(reports.back().body); }
  void answer(const ClientReply& reply) {
    EXPECT_TRUE(reader->on_reply(reports.back().call, reply, now, out));
    pump();
  }
  void assign(std::vector<ReaderShare> shares) { answer(ReaderGroupResult{1, 3, std::move(shares)}); }
  // The feed of a group answers with `count` transactions from where it was asked.
  void feed(GroupId group, std::uint32_t count) {
    const auto it = std::find_if(feeds.rbegin(), feeds.rend(), [&](const OutgoingCall& call) {
      return std::get<FeedCall>(call.body).group == group;
    });
    ASSERT_NE(it, feeds.rend());
    const TxnId from = std::get<FeedCall>(it->body).from;
    std::vector<std::byte> payload(log::kEntryHeaderBytes + log::kSectionHeaderBytes);
    for (std::uint32_t i = 0; i < count; ++i) log::append_record(payload, {});
    const std::size_t records = payload.size() - log::kEntryHeaderBytes - log::kSectionHeaderBytes;
    log::write_entry_header(std::span(payload).first<log::kEntryHeaderBytes>(), {1, count, from, 1000});
    log::SectionHeader section;
    section.session = {1, 1};
    section.first = Sequence(1);
    section.count = count;
    section.bytes = static_cast<std::uint32_t>(records);
    log::write_section_header(
        std::span(payload).subspan(log::kEntryHeaderBytes).first<log::kSectionHeaderBytes>(), section);
    FeedResult result;
    result.high_water = from + count;
    result.entries.push_back(Bytes::copy_of(payload));
    EXPECT_TRUE(reader->on_reply(it->call, result, now, out));
    reader->drain([&](GroupId id, Epoch epoch, const log::Transaction& transaction) {
      handed.emplace_back(id, epoch, transaction.id);
    });
    pump();
  }

  io::Now now{};
  Calls out;
  std::optional<GroupReader> reader;
  std::vector<OutgoingCall> reports;
  std::vector<OutgoingCall> feeds;
  std::vector<io::CallId> cancelled;
  std::vector<ShareChange> changes;
  std::vector<std::tuple<GroupId, Epoch, TxnId>> handed;
};

TEST_F(GroupReaderTest, JoinsAndReadsFromTheGroupsPosition) {
  // Begun elsewhere, it would skip or repeat what the group did before.
  EXPECT_EQ(report().verb, ReaderGroupCall::Verb::join);
  assign({{GroupId(2), Epoch(5), TxnId(40), false}});
  ASSERT_EQ(feeds.size(), 1u);
  EXPECT_EQ(std::get<FeedCall>(feeds[0].body).from, TxnId(40));
  feed(GroupId(2), 3);
  ASSERT_EQ(handed.size(), 3u);
  EXPECT_EQ(handed[0], std::make_tuple(GroupId(2), Epoch(5), TxnId(40)));
}

TEST_F(GroupReaderTest, ReportsWhatIsDoneAndNoMore) {
  // What is reported and not done would be skipped when this process dies.
  assign({{GroupId(1), Epoch(1), TxnId(0), false}});
  feed(GroupId(1), 5);
  pass(io::seconds(1));
  EXPECT_TRUE(report().progress.empty());
  assign({{GroupId(1), Epoch(1), TxnId(0), false}});
  reader->done(GroupId(1), Epoch(1), TxnId(9));  // never handed over
  reader->done(GroupId(1), Epoch(1), TxnId(3));
  pass(io::seconds(1));
  ASSERT_EQ(report().progress.size(), 1u);
  EXPECT_EQ(report().progress[0], (ReaderProgress{GroupId(1), Epoch(1), TxnId(3), false}));
  // Not answered: said again.
  EXPECT_TRUE(reader->on_failed(reports.back().call, now, out));
  pass(io::seconds(1));
  EXPECT_EQ(report().progress.size(), 1u);
  assign({{GroupId(1), Epoch(1), TxnId(3), false}});
  pass(io::seconds(1));
  EXPECT_TRUE(report().progress.empty());
}

TEST_F(GroupReaderTest, ARevokedShareIsReleasedWhenItsWorkIsDone) {
  // Released earlier, the next owner would do again what is being done.
  assign({{GroupId(1), Epoch(1), TxnId(0), false}});
  feed(GroupId(1), 5);
  pass(io::seconds(1));
  assign({{GroupId(1), Epoch(1), TxnId(0), true}});
  const std::size_t before = feeds.size();
  pass(io::seconds(1));
  EXPECT_EQ(feeds.size(), before) << "it is read no more";
  EXPECT_TRUE(report().progress.empty());
  assign({{GroupId(1), Epoch(1), TxnId(0), true}});
  reader->done(GroupId(1), Epoch(1), TxnId(5));
  pump();  // at once: somebody waits
  ASSERT_EQ(report().progress.size(), 1u);
  EXPECT_EQ(report().progress[0], (ReaderProgress{GroupId(1), Epoch(1), TxnId(5), true}));
  assign({});
  EXPECT_EQ(reader->shares(), 0u);
  EXPECT_EQ(changes.back(), (ShareChange{GroupId(1), Epoch(1), false, TxnId(0)}));
}

TEST_F(GroupReaderTest, AShareThatNobodyWaitsForAnyMoreIsReadOn) {
  // The heir died before the release: without that, its owner would sit on the partition and read nothing of it.
  assign({{GroupId(1), Epoch(1), TxnId(0), false}});
  feed(GroupId(1), 5);
  pass(io::seconds(1));
  assign({{GroupId(1), Epoch(1), TxnId(0), true}});
  reader->done(GroupId(1), Epoch(1), TxnId(5));
  pump();
  assign({{GroupId(1), Epoch(1), TxnId(5), false}});
  EXPECT_EQ(std::get<FeedCall>(feeds.back().body).from, TxnId(5));
  feed(GroupId(1), 2);
  EXPECT_EQ(handed.size(), 7u);
}

TEST_F(GroupReaderTest, WithoutAnswersItGivesItsSharesUp) {
  // By then the coordinator may have given them to others: two would work on one partition.
  assign({{GroupId(1), Epoch(1), TxnId(0), false}});
  for (int i = 0; i < 29; ++i) {
    pass(io::milliseconds(100));
    if (!reports.empty()) static_cast<void>(reader->on_failed(reports.back().call, now, out));
  }
  EXPECT_EQ(reader->shares(), 1u);
  pass(io::milliseconds(200));
  EXPECT_EQ(reader->shares(), 0u);
  pass(io::seconds(1));
  EXPECT_EQ(report().verb, ReaderGroupCall::Verb::join);
}

TEST_F(GroupReaderTest, PutOutItJoinsAgain) {
  // A member that was put out once would read nothing any more.
  assign({{GroupId(1), Epoch(1), TxnId(0), false}});
  pass(io::seconds(1));
  CallError error;
  error.code = ErrorCode::expired;
  answer(error);
  EXPECT_EQ(reader->shares(), 0u);
  EXPECT_EQ(report().verb, ReaderGroupCall::Verb::join);
  assign({{GroupId(1), Epoch(3), TxnId(2), false}});
  EXPECT_EQ(changes.back(), (ShareChange{GroupId(1), Epoch(3), true, TxnId(2)}));
}

TEST_F(GroupReaderTest, ANewEpochIsANewShare) {
  // Lost and regained between two reports: others worked on it meanwhile.
  assign({{GroupId(1), Epoch(1), TxnId(0), false}});
  feed(GroupId(1), 5);
  reader->done(GroupId(1), Epoch(1), TxnId(2));
  pass(io::seconds(1));
  assign({{GroupId(1), Epoch(3), TxnId(4), false}});
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_FALSE(changes[1].gained);
  EXPECT_EQ(changes[2], (ShareChange{GroupId(1), Epoch(3), true, TxnId(4)}));
  EXPECT_EQ(std::get<FeedCall>(feeds.back().body).from, TxnId(4));
  reader->done(GroupId(1), Epoch(1), TxnId(5));  // of the lost one
  pass(io::seconds(1));
  EXPECT_TRUE(report().progress.empty());
}

TEST_F(GroupReaderTest, LeavesWithItsProgress) {
  // Work that was done would be done again by who comes next.
  assign({{GroupId(1), Epoch(1), TxnId(0), false}});
  feed(GroupId(1), 5);
  reader->done(GroupId(1), Epoch(1), TxnId(5));
  reader->leave();
  pump();
  EXPECT_EQ(report().verb, ReaderGroupCall::Verb::leave);
  ASSERT_EQ(report().progress.size(), 1u);
  EXPECT_FALSE(reader->has_left());
  assign({});
  EXPECT_TRUE(reader->has_left());
  EXPECT_EQ(reader->deadline(), io::kNever);
}

TEST_F(GroupReaderTest, FollowsTheLeader) {
  // A report that keeps going to a follower lets the member be put out.
  CallError error;
  error.code = ErrorCode::not_leader;
  error.hint = NodeId(3);
  answer(error);
  pass(io::seconds(1));
  EXPECT_EQ(reports.back().to, NodeId(3));
}

}  // namespace
}  // namespace reel::client
