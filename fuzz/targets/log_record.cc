// node/log parses blocks that clients send and payloads that come from peers and disks. Whatever the bytes: the
// parsers stay inside them, agree with each other, and what they accept adds up.
//
// input: byte 0 chooses block or entry; for a block bytes 1-2 are the count that the call claims; the rest is parsed.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "io/ports/assert.h"
#include "node/log/record.h"

namespace {
using namespace reel;

void check_inside(std::span<const std::byte> part, std::span<const std::byte> whole) {
  REEL_CHECK(part.empty() ||
             (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size()));
}

// Every byte of an accepted record is looked at, so that ASan sees a view that leaves the input.
std::uint64_t touch(const log::RecordView& record) {
  std::uint64_t sum = io::digest64(record.data);
  REEL_CHECK(record.locks.size() == std::size_t{record.lock_count()} * log::kLockBytes);
  for (std::uint32_t i = 0; i < record.lock_count(); ++i) {
    sum ^= record.lock(i).low ^ record.lock(i).high;
    REEL_CHECK(record.lock_is_changed(i) || record.lock_is_checked(i));
  }
  return sum;
}

void try_block(std::span<const std::byte> block, std::uint32_t count) {
  const auto survey = log::survey(block, count);
  const bool accepted = survey.has_value();
  log::Survey found;
  std::span<const std::byte> rest = block;
  std::uint32_t parsed = 0;
  while (parsed < count) {
    const auto record = log::parse_record(rest);
    if (!record) break;
    REEL_CHECK(record->size >= log::kRecordHeaderBytes && record->size <= rest.size());
    check_inside(record->data, rest);
    check_inside(record->locks, rest);
    REEL_CHECK(record->data.size() <= kTransactionBytesMax);
    REEL_CHECK(record->locks.size() <= std::size_t{kTransactionLocksMax} * log::kLockBytes);
    (void)touch(*record);
    for (std::uint32_t i = 0; i < record->lock_count(); ++i) {
      ++found.locks;
      if (record->lock_is_checked(i)) ++found.checked;
    }
    found.based_on = std::max(found.based_on, record->based_on);
    found.data_max = std::max(found.data_max, record->data.size());
    rest = rest.subspan(record->size);
    ++parsed;
    if (accepted) REEL_CHECK(log::prefix_bytes(block, parsed) == block.size() - rest.size());
  }
  REEL_CHECK(accepted == (parsed == count && rest.empty()));
  if (accepted) REEL_CHECK(*survey == found);
}

void try_entry(std::span<const std::byte> payload) {
  const auto entry = log::parse_entry(payload);
  std::uint64_t transactions = 0;
  const bool walked = log::for_each_transaction(payload, TxnId(0), [&](const log::Transaction& transaction) {
    REEL_CHECK(entry.has_value());
    REEL_CHECK(transaction.id == entry->header.first_id + transactions);
    REEL_CHECK(transaction.time == entry->header.time + transactions);
    check_inside(transaction.record.data, payload);
    (void)touch(transaction.record);
    ++transactions;
  });
  if (!entry) {
    REEL_CHECK(!walked && !entry.error().empty());
    return;
  }
  REEL_CHECK(entry->sections.size() == entry->header.sections);
  std::size_t bytes = log::kEntryHeaderBytes;
  std::uint64_t claimed = 0;
  for (const log::SectionView& section : entry->sections) {
    check_inside(section.records, payload);
    REEL_CHECK(section.records.size() == section.header.bytes);
    REEL_CHECK(section.header.kind == log::SectionKind::transactions || section.records.empty());
    // What is accepted has no bits that writing would lose.
    std::array<std::byte, log::kSectionHeaderBytes> header{};
    log::write_section_header(header, section.header);
    REEL_CHECK(std::ranges::equal(header, payload.subspan(bytes, header.size())));
    bytes += log::kSectionHeaderBytes + section.records.size();
    claimed += section.header.transactions();
  }
  REEL_CHECK(bytes == payload.size());
  REEL_CHECK(claimed == entry->header.transactions);
  if (walked) REEL_CHECK(transactions == claimed);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const auto content = std::as_bytes(std::span(data, size));
  if ((data[0] & 1) == 0) {
    try_entry(content.subspan(1));
  } else {
    try_block(content.subspan(3), static_cast<std::uint32_t>(data[1] | data[2] << 8));
  }
  return 0;
}
