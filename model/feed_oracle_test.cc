#include "model/feed_oracle.h"

#include <gtest/gtest.h>

#include <functional>

namespace reel::model {
namespace {

// Transaction `id`: header and digest are the id, its time a hundred more, its lock by its last bit.
Shown shown(std::uint64_t id) { return {100 + id, static_cast<std::uint32_t>(id), id, {LockKey{id % 2, 9}}}; }

FeedOracle with_log(std::uint64_t size) {
  FeedOracle oracle;
  for (std::uint64_t id = 0; id < size; ++id) oracle.applied(TxnId(id), shown(id));
  return oracle;
}

Wanted thirds() {  // of four: ids 2, 6, 10, …
  Wanted wanted;
  wanted.header_mask = 3;
  wanted.header_value = 2;
  return wanted;
}

// An oracle that complains about a correct feed would be switched off.
TEST(FeedOracle, IsSilentAboutWhatIsRight) {
  FeedOracle oracle = with_log(12);
  oracle.opened(1, TxnId(0), thirds());
  EXPECT_FALSE(oracle.fed(1, TxnId(2), shown(2)));
  EXPECT_FALSE(oracle.passed(1, TxnId(6)));
  EXPECT_FALSE(oracle.fed(1, TxnId(6), shown(6)));
  EXPECT_FALSE(oracle.passed(1, TxnId(9)));
  oracle.opened(1, TxnId(7), thirds());  // after a crash: a little earlier
  EXPECT_FALSE(oracle.passed(1, TxnId(10)));
  Wanted late;
  late.time_min = 105;
  late.lock = LockKey{1, 9};
  oracle.opened(2, TxnId(0), late);
  EXPECT_FALSE(oracle.fed(2, TxnId(5), shown(5)));
  EXPECT_FALSE(oracle.fed(2, TxnId(7), shown(7)));
}

// Each kind of wrong could go unnoticed: skipped, passed over, repeated, not matching, changed, or out of thin air.
TEST(FeedOracle, FindsEachKindOfWrong) {
  const auto broken = [](const std::function<std::optional<Violation>(FeedOracle&)>& act) {
    FeedOracle oracle = with_log(12);
    oracle.opened(1, TxnId(0), thirds());
    EXPECT_FALSE(oracle.fed(1, TxnId(2), shown(2)));
    return act(oracle).has_value();
  };
  EXPECT_TRUE(broken([](FeedOracle& oracle) { return oracle.fed(1, TxnId(10), shown(10)); }));
  EXPECT_TRUE(broken([](FeedOracle& oracle) { return oracle.passed(1, TxnId(7)); }));
  EXPECT_TRUE(broken([](FeedOracle& oracle) { return oracle.fed(1, TxnId(2), shown(2)); }));
  EXPECT_TRUE(broken([](FeedOracle& oracle) { return oracle.fed(1, TxnId(5), shown(5)); }));
  EXPECT_TRUE(broken([](FeedOracle& oracle) {
    Shown other = shown(6);
    ++other.digest;
    return oracle.fed(1, TxnId(6), other);
  }));
  EXPECT_TRUE(broken([](FeedOracle& oracle) {
    oracle.opened(1, TxnId(11), thirds());
    return oracle.passed(1, TxnId(13));
  }));
  EXPECT_TRUE(broken([](FeedOracle& oracle) {
    oracle.opened(1, TxnId(12), thirds());
    return oracle.fed(1, TxnId(14), shown(14));
  }));
}

}  // namespace
}  // namespace reel::model
