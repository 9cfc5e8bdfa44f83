// The io_uring engine. Completions reach KJ's loop by an eventfd; hence no DEFER_TASKRUN, under which
// completions are only posted when somebody asks for them and an eventfd loop hangs. A sync is its own FSYNC
// operation and never RWF_DSYNC on the write: that completes on a per-CPU worker and costs a scheduler tick
// on a busy machine.
#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <deque>

#include "io/ports/assert.h"
#include "io/real/disk_engine.h"

namespace reel::real {
namespace {

class UringEngine final : public DiskEngine {
 public:
  UringEngine(Loop& loop, std::uint32_t depth, Done done)
      : loop_(loop), depth_(depth), done_(std::move(done)) {}

  ~UringEngine() noexcept override {
    watch_ = nullptr;
    if (ring_open_) io_uring_queue_exit(&ring_);
    if (event_ >= 0) ::close(event_);
  }

  // 0 or errno.
  int open() {
    // From 5.19 and 6.0 on; older kernels say EINVAL and get a plain ring.
    constexpr unsigned kWanted =
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER;
    int result = io_uring_queue_init(depth_, &ring_, kWanted);
    if (result == -EINVAL) result = io_uring_queue_init(depth_, &ring_, 0);
    if (result < 0) return -result;
    ring_open_ = true;
    event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_ < 0) return errno;
    result = io_uring_register_eventfd(&ring_, event_);
    if (result < 0) return -result;
    watch_ = loop_.watch(event_, [this] { drain(); });
    return 0;
  }

  void start(Transfer& transfer) override {
    // Never more in flight than submission slots, so the completion ring (twice as large) cannot overflow.
    if (in_flight_ == depth_) {
      waiting_.push_back(&transfer);
      return;
    }
    prepare(transfer);
    if (io_uring_sq_space_left(&ring_) == 0) flush();
    loop_.request_flush();
  }

  void flush() override {
    while (io_uring_sq_ready(&ring_) > 0) {
      ++submissions_;
      const int result = io_uring_submit(&ring_);
      if (result > 0 || result == -EINTR) continue;
      REEL_CHECK(result == 0 || result == -EAGAIN || result == -EBUSY);
      // The kernel is short of memory or behind with completions: the next completion tries again, or this
      // timer.
      loop_.keep(loop_.io()
                     .provider->getTimer()
                     .afterDelay(kj::MILLISECONDS)
                     .then([this, alive = std::weak_ptr<const bool>(alive_)] {
                       if (!alive.expired()) flush();
                     }));
      return;
    }
  }

  bool settle(io::Duration limit) override {
    watch_ = nullptr;
    waiting_.clear();
    flush();
    __kernel_timespec wait{};
    wait.tv_sec = limit.ns / 1'000'000'000;
    wait.tv_nsec = limit.ns % 1'000'000'000;
    while (in_flight_ > 0) {
      io_uring_cqe* completion = nullptr;
      const int result = io_uring_wait_cqe_timeout(&ring_, &completion, &wait);
      if (result == -EINTR) continue;
      if (result < 0) return false;
      io_uring_cqe_seen(&ring_, completion);
      --in_flight_;
    }
    return true;
  }

  std::uint64_t submissions() const override { return submissions_; }

 private:
  void prepare(Transfer& transfer) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    REEL_CHECK(entry != nullptr);
    switch (transfer.kind) {
      case Transfer::Kind::read:
        io_uring_prep_readv(entry, transfer.descriptor, transfer.parts, transfer.part_count, transfer.offset);
        break;
      case Transfer::Kind::write:
        io_uring_prep_writev(entry, transfer.descriptor, transfer.parts, transfer.part_count,
                             transfer.offset);
        break;
      case Transfer::Kind::sync:
        io_uring_prep_fsync(entry, transfer.descriptor, IORING_FSYNC_DATASYNC);
        break;
    }
    io_uring_sqe_set_data(entry, &transfer);
    ++in_flight_;
  }

  void drain() {
    // Nobody reads the eventfd: the loop watches edges, and each completion is one, whatever the count.
    loop_.note_activity();
    io_uring_cqe* completion = nullptr;
    while (io_uring_peek_cqe(&ring_, &completion) == 0) {
      auto* transfer = static_cast<Transfer*>(io_uring_cqe_get_data(completion));
      const std::int64_t result = completion->res;
      io_uring_cqe_seen(&ring_, completion);
      // liburing's own timeouts carry no transfer of ours; none is in use while the loop runs.
      REEL_CHECK(transfer != nullptr && in_flight_ > 0);
      --in_flight_;
      transfer->result = result;
      done_(*transfer);
      refill();
    }
    if (io_uring_sq_ready(&ring_) > 0) loop_.request_flush();
  }

  void refill() {
    while (!waiting_.empty() && in_flight_ < depth_) {
      prepare(*waiting_.front());
      waiting_.pop_front();
    }
  }

  Loop& loop_;
  const std::uint32_t depth_;
  Done done_;
  io_uring ring_{};
  bool ring_open_ = false;
  int event_ = -1;
  std::uint32_t in_flight_ = 0;  // prepared or in the kernel
  std::deque<Transfer*> waiting_;
  std::uint64_t submissions_ = 0;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  kj::Own<void> watch_;
};

}  // namespace

std::expected<std::unique_ptr<DiskEngine>, int> make_uring_engine(Loop& loop, std::uint32_t depth,
                                                                  DiskEngine::Done done) {
  auto engine = std::make_unique<UringEngine>(loop, depth, std::move(done));
  if (const int error = engine->open(); error != 0) return std::unexpected(error);
  return engine;
}

}  // namespace reel::real
