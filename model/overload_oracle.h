// The overload oracle: what must hold when clients ask for far more than a cluster can do. It looks at queues from the
// outside, and at what clients get; how the node decides whom to admit is none of its business.
//
// Always:
//   queue-bound   a queue holds more than it may, or what it says it holds is not what stands in it
//   early-retry   a client called a node again before the time that the node had given it
// In runs without faults, where nothing but load can be the cause:
//   queue-delay   a call was not answered in its time: it waited, though it should have been refused
//   starvation    a modest client was refused as if it were greedy, or one greedy client got far less than another
//   goodput       the cluster did much less in one second of the overload than in another
//
// Cost: a few comparisons a step and call.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "io/ports/time.h"
#include "model/violation.h"
#include "node/types.h"

namespace reel::model {

// The queue of one group, as its node says, and as it is.
struct QueueState {
  std::uint64_t said_calls = 0;
  std::uint64_t said_bytes = 0;
  std::uint64_t calls = 0;
  std::uint64_t bytes_max = 0;  // may be exceeded by a call that stands alone
};

// What one client asked for and got while the load lasted.
struct ClientLoad {
  NodeId client;
  bool greedy = false;  // always has more than it can send; else far less than its share
  std::uint64_t submitted = 0;
  std::uint64_t answered = 0;
  std::uint64_t calls = 0;
  std::uint64_t refused = 0;  // of them, for want of room
};

class OverloadOracle {
 public:
  using Finding = std::optional<Violation>;

  [[nodiscard]] static Finding queue(NodeId node, GroupId group, const QueueState& state);

  // Times are the client's own.
  void told_to_wait(NodeId client, NodeId node, io::Instant until);
  // It has heard something else since, or lost its memory: it may ask whom it likes.
  void free_to_ask(NodeId client) { waiting_.erase(client); }
  [[nodiscard]] Finding asks(NodeId client, NodeId node, io::Instant at);

  // Of a run without faults.
  [[nodiscard]] static Finding timed_out(NodeId client);
  [[nodiscard]] static Finding fair(std::span<const ClientLoad> clients);
  // Transactions that were answered in each second of the overload but the first ones.
  [[nodiscard]] static Finding steady(std::span<const std::uint64_t> answered);

 private:
  struct Waiting {
    NodeId node;
    io::Instant until;
  };
  std::map<NodeId, Waiting> waiting_;  // by client
};

}  // namespace reel::model
