// The calls that a client's pure logic wants made in one turn: its effects.
#pragma once

#include <vector>

#include "io/ports/service.h"
#include "io/ports/time.h"
#include "node/client_message.h"

namespace reel::client {

struct OutgoingCall {
  NodeId to;
  io::CallId call;
  ClientCall body;
};

class Calls {
 public:
  io::CallId make(NodeId to, ClientCall body) {
    const io::CallId call(++last_);
    calls_.push_back({to, call, std::move(body)});
    return call;
  }
  void cancel(io::CallId call) { cancels_.push_back(call); }

  std::vector<OutgoingCall>& calls() { return calls_; }
  std::vector<io::CallId>& cancels() { return cancels_; }

 private:
  std::vector<OutgoingCall> calls_;
  std::vector<io::CallId> cancels_;
  std::uint64_t last_ = 0;
};

// Why calls were repeated; for reports, never for decisions.
struct Repeats {
  std::uint64_t timed_out = 0;    // no answer within the call's time
  std::uint64_t failed = 0;       // the node, or the connection to it, is gone
  std::uint64_t unavailable = 0;  // the node is recovering, or cannot say
  std::uint64_t not_leader = 0;   // answered by a node that had led before: its leadership is over
  std::uint64_t overloaded = 0;
  std::uint64_t out_of_order = 0;  // an earlier call is missing at the leader
};

// The pause after the n-th failure in a row: doubles from `min` to `max`, with jitter of a half downwards, drawn by key.
[[nodiscard]] io::Duration backoff(io::Duration min, io::Duration max, std::uint32_t failures,
                                   std::uint64_t seed);

}  // namespace reel::client
