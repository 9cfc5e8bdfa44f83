#include "io/real/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "io/ports/assert.h"

namespace reel::real {
namespace {

std::int64_t boottime_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// An FdObserver and the promise that waits on it, in the order in which they may die.
class Watch {
 public:
  Watch(kj::UnixEventPort& port, int descriptor, std::function<void()> readable)
      : observer_(port, descriptor, kj::UnixEventPort::FdObserver::OBSERVE_READ),
        readable_(std::move(readable)),
        loop_(next().eagerlyEvaluate([](kj::Exception&& exception) {
          std::fprintf(stderr, "event loop: %s\n", exception.getDescription().cStr());
          std::abort();
        })) {}

 private:
  kj::Promise<void> next() {
    return observer_.whenBecomesReadable().then([this] {
      // Armed before reading: an edge that comes while the callback reads is not lost.
      auto again = next();
      readable_();
      return again;
    });
  }

  kj::UnixEventPort::FdObserver observer_;
  std::function<void()> readable_;
  kj::Promise<void> loop_;
};

constexpr int kRoundsToSettle = 32;

}  // namespace

// ---- Mailbox

Mailbox::Mailbox() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { REEL_CHECK(event_ >= 0); }

Mailbox::~Mailbox() { ::close(event_); }

void Mailbox::post(Task task) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  tasks_.push_back(std::move(task));
  if (tasks_.size() > 1) return;  // the loop has been told and has not looked yet
  const std::uint64_t one = 1;
  REEL_CHECK(::write(event_, &one, sizeof one) == sizeof one);
}

std::vector<Task> Mailbox::take() {
  std::lock_guard lock(mutex_);
  std::uint64_t count = 0;
  while (::read(event_, &count, sizeof count) > 0) {
  }
  return std::exchange(tasks_, {});
}

void Mailbox::close() {
  std::vector<Task> dropped;  // destroyed after the lock: a task's captures may post themselves
  std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(tasks_);
}

// ---- SpinPolicy

bool SpinPolicy::worth_trying() {
  if (score_ >= kOne / 4) return true;
  if (++skipped_ < kProbeEvery) return false;
  skipped_ = 0;
  return true;
}

void SpinPolicy::record(bool found_something) {
  if (found_something) {
    score_ += (kOne - score_) / 8 + 1;
  } else {
    score_ -= score_ / 8;
  }
}

// ---- Loop

Loop::Loop(const LoopOptions& options)
    : io_(kj::setupAsyncIo()), options_(options), mailbox_(std::make_shared<Mailbox>()), tasks_(*this) {
  REEL_CHECK(options_.spin.ns >= 0);
  mailbox_watch_ = watch(mailbox_->event_, [this] { drain_mailbox(); });
}

Loop::~Loop() noexcept {
  mailbox_->close();
  for (const auto& phase : flushers_) REEL_CHECK(phase.empty());
}

void Loop::run() {
  // Without spinning nothing is to be done between two turns: KJ goes from one to the next by itself, and the
  // kernel is not asked twice for what there is.
  activity_wakes_ = options_.spin.ns > 0;
  std::uint64_t seen = activity_;
  while (!stopping_) {
    if (activity_wakes_) {
      wait_scope().poll();
      if (stopping_) break;
      // What woke us from sleep counts too.
      if (std::exchange(seen, activity_) != activity_ && spin()) continue;
    }
    sleep(nullptr);
  }
  activity_wakes_ = true;
  wait_scope().poll();  // the turn of stop() ends as every turn does, with its flushers
  stopping_ = false;
}

void Loop::stop() {
  stopping_ = true;
  ++activity_;
  wake();
}

bool Loop::run_until(const std::function<bool()>& done, io::Duration limit) {
  const std::int64_t end_ns = boottime_ns() + limit.ns;
  while (true) {
    // One round of what there is to do. Until nothing is left, as poll() goes, could be for ever: a process that is never
    // idle would not see that the condition holds.
    sleep(io::Duration{0});
    const bool well = done();
    if (well || stopping_) {
      // What belongs to the same turn of things, a connection that ends with its last call, is seen through.
      for (int round = 0; round < kRoundsToSettle; ++round) sleep(io::Duration{0});
      stopping_ = false;
      return well;
    }
    const std::int64_t left_ns = end_ns - boottime_ns();
    if (left_ns <= 0) return false;
    // Not everything that can make the condition true notes activity: look again now and then.
    sleep(io::Duration{std::min<std::int64_t>(left_ns, 5'000'000)});
  }
}

bool Loop::spin() {
  if (options_.spin.ns == 0 || !spin_policy_.worth_trying()) return false;
  const std::uint64_t before = activity_;
  const std::int64_t end_ns = boottime_ns() + options_.spin.ns;
  do {
    wait_scope().poll();
  } while (activity_ == before && !stopping_ && boottime_ns() < end_ns);
  spin_policy_.record(activity_ != before);
  return activity_ != before;
}

void Loop::sleep(const kj::Maybe<io::Duration>& limit) {
  auto activity = kj::newPromiseAndFulfiller<void>();
  sleeper_ = kj::mv(activity.fulfiller);
  auto woken = kj::mv(activity.promise);
  KJ_IF_MAYBE (delay, limit) {
    auto& timer = io_.provider->getTimer();
    woken = woken.exclusiveJoin(timer.afterDelay(delay->ns * kj::NANOSECONDS));
  }
  woken.wait(wait_scope());
  sleeper_ = nullptr;
}

void Loop::note_activity() {
  ++activity_;
  if (activity_wakes_) wake();
}

void Loop::wake() {
  KJ_IF_MAYBE (sleeper, sleeper_) {
    if ((*sleeper)->isWaiting()) (*sleeper)->fulfill();
  }
}

void Loop::defer(Task task) {
  deferred_.push_back(std::move(task));
  if (std::exchange(deferred_armed_, true)) return;
  tasks_.add(kj::evalLater([this] { run_deferred(); }));
}

void Loop::run_deferred() {
  deferred_armed_ = false;
  note_activity();
  // Tasks that these tasks defer belong to a later event of the same turn.
  std::vector<Task> now = std::exchange(deferred_, {});
  for (Task& task : now) task();
}

void Loop::drain_mailbox() {
  std::vector<Task> posted = mailbox_->take();
  note_activity();
  for (Task& task : posted) task();
}

void Loop::add_flusher(FlushPhase phase, Flusher& flusher) {
  flushers_[static_cast<std::size_t>(phase)].push_back(&flusher);
}

void Loop::remove_flusher(Flusher& flusher) {
  for (auto& phase : flushers_) std::erase(phase, &flusher);
}

void Loop::request_flush() {
  if (std::exchange(flush_armed_, true)) return;
  tasks_.add(kj::evalLast([this] { end_turn(); }));
}

void Loop::end_turn() {
  flush_armed_ = false;
  ++turns_;
  for (const auto& phase : flushers_) {
    for (Flusher* flusher : phase) flusher->flush();
  }
}

void Loop::keep(kj::Promise<void> promise) { tasks_.add(kj::mv(promise)); }

kj::Own<void> Loop::watch(int descriptor, std::function<void()> readable) {
  return kj::heap<Watch>(port(), descriptor, std::move(readable));
}

void Loop::capture_stop_signals() {
  kj::UnixEventPort::captureSignal(SIGINT);
  kj::UnixEventPort::captureSignal(SIGTERM);
}

void Loop::on_stop_signal(std::function<void(int)> callback) {
  REEL_CHECK(!stop_signal_);
  stop_signal_ = std::move(callback);
  tasks_.add(hear(SIGINT));
  tasks_.add(hear(SIGTERM));
}

kj::Promise<void> Loop::hear(int signal) {
  return port().onSignal(signal).then([this, signal](siginfo_t&&) {
    note_activity();
    stop_signal_(signal);
    return hear(signal);
  });
}

void Loop::taskFailed(kj::Exception&& exception) {
  std::fprintf(stderr, "event loop: a background task failed: %s\n", exception.getDescription().cStr());
  std::abort();
}

}  // namespace reel::real
