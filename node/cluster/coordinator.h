// Coordinator: partition 0's leader as the cluster's: takes calls about partitions and reader groups, says what is to be
// proposed, and answers when that is applied. It notices members that fell silent and partitions that are not released,
// on the leader's own clock, and has both decided by the log. On a follower it only applies.
//
// Invariants
// - Every call is answered once: when its command is applied, when it turns out to need none, or as "not the leader" when
//   leadership ends. Repeating any of them is harmless.
// - Whatever is answered is applied here, so it is committed. What says nothing new is answered without the log, but only
//   when the host has confirmed that this node still leads (ReadIndex): a deposed leader would show a member its past.
// - While this node leads, each member's silence is watched from when it is applied at the latest: one whose only word was a
//   delayed copy of its joining is put out like any other.
// - A member is put out only after its leader has not heard of it for its whole patience; a new leader begins to count
//   anew.
// - A partition that another member waits for goes to it at the latest when its owner's patience has passed since the
//   leader noticed.
//
// Bounds: kWaitingCallsMax calls wait; one entry carries kEntryCommandsMax commands of kEntryBytes.
// Cost: O(log members) a call; an alarm per member or partition that is late.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "io/ports/time.h"
#include "node/client_message.h"
#include "node/cluster/cluster_state.h"

namespace reel::cluster {

struct Answer {
  io::CallId call;
  ClientReply body;
};
using Answers = std::vector<Answer>;

class Coordinator {
 public:
  static constexpr std::size_t kWaitingCallsMax = 16384;
  static constexpr std::size_t kEntryCommandsMax = 1024;
  static constexpr std::size_t kEntryBytes = 512u << 10;

  // `partitions` were there when the node booted; up to `partitions_max` may be created.
  Coordinator(std::uint32_t partitions, std::uint32_t partitions_max)
      : booted_with_(partitions), partitions_max_(partitions_max) {}

  const ClusterState& state() const { return state_; }
  std::uint32_t partitions() const;

  // ---- every node
  std::expected<void, std::string_view> apply(std::span<const std::byte> payload);

  // ---- the leader. Calls come while this node leads; those that come before lead() wait for it.
  // True: nothing has to be proposed; the host confirms its leadership and calls answer() for it.
  [[nodiscard]] bool on_call(io::CallId call, const ClientCall& body, const io::Now& now, Answers& out);
  // Of a well-formed call, as of what is applied.
  ClientReply answer(const ClientCall& body) const;
  // Leads, and all that was inherited is applied.
  void lead(const io::Now& now);
  bool leads() const { return leads_; }
  // Leadership ended: nothing more is proposed, and whoever waits is told.
  void follow(Answers& out);
  void on_cancelled(io::CallId call);
  // Puts out who is late. Call before has_commands().
  void wake(const io::Now& now);
  io::Instant deadline() const;
  bool has_commands() const { return leads_ && !queue_.empty(); }
  // The payload of the entry `index`, which must be proposed; empty if nothing is to be said. Partitions that it creates
  // begin with `configuration`.
  std::vector<std::byte> take_entry(Index index, const raft::Configuration& configuration);
  // Answers whose command is applied.
  void answer_applied(Index applied, Answers& out);

 private:
  struct MemberKey {
    std::string name;
    MemberId member;
    auto operator<=>(const MemberKey&) const = default;
  };
  struct ShareKey {
    std::string name;
    GroupId group;
    Epoch epoch;
    auto operator<=>(const ShareKey&) const = default;
  };
  // Alarms by key and by time.
  template <class Key>
  class Alarms {
   public:
    void set(const Key& key, io::Instant at) {
      clear(key);
      at_[key] = at;
      by_time_.emplace(at, key);
    }
    void clear(const Key& key) {
      const auto it = at_.find(key);
      if (it == at_.end()) return;
      by_time_.erase({it->second, key});
      at_.erase(it);
    }
    bool has(const Key& key) const { return at_.contains(key); }
    io::Instant first() const { return by_time_.empty() ? io::kNever : by_time_.begin()->first; }
    std::optional<Key> take_due(io::Instant now) {
      if (first() > now) return std::nullopt;
      Key key = by_time_.begin()->second;
      clear(key);
      return key;
    }
    void clear() {
      at_.clear();
      by_time_.clear();
    }

   private:
    std::map<Key, io::Instant> at_;
    std::set<std::pair<io::Instant, Key>> by_time_;
  };
  struct Queued {
    io::CallId call;
    std::variant<ClientCall, Command> what;  // a command is the leader's own
  };
  struct Waiter {
    io::CallId call;
    ClientCall body;
  };

  void hear(const ReaderGroupCall& call, const io::Now& now);
  void watch_releases(const io::Now& now);
  bool says_something_new(const ClientCall& body) const;
  Command command_of(const ClientCall& body, const raft::Configuration& configuration) const;

  std::uint32_t booted_with_;
  std::uint32_t partitions_max_;
  ClusterState state_;

  bool leads_ = false;
  bool changed_ = false;  // something was applied since releases were looked at
  std::deque<Queued> queue_;
  std::multimap<Index, Waiter> waiters_;
  Alarms<MemberKey> silences_;
  std::vector<MemberKey> joined_;  // applied since the last wake()
  Alarms<ShareKey> releases_;
};

}  // namespace reel::cluster
