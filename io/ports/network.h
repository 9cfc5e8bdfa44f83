// io::Network: parcels between participants. Best effort: a parcel arrives whole and unchanged, or not at all, or
// twice, early or late. Order holds per direction within one connection, and a connection may end at any time.
// Sending never blocks; what does not fit the bound of a link is dropped (Raft asks again).
#pragma once

#include "io/ports/parcel.h"
#include "io/ports/strong.h"

namespace reel::io {

// Numbers the connections of one process life; a new one means that parcels in flight on the old are lost.
using ConnectionId = Strong<struct ConnectionIdTag, std::uint64_t>;

class Network {
 public:
  virtual ~Network() = default;
  virtual void send(NodeId to, Parcel parcel) = 0;
};

}  // namespace reel::io
