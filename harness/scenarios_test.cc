// Bugs that others had, as scripts: each test is named after its source (Waltz's holes; S1, S2, … of the list of known hard
// bugs of consensus systems) and tells what happened there. Each runs at several seeds, which move every message.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

#include "harness/testing/cluster.h"

namespace reel::testing {
namespace {

using Reason = NotCommitted::Reason;

void expect_run(Cluster& cluster, const Cluster::Program& program) {
  const bool ended = cluster.run(program);
  const auto violation = cluster.violation();
  EXPECT_TRUE(ended) << (violation ? violation->sentence : "a program did not end in time");
}

void expect_fate(Client& client, const Committed& committed) {
  const auto fate = client.resolve();
  ASSERT_TRUE(fate.has_value()) << fate.error().text;
  EXPECT_EQ(*fate, committed);
}

void for_seeds(const std::function<void(std::uint64_t)>& scenario) {
  for (std::uint64_t seed = 1; seed <= 5 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    scenario(seed);
  }
}

void wait_for(Client& client, const std::function<bool()>& condition) {
  while (!condition()) client.sleep(io::milliseconds(5));
}

// Leaders die until this node leads.
void make_leader(Cluster& cluster, Client& client, std::uint32_t node) {
  while (cluster.leader() != node) {
    wait_for(client, [&] { return cluster.leader() != 0; });
    const std::uint32_t other = cluster.leader();
    if (other == node) break;
    cluster.crash(other);
    wait_for(client, [&] { return cluster.leader() != 0; });
    cluster.restart(other);
    client.sleep(io::milliseconds(300));
  }
}

// What the log holds, by id.
std::map<std::uint64_t, std::string> log_of(Client& client) {
  std::map<std::uint64_t, std::string> log;
  const std::uint64_t end = client.high_water().value_or(0);
  while (log.size() < end) {
    for (const Read& read : client.read(log.size()).value_or(std::vector<Read>())) log[read.id] = read.data;
  }
  return log;
}

std::uint64_t times(Client& client, const std::string& data) {
  std::uint64_t count = 0;
  for (const auto& [id, each] : log_of(client)) count += each == data ? 1 : 0;
  return count;
}

// A leader that was cut off kept what it had pending, got the partition back, and took what stood at the same positions, by
// another leader, for its own: wrong answers, wrong records. And its lock table lacked what the other had committed.
TEST(Scenarios, Waltz2PendingRequestsAreNotResolvedByTheirPosition) {
  for_seeds([](std::uint64_t seed) {
    Cluster cluster({.seed = seed, .call_timeout = io::seconds(10)});
    std::uint32_t first = 0;
    std::uint64_t changed = 0;
    bool healed = false;
    cluster.start([&](Client& other) {
      wait_for(other, [&] { return first != 0 && cluster.leader() != first; });
      for (int i = 0; i < 3; ++i) {
        const auto committed = other.append({.data = "other", .write_locks = {"key"}, .based_on = changed});
        ASSERT_TRUE(committed.has_value());
        changed = committed->id;
      }
      cluster.heal();
      other.sleep(io::seconds(1));
      make_leader(cluster, other, first);
      ASSERT_TRUE(other.append({.data = "last"}).has_value());
      healed = true;
    });
    expect_run(cluster, [&](Client& client) {
      ASSERT_TRUE(client.append({.data = "base"}).has_value());
      first = cluster.leader();
      cluster.cut_from_peers(first);
      // Asked once, of the old leader: there it stands at position 1, where the others put something else.
      const auto pending = client.append({.data = "pending"}, 0, io::milliseconds(1));
      wait_for(client, [&] { return healed; });
      EXPECT_EQ(times(client, "pending"), 0u);
      EXPECT_EQ(log_of(client).at(1), "other");
      ASSERT_FALSE(pending.has_value()) << "told to stand at " << pending->id;
      EXPECT_EQ(pending.error().reason, Reason::unknown);
      const auto fate = client.resolve();
      ASSERT_FALSE(fate.has_value());
      EXPECT_EQ(fate.error().reason, Reason::burned);
      const auto late = client.append({.data = "late", .read_locks = {"key"}, .based_on = changed - 1});
      ASSERT_FALSE(late.has_value());
      EXPECT_EQ(late.error().reason, Reason::conflict);
      EXPECT_EQ(late.error().id, changed);
    });
  });
}

// A request was dropped without an answer when its leader lost the partition; the locks that it held in memory stayed, and
// refused others for ever.
TEST(Scenarios, Waltz3NothingIsLeftOfARequestThatNeverCommitted) {
  for_seeds([](std::uint64_t seed) {
    Cluster cluster({.seed = seed});
    constexpr int kPending = 12;
    std::uint32_t first = 0;
    int asked = 0;
    int pending = 0;
    bool back = false;
    // Each has an entry of its own in the old leader's log: more than the others append meanwhile.
    for (int i = 0; i < kPending; ++i) {
      cluster.start([&](Client& client) {
        ASSERT_TRUE(client.append({.data = "before"}).has_value());
        ++asked;
        wait_for(client, [&] { return first != 0; });
        const auto unknown =
            client.append({.data = "pending", .append_locks = {"key"}}, 0, io::milliseconds(1));
        ASSERT_FALSE(unknown.has_value());
        EXPECT_EQ(unknown.error().reason, Reason::unknown);
        ++pending;
        wait_for(client, [&] { return back; });
        const auto fate = client.resolve();
        ASSERT_FALSE(fate.has_value());
        EXPECT_EQ(fate.error().reason, Reason::burned);
      });
    }
    expect_run(cluster, [&](Client& client) {
      wait_for(client, [&] { return asked == kPending; });
      const auto base = client.append({.data = "base"});
      ASSERT_TRUE(base.has_value());
      const std::uint32_t old = cluster.leader();
      cluster.cut_from_peers(old);
      first = old;
      wait_for(client, [&] { return pending == kPending; });
      ASSERT_TRUE(client.append({.data = "by another leader"}).has_value());
      cluster.heal();
      client.sleep(io::seconds(1));
      make_leader(cluster, client, old);
      const auto next =
          client.append({.data = "next", .write_locks = {"key"}, .based_on = base->id}, 0, io::seconds(5));
      EXPECT_TRUE(next.has_value()) << "refused for the sake of a transaction that never committed";
      back = true;
    });
  });
}

// The same, while it is the leader still: it is cut off, and back before anybody else could lead. The verdict on whoever
// depends on the pending transaction waits for it, and no longer.
TEST(Scenarios, Waltz3AVerdictWaitsForItsCause) {
  for_seeds([](std::uint64_t seed) {
    Cluster cluster({.seed = seed});
    bool cut = false;
    bool healed = false;
    cluster.start([&](Client& other) {
      wait_for(other, [&] { return cut; });
      other.sleep(io::milliseconds(20));
      const auto refused = other.append({.data = "second", .write_locks = {"key"}, .based_on = 0});
      EXPECT_TRUE(healed);
      ASSERT_FALSE(refused.has_value());
      EXPECT_EQ(refused.error().reason, Reason::conflict);
      EXPECT_EQ(refused.error().id, 1u);
    });
    cluster.start([&](Client& healer) {
      wait_for(healer, [&] { return cut; });
      healer.sleep(io::milliseconds(100));
      cluster.heal();
      healed = true;
    });
    expect_run(cluster, [&](Client& client) {
      ASSERT_TRUE(client.append({.data = "base"}).has_value());
      cluster.cut_from_peers(cluster.leader());
      cut = true;
      const auto first = client.append({.data = "first", .write_locks = {"key"}, .based_on = 0});
      ASSERT_TRUE(first.has_value());
      EXPECT_EQ(first->id, 1u);
    });
  });
}

// A deposed leader went on answering from memory: what was committed elsewhere did not exist for its clients.
TEST(Scenarios, Waltz6ADeposedLeaderDoesNotAnswerFromMemory) {
  for_seeds([](std::uint64_t seed) {
    Cluster cluster({.seed = seed});
    bool cut = false;
    bool committed = false;
    cluster.start([&](Client& other) {
      wait_for(other, [&] { return cut; });
      ASSERT_TRUE(other.append({.data = "other", .write_locks = {"key"}, .based_on = 0}).has_value());
      committed = true;
    });
    expect_run(cluster, [&](Client& client) {
      ASSERT_TRUE(client.append({.data = "base"}).has_value());
      const std::uint32_t first = cluster.leader();
      cluster.cut_from_peers(first);
      cut = true;
      // Before anybody else leads, nobody can know; behind it, it is there.
      wait_for(client, [&] { return committed; });
      EXPECT_EQ(client.high_water(), 2u);
      const auto stale = client.append({.data = "stale", .read_locks = {"key"}, .based_on = 0});
      ASSERT_FALSE(stale.has_value());
      EXPECT_EQ(stale.error().reason, Reason::conflict);
      // A feed says less, but nothing else.
      const auto read = client.read(0);
      ASSERT_TRUE(read.has_value() && !read->empty());
      EXPECT_EQ(read->front().data, "base");
    });
  });
}

// A proposal that was forwarded twice, with a change of leaders in between, committed twice.
TEST(Scenarios, S38ARequestThatReachesTwoLeadersCommitsOnce) {
  for_seeds([](std::uint64_t seed) {
    Cluster cluster({.seed = seed});
    bool sent = false;
    cluster.start([&](Client& killer) {
      wait_for(killer, [&] { return sent; });
      killer.sleep(io::milliseconds(100));
      const std::uint32_t first = cluster.leader();
      cluster.crash(first);
      killer.sleep(io::milliseconds(200));
      cluster.restart(first);
    });
    expect_run(cluster, [&](Client& client) {
      const auto base = client.append({.data = "base"});
      ASSERT_TRUE(base.has_value());
      sent = true;
      cluster.lose_answers(1);
      const auto twice = client.append({.data = "twice", .write_locks = {"key"}, .based_on = base->id});
      ASSERT_TRUE(twice.has_value()) << "refused for its own sake";
      EXPECT_EQ(twice->id, 1u);
      EXPECT_EQ(times(client, "twice"), 1u);
      expect_fate(client, *twice);
    });
  });
}

// The other way to two leaders: the first cannot commit it, the second does, and then the first hears of everything.
TEST(Scenarios, S38ARequestThatItsFirstLeaderCouldNotCommitCommitsOnce) {
  for_seeds([](std::uint64_t seed) {
    Cluster cluster({.seed = seed});
    expect_run(cluster, [&](Client& client) {
      ASSERT_TRUE(client.append({.data = "base"}).has_value());
      const std::uint32_t first = cluster.leader();
      cluster.cut_from_peers(first);
      const auto twice = client.append({.data = "twice"});
      ASSERT_TRUE(twice.has_value());
      cluster.heal();
      client.sleep(io::seconds(1));
      make_leader(cluster, client, first);
      expect_fate(client, *twice);
      EXPECT_EQ(times(client, "twice"), 1u);
    });
  });
}

// Each replica let sessions expire by its own clock, and then they disagreed whether a request was a repetition.
TEST(Scenarios, S64SessionsExpireByTheTimeOfTheLog) {
  for_seeds([](std::uint64_t seed) {
    Cluster cluster({.seed = seed, .session_expiry = io::seconds(4)});
    // It is never idle for long: no node may drop it, not even one that hears of all of it long after.
    bool used = false;
    cluster.start([&](Client& busy) {
      const std::string data = "busy";
      for (int i = 0; i < 6; ++i) {
        ASSERT_TRUE(busy.append({.data = data}).has_value());
        busy.sleep(io::seconds(1));
      }
      const auto last = busy.append({.data = "last of " + data});
      ASSERT_TRUE(last.has_value());
      for (std::uint32_t node = 1; node <= 3; ++node) {
        cluster.crash(node);
        cluster.restart(node);
        make_leader(cluster, busy, node);
        expect_fate(busy, *last);
      }
      used = true;
    });
    // It is idle for too long, by the log's time: whoever leads, before the change of leaders and behind it, knows it no more.
    expect_run(cluster, [&](Client& idle) {
      ASSERT_TRUE(idle.append({.data = "idle"}).has_value());
      wait_for(idle, [&] { return used; });
      for (int i = 0; i < 2; ++i) {
        const auto fate = idle.resolve();
        ASSERT_FALSE(fate.has_value());
        EXPECT_EQ(fate.error().reason, Reason::unknown);
        EXPECT_TRUE(fate.error().text.starts_with("Expired")) << fate.error().text;
        const std::uint32_t first = cluster.leader();
        cluster.crash(first);
        wait_for(idle, [&] { return cluster.leader() != 0; });
        cluster.restart(first);
      }
      EXPECT_EQ(times(idle, "idle"), 1u);
    });
  });
}

// A client repeated a request at the next leader after it had waited for nothing, and it was executed twice. Only the way back
// is cut.
TEST(Scenarios, S65ARepetitionBehindALostAnswerIsNotExecutedAgain) {
  for_seeds([](std::uint64_t seed) {
    Cluster cluster({.seed = seed});
    bool silent = false;
    cluster.start([&](Client& killer) {
      wait_for(killer, [&] { return silent; });
      killer.sleep(io::milliseconds(1'200));
      const std::uint32_t first = cluster.leader();
      cluster.crash(first);
      cluster.heal();
      killer.sleep(io::seconds(1));
      cluster.restart(first);
    });
    expect_run(cluster, [&](Client& client) {
      const auto base = client.append({.data = "base"});
      ASSERT_TRUE(base.has_value());
      cluster.silence(cluster.leader());
      silent = true;
      const auto once = client.append({.data = "once", .write_locks = {"key"}, .based_on = base->id});
      ASSERT_TRUE(once.has_value()) << "refused for its own sake";
      EXPECT_EQ(once->id, 1u);
      EXPECT_EQ(times(client, "once"), 1u);
      expect_fate(client, *once);
    });
  });
}

}  // namespace
}  // namespace reel::testing
