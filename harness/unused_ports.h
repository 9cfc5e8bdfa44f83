// The ports that a client program does not have: no disk, no peers, and it serves nobody.
#pragma once

#include "io/ports/host.h"

namespace reel::harness {

class NoDisk final : public io::Disk {
 public:
  void submit(io::DiskRequest) override {}
};
class NoNetwork final : public io::Network {
 public:
  void send(io::NodeId, io::Parcel) override {}
};
class NoService final : public io::Service {
 public:
  void reply(io::CallId, io::Parcel) override {}
};

}  // namespace reel::harness
