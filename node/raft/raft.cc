// Inputs, terms and the hard state. Campaigns: election.cc; the own log: log.cc; leader and followers:
// replication.cc.
#include "node/raft/raft.h"

#include <algorithm>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "node/raft/configuration_codec.h"

namespace reel::raft {
namespace {

// Far beyond any real term or round, and far from where adding one could wrap.
constexpr std::uint64_t kCounterMax = std::uint64_t{1} << 62;

bool is_plausible_id(EntryId id) {
  return (id.index.value == 0) == (id.term.value == 0) && id.index.value <= kCounterMax &&
         id.term.value <= kCounterMax;
}

bool is_plausible_entry(const Entry& entry) {
  const EntryIdentity& identity = entry.identity;
  if (identity.kind > kEntryKindMax || identity.size > kEntryBytesMax) return false;
  if (identity.kind != EntryKind::configuration) return true;
  // Its payload takes effect here, so it must be present and sound even where the host keeps no bodies.
  return entry.payload.size() == identity.size && decode_configuration(entry.payload.span()).has_value();
}

// Contiguous behind `previous`, terms never fall and never exceed the sender's (S34).
bool is_plausible_run(const AppendRequest& request, Term term) {
  if (request.entries.size() > kAppendEntriesMax || !is_plausible_id(request.previous)) return false;
  EntryId before = request.previous;
  for (const Entry& entry : request.entries) {
    const EntryId id = entry.identity.id();
    if (id.index != before.index + 1 || id.term < before.term || id.term > term || id.term.value == 0)
      return false;
    if (!is_plausible_entry(entry)) return false;
    before = id;
  }
  return before.term <= term;
}

bool is_plausible_body(const PeerMessage& message, const VoteRequest& request) {
  // Nobody holds an entry of the term it campaigns in.
  return is_plausible_id(request.last) && request.last.term < message.term &&
         !(request.pre && request.transfer);
}
bool is_plausible_body(const PeerMessage& message, const VoteReply& reply) {
  if (reply.asked.value == 0 || reply.asked.value > kCounterMax) return false;
  if (!reply.granted) return true;
  return reply.pre ? message.term <= reply.asked : message.term == reply.asked;
}
bool is_plausible_body(const PeerMessage& message, const AppendRequest& request) {
  return is_plausible_run(request, message.term);
}
bool is_plausible_body(const PeerMessage&, const AppendReply& reply) {
  if (reply.accepted) return true;
  return is_plausible_id(reply.hint) && reply.hint.index <= reply.rejected;
}
bool is_plausible_body(const PeerMessage&, const TimeoutNow&) { return true; }

}  // namespace

Core::Core(const Options& options, Recovered recovered)
    : options_(options),
      condition_(recovered.condition),
      hard_(recovered.hard_state),
      saving_(recovered.hard_state),
      log_(std::move(recovered.log)),
      commit_(recovered.commit),
      durable_(last_index()),
      accepted_term_(last_id().term) {
  REEL_ASSERT(options_.self != NodeId());
  REEL_ASSERT(commit_ <= last_index());
  // Journal and hard state are two streams: a crash may keep an entry and lose the term that came with it.
  // Whoever holds an entry of a term has seen that term; it cannot have answered in it, so no vote of it was
  // heard of.
  if (last_id().term > hard_.term) hard_ = {last_id().term, NodeId()};
  configurations_.push_back({Index(), std::move(recovered.configuration)});
  for (ConfigurationAt& later : recovered.configurations) {
    REEL_ASSERT(later.index > configurations_.back().index && later.index <= last_index());
    configurations_.push_back(std::move(later));
  }
  forget_old_configurations();
}

void Core::start(Output& out) {
  save_hard_state(out);
  out.push_back(SetTimer{Timer::election});
}

void Core::step(const Input& input, Output& out) {
  std::visit([&](const auto& one) { on(one, out); }, input);
}

void Core::on(const TimedOut& input, Output& out) {
  switch (input.timer) {
    case Timer::election: return on_election_timeout(out);
    case Timer::contact: contact_ = false; return;
    case Timer::heartbeat: return heartbeat(out);
    case Timer::quorum: return on_quorum_timeout(out);
    case Timer::notice: return tell_commit(out);
  }
}

void Core::on(const Received& input, Output& out) {
  if (!is_plausible(input)) {
    ++counters_.malformed;
    return;
  }
  std::visit([&](const auto& body) { receive(input.from, input.message, body, out); }, input.message.body);
}

// What no correct peer sends is refused here, so that the protocol below may rely on it.
bool Core::is_plausible(const Received& received) const {
  const PeerMessage& message = received.message;
  if (received.from == NodeId() || received.from == options_.self || message.group != options_.group)
    return false;
  if (message.term.value > kCounterMax) return false;
  // Only a node that never saw an election has term 0, and it can say no more than what it thinks of a
  // candidate.
  if (message.term.value == 0 && !std::holds_alternative<VoteReply>(message.body)) return false;
  return std::visit([&](const auto& body) { return is_plausible_body(message, body); }, message.body);
}

void Core::on(const Propose& input, Output& out) {
  std::optional<Configuration> next;
  bool refused = role_ != Role::leader || transfer_target_ != NodeId() || input.size > kEntryBytesMax;
  if (!refused && input.kind == EntryKind::configuration) {
    next = decode_configuration(input.payload.span());
    refused = !next || !may_propose_configuration(*next);
  }
  if (refused) {
    out.push_back(Proposed{});
    return;
  }
  const Entry entry{{term(), last_index() + 1, input.kind, input.size, input.checksum}, input.payload};
  out.push_back(Proposed{entry.identity.id()});
  append({}, {&entry, 1}, out);
  replicate(out);
}

void Core::on(const AppendDurable& input, Output& out) {
  REEL_ASSERT(input.ticket <= last_ticket_);
  disk_failed_ = false;
  const auto later = std::find_if(pending_.begin(), pending_.end(), [&](const PendingAppend& pending) {
    return pending.ticket > input.ticket;
  });
  for (auto done = pending_.begin(); done != later; ++done) durable_ = std::max(durable_, proven_by(*done));
  pending_.erase(pending_.begin(), later);
  REEL_ASSERT(durable_ <= last_index());
  if (role_ == Role::leader) commit_by_quorum(out);
}

void Core::on(const HardStateDurable& input, Output& out) {
  REEL_ASSERT(input.ticket <= hard_ticket_);
  disk_failed_ = false;
  hard_durable_ = std::max(hard_durable_, input.ticket);
  if (role_ == Role::candidate) count_campaign(out);
}

void Core::on(const PeerReset& input, Output& out) {
  Progress* peer = progress_of(input.peer);
  if (peer == nullptr) return;
  peer->become_probe(peer->match + 1);
  replicate_to(input.peer, *peer, out);
}

void Core::on(const DiskFailed&, Output& out) {
  disk_failed_ = true;
  if (role_ != Role::follower) become_follower(term(), {}, out);
}

// Every way down leads through here: another leader, a later term, a lost quorum, a failed disk. The caller
// saves the hard state, so that a vote in the same step costs no second write.
void Core::become_follower(Term new_term, NodeId new_leader, Output& out) {
  REEL_ASSERT(new_term >= term());
  REEL_ASSERT(new_leader != options_.self);
  const bool later = new_term > term();
  if (later) hard_ = {new_term, NodeId()};
  if (role_ == Role::leader) {
    out.push_back(StopTimer{Timer::heartbeat});
    out.push_back(StopTimer{Timer::quorum});
    if (std::exchange(notice_armed_, false)) out.push_back(StopTimer{Timer::notice});
    out.push_back(SetTimer{Timer::election});
    progress_.clear();
    transfer_target_ = {};
    oldest_unfinished_ = {};
  }
  votes_.clear();
  set_contact(false, out);
  set_role(Role::follower, new_leader, later, out);
  refuse_reads(out);
}

void Core::set_role(Role role, NodeId new_leader, bool term_changed, Output& out) {
  const bool changed = term_changed || role != role_ || new_leader != leader_;
  role_ = role;
  leader_ = new_leader;
  if (changed) out.push_back(RoleChanged{role, term(), new_leader});
}

void Core::set_contact(bool contact, Output& out) {
  if (contact) {
    out.push_back(SetTimer{Timer::contact});
  } else if (contact_) {
    out.push_back(StopTimer{Timer::contact});
  }
  contact_ = contact;
}

void Core::save_hard_state(Output& out) {
  if (hard_ == saving_) return;
  REEL_ASSERT(hard_.term > saving_.term || saving_.vote == NodeId());  // a vote is never changed (Raft §5.2)
  saving_ = hard_;
  hard_ticket_ = ++last_ticket_;
  out.push_back(SaveHardState{hard_ticket_, hard_});
}

// Rule: term and vote are durable before anybody hears of a vote or an acknowledgement given in them (S18).
Ticket Core::promise_ticket() const { return hard_state_durable() ? Ticket() : hard_ticket_; }

void Core::send(NodeId to, PeerBody body, Output& out, Ticket after_append, Ticket after_hard_state) {
  REEL_ASSERT(to != options_.self);
  out.push_back(Outgoing{
      to, after_append, after_hard_state, {options_.group, term(), options_.incarnation, std::move(body)}});
}

// A quarter of the branches is armed per run and node; an armed one is taken once in `one_in` keys.
bool Core::rarely(Rare branch, std::uint64_t key, std::uint64_t one_in) const {
  if (options_.buggify_seed == 0) return false;
  const auto name = static_cast<std::uint64_t>(branch);
  const std::uint64_t seed = options_.buggify_seed;
  if (io::keyed_hash(seed, {name, options_.self.value, options_.group.value}) % 4 != 0) return false;
  const auto draw =
      io::keyed_hash(seed, {name, options_.self.value, options_.group.value, term().value, key});
  return draw % one_in == 0;
}

bool Core::has_committed_in_term() const { return commit_.value > 0 && term_at(commit_) == term(); }

std::optional<EntryIdentity> Core::at(Index index) const {
  if (index < first_index() || index > last_index()) return {};
  return log_[index.value - 1];
}

std::uint64_t Core::digest() const {
  io::Hasher hash;
  const auto add = [&hash](auto... values) { (hash.add(static_cast<std::uint64_t>(values)), ...); };
  add(options_.self.value, options_.group.value, options_.incarnation.value, options_.inflight_messages_max,
      options_.inflight_bytes_max, options_.append_entries_max, options_.append_bytes_max,
      options_.buggify_seed);
  add(condition_, role_, leader_.value, contact_, disk_failed_, campaign_deferred_);
  add(hard_.term.value, hard_.vote.value, saving_.term.value, saving_.vote.value, hard_ticket_.value,
      hard_durable_.value, last_ticket_.value);
  add(log_.size());
  for (const EntryIdentity& entry : log_) {
    add(entry.term.value, entry.kind, entry.size, entry.checksum.low, entry.checksum.high);
  }
  add(commit_.value, durable_.value, accepted_term_.value, pending_.size());
  for (const PendingAppend& pending : pending_)
    add(pending.ticket.value, pending.last.value, pending.accepted.value);
  add(configurations_.size());
  for (const ConfigurationAt& at : configurations_) {
    add(at.index.value);
    for (const VoterSet* part :
         {&at.configuration.voters, &at.configuration.outgoing, &at.configuration.learners}) {
      add(part->size());
      for (const NodeId node : *part) add(node.value);
    }
  }
  add(votes_.size());
  for (const auto& [node, granted] : votes_) add(node.value, granted);
  add(progress_.size());
  for (const auto& [node, peer] : progress_) {
    add(node.value, peer.state, peer.match.value, peer.next.value, peer.probe_sent, peer.stalled,
        peer.recently_active, peer.round, peer.told.value, peer.incarnation.value, peer.inflight.digest());
  }
  add(round_, reads_.size());
  for (const PendingRead& read : reads_) add(read.context, read.index.value, read.round);
  add(notice_armed_, transfer_target_.value, transfer_checked_, oldest_unfinished_.value);
  return hash.value();
}

}  // namespace reel::raft
