#include "node/log/log_state.h"

#include <gtest/gtest.h>

namespace reel::log {
namespace {

// An entry of `count` transactions, without locks or data.
std::vector<std::byte> entry_of(TxnId first, std::uint32_t count, std::uint64_t time) {
  std::vector<std::byte> records;
  for (std::uint32_t i = 0; i < count; ++i) append_record(records, {});
  std::vector<std::byte> payload(kEntryHeaderBytes + kSectionHeaderBytes);
  const std::span<std::byte> room(payload);
  write_entry_header(room.first<kEntryHeaderBytes>(), {1, count, first, time});
  SectionHeader section;
  section.session = {1, 2};
  section.first = Sequence(first.value + 1);
  section.count = count;
  section.bytes = static_cast<std::uint32_t>(records.size());
  section.opens = true;
  write_section_header(room.subspan<kEntryHeaderBytes, kSectionHeaderBytes>(), section);
  payload.insert(payload.end(), records.begin(), records.end());
  return payload;
}

void apply(LogState& state, std::uint32_t count, std::uint64_t time) {
  const auto payload = entry_of(state.next_id(), count, time);
  EntryIdentity identity;
  identity.index = state.applied() + 1;
  identity.term = Term(1);
  identity.kind = EntryKind::transactions;
  ASSERT_TRUE(state.apply(identity, payload));
}

// A feed from a time could begin one transaction late, at the edges of entries above all, and miss it for ever.
TEST(LogState, TheFirstTransactionOfATimeIsFound) {
  LogState state;
  EXPECT_EQ(state.first_at(0), TxnId(0));
  EXPECT_EQ(state.first_at(99), TxnId(0));  // nothing is there: the next one may be the first
  std::vector<std::uint64_t> times;
  const auto add = [&](std::uint32_t count, std::uint64_t time) {
    apply(state, count, time);
    for (std::uint32_t i = 0; i < count; ++i) times.push_back(time + i);
  };
  add(1, 100);
  add(3, 101);  // directly behind
  add(2, 110);
  add(1, 112);
  add(4, 200);
  for (std::uint64_t time = 95; time < 210; ++time) {
    const auto found = std::lower_bound(times.begin(), times.end(), time);
    EXPECT_EQ(state.first_at(time), TxnId(static_cast<std::uint64_t>(found - times.begin()))) << time;
  }
}

}  // namespace
}  // namespace reel::log
