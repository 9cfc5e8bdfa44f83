#include "harness/recording.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace reel::harness {
namespace {

constexpr std::size_t kTraceFileBytesMax = std::size_t{1} << 30;

#ifdef __clang__
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "gcc " __VERSION__;
#endif

}  // namespace

Recorded record(const SimulationOptions& options, const RecordingOptions& recording) {
  Simulation simulation(options, recording.overrides);
  sim::Recorder recorder(simulation.world(), recording.records_max);
  Recorded recorded;
  recorded.report = simulation.run();
  recorded.trace = recorder.trace();
  recorded.trace.seed = options.seed;  // of the options; a world may have one of its own (Cuts::respin)
  recorded.trace.build = kCompiler;
  recorded.trace.options = options.to_map();
  recorded.trace.overrides = recording.overrides;
  recorded.trace.marks = recording.marks;
  for (const std::string& mark : recording.marks) {
    if (!recorded.report.marks.contains(mark)) recorded.missed.push_back(mark);
  }
  return recorded;
}

std::expected<RunReport, std::string> record_run(const SimulationOptions& options, const std::string& path,
                                                 const RecordingOptions& recording) {
  const Recorded recorded = record(options, recording);
  if (!recorded.missed.empty()) {
    return std::unexpected("the run does not reach the mark '" + recorded.missed.front() +
                           "': choose another seed, see `reel sim --json` for the marks of a run");
  }
  const auto written = write_trace(recorded.trace, path);
  if (!written) return std::unexpected(written.error());
  return recorded.report;
}

std::expected<void, std::string> write_trace(const sim::Trace& trace, const std::string& path) {
  const std::vector<std::byte> bytes = sim::encode_trace(trace);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) {
    return std::unexpected("cannot write the trace '" + path + "': choose a directory that can be written");
  }
  return {};
}

std::expected<sim::Trace, std::string> read_trace(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::unexpected("cannot read the trace '" + path + "': " + std::strerror(errno));
  std::stringstream content;
  content << file.rdbuf();
  const std::string bytes = std::move(content).str();
  if (bytes.size() > kTraceFileBytesMax) return std::unexpected("'" + path + "' is larger than any trace");
  auto trace = sim::decode_trace(std::as_bytes(std::span(bytes.data(), bytes.size())));
  if (!trace) return std::unexpected("'" + path + "' is no intact trace: " + trace.error());
  return trace;
}

std::expected<SimulationOptions, std::string> options_of(const sim::Trace& trace) {
  auto options = SimulationOptions::from_map(trace.options);
  if (!options)
    return std::unexpected("the trace was made with options that this build does not know: " +
                           options.error());
  options->seed = trace.seed;
  return options;
}

std::expected<Replayed, std::string> replay(const sim::Trace& trace) {
  const auto options = options_of(trace);
  if (!options) return std::unexpected(options.error());
  Simulation simulation(*options, trace.overrides);
  sim::Replayer replayer(simulation.world(), trace);
  Replayed replayed;
  replayed.report = simulation.run();
  replayed.divergence = replayer.finish();
  for (const std::string& mark : trace.marks) {
    if (!replayed.report.marks.contains(mark)) replayed.missed.push_back(mark);
  }
  return replayed;
}

}  // namespace reel::harness
