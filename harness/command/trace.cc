#include <fmt/core.h>

#include <charconv>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/command/command.h"
#include "harness/recording.h"

namespace reel::harness {
namespace {

struct ReplayCommand {
  std::vector<std::string> paths;
  bool json = false;
  Exit run() const;
  Exit run_one(const std::string& path) const;
};

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

Exit ReplayCommand::run() const {
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

Exit dump(const std::string& path, std::uint64_t limit) {
  const sim::Trace trace = trace_at(path);
  fmt::print("seed {}  build {}  events {}  end {:.6f} s  chain {:016x}\n", trace.seed, trace.build,
             trace.events, static_cast<double>(trace.end.ns) / 1e9, trace.chain);
  for (const auto& [key, value] : trace.options) fmt::print("option {} = {}\n", key, value);
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
  command->footer("Example: reel replay traces/*.trace");
  auto state = std::make_shared<ReplayCommand>();
  command->add_option("traces", state->paths, "trace files")->required();
  command->add_flag("--json", state->json, "one JSON object for each trace");
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
  dumped->callback([path, limit, &run] { run = [path, limit] { return dump(*path, *limit); }; });
}

}  // namespace reel::harness
