// Quorum arithmetic: who decides, and up to where it is decided. Pure functions on small sorted vectors.
// A configuration in transition is joint (Raft §6): both halves must agree.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "node/types.h"

namespace reel::raft {

// Sorted, without duplicates; at most kVotersMax.
using VoterSet = std::vector<NodeId>;

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

enum class VoteResult : std::uint8_t { pending, won, lost };

// floor(n / 2) + 1. Requires n > 0.
[[nodiscard]] std::size_t majority(std::size_t voters);
// granted(node): true, false, or no answer yet (nullopt). A joint result is won only when both halves are won, and
// lost as soon as one is.
[[nodiscard]] VoteResult count_votes(const Configuration& configuration,
                                     const std::function<std::optional<bool>(NodeId)>& granted);
// The highest index that a quorum (of both halves) has reached. match(node) is 0 for who has nothing.
[[nodiscard]] Index quorum_index(const Configuration& configuration, const std::function<Index(NodeId)>& match);
// The same for rounds of leadership confirmation.
[[nodiscard]] std::uint64_t quorum_value(const Configuration& configuration,
                                         const std::function<std::uint64_t(NodeId)>& value);

}  // namespace reel::raft
