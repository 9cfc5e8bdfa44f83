// A disk in memory whose every crash can be enumerated: it keeps what is durable, and each sector write,
// creation and removal that is not yet durable as a unit of its own, so a test can let any subset of them
// survive. Requests complete when the test says so, in any order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/ports/assert.h"
#include "io/ports/disk.h"
#include "node/disk_queue.h"

namespace reel::journal {

class TestDisk {
 public:
  using Inode = std::uint32_t;
  struct File {
    std::uint64_t size = 0;
    std::map<std::uint64_t, Bytes> sectors;  // by number; what is missing is zero
  };
  using Image = std::map<std::string, File>;  // what a crash leaves

  // What became of one volatile unit.
  enum class Fate : std::uint8_t { lost, kept, garbage };
  struct Unit {
    enum class Kind : std::uint8_t { write, link, unlink } kind{};
    Inode inode = 0;
    std::uint64_t sector = 0;
    Bytes data;
    std::string name;
    std::uint64_t completed = 0;  // 0: still in flight
    io::DiskOpId op;
  };

  TestDisk() = default;
  explicit TestDisk(const Image& image) {
    for (const auto& [name, file] : image) {
      const Inode inode = ++last_inode_;
      durable_[inode] = visible_[inode] = file;
      durable_names_[name] = visible_names_[name] = inode;
    }
  }

  // Decides the status of each request when it completes; the default is that all goes well.
  std::function<io::DiskStatus(const io::DiskRequest&)> fault;
  std::uint64_t syncs = 0;
  std::uint64_t bytes_read = 0;

  // Takes the requests of a step.
  void take(node::DiskQueue& queue) {
    for (io::DiskRequest& request : queue.requests()) submit(std::move(request));
    queue.requests().clear();
  }
  std::size_t pending() const { return pending_.size(); }
  const io::DiskRequest& request(std::size_t i) const { return pending_[i].request; }

  // Completes the i-th pending request.
  io::DiskResult finish(std::size_t i) {
    Pending pending = std::move(pending_[i]);
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
    return carry_out(pending);
  }

  // Everything that a crash now could take away or let through, in order of submission.
  const std::vector<Unit>& units() const { return units_; }

  // The disk after a crash that gives each of units() its fate.
  Image crash(const std::vector<Fate>& fates) const {
    REEL_CHECK(fates.size() == units_.size());
    std::map<Inode, File> files = durable_;
    std::map<std::string, Inode> names = durable_names_;
    for (std::size_t i = 0; i < units_.size(); ++i) {
      const Unit& unit = units_[i];
      if (fates[i] == Fate::lost) continue;
      if (unit.kind == Unit::Kind::write) {
        files[unit.inode].sectors[unit.sector] = fates[i] == Fate::kept ? unit.data : garbage(unit);
      } else if (unit.kind == Unit::Kind::link) {
        names[unit.name] = unit.inode;
      } else {
        names.erase(unit.name);
      }
    }
    Image image;
    for (const auto& [name, inode] : names) image[name] = files[inode];
    return image;
  }
  // The process is gone (SIGKILL), the machine is not: what was in flight never happens, what was completed
  // stays as volatile as it was.
  void kill() {
    pending_.clear();
    handles_.clear();
    std::erase_if(units_, [](const Unit& unit) { return unit.completed == 0; });
    for (Unit& unit : units_) unit.op = {};  // the next life counts from the beginning
  }
  // As a reader sees it now.
  Image image() const {
    Image image;
    for (const auto& [name, inode] : visible_names_) image[name] = visible_.at(inode);
    return image;
  }

 private:
  struct Pending {
    io::DiskRequest request;
    std::uint64_t submitted = 0;  // completions before it
  };

  static Bytes garbage(const Unit& unit) {
    std::vector<std::byte> bytes(unit.data.size());  // a split sector: the first half is old, or gone
    std::memcpy(bytes.data() + bytes.size() / 2, unit.data.data() + bytes.size() / 2, bytes.size() / 2);
    return Bytes::copy_of(bytes);
  }

  void submit(io::DiskRequest request) {
    if (request.verb == io::DiskVerb::write) add_units(request);
    pending_.push_back({std::move(request), completions_});
  }

  void add_units(const io::DiskRequest& request) {
    REEL_CHECK(request.offset % io::kSectorBytes == 0 && request.length % io::kSectorBytes == 0);
    std::uint64_t sector = request.offset / io::kSectorBytes;
    const Inode inode = handles_.at(request.file);
    for (const Pending& other : pending_) {
      const bool clash = other.request.file == request.file &&
                         other.request.offset < request.offset + request.length &&
                         request.offset < other.request.offset + other.request.length;
      REEL_CHECK(!clash);
    }
    std::uint64_t length = 0;
    for (const Bytes& part : request.data) {
      REEL_CHECK(reinterpret_cast<std::uintptr_t>(part.data()) % io::kSectorBytes == 0);
      length += part.size();
      for (std::size_t at = 0; at < part.size(); at += io::kSectorBytes) {
        units_.push_back(
            {Unit::Kind::write, inode, sector++, part.slice(at, io::kSectorBytes), {}, 0, request.op});
      }
    }
    REEL_CHECK(length == request.length && sector * io::kSectorBytes <= visible_.at(inode).size);
  }

  io::DiskResult carry_out(const Pending& pending) {
    const io::DiskRequest& request = pending.request;
    io::DiskResult result{request.op, request.verb, request.file, io::DiskStatus::ok, 0, {}, {}};
    if (fault) result.status = fault(request);
    if (result.status != io::DiskStatus::ok) return result;
    ++completions_;
    switch (request.verb) {
      case io::DiskVerb::list:
        for (const auto& [name, inode] : visible_names_) result.files.push_back({name, visible_[inode].size});
        break;
      case io::DiskVerb::create: create(request, result); break;
      case io::DiskVerb::open:
        if (!visible_names_.contains(request.name)) {
          result.status = io::DiskStatus::not_found;
          break;
        }
        handles_[request.file] = visible_names_[request.name];
        result.size = visible_[visible_names_[request.name]].size;
        break;
      case io::DiskVerb::close: handles_.erase(request.file); break;
      case io::DiskVerb::read: result.data = read(request); break;
      case io::DiskVerb::write: write(request); break;
      case io::DiskVerb::remove:
        visible_names_.erase(request.name);
        units_.push_back({Unit::Kind::unlink, 0, 0, {}, request.name, completions_, request.op});
        break;
      case io::DiskVerb::sync:
        ++syncs;
        make_durable(pending.submitted, [&](const Unit& unit) {
          return unit.kind == Unit::Kind::write && unit.inode == handles_.at(request.file);
        });
        break;
      case io::DiskVerb::sync_directory:
        make_durable(pending.submitted, [](const Unit& unit) { return unit.kind != Unit::Kind::write; });
        break;
    }
    return result;
  }

  void create(const io::DiskRequest& request, io::DiskResult& result) {
    if (visible_names_.contains(request.name)) {
      result.status = io::DiskStatus::exists;
      return;
    }
    const Inode inode = ++last_inode_;
    durable_[inode] = visible_[inode] = File{request.length, {}};
    visible_names_[request.name] = inode;
    handles_[request.file] = inode;
    result.size = request.length;
    units_.push_back({Unit::Kind::link, inode, 0, {}, request.name, completions_, request.op});
  }

  Bytes read(const io::DiskRequest& request) {
    const File& file = visible_.at(handles_.at(request.file));
    REEL_CHECK(request.offset % io::kSectorBytes == 0 && request.length % io::kSectorBytes == 0);
    REEL_CHECK(request.length > 0 && request.offset + request.length <= file.size);
    io::Buffer buffer = io::Buffer::allocate(request.length);
    std::memset(buffer.data(), 0, buffer.size());
    bytes_read += request.length;
    const std::uint64_t first = request.offset / io::kSectorBytes;
    const std::uint64_t end = first + request.length / io::kSectorBytes;
    for (auto it = file.sectors.lower_bound(first); it != file.sectors.end() && it->first < end; ++it) {
      std::memcpy(buffer.data() + (it->first - first) * io::kSectorBytes, it->second.data(),
                  io::kSectorBytes);
    }
    return std::move(buffer).freeze();
  }

  void write(const io::DiskRequest& request) {
    for (Unit& unit : units_) {
      if (unit.op != request.op) continue;
      unit.completed = completions_;
      visible_.at(unit.inode).sectors[unit.sector] = unit.data;
    }
  }

  template <class Covers>
  void make_durable(std::uint64_t submitted, Covers covers) {
    std::erase_if(units_, [&](const Unit& unit) {
      if (unit.completed == 0 || unit.completed > submitted || !covers(unit)) return false;
      if (unit.kind == Unit::Kind::write) durable_.at(unit.inode).sectors[unit.sector] = unit.data;
      if (unit.kind == Unit::Kind::link) durable_names_[unit.name] = unit.inode;
      if (unit.kind == Unit::Kind::unlink) durable_names_.erase(unit.name);
      return true;
    });
  }

  std::map<Inode, File> durable_;
  std::map<Inode, File> visible_;
  std::map<std::string, Inode> durable_names_;
  std::map<std::string, Inode> visible_names_;
  std::map<io::FileId, Inode> handles_;
  std::vector<Pending> pending_;
  std::vector<Unit> units_;
  std::uint64_t completions_ = 0;
  Inode last_inode_ = 0;
};

// Lets a component run until it is done, every request completing at once and in order.
template <class Component>
void run_to_end(Component& component, TestDisk& disk, node::DiskQueue& queue) {
  disk.take(queue);
  while (disk.pending() > 0) {
    component.on_disk(disk.finish(0), queue);
    disk.take(queue);
  }
}

}  // namespace reel::journal
