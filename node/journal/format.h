// The journal's layout on disk, in one place; FORMAT.md draws it and golden/ holds samples of every
// structure.
//
// Every structure carries its own address (cluster, node, incarnation, file sequence, offset) and a checksum
// over all of its bytes, so it proves where it belongs. Integers are little-endian, there is no padding in
// memory's sense: reserved bytes are zero, written and checked. A structure that decodes obeys every bound
// stated here; what does not is a DecodeError, never an assertion: these bytes may be anything.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

#include "node/types.h"

namespace reel::journal {

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kSectorBytes = io::kSectorBytes;
inline constexpr std::size_t kRecordHeaderBytes = 128;     // before each payload in the body zone
inline constexpr std::uint32_t kIdentitiesPerSector = 48;  // records of one batch
inline constexpr std::uint32_t kBatchesInFlightMax =
    16;  // whatever Options say: bounds what a crash can hide
// Configuration payloads of one batch that fit behind one identity; a configuration entry is never larger.
inline constexpr std::size_t kInlineBytesMax = 3888;
// A life begins this far above every LSN and batch sequence that it finds, so that those of batches of which
// a crash left no trace are not used again.
inline constexpr std::uint64_t kBatchGap = kBatchesInFlightMax;
inline constexpr std::uint64_t kLsnGap = std::uint64_t{kBatchesInFlightMax} * kIdentitiesPerSector;

// Whose bytes these are; all three stand in every sector that the node writes.
struct Stamp {
  io::ClusterId cluster;
  NodeId node;
  Incarnation incarnation;  // of the life that wrote them
  bool operator==(const Stamp&) const = default;
};

// Where a body lies.
struct Location {
  std::uint64_t file_sequence = 0;  // 0: nowhere
  std::uint64_t offset = 0;         // of the record's header, bytes
  bool operator==(const Location&) const = default;
};

// How one file is cut into zones: header | identities | bodies | copy of the header.
struct Geometry {
  std::uint64_t file_bytes = 0;        // [256 KiB, 1 GiB], whole sectors
  std::uint32_t identity_sectors = 0;  // at least 1, and at least one sector is left for bodies
  std::uint64_t identity_at(std::uint32_t slot) const { return (1 + std::uint64_t{slot}) * kSectorBytes; }
  std::uint64_t body_begin() const { return identity_at(identity_sectors); }
  std::uint64_t body_end() const { return file_bytes - kSectorBytes; }
  std::uint64_t header_copy_at() const { return file_bytes - kSectorBytes; }
  bool valid() const;
  bool operator==(const Geometry&) const = default;
};
inline constexpr std::uint64_t kFileBytesMin = 256u << 10;
inline constexpr std::uint64_t kFileBytesMax = 1u << 30;

enum class DecodeError : std::uint8_t {
  empty,        // all zeros: never written
  damaged,      // wrong magic or checksum: torn, rotten, or something else
  unsupported,  // whole, and of a newer version
  malformed,    // whole, and against the rules of this file: never written by Reel
};
[[nodiscard]] const char* name_of(DecodeError error);

// ---- the first and the last sector of a file

struct FileHeader {
  Stamp stamp;
  std::uint64_t file_sequence = 0;  // at least 1
  std::uint64_t offset = 0;         // of this copy: 0 or Geometry::header_copy_at()
  Geometry geometry;
  bool operator==(const FileHeader&) const = default;
};
void encode_file_header(const FileHeader& header, std::span<std::byte, kSectorBytes> out);
[[nodiscard]] std::expected<FileHeader, DecodeError> decode_file_header(std::span<const std::byte> sector);

// ---- the identity zone: one sector per batch

enum class RecordKind : std::uint8_t {
  entry = 1,       // `identity` entered the group's log
  truncation = 2,  // everything of the group from `identity.index` on is void; no body, all else is zero
};

struct RecordIdentity {
  GroupId group;
  RecordKind kind{};
  EntryIdentity identity;
  std::uint64_t body_offset = 0;  // entry: of its record header, in this file
  Lsn previous;                   // the group's record before this one; 0: the first that was ever kept
  Bytes configuration;            // configuration entries: the payload, in full (recovery.md, correction 4)
  bool operator==(const RecordIdentity&) const = default;
};

struct IdentitySector {
  Stamp stamp;
  std::uint64_t file_sequence = 0;
  std::uint64_t offset = 0;  // of this sector
  std::uint64_t batch = 0;   // counts batches of this node, with gaps, never reused; at least 1
  Lsn first_lsn;             // of records[0]; the next free one if there are no records
  Lsn previous_lsn;          // last record before this batch: what lies between the two was cut
  Checksum previous;         // of the batch that this one follows; {0, 0} for the node's first
  Lsn synced;                // all records up to here were durable when this batch was formed
  std::uint64_t body_offset =
      0;  // the batch's bodies lie in [body_offset, body_offset + body_bytes), in order
  std::uint64_t body_bytes = 0;         // and without gaps; 0 and 0 if it has none
  std::vector<RecordIdentity> records;  // at most kIdentitiesPerSector; none: a mark
  Checksum checksum;                    // of the sector; set by decoding, ignored by encoding

  // The last LSN that is accounted for when this batch is kept.
  Lsn reach() const { return Lsn(first_lsn.value + records.size() - 1); }
  bool operator==(const IdentitySector&) const = default;
};
// Requires a value that would decode again; returns the sector's checksum.
Checksum encode_identity_sector(const IdentitySector& batch, std::span<std::byte, kSectorBytes> out);
[[nodiscard]] std::expected<IdentitySector, DecodeError> decode_identity_sector(
    std::span<const std::byte> sector);
// Bytes of configuration payloads that still fit beside this many records.
[[nodiscard]] constexpr std::size_t inline_room(std::size_t records) {
  return kInlineBytesMax - 64 * (records - 1);
}

// ---- the body zone: header, payload, zeros up to the sector's end

struct RecordHeader {
  Stamp stamp;
  std::uint64_t file_sequence = 0;
  std::uint64_t offset = 0;  // of this header
  std::uint64_t batch = 0;
  Lsn lsn;
  GroupId group;
  EntryIdentity identity;
  bool operator==(const RecordHeader&) const = default;
};
void encode_record_header(const RecordHeader& header, std::span<std::byte, kRecordHeaderBytes> out);
[[nodiscard]] std::expected<RecordHeader, DecodeError> decode_record_header(std::span<const std::byte> bytes);

// Bytes of a record with this payload size, header and padding included.
[[nodiscard]] constexpr std::uint64_t record_bytes(std::uint32_t payload_bytes) {
  return (kRecordHeaderBytes + std::uint64_t{payload_bytes} + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

// ---- what all sectors share

// The last 16 bytes of a sector are the checksum of all before them. Tests and fuzzers seal what they have
// garbled.
void seal_sector(std::span<std::byte, kSectorBytes> sector);
void seal_record_header(std::span<std::byte, kRecordHeaderBytes> header);
[[nodiscard]] bool is_zero(std::span<const std::byte> bytes);

// journal-%016x
[[nodiscard]] std::string file_name(std::uint64_t file_sequence);
// 0 if it is not the name of a journal file.
[[nodiscard]] std::uint64_t sequence_of(const std::string& name);

}  // namespace reel::journal
