// From a failing run to a minimal one that fails in the same way.
//
// A run is its seed, its options and its decisions. Taken away, in this order, as long as the failure keeps its signature
// (trial.h): timing noise as a whole; time; clients; fault programs; other kinds of choices as a whole; nodes; what makes
// the cluster's options unusual; requests; then single strikes and single choices, by delta debugging: halves, then
// smaller parts, then one by one (Zeller and Hildebrandt, 2002). Because choices are keyed, taking one away does not shift
// the others. But what is left of a run meets other moments; so a candidate that passes is tried again in worlds of other
// seeds (Cuts::respin). If no such world fails without timing noise either, clusters of other seeds are looked through for
// the same failure: then the minimum has another seed than the run that it was asked for.
//
// What counts as one decision that is not the default: a fault program that is on throughout its interval; a strike of one
// that strikes (with its time, target and length); a dimension of the cluster's options that left its default; and each
// other choice that is not neutral (sim/decisions.h: a pause is neutral when it lasts its mean), such as a parcel that is
// dropped, a delay, what a client asks for.
// Identities (sessions, entropy) and the sizes of nodes, clients and requests are none: they are reported beside it.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>

#include "harness/trial.h"

namespace reel::harness {

struct Size {
  std::uint64_t decisions = 0;
  std::uint32_t nodes = 0;
  std::uint32_t clients = 0;
  std::uint64_t commits = 0;  // acknowledged transactions
  std::uint64_t events = 0;
  std::int64_t time_ns = 0;  // until it fails
};

struct ShrinkProgress {
  std::uint64_t runs = 0;
  double seconds = 0;
  const char* pass = "";
};

struct ShrinkOptions {
  // No candidate is begun beyond these; 0: no bound. With runs alone the result depends on nothing else.
  std::uint64_t runs_max = 0;
  double seconds_max = 60;
  std::uint32_t jobs = 1;
  std::function<void(const ShrinkProgress&)> progress;  // may be empty
};

struct Shrunk {
  Trial trial;
  sim::TraceFailure failure;
  std::string signature;
  Size before;
  Size after;
  std::uint64_t runs = 0;
  double seconds = 0;
  bool complete = false;  // nothing more can be taken away by these means; else the budget was used up
};

// The error is a sentence: the run does not fail, or it cannot be watched failing.
[[nodiscard]] std::expected<Shrunk, std::string> shrink(const Trial& failing, const ShrinkOptions& options);

}  // namespace reel::harness
