// RealClient: a client program on an event loop of its own, talking RPC to a cluster. The program is an io::Host, most
// often a client::Driver: the very code that the simulator runs.
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

class RealClient {
 public:
  // Reads the token and finds out who lives at the addresses; refuses (CommandError) when nobody answers within
  // `patience`, or when the token is not known.
  RealClient(real::Loop& loop, const ConnectFlags& flags, io::Duration patience = io::seconds(10));
  ~RealClient();

  io::Ports& ports();
  void attach(io::Host& host);
  // The nodes that were found, in the order of the addresses; those that did not answer are not among them.
  const std::vector<NodeId>& nodes() const { return nodes_; }
  // All addresses, with what was found there.
  const std::vector<real::Found>& found() const { return found_; }

 private:
  struct World;
  void discover(const std::vector<std::string>& addresses, io::Duration patience);

  real::Loop& loop_;
  std::unique_ptr<World> world_;
  std::vector<real::Found> found_;
  std::vector<NodeId> nodes_;
};

}  // namespace reel::harness
