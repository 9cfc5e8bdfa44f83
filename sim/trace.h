// World traces: seed, options, edited decisions, and for every event a few bytes by which another run can be
// held against it. A trace does not contain the world; it is enough to make the same one again and to prove
// that it is the same, up to the first event that differs.
//
// Layout, little-endian; a varint has 7 bits per byte, low ones first, at most 10 bytes:
//
//   0   8  "REELTRC1"
//   8   4  format version, 1
//   12  4  length H of the header
//   16  H  header:  seed varint · build id string · number of options varint, each key string, value string
//          a string is its length as a varint and its bytes; keys rise
//   +   8  length of the body before compression
//   +   8  length C of the body
//   +   C  body, zstd:
//          overrides: number, each kind byte, place, node, counter, value varints
//          records: number of those not kept before the first one, number kept; then in columns, one after the other:
//            time since the previous record (ns, varint) · machine id (varint) · kind (byte) · content (byte) ·
//            chain (2 bytes)
//          end: final chain 8 bytes · counted events varint · end of the run (ns, varint)
//          failure: 0, or 1 and oracle, signature and text strings
//          marks: number, each string: what a replay must reach, or the trace has stopped testing what it was kept for
//   +   8  XXH3-64 of everything before
//
// Reading is bounded and checked: the bytes may come from a stranger.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/decisions.h"
#include "sim/event.h"
#include "sim/world.h"

namespace reel::sim {

inline constexpr std::uint32_t kTraceVersion = 1;

struct TraceRecord {
  io::Instant time;
  std::uint32_t machine = 0;  // node id; 0: the world
  EventKind kind{};
  std::uint8_t content = 0;  // low bits of the digest of what was delivered
  std::uint16_t chain = 0;   // low bits of the chain after the event and its effects
  bool operator==(const TraceRecord&) const = default;
};
[[nodiscard]] TraceRecord abridge(const EventRecord& record);
// One line for people.
[[nodiscard]] std::string describe(const TraceRecord& record);

struct TraceFailure {
  std::string oracle;
  std::string signature;
  std::string text;
  bool operator==(const TraceFailure&) const = default;
};

struct Trace {
  std::uint64_t seed = 0;
  std::string build;                           // what made it; for people
  std::map<std::string, std::string> options;  // whatever the harness needs to make the same world
  std::vector<Override> overrides;
  std::uint64_t skipped = 0;  // records before the first one that is kept
  std::vector<TraceRecord> records;
  std::uint64_t chain = 0;  // at the end
  std::uint64_t events = 0;
  io::Instant end;
  std::optional<TraceFailure> failure;
  std::vector<std::string> marks;
  bool operator==(const Trace&) const = default;
};

[[nodiscard]] std::vector<std::byte> encode_trace(const Trace& trace);
[[nodiscard]] std::expected<Trace, std::string> decode_trace(std::span<const std::byte> bytes);

// Keeps the records of a world from its construction on, all of them or the last ones.
class Recorder final : public Observer {
 public:
  // records_max 0: all (about 16 bytes each in memory). Attached until it is destroyed; the world outlives
  // it.
  explicit Recorder(World& world, std::size_t records_max = 0);
  ~Recorder() override;
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  void on_event(const EventRecord& record) override;
  // What was recorded, with the state of the world now. Seed and failure are the world's; build, options,
  // overrides and marks are the caller's to add.
  [[nodiscard]] Trace trace() const;

 private:
  World& world_;
  std::size_t records_max_;
  std::uint64_t seen_ = 0;
  std::vector<TraceRecord> records_;  // a ring if records_max_ is not 0
};

struct Divergence {
  std::uint64_t index = 0;              // of the record, from the start of the run
  std::optional<TraceRecord> recorded;  // absent: the live run has more
  std::optional<TraceRecord> live;      // absent: it has less
  std::string text;
};

// Holds a live world against a trace. The first event that differs fails the world ("replay"), so the run
// stops there.
class Replayer final : public Observer {
 public:
  Replayer(World& world, const Trace& trace);
  ~Replayer() override;
  Replayer(const Replayer&) = delete;
  Replayer& operator=(const Replayer&) = delete;

  void on_event(const EventRecord& record) override;
  // After the run: is it all there, with the same final chain and the same failure? Failures that the trace
  // expects and the run shows are not divergences.
  [[nodiscard]] const std::optional<Divergence>& finish();
  const std::optional<Divergence>& divergence() const { return divergence_; }

 private:
  void diverge(std::optional<TraceRecord> recorded, std::optional<TraceRecord> live, std::string why);

  World& world_;
  const Trace& trace_;
  std::uint64_t next_ = 0;
  std::optional<Divergence> divergence_;
};

}  // namespace reel::sim
