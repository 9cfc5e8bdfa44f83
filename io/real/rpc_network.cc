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
constexpr std::uint64_t kWindowWords = kWindowBytes / sizeof(capnp::word);

std::size_t messages_of(const io::Parcel& parcel) {
  return parcel.is<PeerBatch>() ? parcel.get<PeerBatch>().messages.size() : 1;
}

// One message of a parcel in the queue; an opaque parcel is one message, encoded.
struct Piece {
  io::Parcel parcel;  // keeps `message` alive
  const PeerMessage* message = nullptr;
  Bytes opaque;

  std::uint64_t words() const {
    return message != nullptr ? words_of(*message) : 8 + opaque.size() / sizeof(capnp::word);
  }
};

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
class RpcNetwork::Link final : private Outlet, private kj::TaskSet::ErrorHandler {
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
  void tell_operator(const std::string& why);
  void disconnect();
  void enqueue(Piece piece);
  void flush() override;
  void send_batch(schema::PeerLink::Client& link);
  void taken(std::uint64_t words);
  void taskFailed(kj::Exception&& exception) override { broken_->reject(kj::mv(exception)); }
  std::vector<Piece> take_batch();

  RpcNetwork& network_;
  Transport& transport_;
  NodeId peer_;
  std::string address_;
  std::string last_error_;
  std::uint32_t failures_ = 0;
  std::string noticed_;                   // the reason that the operator was told in this outage
  kj::Maybe<kj::TimePoint> quiet_until_;  // set in an outage
  kj::Maybe<kj::TimePoint> connected_at_;

  // What is to be said; empty while there is no connection.
  std::deque<Piece> queue_;
  std::uint64_t queued_words_ = 0;

  io::ConnectionId id_;
  kj::Own<RpcConnection> connection_;
  kj::Maybe<schema::PeerLink::Client> link_;
  kj::Own<kj::PromiseFulfiller<void>> broken_;
  std::uint64_t words_under_way_ = 0;  // sent, and not known to be taken
  kj::Own<kj::TaskSet> sending_;       // while there is a connection
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
  tell_operator(why);
  last_error_ = why;
  disconnect();
  const RpcNetworkOptions& options = network_.options_;
  const std::uint64_t seed = io::keyed_hash(options.seed, {peer_.value});
  const io::Duration pause = reconnect_pause(options.backoff_min, options.backoff_max, ++failures_, seed);
  return transport_.timer().afterDelay(pause.ns * kj::NANOSECONDS);
}

// One line per outage, not one per attempt. A connection that ends at once does not end an outage.
void RpcNetwork::Link::tell_operator(const std::string& why) {
  const kj::TimePoint now = transport_.timer().now();
  const kj::Duration patience = network_.options_.notice_after.ns * kj::NANOSECONDS;
  KJ_IF_MAYBE (connected_at, connected_at_) {
    if (now - *connected_at >= patience) {
      quiet_until_ = nullptr;
      noticed_.clear();
    }
  }
  connected_at_ = nullptr;
  KJ_IF_MAYBE (quiet_until, quiet_until_) {
    if (why == noticed_ || now < *quiet_until) return;
    transport_.notice("no connection to the peer at " + address_ + ": " + why);
    noticed_ = why;
    quiet_until_ = now + network_.options_.notice_pause.ns * kj::NANOSECONDS;
  } else {
    quiet_until_ = now + patience;
  }
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
  return entered
      .then([linked = kj::mv(linked)](auto&& entrance) mutable {
        if (entrance.hasError()) kj::throwFatalException(refused(entrance.getError()));
        return kj::mv(linked);
      })
      .then([this](auto&& answer) -> schema::PeerLink::Client {
        if (answer.hasError()) kj::throwFatalException(refused(answer.getError()));
        if (answer.getSelf().getNode() != peer_.value) {
          kj::throwFatalException(
              KJ_EXCEPTION(FAILED, "another node answers there", answer.getSelf().getNode()));
        }
        return answer.getLink();
      });
}

kj::Promise<void> RpcNetwork::Link::stay(schema::PeerLink::Client link) {
  link_ = kj::mv(link);
  connected_at_ = transport_.timer().now();
  failures_ = 0;
  last_error_.clear();
  id_ = io::ConnectionId(++network_.last_connection_);
  auto broken = kj::newPromiseAndFulfiller<void>();
  broken_ = kj::mv(broken.fulfiller);
  sending_ = kj::heap<kj::TaskSet>(static_cast<kj::TaskSet::ErrorHandler&>(*this));
  auto ended = connection_->on_disconnect().exclusiveJoin(kj::mv(broken.promise));
  if (network_.host_ != nullptr) network_.host_->on_peer_up(peer_, id_);
  return ended;
}

void RpcNetwork::Link::disconnect() {
  const bool was_up = up();
  sending_ = nullptr;
  words_under_way_ = 0;
  link_ = nullptr;
  broken_ = nullptr;
  connection_ = nullptr;
  transport_.counters().peer_messages_dropped += queue_.size();
  queue_.clear();
  queued_words_ = 0;
  if (was_up && network_.host_ != nullptr) network_.host_->on_peer_down(peer_, id_);
}

// ---- what is said

void RpcNetwork::Link::send(io::Parcel parcel) {
  if (!up()) {
    transport_.counters().peer_messages_dropped += messages_of(parcel);
    return;
  }
  if (!parcel.is<PeerBatch>()) return enqueue({parcel, nullptr, parcel.encode()});
  for (const PeerMessage& message : parcel.get<PeerBatch>().messages) enqueue({parcel, &message, {}});
}

void RpcNetwork::Link::enqueue(Piece piece) {
  const RpcNetworkOptions& options = network_.options_;
  const std::uint64_t words = piece.words();
  const bool full =
      queue_.size() >= options.queue_messages_max ||
      (!queue_.empty() && queued_words_ + words > options.queue_bytes_max / sizeof(capnp::word));
  if (full) {
    ++transport_.counters().peer_messages_dropped;
    return;
  }
  queued_words_ += words;
  queue_.push_back(std::move(piece));
  if (words_under_way_ < kWindowWords) transport_.mark(*this);
}

std::vector<Piece> RpcNetwork::Link::take_batch() {
  std::vector<Piece> batch;
  std::uint64_t words = 0;
  while (!queue_.empty() && batch.size() < kPeerBatchMessagesMax) {
    const std::uint64_t more = queue_.front().words();
    if (!batch.empty() && words + more > kBatchBytesMax / sizeof(capnp::word)) break;
    words += more;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queued_words_ -= words;
  transport_.counters().peer_messages_sent += batch.size();
  return batch;
}

namespace {

void write_batch(schema::PeerBatch::Builder to, const std::vector<Piece>& pieces) {
  auto messages = to.initMessages(static_cast<unsigned>(pieces.size()));
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < messages.size(); ++i) {
    const Piece& piece = pieces[i];
    if (piece.message != nullptr) {
      write(messages[i], *piece.message);
      sum = wire::checksum_of(*piece.message, sum);
    } else {
      const auto* content = reinterpret_cast<const kj::byte*>(piece.opaque.data());
      messages[i].setOpaque(capnp::Data::Reader(content, piece.opaque.size()));
      sum = io::digest64(piece.opaque.span(), sum);
    }
  }
  to.setChecksum(sum);
}

}  // namespace

void RpcNetwork::Link::flush() {
  KJ_IF_MAYBE (link, link_) {
    while (!queue_.empty() && words_under_way_ < kWindowWords) send_batch(*link);
  }
}

void RpcNetwork::Link::send_batch(schema::PeerLink::Client& link) {
  const std::vector<Piece> pieces = take_batch();
  // The whole call fits its first segment, so payloads are copied once and written from there.
  std::uint64_t words = 16;
  for (const Piece& piece : pieces) words += piece.words();
  auto request = link.deliverRequest(capnp::MessageSize{words, 0});
  write_batch(request.initBatch(), pieces);
  words_under_way_ += words;
  sending_->add(request.send().ignoreResult().then([this, words] { taken(words); }));
}

void RpcNetwork::Link::taken(std::uint64_t words) {
  words_under_way_ -= words;
  if (!queue_.empty()) transport_.mark(*this);
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
