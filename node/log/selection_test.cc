#include "node/log/selection.h"

#include <gtest/gtest.h>

namespace reel::log {
namespace {

constexpr LockKey kKeys[] = {{1, 1}, {2, 2}, {3, 3}};

// Transaction `id` has header `id`, a data byte of it, and one lock: of mode and key by its number.
TransactionInput input_of(std::uint64_t id, const std::byte& data) {
  TransactionInput input;
  input.header = static_cast<std::uint32_t>(id);
  input.data = {&data, 1};
  const std::span<const LockKey> lock(&kKeys[id / 3 % 3], 1);
  (id % 3 == 0 ? input.write_locks : id % 3 == 1 ? input.read_locks : input.append_locks) = lock;
  return input;
}

// An entry of several sections, one of them a burn.
Bytes entry_of(std::uint64_t first, std::uint32_t count) {
  std::vector<std::byte> payload(kEntryHeaderBytes);
  std::uint16_t sections = 0;
  const auto section = [&](SectionHeader header, const std::vector<std::byte>& records) {
    header.session = {7, 8};
    header.bytes = static_cast<std::uint32_t>(records.size());
    payload.resize(payload.size() + kSectionHeaderBytes);
    write_section_header(std::span(payload).last<kSectionHeaderBytes>(), header);
    payload.insert(payload.end(), records.begin(), records.end());
    ++sections;
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    std::vector<std::byte> record;
    const auto data = static_cast<std::byte>(first + i);
    append_record(record, input_of(first + i, data));
    section({.session = {}, .first = Sequence(first + i + 1), .count = 1}, record);
    if (i == 1) section({.session = {}, .first = Sequence(9999), .count = 1, .kind = SectionKind::burn}, {});
  }
  write_entry_header(std::span(payload).first<kEntryHeaderBytes>(),
                     {sections, count, TxnId(first), 1000 + first});
  return Bytes::copy_of(payload);
}

std::vector<std::uint64_t> ids_of(Selection& selection) {
  std::vector<std::uint64_t> ids;
  for (const CommittedRecord& match : selection.matches()) ids.push_back(match.id.value);
  return ids;
}

FeedFilter by_header(std::uint32_t mask, std::uint32_t value) {
  FeedFilter filter;
  filter.header_mask = mask;
  filter.header_value = value;
  return filter;
}

// A match could be left out, cut at the wrong place, or carry its neighbour's id, time or sequence.
TEST(Selection, CutsOutWhatMatches) {
  const FeedFilter filter = by_header(3, 2);
  Selection selection(filter, TxnId(0), 1u << 20);
  const Bytes payload = entry_of(0, 8);
  EXPECT_EQ(selection.walk(payload), Selection::Walk::done);
  EXPECT_EQ(selection.next(), TxnId(8));
  EXPECT_EQ(ids_of(selection), (std::vector<std::uint64_t>{2, 6}));
  for (const CommittedRecord& match : selection.matches()) {
    EXPECT_EQ(match.time, 1000 + match.id.value);
    EXPECT_EQ(match.sequence, Sequence(match.id.value + 1));
    EXPECT_EQ(match.session, (SessionId{7, 8}));
    const auto record = parse_record(match.record.span());
    ASSERT_TRUE(record.has_value());
    EXPECT_EQ(record->size, match.record.size());
    EXPECT_EQ(record->header, match.id.value);
    EXPECT_EQ(io::checksum(record->data), record->checksum);
    EXPECT_GE(match.record.data(), payload.data());  // a slice, not a copy
    EXPECT_LT(match.record.data(), payload.data() + payload.size());
  }
}

// A lock could be looked for in one mode only, or the two halves of a filter be taken as alternatives.
TEST(Selection, AllOfTheFilterAppliesWhateverTheMode) {
  FeedFilter filter;
  filter.lock = kKeys[1];
  Selection any(filter, TxnId(0), 1u << 20);
  EXPECT_EQ(any.walk(entry_of(0, 9)), Selection::Walk::done);
  EXPECT_EQ(ids_of(any), (std::vector<std::uint64_t>{3, 4, 5}));
  filter.header_mask = 1;
  Selection even(filter, TxnId(0), 1u << 20);
  EXPECT_EQ(even.walk(entry_of(0, 9)), Selection::Walk::done);
  EXPECT_EQ(ids_of(even), (std::vector<std::uint64_t>{4}));
}

// At the edge of the credit a match could be sent twice, skipped, or the reader be starved of one that is too large.
TEST(Selection, StopsBeforeTheMatchThatHasNoRoom) {
  const FeedFilter filter = by_header(1, 1);
  const std::size_t record = kRecordHeaderBytes + kLockBytes + 8;
  for (std::uint32_t credit = 0; credit < 4 * record; credit += 4) {
    std::vector<std::uint64_t> ids;
    TxnId next;
    for (int rounds = 0; next < TxnId(12) && rounds < 100; ++rounds) {
      Selection selection(filter, next, credit);
      auto walk = Selection::Walk::done;
      for (std::uint64_t first = 0; first < 12 && walk == Selection::Walk::done; first += 4) {
        if (first + 4 > next.value) walk = selection.walk(entry_of(first, 4));
      }
      const auto found = ids_of(selection);
      EXPECT_GE(found.size(), 1u);  // there is always one more to come, up to 11
      EXPECT_TRUE(found.size() == 1 || found.size() * record <= credit);
      ids.insert(ids.end(), found.begin(), found.end());
      EXPECT_GT(selection.next(), next);
      next = selection.next();
    }
    EXPECT_EQ(ids, (std::vector<std::uint64_t>{1, 3, 5, 7, 9, 11})) << credit;
  }
}

// A payload that cannot be read could look like one without matches.
TEST(Selection, SaysThatAPayloadIsMalformed) {
  const FeedFilter filter = by_header(1, 1);
  const Bytes payload = entry_of(0, 4);
  Selection selection(filter, TxnId(0), 1u << 20);
  EXPECT_EQ(selection.walk(payload.slice(0, payload.size() - 8)), Selection::Walk::malformed);
}

}  // namespace
}  // namespace reel::log
