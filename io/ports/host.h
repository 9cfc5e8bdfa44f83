// io::Host: the receiving end of all ports, implemented once by node::Driver, once by client::Driver and by users'
// own programs. The world, real or simulated, calls it; it never blocks, and is never entered twice at once.
// io::Ports: the sending ends, handed to a host at birth. They outlive it, and may be dead (after a simulated crash):
// calls on dead ports are swallowed.
#pragma once

#include "io/ports/clock.h"
#include "io/ports/disk.h"
#include "io/ports/network.h"
#include "io/ports/service.h"

namespace reel::io {

struct Ports {
  Clock& clock;
  Network& network;
  Disk& disk;
  Service& service;
  Remote& remote;
};

class Host {
 public:
  virtual ~Host() = default;
  // The process is up and the ports work. Called once, first.
  virtual void on_start() = 0;
  virtual void on_wake() {}
  // NOLINTNEXTLINE(performance-unnecessary-value-param): whoever overrides it takes it
  virtual void on_disk(DiskResult) {}
  virtual void on_received(NodeId, Parcel) {}
  virtual void on_peer_up(NodeId, ConnectionId) {}
  virtual void on_peer_down(NodeId, ConnectionId) {}
  // Server side of calls.
  virtual void on_call(CallId, Rights, Parcel) {}
  virtual void on_call_cancelled(CallId) {}
  // Client side of calls.
  virtual void on_reply(CallId, Parcel) {}
  virtual void on_call_failed(CallId) {}
};

}  // namespace reel::io
