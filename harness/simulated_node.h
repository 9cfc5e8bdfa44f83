// A replica in a seeded world: the production code on a machine of that world, with a formatted disk.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "node/driver.h"
#include "node/journal/tables.h"
#include "sim/world.h"

namespace reel::harness {

struct SimulatedNode {
  NodeId id;
  io::ClusterId cluster{1};
  node::NodeOptions options;
  std::vector<journal::GroupManifest> groups;  // of a new disk
  io::Duration clock_offset;                   // its monotonic clock at the world's time 0
  std::function<std::uint64_t()> entropy;      // of the life that begins
  // What stands between the replica and its ports, for tests that break things; may be empty. Outlives the world.
  std::function<io::Ports&(NodeId, io::Ports&)> between;
  node::StepObserver* observer = nullptr;
  std::function<void(const std::string& why)> halted;  // it stopped for good
  std::function<void(node::Driver*)> born;             // at every boot
};

// Adds the machine, which is down until it is booted.
void add_simulated_node(sim::World& world, const SimulatedNode& node);

}  // namespace reel::harness
