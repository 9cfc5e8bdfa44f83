#include "harness/real_client.h"

#include <sys/random.h>

#include "harness/command/command.h"
#include "harness/node_config.h"

namespace reel::harness {
namespace {

// A client has no disk, no peers and serves nobody.
class NoDisk final : public io::Disk {
 public:
  void submit(io::DiskRequest) override {}
};
class NoNetwork final : public io::Network {
 public:
  void send(NodeId, io::Parcel) override {}
};
class NoService final : public io::Service {
 public:
  void reply(io::CallId, io::Parcel) override {}
};

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> addresses;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    addresses.push_back(list.substr(at, comma - at));
    check_address(addresses.back(), "--connect");
    at = comma + 1;
  }
  return addresses;
}

real::RpcRemoteOptions remote_options(const std::string& token) {
  real::RpcRemoteOptions options;
  options.token = token;
  while (getrandom(&options.seed, sizeof options.seed, 0) != static_cast<ssize_t>(sizeof options.seed)) {
  }
  return options;
}

}  // namespace

struct RealClient::World {
  World(real::Loop& loop, const std::string& token)
      : clock(loop),
        reactor(loop),
        transport(reactor),
        dialer(loop.io().provider->getNetwork()),
        remote(transport, dialer, remote_options(token)) {}

  real::RealClock clock;
  real::LoopReactor reactor;
  real::Transport transport;
  real::SocketDialer dialer;
  real::RpcRemote remote;
  NoDisk disk;
  NoNetwork network;
  NoService service;
  io::Ports ports{clock, network, disk, service, remote};
};

RealClient::RealClient(real::Loop& loop, const ConnectFlags& flags, io::Duration patience) : loop_(loop) {
  if (flags.token_file.empty()) misuse("--token-file is missing: `reel up` makes one in its directory");
  const std::vector<Token> tokens = read_tokens(flags.token_file);
  world_ = std::make_unique<World>(loop, tokens.front().secret);
  discover(split(flags.connect), patience);
}

RealClient::~RealClient() = default;

void RealClient::discover(const std::vector<std::string>& addresses, io::Duration patience) {
  const io::Instant deadline = real::monotonic_now() + patience;
  while (nodes_.empty()) {
    found_ = world_->remote.discover(addresses).wait(loop_.wait_scope());
    for (const real::Found& found : found_) {
      if (found.unauthorized) refuse("the node at " + found.address + " does not know this token: use its cluster's token file");
      if (found.node.value == 0) continue;
      for (const real::Found& other : found_) {
        if (other.node.value != 0 && other.cluster != found.cluster) {
          refuse(found.address + " and " + other.address + " belong to different clusters: check --connect");
        }
      }
      nodes_.push_back(found.node);
    }
    if (!nodes_.empty() || real::monotonic_now() >= deadline) break;
    loop_.io().provider->getTimer().afterDelay(200 * kj::MILLISECONDS).wait(loop_.wait_scope());
  }
  if (nodes_.empty()) {
    refuse("no node answers at " + addresses.front() + (addresses.size() > 1 ? " or the other addresses" : "") + " (" +
           found_.front().error + "): is the cluster up, and --connect right?");
  }
}

io::Ports& RealClient::ports() { return world_->ports; }

void RealClient::attach(io::Host& host) {
  world_->clock.attach(&host);
  world_->remote.attach(&host);
}

}  // namespace reel::harness
