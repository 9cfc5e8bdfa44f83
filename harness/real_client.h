// RealClient: a client program on an event loop of its own, talking RPC to a cluster. The program is an io::Host, most
// often a client::Driver: the very code that the simulator runs.
//
// One address that answers is enough: each node tells where the others live, also those that are down just now.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/real/clock.h"
#include "io/real/event_loop.h"
#include "io/real/rpc_remote.h"
#include "node/types.h"

namespace reel::harness {

struct ConnectFlags {
  std::string connect = "127.0.0.1:7101";  // HOST:PORT[,HOST:PORT…]
  std::string token_file;
};

// A node of the cluster, or an address that was named and where nobody answered.
struct ClusterMember {
  NodeId node;  // 0: unknown
  std::string address;
  std::string error;  // why it did not answer; empty if it did, or was not asked
};

class RealClient {
 public:
  // Reads the token and finds out who lives at the addresses; refuses (CommandError) when nobody answers within
  // `patience`, or when the token is not known.
  RealClient(real::Loop& loop, const ConnectFlags& flags, io::Duration patience = io::seconds(10));
  ~RealClient();

  io::Ports& ports();
  void attach(io::Host& host);
  // Those of --connect that answered, in its order: for programs that ask who they were told to ask.
  const std::vector<NodeId>& nodes() const { return nodes_; }
  // All nodes of the cluster that can be called, those that answered first: for programs that need its leader.
  std::vector<NodeId> everyone() const;
  // Those, and the addresses of --connect where nobody answered.
  const std::vector<ClusterMember>& members() const { return members_; }
  // What the lock keys of this cluster are keyed by (log::lock_key).
  io::ClusterId cluster() const { return cluster_; }
  // Why calls to this node fail; empty if they do not.
  std::string last_error(NodeId node) const;

 private:
  struct World;
  void discover(const std::vector<std::string>& addresses, io::Duration patience);
  void take(const std::vector<real::Found>& found);
  bool knows(NodeId node) const;

  real::Loop& loop_;
  std::unique_ptr<World> world_;
  std::vector<NodeId> nodes_;
  std::vector<ClusterMember> members_;
  io::ClusterId cluster_;
};

}  // namespace reel::harness
