// A seeded world: machines that run any io::Host, a network and disks between them, and one queue of events.
// The same seed and options give the same chain of events, bit for bit, under every compiler. Idle time is
// skipped. A world is used by one thread; many worlds may run at once on different threads.
//
// Time is the world's own, from 0. A machine sees it through its clock. A host runs in zero time: what it
// asks for within one step leaves at that instant.
//
// An *event* is something that a host got: a disk result, a message, a wake, a call, a reply, a boot, a
// crash, a pause. Its record and the effects of its step are folded into chain().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/ports/host.h"
#include "sim/decisions.h"
#include "sim/disk.h"
#include "sim/event.h"
#include "sim/fault_kind.h"
#include "sim/leak_guard.h"
#include "sim/network.h"

namespace reel::sim {

// Runs at each boot of a machine; the ports outlive the host. Must draw from World::decisions() only.
using HostFactory = std::function<std::unique_ptr<io::Host>(io::Ports&)>;

enum class MachineRole : std::uint8_t { node, client };  // which faults may choose it

struct ClockOptions {
  std::int64_t monotonic_offset_ns = 0;                // the machine's monotonic clock at world time 0
  std::int64_t wall_offset_ns = 0;                     // against true time
  std::int64_t drift_ppb = 0;                          // both clocks run fast (+) or slow (-)
  io::Duration wall_error = io::milliseconds(10);      // what the machine believes of its wall clock
  io::Duration wake_late_mean = io::microseconds(20);  // exponential; timers are late, never early
};

struct MachineOptions {
  io::NodeId id{};  // 1 … 65535, unique in the world
  MachineRole role = MachineRole::node;
  HostFactory factory{};
  ClockOptions clock{};
  std::optional<DiskOptions> disk{};                          // the world's if absent
  io::Rights rights = io::Rights::read | io::Rights::append;  // of the calls that it makes
};

struct WorldOptions {
  std::uint64_t seed = 1;
  NetworkOptions network{};
  DiskOptions disk{};
  std::int64_t wall_epoch_ns = 1'700'000'000'000'000'000;  // true wall time at world time 0
  Decisions::Missing missing = Decisions::Missing::seeded;
  ChoiceSet neutral{};  // kinds of choices that are neutral in any case
};

struct CrashOrder {
  DiskCrash disk{};
  std::optional<io::Duration> restart_after{};  // absent: stays down
  std::optional<FaultKind> cause{};             // counted as fired when it happens
  // How many more times it crashes in the lives that follow, each within some effects of its boot.
  std::uint32_t loops = 0;
};

// What the chain and the observers learn when a program starts, strikes or ends.
[[nodiscard]] std::uint64_t fault_digest(FaultKind kind, std::uint64_t detail);

// Why a run is over. A signature names the failure without numbers that differ between runs, so that a
// shrinker can tell two bugs apart.
struct Failure {
  std::string oracle;  // who says so: "assertion", "wire", or the harness's own
  std::string signature;
  std::string text;
  io::Instant time;
  std::uint64_t events = 0;
};

class World {
 public:
  explicit World(const WorldOptions& options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Machines. They are down until booted. At most 4,096. ----------------------------------------------------
  void add(MachineOptions options);
  void boot(io::NodeId id,
            io::Duration after = {});  // of a machine that is down; a boot that is already due stands
  void boot_all();
  // Memory is gone at once; the host is destroyed with dead ports. From within a step of this very host, its
  // further effects are swallowed and the host is destroyed when the step returns.
  void crash(io::NodeId id, const CrashOrder& order);
  // Crashes in the middle of a step: after `effects` more effects of this life.
  void crash_within(io::NodeId id, std::uint32_t effects, const CrashOrder& order);
  // Crashes right after the disk request that follows `operations` more of this life, with that request in flight.
  void crash_on_disk(io::NodeId id, std::uint32_t operations, const CrashOrder& order);
  // Crashes that were ordered and have not happened yet do not happen; no more loops.
  void disarm(io::NodeId id);
  // Every machine of this role that runs, at one instant.
  void power_loss(MachineRole role, const CrashOrder& order);
  // A boot that is due does not happen.
  void cancel_boot(io::NodeId id);
  // Runs nothing until resume(); what arrives waits and is delivered then, in order. Clocks go on.
  void pause(io::NodeId id);
  void resume(io::NodeId id);

  bool running(io::NodeId id) const;  // has a host, paused or not
  bool paused(io::NodeId id) const;
  std::uint32_t life(io::NodeId id) const;  // how often it was booted
  io::Host* host(io::NodeId id);            // nullptr when down
  Disk& disk(io::NodeId id);
  std::vector<io::NodeId> machines(MachineRole role) const;  // in order of add()
  [[nodiscard]] io::Now now_at(io::NodeId id) const;         // what its clock says

  // Running. Each returns when the world has failed, too. ---------------------------------------------------
  bool step();                       // one queue entry; false: nothing left, or failed
  void run_until(io::Instant time);  // everything due by then; time() is `time` afterwards
  void run_for(io::Duration span) { run_until(time() + span); }
  // While keep_going() holds after each event, at most until `limit`. True if it ended because keep_going()
  // did not hold.
  template <class Predicate>
  bool run_while(Predicate&& keep_going, io::Instant limit) {
    const Running running(*this);
    while (!failed() && queue_.next_time() <= limit) {
      if (!keep_going()) return true;
      step_inside();
    }
    if (!failed() && limit != io::kNever && now_ < limit) now_ = limit;
    return !failed() && !keep_going();
  }
  // Runs `function` at that time, outside of every host; not counted as an event.
  void at(io::Instant time, std::function<void()> function);
  void after(io::Duration span, std::function<void()> function) { at(time() + span, std::move(function)); }

  io::Instant time() const { return now_; }
  std::uint64_t chain() const { return chain_.value(); }
  std::uint64_t events() const { return events_; }
  std::size_t pending() const { return queue_.size(); }
  // What is under way to a machine, by time and then by kind and peer; without what its present life will not get, and
  // what a clog or a pause holds back. For people.
  struct UnderWay {
    io::Instant time;
    EventKind kind{};
    io::NodeId peer;    // of what came over the network; else 0
    io::Parcel parcel;  // likewise
  };
  [[nodiscard]] std::vector<UnderWay> under_way(io::NodeId to) const;
  io::Instant next_time() const { return queue_.next_time(); }  // of what is queued; kNever: nothing

  // Failing. The first failure stands. ----------------------------------------------------------------------
  void fail(std::string oracle, std::string signature, std::string text);
  bool failed() const { return failure_.has_value(); }
  const std::optional<Failure>& failure() const { return failure_; }

  // Puts something of the harness's own into the chain and before the observers.
  void note(io::NodeId machine, std::uint64_t digest) { record(EventKind::note, machine, digest); }
  void add_observer(Observer* observer) { observers_.push_back(observer); }
  void remove_observer(Observer* observer);

  Decisions& decisions() { return decisions_; }
  FaultCounters& counters() { return counters_; }
  Network& network() { return network_; }
  const WorldOptions& options() const { return options_; }
  // Dense index of a machine, in order of add().
  std::uint32_t index_of(io::NodeId id) const;
  io::NodeId id_of(std::uint32_t index) const;

  // For fault programs: the chain and the observers learn that a program started, struck or ended.
  void record_fault(FaultKind kind, io::NodeId machine, std::uint64_t detail);

 private:
  friend class Network;
  class LifePorts;
  struct Machine;
  // While it lives, assertions of simulated code become failures of this world, and the leak guard is on.
  class Running {
   public:
    explicit Running(World& world);
    ~Running();

   private:
    bool outermost_;
    World& world_;
    std::optional<LeakGuard> guard_;
  };

  Machine& machine(io::NodeId id) { return *machines_[index_of(id)]; }
  const Machine& machine(io::NodeId id) const { return *machines_[index_of(id)]; }

  // Event::flags of a control event: it is not a function of the harness, but the end of a clog.
  static constexpr std::uint8_t kReleasesLink = 1;

  void step_inside();
  void dispatch(EventSlot slot);
  void dispatch_to(Machine& machine, EventSlot slot);
  void run_control(std::uint32_t index);
  void deliver_boot(Machine& machine, const Event& event);
  void deliver_wake(Machine& machine, const Event& event);
  bool deliver_disk(Machine& machine, EventSlot slot);
  // Runs host code as one event: the record enters the chain before, the observers hear after. A crash that
  // is due within the step happens at its end.
  template <class Step>
  void enter(Machine& machine, EventKind kind, std::uint64_t digest, Step&& step);
  void after_step(Machine& machine, EventKind kind, std::uint64_t digest);
  void die(Machine& machine, const CrashOrder& order);
  void fold_event(EventKind kind, io::NodeId machine, std::uint64_t digest);
  void tell(EventKind kind, io::NodeId machine, std::uint64_t digest);
  void record(EventKind kind, io::NodeId machine, std::uint64_t digest) {
    fold_event(kind, machine, digest);
    tell(kind, machine, digest);
  }

  void wake_at(Machine& machine, io::Instant local);
  void queue_wake(Machine& machine);
  void submit(Machine& machine, io::DiskRequest request);
  static io::Instant local_time(const ClockOptions& clock, io::Instant world);
  static io::Instant world_time(const ClockOptions& clock, io::Instant local);
  std::optional<std::uint32_t> find(io::NodeId id) const;

  // For the network.
  Machine& at_index(std::uint32_t index) { return *machines_[index]; }
  bool up(std::uint32_t index) const;
  std::uint32_t life_at(std::uint32_t index) const;
  io::Rights rights_at(std::uint32_t index) const;
  void schedule(io::Instant time, ChoiceKey tie, EventSlot slot) {
    queue_.schedule(time, decisions_.below(tie, 1u << 24), slot);
  }
  void fold(std::uint64_t word) { chain_.add(word); }

  WorldOptions options_;
  Decisions decisions_;
  FaultCounters counters_;
  EventQueue queue_;
  Network network_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<std::uint32_t> index_by_id_;  // 0: none, else index + 1
  std::vector<std::function<void()>> controls_;
  std::vector<std::uint32_t> free_controls_;
  std::vector<Observer*> observers_;
  io::Instant now_;
  io::Hasher chain_;
  std::uint64_t events_ = 0;
  Machine* in_step_ = nullptr;  // whose host runs
  bool inside_ = false;         // a Running lives
  io::AssertionHook outer_hook_ = nullptr;
  std::optional<Failure> failure_;
};

}  // namespace reel::sim
