// LeaderBalance: spreads leadership. Each node decides for itself, from what it sees: when it leads at least two groups
// more than another voter of one of them, which is alive and caught up, it hands that group over. So clusters come to rest
// with any two nodes that could lead the same groups at most one apart, and nothing moves where nothing is gained: a
// single group stays where it is.
//
// Nobody moves while any group is without a leader. A node that loses what it was given (its disk is slow, its links are
// bad) is left alone for a time that doubles each time, up to kRestMax.
//
// Cost: O(groups) each `interval`. At most a quarter of the difference moves at a time.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "io/ports/time.h"
#include "node/types.h"

namespace reel::node {

// What a node sees of one of its groups.
struct LeadershipView {
  GroupId group;
  NodeId leader;             // 0: unknown
  bool in_transfer = false;  // led by this node, and on its way elsewhere
  std::vector<NodeId>
      can_lead;  // led by this node: other voters that are alive and hold all that is committed
};

struct Handover {
  GroupId group;
  NodeId to;
  bool operator==(const Handover&) const = default;
};

class LeaderBalance {
 public:
  static constexpr io::Duration kRestMax = io::seconds(600);
  static constexpr io::Duration kKeptFor = io::seconds(30);  // then a handover counts as a success

  LeaderBalance(NodeId self, io::Duration interval) : self_(self), interval_(interval) {}

  // When decide() is to be called next; kNever if balancing is off (interval 0).
  io::Instant due() const { return due_; }
  // From then on.
  void start(io::Instant now);
  // By group. Each group is in at most one handover.
  std::vector<Handover> decide(const std::vector<LeadershipView>& groups, io::Instant now);

 private:
  struct Given {
    NodeId to;
    io::Instant at;
  };
  struct Rest {
    std::uint32_t times = 0;
    io::Instant until{INT64_MIN};
  };
  void look_back(const LeadershipView& view, io::Instant now);

  NodeId self_;
  io::Duration interval_;
  io::Instant due_ = io::kNever;
  std::map<GroupId, Given> given_;
  std::map<NodeId, Rest> rests_;
};

}  // namespace reel::node
