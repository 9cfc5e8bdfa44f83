#include "node/journal/format.h"

#include <cstring>

#include "io/ports/assert.h"
#include "io/ports/endian.h"
#include "node/journal/sector.h"

namespace reel::journal {
namespace {

constexpr std::uint64_t kHeaderMagic = magic("REELJRNL");
constexpr std::uint64_t kIdentityMagic = magic("REELIDNT");
constexpr std::uint64_t kRecordMagic = magic("REELRECD");
constexpr std::size_t kIdentityHeadBytes = 128;
constexpr std::size_t kIdentityBytes = 64;
static_assert(kIdentityHeadBytes + kIdentityBytes + kInlineBytesMax + kChecksumBytes == kSectorBytes);
static_assert(kIdentityHeadBytes + kIdentitiesPerSector * kIdentityBytes + kChecksumBytes <= kSectorBytes);

void put(Writer& to, const Stamp& stamp) {
  to.u64(stamp.cluster.value);
  to.u64(stamp.node.value);
  to.u64(stamp.incarnation.value);
}

Stamp get_stamp(Reader& from) {
  Stamp stamp;
  stamp.cluster = io::ClusterId(from.u64());
  stamp.node = NodeId(from.u64());
  stamp.incarnation = Incarnation(from.u64());
  return stamp;
}

void put(Writer& to, const RecordIdentity& record) {
  const EntryIdentity& identity = record.identity;
  to.u32(record.group.value);
  to.u8(static_cast<std::uint8_t>(record.kind));
  to.u8(static_cast<std::uint8_t>(identity.kind));
  to.u16(0);
  to.u64(identity.term.value);
  to.u64(identity.index.value);
  to.u32(identity.size);
  to.u32(0);
  to.checksum(identity.checksum);
  to.u64(record.body_offset);
  to.u64(record.previous.value);
}

// Entry kinds that this version does not know are malformed: the file's version would have told of them.
EntryKind get_entry_kind(Reader& from) {
  const std::uint8_t kind = from.u8();
  from.require(kind <= static_cast<std::uint8_t>(kEntryKindMax));
  return static_cast<EntryKind>(kind);
}

RecordIdentity get_record(Reader& from) {
  RecordIdentity record;
  record.group = GroupId(from.u32());
  const std::uint8_t kind = from.u8();
  from.require(kind == static_cast<std::uint8_t>(RecordKind::entry) ||
               kind == static_cast<std::uint8_t>(RecordKind::truncation));
  record.kind = static_cast<RecordKind>(kind);
  record.identity.kind = get_entry_kind(from);
  from.require(from.u16() == 0);
  record.identity.term = Term(from.u64());
  record.identity.index = Index(from.u64());
  record.identity.size = from.u32();
  from.require(from.u32() == 0);
  record.identity.checksum = from.checksum();
  record.body_offset = from.u64();
  record.previous = Lsn(from.u64());
  from.require(record.group.value != 0 && record.identity.index.value != 0);
  if (record.kind == RecordKind::truncation) {
    EntryIdentity nothing_else;
    nothing_else.index = record.identity.index;
    from.require(record.identity == nothing_else && record.body_offset == 0);
  } else {
    from.require(record.identity.size <= kEntryBytesMax);
  }
  return record;
}

// Bodies follow each other without gaps, in the order of their records, and end where the batch says.
bool bodies_line_up(const IdentitySector& batch) {
  std::uint64_t at = batch.body_offset;
  if (at % kSectorBytes != 0 || at > kFileBytesMax) return false;
  for (const RecordIdentity& record : batch.records) {
    if (record.kind != RecordKind::entry) continue;
    if (at == 0 || record.body_offset != at) return false;
    at += record_bytes(record.identity.size);
  }
  return at - batch.body_offset == batch.body_bytes && (batch.body_bytes != 0 || batch.body_offset == 0);
}

bool numbers_agree(const IdentitySector& batch) {
  const std::uint64_t first = batch.first_lsn.value;
  if (batch.file_sequence == 0 || batch.batch == 0 || first == 0) return false;
  if (batch.offset == 0 || batch.offset % kSectorBytes != 0) return false;
  if (first > UINT64_MAX - kLsnGap - kIdentitiesPerSector || batch.batch > UINT64_MAX - kBatchGap - 1)
    return false;
  if (batch.previous_lsn.value >= first || batch.synced.value >= first) return false;
  for (std::size_t i = 0; i < batch.records.size(); ++i) {
    if (batch.records[i].previous.value >= first + i) return false;
  }
  return true;
}

std::expected<void, DecodeError> check_sector(std::span<const std::byte> sector, std::uint64_t wanted) {
  return check_sealed(sector, kSectorBytes, wanted, kFormatVersion);
}

}  // namespace

bool Geometry::valid() const {
  return file_bytes >= kFileBytesMin && file_bytes <= kFileBytesMax && file_bytes % kSectorBytes == 0 &&
         identity_sectors >= 1 && identity_sectors <= file_bytes / kSectorBytes - 3;
}

const char* name_of(DecodeError error) {
  switch (error) {
    case DecodeError::empty: return "never written";
    case DecodeError::damaged: return "damaged";
    case DecodeError::unsupported: return "of a newer version";
    case DecodeError::malformed: return "malformed";
  }
  return "?";
}

void encode_file_header(const FileHeader& header, std::span<std::byte, kSectorBytes> out) {
  REEL_ASSERT(header.geometry.valid() && header.file_sequence != 0);
  REEL_ASSERT(header.offset == 0 || header.offset == header.geometry.header_copy_at());
  Writer to(out);
  to.u64(kHeaderMagic);
  to.u32(kFormatVersion);
  to.u32(0);
  put(to, header.stamp);
  to.u64(header.file_sequence);
  to.u64(header.offset);
  to.u64(header.geometry.file_bytes);
  to.u32(header.geometry.identity_sectors);
  to.u32(kSectorBytes);
  to.zeros();
  seal_sector(out);
}

std::expected<FileHeader, DecodeError> decode_file_header(std::span<const std::byte> sector) {
  if (auto whole = check_sector(sector, kHeaderMagic); !whole) return std::unexpected(whole.error());
  Reader from(sector.first(kSectorBytes - kChecksumBytes));
  from.skip(12);
  from.require(from.u32() == 0);
  FileHeader header;
  header.stamp = get_stamp(from);
  header.file_sequence = from.u64();
  header.offset = from.u64();
  header.geometry.file_bytes = from.u64();
  header.geometry.identity_sectors = from.u32();
  from.require(from.u32() == kSectorBytes);
  from.require(header.file_sequence != 0 && header.geometry.valid());
  if (from.ok()) from.require(header.offset == 0 || header.offset == header.geometry.header_copy_at());
  from.require_zeros();
  if (!from.ok()) return std::unexpected(DecodeError::malformed);
  return header;
}

Checksum encode_identity_sector(const IdentitySector& batch, std::span<std::byte, kSectorBytes> out) {
  REEL_ASSERT(batch.records.size() <= kIdentitiesPerSector);
  REEL_ASSERT(numbers_agree(batch) && bodies_line_up(batch));
  std::size_t inline_bytes = 0;
  for (const RecordIdentity& record : batch.records) inline_bytes += record.configuration.size();
  Writer to(out);
  to.u64(kIdentityMagic);
  to.u32(kFormatVersion);
  to.u16(static_cast<std::uint16_t>(batch.records.size()));
  to.u16(static_cast<std::uint16_t>(inline_bytes));
  put(to, batch.stamp);
  to.u64(batch.file_sequence);
  to.u64(batch.offset);
  to.u64(batch.batch);
  to.u64(batch.first_lsn.value);
  to.u64(batch.previous_lsn.value);
  to.checksum(batch.previous);
  to.u64(batch.synced.value);
  to.u64(batch.body_offset);
  to.u64(batch.body_bytes);
  to.u64(0);
  REEL_ASSERT(to.at() == kIdentityHeadBytes);
  for (const RecordIdentity& record : batch.records) put(to, record);
  for (const RecordIdentity& record : batch.records) {
    REEL_ASSERT(record.configuration.empty() || record.configuration.size() == record.identity.size);
    to.bytes(record.configuration.span());
  }
  to.zeros();
  seal_sector(out);
  return sealed_checksum(out);
}

std::expected<IdentitySector, DecodeError> decode_identity_sector(std::span<const std::byte> sector) {
  if (auto whole = check_sector(sector, kIdentityMagic); !whole) return std::unexpected(whole.error());
  Reader from(sector.first(kSectorBytes - kChecksumBytes));
  from.skip(12);
  const std::size_t count = from.u16();
  const std::size_t inline_bytes = from.u16();
  if (count > kIdentitiesPerSector) return std::unexpected(DecodeError::malformed);
  IdentitySector batch;
  batch.stamp = get_stamp(from);
  batch.file_sequence = from.u64();
  batch.offset = from.u64();
  batch.batch = from.u64();
  batch.first_lsn = Lsn(from.u64());
  batch.previous_lsn = Lsn(from.u64());
  batch.previous = from.checksum();
  batch.synced = Lsn(from.u64());
  batch.body_offset = from.u64();
  batch.body_bytes = from.u64();
  from.require(from.u64() == 0);
  batch.records.reserve(count);
  for (std::size_t i = 0; i < count && from.ok(); ++i) batch.records.push_back(get_record(from));
  std::size_t inline_left = inline_bytes;
  for (RecordIdentity& record : batch.records) {
    if (record.kind != RecordKind::entry || record.identity.kind != EntryKind::configuration) continue;
    if (record.identity.size > inline_left) return std::unexpected(DecodeError::malformed);
    inline_left -= record.identity.size;
    record.configuration = Bytes::copy_of(from.bytes(record.identity.size));
  }
  from.require(inline_left == 0);
  from.require_zeros();
  if (!from.ok() || !numbers_agree(batch) || !bodies_line_up(batch)) {
    return std::unexpected(DecodeError::malformed);
  }
  batch.checksum = sealed_checksum(sector);
  return batch;
}

void encode_record_header(const RecordHeader& header, std::span<std::byte, kRecordHeaderBytes> out) {
  REEL_ASSERT(header.identity.size <= kEntryBytesMax && header.group.value != 0);
  Writer to(out);
  to.u64(kRecordMagic);
  to.u32(kFormatVersion);
  to.u32(header.group.value);
  put(to, header.stamp);
  to.u64(header.file_sequence);
  to.u64(header.offset);
  to.u64(header.batch);
  to.u64(header.lsn.value);
  to.u64(header.identity.term.value);
  to.u64(header.identity.index.value);
  to.u32(header.identity.size);
  to.u8(static_cast<std::uint8_t>(header.identity.kind));
  to.u8(0);
  to.u16(0);
  to.checksum(header.identity.checksum);
  to.zeros();
  seal_record_header(out);
}

std::expected<RecordHeader, DecodeError> decode_record_header(std::span<const std::byte> bytes) {
  if (auto whole = check_sealed(bytes, kRecordHeaderBytes, kRecordMagic, kFormatVersion); !whole) {
    return std::unexpected(whole.error());
  }
  Reader from(bytes.first(kRecordHeaderBytes - kChecksumBytes));
  from.skip(12);
  RecordHeader header;
  header.group = GroupId(from.u32());
  header.stamp = get_stamp(from);
  header.file_sequence = from.u64();
  header.offset = from.u64();
  header.batch = from.u64();
  header.lsn = Lsn(from.u64());
  header.identity.term = Term(from.u64());
  header.identity.index = Index(from.u64());
  header.identity.size = from.u32();
  header.identity.kind = get_entry_kind(from);
  from.require(from.u8() == 0);
  from.require(from.u16() == 0);
  header.identity.checksum = from.checksum();
  from.require(header.group.value != 0 && header.identity.index.value != 0 && header.file_sequence != 0);
  from.require(header.batch != 0 && header.lsn.value != 0 && header.offset % kSectorBytes == 0);
  from.require(header.identity.size <= kEntryBytesMax);
  if (!from.ok()) return std::unexpected(DecodeError::malformed);
  return header;
}

void seal_sector(std::span<std::byte, kSectorBytes> sector) { seal(sector); }
void seal_record_header(std::span<std::byte, kRecordHeaderBytes> header) { seal(header); }

bool is_zero(std::span<const std::byte> bytes) {
  if (bytes.empty()) return true;
  return bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

std::string file_name(std::uint64_t file_sequence) {
  std::string name = "journal-";
  for (int shift = 60; shift >= 0; shift -= 4) name += "0123456789abcdef"[(file_sequence >> shift) & 15];
  return name;
}

std::uint64_t sequence_of(const std::string& name) {
  constexpr std::size_t kPrefix = 8;
  if (name.size() != kPrefix + 16 || !name.starts_with("journal-")) return 0;
  std::uint64_t sequence = 0;
  for (const char c : name.substr(kPrefix)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return 0;
    sequence = sequence << 4 | static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return sequence;
}

}  // namespace reel::journal
