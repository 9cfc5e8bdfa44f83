// The consensus core: Raft as a regular value. It has no clock, no disk, no network and no randomness; its
// host owns time and durability. step(input) changes the state and appends what must happen to an Output.
//
// The same code runs in production, in the simulator, and in model/'s exhaustive exploration, so a Core is
// copyable, comparable and hashable, and its log holds identities only: bodies live with the host
// (node/group.h).
//
// Durability is data, not a comment: whatever promises something carries the tickets it waits for. The host
// may perform every other output at once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
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
// election: [T, 2T) drawn from keyed_hash(seed, group, term, times set); heartbeat: T/10 or so; contact and
// quorum: T; notice: some milliseconds, in which an append most often tells it.
enum class Timer : std::uint8_t {
  election,   // follower, candidate: nobody leads
  contact,    // follower: the leader was heard of less than T ago; until it fires, votes are refused
              // (stickiness)
  heartbeat,  // leader
  quorum,     // leader: CheckQuorum, step down unless a quorum answered since the timer was set
  notice,     // leader: followers that hold what is committed may not know it yet
};
inline constexpr std::size_t kTimers = 5;

// What becomes of entries whose bodies are damaged (recovery.md §4.6). Issue-wise only `normal` is reached
// until the journal repairs: the other two exist because they change who may vote, lead and count.
enum class Condition : std::uint8_t { normal, repairing, head_uncertain };

// ---- inputs

struct TimedOut {
  Timer timer{};
};
struct Received {
  NodeId from;
  // Entries carry payloads, or none where the host keeps no bodies; configuration entries always do.
  PeerMessage message;
};
// Leader only: append this entry (term and index are filled in by the core). Refused with Proposed{{0, 0}}
// when this node does not lead or hands leadership over, when the payload is above kEntryBytesMax, and for a
// configuration also before the own term's first commit (S1), while another one is uncommitted, or when it is
// no legal step. The host bounds what is uncommitted: the core keeps one identity per entry and nothing else.
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
// Hand leadership to `target` (thesis §3.10). Proposals are refused meanwhile; given up at the second firing
// of the quorum timer, that is after [T, 2T). Ignored unless this node leads and `target` is another voter.
struct Transfer {
  NodeId target;
};
// The leader's disk no longer accepts writes, or hangs: step down (S17), and do not campaign until something
// becomes durable again. A leader also finds out by itself: no completion between two firings of the quorum
// timer.
struct DiskFailed {};

using Input = std::variant<TimedOut, Received, Propose, AppendDurable, HardStateDurable, Read, PeerReset,
                           Transfer, DiskFailed>;

// ---- outputs

struct SetTimer {
  Timer timer{};
};
struct StopTimer {
  Timer timer{};
};
// To be sent when append ticket `after_append` and hard-state ticket `after_hard_state` are durable (0: at
// once). For entries the host fills in payloads from its own log. Tickets rise over both kinds of operation.
struct Outgoing {
  NodeId to;
  Ticket after_append;
  Ticket after_hard_state;
  PeerMessage message;
};
// Write these to the journal, in this order, before anything asked for later: first, if set, cut everything
// from `truncate_from` on, then append `entries` (payloads as received or proposed).
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

// A configuration and the entry that brought it; index 0: the initial one.
struct ConfigurationAt {
  Index index;
  Configuration configuration;
  bool operator==(const ConfigurationAt&) const = default;
};

// What a core needs to know from stable storage when its node boots.
struct Recovered {
  HardState hard_state;
  Configuration configuration;     // in force before the first of `configurations`
  std::vector<EntryIdentity> log;  // from index 1 (snapshots: a later version), all durable
  // A persisted lower bound. The host persists at most min(commit(), durable_index()): a follower may know of
  // a commit before its own disk holds it.
  Index commit;
  Condition condition = Condition::normal;
  // Those that the log's configuration entries above `commit` hold, decoded (configuration_codec.h), in
  // order: they are rolled back if the log is.
  std::vector<ConfigurationAt> configurations;
};

// What was not done, and why; for reports, never for decisions.
struct Counters {
  // Messages that no correct peer sends: wrong group, broken order, above a limit.
  std::uint64_t malformed = 0;
  // Messages that contradict what is known: two leaders in a term, another entry where one is committed.
  std::uint64_t impossible = 0;
  // Late answers: of another term, campaign, probe or life.
  std::uint64_t stale = 0;
  // Statistics are no state: cores that differ in nothing else behave the same.
  bool operator==(const Counters&) const { return true; }
};

class Core {
 public:
  // Requires recovered.log to be contiguous from index 1 with terms that never fall, and recovered.commit to
  // lie inside it.
  Core(const Options& options, Recovered recovered);

  // Starts the timers of a follower, and saves the hard state if the log is ahead of it. First call.
  void start(Output& out);
  void step(const Input& input, Output& out);

  Role role() const { return role_; }
  Term term() const { return hard_.term; }
  NodeId vote() const { return hard_.vote; }
  NodeId leader() const { return leader_; }  // 0: unknown
  Index first_index() const { return Index(1); }
  Index last_index() const { return Index(log_.size()); }
  EntryId last_id() const { return log_.empty() ? EntryId{} : log_.back().id(); }
  Index commit() const { return commit_; }
  Condition condition() const { return condition_; }
  const Configuration& configuration() const { return configurations_.back().configuration; }
  const std::vector<EntryIdentity>& log() const { return log_; }  // log()[0] has first_index()
  std::optional<EntryIdentity> at(Index index) const;             // nullopt outside the log
  Index durable_index() const { return durable_; }                // own log is durable up to here
  // Leader only; in order of node id; without this node.
  const std::vector<std::pair<NodeId, Progress>>& progress() const { return progress_; }
  // True once an entry of the own term is committed: then the state machine's knowledge is complete (Raft
  // §8).
  bool has_committed_in_term() const;
  // A leader was heard of within the contact timer, or this node is one: votes are refused (stickiness).
  bool in_contact() const { return contact_ || role_ == Role::leader; }
  bool hard_state_durable() const { return hard_durable_ == hard_ticket_; }
  std::uint64_t round() const { return round_; }
  // 0: no transfer is under way.
  NodeId transfer_target() const { return transfer_target_; }
  const Counters& counters() const { return counters_; }
  const Options& options() const { return options_; }

  bool operator==(const Core&) const = default;
  // Of everything that can influence later behaviour, so equal states have equal digests. O(log).
  std::uint64_t digest() const;

 private:
  friend std::optional<std::string> check(const Core& core);  // invariants.h

  // An unfinished journal operation: when it is durable, the log is durable through `last`, provided that it
  // is still the log that the leader of term `accepted` wrote (S30, S31).
  struct PendingAppend {
    Ticket ticket;
    Index last;
    Term accepted;
    bool operator==(const PendingAppend&) const = default;
  };
  struct PendingRead {
    std::uint64_t context = 0;
    Index index;              // 0: not known before the own term's first commit (S46)
    std::uint64_t round = 0;  // confirmed when a quorum answered this round
    bool operator==(const PendingRead&) const = default;
  };
  // How received entries meet the log.
  struct Fit {
    std::size_t held = 0;     // so many of the first are in the log already
    bool conflict = false;    // the next one contradicts an entry of the log: another term at the same index
    bool impossible = false;  // one has the term and index of ours, and is another entry
  };
  // Rare branches, armed per run (faults.md).
  enum class Rare : std::uint8_t { tiny_append = 1, tiny_window, needless_step_down, spurious_probe };

  // ---- raft.cc: inputs, terms, hard state
  void on(const TimedOut& input, Output& out);
  void on(const Received& input, Output& out);
  void on(const Propose& input, Output& out);
  void on(const AppendDurable& input, Output& out);
  void on(const HardStateDurable& input, Output& out);
  void on(const Read& input, Output& out);
  void on(const PeerReset& input, Output& out);
  void on(const Transfer& input, Output& out);
  void on(const DiskFailed& input, Output& out);
  bool is_plausible(const Received& received) const;
  void become_follower(Term term, NodeId leader, Output& out);
  void set_role(Role role, NodeId leader, bool term_changed, Output& out);
  void set_contact(bool contact, Output& out);
  void save_hard_state(Output& out);
  Ticket promise_ticket() const;
  void send(NodeId to, PeerBody body, Output& out, Ticket after_append = {}, Ticket after_hard_state = {});
  bool rarely(Rare branch, std::uint64_t key, std::uint64_t one_in) const;

  // ---- election.cc: campaigns, votes, leadership
  void receive(NodeId from, const PeerMessage& message, const VoteRequest& request, Output& out);
  void receive(NodeId from, const PeerMessage& message, const VoteReply& reply, Output& out);
  void receive(NodeId from, const PeerMessage& message, const TimeoutNow& order, Output& out);
  void on_election_timeout(Output& out);
  void on_quorum_timeout(Output& out);
  bool may_campaign() const;
  void campaign(bool pre, bool transfer, Output& out);
  void ask_for_votes(bool pre, bool transfer, Output& out);
  void count_campaign(Output& out);
  bool is_up_to_date(EntryId candidate) const;
  bool may_vote(NodeId candidate, const VoteRequest& request) const;
  bool would_vote(NodeId candidate, Term asked, const VoteRequest& request) const;
  void become_leader(Output& out);
  bool quorum_is_active() const;
  bool disk_is_stalled() const;
  void finish_transfer(Output& out);

  // ---- log.cc: the own log, durability, commit, configuration
  Term term_at(Index index) const;
  EntryId id_at(Index index) const;
  bool holds(EntryId id) const;
  EntryId last_with(Index index_max, Term term_max) const;
  Fit fit(const std::vector<Entry>& entries) const;
  bool may_truncate(Index from) const;
  void truncate(Index from);
  void append(std::optional<Index> truncate_from, std::span<const Entry> entries, Output& out);
  Index proven_by(const PendingAppend& pending) const;
  Ticket append_ticket(Index index) const;
  Index countable(Index index) const;
  bool may_commit_by_count(Index index) const;
  void commit_by_quorum(Output& out);
  Index checked_commit(Index leader_commit, Index checked) const;
  void set_commit(Index index, Output& out);
  bool may_propose_configuration(const Configuration& next) const;
  void configuration_changed();
  void forget_old_configurations();

  // ---- replication.cc: leader to follower and back, reads
  void receive(NodeId from, const PeerMessage& message, const AppendRequest& request, Output& out);
  void receive(NodeId from, const PeerMessage& message, const AppendReply& reply, Output& out);
  void follow(NodeId leader, const AppendRequest& request, Output& out);
  void reject(NodeId leader, const AppendRequest& request, Output& out);
  Progress* progress_of(NodeId node);
  const Progress* progress_of(NodeId node) const;
  Progress fresh_progress() const;
  void notice_life(Progress& peer, Incarnation incarnation);
  void on_accepted(NodeId from, Progress& peer, const AppendReply& reply, Output& out);
  void on_rejected(NodeId from, Progress& peer, const AppendReply& reply, Output& out);
  void replicate(Output& out);
  void replicate_to(NodeId node, Progress& peer, Output& out);
  Index match_of(NodeId node) const;
  std::uint32_t take_entries(Index from, std::vector<Entry>& entries) const;
  void heartbeat(Output& out);
  void start_round(Output& out);
  Index heartbeat_position(Progress& peer);
  void send_append(NodeId to, Progress& peer, Index previous, std::vector<Entry> entries, Output& out);
  void arm_notice(Output& out);
  void tell_commit(Output& out);
  std::uint64_t confirmed_round() const;
  void release_reads(Output& out);
  void refuse_reads(Output& out);

  Options options_;
  Condition condition_ = Condition::normal;
  Role role_ = Role::follower;
  NodeId leader_;
  bool contact_ = false;
  bool disk_failed_ = false;
  bool campaign_deferred_ = false;  // repairing: an intact node may win first

  HardState hard_;    // in memory; durable up to hard_durable_
  HardState saving_;  // the newest that was handed out to be saved
  Ticket hard_ticket_;
  Ticket hard_durable_;
  Ticket last_ticket_;

  std::vector<EntryIdentity> log_;  // log_[i] has index i + 1
  Index commit_;
  Index durable_;
  Term accepted_term_;                           // of the leader that wrote to the log last
  std::vector<PendingAppend> pending_;           // in order of ticket
  std::vector<ConfigurationAt> configurations_;  // the newest committed one and what follows it; never empty

  std::vector<std::pair<NodeId, bool>> votes_;  // candidates: answers of this campaign, in order of node id
  std::vector<std::pair<NodeId, Progress>> progress_;
  std::uint64_t round_ = 0;         // of this life; never reused (S47)
  std::vector<PendingRead> reads_;  // in order of round
  bool notice_armed_ = false;
  NodeId transfer_target_;
  bool transfer_checked_ = false;  // the quorum timer fired once since
  Ticket oldest_unfinished_;       // leader: when the quorum timer fired last

  Counters counters_;
};

}  // namespace reel::raft
