// GroupReader: a member of a reader group, as pure logic. It joins, reads the partitions that are given to it, each from the
// group's position on, reports how far the application has come, hands over what others wait for, and joins again when it
// was put out.
//
// Invariants
// - In one share (a partition in an epoch) transactions are handed over in order and without gaps, beginning at the
//   group's position. So is, over all members, what the group handed over: nothing is skipped. What a member has not
//   reported when it loses a share is handed over again by the next one.
// - Only what the application said it is done with is reported.
// - Nothing is handed over of a share that may be another's by now: when the coordinator has not answered within the
//   member's patience, counted from when the answered report was sent, all shares are given up here, too.
// - A revoked share is read no more; it is released as soon as the application is done with what it was handed. When
//   whoever waited for it is gone before that, it is read on.
//
// Bounds: one report in flight; each share holds at most one feed answer, of its part of bytes_total and an entry.
// Cost: a report each third of the patience, or `report_delay` after progress.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/ports/time.h"
#include "node/client/calls.h"
#include "node/client/reader.h"
#include "node/client_message.h"

namespace reel::client {

struct GroupReaderOptions {
  std::vector<NodeId> nodes;  // not empty; the first is asked first
  std::string name;           // of the reader group
  MemberId member;            // drawn at random for this member alone
  io::Duration patience = io::seconds(10);
  io::Duration report_delay = io::seconds(1);  // from progress to its report; less when somebody waits for it
  std::uint32_t bytes_max = 1u << 20;          // credit of one feed call,
  std::uint64_t bytes_total = 64u << 20;       // and of those of all shares together (4 KiB each at least)
  io::Duration wait = io::seconds(10);         // long poll at the end of a partition
  io::Duration call_timeout = io::seconds(5);
  io::Duration backoff_min = io::milliseconds(5);
  io::Duration backoff_max = io::milliseconds(500);
  std::uint64_t seed = 0;
};

// A partition was given to this member, or it lost it.
struct ShareChange {
  GroupId group;
  Epoch epoch;
  bool gained = false;
  TxnId next;  // gained: where it begins
  bool operator==(const ShareChange&) const = default;
};

class GroupReader {
 public:
  explicit GroupReader(const GroupReaderOptions& options);

  void pump(const io::Now& now, Calls& out);
  // True if the call was this member's.
  bool on_reply(io::CallId call, const ClientReply& reply, const io::Now& now, Calls& out);
  bool on_failed(io::CallId call, const io::Now& now, Calls& out);
  // When pump() must be called again at the latest.
  io::Instant deadline() const;

  // What changed since the last time, in order. To be taken before drain().
  std::vector<ShareChange> take_changes() { return std::exchange(changes_, {}); }
  // Hands over what has come, of the shares for which wants(GroupId, Epoch) says so: visit(GroupId, Epoch, const
  // log::Transaction&, const Bytes& that it lies in). A visit must not call the GroupReader but for done().
  template <class Wants, class Visit>
  void drain(Wants&& wants, Visit&& visit) {
    for (auto& entry : shares_) {
      const GroupId id = entry.first;
      Share* share = &entry.second;
      if (share->reader == nullptr || !wants(id, share->epoch)) continue;
      share->reader->drain([&visit, id, share](const log::Transaction& transaction, const Bytes& memory) {
        share->handed = transaction.id + 1;
        visit(id, share->epoch, transaction, memory);
      });
    }
  }
  // Of all shares: visit(GroupId, Epoch, const log::Transaction&).
  template <class Visit>
  void drain(Visit&& visit) {
    drain([](GroupId, Epoch) { return true; },
          [&visit](GroupId group, Epoch epoch, const log::Transaction& transaction, const Bytes&) {
            visit(group, epoch, transaction);
          });
  }
  // The application is done with all before `next`. Of a share that is lost, or with what was not handed over, it is
  // ignored.
  void done(GroupId group, Epoch epoch, TxnId next);
  // Others wait for this share, or it is no share of this member: nothing more of it comes.
  [[nodiscard]] bool revoked(GroupId group, Epoch epoch) const;
  // The application forgets what it was handed from `next` on: whoever has the share next is handed it again. Requires
  // revoked(), or leave(); and that it is not done with it.
  void give_back(GroupId group, Epoch epoch, TxnId next);
  // Something of this share has come and is not handed over.
  [[nodiscard]] bool has_news(GroupId group) const;
  // Reports, leaves, and reads no more. has_left() when the cluster knows.
  void leave();
  bool has_left() const { return state_ == State::left; }

  // The group's position in a share of this member, as the cluster told it; nothing if it has no such share.
  [[nodiscard]] std::optional<TxnId> kept(GroupId group, Epoch epoch) const;
  std::size_t shares() const { return shares_.size(); }
  std::uint32_t members() const { return members_; }  // of the group, as of the last answer
  // All that was committed when a node answered last, of each share, is handed over and done.
  bool caught_up() const;
  // Set when going on makes no sense (unauthorized, malformed, too many members; or damage in a feed).
  const std::optional<std::string>& failure() const { return failure_; }
  const Repeats& repeats() const { return repeats_; }
  NodeId target() const { return options_.nodes[target_]; }

 private:
  enum class State : std::uint8_t { joining, member, leaving, left };
  struct Share {
    Epoch epoch;
    std::unique_ptr<Reader> reader;  // none: revoked
    TxnId handed;
    TxnId done;
    TxnId reported;  // and the cluster has it
    bool revoked = false;
    bool releasable() const { return revoked && done == handed; }
  };
  // The report in flight.
  struct Sent {
    io::CallId call;
    ReaderGroupCall::Verb verb{};
    io::Instant at;
    io::Instant expires;
    std::vector<ReaderProgress> progress;
  };

  io::Instant report_due() const;
  void send_report(const io::Now& now, Calls& out);
  void take(const ReaderGroupResult& result, Calls& out);
  void gain(const ReaderShare& given, std::size_t shares);
  void read(GroupId group, Share& share, std::size_t shares);
  void revoke(Share& share, Calls& out);
  void lose(GroupId group, Share& share, Calls& out);
  void lose_all(Calls& out);
  void on_error(const CallError& error, const io::Now& now, Calls& out);
  void fall_back(NodeId hint, io::Duration at_least, const io::Now& now);
  bool has_progress() const;

  GroupReaderOptions options_;
  State state_ = State::joining;
  std::map<GroupId, Share> shares_;
  std::vector<ShareChange> changes_;
  std::optional<Sent> sent_;
  io::Instant next_report_{INT64_MIN};
  io::Instant progress_since_ = io::kNever;  // the first that is not reported
  io::Instant lapses_ = io::kNever;          // shares are given up then
  io::Instant resume_at_{INT64_MIN};
  std::size_t target_ = 0;
  std::uint32_t failures_ = 0;
  std::uint32_t members_ = 0;
  std::uint64_t gains_ = 0;
  io::Instant now_{INT64_MIN};  // of the last pump: done() has no clock
  Repeats repeats_;
  std::optional<std::string> failure_;
};

}  // namespace reel::client
