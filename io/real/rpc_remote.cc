#include "io/real/rpc_remote.h"

#include <deque>
#include <optional>
#include <utility>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/real/rpc_connection.h"
#include "io/real/rpc_messages.h"
#include "io/real/rpc_network.h"
#include "io/wire/codec.h"
#include "io/wire/limits.h"

namespace reel::real {
namespace {

CallError error_of(ErrorCode code, std::uint64_t limit, std::string text) {
  CallError error;
  error.code = code;
  error.limit = limit;
  error.text = std::move(text);
  return error;
}

// What no node would take is answered here, without sending megabytes to be told so.
std::optional<CallError> refusal_of(const ClientCall& call) {
  if (const auto* append = std::get_if<AppendCall>(&call)) {
    if (append->block.size() > kAppendCallBytesMax) {
      return error_of(ErrorCode::too_large, kAppendCallBytesMax, "the block is too large: split the batch");
    }
    if (append->count > kAppendCallCountMax) {
      return error_of(ErrorCode::too_large, kAppendCallCountMax, "too many transactions: split the batch");
    }
  }
  const wire::Verdict verdict = wire::check(call);
  if (!verdict) return error_of(ErrorCode::malformed, 0, verdict.error());
  return std::nullopt;
}

// What one connection offers for one partition. Objects are asked for once, and calls are pipelined on the
// promise.
struct PartitionObjects {
  kj::Maybe<schema::Partition::Client> writer;
  kj::Maybe<schema::Reader::Client> reader;
  // Why the node refused an object; calls on it only say that they failed.
  std::optional<CallError> refusal;
  kj::Promise<void> asking_writer = nullptr;
  kj::Promise<void> asking_reader = nullptr;
};

struct AdminObject {
  kj::Maybe<schema::Admin::Client> admin;
  std::optional<CallError> refusal;
  kj::Promise<void> asking = nullptr;
};

}  // namespace

// A logged-in connection; without a connection the login was refused.
struct RpcRemote::Login {
  kj::Own<RpcConnection> connection;
  schema::Session::Client session = nullptr;
  Found found;
};

// Calls that ended without an answer from elsewhere end at the host from here, outside of call(); promises
// that ended die here, outside of themselves.
class RpcRemote::Outcomes final : private Outlet {
 public:
  explicit Outcomes(RpcRemote& remote) : remote_(remote) {}
  ~Outcomes() noexcept override { remote_.transport_.forget(*this); }

  // An empty parcel: the call failed.
  void add(io::CallId call, io::Parcel reply) {
    outcomes_.emplace_back(call, std::move(reply));
    remote_.transport_.mark(*this);
  }
  void remove(io::CallId call) {
    std::erase_if(outcomes_, [call](const auto& outcome) { return outcome.first == call; });
  }
  void bury(kj::Promise<void> promise) {
    ended_.push_back(kj::mv(promise));
    remote_.transport_.mark(*this);
  }
  // It came when its connection was dead already: it waits for the next one.
  void start_again(Target& target, io::CallId call) {
    again_.emplace_back(&target, call);
    remote_.transport_.mark(*this);
  }

 private:
  void start_waiting();
  void flush() override {
    ended_.clear();
    start_waiting();
    while (!outcomes_.empty()) {
      auto [call, reply] = std::move(outcomes_.front());
      outcomes_.pop_front();
      if (remote_.host_ == nullptr) continue;
      if (reply) {
        remote_.host_->on_reply(call, std::move(reply));
      } else {
        remote_.host_->on_call_failed(call);
      }
    }
  }

  RpcRemote& remote_;
  std::deque<std::pair<io::CallId, io::Parcel>> outcomes_;
  std::vector<kj::Promise<void>> ended_;
  std::vector<std::pair<Target*, io::CallId>> again_;
};

// One node: its connection, and the calls that wait for it.
class RpcRemote::Target final : private Outlet {
 public:
  Target(RpcRemote& remote, NodeId node, std::string address)
      : remote_(remote), transport_(remote.transport_), node_(node), address_(std::move(address)) {}
  ~Target() noexcept override { transport_.forget(*this); }

  const std::string& address() const { return address_; }
  const std::string& last_error() const { return last_error_; }

  // The call is in calls_, with its body.
  void start(io::CallId call);
  // Takes a connection that discover() made.
  void adopt(Login login);
  // Nobody waits any more for one of the appends that were sent together.
  void forget_one_of(std::uint64_t together);

 private:
  // Appends that leave, or left, in one message.
  struct Together {
    std::size_t left = 0;  // for which somebody waits
    kj::Promise<void> answer = nullptr;
  };
  struct Collected {
    io::CallId call;
    io::Parcel body;
  };

  kj::Promise<void> attempt();
  kj::Promise<void> stay(Login login);
  void lost(const std::string& why);
  void dispatch(io::CallId call);
  void collect(io::CallId call, io::Parcel body);
  void flush() override { send_collected(); }
  void send_collected();
  void send_alone(io::CallId call, const io::Parcel& body);
  void take_answers(std::uint64_t together, const std::vector<io::CallId>& calls,
                    schema::AppendEachResult::Reader results);
  void end_together(std::uint64_t together);
  kj::Promise<void> send(io::CallId id, const AppendCall& call);
  kj::Promise<void> send(io::CallId id, const FeedCall& call);
  kj::Promise<void> send(io::CallId id, const HighWaterCall& call);
  kj::Promise<void> send(io::CallId id, const StatusCall& call);
  kj::Promise<void> send(io::CallId id, const ResolveCall& call);
  kj::Promise<void> send(io::CallId id, const TransactionCall& call);
  kj::Promise<void> send(io::CallId id, const CreatePartitionsCall& call);
  kj::Promise<void> send(io::CallId id, const ReaderGroupCall& call);
  kj::Promise<void> send(io::CallId id, const ReaderGroupsCall& call);
  kj::Promise<void> send(io::CallId id, const RemoveReaderGroupCall& call);
  // While connected.
  schema::Session::Client& session() {
    schema::Session::Client* held = nullptr;
    KJ_IF_MAYBE (session, session_) held = session;
    REEL_CHECK(held != nullptr);
    return *held;
  }
  schema::Partition::Client writer(GroupId group);
  schema::Reader::Client reader(GroupId group);
  schema::Admin::Client admin();
  void answer(io::CallId id, ReadReply reply);
  void no_answer(io::CallId id, GroupId group, kj::Exception&& exception);
  void no_admin(io::CallId id, kj::Exception&& exception);

  RpcRemote& remote_;
  Transport& transport_;
  NodeId node_;
  std::string address_;
  std::string last_error_;
  std::uint32_t failures_ = 0;                   // attempts in a row
  bool busy_ = false;                            // connecting, connected, or pausing before the next attempt
  bool broken_ = false;                          // connected, and a call has found that the connection is not
  kj::Own<kj::PromiseFulfiller<void>> breaker_;  // ends the connection then
  std::deque<io::CallId> waiting_;
  kj::Own<RpcConnection> connection_;
  kj::Maybe<schema::Session::Client> session_;
  std::map<GroupId, PartitionObjects> partitions_;
  AdminObject admin_;
  std::vector<Collected> collected_;  // appends to one partition, until the end of the turn
  std::uint64_t collected_bytes_ = 0;
  std::map<std::uint64_t, Together> together_;
  std::uint64_t last_together_ = 0;
  kj::Promise<void> life_ = nullptr;
};

// ---- the connection of a target

kj::Promise<RpcRemote::Login> RpcRemote::log_in(const std::string& address) {
  auto login = dialer_.dial(address).then([this, address](kj::Own<kj::AsyncIoStream>&& stream) {
    auto connection = kj::heap<RpcConnection>(transport_, kj::mv(stream));
    auto request = connection->bootstrap().castAs<schema::Reel>().loginRequest();
    request.setToken(options_.token.c_str());
    request.setSchemaVersion(kSchemaVersion);
    return request.send().then([address, connection = kj::mv(connection)](auto&& answer) mutable {
      Login result;
      result.found.address = address;
      if (answer.hasError()) {
        const CallError error = read(answer.getError());
        result.found.unauthorized = error.code == ErrorCode::unauthorized;
        result.found.error = "login refused: " + error.text;
        return result;
      }
      result.connection = kj::mv(connection);
      result.session = answer.getSession();
      result.found.node = NodeId(answer.getNode().getNode());
      result.found.cluster = io::ClusterId(answer.getNode().getCluster());
      result.found.incarnation = Incarnation(answer.getNode().getIncarnation());
      result.found.members = read_members(answer.getNode());
      return result;
    });
  });
  return transport_.timer().timeoutAfter(options_.connect_timeout.ns * kj::NANOSECONDS, kj::mv(login));
}

void RpcRemote::Target::start(io::CallId call) {
  if (session_ != nullptr && !broken_) return dispatch(call);
  waiting_.push_back(call);
  if (std::exchange(busy_, true)) return;
  kj::Promise<void> pause = kj::READY_NOW;
  if (failures_ > 0) {
    const RpcRemoteOptions& options = remote_.options_;
    const std::uint64_t seed = io::keyed_hash(options.seed, {node_.value});
    const io::Duration wait = reconnect_pause(options.backoff_min, options.backoff_max, failures_, seed);
    pause = transport_.timer().afterDelay(wait.ns * kj::NANOSECONDS);
  }
  life_ = pause.then([this] { return attempt(); }).eagerlyEvaluate(nullptr);
}

void RpcRemote::Target::adopt(Login login) {
  if (std::exchange(busy_, true)) return;
  life_ = stay(std::move(login)).eagerlyEvaluate(nullptr);
}

kj::Promise<void> RpcRemote::Target::attempt() {
  return remote_.log_in(address_).then(
      [this](Login&& login) -> kj::Promise<void> {
        if (login.connection.get() == nullptr) {
          lost(login.found.error);
          return kj::READY_NOW;
        }
        if (login.found.node != node_) {
          lost("node " + std::to_string(login.found.node.value) + " answers there");
          return kj::READY_NOW;
        }
        return stay(std::move(login));
      },
      [this](kj::Exception&& exception) { lost(exception.getDescription().cStr()); });
}

kj::Promise<void> RpcRemote::Target::stay(Login login) {
  transport_.note_activity();
  connection_ = kj::mv(login.connection);
  session_ = kj::mv(login.session);
  failures_ = 0;
  last_error_.clear();
  for (const io::CallId call : std::exchange(waiting_, {})) dispatch(call);
  auto broken = kj::newPromiseAndFulfiller<void>();
  breaker_ = kj::mv(broken.fulfiller);
  return connection_->on_disconnect()
      .exclusiveJoin(kj::mv(broken.promise))
      .then([] { return std::string("the node closed the connection"); },
            [](kj::Exception&& exception) { return std::string(exception.getDescription().cStr()); })
      .then([this](std::string&& why) {
        // In an event of its own: the connection must not die inside a callback of itself.
        return kj::evalLater([this, why = std::move(why)] { lost(why); });
      });
}

void RpcRemote::Target::lost(const std::string& why) {
  transport_.note_activity();
  const bool was_connected = session_ != nullptr;
  if (!was_connected) ++failures_;
  last_error_ = why;
  partitions_.clear();
  admin_ = AdminObject();
  session_ = nullptr;
  connection_ = nullptr;  // calls on it fail by themselves
  busy_ = false;
  broken_ = false;
  collected_bytes_ = 0;
  for (Collected& collected : std::exchange(collected_, {})) {
    const auto found = remote_.calls_.find(collected.call);
    if (found == remote_.calls_.end()) continue;
    found->second.body = std::move(collected.body);
    remote_.outcomes_->start_again(*this, collected.call);
  }
  for (const io::CallId call : std::exchange(waiting_, {})) {
    if (was_connected) {
      remote_.outcomes_->start_again(*this, call);
    } else {
      remote_.fail(call);
    }
  }
}

void RpcRemote::Outcomes::start_waiting() {
  for (const auto& [target, call] : std::exchange(again_, {})) target->start(call);
}

// ---- calls of a target

void RpcRemote::Target::dispatch(io::CallId id) {
  const auto found = remote_.calls_.find(id);
  if (found == remote_.calls_.end()) return;  // cancelled while it waited
  io::Parcel body = std::exchange(found->second.body, {});
  if (std::holds_alternative<AppendCall>(body.get<ClientCall>())) return collect(id, std::move(body));
  send_collected();  // what was said first arrives first
  send_alone(id, body);
}

void RpcRemote::Target::send_alone(io::CallId id, const io::Parcel& body) {
  remote_.calls_.at(id).answer =
      std::visit([&](const auto& call) { return send(id, call); }, body.get<ClientCall>())
          .eagerlyEvaluate(nullptr);
}

// Appends of one turn leave together: a message costs far more than what a small one holds.
void RpcRemote::Target::collect(io::CallId id, io::Parcel body) {
  const AppendCall& append = std::get<AppendCall>(body.get<ClientCall>());
  const bool fits =
      collected_.empty() ||
      (collected_.size() < kAppendEachMax && collected_bytes_ + append.block.size() <= kAppendEachBytesMax &&
       std::get<AppendCall>(collected_[0].body.get<ClientCall>()).group == append.group);
  if (!fits) send_collected();
  collected_bytes_ += append.block.size();
  collected_.push_back({id, std::move(body)});
  transport_.mark(*this);
}

void RpcRemote::Target::send_collected() {
  std::vector<Collected> appends = std::exchange(collected_, {});
  collected_bytes_ = 0;
  std::erase_if(appends, [this](const Collected& one) { return !remote_.calls_.contains(one.call); });
  if (appends.empty()) return;
  if (appends.size() == 1) return send_alone(appends[0].call, appends[0].body);
  const auto append_of = [&](std::size_t i) -> const AppendCall& {
    return std::get<AppendCall>(appends[i].body.get<ClientCall>());
  };
  std::uint64_t words = 8;
  for (std::size_t i = 0; i < appends.size(); ++i)
    words += append_of(i).block.size() / sizeof(capnp::word) + 16;
  const GroupId group = append_of(0).group;
  auto request = writer(group).appendEachRequest(capnp::MessageSize{words, 0});
  auto batches = request.initBatches(static_cast<unsigned>(appends.size()));
  const std::uint64_t number = ++last_together_;
  std::vector<io::CallId> calls;
  calls.reserve(appends.size());
  for (std::size_t i = 0; i < appends.size(); ++i) {
    write(batches[static_cast<unsigned>(i)], append_of(i));
    calls.push_back(appends[i].call);
    remote_.calls_.at(appends[i].call).together = number;
  }
  Together& together = together_[number];
  together.left = calls.size();
  together.answer = request.send()
                        .then([this, number, calls](auto&& results) { take_answers(number, calls, results); },
                              [this, number, calls, group](kj::Exception&& exception) {
                                for (const io::CallId id : calls) no_answer(id, group, kj::cp(exception));
                                end_together(number);
                              })
                        .eagerlyEvaluate(nullptr);
}

void RpcRemote::Target::take_answers(std::uint64_t together, const std::vector<io::CallId>& calls,
                                     schema::AppendEachResult::Reader results) {
  if (results.isError()) {
    const CallError error = read(results.getError());
    for (const io::CallId id : calls) answer(id, ClientReply(error));
  } else if (results.getResults().size() != calls.size()) {
    for (const io::CallId id : calls)
      answer(id, std::unexpected(std::string("it answers other appends than were sent")));
  } else {
    for (unsigned i = 0; i < calls.size(); ++i) answer(calls[i], read(results.getResults()[i]));
  }
  end_together(together);
}

// From within its own answer, perhaps: it dies later.
void RpcRemote::Target::end_together(std::uint64_t together) {
  auto ended = together_.extract(together);
  if (!ended.empty()) remote_.outcomes_->bury(kj::mv(ended.mapped().answer));
}

void RpcRemote::Target::forget_one_of(std::uint64_t together) {
  const auto found = together_.find(together);
  if (found != together_.end() && --found->second.left == 0) end_together(together);
}

schema::Partition::Client RpcRemote::Target::writer(GroupId group) {
  PartitionObjects& objects = partitions_[group];
  KJ_IF_MAYBE (writer, objects.writer) return *writer;
  auto request = session().partitionRequest();
  request.setPartition(partition_of(group));
  auto promise = request.send();
  schema::Partition::Client client = promise.getPartition();
  objects.asking_writer = promise
                              .then([&objects](auto&& answer) {
                                if (answer.hasError()) objects.refusal = read(answer.getError());
                              })
                              .eagerlyEvaluate([](kj::Exception&&) {});
  objects.writer = client;
  return client;
}

schema::Reader::Client RpcRemote::Target::reader(GroupId group) {
  PartitionObjects& objects = partitions_[group];
  KJ_IF_MAYBE (reader, objects.reader) return *reader;
  auto request = session().readerRequest();
  request.setPartition(partition_of(group));
  auto promise = request.send();
  schema::Reader::Client client = promise.getReader();
  objects.asking_reader = promise
                              .then([&objects](auto&& answer) {
                                if (answer.hasError()) objects.refusal = read(answer.getError());
                              })
                              .eagerlyEvaluate([](kj::Exception&&) {});
  objects.reader = client;
  return client;
}

kj::Promise<void> RpcRemote::Target::send(io::CallId id, const AppendCall& call) {
  const capnp::MessageSize size{call.block.size() / sizeof(capnp::word) + 24, 0};
  auto request = writer(call.group).appendRequest(size);
  write(request.initBatch(), call);
  return request.send().then(
      [this, id](auto&& results) { answer(id, read(results)); },
      [this, id, group = call.group](kj::Exception&& exception) { no_answer(id, group, kj::mv(exception)); });
}

kj::Promise<void> RpcRemote::Target::send(io::CallId id, const FeedCall& call) {
  auto request = reader(call.group).feedRequest();
  write(request, call);
  return request.send().then(
      [this, id, memory = connection_->stream().memory()](auto&& results) {
        answer(id, read(results, *memory));
      },
      [this, id, group = call.group](kj::Exception&& exception) { no_answer(id, group, kj::mv(exception)); });
}

kj::Promise<void> RpcRemote::Target::send(io::CallId id, const HighWaterCall& call) {
  auto request = reader(call.group).highWaterRequest();
  request.setLinearizable(call.linearizable);
  return request.send().then(
      [this, id](auto&& results) { answer(id, read(results)); },
      [this, id, group = call.group](kj::Exception&& exception) { no_answer(id, group, kj::mv(exception)); });
}

kj::Promise<void> RpcRemote::Target::send(io::CallId id, const StatusCall&) {
  return session().statusRequest().send().then(
      [this, id](auto&& results) { answer(id, read(results)); },
      [this, id](kj::Exception&& exception) { no_answer(id, GroupId(0), kj::mv(exception)); });
}

kj::Promise<void> RpcRemote::Target::send(io::CallId id, const ResolveCall& call) {
  auto request = writer(call.group).resolveRequest();
  write(request, call);
  return request.send().then(
      [this, id](auto&& results) { answer(id, read(results)); },
      [this, id, group = call.group](kj::Exception&& exception) { no_answer(id, group, kj::mv(exception)); });
}

kj::Promise<void> RpcRemote::Target::send(io::CallId id, const TransactionCall& call) {
  auto request = reader(call.group).transactionRequest();
  request.setId(call.id.value);
  return request.send().then(
      [this, id, memory = connection_->stream().memory()](auto&& results) {
        answer(id, read(results, *memory));
      },
      [this, id, group = call.group](kj::Exception&& exception) { no_answer(id, group, kj::mv(exception)); });
}

schema::Admin::Client RpcRemote::Target::admin() {
  KJ_IF_MAYBE (admin, admin_.admin) return *admin;
  auto promise = session().adminRequest().send();
  schema::Admin::Client client = promise.getAdmin();
  admin_.asking = promise
                      .then([this](auto&& answer) {
                        if (answer.hasError()) admin_.refusal = read(answer.getError());
                      })
                      .eagerlyEvaluate([](kj::Exception&&) {});
  admin_.admin = client;
  return client;
}

kj::Promise<void> RpcRemote::Target::send(io::CallId id, const CreatePartitionsCall& call) {
  auto request = admin().createPartitionsRequest();
  request.setTotal(call.total);
  return request.send().then([this, id](auto&& results) { answer(id, read(results)); },
                             [this, id](kj::Exception&& exception) { no_admin(id, kj::mv(exception)); });
}

kj::Promise<void> RpcRemote::Target::send(io::CallId id, const RemoveReaderGroupCall& call) {
  auto request = admin().removeReaderGroupRequest();
  request.setName(capnp::Text::Reader(call.name.c_str(), call.name.size()));
  return request.send().then(
      [this, id](auto&& results) {
        if (results.hasError()) return answer(id, ClientReply(read(results.getError())));
        answer(id, ClientReply(ReaderGroupsResult{}));
      },
      [this, id](kj::Exception&& exception) { no_admin(id, kj::mv(exception)); });
}

kj::Promise<void> RpcRemote::Target::send(io::CallId id, const ReaderGroupCall& call) {
  auto request = session().readerGroupRequest();
  write(request.initReport(), call);
  return request.send().then(
      [this, id](auto&& results) { answer(id, read(results)); },
      [this, id](kj::Exception&& exception) { no_answer(id, GroupId(0), kj::mv(exception)); });
}

kj::Promise<void> RpcRemote::Target::send(io::CallId id, const ReaderGroupsCall& call) {
  auto request = session().readerGroupsRequest();
  request.setName(capnp::Text::Reader(call.name.c_str(), call.name.size()));
  return request.send().then(
      [this, id](auto&& results) { answer(id, read(results)); },
      [this, id](kj::Exception&& exception) { no_answer(id, GroupId(0), kj::mv(exception)); });
}

void RpcRemote::Target::no_admin(io::CallId id, kj::Exception&& exception) {
  if (!admin_.refusal) return no_answer(id, GroupId(0), kj::mv(exception));
  transport_.note_activity();
  remote_.finish(id, wire::parcel(ClientReply(*admin_.refusal)));
}

void RpcRemote::Target::answer(io::CallId id, ReadReply reply) {
  transport_.note_activity();
  if (reply) return remote_.finish(id, wire::parcel(std::move(*reply)));
  transport_.notice("an answer from " + address_ + " was refused: " + reply.error());
  remote_.finish(id, {});
}

void RpcRemote::Target::no_answer(io::CallId id, GroupId group, kj::Exception&& exception) {
  transport_.note_activity();
  const auto objects = partitions_.find(group);
  if (objects != partitions_.end() && objects->second.refusal) {
    return remote_.finish(id, wire::parcel(ClientReply(*objects->second.refusal)));
  }
  if (exception.getType() == kj::Exception::Type::DISCONNECTED && session_ != nullptr &&
      !std::exchange(broken_, true)) {
    breaker_->fulfill();
  }
  last_error_ = exception.getDescription().cStr();
  remote_.finish(id, {});
}

// ---- the remote

RpcRemote::RpcRemote(Transport& transport, Dialer& dialer, RpcRemoteOptions options)
    : transport_(transport),
      dialer_(dialer),
      options_(std::move(options)),
      outcomes_(std::make_unique<Outcomes>(*this)) {}

RpcRemote::~RpcRemote() noexcept { host_ = nullptr; }

void RpcRemote::set_address(NodeId node, const std::string& address) {
  const auto found = targets_.find(node);
  if (found != targets_.end() && found->second->address() == address) return;
  REEL_CHECK(found == targets_.end());  // calls may be on their way: a node keeps its address
  target(node, address);
}

RpcRemote::Target& RpcRemote::target(NodeId node, const std::string& address) {
  auto& slot = targets_[node];
  if (slot == nullptr) slot = std::make_unique<Target>(*this, node, address);
  return *slot;
}

kj::Promise<std::vector<Found>> RpcRemote::discover(const std::vector<std::string>& addresses) {
  auto searches = kj::heapArrayBuilder<kj::Promise<Found>>(addresses.size());
  for (const std::string& address : addresses) {
    searches.add(log_in(address).then(
        [this, address](Login&& login) {
          Found found = login.found;
          if (login.connection.get() != nullptr) target(found.node, address).adopt(std::move(login));
          return found;
        },
        [address](kj::Exception&& exception) {
          Found found;
          found.address = address;
          found.error = exception.getDescription().cStr();
          return found;
        }));
  }
  return kj::joinPromises(searches.finish()).then([](kj::Array<Found>&& all) {
    return std::vector<Found>(all.begin(), all.end());
  });
}

void RpcRemote::call(NodeId to, io::CallId id, io::Parcel body) {
  const ClientCall& call = body.get<ClientCall>();
  if (const auto refusal = refusal_of(call)) return outcomes_->add(id, wire::parcel(ClientReply(*refusal)));
  const auto found = targets_.find(to);
  if (found == targets_.end() || calls_.size() >= options_.calls_max) return outcomes_->add(id, {});
  const auto [made, fresh] = calls_.try_emplace(id, Call{std::move(body)});
  REEL_CHECK(fresh);
  made->second.target = found->second.get();
  found->second->start(id);
}

void RpcRemote::cancel(io::CallId id) {
  // A call that still waits for its connection is skipped when its turn comes.
  const auto call = calls_.extract(id);
  if (!call.empty() && call.mapped().together != 0)
    call.mapped().target->forget_one_of(call.mapped().together);
  outcomes_->remove(id);
}

void RpcRemote::finish(io::CallId id, io::Parcel reply) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  outcomes_->bury(kj::mv(found->second.answer));
  calls_.erase(found);
  if (host_ == nullptr) return;
  if (reply) return host_->on_reply(id, std::move(reply));
  host_->on_call_failed(id);
}

void RpcRemote::fail(io::CallId id) {
  if (calls_.erase(id) != 0) outcomes_->add(id, {});
}

std::string RpcRemote::last_error(NodeId node) const {
  const auto found = targets_.find(node);
  return found == targets_.end() ? "no address" : found->second->last_error();
}

}  // namespace reel::real
