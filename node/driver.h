// Driver: connects one Node to the ports of a world, real or simulated. It raises the superblock's incarnation before
// Boot, turns what the host hears into events, and carries out what each step asks for. It decides nothing.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "io/ports/host.h"
#include "node/journal/tables.h"
#include "node/node.h"

namespace reel::node {

struct DriverOptions {
  NodeOptions node;
  io::ClusterId cluster;      // 0: whatever the data directory says
  NodeId id;                  // likewise
  std::uint64_t entropy = 0;  // production draws it at random, the simulator from its decisions
  // How messages become parcels (io/wire); given, because node knows no bytes.
  const io::ParcelCodec* peer_batch_codec = nullptr;
  const io::ParcelCodec* client_reply_codec = nullptr;
  // Told once, when the superblock is read and the incarnation raised; may be empty.
  std::function<void(const journal::Stamp&)> booted;
};

// Listens to what a node does; the simulator's oracles and traces. Called after each step, before its effects leave.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual void on_step(const Node& node, const io::Now& now, const Event& event, const Effects& effects) = 0;
};

class Driver : public io::Host {
 public:
  // `halted` is called once, with one sentence, when the node stops for good.
  Driver(const DriverOptions& options, io::Ports& ports, StepObserver* observer,
         std::function<void(const std::string&)> halted);

  void on_start() override;
  void on_wake() override;
  void on_disk(io::DiskResult result) override;
  void on_received(NodeId from, io::Parcel parcel) override;
  void on_peer_up(NodeId peer, io::ConnectionId connection) override;
  void on_peer_down(NodeId peer, io::ConnectionId connection) override;
  void on_call(io::CallId call, io::Rights rights, io::Parcel body) override;
  void on_call_cancelled(io::CallId call) override;

  const Node& node() const { return node_; }
  // From the superblock; nullopt before it was read.
  const std::optional<journal::Stamp>& stamp() const { return stamp_; }

 private:
  void step(const Event& event);
  void carry_out();
  void stop(const std::string& why);

  DriverOptions options_;
  io::Ports& ports_;
  StepObserver* observer_;
  std::function<void(const std::string&)> halted_;
  journal::Superblock superblock_;
  std::optional<journal::Stamp> stamp_;
  Node node_;
  Effects effects_;
  bool stopped_ = false;
};

}  // namespace reel::node
