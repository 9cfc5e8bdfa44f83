#include <fmt/core.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <memory>

#include "harness/campaign.h"
#include "harness/command/command.h"
#include "harness/command/simulation_flags.h"
#include "harness/recording.h"

namespace reel::harness {
namespace {

struct SimCommand {
  SimulationFlags flags;
  std::string seed;
  std::string seeds;
  double minutes = 0;
  std::uint32_t jobs = 0;
  bool json = false;
  std::string trace;
  std::vector<std::string> marks;
  std::size_t last_events = 0;
  std::string traces = "";

  Exit run() const;
  Exit run_one(const SimulationOptions& options) const;
  CampaignOptions campaign() const;
};

void print_line(const CampaignReport& report) {
  if (isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr,
             "\r{} seeds, {:.0f}/min, {:.2f} M events/s, {} commits, {} elections, {} faults, {} failures   ",
             report.seeds, static_cast<double>(report.seeds) * 60 / std::max(report.wall_seconds, 1e-3),
             static_cast<double>(report.events) / 1e6 / std::max(report.wall_seconds, 1e-3), report.commits,
             report.elections, report.faults.fired_total(), report.failures);
  std::fflush(stderr);
}

void print_report(const CampaignReport& report) {
  fmt::print(
      "{} seeds, {} failures, {} events, {:.1f} simulated seconds in {:.1f} s, {} commits, {} elections\n",
      report.seeds, report.failures, report.events, report.simulated_seconds, report.wall_seconds,
      report.commits, report.elections);
  for (std::size_t kind = 0; kind < sim::kFaultKinds; ++kind) {
    const auto which = static_cast<sim::FaultKind>(kind);
    const sim::FaultCount& count = report.faults[which];
    fmt::print("  {:<22} armed {:>8}  fired {:>9}  noticed {:>8}\n", sim::name_of(which), count.armed,
               count.fired, count.noticed);
  }
  for (const FailingSeed& failing : report.failing) {
    fmt::print("seed {}: {}: {}{}\n", failing.seed, failing.oracle, failing.text,
               failing.trace.empty() ? "" : " (" + failing.trace + ")");
  }
  for (const std::string& missing : report.missing) {
    fmt::print("the fault {} never fired or was never noticed: the campaign proves nothing about it\n",
               missing);
  }
}

CampaignOptions SimCommand::campaign() const {
  CampaignOptions options;
  options.simulation = flags.options();
  options.last_seed = 100;
  if (!seed.empty() && !seeds.empty()) misuse("give --seed or --seeds, not both");
  if (!seeds.empty()) parse_seeds(seeds, options.first_seed, options.last_seed);
  if (minutes > 0 && seeds.empty()) options.last_seed = UINT64_MAX - 1;
  options.minutes = minutes;
  options.jobs = processes_of(jobs);
  options.trace_directory = traces;
  if (!traces.empty()) {
    std::error_code error;
    std::filesystem::create_directories(traces, error);
    if (error) refuse("cannot make the directory '" + traces + "' for traces: " + error.message());
  }
  return options;
}

Exit SimCommand::run_one(const SimulationOptions& options) const {
  RunReport run;
  if (!trace.empty()) {
    auto recorded = record_run(options, trace, {marks, last_events});
    if (!recorded) refuse(recorded.error());
    run = std::move(*recorded);
  } else {
    run = Simulation(options).run();
  }
  CampaignReport report;
  report.seeds = 1;
  report.failures = run.failure ? 1 : 0;
  report.events = run.events;
  report.simulated_seconds = static_cast<double>(run.simulated_ns) / 1e9;
  report.commits = run.commits;
  report.elections = run.elections;
  report.commits_of = {run.commits};
  report.elections_of = {run.elections};
  report.faults_of = {run.faults.fired_total()};
  report.faults = run.faults;
  report.chain = run.chain;
  report.marks = run.marks;
  if (run.failure) {
    report.failing.push_back(
        {run.seed, run.failure->oracle, run.failure->signature, run.failure->text, trace});
  }
  if (json) {
    fmt::print("{}\n", to_json(report));
  } else {
    print_report(report);
    fmt::print("chain {:016x}\n", run.chain);
  }
  return run.failure ? Exit::finding : Exit::ok;
}

Exit SimCommand::run() const {
  if (!seed.empty()) {
    SimulationOptions options = flags.options();
    std::uint64_t last = 0;
    parse_seeds(seed, options.seed, last);
    if (last != options.seed) misuse("--seed takes one seed; for a range use --seeds");
    if (trace.empty() && (!marks.empty() || last_events != 0))
      misuse("--mark and --last shape a recording: give --trace");
    return run_one(options);
  }
  if (!trace.empty())
    misuse("--trace records one run: give --seed; for failing runs of a campaign use --traces");
  const CampaignOptions options = campaign();
  std::signal(SIGINT, [](int) { interrupt_campaign(); });
  std::signal(SIGTERM, [](int) { interrupt_campaign(); });
  const CampaignReport report = run_campaign(options, print_line);
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\n");
  if (json) {
    fmt::print("{}\n", to_json(report));
  } else {
    print_report(report);
  }
  return report.failures > 0 || !report.missing.empty() ? Exit::finding : Exit::ok;
}

}  // namespace

void add_sim(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("sim", "Run seeded simulations of a whole cluster under faults");
  command->footer(
      "Example: reel sim --seeds 1..200 --jobs 2\n         reel sim --seed 7 --trace seven.trace");
  auto state = std::make_shared<SimCommand>();
  state->flags.add_to(*command);
  command->add_option("--seed", state->seed, "one seed");
  command->add_option("--seeds", state->seeds, "a range of seeds, A..B (default 1..100)");
  command->add_option("--minutes", state->minutes, "stop starting seeds after this long");
  command->add_option("--jobs", state->jobs, "threads (default: one per core)");
  command->add_option("--trace", state->trace, "with --seed: record the run into this file");
  command->add_option("--mark", state->marks,
                      "with --trace: a coverage mark that the run, and every replay, must reach");
  command->add_option("--last", state->last_events,
                      "with --trace: keep only the last so many events (the hash covers all)");
  command->add_option("--traces", state->traces, "record failing runs into this directory");
  command->add_flag("--json", state->json, "end with one JSON object");
  command->callback([state, &run] { run = [state] { return state->run(); }; });
}

}  // namespace reel::harness
