// One alarm for two: a client::Client's, and that of the program around it.
#pragma once

#include <algorithm>

#include "io/ports/clock.h"

namespace reel::harness {

class SharedClock final : public io::Clock {
 public:
  explicit SharedClock(io::Clock& clock) : clock_(clock) {}
  io::Now now() const override { return clock_.now(); }
  void wake_at(io::Instant time) override {
    clients_ = time;
    clock_.wake_at(std::min(clients_, own_));
  }
  void wake_program_at(io::Instant time) {
    own_ = time;
    clock_.wake_at(std::min(clients_, own_));
  }
  io::Instant program_alarm() const { return own_; }

 private:
  io::Clock& clock_;
  io::Instant clients_ = io::kNever;
  io::Instant own_ = io::kNever;
};

}  // namespace reel::harness
