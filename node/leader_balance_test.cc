#include "node/leader_balance.h"

#include <gtest/gtest.h>

#include "io/ports/checksum.h"

namespace reel::node {
namespace {

constexpr io::Duration kInterval = io::seconds(1);

// Three nodes with their own balances over the same groups; handovers succeed at once unless the target is weak.
class Leaders {
 public:
  explicit Leaders(std::vector<std::uint64_t> leaders) : leaders_(std::move(leaders)) {
    for (std::uint64_t node = 1; node <= 3; ++node) {
      balances_.emplace(node, LeaderBalance(NodeId(node), kInterval)).first->second.start(now_);
    }
  }

  std::size_t round() {
    now_ = now_ + kInterval;
    std::size_t moved = 0;
    for (auto& [node, balance] : balances_) {
      for (const Handover& handover : balance.decide(views(node), now_)) {
        EXPECT_EQ(leaders_[handover.group.value - 1], node);
        ++moved;
        if (handover.to.value != weak) leaders_[handover.group.value - 1] = handover.to.value;
      }
    }
    moves += moved;
    return moved;
  }
  std::map<std::uint64_t, std::size_t> counts() const {
    std::map<std::uint64_t, std::size_t> counts{{1, 0}, {2, 0}, {3, 0}};
    for (const std::uint64_t leader : leaders_) ++counts[leader];
    return counts;
  }

  std::uint64_t weak = 0;  // never leads for long
  std::uint64_t down = 0;
  std::size_t moves = 0;
  std::vector<std::uint64_t> leaders_;

 private:
  std::vector<LeadershipView> views(std::uint64_t self) const {
    std::vector<LeadershipView> views;
    for (std::size_t i = 0; i < leaders_.size(); ++i) {
      LeadershipView view{GroupId(static_cast<std::uint32_t>(i + 1)), NodeId(leaders_[i]), false, {}};
      for (std::uint64_t node = 1; node <= 3; ++node) {
        if (leaders_[i] == self && node != self && node != down) view.can_lead.push_back(NodeId(node));
      }
      views.push_back(view);
    }
    return views;
  }

  io::Instant now_{};
  std::map<std::uint64_t, LeaderBalance> balances_;
};

TEST(LeaderBalance, SpreadsAndComesToRest) {
  // All leaders on one node make it do three nodes' work; leaders that keep moving serve nobody.
  for (const std::size_t groups : {1u, 2u, 3u, 7u, 64u}) {
    Leaders leaders(std::vector<std::uint64_t>(groups, 2));
    for (int i = 0; i < 100; ++i) leaders.round();
    std::size_t most = 0;
    std::size_t fewest = groups;
    for (const auto& [node, count] : leaders.counts()) {
      most = std::max(most, count);
      fewest = std::min(fewest, count);
    }
    EXPECT_LE(most - fewest, 1u) << groups;
    EXPECT_LE(leaders.moves, groups) << "some moved twice";
    EXPECT_EQ(leaders.round(), 0u);
  }
}

TEST(LeaderBalance, NothingMovesDuringAnElection) {
  // A group without a leader counts for nobody, and the picture is wrong.
  Leaders leaders({1, 1, 1, 0});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(leaders.round(), 0u);
  leaders.leaders_[3] = 2;
  EXPECT_EQ(leaders.round(), 1u);
}

TEST(LeaderBalance, ANodeThatCannotLeadIsLeftAlone) {
  // Else the groups would be without a leader for an election, each second, for ever.
  Leaders leaders({1, 1, 1, 2, 2, 2});
  leaders.weak = 3;
  for (int i = 0; i < 1000; ++i) leaders.round();
  EXPECT_LE(leaders.moves, 24u);
  EXPECT_GE(leaders.moves, 4u) << "it is tried again";
}

TEST(LeaderBalance, ADeadNodeGetsNothing) {
  // Its groups would be without a leader for an election.
  Leaders leaders({1, 1, 1, 1});
  leaders.down = 3;
  for (int i = 0; i < 20; ++i) leaders.round();
  EXPECT_EQ(leaders.counts()[3], 0u);
  EXPECT_EQ(leaders.counts()[2], 2u);
}

}  // namespace
}  // namespace reel::node
