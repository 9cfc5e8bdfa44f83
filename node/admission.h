// Admission: how much of what clients ask for may wait in a group's queue of appends, and when whoever is refused should
// ask again. It sheds load at the door, before any work is done for it, so that what is admitted is still worth doing
// when its turn comes: its client has not given up meanwhile.
//
// The queue's limit follows the rate at which it drains: what waits should be gone within `delay_target`, as in CoDel
// (Nichols and Jacobson 2012), but told from bytes and rate instead of waiting times, so that a burst into an idle queue
// is no reason to refuse. The rate is measured only while something waits, when it is what this group can do; it rises at
// once and falls slowly. So a hung disk, or a leader that may not propose yet, closes the door after some windows.
//
// Sessions share the queue by dynamic thresholds (Choudhury and Hahne 1998): a session that has something here may hold
// at most kShare times of what is free. So any number of greedy sessions leaves room for the others, without anybody
// knowing how many there are. Moreover one part in kReserve is only for sessions that have nothing here: who is answered
// sends the next call at once, who was refused comes back later, and would find that room taken again and again.
//
// Retries are appointments: each refused call is told a time of its own, one behind the other, spaced as the queue
// drains. Clients that keep them come back at the rate that can be served, not all at once.
//
// Invariants: bytes() and calls() are the sums over all sessions; both are 0 when the queue is empty; bytes() is at most
// limit_max() plus one call. Everything is integers and given times, so every replay decides alike.
//
// Cost: O(log sessions that wait) a call. Memory: about 100 bytes for each of those.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "io/ports/time.h"
#include "node/types.h"

namespace reel::node {

struct AdmissionOptions {
  std::uint64_t bytes_max = 64u << 20;                // however fast it drains; > 0
  std::uint64_t bytes_min = 2u << 20;                 // however slowly; at most bytes_max
  std::uint32_t calls_max = 65536;                    // > 0
  io::Duration delay_target = io::milliseconds(200);  // between these, what drains within this time; > 0
  io::Duration retry_min = io::milliseconds(5);       // > 0
  io::Duration retry_max = io::seconds(1);
};

class Admission {
 public:
  // What a waiting call takes besides its block.
  static constexpr std::uint64_t kCallBytes = 256;
  // A session holds at most this many times of what is free.
  static constexpr std::uint64_t kShare = 2;
  // The part of the queue that is for sessions which have nothing in it: 1 / kReserve.
  static constexpr std::uint64_t kReserve = 3;

  explicit Admission(const AdmissionOptions& options);

  // A call with a block of so many bytes: nothing if it is admitted, and then the caller says release() when it takes it
  // from the queue; else after which time it should be repeated. A call that finds the queue empty is always admitted.
  [[nodiscard]] std::optional<io::Duration> refuses(const SessionId& session, std::uint64_t block_bytes,
                                                    io::Instant now);
  void release(const SessionId& session, std::uint64_t block_bytes, io::Instant now);
  // The queue is dropped.
  void clear();

  // Blocks and kCallBytes for each call that waits.
  std::uint64_t bytes() const { return bytes_; }
  std::uint32_t calls() const { return calls_; }
  std::size_t sessions() const { return sessions_.size(); }
  // What bytes() may reach now, and ever; one call into an empty queue may exceed it.
  std::uint64_t limit() const;
  std::uint64_t limit_max() const { return options_.bytes_max; }
  // As measured, in bytes a second.
  std::uint64_t rate() const { return rate_; }
  std::uint64_t refused() const { return refused_; }  // calls, since the start

 private:
  struct Held {
    std::uint64_t bytes = 0;
    std::uint32_t calls = 0;
  };

  bool fits(const Held& held, std::uint64_t cost) const;
  io::Duration appointment(std::uint64_t cost, io::Instant now);
  void measure(io::Instant now);
  io::Duration time_for(std::uint64_t cost) const;

  AdmissionOptions options_;
  std::map<SessionId, Held> sessions_;
  std::uint64_t bytes_ = 0;
  std::uint32_t calls_ = 0;
  std::uint64_t rate_;
  std::uint64_t drained_ = 0;  // in the window
  io::Duration backlogged_;    // of the window, until `seen_`
  io::Instant seen_;
  io::Instant last_appointment_;
  std::uint64_t refused_ = 0;
};

}  // namespace reel::node
