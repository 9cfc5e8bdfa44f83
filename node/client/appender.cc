#include "node/client/appender.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::client {

Appender::Appender(const AppenderOptions& options) : options_(options), next_(options.first) {
  REEL_ASSERT(options.first.value > 0);
  REEL_ASSERT(!options.nodes.empty());
  REEL_ASSERT(options.outstanding_max <= log::kSessionWindow / 2);
  REEL_ASSERT(options.call_transactions_max <= kAppendCallCountMax && options.calls_in_flight_max > 0);
  REEL_ASSERT(options.call_bytes_max <= kAppendCallBytesMax);
}

bool Appender::can_submit() const { return outstanding_ < options_.outstanding_max && !failure_; }

Sequence Appender::submit(const log::TransactionInput& transaction) {
  REEL_ASSERT(can_submit());
  if (staged_ends_.size() >= options_.call_transactions_max ||
      (!staged_.empty() && staged_.size() + log::record_bytes(transaction) > options_.call_bytes_max)) {
    cut_chunk();
  }
  log::append_record(staged_, transaction);
  staged_ends_.push_back(static_cast<std::uint32_t>(staged_.size()));
  ++outstanding_;
  const Sequence sequence = next_;
  ++next_;
  return sequence;
}

void Appender::cut_chunk() {
  if (staged_ends_.empty()) return;
  Chunk chunk;
  chunk.count = static_cast<std::uint32_t>(staged_ends_.size());
  chunk.first = next_ - chunk.count;
  chunk.block = Bytes::copy_of(staged_);
  chunks_.push_back(std::move(chunk));
  staged_.clear();
  staged_ends_.clear();
}

void Appender::pump(const io::Now& now, Calls& out) {
  if (failure_) return;
  for (const Chunk& chunk : chunks_) {
    if (chunk.call.value != 0 && chunk.expires <= now.monotonic) {
      ++repeats_.timed_out;
      untouched_ = false;
      fall_back(NodeId(), options_.backoff_min, now, out);
      break;
    }
  }
  if (now.monotonic < resume_at_) return;
  for (Chunk& chunk : chunks_) {
    if (in_flight_ >= window()) return;
    if (chunk.call.value == 0 && !chunk.done) send(chunk, now, out);
  }
  if (in_flight_ >= window() || staged_ends_.empty()) return;
  cut_chunk();
  send(chunks_.back(), now, out);
}

void Appender::send(Chunk& chunk, const io::Now& now, Calls& out) {
  AppendCall call;
  call.group = options_.group;
  call.session = options_.session;
  call.opened = options_.opened;
  call.first = chunk.first;
  call.count = chunk.count;
  call.ordered = options_.ordered;
  call.block = chunk.block;
  chunk.call = out.make(target(), std::move(call));
  chunk.expires = now.monotonic + options_.call_timeout;
  ++in_flight_;
}

Appender::Chunk* Appender::find(io::CallId call) {
  for (Chunk& chunk : chunks_) {
    if (chunk.call == call) return &chunk;
  }
  return nullptr;
}

bool Appender::on_reply(io::CallId call, const ClientReply& reply, const io::Now& now, Calls& out,
                        AppendResult& outcomes) {
  Chunk* chunk = find(call);
  if (chunk == nullptr || call.value == 0) return false;
  const auto* result = std::get_if<AppendResult>(&reply);
  if (result == nullptr) {
    const auto* error = std::get_if<CallError>(&reply);
    CallError impossible;
    impossible.code = ErrorCode::malformed;
    impossible.text = "the node answered an append with something else: check its version";
    on_error(*chunk, error == nullptr ? impossible : *error, now, out);
    return true;
  }
  std::uint64_t covered = result->refusals.size();
  for (const CommittedRun& run : result->runs) covered += run.count;
  untouched_ = false;
  if (covered != chunk->count) {
    fall_back(NodeId(), options_.backoff_min, now, out);
    return true;
  }
  outcomes.runs.insert(outcomes.runs.end(), result->runs.begin(), result->runs.end());
  outcomes.refusals.insert(outcomes.refusals.end(), result->refusals.begin(), result->refusals.end());
  chunk->done = true;
  chunk->call = io::CallId(0);
  --in_flight_;
  outstanding_ -= chunk->count;
  pipelining_ = true;
  failures_ = 0;
  hindrance_.reset();
  while (!chunks_.empty() && chunks_.front().done) chunks_.pop_front();
  return true;
}

bool Appender::on_failed(io::CallId call, const io::Now& now, Calls& out) {
  if (call.value == 0 || find(call) == nullptr) return false;
  ++repeats_.failed;
  untouched_ = false;
  fall_back(NodeId(), options_.backoff_min, now, out);
  return true;
}

void Appender::on_error(Chunk& chunk, const CallError& error, const io::Now& now, Calls& out) {
  hindrance_ = error;
  switch (error.code) {
    case ErrorCode::not_leader:
      untouched_ = false;
      if (pipelining_) ++repeats_.not_leader;
      return fall_back(error.hint, options_.backoff_min, now, out);
    case ErrorCode::overloaded:
      ++repeats_.overloaded;
      return wait_for_room(chunk, error.retry_after, now, out);
    case ErrorCode::out_of_order:
      ++repeats_.out_of_order;
      // A hole: a call was lost or overtaken on its way. All unanswered calls are kept, so going back is always possible.
      return fall_back(target(), options_.backoff_min, now, out);
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
      untouched_ = false;
      ++repeats_.unavailable;
      return fall_back(NodeId(), error.retry_after, now, out);
    case ErrorCode::too_large:
    case ErrorCode::expired:
    case ErrorCode::unauthorized:
    case ErrorCode::no_such_partition:
    case ErrorCode::malformed:
    case ErrorCode::no_such_reader_group: break;
  }
  for (Chunk& sent : chunks_) {
    if (sent.call.value != 0) out.cancel(sent.call);
    sent.call = io::CallId(0);
  }
  in_flight_ = 0;
  failure_ = error;
}

void Appender::begin_again(const SessionId& session, Index opened) {
  REEL_ASSERT(failure_ && failure_->code == ErrorCode::expired && untouched_);
  options_.session = session;
  options_.opened = opened;
  failure_.reset();
  failures_ = 0;
}

Sequence Appender::first_unanswered() const {
  if (!chunks_.empty()) return chunks_.front().first;
  return next_ - staged_ends_.size();
}

void Appender::take_back(Chunk& chunk) {
  chunk.call = io::CallId(0);
  chunk.expires = io::kNever;
  --in_flight_;
  ++retries_;
}

void Appender::wait_for_room(Chunk& refused, io::Duration retry_after, const io::Now& now, Calls& out) {
  take_back(refused);
  for (Chunk& chunk : chunks_) {
    if (!options_.ordered || chunk.call.value == 0 || chunk.first < refused.first) continue;
    out.cancel(chunk.call);
    take_back(chunk);
  }
  pipelining_ = false;
  const io::Duration pause =
      std::max(retry_after, backoff(options_.backoff_min, options_.backoff_max, failures_, options_.seed));
  ++failures_;
  resume_at_ = std::max(resume_at_, now.monotonic + pause);
}

void Appender::fall_back(NodeId hint, io::Duration at_least, const io::Now& now, Calls& out) {
  for (Chunk& chunk : chunks_) {
    if (chunk.call.value == 0) continue;
    out.cancel(chunk.call);
    take_back(chunk);
  }
  REEL_ASSERT(in_flight_ == 0);
  pipelining_ = false;
  const std::size_t asked = target_;
  const auto known = std::find(options_.nodes.begin(), options_.nodes.end(), hint);
  const bool fresh_hint = known != options_.nodes.end() && *known != target();
  if (known != options_.nodes.end()) {
    target_ = static_cast<std::size_t>(known - options_.nodes.begin());
  } else {
    target_ = (target_ + 1) % options_.nodes.size();
  }
  // The first hint to another node is followed at once; everything else waits longer and longer.
  const io::Duration pause =
      fresh_hint && failures_ == 0
          ? io::Duration{0}
          : std::max(at_least, backoff(options_.backoff_min, options_.backoff_max, failures_, options_.seed));
  ++failures_;
  // Another node is another queue.
  resume_at_ = std::max(now.monotonic + pause, target_ == asked ? resume_at_ : now.monotonic);
}

io::Instant Appender::deadline() const {
  if (failure_) return io::kNever;
  io::Instant earliest = io::kNever;
  const bool room = in_flight_ < window();
  bool waiting = !staged_ends_.empty() && room;
  for (const Chunk& chunk : chunks_) {
    if (chunk.call.value != 0) {
      earliest = std::min(earliest, chunk.expires);
    } else if (!chunk.done && room) {
      waiting = true;
    }
  }
  return waiting ? std::min(earliest, resume_at_) : earliest;
}

}  // namespace reel::client
