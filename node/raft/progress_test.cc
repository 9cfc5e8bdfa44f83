#include "node/raft/progress.h"

#include <gtest/gtest.h>

namespace reel::raft {
namespace {

TEST(InflightWindow, CountsWhatIsOut) {
  // A window that forgets or double-counts either stops for ever or floods a slow follower.
  InflightWindow window;
  EXPECT_TRUE(window.empty());
  window.push(Index(3), 100);
  window.push(Index(7), 50);
  EXPECT_EQ(window.size(), 2u);
  EXPECT_EQ(window.bytes(), 150u);
  EXPECT_EQ(window.last(), Index(7));
  EXPECT_TRUE(window.has_room(3, 151));
  EXPECT_FALSE(window.has_room(2, 1000));
  EXPECT_FALSE(window.has_room(3, 150));
  window.release_to(Index(2));
  EXPECT_EQ(window.size(), 2u);
  window.release_to(Index(6));
  EXPECT_EQ(window.size(), 1u);
  EXPECT_EQ(window.bytes(), 50u);
  window.release_to(Index(7));
  EXPECT_TRUE(window.empty());
  EXPECT_EQ(window.bytes(), 0u);
}

TEST(InflightWindow, EqualityIsOfContent) {
  // Two equal states that compare unequal would never be recognised as visited by the explorer.
  InflightWindow used;
  for (std::uint64_t i = 1; i <= 500; ++i) {
    used.push(Index(i), 1);
    if (i > 2) used.release_to(Index(i - 2));
  }
  InflightWindow fresh;
  fresh.push(Index(499), 1);
  fresh.push(Index(500), 1);
  EXPECT_EQ(used, fresh);
  EXPECT_EQ(used.digest(), fresh.digest());
  EXPECT_EQ(used.bytes(), 2u);
  fresh.push(Index(501), 1);
  EXPECT_NE(used, fresh);
  EXPECT_NE(used.digest(), fresh.digest());
}

TEST(Progress, AcknowledgementsOnlyRise) {
  // A late acknowledgement could lower match, and an early one leave next behind it.
  Progress peer;
  peer.become_replicate();
  peer.next = Index(10);
  peer.inflight.push(Index(9), 5);
  EXPECT_TRUE(peer.acknowledge(Index(4)));
  EXPECT_FALSE(peer.acknowledge(Index(3)));
  EXPECT_FALSE(peer.acknowledge(Index(4)));
  EXPECT_EQ(peer.match, Index(4));
  EXPECT_EQ(peer.next, Index(10));
  EXPECT_FALSE(peer.inflight.empty());
  EXPECT_TRUE(peer.acknowledge(Index(12)));
  EXPECT_EQ(peer.next, Index(13));
  EXPECT_TRUE(peer.inflight.empty());
}

TEST(Progress, ProbingForgetsTheWindow) {
  // A window that survives the way back to probing would hold room that nobody frees.
  Progress peer;
  peer.become_replicate();
  peer.inflight.push(Index(1), 5);
  peer.next = Index(2);
  peer.stalled = true;
  peer.become_probe(Index(1));
  EXPECT_TRUE(peer.inflight.empty());
  EXPECT_FALSE(peer.stalled);
  EXPECT_FALSE(peer.probe_sent);
  EXPECT_EQ(peer.next, Index(1));
}

}  // namespace
}  // namespace reel::raft
