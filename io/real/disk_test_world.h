// What the tests of the real disk share: a temporary directory and a real disk as a DiskWorld.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/ports/assert.h"
#include "io/real/disk.h"
#include "io/real/disk_contract.h"
#include "io/real/recording_disk.h"

namespace reel::real {

// A new directory on the disk of the build tree (the default temporary directory may be a memory file
// system).
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = std::filesystem::current_path().string() + "/disk-test-XXXXXX";
    REEL_CHECK(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Collector final : public io::Host {
 public:
  void on_start() override {}
  void on_disk(io::DiskResult result) override { results.push_back(std::move(result)); }
  std::vector<io::DiskResult> results;
};

// The real disk, driven by a loop; behind a recorder if there is a writer.
class RealWorld final : public DiskWorld {
 public:
  // In a new directory, or in one that exists and stays.
  explicit RealWorld(DiskEngineKind engine, RecordingWriter* writer = nullptr, std::string path = {})
      : engine_(engine), writer_(writer), path_(std::move(path)) {
    if (path_.empty()) path_ = directory_.emplace().path();
    open();
  }
  io::Disk& disk() override { return recorder_ ? static_cast<io::Disk&>(*recorder_) : *disk_; }
  RecordingDisk& recorder() { return *recorder_; }
  RealDisk& real() { return *disk_; }
  Loop& loop() { return loop_; }
  const std::string& path() const { return path_; }
  std::vector<io::DiskResult> pump() override {
    (void)loop_.run_until([this] { return !collector_.results.empty(); }, io::seconds(30));
    return std::exchange(collector_.results, {});
  }
  // From the next reopen() on; see DiskOptions.
  void tamper(std::function<std::int64_t(const Transfer&)> tamper) { tamper_ = std::move(tamper); }
  void reopen() override {
    recorder_.reset();
    disk_.reset();
    open();
  }

 private:
  void open() {
    DiskOptions options;
    options.directory = path_;
    options.engine = engine_;
    options.tamper = tamper_;
    options.queue_depth = 16;  // so that requests also wait inside the engine
    auto disk = RealDisk::open(loop_, options);
    REEL_CHECK(disk.has_value());
    disk_ = std::move(*disk);
    if (writer_ == nullptr) return disk_->attach(&collector_);
    recorder_.emplace(*disk_, *writer_);
    recorder_->attach(&collector_);
    disk_->attach(&recorder_->results());
  }

  std::optional<TemporaryDirectory> directory_;
  DiskEngineKind engine_;
  RecordingWriter* writer_;
  std::string path_;
  std::function<std::int64_t(const Transfer&)> tamper_;
  Loop loop_;
  Collector collector_;
  std::unique_ptr<RealDisk> disk_;
  std::optional<RecordingDisk> recorder_;
};

}  // namespace reel::real
