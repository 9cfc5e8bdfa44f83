#include "io/real/clock.h"

#include <sys/timerfd.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "io/ports/assert.h"

namespace reel::real {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

std::int64_t read_ns(clockid_t clock) {
  timespec time{};
  REEL_CHECK(clock_gettime(clock, &time) == 0);
  return static_cast<std::int64_t>(time.tv_sec) * kSecondNs + time.tv_nsec;
}

io::Duration kernel_wall_error() {
  timex state{};  // modes = 0: only read
  const int result = adjtimex(&state);
  if (result < 0 || result == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
    return RealClock::kUnsynchronisedError;
  }
  return io::microseconds(state.maxerror);
}

}  // namespace

io::Instant monotonic_now() { return {read_ns(CLOCK_BOOTTIME)}; }
io::WallTime wall_now() { return {read_ns(CLOCK_REALTIME)}; }

RealClock::RealClock(Loop& loop)
    : loop_(loop), timer_(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC)) {
  REEL_CHECK(timer_ >= 0);
  watch_ = loop_.watch(timer_, [this] { on_timer(); });
}

RealClock::~RealClock() noexcept {
  watch_ = nullptr;
  ::close(timer_);
}

io::Now RealClock::now() const {
  const io::Instant monotonic = monotonic_now();
  if (error_read_.ns == INT64_MIN || monotonic - error_read_ >= io::seconds(1)) {
    error_read_ = monotonic;
    wall_error_ = kernel_wall_error();
  }
  return {monotonic, wall_now(), wall_error_};
}

void RealClock::wake_at(io::Instant time) {
  wanted_ = time;
  if (wanted_ < armed_) arm(wanted_);
}

void RealClock::arm(io::Instant time) {
  armed_ = time;
  // Zero would disarm; any time in the past fires at once.
  const std::int64_t ns = std::max<std::int64_t>(time.ns, 1);
  itimerspec spec{};
  spec.it_value.tv_sec = ns / kSecondNs;
  spec.it_value.tv_nsec = ns % kSecondNs;
  REEL_CHECK(timerfd_settime(timer_, TFD_TIMER_ABSTIME, &spec, nullptr) == 0);
}

void RealClock::on_timer() {
  std::uint64_t expirations = 0;
  if (::read(timer_, &expirations, sizeof expirations) != sizeof expirations) return;  // set anew meanwhile
  armed_ = io::kNever;
  if (wanted_ == io::kNever) return;
  if (monotonic_now() < wanted_) {
    arm(wanted_);
    return;
  }
  wanted_ = io::kNever;
  loop_.note_activity();
  if (host_ != nullptr) host_->on_wake();
}

}  // namespace reel::real
