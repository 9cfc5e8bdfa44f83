#include "io/real/disk_floor.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "io/ports/assert.h"
#include "io/real/clock.h"
#include "io/real/flush_counter.h"

namespace reel::real {
namespace {

constexpr std::uint64_t kSector = io::kSectorBytes;
constexpr std::uint64_t kSectorsPerZone = 1024;
constexpr io::FileId kFile{1};

// The host of one disk that commits as fast as it can, one commit at a time.
class Committer final : public io::Host {
 public:
  Committer(Loop& loop, io::Disk& disk, const DiskFloorOptions& options)
      : loop_(loop), disk_(disk), warm_up_(options.warm_up), duration_(options.duration) {
    io::Buffer buffer = io::Buffer::allocate(kSector);
    std::memset(buffer.data(), 0x5a, buffer.size());
    content_ = std::move(buffer).freeze();
  }

  void on_start() override {
    io::DiskRequest request;
    request.verb = io::DiskVerb::create;
    request.name = "floor";
    request.length = 2 * kSectorsPerZone * kSector;
    submit(std::move(request));
  }

  void on_disk(io::DiskResult result) override {
    if (result.status != io::DiskStatus::ok) {
      failure_ = std::string(io::name_of(result.verb)) + " failed: " + io::name_of(result.status);
      return loop_.stop();
    }
    switch (result.verb) {
      case io::DiskVerb::create: return sync();  // the file's own metadata is none of a commit's business
      case io::DiskVerb::write:
        if (--writes_ == 0) sync();
        return;
      default: return synced();
    }
  }

  std::vector<std::int64_t> take_latencies() { return std::move(latencies_ns_); }
  const std::string& failure() const { return failure_; }

 private:
  void synced() {
    const io::Instant now = monotonic_now();
    if (first_.ns == 0) {
      first_ = now;
    } else if (now - first_ > warm_up_) {
      latencies_ns_.push_back((now - began_).ns);
    }
    if (now - first_ > warm_up_ + duration_ && !latencies_ns_.empty()) return loop_.stop();
    commit();
  }

  void commit() {
    began_ = monotonic_now();
    writes_ = 2;
    write(next_);                    // identity
    write(kSectorsPerZone + next_);  // body
    next_ = (next_ + 1) % kSectorsPerZone;
  }

  void write(std::uint64_t sector) {
    io::DiskRequest request;
    request.verb = io::DiskVerb::write;
    request.offset = sector * kSector;
    request.length = kSector;
    request.data.push_back(content_);
    submit(std::move(request));
  }

  void sync() {
    io::DiskRequest request;
    request.verb = io::DiskVerb::sync;
    submit(std::move(request));
  }

  void submit(io::DiskRequest request) {
    request.op = io::DiskOpId(++last_op_);
    request.file = kFile;
    disk_.submit(std::move(request));
  }

  Loop& loop_;
  io::Disk& disk_;
  const io::Duration warm_up_;
  const io::Duration duration_;
  io::Bytes content_;
  std::uint64_t last_op_ = 0;
  std::uint64_t next_ = 0;
  int writes_ = 0;
  io::Instant first_;
  io::Instant began_;
  std::vector<std::int64_t> latencies_ns_;
  std::string failure_;
};

}  // namespace

std::int64_t DiskFloor::quantile_ns(std::uint32_t per_mille) const {
  REEL_CHECK(!latencies_ns.empty() && per_mille <= 1000);
  return latencies_ns[(latencies_ns.size() - 1) * per_mille / 1000];
}

std::expected<DiskFloor, DiskOpenError> measure_disk_floor(const std::string& directory,
                                                           const DiskFloorOptions& options) {
  DiskOptions disk_options;
  disk_options.directory = directory + "/.reel-floor-" + std::to_string(::getpid());
  disk_options.make_directory = true;
  disk_options.engine = options.engine;
  DiskFloor floor;
  std::string failure;
  {
    Loop loop({.spin = options.spin});
    auto disk = RealDisk::open(loop, disk_options);
    if (!disk) return std::unexpected(disk.error());
    Committer committer(loop, **disk, options);
    (*disk)->attach(&committer);
    const auto counter = FlushCounter::of(directory);
    const auto before = counter ? counter->read() : std::nullopt;
    loop.defer([&] { committer.on_start(); });
    loop.run();
    const auto after = counter ? counter->read() : std::nullopt;
    if (before && after) floor.kernel_flushes = *after - *before;
    floor.latencies_ns = committer.take_latencies();
    floor.notice = (*disk)->notice();
    failure = committer.failure();
  }
  std::error_code ignored;
  std::filesystem::remove_all(disk_options.directory, ignored);
  if (!failure.empty()) {
    return std::unexpected(DiskOpenError{DiskOpenError::Code::io,
                                         "measuring " + directory + ": " + failure + ": check the disk"});
  }
  std::sort(floor.latencies_ns.begin(), floor.latencies_ns.end());
  return floor;
}

}  // namespace reel::real
