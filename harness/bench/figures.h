// What benchmarks share in how they take their arguments and tell their figures.
#pragma once

#include <fmt/core.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <string>

#include "io/ports/time.h"

namespace reel::harness {

inline io::Duration duration_of(double seconds) { return {static_cast<std::int64_t>(seconds * 1e9)}; }

// For people: figures beyond the noise only distract.
inline double rounded(double value) { return std::round(value * 100) / 100; }

// Progress, on a terminal only; the next line takes its place.
inline void show(const std::string& line) {
  if (isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r{:<100}", line);
  std::fflush(stderr);
}
// Nothing takes its place.
inline void show_done() {
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r{:<100}\r", "");
}

}  // namespace reel::harness
