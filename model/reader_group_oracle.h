// The reader-group oracle: one reader group, judged by what its members were given, handed over and told, and by nothing
// else. It keeps no idea of who should own what.
//
// A *share* is a partition in an epoch; it belongs to one life of one member. Members tell what happens as it happens.
//
// Names of what can be violated (stable):
//   group-epoch     one share was given to two members; or a partition was given twice with different beginnings in one epoch
//   group-order     a share's transactions were not handed over in order, without gaps, from where it begins
//   group-skip      a share begins behind a transaction that nobody in the group is done with
//   group-position  a share of a later epoch begins before a position that an earlier owner had been told is kept
//
// Cost: O(log epochs) a fact. Memory: about 100 bytes an epoch of each partition.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "model/violation.h"
#include "node/types.h"

namespace reel::model {

class ReaderGroupOracle {
 public:
  using Finding = std::optional<Violation>;

  // The member was given the partition. It may be given the same share again (it lost its answers, or gave it up).
  [[nodiscard]] Finding gained(const MemberId& member, GroupId group, Epoch epoch, TxnId next);
  // A transaction of its share was handed over.
  [[nodiscard]] Finding handed(const MemberId& member, GroupId group, Epoch epoch, TxnId id);
  // The member is done with all before `next`. Before it reports that.
  [[nodiscard]] Finding done(const MemberId& member, GroupId group, Epoch epoch, TxnId next);
  // It was told that the group's position is `next` at least.
  [[nodiscard]] Finding kept(const MemberId& member, GroupId group, Epoch epoch, TxnId next);

  // Up to where somebody was done with everything.
  TxnId done_with(GroupId group) const;

 private:
  struct Share {
    MemberId member;
    TxnId begins;
    TxnId next;  // to be handed over
    TxnId kept;
  };
  struct Partition {
    std::map<Epoch, Share> shares;
    TxnId done;  // by anybody, without gaps: each share's work begins where all before is done
  };
  Share* find(const MemberId& member, GroupId group, Epoch epoch);

  std::map<GroupId, Partition> partitions_;
};

}  // namespace reel::model
