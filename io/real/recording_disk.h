// RecordingDisk: a decorator over any io::Disk that writes down every request before it is submitted and
// every result before the host sees it, so the order of the records is the order in which the host could have
// known.
//
//   node's driver ──submit──▶ RecordingDisk ──submit──▶ disk
//   node's driver ◀─on_disk── RecordingDisk ◀─on_disk── disk
//
// Tied by recorder.attach(&driver) and disk.attach(&recorder.results()).
#pragma once

#include <string_view>

#include "io/ports/host.h"
#include "io/real/recording.h"

namespace reel::real {

class RecordingDisk final : public io::Disk {
 public:
  RecordingDisk(io::Disk& inner, RecordingWriter& writer) : inner_(inner), writer_(writer) {}

  // The host that the inner disk is to have.
  io::Host& results() { return results_; }
  void attach(io::Host* host) { results_.host = host; }

  void submit(io::DiskRequest request) override {
    writer_.submitted(request);
    inner_.submit(std::move(request));
  }
  // Something of the program's own, in order with the disk's records: what it has promised to whom.
  void mark(std::string_view text) { writer_.mark(text); }

 private:
  struct Results final : io::Host {
    explicit Results(RecordingWriter& destination) : writer(destination) {}
    void on_start() override {}
    void on_disk(io::DiskResult result) override {
      writer.completed(result);
      if (host != nullptr) host->on_disk(std::move(result));
    }
    RecordingWriter& writer;
    io::Host* host = nullptr;
  };

  io::Disk& inner_;
  RecordingWriter& writer_;
  Results results_{writer_};
};

}  // namespace reel::real
