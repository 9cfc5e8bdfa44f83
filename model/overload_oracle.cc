#include "model/overload_oracle.h"

#include <algorithm>

namespace reel::model {
namespace {

// Too few calls, or transactions, to judge by.
constexpr std::uint64_t kCallsMin = 20;
constexpr std::uint64_t kAnsweredMin = 200;

}  // namespace

OverloadOracle::Finding OverloadOracle::queue(NodeId node, GroupId group, const QueueState& state) {
  if (state.said_calls != state.calls || (state.calls == 0) != (state.said_bytes == 0)) {
    return violation("queue-bound", "node ", node, " counts ", state.said_calls, " calls of ",
                     state.said_bytes, " bytes in the queue of group ", group, ", where ", state.calls,
                     " wait");
  }
  if (state.calls > 1 && state.said_bytes > state.bytes_max) {
    return violation("queue-bound", "the queue of group ", group, " at node ", node, " holds ",
                     state.said_bytes, " bytes in ", state.calls, " calls, and may hold ", state.bytes_max);
  }
  return std::nullopt;
}

void OverloadOracle::told_to_wait(NodeId client, NodeId node, io::Instant until) {
  const auto [found, fresh] = waiting_.try_emplace(client, Waiting{node, until});
  if (fresh) return;
  if (found->second.node != node) {
    found->second = {node, until};
  } else {
    found->second.until = std::max(found->second.until, until);
  }
}

OverloadOracle::Finding OverloadOracle::asks(NodeId client, NodeId node, io::Instant at) {
  const auto found = waiting_.find(client);
  if (found == waiting_.end()) return std::nullopt;
  const Waiting waiting = found->second;
  if (waiting.node != node || at >= waiting.until) {
    waiting_.erase(found);
    return std::nullopt;
  }
  return violation("early-retry", "client ", client, " called node ", node, " again ",
                   static_cast<std::uint64_t>((waiting.until - at).ns / 1000),
                   " us before the time that the node had given it");
}

OverloadOracle::Finding OverloadOracle::timed_out(NodeId client) {
  return violation("queue-delay", "a call of client ", client,
                   " was not answered in its time, and nothing but load was there to keep it waiting");
}

OverloadOracle::Finding OverloadOracle::fair(std::span<const ClientLoad> clients) {
  std::uint64_t least = UINT64_MAX;
  std::uint64_t most = 0;
  NodeId slowest;
  for (const ClientLoad& client : clients) {
    if (client.greedy) {
      most = std::max(most, client.answered);
      if (client.answered < least) slowest = client.client;
      least = std::min(least, client.answered);
      continue;
    }
    if (client.calls < kCallsMin) continue;
    if (client.refused * 5 > client.calls || client.answered * 2 < client.submitted) {
      return violation("starvation", "client ", client.client, ", which asks for little, was refused ",
                       client.refused, " of ", client.calls, " calls, and answered ", client.answered, " of ",
                       client.submitted, " transactions");
    }
  }
  if (most < kAnsweredMin || least * 6 >= most) return std::nullopt;
  return violation("starvation", "greedy client ", slowest, " got ", least,
                   " transactions, and another one with the same load ", most);
}

OverloadOracle::Finding OverloadOracle::steady(std::span<const std::uint64_t> answered) {
  if (answered.empty()) return std::nullopt;
  const auto [least, most] = std::minmax_element(answered.begin(), answered.end());
  if (*most < kAnsweredMin || *least * 3 >= *most) return std::nullopt;
  return violation("goodput", "under constant overload the cluster answered ", *least,
                   " transactions in one second, and ", *most, " in another");
}

}  // namespace reel::model
