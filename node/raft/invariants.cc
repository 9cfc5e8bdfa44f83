#include "node/raft/invariants.h"

#include <algorithm>

namespace reel::raft {
namespace {

std::optional<std::string> check_log(const Core& core) {
  Term before;
  for (std::size_t i = 0; i < core.log().size(); ++i) {
    const EntryIdentity& entry = core.log()[i];
    if (entry.index.value != i + 1) return "the log has a gap";
    if (entry.term < before) return "terms fall along the log";
    if (entry.term.value == 0) return "an entry has no term";
    before = entry.term;
  }
  if (before > core.term()) return "the log's last term is above the current term";
  if (core.commit() > core.last_index()) return "the commit index is above the log";
  if (core.durable_index() > core.last_index()) return "the durable index is above the log";
  return {};
}

std::optional<std::string> check_peers(const Core& core) {
  if (core.role() != Role::leader) {
    return core.progress().empty() ? std::nullopt
                                   : std::optional<std::string>("a follower keeps progress of others");
  }
  NodeId before;
  for (const auto& [node, peer] : core.progress()) {
    if (node <= before) return "progress is not in order";
    before = node;
    if (node == core.options().self || !core.configuration().is_member(node))
      return "progress of a non-member";
    if (peer.match >= peer.next) return "match is not below next";
    if (peer.match > core.last_index()) return "match is above the log";
    if (peer.next > core.last_index() + 1) return "next is beyond the log";
    if (peer.round > core.round()) return "a peer answered a round that never was";
    if (peer.inflight.size() > core.options().inflight_messages_max)
      return "a window holds too many messages";
    const bool probing = peer.state == Progress::State::probe;
    if (probing && !peer.inflight.empty()) return "a probed peer has a window";
    if (!probing && peer.inflight.empty() && peer.next != peer.match + 1)
      return "sent, but neither held nor in flight";
    if (!peer.inflight.empty() && peer.inflight.last() + 1 != peer.next) return "the window ends before next";
  }
  return {};
}

std::optional<std::string> check_role(const Core& core) {
  const NodeId self = core.options().self;
  switch (core.role()) {
    case Role::leader:
      if (core.leader() != self) return "a leader follows another";
      if (core.vote() != self) return "a leader did not vote for itself";
      if (!core.hard_state_durable()) return "a leader's own vote is not durable";
      if (core.last_id().term != core.term()) return "a leader without an entry of its own term";
      if (core.condition() == Condition::head_uncertain) return "a leader does not know its own log";
      break;
    case Role::candidate:
      if (core.vote() != self) return "a candidate did not vote for itself";
      [[fallthrough]];
    case Role::pre_candidate:
      if (core.leader() != NodeId()) return "a candidate knows a leader";
      break;
    case Role::follower:
      if (core.leader() == self) return "a follower follows itself";
      break;
  }
  if (core.role() != Role::leader && core.transfer_target() != NodeId())
    return "only a leader hands leadership over";
  return {};
}

}  // namespace

std::optional<std::string> check(const Core& core) {
  if (auto wrong = check_log(core)) return wrong;
  if (auto wrong = check_role(core)) return wrong;
  if (auto wrong = check_peers(core)) return wrong;
  const bool campaigns = core.role_ == Role::candidate || core.role_ == Role::pre_candidate;
  if (campaigns && !core.may_campaign()) return "a candidate may not campaign";
  if (core.contact_ && core.leader_ == NodeId()) return "in contact with nobody";
  if (core.hard_ != core.saving_) return "term or vote changed and was not handed out to be saved";
  if (core.hard_durable_ > core.hard_ticket_) return "a hard state is durable that was never saved";
  if (core.role_ != Role::leader && !core.reads_.empty()) return "only a leader serves reads";
  Ticket before;
  for (const Core::PendingAppend& pending : core.pending_) {
    if (pending.ticket <= before) return "tickets are out of order";
    before = pending.ticket;
  }
  if (core.pending_.empty() && core.durable_ != core.last_index())
    return "the log is not durable and nothing is pending";
  if (!core.pending_.empty() && core.pending_.back().last != core.last_index())
    return "the last write is not the log's";
  // The configuration in force is the log's last one.
  Index configured;
  for (const EntryIdentity& entry : core.log()) {
    if (entry.kind == EntryKind::configuration) configured = entry.index;
  }
  if (core.configurations_.back().index > core.last_index())
    return "the configuration is of an entry that was cut";
  if (configured > core.commit() && core.configurations_.back().index != configured) {
    return "the configuration in force is not the log's last";
  }
  return {};
}

Remembered remember(const Core& core) {
  Remembered now;
  now.role = core.role();
  now.hard_state = {core.term(), core.vote()};
  now.leader = core.leader();
  now.commit = core.commit();
  if (const auto entry = core.at(core.commit())) now.committed = entry->id();
  now.last = core.last_id();
  now.round = core.round();
  return now;
}

std::optional<std::string> check_since(const Remembered& before, const Core& now) {
  if (now.term() < before.hard_state.term) return "the term fell";
  if (now.commit() < before.commit) return "the commit index fell";
  if (now.round() < before.round) return "a round was used again";
  if (before.commit.value > 0) {
    const auto entry = now.at(before.commit);
    if (!entry || entry->id() != before.committed) return "a committed entry changed";
  }
  if (now.term() != before.hard_state.term) return {};
  if (before.hard_state.vote != NodeId() && now.vote() != before.hard_state.vote)
    return "the vote of a term changed";
  if (before.leader != NodeId() && now.leader() != NodeId() && now.leader() != before.leader) {
    return "the leader of a term changed";
  }
  if (before.role == Role::leader && now.role() == Role::leader) {
    const auto entry = now.at(before.last.index);
    if (!entry || entry->id() != before.last) return "a leader cut its own log";
  }
  return {};
}

}  // namespace reel::raft
