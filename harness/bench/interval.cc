#include "harness/bench/interval.h"

#include <algorithm>

#include "harness/refusal.h"
#include "io/real/clock.h"

namespace reel::harness {
namespace {

constexpr io::Duration kWatchEvery = io::milliseconds(500);

double seconds_of(io::Duration span) { return static_cast<double>(span.ns) / 1e9; }

}  // namespace

double run_measured(real::Loop& loop, const Interval& interval, const std::string& error,
                    const std::function<void(bool)>& mark, const std::function<void(double)>& watch) {
  const auto run = [&](io::Instant end, const std::function<void()>& look) {
    while (real::monotonic_now() < end) {
      const io::Instant until = std::min(end, real::monotonic_now() + kWatchEvery);
      const bool ended = loop.run_until([&] { return !error.empty() || real::monotonic_now() >= until; },
                                        kWatchEvery + io::seconds(60));
      if (!error.empty()) refuse(error);
      if (!ended) refuse("interrupted");
      look();
    }
  };
  run(real::monotonic_now() + interval.warm_up, [&] { watch(0); });
  mark(true);
  const io::Instant began = real::monotonic_now();
  run(began + interval.duration, [&] { watch(seconds_of(real::monotonic_now() - began)); });
  const double seconds = seconds_of(real::monotonic_now() - began);
  mark(false);
  return seconds;
}

}  // namespace reel::harness
