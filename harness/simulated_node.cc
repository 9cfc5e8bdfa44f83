#include "harness/simulated_node.h"

#include "harness/provision.h"
#include "io/wire/codec.h"

namespace reel::harness {

void add_simulated_node(sim::World& world, const SimulatedNode& node) {
  sim::MachineOptions machine;
  machine.id = node.id;
  machine.role = sim::MachineRole::node;
  machine.clock.monotonic_offset_ns = node.clock_offset.ns;
  machine.factory = [node](io::Ports& ports) -> std::unique_ptr<io::Host> {
    node::DriverOptions driver;
    driver.node = node.options;
    driver.cluster = node.cluster;
    driver.id = node.id;
    driver.entropy = node.entropy();
    driver.peer_batch_codec = &wire::kPeerBatchCodec;
    driver.client_reply_codec = &wire::kClientReplyCodec;
    auto host = std::make_unique<node::Driver>(driver, node.between ? node.between(node.id, ports) : ports,
                                               node.observer, node.halted);
    node.born(host.get());
    return host;
  };
  world.add(machine);
  for (const auto& [name, content] :
       format_image({node.cluster, node.id, Incarnation(0)}, node.options.journal, node.groups)) {
    world.disk(node.id).install(name, content);
  }
}

}  // namespace reel::harness
