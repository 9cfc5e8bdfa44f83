// Makes one journal file in a way that a crash can interrupt anywhere: zeros, both headers, data sync,
// directory sync. Until done() nothing of it counts, and Recovery removes a file that was only half made.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "node/journal/journal.h"

namespace reel::journal {

class FileMaker {
 public:
  FileMaker(node::DiskOwner owner, const Stamp& stamp, const Geometry& geometry, std::uint64_t sequence);
  void start(node::DiskQueue& out);
  // False if the result is not one of its own.
  bool on_disk(const io::DiskResult& result, node::DiskQueue& out);
  bool done() const { return step_ == Step::done; }
  const std::optional<std::string>& failure() const { return failure_; }
  // Open, when done().
  const JournalFile& file() const { return file_; }

 private:
  enum class Step : std::uint8_t { idle, creating, writing, syncing, syncing_directory, done };
  void write_headers(node::DiskQueue& out);
  void submit(io::DiskVerb verb, node::DiskQueue& out);

  node::DiskOwner owner_;
  Stamp stamp_;
  JournalFile file_;
  Step step_ = Step::idle;
  std::vector<io::DiskOpId> awaited_;
  std::optional<std::string> failure_;
};

// A write of one sector; `fill` gets the whole sector.
template <class Fill>
io::DiskRequest sector_write(io::FileId file, std::uint64_t offset, Fill fill) {
  io::Buffer buffer = io::Buffer::allocate(kSectorBytes);
  fill(buffer.span().first<kSectorBytes>());
  io::DiskRequest request;
  request.verb = io::DiskVerb::write;
  request.file = file;
  request.offset = offset;
  request.length = kSectorBytes;
  request.data.push_back(std::move(buffer).freeze());
  return request;
}

}  // namespace reel::journal
