// What a world knows of one machine, and the ports that one life of its process holds. Internal to the world
// and its network.
#pragma once

#include <memory>
#include <vector>

#include "sim/world.h"

namespace reel::sim {

// The ports of one life. They are dead from the instant of a crash: calls are swallowed. Effects are counted,
// so that a crash can come between two of them.
class World::LifePorts final : public io::Clock,
                               public io::Network,
                               public io::Disk,
                               public io::Service,
                               public io::Remote {
 public:
  LifePorts(World& world, Machine& machine) : world_(world), machine_(machine) {}

  io::Now now() const override;
  void wake_at(io::Instant time) override;
  void send(io::NodeId to, io::Parcel parcel) override;
  void submit(io::DiskRequest request) override;
  void reply(io::CallId call, io::Parcel body) override;
  void call(io::NodeId to, io::CallId call, io::Parcel body) override;
  void cancel(io::CallId call) override;

  io::Ports& ports() { return ports_; }
  void kill() { dead_ = true; }
  bool dead() const { return dead_; }
  static constexpr std::uint32_t kUnlimited = UINT32_MAX;
  void allow_effects(std::uint32_t count) { effects_left_ = count; }
  void allow_disk(std::uint32_t count) { disk_left_ = count; }

 private:
  // True if this effect does not happen.
  bool swallowed() {
    if (dead_) return true;
    if (effects_left_ == kUnlimited) [[likely]]
      return false;
    if (effects_left_ == 0) {
      dead_ = true;
      return true;
    }
    --effects_left_;
    return false;
  }

  World& world_;
  Machine& machine_;
  bool dead_ = false;
  std::uint32_t effects_left_ = kUnlimited;
  std::uint32_t disk_left_ = kUnlimited;
  io::Ports ports_{*this, *this, *this, *this, *this};
};

struct World::Machine {
  Machine(const MachineOptions& options, std::uint32_t at, const DiskOptions& disk_options, World& world)
      : id(options.id),
        index(at),
        role(options.role),
        rights(options.rights),
        factory(options.factory),
        clock(options.clock),
        disk(disk_options, world.decisions_, world.counters_, at) {}

  io::NodeId id;
  std::uint32_t index;
  MachineRole role;
  io::Rights rights;
  HostFactory factory;
  ClockOptions clock;
  Disk disk;

  std::unique_ptr<LifePorts> ports;  // before the host: it is destroyed after it
  std::unique_ptr<io::Host> host;
  std::uint32_t life = 0;
  bool running = false;
  bool paused = false;
  bool boot_due = false;
  std::uint32_t boot_ticket = 0;        // of the boot that is due; older ones are void
  std::optional<CrashOrder> dying;      // happens at the end of the step in which the ports died
  std::optional<CrashOrder> next_life;  // this life ended in a crash loop: how the next one will
  std::vector<EventSlot> inbox;         // of a paused machine

  io::Instant alarm = io::kNever;        // asked for, in the machine's time
  io::Instant wake_queued = io::kNever;  // in world time; at most one wake is valid
  std::uint32_t wake_ticket = 0;
  std::uint64_t wakes = 0;        // counts draws
  std::uint64_t disk_events = 0;  // counts draws
  std::uint64_t crashes = 0;
};

// Runs at most one level deep: a host is never entered from within a host.
template <class Step>
void World::enter(Machine& machine, EventKind kind, std::uint64_t digest, Step&& step) {
  REEL_CHECK(in_step_ == nullptr && machine.host != nullptr);
  ++events_;
  fold_event(kind, machine.id, digest);
  in_step_ = &machine;
  step(*machine.host);
  in_step_ = nullptr;
  after_step(machine, kind, digest);
}

}  // namespace reel::sim
