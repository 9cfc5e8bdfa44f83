// Node: everything a replica decides, as a value with one verb (design.md §2). It boots from its disk, hosts its groups
// on one journal, talks to peers and clients, and never touches anything but its Effects.
//
// Boot: hard states and manifest, then the journal's identities, then every group replays its log; only then do the
// groups' timers start and clients get anything but `unavailable`.
// Partitions. Those of the manifest boot with the node; more are created while it runs, when the cluster's log says so
// (node/cluster): a new group takes part only when the manifest that names it is durable, so whatever a group wrote, the
// next life knows of it. Several that a crash cut apart are made again from the log.
//
// After a failed write or sync, or damage to what was acknowledged, the node halts with one sentence (recovery by
// restart); a halted node ignores every event.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "io/ports/network.h"
#include "io/ports/parcel.h"
#include "node/effects.h"
#include "node/group.h"
#include "node/leader_balance.h"

namespace reel::node {

struct NodeOptions {
  journal::Options journal;
  GroupOptions group;
  io::Duration mark_delay = io::milliseconds(20);   // idle for this long: write the synced mark
  io::Duration manifest_interval = io::seconds(2);  // persist commit indexes at most this often
  std::uint32_t partitions_max = 1024;  // that may be created while it runs, if the tables have room for them
  io::Duration balance_interval =
      io::seconds(1);  // leader_balance.h; 0: leaders stay where elections put them
  std::string version = "0.1";
};

// ---- events

// First event of a life. The Driver has raised and synced the incarnation.
struct Boot {
  journal::Stamp stamp;
  std::uint64_t entropy = 0;  // seeds the keyed draws of this life
};
struct Tick {};  // the time asked for by wake_at has come
struct ReceivedParcel {
  NodeId from;
  io::Parcel parcel;  // a PeerBatch; anything else is refused
};
struct PeerUp {
  NodeId peer;
  io::ConnectionId connection;
};
struct PeerDown {
  NodeId peer;
  io::ConnectionId connection;
};
struct DiskDone {
  io::DiskResult result;
};
struct Request {
  io::CallId call;
  io::Rights rights{};
  io::Parcel body;  // a ClientCall; anything else is malformed
};
struct Cancelled {
  io::CallId call;
};
using Event = std::variant<Boot, Tick, ReceivedParcel, PeerUp, PeerDown, DiskDone, Request, Cancelled>;

class Node {
 public:
  explicit Node(const NodeOptions& options);
  void step(const io::Now& now, const Event& event, Effects& out);

  bool ready() const;  // recovered and serving
  bool halted() const { return halted_; }
  const journal::Stamp& stamp() const { return stamp_; }
  StatusResult status() const;
  const Group* group(GroupId id) const;
  // Peer batches and calls that were refused as impossible, since boot.
  std::uint64_t refused() const { return refused_; }

 private:
  void on_disk(const io::DiskResult& result, const io::Now& now, Effects& out);
  void on_batch(const ReceivedParcel& received, Context& context);
  void on_request(const Request& request, Context& context);
  void on_request_early(const Request& request, Effects& out) const;
  void continue_boot(const io::Now& now, Effects& out);
  void note_recovery(const journal::Recovered& recovered, Effects& out) const;
  void add_group(const journal::GroupManifest& group, std::vector<EntryIdentity> log);
  void create_groups(Effects& out);
  void balance(const io::Now& now, Effects& out);
  void settle(const io::Now& now, Effects& out);
  void keep_tables(const io::Now& now, Effects& out);
  void merge_sends(Effects& out) const;
  void check_failures(Effects& out);
  void halt(std::string why, Effects& out);
  Context context(const io::Now& now, Effects& out);
  Group* find(GroupId id);

  NodeOptions options_;
  journal::Stamp stamp_;
  std::uint64_t seed_ = 0;
  bool booted_ = false;
  bool serving_ = false;
  bool halted_ = false;
  std::string halt_reason_;
  std::optional<journal::HardStateTable> hard_states_;
  std::optional<journal::Manifest> manifest_;
  std::optional<journal::Recovery> recovery_;
  std::optional<journal::Journal> journal_;
  std::vector<std::unique_ptr<Group>> groups_;  // by id
  std::uint32_t creating_ = 0;                  // groups up to here are written to the manifest
  std::uint64_t creating_saved_ = 0;            // when its updates up to here are durable, they are there
  std::optional<LeaderBalance> balance_;
  Lsn marked_;  // durable() when the mark's delay began
  io::Instant mark_at_ = io::kNever;
  io::Instant manifest_at_ = io::kNever;
  std::uint64_t refused_ = 0;
};

}  // namespace reel::node
