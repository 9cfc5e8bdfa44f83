// The ledger: asked before every injection, whatever program wants it, so that in bounded mode a run that is
// stuck after healing is always a bug (design.md §8). The harness describes to it what must survive: groups
// of voters, as one half or, in a joint configuration, two.
//
// By class: a node that is down or paused loses nothing and comes back when the core heals, and a crash takes
// only what no sync had covered. Both are booked and always granted.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "io/ports/strong.h"
#include "sim/decisions.h"
#include "sim/fault_kind.h"

namespace reel::sim {

enum class LedgerMode : std::uint8_t {
  bounded,    // being stuck after healing is a bug
  unbounded,  // anything may break; only safety is checked
};

enum class LossClass : std::uint8_t {
  down,        // a node runs nothing: crashed or paused
  crash_loss,  // what no sync had covered
};

struct Booking {
  io::NodeId node;
  LossClass loss{};
  FaultKind cause{};
  bool operator==(const Booking&) const = default;
};

class Ledger {
 public:
  explicit Ledger(LedgerMode mode) : mode_(mode) {}
  LedgerMode mode() const { return mode_; }

  // Voters of one half of one group; of a joint configuration the harness describes both halves. Replaces
  // what was said of this group and half before. Groups are numbers of the harness's own.
  void describe(std::uint64_t group, std::uint32_t half, std::vector<io::NodeId> voters);
  void forget(std::uint64_t group, std::uint32_t half);

  // May this node take this loss now? Booked if so. A loss that is booked already is granted again, and
  // booked once.
  [[nodiscard]] bool grant(const Booking& booking);
  // The loss is over: the node is up again.
  void settle(io::NodeId node, LossClass loss);
  bool booked(io::NodeId node, LossClass loss) const;
  std::span<const Booking> bookings() const { return bookings_; }

  // A random core: a quorum of every half that was described, and by chance more of `nodes`. In the order of
  // ids. In unbounded mode, too. `counter` tells the cores of one run apart.
  [[nodiscard]] std::vector<io::NodeId> pick_core(Decisions& decisions, std::span<const io::NodeId> nodes,
                                                  std::uint64_t counter = 0) const;

 private:
  struct Half {
    std::uint64_t group = 0;
    std::uint32_t half = 0;
    std::vector<io::NodeId> voters;
  };
  bool holds_quorums(std::span<const io::NodeId> core) const;

  LedgerMode mode_;
  std::vector<Half> halves_;
  std::vector<Booking> bookings_;
};

}  // namespace reel::sim
