#include "node/cluster/coordinator.h"

#include <gtest/gtest.h>

namespace reel::cluster {
namespace {

constexpr MemberId kAnn{0, 1};
constexpr MemberId kBob{0, 2};

// One leader whose entries commit when the test says so.
class CoordinatorTest : public testing::Test {
 protected:
  CoordinatorTest() { coordinator.lead(now); }

  void call(std::uint64_t id, const ClientCall& body) {
    if (coordinator.on_call(io::CallId(id), body, now, answers)) {
      answers.push_back({io::CallId(id), coordinator.answer(body)});  // confirmed
    }
  }
  void join(std::uint64_t id, MemberId member, io::Duration patience = io::seconds(3)) {
    call(id, ReaderGroupCall{"g", member, ReaderGroupCall::Verb::join, patience, {}});
  }
  // Proposes all that is due; true if there was anything.
  bool propose() {
    coordinator.wake(now);
    bool any = false;
    while (coordinator.has_commands()) {
      auto payload = coordinator.take_entry(Index(log.size() + 1), three);
      if (payload.empty()) continue;
      log.push_back(std::move(payload));
      any = true;
    }
    return any;
  }
  void commit() {
    while (applied < log.size()) {
      ASSERT_TRUE(coordinator.apply(log[applied++]).has_value());
    }
    coordinator.answer_applied(Index(applied), answers);
  }
  void settle() {
    while (propose()) commit();
  }
  void pass(io::Duration time) { now.monotonic = now.monotonic + time; }
  const ClientReply* answer(std::uint64_t id) const {
    for (const Answer& one : answers) {
      if (one.call == io::CallId(id)) return &one.body;
    }
    return nullptr;
  }
  template <class Result>
  Result take(std::uint64_t id) {
    const ClientReply* reply = answer(id);
    if (reply == nullptr || !std::holds_alternative<Result>(*reply)) {
      ADD_FAILURE() << "call " << id << " has another answer, or none";
      return {};
    }
    return std::get<Result>(*reply);
  }

  io::Now now{};
  raft::Configuration three{{NodeId(1), NodeId(2), NodeId(3)}, {}, {}};
  Coordinator coordinator{4, 100};
  Answers answers;
  std::vector<std::vector<std::byte>> log;
  std::size_t applied = 0;
};

TEST_F(CoordinatorTest, AnswersOnlyWhatIsApplied) {
  // Told before it is committed, a member would work on what a new leader gives to another.
  join(1, kAnn);
  EXPECT_TRUE(propose());
  EXPECT_EQ(answer(1), nullptr);
  commit();
  EXPECT_EQ(take<ReaderGroupResult>(1).shares.size(), 4u);
}

TEST_F(CoordinatorTest, NoNewsCostNoEntry) {
  // Thousands of members report all the time; the log is for what changes.
  join(1, kAnn);
  settle();
  const std::size_t before = log.size();
  call(2, ReaderGroupCall{"g", kAnn, ReaderGroupCall::Verb::report, {}, {}});
  join(3, kAnn);
  settle();
  EXPECT_EQ(log.size(), before);
  EXPECT_EQ(take<ReaderGroupResult>(2).shares.size(), 4u);
  EXPECT_EQ(take<ReaderGroupResult>(3).members, 1u);
  call(4, ReaderGroupCall{
              "g", kAnn, ReaderGroupCall::Verb::report, {}, {{GroupId(1), Epoch(1), TxnId(7), false}}});
  settle();
  EXPECT_EQ(log.size(), before + 1);
  EXPECT_EQ(take<ReaderGroupResult>(4).shares[0].next, TxnId(7));
}

TEST_F(CoordinatorTest, TheSilentArePutOut) {
  // The partitions of a dead member would be read by nobody.
  join(1, kAnn);
  join(2, kBob);
  settle();
  pass(io::seconds(2));
  call(3, ReaderGroupCall{"g", kAnn, ReaderGroupCall::Verb::report, {}, {}});
  EXPECT_EQ(coordinator.deadline(), io::Instant{} + io::seconds(3));
  pass(io::seconds(2));
  settle();
  EXPECT_FALSE(coordinator.state().find("g")->members().contains(kBob));
  EXPECT_TRUE(coordinator.state().find("g")->members().contains(kAnn));
  call(4, ReaderGroupCall{"g", kBob, ReaderGroupCall::Verb::report, {}, {}});
  EXPECT_EQ(take<CallError>(4).code, ErrorCode::expired);
}

TEST_F(CoordinatorTest, AJoiningThatTakesLongerThanPatienceIsWatchedAllTheSame) {
  // A delayed copy of a call of somebody who is long gone would make a member for ever, and its partitions be read by nobody.
  join(1, kAnn, io::seconds(1));
  propose();
  pass(io::seconds(5));  // the disk hangs
  coordinator.wake(now);
  commit();
  EXPECT_EQ(take<ReaderGroupResult>(1).shares.size(), 4u);
  settle();
  pass(io::seconds(1));
  settle();
  EXPECT_TRUE(coordinator.state().find("g")->members().empty());
}

TEST_F(CoordinatorTest, ANewLeaderCountsAnew) {
  // It has heard of nobody: without that, every change of leaders would put all members out.
  join(1, kAnn);
  settle();
  coordinator.follow(answers);
  pass(io::seconds(100));
  coordinator.lead(now);
  settle();
  EXPECT_TRUE(coordinator.state().find("g")->members().contains(kAnn));
  pass(io::seconds(3));
  settle();
  EXPECT_TRUE(coordinator.state().find("g")->members().empty());
}

TEST_F(CoordinatorTest, WhatIsNotReleasedIsTaken) {
  // A member that hangs in its work would keep others waiting for ever.
  join(1, kAnn);
  settle();
  join(2, kBob);
  settle();
  EXPECT_TRUE(take<ReaderGroupResult>(2).shares.empty());
  for (int i = 0; i < 4; ++i) {  // Ann lives, and does not let go
    pass(io::seconds(1));
    call(10 + static_cast<std::uint64_t>(i),
         ReaderGroupCall{"g", kAnn, ReaderGroupCall::Verb::report, {}, {}});
    call(20 + static_cast<std::uint64_t>(i),
         ReaderGroupCall{"g", kBob, ReaderGroupCall::Verb::report, {}, {}});
    settle();
  }
  EXPECT_EQ(coordinator.state().find("g")->shares_of(kBob).size(), 2u);
  EXPECT_EQ(coordinator.state().find("g")->waiting(), 0u);
}

TEST_F(CoordinatorTest, EndedLeadershipTellsEverybody) {
  // Callers would wait for answers that nobody owes them any more.
  join(1, kAnn);
  propose();
  join(2, kBob);
  coordinator.follow(answers);
  EXPECT_EQ(take<CallError>(1).code, ErrorCode::not_leader);
  EXPECT_EQ(take<CallError>(2).code, ErrorCode::not_leader);
  EXPECT_FALSE(coordinator.has_commands());
  EXPECT_EQ(coordinator.deadline(), io::kNever);
}

TEST_F(CoordinatorTest, PartitionsAreCreatedOnce) {
  // A repeated call would create more partitions than were asked for.
  call(1, CreatePartitionsCall{6});
  call(2, CreatePartitionsCall{6});
  call(3, CreatePartitionsCall{5});
  settle();
  for (const std::uint64_t id : {1, 2, 3}) EXPECT_EQ(take<PartitionsResult>(id).total, 6u);
  call(4, CreatePartitionsCall{2});
  EXPECT_EQ(take<PartitionsResult>(4).total, 6u);
  call(5, CreatePartitionsCall{101});
  EXPECT_EQ(take<CallError>(5).limit, 100u);
  call(6, CreatePartitionsCall{0});
  EXPECT_EQ(take<CallError>(6).code, ErrorCode::malformed);
}

TEST_F(CoordinatorTest, AGroupCanBeForgotten) {
  // Positions of groups that nobody uses would be kept for ever.
  join(1, kAnn);
  settle();
  call(2, RemoveReaderGroupCall{"g"});
  call(3, RemoveReaderGroupCall{"other"});
  settle();
  take<ReaderGroupsResult>(2);
  take<ReaderGroupsResult>(3);  // it is not there: that is what was wanted
  call(4, ReaderGroupsCall{"g"});
  EXPECT_EQ(take<CallError>(4).code, ErrorCode::no_such_reader_group);
}

TEST_F(CoordinatorTest, MalformedCallsAreRefused) {
  // They would be written to the log, and every node would have to live with them.
  call(1, ReaderGroupCall{"g h", kAnn, ReaderGroupCall::Verb::join, io::seconds(1), {}});
  call(2, ReaderGroupCall{"g", MemberId(), ReaderGroupCall::Verb::join, io::seconds(1), {}});
  call(3, ReaderGroupCall{"g", kAnn, ReaderGroupCall::Verb::join, io::Duration{1}, {}});
  for (const std::uint64_t id : {1, 2, 3}) EXPECT_EQ(take<CallError>(id).code, ErrorCode::malformed);
}

}  // namespace
}  // namespace reel::cluster
