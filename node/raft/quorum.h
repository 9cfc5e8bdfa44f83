// Quorum arithmetic: who decides, and up to where it is decided. Pure functions on small sorted vectors.
// A configuration in transition is joint (Raft §6): both halves must agree.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "io/ports/assert.h"
#include "node/types.h"

namespace reel::raft {

// Sorted, without duplicates; at most kVotersMax.
using VoterSet = std::vector<NodeId>;

// Learners of one configuration.
inline constexpr std::uint32_t kLearnersMax = 64;

struct Configuration {
  VoterSet voters;    // incoming
  VoterSet outgoing;  // empty unless joint
  VoterSet learners;  // replicate, neither vote nor count
  bool joint() const { return !outgoing.empty(); }
  bool is_voter(NodeId node) const;
  bool is_member(NodeId node) const;  // voter or learner
  // Everybody who gets the log, in order, without duplicates.
  std::vector<NodeId> members() const;
  bool operator==(const Configuration&) const = default;
};

// Within its bounds, sorted, without duplicates or node 0, with at least one voter, and nobody both voter and
// learner.
[[nodiscard]] bool is_valid(const Configuration& configuration);
// One legal step (Raft §6): the voters change only through a joint configuration, learners at any time
// outside it. Requires both to be valid.
[[nodiscard]] bool is_legal_step(const Configuration& from, const Configuration& to);

enum class VoteResult : std::uint8_t { pending, won, lost };

// floor(n / 2) + 1. Requires n > 0.
[[nodiscard]] constexpr std::size_t majority(std::size_t voters) { return voters / 2 + 1; }

namespace detail {

// The largest value that a majority of one half has reached; Value{} of nobody. No allocation: leaders run
// this for every acknowledgement.
template <class Value, class ValueOf>
Value majority_value(const VoterSet& voters, const ValueOf& value_of) {
  REEL_ASSERT(voters.size() <= kVotersMax);
  if (voters.empty()) return Value{};
  std::array<Value, kVotersMax> falling{};
  std::size_t count = 0;
  for (const NodeId voter : voters) {
    const Value value = value_of(voter);
    std::size_t at = count++;
    for (; at > 0 && falling[at - 1] < value; --at) falling[at] = falling[at - 1];
    falling[at] = value;
  }
  return falling[majority(count) - 1];
}

template <class Value, class ValueOf>
Value joint_value(const Configuration& configuration, const ValueOf& value_of) {
  const Value incoming = majority_value<Value>(configuration.voters, value_of);
  if (!configuration.joint()) return incoming;
  return std::min(incoming, majority_value<Value>(configuration.outgoing, value_of));
}

template <class Granted>
VoteResult count_half(const VoterSet& voters, const Granted& granted) {
  if (voters.empty()) return VoteResult::lost;  // nobody can elect
  std::size_t yes = 0;
  std::size_t no = 0;
  for (const NodeId voter : voters) {
    const std::optional<bool> answer = granted(voter);
    if (answer.has_value()) ++(*answer ? yes : no);
  }
  if (yes >= majority(voters.size())) return VoteResult::won;
  if (voters.size() - no < majority(voters.size())) return VoteResult::lost;
  return VoteResult::pending;
}

}  // namespace detail

// granted(node): true, false, or no answer yet (nullopt). A joint result is won only when both halves are
// won, and lost as soon as one is.
template <class Granted>
[[nodiscard]] VoteResult count_votes(const Configuration& configuration, const Granted& granted) {
  const VoteResult incoming = detail::count_half(configuration.voters, granted);
  if (!configuration.joint()) return incoming;
  const VoteResult outgoing = detail::count_half(configuration.outgoing, granted);
  if (incoming == VoteResult::lost || outgoing == VoteResult::lost) return VoteResult::lost;
  return incoming == VoteResult::won && outgoing == VoteResult::won ? VoteResult::won : VoteResult::pending;
}

// The highest index that a quorum (of both halves) has reached. match(node) is 0 for who has nothing.
template <class Match>
[[nodiscard]] Index quorum_index(const Configuration& configuration, const Match& match) {
  return detail::joint_value<Index>(configuration, match);
}

// The same for rounds of leadership confirmation.
template <class ValueOf>
[[nodiscard]] std::uint64_t quorum_value(const Configuration& configuration, const ValueOf& value) {
  return detail::joint_value<std::uint64_t>(configuration, value);
}

}  // namespace reel::raft
