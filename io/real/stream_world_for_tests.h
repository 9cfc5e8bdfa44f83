// A little world of byte streams in memory, in virtual time, for the real RPC adapters: every write arrives
// in fragments whose sizes and order among the streams are drawn from a seed. Nothing in it is real but the
// code above it.
#pragma once

#include <kj/async-io.h>
#include <kj/timer.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/real/transport.h"

namespace reel::real {

class StreamWorld final : public Reactor {
 public:
  explicit StreamWorld(std::uint64_t seed) : seed_(seed) {}
  ~StreamWorld() noexcept override {}

  // Runs everything that can run, then lets one fragment arrive, or, if none is on its way, time pass; until
  // `done`. False if nothing is left to happen.
  bool run_until(const std::function<bool()>& done) {
    while (true) {
      wait_scope_.poll();
      if (done()) return true;
      if (deliver_one()) continue;
      KJ_IF_MAYBE (next, timer_.nextEvent()) {
        timer_.advanceTo(*next);
      } else {
        return false;
      }
    }
  }

  // Two ends of one connection.
  kj::TwoWayPipe connect() {
    auto there = std::make_shared<Pipe>(*this);
    auto back = std::make_shared<Pipe>(*this);
    return {{kj::heap<End>(there, back), kj::heap<End>(back, there)}};
  }

  kj::Timer& timer() override { return timer_; }
  void add_flusher(Flusher& flusher) override { flushers_.push_back(&flusher); }
  void remove_flusher(Flusher& flusher) override { std::erase(flushers_, &flusher); }
  void request_flush() override {
    if (std::exchange(flush_armed_, true)) return;
    flush_task_ = kj::evalLast([this] {
                    flush_armed_ = false;
                    for (Flusher* flusher : flushers_) flusher->flush();
                  }).eagerlyEvaluate(nullptr);
  }
  void note_activity() override {}

  std::uint64_t fragments() const { return fragments_; }

 private:
  // What one side has written and the other has not read.
  struct Pipe {
    explicit Pipe(StreamWorld& w) : world(w) { world.pipes_.push_back(this); }
    ~Pipe() { std::erase(world.pipes_, this); }

    StreamWorld& world;
    std::deque<std::byte> flying;
    std::deque<std::byte> arrived;
    bool writer_gone = false;
    bool reader_gone = false;
    // One read at a time waits for `wanted` bytes.
    std::byte* to = nullptr;
    std::size_t wanted = 0;
    std::size_t room = 0;
    kj::Own<kj::PromiseFulfiller<std::size_t>> reader;

    void arrive(std::size_t bytes) {
      const auto end = flying.begin() + static_cast<std::ptrdiff_t>(bytes);
      arrived.insert(arrived.end(), flying.begin(), end);
      flying.erase(flying.begin(), end);
      serve();
    }
    void serve() {
      if (reader.get() == nullptr) return;
      const bool ended = writer_gone && flying.empty();
      if (arrived.size() < wanted && !ended) return;
      const std::size_t bytes = std::min(room, arrived.size());
      std::copy_n(arrived.begin(), bytes, to);
      arrived.erase(arrived.begin(), arrived.begin() + static_cast<std::ptrdiff_t>(bytes));
      auto fulfiller = kj::mv(reader);
      fulfiller->fulfill(kj::cp(bytes));
    }
  };

  class End final : public kj::AsyncIoStream {
   public:
    End(std::shared_ptr<Pipe> out, std::shared_ptr<Pipe> in) : out_(std::move(out)), in_(std::move(in)) {}
    ~End() noexcept {
      shutdownWrite();
      in_->reader_gone = true;
      in_->reader = nullptr;
    }

    kj::Promise<std::size_t> tryRead(void* buffer, std::size_t least, std::size_t most) override {
      auto waiting = kj::newPromiseAndFulfiller<std::size_t>();
      REEL_CHECK(in_->reader.get() == nullptr || !in_->reader->isWaiting());
      in_->to = static_cast<std::byte*>(buffer);
      in_->wanted = least;
      in_->room = most;
      in_->reader = kj::mv(waiting.fulfiller);
      in_->serve();
      return kj::mv(waiting.promise);
    }
    kj::Promise<void> write(const void* buffer, std::size_t size) override {
      if (out_->reader_gone) return KJ_EXCEPTION(DISCONNECTED, "nobody reads");
      const auto* bytes = static_cast<const std::byte*>(buffer);
      out_->flying.insert(out_->flying.end(), bytes, bytes + size);
      return kj::READY_NOW;
    }
    kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
      for (const auto& piece : pieces) {
        if (out_->reader_gone) return KJ_EXCEPTION(DISCONNECTED, "nobody reads");
        const auto* bytes = reinterpret_cast<const std::byte*>(piece.begin());
        out_->flying.insert(out_->flying.end(), bytes, bytes + piece.size());
      }
      return kj::READY_NOW;
    }
    kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
    void shutdownWrite() override {
      out_->writer_gone = true;
      out_->serve();
    }

   private:
    std::shared_ptr<Pipe> out_;
    std::shared_ptr<Pipe> in_;
  };

  class Port final : public kj::EventPort {
   public:
    // The world decides what happens next, never KJ.
    bool wait() override { io::assertion_failed("a simulated loop never waits", __FILE__, __LINE__); }
    bool poll() override { return false; }
  };

  std::uint64_t draw(std::uint64_t bound) { return io::keyed_hash(seed_, {++draws_}) % bound; }

  bool deliver_one() {
    std::vector<Pipe*> ready;
    for (Pipe* pipe : pipes_) {
      if (!pipe->flying.empty()) ready.push_back(pipe);
    }
    if (ready.empty()) return false;
    Pipe& pipe = *ready[draw(ready.size())];
    // Mostly shreds, sometimes all of it.
    const std::size_t bound = draw(8) == 0 ? pipe.flying.size() : std::size_t{1} << draw(17);
    ++fragments_;
    pipe.arrive(std::min(pipe.flying.size(), 1 + draw(bound)));
    return true;
  }

  std::uint64_t seed_;
  std::uint64_t draws_ = 0;
  std::uint64_t fragments_ = 0;
  Port port_;
  kj::EventLoop loop_{port_};
  kj::WaitScope wait_scope_{loop_};
  kj::TimerImpl timer_{kj::origin<kj::TimePoint>()};
  std::vector<Pipe*> pipes_;
  std::vector<Flusher*> flushers_;
  bool flush_armed_ = false;
  kj::Promise<void> flush_task_ = nullptr;
};

}  // namespace reel::real
