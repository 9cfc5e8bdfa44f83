#include "io/real/rpc_messages.h"

#include <algorithm>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/wire/codec.h"
#include "io/wire/limits.h"

namespace reel::real {
namespace {

using schema::PeerMessage;

capnp::Data::Reader data_of(const Bytes& bytes) {
  return capnp::Data::Reader(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size());
}

capnp::Text::Reader text_of(const std::string& text) {
  const std::size_t size = std::min<std::size_t>(text.size(), wire::kTextBytesMax);
  return size == text.size() ? capnp::Text::Reader(text.c_str(), size) : capnp::Text::Reader("(too long)");
}

std::string string_of(capnp::Text::Reader text) {
  return std::string(text.begin(), std::min<std::size_t>(text.size(), wire::kTextBytesMax));
}

std::unexpected<std::string> refuse(const char* why) { return std::unexpected<std::string>(why); }

// ---- peers

void write(schema::EntryId::Builder to, EntryId id) {
  to.setTerm(id.term.value);
  to.setIndex(id.index.value);
}

EntryId read(schema::EntryId::Reader from) {
  EntryId id;
  id.term = Term(from.getTerm());
  id.index = Index(from.getIndex());
  return id;
}

void write_body(schema::PeerMessage::Builder to, const VoteRequest& body) {
  auto out = to.initVoteRequest();
  out.setPre(body.pre);
  out.setTransfer(body.transfer);
  write(out.initLast(), body.last);
}

void write_body(schema::PeerMessage::Builder to, const VoteReply& body) {
  auto out = to.initVoteReply();
  out.setPre(body.pre);
  out.setGranted(body.granted);
  out.setAsked(body.asked.value);
}

void write_body(schema::PeerMessage::Builder to, const AppendRequest& body) {
  auto out = to.initAppendRequest();
  write(out.initPrevious(), body.previous);
  out.setCommit(body.commit.value);
  out.setRound(body.round);
  auto entries = out.initEntries(static_cast<unsigned>(body.entries.size()));
  for (unsigned i = 0; i < entries.size(); ++i) {
    const Entry& entry = body.entries[i];
    auto to_entry = entries[i];
    write(to_entry.initId(), entry.identity.id());
    to_entry.setKind(static_cast<schema::EntryKind>(entry.identity.kind));
    to_entry.setChecksumLow(entry.identity.checksum.low);
    to_entry.setChecksumHigh(entry.identity.checksum.high);
    to_entry.setPayload(data_of(entry.payload));
  }
}

void write_body(schema::PeerMessage::Builder to, const AppendReply& body) {
  auto out = to.initAppendReply();
  out.setAccepted(body.accepted);
  out.setMatch(body.match.value);
  write(out.initHint(), body.hint);
  out.setRejected(body.rejected.value);
  out.setRound(body.round);
}

void write_body(schema::PeerMessage::Builder to, const TimeoutNow&) { to.setTimeoutNow(); }

std::expected<Entry, std::string> read(schema::Entry::Reader from, const FrameMemory& memory) {
  Entry entry;
  const EntryId id = read(from.getId());
  const auto payload = from.getPayload();
  if (payload.size() > kEntryBytesMax) return refuse("entry is larger than allowed");
  const auto kind = static_cast<std::uint16_t>(from.getKind());
  if (kind > static_cast<std::uint16_t>(kEntryKindMax)) return refuse("entry is of an unknown kind");
  entry.identity.term = id.term;
  entry.identity.index = id.index;
  entry.identity.kind = static_cast<EntryKind>(kind);
  entry.identity.size = static_cast<std::uint32_t>(payload.size());
  entry.identity.checksum = {from.getChecksumLow(), from.getChecksumHigh()};
  entry.payload = memory.share(payload);
  if (io::checksum(entry.payload.span()) != entry.identity.checksum) {
    return refuse("payload of an entry differs from its checksum");
  }
  return entry;
}

std::expected<AppendRequest, std::string> read(schema::AppendRequest::Reader from,
                                               const FrameMemory& memory) {
  AppendRequest body;
  body.previous = read(from.getPrevious());
  body.commit = Index(from.getCommit());
  body.round = from.getRound();
  const auto entries = from.getEntries();
  if (entries.size() > kAppendEntriesMax) return refuse("append request has too many entries");
  body.entries.reserve(entries.size());
  std::uint64_t bytes = 0;
  for (const auto entry : entries) {
    auto value = read(entry, memory);
    if (!value) return std::unexpected(value.error());
    bytes += value->identity.size;
    if (bytes > kAppendBytesMax) return refuse("append request is larger than allowed");
    body.entries.push_back(std::move(*value));
  }
  return body;
}

VoteRequest read(schema::VoteRequest::Reader from) {
  VoteRequest body;
  body.pre = from.getPre();
  body.transfer = from.getTransfer();
  body.last = read(from.getLast());
  return body;
}

VoteReply read(schema::VoteReply::Reader from) {
  VoteReply body;
  body.pre = from.getPre();
  body.granted = from.getGranted();
  body.asked = Term(from.getAsked());
  return body;
}

AppendReply read(schema::AppendReply::Reader from) {
  AppendReply body;
  body.accepted = from.getAccepted();
  body.match = Index(from.getMatch());
  body.hint = read(from.getHint());
  body.rejected = Index(from.getRejected());
  body.round = from.getRound();
  return body;
}

}  // namespace

std::uint64_t words_of(const reel::PeerMessage& message) {
  std::uint64_t words = 24;
  if (const auto* request = std::get_if<AppendRequest>(&message.body)) {
    for (const Entry& entry : request->entries) words += 12 + entry.payload.size() / sizeof(capnp::word);
  }
  return words;
}

void write(schema::PeerMessage::Builder to, const reel::PeerMessage& message) {
  to.setGroup(message.group.value);
  to.setTerm(message.term.value);
  to.setIncarnation(message.incarnation.value);
  std::visit([&](const auto& body) { write_body(to, body); }, message.body);
}

std::expected<reel::PeerMessage, std::string> read(schema::PeerMessage::Reader from,
                                                   const FrameMemory& memory) {
  reel::PeerMessage message;
  message.group = GroupId(from.getGroup());
  message.term = Term(from.getTerm());
  message.incarnation = Incarnation(from.getIncarnation());
  switch (from.which()) {
    case PeerMessage::VOTE_REQUEST: message.body = read(from.getVoteRequest()); break;
    case PeerMessage::VOTE_REPLY: message.body = read(from.getVoteReply()); break;
    case PeerMessage::APPEND_REPLY: message.body = read(from.getAppendReply()); break;
    case PeerMessage::TIMEOUT_NOW: message.body = TimeoutNow{}; break;
    case PeerMessage::APPEND_REQUEST: {
      auto body = read(from.getAppendRequest(), memory);
      if (!body) return std::unexpected(body.error());
      message.body = std::move(*body);
      break;
    }
    default: return refuse("message has an unknown body");
  }
  if (auto verdict = wire::check(message); !verdict) return std::unexpected(verdict.error());
  return message;
}

// ---- clients

void write(schema::NodeInfo::Builder to, const std::vector<Member>& members) {
  const auto count = static_cast<unsigned>(std::min(members.size(), kMembersMax));
  auto list = to.initMembers(count);
  for (unsigned i = 0; i < count; ++i) {
    if (members[i].address.size() > kAddressBytesMax) continue;
    list[i].setNode(members[i].node.value);
    list[i].setAddress(members[i].address.c_str());
  }
}

std::vector<Member> read_members(schema::NodeInfo::Reader from) {
  std::vector<Member> members;
  for (const auto member : from.getMembers()) {
    const std::string_view address(member.getAddress().cStr(), member.getAddress().size());
    // It is dialled and shown to people.
    const bool sane = !address.empty() && address.size() <= kAddressBytesMax &&
                      std::all_of(address.begin(), address.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (sane && member.getNode() != 0) members.push_back({NodeId(member.getNode()), std::string(address)});
    if (members.size() == kMembersMax) break;
  }
  return members;
}

void write(schema::CallError::Builder to, const CallError& error) {
  to.setCode(static_cast<schema::ErrorCode>(error.code));
  to.setHint(error.hint.value);
  to.setRetryAfterNs(error.retry_after.ns < 0 ? 0 : static_cast<std::uint64_t>(error.retry_after.ns));
  to.setLimit(error.limit);
  to.setText(text_of(error.text));
}

CallError read(schema::CallError::Reader from) {
  CallError error;
  const auto code = static_cast<std::uint16_t>(from.getCode());
  const bool known = code >= static_cast<std::uint16_t>(ErrorCode::not_leader) &&
                     code <= static_cast<std::uint16_t>(kErrorCodeMax);
  // A newer server's error that we have no name for is at least not a success.
  error.code = known ? static_cast<ErrorCode>(code) : ErrorCode::unavailable;
  error.hint = NodeId(from.getHint());
  error.retry_after.ns =
      static_cast<std::int64_t>(std::min<std::uint64_t>(from.getRetryAfterNs(), INT64_MAX));
  error.limit = from.getLimit();
  error.text = string_of(from.getText());
  return error;
}

void write(schema::AppendBatch::Builder to, const AppendCall& call) {
  to.setSessionHigh(call.session.high);
  to.setSessionLow(call.session.low);
  to.setFirstSequence(call.first.value);
  to.setCount(call.count);
  to.setOrdered(call.ordered);
  to.setOpened(call.opened.value);
  to.setBlock(data_of(call.block));
  to.setChecksum(wire::checksum_of(call));
}

namespace {

std::unexpected<CallError> refuse_call(ErrorCode code, std::uint64_t limit, std::string text) {
  CallError error;
  error.code = code;
  error.limit = limit;
  error.text = std::move(text);
  return std::unexpected(std::move(error));
}

}  // namespace

std::expected<AppendCall, CallError> read(schema::AppendBatch::Reader from, GroupId group,
                                          const FrameMemory& memory) {
  const auto block = from.getBlock();
  if (block.size() > kAppendCallBytesMax) {
    return refuse_call(ErrorCode::too_large, kAppendCallBytesMax, "the block is too large: split the batch");
  }
  if (from.getCount() > kAppendCallCountMax) {
    return refuse_call(ErrorCode::too_large, kAppendCallCountMax, "too many transactions: split the batch");
  }
  AppendCall call;
  call.group = group;
  call.session = {from.getSessionHigh(), from.getSessionLow()};
  call.first = Sequence(from.getFirstSequence());
  call.count = from.getCount();
  call.ordered = from.getOrdered();
  call.opened = Index(from.getOpened());
  call.block = memory.share(block);
  if (wire::checksum_of(call) != from.getChecksum()) {
    return refuse_call(ErrorCode::malformed, 0, "the batch differs from its checksum: send it again");
  }
  if (auto verdict = wire::check(ClientCall(call)); !verdict) {
    return refuse_call(ErrorCode::malformed, 0, verdict.error());
  }
  return call;
}

void write(schema::Partition::ResolveParams::Builder to, const ResolveCall& call) {
  to.setSessionHigh(call.session.high);
  to.setSessionLow(call.session.low);
  to.setOpened(call.opened.value);
  to.setSequence(call.sequence.value);
  to.setBurn(call.burn);
}

std::expected<ResolveCall, CallError> read(schema::Partition::ResolveParams::Reader from, GroupId group) {
  ResolveCall call;
  call.group = group;
  call.session = {from.getSessionHigh(), from.getSessionLow()};
  call.opened = Index(from.getOpened());
  call.sequence = Sequence(from.getSequence());
  call.burn = from.getBurn();
  if (auto verdict = wire::check(ClientCall(call)); !verdict) {
    return refuse_call(ErrorCode::malformed, 0, verdict.error());
  }
  return call;
}

std::expected<std::string, CallError> read_name(capnp::Text::Reader from) {
  if (from.size() > kReaderGroupNameBytesMax) {
    return refuse_call(ErrorCode::too_large, kReaderGroupNameBytesMax,
                       "the name of the reader group is too long");
  }
  return std::string(from.cStr(), from.size());
}

void write(schema::ReaderGroupReport::Builder to, const ReaderGroupCall& call) {
  to.setName(capnp::Text::Reader(call.name.c_str(), call.name.size()));
  to.setMemberHigh(call.member.high);
  to.setMemberLow(call.member.low);
  to.setVerb(static_cast<schema::ReaderGroupReport::Verb>(call.verb));
  to.setPatienceNs(static_cast<std::uint64_t>(call.patience.ns));
  auto list = to.initProgress(static_cast<unsigned>(call.progress.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    list[i].setPartition(partition_of(call.progress[i].group));
    list[i].setEpoch(call.progress[i].epoch.value);
    list[i].setNext(call.progress[i].next.value);
    list[i].setReleased(call.progress[i].released);
  }
  to.setChecksum(wire::checksum_of(call));
}

std::expected<ReaderGroupCall, CallError> read(schema::ReaderGroupReport::Reader from) {
  auto name = read_name(from.getName());
  if (!name) return std::unexpected(name.error());
  if (from.getProgress().size() > kReaderProgressMax) {
    return refuse_call(ErrorCode::too_large, kReaderProgressMax, "the report is about too many partitions");
  }
  ReaderGroupCall call;
  call.name = std::move(*name);
  call.member.high = from.getMemberHigh();
  call.member.low = from.getMemberLow();
  const auto verb = static_cast<std::uint16_t>(from.getVerb());
  if (verb > static_cast<std::uint16_t>(ReaderGroupCall::Verb::leave)) {
    return refuse_call(ErrorCode::malformed, 0, "the report has an unknown verb");
  }
  call.verb = static_cast<ReaderGroupCall::Verb>(verb);
  call.patience.ns = static_cast<std::int64_t>(std::min<std::uint64_t>(from.getPatienceNs(), INT64_MAX));
  call.progress.reserve(from.getProgress().size());
  for (const auto progress : from.getProgress()) {
    call.progress.push_back({group_of(progress.getPartition()), Epoch(progress.getEpoch()),
                             TxnId(progress.getNext()), progress.getReleased()});
  }
  if (wire::checksum_of(call) != from.getChecksum()) {
    return refuse_call(ErrorCode::malformed, 0, "the report differs from its checksum: send it again");
  }
  if (auto verdict = wire::check(ClientCall(call)); !verdict) {
    return refuse_call(ErrorCode::malformed, 0, verdict.error());
  }
  return call;
}

void write(schema::Reader::FeedParams::Builder to, const FeedCall& call) {
  to.setFrom(call.from.value);
  to.setCredit(call.bytes_max);
  to.setWaitNs(static_cast<std::uint64_t>(call.wait.ns));
  to.setFromTime(call.from_time);
  if (call.filter.empty()) return;
  auto filter = to.initFilter();
  filter.setHeaderMask(call.filter.header_mask);
  filter.setHeaderValue(call.filter.header_value);
  if (!call.filter.lock) return;
  filter.setByLock(true);
  filter.setLockLow(call.filter.lock->low);
  filter.setLockHigh(call.filter.lock->high);
}

std::expected<FeedCall, CallError> read(schema::Reader::FeedParams::Reader from, GroupId group) {
  FeedCall call;
  call.group = group;
  call.from = TxnId(from.getFrom());
  call.bytes_max = std::min(from.getCredit(), kFeedCallBytesMax);
  call.wait.ns = static_cast<std::int64_t>(std::min<std::uint64_t>(from.getWaitNs(), INT64_MAX));
  call.from_time = from.getFromTime();
  const auto filter = from.getFilter();
  call.filter.header_mask = filter.getHeaderMask();
  call.filter.header_value = filter.getHeaderValue();
  if (filter.getByLock()) call.filter.lock = LockKey{filter.getLockLow(), filter.getLockHigh()};
  if (auto verdict = wire::check(ClientCall(call)); !verdict) {
    return refuse_call(ErrorCode::malformed, 0, verdict.error());
  }
  return call;
}

capnp::MessageSize size_hint(const ClientReply& reply) {
  std::uint64_t words = 32;
  if (const auto* found = std::get_if<TransactionResult>(&reply); found != nullptr && found->transaction) {
    words += 8 + found->transaction->record.size() / sizeof(capnp::word);
  }
  if (const auto* append = std::get_if<AppendResult>(&reply)) {
    words += append->runs.size() * 4 + append->refusals.size() * 3;
  }
  if (const auto* feed = std::get_if<FeedResult>(&reply)) {
    for (const Bytes& entry : feed->entries) words += 2 + entry.size() / sizeof(capnp::word);
    for (const CommittedRecord& match : feed->matches) {
      words += 8 + match.record.size() / sizeof(capnp::word);
    }
  }
  if (const auto* status = std::get_if<StatusResult>(&reply)) words += 32 + status->groups.size() * 24;
  if (const auto* shares = std::get_if<ReaderGroupResult>(&reply)) words += shares->shares.size() * 4;
  if (const auto* groups = std::get_if<ReaderGroupsResult>(&reply)) {
    for (const ReaderGroupStatus& group : groups->groups) {
      words +=
          8 + group.name.size() / sizeof(capnp::word) + group.members.size() * 3 + group.positions.size() * 7;
    }
  }
  return {words, 0};
}

namespace {

void write(schema::CommittedRun::Builder to, const CommittedRun& run) {
  to.setFirst(run.first.value);
  to.setCount(run.count);
  to.setId(run.id.value);
  to.setTime(run.time);
}

CommittedRun read(schema::CommittedRun::Reader from) {
  return {Sequence(from.getFirst()), from.getCount(), TxnId(from.getId()), from.getTime()};
}

void write(schema::Transaction::Builder to, const CommittedRecord& transaction) {
  to.setId(transaction.id.value);
  to.setTime(transaction.time);
  to.setSessionHigh(transaction.session.high);
  to.setSessionLow(transaction.session.low);
  to.setSequence(transaction.sequence.value);
  to.setRecord(data_of(transaction.record));
}

CommittedRecord read(schema::Transaction::Reader from, const FrameMemory& memory) {
  CommittedRecord transaction;
  transaction.id = TxnId(from.getId());
  transaction.time = from.getTime();
  transaction.session = {from.getSessionHigh(), from.getSessionLow()};
  transaction.sequence = Sequence(from.getSequence());
  transaction.record = memory.share(from.getRecord());
  return transaction;
}

void write(schema::Refusal::Builder to, const Refusal& refusal) {
  to.setSequence(refusal.sequence.value);
  to.setReason(static_cast<schema::Refusal::Reason>(refusal.code));
  to.setLock(refusal.lock);
  to.setId(refusal.id.value);
}

std::expected<Refusal, std::string> read(schema::Refusal::Reader from) {
  // Before it becomes a byte: wire::check would find 257 to be 1.
  const auto reason = static_cast<std::uint16_t>(from.getReason());
  if (reason > static_cast<std::uint16_t>(RefusalCode::burned)) return refuse("unknown refusal code");
  return Refusal{Sequence(from.getSequence()), static_cast<RefusalCode>(reason), from.getLock(),
                 TxnId(from.getId())};
}

}  // namespace

void write(schema::AppendResult::Builder to, const ClientReply& reply) {
  if (const auto* error = std::get_if<CallError>(&reply)) return write(to.initError(), *error);
  const auto* result = std::get_if<AppendResult>(&reply);
  REEL_CHECK(result != nullptr);
  auto runs = to.initCommitted(static_cast<unsigned>(result->runs.size()));
  for (unsigned i = 0; i < runs.size(); ++i) write(runs[i], result->runs[i]);
  if (result->refusals.empty()) return;
  auto refusals = to.initRefusals(static_cast<unsigned>(result->refusals.size()));
  for (unsigned i = 0; i < refusals.size(); ++i) write(refusals[i], result->refusals[i]);
}

void write(schema::ResolveResult::Builder to, const ClientReply& reply) {
  if (const auto* error = std::get_if<CallError>(&reply)) return write(to.initError(), *error);
  const auto* result = std::get_if<ResolveResult>(&reply);
  REEL_CHECK(result != nullptr);
  switch (result->outcome()) {
    case ResolveOutcome::committed: return write(to.initCommitted(), *result->committed);
    case ResolveOutcome::burned: return to.setBurned();
    case ResolveOutcome::undecided: return to.setUndecided();
  }
}

void write(schema::TransactionResult::Builder to, const ClientReply& reply) {
  if (const auto* error = std::get_if<CallError>(&reply)) return write(to.initError(), *error);
  const auto* result = std::get_if<TransactionResult>(&reply);
  REEL_CHECK(result != nullptr);
  to.setHighWater(result->high_water.value);
  to.setChecksum(wire::checksum_of(*result));
  if (result->transaction) {
    write(to.initTransaction(), *result->transaction);
  } else {
    to.setAbsent();
  }
}

namespace {

void write(schema::MatchBatch::Builder to, const FeedResult& result) {
  to.setHighWater(result.high_water.value);
  to.setNext(result.next->value);
  to.setChecksum(wire::checksum_of(result));
  auto matches = to.initMatches(static_cast<unsigned>(result.matches.size()));
  for (unsigned i = 0; i < matches.size(); ++i) write(matches[i], result.matches[i]);
}

}  // namespace

void write(schema::FeedResult::Builder to, const ClientReply& reply) {
  if (const auto* error = std::get_if<CallError>(&reply)) return write(to.initError(), *error);
  const auto* result = std::get_if<FeedResult>(&reply);
  REEL_CHECK(result != nullptr);
  if (result->next) return write(to.initMatches(), *result);
  auto batch = to.initEntries();
  batch.setHighWater(result->high_water.value);
  batch.setChecksum(wire::checksum_of(*result));
  auto entries = batch.initEntries(static_cast<unsigned>(result->entries.size()));
  for (unsigned i = 0; i < entries.size(); ++i) entries.set(i, data_of(result->entries[i]));
}

void write(schema::HighWaterResult::Builder to, const ClientReply& reply) {
  if (const auto* error = std::get_if<CallError>(&reply)) return write(to.initError(), *error);
  const auto* result = std::get_if<HighWaterResult>(&reply);
  REEL_CHECK(result != nullptr);
  to.setHighWater(result->high_water.value);
}

namespace {

void write(schema::Status::Group::Builder to, const GroupStatus& group) {
  to.setGroup(group.group.value);
  to.setRole(static_cast<schema::Role>(group.role));
  to.setTerm(group.term.value);
  to.setLeader(group.leader.value);
  to.setFirstIndex(group.first.value);
  to.setLastIndex(group.last.value);
  to.setCommitIndex(group.commit.value);
  to.setAppliedIndex(group.applied.value);
  to.setHighWater(group.high_water.value);
  to.setSessions(group.sessions);
  auto peers = to.initPeers(static_cast<unsigned>(group.peers.size()));
  for (unsigned i = 0; i < peers.size(); ++i) {
    peers[i].setNode(group.peers[i].node.value);
    peers[i].setMatchIndex(group.peers[i].match.value);
    peers[i].setConnected(group.peers[i].connected);
  }
}

std::expected<GroupStatus, std::string> read(schema::Status::Group::Reader from) {
  GroupStatus group;
  group.group = GroupId(from.getGroup());
  const auto role = static_cast<std::uint16_t>(from.getRole());
  if (role > static_cast<std::uint16_t>(Role::leader)) return refuse("unknown role");
  group.role = static_cast<Role>(role);
  group.term = Term(from.getTerm());
  group.leader = NodeId(from.getLeader());
  group.first = Index(from.getFirstIndex());
  group.last = Index(from.getLastIndex());
  group.commit = Index(from.getCommitIndex());
  group.applied = Index(from.getAppliedIndex());
  group.high_water = TxnId(from.getHighWater());
  group.sessions = from.getSessions();
  const auto peers = from.getPeers();
  if (peers.size() > wire::kPeerStatusesMax) return refuse("status of a group has too many peers");
  for (const auto peer : peers) {
    PeerStatus status;
    status.node = NodeId(peer.getNode());
    status.match = Index(peer.getMatchIndex());
    status.connected = peer.getConnected();
    group.peers.push_back(status);
  }
  return group;
}

}  // namespace

void write(schema::StatusResult::Builder to, const ClientReply& reply) {
  if (const auto* error = std::get_if<CallError>(&reply)) return write(to.initError(), *error);
  const auto* result = std::get_if<StatusResult>(&reply);
  REEL_CHECK(result != nullptr);
  auto out = to.initStatus();
  out.setNode(result->node.value);
  out.setCluster(result->cluster);
  out.setIncarnation(result->incarnation.value);
  out.setVersion(text_of(result->version));
  out.setReady(result->ready);
  out.setDisk(text_of(result->disk));
  out.setJournalBytes(result->journal_bytes);
  out.setJournalFiles(result->journal_files);
  out.setSyncs(result->syncs);
  out.setDurableLsn(result->durable.value);
  auto groups = out.initGroups(static_cast<unsigned>(result->groups.size()));
  for (unsigned i = 0; i < groups.size(); ++i) write(groups[i], result->groups[i]);
}

void write(schema::PartitionsResult::Builder to, const ClientReply& reply) {
  if (const auto* error = std::get_if<CallError>(&reply)) return write(to.initError(), *error);
  const auto* result = std::get_if<PartitionsResult>(&reply);
  REEL_CHECK(result != nullptr);
  to.setTotal(result->total);
}

void write(schema::ReaderGroupResult::Builder to, const ClientReply& reply) {
  if (const auto* error = std::get_if<CallError>(&reply)) return write(to.initError(), *error);
  const auto* result = std::get_if<ReaderGroupResult>(&reply);
  REEL_CHECK(result != nullptr);
  auto out = to.initAssignment();
  out.setMembers(result->members);
  out.setPartitions(result->partitions);
  auto shares = out.initShares(static_cast<unsigned>(result->shares.size()));
  for (unsigned i = 0; i < shares.size(); ++i) {
    shares[i].setPartition(partition_of(result->shares[i].group));
    shares[i].setEpoch(result->shares[i].epoch.value);
    shares[i].setNext(result->shares[i].next.value);
    shares[i].setRevoked(result->shares[i].revoked);
  }
  out.setChecksum(wire::checksum_of(*result));
}

namespace {

void write(schema::ReaderGroupsResult::Group::Builder to, const ReaderGroupStatus& group) {
  to.setName(capnp::Text::Reader(group.name.c_str(), group.name.size()));
  auto members = to.initMembers(static_cast<unsigned>(group.members.size()));
  for (unsigned i = 0; i < members.size(); ++i) {
    members[i].setHigh(group.members[i].member.high);
    members[i].setLow(group.members[i].member.low);
    members[i].setPatienceNs(static_cast<std::uint64_t>(group.members[i].patience.ns));
  }
  auto positions = to.initPositions(static_cast<unsigned>(group.positions.size()));
  for (unsigned i = 0; i < positions.size(); ++i) {
    const ReaderPosition& position = group.positions[i];
    positions[i].setPartition(partition_of(position.group));
    positions[i].setOwnerHigh(position.owner.high);
    positions[i].setOwnerLow(position.owner.low);
    positions[i].setHeirHigh(position.heir.high);
    positions[i].setHeirLow(position.heir.low);
    positions[i].setEpoch(position.epoch.value);
    positions[i].setNext(position.next.value);
  }
}

std::expected<ReaderGroupStatus, std::string> read(schema::ReaderGroupsResult::Group::Reader from) {
  ReaderGroupStatus group;
  if (from.getName().size() > kReaderGroupNameBytesMax) return refuse("name of a reader group is too long");
  group.name = string_of(from.getName());
  if (from.getMembers().size() > kReaderGroupMembersMax) return refuse("reader group has too many members");
  for (const auto member : from.getMembers()) {
    const std::uint64_t patience = std::min<std::uint64_t>(member.getPatienceNs(), INT64_MAX);
    group.members.push_back(
        {{member.getHigh(), member.getLow()}, io::Duration{static_cast<std::int64_t>(patience)}});
  }
  if (from.getPositions().size() > kGroupsMax) return refuse("reader group has too many partitions");
  for (const auto position : from.getPositions()) {
    group.positions.push_back({group_of(position.getPartition()),
                               {position.getOwnerHigh(), position.getOwnerLow()},
                               {position.getHeirHigh(), position.getHeirLow()},
                               Epoch(position.getEpoch()),
                               TxnId(position.getNext())});
  }
  return group;
}

}  // namespace

void write(schema::ReaderGroupsResult::Builder to, const ClientReply& reply) {
  if (const auto* error = std::get_if<CallError>(&reply)) return write(to.initError(), *error);
  const auto* result = std::get_if<ReaderGroupsResult>(&reply);
  REEL_CHECK(result != nullptr);
  auto groups = to.initGroups(static_cast<unsigned>(result->groups.size()));
  for (unsigned i = 0; i < groups.size(); ++i) write(groups[i], result->groups[i]);
}

namespace {

ReadReply checked(ClientReply reply) {
  if (auto verdict = wire::check(reply); !verdict) return std::unexpected(verdict.error());
  return reply;
}

}  // namespace

ReadReply read(schema::AppendResult::Reader from) {
  if (from.isError()) return read(from.getError());
  if (!from.isCommitted()) return refuse("unknown answer to an append");
  const auto runs = from.getCommitted();
  const auto refusals = from.getRefusals();
  if (std::uint64_t{runs.size()} + refusals.size() > kAppendCallCountMax) {
    return refuse("append result has too many outcomes");
  }
  AppendResult result;
  result.runs.reserve(runs.size());
  for (const auto run : runs) result.runs.push_back(read(run));
  result.refusals.reserve(refusals.size());
  for (const auto refusal : refusals) {
    auto value = read(refusal);
    if (!value) return std::unexpected(value.error());
    result.refusals.push_back(*value);
  }
  return checked(std::move(result));
}

ReadReply read(schema::ResolveResult::Reader from) {
  if (from.isError()) return read(from.getError());
  ResolveResult result;
  if (from.isCommitted()) {
    result.committed = read(from.getCommitted());
  } else if (from.isUndecided()) {
    result.undecided = true;
  } else if (!from.isBurned()) {
    return refuse("unknown answer to a resolve");
  }
  return checked(result);
}

ReadReply read(schema::TransactionResult::Reader from, const FrameMemory& memory) {
  if (from.isError()) return read(from.getError());
  TransactionResult result;
  result.high_water = TxnId(from.getHighWater());
  if (from.isTransaction()) {
    if (from.getTransaction().getRecord().size() > kEntryBytesMax) {
      return refuse("record is larger than allowed");
    }
    result.transaction = read(from.getTransaction(), memory);
  } else if (!from.isAbsent()) {
    return refuse("unknown answer to a look for a transaction");
  }
  if (wire::checksum_of(result) != from.getChecksum()) {
    return refuse("transaction differs from its checksum");
  }
  return checked(std::move(result));
}

namespace {

ReadReply read(schema::MatchBatch::Reader from, const FrameMemory& memory) {
  const auto matches = from.getMatches();
  if (matches.size() > kFeedMatchesMax) return refuse("feed result has too many matches");
  FeedResult result;
  result.high_water = TxnId(from.getHighWater());
  result.next = TxnId(from.getNext());
  result.matches.reserve(matches.size());
  std::uint64_t bytes = 0;
  for (const auto match : matches) {
    bytes += match.getRecord().size();
    if (bytes > wire::kFeedResultBytesMax) return refuse("feed result is larger than allowed");
    result.matches.push_back(read(match, memory));
  }
  if (wire::checksum_of(result) != from.getChecksum()) {
    return refuse("feed result differs from its checksum");
  }
  return checked(std::move(result));
}

}  // namespace

ReadReply read(schema::FeedResult::Reader from, const FrameMemory& memory) {
  if (from.isError()) return read(from.getError());
  if (from.isMatches()) return read(from.getMatches(), memory);
  if (!from.isEntries()) return refuse("unknown answer to a feed");
  const auto batch = from.getEntries();
  const auto entries = batch.getEntries();
  if (entries.size() > wire::kFeedResultEntriesMax) return refuse("feed result has too many entries");
  FeedResult result;
  result.high_water = TxnId(batch.getHighWater());
  result.entries.reserve(entries.size());
  std::uint64_t bytes = 0;
  for (const auto entry : entries) {
    bytes += entry.size();
    if (entry.size() > kEntryBytesMax || bytes > wire::kFeedResultBytesMax) {
      return refuse("feed result is larger than allowed");
    }
    result.entries.push_back(memory.share(entry));
  }
  if (wire::checksum_of(result) != batch.getChecksum())
    return refuse("feed result differs from its checksum");
  return result;
}

ReadReply read(schema::HighWaterResult::Reader from) {
  if (from.isError()) return read(from.getError());
  if (!from.isHighWater()) return refuse("unknown answer to a high-water call");
  return HighWaterResult{TxnId(from.getHighWater())};
}

ReadReply read(schema::PartitionsResult::Reader from) {
  if (from.isError()) return read(from.getError());
  if (!from.isTotal()) return refuse("unknown answer to the creation of partitions");
  return PartitionsResult{from.getTotal()};
}

ReadReply read(schema::ReaderGroupResult::Reader from) {
  if (from.isError()) return read(from.getError());
  if (!from.isAssignment()) return refuse("unknown answer to a report");
  const auto assignment = from.getAssignment();
  if (assignment.getShares().size() > kGroupsMax) return refuse("member has too many partitions");
  ReaderGroupResult result;
  result.members = assignment.getMembers();
  result.partitions = assignment.getPartitions();
  result.shares.reserve(assignment.getShares().size());
  for (const auto share : assignment.getShares()) {
    result.shares.push_back({group_of(share.getPartition()), Epoch(share.getEpoch()), TxnId(share.getNext()),
                             share.getRevoked()});
  }
  if (wire::checksum_of(result) != assignment.getChecksum()) {
    return refuse("assignment differs from its checksum");
  }
  return checked(std::move(result));
}

ReadReply read(schema::ReaderGroupsResult::Reader from) {
  if (from.isError()) return read(from.getError());
  if (!from.isGroups()) return refuse("unknown answer to a question for reader groups");
  const auto groups = from.getGroups();
  if (groups.size() > kReaderGroupsMax) return refuse("too many reader groups");
  ReaderGroupsResult result;
  for (const auto group : groups) {
    auto value = read(group);
    if (!value) return std::unexpected(value.error());
    result.groups.push_back(std::move(*value));
  }
  return checked(std::move(result));
}

ReadReply read(schema::StatusResult::Reader from) {
  if (from.isError()) return read(from.getError());
  if (!from.isStatus()) return refuse("unknown answer to a status call");
  const auto status = from.getStatus();
  StatusResult result;
  result.node = NodeId(status.getNode());
  result.cluster = status.getCluster();
  result.incarnation = Incarnation(status.getIncarnation());
  result.version = string_of(status.getVersion());
  result.ready = status.getReady();
  result.disk = string_of(status.getDisk());
  result.journal_bytes = status.getJournalBytes();
  result.journal_files = status.getJournalFiles();
  result.syncs = status.getSyncs();
  result.durable = Lsn(status.getDurableLsn());
  const auto groups = status.getGroups();
  if (groups.size() > kGroupsMax) return refuse("status has too many groups");
  for (const auto group : groups) {
    auto value = read(group);
    if (!value) return std::unexpected(value.error());
    result.groups.push_back(std::move(*value));
  }
  return result;
}

}  // namespace reel::real
