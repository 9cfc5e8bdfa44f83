// NodeRecorder: the evidence of what one real node did in one life (`record = FILE` in its configuration): every disk
// operation, and between them marks that say when, and what the node had promised to its clients by then. `reel disk`
// builds from it the disks that a power loss could have left behind (io/real/crash_image.h).
//
// Marks, each one line:
//   at NS                  CLOCK_BOOTTIME, before each operation, result and promise: recordings of several nodes of one
//                          machine can be cut at one moment, and no cut shows an effect without its cause
//   acked GROUP ID COUNT   transactions [ID, ID + COUNT) are being acknowledged to a client
//   shown GROUP ID         a reader is being told that everything below ID is committed
//
// A promise is marked when it is made, before anything of that step leaves the node.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "io/real/recording_disk.h"
#include "node/driver.h"

namespace reel::harness {

class NodeRecorder final : public node::StepObserver {
 public:
  // Makes the file, which must not exist, and reads the whole directory into it: before service, with the directory
  // locked. The error is one sentence.
  [[nodiscard]] static std::expected<std::unique_ptr<NodeRecorder>, std::string> start(
      const std::string& path, const std::string& directory, io::Disk& inner);

  // For the node, in place of the inner disk, whose host is to be results().
  io::Disk& disk() { return disk_; }
  io::Host& results() { return results_; }
  void attach(io::Host* host) { recording_.attach(host); }

  void on_step(const node::Node& node, const io::Now& now, const node::Event& event,
               const node::Effects& effects) override;

 private:
  struct Disk final : io::Disk {
    explicit Disk(NodeRecorder& owner) : recorder(owner) {}
    void submit(io::DiskRequest request) override;
    NodeRecorder& recorder;
  };
  struct Results final : io::Host {
    explicit Results(NodeRecorder& owner) : recorder(owner) {}
    void on_start() override {}
    void on_disk(io::DiskResult result) override;
    NodeRecorder& recorder;
  };

  NodeRecorder(io::Disk& inner, std::unique_ptr<real::RecordingWriter> writer)
      : writer_(std::move(writer)), recording_(inner, *writer_) {}
  void mark_time();
  void mark_promise(GroupId group, const ClientReply& reply);

  std::unique_ptr<real::RecordingWriter> writer_;
  real::RecordingDisk recording_;
  Disk disk_{*this};
  Results results_{*this};
  std::unordered_map<io::CallId, GroupId> calls_;  // without an answer; looked up, never iterated
};

// A mark, read back.
struct Promise {
  GroupId group;
  TxnId first;
  TxnId next;                 // everything below it is promised
  bool acknowledged = false;  // to the client that appended [first, next); else shown to a reader
};
[[nodiscard]] std::optional<Promise> promise_of(std::string_view mark);
// Nanoseconds of an "at" mark.
[[nodiscard]] std::optional<std::int64_t> time_of(std::string_view mark);

}  // namespace reel::harness
