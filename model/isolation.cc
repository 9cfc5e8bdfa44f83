#include "model/isolation.h"

namespace reel::model {
namespace {

constexpr std::array<const char*, kAnomalies> kAnomalyNames{
    "G0",
    "G0-process",
    "G0-realtime",
    "G1c",
    "G1c-process",
    "G1c-realtime",
    "G-single",
    "G-single-process",
    "G-single-realtime",
    "G-nonadjacent",
    "G-nonadjacent-process",
    "G-nonadjacent-realtime",
    "G2-item",
    "G2-item-process",
    "G2-item-realtime",
    "G1a",
    "G1b",
    "internal",
    "future-read",
    "dirty-update",
    "duplicate-elements",
    "incompatible-order",
    "garbage-read",
    "lost-update",
};

constexpr std::array<const char*, kIsolations> kIsolationNames{
    "read-uncommitted",
    "read-committed",
    "cursor-stability",
    "consistent-view",
    "repeatable-read",
    "snapshot-isolation",
    "serializable",
    "strong-session-snapshot-isolation",
    "strong-session-serializable",
    "strong-snapshot-isolation",
    "strict-serializable",
};

template <class... Each>
constexpr Anomalies all_of(Each... each) {
  return (set_of(each) | ...);
}
// These cycles, at all levels up to this one.
template <class... Each>
constexpr Anomalies up_to(Level level, Each... each) {
  Anomalies all = all_of(each...);
  if (level >= Level::process) all |= all_of(at_level(each, Level::process)...);
  if (level >= Level::realtime) all |= all_of(at_level(each, Level::realtime)...);
  return all;
}

constexpr Anomalies kReadUncommitted =
    all_of(Anomaly::g0, Anomaly::duplicate_elements, Anomaly::garbage_read);
constexpr Anomalies kReadCommitted =
    kReadUncommitted | all_of(Anomaly::g1a, Anomaly::g1b, Anomaly::g1c, Anomaly::dirty_update,
                              Anomaly::incompatible_order, Anomaly::future_read);
constexpr Anomalies kCursorStability = kReadCommitted | all_of(Anomaly::lost_update);

constexpr Anomalies snapshot_isolation(Level level) {
  return kCursorStability | all_of(Anomaly::internal) |
         up_to(level, Anomaly::g0, Anomaly::g1c, Anomaly::g_single, Anomaly::g_nonadjacent);
}
constexpr Anomalies serializable(Level level) {
  return snapshot_isolation(level) | up_to(level, Anomaly::g2_item);
}

}  // namespace

const char* name_of(Anomaly anomaly) { return kAnomalyNames[static_cast<std::size_t>(anomaly)]; }
const char* name_of(Isolation model) { return kIsolationNames[static_cast<std::size_t>(model)]; }

Anomalies forbidden_by(Isolation model) {
  switch (model) {
    case Isolation::read_uncommitted: return kReadUncommitted;
    case Isolation::read_committed: return kReadCommitted;
    case Isolation::cursor_stability: return kCursorStability;
    case Isolation::consistent_view: return kCursorStability | set_of(Anomaly::g_single);
    case Isolation::repeatable_read:
      return kCursorStability | all_of(Anomaly::g_single, Anomaly::g_nonadjacent, Anomaly::g2_item);
    case Isolation::snapshot_isolation: return snapshot_isolation(Level::plain);
    case Isolation::serializable: return serializable(Level::plain);
    case Isolation::strong_session_snapshot_isolation: return snapshot_isolation(Level::process);
    case Isolation::strong_session_serializable: return serializable(Level::process);
    case Isolation::strong_snapshot_isolation: return snapshot_isolation(Level::realtime);
    case Isolation::strict_serializable: return serializable(Level::realtime);
  }
  return 0;
}

}  // namespace reel::model
