#include "model/lock_oracle.h"

#include <gtest/gtest.h>

namespace reel::model {
namespace {

using Key = LockRequest::Key;

LockRequest request(std::vector<Key> writes, std::vector<Key> reads, std::optional<std::uint64_t> based_on) {
  LockRequest made;
  made.writes = std::move(writes);
  made.reads = std::move(reads);
  if (based_on) made.based_on = TxnId(*based_on);
  return made;
}
std::string oracle_of(const LockOracle::Finding& finding) { return finding ? finding->oracle : ""; }

// A missed conflict could pass.
TEST(LockOracle, ConvictsAMissedConflict) {
  LockOracle oracle(8);
  EXPECT_FALSE(oracle.committed(TxnId(0), request({{1, 1}}, {}, std::nullopt)));
  EXPECT_FALSE(oracle.committed(TxnId(1), request({{1, 1}}, {}, 0)));
  EXPECT_FALSE(oracle.committed(TxnId(2), request({}, {{1, 1}}, 1)));
  EXPECT_EQ(oracle_of(oracle.committed(TxnId(3), request({}, {{1, 1}}, 0))), "lock-rule");
}

// The same transaction, told by the next node, could be judged against itself.
TEST(LockOracle, TakesEachTransactionOnce) {
  LockOracle oracle(8);
  const LockRequest one = request({{1, 1}}, {}, std::nullopt);
  EXPECT_FALSE(oracle.committed(TxnId(0), one));
  EXPECT_FALSE(oracle.committed(TxnId(0), one));
}

// A refusal without a cause could pass, or one whose cause may still die.
TEST(LockOracle, ConvictsRefusalsWithoutCause) {
  LockOracle oracle(8);
  LockRequest append;
  append.appends = {{2, 2}};
  EXPECT_FALSE(oracle.committed(TxnId(0), append));
  EXPECT_FALSE(oracle.conflicted(request({{2, 2}}, {}, std::nullopt), 0, TxnId(0)));
  EXPECT_EQ(oracle_of(oracle.conflicted(request({{3, 3}}, {}, std::nullopt), 0, TxnId(0))), "false-conflict");
  EXPECT_EQ(oracle_of(oracle.conflicted(request({{2, 2}}, {}, 0), 0, TxnId(0))), "false-conflict");
  EXPECT_EQ(oracle_of(oracle.conflicted(request({{2, 2}}, {}, std::nullopt), 1, TxnId(0))), "false-conflict");
  EXPECT_EQ(oracle_of(oracle.conflicted(request({{2, 2}}, {}, std::nullopt), 0, TxnId(1))), "early-verdict");
}

// A window that forgets too early could pass.
TEST(LockOracle, ConvictsAWindowThatIsTooSmall) {
  LockOracle oracle(2);
  for (std::uint64_t id = 0; id < 3; ++id) {
    EXPECT_FALSE(oracle.committed(TxnId(id), request({{id, id}}, {}, std::nullopt)));
  }
  EXPECT_FALSE(oracle.stale(request({{9, 9}}, {}, std::nullopt), TxnId(1)));
  EXPECT_EQ(oracle_of(oracle.stale(request({{9, 9}}, {}, 0), TxnId(1))), "false-stale");
  EXPECT_EQ(oracle_of(oracle.stale(request({{9, 9}}, {}, std::nullopt), TxnId(2))), "false-stale");
}

}  // namespace
}  // namespace reel::model
