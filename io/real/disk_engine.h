// DiskEngine: how one transfer between memory and an open descriptor is carried out, by io_uring or by
// threads. RealDisk turns requests into transfers; an engine knows nothing of names, files or the node.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>

#include "io/ports/time.h"
#include "io/real/event_loop.h"

namespace reel::real {

// Lives with its owner until the engine gives it back. The engine never touches the memory behind `parts`
// after that.
struct Transfer {
  enum class Kind : std::uint8_t { read, write, sync };  // sync: of data only
  Kind kind{};
  int descriptor = -1;
  std::uint64_t offset = 0;
  const iovec* parts = nullptr;
  std::uint32_t part_count = 0;  // at most kTransferPartsMax
  std::int64_t result = 0;       // bytes moved, or -errno
};
inline constexpr std::uint32_t kTransferPartsMax = 1024;  // IOV_MAX of Linux

class DiskEngine {
 public:
  using Done = std::function<void(Transfer&)>;  // on the loop's thread, never from inside start() or flush()

  virtual ~DiskEngine() = default;
  // Begins at the next flush() at the latest. Any number may be started; what exceeds the queue waits inside.
  virtual void start(Transfer& transfer) = 0;
  virtual void flush() = 0;
  // The end: nothing is reported any more. Waits until the kernel let go of all memory; false if it did not
  // in time.
  [[nodiscard]] virtual bool settle(io::Duration limit) = 0;
  // How often the kernel was entered to submit.
  [[nodiscard]] virtual std::uint64_t submissions() const = 0;
};

// The error is errno: ENOSYS, EPERM (seccomp, sysctl kernel.io_uring_disabled) or ENOMEM where io_uring is
// not to be had.
[[nodiscard]] std::expected<std::unique_ptr<DiskEngine>, int> make_uring_engine(Loop& loop,
                                                                                std::uint32_t depth,
                                                                                DiskEngine::Done done);
[[nodiscard]] std::unique_ptr<DiskEngine> make_thread_engine(Loop& loop, std::uint32_t threads,
                                                             DiskEngine::Done done);

}  // namespace reel::real
