// The journal reads what a disk gives back, which may be anything. Whatever the bytes: a DecodeError, or a value within
// the bounds of format.h that encodes to the same bytes again.
//
// input: byte 0 chooses the structure, and whether its checksum is mended; the rest is its content, filled with zeros.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "io/ports/assert.h"
#include "node/journal/format.h"

namespace {
using namespace reel;
using namespace reel::journal;

using Sector = std::array<std::byte, kSectorBytes>;

void try_file_header(const Sector& sector) {
  const auto header = decode_file_header(sector);
  if (!header) return;
  REEL_CHECK(header->geometry.valid() && header->file_sequence > 0);
  Sector again{};
  encode_file_header(*header, again);
  REEL_CHECK(again == sector);
}

void try_identity_sector(const Sector& sector) {
  const auto batch = decode_identity_sector(sector);
  if (!batch) return;
  REEL_CHECK(batch->records.size() <= kIdentitiesPerSector && batch->batch > 0);
  for (const RecordIdentity& record : batch->records) {
    if (record.kind != RecordKind::entry) continue;
    REEL_CHECK(record.identity.size <= kEntryBytesMax);
    REEL_CHECK(record.body_offset >= batch->body_offset);
    REEL_CHECK(record.body_offset + record_bytes(record.identity.size) <=
               batch->body_offset + batch->body_bytes);
  }
  Sector again{};
  REEL_CHECK(encode_identity_sector(*batch, again) == batch->checksum);
  REEL_CHECK(again == sector);
}

void try_record_header(std::span<const std::byte, kRecordHeaderBytes> bytes) {
  const auto header = decode_record_header(bytes);
  if (!header) return;
  std::array<std::byte, kRecordHeaderBytes> again{};
  encode_record_header(*header, again);
  REEL_CHECK(std::ranges::equal(again, bytes));
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  Sector sector{};
  const auto content = std::as_bytes(std::span(data + 1, std::min(size - 1, kSectorBytes)));
  std::ranges::copy(content, sector.begin());
  const std::span<std::byte, kRecordHeaderBytes> record = std::span(sector).first<kRecordHeaderBytes>();
  const bool mended = (data[0] & 0x80) == 0;
  if (data[0] % 3 == 2) {
    if (mended) seal_record_header(record);
    try_record_header(record);
    return 0;
  }
  if (mended) seal_sector(sector);
  if (data[0] % 3 == 0) {
    try_file_header(sector);
  } else {
    try_identity_sector(sector);
  }
  return 0;
}
