// ClusterState: how many partitions there are, and the reader groups. A state machine of its own beside the log of
// partition 0: a pure function of that log's `cluster` entries, so it is the same on every node that applied them.
//
// A reader group shares the partitions among its members: each partition has at most one owner, and each member as many as
// any other, give or take one. What a change of members does not concern stays where it is. A partition that is to move
// while its owner is a member is handed over: the new owner is its *heir* until the old one has released it, or is gone, or
// was given up on by the leader (RevokeShare). A new group begins at transaction 0 everywhere.
//
// Invariants
// - A position never falls. It moves only by a report of the partition's owner that names the partition's epoch, so
//   whoever lost a partition can no more move it.
// - An epoch rises by one whenever the owner changes. So of all owners that a partition ever had at most the newest can
//   report, and it began where the ones before it had come to: nothing is skipped. What was done and not reported is done
//   again by the next owner.
// - Without members nobody owns anything; the positions stay.
// - Whether commands are harmless when they are repeated: all are, so nobody has to tell copies from originals.
//
// Bounds: kReaderGroupsMax groups, kReaderGroupMembersMax members each, kReaderSharesMax partitions of all groups together
// (64 bytes each). What goes beyond is not done; the leader finds that out after applying it.
//
// Cost: a report O(its partitions); a change of members or partitions O(partitions + members * log members) of that group.
#pragma once

#include <expected>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/cluster/commands.h"

namespace reel::cluster {

class ReaderGroup {
 public:
  struct Share {
    MemberId owner;
    MemberId heir;
    Epoch epoch;
    TxnId next;
    bool operator==(const Share&) const = default;
  };

  const std::map<MemberId, io::Duration>& members() const { return members_; }  // with their patience
  const std::vector<Share>& shares() const { return shares_; }  // shares()[i] is of group i + 1
  const Share* find(GroupId group) const;
  std::uint32_t waiting() const { return waiting_; }  // shares with an heir
  // Those that `member` owns.
  std::vector<ReaderShare> shares_of(const MemberId& member) const;

  void set_partitions(std::uint32_t partitions);
  // False: there is no room for it.
  bool join(const MemberId& member, io::Duration patience);
  void leave(const MemberId& member);
  // True if that says anything new.
  bool is_news(const MemberId& member, const ReaderProgress& progress) const;
  void report(const MemberId& member, const ReaderProgress& progress);
  void revoke(GroupId group, Epoch epoch);

 private:
  void assign();
  void hand_over(Share& share);

  std::map<MemberId, io::Duration> members_;
  std::vector<Share> shares_;
  std::uint32_t waiting_ = 0;
};

class ClusterState {
 public:
  // The next `cluster` entry. An unreadable one is an error: the host stops the group.
  std::expected<void, std::string_view> apply(std::span<const std::byte> payload);

  struct Joined {
    std::string name;
    MemberId member;
  };
  // Whom the newest entry made members.
  const std::vector<Joined>& joined() const { return joined_; }

  // As far as commands told: 0 before the first.
  std::uint32_t partitions() const { return partitions_; }
  // What the Raft group of a partition that was created begins with; nullptr for those that were there from the start.
  const raft::Configuration* configuration_of(GroupId group) const;
  // Whether the reader groups that there are have room for so many partitions.
  bool has_room_for(std::uint32_t partitions) const {
    return groups_.size() * std::uint64_t{partitions} <= kReaderSharesMax;
  }
  bool has_room_for_group() const {
    return groups_.size() < kReaderGroupsMax &&
           (groups_.size() + 1) * std::uint64_t{partitions_} <= kReaderSharesMax;
  }
  const ReaderGroup* find(std::string_view name) const;
  const std::map<std::string, ReaderGroup, std::less<>>& groups() const { return groups_; }
  // Chained over all that was applied, and what came of it.
  std::uint64_t digest() const { return digest_; }

 private:
  void apply(const CreatePartitions& command);
  void apply(const Report& command);
  void apply(const ExpireMember& command);
  void apply(const RevokeShare& command);
  void apply(const RemoveReaderGroup& command);
  bool set_partitions(std::uint32_t partitions);
  void note(const ReaderGroup& group);

  std::uint32_t partitions_ = 0;
  // By what their groups end with; each begins behind the one before it, the first at `created_from_`.
  std::map<GroupId, raft::Configuration> created_;
  std::uint32_t created_from_ = 0;
  std::map<std::string, ReaderGroup, std::less<>> groups_;
  std::uint64_t digest_ = 0;
  std::vector<Joined> joined_;
};

}  // namespace reel::cluster
