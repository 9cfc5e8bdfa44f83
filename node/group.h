// Group: the host of one consensus core. It owns what the core does not want to know: bodies, timers, the state
// machine, clients. It turns the core's effects into journal records, messages and replies, and holds back each message
// until the tickets that it waits for are durable.
//
// Appends. Calls wait in a bounded queue, or are refused at its door (admission.h); whenever the journal has room, everything that waits (up to
// entry_bytes_max) becomes one entry: group commit, one consensus entry per batch. Ids, times and duplicates are
// decided there, on committed state plus the overlay of what is in flight, and written into the entry. So are lock
// verdicts; one that rests on an entry in flight is told when that entry is applied, and dies with leadership.
//
// Bodies. The newest are kept in a tail cache (never evicted before they are durable and applied); older ones are read
// back from the journal in chunks and verified. Whoever needs a body that is not here asks for it and tries again when
// it has come: the applier, messages to lagging followers, feeds.
//
// Bounds: admission, answers_waiting_max, entries_in_flight_max, cache_bytes + read_cache_bytes, feeds_waiting_max,
// reads_waiting_max, feed_scan_bytes_max.
#pragma once

#include <array>
#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "io/ports/time.h"
#include "node/admission.h"
#include "node/cluster/coordinator.h"
#include "node/effects.h"
#include "node/journal/journal.h"
#include "node/journal/tables.h"
#include "node/log/log_state.h"
#include "node/raft/raft.h"

namespace reel::node {

struct GroupOptions {
  io::Duration election_timeout = io::milliseconds(600);  // T: [T, 2T) before campaigning
  io::Duration heartbeat_interval = io::milliseconds(60);
  io::Duration commit_notice =
      io::milliseconds(1);  // until followers hear of a commit that no append has told them of
  std::uint32_t entry_bytes_max = 1u << 20;  // of one group-commit batch; a single call may exceed it
  std::uint32_t transaction_bytes_max = kTransactionBytesMax;  // of one's data; at most that
  std::uint32_t call_bytes_max = kAppendCallBytesMax;          // of one append's block; at most that
  std::uint32_t call_transactions_max = kAppendCallCountMax;   // likewise
  std::uint32_t entries_in_flight_max = 32;                    // proposed, not yet committed
  AdmissionOptions admission;  // of appends and resolves: the queue in front of the log
  std::uint32_t answers_waiting_max =
      65536;  // calls in flight, joined ones too; beyond: they stay in the queue
  std::uint64_t cache_bytes = 64u << 20;
  std::uint64_t read_cache_bytes = 8u << 20;
  std::uint32_t read_chunk_bytes = 1u << 20;
  std::uint32_t reads_in_flight_max = 4;
  std::uint32_t feeds_waiting_max = 65536;  // lookups that wait for a body among them
  std::uint32_t feed_scan_bytes_max =
      4u << 20;  // of payload that one answer with a filter looks at; one entry at least
  std::uint32_t reads_waiting_max = 16384;  // linearizable high-water marks
  io::Duration feed_wait_max = io::seconds(60);
  std::uint32_t sends_waiting_max = 256;  // messages that wait for bodies from disk; beyond: dropped
  log::LogOptions log;                    // the same on every node
  raft::Options raft;                     // self, group and incarnation are filled in by Node
};

// What a group shares with its node for the time of one step.
struct Context {
  io::Now now;
  Effects& out;
  journal::Journal& journal;
  journal::HardStateTable& hard_states;
  const journal::Stamp& stamp;
  std::uint64_t seed;
};

class Group {
 public:
  // The cluster's group gets a coordinator.
  Group(GroupId id, const GroupOptions& options, const raft::Recovered& recovered,
        std::optional<cluster::Coordinator> coordinator = std::nullopt);

  // Reads the whole log once: applies what is committed, verifies the rest. Until replayed() nothing else happens.
  void replay(Context& context);
  bool replayed() const { return replayed_; }

  void on_message(NodeId from, const PeerMessage& message, Context& context);
  void on_peer_reset(NodeId peer, Context& context);
  void on_append(io::CallId call, const AppendCall& append, Context& context);
  void on_resolve(io::CallId call, const ResolveCall& resolve, Context& context);
  void on_feed(io::CallId call, const FeedCall& feed, Context& context);
  void on_lookup(io::CallId call, const TransactionCall& wanted, Context& context);
  void on_high_water(io::CallId call, const HighWaterCall& wanted, Context& context);
  // A call to a partition that is not here: there is none, or this node has not heard of it yet. Whoever leads the cluster's
  // group knows. Requires a coordinator.
  void on_unknown_partition(io::CallId call, GroupId partition, Context& context);
  // Calls about partitions and reader groups. Requires a coordinator.
  void on_cluster_call(io::CallId call, const ClientCall& body, Context& context);
  void on_cancelled(io::CallId call);
  // A result that belongs to DiskOwner::reader and to one of this group's reads; false if it is not ours.
  bool on_read(const io::DiskResult& result, Context& context);
  // Fires due timers, collects durability, proposes, applies, answers. Call at the end of each step, before the
  // journal forms batches; true if anything happened.
  bool pump(Context& context);
  void on_disk_failed(Context& context);
  // Hands leadership to another voter, if this node leads (raft::Transfer).
  void transfer(NodeId target, Context& context);

  // When pump() must be called again at the latest.
  io::Instant deadline() const;
  const raft::Core& core() const { return core_; }
  GroupId id() const { return id_; }
  const log::LogState& state() const { return state_; }
  const std::optional<cluster::Coordinator>& coordinator() const { return coordinator_; }
  GroupStatus status() const;
  // Who may join the queue of appends, and how many stand in it.
  const Admission& admission() const { return admission_; }
  std::size_t queued() const { return queue_.size(); }
  // Messages that wait until what they promise is durable.
  std::size_t held() const { return held_.size(); }
  // When the timer fires; kNever if it is not set.
  io::Instant timer(raft::Timer timer) const { return deadlines_[static_cast<std::size_t>(timer)]; }
  // The message of the error that stopped this group, if one did.
  const std::optional<std::string>& failure() const { return failure_; }

 private:
  // An append, or a request to resolve one sequence: then the block is empty.
  struct QueuedCall {
    io::CallId call;
    AppendCall append;
    log::Survey survey;
    bool resolve = false;
    bool burn = false;  // the sequence to resolve, if nothing is known of it
  };
  struct Waiter {
    io::CallId call;
    SessionId session;
    Sequence first;
    std::uint32_t count = 0;
    bool resolve = false;
    std::vector<Refusal> refusals;  // by sequence
  };
  struct WaitingFeed {
    io::CallId call;
    FeedCall feed;
    io::Instant deadline;
  };
  struct WaitingLookup {
    io::CallId call;
    TxnId id;
  };
  struct WaitingRead {
    io::CallId call;
    GroupId partition;                   // whether there is such a one; 0: that is not the question
    std::optional<ClientCall> question;  // for the coordinator; neither: asks for the high-water mark
    Index index;                         // to be applied first
  };
  struct ReadInFlight {
    Index first;
    std::vector<EntryIdentity> identities;
    std::vector<journal::Location> locations;
  };
  template <class Number>
  struct Durability {
    Ticket ticket;
    Number number;
  };
  // Sequences that a proposal adds to the log: a slice of one call's block, or a burn.
  struct Section {
    const QueuedCall* from = nullptr;
    std::uint32_t skip = 0;
    std::uint32_t count = 0;
    std::size_t offset = 0;
    std::size_t bytes = 0;
    log::SectionKind kind = log::SectionKind::transactions;
    bool opens = false;
    std::uint32_t changes = 0;
  };
  // The next entry while it is put together.
  struct Proposal {
    Index index;
    TxnId next_id;  // of its next transaction
    std::size_t bytes = log::kEntryHeaderBytes;
    std::vector<Section> sections;
  };

  // -- the core and its effects
  void run(const raft::Input& input, Context& context);
  void note_changes(Context& context);
  void handle(raft::SetTimer& effect, Context& context);
  void handle(raft::StopTimer& effect, Context& context);
  void handle(raft::Outgoing& effect, Context& context);
  void handle(raft::AppendToLog& effect, Context& context);
  void handle(raft::SaveHardState& effect, Context& context);
  void handle(raft::Committed& effect, Context& context);
  void handle(raft::RoleChanged& effect, Context& context);
  void handle(raft::ReadReady& effect, Context& context);
  void handle(raft::ReadRefused& effect, Context& context);
  void handle(raft::Proposed& effect, Context& context);
  bool fire_timers(Context& context);
  bool collect_durability(Context& context);
  bool release_held(Context& context);
  bool may_leave(const raft::Outgoing& message) const;
  void send(raft::Outgoing message, Context& context);

  // -- appends
  bool leads() const;
  bool may_propose(const Context& context) const;
  bool is_worth_waiting(const Context& context) const;
  void take_over(const Context& context);
  bool propose(Context& context);
  bool propose_commands(Context& context);
  void propose_entry(EntryKind kind, journal::Body body, Context& context);
  void reply_all(cluster::Answers answers, Context& context) const;
  void enqueue(QueuedCall queued, Context& context);
  bool refuses(const QueuedCall& queued, Context& context) const;
  void admit(const QueuedCall& queued, Proposal& proposal, Context& context);
  void judge(Section all, Proposal& proposal, Waiter& waiter, Index& wait_for, Context& context);
  void add(const Section& section, Proposal& proposal);
  void build_entry(const Proposal& proposal, Context& context);
  void answer_waiters(Context& context);
  std::optional<ClientReply> answer_of(const Waiter& waiter) const;
  void fail_clients(Context& context);

  // -- bodies
  const Bytes* body_of(Index index) const;
  void remember(Index index, journal::Body body);
  void forget_from(Index index);
  void evict();
  void trim_read_cache();
  void want(Index index, Context& context);
  bool apply(Context& context);
  std::expected<void, std::string_view> apply_commands(std::span<const std::byte> payload);
  bool retry_sends(Context& context);
  bool fill(PeerMessage& message, Context& context);

  // -- readers
  bool answer_feeds(Context& context);
  bool answer_feed(WaitingFeed& waiting, Context& context);
  bool answer_entries(const WaitingFeed& waiting, Context& context);
  bool answer_matches(WaitingFeed& waiting, Context& context);
  bool answer_lookups(Context& context);
  bool answer_lookup(const WaitingLookup& waiting, Context& context);
  void start_read(const WaitingRead& read, Context& context);
  bool answer_reads(Context& context);
  void answer_read(const WaitingRead& read, Context& context);

  void reply(io::CallId call, ClientReply body, Context& context) const;
  void refuse(io::CallId call, ErrorCode code, Context& context, std::uint64_t limit = 0) const;
  void refuse_overloaded(io::CallId call, io::Duration retry_after, Context& context) const;
  void note(Note note, Context& context) const;
  void fail(std::string why) { failure_ = std::move(why); }

  GroupId id_;
  GroupOptions options_;
  raft::Core core_;
  log::LogState state_;
  std::optional<cluster::Coordinator> coordinator_;
  raft::Output effects_;
  std::array<io::Instant, raft::kTimers> deadlines_;
  std::uint64_t elections_timed_ = 0;
  HardState noted_;
  Index noted_durable_;
  std::deque<Durability<Lsn>> appends_;
  std::deque<Durability<std::uint64_t>> saves_;
  Ticket append_durable_;
  Ticket hard_state_durable_;
  std::deque<raft::Outgoing> held_;

  std::deque<QueuedCall> queue_;
  Admission admission_;  // of what stands in it
  log::SessionOverlay overlay_;
  log::LockOverlay lock_overlay_;
  bool inherits_ = false;        // leads since a moment ago: next_id_ and last_time_ are not taken over yet
  TxnId next_id_;                // leader: after everything in its log
  std::uint64_t last_time_ = 0;  // likewise
  journal::Body proposing_;
  std::optional<EntryId> proposed_;
  std::multimap<Index, Waiter> waiters_;

  std::deque<journal::Body> tail_;
  Index tail_first_;
  std::uint64_t tail_bytes_ = 0;
  std::map<Index, Bytes> read_cache_;
  std::deque<Index> read_order_;
  std::uint64_t read_bytes_ = 0;
  std::map<io::DiskOpId, ReadInFlight> reads_;
  std::deque<raft::Outgoing> waiting_sends_;

  std::deque<WaitingFeed> feeds_;
  io::Instant feed_deadline_ = io::kNever;
  std::deque<WaitingLookup> lookups_;
  std::map<std::uint64_t, WaitingRead> read_contexts_;
  std::uint64_t last_read_context_ = 0;
  std::vector<WaitingRead> reads_ready_;

  Index boot_commit_;          // replay: apply up to here
  bool found_log_ = false;     // this is not the node's first life
  bool found_leader_ = false;  // in this life somebody led
  Index replay_next_{1};
  bool boot_noted_ = false;
  bool replayed_ = false;
  bool bodies_arrived_ = false;
  std::optional<std::string> failure_;
};

}  // namespace reel::node
