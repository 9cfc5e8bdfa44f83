// ClientCall and ClientReply as bytes (frame.h draws the frame). Every layout begins with u8 body, u8 flags,
// u16 zero.
//
//   call
//   1 append      flags 1 ordered; u32 group, u64 session high, u64 session low, u64 opened, u64 first, u32 count,
//                 u32 size, u64 XXH3-64 of the block; the block is a blob
//   2 feed        flags 1 header, 2 lock; u32 group, u64 from, u32 bytes_max, u64 wait in ns, u64 from_time;
//                 header: u32 mask, u32 value; lock: u64 low, u64 high
//   3 high water  flags 1 linearizable; u32 group
//   4 status      nothing
//   5 resolve     flags 1 burns nothing; u32 group, u64 session high, u64 session low, u64 opened, u64 sequence
//   6 transaction u32 group, u64 id
//   7 partitions  u32 total
//   8 reader group  flags 0 report, 1 join, 2 leave; text name, u64 member high, u64 member low, u64 patience in ns,
//                 u32 count, then progress: u32 group, u64 epoch, u64 next, u8 flags (1 released)
//   9 reader groups  text name
//  10 remove reader group  text name
//
//   reply
//   1 error       u8 code, u64 hint, u64 retry_after in ns, u64 limit, text
//   2 append      u32 count, then runs: u64 first, u32 count, u64 id, u64 time; u32 count, then refusals:
//                 u64 sequence, u8 code, u32 lock, u64 id
//   3 feed        u64 high water, u32 count, then entries: u32 size, u64 XXH3-64; payloads are blobs
//                 flags 1 of a filter: u64 high water, u64 next, u32 count, then transactions: u64 id, u64 time,
//                 u64 session high, u64 session low, u64 sequence, u32 size, u64 XXH3-64; records are blobs
//   4 high water  u64 high water
//   5 status      flags 1 ready; u64 node, u64 cluster, u64 incarnation, text version, text disk,
//                 u64 journal bytes, u64 journal files, u64 syncs, u64 durable, u32 count, then groups:
//                 u32 group, u8 role, u64 term, u64 leader, u64 first, u64 last, u64 commit, u64 applied,
//                 u64 high water, u64 sessions, u32 count, then peers:
//                 u64 node, u64 match, u8 flags (1 connected)
//   6 resolve     flags 1 committed, then its run, of one sequence; 2 undecided; else burned, then nothing
//   7 transaction flags 1 found; u64 high water; found: a transaction as in feed
//   8 partitions  u32 total
//   9 reader group  u32 members, u32 partitions, u32 count, then shares: u32 group, u64 epoch, u64 next,
//                 u8 flags (1 revoked)
//  10 reader groups  u32 count, then groups: text name, u32 count, then members: u64 high, u64 low, u64 patience in ns;
//                 u32 count, then positions: u32 group, u64 owner high, u64 low, u64 heir high, u64 low, u64 epoch,
//                 u64 next
//   A text is u32 size and that many bytes.
#include <iterator>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/wire/codec.h"
#include "io/wire/frame.h"
#include "io/wire/limits.h"

namespace reel::wire {
namespace {

constexpr std::size_t kRunBytes = 28;
constexpr std::size_t kRefusalBytes = 21;
constexpr std::size_t kFeedEntryBytes = 12;
constexpr std::size_t kMatchBytes = 52;
constexpr std::size_t kGroupBytes = 73;
constexpr std::size_t kPeerBytes = 17;
constexpr std::size_t kProgressBytes = 21;
constexpr std::size_t kShareBytes = 21;
constexpr std::size_t kReaderGroupBytes = 12;
constexpr std::size_t kMemberBytes = 24;
constexpr std::size_t kPositionBytes = 52;

// ---- calls

std::uint8_t flags_of(const AppendCall& call) { return call.ordered ? 1 : 0; }
std::uint8_t flags_of(const FeedCall& call) {
  return static_cast<std::uint8_t>((call.filter.header_mask != 0 ? 1 : 0) | (call.filter.lock ? 2 : 0));
}
std::uint8_t flags_of(const HighWaterCall& call) { return call.linearizable ? 1 : 0; }
std::uint8_t flags_of(const StatusCall&) { return 0; }
std::uint8_t flags_of(const ResolveCall& call) { return call.burn ? 0 : 1; }
std::uint8_t flags_of(const TransactionCall&) { return 0; }
std::uint8_t flags_of(const CreatePartitionsCall&) { return 0; }
std::uint8_t flags_of(const ReaderGroupCall& call) { return static_cast<std::uint8_t>(call.verb); }
std::uint8_t flags_of(const ReaderGroupsCall&) { return 0; }
std::uint8_t flags_of(const RemoveReaderGroupCall&) { return 0; }

void write_body(FieldWriter& out, const AppendCall& call) {
  out.u32(call.group.value);
  out.u64(call.session.high);
  out.u64(call.session.low);
  out.u64(call.opened.value);
  out.u64(call.first.value);
  out.u32(call.count);
  out.u32(static_cast<std::uint32_t>(call.block.size()));
  out.u64(io::digest64(call.block.span()));
  out.blob(call.block);
}
void write_body(FieldWriter& out, const FeedCall& call) {
  out.u32(call.group.value);
  out.u64(call.from.value);
  out.u32(call.bytes_max);
  out.u64(static_cast<std::uint64_t>(call.wait.ns));
  out.u64(call.from_time);
  if (call.filter.header_mask != 0) {
    out.u32(call.filter.header_mask);
    out.u32(call.filter.header_value);
  }
  if (call.filter.lock) {
    out.u64(call.filter.lock->low);
    out.u64(call.filter.lock->high);
  }
}
void write_body(FieldWriter& out, const HighWaterCall& call) { out.u32(call.group.value); }
void write_body(FieldWriter&, const StatusCall&) {}
void write_body(FieldWriter& out, const ResolveCall& call) {
  out.u32(call.group.value);
  out.u64(call.session.high);
  out.u64(call.session.low);
  out.u64(call.opened.value);
  out.u64(call.sequence.value);
}
void write_body(FieldWriter& out, const TransactionCall& call) {
  out.u32(call.group.value);
  out.u64(call.id.value);
}

void write_member(FieldWriter& out, const MemberId& member) {
  out.u64(member.high);
  out.u64(member.low);
}
void write_body(FieldWriter& out, const CreatePartitionsCall& call) { out.u32(call.total); }
void write_body(FieldWriter& out, const ReaderGroupCall& call) {
  out.text(call.name);
  write_member(out, call.member);
  out.u64(static_cast<std::uint64_t>(call.patience.ns));
  out.u32(static_cast<std::uint32_t>(call.progress.size()));
  for (const ReaderProgress& progress : call.progress) {
    out.u32(progress.group.value);
    out.u64(progress.epoch.value);
    out.u64(progress.next.value);
    out.u8(progress.released ? 1 : 0);
  }
}
void write_body(FieldWriter& out, const ReaderGroupsCall& call) { out.text(call.name); }
void write_body(FieldWriter& out, const RemoveReaderGroupCall& call) { out.text(call.name); }

Bytes read_blob(FieldReader& in, std::uint32_t size_max) {
  const std::uint32_t size = in.u32();
  const std::uint64_t digest = in.u64();
  if (size > size_max) in.refuse("payload is larger than allowed");
  Bytes blob = in.blob(size);
  if (!in.failed() && io::digest64(blob.span()) != digest) in.refuse("payload differs from its checksum");
  return blob;
}

AppendCall read_append_call(FieldReader& in, std::uint8_t flags) {
  AppendCall call;
  call.ordered = flags != 0;
  call.group = GroupId(in.u32());
  call.session.high = in.u64();
  call.session.low = in.u64();
  call.opened = Index(in.u64());
  call.first = Sequence(in.u64());
  call.count = in.u32();
  call.block = read_blob(in, kAppendCallBytesMax);
  return call;
}

FeedCall read_feed_call(FieldReader& in, std::uint8_t flags) {
  FeedCall call;
  call.group = GroupId(in.u32());
  call.from = TxnId(in.u64());
  call.bytes_max = in.u32();
  call.wait.ns = static_cast<std::int64_t>(in.u64());
  call.from_time = in.u64();
  if ((flags & 1) != 0) {
    call.filter.header_mask = in.u32();
    call.filter.header_value = in.u32();
    if (call.filter.header_mask == 0) in.refuse("filter of headers has no mask");
  }
  if ((flags & 2) != 0) {
    call.filter.lock.emplace().low = in.u64();
    call.filter.lock->high = in.u64();
  }
  return call;
}

ResolveCall read_resolve_call(FieldReader& in, std::uint8_t flags) {
  ResolveCall call;
  call.burn = flags == 0;
  call.group = GroupId(in.u32());
  call.session.high = in.u64();
  call.session.low = in.u64();
  call.opened = Index(in.u64());
  call.sequence = Sequence(in.u64());
  return call;
}

TransactionCall read_transaction_call(FieldReader& in) {
  TransactionCall call;
  call.group = GroupId(in.u32());
  call.id = TxnId(in.u64());
  return call;
}

MemberId read_member(FieldReader& in) {
  MemberId member;
  member.high = in.u64();
  member.low = in.u64();
  return member;
}

ReaderGroupCall read_reader_group_call(FieldReader& in, std::uint8_t flags) {
  ReaderGroupCall call;
  if (flags > static_cast<std::uint8_t>(ReaderGroupCall::Verb::leave)) in.refuse("unknown flags");
  call.verb = static_cast<ReaderGroupCall::Verb>(flags);
  call.name = in.text();
  call.member = read_member(in);
  call.patience.ns = static_cast<std::int64_t>(in.u64());
  const std::uint32_t count = in.count(kReaderProgressMax, kProgressBytes);
  call.progress.reserve(count);
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    ReaderProgress progress;
    progress.group = GroupId(in.u32());
    progress.epoch = Epoch(in.u64());
    progress.next = TxnId(in.u64());
    progress.released = in.flags(1) != 0;
    call.progress.push_back(progress);
  }
  return call;
}

ClientCall read_call(FieldReader& in) {
  constexpr std::uint8_t kFlags[] = {0, 1, 3, 1, 0, 1, 0, 0, 3, 0, 0};
  static_assert(std::size(kFlags) == std::variant_size_v<ClientCall> + 1);
  const std::uint8_t kind = in.u8();
  if (kind == 0 || kind > std::variant_size_v<ClientCall>) in.refuse("unknown call");
  const std::uint8_t flags = in.flags(in.failed() ? 0 : kFlags[kind]);
  in.zero(2);
  if (in.failed()) return StatusCall{};
  switch (kind) {
    case 1: return read_append_call(in, flags);
    case 2: return read_feed_call(in, flags);
    case 3: return HighWaterCall{GroupId(in.u32()), flags != 0};
    case 4: return StatusCall{};
    case 5: return read_resolve_call(in, flags);
    case 6: return read_transaction_call(in);
    case 7: return CreatePartitionsCall{in.u32()};
    case 8: return read_reader_group_call(in, flags);
    case 9: return ReaderGroupsCall{in.text()};
    default: return RemoveReaderGroupCall{in.text()};
  }
}

void add_body(io::Hasher& hasher, const AppendCall& call) {
  hasher.add(call.group.value).add(call.session.high).add(call.session.low).add(call.opened.value);
  hasher.add(call.first.value).add(call.count).add(call.block.span());
}
void add_body(io::Hasher& hasher, const FeedCall& call) {
  hasher.add(call.group.value).add(call.from.value).add(call.bytes_max);
  hasher.add(static_cast<std::uint64_t>(call.wait.ns));
  if (call.from_time != 0) hasher.add(call.from_time);
  if (call.filter.header_mask != 0) hasher.add(call.filter.header_mask).add(call.filter.header_value);
  if (call.filter.lock) hasher.add(call.filter.lock->low).add(call.filter.lock->high);
}
void add_body(io::Hasher& hasher, const HighWaterCall& call) { hasher.add(call.group.value); }
void add_body(io::Hasher&, const StatusCall&) {}
void add_body(io::Hasher& hasher, const ResolveCall& call) {
  hasher.add(call.group.value).add(call.session.high).add(call.session.low).add(call.opened.value);
  hasher.add(call.sequence.value);
}
void add_body(io::Hasher& hasher, const TransactionCall& call) {
  hasher.add(call.group.value).add(call.id.value);
}
void add_text(io::Hasher& hasher, const std::string& text) {
  hasher.add(std::as_bytes(std::span(text.data(), text.size())));
}
void add_body(io::Hasher& hasher, const CreatePartitionsCall& call) { hasher.add(call.total); }
void add_body(io::Hasher& hasher, const ReaderGroupCall& call) {
  add_text(hasher, call.name);
  hasher.add(call.member.high).add(call.member.low).add(static_cast<std::uint64_t>(call.patience.ns));
  for (const ReaderProgress& progress : call.progress) {
    hasher.add(progress.group.value).add(progress.epoch.value).add(progress.next.value);
    hasher.add(progress.released ? 1 : 0);
  }
}
void add_body(io::Hasher& hasher, const ReaderGroupsCall& call) { add_text(hasher, call.name); }
void add_body(io::Hasher& hasher, const RemoveReaderGroupCall& call) { add_text(hasher, call.name); }

// ---- replies

std::uint8_t flags_of(const StatusResult& result) { return result.ready ? 1 : 0; }
std::uint8_t flags_of(const ResolveResult& result) {
  return static_cast<std::uint8_t>((result.committed ? 1 : 0) | (result.undecided ? 2 : 0));
}
std::uint8_t flags_of(const FeedResult& result) { return result.next ? 1 : 0; }
std::uint8_t flags_of(const TransactionResult& result) { return result.transaction ? 1 : 0; }
template <class Result>
std::uint8_t flags_of(const Result&) {
  return 0;
}

void write_body(FieldWriter& out, const CallError& error) {
  out.u8(static_cast<std::uint8_t>(error.code));
  out.u64(error.hint.value);
  out.u64(static_cast<std::uint64_t>(error.retry_after.ns));
  out.u64(error.limit);
  out.text(error.text);
}
void write_run(FieldWriter& out, const CommittedRun& run) {
  out.u64(run.first.value);
  out.u32(run.count);
  out.u64(run.id.value);
  out.u64(run.time);
}
void write_body(FieldWriter& out, const AppendResult& result) {
  out.u32(static_cast<std::uint32_t>(result.runs.size()));
  for (const CommittedRun& run : result.runs) write_run(out, run);
  out.u32(static_cast<std::uint32_t>(result.refusals.size()));
  for (const Refusal& refusal : result.refusals) {
    out.u64(refusal.sequence.value);
    out.u8(static_cast<std::uint8_t>(refusal.code));
    out.u32(refusal.lock);
    out.u64(refusal.id.value);
  }
}
void write_match(FieldWriter& out, const CommittedRecord& match) {
  out.u64(match.id.value);
  out.u64(match.time);
  out.u64(match.session.high);
  out.u64(match.session.low);
  out.u64(match.sequence.value);
  out.u32(static_cast<std::uint32_t>(match.record.size()));
  out.u64(io::digest64(match.record.span()));
  out.blob(match.record);
}
void write_body(FieldWriter& out, const FeedResult& result) {
  out.u64(result.high_water.value);
  if (result.next) {
    out.u64(result.next->value);
    out.u32(static_cast<std::uint32_t>(result.matches.size()));
    for (const CommittedRecord& match : result.matches) write_match(out, match);
    return;
  }
  out.u32(static_cast<std::uint32_t>(result.entries.size()));
  for (const Bytes& entry : result.entries) {
    out.u32(static_cast<std::uint32_t>(entry.size()));
    out.u64(io::digest64(entry.span()));
    out.blob(entry);
  }
}
void write_body(FieldWriter& out, const HighWaterResult& result) { out.u64(result.high_water.value); }
void write_body(FieldWriter& out, const ResolveResult& result) {
  if (result.committed) write_run(out, *result.committed);
}
void write_body(FieldWriter& out, const TransactionResult& result) {
  out.u64(result.high_water.value);
  if (result.transaction) write_match(out, *result.transaction);
}

void write_group(FieldWriter& out, const GroupStatus& group) {
  out.u32(group.group.value);
  out.u8(static_cast<std::uint8_t>(group.role));
  out.u64(group.term.value);
  out.u64(group.leader.value);
  out.u64(group.first.value);
  out.u64(group.last.value);
  out.u64(group.commit.value);
  out.u64(group.applied.value);
  out.u64(group.high_water.value);
  out.u64(group.sessions);
  out.u32(static_cast<std::uint32_t>(group.peers.size()));
  for (const PeerStatus& peer : group.peers) {
    out.u64(peer.node.value);
    out.u64(peer.match.value);
    out.u8(peer.connected ? 1 : 0);
  }
}
void write_body(FieldWriter& out, const StatusResult& result) {
  out.u64(result.node.value);
  out.u64(result.cluster);
  out.u64(result.incarnation.value);
  out.text(result.version);
  out.text(result.disk);
  out.u64(result.journal_bytes);
  out.u64(result.journal_files);
  out.u64(result.syncs);
  out.u64(result.durable.value);
  out.u32(static_cast<std::uint32_t>(result.groups.size()));
  for (const GroupStatus& group : result.groups) write_group(out, group);
}

void write_body(FieldWriter& out, const PartitionsResult& result) { out.u32(result.total); }
void write_body(FieldWriter& out, const ReaderGroupResult& result) {
  out.u32(result.members);
  out.u32(result.partitions);
  out.u32(static_cast<std::uint32_t>(result.shares.size()));
  for (const ReaderShare& share : result.shares) {
    out.u32(share.group.value);
    out.u64(share.epoch.value);
    out.u64(share.next.value);
    out.u8(share.revoked ? 1 : 0);
  }
}
void write_body(FieldWriter& out, const ReaderGroupsResult& result) {
  out.u32(static_cast<std::uint32_t>(result.groups.size()));
  for (const ReaderGroupStatus& group : result.groups) {
    out.text(group.name);
    out.u32(static_cast<std::uint32_t>(group.members.size()));
    for (const ReaderMember& member : group.members) {
      write_member(out, member.member);
      out.u64(static_cast<std::uint64_t>(member.patience.ns));
    }
    out.u32(static_cast<std::uint32_t>(group.positions.size()));
    for (const ReaderPosition& position : group.positions) {
      out.u32(position.group.value);
      write_member(out, position.owner);
      write_member(out, position.heir);
      out.u64(position.epoch.value);
      out.u64(position.next.value);
    }
  }
}

CallError read_error(FieldReader& in) {
  CallError error;
  error.code = static_cast<ErrorCode>(in.u8());
  error.hint = NodeId(in.u64());
  error.retry_after.ns = static_cast<std::int64_t>(in.u64());
  error.limit = in.u64();
  error.text = in.text();
  return error;
}

CommittedRun read_run(FieldReader& in) {
  CommittedRun run;
  run.first = Sequence(in.u64());
  run.count = in.u32();
  run.id = TxnId(in.u64());
  run.time = in.u64();
  return run;
}

Refusal read_refusal(FieldReader& in) {
  Refusal refusal;
  refusal.sequence = Sequence(in.u64());
  refusal.code = static_cast<RefusalCode>(in.u8());
  refusal.lock = in.u32();
  refusal.id = TxnId(in.u64());
  return refusal;
}

AppendResult read_append_result(FieldReader& in) {
  AppendResult result;
  const std::uint32_t runs = in.count(kAppendCallCountMax, kRunBytes);
  result.runs.reserve(runs);
  for (std::uint32_t i = 0; i < runs && !in.failed(); ++i) result.runs.push_back(read_run(in));
  const std::uint32_t refusals = in.count(kAppendCallCountMax, kRefusalBytes);
  result.refusals.reserve(refusals);
  for (std::uint32_t i = 0; i < refusals && !in.failed(); ++i) result.refusals.push_back(read_refusal(in));
  return result;
}

ResolveResult read_resolve_result(FieldReader& in, std::uint8_t flags) {
  ResolveResult result;
  if ((flags & 1) != 0) result.committed = read_run(in);
  result.undecided = (flags & 2) != 0;
  return result;
}

CommittedRecord read_match(FieldReader& in) {
  CommittedRecord match;
  match.id = TxnId(in.u64());
  match.time = in.u64();
  match.session.high = in.u64();
  match.session.low = in.u64();
  match.sequence = Sequence(in.u64());
  match.record = read_blob(in, kEntryBytesMax);
  return match;
}

TransactionResult read_transaction_result(FieldReader& in, std::uint8_t flags) {
  TransactionResult result;
  result.high_water = TxnId(in.u64());
  if (flags != 0) result.transaction = read_match(in);
  return result;
}

FeedResult read_feed_result(FieldReader& in, std::uint8_t flags) {
  FeedResult result;
  result.high_water = TxnId(in.u64());
  if (flags != 0) {
    result.next = TxnId(in.u64());
    const std::uint32_t matches = in.count(kFeedMatchesMax, kMatchBytes);
    result.matches.reserve(matches);
    for (std::uint32_t i = 0; i < matches && !in.failed(); ++i) result.matches.push_back(read_match(in));
    return result;
  }
  const std::uint32_t count = in.count(kFeedResultEntriesMax, kFeedEntryBytes);
  result.entries.reserve(count);
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i)
    result.entries.push_back(read_blob(in, kEntryBytesMax));
  return result;
}

GroupStatus read_group(FieldReader& in) {
  GroupStatus group;
  group.group = GroupId(in.u32());
  group.role = static_cast<Role>(in.u8());
  group.term = Term(in.u64());
  group.leader = NodeId(in.u64());
  group.first = Index(in.u64());
  group.last = Index(in.u64());
  group.commit = Index(in.u64());
  group.applied = Index(in.u64());
  group.high_water = TxnId(in.u64());
  group.sessions = in.u64();
  const std::uint32_t count = in.count(kPeerStatusesMax, kPeerBytes);
  group.peers.reserve(count);
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    PeerStatus peer;
    peer.node = NodeId(in.u64());
    peer.match = Index(in.u64());
    peer.connected = in.flags(1) != 0;
    group.peers.push_back(peer);
  }
  return group;
}

StatusResult read_status(FieldReader& in, std::uint8_t flags) {
  StatusResult result;
  result.ready = flags != 0;
  result.node = NodeId(in.u64());
  result.cluster = in.u64();
  result.incarnation = Incarnation(in.u64());
  result.version = in.text();
  result.disk = in.text();
  result.journal_bytes = in.u64();
  result.journal_files = in.u64();
  result.syncs = in.u64();
  result.durable = Lsn(in.u64());
  const std::uint32_t count = in.count(kGroupsMax, kGroupBytes);
  result.groups.reserve(count);
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) result.groups.push_back(read_group(in));
  return result;
}

ReaderGroupResult read_reader_group_result(FieldReader& in) {
  ReaderGroupResult result;
  result.members = in.u32();
  result.partitions = in.u32();
  const std::uint32_t count = in.count(kGroupsMax, kShareBytes);
  result.shares.reserve(count);
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    ReaderShare share;
    share.group = GroupId(in.u32());
    share.epoch = Epoch(in.u64());
    share.next = TxnId(in.u64());
    share.revoked = in.flags(1) != 0;
    result.shares.push_back(share);
  }
  return result;
}

ReaderGroupStatus read_reader_group_status(FieldReader& in) {
  ReaderGroupStatus group;
  group.name = in.text();
  const std::uint32_t members = in.count(kReaderGroupMembersMax, kMemberBytes);
  group.members.reserve(members);
  for (std::uint32_t i = 0; i < members && !in.failed(); ++i) {
    ReaderMember member;
    member.member = read_member(in);
    member.patience.ns = static_cast<std::int64_t>(in.u64());
    group.members.push_back(member);
  }
  const std::uint32_t positions = in.count(kGroupsMax, kPositionBytes);
  group.positions.reserve(positions);
  for (std::uint32_t i = 0; i < positions && !in.failed(); ++i) {
    ReaderPosition position;
    position.group = GroupId(in.u32());
    position.owner = read_member(in);
    position.heir = read_member(in);
    position.epoch = Epoch(in.u64());
    position.next = TxnId(in.u64());
    group.positions.push_back(position);
  }
  return group;
}

ReaderGroupsResult read_reader_groups_result(FieldReader& in) {
  ReaderGroupsResult result;
  const std::uint32_t count = in.count(kReaderGroupsMax, kReaderGroupBytes);
  result.groups.reserve(count);
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    result.groups.push_back(read_reader_group_status(in));
  }
  return result;
}

ClientReply read_reply(FieldReader& in) {
  constexpr std::uint8_t kFlags[] = {0, 0, 0, 1, 0, 1, 3, 1, 0, 0, 0};
  static_assert(std::size(kFlags) == std::variant_size_v<ClientReply> + 1);
  const std::uint8_t kind = in.u8();
  if (kind == 0 || kind > std::variant_size_v<ClientReply>) in.refuse("unknown reply");
  const std::uint8_t flags = in.flags(in.failed() ? 0 : kFlags[kind]);
  in.zero(2);
  if (in.failed()) return HighWaterResult{};
  switch (kind) {
    case 1: return read_error(in);
    case 2: return read_append_result(in);
    case 3: return read_feed_result(in, flags);
    case 4: return HighWaterResult{TxnId(in.u64())};
    case 5: return read_status(in, flags);
    case 6: return read_resolve_result(in, flags);
    case 7: return read_transaction_result(in, flags);
    case 8: return PartitionsResult{in.u32()};
    case 9: return read_reader_group_result(in);
    default: return read_reader_groups_result(in);
  }
}

void add_body(io::Hasher& hasher, const CallError& error) {
  hasher.add(static_cast<std::uint64_t>(error.code)).add(error.hint.value);
  hasher.add(static_cast<std::uint64_t>(error.retry_after.ns)).add(error.limit);
  add_text(hasher, error.text);
}
void add_run(io::Hasher& hasher, const CommittedRun& run) {
  hasher.add(run.first.value).add(run.count).add(run.id.value).add(run.time);
}
void add_body(io::Hasher& hasher, const AppendResult& result) {
  hasher.add(result.runs.size());
  for (const CommittedRun& run : result.runs) add_run(hasher, run);
  for (const Refusal& refusal : result.refusals) {
    hasher.add(refusal.sequence.value).add(static_cast<std::uint64_t>(refusal.code));
    hasher.add(refusal.lock).add(refusal.id.value);
  }
}
void add_match(io::Hasher& hasher, const CommittedRecord& match) {
  hasher.add(match.id.value).add(match.time).add(match.session.high).add(match.session.low);
  hasher.add(match.sequence.value).add(match.record.span());
}
void add_body(io::Hasher& hasher, const FeedResult& result) {
  hasher.add(result.high_water.value);
  for (const Bytes& entry : result.entries) hasher.add(entry.span());
  if (!result.next) return;
  hasher.add(result.next->value);
  for (const CommittedRecord& match : result.matches) add_match(hasher, match);
}
void add_body(io::Hasher& hasher, const TransactionResult& result) {
  hasher.add(result.high_water.value);
  if (result.transaction) add_match(hasher, *result.transaction);
}
void add_body(io::Hasher& hasher, const HighWaterResult& result) { hasher.add(result.high_water.value); }
void add_body(io::Hasher& hasher, const ResolveResult& result) {
  if (result.committed) add_run(hasher, *result.committed);
}
void add_body(io::Hasher& hasher, const GroupStatus& group) {
  hasher.add((std::uint64_t{group.group.value} << 8) | static_cast<std::uint64_t>(group.role));
  hasher.add(group.term.value).add(group.leader.value).add(group.first.value).add(group.last.value);
  hasher.add(group.commit.value).add(group.applied.value).add(group.high_water.value).add(group.sessions);
  hasher.add(group.peers.size());
  for (const PeerStatus& peer : group.peers) {
    hasher.add(peer.node.value).add(peer.match.value).add(peer.connected ? 1 : 0);
  }
}
void add_body(io::Hasher& hasher, const StatusResult& result) {
  hasher.add(result.node.value).add(result.cluster).add(result.incarnation.value);
  add_text(hasher, result.version);
  add_text(hasher, result.disk);
  hasher.add(result.journal_bytes).add(result.journal_files).add(result.syncs).add(result.durable.value);
  hasher.add(result.groups.size());
  for (const GroupStatus& group : result.groups) add_body(hasher, group);
}

void add_body(io::Hasher& hasher, const PartitionsResult& result) { hasher.add(result.total); }
void add_body(io::Hasher& hasher, const ReaderGroupResult& result) {
  hasher.add(result.members).add(result.partitions).add(result.shares.size());
  for (const ReaderShare& share : result.shares) {
    hasher.add(share.group.value).add(share.epoch.value).add(share.next.value).add(share.revoked ? 1 : 0);
  }
}
void add_body(io::Hasher& hasher, const ReaderGroupsResult& result) {
  hasher.add(result.groups.size());
  for (const ReaderGroupStatus& group : result.groups) {
    add_text(hasher, group.name);
    hasher.add(group.members.size()).add(group.positions.size());
    for (const ReaderMember& member : group.members) {
      hasher.add(member.member.high).add(member.member.low);
      hasher.add(static_cast<std::uint64_t>(member.patience.ns));
    }
    for (const ReaderPosition& position : group.positions) {
      hasher.add(position.group.value).add(position.owner.high).add(position.owner.low);
      hasher.add(position.heir.high)
          .add(position.heir.low)
          .add(position.epoch.value)
          .add(position.next.value);
    }
  }
}

// ---- both

template <class Message>
void write(FieldWriter& out, const Message& message) {
  out.u8(static_cast<std::uint8_t>(message.index() + 1));
  out.u8(std::visit([](const auto& body) { return flags_of(body); }, message));
  out.u16(0);
  std::visit([&](const auto& body) { write_body(out, body); }, message);
}

template <class Message>
std::expected<Message, std::string> decode(const Bytes& frame, Kind kind, Message (*read)(FieldReader&)) {
  auto in = FieldReader::open(frame, kind);
  if (!in) return std::unexpected(in.error());
  Message message = read(*in);
  if (const auto end = in->finish(); !end) return std::unexpected(end.error());
  if (const Verdict verdict = check(message); !verdict) return std::unexpected(verdict.error());
  return message;
}

template <class Message>
std::uint64_t digest_of(const Message& message) {
  io::Hasher hasher;
  hasher.add(message.index()).add(std::visit([](const auto& body) { return flags_of(body); }, message));
  std::visit([&](const auto& body) { add_body(hasher, body); }, message);
  return hasher.value();
}

std::size_t size_of(const ClientCall& call) {
  if (const auto* append = std::get_if<AppendCall>(&call)) {
    return kFrameHeaderBytes + 60 + append->block.size();
  }
  if (const auto* report = std::get_if<ReaderGroupCall>(&call)) {
    return kFrameHeaderBytes + 40 + report->name.size() + report->progress.size() * kProgressBytes;
  }
  return kFrameHeaderBytes + 32;
}

std::size_t size_of(const ClientReply& reply) {
  std::size_t bytes = kFrameHeaderBytes + 32;
  if (const auto* append = std::get_if<AppendResult>(&reply)) {
    bytes += append->runs.size() * kRunBytes + append->refusals.size() * kRefusalBytes;
  }
  if (const auto* feed = std::get_if<FeedResult>(&reply)) {
    for (const Bytes& entry : feed->entries) bytes += kFeedEntryBytes + entry.size();
    for (const CommittedRecord& match : feed->matches) bytes += kMatchBytes + match.record.size();
  }
  if (const auto* found = std::get_if<TransactionResult>(&reply); found != nullptr && found->transaction) {
    bytes += kMatchBytes + found->transaction->record.size();
  }
  if (const auto* status = std::get_if<StatusResult>(&reply))
    bytes += 64 + status->groups.size() * kGroupBytes;
  if (const auto* shares = std::get_if<ReaderGroupResult>(&reply))
    bytes += shares->shares.size() * kShareBytes;
  if (const auto* groups = std::get_if<ReaderGroupsResult>(&reply)) {
    for (const ReaderGroupStatus& group : groups->groups) {
      bytes += kReaderGroupBytes + group.name.size() + group.members.size() * kMemberBytes +
               group.positions.size() * kPositionBytes;
    }
  }
  return bytes;
}

}  // namespace

Bytes encode(const ClientCall& call) {
  FieldWriter out;
  write(out, call);
  return out.frame(Kind::client_call);
}

Bytes encode(const ClientReply& reply) {
  REEL_ASSERT(check(reply).has_value());
  FieldWriter out;
  write(out, reply);
  return out.frame(Kind::client_reply);
}

std::expected<ClientCall, std::string> decode_client_call(const Bytes& frame) {
  return decode<ClientCall>(frame, Kind::client_call, read_call);
}

std::expected<ClientReply, std::string> decode_client_reply(const Bytes& frame) {
  return decode<ClientReply>(frame, Kind::client_reply, read_reply);
}

std::uint64_t digest(const ClientCall& call) { return digest_of(call); }
std::uint64_t digest(const ClientReply& reply) { return digest_of(reply); }

// XXH3-64 of the call's scalars as 40 little-endian bytes seeds XXH3-64 of the block. Their own seed is `opened`,
// which was added later: a caller that does not know it leaves it 0, and its checksums stay right.
std::uint64_t checksum_of(const AppendCall& call) {
  FieldWriter scalars;
  scalars.u32(call.group.value - 1);  // the partition
  scalars.u32(call.count);
  scalars.u64(call.session.high);
  scalars.u64(call.session.low);
  scalars.u64(call.first.value);
  scalars.u64(call.ordered ? 1 : 0);
  return io::digest64(call.block.span(), io::digest64(scalars.fields(), call.opened.value));
}

std::uint64_t checksum_of(const ReaderGroupCall& call) {
  FieldWriter words;
  words.u64(call.member.high);
  words.u64(call.member.low);
  words.u64(static_cast<std::uint64_t>(call.verb));
  words.u64(static_cast<std::uint64_t>(call.patience.ns));
  for (const ReaderProgress& progress : call.progress) {
    words.u64(progress.group.value - 1);
    words.u64(progress.epoch.value);
    words.u64(progress.next.value);
    words.u64(progress.released ? 1 : 0);
  }
  return io::digest64(std::as_bytes(std::span(call.name.data(), call.name.size())),
                      io::digest64(words.fields()));
}

std::uint64_t checksum_of(const ReaderGroupResult& result) {
  FieldWriter words;
  words.u64(result.members);
  words.u64(result.partitions);
  for (const ReaderShare& share : result.shares) {
    words.u64(share.group.value - 1);
    words.u64(share.epoch.value);
    words.u64(share.next.value);
    words.u64(share.revoked ? 1 : 0);
  }
  return io::digest64(words.fields());
}

std::uint64_t checksum_of(const FeedResult& result) {
  std::uint64_t sum = result.high_water.value;
  for (const Bytes& entry : result.entries) sum = io::digest64(entry.span(), sum);
  if (!result.next) return sum;
  FieldWriter next;
  next.u64(result.next->value);
  sum = io::digest64(next.fields(), sum);
  for (const CommittedRecord& match : result.matches) sum = checksum_of(match, sum);
  return sum;
}

std::uint64_t checksum_of(const CommittedRecord& transaction, std::uint64_t seed) {
  FieldWriter scalars;
  scalars.u64(transaction.id.value);
  scalars.u64(transaction.time);
  scalars.u64(transaction.session.high);
  scalars.u64(transaction.session.low);
  scalars.u64(transaction.sequence.value);
  return io::digest64(transaction.record.span(), io::digest64(scalars.fields(), seed));
}

std::uint64_t checksum_of(const TransactionResult& result) {
  return result.transaction ? checksum_of(*result.transaction, result.high_water.value)
                            : result.high_water.value;
}

const io::ParcelCodec kClientCallCodec{
    .name = "client_call",
    .size = [](const void* value) { return size_of(*static_cast<const ClientCall*>(value)); },
    .encode = [](const void* value) { return encode(*static_cast<const ClientCall*>(value)); },
    .decode = [](const Bytes& bytes) -> std::expected<io::Parcel, std::string> {
      auto call = decode_client_call(bytes);
      if (!call) return std::unexpected(call.error());
      return parcel(std::move(*call));
    },
    .digest = [](const void* value) { return digest(*static_cast<const ClientCall*>(value)); },
};

const io::ParcelCodec kClientReplyCodec{
    .name = "client_reply",
    .size = [](const void* value) { return size_of(*static_cast<const ClientReply*>(value)); },
    .encode = [](const void* value) { return encode(*static_cast<const ClientReply*>(value)); },
    .decode = [](const Bytes& bytes) -> std::expected<io::Parcel, std::string> {
      auto reply = decode_client_reply(bytes);
      if (!reply) return std::unexpected(reply.error());
      return parcel(std::move(*reply));
    },
    .digest = [](const void* value) { return digest(*static_cast<const ClientReply*>(value)); },
};

io::Parcel parcel(ClientCall call) { return io::Parcel::of(std::move(call), kClientCallCodec); }
io::Parcel parcel(ClientReply reply) { return io::Parcel::of(std::move(reply), kClientReplyCodec); }

}  // namespace reel::wire
