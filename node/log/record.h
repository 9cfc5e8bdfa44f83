// The layout of transactions: in an entry's payload, in an append call's block and in a feed. One layout for all three,
// so a leader copies a client's block into the entry as it stands, and journal, peers and feed pass it through.
// All integers are little-endian, everything is a multiple of 8 bytes long; version 1.
//
//   entry payload   EntryHeader 32   { section }*
//     0  u16 version = 1     2  u16 sections       4  u32 transactions
//     8  u64 first id       16  u64 commit time of the first (HLC ns)     24  u64 zero
//   section         SectionHeader 40   { record }*
//     0  u64 session high    8  u64 session low   16  u64 first sequence
//    24  u32 sequences      28  u32 bytes of records
//    32  u16 kind (0 transactions, 1 burn)        34  u16 flags (1 opens its session)
//    36  u32 changes: write and append locks of all its records
//   record          RecordHeader 48   { lock 16 }*   data   zeros to a multiple of 8
//     0  u32 header          4  u32 data bytes
//     8  u16 write locks    10  u16 read locks    12  u16 append locks    14  u16 flags = 0
//    16  u64 based_on + 1 (0: based on nothing)   24  u128 XXH3 of data, by the client
//    40  u64 intent (0: none)
//   lock            u128 keyed hash of the key; writes first, then reads, then appends
//
// A transaction's id is the entry's first id plus its position, its time the entry's time plus its position, its
// sequence the section's first sequence plus its position. An append call's block is { record }* alone. A burn says that
// its sequences will never commit: it has no records and takes no ids.
//
// Parsers take untrusted bytes: they check every bound and never read past the end.
#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "node/types.h"

namespace reel::log {

inline constexpr std::uint16_t kEntryVersion = 1;
inline constexpr std::size_t kEntryHeaderBytes = 32;
inline constexpr std::size_t kSectionHeaderBytes = 40;
inline constexpr std::size_t kRecordHeaderBytes = 48;
inline constexpr std::size_t kLockBytes = 16;

using reel::LockKey;
[[nodiscard]] LockKey lock_key(std::string_view key, std::uint64_t cluster);

// What a client says of one transaction. Views into its own memory.
struct TransactionInput {
  std::uint32_t header = 0;
  std::span<const std::byte> data;
  std::span<const LockKey> write_locks;
  std::span<const LockKey> read_locks;
  std::span<const LockKey> append_locks;
  std::optional<TxnId> based_on;
  std::uint64_t intent = 0;
};

[[nodiscard]] std::size_t record_bytes(const TransactionInput& transaction);
// Appends one encoded record, checksum included. Requires data and locks within the limits of node/types.h.
void append_record(std::vector<std::byte>& block, const TransactionInput& transaction);

// One record where it lies.
struct RecordView {
  std::uint32_t header = 0;
  std::uint16_t write_locks = 0;
  std::uint16_t read_locks = 0;
  std::uint16_t append_locks = 0;
  std::optional<TxnId> based_on;
  Checksum checksum;
  std::uint64_t intent = 0;
  std::span<const std::byte> locks;
  std::span<const std::byte> data;
  std::size_t size = 0;  // of the whole record

  // The record as it lies there, from its header to its padding.
  std::span<const std::byte> whole() const { return {locks.data() - kRecordHeaderBytes, size}; }
  std::uint32_t lock_count() const { return std::uint32_t{write_locks} + read_locks + append_locks; }
  // Its locks, one after the other: writes, then reads, then appends.
  [[nodiscard]] LockKey lock(std::uint32_t number) const;
  // What the lock rule (design.md §5) says of the lock with this number.
  bool lock_is_changed(std::uint32_t number) const {  // it changes the key: writes and appends do
    return number < write_locks || number >= std::uint32_t{write_locks} + read_locks;
  }
  bool lock_is_checked(
      std::uint32_t number) const {  // it conflicts with an earlier change: writes and reads do
    return number < std::uint32_t{write_locks} + read_locks;
  }
};
// The record at the start of `bytes`; nullopt if it is malformed or does not fit.
[[nodiscard]] std::optional<RecordView> parse_record(std::span<const std::byte> bytes);
// What a leader must know of a block before it looks at single records.
struct Survey {
  std::uint32_t locks = 0;        // of all records together
  std::uint32_t checked = 0;      // of those, writes and reads: without them nothing can be refused
  std::optional<TxnId> based_on;  // the highest
  std::size_t data_max = 0;       // bytes of the largest data
  bool operator==(const Survey&) const = default;
};
// nullopt unless `block` is exactly `count` well-formed records. Costs a few nanoseconds a record; data is not touched.
[[nodiscard]] std::optional<Survey> survey(std::span<const std::byte> block, std::uint32_t count);
// Bytes of the first `count` records of a well-formed block.
[[nodiscard]] std::size_t prefix_bytes(std::span<const std::byte> block, std::uint32_t count);

struct EntryHeader {
  std::uint16_t sections = 0;
  std::uint32_t transactions = 0;
  TxnId first_id;
  std::uint64_t time = 0;
};
enum class SectionKind : std::uint16_t { transactions = 0, burn = 1 };
struct SectionHeader {
  SessionId session;
  Sequence first;
  std::uint32_t count = 0;  // of its sequences
  std::uint32_t bytes = 0;
  SectionKind kind = SectionKind::transactions;
  bool opens = false;         // the leader knew no such session: sequences before `first` may still come
  std::uint32_t changes = 0;  // 0: its records need not be walked
  std::uint32_t transactions() const { return kind == SectionKind::transactions ? count : 0; }
};
void write_entry_header(std::span<std::byte, kEntryHeaderBytes> out, const EntryHeader& header);
void write_section_header(std::span<std::byte, kSectionHeaderBytes> out, const SectionHeader& header);

struct SectionView {
  SectionHeader header;
  std::span<const std::byte> records;
};
struct EntryView {
  EntryHeader header;
  std::vector<SectionView> sections;
};
// The headers of an entry's payload, every count and size checked against the bytes; records are not walked.
[[nodiscard]] std::expected<EntryView, std::string_view> parse_entry(std::span<const std::byte> payload);

// One committed transaction, as a reader sees it.
struct Transaction {
  TxnId id;
  std::uint64_t time = 0;
  SessionId session;
  Sequence sequence;
  RecordView record;
};
// Calls visit(const Transaction&) for every transaction of a payload with id >= from, in order; false if malformed. A
// visit that returns false ends the walk.
template <class Visit>
bool for_each_transaction(std::span<const std::byte> payload, TxnId from, Visit&& visit) {
  const auto entry = parse_entry(payload);
  if (!entry) return false;
  TxnId id = entry->header.first_id;
  std::uint64_t time = entry->header.time;
  for (const SectionView& section : entry->sections) {
    std::span<const std::byte> rest = section.records;
    for (std::uint32_t i = 0; i < section.header.transactions(); ++i) {
      const auto record = parse_record(rest);
      if (!record) return false;
      rest = rest.subspan(record->size);
      if (id >= from) {
        const Transaction transaction{id, time, section.header.session, section.header.first + i, *record};
        if constexpr (std::is_same_v<decltype(visit(transaction)), bool>) {
          if (!visit(transaction)) return true;
        } else {
          visit(transaction);
        }
      }
      ++id;
      ++time;
    }
    if (!rest.empty()) return false;
  }
  return true;
}

}  // namespace reel::log
