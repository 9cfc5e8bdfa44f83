// Appender: a client's side of exactly-once appends, as pure logic. It turns submitted transactions into append calls,
// keeps a window of them in flight to whoever leads, and repeats what was not answered, under the same request ids,
// until the cluster has answered: nothing is lost and nothing commits twice, whoever dies meanwhile.
//
// Ordered appends (the default) commit in the order of submission: the leader takes a call only directly behind its
// predecessor, so a hole left by a lost call makes it refuse the rest, and the appender goes back to the hole.
//
// Invariants: sequences 1, 2, 3, …; at most `outstanding_max` are unanswered (below the session's window); after any
// failure only the oldest call is in flight until one succeeds. After `overloaded` nothing is sent before the time that the
// node gave, and then one call again until one succeeds. A call carries at most call_transactions_max
// transactions and call_bytes_max bytes (but always one).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "io/ports/time.h"
#include "node/client/calls.h"
#include "node/client_message.h"
#include "node/log/record.h"
#include "node/log/sessions.h"

namespace reel::client {

struct AppenderOptions {
  std::vector<NodeId> nodes;  // whom to ask; not empty
  GroupId group{1};
  SessionId session;  // drawn at random by the application
  Index opened;       // AppendCall::opened
  bool ordered = true;
  Sequence first{1};                     // > 1: goes on with a session that was used before, behind its
                                         // answered requests; unanswered ones are submitted again, unchanged
  std::uint32_t outstanding_max = 4096;  // transactions; <= kSessionWindow / 2
  std::uint32_t call_transactions_max = 1024;
  std::uint32_t call_bytes_max = 512u << 10;
  std::uint32_t calls_in_flight_max = 8;
  io::Duration call_timeout = io::seconds(2);  // then the call counts as lost
  io::Duration backoff_min = io::milliseconds(5);
  io::Duration backoff_max = io::milliseconds(500);
  std::uint64_t seed = 0;  // jitter of the backoff
};

class Appender {
 public:
  explicit Appender(const AppenderOptions& options);

  // False: wait for outcomes first. Data above the limit of node/types.h is a programmer error: check before.
  bool can_submit() const;
  // Returns the request's sequence. Sent by the next pump().
  Sequence submit(const log::TransactionInput& transaction);

  // Sends what may be sent. Call once after submits, replies and wakes.
  void pump(const io::Now& now, Calls& out);
  // True if the call was this appender's. Outcomes are added to `outcomes`, in order of sequence when ordered.
  bool on_reply(io::CallId call, const ClientReply& reply, const io::Now& now, Calls& out,
                AppendResult& outcomes);
  bool on_failed(io::CallId call, const io::Now& now, Calls& out);
  // When pump() must be called again at the latest.
  io::Instant deadline() const;

  std::uint64_t outstanding() const { return outstanding_; }
  Sequence last_submitted() const { return next_ - 1; }
  // Set when going on makes no sense (unauthorized, no such partition, expired): nothing is sent any more.
  const std::optional<CallError>& failure() const { return failure_; }
  // No call of this appender can have reached the log: each was refused as a whole by a node that had done nothing with
  // it. An answer that did not come, and "not the leader" of a node that may have lost its leadership meanwhile, leave
  // that open.
  bool untouched() const { return untouched_; }
  // After a failure `expired`, and only while untouched(): goes on in another session, under the same sequences.
  void begin_again(const SessionId& session, Index opened);
  // The newest error that may pass by itself, until something is committed or refused: for reports.
  const std::optional<CallError>& hindrance() const { return hindrance_; }
  // Sequences from here to last_submitted() are not all answered; behind last_submitted() if all are.
  Sequence first_unanswered() const;
  std::uint64_t retries() const { return retries_; }
  const Repeats& repeats() const { return repeats_; }
  NodeId target() const { return options_.nodes[target_]; }

 private:
  struct Chunk {
    Sequence first;
    std::uint32_t count = 0;
    Bytes block;
    io::CallId call;  // 0: not in flight
    io::Instant expires = io::kNever;
    bool done = false;
  };

  void cut_chunk();
  void send(Chunk& chunk, const io::Now& now, Calls& out);
  // Everything in flight counts as lost; goes on at `hint`, or at the next node after a pause.
  void fall_back(NodeId hint, io::Duration at_least, const io::Now& now, Calls& out);
  // This call was refused for want of room: it goes again when it may. Others in flight were taken, and stay; but behind
  // it in an ordered stream nothing is taken without it.
  void wait_for_room(Chunk& refused, io::Duration retry_after, const io::Now& now, Calls& out);
  void take_back(Chunk& chunk);
  // How many calls may be in flight.
  std::uint32_t window() const { return pipelining_ ? options_.calls_in_flight_max : 1; }
  Chunk* find(io::CallId call);
  void on_error(Chunk& chunk, const CallError& error, const io::Now& now, Calls& out);

  AppenderOptions options_;
  std::deque<Chunk> chunks_;       // unanswered and cut into calls, in order of sequence
  std::vector<std::byte> staged_;  // submitted, not yet cut
  std::vector<std::uint32_t> staged_ends_;
  Sequence next_{1};
  std::uint64_t outstanding_ = 0;
  std::uint32_t in_flight_ = 0;
  bool untouched_ = true;
  bool pipelining_ = false;  // a call succeeded since the last failure
  std::size_t target_ = 0;
  std::uint32_t failures_ = 0;  // in a row
  std::uint64_t retries_ = 0;
  Repeats repeats_;
  io::Instant resume_at_{INT64_MIN};
  std::optional<CallError> failure_;
  std::optional<CallError> hindrance_;
};

}  // namespace reel::client
