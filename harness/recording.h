// World traces as files: record a run, replay it, and stop at the first event that differs.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "harness/simulation.h"
#include "sim/trace.h"

namespace reel::harness {

// What a recording keeps.
struct RecordingOptions {
  std::vector<std::string> marks;  // that a replay must reach
  std::size_t records_max = 0;  // the last so many events, 0: all; the hash chain covers all of them anyway
  std::vector<sim::Override> overrides{};
};
struct Recorded {
  RunReport report;
  sim::Trace trace;
  std::vector<std::string> missed;  // marks that the run itself did not reach
};
[[nodiscard]] Recorded record(const SimulationOptions& options, const RecordingOptions& recording = {});
// The same into a file. The error is a sentence: it cannot be written, or a mark was not reached (then there is no file).
[[nodiscard]] std::expected<RunReport, std::string> record_run(const SimulationOptions& options,
                                                               const std::string& path,
                                                               const RecordingOptions& recording = {});

struct Replayed {
  RunReport report;
  std::optional<sim::Divergence> divergence;
  std::vector<std::string> missed;  // marks that the trace must reach and the run did not
};
// The error is a sentence: options that this build does not know.
[[nodiscard]] std::expected<Replayed, std::string> replay(const sim::Trace& trace);

[[nodiscard]] std::expected<sim::Trace, std::string> read_trace(const std::string& path);
// The error is a sentence.
[[nodiscard]] std::expected<void, std::string> write_trace(const sim::Trace& trace, const std::string& path);
// The run that a trace is of. The error is a sentence: options that this build does not know.
[[nodiscard]] std::expected<SimulationOptions, std::string> options_of(const sim::Trace& trace);

}  // namespace reel::harness
