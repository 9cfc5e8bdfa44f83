#include "harness/campaign.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "harness/recording.h"

namespace reel::harness {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> interrupted{false};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A fault kind that a campaign must see fire and be noticed; from a thousand seeds on (design.md §11).
constexpr std::uint64_t kSeedsForCoverage = 1000;
// Of a failing run its last events are kept: a run that is stuck may have very many.
constexpr std::size_t kFailureRecordsMax = 2'000'000;

class Campaign {
 public:
  explicit Campaign(const CampaignOptions& options) : options_(options), next_(options.first_seed) {}

  CampaignReport run(const std::function<void(const CampaignReport&)>& progress) {
    const auto start = Clock::now();
    std::vector<std::thread> threads;
    for (std::uint32_t job = 0; job < std::max(1u, options_.jobs); ++job) {
      threads.emplace_back([this, start] { work(start); });
    }
    {
      std::unique_lock lock(mutex_);
      while (running_ < threads.size() || finished_ < threads.size()) {
        changed_.wait_for(lock, std::chrono::milliseconds(200));
        report_.wall_seconds = seconds_since(start);
        if (progress) progress(report_);
        if (finished_ == threads.size()) break;
      }
    }
    for (std::thread& thread : threads) thread.join();
    finish(start);
    return std::move(report_);
  }

 private:
  std::optional<std::uint64_t> take_seed(Clock::time_point start) {
    std::lock_guard lock(mutex_);
    const bool late = options_.minutes > 0 && seconds_since(start) > options_.minutes * 60;
    if (interrupted || late || next_ > options_.last_seed || report_.failures >= options_.failures_max) {
      report_.interrupted = report_.interrupted || interrupted;
      return std::nullopt;
    }
    return next_++;
  }

  void work(Clock::time_point start) {
    {
      std::lock_guard lock(mutex_);
      ++running_;
    }
    while (const auto seed = take_seed(start)) {
      SimulationOptions one = options_.simulation;
      one.seed = *seed;
      Simulation simulation(one);
      RunReport run = simulation.run();
      std::string trace;
      if (run.failure && !options_.trace_directory.empty()) {
        trace = options_.trace_directory + "/seed-" + std::to_string(*seed) + ".trace";
        if (!record_run(one, trace, {{}, kFailureRecordsMax})) trace.clear();
      }
      std::lock_guard lock(mutex_);
      merge(run, trace);
      changed_.notify_one();
    }
    std::lock_guard lock(mutex_);
    ++finished_;
    changed_.notify_one();
  }

  void merge(const RunReport& run, const std::string& trace) {
    ++report_.seeds;
    report_.events += run.events;
    report_.simulated_seconds += static_cast<double>(run.simulated_ns) / 1e9;
    report_.commits += run.commits;
    report_.elections += run.elections;
    report_.commits_of.push_back(run.commits);
    report_.elections_of.push_back(run.elections);
    report_.faults_of.push_back(run.faults.fired_total());
    for (std::size_t kind = 0; kind < sim::kFaultKinds; ++kind) {
      const auto which = static_cast<sim::FaultKind>(kind);
      report_.faults[which].armed += run.faults[which].armed;
      report_.faults[which].fired += run.faults[which].fired;
      report_.faults[which].noticed += run.faults[which].noticed;
    }
    for (const auto& [mark, count] : run.marks) ++report_.marks[mark];
    chains_[run.seed] = run.chain;
    if (!run.failure) return;
    ++report_.failures;
    report_.failing.push_back(
        {run.seed, run.failure->oracle, run.failure->signature, run.failure->text, trace});
  }

  void finish(Clock::time_point start) {
    report_.wall_seconds = seconds_since(start);
    std::sort(report_.failing.begin(), report_.failing.end(),
              [](const FailingSeed& a, const FailingSeed& b) { return a.seed < b.seed; });
    io::Hasher chain;
    for (const auto& [seed, value] : chains_) chain.add(seed).add(value);
    report_.chain = chain.value();
    if (report_.seeds < kSeedsForCoverage || options_.simulation.setting == Setting::calm) return;
    for (std::size_t kind = 0; kind < sim::kFaultKinds; ++kind) {
      const auto which = static_cast<sim::FaultKind>(kind);
      const auto& wanted = options_.simulation.faults;
      if (wanted && std::find(wanted->begin(), wanted->end(), which) == wanted->end()) continue;
      if (report_.faults[which].fired == 0 || report_.faults[which].noticed == 0) {
        report_.missing.emplace_back(sim::name_of(which));
      }
    }
  }

  CampaignOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_;
  std::size_t running_ = 0;
  std::size_t finished_ = 0;
  std::map<std::uint64_t, std::uint64_t> chains_;
  CampaignReport report_;
};

}  // namespace

void interrupt_campaign() { interrupted = true; }

CampaignReport run_campaign(const CampaignOptions& options,
                            const std::function<void(const CampaignReport&)>& progress) {
  return Campaign(options).run(progress);
}

std::uint64_t median_of(std::vector<std::uint64_t> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::string to_json(const CampaignReport& report) {
  nlohmann::ordered_json json;
  json["seeds"] = report.seeds;
  json["failures"] = report.failures;
  json["events"] = report.events;
  json["sim_seconds"] = report.simulated_seconds;
  json["wall_seconds"] = report.wall_seconds;
  json["commits"] = report.commits;
  json["elections"] = report.elections;
  json["median"] = {{"commits", median_of(report.commits_of)},
                    {"elections", median_of(report.elections_of)},
                    {"faults", median_of(report.faults_of)}};
  char chain[17];
  std::snprintf(chain, sizeof chain, "%016llx", static_cast<unsigned long long>(report.chain));
  json["chain"] = chain;
  nlohmann::ordered_json faults = nlohmann::ordered_json::object();
  for (std::size_t kind = 0; kind < sim::kFaultKinds; ++kind) {
    const auto which = static_cast<sim::FaultKind>(kind);
    const sim::FaultCount& count = report.faults[which];
    faults[std::string(sim::name_of(which))] = {
        {"armed", count.armed}, {"fired", count.fired}, {"noticed", count.noticed}};
  }
  json["faults"] = faults;
  json["missing"] = report.missing;
  json["marks"] = report.marks;
  json["failing"] = nlohmann::ordered_json::array();
  for (const FailingSeed& failing : report.failing) {
    json["failing"].push_back({{"seed", failing.seed},
                               {"oracle", failing.oracle},
                               {"signature", failing.signature},
                               {"text", failing.text},
                               {"trace", failing.trace}});
  }
  return json.dump();
}

}  // namespace reel::harness
