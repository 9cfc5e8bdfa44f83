// The stable names of the faults that this simulator injects (faults.md), and their three counters. armed: a
// program of this kind is part of the run. fired: it changed what would have happened. noticed: the code
// under test took a branch that it would not have taken otherwise; counted by the harness, never by the
// injector.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace reel::sim {

// Values are part of the trace format: append, never renumber.
enum class FaultKind : std::uint8_t {
  net_delay,
  net_drop,
  net_duplicate,
  net_reorder,
  net_clog,
  net_partition,
  net_partition_oneway,
  net_partition_partial,
  net_isolate,
  net_reset,
  disk_latency,
  disk_stall,
  disk_crash_loss,
  disk_crash_torn,
  disk_crash_durable,
  node_crash,
  node_crash_loop,
  node_restart_all,
  node_pause,
  client_crash,
};
inline constexpr std::size_t kFaultKinds = 20;

// "net.delay" and so on; of static storage.
[[nodiscard]] std::string_view name_of(FaultKind kind);
[[nodiscard]] std::optional<FaultKind> fault_by_name(std::string_view name);

struct FaultCount {
  std::uint64_t armed = 0;
  std::uint64_t fired = 0;
  std::uint64_t noticed = 0;
  bool operator==(const FaultCount&) const = default;
};

class FaultCounters {
 public:
  FaultCount& operator[](FaultKind kind) { return counts_[static_cast<std::size_t>(kind)]; }
  const FaultCount& operator[](FaultKind kind) const { return counts_[static_cast<std::size_t>(kind)]; }
  void arm(FaultKind kind) { ++(*this)[kind].armed; }
  void fire(FaultKind kind) {
    ++(*this)[kind].fired;
    ++fires_;
  }
  void notice(FaultKind kind) { ++(*this)[kind].noticed; }
  // How often fire() was called: a cheap way to see that something happened.
  std::uint64_t fires() const { return fires_; }
  std::uint64_t fired_total() const {
    std::uint64_t total = 0;
    for (const FaultCount& count : counts_) total += count.fired;
    return total;
  }

 private:
  std::array<FaultCount, kFaultKinds> counts_{};
  std::uint64_t fires_ = 0;
};

}  // namespace reel::sim
