#include "io/real/event_loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "io/real/clock.h"

namespace reel::real {
namespace {

struct Logger final : Flusher {
  Logger(std::vector<std::string>& destination, std::string text) : log(destination), name(std::move(text)) {}
  void flush() override { log.push_back(name); }
  std::vector<std::string>& log;
  std::string name;
};

struct Waker final : io::Host {
  void on_start() override {}
  void on_wake() override { ++wakes; }
  int wakes = 0;
};

// The network could be flushed before the disk, or each request be flushed for itself.
TEST(Loop, FlushesOncePerTurnDiskFirst) {
  Loop loop;
  std::vector<std::string> log;
  Logger network(log, "network");
  Logger disk(log, "disk");
  loop.add_flusher(FlushPhase::network, network);
  loop.add_flusher(FlushPhase::disk, disk);
  loop.defer([&] {
    log.emplace_back("first");
    loop.request_flush();
    loop.defer([&] {
      log.emplace_back("deferred by the first");
      loop.request_flush();
    });
  });
  loop.defer([&] {
    log.emplace_back("second");
    loop.request_flush();
  });
  loop.wait_scope().poll();
  EXPECT_EQ(log, (std::vector<std::string>{"first", "second", "deferred by the first", "disk", "network"}));
  EXPECT_EQ(loop.turns(), 1u);
  loop.remove_flusher(disk);
  loop.remove_flusher(network);
}

// A task of another thread could run there, get lost, or not wake the loop.
TEST(Loop, RunsTasksOfOtherThreadsOnItsOwn) {
  Loop loop;
  const auto self = std::this_thread::get_id();
  int ran = 0;
  std::thread other([&, mailbox = loop.mailbox()] {
    for (int i = 0; i < 1000; ++i) {
      mailbox->post([&, i] {
        EXPECT_EQ(std::this_thread::get_id(), self);
        EXPECT_EQ(ran, i);
        if (++ran == 1000) loop.stop();
      });
    }
  });
  loop.run();
  other.join();
  EXPECT_EQ(ran, 1000);
}

// A thread that outlives the loop could post into freed memory.
TEST(Loop, AMailboxOutlivesItsLoop) {
  std::shared_ptr<Mailbox> mailbox;
  auto kept = std::make_shared<int>(0);
  {
    Loop loop;
    mailbox = loop.mailbox();
    mailbox->post([kept] { ++*kept; });
  }
  mailbox->post([kept] { ++*kept; });
  EXPECT_EQ(*kept, 0);
  EXPECT_EQ(kept.use_count(), 1);
}

// Ctrl-C could kill the process in the middle of a turn instead of ending it in order.
TEST(Loop, HearsStopSignals) {
  Loop::capture_stop_signals();
  Loop loop;
  std::vector<int> heard;
  loop.on_stop_signal([&](int signal) {
    heard.push_back(signal);
    loop.stop();
  });
  ::kill(::getpid(), SIGTERM);
  loop.run();
  ::kill(::getpid(), SIGINT);
  loop.run();
  EXPECT_EQ(heard, (std::vector<int>{SIGTERM, SIGINT}));
}

// A benchmark that waits for its end could go on for its ten minutes after Ctrl-C, or the next one not begin.
TEST(Loop, StopsWaitingWhenItIsStopped) {
  Loop loop;
  loop.defer([&] { loop.stop(); });
  EXPECT_FALSE(loop.run_until([] { return false; }, io::seconds(3600)));
  loop.defer([&] { loop.stop(); });
  EXPECT_TRUE(loop.run_until([] { return true; }, io::seconds(3600)));
  EXPECT_FALSE(loop.run_until([] { return false; }, io::milliseconds(20)));
  int rounds = 0;
  EXPECT_TRUE(loop.run_until([&] { return ++rounds > 3; }, io::seconds(5)));
  loop.stop();
  loop.run();
}

// A descriptor's second edge could be missed.
TEST(Loop, WatchesADescriptorAgainAndAgain) {
  Loop loop;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  std::string got;
  auto watch = loop.watch(ends[0], [&] {
    char byte = 0;
    while (::read(ends[0], &byte, 1) == 1) got += byte;
  });
  for (const char byte : std::string("edge")) {
    ASSERT_EQ(::write(ends[1], &byte, 1), 1);
    loop.wait_scope().poll();
  }
  EXPECT_EQ(got, "edge");
  watch = nullptr;
  ::close(ends[0]);
  ::close(ends[1]);
}

// Spinning could go on for ever where it never pays, or never be tried again where it would.
TEST(SpinPolicy, GivesUpAndProbesAgain) {
  SpinPolicy policy;
  int tried = 0;
  for (int i = 0; i < 1000; ++i) {
    if (!policy.worth_trying()) continue;
    ++tried;
    policy.record(false);
  }
  EXPECT_GT(tried, 5);
  EXPECT_LT(tried, 50);
  for (int i = 0; i < 1000; ++i) {
    if (policy.worth_trying()) policy.record(true);
  }
  EXPECT_TRUE(policy.worth_trying());
}

// A wake-up could come early: then a lease or a timeout would be cut short.
TEST(RealClock, NeverWakesEarly) {
  Loop loop;
  RealClock clock(loop);
  Waker host;
  clock.attach(&host);
  for (int i = 0; i < 20; ++i) {
    const io::Instant wanted = clock.now().monotonic + io::microseconds(i * 300);
    clock.wake_at(wanted);
    const int before = host.wakes;
    ASSERT_TRUE(loop.run_until([&] { return host.wakes > before; }, io::seconds(5)));
    EXPECT_GE(clock.now().monotonic, wanted);
    EXPECT_EQ(host.wakes, before + 1);
  }
}

// A replaced wake-up could still come, or the one that replaced it never.
TEST(RealClock, ALaterWakeReplacesAnEarlierOne) {
  Loop loop;
  RealClock clock(loop);
  Waker host;
  clock.attach(&host);
  const io::Instant start = clock.now().monotonic;
  clock.wake_at(start + io::milliseconds(5));
  clock.wake_at(start + io::milliseconds(40));
  ASSERT_TRUE(loop.run_until([&] { return host.wakes > 0; }, io::seconds(5)));
  EXPECT_GE(clock.now().monotonic, start + io::milliseconds(40));
  clock.wake_at(clock.now().monotonic + io::seconds(100));
  clock.wake_at(clock.now().monotonic + io::milliseconds(1));
  ASSERT_TRUE(loop.run_until([&] { return host.wakes > 1; }, io::seconds(5)));
  clock.wake_at(clock.now().monotonic + io::milliseconds(1));
  clock.wake_at(io::kNever);
  EXPECT_FALSE(loop.run_until([&] { return host.wakes > 2; }, io::milliseconds(20)));
}

// Time could go back, or the wall clock be without any bound.
TEST(RealClock, TellsTimeThatOnlyRises) {
  Loop loop;
  RealClock clock(loop);
  io::Now before = clock.now();
  EXPECT_GT(before.wall.ns, 1'600'000'000'000'000'000);
  for (int i = 0; i < 10'000; ++i) {
    const io::Now now = clock.now();
    ASSERT_GE(now.monotonic, before.monotonic);
    ASSERT_GE(now.wall_error.ns, 0);
    before = now;
  }
}

}  // namespace
}  // namespace reel::real
