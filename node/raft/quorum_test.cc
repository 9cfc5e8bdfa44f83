#include "node/raft/quorum.h"

#include <gtest/gtest.h>

#include "node/raft/configuration_codec.h"

namespace reel::raft {
namespace {

VoterSet first(std::size_t count, std::uint64_t from = 1) {
  VoterSet voters;
  for (std::size_t i = 0; i < count; ++i) voters.push_back(NodeId(from + i));
  return voters;
}

Configuration plain(std::size_t count) { return {first(count), {}, {}}; }

TEST(Quorum, MajorityOfEverySize) {
  // A majority that is one too small elects two leaders; one too large stops a healthy cluster.
  const std::size_t expected[] = {0, 1, 2, 2, 3, 3, 4, 4};
  for (std::size_t size = 1; size <= 7; ++size) EXPECT_EQ(majority(size), expected[size]);
  for (std::size_t size = 1; size <= kVotersMax; ++size) {
    EXPECT_GT(2 * majority(size), size);
    EXPECT_LE(2 * (majority(size) - 1), size);
  }
}

TEST(Quorum, EveryVoteOfEverySize) {
  // Some pattern of votes could be counted as won without a majority, or as pending when nothing can change
  // any more.
  for (std::size_t size = 1; size <= 7; ++size) {
    std::size_t patterns = 1;
    for (std::size_t i = 0; i < size; ++i) patterns *= 3;
    for (std::size_t pattern = 0; pattern < patterns; ++pattern) {
      std::vector<std::optional<bool>> votes;
      std::size_t rest = pattern;
      std::size_t yes = 0;
      std::size_t no = 0;
      for (std::size_t i = 0; i < size; ++i, rest /= 3) {
        votes.push_back(rest % 3 == 0 ? std::nullopt : std::optional(rest % 3 == 1));
        if (votes.back()) ++(*votes.back() ? yes : no);
      }
      const VoteResult result = count_votes(plain(size), [&](NodeId node) { return votes[node.value - 1]; });
      const bool won = 2 * yes > size;
      const bool lost = 2 * (size - no) <= size;
      ASSERT_EQ(result, won    ? VoteResult::won
                        : lost ? VoteResult::lost
                               : VoteResult::pending)
          << size << "/" << pattern;
    }
  }
}

TEST(Quorum, EveryIndexOfEverySize) {
  // The commit index could come out above what a majority holds, or below although it does.
  for (std::size_t size = 1; size <= 5; ++size) {
    std::size_t patterns = 1;
    for (std::size_t i = 0; i < size; ++i) patterns *= 4;
    for (std::size_t pattern = 0; pattern < patterns; ++pattern) {
      std::vector<Index> match;
      std::size_t rest = pattern;
      for (std::size_t i = 0; i < size; ++i, rest /= 4) match.emplace_back(rest % 4);
      const Index reached = quorum_index(plain(size), [&](NodeId node) { return match[node.value - 1]; });
      const auto holders = [&](Index index) {
        return static_cast<std::size_t>(
            std::count_if(match.begin(), match.end(), [&](Index m) { return m >= index; }));
      };
      ASSERT_GE(holders(reached), majority(size));
      ASSERT_LT(holders(reached + 1), majority(size));
    }
  }
}

TEST(Quorum, SixAndSeven) {
  // Larger groups use the same sort; its last places could be wrong.
  const auto by_id = [](NodeId node) { return Index(10 * node.value); };
  EXPECT_EQ(quorum_index(plain(6), by_id), Index(30));
  EXPECT_EQ(quorum_index(plain(7), by_id), Index(40));
  EXPECT_EQ(quorum_index(plain(kVotersMax), by_id), Index(80));
  EXPECT_EQ(quorum_value(plain(7), [](NodeId node) { return 8 - node.value; }), 4u);
}

TEST(Quorum, JointNeedsBothHalves) {
  // In transition, a majority of one half alone must neither elect nor commit (S11).
  const Configuration joint{first(3, 1), first(3, 3), {}};  // {1,2,3} and {3,4,5}
  const auto granted_by = [&](std::vector<std::uint64_t> nodes) {
    return count_votes(joint, [nodes](NodeId node) -> std::optional<bool> {
      if (std::find(nodes.begin(), nodes.end(), node.value) != nodes.end()) return true;
      return {};
    });
  };
  EXPECT_EQ(granted_by({1, 2}), VoteResult::pending);
  EXPECT_EQ(granted_by({1, 2, 3}), VoteResult::pending);
  EXPECT_EQ(granted_by({3, 4, 5}), VoteResult::pending);
  EXPECT_EQ(granted_by({1, 3, 4}), VoteResult::won);
  EXPECT_EQ(granted_by({1, 2, 4, 5}), VoteResult::won);
  const auto refused = [](NodeId node) -> std::optional<bool> {
    if (node.value >= 4) return false;
    return true;
  };
  EXPECT_EQ(count_votes(joint, refused), VoteResult::lost);
  EXPECT_EQ(quorum_index(joint, [](NodeId node) { return Index(node.value <= 3 ? 9 : 4); }), Index(4));
  EXPECT_EQ(quorum_index(joint, [](NodeId node) { return Index(node.value >= 3 ? 9 : 4); }), Index(4));
  EXPECT_EQ(quorum_value(joint, [](NodeId) { return std::uint64_t{7}; }), 7u);
}

TEST(Quorum, NobodyDecidesNothing) {
  // A node that has no configuration yet could elect itself or commit.
  const Configuration none;
  EXPECT_EQ(count_votes(none, [](NodeId) { return std::optional(true); }), VoteResult::lost);
  EXPECT_EQ(quorum_index(none, [](NodeId) { return Index(5); }), Index(0));
}

TEST(Quorum, LearnersAreMembersAndNoVoters) {
  // A learner that counts would let a minority of voters decide.
  const Configuration configuration{first(3), {}, {NodeId(7)}};
  EXPECT_TRUE(configuration.is_member(NodeId(7)));
  EXPECT_FALSE(configuration.is_voter(NodeId(7)));
  EXPECT_FALSE(configuration.is_member(NodeId(6)));
  EXPECT_EQ(configuration.members(), (std::vector<NodeId>{NodeId(1), NodeId(2), NodeId(3), NodeId(7)}));
  EXPECT_EQ(quorum_index(configuration, [](NodeId node) { return Index(node.value == 7 ? 9 : 1); }),
            Index(1));
}

TEST(Quorum, VotersChangeOnlyThroughJoint) {
  // A change of voters in one step has two disjoint majorities.
  const Configuration three = plain(3);
  const Configuration four = plain(4);
  const Configuration joint{first(4), first(3), {}};
  EXPECT_FALSE(is_legal_step(three, four));
  EXPECT_TRUE(is_legal_step(three, joint));
  EXPECT_TRUE(is_legal_step(joint, four));
  EXPECT_FALSE(is_legal_step(joint, three));
  EXPECT_FALSE(is_legal_step(four, joint));
  EXPECT_TRUE(is_legal_step(three, {first(3), {}, {NodeId(9)}}));
}

TEST(ConfigurationCodec, RoundTrip) {
  // What is decoded could differ from what was encoded, and replicas disagree about their quorum.
  for (const Configuration& configuration :
       {plain(1), plain(kVotersMax), Configuration{first(3), first(5), first(kLearnersMax, 100)}}) {
    EXPECT_EQ(decode_configuration(encode_configuration(configuration).span()), configuration);
  }
}

TEST(ConfigurationCodec, RefusesEveryOtherByteString) {
  // Damaged or hostile bytes could become a configuration that nobody wrote.
  const Bytes good = encode_configuration({first(3), {}, {NodeId(5)}});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(decode_configuration(good.span().first(size))) << size;
  }
  const auto changed = [&](std::size_t at, unsigned value) {
    std::vector<std::byte> bytes(good.span().begin(), good.span().end());
    bytes.at(at) = static_cast<std::byte>(value);
    return decode_configuration(bytes).has_value();
  };
  EXPECT_FALSE(changed(0, 2));   // version
  EXPECT_FALSE(changed(1, 0));   // no voters
  EXPECT_FALSE(changed(1, 16));  // too many
  EXPECT_FALSE(changed(4, 1));   // reserved
  EXPECT_FALSE(changed(8, 0));   // node 0
  EXPECT_FALSE(changed(8, 2));   // twice the same
  EXPECT_FALSE(changed(8, 9));   // out of order
  EXPECT_FALSE(changed(32, 3));  // voter and learner
  EXPECT_TRUE(changed(32, 6));
  std::vector<std::byte> longer(good.span().begin(), good.span().end());
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode_configuration(longer));
}

}  // namespace
}  // namespace reel::raft
