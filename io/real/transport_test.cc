// FrameStream beneath RPC: who gets how much of a turn.
#include "io/real/transport.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace reel::real {
namespace {

class ManualReactor final : public Reactor {
 public:
  ~ManualReactor() noexcept override {}
  kj::Timer& timer() override { return timer_; }
  void add_flusher(Flusher&) override {}
  void remove_flusher(Flusher&) override {}
  void request_flush() override {}
  void note_activity() override {}
  void ring() { timer_.advanceTo(timer_.now() + 1 * kj::MILLISECONDS); }

 private:
  kj::TimerImpl timer_{kj::origin<kj::TimePoint>()};
};

// The bytes of one message, `count` times, all of them here already.
class Flood final : public kj::AsyncIoStream {
 public:
  Flood(kj::ArrayPtr<const kj::byte> message, std::size_t count)
      : message_(message), left_(message.size() * count) {}
  kj::Promise<std::size_t> tryRead(void* to, std::size_t least, std::size_t most) override {
    if (left_ < least) return kj::NEVER_DONE;
    std::size_t done = 0;
    while (done < std::min(most, left_)) {
      const std::size_t at = (read_ + done) % message_.size();
      const std::size_t piece = std::min({message_.size() - at, most - done, left_ - done});
      std::memcpy(static_cast<kj::byte*>(to) + done, message_.begin() + at, piece);
      done += piece;
    }
    read_ += done;
    left_ -= done;
    return done;
  }
  kj::Promise<void> write(const void*, std::size_t) override { return kj::READY_NOW; }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>>) override { return kj::READY_NOW; }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
  void shutdownWrite() override {}

 private:
  kj::ArrayPtr<const kj::byte> message_;
  std::size_t left_;
  std::size_t read_ = 0;
};

// Reads a stream as RPC does: the next message when one is taken.
class Reading {
 public:
  Reading(Transport& transport, kj::ArrayPtr<const kj::byte> message, std::size_t count, bool takes_turns)
      : stream_(transport, kj::heap<Flood>(message, count), true) {
    stream_.take_turns(takes_turns);
    task_ = loop().eagerlyEvaluate(nullptr);
  }
  std::size_t taken() const { return taken_; }

 private:
  kj::Promise<void> loop() {
    return stream_.tryReadMessage(nullptr, {}, nullptr).then([this](auto&& message) -> kj::Promise<void> {
      if (message == nullptr) return kj::READY_NOW;
      ++taken_;
      return loop();
    });
  }
  FrameStream stream_;
  std::size_t taken_ = 0;
  kj::Promise<void> task_ = nullptr;
};

kj::Array<capnp::word> message_of(std::size_t bytes) {
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::AnyPointer>().initAs<capnp::Data>(static_cast<unsigned>(bytes));
  return capnp::messageToFlatArray(message);
}

// Callers with large messages could make one turn as long as they like: heartbeats would wait behind them, and the node would
// lose its lead because it is busy.
TEST(Transport, ATurnTakesOnlySoMuchOfCallers) {
  kj::EventLoop loop;
  kj::WaitScope scope(loop);
  ManualReactor reactor;
  Transport transport(reactor);
  constexpr std::size_t kBytes = 300u << 10;
  constexpr std::size_t kPerTurn = kTurnBytesMax / kBytes + 1;
  const kj::Array<capnp::word> message = message_of(kBytes);
  std::array<Reading, 3> callers{{{transport, message.asBytes(), 1000, true},
                                  {transport, message.asBytes(), 1000, true},
                                  {transport, message.asBytes(), 1000, true}}};
  const Reading peer(transport, message.asBytes(), 20, false);
  const auto taken = [&] { return callers[0].taken() + callers[1].taken() + callers[2].taken(); };
  scope.poll();
  EXPECT_EQ(peer.taken(), 20u);
  EXPECT_GE(taken(), kPerTurn - 1);
  EXPECT_LE(taken(), kPerTurn + callers.size());
  for (int turn = 0; turn < 30; ++turn) {
    const std::size_t before = taken();
    reactor.ring();
    scope.poll();
    EXPECT_GE(taken(), before + kPerTurn - 1);
    EXPECT_LE(taken(), before + kPerTurn + 1);
  }
  for (const Reading& caller : callers) EXPECT_GE(caller.taken(), taken() / 3 - 2);
}

// One that has nothing to say, or is gone, must not keep its place while others wait.
TEST(Transport, WhoeverIsSilentOrGoneHoldsUpNobody) {
  kj::EventLoop loop;
  kj::WaitScope scope(loop);
  ManualReactor reactor;
  Transport transport(reactor);
  const kj::Array<capnp::word> large = message_of(kTurnBytesMax);
  const Reading busy(transport, large.asBytes(), 1000, true);
  auto gone = std::make_unique<Reading>(transport, large.asBytes(), 1000, true);
  const Reading silent(transport, large.asBytes(), 1, true);
  scope.poll();
  gone.reset();
  for (int turn = 0; turn < 10; ++turn) {
    reactor.ring();
    scope.poll();
  }
  EXPECT_EQ(silent.taken(), 1u);
  EXPECT_GE(busy.taken(), 8u);
}

}  // namespace
}  // namespace reel::real
