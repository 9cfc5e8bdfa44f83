// A campaign: many seeds on several threads, each thread with worlds of its own. Results are merged in order of seed, so
// the report does not depend on the number of jobs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/simulation.h"

namespace reel::harness {

struct CampaignOptions {
  SimulationOptions simulation;  // its seed is replaced
  std::uint64_t first_seed = 1;
  std::uint64_t last_seed = 1;  // inclusive
  std::uint32_t jobs = 1;
  double minutes = 0;               // > 0: stop starting seeds after this long
  std::string trace_directory;      // failing runs are recorded here; empty: not recorded
  std::uint32_t failures_max = 20;  // stop after this many failing seeds
};

struct FailingSeed {
  std::uint64_t seed = 0;
  std::string oracle;
  std::string signature;
  std::string text;
  std::string trace;  // path, or empty
};

struct CampaignReport {
  std::uint64_t seeds = 0;
  std::uint64_t failures = 0;
  std::uint64_t events = 0;
  double simulated_seconds = 0;
  double wall_seconds = 0;
  std::uint64_t commits = 0;
  std::uint64_t elections = 0;
  sim::FaultCounters faults;
  std::map<std::string, std::uint64_t> marks;  // seeds that reached the mark
  std::vector<FailingSeed> failing;            // in order of seed
  std::vector<std::string> missing;            // due fault kinds that never fired or were never noticed
  std::uint64_t chain = 0;                     // of all seeds' chains, in order
  // Per seed, for medians.
  std::vector<std::uint64_t> commits_of, elections_of, faults_of;
  bool interrupted = false;
};

// `progress` is called from time to time, from the calling thread.
[[nodiscard]] CampaignReport run_campaign(const CampaignOptions& options,
                                          const std::function<void(const CampaignReport&)>& progress);
// The upper one of two; 0 of nothing.
[[nodiscard]] std::uint64_t median_of(std::vector<std::uint64_t> values);
// The object that `reel sim --json` prints (design.md §10).
[[nodiscard]] std::string to_json(const CampaignReport& report);
// Makes a running campaign stop after the seeds that are under way. Async-signal-safe.
void interrupt_campaign();

}  // namespace reel::harness
