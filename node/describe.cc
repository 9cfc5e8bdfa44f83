#include "node/describe.h"

#include <algorithm>

namespace reel::node {
namespace {

std::string number(std::uint64_t value) { return std::to_string(value); }

// "5", or "5..7".
std::string span_of(std::uint64_t first, std::uint64_t last) {
  return first == last ? number(first) : number(first) + ".." + number(last);
}

std::string in_group(GroupId group) { return group == kClusterGroup ? "" : "g" + number(group.value) + " "; }

// Milliseconds from now, or "-".
std::string in_time(io::Instant at, io::Instant now) {
  if (at == io::kNever) return "-";
  return number(static_cast<std::uint64_t>(std::max<std::int64_t>(0, (at - now).ns) / 1'000'000)) + " ms";
}

std::string hex(std::uint64_t value) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (int shift = 28; shift >= 0; shift -= 4) text += kDigits[(value >> (shift + 32)) & 15];
  return text;
}

struct Body {
  Term term;
  std::string operator()(const VoteRequest& request) const {
    return std::string(request.pre ? "prevote? t" : "vote? t") + number(term.value) + " last " +
           number(request.last.index.value) + "/t" + number(request.last.term.value);
  }
  std::string operator()(const VoteReply& reply) const {
    return std::string(reply.pre ? "prevote " : "vote ") + (reply.granted ? "yes" : "no") + " t" +
           number(reply.asked.value);
  }
  std::string operator()(const AppendRequest& request) const {
    if (request.entries.empty()) return "";
    return "append " +
           span_of(request.entries.front().identity.index.value,
                   request.entries.back().identity.index.value) +
           " t" + number(term.value) + " c" + number(request.commit.value);
  }
  std::string operator()(const AppendReply& reply) const {
    if (reply.accepted) return "holds " + number(reply.match.value);
    return "rejects " + number(reply.rejected.value) + ", hint " + number(reply.hint.index.value);
  }
  std::string operator()(const TimeoutNow&) const { return "campaign! t" + number(term.value); }
};

struct Call {
  std::string operator()(const AppendCall& call) const {
    return in_group(call.group) + "append #" +
           span_of(call.first.value, call.first.value + std::max(1u, call.count) - 1);
  }
  std::string operator()(const FeedCall& call) const {
    return in_group(call.group) + "feed from " + number(call.from.value);
  }
  std::string operator()(const HighWaterCall& call) const { return in_group(call.group) + "high water?"; }
  std::string operator()(const StatusCall&) const { return "status?"; }
  std::string operator()(const ResolveCall& call) const {
    return in_group(call.group) + (call.burn ? "resolve #" : "look #") + number(call.sequence.value);
  }
  std::string operator()(const TransactionCall& call) const {
    return in_group(call.group) + "lookup " + number(call.id.value);
  }
  std::string operator()(const CreatePartitionsCall& call) const {
    return "partitions " + number(call.total);
  }
  std::string operator()(const ReaderGroupCall& call) const {
    return call.verb == ReaderGroupCall::Verb::join    ? "join"
           : call.verb == ReaderGroupCall::Verb::leave ? "leave"
                                                       : "report";
  }
  std::string operator()(const ReaderGroupsCall&) const { return "groups?"; }
  std::string operator()(const RemoveReaderGroupCall&) const { return "remove group"; }
};

struct Answer {
  std::string operator()(const CallError& error) const { return name_of(error.code); }
  std::string operator()(const AppendResult& result) const {
    std::string text;
    for (const CommittedRun& run : result.runs) {
      text += (text.empty() ? "#" : ", #") + span_of(run.first.value, run.first.value + run.count - 1) +
              " is " + span_of(run.id.value, run.id.value + run.count - 1);
    }
    for (const Refusal& refusal : result.refusals) {
      text += (text.empty() ? "#" : ", #") + number(refusal.sequence.value) + " " + name_of(refusal.code);
    }
    return text;
  }
  std::string operator()(const FeedResult& result) const {
    return "feeds to " + number(result.high_water.value);
  }
  std::string operator()(const HighWaterResult& result) const {
    return "high water " + number(result.high_water.value);
  }
  std::string operator()(const StatusResult&) const { return "status"; }
  std::string operator()(const ResolveResult& result) const {
    switch (result.outcome()) {
      case ResolveOutcome::committed: return "resolved: is " + number(result.committed->id.value);
      case ResolveOutcome::burned: return "resolved: burned";
      case ResolveOutcome::undecided: return "undecided";
    }
    return "?";
  }
  std::string operator()(const TransactionResult& result) const {
    return result.transaction ? "found " + number(result.transaction->id.value) : "not found";
  }
  std::string operator()(const PartitionsResult& result) const {
    return number(result.total) + " partitions";
  }
  std::string operator()(const ReaderGroupResult& result) const {
    return number(result.shares.size()) + " shares";
  }
  std::string operator()(const ReaderGroupsResult&) const { return "groups"; }
};

void describe_log(const raft::Core& core, std::size_t lines_max, std::string& out) {
  const std::vector<EntryIdentity>& log = core.log();
  const std::size_t from = log.size() > lines_max ? log.size() - lines_max : 0;
  out += "  log " + number(core.first_index().value) + ".." + number(core.last_index().value) + ", durable " +
         number(core.durable_index().value) + ", committed " + number(core.commit().value) + "\n";
  for (std::size_t i = from; i < log.size(); ++i) {
    out += "    " + number(log[i].index.value) + "/t" + number(log[i].term.value) + " kind " +
           number(static_cast<std::uint64_t>(log[i].kind)) + ", " + number(log[i].size) + " bytes" +
           (log[i].index > core.durable_index() ? ", not durable" : "") +
           (log[i].index > core.commit() ? ", not committed" : "") + "\n";
  }
}

void describe_progress(const raft::Core& core, std::string& out) {
  for (const auto& [peer, progress] : core.progress()) {
    out += "  peer " + number(peer.value) + " " +
           (progress.state == raft::Progress::State::probe ? "probed" : "pipelined") + ", match " +
           number(progress.match.value) + ", next " + number(progress.next.value) + ", in flight " +
           number(progress.inflight.size()) + (progress.recently_active ? "" : ", silent") + "\n";
  }
}

void describe_state(const log::LogState& state, std::size_t lines_max, std::string& out) {
  out += "  applied " + number(state.applied().value) + ", next transaction " +
         number(state.next_id().value) + ", digest " + hex(state.digest()) + "\n";
  out += "  sessions " + number(state.sessions().size()) + "\n";
  for (const SessionId& id : state.sessions().newest(lines_max)) {
    const log::Session* session = state.sessions().find(id);
    out += "    session " + hex(id.high) + "… up to #" + number(session->last().value) + "\n";
  }
  out += "  lock keys " + number(state.locks().size()) + ", all changes from " +
         number(state.locks().floor().value) + " on are known\n";
  for (const auto& [key, id] : state.locks().newest(lines_max)) {
    out += "    key " + hex(key.high) + "… changed by " + number(id.value) + "\n";
  }
}

void describe_group(const Group& group, io::Instant now, std::size_t lines_max, std::string& out) {
  const raft::Core& core = group.core();
  out += "group " + number(group.id().value) + ": " + name_of(core.role()) + ", term " +
         number(core.term().value) + ", vote " +
         (core.vote().value == 0 ? "none" : number(core.vote().value)) +
         (core.hard_state_durable() ? "" : " (not durable)") + ", leader " +
         (core.leader().value == 0 ? "unknown" : number(core.leader().value)) +
         (core.in_contact() ? "" : ", no contact") + (group.replayed() ? "" : ", replaying") + "\n";
  out += "  timers: election " + in_time(group.timer(raft::Timer::election), now) + ", contact " +
         in_time(group.timer(raft::Timer::contact), now) + ", heartbeat " +
         in_time(group.timer(raft::Timer::heartbeat), now) + ", quorum " +
         in_time(group.timer(raft::Timer::quorum), now) + "\n";
  describe_log(core, lines_max, out);
  describe_progress(core, out);
  out += "  waiting: " + number(group.queued()) + " calls in the queue, " + number(group.held()) +
         " messages for durability\n";
  describe_state(group.state(), lines_max, out);
  if (group.failure()) out += "  failed: " + *group.failure() + "\n";
}

}  // namespace

std::string describe(const PeerMessage& message) {
  const std::string text = std::visit(Body{message.term}, message.body);
  return text.empty() ? text : in_group(message.group) + text;
}

std::string describe(const ClientCall& call) { return std::visit(Call{}, call); }
std::string describe(const ClientReply& reply) { return std::visit(Answer{}, reply); }

std::string describe(const Node& node, io::Instant now, std::size_t lines_max) {
  const StatusResult status = node.status();
  std::string out =
      "node " + number(node.stamp().node.value) + ", life " + number(node.stamp().incarnation.value) + ": " +
      (node.halted()  ? "halted"
       : node.ready() ? "serving"
                      : "recovering") +
      ", disk " + status.disk + ", journal durable up to " + number(status.durable.value) + "\n";
  for (const GroupStatus& each : status.groups) {
    if (const Group* group = node.group(each.group)) describe_group(*group, now, lines_max, out);
  }
  return out;
}

}  // namespace reel::node
