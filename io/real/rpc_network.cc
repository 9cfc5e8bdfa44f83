#include "io/real/rpc_network.h"

#include <algorithm>
#include <utility>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/real/rpc_connection.h"
#include "io/real/rpc_messages.h"
#include "io/wire/codec.h"

namespace reel::real {
namespace {

// Payload bytes of one batch; a larger message travels alone.
constexpr std::uint64_t kBatchBytesMax = kAppendBytesMax;

std::size_t messages_of(const io::Parcel& parcel) {
  return parcel.is<PeerBatch>() ? parcel.get<PeerBatch>().messages.size() : 1;
}

kj::Exception refused(schema::CallError::Reader error) {
  return KJ_EXCEPTION(FAILED, "refused", error.getText());
}

}  // namespace

io::Duration reconnect_pause(io::Duration min, io::Duration max, std::uint32_t failures, std::uint64_t seed) {
  REEL_CHECK(min.ns > 0 && min <= max && failures > 0);
  std::int64_t pause_ns = min.ns;
  for (std::uint32_t i = 1; i < failures && pause_ns < max.ns; ++i) pause_ns *= 2;
  pause_ns = std::min(pause_ns, max.ns);
  const std::uint64_t draw = io::keyed_hash(seed, {failures});
  return {pause_ns - static_cast<std::int64_t>(draw % static_cast<std::uint64_t>(pause_ns / 2 + 1))};
}

// One peer: its connection, and what is to be said to it.
class RpcNetwork::Link final : private Outlet {
 public:
  Link(RpcNetwork& network, NodeId peer, std::string address)
      : network_(network), transport_(network.transport_), peer_(peer), address_(std::move(address)) {
    life_ = live().eagerlyEvaluate(nullptr);
  }
  ~Link() noexcept override {
    life_ = nullptr;
    disconnect();
    transport_.forget(*this);
  }

  void send(io::Parcel parcel);
  bool up() const { return link_ != nullptr; }
  const std::string& last_error() const { return last_error_; }

 private:
  kj::Promise<void> live();
  kj::Promise<void> connect();
  kj::Promise<schema::PeerLink::Client> introduce(kj::Own<kj::AsyncIoStream> stream);
  kj::Promise<void> stay(schema::PeerLink::Client link);
  kj::Promise<void> pause(const std::string& why);
  void disconnect();
  void flush() override;
  std::vector<io::Parcel> take_batch();

  RpcNetwork& network_;
  Transport& transport_;
  NodeId peer_;
  std::string address_;
  std::string last_error_;
  std::uint32_t failures_ = 0;

  // What is to be said; empty while there is no connection.
  std::deque<io::Parcel> queue_;
  std::size_t queued_messages_ = 0;
  std::uint64_t queued_bytes_ = 0;

  io::ConnectionId id_;
  kj::Own<RpcConnection> connection_;
  kj::Maybe<schema::PeerLink::Client> link_;
  kj::Own<kj::PromiseFulfiller<void>> broken_;
  bool sending_ = false;  // until flow control lets the next batch go
  kj::Promise<void> send_task_ = nullptr;
  kj::Promise<void> life_ = nullptr;
};

// ---- its connection

kj::Promise<void> RpcNetwork::Link::live() {
  return connect()
      .then([] { return std::string("the peer closed the connection"); },
            [](kj::Exception&& exception) { return std::string(exception.getDescription().cStr()); })
      .then([this](std::string&& why) {
        // In an event of its own: the connection must not die inside a callback of itself.
        return kj::evalLater([this, why = std::move(why)] { return pause(why); });
      })
      .then([this] { return live(); });
}

kj::Promise<void> RpcNetwork::Link::pause(const std::string& why) {
  transport_.note_activity();
  // Said once per outage, not once per attempt.
  if (why != last_error_) transport_.notice("no connection to the peer at " + address_ + ": " + why);
  last_error_ = why;
  disconnect();
  const RpcNetworkOptions& options = network_.options_;
  const std::uint64_t seed = io::keyed_hash(options.seed, {peer_.value});
  const io::Duration pause = reconnect_pause(options.backoff_min, options.backoff_max, ++failures_, seed);
  return transport_.timer().afterDelay(pause.ns * kj::NANOSECONDS);
}

kj::Promise<void> RpcNetwork::Link::connect() {
  auto introduced = network_.dialer_.dial(address_).then(
      [this](kj::Own<kj::AsyncIoStream>&& stream) { return introduce(kj::mv(stream)); });
  return transport_.timer()
      .timeoutAfter(network_.options_.connect_timeout.ns * kj::NANOSECONDS, kj::mv(introduced))
      .then([this](schema::PeerLink::Client&& link) { return stay(kj::mv(link)); });
}

kj::Promise<schema::PeerLink::Client> RpcNetwork::Link::introduce(kj::Own<kj::AsyncIoStream> stream) {
  connection_ = kj::heap<RpcConnection>(transport_, kj::mv(stream));
  auto login = connection_->bootstrap().castAs<schema::PeerEntrance>().loginRequest();
  login.setToken(network_.options_.token.c_str());
  login.setSchemaVersion(kSchemaVersion);
  auto entered = login.send();
  auto link = entered.getPeers().linkRequest();
  link.setNode(network_.options_.self.value);
  link.setCluster(network_.options_.cluster.value);
  link.setIncarnation(network_.incarnation_.value);
  auto linked = link.send();
  return entered.then([linked = kj::mv(linked)](auto&& entrance) mutable {
    if (entrance.hasError()) kj::throwFatalException(refused(entrance.getError()));
    return kj::mv(linked);
  }).then([this](auto&& answer) -> schema::PeerLink::Client {
    if (answer.hasError()) kj::throwFatalException(refused(answer.getError()));
    if (answer.getSelf().getNode() != peer_.value) {
      kj::throwFatalException(KJ_EXCEPTION(FAILED, "another node answers there", answer.getSelf().getNode()));
    }
    return answer.getLink();
  });
}

kj::Promise<void> RpcNetwork::Link::stay(schema::PeerLink::Client link) {
  link_ = kj::mv(link);
  failures_ = 0;
  last_error_.clear();
  id_ = io::ConnectionId(++network_.last_connection_);
  auto broken = kj::newPromiseAndFulfiller<void>();
  broken_ = kj::mv(broken.fulfiller);
  auto ended = connection_->on_disconnect().exclusiveJoin(kj::mv(broken.promise));
  if (network_.host_ != nullptr) network_.host_->on_peer_up(peer_, id_);
  return ended;
}

void RpcNetwork::Link::disconnect() {
  const bool was_up = up();
  send_task_ = nullptr;
  sending_ = false;
  link_ = nullptr;
  broken_ = nullptr;
  connection_ = nullptr;
  transport_.counters().peer_messages_dropped += queued_messages_;
  queue_.clear();
  queued_messages_ = 0;
  queued_bytes_ = 0;
  if (was_up && network_.host_ != nullptr) network_.host_->on_peer_down(peer_, id_);
}

// ---- what is said

void RpcNetwork::Link::send(io::Parcel parcel) {
  const std::size_t messages = messages_of(parcel);
  const std::size_t bytes = parcel.size();
  const RpcNetworkOptions& options = network_.options_;
  const bool full = !queue_.empty() && (queued_messages_ + messages > options.queue_messages_max ||
                                        queued_bytes_ + bytes > options.queue_bytes_max);
  if (!up() || full) {
    transport_.counters().peer_messages_dropped += messages;
    return;
  }
  queued_messages_ += messages;
  queued_bytes_ += bytes;
  queue_.push_back(std::move(parcel));
  if (!sending_) transport_.mark(*this);
}

std::vector<io::Parcel> RpcNetwork::Link::take_batch() {
  std::vector<io::Parcel> batch;
  std::size_t messages = 0;
  std::uint64_t bytes = 0;
  while (!queue_.empty()) {
    const std::size_t more = messages_of(queue_.front());
    const std::size_t more_bytes = queue_.front().size();
    const bool fits = messages + more <= kPeerBatchMessagesMax && bytes + more_bytes <= kBatchBytesMax;
    if (!batch.empty() && !fits) break;
    messages += more;
    bytes += more_bytes;
    queued_bytes_ -= more_bytes;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queued_messages_ -= messages;
  transport_.counters().peer_messages_sent += messages;
  return batch;
}

namespace {

// The whole call is built into one segment, so the payloads are copied once, and written from there.
std::uint64_t words_of_all(const std::vector<io::Parcel>& parcels, const std::vector<Bytes>& opaque) {
  std::uint64_t words = 16;
  for (const io::Parcel& parcel : parcels) {
    if (!parcel.is<PeerBatch>()) continue;
    for (const PeerMessage& message : parcel.get<PeerBatch>().messages) words += words_of(message);
  }
  for (const Bytes& bytes : opaque) words += 8 + bytes.size() / sizeof(capnp::word);
  return words;
}

void write_batch(schema::PeerBatch::Builder to, const std::vector<io::Parcel>& parcels,
                 const std::vector<Bytes>& opaque) {
  std::size_t count = 0;
  for (const io::Parcel& parcel : parcels) count += messages_of(parcel);
  auto messages = to.initMessages(static_cast<unsigned>(count));
  std::uint64_t sum = 0;
  unsigned next = 0;
  auto next_opaque = opaque.begin();
  for (const io::Parcel& parcel : parcels) {
    if (!parcel.is<PeerBatch>()) {
      const Bytes& bytes = *next_opaque++;
      messages[next++].setOpaque(
          capnp::Data::Reader(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()));
      sum = io::digest64(bytes.span(), sum);
      continue;
    }
    for (const PeerMessage& message : parcel.get<PeerBatch>().messages) {
      write(messages[next++], message);
      sum = wire::checksum_of(message, sum);
    }
  }
  to.setChecksum(sum);
}

}  // namespace

void RpcNetwork::Link::flush() {
  if (sending_ || queue_.empty()) return;
  KJ_IF_MAYBE(link, link_) {
    const std::vector<io::Parcel> parcels = take_batch();
    std::vector<Bytes> opaque;
    for (const io::Parcel& parcel : parcels) {
      if (!parcel.is<PeerBatch>()) opaque.push_back(parcel.encode());
    }
    auto request = link->deliverRequest(capnp::MessageSize{words_of_all(parcels, opaque), 0});
    write_batch(request.initBatch(), parcels, opaque);
    sending_ = true;
    send_task_ = request.send()
                     .then(
                         [this] {
                           sending_ = false;
                           if (!queue_.empty()) transport_.mark(*this);
                         },
                         [this](kj::Exception&& exception) { broken_->reject(kj::mv(exception)); })
                     .eagerlyEvaluate(nullptr);
  }
}

// ---- the network

RpcNetwork::RpcNetwork(Transport& transport, Dialer& dialer, RpcNetworkOptions options)
    : transport_(transport), dialer_(dialer), options_(std::move(options)) {}

RpcNetwork::~RpcNetwork() noexcept { host_ = nullptr; }

void RpcNetwork::set_peer(NodeId peer, const std::string& address) {
  REEL_CHECK(peer != options_.self && peer != NodeId(0));
  links_[peer] = std::make_unique<Link>(*this, peer, address);
}

void RpcNetwork::remove_peer(NodeId peer) { links_.erase(peer); }

void RpcNetwork::send(NodeId to, io::Parcel parcel) {
  const auto found = links_.find(to);
  if (found != links_.end()) return found->second->send(std::move(parcel));
  transport_.counters().peer_messages_dropped += messages_of(parcel);
}

bool RpcNetwork::connected(NodeId peer) const {
  const auto found = links_.find(peer);
  return found != links_.end() && found->second->up();
}

std::string RpcNetwork::last_error(NodeId peer) const {
  const auto found = links_.find(peer);
  return found == links_.end() ? "no address" : found->second->last_error();
}

}  // namespace reel::real
