#include "harness/testing/cluster.h"

#include <algorithm>
#include <map>

#include "harness/insistent_caller.h"
#include "harness/oracles.h"
#include "harness/provision.h"
#include "harness/simulated_node.h"
#include "io/wire/codec.h"
#include "node/log/record.h"
#include "sim/fiber.h"

namespace reel::testing {
namespace {

constexpr std::uint64_t kFirstClient = 101;
constexpr std::uint64_t kCluster = 1;

enum class Place : std::uint32_t { entropy = 200, session };

sim::ChoiceKey key(Place place, std::uint64_t machine, std::uint64_t counter) {
  return {sim::Choice::harness, static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(machine),
          counter};
}

constexpr std::uint32_t kPartitionsMax = 16;

GroupId group_of(std::uint32_t partition) { return GroupId(partition + 1); }

std::vector<log::LockKey> keys_of(const std::vector<std::string>& names) {
  std::vector<log::LockKey> keys;
  keys.reserve(names.size());
  for (const std::string& name : names) keys.push_back(log::lock_key(name, kCluster));
  return keys;
}

model::LockRequest request_of(const Transaction& transaction) {
  model::LockRequest request{keys_of(transaction.write_locks),
                             keys_of(transaction.read_locks),
                             keys_of(transaction.append_locks),
                             {}};
  if (transaction.based_on) request.based_on = TxnId(*transaction.based_on);
  return request;
}

Bytes block_of(const Transaction& transaction) {
  const model::LockRequest request = request_of(transaction);
  log::TransactionInput input;
  input.header = transaction.header;
  input.data = std::as_bytes(std::span(transaction.data.data(), transaction.data.size()));
  input.write_locks = request.writes;
  input.read_locks = request.reads;
  input.append_locks = request.appends;
  input.based_on = request.based_on;
  std::vector<std::byte> block;
  log::append_record(block, input);
  return Bytes::copy_of(block);
}

std::string key_of(const Transaction& transaction, std::uint32_t lock) {
  for (const auto* names : {&transaction.write_locks, &transaction.read_locks, &transaction.append_locks}) {
    if (lock < names->size()) return (*names)[lock];
    lock -= static_cast<std::uint32_t>(names->size());
  }
  return {};
}

}  // namespace

struct Cluster::World {
  explicit World(const ClusterOptions& wanted)
      : options(wanted),
        world(sim::WorldOptions{.seed = wanted.seed}),
        voters(voters_of(wanted.nodes)),
        oracles(voters, {.partitions = kPartitionsMax, .lock_keys_max = log::LogOptions{}.lock_keys_max},
                [](std::string_view) {}) {}

  static std::vector<NodeId> voters_of(std::uint32_t nodes) {
    REEL_CHECK(nodes >= 1 && nodes <= 7);
    std::vector<NodeId> all;
    for (std::uint32_t node = 1; node <= nodes; ++node) all.push_back(NodeId(node));
    return all;
  }
  void check() {
    if (oracles.violation() && !world.failed()) {
      world.fail(oracles.violation()->oracle, oracles.violation()->oracle, oracles.violation()->sentence);
    }
  }

  void cut(NodeId from, NodeId to) {
    sim::LinkFaults& faults = world.network().faults(world.index_of(from), world.index_of(to));
    faults.cut = true;
    faults.cut_kind = sim::FaultKind::net_isolate;
  }

  ClusterOptions options;
  sim::World world;
  std::vector<NodeId> voters;
  harness::Oracles oracles;
  std::map<NodeId, node::Driver*> drivers;
  std::uint64_t clients = 0;
  std::uint64_t running = 0;  // programs that have not ended
  std::uint32_t requests_to_lose = 0;
  std::uint32_t answers_to_lose = 0;
  bool feeds_held = false;
};

// ---- a client

struct Client::Inside {
  struct Session {
    SessionId id;
    Index opened;
    Sequence last;
    Transaction transaction;  // of the last append
  };

  Inside(Cluster::World& cluster, NodeId self)
      : owner(cluster),
        id(self),
        caller(cluster.voters, self, wire::kClientCallCodec, cluster.options.seed) {}

  Session& session(std::uint32_t partition) {
    REEL_CHECK(partition < kPartitionsMax);
    auto found = sessions.find(partition);
    if (found == sessions.end()) {
      sim::Decisions& decisions = owner.world.decisions();
      const std::uint64_t high = decisions.bits(key(Place::session, id.value, std::uint64_t{partition} * 2));
      const std::uint64_t low =
          decisions.bits(key(Place::session, id.value, std::uint64_t{partition} * 2 + 1));
      found = sessions.emplace(partition, Session{{high, low}, {}, {}, {}}).first;
    }
    return found->second;
  }
  template <class Result>
  std::expected<Result, CallError> ask(const ClientCall& call, io::Duration limit) {
    return caller.insist<Result>(*host, call, owner.options.call_timeout, host->now().monotonic + limit);
  }
  NotCommitted unknown(const CallError& error) const {
    return {NotCommitted::Reason::unknown, {}, 0, std::string(name_of(error.code)) + ": " + error.text};
  }
  // The one answer of a call of one transaction.
  std::expected<Committed, NotCommitted> outcome(std::uint32_t partition, const Session& session,
                                                 const AppendResult& result) {
    const GroupId group = group_of(partition);
    if (!result.runs.empty()) {
      owner.oracles.acknowledged(group, session.id, result.runs.front());
      return Committed{result.runs.front().id.value, result.runs.front().time};
    }
    const Refusal& refusal = result.refusals.front();
    switch (refusal.code) {
      case RefusalCode::conflict:
        owner.oracles.conflicted(group, request_of(session.transaction), refusal.lock, refusal.id);
        return std::unexpected(NotCommitted{
            NotCommitted::Reason::conflict, key_of(session.transaction, refusal.lock), refusal.id.value, {}});
      case RefusalCode::stale:
        owner.oracles.stale(group, request_of(session.transaction), refusal.id);
        return std::unexpected(NotCommitted{NotCommitted::Reason::stale, {}, refusal.id.value, {}});
      case RefusalCode::burned: owner.oracles.burned(group, session.id, refusal.sequence); break;
    }
    return std::unexpected(NotCommitted{NotCommitted::Reason::burned, {}, 0, {}});
  }

  Cluster::World& owner;
  NodeId id;
  harness::InsistentCaller caller;
  sim::FiberHost* host = nullptr;
  std::map<std::uint32_t, Session> sessions;
};

std::expected<Committed, NotCommitted> Client::append(const Transaction& transaction, std::uint32_t partition,
                                                      io::Duration limit) {
  Cluster::World& owner = inside_.owner;
  Inside::Session& session = inside_.session(partition);
  ++session.last;
  session.transaction = transaction;
  AppendCall call;
  call.group = group_of(partition);
  call.session = session.id;
  call.opened = session.opened;
  call.first = session.last;
  call.count = 1;
  call.block = block_of(transaction);
  if (owner.requests_to_lose > 0) {
    --owner.requests_to_lose;
    inside_.host->sleep(owner.options.call_timeout);
  }
  if (owner.answers_to_lose > 0) {
    --owner.answers_to_lose;
    [[maybe_unused]] const auto lost = inside_.ask<AppendResult>(call, limit);
    inside_.host->sleep(owner.options.call_timeout);
  }
  const auto result = inside_.ask<AppendResult>(call, limit);
  if (!result) return std::unexpected(inside_.unknown(result.error()));
  return inside_.outcome(partition, session, *result);
}

std::expected<Committed, NotCommitted> Client::resolve(std::uint32_t partition, io::Duration limit) {
  const Inside::Session& session = inside_.session(partition);
  REEL_CHECK(session.last.value > 0);  // there was an append
  const ResolveCall call{group_of(partition), session.id, session.opened, session.last};
  const auto result = inside_.ask<ResolveResult>(call, limit);
  if (!result) return std::unexpected(inside_.unknown(result.error()));
  AppendResult as;
  if (result->committed) {
    as.runs.push_back(*result->committed);
  } else {
    as.refusals.push_back({session.last, RefusalCode::burned, 0, {}});
  }
  return inside_.outcome(partition, session, as);
}

std::optional<std::vector<Read>> Client::read(std::uint64_t from, std::uint32_t partition,
                                              io::Duration limit) {
  if (inside_.owner.feeds_held) return std::vector<Read>();
  const auto result =
      inside_.ask<FeedResult>(FeedCall{group_of(partition), TxnId(from), kFeedCallBytesMax, {}}, limit);
  if (!result) return std::nullopt;
  std::vector<Read> read;
  for (const Bytes& payload : result->entries) {
    log::for_each_transaction(payload.span(), TxnId(from), [&](const log::Transaction& transaction) {
      const auto data = transaction.record.data;
      read.push_back({transaction.id.value, transaction.time, transaction.record.header,
                      std::string(reinterpret_cast<const char*>(data.data()), data.size())});
    });
  }
  return read;
}

std::optional<std::uint32_t> Client::create_partitions(std::uint32_t total, io::Duration limit) {
  REEL_CHECK(total <= kPartitionsMax);
  const auto result = inside_.ask<PartitionsResult>(CreatePartitionsCall{total}, limit);
  if (!result) return std::nullopt;
  return result->total;
}

std::optional<std::uint64_t> Client::high_water(std::uint32_t partition, io::Duration limit) {
  const auto result = inside_.ask<HighWaterResult>(HighWaterCall{group_of(partition), true}, limit);
  if (!result) return std::nullopt;
  return result->high_water.value;
}

void Client::sleep(io::Duration span) { inside_.host->sleep(span); }

// ---- the cluster

Cluster::Cluster(const ClusterOptions& options) : world_(std::make_unique<World>(options)) {
  REEL_CHECK(options.partitions >= 1 && options.partitions <= kPartitionsMax);
  World& world = *world_;
  harness::SimulatedNode node;
  node.options.group.election_timeout = io::milliseconds(300);
  node.options.group.heartbeat_interval = io::milliseconds(50);
  if (options.session_expiry) {
    REEL_CHECK(options.session_expiry->ns > 0);
    node.options.group.log.sessions.session_expiry = static_cast<std::uint64_t>(options.session_expiry->ns);
  }
  node.options.journal.file_bytes = 8u << 20;
  node.options.journal.identity_sectors = 512;
  node.options.journal.hard_state_pages = 1;
  node.options.journal.manifest_pages = 1;
  node.groups = harness::initial_groups(world.voters, options.partitions);
  node.observer = &world.oracles;
  for (const NodeId id : world.voters) {
    node.id = id;
    node.entropy = [&world, id] {
      return world.world.decisions().bits(key(Place::entropy, id.value, world.world.life(id)));
    };
    node.halted = [&world, id](const std::string& why) {
      world.oracles.complain("node-halted", "node " + std::to_string(id.value) + " stopped: " + why);
    };
    node.born = [&world, id](node::Driver* driver) { world.drivers[id] = driver; };
    harness::add_simulated_node(world.world, node);
    world.world.boot(id);
  }
}

Cluster::~Cluster() = default;

void Cluster::start(Program program) {
  World& world = *world_;
  const NodeId id(kFirstClient + world.clients++);
  ++world.running;
  sim::MachineOptions machine;
  machine.id = id;
  machine.role = sim::MachineRole::client;
  machine.rights = machine.rights | io::Rights::admin;
  auto inside = std::make_shared<Client::Inside>(world, id);
  machine.factory = [&world, inside,
                     program = std::move(program)](io::Ports& ports) -> std::unique_ptr<io::Host> {
    return std::make_unique<sim::FiberHost>(ports, [&world, inside, program](sim::FiberHost& host) {
      inside->host = &host;
      Client client(*inside);
      program(client);
      --world.running;
    });
  };
  world.world.add(machine);
  world.world.boot(id);
}

bool Cluster::run(io::Duration limit) {
  World& world = *world_;
  const bool ended = world.world.run_while(
      [&world] {
        world.check();
        return world.running > 0;
      },
      world.world.time() + limit);
  return ended && !world.world.failed();
}

bool Cluster::run(Program program, io::Duration limit) {
  start(std::move(program));
  return run(limit);
}

void Cluster::run_for(io::Duration span) {
  world_->world.run_for(span);
  world_->check();
}

std::uint32_t Cluster::leader(std::uint32_t partition) const {
  Term newest;
  std::uint32_t leader = 0;
  for (const NodeId id : world_->voters) {
    const auto found = world_->drivers.find(id);
    if (found == world_->drivers.end() || !world_->world.running(id)) continue;
    const node::Group* group = found->second->node().group(group_of(partition));
    if (group == nullptr || group->core().role() != Role::leader || group->core().term() <= newest) continue;
    newest = group->core().term();
    leader = static_cast<std::uint32_t>(id.value);
  }
  return leader;
}

void Cluster::crash(std::uint32_t node, bool power) {
  sim::CrashOrder order;
  order.disk.power = order.disk.loss = power;
  world_->oracles.crashed(NodeId(node));
  world_->world.crash(NodeId(node), order);
}

void Cluster::restart(std::uint32_t node) { world_->world.boot(NodeId(node)); }

void Cluster::power_loss() {
  sim::CrashOrder order;
  order.disk = {.power = true, .loss = true, .torn = true, .durable = false};
  order.restart_after = io::milliseconds(10);
  for (const NodeId id : world_->voters) world_->oracles.crashed(id);
  world_->world.power_loss(sim::MachineRole::node, order);
}

void Cluster::isolate(std::uint32_t node) {
  cut_from_peers(node);
  for (const NodeId client : world_->world.machines(sim::MachineRole::client)) {
    world_->cut(NodeId(node), client);
    world_->cut(client, NodeId(node));
  }
}

void Cluster::cut_from_peers(std::uint32_t node) {
  for (const NodeId other : world_->voters) {
    if (other == NodeId(node)) continue;
    world_->cut(NodeId(node), other);
    world_->cut(other, NodeId(node));
  }
}

void Cluster::silence(std::uint32_t node) {
  for (const NodeId client : world_->world.machines(sim::MachineRole::client)) {
    world_->cut(NodeId(node), client);
  }
}

void Cluster::heal() { world_->world.network().clear_faults(); }
void Cluster::lose_requests(std::uint32_t count) { world_->requests_to_lose = count; }
void Cluster::lose_answers(std::uint32_t count) { world_->answers_to_lose = count; }
void Cluster::hold_feeds(bool held) { world_->feeds_held = held; }

void Cluster::change_key(Client& client, const std::string& key, std::uint32_t partition) {
  // An append lock changes the key whatever it was based on, so this cannot be refused itself.
  Transaction other;
  other.data = "somebody else changed " + key;
  other.append_locks = {key};
  const std::uint32_t requests = std::exchange(world_->requests_to_lose, 0);
  const std::uint32_t answers = std::exchange(world_->answers_to_lose, 0);
  REEL_CHECK(client.append(other, partition).has_value());
  world_->requests_to_lose = requests;
  world_->answers_to_lose = answers;
}

std::optional<model::Violation> Cluster::violation() const {
  if (const auto& found = world_->oracles.violation()) return found;
  if (!world_->world.failed()) return std::nullopt;
  return model::Violation{"world", world_->world.failure()->text};
}
io::Duration Cluster::now() const { return {world_->world.time().ns}; }
std::uint64_t Cluster::chain() const { return world_->world.chain(); }

}  // namespace reel::testing
