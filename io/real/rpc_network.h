// RpcNetwork: io::Network over io/schema/peers.capnp. One connection to each peer, made and kept by this
// side, on which this side only sends; the peer's messages come in at RpcServer.
//
// All that was said to a peer in one turn leaves as one PeerBatch in one call. While the peer is slow to take
// what is on its way (kWindowBytes of it), messages wait in a bounded queue; when that is full, and while there
// is no connection, the newest are dropped and counted: Raft asks again.
//
// on_peer_up/on_peer_down tell the host about this side's connection: after `down`, what was in flight to the
// peer is lost. A connection that ends is made again after a pause that doubles up to a bound, with jitter.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "io/ports/host.h"
#include "io/real/transport.h"
#include "node/message.h"

namespace reel::real {

struct RpcNetworkOptions {
  NodeId self;
  io::ClusterId cluster;
  std::string token;                              // the peers' token
  std::uint32_t queue_messages_max = 16384;       // per peer
  std::uint64_t queue_bytes_max = 32u << 20;      // per peer
  io::Duration connect_timeout = io::seconds(2);  // until the peer has introduced itself
  io::Duration backoff_min = io::milliseconds(20);
  io::Duration backoff_max = io::seconds(1);
  // A connection that is missing is worth a line when it has been missing for so long: nodes start and stop one
  // after another. Another reason, later, is worth another line after `notice_pause`.
  io::Duration notice_after = io::seconds(1);
  io::Duration notice_pause = io::seconds(30);
  std::uint64_t seed = 0;  // of the jitter
};

// The pause after the n-th failure in a row: doubles from `min` to `max`, less a jitter of up to a half.
[[nodiscard]] io::Duration reconnect_pause(io::Duration min, io::Duration max, std::uint32_t failures,
                                           std::uint64_t seed);

class RpcNetwork final : public io::Network {
 public:
  RpcNetwork(Transport& transport, Dialer& dialer, RpcNetworkOptions options);
  ~RpcNetwork() noexcept override;
  RpcNetwork(const RpcNetwork&) = delete;
  RpcNetwork& operator=(const RpcNetwork&) = delete;

  // Who hears of connections; nullptr: nobody.
  void attach(io::Host* host) { host_ = host; }
  void set_incarnation(Incarnation incarnation) { incarnation_ = incarnation; }

  // Connects to the peer and keeps connecting. A new address replaces the connection. Not for `self`.
  void set_peer(NodeId peer, const std::string& address);
  void remove_peer(NodeId peer);

  // A parcel of a PeerBatch travels typed; any other as the bytes of its codec, and arrives as a parcel of
  // Bytes.
  void send(NodeId to, io::Parcel parcel) override;

  bool connected(NodeId peer) const;
  // Why the last attempt to connect to this peer failed; empty if it did not.
  std::string last_error(NodeId peer) const;

 private:
  class Link;

  Transport& transport_;
  Dialer& dialer_;
  RpcNetworkOptions options_;
  io::Host* host_ = nullptr;
  Incarnation incarnation_;
  std::uint64_t last_connection_ = 0;
  std::map<NodeId, std::unique_ptr<Link>> links_;
};

}  // namespace reel::real
