// Question: one call that may be repeated, made until it has an answer, as pure logic. It asks node after node, and the
// leader that they name, until one gives a result, or an error that asking again does not change.
//
// Bounds: one call at a time, of at most kCallTimeout; pauses double from kPauseMin to kPauseMax; ends at its deadline at the
// latest, counted from the first pump() behind it, as deadline_exceeded.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <vector>

#include "io/ports/time.h"
#include "node/client/calls.h"
#include "node/client_message.h"

namespace reel::client {

using Answer = std::expected<ClientReply, CallError>;

struct QuestionOptions {
  std::vector<NodeId> nodes;  // not empty
  std::size_t first = 0;      // which of them is asked first
  ClientCall body;            // of a kind that may be made twice
  io::Instant deadline = io::kNever;
  io::Instant not_before{INT64_MIN};
  std::uint64_t seed = 0;  // jitter of pauses
};

class Question {
 public:
  static constexpr io::Duration kCallTimeout = io::seconds(2);
  static constexpr io::Duration kPauseMin = io::milliseconds(5);
  static constexpr io::Duration kPauseMax = io::milliseconds(250);

  explicit Question(QuestionOptions options);

  void pump(const io::Now& now, Calls& out);
  // True if the call was this question's.
  bool on_reply(io::CallId call, const ClientReply& reply, const io::Now& now);
  bool on_failed(io::CallId call, const io::Now& now);
  // When pump() must be called again at the latest.
  io::Instant deadline() const;
  // Ends it without an answer; a call that is out is cancelled.
  void give_up(Calls& out);

  // Set at the end. An error is the last one that a node gave, or says that none answered.
  const std::optional<Answer>& answer() const { return answer_; }
  NodeId target() const { return options_.nodes[target_]; }

 private:
  void turn_to(NodeId hint, const io::Now& now);

  QuestionOptions options_;
  std::size_t target_;
  io::CallId call_;  // 0: none is out
  io::Instant expires_ = io::kNever;
  io::Instant resume_at_;
  std::uint32_t failures_ = 0;
  std::optional<CallError> last_error_;
  std::optional<Answer> answer_;
};

}  // namespace reel::client
