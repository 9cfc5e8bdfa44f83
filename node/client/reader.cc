#include "node/client/reader.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::client {

Reader::Reader(const ReaderOptions& options) : options_(options), next_(options.from) {
  REEL_ASSERT(!options.nodes.empty());
}

void Reader::pump(const io::Now& now, Calls& out) {
  if (failure_ || !entries_.empty()) return;  // asks again when the application has taken what came
  if (call_.value != 0) {
    if (expires_ > now.monotonic) return;
    out.cancel(call_);
    ++repeats_.timed_out;
    fall_back(now);
  }
  if (now.monotonic < resume_at_) return;
  FeedCall feed;
  feed.group = options_.group;
  feed.from = next_;
  feed.bytes_max = options_.bytes_max;
  feed.wait = options_.wait;
  call_ = out.make(target(), feed);
  expires_ = now.monotonic + options_.wait + options_.call_timeout;
}

bool Reader::on_reply(io::CallId call, const ClientReply& reply, const io::Now& now, Calls&) {
  if (call.value == 0 || call != call_) return false;
  call_ = io::CallId(0);
  expires_ = io::kNever;
  if (const auto* result = std::get_if<FeedResult>(&reply)) {
    entries_ = result->entries;
    high_water_ = std::max(high_water_, result->high_water);
    answered_ = true;
    failures_ = 0;
    if (entries_.empty()) {
      // Nothing new here. That node may be cut off from those who know more: let another one answer next.
      target_ = (target_ + 1) % options_.nodes.size();
      if (options_.wait.ns == 0) resume_at_ = now.monotonic + options_.backoff_min;
    }
    return true;
  }
  const auto* error = std::get_if<CallError>(&reply);
  if (error != nullptr &&
      (error->code == ErrorCode::unauthorized || error->code == ErrorCode::no_such_partition)) {
    failure_ = error->text;
    return true;
  }
  ++repeats_.unavailable;
  fall_back(now);
  return true;
}

bool Reader::on_failed(io::CallId call, const io::Now& now, Calls&) {
  if (call.value == 0 || call != call_) return false;
  ++repeats_.failed;
  fall_back(now);
  return true;
}

void Reader::fall_back(const io::Now& now) {
  call_ = io::CallId(0);
  expires_ = io::kNever;
  target_ = (target_ + 1) % options_.nodes.size();
  resume_at_ = now.monotonic + backoff(options_.backoff_min, options_.backoff_max, failures_, options_.seed);
  ++failures_;
}

bool Reader::accept(const log::Transaction& transaction) {
  if (transaction.id != next_) {
    failure_ = "the feed skipped from transaction " + std::to_string(next_.value) + " to " +
               std::to_string(transaction.id.value) + ": report this node's log";
    return false;
  }
  if (io::checksum(transaction.record.data) != transaction.record.checksum) {
    failure_ =
        "transaction " + std::to_string(transaction.id.value) + " does not match its client's checksum";
    return false;
  }
  ++next_;
  return true;
}

io::Instant Reader::deadline() const {
  if (failure_ || !entries_.empty()) return io::kNever;
  return call_.value != 0 ? expires_ : resume_at_;
}

}  // namespace reel::client
