// RealDisk: io::Disk on a directory of a real file system. Direct I/O through io_uring, or through threads
// where io_uring is forbidden; the contract is that of io/ports/disk.h and is tested as such
// (disk_contract.h).
//
// - One process per directory: a file LOCK in it is held by flock(2), which the kernel releases with the
//   process. LOCK is outside of the alphabet of the node's names and is never listed.
// - submit() only queues; the loop flushes once per turn, so a turn's requests enter the kernel by one system
//   call.
// - create() allocates, then writes real zeros in chunks, so that later overwrites change no metadata and a
//   sync costs one flush of the device. It never blocks the loop: names and directories are the business of
//   one worker thread, zeros are ordinary writes, one chunk at a time.
// - Short transfers are continued, EINTR and EAGAIN repeated a bounded number of times; other errors end the
//   request. After an error of create() nothing of the file remains, as far as the device allows.
// - A handle may be closed while requests on it are under way: it is closed after the last of them.
#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/ports/disk.h"
#include "io/ports/host.h"
#include "io/real/disk_engine.h"
#include "io/real/disk_workers.h"
#include "io/real/event_loop.h"

namespace reel::real {

enum class DiskEngineKind : std::uint8_t {
  automatic,  // io_uring if the kernel lets us, else threads, with a notice
  uring,      // or fail
  threads,
};

struct DiskOptions {
  std::string directory;
  bool make_directory = false;  // `reel node init`; a node in service refuses a missing one
  DiskEngineKind engine = DiskEngineKind::automatic;
  std::uint32_t queue_depth = 128;  // transfers in the kernel at once, [4, 4096]
  std::uint32_t threads = 4;        // of the fallback, [1, 64]
  // [4 KiB, 16 MiB], whole sectors. Commits share the device with the zeros of the next file: a 64 MiB file
  // takes 35 ms in chunks of 1 MiB and 130 ms in these, and a commit meanwhile 450 us at the median, or 130. More at once
  // (4 MiB at most) while the zeros are behind what was written since they began.
  std::uint32_t zero_chunk_bytes = 128u << 10;
  // Tests of error paths: gets each finished transfer and says what its result shall be, bytes (not more than
  // there were) or -errno. Empty in service.
  std::function<std::int64_t(const Transfer&)> tamper = {};
};

struct DiskOpenError {
  enum class Code : std::uint8_t { missing, in_use, denied, unsupported, io };
  Code code{};
  std::string text;  // one sentence: what, where, what to do
};

struct DiskCounters {
  std::uint64_t reads = 0;  // requests completed, whatever their status
  std::uint64_t writes = 0;
  std::uint64_t written_bytes = 0;  // of writes; the zeros of create() not included
  std::uint64_t syncs = 0;
  std::uint64_t directory_syncs = 0;
  std::uint64_t creates = 0;
  std::uint64_t errors = 0;
  std::uint64_t continued = 0;  // transfers that had to go on after a short one, EINTR or EAGAIN
};

class RealDisk final : public io::Disk, private Flusher {
 public:
  [[nodiscard]] static std::expected<std::unique_ptr<RealDisk>, DiskOpenError> open(
      Loop& loop, const DiskOptions& options);
  // Results that have not come by now never come. Waits up to 5 s for the kernel to let go of the memory of
  // requests under way; if the device hangs longer, that memory is leaked on purpose.
  ~RealDisk() noexcept override;

  // Results go to this host. nullptr drops them.
  void attach(io::Host* host) { host_ = host; }
  void submit(io::DiskRequest request) override;

  const std::string& directory() const { return options_.directory; }
  // One line for the log if this is not the fast path; empty otherwise.
  const std::string& notice() const { return notice_; }
  bool uses_uring() const { return uses_uring_; }
  const DiskCounters& counters() const { return counters_; }
  std::uint64_t submissions() const { return engine_->submissions(); }
  std::size_t requests_in_flight() const { return live_.size(); }

 private:
  struct Operation;
  struct OpenFile {
    int descriptor = -1;  // -1 while create or open is under way
    std::uint64_t size = 0;
    std::vector<Operation*> in_flight;
    Operation* closing = nullptr;
  };
  struct NameResult;  // of a job of the worker thread

  RealDisk(Loop& loop, const DiskOptions& options);
  std::expected<void, DiskOpenError> enter_directory();
  std::expected<void, DiskOpenError> take_lock();
  std::expected<void, DiskOpenError> choose_engine();

  void flush() override;
  Operation& admit(io::DiskRequest request);
  void begin_transfer(Operation& operation);
  void begin_list(Operation& operation);
  void begin_create(Operation& operation);
  void begin_open(Operation& operation);
  void begin_close(Operation& operation);
  void begin_remove(Operation& operation);
  void begin_sync_directory(Operation& operation);
  int open_flags() const;
  void check_transfer(const OpenFile& file, const Operation& operation) const;
  std::uint64_t zero_bytes(const Operation& create) const;
  void start_transfer(Operation& operation);
  void on_transfer(Transfer& transfer);
  void start_close(Operation& operation);
  void on_worker(Operation& operation, std::function<void(NameResult&)> job,
                 std::function<void(Operation&, NameResult&)> done);
  void created(Operation& operation, NameResult& result);
  void opened(Operation& operation, NameResult& result);
  void abandon_create(Operation& operation, io::DiskStatus status);
  void refuse(Operation& operation, io::DiskStatus status);
  void finish(Operation& operation, io::DiskResult result);
  void finish(Operation& operation, io::DiskStatus status);
  void count(const Operation& operation, io::DiskStatus status);
  OpenFile& file_of(const Operation& operation);

  Loop& loop_;
  DiskOptions options_;
  io::Host* host_ = nullptr;
  int directory_ = -1;
  int lock_ = -1;
  bool direct_ = true;
  bool uses_uring_ = false;
  std::string notice_;
  io::Bytes zeros_;
  DiskCounters counters_;
  std::unordered_map<io::FileId, OpenFile> files_;
  std::vector<std::unique_ptr<Operation>> live_;
  std::vector<std::unique_ptr<Operation>> spare_;  // operations are reused: their vectors keep their memory
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  std::unique_ptr<DiskEngine> engine_;
  std::unique_ptr<Workers> names_;  // one thread: names change in the order of their requests
};

// What an errno of open, read, write, sync or unlink means to a node.
[[nodiscard]] io::DiskStatus disk_status_of(int error);

}  // namespace reel::real
