// The consensus oracle: watches the notes of all nodes of one cluster, in the order in which they were
// emitted, and says at once when a rule of Raft (Figure 3 of the paper), of durability, or of application is
// broken.
//
// It sees every note of every life, from the first boot of a node with an empty log. Between two lives of a
// node the caller says crashed(); a NoteBooted of a later incarnation says it as well. Within one step a fact
// comes before what follows from it: hard state before leadership, truncation before append, durable before
// committed before applied.
//
// Cost: O(1) amortised per note, O(voters) where the commit index rises or a leader appears. Memory: for each
// group 80 bytes per index of the log (56 more for each further term that wrote to that index), 8 per index
// and node, and 32 per term; nothing grows with the number of notes.
//
// Names of what can be violated (stable):
//   election-safety       two leaders in a term, a leader without a quorum of votes, or leading a term twice
//   leader-completeness   a leader lacks an entry that was committed in an earlier term (Raft §5.4)
//   leader-append-only    a leader truncated its own log (Raft §5.3)
//   log-matching          one (term, index) with two contents or two predecessors (Raft §5.3)
//   phantom-entry         an entry that no leader of its term proposed
//   log-shape             an append with a gap or a falling term; truncated or durable beyond the end
//   commit-quorum         committed, yet no quorum of voters holds it durably
//   commit-own-term       the commit index rose otherwise than by a leader's entry of its term (§5.4.2)
//   commit-monotone       a commit index fell within a life, or lies beyond the node's log
//   committed-overwritten a committed entry was cut, or another entry was committed or applied in its place
//   state-machine-safety  two nodes applied different entries at an index, or ended in different states
//   apply-order           applied out of order, with a gap, or before it was committed
//   hard-state            term or vote went back behind what an election, a commit or the own life relied on
//   durable-lost          a restart lost what had been reported durable, or found what never was
//   life                  a note from a life that is over or has not begun
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "model/violation.h"
#include "node/note.h"

namespace reel::model {

class ConsensusOracle {
 public:
  // At most this many nodes, voters and others, may be observed.
  static constexpr std::size_t kNodesMax = 64;

  // The voters of every group; one to kVotersMax, without duplicates. Nodes that are not among them may be
  // observed too (learners): they follow all rules but count in no quorum.
  explicit ConsensusOracle(std::vector<NodeId> voters);

  // The first broken rule, or nothing. After a violation the oracle may be asked on; what it says then is
  // only a hint.
  [[nodiscard]] std::optional<Violation> observe(NodeId node, Incarnation life, const node::Note& note);
  // The node stopped; what it had not made durable may be gone.
  void crashed(NodeId node);

  // What was at stake: an oracle that saw nothing proves nothing.
  struct Counters {
    std::uint64_t notes = 0;
    std::uint64_t elections = 0;  // leaders
    std::uint64_t committed = 0;  // entries, each once
    std::uint64_t applied = 0;    // entries, once for each node and life
    std::uint64_t boots = 0;
  };
  const Counters& counters() const { return counters_; }
  // The highest committed index of a group; 0 if it was never heard of.
  Index committed(GroupId group) const;
  // The term's leader; 0 if there was none.
  NodeId leader_of(GroupId group, Term term) const;

 private:
  using Slot = std::size_t;  // a node's place in nodes_; voters come first

  // One entry as the first node to append it had it. Entries of one index and several terms form a chain.
  struct KnownEntry {
    EntryIdentity identity;
    Term previous;            // of the entry before it
    std::uint32_t other = 0;  // 1 + position in Group::others; 0: none
  };
  struct TermRecord {
    std::uint8_t leader = 0;  // 1 + slot; 0: none
    std::array<std::uint8_t, kVotersMax>
        votes{};               // by voter: 1 + slot of the candidate; 0: none or forgotten
    std::uint16_t forgot = 0;  // by voter: restarted with an older term
    Index committed;           // the highest index that a leader of this term committed
  };
  struct Applied {
    std::uint64_t digest = 0;
    TxnId next;
  };
  // What one node said of itself in one group.
  struct Replica {
    bool alive = false;
    bool known = false;  // booted at least once
    Role role{};
    Term role_term;
    Incarnation life;
    HardState hard_state;
    std::vector<Term> log{Term{}};  // terms by index; [0] is "before the first"
    Index durable;                  // entries that a restart must find again
    Index commit;
    Index applied;  // the last, or the one before the first that has to come
    Index last() const { return Index(log.size() - 1); }
    bool holds(Index index, Term term) const { return index.value < log.size() && log[index.value] == term; }
  };
  struct Group {
    std::vector<TermRecord> terms;        // by term
    std::vector<KnownEntry> entries;      // by index, the first term that was seen there; [0] is unused
    std::vector<KnownEntry> others;       // further terms
    std::vector<Term> committed{Term{}};  // by index; [0] is "before the first"
    std::vector<Applied> applied;         // by index; [0] is unused
    std::vector<Replica> replicas;        // by slot
    Term commit_term;                     // of the leader that raised the commit index last
    Index last_committed() const { return Index(committed.size() - 1); }
  };
  using Finding = std::optional<Violation>;

  std::optional<Slot> slot_of(NodeId node);
  Group& group_of(GroupId group);
  bool is_voter(Slot slot) const { return slot < voters_; }
  std::size_t majority() const { return voters_ / 2 + 1; }

  Finding on(Slot slot, Incarnation life, const node::NoteBooted& note);
  Finding on(Slot slot, Incarnation life, const node::NoteHardState& note);
  Finding on(Slot slot, Incarnation life, const node::NoteRole& note);
  Finding on(Slot slot, Incarnation life, const node::NoteTruncated& note);
  Finding on(Slot slot, Incarnation life, const node::NoteAppended& note);
  Finding on(Slot slot, Incarnation life, const node::NoteDurable& note);
  Finding on(Slot slot, Incarnation life, const node::NoteCommitted& note);
  Finding on(Slot slot, Incarnation life, const node::NoteApplied& note);
  Finding on(Slot, Incarnation, const node::NoteMark&) { return std::nullopt; }

  // The group, if it may be spoken of; `finding` tells why not.
  Replica* living(Slot slot, Incarnation life, GroupId group, Finding& finding);
  Finding check_forgetting(Group& group, Slot slot, HardState was, HardState now);
  Finding check_quorum_remembers(const Group& group, Slot slot, Term term) const;
  Finding restore_log(Group& group, Slot slot, EntryId last);
  Finding check_elected(Group& group, Slot slot, Term term);
  Finding check_complete(const Group& group, Slot slot, Term term) const;
  Finding check_created(const Group& group, Slot slot, const EntryIdentity& identity) const;
  Finding raise_commit(Group& group, Slot slot, Index index);
  Finding check_later_leaders(const Group& group, Term term, Index index) const;
  Finding check_same_state(Group& group, Slot slot, const node::NoteApplied& note);

  TermRecord* term_record(Group& group, Term term);  // nullptr: nobody can have reached this term yet
  const KnownEntry* find(const Group& group, EntryId id) const;
  void remember(Group& group, const EntryIdentity& identity, Term previous);
  // The highest index that was committed by leaders of terms <= term.
  Index committed_by(const Group& group, Term term) const;

  std::size_t voters_;
  std::vector<NodeId> nodes_;                   // by slot
  std::vector<std::unique_ptr<Group>> groups_;  // by group id
  Counters counters_;
};

}  // namespace reel::model
