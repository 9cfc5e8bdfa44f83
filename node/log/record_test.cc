#include "node/log/record.h"

#include <gtest/gtest.h>

#include <cstring>

namespace reel::log {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

std::vector<std::byte> entry_of(const std::vector<std::byte>& block, std::uint32_t count) {
  std::vector<std::byte> payload(kEntryHeaderBytes + kSectionHeaderBytes + block.size());
  const std::span<std::byte> room(payload);
  write_entry_header(room.first<kEntryHeaderBytes>(), {1, count, TxnId(7), 1000});
  write_section_header(room.subspan<kEntryHeaderBytes, kSectionHeaderBytes>(),
                       {{1, 2}, Sequence(5), count, static_cast<std::uint32_t>(block.size())});
  std::memcpy(payload.data() + kEntryHeaderBytes + kSectionHeaderBytes, block.data(), block.size());
  return payload;
}

// A field could be lost or land in a neighbour's place on its way through the layout.
TEST(Record, KeepsEveryField) {
  const auto data = bytes_of("hello, log");
  const std::vector<LockKey> writes{{1, 2}};
  const std::vector<LockKey> reads{{3, 4}, {5, 6}};
  const std::vector<LockKey> appends{{7, 8}};
  TransactionInput input{.header = 0xdeadbeef,
                         .data = data,
                         .write_locks = writes,
                         .read_locks = reads,
                         .append_locks = appends,
                         .based_on = TxnId(41),
                         .intent = 99};
  std::vector<std::byte> block;
  append_record(block, input);
  ASSERT_EQ(block.size(), record_bytes(input));
  EXPECT_EQ(block.size() % 8, 0u);
  const auto view = parse_record(block);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->header, 0xdeadbeefu);
  EXPECT_EQ(view->write_locks, 1);
  EXPECT_EQ(view->read_locks, 2);
  EXPECT_EQ(view->append_locks, 1);
  EXPECT_EQ(view->based_on, TxnId(41));
  EXPECT_EQ(view->intent, 99u);
  EXPECT_EQ(view->checksum, io::checksum(data));
  EXPECT_EQ(std::vector<std::byte>(view->data.begin(), view->data.end()), data);
  EXPECT_EQ(view->locks.size(), 4 * kLockBytes);
  EXPECT_EQ(view->size, block.size());
}

// "Based on nothing" and "based on transaction 0" could become the same number.
TEST(Record, TellsBasedOnZeroFromBasedOnNothing) {
  std::vector<std::byte> block;
  append_record(block, {.header = 0,
                        .data = {},
                        .write_locks = {},
                        .read_locks = {},
                        .append_locks = {},
                        .based_on = TxnId(0),
                        .intent = 0});
  EXPECT_EQ(parse_record(block)->based_on, TxnId(0));
  block.clear();
  append_record(block, {});
  EXPECT_EQ(parse_record(block)->based_on, std::nullopt);
}

// A parser could read past the end of what a stranger sent, or take a size from it on trust.
TEST(Record, RefusesEveryTruncationAndSurvivesEveryFlip) {
  std::vector<std::byte> block;
  const auto data = bytes_of("abcdefghijk");
  for (int i = 0; i < 3; ++i)
    append_record(block, {.header = 1,
                          .data = data,
                          .write_locks = {},
                          .read_locks = {},
                          .append_locks = {},
                          .based_on = {},
                          .intent = 0});
  ASSERT_TRUE(survey(block, 3).has_value());
  EXPECT_FALSE(survey(block, 2).has_value());
  EXPECT_FALSE(survey(block, 4).has_value());
  const auto payload = entry_of(block, 3);
  ASSERT_TRUE(parse_entry(payload).has_value());
  for (std::size_t size = 0; size < payload.size(); ++size) {
    const std::vector<std::byte> cut(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(parse_entry(cut).has_value()) << size;
  }
  for (std::size_t at = 0; at < payload.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> flipped = payload;
      flipped[at] ^= std::byte(1 << bit);
      std::size_t seen = 0;
      for_each_transaction(flipped, TxnId(0), [&](const Transaction& transaction) {
        for (const std::byte byte : transaction.record.data) seen += static_cast<std::size_t>(byte);
      });
      EXPECT_LT(seen, std::size_t{1} << 30);
    }
  }
}

// A leader could walk no lock where there are some, or take a transaction's base from another.
TEST(Record, SurveyCountsLocksAndFindsTheHighestBase) {
  const LockKey a = lock_key("a", 7);
  const LockKey b = lock_key("b", 7);
  EXPECT_NE(a, b);
  EXPECT_NE(a, lock_key("a", 8));  // keyed by the cluster
  std::vector<std::byte> block;
  const LockKey both[] = {a, b};
  TransactionInput first;
  first.write_locks = both;
  first.based_on = TxnId(9);
  append_record(block, first);
  TransactionInput second;
  second.read_locks = std::span(both).first(1);
  second.append_locks = std::span(both).last(1);
  second.based_on = TxnId(4);
  const std::vector<std::byte> data(5);
  second.data = data;
  append_record(block, second);
  EXPECT_EQ(survey(block, 2), (Survey{4, 3, TxnId(9), 5}));
  const auto record = parse_record(std::span(block).subspan(record_bytes(first)));
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->lock(0), a);
  EXPECT_EQ(record->lock(1), b);
  EXPECT_TRUE(record->lock_is_checked(0) && !record->lock_is_changed(0));  // the read
  EXPECT_TRUE(!record->lock_is_checked(1) && record->lock_is_changed(1));  // the append
}

// Ids, times and sequences could drift from their positions, or `from` cut at the wrong one.
TEST(Record, NumbersTransactionsByPosition) {
  std::vector<std::byte> block;
  for (int i = 0; i < 4; ++i) append_record(block, {});
  const auto payload = entry_of(block, 4);
  std::vector<std::uint64_t> ids;
  ASSERT_TRUE(for_each_transaction(payload, TxnId(9), [&](const Transaction& transaction) {
    ids.push_back(transaction.id.value);
    EXPECT_EQ(transaction.time, 1000 + transaction.id.value - 7);
    EXPECT_EQ(transaction.sequence.value, 5 + transaction.id.value - 7);
    EXPECT_EQ(transaction.session, (SessionId{1, 2}));
  }));
  EXPECT_EQ(ids, (std::vector<std::uint64_t>{9, 10}));
}

}  // namespace
}  // namespace reel::log
