// What must hold of every core after every step, and between two moments of one core: the list that LogCabin
// runs beside its consensus code. Tests and simulations call these; a node never does.
#pragma once

#include <optional>
#include <string>

#include "node/raft/raft.h"

namespace reel::raft {

// One sentence about the first invariant that does not hold. O(log).
[[nodiscard]] std::optional<std::string> check(const Core& core);

// Enough of a core to hold a later state of it against.
struct Remembered {
  Role role{};
  HardState hard_state;
  NodeId leader;
  Index commit;
  EntryId committed;  // the entry at `commit`
  EntryId last;
  std::uint64_t round = 0;
};
[[nodiscard]] Remembered remember(const Core& core);
// Within one life: `now` is a later state of the core that `before` was taken from. O(1).
[[nodiscard]] std::optional<std::string> check_since(const Remembered& before, const Core& now);

}  // namespace reel::raft
