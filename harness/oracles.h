// The oracles of one simulated run, bound to its cluster: every step of every node goes through them, every answer to a
// client, and every transaction that a reader saw. The first violation stops the run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/bank_oracle.h"
#include "model/consensus_oracle.h"
#include "model/feed_oracle.h"
#include "model/lock_oracle.h"
#include "model/log_oracle.h"
#include "model/overload_oracle.h"
#include "model/reader_group_oracle.h"
#include "node/driver.h"

namespace reel::harness {

// The partition of list clients. Locks there are judged by nobody but the checker of their histories.
inline constexpr GroupId kListGroup{5};

struct OracleOptions {
  std::uint32_t partitions = 1;
  std::uint32_t lock_keys_max = 0;  // the state machine's own
  bool bank = false;                // kBankGroup is the bank's
  bool lists = false;               // kListGroup is the list clients'
};

class Oracles final : public node::StepObserver {
 public:
  // `marked` hears of every coverage mark that the code under test reaches.
  Oracles(std::vector<NodeId> voters, const OracleOptions& options,
          std::function<void(std::string_view)> marked);

  // ---- from nodes
  void on_step(const node::Node& node, const io::Now& now, const node::Event& event,
               const node::Effects& effects) override;
  void crashed(NodeId node);

  // ---- from clients
  void session_opened(GroupId group, SessionId session, bool ordered);
  void acknowledged(GroupId group, SessionId session, const CommittedRun& run);
  void conflicted(GroupId group, const model::LockRequest& request, std::uint32_t lock, TxnId by);
  void stale(GroupId group, const model::LockRequest& request, TxnId floor);
  void burned(GroupId group, SessionId session, Sequence sequence);
  // What a submit of the bank ended in (model/bank_oracle.h).
  void banked(const model::BankRequest& request, model::BankOutcome outcome, TxnId id, std::uint64_t attempt);
  void feed_opened(GroupId group, NodeId reader, TxnId from);
  void fed(GroupId group, NodeId reader, const log::Transaction& transaction);
  // Of readers that do not get everything: with a filter, or from a time on.
  void selection_opened(GroupId group, NodeId reader, TxnId from, const model::Wanted& wanted);
  void selected(GroupId group, NodeId reader, const log::Transaction& transaction);
  void passed(GroupId group, NodeId reader, TxnId next);
  // Of members of the one reader group (model/reader_group_oracle.h).
  void group_gained(const MemberId& member, GroupId group, Epoch epoch, TxnId next);
  void group_handed(const MemberId& member, GroupId group, Epoch epoch, TxnId id);
  void group_done(const MemberId& member, GroupId group, Epoch epoch, TxnId next);
  void group_kept(const MemberId& member, GroupId group, Epoch epoch, TxnId next);
  TxnId group_done_with(GroupId group) const { return reader_group_.done_with(group); }
  // Of clients that overload the cluster (model/overload_oracle.h).
  void told_to_wait(NodeId client, NodeId node, io::Instant until);
  void free_to_ask(NodeId client) { overload_.free_to_ask(client); }
  void asks(NodeId client, NodeId node, io::Instant at);
  void waited_too_long(NodeId client);
  void bore_load(std::span<const model::ClientLoad> clients, std::span<const std::uint64_t> answered);
  // A coverage mark that a client's logic reached.
  void mark(std::string_view name) { marked_(name); }
  // At the end: everything acknowledged is on every node of the core.
  void finish(std::span<const NodeId> core);
  // A client's own complaint (a damaged or skipping feed, a refusal that cannot be).
  void complain(const std::string& oracle, const std::string& text);

  const std::optional<model::Violation>& violation() const { return violation_; }
  const model::ConsensusOracle::Counters& consensus() const { return consensus_.counters(); }
  // Transactions that clients were told are committed.
  std::uint64_t acknowledged_total() const { return acknowledged_; }
  Index committed(GroupId group) const { return consensus_.committed(group); }

 private:
  void take(std::optional<model::Violation> violation);
  void on_note(NodeId node, Incarnation life, const node::Note& note);
  void on_applied(NodeId node, const node::NoteApplied& applied);
  void on_bank(const log::Transaction& transaction);
  model::LogOracle& log_of(GroupId group) { return logs_[group.value - 1]; }
  model::LockOracle& locks_of(GroupId group) { return locks_[group.value - 1]; }
  model::FeedOracle& feeds_of(GroupId group) { return feeds_[group.value - 1]; }

  model::ConsensusOracle consensus_;
  std::vector<model::LogOracle> logs_;    // by partition
  std::vector<model::LockOracle> locks_;  // likewise
  bool has_bank_;
  bool has_lists_;
  model::BankOracle bank_;
  std::vector<model::FeedOracle> feeds_;  // likewise
  model::ReaderGroupOracle reader_group_;
  model::OverloadOracle overload_;
  std::function<void(std::string_view)> marked_;
  std::optional<model::Violation> violation_;
  std::string complaint_;  // keeps the name of a complaint alive
  std::uint64_t acknowledged_ = 0;
};

}  // namespace reel::harness
