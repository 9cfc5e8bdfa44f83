#include "node/client/question.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "io/ports/assert.h"

namespace reel::client {
namespace {

// Errors that pass: with another node, or in time.
bool may_pass(ErrorCode code) {
  return code == ErrorCode::not_leader || code == ErrorCode::unavailable || code == ErrorCode::overloaded ||
         code == ErrorCode::deadline_exceeded;
}

// What a node that is asked this answers with, if not with an error.
template <class Call>
struct ResultOf;
template <>
struct ResultOf<AppendCall> : std::type_identity<AppendResult> {};
template <>
struct ResultOf<FeedCall> : std::type_identity<FeedResult> {};
template <>
struct ResultOf<HighWaterCall> : std::type_identity<HighWaterResult> {};
template <>
struct ResultOf<StatusCall> : std::type_identity<StatusResult> {};
template <>
struct ResultOf<ResolveCall> : std::type_identity<ResolveResult> {};
template <>
struct ResultOf<TransactionCall> : std::type_identity<TransactionResult> {};
template <>
struct ResultOf<CreatePartitionsCall> : std::type_identity<PartitionsResult> {};
template <>
struct ResultOf<ReaderGroupCall> : std::type_identity<ReaderGroupResult> {};
template <>
struct ResultOf<ReaderGroupsCall> : std::type_identity<ReaderGroupsResult> {};
template <>
struct ResultOf<RemoveReaderGroupCall> : std::type_identity<ReaderGroupsResult> {};

bool answers(const ClientCall& call, const ClientReply& reply) {
  return std::visit(
      [&]<class Call>(const Call&) { return std::holds_alternative<typename ResultOf<Call>::type>(reply); },
      call);
}

}  // namespace

Question::Question(QuestionOptions options)
    : options_(std::move(options)), target_(options_.first), resume_at_(options_.not_before) {
  REEL_ASSERT(!options_.nodes.empty());
  target_ %= options_.nodes.size();
}

void Question::pump(const io::Now& now, Calls& out) {
  if (answer_) return;
  if (now.monotonic >= options_.deadline) {
    give_up(out);
    CallError error = last_error_.value_or(CallError{});
    if (!last_error_) error.text = "no node answered: see whether a majority of the cluster is up";
    error.code = ErrorCode::deadline_exceeded;
    answer_ = std::unexpected(std::move(error));
    return;
  }
  if (call_.value != 0) {
    if (expires_ > now.monotonic) return;
    out.cancel(call_);
    turn_to(NodeId(), now);
  }
  if (now.monotonic < resume_at_) return;
  call_ = out.make(target(), options_.body);
  expires_ = now.monotonic + kCallTimeout;
}

bool Question::on_reply(io::CallId call, const ClientReply& reply, const io::Now& now) {
  if (call.value == 0 || call != call_) return false;
  const auto* error = std::get_if<CallError>(&reply);
  if (error != nullptr && may_pass(error->code)) {
    last_error_ = *error;
    turn_to(error->hint, now);
  } else if (error != nullptr) {
    call_ = io::CallId();
    answer_ = std::unexpected(*error);
  } else if (answers(options_.body, reply)) {
    call_ = io::CallId();
    answer_ = reply;
  } else {
    turn_to(NodeId(), now);
  }
  return true;
}

bool Question::on_failed(io::CallId call, const io::Now& now) {
  if (call.value == 0 || call != call_) return false;
  turn_to(NodeId(), now);
  return true;
}

// The first hint is followed at once; everything else waits longer and longer.
void Question::turn_to(NodeId hint, const io::Now& now) {
  call_ = io::CallId();
  expires_ = io::kNever;
  const auto known = std::find(options_.nodes.begin(), options_.nodes.end(), hint);
  const bool at_once = known != options_.nodes.end() && failures_ == 0;
  target_ = known != options_.nodes.end() ? static_cast<std::size_t>(known - options_.nodes.begin())
                                          : (target_ + 1) % options_.nodes.size();
  const io::Duration pause =
      at_once ? io::Duration{0} : backoff(kPauseMin, kPauseMax, failures_, options_.seed);
  ++failures_;
  resume_at_ = now.monotonic + pause;
}

io::Instant Question::deadline() const {
  if (answer_) return io::kNever;
  return std::min(options_.deadline, call_.value != 0 ? expires_ : resume_at_);
}

void Question::give_up(Calls& out) {
  if (call_.value != 0) out.cancel(call_);
  call_ = io::CallId();
  expires_ = io::kNever;
  resume_at_ = io::kNever;
}

}  // namespace reel::client
