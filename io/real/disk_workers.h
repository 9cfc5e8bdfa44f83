// Workers: a few threads for calls that block (names, directories, and everything where io_uring is
// forbidden). A job runs on a worker, its `done` on the loop's thread. With one thread, jobs run in the order
// of their start.
#pragma once

#include <cstdint>
#include <memory>

#include "io/ports/time.h"
#include "io/real/event_loop.h"

namespace reel::real {

class Workers {
 public:
  Workers(Loop& loop, std::uint32_t threads);
  // Settles for 5 s; jobs on a device that hangs longer are left to themselves.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // `done` is dropped if the Workers died meanwhile. The caller bounds the number of jobs.
  void run(Task job, Task done);
  // Waits until every job ended. False if one did not in time: it still uses the memory that it was given,
  // and what had not begun is forgotten.
  [[nodiscard]] bool settle(io::Duration limit);

 private:
  struct Shared;
  static void work(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_;
  std::shared_ptr<Mailbox> mailbox_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace reel::real
