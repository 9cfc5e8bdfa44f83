// RealNode: one production node on one event loop: the Driver between a real clock, disk and network. The very code
// that the simulator runs, with other ports.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "harness/node_config.h"
#include "harness/node_recorder.h"
#include "io/real/clock.h"
#include "io/real/disk.h"
#include "io/real/event_loop.h"
#include "io/real/rpc_network.h"
#include "io/real/rpc_server.h"
#include "node/driver.h"

namespace reel::harness {

// A port that nobody uses.
class NoRemote final : public io::Remote {
 public:
  void call(NodeId, io::CallId, io::Parcel) override {}
  void cancel(io::CallId) override {}
};

// The parts of a real node that do not depend on which host runs on it (a replica, or the writers of `bench floor`).
class RealWorld {
 public:
  // Opens the directory and takes the port. The error is one sentence.
  [[nodiscard]] static std::expected<std::unique_ptr<RealWorld>, std::string> open(real::Loop& loop,
                                                                                   const NodeConfig& config);
  ~RealWorld();

  io::Ports& ports() { return *ports_; }
  // Events go to this host from now on; it is started by the caller.
  void attach(io::Host& host);
  // From now on peers and clients are served and told this life, and connections to peers begin. Once.
  void go_online(const journal::Stamp& stamp);
  const std::string& notice() const { return disk_->notice(); }
  // Watches the node's steps when its configuration asks for a recording; else nullptr.
  NodeRecorder* recorder() { return recorder_.get(); }

 private:
  RealWorld(real::Loop& loop, const NodeConfig& config, std::unique_ptr<real::RealDisk> disk,
            std::vector<Token> tokens);
  std::expected<void, std::string> listen();
  std::expected<void, std::string> start_recording();

  real::Loop& loop_;
  NodeConfig config_;
  std::vector<Token> tokens_;
  real::RealClock clock_;
  real::LoopReactor reactor_;
  real::Transport transport_;
  real::SocketDialer dialer_;
  std::unique_ptr<real::RealDisk> disk_;
  std::unique_ptr<NodeRecorder> recorder_;
  real::RpcNetwork network_;
  real::RpcServer server_;
  kj::Own<kj::ConnectionReceiver> receiver_;  // until go_online()
  NoRemote remote_;
  std::optional<io::Ports> ports_;
};

class RealNode {
 public:
  struct Events {
    std::function<void()> online;  // the data directory is this node's; peers and clients are served
    std::function<void(const std::string&)> halted;  // the node stops for good, in one sentence
  };
  // Refuses a directory that holds no node's data, and leaves it as it is. The error is one sentence.
  [[nodiscard]] static std::expected<std::unique_ptr<RealNode>, std::string> start(real::Loop& loop,
                                                                                   const NodeConfig& config,
                                                                                   Events events);

  const node::Node& node() const { return driver_->node(); }
  const std::string& notice() const { return world_->notice(); }

 private:
  std::unique_ptr<RealWorld> world_;
  std::unique_ptr<node::Driver> driver_;
};

// Makes a data directory; the error is one sentence.
[[nodiscard]] std::expected<void, std::string> init_directory(const std::string& directory,
                                                              const journal::SuperblockContent& who,
                                                              const std::vector<NodeId>& voters,
                                                              std::uint32_t partitions,
                                                              const journal::Options& options);

}  // namespace reel::harness
