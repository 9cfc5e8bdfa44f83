// The engine for machines that forbid io_uring: the same transfers by preadv, pwritev and fdatasync on a few
// threads. Correct and slower: each transfer costs two wake-ups more.
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "io/real/disk_engine.h"
#include "io/real/disk_workers.h"

namespace reel::real {
namespace {

std::int64_t carry_out(const Transfer& transfer) {
  const auto offset = static_cast<off_t>(transfer.offset);
  const auto count = static_cast<int>(transfer.part_count);
  std::int64_t result = -1;
  switch (transfer.kind) {
    case Transfer::Kind::read: result = ::preadv(transfer.descriptor, transfer.parts, count, offset); break;
    case Transfer::Kind::write: result = ::pwritev(transfer.descriptor, transfer.parts, count, offset); break;
    case Transfer::Kind::sync: result = ::fdatasync(transfer.descriptor); break;
  }
  return result >= 0 ? result : -errno;
}

class ThreadEngine final : public DiskEngine {
 public:
  ThreadEngine(Loop& loop, std::uint32_t threads, Done done)
      : loop_(loop), done_(std::move(done)), workers_(loop, threads) {}

  void start(Transfer& transfer) override {
    ++submissions_;
    workers_.run([&transfer] { transfer.result = carry_out(transfer); },
                 [this, &transfer] {
                   loop_.note_activity();
                   done_(transfer);
                 });
  }
  void flush() override {}
  bool settle(io::Duration limit) override { return workers_.settle(limit); }
  std::uint64_t submissions() const override { return submissions_; }

 private:
  Loop& loop_;
  Done done_;
  std::uint64_t submissions_ = 0;
  Workers workers_;
};

}  // namespace

std::unique_ptr<DiskEngine> make_thread_engine(Loop& loop, std::uint32_t threads, DiskEngine::Done done) {
  return std::make_unique<ThreadEngine>(loop, threads, std::move(done));
}

}  // namespace reel::real
