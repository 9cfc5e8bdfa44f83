// RpcRemote: io::Remote over io/schema/client.capnp: calls to nodes, as a client makes them. It connects and
// logs in when a node is first called, keeps the connection, and makes many calls on it at once.
//
// Each call ends in exactly one on_reply() or on_call_failed(), unless it was cancelled; never inside call().
// A call fails when its node cannot be reached or the connection ends: its outcome is then unknown. Calls to
// a node that could not be reached lately wait for the next attempt, which is at most `backoff_max` away, so
// a caller that retries at once does not spin.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/ports/host.h"
#include "io/real/transport.h"
#include "node/client_message.h"

namespace reel::real {

struct RpcRemoteOptions {
  std::string token;
  std::uint32_t calls_max = 65536;                // without an answer, over all nodes; beyond: the call fails
  io::Duration connect_timeout = io::seconds(2);  // until the login was answered
  io::Duration backoff_min = io::milliseconds(10);
  io::Duration backoff_max = io::milliseconds(250);
  std::uint64_t seed = 0;  // of the jitter
};

// Who answers at an address, or why nobody does.
struct Found {
  std::string address;
  NodeId node;  // 0: nobody
  io::ClusterId cluster;
  Incarnation incarnation;
  std::vector<Member> members;  // where the cluster's nodes live, as this one says
  bool unauthorized = false;    // somebody answers, and does not know the token
  std::string error;            // one sentence
};

class RpcRemote final : public io::Remote {
 public:
  RpcRemote(Transport& transport, Dialer& dialer, RpcRemoteOptions options);
  ~RpcRemote() noexcept override;
  RpcRemote(const RpcRemote&) = delete;
  RpcRemote& operator=(const RpcRemote&) = delete;

  void attach(io::Host* host) { host_ = host; }

  void set_address(NodeId node, const std::string& address);
  // Logs in at each address at once and learns who lives there; what was found can be called from then on.
  [[nodiscard]] kj::Promise<std::vector<Found>> discover(const std::vector<std::string>& addresses);

  // `body` holds a ClientCall.
  void call(NodeId to, io::CallId call, io::Parcel body) override;
  void cancel(io::CallId call) override;

  // Why calls to this node fail; empty if they do not.
  std::string last_error(NodeId node) const;
  std::size_t calls_waiting() const { return calls_.size(); }

 private:
  class Target;
  class Outcomes;
  struct Login;
  struct Call {
    io::Parcel body;                     // until it is sent
    kj::Promise<void> answer = nullptr;  // from then on, if it was sent alone
    Target* target = nullptr;
    std::uint64_t together = 0;  // the message of several appends that it was sent in
  };

  kj::Promise<Login> log_in(const std::string& address);
  Target& target(NodeId node, const std::string& address);
  // From inside the answer of this call.
  void finish(io::CallId call, io::Parcel reply);
  void fail(io::CallId call);

  Transport& transport_;
  Dialer& dialer_;
  RpcRemoteOptions options_;
  io::Host* host_ = nullptr;
  std::map<NodeId, std::unique_ptr<Target>> targets_;
  std::unique_ptr<Outcomes> outcomes_;
  std::unordered_map<io::CallId, Call> calls_;
};

}  // namespace reel::real
