// Campaigns, votes and leadership (Raft §5.2, §5.4.1; PreVote and CheckQuorum: thesis §9.6, §6.2; transfer:
// §3.10).
#include <algorithm>

#include "io/ports/assert.h"
#include "node/raft/raft.h"

namespace reel::raft {

void Core::on_election_timeout(Output& out) {
  if (role_ == Role::leader) return;  // fired while its stop was on the way
  if (!may_campaign() || (condition_ == Condition::repairing && !campaign_deferred_)) {
    campaign_deferred_ = condition_ == Condition::repairing;
    become_follower(term(), {}, out);
    out.push_back(SetTimer{Timer::election});
    return;
  }
  campaign_deferred_ = false;
  campaign(true, false, out);
}

// A voter of any configuration that may turn out to be in force. Who was removed by an entry that is not yet
// committed may be the only one that holds it: then nobody else can win, and it must lead once more (thesis
// §4.2.2, S13).
bool Core::may_campaign() const {
  if (condition_ == Condition::head_uncertain || disk_failed_) return false;
  return std::any_of(configurations_.begin(), configurations_.end(),
                     [this](const ConfigurationAt& at) { return at.configuration.is_voter(options_.self); });
}

void Core::campaign(bool pre, bool transfer, Output& out) {
  REEL_ASSERT(role_ != Role::leader && may_campaign());
  votes_.clear();
  set_contact(false, out);
  out.push_back(SetTimer{Timer::election});
  if (!pre) hard_ = {term() + 1, options_.self};
  set_role(pre ? Role::pre_candidate : Role::candidate, {}, !pre, out);
  save_hard_state(out);
  ask_for_votes(pre, transfer, out);
  count_campaign(out);
}

// A request for a vote is itself a promise, to vote for oneself: if it left before that is durable, a
// candidate could crash, campaign in the same term again, and collect the same votes with another log.
void Core::ask_for_votes(bool pre, bool transfer, Output& out) {
  const Term asked = pre ? term() + 1 : term();
  const Ticket after = pre ? Ticket() : promise_ticket();
  for (const NodeId member : configuration().members()) {
    if (member == options_.self || !configuration().is_voter(member)) continue;
    const VoteRequest request{pre, transfer, last_id()};
    out.push_back(Outgoing{member, {}, after, {options_.group, asked, options_.incarnation, request}});
  }
}

void Core::count_campaign(Output& out) {
  REEL_ASSERT(role_ == Role::candidate || role_ == Role::pre_candidate);
  const bool pre = role_ == Role::pre_candidate;
  if (!pre && !hard_state_durable()) return;  // the own vote does not count yet, and nobody has been asked
  const VoteResult result = count_votes(configuration(), [this](NodeId node) -> std::optional<bool> {
    if (node == options_.self) return true;
    for (const auto& [voter, granted] : votes_) {
      if (voter == node) return granted;
    }
    return {};
  });
  if (result == VoteResult::lost) become_follower(term(), {}, out);
  if (result != VoteResult::won) return;
  if (pre) return campaign(false, false, out);
  become_leader(out);
}

// Rule: whoever misses something that may be committed gets no vote (Raft §5.4.1). Order is by term, then
// index.
bool Core::is_up_to_date(EntryId candidate) const { return candidate >= last_id(); }

// In the current term, one vote for one candidate.
bool Core::may_vote(NodeId candidate, const VoteRequest& request) const {
  if (condition_ == Condition::head_uncertain) return false;
  if (in_contact() && !request.transfer) return false;
  return (vote() == NodeId() || vote() == candidate) && is_up_to_date(request.last);
}

// What may_vote() would say in the term `asked`. Promises nothing and changes nothing.
bool Core::would_vote(NodeId candidate, Term asked, const VoteRequest& request) const {
  if (condition_ == Condition::head_uncertain || in_contact() || asked < term()) return false;
  const bool free = asked > term() || (leader_ == NodeId() && (vote() == NodeId() || vote() == candidate));
  return free && is_up_to_date(request.last);
}

// Every request is answered, also one of an earlier term: the answer's term frees who is stuck in the past
// (S14).
void Core::receive(NodeId from, const PeerMessage& message, const VoteRequest& request, Output& out) {
  if (request.pre) {
    return send(from, VoteReply{true, would_vote(from, message.term, request), message.term}, out);
  }
  // Stickiness: while a leader is near, a later term is not even adopted (thesis §4.2.3).
  if (message.term > term() && (!in_contact() || request.transfer)) become_follower(message.term, {}, out);
  const bool granted = message.term == term() && may_vote(from, request);
  if (granted) {
    hard_.vote = from;
    out.push_back(SetTimer{Timer::election});
  }
  save_hard_state(out);
  send(from, VoteReply{false, granted, message.term}, out, {}, granted ? promise_ticket() : Ticket());
}

void Core::receive(NodeId from, const PeerMessage& message, const VoteReply& reply, Output& out) {
  // Who grants a pre-vote may be in the very term that we would campaign in: no reason to give the campaign
  // up.
  if (message.term > term() && !(reply.pre && reply.granted)) {
    become_follower(message.term, {}, out);
    save_hard_state(out);
    return;
  }
  const bool current = reply.pre ? role_ == Role::pre_candidate && reply.asked == term() + 1
                                 : role_ == Role::candidate && reply.asked == term();
  if (!current || !configuration().is_voter(from)) {  // S19
    ++counters_.stale;
    return;
  }
  const auto at = std::lower_bound(votes_.begin(), votes_.end(), from,
                                   [](const auto& vote, NodeId node) { return vote.first < node; });
  if (at == votes_.end() || at->first != from) {
    votes_.insert(at, {from, reply.granted});
  } else if (reply.granted) {
    at->second = true;  // a late refusal of an earlier pre-campaign came first
  }
  count_campaign(out);
}

void Core::receive(NodeId from, const PeerMessage& message, const TimeoutNow&, Output& out) {
  if (message.term != term() || leader_ != from || role_ != Role::follower || !may_campaign()) {
    ++counters_.stale;
    return;
  }
  campaign(false, true, out);
}

void Core::become_leader(Output& out) {
  REEL_ASSERT(role_ == Role::candidate && vote() == options_.self && hard_state_durable());
  REEL_ASSERT(last_id().term < term());
  votes_.clear();
  out.push_back(StopTimer{Timer::election});
  set_role(Role::leader, options_.self, false, out);
  transfer_target_ = {};
  oldest_unfinished_ = {};
  progress_.clear();
  for (const NodeId member : configuration().members()) {
    if (member != options_.self) progress_.emplace_back(member, fresh_progress());
  }
  out.push_back(SetTimer{Timer::heartbeat});
  out.push_back(SetTimer{Timer::quorum});
  // An entry of the own term commits everything before it (Raft §8).
  const Entry empty{
      {term(), last_index() + 1, EntryKind::empty, 0, io::checksum(std::span<const std::byte>())}, {}};
  append({}, {&empty, 1}, out);
  replicate(out);
}

// CheckQuorum: a leader that a quorum does not answer, or whose disk stands still, makes room (S16, S17).
void Core::on_quorum_timeout(Output& out) {
  if (role_ != Role::leader) return;
  if (!quorum_is_active() || disk_is_stalled() || rarely(Rare::needless_step_down, round_, 32)) {
    return become_follower(term(), {}, out);
  }
  for (auto& [node, peer] : progress_) peer.recently_active = false;
  oldest_unfinished_ = pending_.empty() ? Ticket() : pending_.front().ticket;
  if (transfer_checked_) transfer_target_ = {};
  transfer_checked_ = true;
  out.push_back(SetTimer{Timer::quorum});
}

bool Core::quorum_is_active() const {
  return quorum_value(configuration(), [this](NodeId node) -> std::uint64_t {
           if (node == options_.self) return 1;
           const Progress* peer = progress_of(node);
           return peer != nullptr && peer->recently_active ? 1 : 0;
         }) == 1;
}

// Nothing became durable since the quorum timer fired last. Alone, there is nobody to make room for.
bool Core::disk_is_stalled() const {
  if (configuration().voters.size() == 1 && !configuration().joint()) return false;
  return !pending_.empty() && pending_.front().ticket == oldest_unfinished_;
}

void Core::on(const Transfer& input, Output& out) {
  const bool useful = configuration().is_voter(input.target) && progress_of(input.target) != nullptr;
  if (role_ != Role::leader || !useful) return;
  transfer_target_ = input.target;
  transfer_checked_ = false;
  finish_transfer(out);
}

// The target campaigns once it has everything; asked again with every heartbeat, since the order may get lost
// (S21).
void Core::finish_transfer(Output& out) {
  const Progress* target = progress_of(transfer_target_);
  if (target != nullptr && target->match == last_index()) send(transfer_target_, TimeoutNow{}, out);
}

}  // namespace reel::raft
