#include "harness/real_client.h"

#include <algorithm>

#include "harness/command/command.h"
#include "harness/node_config.h"
#include "harness/random_bits.h"
#include "harness/unused_ports.h"

namespace reel::harness {
namespace {

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> addresses;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    addresses.push_back(list.substr(at, comma - at));
    check_address(addresses.back(), "--connect", Exit::usage);
    at = comma + 1;
  }
  return addresses;
}

real::RpcRemoteOptions remote_options(const std::string& token) {
  real::RpcRemoteOptions options;
  options.token = token;
  options.seed = random_bits();
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
  while (true) {
    const std::vector<real::Found> found = world_->remote.discover(addresses).wait(loop_.wait_scope());
    take(found);
    if (!nodes_.empty()) return;
    if (real::monotonic_now() >= deadline) {
      refuse("no node answers at " + addresses.front() +
             (addresses.size() > 1 ? " or the other addresses" : "") + " (" + found.front().error +
             "): start the cluster, or correct --connect");
    }
    loop_.io().provider->getTimer().afterDelay(200 * kj::MILLISECONDS).wait(loop_.wait_scope());
  }
}

void RealClient::take(const std::vector<real::Found>& found) {
  members_.clear();
  const real::Found* first = nullptr;
  for (const real::Found& one : found) {
    if (one.unauthorized) {
      refuse("the node at " + one.address + " does not know this token: use its cluster's token file");
    }
    if (one.node.value == 0) continue;
    if (first == nullptr) first = &one;
    if (one.cluster != first->cluster) {
      refuse(first->address + " and " + one.address + " belong to different clusters: correct --connect");
    }
    cluster_ = first->cluster;
    if (knows(one.node)) continue;
    nodes_.push_back(one.node);
    members_.push_back({one.node, one.address, ""});
  }
  const auto error_at = [&](const std::string& address) {
    for (const real::Found& one : found) {
      if (one.address == address) return one.error;
    }
    return std::string();
  };
  for (const real::Found& one : found) {
    for (const real::Member& member : one.members) {
      if (knows(member.node)) continue;
      world_->remote.set_address(member.node, member.address);
      members_.push_back({member.node, member.address, error_at(member.address)});
    }
  }
  for (const real::Found& one : found) {
    const bool listed = std::any_of(members_.begin(), members_.end(), [&](const ClusterMember& member) {
      return member.address == one.address;
    });
    if (!listed && one.node.value == 0) members_.push_back({NodeId(), one.address, one.error});
  }
}

bool RealClient::knows(NodeId node) const {
  return std::any_of(members_.begin(), members_.end(),
                     [&](const ClusterMember& member) { return member.node == node; });
}

std::vector<NodeId> RealClient::everyone() const {
  std::vector<NodeId> nodes;
  for (const ClusterMember& member : members_) {
    if (member.node.value != 0) nodes.push_back(member.node);
  }
  return nodes;
}

std::string RealClient::last_error(NodeId node) const { return world_->remote.last_error(node); }

io::Ports& RealClient::ports() { return world_->ports; }

void RealClient::attach(io::Host& host) {
  world_->clock.attach(&host);
  world_->remote.attach(&host);
}

}  // namespace reel::harness
