// io::Service: calls from clients, as a node sees them; and io::Remote, the same calls as a client makes them.
// A call is one request parcel and at most one reply parcel. The rights are those of the capability through which the
// call came; the node checks them again (design.md §7). No answer is an answer too: the caller has a deadline.
#pragma once

#include <cstdint>

#include "io/ports/parcel.h"
#include "io/ports/strong.h"

namespace reel::io {

// Numbers the calls that one process received or made in its life.
using CallId = Strong<struct CallIdTag, std::uint64_t>;

enum class Rights : std::uint8_t {
  none = 0,
  read = 1,
  append = 2,
  admin = 4,
};
[[nodiscard]] constexpr Rights operator|(Rights a, Rights b) {
  return static_cast<Rights>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}
[[nodiscard]] constexpr bool includes(Rights held, Rights wanted) {
  return (static_cast<std::uint8_t>(held) & static_cast<std::uint8_t>(wanted)) ==
         static_cast<std::uint8_t>(wanted);
}

class Service {
 public:
  virtual ~Service() = default;
  // Exactly one reply for each call; a reply to a call that was cancelled meanwhile is dropped.
  virtual void reply(CallId call, Parcel body) = 0;
};

class Remote {
 public:
  virtual ~Remote() = default;
  // Starts a call to a node. Ends in on_reply() or on_call_failed() at the host, or is cancelled by the caller.
  virtual void call(NodeId to, CallId call, Parcel body) = 0;
  virtual void cancel(CallId call) = 0;
};

}  // namespace reel::io
