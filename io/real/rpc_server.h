// RpcServer: the listening side of a node. It speaks io/schema to clients and peers, and turns it into the
// node's events: calls arrive at Host::on_call() with the rights of the capability that they came through,
// peers' messages at Host::on_received(). As io::Service it carries the answers back.
//
// Who may do what is decided by what a caller holds: login(token) gives a session, a session gives partition,
// reader and administration objects as its rights allow, the peers' token gives the peers' entrance and
// nothing else.
//
// Bounds: connections, connections that have not logged in, time until login, bytes before login
// (transport.h), calls without an answer and their bytes, answers that a caller does not read. What breaks a
// rule loses its connection, with one notice; exceptions end here.
#pragma once

#include <capnp/capability.h>

#include <expected>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/ports/host.h"
#include "io/real/rpc_connection.h"
#include "io/real/transport.h"
#include "io/schema/client.capnp.h"
#include "node/client_message.h"

namespace reel::real {

struct AccessToken {
  std::string secret;  // 1 … kTokenBytesMax bytes
  io::Rights rights{};
};
inline constexpr std::size_t kTokenBytesMax = 256;

struct RpcServerOptions {
  NodeId self;
  io::ClusterId cluster;
  std::vector<AccessToken> tokens;
  std::string peer_token;                // empty: no peers
  std::vector<Member> members;           // told to clients at login; at most kMembersMax
  std::uint32_t connections_max = 4096;  // of clients that are logged in; beyond: their login is refused
  std::uint32_t strangers_max = 256;     // connections that have not logged in
  io::Duration login_deadline = io::seconds(5);
  std::uint32_t calls_max = 65536;             // without an answer; beyond: Overloaded
  std::uint64_t call_bytes_max = 256u << 20;   // of their blocks
  std::uint64_t unread_bytes_max = 64u << 20;  // answers queued for one connection; beyond it is closed
  // Of a client; kStrangerBytesMax to kFrameBytesMax. A message that announces more loses its connection.
  std::uint64_t frame_bytes_max = 4u << 20;
};

// Compares without telling by its duration where two secrets differ.
[[nodiscard]] bool same_secret(const std::string& secret, kj::StringPtr offered);

class RpcServer final : public io::Service, private kj::TaskSet::ErrorHandler {
 public:
  RpcServer(Transport& transport, RpcServerOptions options);
  ~RpcServer() noexcept override;
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  // Where calls and messages go; nullptr: nowhere, and calls are answered Unavailable.
  void attach(io::Host* host) { host_ = host; }
  // Told to peers and clients at login; 0 until the node knows it.
  void set_incarnation(Incarnation incarnation) { incarnation_ = incarnation; }

  // Serves connections until the server dies.
  void listen(kj::Own<kj::ConnectionReceiver> receiver);
  // Serves one connection.
  void accept(kj::Own<kj::AsyncIoStream> stream);

  void reply(io::CallId call, io::Parcel body) override;

  std::size_t connections() const { return inbound_.size(); }
  std::size_t calls_waiting() const { return waiting_.size(); }

 private:
  // What callers hold. It may outlive the server, and reaches it through Back, which is then empty.
  class Door;
  class Session;
  class Reading;
  class ReadOnly;
  class ReadAndAppend;
  class Admin;
  class Peers;
  class PeerLink;
  class Together;
  struct Back;
  using BackPointer = std::shared_ptr<Back>;

  struct Inbound;
  // Fills in the results of a call that waits, from the host's answer.
  using Answer = std::move_only_function<void(const ClientReply&)>;
  struct Waiting {
    std::uint64_t inbound = 0;
    std::uint64_t bytes = 0;
    Answer answer;
    kj::Own<kj::PromiseFulfiller<void>> done;
  };

  Inbound* find(std::uint64_t inbound);
  void close(std::uint64_t inbound, const char* why);
  // The rights of a token. Refused: it is unknown or the connection had its try, or there are too many clients.
  std::expected<io::Rights, CallError> log_in(std::uint64_t inbound, kj::StringPtr token);
  bool log_in_peer(std::uint64_t inbound, kj::StringPtr token);
  void admit(Inbound& inbound, bool client);
  void refuse_login(Inbound& inbound);
  void describe(schema::NodeInfo::Builder to) const;
  kj::Promise<void> accept_next(kj::ConnectionReceiver& receiver);
  // Ready when it is answered; dropping it cancels the call.
  kj::Promise<void> call(std::uint64_t inbound, io::Rights rights, ClientCall body, Answer answer);
  // Gives it to the host; nothing: it is answered already. `done`: of a call that somebody waits for alone.
  std::optional<io::CallId> begin(std::uint64_t inbound, io::Rights rights, ClientCall body, Answer answer,
                                  kj::Own<kj::PromiseFulfiller<void>> done);
  void cancelled(io::CallId call);
  void linked(std::uint64_t inbound, NodeId peer);
  void deliver(NodeId from, io::Parcel parcel);
  void taskFailed(kj::Exception&& exception) override;

  Transport& transport_;
  RpcServerOptions options_;
  io::Host* host_ = nullptr;
  Incarnation incarnation_;
  BackPointer back_;
  std::uint64_t last_inbound_ = 0;
  std::uint64_t last_call_ = 0;
  std::uint32_t strangers_ = 0;
  std::uint32_t clients_ = 0;  // logged in
  std::uint64_t waiting_bytes_ = 0;
  std::unordered_map<io::CallId, Waiting> waiting_;
  std::map<NodeId, std::uint64_t> links_;  // the newest inbound link of each peer
  std::map<std::uint64_t, kj::Own<Inbound>> inbound_;
  kj::TaskSet tasks_;
};

}  // namespace reel::real
