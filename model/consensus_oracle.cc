#include "model/consensus_oracle.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::model {

ConsensusOracle::ConsensusOracle(std::vector<NodeId> voters)
    : voters_(voters.size()), nodes_(std::move(voters)) {
  REEL_CHECK(voters_ >= 1 && voters_ <= kVotersMax);
  std::vector<NodeId> sorted = nodes_;
  std::sort(sorted.begin(), sorted.end());
  REEL_CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
}

std::optional<Violation> ConsensusOracle::observe(NodeId node, Incarnation life, const node::Note& note) {
  ++counters_.notes;
  const std::optional<Slot> slot = slot_of(node);
  if (!slot)
    return violation("life", "node ", node, " is one more than the ", kNodesMax, " that can be watched");
  return std::visit([&](const auto& what) { return on(*slot, life, what); }, note);
}

void ConsensusOracle::crashed(NodeId node) {
  const auto at = std::find(nodes_.begin(), nodes_.end(), node);
  if (at == nodes_.end()) return;
  const Slot slot = static_cast<Slot>(at - nodes_.begin());
  for (const auto& group : groups_) {
    if (group && slot < group->replicas.size()) group->replicas[slot].alive = false;
  }
}

Index ConsensusOracle::committed(GroupId group) const {
  if (group.value >= groups_.size() || !groups_[group.value]) return Index{};
  return groups_[group.value]->last_committed();
}

NodeId ConsensusOracle::leader_of(GroupId group, Term term) const {
  if (group.value >= groups_.size() || !groups_[group.value]) return NodeId{};
  const auto& terms = groups_[group.value]->terms;
  if (term.value >= terms.size() || terms[term.value].leader == 0) return NodeId{};
  return nodes_[terms[term.value].leader - 1u];
}

// ---- tables

std::optional<ConsensusOracle::Slot> ConsensusOracle::slot_of(NodeId node) {
  for (Slot slot = 0; slot < nodes_.size(); ++slot) {
    if (nodes_[slot] == node) return slot;
  }
  if (nodes_.size() == kNodesMax) return std::nullopt;
  nodes_.push_back(node);
  return nodes_.size() - 1;
}

ConsensusOracle::Group& ConsensusOracle::group_of(GroupId group) {
  if (group.value >= groups_.size()) groups_.resize(group.value + 1u);
  auto& found = groups_[group.value];
  if (!found) {
    found = std::make_unique<Group>();
    found->terms.resize(1);
    found->entries.resize(1);
    found->applied.resize(1);
  }
  if (found->replicas.size() < nodes_.size()) found->replicas.resize(nodes_.size());
  return *found;
}

// A term begins with a candidate that adds one to its own, so the highest term known rises by at most one at
// a time.
ConsensusOracle::TermRecord* ConsensusOracle::term_record(Group& group, Term term) {
  if (term.value > group.terms.size()) return nullptr;
  if (term.value == group.terms.size()) group.terms.emplace_back();
  return &group.terms[term.value];
}

const ConsensusOracle::KnownEntry* ConsensusOracle::find(const Group& group, EntryId id) const {
  if (id.index.value == 0 || id.index.value >= group.entries.size()) return nullptr;
  const KnownEntry* entry = &group.entries[id.index.value];
  while (entry->identity.term != id.term) {
    if (entry->other == 0) return nullptr;
    entry = &group.others[entry->other - 1];
  }
  return entry;
}

void ConsensusOracle::remember(Group& group, const EntryIdentity& identity, Term previous) {
  if (identity.index.value == group.entries.size()) {
    group.entries.push_back({identity, previous, 0});
    return;
  }
  // The chain's newest member comes right behind its head.
  KnownEntry& head = group.entries[identity.index.value];
  group.others.push_back({identity, previous, head.other});
  head.other = static_cast<std::uint32_t>(group.others.size());
}

// TermRecord::committed rises with the term in every legal run, so the first one found downwards is the
// highest.
Index ConsensusOracle::committed_by(const Group& group, Term term) const {
  if (term >= group.commit_term) return group.last_committed();
  for (std::uint64_t t = std::min<std::uint64_t>(term.value, group.terms.size() - 1); t > 0; --t) {
    if (group.terms[t].committed.value > 0) return group.terms[t].committed;
  }
  return Index{};
}

ConsensusOracle::Replica* ConsensusOracle::living(Slot slot, Incarnation life, GroupId group,
                                                  Finding& finding) {
  if (group.value > kGroupsMax) {
    finding = violation("life", "node ", nodes_[slot], " speaks of group ", group, ", beyond the limit");
    return nullptr;
  }
  Replica& replica = group_of(group).replicas[slot];
  if (!replica.alive || replica.life != life) {
    finding = violation(
        "life", "node ", nodes_[slot], " speaks of group ", group, " in incarnation ", life,
        replica.alive ? ", but lives in " : ", but the last one that booted is over: ", replica.life);
    return nullptr;
  }
  return &replica;
}

// ---- lives

ConsensusOracle::Finding ConsensusOracle::on(Slot slot, Incarnation life, const node::NoteBooted& note) {
  ++counters_.boots;
  if (note.group.value > kGroupsMax) {
    return violation("life", "node ", nodes_[slot], " boots group ", note.group, ", beyond the limit");
  }
  Group& group = group_of(note.group);
  Replica& replica = group.replicas[slot];
  if (replica.known && life <= replica.life) {
    return violation("life", "node ", nodes_[slot], " boots group ", note.group, " in incarnation ", life,
                     " after it lived in ", replica.life);
  }
  const HardState was = replica.hard_state;
  const Index durable = replica.durable;
  const Term durable_term = replica.log[durable.value];
  replica.alive = replica.known = true;
  replica.life = life;
  replica.hard_state = note.hard_state;
  replica.role = Role::follower;
  if (Finding finding = restore_log(group, slot, note.last)) return finding;
  replica.durable = replica.last();
  // A manifest may know of commits whose entries never became durable here: they have to come again.
  replica.commit = std::min(note.commit, note.last.index);
  replica.applied = note.first.value == 0 ? Index{} : note.first - std::uint64_t{1};
  if (!replica.holds(durable, durable_term)) {
    return violation("durable-lost", "node ", nodes_[slot], " lost entry ", durable, " of term ",
                     durable_term, " of group ", note.group,
                     ", which it had reported durable; its log now ends at ", note.last.index, " of term ",
                     note.last.term);
  }
  if (note.commit > group.last_committed()) {
    return violation("commit-quorum", "node ", nodes_[slot], " boots group ", note.group,
                     " with commit index ", note.commit, ", but nothing beyond ", group.last_committed(),
                     " was ever committed");
  }
  return check_forgetting(group, slot, was, note.hard_state);
}

// What the disk gave back is told by its last entry alone: by Log Matching the rest follows from what is
// known.
ConsensusOracle::Finding ConsensusOracle::restore_log(Group& group, Slot slot, EntryId last) {
  Replica& replica = group.replicas[slot];
  std::vector<Term> tail;
  EntryId at = last;
  while (at.index.value > 0 && !replica.holds(at.index, at.term)) {
    const KnownEntry* entry = find(group, at);
    if (entry == nullptr) {
      return violation("durable-lost", "node ", nodes_[slot], " boots with entry ", at.index, " of term ",
                       at.term, ", which nobody ever appended");
    }
    tail.push_back(at.term);
    at = {entry->previous, at.index - std::uint64_t{1}};
  }
  replica.log.resize(at.index.value + 1);
  replica.log.insert(replica.log.end(), tail.rbegin(), tail.rend());
  return std::nullopt;
}

// A hard state may lose what was not durable yet, and nothing that others or the node itself relied on.
ConsensusOracle::Finding ConsensusOracle::check_forgetting(Group& group, Slot slot, HardState was,
                                                           HardState now) {
  if (now.term > was.term || (now.term == was.term && now.vote.value != 0 && now.vote != was.vote)) {
    return violation("hard-state", "node ", nodes_[slot], " boots in term ", now.term, " with a vote for ",
                     now.vote, ", but it stopped in term ", was.term, " with a vote for ", was.vote);
  }
  if (now == was) return std::nullopt;
  // All terms above `now` are forgotten; in `now.term` itself only the vote may be.
  const bool vote_lost = now.term == was.term || now.vote.value == 0;
  const std::uint64_t first = vote_lost ? now.term.value : now.term.value + 1;
  for (std::uint64_t t = first; t <= was.term.value && t < group.terms.size(); ++t) {
    TermRecord& record = group.terms[t];
    if (record.leader == slot + 1) {
      return violation("hard-state", "node ", nodes_[slot], " led term ", t, " and boots in term ", now.term,
                       " with a vote for ", now.vote);
    }
    if (!is_voter(slot)) continue;
    record.votes[slot] = 0;
    if (t > now.term.value) record.forgot = static_cast<std::uint16_t>(record.forgot | (1u << slot));
    if (Finding finding = check_quorum_remembers(group, slot, Term(t))) return finding;
  }
  return std::nullopt;
}

// Some quorum voted for the term's leader, and some quorum acknowledged what it committed, after making the
// term durable. Nobody in those quorums ever forgets it; so they must still be found among those who do
// remember.
ConsensusOracle::Finding ConsensusOracle::check_quorum_remembers(const Group& group, Slot slot,
                                                                 Term term) const {
  const TermRecord& record = group.terms[term.value];
  if (record.leader == 0) return std::nullopt;
  std::size_t voted = 0;
  std::size_t acknowledged = 0;
  const Index committed = record.committed;
  for (Slot voter = 0; voter < voters_ && voter < group.replicas.size(); ++voter) {
    const Replica& replica = group.replicas[voter];
    voted += record.votes[voter] == record.leader ? 1 : 0;
    const bool forgot = (record.forgot >> voter & 1u) != 0;
    acknowledged +=
        !forgot && replica.durable >= committed && replica.holds(committed, group.committed[committed.value])
            ? 1
            : 0;
  }
  if (voted < majority()) {
    return violation("hard-state", "node ", nodes_[slot], " forgot its vote in term ", term, ": only ", voted,
                     " voters still know that node ", nodes_[record.leader - 1u], " was elected");
  }
  if (committed.value > 0 && acknowledged < majority()) {
    return violation("hard-state", "node ", nodes_[slot], " forgot term ", term, ": only ", acknowledged,
                     " voters that acknowledged entry ", committed, " still know the term");
  }
  return std::nullopt;
}

ConsensusOracle::Finding ConsensusOracle::on(Slot slot, Incarnation life, const node::NoteHardState& note) {
  Finding finding;
  Replica* replica = living(slot, life, note.group, finding);
  if (replica == nullptr) return finding;
  Group& group = group_of(note.group);
  const HardState was = replica->hard_state;
  const HardState now = note.state;
  if (now.term < was.term || (now.term == was.term && was.vote.value != 0 && now.vote != was.vote)) {
    return violation("hard-state", "node ", nodes_[slot], " goes from term ", was.term, " with a vote for ",
                     was.vote, " to term ", now.term, " with a vote for ", now.vote);
  }
  TermRecord* record = term_record(group, now.term);
  if (record == nullptr) {
    return violation("hard-state", "node ", nodes_[slot], " enters term ", now.term,
                     ", though no candidate can be beyond ", group.terms.size());
  }
  std::optional<Slot> candidate;
  if (now.vote.value != 0) {
    candidate = slot_of(now.vote);
    if (!candidate)
      return violation("hard-state", "node ", nodes_[slot], " votes for unknown node ", now.vote);
  }
  replica->hard_state = now;
  if (!is_voter(slot)) return std::nullopt;
  record->forgot = static_cast<std::uint16_t>(record->forgot & ~(1u << slot));
  if (candidate) record->votes[slot] = static_cast<std::uint8_t>(*candidate + 1);
  return std::nullopt;
}

// ---- leaders

ConsensusOracle::Finding ConsensusOracle::on(Slot slot, Incarnation life, const node::NoteRole& note) {
  Finding finding;
  Replica* replica = living(slot, life, note.group, finding);
  if (replica == nullptr) return finding;
  const bool led = replica->role == Role::leader && replica->role_term == note.term;
  replica->role = note.role;
  replica->role_term = note.term;
  if (note.role != Role::leader || led) return std::nullopt;
  ++counters_.elections;
  Group& group = group_of(note.group);
  if ((finding = check_elected(group, slot, note.term))) return finding;
  return check_complete(group, slot, note.term);
}

ConsensusOracle::Finding ConsensusOracle::check_elected(Group& group, Slot slot, Term term) {
  if (term.value == 0 || term.value >= group.terms.size()) {
    return violation("election-safety", "node ", nodes_[slot], " leads term ", term,
                     ", in which nobody voted");
  }
  TermRecord& record = group.terms[term.value];
  if (record.leader != 0) {
    return violation("election-safety", "node ", nodes_[slot], " leads term ", term, ", which node ",
                     nodes_[record.leader - 1u], " has led already");
  }
  record.leader = static_cast<std::uint8_t>(slot + 1);
  const auto voted = static_cast<std::size_t>(std::count(
      record.votes.begin(), record.votes.begin() + static_cast<std::ptrdiff_t>(voters_), slot + 1));
  if (voted < majority()) {
    return violation("election-safety", "node ", nodes_[slot], " leads term ", term, " with ", voted,
                     " votes of ", voters_, " voters");
  }
  return std::nullopt;
}

ConsensusOracle::Finding ConsensusOracle::check_complete(const Group& group, Slot slot, Term term) const {
  const Index index = committed_by(group, term - std::uint64_t{1});
  const Term wanted = group.committed[index.value];
  if (group.replicas[slot].holds(index, wanted)) return std::nullopt;
  return violation("leader-completeness", "node ", nodes_[slot], " leads term ", term, " without entry ",
                   index, " of term ", wanted, ", which was committed before");
}

// ---- the log

ConsensusOracle::Finding ConsensusOracle::on(Slot slot, Incarnation life, const node::NoteTruncated& note) {
  Finding finding;
  Replica* replica = living(slot, life, note.group, finding);
  if (replica == nullptr) return finding;
  const Group& group = group_of(note.group);
  const Index from = note.from;
  if (from.value == 0 || from > replica->last()) {
    return violation("log-shape", "node ", nodes_[slot], " truncates from ", from, ", but its log ends at ",
                     replica->last());
  }
  if (replica->role == Role::leader) {
    return violation("leader-append-only", "node ", nodes_[slot], " leads term ", replica->role_term,
                     " and truncates its log from ", from);
  }
  // A node that is in an older term than the commit may not have known, and may cut (it was in no quorum).
  const bool knew = from <= replica->commit;
  const bool committed_here = from <= committed_by(group, replica->hard_state.term) &&
                              replica->holds(from, group.committed[from.value]);
  if (knew || committed_here) {
    return violation("committed-overwritten", "node ", nodes_[slot], " truncates from ", from, " in term ",
                     replica->hard_state.term, ", but entries up to ",
                     knew ? replica->commit : group.last_committed(), " are committed");
  }
  replica->log.resize(from.value);
  replica->durable = std::min(replica->durable, from - std::uint64_t{1});
  return std::nullopt;
}

ConsensusOracle::Finding ConsensusOracle::on(Slot slot, Incarnation life, const node::NoteAppended& note) {
  Finding finding;
  Replica* replica = living(slot, life, note.group, finding);
  if (replica == nullptr) return finding;
  Group& group = group_of(note.group);
  const EntryIdentity& identity = note.identity;
  const Term previous = replica->log.back();
  if (identity.index != replica->last() + std::uint64_t{1} || identity.term < previous ||
      identity.term.value == 0) {
    return violation("log-shape", "node ", nodes_[slot], " appends entry ", identity.index, " of term ",
                     identity.term, " behind entry ", replica->last(), " of term ", previous);
  }
  const KnownEntry* known = find(group, identity.id());
  if (known == nullptr) {
    if ((finding = check_created(group, slot, identity))) return finding;
    remember(group, identity, previous);
  } else if (known->identity != identity || known->previous != previous) {
    return violation("log-matching", "node ", nodes_[slot], " appends entry ", identity.index, " of term ",
                     identity.term,
                     known->identity != identity ? " with another content" : " behind another entry",
                     " than a node before (previous term ", previous, ", then ", known->previous, ")");
  }
  replica->log.push_back(identity.term);
  return std::nullopt;
}

ConsensusOracle::Finding ConsensusOracle::check_created(const Group& group, Slot slot,
                                                        const EntryIdentity& identity) const {
  const std::uint64_t term = identity.term.value;
  if (term < group.terms.size() && group.terms[term].leader == slot + 1) return std::nullopt;
  return violation("phantom-entry", "node ", nodes_[slot], " appends entry ", identity.index, " of term ",
                   term, ", which no leader of that term has proposed");
}

ConsensusOracle::Finding ConsensusOracle::on(Slot slot, Incarnation life, const node::NoteDurable& note) {
  Finding finding;
  Replica* replica = living(slot, life, note.group, finding);
  if (replica == nullptr) return finding;
  if (note.index > replica->last()) {
    return violation("log-shape", "node ", nodes_[slot], " reports entry ", note.index,
                     " durable, but its log ends at ", replica->last());
  }
  replica->durable = std::max(replica->durable, note.index);
  return std::nullopt;
}

// ---- commitment and application

ConsensusOracle::Finding ConsensusOracle::on(Slot slot, Incarnation life, const node::NoteCommitted& note) {
  Finding finding;
  Replica* replica = living(slot, life, note.group, finding);
  if (replica == nullptr) return finding;
  Group& group = group_of(note.group);
  if (note.index < replica->commit || note.index > replica->last()) {
    return violation("commit-monotone", "node ", nodes_[slot], " commits up to ", note.index,
                     ", but it was at ", replica->commit, " and its log ends at ", replica->last());
  }
  const Index agreed = std::min(note.index, group.last_committed());
  if (!replica->holds(agreed, group.committed[agreed.value])) {
    return violation("committed-overwritten", "node ", nodes_[slot], " commits entry ", agreed, " of term ",
                     replica->log[agreed.value], ", but the one committed there is of term ",
                     group.committed[agreed.value]);
  }
  if (note.index > group.last_committed() && (finding = raise_commit(group, slot, note.index)))
    return finding;
  replica->commit = note.index;
  return std::nullopt;
}

// The first to commit an entry is a leader, by counting copies of an entry of its own term (Raft §5.4.2).
ConsensusOracle::Finding ConsensusOracle::raise_commit(Group& group, Slot slot, Index index) {
  const Replica& leader = group.replicas[slot];
  const Term term = leader.log[index.value];
  std::size_t durable = 0;
  for (Slot voter = 0; voter < voters_ && voter < group.replicas.size(); ++voter) {
    const Replica& replica = group.replicas[voter];
    durable += replica.durable >= index && replica.holds(index, term) ? 1 : 0;
  }
  if (durable < majority()) {
    return violation("commit-quorum", "node ", nodes_[slot], " commits up to ", index, " of term ", term,
                     ", but only ", durable, " of ", voters_, " voters hold it durably");
  }
  if (leader.role != Role::leader || leader.role_term != term) {
    return violation("commit-own-term", "node ", nodes_[slot], " is the first to commit entry ", index,
                     " of term ", term,
                     leader.role == Role::leader ? ", but leads term " : ", but does not lead; its term is ",
                     leader.role_term);
  }
  counters_.committed += index - group.last_committed();
  const auto from = leader.log.begin() + static_cast<std::ptrdiff_t>(group.committed.size());
  const auto to = leader.log.begin() + static_cast<std::ptrdiff_t>(index.value + 1);
  group.committed.insert(group.committed.end(), from, to);
  group.terms[term.value].committed = index;
  group.commit_term = std::max(group.commit_term, term);
  return check_later_leaders(group, term, index);
}

// Leader Completeness from the other side: who was elected before this commit, in a later term, must hold it
// too.
ConsensusOracle::Finding ConsensusOracle::check_later_leaders(const Group& group, Term term,
                                                              Index index) const {
  for (std::uint64_t t = term.value + 1; t < group.terms.size(); ++t) {
    if (group.terms[t].leader == 0) continue;
    const Slot slot = group.terms[t].leader - 1u;
    const Replica& later = group.replicas[slot];
    const bool leads = later.alive && later.role == Role::leader && later.role_term.value == t;
    if (leads && !later.holds(index, group.committed[index.value])) {
      return violation("leader-completeness", "node ", nodes_[slot], " leads term ", t, " without entry ",
                       index, " of term ", group.committed[index.value], ", which term ", term,
                       " has just committed");
    }
  }
  return std::nullopt;
}

ConsensusOracle::Finding ConsensusOracle::on(Slot slot, Incarnation life, const node::NoteApplied& note) {
  Finding finding;
  Replica* replica = living(slot, life, note.group, finding);
  if (replica == nullptr) return finding;
  Group& group = group_of(note.group);
  const Index index = note.identity.index;
  if (index != replica->applied + std::uint64_t{1} || index > replica->commit) {
    return violation("apply-order", "node ", nodes_[slot], " applies entry ", index, " after ",
                     replica->applied, " with commit index ", replica->commit);
  }
  replica->applied = index;
  ++counters_.applied;
  return check_same_state(group, slot, note);
}

ConsensusOracle::Finding ConsensusOracle::check_same_state(Group& group, Slot slot,
                                                           const node::NoteApplied& note) {
  const Index index = note.identity.index;
  if (index > group.last_committed() || group.committed[index.value] != note.identity.term) {
    return violation("committed-overwritten", "node ", nodes_[slot], " applies entry ", index, " of term ",
                     note.identity.term, ", which is not the one that was committed there");
  }
  const KnownEntry* known = find(group, note.identity.id());
  if (known == nullptr || known->identity != note.identity) {
    return violation("state-machine-safety", "node ", nodes_[slot], " applies entry ", index, " of term ",
                     note.identity.term, " with another content than was appended");
  }
  if (index.value < group.applied.size()) {
    const Applied& first = group.applied[index.value];
    if (first.digest == note.digest && first.next == note.next) return std::nullopt;
    return violation("state-machine-safety", "node ", nodes_[slot], " is in another state after entry ",
                     index, " than a node before: next transaction ", note.next, " and digest ", note.digest,
                     ", then ", first.next, " and ", first.digest);
  }
  // Every node starts at the first entry, so the table grows by one at a time until there are snapshots.
  if (index.value > group.applied.size()) {
    return violation("apply-order", "node ", nodes_[slot], " applies entry ", index,
                     ", but nobody has applied ", group.applied.size());
  }
  group.applied.push_back({note.digest, note.next});
  return std::nullopt;
}

}  // namespace reel::model
