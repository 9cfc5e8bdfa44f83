// What a shrinker takes away from a seeded run: whole fault programs, clients, requests, time, and kinds of choices that
// become neutral. A run is then named by its seed, its options with these cuts, and its overrides; single decisions are
// kept, or taken away, by those (sim/decisions.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/types.h"
#include "sim/fault.h"

namespace reel::harness {

struct Cuts {
  std::optional<sim::FaultPlan> plan;     // instead of the one that the seed gives
  sim::ChoiceSet neutral;                 // kinds of choices that are neutral unless overridden
  std::uint64_t respin = 0;               // not 0: the same cluster, in a world whose choices are other ones
  std::vector<NodeId> without;            // clients that never start; ids rise
  std::optional<std::uint32_t> requests;  // each client makes at most so many
  std::optional<io::Duration> storm;      // faults end after this at the latest

  // As options of a run (SimulationOptions::to_map): only those that are set.
  void add_to(std::map<std::string, std::string>& options) const;
  // The other way. False: a key that it does not know, or a value that cannot be.
  [[nodiscard]] static bool knows(std::string_view key);
  [[nodiscard]] bool set(std::string_view key, const std::string& value);

  // The plan without the targets that are not there, and without the programs that had only such. Requires a plan.
  [[nodiscard]] sim::FaultPlan plan_among(std::span<const NodeId> machines) const;
};

}  // namespace reel::harness
