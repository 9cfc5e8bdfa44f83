// Faults are programs: a kind, targets, a start and an end. A plan is a list of them, drawn by swarm (each
// run has some kinds, and half of them are off), or written by hand. It can be listed, cut down, put into a
// trace and read back. Rare events are scheduled by drawing the time of the next one, never rolled per tick.
//
// Two phases: the programs run; then heal(core) ends every fault on the core at once, and everything outside
// stays as broken as it is, or is broken for good now.
#pragma once

#include <bitset>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/ports/strong.h"
#include "io/ports/time.h"
#include "sim/fault_kind.h"
#include "sim/ledger.h"
#include "sim/world.h"

namespace reel::sim {

struct FaultProgram {
  std::uint32_t id = 0;  // keys its draws; unique in a plan, 1 … 65535, and kept when others are removed
  FaultKind kind{};
  io::Instant start{};
  io::Instant end{};
  // By kind. Partition and one-way partition: the near side; the far side is everybody else, and in a one-way
  // partition the near side is heard by nobody there. Partial partition: pairs that are cut, one after the
  // other. Isolate: those cut off. Otherwise: whose links or which machines; none means all of them.
  std::vector<io::NodeId> targets{};
  std::uint32_t permille = 0;  // drop, duplicate, reorder: share of parcels; delay: share with a long tail
  std::uint32_t count = 0;     // crash_loop: crashes during recovery, at most
  io::Duration mean{};         // delay, disk.latency: added; otherwise: between two strikes
  io::Duration length{};       // mean length of a clog, stall, pause or downtime; delay: mean of the tail
  bool operator==(const FaultProgram&) const = default;
};

using FaultSet = std::bitset<kFaultKinds>;

// "all", "none", or names and groups ("net", "disk", "node", "client") with commas between.
[[nodiscard]] std::expected<FaultSet, std::string> parse_fault_set(std::string_view list);
[[nodiscard]] FaultSet all_faults();

struct PlanOptions {
  FaultSet allowed = all_faults();
  std::vector<io::NodeId> nodes{};
  std::vector<io::NodeId> clients{};
  io::Instant start{};  // of the phase with faults
  io::Instant end{};
  std::uint32_t calm_permille = 50;   // runs without any fault: they find what faults hide
  std::uint32_t kind_permille = 500;  // how likely each kind that is allowed is part of a run
  std::uint32_t intensity = 1;        // so many times as many programs, and strikes so many times as often
};

struct FaultPlan {
  std::vector<FaultProgram> programs;

  [[nodiscard]] static FaultPlan draw(Decisions& decisions, const PlanOptions& options);
  // One program a line; what parse() reads. For reports and traces.
  [[nodiscard]] std::string text() const;
  // Checked and bounded: the text may come from a trace.
  [[nodiscard]] static std::expected<FaultPlan, std::string> parse(std::string_view text);
  // Without the programs of other kinds (`--faults LIST`).
  void keep(const FaultSet& kinds);
  bool operator==(const FaultPlan&) const = default;
};

// Carries a plan out. Outlives every run of the world after start().
class Faults {
 public:
  Faults(World& world, Ledger& ledger, FaultPlan plan);
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  // Arms the programs; once, before the world passes the first start.
  void start();
  // Ends the first phase: every program ends; machines of the core are up, connected and healthy from now on.
  // Of the others, those that are down, paused or cut stay so for ever, and each healthy one meets a drawn
  // end. Clients belong to the core when they are named in it.
  void heal(std::span<const io::NodeId> core);

  bool healed() const { return healed_; }
  const FaultPlan& plan() const { return plan_; }

 private:
  struct State {
    bool active = false;
    std::uint64_t strikes = 0;
  };

  void begin(std::size_t index);
  void end(std::size_t index);
  void plan_strike(std::size_t index);
  void strike(std::size_t index);
  void strike_nodes(const FaultProgram& program, std::uint64_t strike);
  void crash(const FaultProgram& program, std::uint64_t strike, io::NodeId node);
  void restart_all(const FaultProgram& program, std::uint64_t strike);
  void pause(const FaultProgram& program, std::uint64_t strike, io::NodeId node);
  void clog(const FaultProgram& program, std::uint64_t strike);
  void reset(const FaultProgram& program, std::uint64_t strike);

  void apply_links();
  void apply_rates(const FaultProgram& program, std::uint32_t from, std::uint32_t to);
  bool cuts(const FaultProgram& program, io::NodeId from, io::NodeId to) const;
  void break_cut_connections(const FaultProgram& program);
  void apply_disks();
  DiskCrash disk_crash(io::NodeId node, const FaultProgram& program, std::uint64_t strike);
  bool active_on(FaultKind kind, io::NodeId node) const;
  void break_for_good(io::NodeId node);
  void mend(io::NodeId node);

  std::vector<io::NodeId> subjects(const FaultProgram& program) const;
  io::NodeId pick(const FaultProgram& program, std::uint64_t strike, std::span<const io::NodeId> from,
                  std::uint32_t which);
  io::Duration length_of(const FaultProgram& program, std::uint64_t strike, std::uint32_t which);

  World& world_;
  Ledger& ledger_;
  FaultPlan plan_;
  std::vector<State> states_;
  std::vector<io::NodeId> everybody_;
  std::vector<std::pair<io::NodeId, io::NodeId>> cut_for_good_;  // from, to
  bool started_ = false;
  bool healed_ = false;
};

}  // namespace reel::sim
