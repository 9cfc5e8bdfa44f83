#include "node/client/reader.h"

#include <algorithm>

#include "io/ports/assert.h"
#include "node/log/selection.h"

namespace reel::client {

Reader::Reader(const ReaderOptions& options)
    : options_(options), seeking_(options.from_time > 0), next_(options.from) {
  REEL_ASSERT(!options.nodes.empty());
  REEL_ASSERT((options.filter.header_value & ~options.filter.header_mask) == 0);
}

void Reader::pump(const io::Now& now, Calls& out) {
  if (failure_ || has_news()) return;  // asks again when the application has taken what came
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
  if (seeking_) feed.from_time = options_.from_time;
  feed.filter = options_.filter;
  call_ = out.make(target(), feed);
  expires_ = now.monotonic + options_.wait + options_.call_timeout;
}

bool Reader::on_reply(io::CallId call, const ClientReply& reply, const io::Now& now, Calls&) {
  if (call.value == 0 || call != call_) return false;
  call_ = io::CallId(0);
  expires_ = io::kNever;
  if (const auto* result = std::get_if<FeedResult>(&reply)) {
    take(*result);
    if (failure_) return true;
    high_water_ = std::max(high_water_, result->high_water);
    answered_ = true;
    failures_ = 0;
    if (!has_news()) {
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
  const bool overloaded = error != nullptr && error->code == ErrorCode::overloaded;
  ++(overloaded ? repeats_.overloaded : repeats_.unavailable);
  fall_back(now);
  if (overloaded) resume_at_ = std::max(resume_at_, now.monotonic + error->retry_after);
  return true;
}

void Reader::take(const FeedResult& result) {
  failure_ = fault_of(result);
  if (failure_) return;
  entries_ = result.entries;
  matches_ = result.matches;
  looked_at_ = result.next.value_or(TxnId());
  // Times rise with ids: if the node found nothing at from_time or later, it holds only what comes before.
  if (seeking_ && !result.next && entries_.empty()) next_ = std::max(next_, result.high_water);
}

std::optional<std::string> Reader::fault_of(const FeedResult& result) const {
  if (result.next.has_value() == options_.filter.empty()) {
    return "a node answered to another filter than it was asked for: check that its version is this one's";
  }
  TxnId least = next_;
  std::uint64_t bytes = 0;
  for (const CommittedRecord& match : result.matches) {
    if (match.id < least || match.id >= *result.next) {
      return "the feed is out of order at transaction " + std::to_string(match.id.value) +
             ": report this node's log";
    }
    least = match.id + 1;
    bytes += match.record.size();
  }
  if (result.matches.size() > 1 && bytes > options_.bytes_max) {
    return "a node sent " + std::to_string(bytes) + " bytes of records where " +
           std::to_string(options_.bytes_max) + " were asked for: check that its version is this one's";
  }
  return std::nullopt;
}

bool Reader::comes_before(const log::Transaction& transaction) {
  if (!seeking_) return false;
  if (transaction.time < options_.from_time) return true;
  seeking_ = false;
  next_ = transaction.id;
  return false;
}

std::optional<log::Transaction> Reader::open(const CommittedRecord& match) {
  const auto record = log::parse_record(match.record.span());
  const bool wanted = record && record->size == match.record.size() &&
                      log::matches(options_.filter, *record) && match.time >= options_.from_time;
  if (!wanted) {
    failure_ = "the feed sent transaction " + std::to_string(match.id.value) +
               ", which does not match: report this node's log";
    return std::nullopt;
  }
  seeking_ = false;
  next_ = match.id;  // those between do not match
  return log::Transaction{match.id, match.time, match.session, match.sequence, *record};
}

bool Reader::on_failed(io::CallId call, const io::Now& now, Calls&) {
  if (call.value == 0 || call != call_) return false;
  ++repeats_.failed;
  fall_back(now);
  return true;
}

void Reader::close(Calls& out) {
  if (call_.value != 0) out.cancel(std::exchange(call_, io::CallId(0)));
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
  if (failure_ || has_news()) return io::kNever;
  return call_.value != 0 ? expires_ : resume_at_;
}

}  // namespace reel::client
