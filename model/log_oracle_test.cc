#include "model/log_oracle.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace reel::model {
namespace {

constexpr NodeId kA{1};
constexpr NodeId kB{2};
constexpr SessionId kSession{7, 8};
constexpr SessionId kOther{7, 9};

// The transaction that stands at an id in these tests, unless a test says otherwise.
Transaction at(std::uint64_t id, SessionId session = kSession) {
  return {session, Sequence(id + 1), 100 + id, 5'000 + id};
}
std::string name(const LogOracle::Finding& finding) {
  if (finding) {
    EXPECT_GT(finding->sentence.size(), 20u);
  }
  return finding ? finding->oracle : "";
}
void apply_all(LogOracle& oracle, NodeId node, std::uint64_t count) {
  for (std::uint64_t id = 0; id < count; ++id) EXPECT_EQ(name(oracle.applied(node, TxnId(id), at(id))), "");
}
std::string acknowledge(LogOracle& oracle, std::uint64_t id) {
  return name(oracle.acknowledged(kSession, Sequence(id + 1), TxnId(id), 100 + id));
}
const std::vector<NodeId> kCore{kA, kB};

TEST(LogOracle, AWholeRunIsLegal) {
  // An oracle that cries out at a correct run is worse than none.
  LogOracle oracle;
  oracle.declare_ordered(kSession);
  EXPECT_EQ(acknowledge(oracle, 1), "");  // before any node reported it
  apply_all(oracle, kA, 500);
  oracle.restarted(kA);
  apply_all(oracle, kA, 500);
  apply_all(oracle, kB, 500);
  for (std::uint64_t id = 0; id < 500; ++id) {
    EXPECT_EQ(acknowledge(oracle, id), "");
    EXPECT_EQ(acknowledge(oracle, id), "");  // repeated requests get the original's answer
    EXPECT_EQ(name(oracle.fed(1, TxnId(id), at(id))), "");
  }
  oracle.feed_opened(2, TxnId{490});
  EXPECT_EQ(name(oracle.fed(2, TxnId{490}, at(490))), "");
  EXPECT_EQ(name(oracle.finish(kCore)), "");
  EXPECT_EQ(oracle.size(), 500u);
  EXPECT_EQ(oracle.acknowledgements(), 1'001u);
  EXPECT_EQ(oracle.deliveries(), 501u);
}

TEST(LogOracle, IdsWithGaps) {
  // A node could leave out an id, repeat one, or not start at 0.
  LogOracle oracle;
  EXPECT_EQ(name(oracle.applied(kA, TxnId{1}, at(1))), "gap-free");
  apply_all(oracle, kA, 2);
  EXPECT_EQ(name(oracle.applied(kA, TxnId{1}, at(1))), "gap-free");
  EXPECT_EQ(name(oracle.applied(kA, TxnId{3}, at(3))), "gap-free");
  EXPECT_EQ(name(oracle.applied(kB, TxnId{2}, at(2))), "gap-free");
}

TEST(LogOracle, ARequestAtTwoIds) {
  // A repeated request could be committed again, by a new leader that does not know it.
  LogOracle oracle;
  apply_all(oracle, kA, 2);
  EXPECT_EQ(name(oracle.applied(kA, TxnId{2}, {kOther, Sequence{2}, 102, 1})), "");
  EXPECT_EQ(name(oracle.applied(kA, TxnId{3}, {kSession, Sequence{2}, 103, 1})), "exactly-once");
}

TEST(LogOracle, NodesDiverge) {
  // Two nodes could hold different transactions, or different bytes, at one id.
  LogOracle oracle;
  apply_all(oracle, kA, 1);
  Transaction other = at(0);
  other.digest ^= 1;
  EXPECT_EQ(name(oracle.applied(kB, TxnId{0}, other)), "divergence");
}

TEST(LogOracle, ARestartThatBringsAnotherLog) {
  // After a restart a node could apply something else than before.
  LogOracle oracle;
  apply_all(oracle, kA, 2);
  oracle.restarted(kA);
  EXPECT_EQ(name(oracle.applied(kA, TxnId{0}, at(0))), "");
  EXPECT_EQ(name(oracle.applied(kA, TxnId{1}, at(1, kOther))), "divergence");
}

TEST(LogOracle, TimesThatDoNotRise) {
  // A new leader with a slow clock could write a commit time that does not rise.
  LogOracle oracle;
  apply_all(oracle, kA, 1);
  EXPECT_EQ(name(oracle.applied(kA, TxnId{1}, {kSession, Sequence{2}, 100, 1})), "commit-time");
}

TEST(LogOracle, AnOrderedSessionOutOfOrder) {
  // A pipelined stream could be reordered by a change of leader; sessions that did not ask for order may be.
  LogOracle oracle;
  oracle.declare_ordered(kOther);
  EXPECT_EQ(name(oracle.applied(kA, TxnId{0}, {kSession, Sequence{9}, 1, 1})), "");
  EXPECT_EQ(name(oracle.applied(kA, TxnId{1}, {kSession, Sequence{4}, 2, 1})), "");
  EXPECT_EQ(name(oracle.applied(kA, TxnId{2}, {kOther, Sequence{1}, 3, 1})), "");
  EXPECT_EQ(name(oracle.applied(kA, TxnId{3}, {kOther, Sequence{3}, 4, 1})), "session-order");
}

TEST(LogOracle, AnAcknowledgementOfSomethingElse) {
  // A client could be told an id or a time at which another request stands, before or after it is applied.
  for (const bool before : {false, true}) {
    LogOracle oracle;
    std::string first;
    std::string second;
    if (before) first = name(oracle.acknowledged(kSession, Sequence{5}, TxnId{0}, 100));
    second = name(oracle.applied(kA, TxnId{0}, at(0)));
    if (!before) first = name(oracle.acknowledged(kSession, Sequence{5}, TxnId{0}, 100));
    EXPECT_EQ(before ? second : first, "durability");
    EXPECT_EQ(before ? first : second, "");
  }
  LogOracle oracle;
  apply_all(oracle, kA, 1);
  EXPECT_EQ(name(oracle.acknowledged(kSession, Sequence{1}, TxnId{0}, 101)), "durability");
  EXPECT_EQ(name(oracle.acknowledged(kOther, Sequence{1}, TxnId{0}, 100)), "durability");
}

TEST(LogOracle, AcknowledgedAndNeverApplied) {
  // An acknowledged append could be lost before any node applies it.
  LogOracle oracle;
  apply_all(oracle, kA, 1);
  EXPECT_EQ(acknowledge(oracle, 1), "");
  EXPECT_EQ(name(oracle.finish({})), "durability");
}

TEST(LogOracle, AcknowledgedAndMissingAtTheEnd) {
  // An acknowledged append could be on one node of the core and not on another, or be gone after a restart.
  LogOracle oracle;
  apply_all(oracle, kA, 3);
  apply_all(oracle, kB, 2);
  EXPECT_EQ(acknowledge(oracle, 1), "");
  EXPECT_EQ(name(oracle.finish(kCore)), "");
  EXPECT_EQ(acknowledge(oracle, 2), "");
  EXPECT_EQ(name(oracle.finish(kCore)), "durability");
  EXPECT_EQ(name(oracle.applied(kB, TxnId{2}, at(2))), "");
  EXPECT_EQ(name(oracle.finish(kCore)), "");
  oracle.restarted(kA);
  EXPECT_EQ(name(oracle.finish(kCore)), "durability");
}

TEST(LogOracle, FeedsThatSkipRepeatOrChange) {
  // A reader could miss a transaction, get one twice, get other bytes, or see what was never committed.
  LogOracle oracle;
  apply_all(oracle, kA, 3);
  EXPECT_EQ(name(oracle.fed(1, TxnId{1}, at(1))), "feed");
  EXPECT_EQ(name(oracle.fed(1, TxnId{0}, at(0))), "");
  EXPECT_EQ(name(oracle.fed(1, TxnId{0}, at(0))), "feed");
  Transaction other = at(1);
  other.digest ^= 1;
  EXPECT_EQ(name(oracle.fed(1, TxnId{1}, other)), "feed");
  oracle.feed_opened(1, TxnId{3});
  EXPECT_EQ(name(oracle.fed(1, TxnId{3}, at(3))), "");  // a claim
  EXPECT_EQ(name(oracle.finish(kCore)), "feed");
  EXPECT_EQ(name(oracle.applied(kA, TxnId{3}, at(3, kOther))), "feed");
}

TEST(LogOracle, ClaimsAreBounded) {
  // Acknowledgements of ids that nobody applies could fill the memory.
  LogOracle oracle;
  std::string found;
  std::uint64_t id = 1;
  for (; found.empty() && id < 2 * LogOracle::kClaimsMax; ++id) found = acknowledge(oracle, id);
  EXPECT_EQ(found, "durability");
  EXPECT_EQ(id - 2, LogOracle::kClaimsMax);
}

}  // namespace
}  // namespace reel::model
