// A tiny deterministic world for tests of the core: cores in memory, messages and disk operations that are
// held until the test lets them go, crashes that lose what is not durable. It performs the core's outputs as
// its contract says, and judges after every step: Raft's safety properties (figure 3 of the paper) over all
// nodes, the invariants of each core, and that nothing called durable is missing on a disk.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/raft/invariants.h"
#include "node/raft/raft.h"

namespace reel::raft {

struct Flight {
  NodeId from;
  NodeId to;
  PeerMessage message;
};

// What a disk holds, and what is on its way to it.
struct TestDisk {
  HardState hard_state;
  std::vector<Entry> log;
  Index commit;                     // what the host last persisted of it
  std::deque<AppendToLog> appends;  // not yet durable, in order
  std::deque<SaveHardState> saves;  // likewise, another stream
};

struct TestNode {
  std::optional<Core> core;  // empty: crashed
  Incarnation incarnation;
  std::vector<Entry> bodies;  // the host's view of the log, in memory
  TestDisk disk;
  Ticket append_durable;
  Ticket hard_state_durable;
  std::vector<Outgoing> held;  // wait for a ticket
  std::array<bool, kTimers> armed{};
  Remembered before;
  std::map<std::uint64_t, std::uint64_t> reads;  // context -> what was committed when it was asked
  std::vector<ReadReady> ready;
  std::vector<ReadRefused> refused;
  EntryId proposed;
};

class TestNetwork {
 public:
  // Nodes 1 … nodes, all of them voters unless `initial` says otherwise.
  explicit TestNetwork(std::size_t nodes, std::optional<Configuration> initial = {}, Options options = {});

  // ---- the world
  Core& core(NodeId node) { return *nodes_.at(node.value - 1).core; }
  TestNode& node(NodeId node) { return nodes_.at(node.value - 1); }
  std::size_t size() const { return nodes_.size(); }
  bool alive(NodeId node) const { return nodes_.at(node.value - 1).core.has_value(); }
  std::deque<Flight>& flights() { return flights_; }
  // The node that leads in the highest term; 0 if none does.
  NodeId leader() const;
  const std::vector<EntryIdentity>& committed() const { return committed_; }
  std::size_t elections() const { return leaders_.size(); }
  // The first rule that was broken; nothing happens any more after it.
  const std::optional<std::string>& failure() const { return failure_; }

  // ---- inputs
  void input(NodeId node, const Input& input);
  // Fires the timer if it is set.
  bool fire(NodeId node, Timer timer);
  // A transaction with a content of its own; the id it got, or {0, 0}.
  EntryId propose(NodeId node);
  EntryId propose(NodeId node, const Configuration& next);
  void read(NodeId node, std::uint64_t context);

  // ---- network
  void deliver(std::size_t flight);  // removes it
  void drop(std::size_t flight);
  void duplicate(std::size_t flight);  // once more, at the end
  // Everything in order until nothing is in flight; at most `limit` messages. Returns how many.
  std::size_t deliver_all(std::size_t limit = 100000);
  void cut(NodeId from, NodeId to) { cuts_.insert({from, to}); }
  void cut_both(NodeId a, NodeId b);
  void isolate(NodeId node);
  void heal() { cuts_.clear(); }
  // Drops at the source what matches.
  std::function<bool(const Flight&)> lose;
  std::uint64_t sent = 0;          // messages that reached the network, lost ones included
  std::uint64_t cuts_of_logs = 0;  // truncations

  // ---- disks
  bool hold_disk(NodeId node, bool hold);  // completions wait for complete_…; true if it was held before
  bool complete_append(NodeId node);       // the oldest; false if there is none
  bool complete_save(NodeId node);
  void complete_all(NodeId node);

  // ---- crashes: of the operations not yet durable the first `appends` and `saves` survive
  void crash(NodeId node, std::size_t appends = 0, std::size_t saves = 0);
  void restart(NodeId node);
  // Gives a crashed node's disk a past that this world has not seen.
  void preload(NodeId node, HardState hard_state, std::vector<Entry> log);

  // ---- convenience
  // Delivers and completes everything until nothing moves.
  void settle(std::size_t limit = 100000);
  // Fires the node's election timer and settles; true if it leads then.
  bool elect(NodeId node);
  void heartbeat(NodeId node);  // fires the leader's heartbeat and settles
  // Contact timers of all but `node` run out, so that they may vote for it.
  void lose_contact();

 private:
  void perform(TestNode& node, Output& out);
  void perform(TestNode& node, SetTimer& effect);
  void perform(TestNode& node, StopTimer& effect);
  void perform(TestNode& node, Outgoing& effect);
  void perform(TestNode& node, AppendToLog& effect);
  void perform(TestNode& node, SaveHardState& effect);
  void perform(TestNode& node, Committed& effect);
  void perform(TestNode& node, RoleChanged& effect);
  void perform(TestNode& node, ReadReady& effect);
  void perform(TestNode& node, ReadRefused& effect);
  void perform(TestNode& node, Proposed& effect);
  void leave(TestNode& node, Outgoing message);
  void release(TestNode& node);
  void boot(TestNode& node);
  void flush(TestNode& node);
  void judge(TestNode& node);
  void judge_disk(TestNode& node);
  void judge_created(TestNode& node, const EntryIdentity& identity, bool may_create);
  void judge_commit_quorum(const TestNode& leader, Index to);
  void fail(const TestNode& node, const std::string& what);

  struct Created {
    EntryIdentity identity;
    EntryId previous;
  };
  Configuration initial_;
  Options options_;
  std::vector<TestNode> nodes_;
  std::set<NodeId> holding_;
  std::deque<Flight> flights_;
  std::set<std::pair<NodeId, NodeId>> cuts_;
  std::uint64_t contents_ = 0;
  std::map<Term, NodeId> leaders_;
  std::map<EntryId, Created> created_;
  std::vector<EntryIdentity> committed_;  // by any node, from index 1
  std::vector<Term> committed_in_;        // the term of the leader that committed it
  std::optional<std::string> failure_;
};

}  // namespace reel::raft
