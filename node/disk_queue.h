// The disk requests of one step, and who gets their results. Every component of a node that uses the disk submits
// through a DiskQueue; the owner is kept in the top byte of the operation id, so a result finds its way back without
// a table.
#pragma once

#include <utility>
#include <vector>

#include "io/ports/disk.h"

namespace reel::node {

enum class DiskOwner : std::uint8_t { superblock = 1, hard_state = 2, manifest = 3, journal = 4, reader = 5 };

class DiskQueue {
 public:
  io::DiskOpId submit(DiskOwner owner, io::DiskRequest request) {
    request.op = io::DiskOpId((static_cast<std::uint64_t>(owner) << 56) | ++last_);
    const io::DiskOpId op = request.op;
    requests_.push_back(std::move(request));
    return op;
  }
  // A handle that no other open file of this life has.
  io::FileId new_file() { return io::FileId(++last_file_); }

  static DiskOwner owner_of(io::DiskOpId op) { return static_cast<DiskOwner>(op.value >> 56); }

  std::vector<io::DiskRequest>& requests() { return requests_; }

 private:
  std::vector<io::DiskRequest> requests_;
  std::uint64_t last_ = 0;
  std::uint32_t last_file_ = 0;
};

}  // namespace reel::node
