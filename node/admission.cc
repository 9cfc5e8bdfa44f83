#include "node/admission.h"

#include <algorithm>
#include <utility>

#include "io/ports/assert.h"

namespace reel::node {
namespace {

// Of time with a backlog: long enough to span several entries on a slow disk.
constexpr io::Duration kWindow = io::milliseconds(50);
// A standstill of this many windows says no more than one of any more.
constexpr std::int64_t kWindowsMax = 32;
// How far ahead appointments are made, in delay targets.
constexpr std::int64_t kAppointmentsMax = 4;
constexpr std::uint64_t kRateMax = std::uint64_t{1} << 40;

}  // namespace

Admission::Admission(const AdmissionOptions& options) : options_(options) {
  REEL_ASSERT(options.bytes_max > 0 && options.bytes_max <= kRateMax && options.calls_max > 0);
  REEL_ASSERT(options.bytes_min <= options.bytes_max);
  REEL_ASSERT(options.delay_target.ns > 0 && options.delay_target <= io::seconds(60));
  REEL_ASSERT(options.retry_min.ns > 0 && options.retry_min <= options.retry_max);
  // Until it is measured: what lets bytes_min wait.
  const auto target_us = static_cast<std::uint64_t>(options.delay_target.ns / 1000);
  rate_ = std::max<std::uint64_t>(options.bytes_min * 1'000'000 / std::max<std::uint64_t>(target_us, 1), 1);
}

std::uint64_t Admission::limit() const {
  // Microseconds: kRateMax times a minute stays within 64 bits.
  const auto target_us = static_cast<std::uint64_t>(options_.delay_target.ns / 1000);
  return std::clamp(rate_ / 1000 * target_us / 1000, options_.bytes_min, options_.bytes_max);
}

std::optional<io::Duration> Admission::refuses(const SessionId& session, std::uint64_t block_bytes,
                                               io::Instant now) {
  measure(now);
  const std::uint64_t cost = block_bytes + kCallBytes;
  const auto found = sessions_.find(session);
  if (!fits(found == sessions_.end() ? Held() : found->second, cost)) {
    ++refused_;
    return appointment(cost, now);
  }
  Held& held = found == sessions_.end() ? sessions_[session] : found->second;
  held.bytes += cost;
  ++held.calls;
  bytes_ += cost;
  ++calls_;
  return std::nullopt;
}

bool Admission::fits(const Held& held, std::uint64_t cost) const {
  if (calls_ == 0) return true;
  const std::uint64_t most = limit();
  if (calls_ >= options_.calls_max || bytes_ + cost > most) return false;
  if (held.calls == 0) return true;
  const std::uint64_t shared = most - most / kReserve;
  if (bytes_ + cost > shared) return false;
  return held.bytes + cost <= kShare * (shared - bytes_ - cost) &&
         held.calls + 1 <= kShare * (options_.calls_max - calls_ - 1);
}

void Admission::release(const SessionId& session, std::uint64_t block_bytes, io::Instant now) {
  measure(now);
  const std::uint64_t cost = block_bytes + kCallBytes;
  const auto found = sessions_.find(session);
  REEL_ASSERT(found != sessions_.end() && found->second.calls > 0 && found->second.bytes >= cost);
  REEL_ASSERT(calls_ > 0 && bytes_ >= cost);
  found->second.bytes -= cost;
  if (--found->second.calls == 0) sessions_.erase(found);
  bytes_ -= cost;
  --calls_;
  drained_ += cost;
  REEL_ASSERT((calls_ == 0) == (bytes_ == 0) && (calls_ == 0) == sessions_.empty());
}

void Admission::clear() {
  sessions_.clear();
  bytes_ = 0;
  calls_ = 0;
}

// Time counts while something waits: only then does the queue drain as fast as it can.
void Admission::measure(io::Instant now) {
  const io::Duration passed = now - std::exchange(seen_, now);
  if (calls_ == 0) return;
  backlogged_ = backlogged_ + passed;
  if (backlogged_ < kWindow) return;
  const std::int64_t windows = std::min(backlogged_.ns / kWindow.ns, kWindowsMax);
  const auto elapsed_us = static_cast<std::uint64_t>(backlogged_.ns / 1000);
  const std::uint64_t sample = std::min(kRateMax, drained_ * 1'000'000 / elapsed_us);
  for (std::int64_t i = 0; i < windows; ++i) rate_ = std::max(sample, (rate_ * 3 + sample) / 4);
  rate_ = std::max<std::uint64_t>(rate_, 1);
  backlogged_ = {};
  drained_ = 0;
}

io::Duration Admission::time_for(std::uint64_t cost) const {
  const std::uint64_t us = std::min<std::uint64_t>(cost * 1'000'000 / rate_, 3600ull * 1'000'000);
  return io::microseconds(static_cast<std::int64_t>(us));
}

// The first one comes when half of what waits now has drained, and the last one soon enough, so that the queue does not run
// empty while those who could fill it wait.
io::Duration Admission::appointment(std::uint64_t cost, io::Instant now) {
  const io::Instant latest = now + std::min(options_.retry_max, options_.delay_target * kAppointmentsMax);
  const io::Instant next = std::max(last_appointment_, now + time_for(bytes_ / 2)) + time_for(cost);
  last_appointment_ = std::min(next, latest);
  return std::max(last_appointment_ - now, options_.retry_min);
}

}  // namespace reel::node
