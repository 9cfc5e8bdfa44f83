// The time of a benchmark: the loop runs while it warms up, and then while it is measured.
#pragma once

#include <functional>
#include <string>

#include "io/ports/time.h"
#include "io/real/event_loop.h"

namespace reel::harness {

struct Interval {
  io::Duration warm_up;
  io::Duration duration;
};

// Runs the loop through both. `mark(true)` is called when measuring begins, `mark(false)` when it ends; `watch` twice a
// second, with the seconds that were measured so far: it may refuse (CommandError) to go on. Refuses as soon as `error` says
// something, and on Ctrl-C. Returns the seconds that were measured.
double run_measured(real::Loop& loop, const Interval& interval, const std::string& error,
                    const std::function<void(bool)>& mark, const std::function<void(double)>& watch);

}  // namespace reel::harness
