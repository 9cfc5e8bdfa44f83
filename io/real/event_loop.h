// Loop: the one thread on which a node or a client lives. It owns KJ's asynchronous I/O, so disk completions,
// timers, sockets and RPC of that node all arrive on this thread, and nothing in the node needs a lock.
//
// A turn is what happens between two looks at the kernel:
//   1. what is ready is drained: disk completions (eventfd), the timer, sockets; each calls the host,
//   2. deferred tasks run,
//   3. when no event is left, the flushers run, disk before network: everything that the host asked for
//      during the turn goes out in one batch of system calls, and the disk starts working before the peers
//      are told.
// KJ polls the kernel only between turns, so a turn is bounded by what one epoll_wait returned.
//
// Everything here is for the loop's own thread, except post() through a Mailbox. The turn order holds also
// where a program drives KJ itself by `promise.wait(loop.wait_scope())`; run() adds the spinning and the end
// by stop().
#pragma once

#include <kj/async-io.h>
#include <kj/async-unix.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "io/ports/time.h"

namespace reel::real {

using Task = std::move_only_function<void()>;

// Sends out what was queued during a turn. Called once per turn at most, never from inside another call.
class Flusher {
 public:
  virtual ~Flusher() = default;
  virtual void flush() = 0;
};
enum class FlushPhase : std::uint8_t { disk, network };

// Tasks from other threads. Outlives the loop if need be: what is posted after the loop's end is dropped.
class Mailbox {
 public:
  Mailbox();
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  // Any thread. Tasks of one thread run in order, each from the loop, never inline. The poster bounds their
  // number.
  void post(Task task);

 private:
  friend class Loop;
  std::vector<Task> take();
  void close();

  std::mutex mutex_;
  std::vector<Task> tasks_;
  bool closed_ = false;
  int event_ = -1;
};

// Whether to poll a little before going to sleep. Waking an idle core costs some 20 us, a useless spin costs
// the same on a core that others want, so the loop remembers how often it paid: below one in four it only
// probes.
class SpinPolicy {
 public:
  bool worth_trying();
  void record(bool found_something);

 private:
  static constexpr std::uint32_t kOne = 256;
  static constexpr std::uint32_t kProbeEvery = 64;
  std::uint32_t score_ = kOne / 2;  // running share of successes, in units of 1 / kOne
  std::uint32_t skipped_ = 0;
};

struct LoopOptions {
  // Longest poll before sleeping, after something happened. 0 disables. At most 20 us are of use (platform
  // notes): with more, completions of kernel workers that need this CPU wait for a scheduler tick.
  io::Duration spin = io::nanoseconds(0);
};

class Loop final : private kj::TaskSet::ErrorHandler {
 public:
  explicit Loop(const LoopOptions& options = {});
  ~Loop() noexcept;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  kj::AsyncIoContext& io() { return io_; }
  kj::UnixEventPort& port() { return io_.unixEventPort; }
  kj::WaitScope& wait_scope() { return io_.waitScope; }

  // Runs turns until stop(). May be called again afterwards.
  void run();
  // Makes run(), or run_until(), return after the turn in which it is called, flushers included.
  // If neither runs, the next one returns at once.
  void stop();
  // Runs turns until `done` says so; false if that took longer than `limit`, or was stopped. For tests and tools.
  [[nodiscard]] bool run_until(const std::function<bool()>& done, io::Duration limit);

  // Runs the task in this turn, after the current event, before the flushers.
  void defer(Task task);
  // For other threads; the loop itself uses defer().
  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }

  // A flusher is added once and removed before it dies. Flushers of one phase run in the order of their
  // addition.
  void add_flusher(FlushPhase phase, Flusher& flusher);
  void remove_flusher(Flusher& flusher);
  // All flushers run at the end of this turn. Cheap, and as often as you like.
  void request_flush();

  // Something arrived from outside: worth spinning for more, and time to look at run_until()'s condition.
  // Whoever watches a socket or a descriptor calls it.
  void note_activity();

  // Keeps a background promise alive until it is done or the loop dies. One that fails is a programmer's
  // error and ends the process: whatever may fail in operation is caught where it can be understood.
  void keep(kj::Promise<void> promise);
  // Calls `readable` each time the descriptor becomes readable (edge-triggered: it must read until EAGAIN).
  // Lives as long as the returned handle, which dies before the descriptor and never inside `readable`.
  [[nodiscard]] kj::Own<void> watch(int descriptor, std::function<void()> readable);

  // SIGINT and SIGTERM: capture in main() before any thread starts (the mask is inherited), then let one loop
  // hear them. The callback gets the signal's number, and comes again if the user insists.
  static void capture_stop_signals();
  void on_stop_signal(std::function<void(int)> callback);

  std::uint64_t turns() const { return turns_; }  // that ended in a flush

 private:
  void taskFailed(kj::Exception&& exception) override;
  void end_turn();
  void run_deferred();
  void drain_mailbox();
  bool spin();
  // Runs turns until wake() or `limit`.
  void sleep(const kj::Maybe<io::Duration>& limit);
  void wake();
  kj::Promise<void> hear(int signal);

  kj::AsyncIoContext io_;
  LoopOptions options_;
  SpinPolicy spin_policy_;
  std::shared_ptr<Mailbox> mailbox_;
  std::array<std::vector<Flusher*>, 2> flushers_;
  std::vector<Task> deferred_;
  std::function<void(int)> stop_signal_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> sleeper_;
  std::uint64_t activity_ = 0;
  std::uint64_t turns_ = 0;
  bool deferred_armed_ = false;
  bool flush_armed_ = false;
  bool activity_wakes_ = true;  // someone looks at what happened after each turn
  bool stopping_ = false;
  kj::Own<void> mailbox_watch_;
  kj::TaskSet tasks_;  // last: its promises refer to all of the above
};

}  // namespace reel::real
