#include "sim/world.h"

#include <algorithm>
#include <exception>
#include <tuple>
#include <utility>

#include "io/ports/assert.h"
#include "sim/machine.h"

namespace reel::sim {
namespace {

constexpr std::size_t kMachinesMax = 4096;
constexpr std::uint64_t kNodeIdMax = 65'535;

// Leaves simulated code after an assertion, up to the step that ran it.
struct AssertionFailure {
  std::string text;
  const char* file;
  int line;
};

[[noreturn]] void throw_assertion(const char* text, const char* file, int line) {
  throw AssertionFailure{text, file, line};
}

std::uint64_t digest_of(const io::DiskResult& result) {
  io::Hasher hasher;
  hasher.add(result.op.value)
      .add((static_cast<std::uint64_t>(result.verb) << 40) |
           (static_cast<std::uint64_t>(result.status) << 32) | result.file.value);
  hasher.add(result.size);
  if (!result.data.empty()) hasher.add(result.data.span());
  for (const io::FileEntry& entry : result.files) {
    hasher.add(std::as_bytes(std::span(entry.name))).add(entry.size);
  }
  return hasher.value();
}

std::uint64_t digest_of(const CrashOrder& order) {
  const DiskCrash& disk = order.disk;
  return (disk.power ? 1u : 0u) | (disk.loss ? 2u : 0u) | (disk.torn ? 4u : 0u) | (disk.durable ? 8u : 0u);
}

}  // namespace

// ---- the ports of a life ----------------------------------------------------------------------------------

io::Now World::LifePorts::now() const { return world_.now_at(machine_.id); }

void World::LifePorts::wake_at(io::Instant time) {
  if (!dead_) world_.wake_at(machine_, time);
}

void World::LifePorts::send(io::NodeId to, io::Parcel parcel) {
  if (swallowed()) return;
  const std::optional<std::uint32_t> target = world_.find(to);
  if (target) world_.network_.send(machine_.index, *target, std::move(parcel));
}

void World::LifePorts::submit(io::DiskRequest request) {
  if (swallowed()) return;
  world_.submit(machine_, std::move(request));
  if (disk_left_ == kUnlimited) [[likely]]
    return;
  if (disk_left_ == 0) {
    dead_ = true;
  } else {
    --disk_left_;
  }
}

void World::LifePorts::reply(io::CallId call, io::Parcel body) {
  if (!swallowed()) world_.network_.reply(machine_.index, call, std::move(body));
}

void World::LifePorts::call(io::NodeId to, io::CallId call, io::Parcel body) {
  if (swallowed()) return;
  const std::optional<std::uint32_t> target = world_.find(to);
  if (target) world_.network_.call(machine_.index, *target, call, std::move(body));
}

void World::LifePorts::cancel(io::CallId call) {
  if (!swallowed()) world_.network_.cancel(machine_.index, call);
}

// ---- machines ---------------------------------------------------------------------------------------------

World::World(const WorldOptions& options)
    : options_(options),
      decisions_(options.seed, options.missing, options.neutral),
      network_(*this, options.network) {}

World::~World() {
  // Hosts go first, with dead ports: their destructors may still try to send.
  for (const std::unique_ptr<Machine>& machine : machines_) {
    if (machine->ports) machine->ports->kill();
    machine->host.reset();
  }
}

void World::add(MachineOptions options) {
  REEL_CHECK(options.id.value > 0 && options.id.value <= kNodeIdMax && machines_.size() < kMachinesMax);
  REEL_CHECK(!find(options.id) && options.factory);
  const auto index = static_cast<std::uint32_t>(machines_.size());
  if (index_by_id_.size() <= options.id.value) index_by_id_.resize(options.id.value + 1);
  index_by_id_[options.id.value] = index + 1;
  machines_.push_back(std::make_unique<Machine>(options, index, options.disk.value_or(options_.disk), *this));
  network_.add_machine();
}

std::optional<std::uint32_t> World::find(io::NodeId id) const {
  if (id.value >= index_by_id_.size() || index_by_id_[id.value] == 0) return std::nullopt;
  return index_by_id_[id.value] - 1;
}

std::uint32_t World::index_of(io::NodeId id) const {
  const std::optional<std::uint32_t> index = find(id);
  REEL_CHECK(index.has_value() && "no machine of this id");
  return *index;
}

void World::boot(io::NodeId id, io::Duration after) {
  Machine& booted = machine(id);
  if (booted.running || booted.boot_due) return;
  booted.boot_due = true;
  const EventSlot slot = queue_.make();
  Event& event = queue_[slot];
  event.kind = EventKind::boot;
  event.machine = booted.index;
  event.a = ++booted.boot_ticket;
  schedule(now_ + after, {Choice::tie, 1, booted.index, booted.boot_ticket}, slot);
}

void World::boot_all() {
  for (const std::unique_ptr<Machine>& machine : machines_) boot(machine->id);
}

void World::cancel_boot(io::NodeId id) {
  Machine& cancelled = machine(id);
  cancelled.boot_due = false;
  ++cancelled.boot_ticket;
}

void World::crash(io::NodeId id, const CrashOrder& order) {
  Machine& crashed = machine(id);
  if (!crashed.running) return;
  if (in_step_ == &crashed) {
    crashed.ports->kill();
    crashed.dying = order;
    return;
  }
  die(crashed, order);
}

void World::crash_within(io::NodeId id, std::uint32_t effects, const CrashOrder& order) {
  Machine& crashed = machine(id);
  if (!crashed.running || crashed.ports->dead()) return;
  crashed.dying = order;
  crashed.ports->allow_effects(effects);
}

void World::crash_on_disk(io::NodeId id, std::uint32_t operations, const CrashOrder& order) {
  Machine& crashed = machine(id);
  if (!crashed.running || crashed.ports->dead()) return;
  crashed.dying = order;
  crashed.ports->allow_disk(operations);
}

void World::disarm(io::NodeId id) {
  Machine& spared = machine(id);
  spared.next_life.reset();
  if (!spared.dying || spared.ports->dead()) return;
  spared.dying.reset();
  spared.ports->allow_effects(LifePorts::kUnlimited);
  spared.ports->allow_disk(LifePorts::kUnlimited);
}

void World::power_loss(MachineRole role, const CrashOrder& order) {
  for (const std::unique_ptr<Machine>& machine : machines_) {
    if (machine->role == role) crash(machine->id, order);
  }
}

void World::die(Machine& machine, const CrashOrder& order) {
  machine.ports->kill();
  machine.running = false;
  machine.paused = false;
  machine.dying.reset();
  machine.next_life.reset();
  machine.alarm = io::kNever;
  machine.wake_queued = io::kNever;
  ++machine.wake_ticket;
  ++machine.crashes;
  for (const EventSlot slot : machine.inbox) {
    network_.discard(queue_[slot]);
    queue_.recycle(slot);
  }
  machine.inbox.clear();
  network_.on_crash(machine.index);
  machine.disk.crash(order.disk);
  machine.host.reset();
  if (order.cause) counters_.fire(*order.cause);
  ++events_;
  record(EventKind::crash, machine.id, digest_of(order));
  if (!order.restart_after) return;
  if (order.loops > 0) {
    machine.next_life = order;
    --machine.next_life->loops;
  }
  boot(machine.id, *order.restart_after);
}

void World::pause(io::NodeId id) {
  Machine& stopped = machine(id);
  if (!stopped.running || stopped.paused) return;
  stopped.paused = true;
  ++events_;
  record(EventKind::pause, id, stopped.life);
}

void World::resume(io::NodeId id) {
  Machine& resumed = machine(id);
  if (!resumed.running || !resumed.paused) return;
  resumed.paused = false;
  record(EventKind::resume, id, resumed.inbox.size());
  // Tie 0 keeps the order of arrival.
  for (const EventSlot slot : resumed.inbox) queue_.schedule(now_, 0, slot);
  resumed.inbox.clear();
}

bool World::running(io::NodeId id) const { return machine(id).running; }
bool World::paused(io::NodeId id) const { return machine(id).paused; }
std::uint32_t World::life(io::NodeId id) const { return machine(id).life; }
io::Host* World::host(io::NodeId id) { return machine(id).host.get(); }
Disk& World::disk(io::NodeId id) { return machine(id).disk; }
io::NodeId World::id_of(std::uint32_t index) const { return machines_[index]->id; }
bool World::up(std::uint32_t index) const { return machines_[index]->running; }
std::uint32_t World::life_at(std::uint32_t index) const { return machines_[index]->life; }
io::Rights World::rights_at(std::uint32_t index) const { return machines_[index]->rights; }

std::vector<io::NodeId> World::machines(MachineRole role) const {
  std::vector<io::NodeId> ids;
  for (const std::unique_ptr<Machine>& machine : machines_) {
    if (machine->role == role) ids.push_back(machine->id);
  }
  return ids;
}

// ---- clocks -----------------------------------------------------------------------------------------------

// Rounded down, so it never runs ahead of the promised drift.
io::Instant World::local_time(const ClockOptions& clock, io::Instant world) {
  __extension__ using Wide = __int128;
  std::int64_t drifted = 0;
  if (clock.drift_ppb != 0) {
    drifted = static_cast<std::int64_t>(static_cast<Wide>(world.ns) * clock.drift_ppb / 1'000'000'000);
  }
  return io::Instant{world.ns + drifted + clock.monotonic_offset_ns};
}

// The earliest world time at which the machine's clock has reached `local`.
io::Instant World::world_time(const ClockOptions& clock, io::Instant local) {
  __extension__ using Wide = __int128;
  const std::int64_t elapsed = local.ns - clock.monotonic_offset_ns;
  if (clock.drift_ppb == 0) return io::Instant{elapsed};
  const Wide rate = 1'000'000'000 + clock.drift_ppb;
  io::Instant world{static_cast<std::int64_t>(static_cast<Wide>(elapsed) * 1'000'000'000 / rate)};
  constexpr int kRoundingStepsMax = 4;
  for (int i = 0; i < kRoundingStepsMax && local_time(clock, world) < local; ++i) ++world.ns;
  return world;
}

io::Now World::now_at(io::NodeId id) const {
  const ClockOptions& clock = machine(id).clock;
  const io::Instant local = local_time(clock, now_);
  const std::int64_t since_start = local.ns - clock.monotonic_offset_ns;
  return {local, io::WallTime{options_.wall_epoch_ns + since_start + clock.wall_offset_ns}, clock.wall_error};
}

void World::wake_at(Machine& machine, io::Instant local) {
  if (machine.alarm == local) return;
  machine.alarm = local;
  if (local == io::kNever) return;
  // A wake that is queued for no later than this will look at the alarm then.
  if (machine.wake_queued <= world_time(machine.clock, local)) return;
  queue_wake(machine);
}

void World::queue_wake(Machine& machine) {
  const ChoiceKey key{Choice::wake_late, 0, machine.index, machine.wakes++};
  const auto mean = static_cast<std::uint64_t>(machine.clock.wake_late_mean.ns);
  const auto late = static_cast<std::int64_t>(decisions_.exponential(key, mean));
  // At least a nanosecond, so that a host which always asks for "now" cannot stop time.
  const io::Instant due = std::max(world_time(machine.clock, machine.alarm), now_ + io::nanoseconds(1));
  machine.wake_queued = due + io::nanoseconds(late);
  const EventSlot slot = queue_.make();
  Event& event = queue_[slot];
  event.kind = EventKind::wake;
  event.machine = machine.index;
  event.life = machine.life;
  event.a = ++machine.wake_ticket;
  schedule(machine.wake_queued, {Choice::tie, 2, machine.index, key.counter}, slot);
}

void World::submit(Machine& machine, io::DiskRequest request) {
  const Disk::Submitted submitted = machine.disk.submit(std::move(request), now_);
  fold(submitted.digest);
  const EventSlot slot = queue_.make();
  Event& event = queue_[slot];
  event.kind = EventKind::disk;
  event.machine = machine.index;
  event.life = machine.life;
  event.a = submitted.slot;
  schedule(submitted.done, {Choice::tie, 3, machine.index, machine.disk_events++}, slot);
}

std::vector<World::UnderWay> World::under_way(io::NodeId to) const {
  const Machine& receiver = machine(to);
  std::vector<UnderWay> found;
  queue_.visit([&](io::Instant time, const Event& event) {
    if (event.kind == EventKind::control || event.machine != receiver.index) return;
    const bool boot = event.kind == EventKind::boot;
    if (boot ? !receiver.boot_due || event.a != receiver.boot_ticket : event.life != receiver.life) return;
    if (event.kind == EventKind::wake && event.a != receiver.wake_ticket) return;
    const bool travels = !boot && event.kind != EventKind::wake && event.kind != EventKind::disk;
    found.push_back({time, event.kind, travels ? id_of(event.peer) : io::NodeId(), event.parcel});
  });
  std::sort(found.begin(), found.end(), [](const UnderWay& a, const UnderWay& b) {
    return std::tuple(a.time.ns, a.kind, a.peer.value, a.parcel.digest()) <
           std::tuple(b.time.ns, b.kind, b.peer.value, b.parcel.digest());
  });
  return found;
}

// ---- running ----------------------------------------------------------------------------------------------

World::Running::Running(World& world) : outermost_(!world.inside_), world_(world) {
  if (!outermost_) return;
  world_.inside_ = true;
  world_.outer_hook_ = io::set_assertion_hook(&throw_assertion);
  guard_.emplace();
}

World::Running::~Running() {
  if (!outermost_) return;
  guard_.reset();
  io::set_assertion_hook(world_.outer_hook_);
  world_.inside_ = false;
}

bool World::step() {
  const Running running(*this);
  if (failed() || queue_.empty()) return false;
  step_inside();
  return !failed();
}

void World::run_until(io::Instant time) {
  const Running running(*this);
  while (!failed() && queue_.next_time() <= time) step_inside();
  if (!failed() && now_ < time) now_ = time;
}

void World::step_inside() {
  io::Instant time;
  const EventSlot slot = queue_.pop(&time);
  REEL_CHECK(time >= now_);
  now_ = time;
  try {
    dispatch(slot);
  } catch (const AssertionFailure& failure) {
    in_step_ = nullptr;
    const std::string where = std::string(failure.file) + ":" + std::to_string(failure.line);
    fail("assertion", failure.text + " " + failure.file,
         "assertion failed: " + failure.text + " (" + where + ")");
  } catch (const std::exception& exception) {
    in_step_ = nullptr;
    fail("exception", exception.what(), std::string("an exception left a host: ") + exception.what());
  }
}

void World::dispatch(EventSlot slot) {
  const Event& event = queue_[slot];
  if (event.kind == EventKind::control && event.flags == kReleasesLink) {
    const std::uint32_t from = event.peer;
    const std::uint32_t to = event.machine;
    queue_.recycle(slot);
    network_.release(from, to);
    return;
  }
  if (event.kind == EventKind::control) {
    const auto index = static_cast<std::uint32_t>(event.a);
    queue_.recycle(slot);
    run_control(index);
    return;
  }
  Machine& machine = *machines_[event.machine];
  if (machine.paused && event.kind != EventKind::boot && event.life == machine.life) {
    machine.inbox.push_back(slot);
    return;
  }
  dispatch_to(machine, slot);
}

void World::dispatch_to(Machine& machine, EventSlot slot) {
  const Event& event = queue_[slot];
  bool kept = false;
  switch (event.kind) {
    case EventKind::boot: deliver_boot(machine, event); break;
    case EventKind::wake: deliver_wake(machine, event); break;
    case EventKind::disk: kept = deliver_disk(machine, slot); break;
    default: network_.deliver(slot, &kept);
  }
  if (!kept) queue_.recycle(slot);
}

void World::run_control(std::uint32_t index) {
  const std::function<void()> function = std::exchange(controls_[index], nullptr);
  free_controls_.push_back(index);
  fold(static_cast<std::uint64_t>(EventKind::control));
  function();
}

void World::at(io::Instant time, std::function<void()> function) {
  REEL_CHECK(time >= now_ && function);
  if (free_controls_.empty()) {
    free_controls_.push_back(static_cast<std::uint32_t>(controls_.size()));
    controls_.emplace_back();
  }
  const std::uint32_t index = free_controls_.back();
  free_controls_.pop_back();
  controls_[index] = std::move(function);
  const EventSlot slot = queue_.make();
  Event& event = queue_[slot];
  event.kind = EventKind::control;
  event.a = index;
  // Tie 0: functions of one instant run in the order in which they were planned, before everything else.
  queue_.schedule(time, 0, slot);
}

void World::deliver_boot(Machine& machine, const Event& event) {
  if (!machine.boot_due || machine.boot_ticket != event.a || machine.running) return;
  machine.boot_due = false;
  ++machine.life;
  machine.running = true;
  machine.ports = std::make_unique<LifePorts>(*this, machine);
  if (machine.next_life) {
    constexpr std::uint64_t kEffectsMean = 12;  // recovery is some dozens of reads and writes
    const ChoiceKey key{Choice::crash_point, 0, machine.index, machine.life};
    const std::uint64_t effects = decisions_.exponential(key, kEffectsMean);
    machine.dying = std::exchange(machine.next_life, std::nullopt);
    machine.ports->allow_effects(static_cast<std::uint32_t>(effects));
  }
  machine.host = machine.factory(machine.ports->ports());
  REEL_CHECK(machine.host != nullptr);
  enter(machine, EventKind::boot, machine.life, [](io::Host& host) { host.on_start(); });
}

void World::deliver_wake(Machine& machine, const Event& event) {
  if (!machine.running || machine.life != event.life || machine.wake_ticket != event.a) return;
  machine.wake_queued = io::kNever;
  if (machine.alarm == io::kNever) return;
  if (world_time(machine.clock, machine.alarm) > now_) {
    queue_wake(machine);
    return;
  }
  machine.alarm = io::kNever;
  enter(machine, EventKind::wake, 0, [](io::Host& host) { host.on_wake(); });
}

// True if the operation has to wait on: the device hangs.
bool World::deliver_disk(Machine& machine, EventSlot slot) {
  const Event& event = queue_[slot];
  if (!machine.running || machine.life != event.life) return false;
  if (now_ < machine.disk.stalled_until()) {
    if (machine.disk.stall_begins_to_bite()) counters_.fire(FaultKind::disk_stall);
    schedule(machine.disk.stalled_until(), {Choice::tie, 3, machine.index, machine.disk_events++}, slot);
    return true;
  }
  io::DiskResult result = machine.disk.complete(static_cast<std::uint32_t>(event.a));
  enter(machine, EventKind::disk, digest_of(result),
        [&result](io::Host& host) { host.on_disk(std::move(result)); });
  return false;
}

void World::after_step(Machine& machine, EventKind kind, std::uint64_t digest) {
  tell(kind, machine.id, digest);
  if (machine.dying && machine.ports->dead()) {
    const CrashOrder order = *machine.dying;
    die(machine, order);
  }
}

void World::fold_event(EventKind kind, io::NodeId machine, std::uint64_t digest) {
  chain_.add(static_cast<std::uint64_t>(now_.ns));
  chain_.add((machine.value << 8) | static_cast<std::uint64_t>(kind));
  chain_.add(digest);
}

void World::tell(EventKind kind, io::NodeId machine, std::uint64_t digest) {
  if (observers_.empty()) return;
  const EventRecord record{now_, machine, kind, digest, chain_.value()};
  for (Observer* const observer : observers_) observer->on_event(record);
}

std::uint64_t fault_digest(FaultKind kind, std::uint64_t detail) {
  return io::Hasher().add(static_cast<std::uint64_t>(kind)).add(detail).value();
}

void World::record_fault(FaultKind kind, io::NodeId machine, std::uint64_t detail) {
  record(EventKind::fault, machine, fault_digest(kind, detail));
}

void World::remove_observer(Observer* observer) { std::erase(observers_, observer); }

void World::fail(std::string oracle, std::string signature, std::string text) {
  if (failure_) return;
  failure_ = Failure{std::move(oracle), std::move(signature), std::move(text), now_, events_};
}

}  // namespace reel::sim
