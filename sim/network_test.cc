#include "sim/network.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sim/test_hosts.h"

namespace reel::sim {
namespace {

using io::NodeId;

// Machine 1 sends numbered messages to machine 2, one each millisecond; both write down what they hear.
struct Stream {
  explicit Stream(std::uint64_t seed, const NetworkOptions& network = {})
      : world({.seed = seed, .network = network}) {
    sender.start = [](io::Ports& ports) {
      ports.clock.wake_at(ports.clock.now().monotonic + io::milliseconds(1));
    };
    sender.wake = [this](io::Ports& ports) {
      ports.network.send(NodeId(2), text_parcel(std::to_string(sent++)));
      ports.clock.wake_at(ports.clock.now().monotonic + io::milliseconds(1));
    };
    add_script(world, 1, sender, heard[0]);
    add_script(world, 2, receiver, heard[1]);
    world.boot_all();
  }
  void run_ms(std::int64_t span) { world.run_for(io::milliseconds(span)); }
  LinkFaults& link() { return world.network().faults(0, 1); }
  std::vector<int> numbers() const {
    std::vector<int> found;
    for (const std::string& line : heard[1].lines) {
      if (line.starts_with("received 1 ")) found.push_back(std::stoi(line.substr(11)));
    }
    return found;
  }
  std::uint64_t fired(FaultKind kind) { return world.counters()[kind].fired; }

  ScriptHost::Script sender, receiver;
  Heard heard[2];
  World world;
  int sent = 0;
};

TEST(Network, CalmLinksDeliverEverythingInOrder) {
  // Without faults something could be lost, doubled or overtaken.
  Stream stream(1);
  stream.run_ms(500);
  const std::vector<int> numbers = stream.numbers();
  ASSERT_GT(numbers.size(), 450u);
  for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], static_cast<int>(i));
  EXPECT_EQ(stream.world.counters().fired_total(), 0u);
  EXPECT_EQ(stream.heard[0].count("up 2"), 1u);
  EXPECT_EQ(stream.heard[1].count("up 1"), 1u);
  EXPECT_EQ(stream.heard[1].lines[1], "up 1");  // before the first message
}

TEST(Network, OrderHoldsWhenDelaysAreLong) {
  // An in-order link could let a fast message overtake a slow one.
  Stream stream(2);
  stream.link().delay_mean = io::milliseconds(20);
  stream.link().tail_permille = 100;
  stream.link().tail_mean = io::milliseconds(300);
  stream.run_ms(2000);
  const std::vector<int> numbers = stream.numbers();
  EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
  EXPECT_GT(stream.fired(FaultKind::net_delay), 50u);
}

TEST(Network, DropLosesAboutItsShare) {
  // A drop rate could be ignored, or applied to everything.
  Stream stream(3);
  stream.link().drop_permille = 300;
  stream.run_ms(2000);
  const auto received = static_cast<double>(stream.numbers().size());
  EXPECT_NEAR(received / stream.sent, 0.7, 0.05);
  // At most two are still under way.
  EXPECT_NEAR(received + static_cast<double>(stream.fired(FaultKind::net_drop)), stream.sent, 2);
}

TEST(Network, DuplicateComesTwiceAndLater) {
  // A duplicate could be swallowed, or come at once and never test anything.
  Stream stream(4);
  stream.link().duplicate_permille = 200;
  stream.run_ms(2000);
  std::vector<int> numbers = stream.numbers();
  EXPECT_FALSE(std::is_sorted(numbers.begin(), numbers.end()));
  std::sort(numbers.begin(), numbers.end());
  const auto last = std::unique(numbers.begin(), numbers.end());
  const auto doubled = static_cast<std::uint64_t>(numbers.end() - last);
  EXPECT_GT(doubled, 200u);
  EXPECT_NEAR(static_cast<double>(doubled), static_cast<double>(stream.fired(FaultKind::net_duplicate)), 30);
}

TEST(Network, ReorderOvertakesAndLosesNothing) {
  // The reorder fault could leave the order as it is.
  Stream stream(5);
  for (int i = 0; i < 20; ++i) stream.world.step();
  stream.link().reorder_permille = 500;
  stream.link().delay_mean = io::milliseconds(5);
  stream.run_ms(2000);
  stream.link() = {};
  stream.run_ms(500);
  std::vector<int> numbers = stream.numbers();
  EXPECT_FALSE(std::is_sorted(numbers.begin(), numbers.end()));
  std::sort(numbers.begin(), numbers.end());
  for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], static_cast<int>(i));
  EXPECT_GT(stream.fired(FaultKind::net_reorder), 500u);
}

TEST(Network, ClogHoldsBackAndThenDeliversInOrder) {
  // A clog could lose what it held back, reorder it, or not hold at all.
  Stream stream(6);
  stream.run_ms(100);
  const std::size_t before = stream.numbers().size();
  stream.world.network().clog(0, 1, stream.world.time() + io::milliseconds(200));
  stream.run_ms(150);
  stream.world.network().clog(0, 1, stream.world.time() + io::milliseconds(100));  // longer than planned
  stream.run_ms(90);
  EXPECT_LE(stream.numbers().size(), before);
  stream.run_ms(100);
  const std::vector<int> numbers = stream.numbers();
  ASSERT_GT(numbers.size(), before + 200);
  for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], static_cast<int>(i));
  EXPECT_GE(stream.fired(FaultKind::net_clog), 1u);
}

TEST(Network, CutsSwallowOneDirectionAndCountOnce) {
  // A one-way cut could cut both ways, or a cut could leak.
  Stream stream(7);
  stream.receiver.received = [](io::Ports& ports, NodeId from, const io::Parcel&) {
    ports.network.send(from, text_parcel("answer"));
  };
  stream.run_ms(100);
  LinkFaults& back = stream.world.network().faults(1, 0);
  back.cut = true;
  back.cut_kind = FaultKind::net_partition_oneway;
  back.program = 7;
  const std::size_t before = stream.numbers().size();
  const std::size_t answers = stream.heard[0].count("received");
  stream.run_ms(100);
  EXPECT_GT(stream.numbers().size(), before + 90);
  EXPECT_EQ(stream.heard[0].count("received"), answers);
  EXPECT_EQ(stream.fired(FaultKind::net_partition_oneway), 1u);
  back = {};
  stream.run_ms(100);
  EXPECT_GT(stream.heard[0].count("received"), answers + 90);
}

TEST(Network, QueuesAreBounded) {
  // A clogged link could take memory without end.
  NetworkOptions options;
  options.link_parcels_max = 50;
  Stream stream(8, options);
  stream.run_ms(10);
  stream.world.network().clog(0, 1, stream.world.time() + io::seconds(2));
  stream.run_ms(1000);
  EXPECT_GT(stream.world.network().counters().dropped_overflow, 900u);
  EXPECT_LT(stream.world.pending(), 100u);
}

TEST(Network, ResetsBreakConnectionsAndNewOnesOpen) {
  // A reset could go unheard, leave parcels of the old connection alive, or stop the pair from talking again.
  std::size_t downs = 0, lost = 0, silent = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Stream stream(seed);
    stream.link().delay_mean = io::milliseconds(5);
    stream.run_ms(200);
    EXPECT_TRUE(stream.world.network().reset(0, 1));
    stream.run_ms(400);
    const std::vector<int> numbers = stream.numbers();
    for (std::size_t i = 1; i < numbers.size(); ++i) {
      ASSERT_GT(numbers[i], numbers[i - 1]);
      lost += static_cast<std::size_t>(numbers[i] - numbers[i - 1] - 1);
    }
    // Both hosts hear up again, and down before it, sooner or later.
    EXPECT_EQ(stream.heard[0].count("up"), 2u);
    EXPECT_EQ(stream.heard[1].count("up"), 2u);
    EXPECT_EQ(stream.heard[0].count("down"), 1u);
    EXPECT_EQ(stream.heard[1].count("down"), 1u);
    downs += 2;
    const auto& lines = stream.heard[1].lines;
    const auto down = std::find(lines.begin(), lines.end(), "down 1");
    silent += std::next(down) != lines.end() && *std::next(down) == "up 1" ? 1 : 0;
  }
  EXPECT_EQ(downs, 80u);
  EXPECT_GT(lost, 40u);
  EXPECT_GT(silent, 5u);
}

TEST(Network, CrashIsNoticedOrNot) {
  // The surviving end could always be told of a crash, or never.
  std::size_t told = 0, silent = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Stream stream(seed);
    stream.run_ms(50);
    stream.world.crash(NodeId(2), {});
    stream.run_ms(1000);
    ++(stream.heard[0].count("down 2") == 1 ? told : silent);
  }
  EXPECT_GT(told, 10u);
  EXPECT_GT(silent, 4u);
}

TEST(Network, ParcelsPassThroughTheirCodec) {
  // A codec that loses something could go unseen because the simulator passes values.
  NetworkOptions options;
  options.codec_permille = 1000;
  Stream good(1, options);
  good.run_ms(50);
  EXPECT_FALSE(good.world.failed());
  EXPECT_GT(good.world.network().counters().encoded, 40u);

  static constexpr auto kZero = [](const void*) -> std::uint64_t { return 0; };
  static const io::ParcelCodec kRefusing{
      .name = "refusing",
      .size = [](const void*) -> std::size_t { return 1; },
      .encode = [](const void*) { return io::Bytes::copy_of(std::string_view("x")); },
      .decode = [](const io::Bytes&) -> std::expected<io::Parcel, std::string> {
        return std::unexpected("planted");
      },
      .digest = kZero,
  };
  Stream bad(1, options);
  bad.sender.wake = [](io::Ports& ports) {
    ports.network.send(NodeId(2), io::Parcel::of<int>(1, kRefusing));
  };
  bad.run_ms(50);
  ASSERT_TRUE(bad.world.failed());
  EXPECT_EQ(bad.world.failure()->oracle, "wire");
  EXPECT_EQ(bad.world.failure()->signature, "refused:refusing");
}

// Machine 100 calls machine 1 once at its start.
struct Calling {
  explicit Calling(std::uint64_t seed) : world({.seed = seed}) {
    client.start = [](io::Ports& ports) { ports.remote.call(NodeId(1), io::CallId(5), text_parcel("ask")); };
    server.call = [](io::Ports& ports, io::CallId call, const io::Parcel&) {
      ports.service.reply(call, text_parcel("told"));
    };
    add_script(world, 1, server, heard_server);
    add_script(world, 100, client, heard_client, MachineRole::client);
    world.boot(NodeId(1));
    world.run_until(io::Instant{1'000'000});
  }
  ScriptHost::Script server, client;
  Heard heard_server, heard_client;
  World world;
};

TEST(Network, CallsAreAnswered) {
  // A reply could miss its caller, or come twice.
  Calling calling(1);
  calling.world.boot(NodeId(100));
  calling.world.run_until(io::Instant{100'000'000});
  EXPECT_EQ(calling.heard_server.count("call ask"), 1u);
  EXPECT_EQ(calling.heard_client.count("reply 5 told"), 1u);
  EXPECT_EQ(calling.world.network().open_calls(calling.world.index_of(NodeId(100))), 0u);
}

TEST(Network, DuplicatedCallsAreAnsweredOnce) {
  // A call that arrives twice could be answered twice to the caller.
  Calling calling(2);
  calling.world.network().faults(1, 0).duplicate_permille = 1000;
  calling.world.network().faults(0, 1).duplicate_permille = 1000;
  calling.world.boot(NodeId(100));
  calling.world.run_until(io::Instant{100'000'000});
  EXPECT_EQ(calling.heard_server.count("call ask"), 2u);
  EXPECT_EQ(calling.heard_client.count("reply"), 1u);
}

TEST(Network, CallsToTheDeadFailOrStaySilent) {
  // A caller could always learn of a dead server at once, which no real network promises; or never.
  std::size_t failed = 0, silent = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Calling calling(seed);
    calling.server.call = [](io::Ports&, io::CallId, const io::Parcel&) {};  // takes its time
    calling.world.boot(NodeId(100));
    calling.world.run_until(io::Instant{10'000'000});
    EXPECT_EQ(calling.heard_server.count("call"), 1u);
    calling.world.crash(NodeId(1), {});
    calling.world.run_until(io::Instant{2'000'000'000});
    ++(calling.heard_client.count("failed 5") == 1 ? failed : silent);
    EXPECT_EQ(calling.heard_client.count("reply"), 0u);
  }
  EXPECT_GT(failed, 10u);
  EXPECT_GT(silent, 4u);
}

TEST(Network, ServersLearnThatCallersAreGone) {
  // Calls of dead or impatient clients could stay open at the server for ever.
  std::size_t told = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Calling calling(seed);
    calling.server.call = [](io::Ports&, io::CallId, const io::Parcel&) {};
    if (seed % 2 == 0) {
      calling.client.wake = [](io::Ports& ports) { ports.remote.cancel(io::CallId(5)); };
      const auto start = calling.client.start;
      calling.client.start = [start](io::Ports& ports) {
        start(ports);
        ports.clock.wake_at(ports.clock.now().monotonic + io::milliseconds(10));
      };
    }
    calling.world.boot(NodeId(100));
    calling.world.run_until(io::Instant{20'000'000});
    if (seed % 2 == 1) calling.world.crash(NodeId(100), {});
    calling.world.run_until(io::Instant{2'000'000'000});
    const std::size_t cancelled = calling.heard_server.count("cancelled 1");
    EXPECT_LE(cancelled, 1u);
    if (seed % 2 == 0) {
      EXPECT_EQ(cancelled, 1u);
    }
    told += cancelled;
  }
  EXPECT_GT(told, 25u);
}

}  // namespace
}  // namespace reel::sim
