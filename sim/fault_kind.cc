#include "sim/fault_kind.h"

namespace reel::sim {
namespace {
constexpr std::array<std::string_view, kFaultKinds> kNames{
    "net.delay",       "net.drop",         "net.duplicate",        "net.reorder",
    "net.clog",        "net.partition",    "net.partition_oneway", "net.partition_partial",
    "net.isolate",     "net.reset",        "disk.latency",         "disk.stall",
    "disk.crash_loss", "disk.crash_torn",  "disk.crash_durable",   "node.crash",
    "node.crash_loop", "node.restart_all", "node.pause",           "client.crash",
};
static_assert(static_cast<std::size_t>(FaultKind::client_crash) + 1 == kFaultKinds);
}  // namespace

std::string_view name_of(FaultKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < kFaultKinds ? kNames[index] : std::string_view("?");
}

std::optional<FaultKind> fault_by_name(std::string_view name) {
  for (std::size_t i = 0; i < kFaultKinds; ++i) {
    if (kNames[i] == name) return static_cast<FaultKind>(i);
  }
  return std::nullopt;
}

}  // namespace reel::sim
