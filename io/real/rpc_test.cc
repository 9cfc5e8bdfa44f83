// The RPC adapters over real loopback sockets.
#include <capnp/message.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <iterator>
#include <optional>

#include "io/real/rpc_host_for_tests.h"
#include "io/real/rpc_messages.h"
#include "io/real/rpc_network.h"
#include "io/real/rpc_remote.h"
#include "io/real/rpc_server.h"
#include "io/wire/codec.h"
#include "io/wire/limits.h"
#include "io/wire/samples_for_tests.h"

namespace reel::real {
namespace {

constexpr io::ClusterId kCluster(77);

RpcServerOptions server_options(NodeId self) {
  RpcServerOptions options;
  options.self = self;
  options.cluster = kCluster;
  options.tokens = {{"reader", io::Rights::read},
                    {"writer", io::Rights::read | io::Rights::append},
                    {"operator", io::Rights::read | io::Rights::append | io::Rights::admin}};
  options.peer_token = "peers";
  return options;
}

class Rpc : public testing::Test {
 protected:
  ~Rpc() noexcept override {}  // KJ's destructors may throw, GoogleTest's may not

  // A server on a free port of this machine, or on the given one.
  void serve(RpcServerOptions options, unsigned port = 0) {
    server.reset();
    server.emplace(transport, std::move(options));
    server->attach(&host);
    host.service = &*server;
    auto address = loop.io().provider->getNetwork().parseAddress("127.0.0.1", port).wait(loop.wait_scope());
    auto receiver = address->listen();
    port_ = receiver->getPort();
    server->listen(kj::mv(receiver));
  }
  void stop_serving() {
    host.service = nullptr;
    server.reset();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  RpcRemote& remote(const std::string& token) {
    RpcRemoteOptions options;
    options.token = token;
    remote_.emplace(transport, dialer, options);
    remote_->attach(&client);
    remote_->set_address(NodeId(1), address());
    return *remote_;
  }
  RpcNetwork& network(NodeId self, const std::string& token = "peers", io::ClusterId cluster = kCluster) {
    RpcNetworkOptions options;
    options.self = self;
    options.cluster = cluster;
    options.token = token;
    options.backoff_max = io::milliseconds(50);
    network_.emplace(transport, dialer, options);
    network_->attach(&sender);
    return *network_;
  }
  bool until(const std::function<bool()>& done) { return loop.run_until(done, io::seconds(10)); }
  void settle() {
    (void)loop.run_until([] { return false; }, io::milliseconds(50));
  }

  // A connection of a stranger who speaks what he likes.
  kj::Own<kj::AsyncIoStream> stranger() { return dialer.dial(address()).wait(loop.wait_scope()); }
  // A client that was written from the schema alone.
  capnp::Capability::Client raw_client() {
    raw = kj::heap<RpcConnection>(transport, stranger());
    return raw->bootstrap();
  }
  schema::Session::Client raw_session(const std::string& token) {
    auto request = raw_client().castAs<schema::Reel>().loginRequest();
    request.setToken(token.c_str());
    request.setSchemaVersion(kSchemaVersion);
    return request.send().wait(loop.wait_scope()).getSession();
  }
  schema::PeerLink::Client raw_link(std::uint64_t node) {
    auto request = raw_client().castAs<schema::PeerEntrance>().loginRequest();
    request.setToken("peers");
    auto link = request.send().getPeers().linkRequest();
    link.setNode(node);
    link.setCluster(kCluster.value);
    return link.send().getLink();
  }

  Loop loop;
  LoopReactor reactor{loop};
  std::vector<std::string> notices;
  Transport transport{reactor, [this](const std::string& line) { notices.push_back(line); }};
  SocketDialer dialer{loop.io().provider->getNetwork()};
  RecordingHost host;
  RecordingHost client;
  RecordingHost sender;
  std::optional<RpcServer> server;
  kj::Own<RpcConnection> raw;
  unsigned port_ = 0;
  std::optional<RpcRemote> remote_;
  std::optional<RpcNetwork> network_;
};

TEST(Secrets, OnlyEqualOnesMatch) {
  // A comparison that stops at a prefix, or takes an empty secret for a match, opens the door to everybody.
  EXPECT_TRUE(same_secret("secret", "secret"));
  EXPECT_FALSE(same_secret("secret", "secre"));
  EXPECT_FALSE(same_secret("secret", "secretsecret"));
  EXPECT_FALSE(same_secret("secret", "Secret"));
  EXPECT_FALSE(same_secret("secret", ""));
  EXPECT_FALSE(same_secret("", ""));
}

TEST_F(Rpc, EveryCallIsCarriedAndAnswered) {
  // A field lost between value and schema would append something else, or tell the client something else.
  serve(server_options(NodeId(1)));
  RpcRemote& calls = remote("operator");
  std::vector<ClientCall> sent;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    ClientCall call = wire::sample_call(seed, seed % std::variant_size_v<ClientCall>);
    if (auto* feed = std::get_if<FeedCall>(&call)) feed->bytes_max %= 100'000;
    sent.push_back(call);
    calls.call(NodeId(1), io::CallId(seed), wire::parcel(call));
  }
  ASSERT_TRUE(until([&] { return client.replies.size() == sent.size(); }));
  ASSERT_EQ(host.calls.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(host.calls[i].body, sent[i]);
    EXPECT_EQ(client.replies[i].call, io::CallId(i));
    EXPECT_EQ(client.replies[i].reply, answer_to(sent[i]));
  }
  EXPECT_EQ(server->calls_waiting(), 0u);
  EXPECT_EQ(calls.calls_waiting(), 0u);
}

TEST_F(Rpc, EveryReplyIsCarried) {
  // Errors and states reach the client whole, or it does the wrong thing next.
  serve(server_options(NodeId(1)));
  host.service = nullptr;
  RpcRemote& calls = remote("operator");
  const std::uint64_t which_call[] = {0, 0, 1, 2, 3,
                                      4, 5, 6, 7, 8};  // the call that each kind of reply answers
  static_assert(std::size(which_call) == std::variant_size_v<ClientReply>);
  std::uint64_t id = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (std::uint64_t which = 0; which < std::variant_size_v<ClientReply>; ++which) {
      ClientReply reply = wire::sample_reply(seed, which);
      if (auto* error = std::get_if<CallError>(&reply)) error->retry_after.ns &= INT64_MAX;
      calls.call(NodeId(1), io::CallId(++id), wire::parcel(wire::sample_call(seed, which_call[which])));
      ASSERT_TRUE(until([&] { return host.calls.size() == id; }));
      server->reply(host.calls.back().call, wire::parcel(reply));
      ASSERT_TRUE(until([&] { return client.replies.size() == id; }));
      EXPECT_EQ(client.replies.back().reply, reply);
    }
  }
}

TEST_F(Rpc, WrongTokensAreRefused) {
  // Without a known token nothing may reach the node, and the caller must learn why.
  serve(server_options(NodeId(1)));
  RpcRemote& calls = remote("guess");
  calls.call(NodeId(1), io::CallId(1), wire::parcel(ClientCall(StatusCall{})));
  ASSERT_TRUE(until([&] { return client.failed.size() == 1; }));
  EXPECT_NE(calls.last_error(NodeId(1)).find("login refused"), std::string::npos)
      << calls.last_error(NodeId(1));
  EXPECT_TRUE(host.calls.empty());
  EXPECT_GE(transport.counters().logins_refused, 1u);
  // The peers' token is no client's.
  RpcRemote& peer = remote("peers");
  peer.call(NodeId(1), io::CallId(2), wire::parcel(ClientCall(StatusCall{})));
  ASSERT_TRUE(until([&] { return client.failed.size() == 2; }));
  EXPECT_TRUE(host.calls.empty());
}

TEST_F(Rpc, ARefusedConnectionGetsNoSecondTry) {
  // Guessing over one connection must not be cheaper than over many.
  serve(server_options(NodeId(1)));
  auto door = raw_client().castAs<schema::Reel>();
  for (const char* token : {"guess", "writer"}) {
    auto request = door.loginRequest();
    request.setToken(token);
    EXPECT_TRUE(request.send().wait(loop.wait_scope()).hasError()) << token;
  }
}

TEST_F(Rpc, RightsFollowTheToken) {
  // A reader that could append, or a client that could get at administration, would make tokens worthless.
  serve(server_options(NodeId(1)));
  RpcRemote& calls = remote("reader");
  calls.call(NodeId(1), io::CallId(1), wire::parcel(wire::sample_call(1, 0)));
  calls.call(NodeId(1), io::CallId(2), wire::parcel(ClientCall(HighWaterCall{GroupId(1), false})));
  ASSERT_TRUE(until([&] { return client.replies.size() == 2; }));
  for (const auto& [call, reply] : client.replies) {
    if (call == io::CallId(2)) continue;
    ASSERT_TRUE(std::holds_alternative<CallError>(reply));
    EXPECT_EQ(std::get<CallError>(reply).code, ErrorCode::unauthorized);
  }
  ASSERT_EQ(host.calls.size(), 1u);
  EXPECT_EQ(host.calls[0].rights, io::Rights::read);
  EXPECT_TRUE(raw_session("writer").adminRequest().send().wait(loop.wait_scope()).hasError());
  const auto admin = raw_session("operator").adminRequest().send().wait(loop.wait_scope());
  ASSERT_FALSE(admin.hasError());
  auto holder = admin.getAdmin();
  EXPECT_GE(holder.transportRequest().send().wait(loop.wait_scope()).getCounters().getLogins(), 3u);
}

TEST_F(Rpc, AReaderObjectCannotAppend) {
  // Whoever is handed a reader must not be able to turn it into a partition.
  serve(server_options(NodeId(1)));
  auto request = raw_session("writer").readerRequest();
  request.setPartition(0);
  auto reader = request.send().wait(loop.wait_scope()).getReader();
  auto forged = reader.castAs<schema::Partition>().appendRequest();
  forged.initBatch().setCount(1);
  bool refused = false;
  forged.send()
      .then([](auto&&) {},
            [&](kj::Exception&& e) { refused = e.getType() == kj::Exception::Type::UNIMPLEMENTED; })
      .wait(loop.wait_scope());
  EXPECT_TRUE(refused);
  EXPECT_TRUE(host.calls.empty());
}

TEST_F(Rpc, ResolvingNeedsTheRightToAppend) {
  // To burn a request is to write: a reader who could do it would undo what others send.
  serve(server_options(NodeId(1)));
  RpcRemote& calls = remote("reader");
  calls.call(NodeId(1), io::CallId(1), wire::parcel(wire::sample_call(1, 4)));
  ASSERT_TRUE(until([&] { return client.replies.size() == 1; }));
  EXPECT_EQ(std::get<CallError>(client.replies[0].reply).code, ErrorCode::unauthorized);
  // Nor does the reader object of one who may append.
  auto request = raw_session("writer").readerRequest();
  auto reader = request.send().wait(loop.wait_scope()).getReader();
  bool refused = false;
  reader.castAs<schema::Partition>()
      .resolveRequest()
      .send()
      .then([](auto&&) {},
            [&](kj::Exception&& e) { refused = e.getType() == kj::Exception::Type::UNIMPLEMENTED; })
      .wait(loop.wait_scope());
  EXPECT_TRUE(refused);
  EXPECT_TRUE(host.calls.empty());
  // A partition object does, and the node sees with which rights.
  remote("writer").call(NodeId(1), io::CallId(2), wire::parcel(wire::sample_call(1, 4)));
  ASSERT_TRUE(until([&] { return client.replies.size() == 2; }));
  ASSERT_EQ(host.calls.size(), 1u);
  EXPECT_EQ(host.calls[0].body, wire::sample_call(1, 4));
  EXPECT_EQ(host.calls[0].rights, io::Rights::read | io::Rights::append);
}

TEST_F(Rpc, ImpossibleSequencesAreNotResolved) {
  // What cannot be a sequence must be answered by name, at the client already, and at the node for strangers.
  serve(server_options(NodeId(1)));
  ResolveCall call;
  call.group = GroupId(1);
  call.sequence = Sequence(wire::kCounterMax + 1);
  remote("writer").call(NodeId(1), io::CallId(1), wire::parcel(ClientCall(call)));
  ASSERT_TRUE(until([&] { return client.replies.size() == 1; }));
  EXPECT_EQ(std::get<CallError>(client.replies[0].reply).code, ErrorCode::malformed);
  auto asking = raw_session("writer").partitionRequest();
  auto partition = asking.send().wait(loop.wait_scope()).getPartition();
  auto request = partition.resolveRequest();
  request.setSequence(wire::kCounterMax + 1);
  const auto answer = request.send().wait(loop.wait_scope());
  ASSERT_TRUE(answer.isError());
  EXPECT_EQ(read(answer.getError()).code, ErrorCode::malformed);
  EXPECT_TRUE(host.calls.empty());
}

TEST(RpcMessages, OutcomesOutOfShapeAreRefused) {
  // A node gone wrong must not make a client take noise for an outcome: no answer is better, it asks again.
  const auto append = [](const std::function<void(schema::AppendResult::Builder)>& fill) {
    capnp::MallocMessageBuilder message;
    auto result = message.initRoot<schema::AppendResult>();
    fill(result);
    return read(result.asReader());
  };
  const auto refused = [&](std::uint16_t reason, std::uint32_t lock) {
    return append([&](auto result) {
      auto refusal = result.initRefusals(1)[0];
      refusal.setSequence(1);
      refusal.setReason(static_cast<schema::Refusal::Reason>(reason));
      refusal.setLock(lock);
    });
  };
  EXPECT_TRUE(refused(1, kTransactionLocksMax - 1));
  EXPECT_TRUE(refused(3, 0));
  EXPECT_FALSE(refused(1, kTransactionLocksMax));
  EXPECT_FALSE(refused(0, 0));
  EXPECT_FALSE(refused(4, 0));
  EXPECT_FALSE(refused(257, 0));  // not 1 because a byte is narrower
  EXPECT_FALSE(append([](auto result) { result.initRefusals(kAppendCallCountMax + 1); }));
  EXPECT_EQ(append([](auto result) {
              result.initCommitted(1);
              result.initRefusals(kAppendCallCountMax);
            }).error(),
            "append result has too many outcomes");
  capnp::MallocMessageBuilder message;
  auto resolved = message.initRoot<schema::ResolveResult>();
  EXPECT_FALSE(read(resolved.asReader()));  // not filled in: neither committed nor burned
  resolved.setBurned();
  EXPECT_TRUE(read(resolved.asReader()));
  resolved.initCommitted().setCount(2);
  EXPECT_FALSE(read(resolved.asReader()));
  resolved.getCommitted().setCount(1);
  EXPECT_TRUE(read(resolved.asReader()));
  resolved.setUndecided();
  EXPECT_TRUE(std::get<ResolveResult>(*read(resolved.asReader())).undecided);
}

TEST(RpcMessages, MatchesThatChangedOnTheirWayAreRefused) {
  // A reader with a filter cannot see a hole: a `next` that changed on its way would hide transactions for good.
  const FrameMemory memory;
  const auto refused = [&](const std::function<void(schema::MatchBatch::Builder)>& change) {
    std::uint64_t seed = 0;
    ClientReply reply;
    do {
      reply = wire::sample_reply(++seed, 2);
    } while (std::get<FeedResult>(reply).matches.empty());
    capnp::MallocMessageBuilder message;
    auto result = message.initRoot<schema::FeedResult>();
    write(result, reply);
    change(result.getMatches());
    return !read(result.asReader(), memory).has_value();
  };
  EXPECT_FALSE(refused([](auto) {}));
  EXPECT_TRUE(refused([](auto batch) { batch.setNext(batch.getNext() + 1); }));
  EXPECT_TRUE(refused([](auto batch) { batch.setHighWater(batch.getHighWater() + 1); }));
  EXPECT_TRUE(refused([](auto batch) { batch.getMatches()[0].setTime(7); }));
  EXPECT_TRUE(refused([](auto batch) { batch.getMatches()[0].setSequence(7); }));
  EXPECT_TRUE(refused([](auto batch) { batch.getMatches()[0].setSessionLow(7); }));
}

TEST_F(Rpc, AppendsBeyondTheLimitsGetATypedAnswer) {
  // An oversized or damaged batch must be refused by name, neither taken nor answered by silence.
  serve(server_options(NodeId(1)));
  auto request = raw_session("writer").partitionRequest();
  auto partition = request.send().wait(loop.wait_scope()).getPartition();
  std::uint64_t opened = 0;
  const auto append = [&](std::size_t bytes, std::uint64_t checksum) {
    auto call = partition.appendRequest();
    auto batch = call.initBatch();
    batch.setFirstSequence(1);
    batch.setOpened(opened);
    batch.setCount(1);
    batch.initBlock(static_cast<unsigned>(bytes));
    batch.setChecksum(checksum);
    const auto answer = call.send().wait(loop.wait_scope());
    return answer.isError() ? read(answer.getError()) : CallError{};
  };
  const CallError large = append(kAppendCallBytesMax + 1, 0);
  EXPECT_EQ(large.code, ErrorCode::too_large);
  EXPECT_EQ(large.limit, kAppendCallBytesMax);
  EXPECT_EQ(append(100, 12345).code, ErrorCode::malformed);
  EXPECT_TRUE(host.calls.empty());
  // The checksum as client.capnp describes it, computed by hand.
  std::vector<std::byte> scalars(40);
  scalars[4] = std::byte{1};   // count
  scalars[24] = std::byte{1};  // first sequence
  const std::vector<std::byte> block(100);
  EXPECT_EQ(append(100, io::digest64(block, io::digest64(scalars))).code, ErrorCode{});
  EXPECT_EQ(host.calls.size(), 1u);
  // It covers `opened`: a raised one might open a dropped session again.
  opened = 7;
  EXPECT_EQ(append(100, io::digest64(block, io::digest64(scalars))).code, ErrorCode::malformed);
  EXPECT_EQ(append(100, io::digest64(block, io::digest64(scalars, opened))).code, ErrorCode{});
  ASSERT_EQ(host.calls.size(), 2u);
  EXPECT_EQ(std::get<AppendCall>(host.calls[1].body).opened, Index(7));
}

TEST_F(Rpc, TheClientRefusesWhatNoNodeTakes) {
  // Three megabytes too much must not cross the network to be refused, or kill the connection of other calls.
  serve(server_options(NodeId(1)));
  AppendCall call;
  call.group = GroupId(1);
  call.first = Sequence(1);
  call.count = 1;
  const std::vector<std::byte> block(kAppendCallBytesMax + 1);
  call.block = Bytes::unowned(block);
  RpcRemote& calls = remote("writer");
  calls.call(NodeId(1), io::CallId(1), wire::parcel(ClientCall(call)));
  call.block = Bytes::unowned(std::span(block).first(kAppendCallBytesMax));
  calls.call(NodeId(1), io::CallId(2), wire::parcel(ClientCall(call)));
  ASSERT_TRUE(until([&] { return client.replies.size() == 2; }));
  ASSERT_EQ(client.replies[0].call, io::CallId(1));
  EXPECT_EQ(std::get<CallError>(client.replies[0].reply).code, ErrorCode::too_large);
  EXPECT_EQ(std::get<AppendResult>(client.replies[1].reply).runs[0].time, kAppendCallBytesMax);
}

TEST_F(Rpc, DiscoveryTellsWhoAnswers) {
  // A command that is given addresses must find the nodes there, and say what is wrong with the others.
  RpcServerOptions serving = server_options(NodeId(5));
  serving.members = {{NodeId(5), "10.0.0.5:7101"},
                     {NodeId(6), "10.0.0.6:7101"},
                     {NodeId(7), "\033[2J:1"},
                     {NodeId(8), std::string(kAddressBytesMax + 1, 'a')}};
  serve(std::move(serving));
  RpcRemoteOptions options;
  options.token = "writer";
  RpcRemote calls(transport, dialer, options);
  calls.attach(&client);
  const auto found = calls.discover({address(), "127.0.0.1:1"}).wait(loop.wait_scope());
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].node, NodeId(5));
  EXPECT_EQ(found[0].cluster, kCluster);
  ASSERT_EQ(found[0].members.size(), 2u);  // what cannot be an address is left out
  EXPECT_EQ(found[0].members[1].node, NodeId(6));
  EXPECT_EQ(found[0].members[1].address, "10.0.0.6:7101");
  EXPECT_EQ(found[1].node, NodeId(0));
  EXPECT_FALSE(found[1].error.empty());
  calls.call(NodeId(5), io::CallId(1), wire::parcel(ClientCall(StatusCall{})));
  ASSERT_TRUE(until([&] { return client.replies.size() == 1; }));
  EXPECT_EQ(transport.counters().accepted, 1u);  // the connection of the discovery is used
  options.token = "guess";
  RpcRemote guess(transport, dialer, options);
  EXPECT_TRUE(guess.discover({address()}).wait(loop.wait_scope())[0].unauthorized);
}

TEST_F(Rpc, CallsToNobodyFail) {
  // A call that is neither answered nor failed would hang its client for ever.
  serve(server_options(NodeId(1)));
  stop_serving();
  RpcRemote& calls = remote("writer");
  calls.call(NodeId(1), io::CallId(1), wire::parcel(ClientCall(StatusCall{})));
  calls.call(NodeId(9), io::CallId(2), wire::parcel(ClientCall(StatusCall{})));
  EXPECT_TRUE(client.failed.empty());  // never inside call()
  ASSERT_TRUE(until([&] { return client.failed.size() == 2; }));
}

TEST_F(Rpc, CancelledCallsReachTheNode) {
  // A node that keeps waiting on behalf of a client that gave up would leak, and long polls would pile up.
  serve(server_options(NodeId(1)));
  host.service = nullptr;
  RpcRemote& calls = remote("writer");
  calls.call(NodeId(1), io::CallId(1), wire::parcel(wire::sample_call(1, 0)));
  calls.call(NodeId(1), io::CallId(2), wire::parcel(wire::sample_call(2, 1)));
  ASSERT_TRUE(until([&] { return host.calls.size() == 2; }));
  calls.cancel(io::CallId(1));
  ASSERT_TRUE(until([&] { return host.cancelled.size() == 1; }));
  EXPECT_EQ(host.cancelled[0], host.calls[0].call);
  server->reply(host.calls[0].call, wire::parcel(answer_to(host.calls[0].body)));  // too late: dropped
  server->reply(host.calls[1].call, wire::parcel(answer_to(host.calls[1].body)));
  ASSERT_TRUE(until([&] { return client.replies.size() == 1; }));
  EXPECT_EQ(client.replies[0].call, io::CallId(2));
  // A client that vanishes cancels everything it asked for.
  calls.call(NodeId(1), io::CallId(3), wire::parcel(wire::sample_call(3, 1)));
  ASSERT_TRUE(until([&] { return host.calls.size() == 3; }));
  remote_.reset();
  ASSERT_TRUE(until([&] { return host.cancelled.size() == 2; }));
  EXPECT_EQ(server->calls_waiting(), 0u);
}

// An append of its own session, small enough to share a message.
AppendCall small_append(std::uint64_t session, std::size_t bytes = 40) {
  AppendCall append;
  append.group = GroupId(1);
  append.session = {session, 1};
  append.first = Sequence(session);
  append.count = 1;
  append.block = Bytes::copy_of(std::string(bytes, 'x'));
  return append;
}

TEST_F(Rpc, AppendsOfOneTurnShareAMessage) {
  // A message for each append caps a node at some tens of thousands a second; sharing one must mix nothing up.
  serve(server_options(NodeId(1)));
  RpcRemote& calls = remote("writer");
  calls.call(NodeId(1), io::CallId(1000), wire::parcel(ClientCall(StatusCall{})));
  ASSERT_TRUE(until([&] { return client.replies.size() == 1; }));
  const std::uint64_t received = transport.counters().bytes_received;
  constexpr std::uint64_t kAppends = 300;
  std::vector<ClientCall> sent;
  for (std::uint64_t i = 1; i <= kAppends; ++i) {
    sent.emplace_back(small_append(i));
    if (i == 100) sent.emplace_back(HighWaterCall{GroupId(1), false});  // does not overtake those before it
    if (i == 200) std::get<AppendCall>(sent.back()).group = GroupId(2);
  }
  for (std::size_t i = 0; i < sent.size(); ++i) {
    calls.call(NodeId(1), io::CallId(i), wire::parcel(sent[i]));
  }
  ASSERT_TRUE(until([&] { return client.replies.size() == sent.size() + 1; }));
  ASSERT_EQ(host.calls.size(), sent.size() + 1);
  for (std::size_t i = 0; i < sent.size(); ++i) EXPECT_EQ(host.calls[i + 1].body, sent[i]) << i;
  for (std::size_t i = 1; i < client.replies.size(); ++i) {
    EXPECT_EQ(client.replies[i].reply, answer_to(sent[client.replies[i].call.value])) << i;
  }
  EXPECT_EQ(server->calls_waiting(), 0u);
  EXPECT_EQ(calls.calls_waiting(), 0u);
  // Both ways, over the one transport of this test: far less than a message each.
  EXPECT_LT(transport.counters().bytes_received - received, kAppends * 400);
}

TEST_F(Rpc, OneOfSeveralAppendsMayBeRefusedOrCancelled) {
  // What becomes of one must not become of all that happened to leave with it.
  serve(server_options(NodeId(1)));
  host.service = nullptr;
  RpcRemote& calls = remote("writer");
  for (std::uint64_t i = 1; i <= 4; ++i)
    calls.call(NodeId(1), io::CallId(i), wire::parcel(ClientCall(small_append(i))));
  calls.cancel(io::CallId(1));  // before it left
  ASSERT_TRUE(until([&] { return host.calls.size() == 3; }));
  calls.cancel(io::CallId(2));
  settle();
  EXPECT_TRUE(host.cancelled.empty());
  CallError error;
  error.code = ErrorCode::expired;
  server->reply(host.calls[1].call, wire::parcel(ClientReply(error)));
  server->reply(host.calls[0].call, wire::parcel(answer_to(host.calls[0].body)));
  EXPECT_TRUE(client.replies.empty());
  server->reply(host.calls[2].call, wire::parcel(answer_to(host.calls[2].body)));
  ASSERT_TRUE(until([&] { return client.replies.size() == 2; }));
  EXPECT_EQ(client.replies[0].call, io::CallId(3));
  EXPECT_EQ(std::get<CallError>(client.replies[0].reply).code, ErrorCode::expired);
  EXPECT_EQ(client.replies[1].reply, answer_to(host.calls[2].body));
  // When nobody waits any more the node hears of it, once for each.
  calls.call(NodeId(1), io::CallId(5), wire::parcel(ClientCall(small_append(5))));
  calls.call(NodeId(1), io::CallId(6), wire::parcel(ClientCall(small_append(6))));
  ASSERT_TRUE(until([&] { return host.calls.size() == 5; }));
  server->reply(host.calls[3].call, wire::parcel(answer_to(host.calls[3].body)));
  calls.cancel(io::CallId(5));
  calls.cancel(io::CallId(6));
  ASSERT_TRUE(until([&] { return host.cancelled.size() == 1; }));
  EXPECT_EQ(host.cancelled[0], host.calls[4].call);
  EXPECT_EQ(server->calls_waiting(), 0u);
  // And when the node dies they all fail.
  calls.call(NodeId(1), io::CallId(7), wire::parcel(ClientCall(small_append(7))));
  calls.call(NodeId(1), io::CallId(8), wire::parcel(ClientCall(small_append(8))));
  ASSERT_TRUE(until([&] { return host.calls.size() == 7; }));
  stop_serving();
  ASSERT_TRUE(until([&] { return client.failed.size() == 2; }));
  EXPECT_EQ(calls.calls_waiting(), 0u);
}

TEST_F(Rpc, TogetherAppendsKeepTheirBounds) {
  // Many appends of one turn could make a message that no node takes, and a client from the schema alone one that it must not.
  RpcServerOptions least = server_options(NodeId(1));
  least.frame_bytes_max = 576u << 10;  // the least that a node may be configured to take
  serve(least);
  RpcRemote& calls = remote("writer");
  constexpr std::uint64_t kAppends = 2000;
  for (std::uint64_t i = 1; i <= kAppends; ++i) {
    const std::size_t bytes = i <= 40 ? 100u << 10 : i <= 1100 ? 240 : 8;
    calls.call(NodeId(1), io::CallId(i), wire::parcel(ClientCall(small_append(i, bytes))));
  }
  ASSERT_TRUE(until([&] { return client.replies.size() == kAppends; }));
  EXPECT_TRUE(client.failed.empty());
  for (const auto& reply : client.replies) EXPECT_TRUE(std::holds_alternative<AppendResult>(reply.reply));

  auto open = raw_session("writer").partitionRequest();
  open.setPartition(0);
  schema::Partition::Client partition = open.send().getPartition();
  const auto error_of = [&](unsigned batches, std::size_t bytes) {
    auto request = partition.appendEachRequest();
    auto list = request.initBatches(batches);
    for (unsigned i = 0; i < batches; ++i) list[i].initBlock(bytes);
    const auto answer = request.send().wait(loop.wait_scope());
    return answer.isError() ? std::optional(read(answer.getError()).code) : std::nullopt;
  };
  EXPECT_EQ(error_of(0, 0), ErrorCode::malformed);
  EXPECT_EQ(error_of(kAppendEachMax + 1, 0), ErrorCode::too_large);
  EXPECT_EQ(error_of(2, 200u << 10), ErrorCode::too_large);
  // Each that is malformed says so for itself.
  auto request = partition.appendEachRequest();
  auto list = request.initBatches(2);
  write(list[0], small_append(1));
  list[1].initBlock(8);
  const auto answer = request.send().wait(loop.wait_scope());
  ASSERT_TRUE(answer.isResults());
  ASSERT_EQ(answer.getResults().size(), 2u);
  EXPECT_TRUE(answer.getResults()[0].isCommitted());
  EXPECT_EQ(read(answer.getResults()[1].getError()).code, ErrorCode::malformed);
}

TEST_F(Rpc, AServerThatRestartsIsFoundAgain) {
  // Calls in flight fail with their server, and later ones must reach its next life without help.
  serve(server_options(NodeId(1)));
  host.service = nullptr;
  RpcRemote& calls = remote("writer");
  calls.call(NodeId(1), io::CallId(1), wire::parcel(wire::sample_call(1, 0)));
  ASSERT_TRUE(until([&] { return host.calls.size() == 1; }));
  stop_serving();
  ASSERT_TRUE(until([&] { return client.failed.size() == 1; }));
  serve(server_options(NodeId(1)), port_);
  calls.call(NodeId(1), io::CallId(2), wire::parcel(wire::sample_call(1, 0)));
  ASSERT_TRUE(until([&] { return client.replies.size() == 1; }));
  EXPECT_EQ(client.replies[0].call, io::CallId(2));
}

TEST_F(Rpc, TooManyWaitingCallsAreRefused) {
  // Without a bound a slow node would collect calls until it has no memory left.
  RpcServerOptions options = server_options(NodeId(1));
  options.calls_max = 3;
  serve(options);
  host.service = nullptr;
  RpcRemote& calls = remote("writer");
  for (std::uint64_t i = 1; i <= 5; ++i) {
    calls.call(NodeId(1), io::CallId(i), wire::parcel(wire::sample_call(i, 0)));
  }
  ASSERT_TRUE(until([&] { return client.replies.size() == 2; }));
  EXPECT_EQ(host.calls.size(), 3u);
  for (const auto& replied : client.replies) {
    EXPECT_EQ(std::get<CallError>(replied.reply).code, ErrorCode::overloaded);
    EXPECT_GT(std::get<CallError>(replied.reply).retry_after.ns, 0);
  }
}

TEST_F(Rpc, MoreClientsThanAllowedAreToldSo) {
  // Each connection takes memory and a descriptor: the next client must be refused, with a word, and peers must not.
  RpcServerOptions options = server_options(NodeId(1));
  options.connections_max = 1;
  options.login_deadline = io::milliseconds(50);
  serve(options);
  {
    auto first = raw_session("writer");
    const auto held = kj::mv(raw);
    RpcRemote& second = remote("writer");
    second.call(NodeId(1), io::CallId(1), wire::parcel(ClientCall(StatusCall{})));
    ASSERT_TRUE(until([&] { return client.failed.size() == 1; }));
    EXPECT_NE(second.last_error(NodeId(1)).find("as many connections as it may"), std::string::npos)
        << second.last_error(NodeId(1));
    const auto found = second.discover({address()}).wait(loop.wait_scope());
    EXPECT_FALSE(found.front().unauthorized) << "the token is right";
    RpcNetwork& peers = network(NodeId(2));
    peers.set_peer(NodeId(1), address());
    EXPECT_TRUE(until([&] { return sender.ups.size() == 1; }));
  }
  // Its room is free when the first one has gone.
  ASSERT_TRUE(until([&] { return server->connections() == 1; }));
  RpcRemote& third = remote("writer");
  third.call(NodeId(1), io::CallId(2), wire::parcel(ClientCall(StatusCall{})));
  EXPECT_TRUE(until([&] { return client.replies.size() == 1; }));
}

TEST_F(Rpc, FramesAboveTheConfiguredSizeLoseTheirConnection) {
  // Memory for a message is taken when its header has announced its size: an operator must be able to bound it.
  RpcServerOptions options = server_options(NodeId(1));
  options.frame_bytes_max = 128u << 10;
  serve(options);
  const auto send = [&](std::size_t bytes) {
    RpcRemote& calls = remote("writer");
    const std::vector<std::byte> block(bytes);
    AppendCall call = std::get<AppendCall>(wire::sample_call(1, 0));
    call.block = Bytes::unowned(block);
    const std::size_t before = client.failed.size() + client.replies.size();
    calls.call(NodeId(1), io::CallId(bytes), wire::parcel(ClientCall(call)));
    EXPECT_TRUE(until([&] { return client.failed.size() + client.replies.size() > before; }));
  };
  send(100u << 10);
  EXPECT_EQ(client.replies.size(), 1u);
  send(200u << 10);
  EXPECT_EQ(client.failed.size(), 1u);
  EXPECT_EQ(transport.counters().frames_refused, 1u);
  ASSERT_FALSE(notices.empty());
  EXPECT_NE(notices.back().find("larger than allowed"), std::string::npos) << notices.back();
  EXPECT_EQ(host.calls.size(), 1u);
}

TEST_F(Rpc, PeersMessagesArriveInOrderAndBatched) {
  // A message lost, changed or overtaken on a healthy link would look like a faulty peer; one call each would
  // cap it.
  serve(server_options(NodeId(1)));
  RpcNetwork& peers = network(NodeId(2));
  peers.set_peer(NodeId(1), address());
  ASSERT_TRUE(until([&] { return sender.ups.size() == 1; }));
  EXPECT_TRUE(peers.connected(NodeId(1)));
  std::vector<PeerMessage> sent;
  const std::uint64_t writes = transport.counters().writes;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const PeerBatch batch = wire::sample_batch(seed);
    for (const PeerMessage& message : batch.messages) sent.push_back(message);
    peers.send(NodeId(1), wire::parcel(batch));
  }
  ASSERT_TRUE(until([&] { return host.messages() == sent.size(); }));
  EXPECT_EQ(host.received.size(), 1u);  // one turn, one batch
  EXPECT_LE(transport.counters().writes - writes, 4u);
  EXPECT_EQ(host.received[0].from, NodeId(2));
  EXPECT_EQ(host.received[0].parcel.get<PeerBatch>().messages, sent);
  EXPECT_EQ(transport.counters().peer_messages_dropped, 0u);
}

TEST_F(Rpc, TheWindowOpensAgain) {
  // Returns of a peer's calls are collected; if some were kept, the sender would fall silent once its window is
  // full.
  serve(server_options(NodeId(1)));
  RpcNetwork& peers = network(NodeId(2));
  peers.set_peer(NodeId(1), address());
  ASSERT_TRUE(until([&] { return sender.ups.size() == 1; }));
  const std::string block(kWindowBytes / 16, 'w');
  for (std::size_t turn = 1; turn <= 64; ++turn) {  // four windows, in large pieces
    peers.send(NodeId(1), io::parcel_of(Bytes::copy_of(block)));
    ASSERT_TRUE(until([&] { return host.received.size() == turn; })) << turn;
  }
  for (std::size_t turn = 1; turn <= 300; ++turn) {  // more calls than are collected, in small ones
    peers.send(NodeId(1), io::parcel_of(Bytes::copy_of(std::string_view("small"))));
    ASSERT_TRUE(until([&] { return host.received.size() == 64 + turn; })) << turn;
  }
  for (std::size_t i = 0; i < 40; ++i) peers.send(NodeId(1), io::parcel_of(Bytes::copy_of(block)));
  ASSERT_TRUE(until([&] { return host.received.size() == 404; }));  // more than a window at once
  EXPECT_EQ(transport.counters().peer_messages_dropped, 0u);
}

TEST_F(Rpc, LargeEntriesAndOpaqueParcelsPass) {
  // The largest legal message must not be refused by our own limits; a program's own bytes keep their place
  // in line.
  serve(server_options(NodeId(1)));
  RpcNetwork& peers = network(NodeId(2));
  peers.set_peer(NodeId(1), address());
  ASSERT_TRUE(until([&] { return sender.ups.size() == 1; }));
  PeerMessage message;
  message.group = GroupId(1);
  message.term = Term(3);
  AppendRequest request;
  for (std::uint64_t i = 1; i <= 2; ++i) {
    Entry entry;
    entry.payload = Bytes::copy_of(std::string(kEntryBytesMax, static_cast<char>('a' + i)));
    entry.identity.term = Term(1);
    entry.identity.index = Index(i);
    entry.identity.kind = EntryKind::transactions;
    entry.identity.size = kEntryBytesMax;
    entry.identity.checksum = io::checksum(entry.payload.span());
    request.entries.push_back(entry);
  }
  message.body = request;
  peers.send(NodeId(1), wire::parcel(PeerBatch{{message}}));
  peers.send(NodeId(1), io::parcel_of(Bytes::copy_of(std::string_view("between"))));
  peers.send(NodeId(1), wire::parcel(PeerBatch{{message, message}}));
  ASSERT_TRUE(until([&] { return host.messages() == 4; }));
  EXPECT_EQ(host.received[0].parcel.get<PeerBatch>().messages[0], message);
  EXPECT_EQ(host.received[1].parcel.get<Bytes>().text(), "between");
  EXPECT_EQ(transport.counters().frames_refused, 0u);
}

TEST_F(Rpc, LinksComeBackAfterTheirPeerRestarts) {
  // Without a new connection, and word of it, Raft would wait for answers to messages that were lost.
  serve(server_options(NodeId(1)));
  RpcNetwork& peers = network(NodeId(2));
  peers.set_peer(NodeId(1), address());
  ASSERT_TRUE(until([&] { return sender.ups.size() == 1; }));
  stop_serving();
  ASSERT_TRUE(until([&] { return sender.downs.size() == 1; }));
  EXPECT_EQ(sender.downs[0], sender.ups[0]);
  peers.send(NodeId(1), wire::parcel(wire::sample_batch(1)));  // nobody is there
  EXPECT_GT(transport.counters().peer_messages_dropped, 0u);
  settle();
  serve(server_options(NodeId(1)), port_);
  ASSERT_TRUE(until([&] { return sender.ups.size() == 2; }));
  EXPECT_NE(sender.ups[1], sender.ups[0]);
  peers.send(NodeId(1), wire::parcel(wire::sample_batch(2)));
  ASSERT_TRUE(until([&] { return !host.received.empty(); }));
  EXPECT_EQ(host.received[0].parcel.get<PeerBatch>(), wire::sample_batch(2));
}

TEST_F(Rpc, OneLinePerOutage) {
  // A line per attempt would bury what matters; a line for each short break would cry wolf at every start.
  serve(server_options(NodeId(1)));
  const std::string old = address();
  stop_serving();
  RpcNetworkOptions options;
  options.self = NodeId(2);
  options.cluster = kCluster;
  options.token = "peers";
  options.backoff_min = options.backoff_max = io::milliseconds(5);
  options.notice_after = io::milliseconds(300);
  RpcNetwork peers(transport, dialer, options);
  peers.attach(&sender);
  peers.set_peer(NodeId(1), old);
  (void)loop.run_until([] { return false; }, io::milliseconds(100));
  EXPECT_TRUE(notices.empty()) << notices.front();
  ASSERT_TRUE(until([&] { return !notices.empty(); }));
  (void)loop.run_until([] { return false; }, io::milliseconds(100));
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_NE(notices[0].find(old), std::string::npos);
  // The next outage is another one.
  serve(server_options(NodeId(1)), port_);
  ASSERT_TRUE(until([&] { return sender.ups.size() == 1; }));
  (void)loop.run_until([] { return false; }, io::milliseconds(320));
  stop_serving();
  ASSERT_TRUE(until([&] { return notices.size() == 2; }));
}

TEST_F(Rpc, StrangePeersAreRefused) {
  // A node of another cluster, with another's id, or without the token must not get a word into consensus.
  serve(server_options(NodeId(1)));
  network(NodeId(2), "writer").set_peer(NodeId(1), address());
  settle();
  EXPECT_NE(network_->last_error(NodeId(1)).find("token"), std::string::npos)
      << network_->last_error(NodeId(1));
  network(NodeId(2), "peers", io::ClusterId(78)).set_peer(NodeId(1), address());
  settle();
  EXPECT_NE(network_->last_error(NodeId(1)).find("another cluster"), std::string::npos);
  network(NodeId(1)).set_peer(NodeId(3), address());
  settle();
  EXPECT_NE(network_->last_error(NodeId(3)).find("same id"), std::string::npos);
  network(NodeId(2)).set_peer(NodeId(3), address());
  settle();
  EXPECT_NE(network_->last_error(NodeId(3)).find("another node"), std::string::npos);
  EXPECT_TRUE(sender.ups.empty());
}

TEST_F(Rpc, TheNewerLinkOfAPeerReplacesTheOlder) {
  // A half-open connection of an earlier life must not deliver beside the new one for ever.
  serve(server_options(NodeId(1)));
  network(NodeId(2)).set_peer(NodeId(1), address());
  ASSERT_TRUE(until([&] { return sender.ups.size() == 1; }));
  RecordingHost other;
  RpcNetworkOptions options;
  options.self = NodeId(2);
  options.cluster = kCluster;
  options.token = "peers";
  RpcNetwork newer(transport, dialer, options);
  newer.attach(&other);
  newer.set_peer(NodeId(1), address());
  ASSERT_TRUE(until([&] { return sender.downs.size() == 1 && other.ups.size() == 1; }));
}

TEST_F(Rpc, AFullQueueDropsTheNewestAndCounts) {
  // A slow peer must cost a bounded amount of memory, and what was accepted must still arrive in order.
  serve(server_options(NodeId(1)));
  RpcNetworkOptions options;
  options.self = NodeId(2);
  options.cluster = kCluster;
  options.token = "peers";
  options.queue_messages_max = 10;
  RpcNetwork peers(transport, dialer, options);
  peers.attach(&sender);
  peers.set_peer(NodeId(1), address());
  ASSERT_TRUE(until([&] { return sender.ups.size() == 1; }));
  wire::Draw draw(1);
  std::vector<PeerMessage> sent;
  for (int i = 0; i < 25; ++i) {
    sent.push_back(wire::sample_message(draw, 0));
    peers.send(NodeId(1), wire::parcel(PeerBatch{{sent.back()}}));
  }
  EXPECT_EQ(transport.counters().peer_messages_dropped, 15u);
  ASSERT_TRUE(until([&] { return host.messages() == 10; }));
  sent.resize(10);
  EXPECT_EQ(host.received[0].parcel.get<PeerBatch>().messages, sent);
}

TEST_F(Rpc, PeersThatBreakARuleLoseTheirConnection) {
  // A batch whose checksum or shape is wrong must neither reach the core nor be followed by another.
  serve(server_options(NodeId(1)));
  const auto breaks = [&](const std::function<void(schema::PeerBatch::Builder)>& fill) {
    const std::uint64_t before = transport.counters().frames_refused;
    auto link = raw_link(2);
    auto request = link.deliverRequest();
    fill(request.initBatch());
    auto sending = request.send().ignoreResult().eagerlyEvaluate([](kj::Exception&&) {});
    bool gone = false;
    auto watching = raw->on_disconnect().then([&] { gone = true; }).eagerlyEvaluate([&](kj::Exception&&) {
      gone = true;
    });
    EXPECT_TRUE(until([&] { return gone; }));
    return transport.counters().frames_refused - before;
  };
  const auto wrong_sum = [](schema::PeerBatch::Builder batch) {
    batch.initMessages(1)[0].setTimeoutNow();
    batch.setChecksum(1);
  };
  const auto too_many = [](schema::PeerBatch::Builder batch) {
    batch.initMessages(kPeerBatchMessagesMax + 1);
  };
  const auto gap = [](schema::PeerBatch::Builder batch) {
    batch.initMessages(1)[0].initAppendRequest().initEntries(1)[0].initId().setIndex(7);
  };
  EXPECT_EQ(breaks(wrong_sum), 1u);
  EXPECT_EQ(breaks(too_many), 1u);
  EXPECT_EQ(breaks(gap), 1u);
  EXPECT_TRUE(host.received.empty());
}

// What a stranger sends, and whether the server hangs up on it.
class Hostile : public Rpc {
 protected:
  bool hangs_up_on(const std::vector<std::byte>& bytes) {
    auto stream = stranger();
    bool ended = false;
    auto writing = stream->write(bytes.data(), bytes.size()).eagerlyEvaluate([](kj::Exception&&) {});
    std::vector<std::byte> sink(4096);
    const std::function<kj::Promise<void>()> drain = [&] {
      return stream->tryRead(sink.data(), 1, sink.size()).then([&](std::size_t got) -> kj::Promise<void> {
        if (got != 0) return drain();
        ended = true;
        return kj::READY_NOW;
      });
    };
    auto reading = drain().eagerlyEvaluate([&](kj::Exception&&) { ended = true; });
    return loop.run_until([&] { return ended; }, io::seconds(2));
  }
  static std::vector<std::byte> words(std::initializer_list<std::uint32_t> halves) {
    std::vector<std::byte> bytes;
    for (const std::uint32_t half : halves) {
      bytes.resize(bytes.size() + 4);
      std::memcpy(bytes.data() + bytes.size() - 4, &half, 4);
    }
    return bytes;
  }
};

TEST_F(Hostile, StrangersWhoAnnounceMuchAreHungUpOn) {
  // A header of eight bytes must not make us take gigabytes, nor a stranger more than 64 KiB.
  serve(server_options(NodeId(1)));
  EXPECT_TRUE(hangs_up_on(words({0, 0xffffffffu})));
  EXPECT_TRUE(hangs_up_on(words({0xffffffffu, 1})));
  EXPECT_TRUE(hangs_up_on(words({0, static_cast<std::uint32_t>(kStrangerBytesMax / 8)})));
  EXPECT_EQ(transport.counters().frames_refused, 3u);
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(Hostile, ManySmallMessagesOfAStrangerAddUp) {
  // Many messages below the limit must not do what one large one may not.
  serve(server_options(NodeId(1)));
  std::vector<std::byte> many;
  for (int i = 0; i < 200; ++i) {
    std::vector<std::byte> one(8 + 512);
    const std::uint32_t size = 512 / 8;
    std::memcpy(one.data() + 4, &size, 4);
    many.insert(many.end(), one.begin(), one.end());
  }
  EXPECT_TRUE(hangs_up_on(many));
}

TEST_F(Hostile, NoiseIsHungUpOn) {
  // Bytes that are no protocol at all, a lost HTTP client say, must cost one connection and nothing else.
  serve(server_options(NodeId(1)));
  wire::Draw draw(3);
  for (int i = 0; i < 30; ++i) {
    std::vector<std::byte> noise(64 + draw.below(1000));
    for (std::byte& byte : noise) byte = static_cast<std::byte>(draw.u64());
    EXPECT_TRUE(hangs_up_on(noise));
  }
  RpcRemote& calls = remote("writer");
  calls.call(NodeId(1), io::CallId(1), wire::parcel(ClientCall(StatusCall{})));
  EXPECT_TRUE(until([&] { return client.replies.size() == 1; }));
}

TEST_F(Hostile, SilentStrangersAreHungUpOn) {
  // Connections that never log in must not use up the room of those who would.
  RpcServerOptions options = server_options(NodeId(1));
  options.login_deadline = io::milliseconds(30);
  options.strangers_max = 2;
  serve(options);
  auto first = stranger();
  auto second = stranger();
  ASSERT_TRUE(until([&] { return server->connections() == 2; }));
  auto third = stranger();
  ASSERT_TRUE(until([&] { return transport.counters().refused == 1; }));
  ASSERT_TRUE(until([&] { return server->connections() == 0; }));
  EXPECT_EQ(transport.counters().logins_late, 2u);
}

TEST_F(Rpc, AServerMayDieWithCallsAndConnectionsOpen) {
  // Shutting down must not call into a server or a host that is already gone.
  serve(server_options(NodeId(1)));
  host.service = nullptr;
  RpcRemote& calls = remote("writer");
  RpcNetwork& peers = network(NodeId(2));
  peers.set_peer(NodeId(1), address());
  for (std::uint64_t i = 1; i <= 4; ++i) {
    calls.call(NodeId(1), io::CallId(i), wire::parcel(wire::sample_call(i, i % 2)));
  }
  ASSERT_TRUE(until([&] { return host.calls.size() == 4 && sender.ups.size() == 1; }));
  peers.send(NodeId(1), wire::parcel(wire::sample_batch(1)));
  stop_serving();
  settle();
  EXPECT_EQ(client.failed.size(), 4u);
  EXPECT_TRUE(host.cancelled.empty());
}

}  // namespace
}  // namespace reel::real
