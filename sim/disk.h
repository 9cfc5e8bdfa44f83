// The disk of one machine: files in memory that survive crashes. Per file there is what reads see (the
// cache), what is durable, and the ordered list of volatile operations between the two. Pages are slices of
// the written buffers, so a write copies nothing, and pages that were never written are zeros that take no
// memory.
//
// A crash draws the fate of every volatile operation and of every operation in flight
// (reference/simulation.md §6.4). The contract of io/ports/disk.h is asserted: overlap, alignment, unknown
// files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/ports/disk.h"
#include "io/ports/time.h"
#include "sim/decisions.h"
#include "sim/fault_kind.h"

namespace reel::sim {

struct DiskOptions {
  io::Duration read_base = io::microseconds(60);
  io::Duration write_base = io::microseconds(70);
  io::Duration sync_base = io::microseconds(80);
  io::Duration jitter_mean = io::microseconds(20);  // exponential, on top of the base
  std::int64_t ns_per_kib = 500;                    // shared by all operations of the device
  std::uint64_t capacity_bytes = 0;                 // create() answers no_space beyond it; 0: no limit
};

// What a crash does to the disk. Without `power` the page cache survives (SIGKILL): only operations in flight
// are in doubt, and what was completed but not synced stays volatile, for a later power loss to take.
struct DiskCrash {
  bool power = false;
  bool loss = false;     // disk.crash_loss: with power, completed but unsynced operations may be lost
  bool torn = false;     // disk.crash_torn: a write in doubt may survive in part
  bool durable = false;  // disk.crash_durable: an operation in flight may survive
};

class Disk {
 public:
  Disk(const DiskOptions& options, Decisions& decisions, FaultCounters& counters, std::uint32_t machine)
      : options_(options), decisions_(decisions), counters_(counters), machine_(machine) {}

  // Called by the world. ------------------------------------------------------------------------------------
  struct Submitted {
    std::uint32_t slot = 0;    // of the pending operation
    io::Instant done;          // when complete() is due, in world time
    std::uint64_t digest = 0;  // of the request
  };
  [[nodiscard]] Submitted submit(io::DiskRequest request, io::Instant now);
  // The operation takes effect and its slot is free again.
  [[nodiscard]] io::DiskResult complete(std::uint32_t slot);
  // Everything in flight and every handle is gone. The counters learn which kinds changed anything.
  void crash(const DiskCrash& how);

  // Faults. -------------------------------------------------------------------------------------------------
  // disk.latency: an exponential of this mean on top of every operation; zero ends it.
  void set_extra_latency(io::Duration mean) {
    extra_mean_ = mean;
    extra_fired_ = false;
  }
  // disk.stall: nothing completes before this time.
  void stall_until(io::Instant time) {
    stalled_until_ = time;
    stall_fired_ = false;
  }
  io::Instant stalled_until() const { return stalled_until_; }
  // True once per stall: an operation has to wait for its end.
  bool stall_begins_to_bite() { return !std::exchange(stall_fired_, true); }

  // Inspection and provisioning (tests, oracles, `init`): at rest, without events. --------------------------
  // A durable file with this content, zero-filled to `size` if that is longer; replaces one of this name. The
  // size is rounded up to whole sectors. The machine is down.
  void install(const std::string& name, std::span<const std::byte> content, std::uint64_t size = 0);
  [[nodiscard]] std::vector<io::FileEntry> files() const;  // as a process sees them
  // What reads see, or what the loss of everything volatile would leave; nullopt if there is no such file.
  [[nodiscard]] std::optional<std::vector<std::byte>> visible(const std::string& name) const;
  [[nodiscard]] std::optional<std::vector<std::byte>> durable(const std::string& name) const;
  std::size_t in_flight() const { return in_flight_; }
  std::size_t volatile_operations() const;
  // 4 KiB pages that hold memory, in both images; a page that is in both counts twice.
  std::uint64_t pages_held() const;
  void set_options(const DiskOptions& options) { options_ = options; }

 private:
  using Page = io::Bytes;  // a sector's content without the zeros at its end; empty: zeros
  using Inode = std::uint32_t;
  static constexpr Inode kNoInode = UINT32_MAX;

  struct VolatileWrite {
    std::uint64_t first_page = 0;
    std::vector<Page> pages;
    std::uint64_t serial = 0;     // of its submission: keys the draws of its fate
    std::uint64_t completed = 0;  // position in the order of completions
    bool acknowledged = true;     // false: it was in flight at the crash
  };
  struct File {
    bool used = false;
    std::vector<Page> visible;
    std::vector<Page> durable;
    std::vector<VolatileWrite> writes;  // not yet synced, in order of completion
    bool size_volatile = false;         // created, and not synced since
    std::uint64_t created = 0;          // completion of its create
    std::uint64_t serial = 0;           // submission of its create
  };
  struct VolatileName {
    bool create = false;  // else remove
    std::string name;
    Inode inode = kNoInode;
    std::uint64_t serial = 0;
    std::uint64_t completed = 0;
    bool acknowledged = true;
  };
  struct Pending {
    io::DiskRequest request;
    Inode inode = kNoInode;
    std::uint64_t serial = 0;
    std::uint64_t covered = 0;  // completions that had happened at submission: what a sync covers
    bool live = false;
  };
  enum class Fate : std::uint8_t { applied, lost, partial };

  std::uint64_t digest_of(const io::DiskRequest& request) const;
  io::Instant completion_time(const io::DiskRequest& request, io::Instant now);
  void check_contract(const io::DiskRequest& request, Inode inode) const;
  Inode inode_of(io::FileId file) const;
  Inode new_inode(std::uint64_t pages);
  std::uint64_t used_bytes() const;
  void collect();

  io::DiskStatus create(const Pending& pending, io::DiskResult& result);
  io::DiskStatus open(const io::DiskRequest& request, io::DiskResult& result);
  io::DiskStatus remove(const Pending& pending);
  void close(io::FileId file);
  io::Bytes read(const io::DiskRequest& request, const File& file) const;
  void write(const Pending& pending, bool acknowledged);
  void sync(File& file, std::uint64_t covered);
  void sync_directory(std::uint64_t covered);

  void crash_in_flight(const DiskCrash& how);
  void crash_names(const DiskCrash& how);
  void crash_file(File& file, const DiskCrash& how);
  Fate fate_of_write(const VolatileWrite& write, const DiskCrash& how);
  bool survives(std::uint64_t serial, bool acknowledged, const DiskCrash& how);
  static void apply(std::vector<Page>& image, const VolatileWrite& write);
  static void compact(File& file, const VolatileWrite& write);
  void tear(VolatileWrite& write, const std::vector<Page>& image, bool cached);
  Page damaged(const Page& before, const Page& after, std::uint64_t key);
  std::uint64_t draw(Choice kind, std::uint32_t place, std::uint64_t counter, std::uint64_t bound) {
    return decisions_.below({kind, place, machine_, counter}, bound);
  }
  static std::vector<std::byte> content_of(const std::vector<Page>& pages);
  static std::vector<Page> pages_of(const io::DiskRequest& request);

  DiskOptions options_;
  Decisions& decisions_;
  FaultCounters& counters_;
  std::uint32_t machine_;

  std::vector<File> inodes_;
  std::vector<Inode> free_inodes_;
  std::map<std::string, Inode> visible_names_;
  std::map<std::string, Inode> durable_names_;
  std::vector<VolatileName> names_;                    // not yet synced, in order of completion
  std::vector<std::pair<io::FileId, Inode>> handles_;  // a handful: scanned
  std::vector<Pending> pending_;
  std::vector<std::uint32_t> free_pending_;
  std::size_t in_flight_ = 0;
  std::uint64_t submissions_ = 0;
  std::uint64_t completions_ = 0;
  io::Duration extra_mean_;
  bool extra_fired_ = false;
  bool stall_fired_ = false;
  io::Instant stalled_until_;
  io::Instant busy_until_;
};

}  // namespace reel::sim
