// What a leader believes about one follower, and the window of appends in flight to it (thesis §10.2.1 pipelining).
// Invariants: match < next; in probe at most one message is in flight; the window holds at most its bounds.
#pragma once

#include <cstdint>
#include <deque>

#include "node/types.h"

namespace reel::raft {

struct Inflight {
  Index last;
  std::uint32_t bytes = 0;
  bool operator==(const Inflight&) const = default;
};

struct Progress {
  enum class State : std::uint8_t {
    probe,      // one message at a time until the logs are known to meet
    replicate,  // pipelined: next runs ahead of match
  };
  State state = State::probe;
  Index match;
  Index next{1};
  bool probe_sent = false;          // probe: an answer is awaited
  bool recently_active = false;     // answered since the last CheckQuorum
  std::uint64_t round = 0;          // the highest round it answered
  Incarnation incarnation;          // of the life that gave `match`; a new life voids it
  std::deque<Inflight> inflight;    // replicate: in order of last
  std::uint64_t inflight_bytes = 0;
  bool operator==(const Progress&) const = default;
};

}  // namespace reel::raft
