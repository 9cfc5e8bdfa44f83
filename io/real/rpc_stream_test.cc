// The same server, network and remote as in production, over byte streams in memory, in virtual time, with
// every message torn into fragments: what they deliver must not depend on how bytes happen to arrive.
#include <gtest/gtest.h>

#include "io/real/rpc_host_for_tests.h"
#include "io/real/rpc_network.h"
#include "io/real/rpc_remote.h"
#include "io/real/rpc_server.h"
#include "io/real/stream_world_for_tests.h"
#include "io/wire/codec.h"
#include "io/wire/samples_for_tests.h"

namespace reel::real {
namespace {

constexpr io::ClusterId kCluster(5);

// Addresses are names of servers in this world.
class WorldDialer final : public Dialer {
 public:
  explicit WorldDialer(StreamWorld& world) : world_(world) {}
  kj::Promise<kj::Own<kj::AsyncIoStream>> dial(const std::string& address) override {
    const auto found = servers.find(address);
    if (found == servers.end()) return KJ_EXCEPTION(DISCONNECTED, "nobody listens");
    auto pipe = world_.connect();
    found->second->accept(kj::mv(pipe.ends[1]));
    return kj::mv(pipe.ends[0]);
  }
  std::map<std::string, RpcServer*> servers;

 private:
  StreamWorld& world_;
};

RpcServerOptions server_options(NodeId self) {
  RpcServerOptions options;
  options.self = self;
  options.cluster = kCluster;
  options.tokens = {{"writer", io::Rights::read | io::Rights::append}};
  options.peer_token = "peers";
  return options;
}

RpcNetworkOptions network_options(NodeId self) {
  RpcNetworkOptions options;
  options.self = self;
  options.cluster = kCluster;
  options.token = "peers";
  return options;
}

RpcRemoteOptions remote_options() {
  RpcRemoteOptions options;
  options.token = "writer";
  return options;
}

// A node with both directions of its network.
struct Node {
  Node(Transport& transport, WorldDialer& dialer, NodeId self)
      : server(transport, server_options(self)), network(transport, dialer, network_options(self)) {
    server.attach(&host);
    network.attach(&host);
    host.service = &server;
  }
  RecordingHost host;
  RpcServer server;
  RpcNetwork network;
};

// What one run delivered: a hash chain per receiver, over messages and not over batches, whose borders may
// differ.
struct Outcome {
  std::uint64_t peers = 0;
  std::uint64_t calls = 0;
  std::uint64_t replies = 0;
  std::uint64_t fragments = 0;
};

constexpr std::uint64_t kRounds = 120;
constexpr std::uint64_t kCalls = 200;

PeerMessage nth_message(std::uint64_t n) {
  wire::Draw draw(n);
  PeerMessage message = wire::sample_message(draw, n % std::variant_size_v<PeerBody>);
  // Some are larger than any buffer, and are written and read another way than the small ones.
  if (n % 15 == 2) message.body = wire::sample_append_request(draw, 4, 150'000);
  return message;
}

ClientCall nth_call(std::uint64_t n) {
  ClientCall call = wire::sample_call(n, n % std::variant_size_v<ClientCall>);
  if (auto* feed = std::get_if<FeedCall>(&call)) feed->bytes_max %= 200'000;
  return call;
}

std::uint64_t chain_of(const RecordingHost& host) {
  io::Hasher chain;
  for (const auto& received : host.received) {
    for (const PeerMessage& message : received.parcel.get<PeerBatch>().messages)
      chain.add(wire::digest(message));
  }
  return chain.value();
}

Outcome run(std::uint64_t seed) {
  StreamWorld world(seed);
  Transport transport(world);
  WorldDialer dialer(world);
  Node one(transport, dialer, NodeId(1));
  Node two(transport, dialer, NodeId(2));
  dialer.servers = {{"one", &one.server}, {"two", &two.server}};
  RecordingHost client;
  RpcRemote remote(transport, dialer, remote_options());
  remote.attach(&client);
  remote.set_address(NodeId(1), "one");

  // Each node answers every delivery with two messages, until both have said enough.
  std::uint64_t said_one = 0;
  std::uint64_t said_two = 0;
  const auto talk = [](Node& from, NodeId to, std::uint64_t base, std::uint64_t& said) {
    for (int i = 0; i < 2 && said < kRounds; ++i) {
      from.network.send(to, wire::parcel(PeerBatch{{nth_message(base + said++)}}));
    }
  };
  const auto both_talk = [&](NodeId) {
    if (!one.network.connected(NodeId(2)) || !two.network.connected(NodeId(1))) return;
    talk(one, NodeId(2), 0, said_one);
    talk(two, NodeId(1), 1000, said_two);
  };
  one.host.on_up = both_talk;
  two.host.on_up = both_talk;
  one.host.on_message = [&](NodeId, const io::Parcel&) { talk(one, NodeId(2), 0, said_one); };
  two.host.on_message = [&](NodeId, const io::Parcel&) { talk(two, NodeId(1), 1000, said_two); };
  one.network.set_peer(NodeId(2), "two");
  two.network.set_peer(NodeId(1), "one");

  // The client keeps eight calls in flight.
  std::uint64_t called = 0;
  const auto call = [&] {
    if (called == kCalls) return;
    remote.call(NodeId(1), io::CallId(called), wire::parcel(nth_call(called)));
    ++called;
  };
  client.on_answer = [&](io::CallId, const ClientReply&) { call(); };
  for (int i = 0; i < 8; ++i) call();

  const bool done = world.run_until([&] {
    return one.host.messages() == kRounds && two.host.messages() == kRounds &&
           client.replies.size() == kCalls;
  });
  EXPECT_TRUE(done);
  EXPECT_TRUE(client.failed.empty());
  EXPECT_EQ(transport.counters().frames_refused, 0u);
  EXPECT_EQ(transport.counters().peer_messages_dropped, 0u);

  Outcome outcome;
  outcome.peers = io::keyed_hash(chain_of(one.host), {chain_of(two.host)});
  io::Hasher calls;
  for (const auto& one_call : one.host.calls) calls.add(wire::digest(one_call.body));
  outcome.calls = calls.value();
  io::Hasher replies;
  for (const auto& reply : client.replies) replies.add(reply.call.value).add(wire::digest(reply.reply));
  outcome.replies = replies.value();
  outcome.fragments = world.fragments();
  return outcome;
}

TEST(RpcOverStreams, WhatArrivesDoesNotDependOnFragmentation) {
  // net.stream: a decoder that is confused by a border between two reads would lose or change messages.
  io::Hasher peers;
  for (std::uint64_t n = 0; n < kRounds; ++n) peers.add(wire::digest(nth_message(1000 + n)));
  io::Hasher others;
  for (std::uint64_t n = 0; n < kRounds; ++n) others.add(wire::digest(nth_message(n)));
  const Outcome first = run(0);
  std::uint64_t fragments = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome outcome = run(seed);
    EXPECT_EQ(outcome.peers, io::keyed_hash(peers.value(), {others.value()})) << "seed " << seed;
    EXPECT_EQ(outcome.calls, first.calls) << "seed " << seed;
    EXPECT_EQ(outcome.replies, first.replies) << "seed " << seed;
    fragments += outcome.fragments;
  }
  EXPECT_GT(fragments, 5000u);
}

TEST(RpcOverStreams, OneHashForEveryCompiler) {
  // The real adapters in a simulated world must behave the same in every build, or no run of them can be
  // replayed.
  // The calls and replies drawn are those of all kinds: a new kind, or a new field of one, changes their sums.
  const Outcome outcome = run(42);
  EXPECT_EQ(outcome.peers, 7407772930164747236u);
  EXPECT_EQ(outcome.calls, 16785019443392560327u);
  EXPECT_EQ(outcome.replies, 78580643411554401u);
}

TEST(RpcOverStreams, VirtualTimeEndsWhatHangs) {
  // A peer that accepts and says nothing must cost one timeout of virtual time, not a hang.
  StreamWorld world(1);
  Transport transport(world);
  WorldDialer dialer(world);
  RecordingHost client;
  kj::Own<kj::AsyncIoStream> silent;
  class SilentDialer final : public Dialer {
   public:
    SilentDialer(StreamWorld& w, kj::Own<kj::AsyncIoStream>& end) : world_(w), end_(end) {}
    kj::Promise<kj::Own<kj::AsyncIoStream>> dial(const std::string&) override {
      auto pipe = world_.connect();
      end_ = kj::mv(pipe.ends[1]);
      return kj::mv(pipe.ends[0]);
    }

   private:
    StreamWorld& world_;
    kj::Own<kj::AsyncIoStream>& end_;
  } silence(world, silent);
  RpcRemote remote(transport, silence, remote_options());
  remote.attach(&client);
  remote.set_address(NodeId(1), "silent");
  remote.call(NodeId(1), io::CallId(1), wire::parcel(ClientCall(StatusCall{})));
  EXPECT_TRUE(world.run_until([&] { return client.failed.size() == 1; }));
  EXPECT_EQ((world.timer().now() - kj::origin<kj::TimePoint>()) / kj::MILLISECONDS, 2000);
}

}  // namespace
}  // namespace reel::real
