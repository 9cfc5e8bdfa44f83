#include "sim/fault.h"

#include <algorithm>
#include <charconv>

#include "io/ports/assert.h"

namespace reel::sim {
namespace {

constexpr std::uint32_t kProgramIdMax = 65'535;
constexpr std::size_t kProgramsMax = 4'096;
constexpr std::size_t kTargetsMax = 4'096;
constexpr std::size_t kPlanTextMax = 1u << 20;

bool contains(std::span<const io::NodeId> nodes, io::NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

bool is_cut(FaultKind kind) {
  return kind == FaultKind::net_partition || kind == FaultKind::net_partition_oneway ||
         kind == FaultKind::net_partition_partial || kind == FaultKind::net_isolate;
}

bool is_rate(FaultKind kind) {
  return kind == FaultKind::net_delay || kind == FaultKind::net_drop || kind == FaultKind::net_duplicate ||
         kind == FaultKind::net_reorder;
}

// Kinds that happen at instants within their interval, rather than throughout it.
bool strikes(FaultKind kind) {
  switch (kind) {
    case FaultKind::net_clog:
    case FaultKind::net_reset:
    case FaultKind::disk_stall:
    case FaultKind::node_crash:
    case FaultKind::node_crash_loop:
    case FaultKind::node_restart_all:
    case FaultKind::node_pause:
    case FaultKind::client_crash: return true;
    default: return false;
  }
}

// Draw places of Choice::fault_target and fault_length: the program, and which of its questions.
std::uint32_t place_of(const FaultProgram& program, std::uint32_t which) { return (program.id << 4) | which; }

}  // namespace

FaultSet all_faults() { return FaultSet().set(); }

std::expected<FaultSet, std::string> parse_fault_set(std::string_view list) {
  FaultSet set;
  if (list == "none" || list.empty()) return set;
  if (list == "all") return all_faults();
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view word = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    bool known = false;
    for (std::size_t i = 0; i < kFaultKinds; ++i) {
      const std::string_view name = name_of(static_cast<FaultKind>(i));
      if (name != word && name.substr(0, name.find('.')) != word) continue;
      set.set(i);
      known = true;
    }
    if (!known)
      return std::unexpected("unknown fault '" + std::string(word) + "'; try all, none, net, net.drop, …");
  }
  return set;
}

void FaultPlan::keep(const FaultSet& kinds) {
  std::erase_if(programs,
                [&](const FaultProgram& program) { return !kinds[static_cast<std::size_t>(program.kind)]; });
}

// ---- running a plan ---------------------------------------------------------------------------------------

Faults::Faults(World& world, Ledger& ledger, FaultPlan plan)
    : world_(world), ledger_(ledger), plan_(std::move(plan)), states_(plan_.programs.size()) {
  for (const FaultProgram& program : plan_.programs) {
    REEL_CHECK(program.id > 0 && program.id <= kProgramIdMax && program.start <= program.end);
  }
}

void Faults::start() {
  REEL_CHECK(!started_);
  started_ = true;
  everybody_ = world_.machines(MachineRole::node);
  const std::vector<io::NodeId> clients = world_.machines(MachineRole::client);
  everybody_.insert(everybody_.end(), clients.begin(), clients.end());
  for (std::size_t i = 0; i < plan_.programs.size(); ++i) {
    const FaultProgram& program = plan_.programs[i];
    world_.counters().arm(program.kind);
    world_.at(std::max(program.start, world_.time()), [this, i] { begin(i); });
    world_.at(std::max(program.end, world_.time()), [this, i] { end(i); });
  }
}

void Faults::begin(std::size_t index) {
  if (healed_) return;
  const FaultProgram& program = plan_.programs[index];
  states_[index].active = true;
  world_.record_fault(program.kind, io::NodeId(), program.id);
  if (is_rate(program.kind) || is_cut(program.kind)) apply_links();
  if (is_cut(program.kind)) break_cut_connections(program);
  if (program.kind == FaultKind::disk_latency) apply_disks();
  if (strikes(program.kind)) plan_strike(index);
}

void Faults::end(std::size_t index) {
  if (!states_[index].active) return;
  const FaultProgram& program = plan_.programs[index];
  states_[index].active = false;
  world_.record_fault(program.kind, io::NodeId(), program.id);
  if (is_rate(program.kind) || is_cut(program.kind)) apply_links();
  if (program.kind == FaultKind::disk_latency) apply_disks();
}

void Faults::plan_strike(std::size_t index) {
  const FaultProgram& program = plan_.programs[index];
  State& state = states_[index];
  const ChoiceKey key{Choice::fault_time, program.id, 0, state.strikes++};
  const std::uint64_t gap = world_.decisions().exponential(key, static_cast<std::uint64_t>(program.mean.ns));
  // A floor, so that a mean of zero cannot stop time.
  constexpr std::int64_t kGapMin = 1'000;
  const io::Instant next =
      world_.time() + io::nanoseconds(std::max<std::int64_t>(static_cast<std::int64_t>(gap), kGapMin));
  if (next < program.end) world_.at(next, [this, index] { strike(index); });
}

void Faults::strike(std::size_t index) {
  if (!states_[index].active) return;
  const FaultProgram& program = plan_.programs[index];
  const std::uint64_t number = states_[index].strikes;
  if (!world_.decisions().happens({Choice::fault_strike, program.id, 0, number})) return plan_strike(index);
  switch (program.kind) {
    case FaultKind::net_clog: clog(program, number); break;
    case FaultKind::net_reset: reset(program, number); break;
    case FaultKind::node_restart_all: restart_all(program, number); break;
    default: strike_nodes(program, number);
  }
  plan_strike(index);
}

std::vector<io::NodeId> Faults::subjects(const FaultProgram& program) const {
  if (!program.targets.empty()) return program.targets;
  const bool clients = program.kind == FaultKind::client_crash;
  return world_.machines(clients ? MachineRole::client : MachineRole::node);
}

io::NodeId Faults::pick(const FaultProgram& program, std::uint64_t strike, std::span<const io::NodeId> from,
                        std::uint32_t which) {
  return from[world_.decisions().below({Choice::fault_target, place_of(program, which), 0, strike},
                                       from.size())];
}

io::Duration Faults::length_of(const FaultProgram& program, std::uint64_t strike, std::uint32_t which) {
  const ChoiceKey key{Choice::fault_length, place_of(program, which), 0, strike};
  return io::nanoseconds(static_cast<std::int64_t>(
      world_.decisions().exponential(key, static_cast<std::uint64_t>(program.length.ns))));
}

void Faults::strike_nodes(const FaultProgram& program, std::uint64_t strike) {
  const std::vector<io::NodeId> candidates = subjects(program);
  if (candidates.empty()) return;
  const io::NodeId node = pick(program, strike, candidates, 0);
  if (!world_.running(node)) return;
  world_.record_fault(program.kind, node, program.id);
  if (program.kind == FaultKind::node_pause) {
    pause(program, strike, node);
  } else if (program.kind == FaultKind::disk_stall) {
    world_.disk(node).stall_until(world_.time() + length_of(program, strike, 0));
  } else {
    crash(program, strike, node);
  }
}

bool Faults::active_on(FaultKind kind, io::NodeId node) const {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const FaultProgram& program = plan_.programs[i];
    if (!states_[i].active || program.kind != kind) continue;
    if (program.targets.empty() || contains(program.targets, node)) return true;
  }
  return false;
}

// A crash takes the power, too, in three of four cases in which it could matter; a whole-cluster one always
// does.
DiskCrash Faults::disk_crash(io::NodeId node, const FaultProgram& program, std::uint64_t strike) {
  DiskCrash crash;
  crash.loss = active_on(FaultKind::disk_crash_loss, node);
  crash.torn = active_on(FaultKind::disk_crash_torn, node);
  crash.durable = active_on(FaultKind::disk_crash_durable, node);
  const ChoiceKey key{Choice::fault_target, place_of(program, 5), static_cast<std::uint32_t>(node.value),
                      strike};
  const bool may = crash.loss || crash.torn || crash.durable;
  crash.power = program.kind == FaultKind::node_restart_all || (may && world_.decisions().permille(key, 750));
  return crash;
}

void Faults::crash(const FaultProgram& program, std::uint64_t strike, io::NodeId node) {
  if (!ledger_.grant({node, LossClass::down, program.kind})) return;
  CrashOrder order;
  order.cause = program.kind;
  order.restart_after = length_of(program, strike, 0);
  order.disk = disk_crash(node, program, strike);
  if (order.disk.loss && !ledger_.grant({node, LossClass::crash_loss, program.kind})) order.disk.loss = false;
  if (program.kind == FaultKind::node_crash_loop) {
    const ChoiceKey loops{Choice::fault_target, place_of(program, 3), 0, strike};
    order.loops = static_cast<std::uint32_t>(
        world_.decisions().range(loops, 1, std::max<std::uint32_t>(1, program.count)));
  }
  // A third comes between two effects of a step, where a promise is out and its ground is not, or the other way
  // round; a third with a disk request in flight.
  constexpr std::uint64_t kCountMean = 6;
  const ChoiceKey point{Choice::crash_point, place_of(program, 1), 0, strike};
  const ChoiceKey count{Choice::crash_point, place_of(program, 2), 0, strike};
  const std::uint64_t where = world_.decisions().below(point, 3);
  const auto further = static_cast<std::uint32_t>(world_.decisions().exponential(count, kCountMean));
  if (where == 0) world_.crash(node, order);
  if (where == 1) world_.crash_within(node, further, order);
  if (where == 2) world_.crash_on_disk(node, further, order);
}

void Faults::restart_all(const FaultProgram& program, std::uint64_t strike) {
  world_.record_fault(program.kind, io::NodeId(), program.id);
  for (const io::NodeId node : subjects(program)) {
    if (!world_.running(node) || !ledger_.grant({node, LossClass::down, program.kind})) continue;
    CrashOrder order;
    const ChoiceKey key{Choice::fault_length, place_of(program, 0), static_cast<std::uint32_t>(node.value),
                        strike};
    const std::uint64_t down =
        world_.decisions().exponential(key, static_cast<std::uint64_t>(program.length.ns));
    order.restart_after = io::nanoseconds(static_cast<std::int64_t>(down));
    order.disk = disk_crash(node, program, strike);
    world_.crash(node, order);
  }
  world_.counters().fire(program.kind);
}

void Faults::pause(const FaultProgram& program, std::uint64_t strike, io::NodeId node) {
  if (world_.paused(node) || !ledger_.grant({node, LossClass::down, program.kind})) return;
  world_.pause(node);
  world_.counters().fire(program.kind);
  const std::uint32_t life = world_.life(node);
  world_.after(length_of(program, strike, 0), [this, node, life] {
    // A pause of a node outside the core lasts for ever; one that crashed meanwhile is another process now.
    if (healed_ || world_.life(node) != life) return;
    world_.resume(node);
    ledger_.settle(node, LossClass::down);
  });
}

void Faults::clog(const FaultProgram& program, std::uint64_t strike) {
  if (everybody_.size() < 2) return;
  const std::vector<io::NodeId>& from = program.targets.empty() ? everybody_ : program.targets;
  const io::NodeId near = pick(program, strike, from, 0);
  const io::NodeId far = pick(program, strike, everybody_, 1);
  if (near == far) return;
  const io::Instant until = world_.time() + length_of(program, strike, 0);
  world_.record_fault(program.kind, near, program.id);
  // Which direction hangs: out of the near end, into it, or both.
  const std::uint64_t ways =
      world_.decisions().below({Choice::fault_target, place_of(program, 2), 0, strike}, 3);
  if (ways != 1) world_.network().clog(world_.index_of(near), world_.index_of(far), until);
  if (ways != 0) world_.network().clog(world_.index_of(far), world_.index_of(near), until);
}

void Faults::reset(const FaultProgram& program, std::uint64_t strike) {
  if (everybody_.size() < 2) return;
  const std::vector<io::NodeId>& from = program.targets.empty() ? everybody_ : program.targets;
  const io::NodeId near = pick(program, strike, from, 0);
  const io::NodeId far = pick(program, strike, everybody_, 1);
  if (near == far || !world_.network().reset(world_.index_of(near), world_.index_of(far))) return;
  world_.record_fault(program.kind, near, program.id);
  world_.counters().fire(program.kind);
}

// ---- links and disks --------------------------------------------------------------------------------------

bool Faults::cuts(const FaultProgram& program, io::NodeId from, io::NodeId to) const {
  const bool near_from = contains(program.targets, from);
  const bool near_to = contains(program.targets, to);
  switch (program.kind) {
    case FaultKind::net_partition: return near_from != near_to;
    case FaultKind::net_partition_oneway: return near_from && !near_to;
    case FaultKind::net_isolate: return near_from || near_to;
    case FaultKind::net_partition_partial:
      for (std::size_t i = 0; i + 1 < program.targets.size(); i += 2) {
        const io::NodeId a = program.targets[i];
        const io::NodeId b = program.targets[i + 1];
        if ((from == a && to == b) || (from == b && to == a)) return true;
      }
      return false;
    default: return false;
  }
}

void Faults::apply_rates(const FaultProgram& program, std::uint32_t from, std::uint32_t to) {
  LinkFaults& faults = world_.network().faults(from, to);
  switch (program.kind) {
    case FaultKind::net_drop: faults.drop_permille = std::max(faults.drop_permille, program.permille); break;
    case FaultKind::net_duplicate:
      faults.duplicate_permille = std::max(faults.duplicate_permille, program.permille);
      break;
    case FaultKind::net_reorder:
      faults.reorder_permille = std::max(faults.reorder_permille, program.permille);
      break;
    case FaultKind::net_delay:
      faults.delay_mean = std::max(faults.delay_mean, program.mean);
      faults.tail_permille = std::max(faults.tail_permille, program.permille);
      faults.tail_mean = std::max(faults.tail_mean, program.length);
      break;
    default: break;
  }
}

// Rebuilds what every link suffers from the programs that are active: they start and end rarely, parcels are
// many.
void Faults::apply_links() {
  world_.network().clear_faults();
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (!states_[i].active) continue;
    const FaultProgram& program = plan_.programs[i];
    if (!is_rate(program.kind) && !is_cut(program.kind)) continue;
    for (const io::NodeId from : everybody_) {
      for (const io::NodeId to : everybody_) {
        if (from == to) continue;
        const std::uint32_t from_index = world_.index_of(from);
        const std::uint32_t to_index = world_.index_of(to);
        if (is_cut(program.kind)) {
          if (!cuts(program, from, to)) continue;
          LinkFaults& faults = world_.network().faults(from_index, to_index);
          faults.cut = true;
          faults.cut_kind = program.kind;
          faults.program = program.id;
        } else if (program.targets.empty() || contains(program.targets, from) ||
                   contains(program.targets, to)) {
          apply_rates(program, from_index, to_index);
        }
      }
    }
  }
  for (const auto& [from, to] : cut_for_good_) {
    world_.network().faults(world_.index_of(from), world_.index_of(to)).cut = true;
  }
}

// Half of the connections across a new cut break at once, the others only stall.
void Faults::break_cut_connections(const FaultProgram& program) {
  for (std::size_t i = 0; i < everybody_.size(); ++i) {
    for (std::size_t j = i + 1; j < everybody_.size(); ++j) {
      const io::NodeId a = everybody_[i];
      const io::NodeId b = everybody_[j];
      if (!cuts(program, a, b) && !cuts(program, b, a)) continue;
      const std::uint32_t link = (world_.index_of(a) << 12) | world_.index_of(b);
      const ChoiceKey key{Choice::net_reset, program.id, link, 1};
      if (world_.decisions().permille(key, 500))
        world_.network().reset(world_.index_of(a), world_.index_of(b));
    }
  }
}

void Faults::apply_disks() {
  for (const io::NodeId node : everybody_) {
    io::Duration extra;
    for (std::size_t i = 0; i < states_.size(); ++i) {
      const FaultProgram& program = plan_.programs[i];
      if (!states_[i].active || program.kind != FaultKind::disk_latency) continue;
      if (program.targets.empty() || contains(program.targets, node)) extra = std::max(extra, program.mean);
    }
    world_.disk(node).set_extra_latency(extra);
  }
}

// ---- the second phase -------------------------------------------------------------------------------------

void Faults::heal(std::span<const io::NodeId> core) {
  REEL_CHECK(started_ && !healed_);
  healed_ = true;
  // A cut of the first phase stays for ever unless both ends belong to the core.
  for (const io::NodeId from : everybody_) {
    for (const io::NodeId to : everybody_) {
      if (from == to || (contains(core, from) && contains(core, to))) continue;
      if (world_.network().faults(world_.index_of(from), world_.index_of(to)).cut)
        cut_for_good_.emplace_back(from, to);
    }
  }
  for (State& state : states_) state.active = false;
  for (const io::NodeId node : everybody_) {
    if (contains(core, node)) {
      mend(node);
    } else {
      break_for_good(node);
    }
  }
  apply_links();
  apply_disks();
  for (const io::NodeId a : core) {
    for (const io::NodeId b : core) world_.network().unclog(world_.index_of(a), world_.index_of(b));
  }
}

void Faults::mend(io::NodeId node) {
  world_.disarm(node);
  world_.disk(node).stall_until(world_.time());
  world_.resume(node);
  world_.cancel_boot(node);  // the drawn downtime ends now
  world_.boot(node);
  ledger_.settle(node, LossClass::down);
}

// What is down or paused stays so. A healthy machine outside the core must not be what the core leans on: it
// dies, hangs, is cut off, or is only heard, or only hears, or goes on as it is.
void Faults::break_for_good(io::NodeId node) {
  world_.cancel_boot(node);
  if (!world_.running(node) || world_.paused(node)) return;
  enum End : std::uint64_t { kGoesOn, kDies, kHangs, kIsolated, kMute, kDeaf, kEnds };
  const auto number = static_cast<std::uint32_t>(node.value);
  const std::uint64_t end = world_.decisions().below({Choice::core, 2, number, 0}, kEnds);
  if (end == kDies) world_.crash(node, CrashOrder{});
  if (end == kHangs) world_.pause(node);
  for (const io::NodeId other : everybody_) {
    if (other == node) continue;
    if (end == kIsolated || end == kMute) cut_for_good_.emplace_back(node, other);
    if (end == kIsolated || end == kDeaf) cut_for_good_.emplace_back(other, node);
  }
}

// ---- drawing a plan ---------------------------------------------------------------------------------------

namespace {

// One draw of a plan: which kind, which of its programs, which field.
class PlanDraw {
 public:
  PlanDraw(Decisions& decisions, const PlanOptions& options) : decisions_(decisions), options_(options) {}

  std::uint64_t range(FaultKind kind, std::uint32_t program, std::uint32_t field, std::uint64_t low,
                      std::uint64_t high) {
    const std::uint32_t place = (static_cast<std::uint32_t>(kind) << 8) | field;
    return decisions_.range({Choice::fault_plan, place, program, 0}, low, high);
  }
  bool coin(FaultKind kind, std::uint32_t program, std::uint32_t field, std::uint64_t which) {
    const std::uint32_t place = (static_cast<std::uint32_t>(kind) << 8) | field;
    return decisions_.below({Choice::fault_plan, place, program, which}, 2) == 1;
  }
  bool permille(std::uint32_t place, std::uint32_t share) {
    return decisions_.permille({Choice::fault_plan, 0xff'0000 | place, 0, 0}, share);
  }

  void interval(FaultProgram& program, std::uint32_t number, std::uint64_t shortest, std::uint64_t longest);
  void side(FaultProgram& program, std::uint32_t number);
  void one_target(FaultProgram& program, std::uint32_t number);
  void fill(FaultProgram& program, std::uint32_t number);
  std::uint32_t programs_of(FaultKind kind);

 private:
  std::uint64_t phase() const { return static_cast<std::uint64_t>((options_.end - options_.start).ns); }
  void fill_rate(FaultProgram& program, std::uint32_t number);
  void fill_cut(FaultProgram& program, std::uint32_t number);
  void fill_strikes(FaultProgram& program, std::uint32_t number);

  Decisions& decisions_;
  const PlanOptions& options_;
};

io::Duration span_of(std::uint64_t ns) { return io::nanoseconds(static_cast<std::int64_t>(ns)); }
constexpr std::uint64_t kMs = 1'000'000;

std::uint32_t PlanDraw::programs_of(FaultKind kind) {
  if (is_cut(kind)) return static_cast<std::uint32_t>(range(kind, 0, 1, 1, 3)) * options_.intensity;
  if (is_rate(kind)) return static_cast<std::uint32_t>(range(kind, 0, 1, 1, 2)) * options_.intensity;
  return 1;
}

void PlanDraw::interval(FaultProgram& program, std::uint32_t number, std::uint64_t shortest,
                        std::uint64_t longest) {
  const std::uint64_t high = std::max(std::min(longest, phase()), std::uint64_t{1});
  const std::uint64_t length = range(program.kind, number, 2, std::min(shortest, high), high);
  const std::uint64_t start = range(program.kind, number, 3, 0, phase() - std::min(length, phase()));
  program.start = options_.start + span_of(start);
  program.end = std::min(program.start + span_of(length), options_.end);
}

// A side of a partition: some nodes, not all, and some clients.
void PlanDraw::side(FaultProgram& program, std::uint32_t number) {
  const std::vector<io::NodeId>& nodes = options_.nodes;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (coin(program.kind, number, 4, i)) program.targets.push_back(nodes[i]);
  }
  if (program.targets.empty() || program.targets.size() == nodes.size()) {
    program.targets = {nodes[range(program.kind, number, 5, 0, nodes.size() - 1)]};
  }
  for (std::size_t i = 0; i < options_.clients.size(); ++i) {
    if (coin(program.kind, number, 6, i)) program.targets.push_back(options_.clients[i]);
  }
}

void PlanDraw::one_target(FaultProgram& program, std::uint32_t number) {
  program.targets = {options_.nodes[range(program.kind, number, 5, 0, options_.nodes.size() - 1)]};
}

void PlanDraw::fill_rate(FaultProgram& program, std::uint32_t number) {
  constexpr std::uint32_t kShares[] = {5, 20, 50, 100, 250};
  interval(program, number, phase() / 8, phase());
  program.permille = kShares[range(program.kind, number, 7, 0, std::size(kShares) - 1)];
  if (coin(program.kind, number, 8, 0)) one_target(program, number);
  if (program.kind != FaultKind::net_delay) return;
  program.permille = std::min(program.permille, 50u);
  program.mean = span_of(range(program.kind, number, 9, kMs / 4, 20 * kMs));
  program.length = span_of(range(program.kind, number, 10, 50 * kMs, 1000 * kMs));
}

// Short ones are as likely as long ones, by powers of two: a cluster that is cut most of the time decides little.
void PlanDraw::fill_cut(FaultProgram& program, std::uint32_t number) {
  const std::uint64_t shortest = (50 * kMs) << range(program.kind, number, 12, 0, 6);
  interval(program, number, shortest, 2 * shortest);
  if (program.kind == FaultKind::net_isolate) {
    one_target(program, number);
  } else if (program.kind != FaultKind::net_partition_partial) {
    side(program, number);
  } else {
    // Non-transitive: one or two pairs of nodes that do not see each other, though both see the others.
    const std::uint64_t pairs = range(program.kind, number, 7, 1, 2);
    for (std::uint32_t i = 0; i < pairs; ++i) {
      const std::uint64_t a = range(program.kind, number, 8 + 2 * i, 0, options_.nodes.size() - 1);
      const std::uint64_t step = range(program.kind, number, 9 + 2 * i, 1, options_.nodes.size() - 1);
      program.targets.push_back(options_.nodes[a]);
      program.targets.push_back(options_.nodes[(a + step) % options_.nodes.size()]);
    }
  }
}

void PlanDraw::fill_strikes(FaultProgram& program, std::uint32_t number) {
  const auto between = [&](std::uint64_t often, std::uint64_t seldom) {
    const std::uint64_t mean = range(program.kind, number, 7, phase() / often, phase() / seldom);
    program.mean = span_of(std::max(mean / options_.intensity, kMs));
  };
  const auto lasting = [&](std::uint64_t low_ms, std::uint64_t high_ms) {
    program.length = span_of(range(program.kind, number, 8, low_ms * kMs, high_ms * kMs));
  };
  program.start = options_.start;
  program.end = options_.end;
  switch (program.kind) {
    case FaultKind::net_clog:
      between(40, 8);
      lasting(20, 800);
      break;
    case FaultKind::net_reset: between(40, 6); break;
    case FaultKind::disk_stall:
      between(12, 3);
      lasting(100, 2000);
      break;
    case FaultKind::node_crash:
      between(16, 3);
      lasting(5, 2000);
      break;
    case FaultKind::node_crash_loop:
      between(8, 2);
      lasting(5, 300);
      program.count = static_cast<std::uint32_t>(range(program.kind, number, 9, 1, 4));
      break;
    case FaultKind::node_restart_all:
      between(4, 1);
      lasting(5, 500);
      break;
    case FaultKind::node_pause:
      between(12, 3);
      lasting(20, 3000);
      break;
    case FaultKind::client_crash:
      between(16, 3);
      lasting(5, 500);
      break;
    default: break;
  }
}

void PlanDraw::fill(FaultProgram& program, std::uint32_t number) {
  if (is_rate(program.kind)) return fill_rate(program, number);
  if (is_cut(program.kind)) return fill_cut(program, number);
  if (strikes(program.kind)) return fill_strikes(program, number);
  if (program.kind == FaultKind::disk_latency) {
    interval(program, number, phase() / 8, phase());
    program.mean = span_of(range(program.kind, number, 9, kMs / 5, 10 * kMs));
    if (coin(program.kind, number, 8, 0)) one_target(program, number);
    return;
  }
  // disk.crash_*: throughout, so that every crash may meet it.
  program.start = options_.start;
  program.end = options_.end;
  if (range(program.kind, number, 8, 0, 3) == 0) one_target(program, number);
}

}  // namespace

FaultPlan FaultPlan::draw(Decisions& decisions, const PlanOptions& options) {
  REEL_CHECK(!options.nodes.empty() && options.start < options.end);
  FaultPlan plan;
  PlanDraw draw(decisions, options);
  if (draw.permille(0, options.calm_permille)) return plan;
  FaultSet on;
  for (std::size_t i = 0; i < kFaultKinds; ++i)
    on[i] = options.allowed[i] && draw.permille(1 + static_cast<std::uint32_t>(i), options.kind_permille);
  const auto index = [](FaultKind kind) { return static_cast<std::size_t>(kind); };
  // What a crash does to a disk needs a crash.
  const bool disk_crash = on[index(FaultKind::disk_crash_loss)] || on[index(FaultKind::disk_crash_torn)] ||
                          on[index(FaultKind::disk_crash_durable)];
  const bool crash = on[index(FaultKind::node_crash)] || on[index(FaultKind::node_crash_loop)] ||
                     on[index(FaultKind::node_restart_all)];
  if (disk_crash && !crash) on[index(FaultKind::node_crash)] = options.allowed[index(FaultKind::node_crash)];
  std::uint32_t id = 0;
  for (std::size_t i = 0; i < kFaultKinds; ++i) {
    const auto kind = static_cast<FaultKind>(i);
    if (!on[i]) continue;
    if (is_cut(kind) && options.nodes.size() + options.clients.size() < 2) continue;
    if (kind == FaultKind::net_partition_partial && options.nodes.size() < 3) continue;
    if (kind == FaultKind::client_crash && options.clients.empty()) continue;
    for (std::uint32_t number = 0; number < draw.programs_of(kind); ++number) {
      FaultProgram program;
      program.id = ++id;
      program.kind = kind;
      draw.fill(program, number);
      plan.programs.push_back(std::move(program));
    }
  }
  return plan;
}

// ---- text -------------------------------------------------------------------------------------------------

std::string FaultPlan::text() const {
  std::string out;
  for (const FaultProgram& program : programs) {
    out += std::string(name_of(program.kind)) + " id=" + std::to_string(program.id);
    out += " start=" + std::to_string(program.start.ns) + " end=" + std::to_string(program.end.ns);
    if (!program.targets.empty()) {
      out += " targets=";
      for (std::size_t i = 0; i < program.targets.size(); ++i) {
        out += (i == 0 ? "" : ",") + std::to_string(program.targets[i].value);
      }
    }
    if (program.permille != 0) out += " permille=" + std::to_string(program.permille);
    if (program.count != 0) out += " count=" + std::to_string(program.count);
    if (program.mean.ns != 0) out += " mean=" + std::to_string(program.mean.ns);
    if (program.length.ns != 0) out += " length=" + std::to_string(program.length.ns);
    out += '\n';
  }
  return out;
}

namespace {

// Cuts the next word off `rest`, up to `separator`.
std::string_view take(std::string_view& rest, char separator) {
  const std::size_t at = std::min(rest.find(separator), rest.size());
  const std::string_view word = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return word;
}

bool read_number(std::string_view word, std::uint64_t highest, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc() && end == word.data() + word.size() && value <= highest;
}

bool read_targets(std::string_view list, std::vector<io::NodeId>& targets) {
  while (!list.empty()) {
    std::uint64_t id = 0;
    if (!read_number(take(list, ','), 65'535, id) || targets.size() >= kTargetsMax) return false;
    targets.emplace_back(id);
  }
  return true;
}

bool read_field(std::string_view name, std::string_view text, FaultProgram& program) {
  constexpr std::uint64_t kSpanMax = 1ull << 56;
  std::uint64_t value = 0;
  if (name == "targets") return read_targets(text, program.targets);
  if (!read_number(text, kSpanMax - 1, value)) return false;
  if (name == "id" && value > 0 && value <= kProgramIdMax) {
    program.id = static_cast<std::uint32_t>(value);
  } else if (name == "start") {
    program.start.ns = static_cast<std::int64_t>(value);
  } else if (name == "end") {
    program.end.ns = static_cast<std::int64_t>(value);
  } else if (name == "permille" && value <= 1000) {
    program.permille = static_cast<std::uint32_t>(value);
  } else if (name == "count" && value <= 1000) {
    program.count = static_cast<std::uint32_t>(value);
  } else if (name == "mean") {
    program.mean.ns = static_cast<std::int64_t>(value);
  } else if (name == "length") {
    program.length.ns = static_cast<std::int64_t>(value);
  } else {
    return false;
  }
  return true;
}

}  // namespace

std::expected<FaultPlan, std::string> FaultPlan::parse(std::string_view text) {
  FaultPlan plan;
  if (text.size() > kPlanTextMax) return std::unexpected("a fault plan of more than 1 MiB");
  std::bitset<kProgramIdMax + 1> ids;
  while (!text.empty()) {
    std::string_view line = take(text, '\n');
    if (line.empty()) continue;
    FaultProgram program;
    const std::string_view name = take(line, ' ');
    const std::optional<FaultKind> kind = fault_by_name(name);
    if (!kind)
      return std::unexpected("a fault plan names the unknown fault '" + std::string(name.substr(0, 40)) +
                             "'");
    program.kind = *kind;
    while (!line.empty()) {
      std::string_view value = take(line, ' ');
      const std::string_view field = take(value, '=');
      if (!read_field(field, value, program)) {
        return std::unexpected("a fault plan has a bad field '" + std::string(field.substr(0, 40)) + "'");
      }
    }
    if (program.id == 0 || ids[program.id] || program.end < program.start ||
        plan.programs.size() >= kProgramsMax) {
      return std::unexpected(
          "a fault plan has a program without an id of its own, or one that ends before it starts");
    }
    ids.set(program.id);
    plan.programs.push_back(std::move(program));
  }
  return plan;
}

}  // namespace reel::sim
