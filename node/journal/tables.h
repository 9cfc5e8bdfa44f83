// The small durable tables beside the journal. All three are built of pages: one 4 KiB sector each, in two
// generations of two copies, the newest never overwritten in place (recovery.md, correction 3):
//
//   superblock   who this directory belongs to, and the incarnation; raised and synced by the Driver before Boot
//   hardstate    term and vote of every group; synced before the first vote or append acknowledgement of a term
//   manifest     every group's first index, a lower bound of its commit index, and its configuration
//
// A page with no readable copy makes the node refuse to start (`unreadable`): promises are personal, and nobody else
// can tell them. A page whose newer generation is torn is read from the older: the newer was never acknowledged.
#pragma once

#include <expected>
#include <map>
#include <optional>
#include <vector>

#include "node/disk_queue.h"
#include "node/journal/journal.h"
#include "node/raft/quorum.h"
#include "node/types.h"

namespace reel::journal {

struct SuperblockContent {
  io::ClusterId cluster;
  NodeId node;
  Incarnation incarnation;
  bool operator==(const SuperblockContent&) const = default;
};

// Opens the superblock, checks it against who we think we are, raises the incarnation by one, syncs.
class Superblock {
 public:
  // cluster or node 0: take what the disk says.
  Superblock(io::ClusterId cluster, NodeId node);
  void start(node::DiskQueue& out);
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  bool done() const;
  std::expected<SuperblockContent, RecoveryError> take();  // with the raised incarnation
};

class HardStateTable {
 public:
  explicit HardStateTable(const Stamp& stamp);
  void recover(node::DiskQueue& out);
  bool recovered() const;
  std::optional<RecoveryError> error() const;
  HardState get(GroupId group) const;      // {0, 0} for a group never saved

  // Saves and syncs; several saves in one step share writes and sync. saved() rises in order.
  std::uint64_t save(GroupId group, const HardState& state);
  void pump(node::DiskQueue& out);
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  std::uint64_t saved() const;             // every save up to this number is durable
  bool failed() const;
};

struct GroupManifest {
  GroupId group;
  Index first{1};
  Index commit;                            // a lower bound
  raft::Configuration configuration;
  bool operator==(const GroupManifest&) const = default;
};

class Manifest {
 public:
  explicit Manifest(const Stamp& stamp);
  void recover(node::DiskQueue& out);
  bool recovered() const;
  std::optional<RecoveryError> error() const;
  const std::map<GroupId, GroupManifest>& groups() const;

  // Replaces what is known of one group; written and synced lazily by pump(), newest content wins.
  void update(const GroupManifest& group);
  void pump(node::DiskQueue& out);
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  bool failed() const;
};

// Makes a data directory: superblock, hardstate, manifest and the first journal file, each synced, the superblock
// last, so a directory that was only half made is refused as empty. Refuses a directory that holds anything.
class Formatter {
 public:
  Formatter(const SuperblockContent& who, const Options& options, std::vector<GroupManifest> groups);
  void start(node::DiskQueue& out);
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  bool done() const;
  std::expected<void, RecoveryError> take();
};

}  // namespace reel::journal
