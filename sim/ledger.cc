#include "sim/ledger.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::sim {

void Ledger::describe(std::uint64_t group, std::uint32_t half, std::vector<io::NodeId> voters) {
  REEL_CHECK(!voters.empty());
  forget(group, half);
  halves_.push_back({group, half, std::move(voters)});
}

void Ledger::forget(std::uint64_t group, std::uint32_t half) {
  std::erase_if(halves_, [&](const Half& known) { return known.group == group && known.half == half; });
}

bool Ledger::grant(const Booking& booking) {
  // Neither class takes anything that was acknowledged, so no number of them can strand a healed core.
  if (!booked(booking.node, booking.loss)) bookings_.push_back(booking);
  return true;
}

void Ledger::settle(io::NodeId node, LossClass loss) {
  std::erase_if(bookings_,
                [&](const Booking& booking) { return booking.node == node && booking.loss == loss; });
}

bool Ledger::booked(io::NodeId node, LossClass loss) const {
  return std::any_of(bookings_.begin(), bookings_.end(),
                     [&](const Booking& booking) { return booking.node == node && booking.loss == loss; });
}

bool Ledger::holds_quorums(std::span<const io::NodeId> core) const {
  return std::all_of(halves_.begin(), halves_.end(), [&](const Half& half) {
    const auto members = std::count_if(half.voters.begin(), half.voters.end(), [&](io::NodeId voter) {
      return std::find(core.begin(), core.end(), voter) != core.end();
    });
    return static_cast<std::size_t>(members) > half.voters.size() / 2;
  });
}

std::vector<io::NodeId> Ledger::pick_core(Decisions& decisions, std::span<const io::NodeId> nodes,
                                          std::uint64_t counter) const {
  std::vector<io::NodeId> left(nodes.begin(), nodes.end());
  std::vector<io::NodeId> core;
  // Nodes join in a random order until every half has its quorum, then each further one with even odds.
  for (std::uint32_t round = 0; !left.empty(); ++round) {
    const bool enough = holds_quorums(core);
    const std::uint64_t index = decisions.below({Choice::core, 0, round, counter}, left.size());
    const io::NodeId joining = left[index];
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(index));
    if (!enough || decisions.permille({Choice::core, 1, round, counter}, 500)) core.push_back(joining);
  }
  REEL_CHECK(holds_quorums(core) && "the nodes hold no quorum of a described group");
  std::sort(core.begin(), core.end());
  return core;
}

}  // namespace reel::sim
