// PeerBatch as bytes (frame.h draws the frame).
//
//   batch    u32 count, then messages
//   message  u8 body (1 … 5), u8 flags, u16 zero, u32 group, u64 term, u64 incarnation, then by body:
//   1 vote request    flags 1 pre, 2 transfer; u64 last term, u64 last index
//   2 vote reply      flags 1 pre, 2 granted;  u64 asked
//   3 append request  u64 previous term, u64 previous index, u64 commit, u64 round, u32 count, then entries:
//                     u64 term, u64 index, u8 kind, u8 zero, u16 zero, u32 size, u64 checksum low,
//                     u64 checksum high; payloads are blobs, checked against that checksum
//   4 append reply    flags 1 accepted; u64 match, u64 hint term, u64 hint index, u64 rejected, u64 round
//   5 timeout now     nothing
#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/wire/codec.h"
#include "io/wire/frame.h"
#include "io/wire/limits.h"

namespace reel::wire {
namespace {

constexpr std::size_t kMessageBytes = 24;
constexpr std::size_t kEntryBytes = 40;
constexpr std::uint8_t kBodies = std::variant_size_v<PeerBody>;

std::uint8_t flags_of(const VoteRequest& body) { return (body.pre ? 1 : 0) | (body.transfer ? 2 : 0); }
std::uint8_t flags_of(const VoteReply& body) { return (body.pre ? 1 : 0) | (body.granted ? 2 : 0); }
std::uint8_t flags_of(const AppendRequest&) { return 0; }
std::uint8_t flags_of(const AppendReply& body) { return body.accepted ? 1 : 0; }
std::uint8_t flags_of(const TimeoutNow&) { return 0; }

void write_id(FieldWriter& out, EntryId id) {
  out.u64(id.term.value);
  out.u64(id.index.value);
}

void write_body(FieldWriter& out, const VoteRequest& body) { write_id(out, body.last); }
void write_body(FieldWriter& out, const VoteReply& body) { out.u64(body.asked.value); }
void write_body(FieldWriter& out, const AppendRequest& body) {
  write_id(out, body.previous);
  out.u64(body.commit.value);
  out.u64(body.round);
  out.u32(static_cast<std::uint32_t>(body.entries.size()));
  for (const Entry& entry : body.entries) {
    write_id(out, entry.identity.id());
    out.u8(static_cast<std::uint8_t>(entry.identity.kind));
    out.u8(0);
    out.u16(0);
    out.u32(entry.identity.size);
    out.u64(entry.identity.checksum.low);
    out.u64(entry.identity.checksum.high);
    out.blob(entry.payload);
  }
}
void write_body(FieldWriter& out, const AppendReply& body) {
  out.u64(body.match.value);
  write_id(out, body.hint);
  out.u64(body.rejected.value);
  out.u64(body.round);
}
void write_body(FieldWriter&, const TimeoutNow&) {}

void write(FieldWriter& out, const PeerMessage& message) {
  REEL_ASSERT(check(message).has_value());
  out.u8(static_cast<std::uint8_t>(message.body.index() + 1));
  out.u8(std::visit([](const auto& body) { return flags_of(body); }, message.body));
  out.u16(0);
  out.u32(message.group.value);
  out.u64(message.term.value);
  out.u64(message.incarnation.value);
  std::visit([&](const auto& body) { write_body(out, body); }, message.body);
}

EntryId read_id(FieldReader& in) {
  EntryId id;
  id.term = Term(in.u64());
  id.index = Index(in.u64());
  return id;
}

Entry read_entry(FieldReader& in) {
  Entry entry;
  entry.identity.term = Term(in.u64());
  entry.identity.index = Index(in.u64());
  const std::uint8_t kind = in.u8();
  if (kind > static_cast<std::uint8_t>(kEntryKindMax)) in.refuse("entry is of an unknown kind");
  entry.identity.kind = in.failed() ? EntryKind::empty : static_cast<EntryKind>(kind);
  in.zero(1);
  in.zero(2);
  entry.identity.size = in.u32();
  entry.identity.checksum.low = in.u64();
  entry.identity.checksum.high = in.u64();
  if (entry.identity.size > kEntryBytesMax) in.refuse("entry is larger than allowed");
  entry.payload = in.blob(entry.identity.size);
  if (!in.failed() && io::checksum(entry.payload.span()) != entry.identity.checksum) {
    in.refuse("payload of an entry differs from its checksum");
  }
  return entry;
}

AppendRequest read_append_request(FieldReader& in) {
  AppendRequest body;
  body.previous = read_id(in);
  body.commit = Index(in.u64());
  body.round = in.u64();
  const std::uint32_t count = in.count(kAppendEntriesMax, kEntryBytes);
  body.entries.reserve(count);
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) body.entries.push_back(read_entry(in));
  return body;
}

PeerBody read_body(FieldReader& in, std::uint8_t kind, std::uint8_t flags) {
  switch (kind) {
    case 1: return VoteRequest{(flags & 1) != 0, (flags & 2) != 0, read_id(in)};
    case 2: return VoteReply{(flags & 1) != 0, (flags & 2) != 0, Term(in.u64())};
    case 3: return read_append_request(in);
    case 4: {
      AppendReply body;
      body.accepted = (flags & 1) != 0;
      body.match = Index(in.u64());
      body.hint = read_id(in);
      body.rejected = Index(in.u64());
      body.round = in.u64();
      return body;
    }
    default: return TimeoutNow{};
  }
}

PeerMessage read_message(FieldReader& in) {
  constexpr std::uint8_t kFlags[kBodies + 1] = {0, 3, 3, 0, 1, 0};
  PeerMessage message;
  const std::uint8_t kind = in.u8();
  if (kind == 0 || kind > kBodies) in.refuse("message has an unknown body");
  const std::uint8_t flags = in.flags(in.failed() ? 0 : kFlags[kind]);
  in.zero(2);
  message.group = GroupId(in.u32());
  message.term = Term(in.u64());
  message.incarnation = Incarnation(in.u64());
  if (!in.failed()) message.body = read_body(in, kind, flags);
  if (in.failed()) return message;
  if (const Verdict verdict = check(message); !verdict) in.refuse("message has not the shape of its kind");
  return message;
}

void add(io::Hasher& hasher, EntryId id) { hasher.add(id.term.value).add(id.index.value); }

void add_body(io::Hasher& hasher, const VoteRequest& body) { add(hasher, body.last); }
void add_body(io::Hasher& hasher, const VoteReply& body) { hasher.add(body.asked.value); }
void add_body(io::Hasher& hasher, const AppendRequest& body) {
  add(hasher, body.previous);
  hasher.add(body.commit.value).add(body.round).add(body.entries.size());
  for (const Entry& entry : body.entries) {
    add(hasher, entry.identity.id());
    hasher.add((static_cast<std::uint64_t>(entry.identity.kind) << 32) | entry.identity.size);
    hasher.add(entry.identity.checksum.low).add(entry.identity.checksum.high);
  }
}
void add_body(io::Hasher& hasher, const AppendReply& body) {
  hasher.add(body.match.value);
  add(hasher, body.hint);
  hasher.add(body.rejected.value).add(body.round);
}
void add_body(io::Hasher&, const TimeoutNow&) {}

// Close enough for links that count bandwidth: exact but for the small variants' bodies.
std::size_t size_of(const PeerBatch& batch) {
  std::size_t bytes = kFrameHeaderBytes + 4;
  for (const PeerMessage& message : batch.messages) {
    bytes += kMessageBytes + 36;
    const auto* request = std::get_if<AppendRequest>(&message.body);
    if (request == nullptr) continue;
    for (const Entry& entry : request->entries) bytes += kEntryBytes + entry.payload.size();
  }
  return bytes;
}

}  // namespace

Bytes encode(const PeerBatch& batch) {
  REEL_ASSERT(batch.messages.size() <= kPeerBatchMessagesMax);
  FieldWriter out;
  out.u32(static_cast<std::uint32_t>(batch.messages.size()));
  for (const PeerMessage& message : batch.messages) write(out, message);
  return out.frame(Kind::peer_batch);
}

std::uint64_t checksum_of(const PeerMessage& message, std::uint64_t seed) {
  FieldWriter out;
  write(out, message);
  return io::digest64(out.fields(), seed);
}

std::expected<PeerBatch, std::string> decode_peer_batch(const Bytes& frame) {
  auto in = FieldReader::open(frame, Kind::peer_batch);
  if (!in) return std::unexpected(in.error());
  PeerBatch batch;
  const std::uint32_t count = in->count(kPeerBatchMessagesMax, kMessageBytes);
  batch.messages.reserve(count);
  for (std::uint32_t i = 0; i < count && !in->failed(); ++i) batch.messages.push_back(read_message(*in));
  if (const auto end = in->finish(); !end) return std::unexpected(end.error());
  return batch;
}

std::uint64_t digest(const PeerMessage& message) {
  io::Hasher hasher;
  hasher.add((std::uint64_t{message.group.value} << 32) | message.body.index());
  hasher.add(message.term.value).add(message.incarnation.value);
  hasher.add(std::visit([](const auto& body) { return flags_of(body); }, message.body));
  std::visit([&](const auto& body) { add_body(hasher, body); }, message.body);
  return hasher.value();
}

std::uint64_t digest(const PeerBatch& batch) {
  io::Hasher hasher;
  for (const PeerMessage& message : batch.messages) hasher.add(digest(message));
  return hasher.value();
}

const io::ParcelCodec kPeerBatchCodec{
    .name = "peer_batch",
    .size = [](const void* value) { return size_of(*static_cast<const PeerBatch*>(value)); },
    .encode = [](const void* value) { return encode(*static_cast<const PeerBatch*>(value)); },
    .decode = [](const Bytes& bytes) -> std::expected<io::Parcel, std::string> {
      auto batch = decode_peer_batch(bytes);
      if (!batch) return std::unexpected(batch.error());
      return parcel(std::move(*batch));
    },
    .digest = [](const void* value) { return digest(*static_cast<const PeerBatch*>(value)); },
};

io::Parcel parcel(PeerBatch batch) { return io::Parcel::of(std::move(batch), kPeerBatchCodec); }

}  // namespace reel::wire
