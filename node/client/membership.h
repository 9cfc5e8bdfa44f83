// Membership: a member of a reader group that applies what it is handed, as pure logic: a GroupReader, and an Applier for
// each share.
//
// Invariants
// - In one share transactions are applied in order and without gaps, beginning at the group's position.
// - A transaction counts as done when it is applied or skipped; with done_by_hand when the application says so. Only what is
//   done moves the group's position: what a member applied and did not report is applied again by whoever comes after it.
// - What has come of a share that others wait for, and is not applied yet, is given back, not applied.
// - Poison holds up its own partition only, wherever it goes; the share stays with this member until it leaves.
//
// Bounds: of each share at most two feed answers wait, one here and one in the GroupReader; each of its part of bytes_total
// and an entry.
// Cost: a turn is O(shares).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "node/client/applier.h"
#include "node/client/group_reader.h"

namespace reel::client {

struct JoinOptions : ApplierOptions {
  std::string name;  // of the reader group; cluster::is_reader_group_name
  bool done_by_hand = false;
  // A partition was given to this member, or it lost it. Nothing of a share is applied before it is gained, or after it is
  // lost.
  std::function<void(const ShareChange&)> on_share{};
  // A share has become `stopped`: it stands still at a poison transaction.
  std::function<void(GroupId, const ViewState&)> on_stopped{};
  // The cluster refuses this member, or a feed is damaged: it has no more shares, and gets none. Once.
  std::function<void(const std::string&)> on_failed{};
  // Whoever is silent for so long is put out, and the others get its shares. From 100 ms to an hour.
  io::Duration patience = io::seconds(10);
  io::Duration report_delay = io::seconds(1);  // from progress to its report
  std::uint64_t bytes_total = 64u << 20;       // that may wait here, and as much in the reader
};

// One partition of a member's.
struct ShareState {
  GroupId partition;
  Epoch epoch;
  TxnId next;  // the first id that is not applied
  TxnId kept;  // the group's position, as the cluster has told
  ViewStatus status{};
  std::string why;
};

class Membership {
 public:
  Membership(const JoinOptions& options, std::vector<NodeId> nodes, MemberId member, std::uint64_t seed);

  void pump(const io::Now& now, Calls& out) { reader_.pump(now, out); }
  // True if the call was this member's.
  bool on_reply(io::CallId call, const ClientReply& reply, const io::Now& now, Calls& out) {
    return reader_.on_reply(call, reply, now, out);
  }
  bool on_failed(io::CallId call, const io::Now& now, Calls& out) {
    return reader_.on_failed(call, now, out);
  }
  // Tells what changed, applies at most `apply_max` transactions of each share. Callbacks may call anything of this but
  // settle().
  void settle(const io::Now& now, std::uint32_t apply_max);
  // When pump() or settle() has something to do.
  io::Instant deadline(const io::Now& now) const;

  // With done_by_hand: the application is done with all before `next`; from within `apply`, with this transaction too, if
  // it does not fail. Else, of a share that is lost, or with what was not applied, it is ignored.
  void done(GroupId partition, Epoch epoch, TxnId next);
  // Lets a stopped share go on. False: it is not stopped.
  bool resume(GroupId partition, Verdict verdict);
  void leave();
  bool has_left() const { return reader_.has_left() || failed(); }
  bool failed() const { return failure().has_value(); }
  const std::optional<std::string>& failure() const { return reader_.failure(); }

  const MemberId& self() const { return self_; }
  std::vector<ShareState> shares() const;
  std::uint32_t members() const { return reader_.members(); }
  // All that was committed when a node answered last, of each share, is applied and done.
  bool caught_up() const;
  const Repeats& repeats() const { return reader_.repeats(); }

 private:
  struct Share {
    Share(Epoch given, Applier view) : epoch(given), applier(std::move(view)), done(applier.next()) {}
    Epoch epoch;
    Applier applier;
    TxnId done;  // all before, as far as it is applied
  };

  void tell_changes();
  void take_in();
  void apply_some(Share& share, const io::Now& now, std::uint32_t apply_max);
  void passed(Share& share, const Applier::Passed& passed);
  static ViewState view_of(const Applier& applier);

  JoinOptions options_;
  MemberId self_;
  GroupReader reader_;
  std::uint64_t seed_;
  std::map<GroupId, Share> shares_;
  bool leaving_ = false;
  bool failure_told_ = false;
};

}  // namespace reel::client
