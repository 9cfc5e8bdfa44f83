#include "io/wire/limits.h"

namespace reel::wire {
namespace {

Verdict refuse(const char* why) { return std::unexpected(why); }

Verdict check_entries(const AppendRequest& request, Term term) {
  if (request.entries.size() > kAppendEntriesMax) return refuse("append request has too many entries");
  if (request.previous.index.value > kCounterMax) return refuse("append request has an impossible index");
  EntryId last = request.previous;
  std::uint64_t bytes = 0;
  for (const Entry& entry : request.entries) {
    const EntryIdentity& identity = entry.identity;
    if (identity.index != last.index + 1) return refuse("entries of an append request have gaps");
    if (identity.term < last.term) return refuse("terms of an append request fall");
    if (identity.kind > kEntryKindMax) return refuse("entry is of an unknown kind");
    if (identity.size > kEntryBytesMax) return refuse("entry is larger than allowed");
    if (identity.size != entry.payload.size()) return refuse("entry has not the size that its identity says");
    bytes += identity.size;
    last = identity.id();
  }
  if (bytes > kAppendBytesMax) return refuse("append request is larger than allowed");
  if (!request.entries.empty() && last.term > term) return refuse("entry has a term above its sender's");
  return {};
}

Verdict check_call(const AppendCall& call) {
  if (call.count > kAppendCallCountMax) return refuse("append has too many transactions");
  if (call.block.size() > kAppendCallBytesMax) return refuse("append is larger than allowed");
  if (call.first.value > kCounterMax) return refuse("append has an impossible sequence");
  return {};
}

Verdict check_call(const FeedCall& call) {
  if (call.bytes_max > kFeedCallBytesMax) return refuse("feed asks for more than allowed");
  if (call.wait.ns < 0) return refuse("feed has a negative wait");
  if ((call.filter.header_value & ~call.filter.header_mask) != 0) {
    return refuse("filter's header value has bits outside of its mask");
  }
  return {};
}

Verdict check_call(const HighWaterCall&) { return {}; }
Verdict check_call(const StatusCall&) { return {}; }

Verdict check_call(const ResolveCall& call) {
  if (call.sequence.value > kCounterMax) return refuse("resolve has an impossible sequence");
  return {};
}

Verdict check_call(const TransactionCall&) { return {}; }
Verdict check_call(const CreatePartitionsCall&) { return {}; }

// Which names are legal is for the receiver to say; here it is only short.
Verdict check_name(const std::string& name) {
  if (name.size() > kReaderGroupNameBytesMax) return refuse("name of a reader group is longer than allowed");
  return {};
}
Verdict check_call(const ReaderGroupCall& call) {
  if (call.patience.ns < 0) return refuse("member has a negative patience");
  if (call.progress.size() > kReaderProgressMax) return refuse("report is about too many partitions");
  for (const ReaderProgress& progress : call.progress) {
    if (progress.next.value > kCounterMax) return refuse("report has an impossible position");
  }
  return check_name(call.name);
}
Verdict check_call(const ReaderGroupsCall& call) { return check_name(call.name); }
Verdict check_call(const RemoveReaderGroupCall& call) { return check_name(call.name); }

Verdict check_reply(const CallError& error) {
  if (error.code < ErrorCode::not_leader || error.code > kErrorCodeMax) return refuse("unknown error code");
  return {};
}

Verdict check_reply(const AppendResult& result) {
  // Each is about another sequence of the call.
  if (result.runs.size() + result.refusals.size() > kAppendCallCountMax) {
    return refuse("append result has too many outcomes");
  }
  for (const Refusal& refusal : result.refusals) {
    if (refusal.code < RefusalCode::conflict || refusal.code > RefusalCode::burned) {
      return refuse("unknown refusal code");
    }
    if (refusal.lock >= kTransactionLocksMax) return refuse("refusal names an impossible lock");
  }
  return {};
}

Verdict check_reply(const ResolveResult& result) {
  if (result.committed && result.committed->count != 1) {
    return refuse("resolve result is not about one sequence");
  }
  if (result.committed && result.undecided) return refuse("resolve result contradicts itself");
  return {};
}

Verdict check_matches(const FeedResult& result) {
  if (!result.entries.empty()) return refuse("feed result has both entries and matches");
  if (result.matches.size() > kFeedMatchesMax) return refuse("feed result has too many matches");
  std::uint64_t bytes = 0;
  std::optional<TxnId> last;
  for (const CommittedRecord& match : result.matches) {
    if ((last && match.id <= *last) || match.id >= *result.next) {
      return refuse("matches of a feed are not in order below its next");
    }
    last = match.id;
    bytes += match.record.size();
  }
  if (bytes > kFeedResultBytesMax) return refuse("feed result is larger than allowed");
  return {};
}

Verdict check_reply(const FeedResult& result) {
  if (result.entries.size() > kFeedResultEntriesMax) return refuse("feed result has too many entries");
  std::uint64_t bytes = 0;
  for (const Bytes& entry : result.entries) {
    if (entry.size() > kEntryBytesMax) return refuse("entry of a feed is larger than allowed");
    bytes += entry.size();
  }
  if (bytes > kFeedResultBytesMax) return refuse("feed result is larger than allowed");
  if (result.next) return check_matches(result);
  if (!result.matches.empty()) return refuse("feed result has matches and no place to go on from");
  return {};
}

Verdict check_reply(const TransactionResult& result) {
  if (result.transaction && result.transaction->record.size() > kEntryBytesMax) {
    return refuse("record is larger than allowed");
  }
  return {};
}

Verdict check_reply(const HighWaterResult&) { return {}; }
Verdict check_reply(const PartitionsResult&) { return {}; }

Verdict check_reply(const ReaderGroupResult& result) {
  if (result.shares.size() > kGroupsMax) return refuse("member has too many partitions");
  return {};
}

Verdict check_reply(const ReaderGroupsResult& result) {
  if (result.groups.size() > kReaderGroupsMax) return refuse("too many reader groups");
  for (const ReaderGroupStatus& group : result.groups) {
    if (const Verdict name = check_name(group.name); !name) return name;
    if (group.members.size() > kReaderGroupMembersMax) return refuse("reader group has too many members");
    if (group.positions.size() > kGroupsMax) return refuse("reader group has too many partitions");
  }
  return {};
}

Verdict check_reply(const StatusResult& result) {
  if (result.groups.size() > kGroupsMax) return refuse("status has too many groups");
  for (const GroupStatus& group : result.groups) {
    if (group.role > Role::leader) return refuse("unknown role");
    if (group.peers.size() > kPeerStatusesMax) return refuse("status of a group has too many peers");
  }
  return {};
}

}  // namespace

Verdict check(const PeerMessage& message) {
  const auto* request = std::get_if<AppendRequest>(&message.body);
  if (request == nullptr) return {};
  return check_entries(*request, message.term);
}

Verdict check(const ClientCall& call) {
  return std::visit([](const auto& body) { return check_call(body); }, call);
}

Verdict check(const ClientReply& reply) {
  return std::visit([](const auto& body) { return check_reply(body); }, reply);
}

}  // namespace reel::wire
