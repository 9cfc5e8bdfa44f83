#include "node/client/group_reader.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::client {

GroupReader::GroupReader(const GroupReaderOptions& options) : options_(options) {
  REEL_ASSERT(!options.nodes.empty() && options.member != MemberId());
  REEL_ASSERT(options.patience >= kReaderPatienceMin && options.patience <= kReaderPatienceMax);
}

// ---- reports

bool GroupReader::has_progress() const {
  return std::any_of(shares_.begin(), shares_.end(),
                     [](const auto& entry) { return entry.second.done > entry.second.reported; });
}

io::Instant GroupReader::report_due() const {
  if (state_ == State::left) return io::kNever;
  io::Instant due = next_report_;
  if (state_ == State::leaving) due = io::Instant{INT64_MIN};
  if (progress_since_ != io::kNever) due = std::min(due, progress_since_ + options_.report_delay);
  const bool waited_for = std::any_of(shares_.begin(), shares_.end(),
                                      [](const auto& entry) { return entry.second.releasable(); });
  if (waited_for) due = io::Instant{INT64_MIN};
  return std::max(due, resume_at_);
}

void GroupReader::pump(const io::Now& now, Calls& out) {
  now_ = now.monotonic;
  if (failure_ || state_ == State::left) return;
  if (lapses_ <= now.monotonic) {
    lose_all(out);
    if (state_ == State::member) state_ = State::joining;
  }
  if (sent_ && sent_->expires <= now.monotonic) {
    out.cancel(sent_->call);
    ++repeats_.timed_out;
    fall_back(NodeId(), options_.backoff_min, now);
  }
  if (!sent_ && report_due() <= now.monotonic) send_report(now, out);
  for (auto& [group, share] : shares_) {
    if (share.reader == nullptr) continue;
    share.reader->pump(now, out);
    if (share.reader->failure()) failure_ = *share.reader->failure();
  }
}

void GroupReader::send_report(const io::Now& now, Calls& out) {
  ReaderGroupCall report;
  report.name = options_.name;
  report.member = options_.member;
  switch (state_) {
    case State::joining:
      report.verb = ReaderGroupCall::Verb::join;
      report.patience = options_.patience;
      break;
    case State::leaving: report.verb = ReaderGroupCall::Verb::leave; break;
    default: break;
  }
  for (const auto& [group, share] : shares_) {
    if (share.done > share.reported || share.releasable()) {
      report.progress.push_back({group, share.epoch, share.done, share.releasable()});
    }
  }
  Sent sent{{},
            report.verb,
            now.monotonic,
            now.monotonic + std::min(options_.call_timeout, options_.patience),
            report.progress};
  sent.call = out.make(target(), std::move(report));
  sent_ = std::move(sent);
  progress_since_ = io::kNever;
  next_report_ = now.monotonic + options_.patience / 3;
}

void GroupReader::done(GroupId group, Epoch epoch, TxnId next) {
  const auto it = shares_.find(group);
  if (it == shares_.end() || it->second.epoch != epoch) return;
  Share& share = it->second;
  if (next <= share.done || next > share.handed) return;
  share.done = next;
  progress_since_ = std::min(progress_since_, now_);
}

bool GroupReader::revoked(GroupId group, Epoch epoch) const {
  const auto it = shares_.find(group);
  return it == shares_.end() || it->second.epoch != epoch || it->second.revoked;
}

void GroupReader::give_back(GroupId group, Epoch epoch, TxnId next) {
  REEL_ASSERT(revoked(group, epoch) || state_ == State::leaving || state_ == State::left);
  const auto it = shares_.find(group);
  if (it == shares_.end() || it->second.epoch != epoch) return;
  REEL_ASSERT(next >= it->second.done && next <= it->second.handed);
  it->second.handed = next;
}

bool GroupReader::has_news(GroupId group) const {
  const auto it = shares_.find(group);
  return it != shares_.end() && it->second.reader != nullptr && it->second.reader->has_news();
}

std::optional<TxnId> GroupReader::kept(GroupId group, Epoch epoch) const {
  const auto it = shares_.find(group);
  if (it == shares_.end() || it->second.epoch != epoch) return std::nullopt;
  return it->second.reported;
}

void GroupReader::leave() {
  if (state_ == State::left || state_ == State::leaving) return;
  state_ = State::leaving;
  resume_at_ = io::Instant{INT64_MIN};
}

bool GroupReader::caught_up() const {
  return state_ == State::member && std::all_of(shares_.begin(), shares_.end(), [](const auto& entry) {
           const Share& share = entry.second;
           return share.reader != nullptr && share.reader->caught_up() && share.done == share.handed;
         });
}

// ---- answers

bool GroupReader::on_reply(io::CallId call, const ClientReply& reply, const io::Now& now, Calls& out) {
  for (auto& [group, share] : shares_) {
    if (share.reader != nullptr && share.reader->on_reply(call, reply, now, out)) return true;
  }
  if (!sent_ || sent_->call != call) return false;
  if (const auto* result = std::get_if<ReaderGroupResult>(&reply)) {
    failures_ = 0;
    take(*result, out);
  } else if (const auto* error = std::get_if<CallError>(&reply)) {
    on_error(*error, now, out);
  } else {
    fall_back(NodeId(), options_.backoff_min, now);
  }
  return true;
}

bool GroupReader::on_failed(io::CallId call, const io::Now& now, Calls& out) {
  for (auto& [group, share] : shares_) {
    if (share.reader != nullptr && share.reader->on_failed(call, now, out)) return true;
  }
  if (!sent_ || sent_->call != call) return false;
  ++repeats_.failed;
  fall_back(NodeId(), options_.backoff_min, now);
  return true;
}

void GroupReader::take(const ReaderGroupResult& result, Calls& out) {
  const Sent sent = std::move(*sent_);
  sent_.reset();
  if (sent.verb == ReaderGroupCall::Verb::leave) {
    lose_all(out);
    state_ = State::left;
    return;
  }
  if (state_ != State::leaving) state_ = State::member;
  members_ = result.members;
  lapses_ = sent.at + options_.patience;
  for (const ReaderProgress& progress : sent.progress) {
    const auto it = shares_.find(progress.group);
    if (it == shares_.end() || it->second.epoch != progress.epoch) continue;
    it->second.reported = std::max(it->second.reported, progress.next);
  }
  // By group, as the shares are.
  for (auto it = shares_.begin(); it != shares_.end();) {
    const auto same =
        std::lower_bound(result.shares.begin(), result.shares.end(), it->first,
                         [](const ReaderShare& share, GroupId wanted) { return share.group < wanted; });
    const bool kept =
        same != result.shares.end() && same->group == it->first && same->epoch == it->second.epoch;
    if (kept) {
      if (same->revoked && !it->second.revoked) revoke(it->second, out);
      // Whoever waited for it is gone.
      if (!same->revoked && it->second.revoked) read(it->first, it->second, result.shares.size());
      ++it;
    } else {
      lose(it->first, it->second, out);
      it = shares_.erase(it);
    }
  }
  if (state_ == State::leaving) return;
  for (const ReaderShare& given : result.shares) {
    if (!shares_.contains(given.group)) gain(given, result.shares.size());
  }
}

void GroupReader::gain(const ReaderShare& given, std::size_t shares) {
  Share& share = shares_[given.group];
  share.epoch = given.epoch;
  share.handed = share.done = share.reported = given.next;
  share.revoked = given.revoked;
  changes_.push_back({given.group, given.epoch, true, given.next});
  if (!given.revoked) read(given.group, share, shares);
}

// From behind what was handed over.
void GroupReader::read(GroupId group, Share& share, std::size_t shares) {
  constexpr std::uint64_t kBytesMin = 4096;
  share.revoked = false;
  ReaderOptions reader;
  reader.nodes = options_.nodes;
  std::rotate(reader.nodes.begin(),
              reader.nodes.begin() + static_cast<std::ptrdiff_t>(gains_ % reader.nodes.size()),
              reader.nodes.end());
  reader.group = group;
  reader.from = share.handed;
  const std::uint64_t part = std::max(options_.bytes_total / shares, kBytesMin);
  reader.bytes_max = static_cast<std::uint32_t>(std::min<std::uint64_t>(options_.bytes_max, part));
  reader.wait = options_.wait;
  reader.call_timeout = options_.call_timeout;
  reader.backoff_min = options_.backoff_min;
  reader.backoff_max = options_.backoff_max;
  reader.seed = io::keyed_hash(options_.seed, {++gains_, group.value});
  share.reader = std::make_unique<Reader>(reader);
}

void GroupReader::revoke(Share& share, Calls& out) {
  share.revoked = true;
  if (share.reader != nullptr) share.reader->close(out);
  share.reader.reset();
}

void GroupReader::lose(GroupId group, Share& share, Calls& out) {
  if (share.reader != nullptr) share.reader->close(out);
  changes_.push_back({group, share.epoch, false, TxnId()});
}

void GroupReader::lose_all(Calls& out) {
  for (auto& [group, share] : shares_) lose(group, share, out);
  shares_.clear();
  progress_since_ = io::kNever;
  lapses_ = io::kNever;
}

void GroupReader::on_error(const CallError& error, const io::Now& now, Calls& out) {
  switch (error.code) {
    case ErrorCode::not_leader: return fall_back(error.hint, options_.backoff_min, now);
    case ErrorCode::overloaded:
      ++repeats_.overloaded;
      return fall_back(target(), std::max(error.retry_after, options_.backoff_min), now);
    case ErrorCode::expired:
      // Put out: what it had is another's.
      sent_.reset();
      lose_all(out);
      state_ = state_ == State::leaving ? State::left : State::joining;
      next_report_ = io::Instant{INT64_MIN};
      return;
    case ErrorCode::unauthorized:
    case ErrorCode::malformed:
    case ErrorCode::too_large:
      sent_.reset();
      lose_all(out);
      failure_ = error.text;
      return;
    default: ++repeats_.unavailable; return fall_back(NodeId(), error.retry_after, now);
  }
}

// The same report again, soon: at `hint`, or at the next node.
void GroupReader::fall_back(NodeId hint, io::Duration at_least, const io::Now& now) {
  sent_.reset();
  const auto known = std::find(options_.nodes.begin(), options_.nodes.end(), hint);
  target_ = known != options_.nodes.end() ? static_cast<std::size_t>(known - options_.nodes.begin())
                                          : (target_ + 1) % options_.nodes.size();
  const std::uint64_t seed = io::keyed_hash(options_.seed, {0});
  const io::Duration pause = backoff(options_.backoff_min, options_.backoff_max, failures_++, seed);
  resume_at_ = now.monotonic + std::max(pause, at_least);
  next_report_ = resume_at_;
}

io::Instant GroupReader::deadline() const {
  if (failure_ || state_ == State::left) return io::kNever;
  io::Instant next = std::min(lapses_, sent_ ? sent_->expires : report_due());
  for (const auto& [group, share] : shares_) {
    if (share.reader != nullptr) next = std::min(next, share.reader->deadline());
  }
  return next;
}

}  // namespace reel::client
