// The consensus core: Raft as a regular value. It has no clock, no disk, no network and no randomness; its host owns
// time and durability. step(input) changes the state and appends what must happen to an Output.
//
// The same code runs in production, in the simulator, and in model/'s exhaustive exploration, so a Core is copyable,
// comparable and hashable, and its log holds identities only: bodies live with the host (node/group.h).
//
// Durability is data, not a comment: whatever promises something carries the tickets it waits for. The host may
// perform every other output at once.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "node/client_message.h"
#include "node/message.h"
#include "node/raft/progress.h"
#include "node/raft/quorum.h"
#include "node/types.h"

namespace reel::raft {

struct Options {
  NodeId self;
  GroupId group;
  Incarnation incarnation;
  // Pipelined appends to one follower: not more than this many messages and payload bytes without an answer.
  std::uint32_t inflight_messages_max = 64;
  std::uint32_t inflight_bytes_max = 16u << 20;
  // One AppendRequest: at most this many entries and payload bytes (but always one entry).
  std::uint32_t append_entries_max = 64;
  std::uint32_t append_bytes_max = 1u << 20;
  // Legal and rare branches that a simulation arms by name (faults.md); 0 in production.
  std::uint64_t buggify_seed = 0;
  bool operator==(const Options&) const = default;
};

// The host keeps one deadline per timer; setting it again replaces it. Delays are the host's:
// election: [T, 2T) drawn from keyed_hash(seed, group, term, times set); heartbeat: T/10 or so; contact and quorum: T.
enum class Timer : std::uint8_t {
  election,   // follower, candidate: nobody leads
  contact,    // follower: the leader was heard of less than T ago; until it fires, votes are refused (stickiness)
  heartbeat,  // leader
  quorum,     // leader: CheckQuorum, step down unless a quorum answered since the timer was set
};
inline constexpr std::size_t kTimers = 4;

// What becomes of entries whose bodies are damaged (recovery.md §4.6). Issue-wise only `normal` is reached until the
// journal repairs: the other two exist because they change who may vote, lead and count.
enum class Condition : std::uint8_t { normal, repairing, head_uncertain };

// ---- inputs

struct TimedOut {
  Timer timer{};
};
struct Received {
  NodeId from;
  PeerMessage message;  // entries carry payloads, or none where the host keeps no bodies
};
// Leader only: append this entry (term and index are filled in by the core).
struct Propose {
  EntryKind kind{};
  std::uint32_t size = 0;
  Checksum checksum;
  Bytes payload;
};
// The journal operation named by `ticket`, and all before it, are durable. Tickets come back in order.
struct AppendDurable {
  Ticket ticket;
};
struct HardStateDurable {
  Ticket ticket;
};
// A linearizable read (thesis §6.4): answered by ReadReady with the index to wait for, or by ReadRefused.
struct Read {
  std::uint64_t context = 0;
};
// Whatever was in flight to this peer is lost: go back to probing.
struct PeerReset {
  NodeId peer;
};
// Hand leadership to `target` (thesis §3.10).
struct Transfer {
  NodeId target;
};
// The leader's disk no longer accepts writes, or hangs: step down (S17).
struct DiskFailed {};

using Input = std::variant<TimedOut, Received, Propose, AppendDurable, HardStateDurable, Read, PeerReset, Transfer,
                           DiskFailed>;

// ---- outputs

struct SetTimer {
  Timer timer{};
};
struct StopTimer {
  Timer timer{};
};
// To be sent when append ticket `after_append` and hard-state ticket `after_hard_state` are durable (0: at once).
// For entries the host fills in payloads from its own log.
struct Outgoing {
  NodeId to;
  Ticket after_append;
  Ticket after_hard_state;
  PeerMessage message;
};
// Write these to the journal, in this order, before anything asked for later: first, if set, cut everything from
// `truncate_from` on, then append `entries` (payloads as received or proposed).
struct AppendToLog {
  Ticket ticket;
  std::optional<Index> truncate_from;
  std::vector<Entry> entries;
};
struct SaveHardState {
  Ticket ticket;
  HardState state;
};
struct Committed {
  Index index;  // everything up to here is committed
};
struct RoleChanged {
  Role role{};
  Term term;
  NodeId leader;  // 0: unknown
};
struct ReadReady {
  std::uint64_t context = 0;
  Index index;
};
struct ReadRefused {
  std::uint64_t context = 0;
  NodeId leader;
};
// A proposal became the entry `id`, or was refused because this node does not lead (then id is {0, 0}).
struct Proposed {
  EntryId id;
};

using Effect = std::variant<SetTimer, StopTimer, Outgoing, AppendToLog, SaveHardState, Committed, RoleChanged,
                            ReadReady, ReadRefused, Proposed>;
using Output = std::vector<Effect>;

// What a core needs to know from stable storage when its node boots.
struct Recovered {
  HardState hard_state;
  Configuration configuration;            // as of the log's last configuration entry, or the initial one
  std::vector<EntryIdentity> log;         // from index 1 (snapshots: a later version), all durable
  Index commit;                           // a persisted lower bound
  Condition condition = Condition::normal;
};

class Core {
 public:
  Core(const Options& options, Recovered recovered);

  // Starts the timers of a follower. First call.
  void start(Output& out);
  void step(const Input& input, Output& out);

  Role role() const;
  Term term() const;
  NodeId vote() const;
  NodeId leader() const;  // 0: unknown
  Index first_index() const;
  Index last_index() const;
  Index commit() const;
  Condition condition() const;
  const Configuration& configuration() const;
  const std::vector<EntryIdentity>& log() const;      // log()[0] has first_index()
  std::optional<EntryIdentity> at(Index index) const;  // nullopt outside the log
  Index durable_index() const;                         // own log is durable up to here
  // Leader only; in order of node id.
  const std::vector<std::pair<NodeId, Progress>>& progress() const;
  // True once an entry of the own term is committed: then the state machine's knowledge is complete (Raft §8).
  bool has_committed_in_term() const;

  bool operator==(const Core&) const;
  // Of everything that can influence later behaviour, so equal states have equal digests.
  std::uint64_t digest() const;
};

}  // namespace reel::raft
