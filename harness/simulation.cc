#include "harness/simulation.h"

#include <algorithm>

#include "harness/bank_operation.h"
#include "harness/provision.h"
#include "harness/simulated_node.h"
#include "io/wire/codec.h"

namespace reel::harness {
namespace {

// How long the healed core may take to answer everything and to agree.
constexpr io::Duration kSettleMax = io::seconds(120);
// Before faults begin: a first leader, so that storms do not all hit an empty cluster.
constexpr io::Duration kQuietStart = io::milliseconds(400);

// Until elections are over, and queues know how fast they drain.
constexpr io::Duration kWarm = io::seconds(2);

// A node that reads its superblock hears no calls yet. Later lives of nodes meet clients at any moment; the first ones
// do not, so that calm runs are calm.
constexpr io::Duration kClientsWait = io::milliseconds(50);

// How long after a handover of leadership others may stumble over it.
constexpr io::Duration kHandoverShows = io::seconds(1);

// Keys the seed of a world whose shape has another one (Cuts::respin).
constexpr std::uint64_t kRespin = 0x7265'7370'696e;

enum class Place : std::uint32_t { entropy = 100, clock_offset, client_nodes, client_seed, session };

sim::ChoiceKey key(Place place, NodeId node, std::uint64_t counter = 0) {
  return {sim::Choice::harness, static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(node.value),
          counter};
}

}  // namespace

Simulation::Simulation(const SimulationOptions& options, std::span<const sim::Override> overrides,
                       Between between, sim::DecisionListener* listener)
    : options_(options),
      between_(std::move(between)),
      ledger_(options.mode == Mode::bounded ? sim::LedgerMode::bounded : sim::LedgerMode::unbounded) {
  sim::Decisions drawn(options.seed);
  drawn.override_with(overrides);
  drawn.set_listener(listener);
  shape_ = draw_shape(options, drawn);
  shape_.world.neutral = options.cuts.neutral;
  if (options.cuts.respin != 0)
    shape_.world.seed = io::keyed_hash(options.seed, {kRespin, options.cuts.respin});
  world_ = std::make_unique<sim::World>(shape_.world);
  world_->decisions().override_with(overrides);
  world_->decisions().set_listener(listener);
  for (std::uint32_t node = 1; node <= shape_.nodes; ++node) voters_.push_back(NodeId(node));
  partitions_ = shape_.view_clients > 0   ? shape_.view_partitions
                : shape_.list_clients > 0 ? kListGroup.value
                : shape_.bank_clients > 0 ? kBankGroup.value
                : shape_.lock_clients > 0 ? 3
                : shape_.log_clients > 0  ? 2
                                          : 1;
  total_ = partitions_ + shape_.group_partitions;
  noticed_ = std::make_unique<Noticed>(world_->counters(), shape_.node.group.raft.buggify_seed != 0);
  oracles_ = std::make_unique<Oracles>(voters_,
                                       OracleOptions{total_, shape_.node.group.log.lock_keys_max,
                                                     shape_.bank_clients > 0, shape_.list_clients > 0},
                                       [this](std::string_view mark) { reached(mark); });
  world_->add_observer(this);
  add_nodes();
  add_appenders();
  add_readers();
  add_log_clients();
  add_lock_clients();
  add_bank_clients();
  add_list_clients();
  add_group_clients();
  add_view_clients();
  for (std::uint32_t group = 1; group <= total_; ++group) ledger_.describe(group, 0, voters_);
  faults_ = std::make_unique<sim::Faults>(*world_, ledger_, draw_plan());
}

Simulation::~Simulation() { world_->remove_observer(this); }

void Simulation::add_nodes() {
  const auto groups = initial_groups(voters_, partitions_);
  for (const NodeId id : voters_) {
    SimulatedNode node;
    node.id = id;
    node.options = shape_.node;
    node.groups = groups;
    node.clock_offset = {static_cast<std::int64_t>(
        world_->decisions().range(key(Place::clock_offset, id), 0, 1'000'000'000'000))};
    node.entropy = [this, id] { return world_->decisions().bits(key(Place::entropy, id, world_->life(id))); };
    node.between = between_;
    node.observer = this;
    node.halted = [this, id](const std::string& why) {
      // No fault of this catalogue may stop a node for good: its disk only loses what was never acknowledged.
      oracles_->complain("node-halted", "node " + std::to_string(id.value) + " stopped: " + why);
    };
    node.born = [this, id](node::Driver* driver) { drivers_[id] = driver; };
    add_simulated_node(*world_, node);
  }
}

void Simulation::add_appenders() {
  for (std::size_t i = 0; i < shape_.appenders.size(); ++i) {
    const ClientShape& client = shape_.appenders[i];
    const NodeId id(kFirstClient + i);
    AppendPlan plan;
    plan.call_codec = &wire::kClientCallCodec;
    plan.appender.nodes = nodes_from_anywhere(id);
    plan.appender.ordered = client.ordered;
    plan.appender.outstanding_max = client.outstanding_max;
    plan.appender.call_transactions_max = client.call_transactions_max;
    plan.appender.calls_in_flight_max = client.calls_in_flight_max;
    plan.appender.call_timeout = io::seconds(1);
    plan.appender.seed = world_->decisions().bits(key(Place::client_seed, id));
    plan.total = !takes_part(id)                      ? 0
                 : client.kind == ClientKind::counted ? capped(client.total)
                                                      : client.total;
    plan.burst = client.burst;
    plan.think_mean = client.think_mean;
    plan.bytes_max = client.bytes_max;
    plan.content_seed = options_.seed;
    append_memories_.push_back(std::make_unique<AppendMemory>());
    append_totals_.push_back(plan.total);
    AppendMemory& memory = *append_memories_.back();
    memory.session = {world_->decisions().bits(key(Place::session, id, 0)),
                      world_->decisions().bits(key(Place::session, id, 1))};
    overload_memories_.push_back(client.kind == ClientKind::counted ? nullptr
                                                                    : std::make_unique<OverloadMemory>());
    if (OverloadMemory* load = overload_memories_.back().get()) {
      load->greedy = client.kind == ClientKind::greedy;
      add_client(id, [this, id, plan, &memory, load](io::Ports& ports) {
        return make_overload_client(ports, id, plan, quiet_, memory, *load, *oracles_, world_->decisions());
      });
      continue;
    }
    add_client(id, [this, id, plan, &memory](io::Ports& ports) -> std::unique_ptr<io::Host> {
      return std::make_unique<AppendProgram>(ports, id, plan, memory, *oracles_, world_->decisions());
    });
  }
}

void Simulation::add_readers() {
  for (std::size_t i = 0; i < shape_.readers.size(); ++i) {
    const ReaderShape& reader = shape_.readers[i];
    const NodeId id(kFirstClient + shape_.appenders.size() + i);
    FeedPlan plan;
    plan.call_codec = &wire::kClientCallCodec;
    plan.reader.nodes = nodes_from_anywhere(id);
    plan.reader.bytes_max = reader.bytes_max;
    plan.reader.filter.header_mask = reader.header_mask;
    plan.reader.filter.header_value = reader.header_value;
    if (reader.lock_key) {
      plan.reader.group = kLockGroup;
      plan.reader.filter.lock = lock_client_key(*reader.lock_key);
    }
    if (reader.from_time) {
      plan.reader.from_time =
          static_cast<std::uint64_t>(shape_.world.wall_epoch_ns + kQuietStart.ns + reader.from_time->ns);
    }
    plan.looks_up = reader.looks_up;
    plan.reader.wait = io::milliseconds(500);
    plan.reader.call_timeout = io::seconds(1);
    plan.reader.seed = world_->decisions().bits(key(Place::client_seed, id));
    reader_memories_.push_back(
        std::make_unique<ReaderMemory>(ReaderMemory{plan.reader.group, TxnId(), takes_part(id)}));
    TxnId& position = reader_memories_.back()->position;
    add_client(id, [this, id, plan, &position](io::Ports& ports) -> std::unique_ptr<io::Host> {
      return std::make_unique<FeedProgram>(ports, id, plan, position, *oracles_);
    });
  }
}

// They have a partition of their own: a history must hold every append of the log that it speaks of.
void Simulation::add_log_clients() {
  for (std::uint32_t i = 0; i < shape_.log_clients; ++i) {
    LogClientPlan plan;
    plan.call_codec = &wire::kClientCallCodec;
    plan.nodes = voters_;
    plan.self = NodeId(kFirstClient + shape_.appenders.size() + shape_.readers.size() + i);
    plan.operations = static_cast<std::uint32_t>(capped(shape_.log_operations));
    plan.think_mean = shape_.storm / (2 * static_cast<std::int64_t>(shape_.log_operations));
    plan.seed = options_.seed;
    plan.clock = [this] { return static_cast<std::uint64_t>(world_->time().ns); };
    log_memories_.push_back(std::make_unique<LogClientMemory>());
    LogClientMemory& memory = *log_memories_.back();
    if (!takes_part(plan.self)) memory.lost = plan.operations;
    add_client(plan.self, [this, plan, &memory](io::Ports& ports) {
      return make_log_client(ports, plan, memory, *oracles_, world_->decisions());
    });
  }
}

// In a partition of their own too: every refusal is judged against all changes of all keys.
void Simulation::add_lock_clients() {
  for (std::uint32_t i = 0; i < shape_.lock_clients; ++i) {
    LockClientPlan plan;
    plan.call_codec = &wire::kClientCallCodec;
    plan.nodes = voters_;
    plan.self =
        NodeId(kFirstClient + shape_.appenders.size() + shape_.readers.size() + shape_.log_clients + i);
    plan.operations = static_cast<std::uint32_t>(capped(shape_.lock_operations));
    plan.keys = shape_.lock_keys;
    plan.looks = shape_.lock_looks;
    plan.repeats = options_.setting != Setting::calm;
    plan.think_mean = shape_.storm / (3 * static_cast<std::int64_t>(shape_.lock_operations));
    plan.seed = options_.seed;
    lock_memories_.push_back(std::make_unique<LockClientMemory>());
    LockClientMemory& memory = *lock_memories_.back();
    if (!takes_part(plan.self)) memory.lost = plan.operations;
    add_client(plan.self, [this, plan, &memory](io::Ports& ports) {
      return make_lock_client(ports, plan, memory, *oracles_, world_->decisions());
    });
  }
}

void Simulation::add_bank_clients() {
  for (std::uint32_t i = 0; i < shape_.bank_clients; ++i) {
    BankPlan plan;
    plan.call_codec = &wire::kClientCallCodec;
    plan.self = NodeId(kFirstClient + clients_.size());
    plan.nodes = nodes_from_anywhere(plan.self);
    plan.operations = static_cast<std::uint32_t>(capped(shape_.bank_operations));
    plan.accounts = shape_.bank_accounts;
    plan.outstanding = shape_.bank_outstanding;
    plan.impatient = options_.setting != Setting::calm;
    plan.think_mean = shape_.storm / (3 * static_cast<std::int64_t>(shape_.bank_operations));
    plan.seed = world_->decisions().bits(key(Place::client_seed, plan.self));
    plan.clock = [this] { return static_cast<std::uint64_t>(world_->time().ns); };
    bank_memories_.push_back(std::make_unique<BankMemory>());
    BankMemory& memory = *bank_memories_.back();
    if (!takes_part(plan.self)) memory.lost = plan.operations;
    add_client(plan.self, [this, plan, &memory](io::Ports& ports) {
      return make_bank_client(ports, plan, memory, *oracles_, world_->decisions());
    });
  }
}

void Simulation::add_list_clients() {
  for (std::uint32_t i = 0; i < shape_.list_clients; ++i) {
    ListPlan plan;
    plan.call_codec = &wire::kClientCallCodec;
    plan.self = NodeId(kFirstClient + clients_.size());
    plan.nodes = nodes_from_anywhere(plan.self);
    plan.operations = static_cast<std::uint32_t>(capped(shape_.list_operations));
    plan.keys = shape_.list_keys;
    plan.outstanding = shape_.list_outstanding;
    plan.impatient = options_.setting != Setting::calm;
    plan.think_mean = shape_.storm / (3 * static_cast<std::int64_t>(shape_.list_operations));
    plan.seed = world_->decisions().bits(key(Place::client_seed, plan.self));
    plan.clock = [this] { return static_cast<std::uint64_t>(world_->time().ns); };
    list_memories_.push_back(std::make_unique<ListMemory>());
    ListMemory& memory = *list_memories_.back();
    if (!takes_part(plan.self)) memory.lost = plan.operations;
    add_client(plan.self, [this, plan, &memory](io::Ports& ports) {
      return make_list_client(ports, plan, memory, *oracles_, world_->decisions());
    });
  }
}

void Simulation::add_group_clients() {
  if (shape_.group_members == 0) return;
  for (std::uint32_t i = 0; i < shape_.group_members; ++i) {
    MemberPlan plan;
    plan.call_codec = &wire::kClientCallCodec;
    plan.self = NodeId(kFirstClient + clients_.size());
    plan.nodes = nodes_from_anywhere(plan.self);
    plan.patience = shape_.group_patience;
    if (options_.setting == Setting::calm) plan.moves_max = 0;
    group_is_read_ = group_is_read_ || takes_part(plan.self);
    member_memories_.push_back(std::make_unique<MemberMemory>());
    MemberMemory& memory = *member_memories_.back();
    add_client(plan.self, [this, plan, &memory](io::Ports& ports) {
      return make_group_member(ports, plan, memory, *oracles_, world_->decisions());
    });
  }
  OperatorPlan plan;
  plan.call_codec = &wire::kClientCallCodec;
  plan.self = NodeId(kFirstClient + clients_.size());
  plan.nodes = nodes_from_anywhere(plan.self);
  plan.partitions_from = partitions_;
  plan.partitions_total = total_;
  plan.transactions = static_cast<std::uint32_t>(capped(shape_.group_transactions));
  plan.think_mean = shape_.storm / (2 * static_cast<std::int64_t>(shape_.group_partitions + 1));
  plan.seed = world_->decisions().bits(key(Place::client_seed, plan.self));
  operator_memory_ = std::make_unique<OperatorMemory>();
  operator_takes_part_ = takes_part(plan.self);
  add_client(
      plan.self,
      [this, plan](io::Ports& ports) {
        return make_operator(ports, plan, *operator_memory_, *oracles_, world_->decisions());
      },
      io::Rights::admin);
}

// The operator has created and filled its partitions.
bool Simulation::operator_done() const {
  if (!operator_memory_ || !operator_takes_part_) return true;
  if (std::max(operator_memory_->partitions, partitions_) < total_) return false;
  for (std::uint32_t group = partitions_ + 1; group <= total_; ++group) {
    const auto stream = operator_memory_->streams.find(GroupId(group));
    if (stream == operator_memory_->streams.end()) return false;
    if (stream->second.answered < capped(shape_.group_transactions)) return false;
  }
  return true;
}

void Simulation::add_view_clients() {
  for (std::uint32_t i = 0; i < shape_.view_clients; ++i) {
    ViewPlan plan;
    plan.call_codec = &wire::kClientCallCodec;
    plan.self = NodeId(kFirstClient + clients_.size());
    plan.nodes = nodes_from_anywhere(plan.self);
    plan.partitions = shape_.view_partitions;
    plan.operations = static_cast<std::uint32_t>(capped(shape_.view_operations));
    plan.outstanding = shape_.view_outstanding;
    plan.durable = shape_.view_durable;
    plan.troubled = options_.setting != Setting::calm;
    plan.think_mean = shape_.storm / (3 * static_cast<std::int64_t>(shape_.view_operations));
    view_memories_.push_back(std::make_unique<ViewMemory>());
    ViewMemory& memory = *view_memories_.back();
    if (!takes_part(plan.self)) memory.lost = plan.operations;
    add_client(plan.self, [this, plan, &memory](io::Ports& ports) {
      return make_view_client(ports, plan, memory, view_truth_, *oracles_, world_->decisions());
    });
  }
}

std::vector<NodeId> Simulation::nodes_from_anywhere(NodeId client) {
  std::vector<NodeId> nodes = voters_;
  const std::uint64_t first = world_->decisions().below(key(Place::client_nodes, client), nodes.size());
  std::rotate(nodes.begin(), nodes.begin() + static_cast<std::ptrdiff_t>(first), nodes.end());
  return nodes;
}

bool Simulation::takes_part(NodeId client) const {
  const std::vector<NodeId>& without = options_.cuts.without;
  return std::find(without.begin(), without.end(), client) == without.end();
}

std::uint64_t Simulation::capped(std::uint64_t requests) const {
  return std::min<std::uint64_t>(requests, options_.cuts.requests.value_or(UINT32_MAX));
}

void Simulation::add_client(NodeId id, sim::HostFactory factory, io::Rights more) {
  sim::MachineOptions machine;
  machine.id = id;
  machine.role = sim::MachineRole::client;
  machine.factory = std::move(factory);
  machine.rights = machine.rights | more;
  world_->add(machine);
  clients_.push_back(id);
}

sim::FaultPlan Simulation::draw_plan() {
  if (options_.cuts.plan) {
    std::vector<NodeId> machines = voters_;
    machines.insert(machines.end(), clients_.begin(), clients_.end());
    sim::FaultPlan given = options_.cuts.plan_among(machines);
    quiet_ = given.programs.empty() && shape_.node.group.raft.buggify_seed == 0;
    return given;
  }
  sim::PlanOptions plan;
  plan.nodes = voters_;
  plan.clients = clients_;
  plan.start = io::Instant{kQuietStart.ns};
  plan.end = plan.start + shape_.storm;
  if (options_.faults) {
    plan.allowed.reset();
    for (const sim::FaultKind kind : *options_.faults) plan.allowed.set(static_cast<std::size_t>(kind));
  }
  if (options_.setting == Setting::calm) plan.allowed.reset();
  if (options_.workload == Workload::overload)
    plan.calm_permille = 500;  // only they say what load alone does
  if (options_.setting == Setting::harsh) {
    plan.calm_permille = 0;
    plan.kind_permille = options_.faults ? 1000 : 750;
    plan.intensity = 2;
  }
  sim::FaultPlan drawn = sim::FaultPlan::draw(world_->decisions(), plan);
  quiet_ = drawn.programs.empty() && shape_.node.group.raft.buggify_seed == 0;
  return drawn;
}

const node::Driver* Simulation::driver(NodeId id) const {
  const auto it = drivers_.find(id);
  return it == drivers_.end() || !world_->running(id) ? nullptr : it->second;
}

void Simulation::on_event(const sim::EventRecord& record) {
  if (record.kind == sim::EventKind::crash) oracles_->crashed(record.machine);
  noticed_->at(record.time);
  check();
}

void Simulation::on_step(const node::Node& node, const io::Now& now, const node::Event& event,
                         const node::Effects& effects) {
  oracles_->on_step(node, now, event, effects);
  for (node::StepObserver* const observer : step_observers_) observer->on_step(node, now, event, effects);
}

void Simulation::reached(std::string_view mark) {
  if (mark == "node.hands_over") handed_over_ = world_->time();
  noticed_->marked(mark, world_->time(), is_deliberate(mark));
  // Here every peer and every client is a correct one, and checksums stand between them.
  if (mark == "raft.malformed_message" || mark == "node.refused_message" || mark == "node.refused_call") {
    oracles_->complain("protocol",
                       "a node was sent what no correct peer or client sends (" + std::string(mark) + ")");
  }
}

bool Simulation::is_deliberate(std::string_view mark) const {
  if (mark.starts_with("group.duplicate_")) {
    return shape_.lock_clients > 0 || shape_.bank_clients > 0 || shape_.list_clients > 0 ||
           shape_.view_clients > 0;
  }
  if (mark == "node.call_cancelled")
    return shape_.group_members > 0 || shape_.view_clients > 0;  // they lose partitions, or leave them
  const bool moved = handed_over_ >= world_->time() - kHandoverShows;
  return moved && (mark == "client.leader_changed" || mark == "raft.append_of_a_past_term");
}

void Simulation::check() {
  const auto& violation = oracles_->violation();
  if (violation && !world_->failed()) world_->fail(violation->oracle, violation->oracle, violation->sentence);
}

// ---- the run ------------------------------------------------------------------------------------------------------

RunReport Simulation::run() {
  for (const NodeId id : voters_) world_->boot(id);
  for (const NodeId id : clients_) {
    if (takes_part(id)) world_->boot(id, kClientsWait);
  }
  faults_->start();
  storm();
  if (!over()) heal_and_settle();
  if (!over()) judge();
  RunReport report;
  report.seed = options_.seed;
  report.failure = world_->failure();
  report.chain = world_->chain();
  report.events = world_->events();
  report.simulated_ns = world_->time().ns;
  report.commits = oracles_->acknowledged_total();
  report.elections = oracles_->consensus().elections;
  report.faults = world_->counters();
  report.marks = noticed_->marks();
  report.nodes = shape_.nodes;
  return report;
}

// As World::run_until, with whoever looks on between two events.
void Simulation::advance(io::Instant until) {
  if (between_events_) {
    while (!over() && world_->next_time() <= until) {
      world_->step();
      stopped_ = !between_events_();
    }
    if (stopped_) return;
  }
  world_->run_until(until);
}

// As World::run_while.
template <class Predicate>
bool Simulation::advance_while(const Predicate& keep_going, io::Instant limit) {
  if (!between_events_) return world_->run_while(keep_going, limit);
  while (!over() && world_->next_time() <= limit) {
    if (!keep_going()) return true;
    world_->step();
    stopped_ = !between_events_();
  }
  if (stopped_) return false;
  world_->run_until(limit);
  return !world_->failed() && !keep_going();
}

void Simulation::storm() {
  const io::Instant end =
      io::Instant{kQuietStart.ns} + std::min(shape_.storm, options_.cuts.storm.value_or(shape_.storm));
  const io::Instant limit = std::min(end, stop_at_.value_or(end));
  io::Instant second = io::Instant{kQuietStart.ns} + kWarm;
  std::uint64_t before = 0;
  for (; second <= limit && !over(); second = second + io::seconds(1)) {
    advance(second);
    const std::uint64_t answered = oracles_->acknowledged_total();
    if (second > io::Instant{kQuietStart.ns} + kWarm) answered_by_second_.push_back(answered - before);
    before = answered;
  }
  advance(limit);
  if (!over()) end_load();
}

// Whoever submits by the clock submits no more; what it has submitted is to be answered. What it got until now is judged.
void Simulation::end_load() {
  std::vector<model::ClientLoad> loads;
  for (std::size_t i = 0; i < overload_memories_.size(); ++i) {
    if (overload_memories_[i] == nullptr || !takes_part(NodeId(kFirstClient + i))) continue;
    const OverloadMemory& load = *overload_memories_[i];
    AppendMemory& memory = *append_memories_[i];
    memory.stopped = true;
    append_totals_[i] = memory.submitted.value;
    loads.push_back({NodeId(kFirstClient + i), load.greedy, memory.submitted.value,
                     memory.answered.value + memory.answered_beyond.size(), load.calls, load.refused});
  }
  if (quiet_ && options_.workload == Workload::overload) oracles_->bore_load(loads, answered_by_second_);
  check();
}

bool Simulation::over() const {
  return stopped_ || world_->failed() || (stop_at_ && *stop_at_ <= world_->time());
}

bool Simulation::clients_done() const {
  for (std::size_t i = 0; i < append_memories_.size(); ++i) {
    if (append_memories_[i]->answered.value < append_totals_[i]) return false;
  }
  for (const auto& memory : log_memories_) {
    if (memory->answered + memory->lost < capped(shape_.log_operations)) return false;
  }
  for (const auto& memory : lock_memories_) {
    if (memory->answered + memory->lost < capped(shape_.lock_operations)) return false;
  }
  for (const auto& memory : bank_memories_) {
    if (memory->answered + memory->lost < capped(shape_.bank_operations)) return false;
  }
  for (const auto& memory : list_memories_) {
    if (memory->answered + memory->lost < capped(shape_.list_operations)) return false;
  }
  for (const auto& memory : view_memories_) {
    if (memory->answered + memory->lost < capped(shape_.view_operations)) return false;
  }
  return operator_done();
}

// Everybody in the core has applied everything that is committed, and readers have seen it.
bool Simulation::core_agrees() const {
  std::vector<TxnId> high_water(total_);
  const std::uint32_t there = operator_memory_ && !operator_takes_part_ ? partitions_ : total_;
  for (const NodeId id : core_) {
    const node::Driver* replica = driver(id);
    if (replica == nullptr || !replica->node().ready()) return false;
    for (std::uint32_t id_of_group = 1; id_of_group <= there; ++id_of_group) {
      const node::Group* group = replica->node().group(GroupId(id_of_group));
      if (group == nullptr) return false;
      if (group->state().applied() < oracles_->committed(GroupId(id_of_group))) return false;
      high_water[id_of_group - 1] = std::max(high_water[id_of_group - 1], group->state().next_id());
    }
  }
  for (const auto& reader : reader_memories_) {
    if (reader->takes_part && reader->position < high_water[reader->group.value - 1]) return false;
  }
  for (std::uint32_t group = 1; group <= total_ && group_is_read_; ++group) {
    if (oracles_->group_done_with(GroupId(group)) < high_water[group - 1]) return false;
  }
  for (const auto& memory : view_memories_) {
    for (const auto& [group, next] : memory->applied) {
      if (!memory->closed && next < high_water[group.value - 1]) return false;
    }
  }
  return true;
}

void Simulation::heal_and_settle() {
  // In a calm run nothing breaks, not even for good.
  core_ = options_.setting == Setting::calm ? voters_ : ledger_.pick_core(world_->decisions(), voters_);
  noticed_->storm_is_over();
  std::vector<NodeId> healed = core_;
  for (const NodeId client : clients_) {
    if (takes_part(client)) healed.push_back(client);  // healing starts who is down
  }
  faults_->heal(healed);
  const io::Instant bound = world_->time() + kSettleMax;
  const io::Instant limit = std::min(bound, stop_at_.value_or(bound));
  const bool done = advance_while([this] { return !clients_done() || !core_agrees(); }, limit);
  const bool bounded = options_.mode == Mode::bounded;
  if (!done && !over() && bounded) world_->fail("liveness", "liveness", who_waits());
}

// For whoever has to find out why nothing moves: what every client still wants, and where every node of the core is.
std::string Simulation::who_waits() const {
  std::string text = clients_done() ? "the healed core did not agree within the bound"
                                    : "the healed core did not answer every request within the bound";
  auto number = [](std::uint64_t value) { return std::to_string(value); };
  for (std::size_t i = 0; i < append_memories_.size(); ++i) {
    text += "; client " + number(kFirstClient + i) + " answered " +
            number(append_memories_[i]->answered.value) + " of " + number(append_totals_[i]) +
            " (submitted " + number(append_memories_[i]->submitted.value) + ")";
  }
  for (const auto& memory : log_memories_) {
    text += "; a log client answered " + number(memory->answered + memory->lost) + " of " +
            number(capped(shape_.log_operations));
  }
  for (const auto& memory : lock_memories_) {
    text += "; a lock client answered " + number(memory->answered + memory->lost) + " of " +
            number(capped(shape_.lock_operations));
  }
  for (const auto& memory : bank_memories_) {
    text += "; a teller answered " + number(memory->answered + memory->lost) + " of " +
            number(capped(shape_.bank_operations));
  }
  for (const auto& memory : list_memories_) {
    text += "; a list client answered " + number(memory->answered + memory->lost) + " of " +
            number(capped(shape_.list_operations));
  }
  if (!operator_done()) {
    text += "; the operator knows of " + number(operator_memory_->partitions) + " of " + number(total_) +
            " partitions";
  }
  for (std::uint32_t group = 1; group <= total_ && group_is_read_; ++group) {
    text += "; the reader group is done with " + number(oracles_->group_done_with(GroupId(group)).value) +
            " of group " + number(group);
  }
  for (const auto& memory : view_memories_) {
    text += "; a view client answered " + number(memory->answered + memory->lost) + " of " +
            number(capped(shape_.view_operations));
    for (const auto& [group, next] : memory->applied) {
      text += ", group " + number(group.value) + " at " + number(next.value);
    }
  }
  for (std::size_t i = 0; i < reader_memories_.size(); ++i) {
    text += "; reader " + number(i) + " at " + number(reader_memories_[i]->position.value);
  }
  for (const NodeId id : core_) {
    const node::Driver* replica = driver(id);
    text += "; node " + number(id.value);
    if (replica == nullptr || !replica->node().ready()) {
      text += replica == nullptr ? " is down" : " is not ready";
      continue;
    }
    for (const GroupStatus& group : replica->node().status().groups) {
      text += " [group " + number(group.group.value) + " " + name_of(group.role) + " term " +
              number(group.term.value) + " leader " + number(group.leader.value) + " commit " +
              number(group.commit.value) + " applied " + number(group.applied.value) + " last " +
              number(group.last.value) + "]";
    }
  }
  return text;
}

void Simulation::judge() {
  oracles_->finish(core_);
  if (!log_memories_.empty()) {
    const LogVerdict verdict = judge_log_histories(log_memories_);
    if (!verdict.legal) oracles_->complain("linearizability", verdict.text);
  }
  judge_transactions();
  check();
}

// Each of them from what its clients saw, and nothing else.
void Simulation::judge_transactions() {
  std::vector<const ClientHistory*> lists, bank;
  for (const auto& memory : list_memories_) lists.push_back(&memory->history);
  for (const auto& memory : bank_memories_) bank.push_back(&memory->history);
  for (const auto& histories : {lists, bank}) {
    const auto wrong = judge_histories(histories);
    if (wrong) oracles_->complain("strict-serializability", *wrong);
  }
}

}  // namespace reel::harness
