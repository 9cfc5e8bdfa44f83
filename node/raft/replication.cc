// Leader to follower and back (Raft §5.3), with pipelining, and linearizable reads (thesis §6.4).
#include <algorithm>

#include "io/ports/assert.h"
#include "node/raft/raft.h"

namespace reel::raft {
namespace {

// Reads that wait for a round or for the own term's first commit; more are refused.
constexpr std::size_t kReadsMax = 65536;

}  // namespace

// ---- follower

void Core::receive(NodeId from, const PeerMessage& message, const AppendRequest& request, Output& out) {
  if (message.term < term()) {
    ++counters_.stale;
    // The answer's term tells a leader of the past that its time is over (S14).
    return send(from, AppendReply{false, {}, {}, request.previous.index, request.round}, out);
  }
  const bool known = message.term == term() && leader_ != NodeId();
  if (known && leader_ != from) {  // Election Safety: no term has two leaders
    ++counters_.impossible;
    return;
  }
  if (message.term > term() || role_ != Role::follower || leader_ != from)
    become_follower(message.term, from, out);
  save_hard_state(out);
  set_contact(true, out);
  out.push_back(SetTimer{Timer::election});
  follow(from, request, out);
}

void Core::follow(NodeId leader, const AppendRequest& request, Output& out) {
  if (!holds(request.previous)) return reject(leader, request, out);
  const Fit met = fit(request.entries);
  if (met.impossible || (met.conflict && !may_truncate(request.entries[met.held].identity.index))) {
    ++counters_.impossible;
    return;
  }
  const std::span<const Entry> fresh = std::span(request.entries).subspan(met.held);
  if (!fresh.empty()) {
    append(met.conflict ? std::optional(fresh.front().identity.index) : std::nullopt, fresh, out);
  }
  const Index checked = request.previous.index + request.entries.size();
  const Index commit = checked_commit(request.commit, checked);
  if (commit > commit_) set_commit(commit, out);
  // A heartbeat is answered at once with what is durable: a slow disk must not look like a lost node.
  const bool heartbeat = request.entries.empty();
  const Index match = countable(heartbeat ? std::min(checked, durable_) : checked);
  send(leader, AppendReply{true, match, {}, {}, request.round}, out, append_ticket(match), promise_ticket());
}

// Names the last entry that can still be common, so that a leader passes a whole term of ours per round trip
// (S35).
void Core::reject(NodeId leader, const AppendRequest& request, Output& out) {
  const EntryId hint = last_with(request.previous.index, request.previous.term);
  send(leader, AppendReply{false, {}, hint, request.previous.index, request.round}, out);
}

// ---- leader

const Progress* Core::progress_of(NodeId node) const {
  for (const auto& [member, peer] : progress_) {
    if (member == node) return &peer;
  }
  return nullptr;
}

Progress* Core::progress_of(NodeId node) {
  return const_cast<Progress*>(std::as_const(*this).progress_of(node));
}

Index Core::match_of(NodeId node) const {
  if (node == options_.self) return countable(durable_);
  const Progress* peer = progress_of(node);
  return peer == nullptr ? Index() : peer->match;
}

// Rule: a new leadership knows nothing of what anybody holds: others may have cut it meanwhile (S32).
Progress Core::fresh_progress() const {
  Progress fresh;
  fresh.next = last_index() + 1;
  return fresh;
}

// Rule: what a former life acknowledged is void (recovery.md §4.6).
void Core::notice_life(Progress& peer, Incarnation incarnation) {
  if (peer.incarnation == incarnation) return;
  if (peer.incarnation != Incarnation()) {
    const Index from = peer.match + 1;
    peer.match = {};
    peer.become_probe(from);
  }
  peer.incarnation = incarnation;
}

void Core::receive(NodeId from, const PeerMessage& message, const AppendReply& reply, Output& out) {
  if (message.term > term()) {
    become_follower(message.term, {}, out);
    save_hard_state(out);
    return;
  }
  Progress* peer = message.term == term() && role_ == Role::leader ? progress_of(from) : nullptr;
  if (peer == nullptr || message.incarnation < peer->incarnation) {
    ++counters_.stale;
    return;
  }
  const Index about = reply.accepted ? reply.match : reply.rejected;
  if (reply.round > round_ || about > last_index() || (!reply.accepted && about == Index())) {
    ++counters_.impossible;
    return;
  }
  notice_life(*peer, message.incarnation);
  peer->recently_active = true;
  peer->round = std::max(peer->round, reply.round);
  if (reply.accepted) {
    on_accepted(from, *peer, reply, out);
  } else {
    on_rejected(from, *peer, reply, out);
  }
  release_reads(out);
}

void Core::on_accepted(NodeId from, Progress& peer, const AppendReply& reply, Output& out) {
  const bool advanced = peer.acknowledge(reply.match);
  if (peer.state == Progress::State::probe) peer.become_replicate();
  if (advanced) commit_by_quorum(out);
  if (role_ != Role::leader) return;  // it committed its own removal
  if (advanced && transfer_target_ == from) finish_transfer(out);
  replicate_to(from, peer, out);
  if (peer.told < std::min(commit_, peer.match)) arm_notice(out);
}

void Core::on_rejected(NodeId from, Progress& peer, const AppendReply& reply, Output& out) {
  const bool probing = peer.state == Progress::State::probe;
  if (reply.rejected <= peer.match || (probing && reply.rejected + 1 != peer.next)) {
    ++counters_.stale;
    return;
  }
  // Both sides skip a term: the follower named its last entry of a term that we may share, we go to our last
  // entry that can be equal or older. Each round trip passes at least one term.
  const EntryId meet = last_with(reply.hint.index, reply.hint.term);
  peer.become_probe(std::max(std::min(meet.index + 1, reply.rejected), peer.match + 1));
  replicate_to(from, peer, out);
}

void Core::replicate(Output& out) {
  for (auto& [node, peer] : progress_) replicate_to(node, peer, out);
}

// Sends what the window allows.
void Core::replicate_to(NodeId node, Progress& peer, Output& out) {
  const std::uint32_t messages_max =
      rarely(Rare::tiny_window, peer.next.value, 4) ? 1 : options_.inflight_messages_max;
  const bool probing = peer.state == Progress::State::probe;
  while (peer.next <= last_index()) {
    if (probing ? peer.probe_sent : !peer.inflight.has_room(messages_max, options_.inflight_bytes_max))
      return;
    const Index from = peer.next;
    std::vector<Entry> entries;
    const std::uint32_t bytes = take_entries(from, entries);
    const Index last = entries.back().identity.index;
    send_append(node, peer, from - 1, std::move(entries), out);
    if (probing) {
      peer.probe_sent = true;
      return;
    }
    peer.next = last + 1;
    peer.inflight.push(last, bytes);
  }
}

// At least one entry, then as many as fit into one message. Returns the bytes of their payloads.
std::uint32_t Core::take_entries(Index from, std::vector<Entry>& entries) const {
  REEL_ASSERT(from >= first_index() && from <= last_index());
  const std::size_t count_max = rarely(Rare::tiny_append, from.value, 4) ? 1 : options_.append_entries_max;
  const std::size_t begin = from.value - 1;
  std::uint32_t bytes = log_[begin].size;
  std::size_t end = begin + 1;
  while (end < log_.size() && end - begin < count_max &&
         bytes + log_[end].size <= options_.append_bytes_max) {
    bytes += log_[end++].size;
  }
  entries.reserve(end - begin);
  for (std::size_t i = begin; i < end; ++i) entries.push_back({log_[i], {}});
  return bytes;
}

void Core::send_append(NodeId to, Progress& peer, Index previous, std::vector<Entry> entries, Output& out) {
  peer.told = std::max(peer.told, std::min(commit_, previous + entries.size()));
  send(to, AppendRequest{id_at(previous), commit_, round_, std::move(entries)}, out);
}

// ---- heartbeats and reads

// The timer's heartbeat keeps followers, tells them of commits when nothing else does (S37), and finds lost
// windows.
void Core::heartbeat(Output& out) {
  if (role_ != Role::leader) return;
  ++round_;
  for (auto& [node, peer] : progress_) send_append(node, peer, heartbeat_position(peer), {}, out);
  finish_transfer(out);
  out.push_back(SetTimer{Timer::heartbeat});
}

// Whoever reads at a follower would wait for the next append, or the next heartbeat. Most often an append comes soon and tells
// it, so it is given some time: a message of its own costs as much as a transaction.
void Core::arm_notice(Output& out) {
  if (!std::exchange(notice_armed_, true)) out.push_back(SetTimer{Timer::notice});
}

void Core::tell_commit(Output& out) {
  notice_armed_ = false;
  if (role_ != Role::leader) return;
  for (auto& [node, peer] : progress_) {
    const bool lags = peer.state == Progress::State::replicate && peer.told < std::min(commit_, peer.match);
    if (lags) send_append(node, peer, peer.match, {}, out);
  }
}

// Normally the last acknowledged entry, which nobody rejects. If a whole heartbeat interval brought no
// acknowledgement although appends are in flight, the last one sent: who missed one of them rejects, and the
// window starts anew (S36).
Index Core::heartbeat_position(Progress& peer) {
  if (peer.state == Progress::State::probe) return peer.next - 1;
  if (peer.inflight.empty()) return peer.match;
  const bool ask = peer.stalled || rarely(Rare::spurious_probe, round_, 4);
  peer.stalled = true;
  return ask ? peer.next - 1 : peer.match;
}

void Core::on(const Read& input, Output& out) {
  if (role_ != Role::leader || reads_.size() >= kReadsMax) {
    out.push_back(ReadRefused{input.context, leader_});
    return;
  }
  const Index index = has_committed_in_term() ? commit_ : Index();
  // Only a round that starts after the read arrived proves anything about it; those that arrive while one is
  // on its way share the next.
  reads_.push_back({input.context, index, round_ + 1});
  release_reads(out);
}

std::uint64_t Core::confirmed_round() const {
  return quorum_value(configuration(), [this](NodeId node) {
    if (node == options_.self) return round_;
    const Progress* peer = progress_of(node);
    return peer == nullptr ? 0 : peer->round;
  });
}

// Answers the reads whose round a quorum (of both halves, S48) has answered, then starts the next round if
// one is due.
void Core::release_reads(Output& out) {
  if (role_ != Role::leader || reads_.empty()) return;
  for (bool started = true; started;) {
    const std::uint64_t confirmed = confirmed_round();
    const auto waiting = std::find_if(reads_.begin(), reads_.end(), [confirmed](const PendingRead& read) {
      return read.round > confirmed;
    });
    started = waiting != reads_.end() && waiting->round > round_;
    if (has_committed_in_term()) {
      for (auto read = reads_.begin(); read != waiting; ++read) {
        out.push_back(ReadReady{read->context, read->index == Index() ? commit_ : read->index});
      }
      reads_.erase(reads_.begin(), waiting);
    }
    if (started) start_round(out);
  }
}

void Core::start_round(Output& out) {
  ++round_;
  for (auto& [node, peer] : progress_) {
    const Index position = peer.state == Progress::State::probe ? peer.next - 1 : peer.match;
    send_append(node, peer, position, {}, out);
  }
}

void Core::refuse_reads(Output& out) {
  for (const PendingRead& read : reads_) out.push_back(ReadRefused{read.context, leader_});
  reads_.clear();
}

}  // namespace reel::raft
