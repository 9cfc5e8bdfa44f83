#include "model/reader_group_oracle.h"

#include <algorithm>

namespace reel::model {

ReaderGroupOracle::Share* ReaderGroupOracle::find(const MemberId& member, GroupId group, Epoch epoch) {
  const auto partition = partitions_.find(group);
  if (partition == partitions_.end()) return nullptr;
  const auto share = partition->second.shares.find(epoch);
  return share == partition->second.shares.end() || share->second.member != member ? nullptr : &share->second;
}

ReaderGroupOracle::Finding ReaderGroupOracle::gained(const MemberId& member, GroupId group, Epoch epoch,
                                                     TxnId next) {
  Partition& partition = partitions_[group];
  if (next > partition.done) {
    return violation("group-skip", "group ", group, " is given out in epoch ", epoch, " from transaction ",
                     next, " on, but nobody is done with ", partition.done);
  }
  for (const auto& [earlier, share] : partition.shares) {
    if (earlier >= epoch) break;
    if (next >= share.kept) continue;
    return violation("group-position", "group ", group, " is given out in epoch ", epoch,
                     " from transaction ", next, " on, but in epoch ", earlier, " position ", share.kept,
                     " was said to be kept");
  }
  const auto [it, fresh] = partition.shares.try_emplace(epoch, Share{member, next, next, next});
  Share& share = it->second;
  if (share.member != member) {
    return violation("group-epoch", "group ", group, " is given to two members in epoch ", epoch);
  }
  if (!fresh && next < share.kept) {
    return violation("group-position", "group ", group, " is given again in epoch ", epoch,
                     " from transaction ", next, " on, but position ", share.kept, " was said to be kept");
  }
  share.begins = share.next = next;
  return std::nullopt;
}

ReaderGroupOracle::Finding ReaderGroupOracle::handed(const MemberId& member, GroupId group, Epoch epoch,
                                                     TxnId id) {
  Share* share = find(member, group, epoch);
  if (share == nullptr) {
    return violation("group-order", "transaction ", id, " of group ", group,
                     " was handed to a member that was not given epoch ", epoch);
  }
  if (id != share->next) {
    return violation("group-order", "transaction ", id, " of group ", group, " was handed over in epoch ",
                     epoch, " where ", share->next, " comes next");
  }
  ++share->next;
  return std::nullopt;
}

ReaderGroupOracle::Finding ReaderGroupOracle::done(const MemberId& member, GroupId group, Epoch epoch,
                                                   TxnId next) {
  const Share* share = find(member, group, epoch);
  if (share == nullptr || next > share->next) {
    return violation("group-order", "a member is done with what it was not handed: group ", group, ", epoch ",
                     epoch, ", up to ", next);
  }
  Partition& partition = partitions_[group];
  partition.done = std::max(partition.done, next);
  return std::nullopt;
}

ReaderGroupOracle::Finding ReaderGroupOracle::kept(const MemberId& member, GroupId group, Epoch epoch,
                                                   TxnId next) {
  Share* share = find(member, group, epoch);
  if (share == nullptr) {
    return violation("group-epoch", "a member was told of a position of group ", group, " in epoch ", epoch,
                     ", which is not its own");
  }
  // Whoever came later must have begun there.
  const Partition& partition = partitions_[group];
  for (auto later = partition.shares.upper_bound(epoch); later != partition.shares.end(); ++later) {
    if (later->second.begins >= next) continue;
    return violation("group-position", "position ", next, " of group ", group,
                     " was said to be kept in epoch ", epoch, ", but epoch ", later->first, " began at ",
                     later->second.begins);
  }
  share->kept = std::max(share->kept, next);
  return std::nullopt;
}

TxnId ReaderGroupOracle::done_with(GroupId group) const {
  const auto it = partitions_.find(group);
  return it == partitions_.end() ? TxnId() : it->second.done;
}

}  // namespace reel::model
