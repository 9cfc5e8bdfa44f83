#include "io/real/rpc_server.h"

#include <utility>

#include "io/ports/assert.h"
#include "io/real/rpc_messages.h"
#include "io/wire/codec.h"
#include "io/wire/limits.h"

namespace reel::real {

namespace {

CallError error_of(ErrorCode code, const char* text) {
  CallError error;
  error.code = code;
  error.text = text;
  return error;
}

CallError overloaded() {
  CallError error = error_of(ErrorCode::overloaded, "too many calls are waiting here: try again later");
  error.retry_after = io::milliseconds(20);
  return error;
}

std::uint64_t words_of(const io::Parcel& parcel) {
  if (!parcel.is<PeerBatch>()) return parcel.size() / sizeof(capnp::word);
  std::uint64_t words = 0;
  for (const PeerMessage& message : parcel.get<PeerBatch>().messages) words += real::words_of(message);
  return words;
}

// Of an append, which holds memory while it waits; other calls are a few words.
std::uint64_t bytes_of(const ClientCall& call) {
  const auto* append = std::get_if<AppendCall>(&call);
  return append == nullptr ? 0 : append->block.size();
}

}  // namespace

bool same_secret(const std::string& secret, kj::StringPtr offered) {
  // As many steps as the caller's own text has: that length is no secret of ours.
  std::uint32_t difference = secret.size() == offered.size() && !secret.empty() ? 0 : 1;
  for (std::size_t i = 0; i < offered.size(); ++i) {
    const char expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference |= static_cast<std::uint8_t>(expected ^ offered[i]);
  }
  return difference == 0;
}

namespace {

// Calls of a peer that were taken and not yet returned. To return each at once would cost both nodes a write and
// a wake-up per message, more than the message itself.
class Receipts {
 public:
  explicit Receipts(kj::Timer& timer) : timer_(timer) {}

  kj::Promise<void> owe(std::uint64_t words) {
    auto receipt = kj::newPromiseAndFulfiller<void>();
    owed_.push_back(kj::mv(receipt.fulfiller));
    words_ += words;
    if (owed_.size() >= kCallsMax || words_ >= kWordsMax) {
      give();
    } else if (!std::exchange(armed_, true)) {
      alarm_ = timer_.afterDelay(kDelayMax)
                   .then([this] {
                     armed_ = false;
                     give();
                   })
                   .eagerlyEvaluate(nullptr);
    }
    return kj::mv(receipt.promise);
  }

 private:
  // As peers.capnp promises.
  static constexpr std::size_t kCallsMax = 64;
  static constexpr std::uint64_t kWordsMax = (512u << 10) / sizeof(capnp::word);
  static constexpr kj::Duration kDelayMax = 10 * kj::MILLISECONDS;

  void give() {
    words_ = 0;
    for (auto& receipt : std::exchange(owed_, {})) receipt->fulfill();
  }

  kj::Timer& timer_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> owed_;
  std::uint64_t words_ = 0;
  bool armed_ = false;
  kj::Promise<void> alarm_ = nullptr;
};

}  // namespace

// One connection, from its acceptance to its end.
struct RpcServer::Inbound {
  Inbound(Transport& transport, kj::Own<kj::AsyncIoStream> stream, capnp::Capability::Client door)
      : receipts(transport.timer()), connection(transport, kj::mv(stream), kj::mv(door)) {}

  bool tried = false;  // a login was refused: there is no second one
  bool known = false;
  bool client = false;  // known, and not as a peer
  bool closing = false;
  Receipts receipts;  // of a peer's messages
  RpcConnection connection;
  kj::Promise<void> deadline = nullptr;  // until somebody logs in
  kj::Promise<void> ending = nullptr;
};

// ---- capabilities: who holds one may do what it offers, and no more

// What every capability knows: its server, if that still lives, and its connection.
struct RpcServer::Back {
  RpcServer* server = nullptr;

  RpcServer& get() const {
    if (server == nullptr) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the node is shutting down"));
    return *server;
  }
};

class RpcServer::Reading : public virtual schema::Reader::Server {
 public:
  Reading(BackPointer back, std::uint64_t inbound, io::Rights rights, std::uint32_t partition)
      : back_(std::move(back)), inbound_(inbound), rights_(rights), group_(group_of(partition)) {}

 protected:
  kj::Promise<void> feed(FeedContext context) override {
    const auto call = read(context.getParams(), group_);
    if (call) return start(*call, context);
    write(context.getResults(), ClientReply(call.error()));
    return kj::READY_NOW;
  }

  kj::Promise<void> highWater(HighWaterContext context) override {
    return start(HighWaterCall{group_, context.getParams().getLinearizable()}, context);
  }

  kj::Promise<void> transaction(TransactionContext context) override {
    return start(TransactionCall{group_, TxnId(context.getParams().getId())}, context);
  }

  template <class Context>
  kj::Promise<void> start(ClientCall call, Context context) {
    context.releaseParams();
    context.allowCancellation();
    return back_->get().call(inbound_, rights_, std::move(call), [context](const ClientReply& reply) mutable {
      write(context.getResults(size_hint(reply)), reply);
    });
  }

  const FrameMemory& memory() const {
    Inbound* inbound = back_->get().find(inbound_);
    if (inbound == nullptr) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the connection is closed"));
    return *inbound->connection.stream().memory();
  }

  BackPointer back_;
  std::uint64_t inbound_;
  io::Rights rights_;
  GroupId group_;
};

class RpcServer::ReadOnly final : public RpcServer::Reading {
 public:
  using Reading::Reading;
};

class RpcServer::ReadAndAppend final : public virtual schema::Partition::Server, public RpcServer::Reading {
 public:
  using Reading::Reading;

 protected:
  kj::Promise<void> append(AppendContext context) override {
    auto call = read(context.getParams().getBatch(), group_, memory());
    if (call) return start(std::move(*call), context);
    write(context.getResults(), ClientReply(call.error()));
    return kj::READY_NOW;
  }

  kj::Promise<void> resolve(ResolveContext context) override {
    const auto call = read(context.getParams(), group_);
    if (call) return start(*call, context);
    write(context.getResults(), ClientReply(call.error()));
    return kj::READY_NOW;
  }

  kj::Promise<void> appendEach(AppendEachContext context) override;
};

// Appends that came in one message, and are answered in one.
class RpcServer::Together {
 public:
  using Context = capnp::CallContext<schema::Partition::AppendEachParams, schema::AppendEachResult>;
  Together(Context context, std::size_t count) : context_(kj::mv(context)), replies_(count), left_(count) {}

  void take(std::size_t at, const ClientReply& reply) {
    replies_[at] = reply;
    if (--left_ == 0) answer();
  }
  void await(io::CallId call) { calls_.push_back(call); }
  kj::Promise<void> done() {
    auto pair = kj::newPromiseAndFulfiller<void>();
    done_ = kj::mv(pair.fulfiller);
    return kj::mv(pair.promise);
  }
  const std::vector<io::CallId>& calls() const { return calls_; }

 private:
  void answer() {
    const auto failure = kj::runCatchingExceptions([this] {
      std::uint64_t words = 0;
      for (const ClientReply& reply : replies_) words += size_hint(reply).wordCount;
      auto results = context_.getResults(capnp::MessageSize{words, 0})
                         .initResults(static_cast<unsigned>(replies_.size()));
      for (unsigned i = 0; i < replies_.size(); ++i) write(results[i], replies_[i]);
    });
    if (failure == nullptr) return done_->fulfill();
    done_->reject(KJ_EXCEPTION(FAILED, "the answer could not be sent"));
  }

  Context context_;
  std::vector<ClientReply> replies_;
  std::size_t left_;
  std::vector<io::CallId> calls_;
  kj::Own<kj::PromiseFulfiller<void>> done_;
};

kj::Promise<void> RpcServer::ReadAndAppend::appendEach(AppendEachContext context) {
  const auto batches = context.getParams().getBatches();
  std::uint64_t bytes = 0;
  for (const auto batch : batches) bytes += batch.getBlock().size();
  if (batches.size() == 0 || batches.size() > kAppendEachMax ||
      (batches.size() > 1 && bytes > kAppendEachBytesMax)) {
    CallError error = error_of(batches.size() == 0 ? ErrorCode::malformed : ErrorCode::too_large,
                               "appendEach takes from 1 to 1024 batches, of 256 KiB together: split them");
    error.limit = batches.size() > kAppendEachMax ? kAppendEachMax : kAppendEachBytesMax;
    write(context.getResults().initError(), error);
    return kj::READY_NOW;
  }
  std::vector<std::expected<AppendCall, CallError>> calls;
  calls.reserve(batches.size());
  for (const auto batch : batches) calls.push_back(read(batch, group_, memory()));
  context.releaseParams();
  context.allowCancellation();
  const auto together = std::make_shared<Together>(context, calls.size());
  auto done = together->done();
  RpcServer& server = back_->get();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (!calls[i]) {
      together->take(i, ClientReply(calls[i].error()));
      continue;
    }
    const auto id = server.begin(inbound_, rights_, std::move(*calls[i]),
                                 [together, i](const ClientReply& reply) { together->take(i, reply); }, {});
    if (id) together->await(*id);
  }
  return done.attach(kj::defer([back = back_, together] {
    if (back->server == nullptr) return;
    for (const io::CallId id : together->calls()) back->server->cancelled(id);
  }));
}

class RpcServer::Admin final : public schema::Admin::Server {
 public:
  Admin(BackPointer back, std::uint64_t inbound, io::Rights rights)
      : back_(std::move(back)), inbound_(inbound), rights_(rights) {}

 protected:
  kj::Promise<void> createPartitions(CreatePartitionsContext context) override {
    context.allowCancellation();
    const CreatePartitionsCall call{context.getParams().getTotal()};
    return back_->get().call(inbound_, rights_, call, [context](const ClientReply& reply) mutable {
      write(context.getResults(), reply);
    });
  }

  kj::Promise<void> removeReaderGroup(RemoveReaderGroupContext context) override {
    const auto name = read_name(context.getParams().getName());
    if (!name) {
      write(context.getResults().initError(), name.error());
      return kj::READY_NOW;
    }
    context.allowCancellation();
    return back_->get().call(inbound_, rights_, RemoveReaderGroupCall{*name},
                             [context](const ClientReply& reply) mutable {
                               const auto* error = std::get_if<CallError>(&reply);
                               if (error != nullptr) write(context.getResults().initError(), *error);
                             });
  }

  kj::Promise<void> transport(TransportContext context) override {
    const TransportCounters& from = back_->get().transport_.counters();
    auto to = context.getResults().initCounters();
    to.setAccepted(from.accepted);
    to.setRefused(from.refused);
    to.setLogins(from.logins);
    to.setLoginsRefused(from.logins_refused);
    to.setLoginsLate(from.logins_late);
    to.setFramesRefused(from.frames_refused);
    to.setCalls(from.calls);
    to.setCallsCancelled(from.calls_cancelled);
    to.setPeerMessagesSent(from.peer_messages_sent);
    to.setPeerMessagesReceived(from.peer_messages_received);
    to.setPeerMessagesDropped(from.peer_messages_dropped);
    to.setBytesSent(from.bytes_sent);
    to.setBytesReceived(from.bytes_received);
    to.setWrites(from.writes);
    return kj::READY_NOW;
  }

 private:
  BackPointer back_;
  std::uint64_t inbound_;
  io::Rights rights_;
};

class RpcServer::Session final : public schema::Session::Server {
 public:
  Session(BackPointer back, std::uint64_t inbound, io::Rights rights)
      : back_(std::move(back)), inbound_(inbound), rights_(rights) {}

 protected:
  kj::Promise<void> partition(PartitionContext context) override {
    if (!io::includes(rights_, io::Rights::read | io::Rights::append)) {
      write(context.getResults().initError(), error_of(ErrorCode::unauthorized, "this token may not append"));
      return kj::READY_NOW;
    }
    const std::uint32_t partition = context.getParams().getPartition();
    context.getResults().setPartition(kj::heap<ReadAndAppend>(back_, inbound_, rights_, partition));
    return kj::READY_NOW;
  }

  kj::Promise<void> reader(ReaderContext context) override {
    if (!io::includes(rights_, io::Rights::read)) {
      write(context.getResults().initError(), error_of(ErrorCode::unauthorized, "this token may not read"));
      return kj::READY_NOW;
    }
    const std::uint32_t partition = context.getParams().getPartition();
    context.getResults().setReader(kj::heap<ReadOnly>(back_, inbound_, io::Rights::read, partition));
    return kj::READY_NOW;
  }

  kj::Promise<void> status(StatusContext context) override {
    context.allowCancellation();
    return back_->get().call(inbound_, rights_, StatusCall{}, [context](const ClientReply& reply) mutable {
      write(context.getResults(size_hint(reply)), reply);
    });
  }

  kj::Promise<void> readerGroup(ReaderGroupContext context) override {
    const auto call = read(context.getParams().getReport());
    if (!call) {
      write(context.getResults(), ClientReply(call.error()));
      return kj::READY_NOW;
    }
    context.releaseParams();
    context.allowCancellation();
    return back_->get().call(inbound_, rights_, *call, [context](const ClientReply& reply) mutable {
      write(context.getResults(size_hint(reply)), reply);
    });
  }

  kj::Promise<void> readerGroups(ReaderGroupsContext context) override {
    const auto name = read_name(context.getParams().getName());
    if (!name) {
      write(context.getResults(), ClientReply(name.error()));
      return kj::READY_NOW;
    }
    context.allowCancellation();
    return back_->get().call(
        inbound_, rights_, ReaderGroupsCall{*name},
        [context](const ClientReply& reply) mutable { write(context.getResults(size_hint(reply)), reply); });
  }

  kj::Promise<void> admin(AdminContext context) override {
    if (!io::includes(rights_, io::Rights::admin)) {
      write(context.getResults().initError(),
            error_of(ErrorCode::unauthorized, "this token is not an operator's"));
      return kj::READY_NOW;
    }
    context.getResults().setAdmin(kj::heap<Admin>(back_, inbound_, rights_));
    return kj::READY_NOW;
  }

 private:
  BackPointer back_;
  std::uint64_t inbound_;
  io::Rights rights_;
};

class RpcServer::PeerLink final : public schema::PeerLink::Server {
 public:
  PeerLink(BackPointer back, std::uint64_t inbound, NodeId from)
      : back_(std::move(back)), inbound_(inbound), from_(from) {}

 protected:
  kj::Promise<void> deliver(DeliverContext context) override {
    RpcServer& server = back_->get();
    Inbound* inbound = server.find(inbound_);
    if (inbound == nullptr) return KJ_EXCEPTION(DISCONNECTED, "the connection is closed");
    std::expected<std::vector<io::Parcel>, std::string> parcels;
    const auto broken = kj::runCatchingExceptions(
        [&] { parcels = unpack(context.getParams().getBatch(), *inbound->connection.stream().memory()); });
    if (broken != nullptr) parcels = std::unexpected("it is not a well-formed message");
    if (!parcels) {
      ++server.transport_.counters().frames_refused;
      server.close(inbound_, parcels.error().c_str());
      return KJ_EXCEPTION(FAILED, "batch refused");
    }
    context.releaseParams();
    std::uint64_t words = 0;
    for (io::Parcel& parcel : *parcels) {
      words += words_of(parcel);
      server.deliver(from_, std::move(parcel));
    }
    context.allowCancellation();  // if the connection ends first, nobody waits for the receipt
    return inbound->receipts.owe(words);
  }

 private:
  static std::expected<std::vector<io::Parcel>, std::string> unpack(schema::PeerBatch::Reader from,
                                                                    const FrameMemory& memory);

  BackPointer back_;
  std::uint64_t inbound_;
  NodeId from_;
};

std::expected<std::vector<io::Parcel>, std::string> RpcServer::PeerLink::unpack(
    schema::PeerBatch::Reader from, const FrameMemory& memory) {
  std::vector<io::Parcel> parcels;
  PeerBatch batch;
  const auto messages = from.getMessages();
  if (messages.size() > kPeerBatchMessagesMax) return std::unexpected("it has too many messages");
  batch.messages.reserve(messages.size());
  std::uint64_t sum = 0;
  for (const auto message : messages) {
    if (message.isOpaque()) {
      const auto content = message.getOpaque();
      if (content.size() > kEntryBytesMax) return std::unexpected("an opaque message is larger than allowed");
      if (!batch.messages.empty()) parcels.push_back(wire::parcel(std::exchange(batch, {})));
      Bytes bytes = memory.share(content);
      sum = io::digest64(bytes.span(), sum);
      parcels.push_back(io::parcel_of(std::move(bytes)));
      continue;
    }
    auto value = read(message, memory);
    if (!value) return std::unexpected(value.error());
    sum = wire::checksum_of(*value, sum);
    batch.messages.push_back(std::move(*value));
  }
  if (sum != from.getChecksum()) return std::unexpected("the batch differs from its checksum");
  if (!batch.messages.empty()) parcels.push_back(wire::parcel(std::move(batch)));
  return parcels;
}

class RpcServer::Peers final : public schema::Peers::Server {
 public:
  Peers(BackPointer back, std::uint64_t inbound) : back_(std::move(back)), inbound_(inbound) {}

 protected:
  kj::Promise<void> link(LinkContext context) override {
    RpcServer& server = back_->get();
    const auto params = context.getParams();
    const NodeId from(params.getNode());
    auto results = context.getResults();
    server.describe(results.initSelf());
    if (io::ClusterId(params.getCluster()) != server.options_.cluster) {
      write(results.initError(), error_of(ErrorCode::unauthorized, "this node belongs to another cluster"));
    } else if (from == server.options_.self || from == NodeId(0)) {
      write(results.initError(), error_of(ErrorCode::unauthorized, "two nodes have the same id"));
    } else {
      server.linked(inbound_, from);
      results.setLink(kj::heap<PeerLink>(back_, inbound_, from));
    }
    return kj::READY_NOW;
  }

 private:
  BackPointer back_;
  std::uint64_t inbound_;
};

// What a stranger holds.
class RpcServer::Door final : public schema::Door::Server {
 public:
  Door(BackPointer back, std::uint64_t inbound) : back_(std::move(back)), inbound_(inbound) {}

 protected:
  kj::Promise<void> login(schema::Reel::Server::LoginContext context) override {
    RpcServer& server = back_->get();
    const auto rights = server.log_in(inbound_, context.getParams().getToken());
    auto results = context.getResults();
    if (!rights) {
      write(results.initError(), rights.error());
      return kj::READY_NOW;
    }
    results.setSession(kj::heap<Session>(back_, inbound_, *rights));
    server.describe(results.initNode());
    write(results.getNode(), server.options_.members);
    return kj::READY_NOW;
  }

  kj::Promise<void> login(schema::PeerEntrance::Server::LoginContext context) override {
    RpcServer& server = back_->get();
    auto results = context.getResults();
    if (!server.log_in_peer(inbound_, context.getParams().getToken())) {
      write(results.initError(), error_of(ErrorCode::unauthorized, "the token is not the peers' token"));
      return kj::READY_NOW;
    }
    results.setPeers(kj::heap<Peers>(back_, inbound_));
    return kj::READY_NOW;
  }

 private:
  BackPointer back_;
  std::uint64_t inbound_;
};

// ---- connections

RpcServer::RpcServer(Transport& transport, RpcServerOptions options)
    : transport_(transport), options_(std::move(options)), back_(std::make_shared<Back>()), tasks_(*this) {
  back_->server = this;
  for (const AccessToken& token : options_.tokens) {
    REEL_CHECK(!token.secret.empty() && token.secret.size() <= kTokenBytesMax);
  }
  REEL_CHECK(options_.peer_token.size() <= kTokenBytesMax);
  REEL_CHECK(options_.frame_bytes_max >= kStrangerBytesMax && options_.frame_bytes_max <= kFrameBytesMax);
}

RpcServer::~RpcServer() noexcept { back_->server = nullptr; }

void RpcServer::listen(kj::Own<kj::ConnectionReceiver> receiver) {
  auto accepting = accept_next(*receiver);
  tasks_.add(accepting.attach(kj::mv(receiver)));
}

kj::Promise<void> RpcServer::accept_next(kj::ConnectionReceiver& receiver) {
  return receiver.accept().then(
      [this, &receiver](kj::Own<kj::AsyncIoStream>&& stream) {
        transport_.note_activity();
        limit_silence(*stream);
        accept(kj::mv(stream));
        return accept_next(receiver);
      },
      [this, &receiver](kj::Exception&& exception) {
        // Out of descriptors, or a caller that left before it was accepted: the port must not stay deaf.
        transport_.notice(std::string("could not accept a connection: ") + exception.getDescription().cStr());
        return transport_.timer().afterDelay(100 * kj::MILLISECONDS).then([this, &receiver] {
          return accept_next(receiver);
        });
      });
}

void RpcServer::accept(kj::Own<kj::AsyncIoStream> stream) {
  TransportCounters& counters = transport_.counters();
  if (strangers_ >= options_.strangers_max) {
    ++counters.refused;
    return;
  }
  ++counters.accepted;
  ++strangers_;
  const std::uint64_t id = ++last_inbound_;
  auto inbound = kj::heap<Inbound>(transport_, kj::mv(stream), kj::heap<Door>(back_, id));
  inbound->deadline = transport_.timer()
                          .afterDelay(options_.login_deadline.ns * kj::NANOSECONDS)
                          .then([this, id] {
                            ++transport_.counters().logins_late;
                            close(id, "nobody logged in");
                          })
                          .eagerlyEvaluate(nullptr);
  inbound->ending = inbound->connection.on_disconnect()
                        .then([this, id] { close(id, nullptr); })
                        .eagerlyEvaluate([this, id](kj::Exception&&) { close(id, nullptr); });
  inbound_.emplace(id, kj::mv(inbound));
}

RpcServer::Inbound* RpcServer::find(std::uint64_t inbound) {
  const auto found = inbound_.find(inbound);
  return found == inbound_.end() || found->second->closing ? nullptr : found->second.get();
}

void RpcServer::close(std::uint64_t id, const char* why) {
  Inbound* inbound = find(id);
  if (inbound == nullptr) return;
  inbound->closing = true;
  if (!inbound->known) --strangers_;
  if (inbound->client) --clients_;
  if (why != nullptr) transport_.notice(std::string("closed a connection: ") + why);
  // Often called from inside the connection's own callbacks: it dies in an event of its own.
  tasks_.add(kj::evalLater([this, id] {
    std::erase_if(links_, [id](const auto& link) { return link.second == id; });
    inbound_.erase(id);
  }));
}

void RpcServer::taskFailed(kj::Exception&& exception) {
  transport_.notice(std::string("a task of the server failed: ") + exception.getDescription().cStr());
}

// ---- login

void RpcServer::admit(Inbound& inbound, bool client) {
  ++transport_.counters().logins;
  inbound.connection.stream().authenticate(client ? options_.frame_bytes_max : kFrameBytesMax);
  inbound.connection.stream().take_turns(client);
  if (client && !std::exchange(inbound.client, true)) ++clients_;
  if (inbound.known) return;
  inbound.known = true;
  --strangers_;
  inbound.deadline = nullptr;
}

std::expected<io::Rights, CallError> RpcServer::log_in(std::uint64_t id, kj::StringPtr token) {
  Inbound* inbound = find(id);
  const CallError unknown = error_of(ErrorCode::unauthorized, "the token is not known here");
  if (inbound == nullptr || inbound->tried || token.size() > kTokenBytesMax) return std::unexpected(unknown);
  io::Rights rights = io::Rights::none;
  // All of them, always: where a match stands must not show either.
  for (const AccessToken& known : options_.tokens) {
    if (same_secret(known.secret, token)) rights = rights | known.rights;
  }
  const bool full = !inbound->client && clients_ >= options_.connections_max;
  if (rights == io::Rights::none || full) refuse_login(*inbound);
  if (rights == io::Rights::none) return std::unexpected(unknown);
  if (full) {
    CallError error = error_of(ErrorCode::overloaded, "this node serves as many connections as it may");
    error.limit = options_.connections_max;
    error.retry_after = options_.login_deadline;
    return std::unexpected(std::move(error));
  }
  admit(*inbound, true);
  return rights;
}

bool RpcServer::log_in_peer(std::uint64_t id, kj::StringPtr token) {
  Inbound* inbound = find(id);
  if (inbound == nullptr || inbound->tried || token.size() > kTokenBytesMax) return false;
  const bool right = same_secret(options_.peer_token, token);
  if (right) {
    admit(*inbound, false);
  } else {
    refuse_login(*inbound);
  }
  return right;
}

void RpcServer::refuse_login(Inbound& inbound) {
  // The connection stays a stranger's until its deadline; the answer has time to arrive.
  inbound.tried = true;
  ++transport_.counters().logins_refused;
}

void RpcServer::describe(schema::NodeInfo::Builder to) const {
  to.setNode(options_.self.value);
  to.setCluster(options_.cluster.value);
  to.setIncarnation(incarnation_.value);
  to.setSchemaVersion(kSchemaVersion);
}

// ---- peers

void RpcServer::linked(std::uint64_t inbound, NodeId peer) {
  const auto [link, fresh] = links_.try_emplace(peer, inbound);
  if (fresh || link->second == inbound) return;
  close(std::exchange(link->second, inbound), nullptr);
}

void RpcServer::deliver(NodeId from, io::Parcel parcel) {
  const bool typed = parcel.is<PeerBatch>();
  transport_.counters().peer_messages_received += typed ? parcel.get<PeerBatch>().messages.size() : 1;
  if (host_ != nullptr) host_->on_received(from, std::move(parcel));
}

// ---- calls

std::optional<io::CallId> RpcServer::begin(std::uint64_t inbound, io::Rights rights, ClientCall body,
                                           Answer answer, kj::Own<kj::PromiseFulfiller<void>> done) {
  ++transport_.counters().calls;
  const std::uint64_t bytes = bytes_of(body);
  if (host_ == nullptr) {
    answer(error_of(ErrorCode::unavailable, "the node is starting or stopping: try again later"));
    return std::nullopt;
  }
  if (waiting_.size() >= options_.calls_max || waiting_bytes_ + bytes > options_.call_bytes_max) {
    answer(overloaded());
    return std::nullopt;
  }
  const io::CallId id(++last_call_);
  waiting_.emplace(id, Waiting{inbound, bytes, std::move(answer), kj::mv(done)});
  waiting_bytes_ += bytes;
  host_->on_call(id, rights, wire::parcel(std::move(body)));
  return id;
}

kj::Promise<void> RpcServer::call(std::uint64_t inbound, io::Rights rights, ClientCall body, Answer answer) {
  auto done = kj::newPromiseAndFulfiller<void>();
  const auto id = begin(inbound, rights, std::move(body), std::move(answer), kj::mv(done.fulfiller));
  if (!id) return kj::READY_NOW;
  // If the caller or its connection goes away first, the promise dies, and the host is told.
  return done.promise.attach(kj::defer([back = back_, id = *id] {
    if (back->server != nullptr) back->server->cancelled(id);
  }));
}

void RpcServer::cancelled(io::CallId id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;  // it was answered
  waiting_bytes_ -= found->second.bytes;
  waiting_.erase(found);
  ++transport_.counters().calls_cancelled;
  if (host_ != nullptr) host_->on_call_cancelled(id);
}

void RpcServer::reply(io::CallId id, io::Parcel body) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;  // cancelled meanwhile
  Waiting waiting = std::move(found->second);
  waiting_.erase(found);
  waiting_bytes_ -= waiting.bytes;
  Inbound* inbound = find(waiting.inbound);
  if (inbound != nullptr && inbound->connection.unread_bytes() > options_.unread_bytes_max) {
    close(waiting.inbound, "it does not read its answers");
    inbound = nullptr;
  }
  const ClientReply& reply = body.get<ClientReply>();
  if (waiting.done.get() == nullptr) return waiting.answer(reply);
  // Results that were not filled in would read as an empty success: without them the call fails.
  if (inbound == nullptr) return waiting.done->reject(KJ_EXCEPTION(DISCONNECTED, "the connection is closed"));
  const auto failure = kj::runCatchingExceptions([&] { waiting.answer(reply); });
  if (failure == nullptr) return waiting.done->fulfill();
  waiting.done->reject(KJ_EXCEPTION(FAILED, "the answer could not be sent"));
}

}  // namespace reel::real
