#include "node/journal/file_maker.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::journal {

FileMaker::FileMaker(node::DiskOwner owner, const Stamp& stamp, const Geometry& geometry,
                     std::uint64_t sequence)
    : owner_(owner), stamp_(stamp) {
  REEL_ASSERT(geometry.valid() && sequence != 0);
  file_.sequence = sequence;
  file_.geometry = geometry;
  file_.body_end = geometry.body_begin();
}

void FileMaker::submit(io::DiskVerb verb, node::DiskQueue& out) {
  io::DiskRequest request;
  request.verb = verb;
  request.file = file_.file;
  if (verb == io::DiskVerb::create) {
    request.name = file_name(file_.sequence);
    request.length = file_.geometry.file_bytes;
  }
  awaited_.push_back(out.submit(owner_, std::move(request)));
}

void FileMaker::start(node::DiskQueue& out) {
  REEL_ASSERT(step_ == Step::idle);
  file_.file = out.new_file();
  step_ = Step::creating;
  submit(io::DiskVerb::create, out);
}

void FileMaker::write_headers(node::DiskQueue& out) {
  FileHeader header{stamp_, file_.sequence, 0, file_.geometry};
  for (const std::uint64_t offset : {std::uint64_t{0}, file_.geometry.header_copy_at()}) {
    header.offset = offset;
    awaited_.push_back(out.submit(
        owner_, sector_write(file_.file, offset, [&](auto sector) { encode_file_header(header, sector); })));
  }
}

bool FileMaker::on_disk(const io::DiskResult& result, node::DiskQueue& out) {
  const auto it = std::find(awaited_.begin(), awaited_.end(), result.op);
  if (it == awaited_.end()) return false;
  awaited_.erase(it);
  if (result.status != io::DiskStatus::ok) {
    if (!failure_) {
      failure_ =
          "making journal file " + file_name(file_.sequence) + " failed (" + io::name_of(result.verb) + ": " +
          io::name_of(result.status) +
          (result.status == io::DiskStatus::no_space ? "): free some space, then start the node again"
                                                     : "): check the device, then start the node again");
    }
    return true;
  }
  if (failure_ || !awaited_.empty()) return true;
  switch (step_) {
    case Step::creating:
      step_ = Step::writing;
      write_headers(out);
      break;
    case Step::writing:
      step_ = Step::syncing;
      submit(io::DiskVerb::sync, out);
      break;
    case Step::syncing:
      step_ = Step::syncing_directory;
      submit(io::DiskVerb::sync_directory, out);
      break;
    case Step::syncing_directory: step_ = Step::done; break;
    case Step::idle:
    case Step::done: REEL_ASSERT(false);
  }
  return true;
}

}  // namespace reel::journal
