// Fibers: workloads and users' own programs as plain blocking code against the ports. A FiberHost is an
// io::Host whose body runs on its own stack and may sleep, call, receive and use the disk as if it were a
// thread; the same body runs for real over real ports. Nothing here knows the simulator.
//
// A crash drops the host: every fiber is unwound where it stands, by an exception that no catch
// (std::exception&) sees, with ports that are dead already. A destructor that blocks meanwhile gets an empty
// answer at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "io/ports/host.h"

namespace reel::sim {

// A stack of its own, entered by resume() and left by yield(). Annotated for AddressSanitizer; exceptions in
// flight on one side are invisible to the other. Used on one thread; not copied, not moved.
class Fiber {
 public:
  explicit Fiber(std::function<void()> body);
  // Unwinds the body if it has not ended.
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs the body until it yields or ends. What leaves the body leaves here. Not after it ended.
  void resume();
  // From within the body: back to who resumed. While the fiber is being unwound it throws, or, when an
  // exception is in flight already, returns at once.
  void yield();
  bool ended() const { return ended_; }
  bool unwinding() const { return unwinding_; }

 private:
  // Leaves the body when the fiber is destroyed. Deliberately no std::exception.
  struct Unwind {};
  struct Context;
  // The part of the C++ runtime that counts exceptions in flight; belongs to a stack, yet lives in the
  // thread.
  struct ExceptionState {
    void* caught = nullptr;
    unsigned int uncaught = 0;
  };

  void enter();
  void run_body() noexcept;

  std::function<void()> body_;
  std::unique_ptr<Context> context_;
  ExceptionState exceptions_;
  std::exception_ptr failure_;
  bool inside_ = false;
  bool ended_ = false;
  bool unwinding_ = false;
};

class FiberHost final : public io::Host {
 public:
  // Everything that blocks is called from within a body. Timeouts are spans from now.
  using Body = std::function<void(FiberHost&)>;

  FiberHost(io::Ports& ports, Body body);
  ~FiberHost() override;

  struct Letter {
    io::NodeId from;
    io::Parcel parcel;
  };
  struct Query {
    io::CallId call;
    io::Rights rights{};
    io::Parcel body;
  };

  [[nodiscard]] io::Now now() const { return ports_.clock.now(); }
  void sleep(io::Duration span);
  // Nothing: no answer in time, or the server broke down; whether it acted is unknown.
  [[nodiscard]] std::optional<io::Parcel> call(io::NodeId to, io::Parcel body, io::Duration timeout);
  void send(io::NodeId to, io::Parcel parcel) { ports_.network.send(to, std::move(parcel)); }
  [[nodiscard]] std::optional<Letter> receive(io::Duration timeout);
  // The next call from a client. Answer it with reply(), once.
  [[nodiscard]] std::optional<Query> accept(io::Duration timeout);
  void reply(io::CallId call, io::Parcel body) { ports_.service.reply(call, std::move(body)); }
  // The request's op is chosen here.
  [[nodiscard]] io::DiskResult disk(io::DiskRequest request);
  // Another fiber of this host; it starts when the caller blocks or ends. At most 1,024 at once.
  void spawn(Body body);
  bool idle() const { return tasks_.empty(); }  // every body has ended

  // io::Host.
  void on_start() override;
  void on_wake() override;
  void on_disk(io::DiskResult result) override;
  void on_received(io::NodeId from, io::Parcel parcel) override;
  void on_call(io::CallId call, io::Rights rights, io::Parcel body) override;
  void on_call_cancelled(io::CallId call) override;
  void on_reply(io::CallId call, io::Parcel body) override;
  void on_call_failed(io::CallId call) override;

 private:
  enum class Waiting : std::uint8_t { nothing, time, reply, letter, query, disk };
  struct Task {
    explicit Task(std::function<void()> body) : fiber(std::move(body)) {}
    Waiting waiting = Waiting::nothing;
    io::Instant deadline = io::kNever;
    std::uint64_t token = 0;  // of the call or disk operation that it waits for
    io::Parcel reply;
    io::DiskResult disk;
    bool answered = false;
    Fiber fiber;  // last: while it is unwound, the rest is still there
  };

  // Blocks the running task. False if the deadline came first.
  bool wait(Waiting what, std::uint64_t token, io::Instant deadline);
  io::Instant deadline_after(io::Duration span) const;
  Task* waiting_for(Waiting what, std::uint64_t token);
  void wake(Task& task);
  void run_ready();
  void finish_step();

  io::Ports& ports_;
  std::vector<std::unique_ptr<Task>> tasks_;  // in order of spawning; destroyed before what they use
  std::vector<std::unique_ptr<Task>> spawned_;
  Task* running_ = nullptr;
  std::deque<Letter> letters_;
  std::deque<Query> queries_;
  std::uint64_t calls_ = 0;
  std::uint64_t operations_ = 0;
};

}  // namespace reel::sim
