#include <fmt/core.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/command/command.h"
#include "harness/recording.h"
#include "harness/space_time.h"
#include "harness/time_travel.h"
#include "harness/trace_difference.h"

namespace reel::harness {
namespace {

struct ReplayCommand {
  std::vector<std::string> paths;
  bool json = false;
  std::string until;
  std::vector<std::string> inspected;
  bool steps = false;
  std::uint32_t futures = 0;
  std::string at;
  bool culprit = false;
  std::uint32_t jobs = 0;

  Exit run() const;
  Exit run_one(const std::string& path) const;
  bool travels() const { return !until.empty() || steps || futures != 0 || culprit || !at.empty(); }
  Exit travel() const;
  Exit show_state(const sim::Trace& trace) const;
  Exit show_futures(const sim::Trace& trace) const;
  Exit show_culprit(const sim::Trace& trace) const;
};

constexpr std::uint32_t kFuturesMax = 10'000;

sim::Trace trace_at(const std::string& path) {
  auto trace = read_trace(path);
  if (!trace) refuse(trace.error());
  return std::move(*trace);
}

Exit ReplayCommand::run_one(const std::string& path) const {
  const sim::Trace trace = trace_at(path);
  auto replayed = replay(trace);
  if (!replayed) refuse(path + ": " + replayed.error());
  const bool same = !replayed->divergence && replayed->missed.empty();
  if (json) {
    nlohmann::ordered_json object{
        {"trace", path}, {"seed", trace.seed}, {"same", same}, {"events", replayed->report.events}};
    object["divergence"] = replayed->divergence ? replayed->divergence->text : "";
    object["missed_marks"] = replayed->missed;
    object["failure"] = replayed->report.failure ? replayed->report.failure->text : "";
    fmt::print("{}\n", object.dump());
  } else if (same) {
    fmt::print("{}: the same run, {} events, chain {:016x}{}\n", path, replayed->report.events, trace.chain,
               trace.failure ? ", and the same failure: " + trace.failure->text : "");
  } else if (replayed->divergence) {
    fmt::print("{}: {}\n", path, replayed->divergence->text);
  } else {
    fmt::print("{}: the run no longer reaches the mark {}\n", path, replayed->missed.front());
  }
  return same ? Exit::ok : Exit::finding;
}

Moment moment_of(const std::string& text) {
  const auto moment = parse_moment(text);
  if (!moment) misuse(moment.error());
  return *moment;
}

Exit ReplayCommand::show_state(const sim::Trace& trace) const {
  const Moment moment = moment_of(until);
  std::string unknown;
  const auto played = play_until(trace, moment, [&](Simulation& simulation) {
    std::vector<NodeId> machines;
    for (const std::string& name : inspected) {
      const auto machine = machine_by_name(simulation, name);
      if (!machine) unknown = name;
      if (machine) machines.push_back(*machine);
    }
    if (inspected.empty()) machines = simulation.replicas();
    if (!unknown.empty()) return;
    for (const NodeId machine : machines) fmt::print("{}", inspect(simulation, machine));
    if (const auto& failure = simulation.world().failure())
      fmt::print("the run has failed: {}\n", failure->text);
  });
  if (!played) refuse(paths.front() + ": " + played.error());
  if (!unknown.empty())
    misuse("this run has no machine '" + unknown + "': name one such as node1 or client101");
  return Exit::ok;
}

void print_futures(const Futures& futures) {
  constexpr std::uint32_t kBar = 40;
  const std::uint32_t length = futures.count == 0 ? 0 : futures.alike * kBar / futures.count;
  fmt::print(
      "{:>9}  {:>12.6f} s  {:>4} of {:<4} {:<40}  {}\n", futures.events,
      static_cast<double>(futures.time.ns) / 1e9, futures.alike, futures.count, std::string(length, '#'),
      futures.failed > futures.alike ? fmt::format("{} in other ways", futures.failed - futures.alike) : "");
}

Exit ReplayCommand::show_futures(const sim::Trace& trace) const {
  const auto past = past_of(trace);
  if (!past) refuse(paths.front() + ": " + past.error());
  const Futures found =
      fork_at(*past, moment_of(at), futures == 0 ? CulpritOptions().futures : futures, processes_of(jobs));
  std::map<std::string, std::uint32_t> signatures;
  for (const std::string& signature : found.signatures) ++signatures[signature];
  if (json) {
    const nlohmann::ordered_json object{{"trace", paths.front()}, {"events", found.events},
                                        {"futures", found.count}, {"failed", found.failed},
                                        {"alike", found.alike},   {"signatures", signatures}};
    fmt::print("{}\n", object.dump());
    return Exit::ok;
  }
  fmt::print("{}\n{} futures from here: {} fail, {} of them as the trace does\n", found.last, found.count,
             found.failed, found.alike);
  for (const auto& [signature, count] : signatures) fmt::print("  {:>4}  {}\n", count, signature);
  return Exit::ok;
}

Exit ReplayCommand::show_culprit(const sim::Trace& trace) const {
  if (!trace.failure) refuse(paths.front() + " is of a run that does not fail: there is no culprit");
  const auto past = past_of(trace);
  if (!past) refuse(paths.front() + ": " + past.error());
  CulpritOptions options;
  if (futures != 0) options.futures = futures;
  options.jobs = processes_of(jobs);
  options.progress = [](const Futures& point) {
    if (isatty(STDERR_FILENO) == 0) return;
    fmt::print(stderr, "\revent {}: {} of {} futures fail   ", point.events, point.alike, point.count);
    std::fflush(stderr);
  };
  const Culprit found = find_culprit(*past, options);
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\n");
  const Futures& after = found.curve[found.jump];
  if (json) {
    nlohmann::ordered_json object{{"trace", paths.front()}, {"event", after.events}, {"last", after.last}};
    object["curve"] = nlohmann::ordered_json::array();
    for (const Futures& point : found.curve)
      object["curve"].push_back({{"events", point.events}, {"futures", point.count}, {"alike", point.alike}});
    fmt::print("{}\n", object.dump());
    return Exit::ok;
  }
  fmt::print("    event          time  futures that fail as the trace does\n");
  for (const Futures& point : found.curve) print_futures(point);
  if (found.jump == 0) return Exit::ok;
  const Futures& before = found.curve[found.jump - 1];
  fmt::print("culprit: between events {} and {} it rises from {} to {} of {}\n{}\n", before.events,
             after.events, before.alike, after.alike, after.count, after.last);
  return Exit::ok;
}

Exit ReplayCommand::travel() const {
  if (paths.size() != 1) misuse("--until, --step, --fork and --culprit go through one trace");
  if (!until.empty() + steps + culprit + !at.empty() > 1)
    misuse("give one of --until, --step, --fork with --at, and --culprit");
  if (futures != 0 && at.empty() && !culprit)
    misuse("--fork needs --at: a time such as 12.3s, or a number of events");
  if (futures > kFuturesMax) misuse("--fork is at most 10000");
  const sim::Trace trace = trace_at(paths.front());
  if (culprit) return show_culprit(trace);
  if (!at.empty()) return show_futures(trace);
  if (!until.empty()) return show_state(trace);
  const auto stepped = step_through(trace, STDIN_FILENO);
  if (!stepped) refuse(paths.front() + ": " + stepped.error());
  return Exit::ok;
}

Exit ReplayCommand::run() const {
  if (!inspected.empty() && until.empty())
    misuse("--inspect needs --until: a time such as 12.3s, or a number of events");
  if (travels()) return travel();
  Exit worst = Exit::ok;
  for (const std::string& path : paths) {
    if (run_one(path) != Exit::ok) worst = Exit::finding;
  }
  return worst;
}

Exit print_hash(const std::string& path) {
  const sim::Trace trace = trace_at(path);
  fmt::print("{:016x}\n", trace.chain);
  return Exit::ok;
}

Exit view(const std::string& path, std::uint64_t lines, std::uint64_t columns) {
  const sim::Trace trace = trace_at(path);
  const auto options = options_of(trace);
  if (!options) refuse(path + ": " + options.error());
  if (lines < 10 || columns < 40 || columns > 1000)
    misuse("a diagram has at least 10 lines and 40 to 1000 columns");
  fmt::print("{}", draw_space_time({*options, trace.overrides, {}}, {lines, columns}));
  return Exit::ok;
}

Exit diff(const std::vector<std::string>& paths) {
  const sim::Trace left = trace_at(paths[0]);
  const sim::Trace right = trace_at(paths[1]);
  const TraceDifference difference = difference_of(left, right);
  fmt::print("{}", describe(difference));
  return difference.same() ? Exit::ok : Exit::finding;
}

Exit dump(const std::string& path, std::uint64_t limit) {
  const sim::Trace trace = trace_at(path);
  fmt::print("seed {}  build {}  events {}  end {:.6f} s  chain {:016x}\n", trace.seed, trace.build,
             trace.events, static_cast<double>(trace.end.ns) / 1e9, trace.chain);
  for (const auto& [key, value] : trace.options) fmt::print("option {} = {}\n", key, value);
  for (const sim::Override& entry : trace.overrides) {
    fmt::print("override {} place {} node {} #{} = {}\n", sim::name_of(entry.key.kind), entry.key.place,
               entry.key.node, entry.key.counter, entry.value);
  }
  for (const std::string& mark : trace.marks) fmt::print("must reach {}\n", mark);
  std::uint64_t shown = 0;
  for (const sim::TraceRecord& record : trace.records) {
    if (limit != 0 && shown++ >= limit) break;
    fmt::print("{}\n", sim::describe(record));
  }
  if (trace.failure) fmt::print("failed: {}: {}\n", trace.failure->oracle, trace.failure->text);
  return Exit::ok;
}

}  // namespace

void add_replay(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("replay", "Play recorded runs again and stop at the first difference");
  command->footer(
      "Example: reel replay traces/*.trace\n"
      "         reel replay failing.trace --until 2.5s --inspect node2\n"
      "         reel replay failing.trace --step            # next, back, go 1.5s, inspect node1, quit\n"
      "         reel replay failing.trace --fork 100 --at 2.4s\n"
      "         reel replay failing.trace --culprit");
  auto state = std::make_shared<ReplayCommand>();
  command->add_option("traces", state->paths, "trace files")->required();
  command->add_flag("--json", state->json, "one JSON object for each trace");
  command->add_option("--until", state->until,
                      "play to this moment, a time (12.3s, 450ms) or a number of events, and show the state");
  command
      ->add_option("--inspect", state->inspected,
                   "with --until: this machine (node2, client101) and no other")
      ->allow_extra_args(false);
  command->add_flag("--step", state->steps,
                    "read commands from the input: forward and backward, event by event");
  command->add_option("--fork", state->futures,
                      "run so many other futures from --at on, and count those that fail");
  command->add_option("--at", state->at, "where --fork begins: a time, or a number of events");
  command->add_flag("--culprit", state->culprit,
                    "find the event at which the failure becomes likely, by futures from many moments");
  command->add_option("--jobs", state->jobs,
                      "with --fork or --culprit: processes at once (default: one per core)");
  command->callback([state, &run] { run = [state] { return state->run(); }; });
}

void add_trace(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("trace", "Look into recorded runs");
  command->footer("Example: reel trace dump --limit 50 seven.trace");
  command->require_subcommand(1);
  auto path = std::make_shared<std::string>();
  auto limit = std::make_shared<std::uint64_t>(0);
  CLI::App* hash = command->add_subcommand("hash", "Print the hash of the whole run");
  hash->footer("Example: reel trace hash seven.trace");
  hash->add_option("trace", *path, "trace file")->required();
  hash->callback([path, &run] { run = [path] { return print_hash(*path); }; });
  CLI::App* dumped = command->add_subcommand("dump", "Print the run, an event a line");
  dumped->footer("Example: reel trace dump --limit 50 seven.trace");
  dumped->add_option("trace", *path, "trace file")->required();
  dumped->add_option("--limit", *limit, "at most so many events; 0: all");
  auto lines = std::make_shared<std::uint64_t>(60);
  auto columns = std::make_shared<std::uint64_t>(120);
  CLI::App* viewed = command->add_subcommand("view", "Play the run and draw it: a column for each machine");
  viewed->footer("Example: reel trace view failing.min.trace");
  viewed->add_option("trace", *path, "trace file")->required();
  viewed->add_option("--lines", *lines, "at most so many")->capture_default_str();
  viewed->add_option("--columns", *columns, "at most so wide")->capture_default_str();
  viewed->callback([path, lines, columns, &run] {
    run = [path, lines, columns] { return view(*path, *lines, *columns); };
  });
  auto pair = std::make_shared<std::vector<std::string>>();
  CLI::App* compared =
      command->add_subcommand("diff", "Name the first event in which two runs differ, and why");
  compared->footer("Example: reel trace diff one.trace other.trace");
  compared->add_option("traces", *pair, "two trace files")->required()->expected(2);
  compared->callback([pair, &run] { run = [pair] { return diff(*pair); }; });
  dumped->callback([path, limit, &run] { run = [path, limit] { return dump(*path, *limit); }; });
}

}  // namespace reel::harness
