#include "model/overload_oracle.h"

#include <gtest/gtest.h>

#include <vector>

namespace reel::model {
namespace {

constexpr NodeId kClient(101);
constexpr NodeId kNode(1);
constexpr GroupId kGroup(1);

io::Instant at(std::int64_t ms) { return io::Instant{} + io::milliseconds(ms); }

// A queue that says less than it holds takes memory that nobody counts; one that says more closes for ever.
TEST(OverloadOracle, QueuesHoldWhatTheySayAndNoMoreThanTheyMay) {
  EXPECT_FALSE(OverloadOracle::queue(kNode, kGroup, {0, 0, 0, 1000}));
  EXPECT_FALSE(OverloadOracle::queue(kNode, kGroup, {2, 1000, 2, 1000}));
  EXPECT_FALSE(OverloadOracle::queue(kNode, kGroup, {1, 5000, 1, 1000})) << "alone, it may be large";
  EXPECT_TRUE(OverloadOracle::queue(kNode, kGroup, {2, 1001, 2, 1000}));
  EXPECT_TRUE(OverloadOracle::queue(kNode, kGroup, {3, 900, 2, 1000}));
  EXPECT_TRUE(OverloadOracle::queue(kNode, kGroup, {1, 900, 2, 1000}));
  EXPECT_TRUE(OverloadOracle::queue(kNode, kGroup, {0, 1, 0, 1000}));
}

// Who comes back early keeps the overload up.
TEST(OverloadOracle, ClientsComeBackWhenTheyWereToldTo) {
  OverloadOracle oracle;
  EXPECT_FALSE(oracle.asks(kClient, kNode, at(0)));
  oracle.told_to_wait(kClient, kNode, at(100));
  oracle.told_to_wait(kClient, kNode, at(80));
  EXPECT_TRUE(oracle.asks(kClient, kNode, at(99)));
  EXPECT_FALSE(oracle.asks(NodeId(102), kNode, at(50))) << "another client";
  EXPECT_FALSE(oracle.asks(kClient, kNode, at(100)));
  EXPECT_FALSE(oracle.asks(kClient, kNode, at(100))) << "from then on";
  oracle.told_to_wait(kClient, kNode, at(300));
  EXPECT_FALSE(oracle.asks(kClient, NodeId(2), at(200))) << "another node";
  EXPECT_FALSE(oracle.asks(kClient, kNode, at(201))) << "that one may have said so";
  oracle.told_to_wait(kClient, kNode, at(400));
  oracle.free_to_ask(kClient);
  EXPECT_FALSE(oracle.asks(kClient, kNode, at(301)));
}

// A greedy client could take all there is: from modest ones, or from others like it.
TEST(OverloadOracle, NobodyStarves) {
  std::vector<ClientLoad> clients = {{NodeId(101), true, 900, 600, 300, 200},
                                     {NodeId(102), true, 900, 100, 300, 290},
                                     {NodeId(103), false, 100, 60, 100, 20}};
  EXPECT_FALSE(OverloadOracle::fair(clients));
  clients[1].answered = 99;
  EXPECT_TRUE(OverloadOracle::fair(clients));
  clients[1].answered = 100;
  clients[2].refused = 21;
  EXPECT_TRUE(OverloadOracle::fair(clients));
  clients[2].refused = 20;
  clients[2].answered = 49;
  EXPECT_TRUE(OverloadOracle::fair(clients));
}

// Refusing, or being asked, could keep the cluster from its work: for some time, or more and more.
TEST(OverloadOracle, GoodputIsSteady) {
  EXPECT_FALSE(OverloadOracle::steady({}));
  EXPECT_FALSE(OverloadOracle::steady(std::vector<std::uint64_t>{600, 200, 300}));
  EXPECT_FALSE(OverloadOracle::steady(std::vector<std::uint64_t>{199, 0})) << "too few to say";
  EXPECT_TRUE(OverloadOracle::steady(std::vector<std::uint64_t>{600, 199, 300}));
  EXPECT_TRUE(OverloadOracle::timed_out(kClient));
}

}  // namespace
}  // namespace reel::model
