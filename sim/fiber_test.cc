#include "sim/fiber.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "sim/test_hosts.h"

namespace reel::sim {
namespace {

using io::NodeId;

TEST(Fiber, RunsAndYields) {
  // Control could come back to the wrong side, or locals be lost over a switch.
  std::string log;
  Fiber* self = nullptr;
  Fiber fiber([&] {
    std::string local = "kept";
    log += "a";
    self->yield();
    log += local;
    self->yield();
    log += "c";
  });
  self = &fiber;
  fiber.resume();
  log += "-";
  fiber.resume();
  log += "-";
  EXPECT_FALSE(fiber.ended());
  fiber.resume();
  EXPECT_TRUE(fiber.ended());
  EXPECT_EQ(log, "a-kept-c");
}

TEST(Fiber, DestructionUnwinds) {
  // Locals of a fiber that is dropped half way could leak.
  bool destroyed = false;
  {
    struct Local {
      explicit Local(bool& target) : flag(target) {}
      ~Local() { flag = true; }
      bool& flag;
    };
    Fiber* self = nullptr;
    Fiber fiber([&] {
      const Local local(destroyed);
      const std::vector<int> heap(1000);
      for (;;) self->yield();
    });
    self = &fiber;
    fiber.resume();
    fiber.resume();
    EXPECT_FALSE(destroyed);
  }
  EXPECT_TRUE(destroyed);
  Fiber never_started([] { FAIL(); });
}

TEST(Fiber, ExceptionsLeaveWithResume) {
  // An exception could end the process at the border of the stack.
  Fiber fiber([] { throw std::runtime_error("planted"); });
  EXPECT_THROW(fiber.resume(), std::runtime_error);
  EXPECT_TRUE(fiber.ended());
}

TEST(Fiber, YieldInsideACatchBlock) {
  // The runtime keeps exceptions in flight per thread: two fibers inside catch blocks could mix them up.
  Fiber* first = nullptr;
  Fiber* second = nullptr;
  std::string log;
  const auto body = [&log](Fiber*& self, const char* text) {
    return [&log, &self, text] {
      try {
        throw std::runtime_error(text);
      } catch (const std::runtime_error& error) {
        self->yield();
        try {
          throw;
        } catch (const std::exception& again) {
          log += again.what();
        }
        self->yield();
        log += error.what();
      }
    };
  };
  Fiber a(body(first, "a")), b(body(second, "b"));
  first = &a;
  second = &b;
  a.resume();
  b.resume();
  a.resume();
  try {
    throw std::runtime_error("outside");
  } catch (const std::exception& error) {
    b.resume();
    a.resume();
    b.resume();
    EXPECT_STREQ(error.what(), "outside");
  }
  EXPECT_EQ(std::uncaught_exceptions(), 0);
  EXPECT_EQ(log, "abab");
}

TEST(Fiber, UnwindsOutOfACatchBlock) {
  // A crash while a body handles an error could terminate the process.
  bool reached = false, caught_as_error = false;
  {
    Fiber* self = nullptr;
    Fiber fiber([&] {
      try {
        try {
          throw std::runtime_error("planted");
        } catch (const std::exception&) {
          reached = true;
          self->yield();
        }
      } catch (const std::exception&) {
        caught_as_error = true;
      }
    });
    self = &fiber;
    fiber.resume();
  }
  EXPECT_TRUE(reached);
  EXPECT_FALSE(caught_as_error);
}

TEST(Fiber, ManyAtOnce) {
  // Stacks could overlap or run out.
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<int> sums(200);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    fibers.push_back(std::make_unique<Fiber>([&, i] {
      char block[16'384];
      std::memset(block, static_cast<int>(i), sizeof block);
      fibers[i]->yield();
      for (const char value : block) sums[i] += static_cast<unsigned char>(value) == i ? 1 : 0;
    }));
  }
  for (auto& fiber : fibers) fiber->resume();
  for (auto& fiber : fibers) fiber->resume();
  for (const int sum : sums) EXPECT_EQ(sum, 16'384);
}

void add_fibers(World& world, std::uint64_t id, FiberHost::Body body, MachineRole role = MachineRole::node) {
  MachineOptions options;
  options.id = NodeId(id);
  options.role = role;
  options.factory = [body = std::move(body)](io::Ports& ports) -> std::unique_ptr<io::Host> {
    return std::make_unique<FiberHost>(ports, body);
  };
  world.add(std::move(options));
}

// Answers each call with its body and "!".
void echo(FiberHost& host) {
  for (;;) {
    if (auto query = host.accept(io::seconds(1000))) {
      host.reply(query->call, text_parcel(std::string(query->body.get<io::Bytes>().text()) + "!"));
    }
  }
}

TEST(FiberHost, BlockingProgramsTalk) {
  // A program written as blocking code could miss a reply, a timeout or its time.
  std::vector<std::string> log;
  World world({.seed = 1});
  add_fibers(world, 1, echo);
  add_fibers(world, 2, [&](FiberHost& host) {
    const io::Instant start = host.now().monotonic;
    host.sleep(io::milliseconds(10));
    EXPECT_GE(host.now().monotonic - start, io::milliseconds(10));
    for (int i = 0; i < 3; ++i) {
      const auto reply = host.call(NodeId(1), text_parcel("x" + std::to_string(i)), io::seconds(1));
      log.push_back(reply ? std::string(reply->get<io::Bytes>().text()) : "none");
    }
    // Nobody of that number: no answer, and the deadline holds.
    const io::Instant before = host.now().monotonic;
    log.push_back(host.call(NodeId(9), text_parcel("y"), io::milliseconds(50)) ? "answer" : "none");
    EXPECT_GE(host.now().monotonic - before, io::milliseconds(50));
  });
  world.boot_all();
  world.run_until(io::Instant{1'000'000'000});
  ASSERT_FALSE(world.failed()) << world.failure()->text;
  EXPECT_EQ(log, (std::vector<std::string>{"x0!", "x1!", "x2!", "none"}));
}

TEST(FiberHost, SeveralFibersShareAHost) {
  // Two fibers could take each other's letters, replies or disk results.
  std::string log;
  World world({.seed = 1});
  add_fibers(world, 1, [&](FiberHost& host) {
    for (int i = 0; i < 3; ++i) {
      host.spawn([&log, i](FiberHost& same) {
        io::DiskRequest request;
        request.verb = io::DiskVerb::create;
        request.file = io::FileId(static_cast<std::uint32_t>(i) + 1);
        request.name = "file-" + std::to_string(i);
        request.length = io::kSectorBytes * (static_cast<std::uint64_t>(i) + 1);
        const io::DiskResult result = same.disk(std::move(request));
        EXPECT_EQ(result.size, io::kSectorBytes * (static_cast<std::uint64_t>(i) + 1));
        same.sleep(io::milliseconds(30 - 10 * i));
        log += std::to_string(i);
      });
    }
    const auto letter = host.receive(io::seconds(1));
    log += letter ? "letter" : "silence";
    log += host.receive(io::milliseconds(1)) ? "letter" : "silence";
  });
  add_fibers(world, 2, [](FiberHost& host) {
    host.sleep(io::milliseconds(100));
    host.send(NodeId(1), text_parcel("hi"));
  });
  world.boot_all();
  world.run_until(io::Instant{1'000'000'000});
  ASSERT_FALSE(world.failed()) << world.failure()->text;
  EXPECT_EQ(log, "210lettersilence");
}

TEST(FiberHost, CrashUnwindsWithDeadPorts) {
  // A crashed program could go on, leak what it held, or send from its destructors.
  struct Goodbye {
    explicit Goodbye(FiberHost& given, int& counter) : host(given), destroyed(counter) {}
    ~Goodbye() {
      ++destroyed;
      host.send(NodeId(1), text_parcel("goodbye"));
      (void)host.call(NodeId(1), text_parcel("goodbye"), io::seconds(1));  // blocks; must return at once
    }
    FiberHost& host;
    int& destroyed;
  };
  int destroyed = 0, started = 0;  // before the world: its end unwinds the last life
  Heard heard;
  ScriptHost::Script quiet;
  World world({.seed = 1});
  add_script(world, 1, quiet, heard);
  add_fibers(world, 2, [&](FiberHost& host) {
    ++started;
    const Goodbye goodbye(host, destroyed);
    try {
      for (;;) host.sleep(io::milliseconds(7));
    } catch (const std::exception&) {
      ADD_FAILURE() << "a crash looks like an error to the program";
    }
  });
  world.boot_all();
  for (int i = 0; i < 10; ++i) {
    world.run_for(io::milliseconds(50));
    world.crash(NodeId(2), {.restart_after = io::milliseconds(5)});
  }
  world.run_for(io::milliseconds(50));
  ASSERT_FALSE(world.failed()) << world.failure()->text;
  EXPECT_EQ(started, 11);
  EXPECT_EQ(destroyed, 10);
  EXPECT_EQ(heard.count("received") + heard.count("call"), 0u);
}

TEST(FiberHost, AssertionsInsideAFiberFailTheWorld) {
  // An assertion or exception in a workload could end the process or vanish in its fiber.
  for (const bool asserts : {true, false}) {
    World world({.seed = 1});
    add_fibers(world, 1, [asserts](FiberHost& host) {
      host.sleep(io::milliseconds(5));
      if (asserts) REEL_CHECK(host.idle() && "planted");
      throw std::runtime_error("planted");
    });
    world.boot_all();
    world.run_until(io::Instant{100'000'000});
    ASSERT_TRUE(world.failed());
    EXPECT_EQ(world.failure()->oracle, asserts ? "assertion" : "exception");
  }
}

TEST(FiberHost, WholeWorldsOfFibersRepeat) {
  // Fibers could bring an address or a leftover of a stack into the order of things.
  std::array<std::uint64_t, 2> chains{};
  for (std::uint64_t& chain : chains) {
    World world({.seed = 5});
    add_fibers(world, 1, echo);
    for (std::uint64_t id = 2; id <= 6; ++id) {
      add_fibers(world, id, [id](FiberHost& host) {
        for (int i = 0;; ++i) {
          (void)host.call(NodeId(1), text_parcel(std::to_string(i)), io::milliseconds(2));
          host.sleep(io::microseconds(static_cast<std::int64_t>(100 * id)));
        }
      });
    }
    world.boot_all();
    world.run_until(io::Instant{200'000'000});
    world.crash(NodeId(1), {.restart_after = io::milliseconds(20)});
    world.run_until(io::Instant{400'000'000});
    EXPECT_FALSE(world.failed());
    chain = world.chain();
  }
  EXPECT_EQ(chains[0], chains[1]);
}

}  // namespace
}  // namespace reel::sim
