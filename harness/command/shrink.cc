#include "harness/shrink.h"

#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/command/command.h"
#include "harness/command/simulation_flags.h"
#include "harness/recording.h"
#include "harness/space_time.h"

namespace reel::harness {
namespace {

struct ShrinkCommand {
  SimulationFlags flags;
  std::string path;
  std::string seed;
  std::string out;
  std::uint64_t runs = 0;
  double seconds = 60;
  std::uint32_t jobs = 0;
  bool json = false;

  Exit run() const;
  Trial trial() const;
  std::string where() const;
  void print(const Shrunk& shrunk) const;
};

Trial ShrinkCommand::trial() const {
  if (path.empty() == seed.empty()) misuse("give a trace or --seed, one of them");
  Trial trial;
  if (!path.empty()) {
    const auto trace = read_trace(path);
    if (!trace) refuse(trace.error());
    const auto options = options_of(*trace);
    if (!options) refuse(path + ": " + options.error());
    trial.options = *options;
    trial.overrides = trace->overrides;
    return trial;
  }
  trial.options = flags.options();
  std::uint64_t last = 0;
  parse_seeds(seed, trial.options.seed, last);
  if (last != trial.options.seed) misuse("--seed takes one seed");
  return trial;
}

std::string ShrinkCommand::where() const {
  if (!out.empty()) return out;
  if (path.empty()) return "seed-" + seed + ".min.trace";
  return std::filesystem::path(path).replace_extension(".min.trace").string();
}

void show_progress(const ShrinkProgress& progress) {
  if (isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r{} runs, {:.0f} s, {:<24}", progress.runs, progress.seconds, progress.pass);
  std::fflush(stderr);
}

nlohmann::ordered_json json_of(const Size& size) {
  return {{"decisions", size.decisions}, {"nodes", size.nodes},
          {"clients", size.clients},     {"commits", size.commits},
          {"events", size.events},       {"sim_seconds", static_cast<double>(size.time_ns) / 1e9}};
}

std::string text_of(const Size& size) {
  return fmt::format("{} decisions, {} nodes, {} clients, {} commits, {} events, {:.3f} s", size.decisions,
                     size.nodes, size.clients, size.commits, size.events,
                     static_cast<double>(size.time_ns) / 1e9);
}

void ShrinkCommand::print(const Shrunk& shrunk) const {
  if (json) {
    const nlohmann::ordered_json object{{"seed", shrunk.trial.options.seed},
                                        {"oracle", shrunk.failure.oracle},
                                        {"signature", shrunk.signature},
                                        {"text", shrunk.failure.text},
                                        {"before", json_of(shrunk.before)},
                                        {"after", json_of(shrunk.after)},
                                        {"runs", shrunk.runs},
                                        {"seconds", shrunk.seconds},
                                        {"complete", shrunk.complete},
                                        {"trace", where()}};
    fmt::print("{}\n", object.dump());
    return;
  }
  fmt::print("{}", draw_space_time(shrunk.trial));
  fmt::print("before: {}\nafter:  {}\n", text_of(shrunk.before), text_of(shrunk.after));
  fmt::print("{}: {} runs, {:.1f} s{}\n", where(), shrunk.runs, shrunk.seconds,
             shrunk.complete ? "" : "; the budget was used up, more may be possible");
}

Exit ShrinkCommand::run() const {
  const Trial failing = trial();
  ShrinkOptions options;
  options.runs_max = runs;
  options.seconds_max = runs != 0 ? 0 : seconds;
  options.jobs = processes_of(jobs);
  options.progress = show_progress;
  const auto shrunk = shrink(failing, options);
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\n");
  if (!shrunk) refuse(shrunk.error());
  RecordingOptions recording;
  recording.overrides = shrunk->trial.overrides;
  const auto recorded = record_run(shrunk->trial.options, where(), recording);
  if (!recorded) refuse(recorded.error());
  print(*shrunk);
  return Exit::ok;
}

}  // namespace

void add_shrink(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "shrink", "Make a failing run minimal: the fewest decisions that fail in the same way");
  command->footer(
      "Example: reel shrink --seed 42 --workload locks\n"
      "         reel shrink failing.trace --seconds 20    # writes failing.min.trace");
  auto state = std::make_shared<ShrinkCommand>();
  command->add_option("trace", state->path, "trace of a failing run");
  state->flags.add_to(*command);
  command->add_option("--seed", state->seed, "a failing seed, with the flags that it was run with");
  command->add_option("--out", state->out,
                      "where the minimal trace goes (default: beside the trace, .min.trace)");
  command->add_option("--seconds", state->seconds, "begin no candidate after this long")
      ->capture_default_str();
  command->add_option("--runs", state->runs,
                      "instead: try so many candidates; then the result does not depend on the machine");
  command->add_option("--jobs", state->jobs, "runs at once (default: one per core)");
  command->add_flag("--json", state->json, "end with one JSON object");
  command->callback([state, &run] { run = [state] { return state->run(); }; });
}

}  // namespace reel::harness
