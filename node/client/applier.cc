#include "node/client/applier.h"

#include <exception>
#include <utility>

#include "io/ports/assert.h"
#include "node/client/calls.h"

namespace reel::client {
namespace {

// What a transaction that waits takes besides its record.
constexpr std::uint64_t kWaitingBytes = 160;

}  // namespace

const char* name_of(ViewStatus status) {
  switch (status) {
    case ViewStatus::running: return "running";
    case ViewStatus::retrying: return "retrying";
    case ViewStatus::stopped: return "stopped";
    case ViewStatus::failed: return "failed";
  }
  return "?";
}

Applier::Applier(GroupId group, ApplierOptions options, TxnId next, std::uint64_t seed)
    : group_(group), options_(std::move(options)), seed_(seed), next_(next) {
  REEL_ASSERT(options_.apply && options_.apply_attempts_max > 0);
}

void Applier::take(const log::Transaction& transaction, const Bytes& memory) {
  REEL_ASSERT(transaction.id >= next_);
  queue_.push_back({transaction, memory});
  bytes_ += transaction.record.size + kWaitingBytes;
}

std::optional<Applier::Passed> Applier::apply_one(const io::Now& now) {
  if (status_ == ViewStatus::retrying && retry_at_ <= now.monotonic) status_ = ViewStatus::running;
  if (closed_ || status_ != ViewStatus::running || queue_.empty()) return std::nullopt;
  applying_ = true;
  const auto applied = apply(queue_.front().transaction);
  applying_ = false;
  if (closed_) return std::nullopt;  // by the application, meanwhile
  if (!applied) return poisoned(applied.error(), now);
  return pass(Application::applied);
}

std::expected<void, std::string> Applier::apply(const log::Transaction& transaction) {
  try {
    return options_.apply(group_, transaction);
  } catch (const std::exception& thrown) {
    return std::unexpected(std::string(thrown.what()));
  }
}

Verdict Applier::verdict_on(const Poison& poison) {
  if (!options_.dead_letter) {
    return poison.failures < options_.apply_attempts_max ? Verdict::retry : Verdict::stop;
  }
  try {
    return options_.dead_letter(poison);
  } catch (const std::exception&) {
    return Verdict::stop;
  }
}

std::optional<Applier::Passed> Applier::poisoned(std::string why, const io::Now& now) {
  ++failures_;
  const Verdict verdict = verdict_on({group_, queue_.front().transaction, why, failures_});
  if (closed_) return std::nullopt;
  switch (verdict) {
    case Verdict::skip: return pass(Application::skipped);
    case Verdict::stop: stop(ViewStatus::stopped, std::move(why)); return std::nullopt;
    case Verdict::retry: break;
  }
  status_ = ViewStatus::retrying;
  why_ = std::move(why);
  retry_at_ = now.monotonic + backoff(options_.retry_min, options_.retry_max, failures_ - 1, seed_);
  return std::nullopt;
}

Applier::Passed Applier::pass(Application how) {
  const log::Transaction& transaction = queue_.front().transaction;
  const TxnId id = transaction.id;
  bytes_ -= transaction.record.size + kWaitingBytes;
  queue_.pop_front();
  failures_ = 0;
  why_.clear();
  next_ = id + 1;
  return {id, how};
}

std::optional<Applier::Passed> Applier::resume(Verdict verdict) {
  REEL_ASSERT(stopped() && !queue_.empty());
  if (verdict == Verdict::stop) return std::nullopt;
  status_ = ViewStatus::running;
  why_.clear();
  failures_ = 0;
  if (verdict == Verdict::skip) return pass(Application::skipped);
  return std::nullopt;
}

void Applier::fail(std::string why) { stop(ViewStatus::failed, std::move(why)); }

void Applier::stop(ViewStatus status, std::string why) {
  status_ = status;
  why_ = std::move(why);
  news_ = true;
}

void Applier::drop() {
  queue_.clear();
  bytes_ = 0;
  failures_ = 0;
  if (status_ == ViewStatus::failed) return;
  status_ = ViewStatus::running;
  why_.clear();
}

io::Instant Applier::deadline(const io::Now& now) const {
  if (closed_) return io::kNever;
  if (status_ == ViewStatus::retrying) return retry_at_;
  return status_ == ViewStatus::running && !queue_.empty() ? now.monotonic : io::kNever;
}

}  // namespace reel::client
