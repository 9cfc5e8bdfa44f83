// What a leader believes about one follower, and the window of appends in flight to it (thesis §10.2.1
// pipelining). Invariants: match < next; in probe nothing is in flight but one probe; the window holds at
// most its bounds.
#pragma once

#include <cstdint>
#include <vector>

#include "node/types.h"

namespace reel::raft {

struct Inflight {
  Index last;               // of the message's entries
  std::uint32_t bytes = 0;  // of their payloads
  bool operator==(const Inflight&) const = default;
};

// Appends that were sent and not yet acknowledged, in order of their last index. Amortised O(1), and no
// memory before the first push: ten thousand idle followers cost nothing.
class InflightWindow {
 public:
  // Requires last to be above every index in the window.
  void push(Index last, std::uint32_t bytes);
  // Forgets what an acknowledgement up to `match` covers.
  void release_to(Index match);
  void clear();

  bool empty() const { return head_ == items_.size(); }
  std::size_t size() const { return items_.size() - head_; }
  std::uint64_t bytes() const { return bytes_; }
  // The last index in flight. Requires !empty().
  Index last() const;
  // One message more may leave: fewer than messages_max are out, and fewer than bytes_max bytes.
  bool has_room(std::uint32_t messages_max, std::uint64_t bytes_max) const {
    return size() < messages_max && bytes_ < bytes_max;
  }
  bool operator==(const InflightWindow& other) const;
  std::uint64_t digest() const;

 private:
  std::vector<Inflight> items_;  // the window is [head_, end)
  std::size_t head_ = 0;
  std::uint64_t bytes_ = 0;
};

struct Progress {
  enum class State : std::uint8_t {
    probe,      // one message at a time until the logs are known to meet
    replicate,  // pipelined: next runs ahead of match
  };
  State state = State::probe;
  Index match;                   // acknowledged as durable
  Index next{1};                 // the first entry of the next append
  Index told;                    // as far as a message has told it of commits; it may have been lost
  bool probe_sent = false;       // probe: an answer is awaited
  bool stalled = false;          // replicate: no acknowledgement since a heartbeat found appends in flight
  bool recently_active = false;  // answered since the last CheckQuorum
  std::uint64_t round = 0;       // the highest round it answered
  Incarnation incarnation;       // of the life that gave `match`; a new life voids it
  InflightWindow inflight;       // replicate: in order of last

  // Back to one message at a time, the next of which starts at `from`. Requires from > match.
  void become_probe(Index from);
  // The logs meet at match: pipeline from there.
  void become_replicate();
  // Takes an acknowledgement; true if match rose.
  bool acknowledge(Index acknowledged);
  bool operator==(const Progress&) const = default;
};

}  // namespace reel::raft
