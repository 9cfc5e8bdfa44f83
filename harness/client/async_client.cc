#include "reel/async_client.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "harness/node_config.h"
#include "harness/random_bits.h"
#include "harness/refusal.h"
#include "harness/unused_ports.h"
#include "io/ports/assert.h"
#include "io/real/clock.h"
#include "io/real/rpc_remote.h"
#include "io/wire/codec.h"
#include "node/client/client.h"
#include "node/cluster/commands.h"

namespace reel {
namespace {

constexpr kj::Duration kSearchPause = 200 * kj::MILLISECONDS;
constexpr std::uint32_t kPartitionsMax = kGroupsMax - 1;

GroupId group_of(std::uint32_t partition) { return GroupId(partition + 1); }

io::Duration span_of(std::chrono::milliseconds span) {
  constexpr std::int64_t kMax = std::int64_t{1} << 40;  // some thirty years
  return io::milliseconds(std::clamp<std::int64_t>(span.count(), 0, kMax));
}

Error error_of(Error::Code code, std::string text) { return {code, std::move(text)}; }

Error error_of(const CallError& error) {
  switch (error.code) {
    case ErrorCode::unauthorized: return {Error::Code::unauthorized, error.text};
    case ErrorCode::no_such_partition: return {Error::Code::no_such_partition, error.text};
    case ErrorCode::overloaded: return {Error::Code::no_room, error.text};
    case ErrorCode::deadline_exceeded: return {Error::Code::unreachable, error.text};
    default: return {Error::Code::refused, std::string(name_of(error.code)) + ": " + error.text};
  }
}

Error not_taken(client::NotTaken why, std::uint32_t partition) {
  const std::string name = "partition " + std::to_string(partition);
  switch (why) {
    case client::NotTaken::not_mounted:
      return {Error::Code::not_mounted, name + " is not mounted: mount it first"};
    case client::NotTaken::no_room:
      return {Error::Code::no_room, "too much is outstanding in " + name + ": wait for some of it"};
    case client::NotTaken::closed:
      return {Error::Code::closed, "this client, or " + name + ", is being closed"};
    case client::NotTaken::failed: break;
  }
  return {Error::Code::refused,
          "the cluster refuses this client's transactions in " + name + ": check its token"};
}

// The clock of a KJ event loop; its alarm is a timer.
class LoopClock final : public io::Clock {
 public:
  explicit LoopClock(kj::Timer& timer) : timer_(timer) {}
  ~LoopClock() noexcept override = default;
  void attach(io::Host* host) { host_ = host; }
  io::Now now() const override { return {real::monotonic_now(), real::wall_now(), io::Duration{0}}; }
  void wake_at(io::Instant time) override {
    if (time == wanted_) return;
    wanted_ = time;
    alarm_ = nullptr;
    if (time == io::kNever) return;
    const std::int64_t left = std::max<std::int64_t>((time - real::monotonic_now()).ns, 0);
    alarm_ = timer_.afterDelay(left * kj::NANOSECONDS).then([this] { ring(); }).eagerlyEvaluate(nullptr);
  }

 private:
  // Sets the next alarm, which would destroy the promise that runs now.
  void ring() {
    running_ = kj::mv(alarm_);
    const io::Instant wanted = std::exchange(wanted_, io::kNever);
    if (wanted > real::monotonic_now())
      return wake_at(wanted);  // the timer's own now is that of the last turn
    if (host_ != nullptr) host_->on_wake();
  }

  kj::Timer& timer_;
  io::Host* host_ = nullptr;
  io::Instant wanted_ = io::kNever;
  kj::Promise<void> alarm_ = nullptr;
  kj::Promise<void> running_ = nullptr;
};

// What the transport needs of a loop that is not Reel's: its flushers run when nothing else is left to do in a turn.
class LoopFlushes final : public real::Reactor {
 public:
  explicit LoopFlushes(kj::Timer& timer) : timer_(timer) {}
  ~LoopFlushes() noexcept override = default;
  kj::Timer& timer() override { return timer_; }
  void add_flusher(real::Flusher& flusher) override { flushers_.push_back(&flusher); }
  void remove_flusher(real::Flusher& flusher) override { std::erase(flushers_, &flusher); }
  void request_flush() override {
    if (std::exchange(wanted_, true)) return;
    done_ = kj::mv(flush_);
    flush_ = kj::evalLast([this] {
               wanted_ = false;
               for (real::Flusher* flusher : flushers_) flusher->flush();
             }).eagerlyEvaluate(nullptr);
  }
  void note_activity() override {}

 private:
  kj::Timer& timer_;
  std::vector<real::Flusher*> flushers_;
  bool wanted_ = false;
  kj::Promise<void> flush_ = nullptr;
  kj::Promise<void> done_ = nullptr;  // may be the one that runs
};

std::expected<std::string, Error> token_of(const ConnectOptions& options) {
  if (!options.token.empty()) return options.token;
  if (options.token_file.empty()) {
    return std::unexpected(error_of(Error::Code::wrong_use, "neither token nor token_file is given"));
  }
  try {
    return harness::read_tokens(options.token_file).front().secret;
  } catch (const harness::CommandError& refused) {
    return std::unexpected(error_of(Error::Code::wrong_use, refused.text));
  }
}

std::optional<Error> problem_with(const ConnectOptions& options) {
  const auto wrong = [](std::string text) { return error_of(Error::Code::wrong_use, std::move(text)); };
  if (options.addresses.empty()) return wrong("no address is given: name HOST:PORT of at least one node");
  for (const std::string& address : options.addresses) {
    try {
      harness::check_address(address, "an address");
    } catch (const harness::CommandError& refused) {
      return wrong(refused.text);
    }
  }
  if (options.outstanding_max < 1 || options.outstanding_max > log::kSessionWindow / 2) {
    return wrong("outstanding_max must be from 1 to " + std::to_string(log::kSessionWindow / 2));
  }
  if (options.outstanding_bytes < 1 || options.prefetch_bytes < 1 || options.attempts_max < 1) {
    return wrong("outstanding_bytes, prefetch_bytes and attempts_max must be at least 1");
  }
  return std::nullopt;
}

std::vector<LockKey> keys_of(const std::vector<std::string>& names, io::ClusterId cluster) {
  std::vector<LockKey> keys;
  keys.reserve(names.size());
  for (const std::string& name : names) keys.push_back(log::lock_key(name, cluster.value));
  return keys;
}

RequestId request_of(const SessionId& session, Sequence sequence) {
  return {session.high, session.low, sequence.value};
}

std::string_view text_of(std::span<const std::byte> data) {
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

CommittedTransaction shown(GroupId group, const log::Transaction& transaction) {
  return {group.value - 1,           transaction.id.value,
          transaction.time,          request_of(transaction.session, transaction.sequence),
          transaction.record.header, text_of(transaction.record.data)};
}

ViewState shown(GroupId group, const client::ViewState& state) {
  return {static_cast<ViewState::Status>(state.status), group.value - 1, state.next.value,
          state.high_water.value, state.why};
}
static_assert(static_cast<int>(ViewState::Status::failed) ==
              static_cast<int>(client::ViewState::Status::failed));

Outcome::Kind kind_of(client::SubmitOutcome::Kind kind) {
  using Kind = client::SubmitOutcome::Kind;
  switch (kind) {
    case Kind::committed: return Outcome::Kind::committed;
    case Kind::conflict:
    case Kind::stale: return Outcome::Kind::conflict;
    case Kind::vetoed: return Outcome::Kind::vetoed;
    case Kind::burned: return Outcome::Kind::burned;
    case Kind::failed: return Outcome::Kind::failed;
    case Kind::unknown: break;
  }
  return Outcome::Kind::unknown;
}

// For callbacks that can be copied.
template <class T>
std::shared_ptr<kj::PromiseFulfiller<T>> shared(kj::Own<kj::PromiseFulfiller<T>> fulfiller) {
  kj::PromiseFulfiller<T>* raw = fulfiller.get();
  return {raw, [own = kj::mv(fulfiller)](kj::PromiseFulfiller<T>*) mutable { own = nullptr; }};
}

// What a submission's callbacks share: the names of its locks, by which refusals are told.
struct Attempts {
  std::vector<std::string> keys;  // of the last attempt: writes, then reads, then appends
  Conflict told(const Refusal& refusal) const {
    Conflict conflict;
    conflict.stale = refusal.code == RefusalCode::stale;
    conflict.id = refusal.id.value;
    if (!conflict.stale && refusal.lock < keys.size()) conflict.key = keys[refusal.lock];
    return conflict;
  }
};

}  // namespace

const char* name_of(Error::Code code) {
  switch (code) {
    case Error::Code::unreachable: return "Unreachable";
    case Error::Code::unauthorized: return "Unauthorized";
    case Error::Code::no_such_partition: return "NoSuchPartition";
    case Error::Code::not_mounted: return "NotMounted";
    case Error::Code::mounted_already: return "MountedAlready";
    case Error::Code::no_room: return "NoRoom";
    case Error::Code::closed: return "Closed";
    case Error::Code::refused: return "Refused";
    case Error::Code::wrong_use: return "WrongUse";
  }
  return "?";
}

const char* name_of(Outcome::Kind kind) {
  switch (kind) {
    case Outcome::Kind::committed: return "committed";
    case Outcome::Kind::conflict: return "conflict";
    case Outcome::Kind::vetoed: return "vetoed";
    case Outcome::Kind::burned: return "burned";
    case Outcome::Kind::failed: return "failed";
    case Outcome::Kind::unknown: return "unknown";
  }
  return "?";
}

const char* name_of(ViewState::Status status) {
  return client::name_of(static_cast<client::ViewState::Status>(status));
}

// ---- the world of one client ------------------------------------------------------------------------------------

class AsyncClient::Inside {
 public:
  Inside(kj::Network& network, kj::Timer& timer, ConnectOptions with, const std::string& token)
      : options(std::move(with)),
        timer_(timer),
        clock_(timer),
        flushes_(timer),
        transport_(flushes_),
        dialer_(network),
        remote_(transport_, dialer_, remote_options(token)) {}

  ~Inside() {
    clock_.attach(nullptr);
    remote_.attach(nullptr);
  }

  // Ready when the cluster is found, with why it is not.
  kj::Promise<std::optional<Error>> search(io::Instant deadline) {
    return remote_.discover(options.addresses)
        .then([this, deadline](std::vector<real::Found> found) -> kj::Promise<std::optional<Error>> {
          if (auto error = take(found)) return error;
          if (!nodes_.empty()) return std::optional<Error>();
          if (real::monotonic_now() >= deadline) {
            return std::optional(
                error_of(Error::Code::unreachable, "no node answers at " + found.front().address + " (" +
                                                       found.front().error +
                                                       "): start the cluster, or correct addresses"));
          }
          return timer_.afterDelay(kSearchPause).then([this, deadline] { return search(deadline); });
        });
  }

  void open() {
    client::ClientOptions with;
    with.nodes = nodes_;
    with.entropy.high = harness::random_bits();
    with.entropy.low = harness::random_bits();
    if (options.partition_of) {
      with.partition_of = [of = options.partition_of](std::string_view key) { return group_of(of(key)); };
    }
    with.submit_timeout = span_of(options.submit_timeout);
    with.prefetch_bytes = options.prefetch_bytes;
    with.submitter.outstanding_max = options.outstanding_max;
    with.submitter.bytes_max = options.outstanding_bytes;
    with.submitter.attempts_max = options.attempts_max;
    with.submitter.retry_min = span_of(options.retry_min);
    with.submitter.retry_max = span_of(options.retry_max);
    client_ = std::make_unique<client::Client>(ports_, wire::kClientCallCodec, std::move(with));
    clock_.attach(client_.get());
    remote_.attach(client_.get());
    client_->on_start();
  }

  client::Client& client() { return *client_; }
  const client::Client& client() const { return *client_; }
  io::ClusterId cluster() const { return cluster_; }

  client::MountOptions mount_of(Mount mount) const;
  client::JoinOptions join_of(ReaderGroup group) const;
  client::Submission submission_of(Transaction transaction,
                                   std::shared_ptr<kj::PromiseFulfiller<Outcome>> ended);
  static Outcome outcome_of(const client::SubmitOutcome& outcome, const Attempts& attempts);

  kj::Promise<void> when_room() {
    auto pair = kj::newPromiseAndFulfiller<void>();
    waiting_.push_back(kj::mv(pair.fulfiller));
    return kj::mv(pair.promise);
  }
  void room() {
    auto waiting = std::exchange(waiting_, {});
    for (auto& each : waiting) each->fulfill();
  }

  ConnectOptions options;
  bool closing = false;

 private:
  static real::RpcRemoteOptions remote_options(const std::string& token) {
    real::RpcRemoteOptions options;
    options.token = token;
    options.seed = harness::random_bits();
    return options;
  }

  std::optional<Error> take(const std::vector<real::Found>& found) {
    const auto knows = [this](NodeId node) {
      return std::find(nodes_.begin(), nodes_.end(), node) != nodes_.end();
    };
    for (const real::Found& one : found) {
      if (one.unauthorized) {
        return error_of(Error::Code::unauthorized,
                        "the node at " + one.address + " does not know this token: use its cluster's own");
      }
      if (one.node.value == 0) continue;
      if (cluster_.value != 0 && one.cluster != cluster_) {
        return error_of(Error::Code::wrong_use, "the addresses belong to different clusters: correct them");
      }
      cluster_ = one.cluster;
      if (!knows(one.node)) nodes_.push_back(one.node);
    }
    for (const real::Found& one : found) {
      for (const real::Member& member : one.members) {
        if (knows(member.node)) continue;
        remote_.set_address(member.node, member.address);
        nodes_.push_back(member.node);
      }
    }
    return std::nullopt;
  }

  kj::Timer& timer_;
  LoopClock clock_;
  LoopFlushes flushes_;
  real::Transport transport_;
  real::SocketDialer dialer_;
  real::RpcRemote remote_;
  harness::NoDisk disk_;
  harness::NoNetwork network_;
  harness::NoService service_;
  io::Ports ports_{clock_, network_, disk_, service_, remote_};
  io::ClusterId cluster_;
  std::vector<NodeId> nodes_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
  std::unique_ptr<client::Client> client_;
};

Outcome AsyncClient::Inside::outcome_of(const client::SubmitOutcome& outcome, const Attempts& attempts) {
  Outcome told;
  told.kind = kind_of(outcome.kind);
  told.request = request_of(outcome.session, outcome.sequence);
  told.id = outcome.id.value;
  told.time = outcome.time;
  told.attempts = outcome.attempts;
  if (outcome.refusal && outcome.refusal->code != RefusalCode::burned) {
    told.conflict = attempts.told(*outcome.refusal);
  }
  if (outcome.error) told.text = outcome.error->text;
  return told;
}

namespace {

void set_callbacks(client::ApplierOptions& with,
                   std::function<std::expected<void, std::string>(const CommittedTransaction&)> apply,
                   std::function<Verdict(const DeadLetter&)> dead_letter) {
  with.apply = [apply = std::move(apply)](GroupId group, const log::Transaction& transaction) {
    return apply(shown(group, transaction));
  };
  if (!dead_letter) return;
  with.dead_letter = [hook = std::move(dead_letter)](const client::Poison& poison) {
    const CommittedTransaction transaction = shown(poison.partition, poison.transaction);
    return static_cast<client::Verdict>(hook({transaction, poison.why, poison.failures}));
  };
}

}  // namespace

client::MountOptions AsyncClient::Inside::mount_of(Mount mount) const {
  client::MountOptions with;
  with.from = TxnId(mount.from);
  with.apply_attempts_max = std::max(mount.apply_attempts_max, 1u);
  set_callbacks(with, std::move(mount.apply), std::move(mount.dead_letter));
  if (mount.on_stopped) {
    with.on_stopped = [told = std::move(mount.on_stopped)](GroupId group, const client::ViewState& state) {
      told(shown(group, state));
    };
  }
  return with;
}
static_assert(static_cast<int>(Verdict::stop) == static_cast<int>(client::Verdict::stop));

client::JoinOptions AsyncClient::Inside::join_of(ReaderGroup group) const {
  client::JoinOptions with;
  with.name = std::move(group.name);
  with.apply_attempts_max = std::max(group.apply_attempts_max, 1u);
  set_callbacks(with, std::move(group.apply), std::move(group.dead_letter));
  with.done_by_hand = group.done_by_hand;
  with.on_share = [gained = std::move(group.on_gained),
                   lost = std::move(group.on_lost)](const client::ShareChange& change) {
    const auto& told = change.gained ? gained : lost;
    Share share;
    share.partition = change.group.value - 1;
    share.epoch = change.epoch.value;
    share.next = share.kept = change.next.value;
    if (told) told(share);
  };
  if (group.on_stopped) {
    with.on_stopped = [told = std::move(group.on_stopped)](GroupId id, const client::ViewState& state) {
      told(shown(id, state));
    };
  }
  if (group.on_failed) {
    with.on_failed = [told = std::move(group.on_failed)](const std::string& why) {
      told(error_of(Error::Code::refused, why));
    };
  }
  with.patience = span_of(group.patience);
  with.report_delay = span_of(group.report_delay);
  with.bytes_total = group.prefetch_bytes;
  return with;
}

client::Submission AsyncClient::Inside::submission_of(Transaction transaction,
                                                      std::shared_ptr<kj::PromiseFulfiller<Outcome>> ended) {
  client::Submission submission;
  if (transaction.partition) submission.partition = group_of(*transaction.partition);
  submission.key = std::move(transaction.key);
  submission.timeout = span_of(transaction.timeout);
  submission.attempts_max = transaction.attempts_max;
  const auto attempts = std::make_shared<Attempts>();
  submission.execute = [execute = std::move(transaction.execute), attempts,
                        cluster = cluster_](const client::View& view) -> std::optional<client::Prepared> {
    Attempt attempt;
    attempt.number = view.attempt;
    if (view.applied) attempt.applied = view.applied->value;
    if (view.refusal) attempt.conflict = attempts->told(*view.refusal);
    std::optional<Draft> draft = execute(attempt);
    if (!draft) return std::nullopt;
    client::Prepared prepared;
    prepared.header = draft->header;
    const auto data = std::as_bytes(std::span(draft->data));
    prepared.data.assign(data.begin(), data.end());
    prepared.write_locks = keys_of(draft->write_locks, cluster);
    prepared.read_locks = keys_of(draft->read_locks, cluster);
    prepared.append_locks = keys_of(draft->append_locks, cluster);
    attempts->keys.clear();
    for (auto* names : {&draft->write_locks, &draft->read_locks, &draft->append_locks}) {
      std::move(names->begin(), names->end(), std::back_inserter(attempts->keys));
    }
    return prepared;
  };
  if (transaction.on_conflict) {
    submission.on_conflict = [again = std::move(transaction.on_conflict), attempts](const Refusal& refusal) {
      return again(attempts->told(refusal));
    };
  }
  submission.on_committed = [this, attempts, ended, told = std::move(transaction.on_committed)](
                                const client::SubmitOutcome& outcome) {
    const Outcome shown_outcome = outcome_of(outcome, *attempts);
    if (told) told(shown_outcome);
    ended->fulfill(Outcome(shown_outcome));
    room();
  };
  submission.on_applied = [this, attempts, told = std::move(transaction.on_applied)](
                              const client::SubmitOutcome& outcome, client::Application how) {
    if (told) told(outcome_of(outcome, *attempts), static_cast<Applied>(how));
    room();
  };
  submission.on_failed = [this, attempts, ended,
                          told = std::move(transaction.on_failed)](const client::SubmitOutcome& outcome) {
    const Outcome shown_outcome = outcome_of(outcome, *attempts);
    if (told) told(shown_outcome);
    ended->fulfill(Outcome(shown_outcome));
    room();
  };
  return submission;
}
static_assert(static_cast<int>(Applied::unreported) == static_cast<int>(client::Application::unreported));

// ---- the public face --------------------------------------------------------------------------------------------

AsyncClient::AsyncClient(kj::Own<Inside> inside) : inside_(kj::mv(inside)) {}
AsyncClient::~AsyncClient() noexcept(false) = default;

kj::Promise<std::expected<kj::Own<AsyncClient>, Error>> AsyncClient::connect(kj::Network& network,
                                                                             kj::Timer& timer,
                                                                             ConnectOptions options) {
  using Result = std::expected<kj::Own<AsyncClient>, Error>;
  if (auto problem = problem_with(options)) return Result(std::unexpected(*problem));
  const auto token = token_of(options);
  if (!token) return Result(std::unexpected(token.error()));
  const io::Instant deadline = real::monotonic_now() + span_of(options.patience);
  auto inside = kj::heap<Inside>(network, timer, std::move(options), *token);
  Inside& searching = *inside;
  return searching.search(deadline).then(
      [inside = kj::mv(inside)](std::optional<Error> error) mutable -> Result {
        if (error) return std::unexpected(*error);
        inside->open();
        return kj::heap<AsyncClient>(kj::mv(inside));
      });
}

std::uint64_t AsyncClient::cluster() const { return inside_->cluster().value; }

std::expected<void, Error> AsyncClient::mount(std::uint32_t partition, Mount mount) {
  if (!mount.apply) return std::unexpected(error_of(Error::Code::wrong_use, "a mount needs `apply`"));
  if (partition >= kPartitionsMax) {
    return std::unexpected(error_of(Error::Code::no_such_partition, "partitions are numbered from 0 to " +
                                                                        std::to_string(kPartitionsMax - 1)));
  }
  if (inside_->closing) return std::unexpected(error_of(Error::Code::closed, "this client is closed"));
  if (!inside_->client().mount(group_of(partition), inside_->mount_of(std::move(mount)))) {
    return std::unexpected(error_of(Error::Code::mounted_already, "partition " + std::to_string(partition) +
                                                                      " is mounted, or not unmounted yet"));
  }
  inside_->client().pump();
  return {};
}

kj::Promise<void> AsyncClient::unmount(std::uint32_t partition) {
  auto pair = kj::newPromiseAndFulfiller<void>();
  const auto gone = shared(kj::mv(pair.fulfiller));
  if (!inside_->client().unmount(group_of(partition), [gone] { gone->fulfill(); })) gone->fulfill();
  inside_->client().pump();
  return kj::mv(pair.promise);
}

std::optional<ViewState> AsyncClient::view(std::uint32_t partition) const {
  const auto state = inside_->client().view(group_of(partition));
  if (!state) return std::nullopt;
  return shown(group_of(partition), *state);
}

bool AsyncClient::resume(std::uint32_t partition, Verdict verdict) {
  const bool resumed = inside_->client().resume(group_of(partition), static_cast<client::Verdict>(verdict));
  inside_->client().pump();
  return resumed;
}

std::expected<void, Error> AsyncClient::join(ReaderGroup group) {
  const auto wrong = [](const char* text) { return std::unexpected(error_of(Error::Code::wrong_use, text)); };
  if (!group.apply) return wrong("a reader group needs `apply`");
  if (!cluster::is_reader_group_name(group.name)) {
    return wrong("the name of a reader group has 1 to 128 letters, digits, '.', '_', '-', ':' or '/'");
  }
  const io::Duration patience = span_of(group.patience);
  if (patience < kReaderPatienceMin || patience > kReaderPatienceMax) {
    return wrong("the patience of a reader group's member must be from 100 ms to an hour");
  }
  if (group.prefetch_bytes < 1 || group.report_delay.count() < 0) {
    return wrong("prefetch_bytes must be at least 1, and report_delay not negative");
  }
  if (inside_->closing) return std::unexpected(error_of(Error::Code::closed, "this client is closed"));
  const std::string name = group.name;
  if (!inside_->client().join(inside_->join_of(std::move(group)))) {
    return std::unexpected(
        error_of(Error::Code::mounted_already,
                 "this client is a member of reader group '" + name + "', or has not left it yet"));
  }
  inside_->client().pump();
  return {};
}

kj::Promise<bool> AsyncClient::leave(const std::string& group, std::chrono::milliseconds timeout) {
  auto pair = kj::newPromiseAndFulfiller<bool>();
  const auto left = shared(kj::mv(pair.fulfiller));
  const bool leaves =
      inside_->client().leave(group, span_of(timeout), [left](bool known) { left->fulfill(bool(known)); });
  if (!leaves) left->fulfill(false);
  inside_->client().pump();
  return kj::mv(pair.promise);
}

void AsyncClient::done(const std::string& group, const Share& share, std::uint64_t next) {
  inside_->client().done(group, group_of(share.partition), Epoch(share.epoch), TxnId(next));
  inside_->client().pump();
}

bool AsyncClient::resume(const std::string& group, std::uint32_t partition, Verdict verdict) {
  const bool resumed =
      inside_->client().resume(group, group_of(partition), static_cast<client::Verdict>(verdict));
  inside_->client().pump();
  return resumed;
}

std::optional<std::vector<Share>> AsyncClient::shares(const std::string& group) const {
  const client::Membership* member = inside_->client().membership(group);
  if (member == nullptr) return std::nullopt;
  std::vector<Share> shares;
  for (const client::ShareState& state : member->shares()) {
    Share share;
    share.partition = state.partition.value - 1;
    share.epoch = state.epoch.value;
    share.next = state.next.value;
    share.kept = state.kept.value;
    share.status = static_cast<ViewState::Status>(state.status);
    share.why = state.why;
    shares.push_back(std::move(share));
  }
  return shares;
}

std::optional<Error> AsyncClient::refusal(const Transaction& transaction) const {
  const ConnectOptions& options = inside_->options;
  if (!transaction.execute || (!transaction.partition && !options.partition_of)) {
    return error_of(Error::Code::wrong_use,
                    "a transaction needs `execute`, and a partition or ConnectOptions::partition_of");
  }
  const std::uint32_t partition =
      transaction.partition ? *transaction.partition : options.partition_of(transaction.key);
  const auto why = inside_->client().refusal(group_of(partition));
  if (!why) return std::nullopt;
  return not_taken(*why, partition);
}

std::expected<AsyncClient::Submitted, Error> AsyncClient::submit(Transaction transaction) {
  if (auto why = refusal(transaction)) return std::unexpected(*why);
  auto pair = kj::newPromiseAndFulfiller<Outcome>();
  auto ended = shared(kj::mv(pair.fulfiller));
  const auto taken =
      inside_->client().submit(inside_->submission_of(std::move(transaction), std::move(ended)));
  REEL_CHECK(taken.has_value());
  inside_->client().pump();
  return Submitted{taken->value, kj::mv(pair.promise)};
}

void AsyncClient::cancel(std::uint64_t number) {
  inside_->client().cancel(client::SubmissionId(number));
  inside_->client().pump();
}

kj::Promise<void> AsyncClient::when_room() { return inside_->when_room(); }

kj::Promise<bool> AsyncClient::flush(bool applied, std::chrono::milliseconds timeout) {
  auto pair = kj::newPromiseAndFulfiller<bool>();
  auto done = shared(kj::mv(pair.fulfiller));
  inside_->client().flush(applied, span_of(timeout), [done](bool well) { done->fulfill(bool(well)); });
  inside_->client().pump();
  return kj::mv(pair.promise);
}

namespace {

// A promise, and the callback that a question ends in.
template <class Result>
struct Asked {
  Asked() {
    auto pair = kj::newPromiseAndFulfiller<std::expected<Result, Error>>();
    promise = kj::mv(pair.promise);
    fulfiller = shared(kj::mv(pair.fulfiller));
  }
  template <class Take>
  auto answer(Take take) {
    return [to = fulfiller, take](const auto& told) {
      if (told) {
        to->fulfill(std::expected<Result, Error>(take(*told)));
      } else {
        to->fulfill(std::expected<Result, Error>(std::unexpected(error_of(told.error()))));
      }
    };
  }
  kj::Promise<std::expected<Result, Error>> promise = nullptr;
  std::shared_ptr<kj::PromiseFulfiller<std::expected<Result, Error>>> fulfiller;
};

Found found_of(const CommittedRecord& record) {
  const auto parsed = log::parse_record(record.record.span());
  REEL_CHECK(parsed);  // the client's logic has looked at it
  return {record.id.value, record.time, request_of(record.session, record.sequence), parsed->header,
          std::string(text_of(parsed->data))};
}

}  // namespace

kj::Promise<std::expected<std::uint64_t, Error>> AsyncClient::high_water(std::uint32_t partition,
                                                                         bool linearizable,
                                                                         std::chrono::milliseconds timeout) {
  Asked<std::uint64_t> asked;
  inside_->client().high_water(group_of(partition), linearizable, span_of(timeout),
                               asked.answer([](TxnId id) { return id.value; }));
  inside_->client().pump();
  return kj::mv(asked.promise);
}

kj::Promise<std::expected<std::optional<Found>, Error>> AsyncClient::lookup(
    std::uint32_t partition, std::uint64_t id, std::chrono::milliseconds timeout) {
  Asked<std::optional<Found>> asked;
  inside_->client().lookup(group_of(partition), TxnId(id), span_of(timeout),
                           asked.answer([](const std::optional<CommittedRecord>& record) {
                             return record ? std::optional(found_of(*record)) : std::nullopt;
                           }));
  inside_->client().pump();
  return kj::mv(asked.promise);
}

kj::Promise<std::expected<Resolution, Error>> AsyncClient::resolve(std::uint32_t partition,
                                                                   const RequestId& request, bool burn,
                                                                   std::chrono::milliseconds timeout) {
  Asked<Resolution> asked;
  inside_->client().resolve(group_of(partition), {request.session_high, request.session_low},
                            Sequence(request.sequence), burn, span_of(timeout),
                            asked.answer([](const ResolveResult& result) {
                              Resolution resolution;
                              resolution.kind = static_cast<Resolution::Kind>(result.outcome());
                              if (result.committed) {
                                resolution.id = result.committed->id.value;
                                resolution.time = result.committed->time;
                              }
                              return resolution;
                            }));
  inside_->client().pump();
  return kj::mv(asked.promise);
}
static_assert(static_cast<int>(Resolution::Kind::undecided) == static_cast<int>(ResolveOutcome::undecided));

kj::Promise<void> AsyncClient::close(std::chrono::milliseconds timeout) {
  if (inside_->closing) return kj::READY_NOW;
  inside_->closing = true;
  auto pair = kj::newPromiseAndFulfiller<void>();
  const auto closed = shared(kj::mv(pair.fulfiller));
  inside_->client().close(span_of(timeout), [closed] { closed->fulfill(); });
  inside_->client().pump();
  return kj::mv(pair.promise);
}

}  // namespace reel
