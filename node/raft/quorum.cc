#include "node/raft/quorum.h"

namespace reel::raft {
namespace {

bool contains(const VoterSet& nodes, NodeId node) {
  return std::binary_search(nodes.begin(), nodes.end(), node);
}

bool is_sorted_set(const VoterSet& nodes, std::size_t size_max) {
  if (nodes.size() > size_max) return false;
  if (!nodes.empty() && nodes.front() == NodeId()) return false;
  return std::adjacent_find(nodes.begin(), nodes.end(), [](NodeId a, NodeId b) { return a >= b; }) ==
         nodes.end();
}

}  // namespace

bool Configuration::is_voter(NodeId node) const { return contains(voters, node) || contains(outgoing, node); }

bool Configuration::is_member(NodeId node) const { return is_voter(node) || contains(learners, node); }

std::vector<NodeId> Configuration::members() const {
  std::vector<NodeId> all;
  all.reserve(voters.size() + outgoing.size() + learners.size());
  for (const VoterSet* part : {&voters, &outgoing, &learners})
    all.insert(all.end(), part->begin(), part->end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

bool is_valid(const Configuration& configuration) {
  if (configuration.voters.empty()) return false;
  if (!is_sorted_set(configuration.voters, kVotersMax) ||
      !is_sorted_set(configuration.outgoing, kVotersMax) ||
      !is_sorted_set(configuration.learners, kLearnersMax)) {
    return false;
  }
  return std::none_of(configuration.learners.begin(), configuration.learners.end(),
                      [&](NodeId learner) { return configuration.is_voter(learner); });
}

bool is_legal_step(const Configuration& from, const Configuration& to) {
  REEL_ASSERT(is_valid(from) && is_valid(to));
  if (from.joint()) return !to.joint() && to.voters == from.voters;
  return to.joint() ? to.outgoing == from.voters : to.voters == from.voters;
}

}  // namespace reel::raft
