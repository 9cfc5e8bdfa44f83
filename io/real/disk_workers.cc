#include "io/real/disk_workers.h"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "io/ports/assert.h"

namespace reel::real {

struct Workers::Shared {
  std::mutex mutex;
  std::condition_variable work_came;
  std::condition_variable work_ended;
  std::deque<Task> jobs;
  std::uint32_t running = 0;
  bool stopping = false;
};

Workers::Workers(Loop& loop, std::uint32_t threads)
    : shared_(std::make_shared<Shared>()), mailbox_(loop.mailbox()) {
  REEL_CHECK(threads > 0);
  // Signals belong to the loops: a worker that took one would keep it from them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  REEL_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  for (std::uint32_t i = 0; i < threads; ++i) std::thread(&Workers::work, shared_).detach();
  REEL_CHECK(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

Workers::~Workers() {
  alive_.reset();
  (void)settle(io::seconds(5));
  std::lock_guard lock(shared_->mutex);
  shared_->stopping = true;
  shared_->work_came.notify_all();
}

void Workers::work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  while (true) {
    shared->work_came.wait(lock, [&] { return shared->stopping || !shared->jobs.empty(); });
    if (shared->stopping) return;
    Task job = std::move(shared->jobs.front());
    shared->jobs.pop_front();
    ++shared->running;
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
    --shared->running;
    shared->work_ended.notify_all();
  }
}

void Workers::run(Task job, Task done) {
  Task whole = [job = std::move(job), done = std::move(done), mailbox = mailbox_,
                alive = std::weak_ptr<const bool>(alive_)]() mutable {
    job();
    mailbox->post([done = std::move(done), alive = std::move(alive)]() mutable {
      if (!alive.expired()) done();
    });
  };
  std::lock_guard lock(shared_->mutex);
  shared_->jobs.push_back(std::move(whole));
  shared_->work_came.notify_one();
}

bool Workers::settle(io::Duration limit) {
  std::unique_lock lock(shared_->mutex);
  const bool ended = shared_->work_ended.wait_for(lock, std::chrono::nanoseconds(limit.ns), [&] {
    return shared_->running == 0 && shared_->jobs.empty();
  });
  if (!ended) shared_->jobs.clear();
  return ended;
}

}  // namespace reel::real
