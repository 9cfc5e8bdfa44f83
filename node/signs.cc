#include "node/signs.h"

#include <algorithm>

#include "node/raft/quorum.h"

namespace reel::node {
namespace {

const raft::Progress* progress_of(const raft::Core& core, NodeId node) {
  for (const auto& [member, progress] : core.progress()) {
    if (member == node) return &progress;
  }
  return nullptr;
}

// The leader is past its first steps: connections that come up and candidates that lose the race are no trouble.
bool established(const raft::Core& core) { return core.leader() != NodeId() && core.has_committed_in_term(); }

bool quorum_is_active(const raft::Core& core) {
  return raft::quorum_value(core.configuration(), [&core](NodeId node) -> std::uint64_t {
           if (node == core.options().self) return 1;
           const raft::Progress* progress = progress_of(core, node);
           return progress != nullptr && progress->recently_active ? 1 : 0;
         }) == 1;
}

}  // namespace

Signs::Signs(const raft::Core& core, const raft::Input& input)
    : before_(core.counters()), role_(core.role()) {
  if (const auto* timeout = std::get_if<raft::TimedOut>(&input)) of_timeout(core, timeout->timer);
  if (const auto* received = std::get_if<raft::Received>(&input))
    of_message(core, received->from, received->message);
}

void Signs::add(const char* sign) {
  if (count_ < kSignsMax) signs_[count_++] = sign;
}

void Signs::of_timeout(const raft::Core& core, raft::Timer timer) {
  if (timer == raft::Timer::election) {
    if (role_ == Role::follower && core.leader() != NodeId()) add("raft.leader_lost");
    if (role_ == Role::candidate || role_ == Role::pre_candidate) add("raft.campaign_without_result");
  }
  if (role_ != Role::leader) return;
  if (timer == raft::Timer::quorum) {
    quorum_timeout_ = true;
    quorum_active_ = quorum_is_active(core);
    disk_idle_ = core.durable_index() == core.last_index();
  }
  if (timer != raft::Timer::heartbeat) return;
  for (const auto& [node, peer] : core.progress()) {
    // A whole interval brought no acknowledgement: this heartbeat asks for the end of the window.
    const bool probed =
        peer.state == raft::Progress::State::replicate && peer.stalled && !peer.inflight.empty();
    if (probed) return add("raft.window_probed");
  }
}

void Signs::of_message(const raft::Core& core, NodeId from, const PeerMessage& message) {
  if (const auto* append = std::get_if<AppendRequest>(&message.body))
    return of_append(core, message, *append);
  if (const auto* vote = std::get_if<VoteRequest>(&message.body)) return of_vote(core, from, message, *vote);
  if (!std::holds_alternative<AppendReply>(message.body)) return;
  append_reply_ = true;
  if (role_ != Role::leader) return;
  const raft::Progress* peer = progress_of(core, from);
  if (peer == nullptr || peer->incarnation == Incarnation()) return;
  if (message.incarnation > peer->incarnation) add("raft.peer_came_back");
  if (message.incarnation < peer->incarnation) add("raft.reply_of_a_former_life");
}

void Signs::of_append(const raft::Core& core, const PeerMessage& message, const AppendRequest& request) {
  if (message.term < core.term()) return add("raft.append_of_a_past_term");
  const Index last = request.previous.index + request.entries.size();
  if (request.previous.index > core.last_index()) {
    add("raft.append_behind_a_gap");
  } else if (established(core) && !request.entries.empty() && last <= core.last_index() &&
             core.at(last) == request.entries.back().identity) {
    add("raft.append_held_already");
  }
}

void Signs::of_vote(const raft::Core& core, NodeId from, const PeerMessage& message,
                    const VoteRequest& request) {
  if (established(core) && core.in_contact() && !request.transfer && message.term >= core.term()) {
    add("raft.vote_refused_in_contact");
  }
  if (!request.pre && message.term == core.term() && core.vote() == from) add("raft.vote_asked_twice");
}

std::span<const char* const> Signs::after(const raft::Core& core, const raft::Output& effects) {
  if (append_reply_ && core.counters().stale > before_.stale) add("raft.late_reply");
  if (core.counters().impossible > before_.impossible) add("raft.impossible_message");
  if (core.counters().malformed > before_.malformed) add("raft.malformed_message");
  if (quorum_timeout_ && core.role() != Role::leader) {
    add(!quorum_active_ ? "raft.quorum_lost" : disk_idle_ ? "raft.needless_step_down" : "raft.disk_stalled");
  }
  for (const raft::Effect& effect : effects) {
    if (const auto* append = std::get_if<raft::AppendToLog>(&effect)) {
      if (append->truncate_from) add("raft.truncated");
    }
  }
  return {signs_.data(), count_};
}

}  // namespace reel::node
