// RealClock: io::Clock on CLOCK_BOOTTIME (it runs on while the machine is suspended, so a machine that slept
// does not believe its lease) and CLOCK_REALTIME, with one timerfd that the loop watches.
//
// now() reads the clocks each time (two vDSO calls, some 50 ns): a value kept over a turn would be early, and
// early is what a lease must not be. The wall clock's error is the kernel's own bound (adjtimex), read once a
// second.
#pragma once

#include "io/ports/clock.h"
#include "io/ports/host.h"
#include "io/real/event_loop.h"

namespace reel::real {

// CLOCK_BOOTTIME without a loop, for tools.
[[nodiscard]] io::Instant monotonic_now();
[[nodiscard]] io::WallTime wall_now();

class RealClock final : public io::Clock {
 public:
  // What the wall clock may be off by where nothing disciplines it: the kernel's own limit of a phase error.
  static constexpr io::Duration kUnsynchronisedError = io::seconds(16);

  explicit RealClock(Loop& loop);
  ~RealClock() noexcept override;
  // on_wake() goes to this host; nullptr silences the clock.
  void attach(io::Host* host) { host_ = host; }

  [[nodiscard]] io::Now now() const override;
  // A wake-up that moves later costs no system call: the timer fires early once and is set again.
  void wake_at(io::Instant time) override;

 private:
  void on_timer();
  void arm(io::Instant time);

  Loop& loop_;
  io::Host* host_ = nullptr;
  int timer_ = -1;
  io::Instant wanted_ = io::kNever;
  io::Instant armed_ = io::kNever;
  mutable io::Instant error_read_{INT64_MIN};
  mutable io::Duration wall_error_ = kUnsynchronisedError;
  kj::Own<void> watch_;
};

}  // namespace reel::real
