#include "node/log/record.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "io/ports/assert.h"
#include "io/ports/endian.h"

namespace reel::log {
namespace {

using io::load;
using io::store;

constexpr std::uint16_t kSectionOpens = 1;

// A section that contradicts itself.
bool impossible(const SectionHeader& header, std::uint16_t kind, std::uint16_t flags,
                std::size_t bytes_left) {
  if (header.count == 0 || header.first.value == 0 || header.bytes > bytes_left) return true;
  if (kind > static_cast<std::uint16_t>(SectionKind::burn) || (flags & ~kSectionOpens) != 0) return true;
  if (header.kind == SectionKind::burn) return header.bytes != 0 || header.changes != 0;
  return std::size_t{header.count} * kRecordHeaderBytes > header.bytes ||
         std::size_t{header.changes} * kLockBytes > header.bytes;
}

constexpr std::size_t padded(std::size_t size) { return (size + 7) & ~std::size_t{7}; }

void write_locks(std::byte*& to, std::span<const LockKey> keys) {
  for (const LockKey& key : keys) {
    store<std::uint64_t>(to, key.low);
    store<std::uint64_t>(to + 8, key.high);
    to += kLockBytes;
  }
}

}  // namespace

LockKey lock_key(std::string_view key, std::uint64_t cluster) {
  std::array<std::byte, 8> prefix{};
  store<std::uint64_t>(prefix.data(), cluster);
  const Checksum hash = io::checksum(prefix, std::as_bytes(std::span(key.data(), key.size())));
  return {hash.low, hash.high};
}

LockKey RecordView::lock(std::uint32_t number) const {
  REEL_ASSERT(number < lock_count());
  const std::byte* at = locks.data() + std::size_t{number} * kLockBytes;
  return {load<std::uint64_t>(at), load<std::uint64_t>(at + 8)};
}

std::size_t record_bytes(const TransactionInput& transaction) {
  const std::size_t locks =
      transaction.write_locks.size() + transaction.read_locks.size() + transaction.append_locks.size();
  return kRecordHeaderBytes + locks * kLockBytes + padded(transaction.data.size());
}

void append_record(std::vector<std::byte>& block, const TransactionInput& transaction) {
  REEL_ASSERT(transaction.data.size() <= kTransactionBytesMax);
  REEL_ASSERT(transaction.write_locks.size() + transaction.read_locks.size() +
                  transaction.append_locks.size() <=
              kTransactionLocksMax);
  const std::size_t start = block.size();
  block.resize(start +
               record_bytes(transaction));  // zero-filled: the padding is part of what is hashed and stored
  std::byte* to = block.data() + start;
  const Checksum sum = io::checksum(transaction.data);
  store<std::uint32_t>(to, transaction.header);
  store<std::uint32_t>(to + 4, static_cast<std::uint32_t>(transaction.data.size()));
  store<std::uint16_t>(to + 8, static_cast<std::uint16_t>(transaction.write_locks.size()));
  store<std::uint16_t>(to + 10, static_cast<std::uint16_t>(transaction.read_locks.size()));
  store<std::uint16_t>(to + 12, static_cast<std::uint16_t>(transaction.append_locks.size()));
  store<std::uint64_t>(to + 16, transaction.based_on ? transaction.based_on->value + 1 : 0);
  store<std::uint64_t>(to + 24, sum.low);
  store<std::uint64_t>(to + 32, sum.high);
  store<std::uint64_t>(to + 40, transaction.intent);
  to += kRecordHeaderBytes;
  write_locks(to, transaction.write_locks);
  write_locks(to, transaction.read_locks);
  write_locks(to, transaction.append_locks);
  if (!transaction.data.empty()) std::memcpy(to, transaction.data.data(), transaction.data.size());
}

std::optional<RecordView> parse_record(std::span<const std::byte> bytes) {
  if (bytes.size() < kRecordHeaderBytes) return std::nullopt;
  const std::byte* at = bytes.data();
  const auto data_bytes = load<std::uint32_t>(at + 4);
  RecordView view;
  view.header = load<std::uint32_t>(at);
  view.write_locks = load<std::uint16_t>(at + 8);
  view.read_locks = load<std::uint16_t>(at + 10);
  view.append_locks = load<std::uint16_t>(at + 12);
  const std::size_t locks = std::size_t{view.write_locks} + view.read_locks + view.append_locks;
  if (load<std::uint16_t>(at + 14) != 0 || data_bytes > kTransactionBytesMax ||
      locks > kTransactionLocksMax) {
    return std::nullopt;
  }
  view.size = kRecordHeaderBytes + locks * kLockBytes + padded(data_bytes);
  if (view.size > bytes.size()) return std::nullopt;
  const auto based_on = load<std::uint64_t>(at + 16);
  if (based_on != 0) view.based_on = TxnId(based_on - 1);
  view.checksum = {load<std::uint64_t>(at + 24), load<std::uint64_t>(at + 32)};
  view.intent = load<std::uint64_t>(at + 40);
  view.locks = bytes.subspan(kRecordHeaderBytes, locks * kLockBytes);
  view.data = bytes.subspan(kRecordHeaderBytes + locks * kLockBytes, data_bytes);
  return view;
}

std::optional<Survey> survey(std::span<const std::byte> block, std::uint32_t count) {
  if (block.size() < std::size_t{count} * kRecordHeaderBytes) return std::nullopt;
  Survey found;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto record = parse_record(block);
    if (!record) return std::nullopt;
    found.locks += record->lock_count();
    found.checked += std::uint32_t{record->write_locks} + record->read_locks;
    found.based_on = std::max(found.based_on, record->based_on);
    found.data_max = std::max(found.data_max, record->data.size());
    block = block.subspan(record->size);
  }
  if (!block.empty()) return std::nullopt;
  return found;
}

std::size_t prefix_bytes(std::span<const std::byte> block, std::uint32_t count) {
  std::size_t bytes = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto record = parse_record(block.subspan(bytes));
    REEL_ASSERT(record.has_value());
    if (!record) break;
    bytes += record->size;
  }
  return bytes;
}

void write_entry_header(std::span<std::byte, kEntryHeaderBytes> out, const EntryHeader& header) {
  store<std::uint16_t>(out.data(), kEntryVersion);
  store<std::uint16_t>(out.data() + 2, header.sections);
  store<std::uint32_t>(out.data() + 4, header.transactions);
  store<std::uint64_t>(out.data() + 8, header.first_id.value);
  store<std::uint64_t>(out.data() + 16, header.time);
  store<std::uint64_t>(out.data() + 24, 0);
}

void write_section_header(std::span<std::byte, kSectionHeaderBytes> out, const SectionHeader& header) {
  store<std::uint64_t>(out.data(), header.session.high);
  store<std::uint64_t>(out.data() + 8, header.session.low);
  store<std::uint64_t>(out.data() + 16, header.first.value);
  store<std::uint32_t>(out.data() + 24, header.count);
  store<std::uint32_t>(out.data() + 28, header.bytes);
  store<std::uint16_t>(out.data() + 32, static_cast<std::uint16_t>(header.kind));
  store<std::uint16_t>(out.data() + 34, header.opens ? kSectionOpens : 0);
  store<std::uint32_t>(out.data() + 36, header.changes);
}

std::expected<EntryView, std::string_view> parse_entry(std::span<const std::byte> payload) {
  if (payload.size() < kEntryHeaderBytes) return std::unexpected("entry shorter than its header");
  const std::byte* at = payload.data();
  if (load<std::uint16_t>(at) != kEntryVersion) return std::unexpected("entry of an unknown version");
  EntryView view;
  view.header.sections = load<std::uint16_t>(at + 2);
  view.header.transactions = load<std::uint32_t>(at + 4);
  view.header.first_id = TxnId(load<std::uint64_t>(at + 8));
  view.header.time = load<std::uint64_t>(at + 16);
  std::span<const std::byte> rest = payload.subspan(kEntryHeaderBytes);
  if (rest.size() < std::size_t{view.header.sections} * kSectionHeaderBytes) {
    return std::unexpected("entry with more sections than bytes");
  }
  view.sections.reserve(view.header.sections);
  std::uint64_t transactions = 0;
  for (std::uint16_t i = 0; i < view.header.sections; ++i) {
    if (rest.size() < kSectionHeaderBytes) return std::unexpected("section header cut off");
    const std::byte* section = rest.data();
    SectionView one;
    one.header.session = {load<std::uint64_t>(section), load<std::uint64_t>(section + 8)};
    one.header.first = Sequence(load<std::uint64_t>(section + 16));
    one.header.count = load<std::uint32_t>(section + 24);
    one.header.bytes = load<std::uint32_t>(section + 28);
    const auto kind = load<std::uint16_t>(section + 32);
    const auto flags = load<std::uint16_t>(section + 34);
    one.header.kind = static_cast<SectionKind>(kind);
    one.header.opens = (flags & kSectionOpens) != 0;
    one.header.changes = load<std::uint32_t>(section + 36);
    rest = rest.subspan(kSectionHeaderBytes);
    if (impossible(one.header, kind, flags, rest.size())) {
      return std::unexpected("section with impossible sizes");
    }
    one.records = rest.subspan(0, one.header.bytes);
    rest = rest.subspan(one.header.bytes);
    transactions += one.header.transactions();
    view.sections.push_back(one);
  }
  if (!rest.empty() || transactions != view.header.transactions) {
    return std::unexpected("entry whose counts do not add up");
  }
  return view;
}

}  // namespace reel::log
