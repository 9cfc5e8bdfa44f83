#include "node/log/locks.h"

#include <gtest/gtest.h>

#include <map>

#include "io/ports/checksum.h"

namespace reel::log {
namespace {

LockKey key(std::uint64_t number) { return lock_key("key " + std::to_string(number), 1); }

// The newest changes of at most `keys_max` keys, kept the slow way.
class SlowTable {
 public:
  explicit SlowTable(std::size_t keys_max) : keys_max_(keys_max) {}
  void change(std::uint64_t number, std::uint64_t id) {
    newest_[number] = id;
    order_[++changes_] = number;
    latest_[number] = changes_;
    while (newest_.size() > keys_max_) {
      const auto [at, oldest] = *order_.begin();
      order_.erase(order_.begin());
      if (latest_[oldest] != at) continue;
      floor_ = newest_[oldest] + 1;
      newest_.erase(oldest);
    }
  }
  std::optional<TxnId> changed(std::uint64_t number) const {
    const auto found = newest_.find(number);
    return found == newest_.end() ? std::nullopt : std::optional(TxnId(found->second));
  }
  std::uint64_t floor() const { return floor_; }

 private:
  std::size_t keys_max_;
  std::uint64_t changes_ = 0;
  std::uint64_t floor_ = 0;
  std::map<std::uint64_t, std::uint64_t> newest_;
  std::map<std::uint64_t, std::uint64_t> order_;
  std::map<std::uint64_t, std::uint64_t> latest_;
};

// A key could be forgotten too early, kept too long, or lost when another one is taken out beside it.
TEST(LockTable, AgreesWithASlowOne) {
  for (const std::uint32_t keys_max : {1u, 2u, 3u, 7u, 64u, 100u}) {
    LockTable table(keys_max);
    SlowTable slow(keys_max);
    for (std::uint64_t id = 0; id < 3000; ++id) {
      const std::uint64_t number = io::keyed_hash(keys_max, {id}) % (std::uint64_t{keys_max} * 2);
      table.change(key(number), TxnId(id));
      slow.change(number, id);
      ASSERT_EQ(table.floor().value, slow.floor()) << "id " << id << " of " << keys_max;
      if (id % 7 != 0) continue;
      for (std::uint64_t other = 0; other < std::uint64_t{keys_max} * 2; ++other) {
        ASSERT_EQ(table.changed(key(other)), slow.changed(other)) << "key " << other << " after id " << id;
      }
    }
  }
}

// An entry that is applied could take later changes of the same key with it, or stay.
TEST(LockOverlay, ForgetsWithItsEntry) {
  LockOverlay overlay;
  overlay.change(key(1), {TxnId(10), Index(3)});
  overlay.change(key(2), {TxnId(11), Index(3)});
  overlay.change(key(1), {TxnId(12), Index(4)});
  overlay.applied(Index(3));
  EXPECT_FALSE(overlay.changed(key(2)).has_value());
  ASSERT_TRUE(overlay.changed(key(1)).has_value());
  EXPECT_EQ(overlay.changed(key(1))->id, TxnId(12));
  overlay.applied(Index(4));
  EXPECT_FALSE(overlay.changed(key(1)).has_value());
}

struct Locks {
  std::vector<LockKey> writes;
  std::vector<LockKey> reads;
  std::vector<LockKey> appends;
  std::optional<TxnId> based_on;
};

LockVerdict verdict(const Locks& locks, const LockTable& table, const LockOverlay& overlay = {}) {
  TransactionInput input;
  input.write_locks = locks.writes;
  input.read_locks = locks.reads;
  input.append_locks = locks.appends;
  input.based_on = locks.based_on;
  std::vector<std::byte> block;
  append_record(block, input);
  return judge(*parse_record(block), table, overlay);
}
using Kind = LockVerdict::Kind;

// A cell of the matrix of design.md §5 could be wrong: earlier changes conflict with later writes and reads alone.
TEST(LockRule, FollowsTheMatrix) {
  LockTable table(8);
  table.change(key(1), TxnId(5));
  EXPECT_EQ(verdict({{key(1)}, {}, {}, TxnId(4)}, table).kind, Kind::conflict);
  EXPECT_EQ(verdict({{}, {key(1)}, {}, TxnId(4)}, table).kind, Kind::conflict);
  EXPECT_EQ(verdict({{}, {}, {key(1)}, TxnId(4)}, table).kind, Kind::free);
  EXPECT_EQ(verdict({{key(2)}, {key(3)}, {key(1)}, TxnId(4)}, table).kind, Kind::free);
  EXPECT_EQ(verdict({{}, {}, {}, std::nullopt}, table).kind, Kind::free);
}

// A transaction could conflict with what its client had applied, or slip past what it had not.
TEST(LockRule, ComparesWithWhatTheClientHadApplied) {
  LockTable table(8);
  table.change(key(1), TxnId(5));
  EXPECT_EQ(verdict({{key(1)}, {}, {}, TxnId(5)}, table).kind, Kind::free);
  EXPECT_EQ(verdict({{key(1)}, {}, {}, TxnId(6)}, table).kind, Kind::free);
  const LockVerdict found = verdict({{key(7), key(8)}, {key(1)}, {}, std::nullopt}, table);
  EXPECT_EQ(found.kind, Kind::conflict);
  EXPECT_EQ(found.lock, 2u);
  EXPECT_EQ(found.id, TxnId(5));
  EXPECT_EQ(found.released_by, Index());
}

// The edge of the window could be off by one: a missed conflict, or a refusal without need.
TEST(LockRule, IsStaleExactlyBelowTheWindow) {
  LockTable table(2);
  for (std::uint64_t id = 0; id < 5; ++id) table.change(key(id), TxnId(id));
  ASSERT_EQ(table.floor(), TxnId(3));  // 3 and 4 are known
  EXPECT_EQ(verdict({{key(9)}, {}, {}, TxnId(2)}, table).kind, Kind::free);
  EXPECT_EQ(verdict({{key(9)}, {}, {}, TxnId(1)}, table).kind, Kind::stale);
  EXPECT_EQ(verdict({{key(9)}, {}, {}, TxnId(1)}, table).id, TxnId(3));
  EXPECT_EQ(verdict({{key(9)}, {}, {}, std::nullopt}, table).kind, Kind::stale);
  EXPECT_EQ(verdict({{}, {}, {key(9)}, std::nullopt}, table).kind, Kind::free);
  EXPECT_EQ(verdict({{key(4)}, {}, {}, TxnId(1)}, table).kind,
            Kind::conflict);  // known, whatever is forgotten
}

// A verdict that rests on an entry in flight could be told before that entry is committed.
TEST(LockRule, NamesTheEntryThatReleasesIt) {
  LockTable table(8);
  LockOverlay overlay;
  overlay.change(key(1), {TxnId(9), Index(4)});
  LockVerdict found = verdict({{key(1)}, {}, {}, TxnId(8)}, table, overlay);
  EXPECT_EQ(found.kind, Kind::conflict);
  EXPECT_EQ(found.released_by, Index(4));
  table.change(key(2), TxnId(3));
  found = verdict({{key(1), key(2)}, {}, {}, TxnId(2)}, table, overlay);
  EXPECT_EQ(found.lock, 1u);  // what is committed needs no waiting
  EXPECT_EQ(found.released_by, Index());
}

}  // namespace
}  // namespace reel::log
