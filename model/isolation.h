// The phenomena that a transactional history can show, by their standard names (Adya, "Weak Consistency", MIT 1999; Kingsbury
// and Alvaro, "Elle", VLDB 2020), and the isolation models that forbid them.
//
// A cycle of dependencies has a class and a level. The class says which dependencies it is made of: ww (a version and the
// next), wr (a version and who read it), rw (who read a version and who overwrote it). The level says whether it also needs
// the order of a process or of real time to be closed: the same class is worse without.
#pragma once

#include <array>
#include <cstdint>

namespace reel::model {

enum class Anomaly : std::uint8_t {
  // Cycles, each at three levels in this order: plain, -process, -realtime.
  g0,                 // only ww: dirty write
  g1c = 3,            // ww and wr: circular information flow
  g_single = 6,       // exactly one rw: read skew
  g_nonadjacent = 9,  // several rw, no two of them adjacent
  g2_item = 12,       // any other with rw: write skew
  // No cycles.
  g1a = 15,            // an aborted write was read
  g1b,                 // a write was read that its transaction had overwritten itself
  internal,            // a read contradicts what the same transaction read or wrote before
  future_read,         // a read shows what the same transaction writes only later
  dirty_update,        // a committed append stands on top of an aborted one
  duplicate_elements,  // one append is in a list twice
  incompatible_order,  // two reads of a list, neither of which is the beginning of the other
  garbage_read,        // a read shows what nobody wrote
  lost_update,         // two transactions read the same version, and both wrote on top of it
};
inline constexpr std::size_t kAnomalies = 24;
[[nodiscard]] const char* name_of(Anomaly anomaly);

// What a cycle needs to be closed, beside dependencies.
enum class Level : std::uint8_t { plain, process, realtime };
// `cycle`: at its plain level.
[[nodiscard]] constexpr Anomaly at_level(Anomaly cycle, Level level) {
  return static_cast<Anomaly>(static_cast<std::uint8_t>(cycle) + static_cast<std::uint8_t>(level));
}

// A set of anomalies.
using Anomalies = std::uint32_t;
[[nodiscard]] constexpr Anomalies set_of(Anomaly anomaly) {
  return Anomalies{1} << static_cast<std::uint8_t>(anomaly);
}

// Only models whose every phenomenon is looked for. Weaker ones stand before stronger ones.
enum class Isolation : std::uint8_t {
  read_uncommitted,                   // PL-1
  read_committed,                     // PL-2
  cursor_stability,                   // PL-CS
  consistent_view,                    // PL-2+
  repeatable_read,                    // PL-2.99
  snapshot_isolation,                 // PL-SI, from any earlier snapshot
  serializable,                       // PL-3
  strong_session_snapshot_isolation,  // and in the order of each process
  strong_session_serializable,        // likewise
  strong_snapshot_isolation,          // and in the order of real time
  strict_serializable,                // PL-SS: likewise
};
inline constexpr std::size_t kIsolations = 11;
[[nodiscard]] const char* name_of(Isolation model);
// Everything that the model forbids, what weaker models forbid included: a model is weaker if it forbids a part.
[[nodiscard]] Anomalies forbidden_by(Isolation model);

}  // namespace reel::model
