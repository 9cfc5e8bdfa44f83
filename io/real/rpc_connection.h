// One Cap'n Proto RPC connection over a byte stream: the stream, the two-party network and the RPC system in
// the order in which they may die. It must not be destroyed from inside one of its own callbacks.
#pragma once

#include <capnp/rpc-twoparty.h>

#include "io/real/transport.h"

namespace reel::real {

// What one caller may keep busy here: bytes of its calls that were not answered yet. Beyond that nothing more
// is read from its connection.
inline constexpr std::uint64_t kUnansweredBytesMax = 64u << 20;

class RpcConnection {
 public:
  // Of the side that dialled: the other end is whom we wanted, and is trusted with large answers.
  RpcConnection(Transport& transport, kj::Own<kj::AsyncIoStream> stream);
  // Of the side that listens, with what it offers to strangers.
  RpcConnection(Transport& transport, kj::Own<kj::AsyncIoStream> stream, capnp::Capability::Client bootstrap);
  RpcConnection(const RpcConnection&) = delete;
  RpcConnection& operator=(const RpcConnection&) = delete;

  // The other side's bootstrap object.
  [[nodiscard]] capnp::Capability::Client bootstrap();
  [[nodiscard]] kj::Promise<void> on_disconnect() { return network_.onDisconnect(); }
  // Said to the other side and not yet written: how far it lags in reading.
  [[nodiscard]] std::size_t unread_bytes() { return network_.getCurrentQueueSize(); }
  FrameStream& stream() { return stream_; }

 private:
  FrameStream stream_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> system_;
};

}  // namespace reel::real
