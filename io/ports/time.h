// Time as the core sees it: integer nanoseconds, always given, never asked for.
// Instant is monotonic and keeps running while the machine is suspended (CLOCK_BOOTTIME): a machine that slept must
// not believe its lease. WallTime is what a calendar says; it may jump both ways and carries an error bound.
#pragma once

#include "io/ports/strong.h"

namespace reel::io {

// A span of nanoseconds; negative spans are legal in arithmetic and never as a delay.
struct Duration {
  std::int64_t ns{};
  constexpr auto operator<=>(const Duration&) const = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }
  friend constexpr Duration operator-(Duration a, Duration b) { return {a.ns - b.ns}; }
  friend constexpr Duration operator*(Duration a, std::int64_t k) { return {a.ns * k}; }
  friend constexpr Duration operator/(Duration a, std::int64_t k) { return {a.ns / k}; }
};

constexpr Duration nanoseconds(std::int64_t n) { return {n}; }
constexpr Duration microseconds(std::int64_t n) { return {n * 1'000}; }
constexpr Duration milliseconds(std::int64_t n) { return {n * 1'000'000}; }
constexpr Duration seconds(std::int64_t n) { return {n * 1'000'000'000}; }

// Nanoseconds since an arbitrary start of this machine; comparable within one boot of one node only.
struct Instant {
  std::int64_t ns{};
  constexpr auto operator<=>(const Instant&) const = default;
  friend constexpr Instant operator+(Instant t, Duration d) { return {t.ns + d.ns}; }
  friend constexpr Instant operator-(Instant t, Duration d) { return {t.ns - d.ns}; }
  friend constexpr Duration operator-(Instant a, Instant b) { return {a.ns - b.ns}; }
};
inline constexpr Instant kNever{INT64_MAX};

// Nanoseconds since 1970-01-01 UTC, leap seconds smeared or not as the machine has it.
struct WallTime {
  std::int64_t ns{};
  constexpr auto operator<=>(const WallTime&) const = default;
};

// Everything a step may know about time.
struct Now {
  Instant monotonic;
  WallTime wall;
  Duration wall_error;  // |wall - true time| is at most this, as far as the machine knows
};

}  // namespace reel::io
