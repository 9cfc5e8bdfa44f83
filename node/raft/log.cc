// The own log: what it holds, what of it is durable, what is committed, which configuration it implies.
#include <algorithm>

#include "io/ports/assert.h"
#include "node/raft/configuration_codec.h"
#include "node/raft/raft.h"

namespace reel::raft {

Term Core::term_at(Index index) const { return id_at(index).term; }

EntryId Core::id_at(Index index) const {
  if (index == Index()) return {};
  REEL_ASSERT(index <= last_index());
  return log_[index.value - 1].id();
}

// By Log Matching (Raft §5.3), everything before it is then equal too.
bool Core::holds(EntryId id) const { return id.index <= last_index() && term_at(id.index) == id.term; }

// The last entry with index <= index_max and term <= term_max; {0, 0} if there is none.
EntryId Core::last_with(Index index_max, Term term_max) const {
  const std::size_t limit = std::min(index_max, last_index()).value;
  const auto end = log_.begin() + static_cast<std::ptrdiff_t>(limit);
  const auto above = std::upper_bound(
      log_.begin(), end, term_max, [](Term term, const EntryIdentity& entry) { return term < entry.term; });
  return above == log_.begin() ? EntryId{} : std::prev(above)->id();
}

// Rule: only a real conflict cuts the log. A late append that ends earlier than our log says nothing about
// what follows it (Raft §5.3, S29).
Core::Fit Core::fit(const std::vector<Entry>& entries) const {
  Fit fit;
  for (const Entry& entry : entries) {
    const EntryIdentity& theirs = entry.identity;
    if (theirs.index > last_index()) break;
    const EntryIdentity& ours = log_[theirs.index.value - 1];
    if (ours.term != theirs.term) {
      fit.conflict = true;
      break;
    }
    if (ours != theirs) {
      fit.impossible = true;
      break;
    }
    ++fit.held;
  }
  return fit;
}

// Rule: what is committed stays, whoever says otherwise (S29, S33).
bool Core::may_truncate(Index from) const { return from > commit_; }

// The only place where entries leave the log.
void Core::truncate(Index from) {
  REEL_ASSERT(from > commit_ && from <= last_index());
  log_.resize(from.value - 1);
  durable_ = std::min(durable_, last_index());
  while (configurations_.size() > 1 && configurations_.back().index >= from) configurations_.pop_back();
}

void Core::append(std::optional<Index> truncate_from, std::span<const Entry> entries, Output& out) {
  REEL_ASSERT(!entries.empty());
  bool reconfigured = false;
  if (truncate_from) truncate(*truncate_from);
  for (const Entry& entry : entries) {
    REEL_ASSERT(entry.identity.index == last_index() + 1 && entry.identity.term >= last_id().term);
    log_.push_back(entry.identity);
    if (entry.identity.kind != EntryKind::configuration) continue;
    std::optional<Configuration> next = decode_configuration(entry.payload.span());
    REEL_ASSERT(next.has_value());  // checked when it was received or proposed
    configurations_.push_back({entry.identity.index, std::move(*next)});
    reconfigured = true;
  }
  accepted_term_ = term();
  const Ticket ticket = ++last_ticket_;
  pending_.push_back({ticket, last_index(), accepted_term_});
  out.push_back(AppendToLog{ticket, truncate_from, {entries.begin(), entries.end()}});
  if (reconfigured) configuration_changed();
}

// Rule: a completion speaks of the log that was written then. If another leader's entries were accepted
// meanwhile, the same index, even the same term and index, may be something that is still on its way to the
// disk (ABA: S30, S31). Nothing is lost by waiting: the later write has its own completion.
Index Core::proven_by(const PendingAppend& pending) const {
  if (pending.accepted != accepted_term_) return durable_;
  return std::min(pending.last, last_index());
}

// What an acknowledgement of everything up to `index` must wait for; 0 if it is durable.
Ticket Core::append_ticket(Index index) const {
  REEL_ASSERT(index <= last_index());
  if (index <= durable_) return {};
  for (const PendingAppend& pending : pending_) {
    if (pending.accepted == accepted_term_ && pending.last >= index) return pending.ticket;
  }
  REEL_ASSERT(false);  // the last write of the log always covers all of it
  return last_ticket_;
}

// A copy that may be damaged counts for nobody (recovery.md §4.6, correction 6).
Index Core::countable(Index index) const { return condition_ == Condition::normal ? index : Index(); }

// Rule: only entries of the own term are committed by counting copies; earlier ones follow with them (Raft
// §5.4.2, Figure 8, S26).
bool Core::may_commit_by_count(Index index) const { return term_at(index) == term(); }

// The only place where a leader moves its commit index. Its own disk is one voice like the others', and may
// be the slowest of them.
void Core::commit_by_quorum(Output& out) {
  REEL_ASSERT(role_ == Role::leader);
  const Index reached = quorum_index(configuration(), [this](NodeId node) { return match_of(node); });
  if (reached <= commit_ || !may_commit_by_count(reached)) return;
  set_commit(reached, out);
  if (!progress_.empty()) arm_notice(out);
  release_reads(out);
  // A leader that removed itself leads until its removal is committed (Raft §6, S6).
  if (!configuration().is_voter(options_.self) && configurations_.back().index <= commit_) {
    become_follower(term(), {}, out);
  }
}

// Rule: a follower takes over no more of the leader's commit index than this message has compared with its
// own log (Raft figure 2, S27, S28).
Index Core::checked_commit(Index leader_commit, Index checked) const {
  return std::min(leader_commit, checked);
}

void Core::set_commit(Index index, Output& out) {
  REEL_ASSERT(index > commit_ && index <= last_index());
  commit_ = index;
  forget_old_configurations();
  out.push_back(Committed{index});
}

bool Core::may_propose_configuration(const Configuration& next) const {
  if (!has_committed_in_term() || configurations_.back().index > commit_) return false;
  return is_legal_step(configuration(), next);
}

// A committed configuration is never rolled back, so what came before it is not needed again.
void Core::forget_old_configurations() {
  std::size_t old = 0;
  while (old + 1 < configurations_.size() && configurations_[old + 1].index <= commit_) ++old;
  const auto first = configurations_.begin();
  configurations_.erase(first, first + static_cast<std::ptrdiff_t>(old));
}

// A configuration takes effect when it is appended (Raft §6): new members get the log, former ones don't.
void Core::configuration_changed() {
  if (role_ != Role::leader) return;
  std::vector<std::pair<NodeId, Progress>> next;
  for (const NodeId member : configuration().members()) {
    if (member == options_.self) continue;
    Progress* known = progress_of(member);
    next.emplace_back(member, known == nullptr ? fresh_progress() : std::move(*known));
  }
  progress_ = std::move(next);
  if (!configuration().is_voter(transfer_target_)) transfer_target_ = {};
}

}  // namespace reel::raft
