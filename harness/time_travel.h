// Going through a recorded run: to a moment, forward and backward from there, and into other futures.
//
// Backward is forward from an earlier checkpoint: a process that fork(2) left behind, waiting (fiber stacks cannot be
// copied within one). Other futures are forks, too: the same past, and from one moment on choices of another seed.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "harness/inspection.h"
#include "harness/trial.h"
#include "sim/trace.h"

namespace reel::harness {

// Plays a trace up to a moment and calls `look` there, once; at the run's end if that comes first. The run is held against
// the trace on the way. The error is a sentence: it is another run, or one of options that this build does not know.
[[nodiscard]] std::expected<void, std::string> play_until(const sim::Trace& trace, const Moment& moment,
                                                          const std::function<void(Simulation&)>& look);

// Reads commands, a line each, from the file descriptor `in` until its end or "quit", and prints what they ask for. The
// error is a sentence.
[[nodiscard]] std::expected<void, std::string> step_through(const sim::Trace& trace, int in);

// A run whose other futures are asked for.
struct Past {
  Trial trial;
  std::uint64_t events = 0;
  std::string signature;  // of its failure (trial.h); empty: it passes
};
// The error is a sentence: options that this build does not know.
[[nodiscard]] std::expected<Past, std::string> past_of(const sim::Trace& trace);

struct Futures {
  std::uint64_t events = 0;  // of the past that they share
  io::Instant time;
  std::string last;  // what its last event was
  std::uint32_t count = 0;
  std::uint32_t failed = 0;             // in any way
  std::uint32_t alike = 0;              // as the past's own future did
  std::vector<std::string> signatures;  // of each that failed, in order
};
// `count` futures from a moment on, `jobs` at once. They depend on the past, the moment and their number alone. If the run
// ends before the moment, so do its futures: they are that run.
[[nodiscard]] Futures fork_at(const Past& past, const Moment& moment, std::uint32_t count,
                              std::uint32_t jobs);

struct CulpritOptions {
  std::uint32_t futures = 12;  // of each point
  std::uint32_t points = 11;   // of each round
  std::uint32_t rounds = 5;
  std::uint32_t jobs = 1;
  std::function<void(const Futures&)> progress;  // may be empty
};
struct Culprit {
  std::vector<Futures> curve;  // by events: how likely the failure is after each of them
  std::size_t jump = 0;        // the largest rise is from curve[jump - 1] to curve[jump]
};
// Looks closer and closer at where the share of futures that fail like the past's rises most, until that is between two
// neighbouring events or the rounds are over. Requires a past that fails.
[[nodiscard]] Culprit find_culprit(const Past& past, const CulpritOptions& options);

}  // namespace reel::harness
