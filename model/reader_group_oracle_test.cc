#include "model/reader_group_oracle.h"

#include <gtest/gtest.h>

namespace reel::model {
namespace {

constexpr MemberId kAnn{0, 1};
constexpr MemberId kBob{0, 2};
constexpr GroupId kGroup{1};

// Ann owns the partition in epoch 1, was handed `handed`, is done with `done` and was told that `kept` is kept.
ReaderGroupOracle with_ann(std::uint64_t handed, std::uint64_t done, std::uint64_t kept) {
  ReaderGroupOracle oracle;
  EXPECT_FALSE(oracle.gained(kAnn, kGroup, Epoch(1), TxnId(0)));
  for (std::uint64_t id = 0; id < handed; ++id) {
    EXPECT_FALSE(oracle.handed(kAnn, kGroup, Epoch(1), TxnId(id)));
  }
  EXPECT_FALSE(oracle.done(kAnn, kGroup, Epoch(1), TxnId(done)));
  EXPECT_FALSE(oracle.kept(kAnn, kGroup, Epoch(1), TxnId(kept)));
  return oracle;
}

std::string oracle_of(const ReaderGroupOracle::Finding& finding) { return finding ? finding->oracle : ""; }

TEST(ReaderGroupOracle, IsSilentAboutWhatIsRight) {
  // An oracle that complains about correct members would be switched off.
  ReaderGroupOracle oracle = with_ann(10, 8, 5);
  // Bob takes over behind what was reported; what Ann did and did not report is done again.
  EXPECT_FALSE(oracle.gained(kBob, kGroup, Epoch(2), TxnId(5)));
  EXPECT_FALSE(oracle.handed(kBob, kGroup, Epoch(2), TxnId(5)));
  EXPECT_FALSE(oracle.handed(kAnn, kGroup, Epoch(1), TxnId(10)));  // she does not know yet
  EXPECT_FALSE(oracle.gained(kBob, kGroup, Epoch(2), TxnId(5)));   // he gave it up and has it again
  EXPECT_FALSE(oracle.kept(kAnn, kGroup, Epoch(1), TxnId(5)));     // a late answer
  EXPECT_EQ(oracle.done_with(kGroup), TxnId(8));
}

TEST(ReaderGroupOracle, FindsASkippedTransaction) {
  // What nobody did would be lost for good, silently.
  ReaderGroupOracle oracle = with_ann(10, 8, 5);
  EXPECT_EQ(oracle_of(oracle.gained(kBob, kGroup, Epoch(2), TxnId(9))), "group-skip");
}

TEST(ReaderGroupOracle, FindsAPositionThatFell) {
  // What was reported as done would be done again.
  ReaderGroupOracle oracle = with_ann(10, 8, 5);
  EXPECT_EQ(oracle_of(oracle.gained(kBob, kGroup, Epoch(2), TxnId(4))), "group-position");
  ReaderGroupOracle late = with_ann(10, 8, 5);
  EXPECT_FALSE(late.gained(kBob, kGroup, Epoch(2), TxnId(6)));
  // She is told that more is kept than Bob began with.
  EXPECT_EQ(oracle_of(late.kept(kAnn, kGroup, Epoch(1), TxnId(7))), "group-position");
}

TEST(ReaderGroupOracle, FindsTwoOwners) {
  // Two owners in one epoch could not be told apart by anything that the token guards.
  ReaderGroupOracle oracle = with_ann(10, 8, 5);
  EXPECT_EQ(oracle_of(oracle.gained(kBob, kGroup, Epoch(1), TxnId(5))), "group-epoch");
}

TEST(ReaderGroupOracle, FindsGapsRepeatsAndWhatWasNeverGiven) {
  // A member could lose or repeat transactions although the cluster is right.
  ReaderGroupOracle oracle = with_ann(10, 8, 5);
  EXPECT_EQ(oracle_of(oracle.handed(kAnn, kGroup, Epoch(1), TxnId(11))), "group-order");
  EXPECT_EQ(oracle_of(oracle.handed(kAnn, kGroup, Epoch(1), TxnId(9))), "group-order");
  EXPECT_EQ(oracle_of(oracle.handed(kBob, kGroup, Epoch(1), TxnId(10))), "group-order");
  EXPECT_EQ(oracle_of(oracle.done(kAnn, kGroup, Epoch(1), TxnId(11))), "group-order");
}

}  // namespace
}  // namespace reel::model
