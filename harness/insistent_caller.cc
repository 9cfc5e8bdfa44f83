#include "harness/insistent_caller.h"

#include <algorithm>

#include "node/client/calls.h"

namespace reel::harness {

ClientReply InsistentCaller::once(sim::FiberHost& host, const ClientCall& call, io::Duration timeout) {
  const auto reply = host.call(nodes_[target_], io::Parcel::of(call, codec_), timeout);
  if (reply && reply->is<ClientReply>()) return reply->get<ClientReply>();
  CallError nothing;
  nothing.code = ErrorCode::unavailable;
  return nothing;
}

bool InsistentCaller::is_final(ErrorCode code) {
  switch (code) {
    case ErrorCode::expired:
    case ErrorCode::unauthorized:
    case ErrorCode::malformed:
    case ErrorCode::too_large:
    case ErrorCode::no_such_partition: return true;
    default: return false;
  }
}

CallError InsistentCaller::too_late() {
  CallError error;
  error.code = ErrorCode::deadline_exceeded;
  error.text = "there was no answer in time: resolve the request to know what became of it";
  return error;
}

void InsistentCaller::go_on(sim::FiberHost& host, const ClientReply& reply, std::uint32_t attempt) {
  const auto* error = std::get_if<CallError>(&reply);
  const NodeId hint = error == nullptr ? NodeId() : error->hint;
  const auto known = std::find(nodes_.begin(), nodes_.end(), hint);
  target_ = known != nodes_.end() ? static_cast<std::size_t>(known - nodes_.begin())
                                  : (target_ + 1) % nodes_.size();
  host.sleep(
      client::backoff(io::milliseconds(2), io::milliseconds(200), std::min(attempt, 8u), seed_ + ++pauses_));
}

}  // namespace reel::harness
