// io::Disk: what a node may ask of its own directory. Completion-style: submit() returns at once, each request ends
// in exactly one DiskResult at the host (also after an error, never after the host is gone).
//
// The contract, the same for the simulated and the real disk:
// - Requests run concurrently and complete in any order. Two overlapping requests in flight, one of them a write, are
//   a programmer error; so is an offset, length or address that is not a multiple of kSectorBytes.
// - A completed write is visible to later reads, and *not* durable. A sync covers the writes of that file which had
//   completed before the sync was submitted, and no others. After an error of a sync nothing that was in flight may be
//   trusted (faults.md, disk.sync_error).
// - create, remove and the size of a new file are durable only after sync_directory (and sync of the file).
// - A crash applies any subset of the operations that are not yet durable, torn at sector granularity.
// - Files are of fixed size: create() makes one of `length` bytes, all zeros really written; nothing grows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/ports/bytes.h"
#include "io/ports/strong.h"

namespace reel::io {

// A handle chosen by the node, unique among its open files of one life.
using FileId = Strong<struct FileIdTag, std::uint32_t>;
// Chosen by the node, unique among its requests of one life; echoed in the result.
using DiskOpId = Strong<struct DiskOpIdTag, std::uint64_t>;

enum class DiskVerb : std::uint8_t {
  list,    // -> files
  create,  // name, length -> an open file of zeros; `exists` if there is one of this name
  open,    // name -> size; `not_found`
  close,   // file
  read,    // file, offset, length -> data (a whole aligned buffer)
  write,   // file, offset, data (gathered, each part a multiple of kSectorBytes, at an aligned address)
  sync,    // file: data only, the file's size never changes
  remove,  // name
  sync_directory,  // names created or removed before are durable
};

struct DiskRequest {
  DiskOpId op;
  DiskVerb verb{};
  FileId file;
  std::string name;          // create, open, remove; disk_name_allowed(), else `refused`
  std::uint64_t offset = 0;  // bytes
  std::uint64_t length = 0;  // bytes; for write the sum of the parts
  std::vector<Bytes> data;   // write only
};

enum class DiskStatus : std::uint8_t {
  ok,
  not_found,
  exists,
  io_error,  // the device failed this request; for a sync: nothing in flight may be trusted
  no_space,
  read_only,
  refused,  // permission, or a name that is not allowed
};
[[nodiscard]] const char* name_of(DiskStatus status);
[[nodiscard]] const char* name_of(DiskVerb verb);
// Names of a node's files: [a-z0-9.-]{1,64}, neither "." nor "..": no name leads out of the directory.
[[nodiscard]] bool disk_name_allowed(std::string_view name);

struct FileEntry {
  std::string name;
  std::uint64_t size = 0;
  bool operator==(const FileEntry&) const = default;
};

struct DiskResult {
  DiskOpId op;
  DiskVerb verb{};
  FileId file;
  DiskStatus status = DiskStatus::ok;
  std::uint64_t size = 0;        // open, create: of the file
  Bytes data;                    // read
  std::vector<FileEntry> files;  // list: in order of name
};

class Disk {
 public:
  virtual ~Disk() = default;
  virtual void submit(DiskRequest request) = 0;
};

}  // namespace reel::io
