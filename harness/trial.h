// Trials: runs that may fail, abort or hang, each in a process of its own, several at once. What they find does not depend
// on how many run at once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/simulation.h"
#include "sim/trace.h"

namespace reel::harness {

// One run: everything that it depends on.
struct Trial {
  SimulationOptions options;
  std::vector<sim::Override> overrides{};
  Simulation::Between between{};  // for tests that break things
};

// What a shrinker must keep: oracle, site, and the words of the complaint without its numbers, names of files and
// examples. Two failures of one signature are taken for the same bug.
[[nodiscard]] std::string signature_of(const sim::TraceFailure& failure);

enum class TrialEnd : std::uint8_t {
  passed,
  failed,    // an oracle or an assertion said so
  crashed,   // the process died
  unending,  // above the bounds of TrialLimits
};

struct TrialOutcome {
  TrialEnd end = TrialEnd::passed;
  sim::TraceFailure failure;  // failed
  int signal = 0;             // crashed: what it died of
  std::int64_t time_ns = 0;   // of the world, at the end
  std::uint64_t events = 0;
  std::uint64_t commits = 0;
  std::vector<sim::Override>
      draws;  // when asked for: those that are not neutral, in order, without identities

  bool has(const std::string& signature) const {
    return end == TrialEnd::failed && signature_of(failure) == signature;
  }
};

struct TrialLimits {
  std::uint64_t events_max = UINT64_MAX;  // of the world; the run counts as unending beyond
  std::uint32_t cpu_seconds_max = 20;     // likewise
  io::Instant time_max = io::kNever;      // of the world: what has not failed by then passes
  std::uint32_t jobs = 1;                 // processes at once
};

[[nodiscard]] TrialOutcome run_trial(const Trial& trial, const TrialLimits& limits, bool wants_draws = false);

struct Found {
  std::size_t index = 0;
  TrialOutcome outcome;
};
// The first of them that fails with this signature, in their order; nullopt if none does. Those behind it may run, too,
// and are stopped.
[[nodiscard]] std::optional<Found> first_with(const std::string& signature, std::span<const Trial> trials,
                                              const TrialLimits& limits);

}  // namespace reel::harness
