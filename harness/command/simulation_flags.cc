#include "harness/command/simulation_flags.h"

#include <charconv>

#include "harness/command/command.h"
#include "sim/fault.h"

namespace reel::harness {

void SimulationFlags::add_to(CLI::App& command) {
  command
      .add_option("--workload", workload,
                  "mixed, append, feed, log, locks, bank, groups, lists, views or overload")
      ->capture_default_str();
  command.add_option("--mode", mode, "bounded: being stuck after healing is a bug; unbounded: only safety")
      ->capture_default_str();
  command.add_option("--setting", setting, "calm, normal or harsh")->capture_default_str();
  command.add_option("--faults", faults, "only these kinds: all, none, net, disk, node, client, net.drop, …");
  command.add_option("--nodes", nodes, "size of the cluster, 1 to 7; drawn if not given");
  command.add_option("--scale", scale, "multiplies the length of a run, 1 to 1000")->capture_default_str();
}

SimulationOptions SimulationFlags::options() const {
  SimulationOptions options;
  const auto known_workload = workload_by_name(workload);
  if (!known_workload)
    misuse("unknown workload '" + workload +
           "': use mixed, append, feed, log, locks, bank, groups, lists, views or overload");
  options.workload = *known_workload;
  const auto known_mode = mode_by_name(mode);
  if (!known_mode) misuse("unknown mode '" + mode + "': use bounded or unbounded");
  options.mode = *known_mode;
  const auto known_setting = setting_by_name(setting);
  if (!known_setting) misuse("unknown setting '" + setting + "': use calm, normal or harsh");
  options.setting = *known_setting;
  if (!faults.empty() && faults != "all") {
    const auto set = sim::parse_fault_set(faults);
    if (!set) misuse(set.error());
    options.faults.emplace();
    for (std::size_t kind = 0; kind < sim::kFaultKinds; ++kind) {
      if (set->test(kind)) options.faults->push_back(static_cast<sim::FaultKind>(kind));
    }
  }
  if (nodes > 7) misuse("--nodes must be from 1 to 7");
  if (nodes != 0) options.nodes = nodes;
  if (scale < 1 || scale > 1000) misuse("--scale must be from 1 to 1000");
  options.scale = scale;
  return options;
}

void parse_seeds(const std::string& text, std::uint64_t& first, std::uint64_t& last) {
  const char* const end = text.data() + text.size();
  const auto [after, error] = std::from_chars(text.data(), end, first);
  if (error == std::errc() && after == end) {
    last = first;
    return;
  }
  if (error == std::errc() && end - after > 2 && after[0] == '.' && after[1] == '.') {
    const auto [stop, wrong] = std::from_chars(after + 2, end, last);
    if (wrong == std::errc() && stop == end && first <= last) return;
  }
  misuse("'" + text + "' is neither a seed nor a range of seeds such as 1..200");
}

}  // namespace reel::harness
