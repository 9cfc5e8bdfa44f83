// World traces as files: record a run, replay it, and stop at the first event that differs.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "harness/simulation.h"
#include "sim/trace.h"

namespace reel::harness {

// Runs with every event recorded. The trace names the marks that the run reached, if `with_marks`.
struct Recorded {
  RunReport report;
  sim::Trace trace;
};
[[nodiscard]] Recorded record(const SimulationOptions& options, std::vector<std::string> marks_to_reach = {});
// The same into a file; nullopt if it cannot be written.
[[nodiscard]] std::optional<RunReport> record_run(const SimulationOptions& options, const std::string& path,
                                                  std::vector<std::string> marks_to_reach = {});

struct Replayed {
  RunReport report;
  std::optional<sim::Divergence> divergence;
  std::vector<std::string> missed;  // marks that the trace must reach and the run did not
};
// The error is a sentence: options that this build does not know.
[[nodiscard]] std::expected<Replayed, std::string> replay(const sim::Trace& trace);

[[nodiscard]] std::expected<sim::Trace, std::string> read_trace(const std::string& path);

}  // namespace reel::harness
