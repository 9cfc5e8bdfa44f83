#include "node/journal/format.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "node/journal/journal.h"
#include "node/journal/page_table.h"
#include "node/journal/tables.h"

namespace reel::journal {
namespace {

using Sector = std::array<std::byte, kSectorBytes>;

const Stamp kStamp{io::ClusterId(0x0102030405060708), NodeId(0x1112131415161718), Incarnation(5)};
const Geometry kGeometry{kFileBytesMin, 16};

FileHeader sample_header() { return {kStamp, 3, kGeometry.header_copy_at(), kGeometry}; }

Bytes sample_configuration() { return Bytes::copy_of(std::string_view("configuration payload")); }

IdentitySector sample_batch() {
  IdentitySector batch;
  batch.stamp = kStamp;
  batch.file_sequence = 3;
  batch.offset = kGeometry.identity_at(2);
  batch.batch = 41;
  batch.first_lsn = Lsn(1001);
  batch.previous_lsn = Lsn(900);
  batch.previous = {0x2122232425262728, 0x3132333435363738};
  batch.synced = Lsn(899);
  batch.body_offset = kGeometry.body_begin();
  const std::uint64_t at = batch.body_offset;
  const Bytes configuration = sample_configuration();
  const auto configuration_bytes = static_cast<std::uint32_t>(configuration.size());
  batch.records.push_back({GroupId(7),
                           RecordKind::entry,
                           {Term(4), Index(17), EntryKind::transactions, 5000, Checksum{0x41, 0x42}},
                           at,
                           Lsn(880),
                           {}});
  EntryIdentity cut;
  cut.index = Index(12);
  batch.records.push_back({GroupId(8), RecordKind::truncation, cut, 0, Lsn(0), {}});
  batch.records.push_back({GroupId(8),
                           RecordKind::entry,
                           {Term(4), Index(12), EntryKind::configuration, configuration_bytes,
                            io::checksum(configuration.span())},
                           at + record_bytes(5000),
                           Lsn(1002),
                           configuration});
  batch.body_bytes = record_bytes(5000) + record_bytes(configuration_bytes);
  return batch;
}

RecordHeader sample_record() {
  return {kStamp, 3, kGeometry.body_begin(), 41, Lsn(1001), GroupId(7), sample_batch().records[0].identity};
}

raft::Configuration voters() { return {{NodeId(1), NodeId(2), NodeId(3)}, {}, {NodeId(9)}}; }

Page page_with(PageKind kind, std::vector<std::byte> content) {
  return {kind, kStamp, 1, page_at(2, 1, 6, 1), 6, std::move(content)};
}

std::vector<std::byte> manifest_content() {
  std::vector<std::byte> content(kManifestHeadBytes);
  content[0] = std::byte{2};
  for (const std::uint32_t group : {1u, 2u}) {
    const Bytes entry =
        encode_manifest_entry({group + 20, {GroupId(group), Index(1), Index(55 + group), voters()}});
    content.insert(content.end(), entry.data(), entry.data() + entry.size());
  }
  return content;
}

// Offset and 16 bytes per line; lines of zeros are left out.
std::string dump(std::span<const std::byte> bytes) {
  const char* digits = "0123456789abcdef";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    if (is_zero(bytes.subspan(at, 16))) continue;
    for (int shift = 12; shift >= 0; shift -= 4) text += digits[at >> shift & 15];
    for (std::size_t i = at; i < at + 16; ++i) {
      const auto value = std::to_integer<unsigned>(bytes[i]);
      text += ' ';
      text += digits[value >> 4];
      text += digits[value & 15];
    }
    text += '\n';
  }
  return text;
}

std::vector<std::byte> undump(const std::string& text, std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::size_t at = 0;
    words >> std::hex >> at;
    for (unsigned value = 0; words >> value; ++at) bytes.at(at) = static_cast<std::byte>(value);
  }
  return bytes;
}

std::string golden_path(const std::string& name) {
  return std::string(REEL_GOLDEN_DIR) + "/" + name + ".hex";
}

std::string golden(const std::string& name) {
  std::ifstream file(golden_path(name));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

template <class Encode>
Sector sector_of(Encode encode) {
  Sector sector;
  sector.fill(std::byte{0xee});  // whatever was there, encoding leaves nothing of it
  encode(std::span<std::byte, kSectorBytes>(sector));
  return sector;
}

Sector header_sector() {
  return sector_of([](auto out) { encode_file_header(sample_header(), out); });
}
Sector batch_sector() {
  return sector_of([](auto out) { encode_identity_sector(sample_batch(), out); });
}
Sector page_sector(const Page& page) {
  return sector_of([&](auto out) { encode_page(page, out); });
}
std::array<std::byte, kRecordHeaderBytes> record_sector() {
  std::array<std::byte, kRecordHeaderBytes> bytes;
  encode_record_header(sample_record(), bytes);
  return bytes;
}

// A deliberate change of the format writes its samples anew: REEL_GOLDEN_WRITE=1 journal_format_test
// (FORMAT.md).
void expect_golden(const std::string& name, std::span<const std::byte> bytes) {
  if (std::getenv("REEL_GOLDEN_WRITE") != nullptr) std::ofstream(golden_path(name)) << dump(bytes);
  EXPECT_EQ(dump(bytes), golden(name));
}

// Could a change of code change the bytes on disk, so that old directories become unreadable?
TEST(FormatGolden, BytesAreWhatTheyWere) {
  expect_golden("file_header", header_sector());
  expect_golden("identity_sector", batch_sector());
  expect_golden("record_header", record_sector());
  expect_golden("superblock_page",
                page_sector(page_with(PageKind::superblock, encode_superblock(Incarnation(5)))));
  const std::map<GroupId, HardState> states{{GroupId(1), {Term(9), NodeId(2)}},
                                            {GroupId(300), {Term(10), NodeId(0)}}};
  expect_golden("hardstate_page", page_sector(page_with(PageKind::hard_state, encode_hard_states(states))));
  expect_golden("manifest_page", page_sector(page_with(PageKind::manifest, manifest_content())));
}

// Could this version fail to read what an earlier build wrote?
TEST(FormatGolden, OldBytesStillDecode) {
  EXPECT_EQ(decode_file_header(undump(golden("file_header"), kSectorBytes)), sample_header());
  auto batch = decode_identity_sector(undump(golden("identity_sector"), kSectorBytes));
  ASSERT_TRUE(batch.has_value());
  EXPECT_NE(batch->checksum, Checksum{});
  batch->checksum = {};
  EXPECT_EQ(*batch, sample_batch());
  EXPECT_EQ(decode_record_header(undump(golden("record_header"), kRecordHeaderBytes)), sample_record());
  const auto page = decode_page(undump(golden("manifest_page"), kSectorBytes));
  ASSERT_TRUE(page.has_value());
  const auto groups = decode_manifests(page->content);
  ASSERT_TRUE(groups.has_value());
  ASSERT_EQ(groups->size(), 2u);
  EXPECT_EQ(groups->back(), (StoredManifest{22, {GroupId(2), Index(1), Index(57), voters()}}));
  const auto states = decode_page(undump(golden("hardstate_page"), kSectorBytes));
  ASSERT_TRUE(states.has_value());
  EXPECT_EQ(decode_hard_states(states->content)->at(GroupId(1)), (HardState{Term(9), NodeId(2)}));
}

template <class Decode>
void expect_every_bit_matters(std::span<const std::byte> good, Decode decode) {
  std::vector<std::byte> bytes(good.begin(), good.end());
  ASSERT_TRUE(decode(bytes).has_value());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const unsigned bit : {0u, 3u, 7u}) {
      bytes[at] ^= static_cast<std::byte>(1u << bit);
      ASSERT_FALSE(decode(bytes).has_value()) << "byte " << at << " bit " << bit;
      bytes[at] ^= static_cast<std::byte>(1u << bit);
    }
  }
  for (std::size_t size = 0; size < bytes.size(); size += 13) {
    ASSERT_FALSE(decode(std::span<const std::byte>(bytes).first(size)).has_value()) << size;
  }
}

// Could a flipped bit or a short buffer pass?
TEST(Format, EveryBitIsCovered) {
  expect_every_bit_matters(header_sector(), [](auto bytes) { return decode_file_header(bytes); });
  expect_every_bit_matters(batch_sector(), [](auto bytes) { return decode_identity_sector(bytes); });
  expect_every_bit_matters(record_sector(), [](auto bytes) { return decode_record_header(bytes); });
  const Page page = page_with(PageKind::manifest, manifest_content());
  expect_every_bit_matters(page_sector(page), [](auto bytes) { return decode_page(bytes); });
}

// A little deterministic noise; not a stream that any format depends on.
std::uint64_t noise(std::uint64_t i, std::uint64_t k) { return io::keyed_hash(1, {i, k}); }

// Garbles a few bytes behind a checksum that holds. Must neither crash nor decode to something out of bounds;
// what decodes must encode to the same bytes again.
template <class Decode, class Encode, class Seal>
void expect_sealed_garbage_is_harmless(std::span<const std::byte> good, Decode decode, Encode encode,
                                       Seal seal) {
  std::uint64_t accepted = 0;
  for (std::uint64_t round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes(good.begin(), good.end());
    const std::uint64_t changes = 1 + noise(round, 0) % 3;
    for (std::uint64_t i = 1; i <= changes; ++i) {
      // Mostly where the fields are.
      const std::uint64_t range =
          noise(round, 10 + i) % 4 == 0 ? bytes.size() : std::min<std::size_t>(360, bytes.size());
      bytes[noise(round, 20 + i) % range] =
          static_cast<std::byte>(noise(round, 30 + i) % 7 == 0 ? 255 : noise(round, 40 + i));
    }
    seal(bytes);
    const auto value = decode(bytes);
    if (!value) continue;
    ++accepted;
    EXPECT_EQ(encode(*value), bytes);
  }
  EXPECT_GT(accepted, 0u);
}

template <class Value, class Encode>
std::vector<std::byte> encoded(const Value& value, Encode encode) {
  std::vector<std::byte> out(kSectorBytes);
  encode(value, std::span<std::byte, kSectorBytes>(out));
  return out;
}

// Could hostile bytes with a right checksum cross a bound, or decode to what would never have been written?
TEST(Format, SealedGarbageIsHarmless) {
  const auto seal = [](std::vector<std::byte>& bytes) {
    seal_sector(std::span(bytes).first<kSectorBytes>());
  };
  expect_sealed_garbage_is_harmless(
      header_sector(), [](auto bytes) { return decode_file_header(bytes); },
      [](const FileHeader& value) { return encoded(value, encode_file_header); }, seal);
  expect_sealed_garbage_is_harmless(
      batch_sector(), [](auto bytes) { return decode_identity_sector(bytes); },
      [](const IdentitySector& value) { return encoded(value, encode_identity_sector); }, seal);
  expect_sealed_garbage_is_harmless(
      page_sector(page_with(PageKind::manifest, manifest_content())),
      [](auto bytes) { return decode_page(bytes); },
      [](const Page& value) { return encoded(value, encode_page); }, seal);
  expect_sealed_garbage_is_harmless(
      record_sector(), [](auto bytes) { return decode_record_header(bytes); },
      [](const RecordHeader& value) {
        std::vector<std::byte> out(kRecordHeaderBytes);
        encode_record_header(value, std::span(out).first<kRecordHeaderBytes>());
        return out;
      },
      [](std::vector<std::byte>& bytes) {
        seal_record_header(std::span(bytes).first<kRecordHeaderBytes>());
      });
}

// Could a newer format be mistaken for damage, and damage for a newer format?
TEST(Format, VersionsAreToldFromDamage) {
  Sector sector = batch_sector();
  sector[8] = std::byte{2};
  EXPECT_EQ(decode_identity_sector(sector).error(), DecodeError::damaged);
  seal_sector(sector);
  EXPECT_EQ(decode_identity_sector(sector).error(), DecodeError::unsupported);
  EXPECT_EQ(decode_identity_sector(Sector{}).error(), DecodeError::empty);
  EXPECT_EQ(decode_file_header(batch_sector()).error(), DecodeError::damaged);
}

// Could a manifest or hard-state page with nonsense inside be believed?
TEST(Format, PageContentsAreChecked) {
  std::vector<std::byte> manifest = manifest_content();
  ASSERT_TRUE(decode_manifests(manifest).has_value());
  for (std::size_t size = 0; size < manifest.size(); ++size) {
    EXPECT_FALSE(decode_manifests(std::span(manifest).first(size)).has_value()) << size;
  }
  manifest[4] = std::byte{1};
  EXPECT_FALSE(decode_manifests(manifest).has_value());
  std::vector<std::byte> states = encode_hard_states({{GroupId(1), {}}, {GroupId(2), {}}});
  ASSERT_TRUE(decode_hard_states(states).has_value());
  EXPECT_FALSE(decode_hard_states(std::span(states).first(states.size() - 1)).has_value());
  states[8] = std::byte{2};  // the same group twice
  EXPECT_FALSE(decode_hard_states(states).has_value());
  EXPECT_FALSE(decode_superblock(std::span(states).first(7)).has_value());
}

// Could a full batch not fit into its sector?
TEST(Format, TheLargestBatchFits) {
  IdentitySector batch = sample_batch();
  batch.records.clear();
  batch.body_bytes = 0;
  for (std::uint32_t i = 0; i < kIdentitiesPerSector; ++i) {
    batch.records.push_back({GroupId(i + 1),
                             RecordKind::entry,
                             {Term(1), Index(1), EntryKind::empty, 0, {}},
                             batch.body_offset + batch.body_bytes,
                             Lsn(0),
                             {}});
    batch.body_bytes += record_bytes(0);
  }
  const Bytes configuration =
      Bytes::copy_of(std::vector<std::byte>(inline_room(kIdentitiesPerSector), std::byte{7}));
  RecordIdentity& last = batch.records.back();
  last.identity.kind = EntryKind::configuration;
  last.identity.size = static_cast<std::uint32_t>(configuration.size());
  last.configuration = configuration;
  const Sector sector = sector_of([&](auto out) { encode_identity_sector(batch, out); });
  auto again = decode_identity_sector(sector);
  ASSERT_TRUE(again.has_value());
  again->checksum = {};
  EXPECT_EQ(*again, batch);
}

// Could a stray file be taken for a journal file?
TEST(Format, FileNames) {
  EXPECT_EQ(file_name(1), "journal-0000000000000001");
  EXPECT_EQ(sequence_of(file_name(0xfedcba9876543210)), 0xfedcba9876543210u);
  for (const char* name : {"journal-", "journal-1", "journal-000000000000000g", "Journal-0000000000000001",
                           "journal-00000000000000012", "superblock", "journal-000000000000000A"}) {
    EXPECT_EQ(sequence_of(name), 0u) << name;
  }
}

}  // namespace
}  // namespace reel::journal
