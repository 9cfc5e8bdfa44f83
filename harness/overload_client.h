// The clients of an overloaded cluster: they submit by the clock, whatever becomes of it, until the storm is over. Greedy
// ones ask for far more than there is, modest ones for little. Each tells the oracles when it was asked to wait and whom
// it calls.
#pragma once

#include <map>
#include <memory>

#include "harness/programs.h"

namespace reel::harness {

struct OverloadMemory {
  bool greedy = false;
  std::uint64_t calls = 0;    // append calls, in all lives
  std::uint64_t refused = 0;  // of them, as overloaded
};

// `quiet`: nothing is broken in this run until the storm is over, so no call may time out.
[[nodiscard]] std::unique_ptr<io::Host> make_overload_client(io::Ports& ports, NodeId self,
                                                             const AppendPlan& plan, bool quiet,
                                                             AppendMemory& memory, OverloadMemory& load,
                                                             Oracles& oracles, sim::Decisions& decisions);

}  // namespace reel::harness
