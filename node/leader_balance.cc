#include "node/leader_balance.h"

#include <algorithm>

namespace reel::node {

void LeaderBalance::start(io::Instant now) {
  if (interval_.ns > 0) due_ = now + interval_;
}

// What became of an earlier handover?
void LeaderBalance::look_back(const LeadershipView& view, io::Instant now) {
  const auto it = given_.find(view.group);
  if (it == given_.end() || view.in_transfer) return;
  const Given given = it->second;
  if (view.leader == given.to && now - given.at < kKeptFor) return;
  given_.erase(it);
  if (view.leader == given.to) {
    rests_.erase(given.to);
    return;
  }
  Rest& rest = rests_[given.to];
  const std::uint32_t doublings = std::min(rest.times++, 16u);
  rest.until = now + std::min(io::Duration{interval_.ns << doublings}, kRestMax);
}

std::vector<Handover> LeaderBalance::decide(const std::vector<LeadershipView>& groups, io::Instant now) {
  due_ = now + interval_;
  std::map<NodeId, std::size_t> leads;
  bool settled = true;
  for (const LeadershipView& view : groups) {
    look_back(view, now);
    if (view.leader == NodeId() || view.in_transfer) settled = false;
    ++leads[view.leader];
    for (const NodeId node : view.can_lead) leads.try_emplace(node, 0);
  }
  std::vector<Handover> handovers;
  if (!settled) return handovers;
  std::size_t fewest = leads[self_];
  for (const auto& [node, count] : leads) fewest = std::min(fewest, count);
  const std::size_t moves_max = std::max<std::size_t>(1, (leads[self_] - fewest) / 4);
  for (const LeadershipView& view : groups) {
    if (handovers.size() == moves_max) break;
    if (view.leader != self_) continue;
    NodeId best;
    for (const NodeId node : view.can_lead) {
      const auto rest = rests_.find(node);
      if (rest != rests_.end() && rest->second.until > now) continue;
      if (leads[node] + 2 > leads[self_]) continue;
      if (best == NodeId() || leads[node] < leads[best]) best = node;
    }
    if (best == NodeId()) continue;
    handovers.push_back({view.group, best});
    given_[view.group] = {best, now};
    --leads[self_];
    ++leads[best];
  }
  return handovers;
}

}  // namespace reel::node
