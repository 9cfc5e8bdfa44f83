#include "sim/world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <stdexcept>

#include "sim/test_hosts.h"

namespace reel::sim {
namespace {

using io::NodeId;

constexpr std::uint64_t kGoldenEvents = 5144;
constexpr std::uint64_t kGoldenChain = 393353494964880502ull;

struct Outcome {
  std::uint64_t chain = 0;
  std::uint64_t events = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome gossip(std::uint64_t seed) {
  World world({.seed = seed});
  add_gossip(world, 5);
  world.boot_all();
  world.run_until(io::Instant{200'000'000});
  world.crash(NodeId(2), {.disk = {.power = true, .loss = true, .torn = true, .durable = true},
                          .restart_after = io::milliseconds(30)});
  world.run_until(io::Instant{400'000'000});
  EXPECT_FALSE(world.failed());
  return {world.chain(), world.events()};
}

TEST(World, SameSeedSameChain) {
  // A hidden input (an address, uninitialised memory, a leftover of the run before) could change a run.
  for (std::uint64_t seed = 1; seed <= 5; ++seed) EXPECT_EQ(gossip(seed), gossip(seed)) << seed;
}

TEST(World, GoldenChain) {
  // The same seed could give another run under another compiler or optimisation level. The value is the same for
  // GCC and Clang, with and without sanitizers; it changes only with a change of behaviour.
  const Outcome outcome = gossip(1);
  EXPECT_EQ(outcome.events, kGoldenEvents);
  EXPECT_EQ(outcome.chain, kGoldenChain);
}

TEST(World, OtherSeedOtherChain) {
  // The seed could reach nothing.
  std::vector<std::uint64_t> chains;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) chains.push_back(gossip(seed).chain);
  std::sort(chains.begin(), chains.end());
  EXPECT_EQ(std::unique(chains.begin(), chains.end()), chains.end());
}

TEST(World, StepsAndSlicesDoNotMatter) {
  // How a run is cut into calls of run_until() could shift it.
  World whole({.seed = 3});
  add_gossip(whole, 3);
  whole.boot_all();
  whole.run_until(io::Instant{50'000'000});
  World sliced({.seed = 3});
  add_gossip(sliced, 3);
  sliced.boot_all();
  for (std::int64_t t = 0; t < 50; ++t) sliced.run_until(io::Instant{t * 1'000'000});
  while (sliced.time().ns < 49'500'000 && sliced.step()) {
  }
  sliced.run_until(io::Instant{50'000'000});
  EXPECT_EQ(whole.chain(), sliced.chain());
  EXPECT_EQ(whole.events(), sliced.events());
}

TEST(World, WakesAreLateNeverEarly) {
  // A timer could fire before its time, or not at all when another one replaced it.
  Heard heard;
  ScriptHost::Script script;
  script.start = [](io::Ports& ports) {
    ports.clock.wake_at(io::Instant{5'000'000});
    ports.clock.wake_at(io::Instant{1'000'000});
    ports.clock.wake_at(io::Instant{3'000'000});
  };
  World world({.seed = 1});
  add_script(world, 1, script, heard);
  world.boot_all();
  world.run_until(io::Instant{100'000'000});
  ASSERT_EQ(heard.count("wake"), 1u);
  EXPECT_GE(heard.times[1].ns, 3'000'000);
  EXPECT_LT(heard.times[1].ns, 4'500'000);
}

TEST(World, DriftingClocksStayBehindTheirPromises) {
  // A fast or slow clock could see its alarm before its own time has come, or wall and monotonic time could part.
  for (const std::int64_t drift : {-200'000'000ll, -1ll, 0ll, 1ll, 333'333'333ll}) {
    Heard heard;
    ScriptHost::Script script;
    script.start = [](io::Ports& ports) {
      ports.clock.wake_at(ports.clock.now().monotonic + io::nanoseconds(777'777'777));
    };
    MachineOptions options;
    options.id = NodeId(1);
    options.clock = {.monotonic_offset_ns = 12'345, .wall_offset_ns = -5, .drift_ppb = drift};
    options.factory = [&](io::Ports& ports) -> std::unique_ptr<io::Host> {
      return std::make_unique<ScriptHost>(ports, script, heard);
    };
    World world({.seed = 9});
    world.add(std::move(options));
    world.boot_all();
    world.run_until(io::Instant{3'000'000'000});
    ASSERT_EQ(heard.count("wake"), 1u) << drift;
    EXPECT_GE((heard.times[1] - heard.times[0]).ns, 777'777'777) << drift;
    const io::Now now = world.now_at(NodeId(1));
    const std::int64_t elapsed = now.monotonic.ns - 12'345;
    EXPECT_EQ(now.wall.ns, world.options().wall_epoch_ns + elapsed - 5) << drift;
    EXPECT_EQ(elapsed, 3'000'000'000 + 3 * drift) << drift;
  }
}

TEST(World, ZeroDelayTimersDoNotStopTime) {
  // A host that always asks for "now" could keep the world at one instant for ever.
  Heard heard;
  ScriptHost::Script script;
  script.start = [](io::Ports& ports) { ports.clock.wake_at(ports.clock.now().monotonic); };
  script.wake = script.start;
  MachineOptions options;
  options.id = NodeId(1);
  options.clock.wake_late_mean = {};
  options.factory = [&](io::Ports& ports) -> std::unique_ptr<io::Host> {
    return std::make_unique<ScriptHost>(ports, script, heard);
  };
  World world({.seed = 1});
  world.add(std::move(options));
  world.boot_all();
  world.run_until(io::Instant{1'000});
  EXPECT_EQ(world.time().ns, 1'000);
}

TEST(World, CrashSilencesTheOldLife) {
  // Messages, timers, disk results or effects of a dead process could reach its successor.
  Heard heard_1, heard_2;
  ScriptHost::Script script, quiet;
  script.start = [](io::Ports& ports) {
    ports.network.send(NodeId(2), text_parcel("hello"));
    ports.clock.wake_at(ports.clock.now().monotonic + io::milliseconds(50));
    ports.disk.submit({.op = io::DiskOpId(1),
                       .verb = io::DiskVerb::list,
                       .file = {},
                       .name = {},
                       .offset = 0,
                       .length = 0,
                       .data = {}});
  };
  script.disk = [](io::Ports& ports, const io::DiskResult&) {
    ports.network.send(NodeId(2), text_parcel("disk"));
  };
  World world({.seed = 1});
  add_script(world, 1, script, heard_1);
  add_script(world, 2, quiet, heard_2);
  world.boot_all();
  world.step();
  world.step();  // both have started
  world.crash(NodeId(1), {.restart_after = io::milliseconds(10)});
  EXPECT_FALSE(world.running(NodeId(1)));
  EXPECT_EQ(world.host(NodeId(1)), nullptr);
  world.run_until(io::Instant{40'000'000});
  EXPECT_EQ(world.life(NodeId(1)), 2u);
  EXPECT_EQ(heard_1.count("wake"), 0u);
  EXPECT_EQ(heard_1.count("start"), 2u);
  EXPECT_EQ(heard_1.count("disk"), 1u);
  EXPECT_EQ(heard_2.count("received 1 disk"), 1u);
}

TEST(World, DeadPortsSwallowCallsOfADestructor) {
  // A host that sends while it is torn down could be heard although its process is gone.
  struct Chatty final : io::Host {
    explicit Chatty(io::Ports& given) : ports(given) {}
    ~Chatty() override { ports.network.send(NodeId(2), text_parcel("last words")); }
    void on_start() override {}
    io::Ports& ports;
  };
  Heard heard;
  ScriptHost::Script quiet;
  World world({.seed = 1});
  MachineOptions options;
  options.id = NodeId(1);
  options.factory = [](io::Ports& ports) -> std::unique_ptr<io::Host> {
    return std::make_unique<Chatty>(ports);
  };
  world.add(std::move(options));
  add_script(world, 2, quiet, heard);
  world.boot_all();
  world.run_until(io::Instant{1'000'000});
  world.crash(NodeId(1), {});
  world.run_until(io::Instant{1'000'000'000});
  EXPECT_EQ(heard.count("received"), 0u);
}

TEST(World, CrashBetweenTwoEffects) {
  // A crash could come only between steps, so that half of a step's effects is never seen by anybody.
  std::size_t arrived = 0;
  for (std::uint32_t effects = 0; effects <= 3; ++effects) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      Heard heard_1, heard_2;
      ScriptHost::Script script, quiet;
      script.wake = [](io::Ports& ports) {
        for (const char* text : {"a", "b", "c"}) ports.network.send(NodeId(2), text_parcel(text));
      };
      script.start = [](io::Ports& ports) { ports.clock.wake_at(io::Instant{1'000'000}); };
      World world({.seed = seed});
      add_script(world, 1, script, heard_1);
      add_script(world, 2, quiet, heard_2);
      world.boot_all();
      world.run_until(io::Instant{500'000});
      world.crash_within(NodeId(1), effects, {});
      EXPECT_TRUE(world.running(NodeId(1)));
      world.run_until(io::Instant{1'000'000'000});
      EXPECT_EQ(world.running(NodeId(1)), effects >= 3);
      EXPECT_EQ(world.network().counters().sent, effects);
      // What had been sent survives its sender, or is lost with the connection.
      const std::size_t received = heard_2.count("received");
      EXPECT_TRUE(received == 0 || received == effects) << received;
      arrived += effects < 3 ? received : 0;
    }
  }
  EXPECT_GT(arrived, 10u);
}

TEST(World, PauseHoldsInputsBackInOrder) {
  // A paused process could lose or reorder what arrived meanwhile, or run.
  Heard heard_1, heard_2;
  ScriptHost::Script script, quiet;
  script.start = [](io::Ports& ports) {
    ports.clock.wake_at(ports.clock.now().monotonic + io::milliseconds(1));
  };
  script.wake = [](io::Ports& ports) {
    ports.network.send(NodeId(2), text_parcel(std::to_string(ports.clock.now().monotonic.ns / 1'000'000)));
    ports.clock.wake_at(ports.clock.now().monotonic + io::milliseconds(1));
  };
  World world({.seed = 2});
  add_script(world, 1, script, heard_1);
  add_script(world, 2, quiet, heard_2);
  world.boot_all();
  world.run_until(io::Instant{5'000'000});
  world.pause(NodeId(2));
  const std::size_t before = heard_2.lines.size();
  world.run_until(io::Instant{50'000'000});
  EXPECT_EQ(heard_2.lines.size(), before);
  world.resume(NodeId(2));
  world.run_until(io::Instant{60'000'000});
  std::int64_t last = -1;
  std::size_t received = 0;
  for (const std::string& line : heard_2.lines) {
    if (!line.starts_with("received 1 ")) continue;
    const std::int64_t number = std::stoll(line.substr(11));
    EXPECT_GT(number, last);
    last = number;
    ++received;
  }
  EXPECT_GE(received, 50u);
}

TEST(World, PowerLossTakesEveryNodeAndNoClient) {
  // A whole-cluster crash could leave a machine out, or take the clients with it.
  Heard heard;
  ScriptHost::Script quiet;
  World world({.seed = 2});
  for (std::uint64_t id = 1; id <= 3; ++id) add_script(world, id, quiet, heard);
  add_script(world, 100, quiet, heard, MachineRole::client);
  world.boot_all();
  world.run_until(io::Instant{1'000'000});
  world.power_loss(MachineRole::node, {.restart_after = io::milliseconds(1)});
  for (std::uint64_t id = 1; id <= 3; ++id) EXPECT_FALSE(world.running(NodeId(id)));
  EXPECT_TRUE(world.running(NodeId(100)));
  world.run_until(io::Instant{10'000'000});
  for (std::uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(world.life(NodeId(id)), 2u);
  EXPECT_EQ(world.life(NodeId(100)), 1u);
}

TEST(World, CrashLoopsEndAndStayDisarmed) {
  // A crash loop could never end, or survive being disarmed.
  World world({.seed = 5});
  add_gossip(world, 2);
  world.boot_all();
  world.run_until(io::Instant{10'000'000});
  world.crash(NodeId(1), {.restart_after = io::milliseconds(1), .loops = 3});
  world.run_until(io::Instant{2'000'000'000});
  EXPECT_TRUE(world.running(NodeId(1)));
  EXPECT_EQ(world.life(NodeId(1)), 5u);
  world.crash(NodeId(1), {.restart_after = io::milliseconds(1), .loops = 3});
  world.disarm(NodeId(1));
  world.run_until(io::Instant{4'000'000'000});
  EXPECT_EQ(world.life(NodeId(1)), 6u);
}

TEST(World, AssertionsAndExceptionsBecomeFailures) {
  // A failed assertion could end the process before the seed is reported, or go unnoticed.
  for (const bool asserts : {true, false}) {
    Heard heard;
    ScriptHost::Script script;
    script.start = [&](io::Ports&) {
      if (asserts) REEL_CHECK(heard.lines.empty() && "planted");
      throw std::runtime_error("planted");
    };
    World world({.seed = 2});
    add_script(world, 1, script, heard);
    world.boot_all();
    world.run_until(io::Instant{1'000'000});
    ASSERT_TRUE(world.failed());
    EXPECT_EQ(world.failure()->oracle, asserts ? "assertion" : "exception");
    EXPECT_NE(world.failure()->text.find("planted"), std::string::npos);
    EXPECT_FALSE(world.step());
  }
}

TEST(World, ControlsRunInOrderAndAreNotEvents) {
  // Functions of the harness could be counted as work, or run in another order than planned.
  World world({.seed = 2});
  std::vector<int> order;
  world.at(io::Instant{10}, [&] { order.push_back(1); });
  world.at(io::Instant{5}, [&] { order.push_back(0); });
  world.at(io::Instant{10}, [&] {
    order.push_back(2);
    world.after(io::nanoseconds(1), [&] { order.push_back(3); });
  });
  world.run_until(io::Instant{100});
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(world.events(), 0u);
}

TEST(World, RunWhileStopsAtThePredicateAndAtTheLimit) {
  // A run could overshoot its condition, or not end when nothing happens.
  World world({.seed = 2});
  add_gossip(world, 2);
  world.boot_all();
  EXPECT_TRUE(world.run_while([&] { return world.events() < 100; }, io::kNever));
  EXPECT_EQ(world.events(), 100u);
  EXPECT_FALSE(world.run_while([] { return true; }, io::Instant{500'000'000}));
  EXPECT_EQ(world.time().ns, 500'000'000);
}

TEST(LeakGuardDeathTest, AbortsWhenSimulatedCodeReachesOut) {
  // Simulated code could read the real clock and make a run that nobody can repeat.
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto run = [](const std::function<void()>& sin) {
    Heard heard;
    ScriptHost::Script script;
    script.start = [&](io::Ports&) { sin(); };
    World world({.seed = 2});
    add_script(world, 1, script, heard);
    world.boot_all();
    world.run_until(io::Instant{1'000'000});
  };
  EXPECT_DEATH(run([] { (void)std::chrono::steady_clock::now(); }), "leak guard: .* clock_gettime");
  EXPECT_DEATH(run([] { (void)time(nullptr); }), "leak guard: .* time");
  EXPECT_DEATH(run([] { (void)fopen("/dev/null", "r"); }), "leak guard: .* fopen");
  run([] {
    const LeakGuard::Exempt exempt;
    (void)time(nullptr);
  });
  EXPECT_FALSE(LeakGuard::armed());
  EXPECT_GT(time(nullptr), 0);
}

}  // namespace
}  // namespace reel::sim
