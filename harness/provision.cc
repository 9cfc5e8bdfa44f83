#include "harness/provision.h"

#include <cstring>

#include "io/ports/assert.h"

namespace reel::harness {
namespace {

// The smallest disk that a Formatter can run on: every request is done at once and always succeeds.
class ImageDisk {
 public:
  io::DiskResult run(const io::DiskRequest& request) {
    io::DiskResult result;
    result.op = request.op;
    result.verb = request.verb;
    result.file = request.file;
    switch (request.verb) {
      case io::DiskVerb::list:
        for (const auto& [name, content] : image_) result.files.push_back({name, content.size()});
        break;
      case io::DiskVerb::create:
        if (image_.contains(request.name)) {
          result.status = io::DiskStatus::exists;
          break;
        }
        image_[request.name].resize(request.length);
        handles_[request.file] = request.name;
        result.size = request.length;
        break;
      case io::DiskVerb::open:
        if (!image_.contains(request.name)) {
          result.status = io::DiskStatus::not_found;
          break;
        }
        handles_[request.file] = request.name;
        result.size = image_[request.name].size();
        break;
      case io::DiskVerb::read: {
        const auto& content = image_.at(handles_.at(request.file));
        REEL_CHECK(request.offset + request.length <= content.size());
        io::Buffer buffer = io::Buffer::allocate(request.length);
        std::memcpy(buffer.data(), content.data() + request.offset, request.length);
        result.data = std::move(buffer).freeze();
        break;
      }
      case io::DiskVerb::write: write(request); break;
      case io::DiskVerb::remove: image_.erase(request.name); break;
      case io::DiskVerb::close: handles_.erase(request.file); break;
      case io::DiskVerb::sync:
      case io::DiskVerb::sync_directory: break;
    }
    return result;
  }
  DiskImage take() { return std::move(image_); }

 private:
  void write(const io::DiskRequest& request) {
    auto& content = image_.at(handles_.at(request.file));
    std::size_t at = request.offset;
    for (const Bytes& part : request.data) {
      REEL_CHECK(at + part.size() <= content.size());
      std::memcpy(content.data() + at, part.data(), part.size());
      at += part.size();
    }
  }

  DiskImage image_;
  std::map<io::FileId, std::string> handles_;
};

}  // namespace

std::vector<journal::GroupManifest> initial_groups(const std::vector<NodeId>& voters,
                                                   std::uint32_t partitions) {
  std::vector<journal::GroupManifest> groups;
  for (std::uint32_t p = 0; p < partitions; ++p) {
    journal::GroupManifest group;
    group.group = GroupId(p + 1);
    group.configuration.voters = voters;
    groups.push_back(std::move(group));
  }
  return groups;
}

DiskImage format_image(const journal::SuperblockContent& who, const journal::Options& options,
                       const std::vector<journal::GroupManifest>& groups) {
  ImageDisk disk;
  node::DiskQueue queue;
  journal::Formatter formatter(who, options, groups);
  formatter.start(queue);
  while (!queue.requests().empty()) {
    std::vector<io::DiskRequest> requests;
    requests.swap(queue.requests());
    for (const io::DiskRequest& request : requests) formatter.on_disk(disk.run(request), queue);
  }
  REEL_CHECK(formatter.done() && formatter.take().has_value());
  return disk.take();
}

}  // namespace reel::harness
