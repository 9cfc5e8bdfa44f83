// io::Clock: the time, and one alarm. on_wake() comes at the earliest at the time asked for, never before;
// a later wake_at() replaces an earlier one.
#pragma once

#include "io/ports/time.h"

namespace reel::io {

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Now now() const = 0;
  virtual void wake_at(Instant time) = 0;
};

}  // namespace reel::io
