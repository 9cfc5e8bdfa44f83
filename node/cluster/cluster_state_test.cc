#include "node/cluster/cluster_state.h"

#include <gtest/gtest.h>

#include <set>

#include "io/ports/checksum.h"

namespace reel::cluster {
namespace {

constexpr MemberId kAnn{0, 1};
constexpr MemberId kBob{0, 2};
constexpr MemberId kCid{0, 3};

raft::Configuration three() { return {{NodeId(1), NodeId(2), NodeId(3)}, {}, {}}; }

class ClusterStateTest : public testing::Test {
 protected:
  void apply(const Command& command) {
    const auto applied = state.apply(encode(std::span(&command, 1)));
    ASSERT_TRUE(applied.has_value()) << applied.error();
    check();
  }
  void say(MemberId member, ReaderGroupCall::Verb verb, std::vector<ReaderProgress> progress = {}) {
    apply(Report{{"g", member, verb, io::seconds(5), std::move(progress)}, partitions});
  }
  void join(MemberId member) { say(member, ReaderGroupCall::Verb::join); }
  void leave(MemberId member) { say(member, ReaderGroupCall::Verb::leave); }
  void report(MemberId member, std::uint32_t group, std::uint64_t epoch, std::uint64_t next,
              bool released = false) {
    say(member, ReaderGroupCall::Verb::report, {{GroupId(group), Epoch(epoch), TxnId(next), released}});
  }
  const ReaderGroup& group() const { return *state.find("g"); }
  const ReaderGroup::Share& share(std::uint32_t id) const { return *group().find(GroupId(id)); }
  // As an owner would: releases all that others wait for.
  void release_all() {
    for (std::uint32_t id = 1; id <= group().shares().size(); ++id) {
      const ReaderGroup::Share now = share(id);
      if (now.heir != MemberId()) report(now.owner, id, now.epoch.value, now.next.value, true);
    }
  }

  // What holds after every step.
  void check() {
    const ReaderGroup* now = state.find("g");
    if (now == nullptr) return before.clear();
    std::map<MemberId, std::size_t> wanted;
    std::uint32_t waiting = 0;
    for (std::size_t i = 0; i < now->shares().size(); ++i) {
      const ReaderGroup::Share& is = now->shares()[i];
      if (!now->members().empty()) {
        EXPECT_TRUE(now->members().contains(is.owner));
        ++wanted[is.heir == MemberId() ? is.owner : is.heir];
      } else {
        EXPECT_EQ(is.owner, MemberId());
      }
      if (is.heir != MemberId()) {
        ++waiting;
        EXPECT_NE(is.heir, is.owner);
        EXPECT_TRUE(now->members().contains(is.heir));
      }
      if (i >= before.size()) continue;
      EXPECT_GE(is.next, before[i].next) << "a position fell";
      EXPECT_GE(is.epoch, before[i].epoch);
      EXPECT_TRUE(is.owner == before[i].owner || is.epoch > before[i].epoch);
    }
    EXPECT_EQ(now->waiting(), waiting);
    for (const auto& [member, patience] : now->members()) {
      const std::size_t even = now->shares().size() / now->members().size();
      EXPECT_GE(wanted[member], even);
      EXPECT_LE(wanted[member], even + 1);
    }
    before = now->shares();
  }

  ClusterState state;
  std::uint32_t partitions = 4;
  std::vector<ReaderGroup::Share> before;
};

TEST_F(ClusterStateTest, TheFirstMemberGetsAll) {
  // A partition without an owner would be read by nobody.
  join(kAnn);
  const auto shares = group().shares_of(kAnn);
  ASSERT_EQ(shares.size(), 4u);
  EXPECT_EQ(shares[0], (ReaderShare{GroupId(1), Epoch(1), TxnId(0), false}));
}

TEST_F(ClusterStateTest, AJoiningMemberWaitsForWhatItIsGiven) {
  // Taken at once, both would work on the partition, and the old owner's work would be done twice.
  join(kAnn);
  report(kAnn, 4, 1, 70);
  join(kBob);
  EXPECT_TRUE(group().shares_of(kBob).empty());
  EXPECT_EQ(share(4).heir, kBob);
  report(kAnn, 4, 1, 80, true);
  ASSERT_EQ(group().shares_of(kBob).size(), 1u);
  EXPECT_EQ(group().shares_of(kBob)[0], (ReaderShare{GroupId(4), Epoch(2), TxnId(80), false}));
  EXPECT_EQ(share(1).owner, kAnn) << "what need not move stays";
}

TEST_F(ClusterStateTest, WhoLostAPartitionCannotMoveItsPosition) {
  // A slow or cut-off member that comes back would make the group skip what nobody has done.
  join(kAnn);
  join(kBob);
  apply(RevokeShare{"g", GroupId(4), Epoch(1)});
  report(kAnn, 4, 1, 1000);
  EXPECT_EQ(share(4).next, TxnId(0));
  report(kAnn, 4, 2, 1000);  // guessing the epoch does not help
  EXPECT_EQ(share(4).next, TxnId(0));
  report(kBob, 4, 2, 5);
  EXPECT_EQ(share(4).next, TxnId(5));
}

TEST_F(ClusterStateTest, PositionsNeverFall) {
  // A delayed copy of an old report would have the next owner do things again.
  join(kAnn);
  report(kAnn, 2, 1, 50);
  report(kAnn, 2, 1, 20);  // a delayed copy
  EXPECT_EQ(share(2).next, TxnId(50));
}

TEST_F(ClusterStateTest, ALateRevocationIsOfItsOwnEpoch) {
  // A revocation that comes late would take the partition from who has just got it.
  join(kAnn);
  join(kBob);
  release_all();
  join(kCid);
  for (std::uint32_t id = 1; id <= 4; ++id) apply(RevokeShare{"g", GroupId(id), Epoch(1)});
  // Those of epoch 2 were not meant.
  for (std::uint32_t id = 1; id <= 4; ++id) EXPECT_LE(share(id).epoch, Epoch(2));
}

TEST_F(ClusterStateTest, WhenAnOwnerDiesItsPartitionsMoveAtOnce) {
  // They would wait for a release that never comes.
  join(kAnn);
  join(kBob);
  release_all();
  report(share(1).owner, 1, share(1).epoch.value, 9);
  const MemberId dead = share(1).owner;
  apply(ExpireMember{"g", dead});
  EXPECT_NE(share(1).owner, dead);
  EXPECT_EQ(share(1).next, TxnId(9));
  EXPECT_EQ(share(1).heir, MemberId());
  apply(ExpireMember{"g", dead});  // told twice
}

TEST_F(ClusterStateTest, APositionOutlivesItsMembers) {
  // A group that stops for the night would begin at 0 in the morning.
  join(kAnn);
  report(kAnn, 3, 1, 33);
  leave(kAnn);
  EXPECT_EQ(share(3).owner, MemberId());
  join(kBob);
  EXPECT_EQ(share(3).owner, kBob);
  EXPECT_EQ(share(3).next, TxnId(33));
  EXPECT_EQ(share(3).epoch, Epoch(3));
}

TEST_F(ClusterStateTest, NewPartitionsAreSharedOut) {
  // Partitions created later would be read by nobody.
  join(kAnn);
  join(kBob);
  release_all();
  apply(CreatePartitions{4, 9, three()});
  EXPECT_EQ(state.partitions(), 9u);
  EXPECT_EQ(group().shares().size(), 9u);
  EXPECT_EQ(state.configuration_of(GroupId(4)), nullptr);
  ASSERT_NE(state.configuration_of(GroupId(5)), nullptr);
  EXPECT_EQ(*state.configuration_of(GroupId(9)), three());
  EXPECT_EQ(state.configuration_of(GroupId(10)), nullptr);
}

TEST_F(ClusterStateTest, EachBatchOfPartitionsKeepsItsConfiguration) {
  // A node that applies both at once must make the groups as those did that applied them one by one.
  const raft::Configuration five{{NodeId(1), NodeId(2), NodeId(3), NodeId(4), NodeId(5)}, {}, {}};
  apply(CreatePartitions{1, 3, three()});
  apply(CreatePartitions{3, 5, five});
  apply(CreatePartitions{3, 5, three()});  // a copy, or a race: there are five already
  EXPECT_EQ(*state.configuration_of(GroupId(2)), three());
  EXPECT_EQ(*state.configuration_of(GroupId(3)), three());
  EXPECT_EQ(*state.configuration_of(GroupId(4)), five);
  EXPECT_EQ(*state.configuration_of(GroupId(5)), five);
}

TEST_F(ClusterStateTest, WhatHasNoRoomIsNotDone) {
  // Memory for positions would grow without a bound.
  apply(CreatePartitions{1, kGroupsMax, three()});
  partitions = kGroupsMax;
  const std::uint32_t room = kReaderSharesMax / kGroupsMax;
  for (std::uint32_t i = 0; i <= room; ++i) {
    const Command one =
        Report{{"g" + std::to_string(i), kAnn, ReaderGroupCall::Verb::join, io::seconds(1), {}}, 1};
    ASSERT_TRUE(state.apply(encode(std::span(&one, 1))).has_value());
  }
  EXPECT_EQ(state.groups().size(), room);
  EXPECT_FALSE(state.has_room_for_group());
}

TEST_F(ClusterStateTest, RandomLivesKeepTheInvariants) {
  // Members come, go, die, report, release and are slow, in any order; check() looks after each step.
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    state = ClusterState();
    ClusterState twin;
    before.clear();
    partitions = 1 + static_cast<std::uint32_t>(io::keyed_hash(seed, {1}) % 9);
    std::uint64_t counter = 0;
    const auto draw = [&](std::uint64_t bound) { return io::keyed_hash(seed, {2, ++counter}) % bound; };
    for (int step = 0; step < 300; ++step) {
      const MemberId member{0, 1 + draw(6)};
      const auto id = static_cast<std::uint32_t>(1 + draw(partitions));
      Command command = Report{{"g", member, ReaderGroupCall::Verb::join, io::seconds(1), {}}, partitions};
      switch (draw(8)) {
        case 0: break;
        case 1: std::get<Report>(command).call.verb = ReaderGroupCall::Verb::leave; break;
        case 2: command = ExpireMember{"g", member}; break;
        case 3: command = RevokeShare{"g", GroupId(id), Epoch(1 + draw(20))}; break;
        default: {
          Report& report = std::get<Report>(command);
          report.call.verb = ReaderGroupCall::Verb::report;
          const ReaderGroup* now = state.find("g");
          if (now == nullptr) break;
          const ReaderGroup::Share& is = *now->find(GroupId(id));
          const bool honest = draw(4) != 0;
          report.call.member = honest ? is.owner : member;
          if (report.call.member == MemberId()) report.call.member = member;
          const Epoch epoch = honest ? is.epoch : Epoch(draw(20));
          const TxnId next = is.next + draw(10);
          report.call.progress = {{GroupId(id), epoch, next, draw(2) == 0}};
        }
      }
      apply(command);
      ASSERT_TRUE(twin.apply(encode(std::span(&command, 1))).has_value());
      ASSERT_EQ(twin.digest(), state.digest());
      if (HasFailure()) FAIL() << "seed " << seed << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace reel::cluster
