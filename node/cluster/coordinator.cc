#include "node/cluster/coordinator.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::cluster {
namespace {

CallError error_of(ErrorCode code, std::string text, std::uint64_t limit = 0) {
  CallError error;
  error.code = code;
  error.limit = limit;
  error.text = std::move(text);
  return error;
}

CallError not_leader() {
  return error_of(ErrorCode::not_leader,
                  "this node does not lead partition 0: ask the leader and repeat the request");
}

bool is_well_formed(const ReaderGroupCall& call) {
  const bool patient = call.verb != ReaderGroupCall::Verb::join ||
                       (call.patience >= kReaderPatienceMin && call.patience <= kReaderPatienceMax);
  return is_reader_group_name(call.name) && call.member != MemberId() && patient &&
         call.progress.size() <= kReaderProgressMax;
}
bool is_well_formed(const ReaderGroupsCall& call) {
  return call.name.empty() || is_reader_group_name(call.name);
}
bool is_well_formed(const RemoveReaderGroupCall& call) { return is_reader_group_name(call.name); }
bool is_well_formed(const CreatePartitionsCall& call) { return call.total > 0; }
template <class Other>
bool is_well_formed(const Other&) {
  return false;
}

ReaderGroupStatus status_of(const std::string& name, const ReaderGroup& group) {
  ReaderGroupStatus status;
  status.name = name;
  for (const auto& [member, patience] : group.members()) status.members.push_back({member, patience});
  for (std::size_t i = 0; i < group.shares().size(); ++i) {
    const ReaderGroup::Share& share = group.shares()[i];
    status.positions.push_back(
        {GroupId(static_cast<std::uint32_t>(i + 1)), share.owner, share.heir, share.epoch, share.next});
  }
  return status;
}

}  // namespace

std::uint32_t Coordinator::partitions() const { return std::max(booted_with_, state_.partitions()); }

std::expected<void, std::string_view> Coordinator::apply(std::span<const std::byte> payload) {
  changed_ = true;
  const auto applied = state_.apply(payload);
  if (applied && leads_) {
    for (const ClusterState::Joined& joined : state_.joined())
      joined_.push_back({joined.name, joined.member});
  }
  return applied;
}

// ---- calls

bool Coordinator::on_call(io::CallId call, const ClientCall& body, const io::Now& now, Answers& out) {
  const bool sound = std::visit([](const auto& known) { return is_well_formed(known); }, body);
  if (!sound) {
    out.push_back({call, error_of(ErrorCode::malformed, "the call is malformed")});
    return false;
  }
  if (const auto* report = std::get_if<ReaderGroupCall>(&body)) hear(*report, now);
  if (std::holds_alternative<ReaderGroupsCall>(body) || (leads_ && !says_something_new(body))) return true;
  if (queue_.size() + waiters_.size() >= kWaitingCallsMax) {
    CallError error =
        error_of(ErrorCode::overloaded, "too much is waiting here: repeat the request after the time given");
    error.retry_after = io::milliseconds(20);
    out.push_back({call, std::move(error)});
    return false;
  }
  queue_.push_back({call, body});
  return false;
}

// Whether its command would change what is applied. What is in flight may change that: then the command changes nothing,
// or the next call finds out.
bool Coordinator::says_something_new(const ClientCall& body) const {
  if (const auto* create = std::get_if<CreatePartitionsCall>(&body)) {
    return create->total > partitions() && create->total <= partitions_max_ &&
           state_.has_room_for(create->total);
  }
  if (const auto* remove = std::get_if<RemoveReaderGroupCall>(&body)) {
    return state_.find(remove->name) != nullptr;
  }
  const auto* report = std::get_if<ReaderGroupCall>(&body);
  if (report == nullptr) return false;
  const ReaderGroup* group = state_.find(report->name);
  if (group == nullptr) return report->verb == ReaderGroupCall::Verb::join;
  const auto member = group->members().find(report->member);
  const bool is_member = member != group->members().end();
  switch (report->verb) {
    case ReaderGroupCall::Verb::report: break;
    case ReaderGroupCall::Verb::join:
      if (!is_member || member->second != report->patience) return true;
      break;
    case ReaderGroupCall::Verb::leave:
      if (is_member) return true;
      break;
  }
  return std::any_of(report->progress.begin(), report->progress.end(), [&](const ReaderProgress& progress) {
    return group->is_news(report->member, progress);
  });
}

ClientReply Coordinator::answer(const ClientCall& body) const {
  if (const auto* create = std::get_if<CreatePartitionsCall>(&body)) {
    if (create->total <= partitions()) return PartitionsResult{partitions()};
    const bool too_many = create->total > partitions_max_;
    return error_of(ErrorCode::too_large,
                    too_many ? "so many partitions are more than a node is set up for"
                             : "the reader groups have no room for so many partitions: remove some",
                    too_many ? partitions_max_ : kReaderSharesMax);
  }
  if (const auto* wanted = std::get_if<ReaderGroupsCall>(&body)) {
    ReaderGroupsResult result;
    if (wanted->name.empty()) {
      for (const auto& [name, group] : state_.groups()) result.groups.push_back({name, {}, {}});
      return result;
    }
    const ReaderGroup* group = state_.find(wanted->name);
    if (group == nullptr) {
      return error_of(ErrorCode::no_such_reader_group, "there is no such reader group");
    }
    result.groups.push_back(status_of(wanted->name, *group));
    return result;
  }
  const auto* report = std::get_if<ReaderGroupCall>(&body);
  if (report == nullptr) return ReaderGroupsResult{};  // there is no such group, any more or from the start
  const ReaderGroup* group = state_.find(report->name);
  const bool is_member = group != nullptr && group->members().contains(report->member);
  const bool room =
      group == nullptr ? state_.has_room_for_group() : group->members().size() < kReaderGroupMembersMax;
  if (!is_member && report->verb == ReaderGroupCall::Verb::join && !room) {
    return error_of(ErrorCode::too_large, "there are too many reader groups, or members of this one",
                    group == nullptr ? kReaderGroupsMax : kReaderGroupMembersMax);
  }
  // One that just joined may be out again by the time it is told.
  if (!is_member && report->verb != ReaderGroupCall::Verb::leave) {
    return error_of(ErrorCode::expired, "this is no member of the reader group: join it again");
  }
  ReaderGroupResult result;
  if (group != nullptr) {
    result.members = static_cast<std::uint32_t>(group->members().size());
    result.shares = group->shares_of(report->member);
  }
  result.partitions = partitions();
  return result;
}

void Coordinator::on_cancelled(io::CallId call) {
  // What it said stands; only nobody waits for the answer.
  for (Queued& queued : queue_) {
    if (queued.call == call) queued.call = io::CallId();
  }
  std::erase_if(waiters_, [call](const auto& waiter) { return waiter.second.call == call; });
}

// ---- leading

void Coordinator::lead(const io::Now& now) {
  leads_ = true;
  changed_ = true;
  for (const auto& [name, group] : state_.groups()) {
    for (const auto& [member, patience] : group.members()) {
      silences_.set({name, member}, now.monotonic + patience);
    }
  }
}

void Coordinator::follow(Answers& out) {
  for (const Queued& queued : queue_) {
    if (queued.call.value != 0) out.push_back({queued.call, not_leader()});
  }
  for (const auto& [index, waiter] : waiters_) out.push_back({waiter.call, not_leader()});
  queue_.clear();
  waiters_.clear();
  silences_.clear();
  joined_.clear();
  releases_.clear();
  leads_ = false;
}

void Coordinator::hear(const ReaderGroupCall& call, const io::Now& now) {
  const MemberKey key{call.name, call.member};
  io::Duration patience = call.patience;
  if (call.verb != ReaderGroupCall::Verb::join) {
    const ReaderGroup* group = state_.find(call.name);
    if (group == nullptr) return;
    const auto member = group->members().find(call.member);
    if (member == group->members().end()) return;
    patience = member->second;
  }
  silences_.set(key, now.monotonic + patience);
}

// Partitions that wait to be released, from when this was noticed.
void Coordinator::watch_releases(const io::Now& now) {
  for (const auto& [name, group] : state_.groups()) {
    if (group.waiting() == 0) continue;
    for (std::size_t i = 0; i < group.shares().size(); ++i) {
      const ReaderGroup::Share& share = group.shares()[i];
      if (share.heir == MemberId()) continue;
      const ShareKey key{name, GroupId(static_cast<std::uint32_t>(i + 1)), share.epoch};
      if (!releases_.has(key)) releases_.set(key, now.monotonic + group.members().at(share.owner));
    }
  }
}

void Coordinator::wake(const io::Now& now) {
  if (!leads_) return;
  if (std::exchange(changed_, false)) watch_releases(now);
  // The alarm of its call may have gone off before it was a member.
  for (const MemberKey& key : std::exchange(joined_, {})) {
    const ReaderGroup* group = state_.find(key.name);
    const bool is_member = group != nullptr && group->members().contains(key.member);
    if (is_member && !silences_.has(key)) silences_.set(key, now.monotonic + group->members().at(key.member));
  }
  while (const auto late = silences_.take_due(now.monotonic)) {
    const ReaderGroup* group = state_.find(late->name);
    if (group == nullptr || !group->members().contains(late->member)) continue;
    queue_.push_back({io::CallId(), Command(ExpireMember{late->name, late->member})});
  }
  while (const auto due = releases_.take_due(now.monotonic)) {
    const ReaderGroup* group = state_.find(due->name);
    const ReaderGroup::Share* share = group == nullptr ? nullptr : group->find(due->group);
    if (share == nullptr || share->epoch != due->epoch || share->heir == MemberId()) continue;
    queue_.push_back({io::CallId(), Command(RevokeShare{due->name, due->group, due->epoch})});
  }
}

io::Instant Coordinator::deadline() const {
  return leads_ ? std::min(silences_.first(), releases_.first()) : io::kNever;
}

Command Coordinator::command_of(const ClientCall& body, const raft::Configuration& configuration) const {
  if (const auto* create = std::get_if<CreatePartitionsCall>(&body)) {
    return CreatePartitions{partitions(), create->total, configuration};
  }
  if (const auto* remove = std::get_if<RemoveReaderGroupCall>(&body)) return RemoveReaderGroup{remove->name};
  return Report{std::get<ReaderGroupCall>(body), partitions()};
}

std::vector<std::byte> Coordinator::take_entry(Index index, const raft::Configuration& configuration) {
  std::vector<Command> commands;
  std::size_t bytes = kCommandsHeaderBytes;
  while (!queue_.empty() && commands.size() < kEntryCommandsMax) {
    Queued& first = queue_.front();
    const auto* body = std::get_if<ClientCall>(&first.what);
    if (body != nullptr && !std::holds_alternative<ReaderGroupCall>(*body) && !says_something_new(*body)) {
      // Answered as soon as all that is applied is known here: now, but not from within a proposal.
      if (first.call.value != 0) waiters_.emplace(index - 1, Waiter{first.call, *body});
      queue_.pop_front();
      continue;
    }
    const auto* own = std::get_if<Command>(&first.what);
    Command command = own != nullptr ? *own : command_of(std::get<ClientCall>(first.what), configuration);
    const std::size_t more = encoded_bytes(command);
    if (!commands.empty() && bytes + more > kEntryBytes) break;
    bytes += more;
    commands.push_back(std::move(command));
    if (own == nullptr && first.call.value != 0) {
      waiters_.emplace(index, Waiter{first.call, std::move(std::get<ClientCall>(first.what))});
    }
    queue_.pop_front();
  }
  return commands.empty() ? std::vector<std::byte>() : encode(commands);
}

void Coordinator::answer_applied(Index applied, Answers& out) {
  while (!waiters_.empty() && waiters_.begin()->first <= applied) {
    const Waiter& waiter = waiters_.begin()->second;
    out.push_back({waiter.call, answer(waiter.body)});
    waiters_.erase(waiters_.begin());
  }
}

}  // namespace reel::cluster
