#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/bench/figures.h"
#include "harness/bench/history_workload.h"
#include "harness/bench/process.h"
#include "harness/command/command.h"
#include "harness/history/events.h"
#include "harness/history/judge.h"
#include "io/real/clock.h"

namespace reel::harness {
namespace {

constexpr HistoryWorkload kWorkloads[] = {
    {.name = "registers",
     .model = CheckModel::cas_register,
     .histories = 100,
     .operations = 91,
     .clients = 5,
     .crashes = 12},
    {.name = "registers-illegal",
     .model = CheckModel::cas_register,
     .histories = 100,
     .operations = 91,
     .clients = 5,
     .crashes = 12,
     .wrong = true},
    {.name = "kv-one-object",
     .model = CheckModel::kv,
     .operations = 3'000,
     .clients = 10,
     .keys = 10,
     .by_key = false},
    {.name = "kv-one-object-illegal",
     .model = CheckModel::kv,
     .operations = 3'000,
     .clients = 10,
     .keys = 10,
     .by_key = false,
     .wrong = true},
    {.name = "kv-50-clients",
     .model = CheckModel::kv,
     .operations = 10'000,
     .clients = 50,
     .keys = 10,
     .crashes = 100},
    {.name = "kv-50-clients-illegal",
     .model = CheckModel::kv,
     .operations = 10'000,
     .clients = 50,
     .keys = 10,
     .crashes = 100,
     .wrong = true},
    {.name = "keys", .model = CheckModel::cas_register, .operations = 100'000, .clients = 20, .keys = 1'000},
    {.name = "kv-keys", .model = CheckModel::kv, .operations = 100'000, .clients = 20, .keys = 1'000},
    {.name = "list-append",
     .model = CheckModel::list_append,
     .operations = 1'000'000,
     .clients = 20,
     .keys = 10},
    {.name = "list-append-illegal",
     .model = CheckModel::list_append,
     .operations = 100'000,
     .clients = 20,
     .keys = 10,
     .wrong = true},
};

struct Judged {
  std::uint64_t events = 0;
  double read_ms = 0;
  double ms = 0;
  double cpu_ms = 0;        // of all threads
  double explained_ms = 0;  // illegal: with a search for the core
  bool as_expected = true;
};

double cpu_ms() { return static_cast<double>(cpu_ns_of(getpid())) / 1e6; }
double ms_since(io::Instant began) { return static_cast<double>((real::monotonic_now() - began).ns) / 1e6; }

struct CheckBench {
  std::string only;
  std::uint64_t jobs = 1;
  std::uint64_t scale = 100;
  bool json = false;

  Exit run() const;

 private:
  Judged judge_one(const HistoryWorkload& workload, std::uint64_t seed) const;
  void judge_text(const HistoryWorkload& workload, const std::string& text, Judged& judged) const;
};

void CheckBench::judge_text(const HistoryWorkload& workload, const std::string& text, Judged& judged) const {
  HistoryRules rules;
  rules.model = workload.model;
  rules.initial = workload.model == CheckModel::kv ? "" : "0";
  const auto read = [&](auto& history) {
    const io::Instant began = real::monotonic_now();
    const auto count = read_events(text, HistoryFormat::jsonl, [&](const Event& event, const Forms& forms) {
      return history.take(event, forms);
    });
    if (!count) refuse("the history that was made is none: " + count.error().reason);
    history.finish();
    judged.events += count->events;
    judged.read_ms += ms_since(began);
  };
  const model::Verdict expected = workload.wrong ? model::Verdict::illegal : model::Verdict::ok;
  if (is_transactional(workload.model)) {
    TransactionHistory history(rules);
    read(history);
    const io::Instant began = real::monotonic_now();
    const double cpu = cpu_ms();
    const auto judgement = judge(history, model::Isolation::strict_serializable, {});
    judged.ms += ms_since(began);
    judged.cpu_ms += cpu_ms() - cpu;
    judged.as_expected = judged.as_expected && judgement && judgement->verdict == expected;
    return;
  }
  ObjectHistory history(rules);
  read(history);
  JudgeOptions options;
  options.threads = static_cast<unsigned>(jobs);
  options.by_key = workload.by_key;
  options.core = false;
  const io::Instant began = real::monotonic_now();
  const double cpu = cpu_ms();
  const Judgement judgement = judge(history, options);
  judged.ms += ms_since(began);
  judged.cpu_ms += cpu_ms() - cpu;
  judged.as_expected = judged.as_expected && judgement.verdict == expected;
  if (!workload.wrong) return;
  options.core = true;
  const io::Instant again = real::monotonic_now();
  const Judgement explained = judge(history, options);
  judged.explained_ms += ms_since(again);
  judged.as_expected =
      judged.as_expected && explained.first_bad == judgement.first_bad && !explained.core.empty();
}

Judged CheckBench::judge_one(const HistoryWorkload& workload, std::uint64_t seed) const {
  Judged judged;
  for (std::uint32_t each = 0; each < workload.histories; ++each) {
    judge_text(workload, write_history(workload, seed + each), judged);
  }
  return judged;
}

Exit CheckBench::run() const {
  if (jobs == 0 || jobs > 1024) misuse("--jobs must be from 1 to 1024");
  if (scale == 0 || scale > 10'000) misuse("--percent must be from 1 to 10000");
  bool good = true, any = false;
  for (HistoryWorkload workload : kWorkloads) {
    if (!only.empty() && only != workload.name) continue;
    any = true;
    workload.operations = static_cast<std::uint32_t>(std::uint64_t{workload.operations} * scale / 100);
    if (workload.operations < 50) workload.operations = 50;
    show(std::string("judging ") + workload.name);
    const Judged judged = judge_one(workload, 1);
    show_done();
    good = good && judged.as_expected;
    const std::uint64_t operations = std::uint64_t{workload.operations} * workload.histories;
    if (json) {
      nlohmann::ordered_json out;
      out["what"] = "check";
      out["history"] = workload.name;
      out["model"] = name_of(workload.model);
      out["histories"] = workload.histories;
      out["operations"] = operations;
      out["events"] = judged.events;
      out["ms"] = rounded(judged.ms);
      out["cpu_ms"] = rounded(judged.cpu_ms);
      if (workload.wrong) out["explained_ms"] = rounded(judged.explained_ms);
      out["read_ms"] = rounded(judged.read_ms);
      out["jobs"] = jobs;
      out["verdict_as_expected"] = judged.as_expected;
      out["peak_rss_mib"] = rounded(static_cast<double>(peak_rss_bytes_of(getpid())) / (1 << 20));
      fmt::print("{}\n", out.dump());
    } else {
      fmt::print("{:24} {:9} operations in {:4} histories: judged in {:10.2f} ms, read in {:10.2f} ms{}\n",
                 workload.name, operations, workload.histories, judged.ms, judged.read_ms,
                 judged.as_expected ? "" : "; THE VERDICT IS WRONG");
    }
    std::fflush(stdout);
  }
  if (!any)
    misuse("there is no workload '" + shown(only) + "'; `reel bench check` without --history lists them all");
  return good ? Exit::ok : Exit::finding;
}

}  // namespace

void add_bench_check(CLI::App& bench, Run& run) {
  CLI::App* command =
      bench.add_subcommand("check", "How long histories take to be judged, each made up of a true system's");
  command->footer("Example: reel bench check --history registers --json");
  auto state = std::make_shared<CheckBench>();
  command->add_option("--history", state->only, "only this workload");
  command->add_option("--jobs", state->jobs, "threads")->capture_default_str();
  command->add_option("--percent", state->scale, "of the operations that a workload has")
      ->capture_default_str();
  command->add_flag("--json", state->json, "print one JSON object for each workload");
  command->callback([state, &run] { run = [state] { return state->run(); }; });
}

}  // namespace reel::harness
