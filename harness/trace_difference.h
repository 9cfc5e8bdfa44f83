// Where two recorded runs part, and why: what they were made from, the first event that differs, and the first choice
// before it that differs, found by playing both again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/trace.h"

namespace reel::harness {

struct TraceDifference {
  std::vector<std::string> made_from;    // seed, options and overrides that differ, a line each
  std::optional<std::uint64_t> index;    // of the first event that differs, from the start of the run
  std::optional<sim::TraceRecord> left;  // absent: that run is over by then
  std::optional<sim::TraceRecord> right;
  // Runs of which only the last events were kept may have parted before.
  bool may_be_earlier = false;
  std::string verdict;  // how their ends differ; empty: in nothing
  std::string why;      // one sentence

  bool same() const { return made_from.empty() && !index && verdict.empty(); }
};

[[nodiscard]] TraceDifference difference_of(const sim::Trace& left, const sim::Trace& right);
// For people: a line for each fact.
[[nodiscard]] std::string describe(const TraceDifference& difference);

}  // namespace reel::harness
