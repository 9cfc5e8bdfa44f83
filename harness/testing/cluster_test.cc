#include "harness/testing/cluster.h"

#include <gtest/gtest.h>

namespace reel::testing {
namespace {

std::string text_of(const Cluster& cluster) {
  const auto violation = cluster.violation();
  return violation ? violation->sentence : "";
}

// A user's first test could not work.
TEST(TestingCluster, AppendsAndReads) {
  Cluster cluster;
  EXPECT_TRUE(cluster.run([&](Client& client) {
    for (std::uint64_t i = 0; i < 5; ++i) {
      const auto committed = client.append({.data = "line " + std::to_string(i), .header = 7});
      ASSERT_TRUE(committed.has_value());
      EXPECT_EQ(committed->id, i);
    }
    EXPECT_EQ(client.high_water(), 5u);
    const auto read = client.read(3);
    ASSERT_TRUE(read.has_value() && read->size() == 2u);
    EXPECT_EQ(read->front().data, "line 3");
    EXPECT_EQ(read->front().header, 7u);
  })) << text_of(cluster);
}

// An answer that is lost could become a second transaction, a request that is lost none.
TEST(TestingCluster, LostMessagesChangeNothing) {
  Cluster cluster;
  EXPECT_TRUE(cluster.run([&](Client& client) {
    cluster.lose_answers(1);
    EXPECT_EQ(client.append({.data = "one"})->id, 0u);
    cluster.lose_requests(1);
    EXPECT_EQ(client.append({.data = "two"})->id, 1u);
    EXPECT_EQ(client.high_water(), 2u);
  })) << text_of(cluster);
}

// A partition that was just created could be unknown to those who are asked next, or be gone after a power loss.
TEST(TestingCluster, PartitionsAreCreatedWhileItRuns) {
  Cluster cluster({.seed = 11});
  EXPECT_TRUE(cluster.run([&](Client& client) {
    ASSERT_TRUE(client.append({.data = "zero"}).has_value());
    EXPECT_EQ(client.create_partitions(4), 4u);
    EXPECT_EQ(client.create_partitions(2), 4u);
    for (std::uint32_t partition = 1; partition < 4; ++partition) {
      EXPECT_EQ(client.append({.data = "first"}, partition)->id, 0u);
    }
    cluster.power_loss();
    for (std::uint32_t partition = 1; partition < 4; ++partition) {
      EXPECT_EQ(client.append({.data = "second"}, partition)->id, 1u);
      EXPECT_EQ(client.read(0, partition)->size(), 2u);
    }
    EXPECT_EQ(client.create_partitions(1), 4u);
  })) << text_of(cluster);
}

// One node that leads all partitions does the work of three.
TEST(TestingCluster, LeadersSpreadOverTheNodes) {
  Cluster cluster({.seed = 12, .partitions = 6});
  const auto led_by = [&](std::uint32_t node) {
    std::uint32_t count = 0;
    for (std::uint32_t partition = 0; partition < 6; ++partition) count += cluster.leader(partition) == node;
    return count;
  };
  EXPECT_TRUE(cluster.run([&](Client& client) {
    ASSERT_TRUE(client.append({.data = "up"}).has_value());
    client.sleep(io::seconds(15));
    for (std::uint32_t node = 1; node <= 3; ++node) EXPECT_EQ(led_by(node), 2u) << node;
    cluster.crash(2);
    client.sleep(io::seconds(15));
    EXPECT_EQ(led_by(1), 3u);
    EXPECT_EQ(led_by(3), 3u);
    cluster.restart(2);
    client.sleep(io::seconds(15));
    for (std::uint32_t node = 1; node <= 3; ++node) EXPECT_EQ(led_by(node), 2u) << node;
  })) << text_of(cluster);
}

// A leader that dies could take acknowledged transactions with it, or power that fails everywhere.
TEST(TestingCluster, SurvivesItsLeaderAndAPowerLoss) {
  Cluster cluster({.seed = 3, .nodes = 5});
  EXPECT_TRUE(cluster.run([&](Client& client) {
    ASSERT_TRUE(client.append({.data = "before"}).has_value());
    const std::uint32_t first = cluster.leader();
    ASSERT_NE(first, 0u);
    cluster.crash(first, true);
    ASSERT_TRUE(client.append({.data = "meanwhile"}).has_value());
    EXPECT_NE(cluster.leader(), first);
    cluster.restart(first);
    cluster.power_loss();
    EXPECT_EQ(client.append({.data = "after"})->id, 2u);
  })) << text_of(cluster);
}

// A node that is cut off could go on committing.
TEST(TestingCluster, AnIsolatedLeaderCommitsNothing) {
  Cluster cluster({.seed = 5});
  EXPECT_TRUE(cluster.run([&](Client& client) {
    ASSERT_TRUE(client.append({.data = "before"}).has_value());
    const std::uint32_t first = cluster.leader();
    cluster.isolate(first);
    ASSERT_TRUE(client.append({.data = "with the others"}).has_value());
    EXPECT_NE(cluster.leader(), first);
    cluster.heal();
    client.sleep(io::seconds(2));
    EXPECT_EQ(client.high_water(), 2u);
  })) << text_of(cluster);
}

// A conflict that a test asks for could not come, or name another key.
TEST(TestingCluster, InjectsConflicts) {
  Cluster cluster;
  EXPECT_TRUE(cluster.run([&](Client& client) {
    const auto opened = client.append({.data = "open", .write_locks = {"account"}});
    ASSERT_TRUE(opened.has_value());
    cluster.change_key(client, "account");
    const auto refused =
        client.append({.data = "x", .read_locks = {"other", "account"}, .based_on = opened->id});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().reason, NotCommitted::Reason::conflict);
    EXPECT_EQ(refused.error().key, "account");
    EXPECT_EQ(refused.error().id, opened->id + 1);
  })) << text_of(cluster);
}

// What nobody answered could be settled in two ways.
TEST(TestingCluster, ResolvesWhatNobodyAnswered) {
  Cluster cluster({.seed = 9});
  EXPECT_TRUE(cluster.run([&](Client& client) {
    ASSERT_TRUE(client.append({.data = "before"}).has_value());
    for (std::uint32_t node = 1; node <= 3; ++node) cluster.crash(node);
    const auto unknown = client.append({.data = "lost"}, 0, io::seconds(2));
    ASSERT_FALSE(unknown.has_value());
    EXPECT_EQ(unknown.error().reason, NotCommitted::Reason::unknown);
    for (std::uint32_t node = 1; node <= 3; ++node) cluster.restart(node);
    const auto fate = client.resolve();
    ASSERT_FALSE(fate.has_value());
    EXPECT_EQ(fate.error().reason, NotCommitted::Reason::burned);
    EXPECT_EQ(client.high_water(), 1u);
  })) << text_of(cluster);
}

// Programs side by side could share a session, or partitions a log.
TEST(TestingCluster, RunsProgramsSideBySideOnSeveralPartitions) {
  Cluster cluster({.seed = 2, .partitions = 2});
  for (std::uint32_t i = 0; i < 4; ++i) {
    cluster.start([i](Client& client) {
      for (int k = 0; k < 10; ++k) ASSERT_TRUE(client.append({.data = std::to_string(i)}, i % 2).has_value());
    });
  }
  EXPECT_TRUE(cluster.run()) << text_of(cluster);
  EXPECT_TRUE(cluster.run([](Client& client) {
    EXPECT_EQ(client.high_water(0), 20u);
    EXPECT_EQ(client.high_water(1), 20u);
  }));
}

// A suspended feed could deliver.
TEST(TestingCluster, HoldsFeeds) {
  Cluster cluster;
  EXPECT_TRUE(cluster.run([&](Client& client) {
    ASSERT_TRUE(client.append({.data = "one"}).has_value());
    cluster.hold_feeds(true);
    EXPECT_TRUE(client.read(0)->empty());
    cluster.hold_feeds(false);
    EXPECT_EQ(client.read(0)->size(), 1u);
  }));
}

// The same seed could be another run, or another seed the same.
TEST(TestingCluster, RepeatsBitForBit) {
  const auto chain = [](std::uint64_t seed) {
    Cluster cluster({.seed = seed});
    EXPECT_TRUE(cluster.run([&](Client& client) {
      for (int i = 0; i < 20; ++i) ASSERT_TRUE(client.append({.data = "x"}).has_value());
      cluster.crash(cluster.leader());
      ASSERT_TRUE(client.append({.data = "y"}).has_value());
    }));
    return cluster.chain();
  };
  EXPECT_EQ(chain(1), chain(1));
  EXPECT_NE(chain(1), chain(2));
}

}  // namespace
}  // namespace reel::testing
