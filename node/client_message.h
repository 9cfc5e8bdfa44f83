// Calls from clients and their answers: plain values. One call may carry many transactions; each of them gets its own
// outcome. Encoded by io/wire for the simulator and by io/schema's typed RPC for real clients.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "io/ports/service.h"
#include "io/ports/time.h"
#include "node/types.h"

namespace reel {

// A batch of transactions of one session: `block` holds `count` encoded transaction records, back to back, in the
// layout of node/log/record.h, with sequences first, first + 1, …
struct AppendCall {
  GroupId group;
  SessionId session;
  Sequence first;
  std::uint32_t count = 0;
  // Append only directly behind its predecessor `first - 1` of this session (a pipelined stream keeps its order
  // across leader changes). Without it requests are independent.
  bool ordered = false;
  Bytes block;
  bool operator==(const AppendCall&) const = default;
};

// Reads committed transactions as whole entries, from the one that holds `from`.
struct FeedCall {
  GroupId group;
  TxnId from;
  std::uint32_t bytes_max = 0;  // credit; at least one entry is sent
  io::Duration wait;            // long poll: answer at the latest after this, empty if nothing came
  bool operator==(const FeedCall&) const = default;
};

// The id that the next committed transaction will get.
struct HighWaterCall {
  GroupId group;
  bool linearizable = true;  // false: whatever this node knows
  bool operator==(const HighWaterCall&) const = default;
};

struct StatusCall {
  bool operator==(const StatusCall&) const = default;
};

using ClientCall = std::variant<AppendCall, FeedCall, HighWaterCall, StatusCall>;

enum class ErrorCode : std::uint8_t {
  not_leader = 1,    // hint: the leader, if known
  overloaded = 2,    // try again after retry_after
  too_large = 3,     // limit
  out_of_order = 4,  // ordered append whose predecessor is not here; expected: the sequence to go on from
  expired = 5,       // the session's window has passed this sequence, or the session is unknown
  unauthorized = 6,
  no_such_partition = 7,
  unavailable = 8,        // no leader, disk failed, starting up
  deadline_exceeded = 9,  // outcome unknown
  malformed = 10,
};
[[nodiscard]] const char* name_of(ErrorCode code);

struct CallError {
  ErrorCode code{};
  NodeId hint;               // not_leader
  io::Duration retry_after;  // overloaded
  std::uint64_t limit = 0;   // too_large: bytes; out_of_order: the expected sequence
  std::string text;          // one sentence: what to do
  bool operator==(const CallError&) const = default;
};

// Sequences [first, first + count) are committed as ids [id, id + count), at times [time, time + count).
struct CommittedRun {
  Sequence first;
  std::uint32_t count = 0;
  TxnId id;
  std::uint64_t time = 0;  // commit time of the first, HLC nanoseconds
  bool operator==(const CommittedRun&) const = default;
};

struct AppendResult {
  std::vector<CommittedRun> runs;  // cover the call's sequences in order
  bool operator==(const AppendResult&) const = default;
};

struct FeedResult {
  TxnId high_water;            // the next id as far as this node knows: how fresh the answer is
  std::vector<Bytes> entries;  // payloads of transaction entries, contiguous (node/log/record.h)
  bool operator==(const FeedResult&) const = default;
};

struct HighWaterResult {
  TxnId high_water;
  bool operator==(const HighWaterResult&) const = default;
};

enum class Role : std::uint8_t { follower, pre_candidate, candidate, leader };
[[nodiscard]] const char* name_of(Role role);

struct PeerStatus {
  NodeId node;
  Index match;
  bool connected = false;
  bool operator==(const PeerStatus&) const = default;
};

struct GroupStatus {
  GroupId group;
  Role role{};
  Term term;
  NodeId leader;
  Index first;
  Index last;
  Index commit;
  Index applied;
  TxnId high_water;
  std::uint64_t sessions = 0;
  std::vector<PeerStatus> peers;  // of the leader only
  bool operator==(const GroupStatus&) const = default;
};

struct StatusResult {
  NodeId node;
  std::uint64_t cluster = 0;
  Incarnation incarnation;
  std::string version;
  bool ready = false;  // recovered and serving
  std::string disk;    // "ok", or what is wrong
  std::uint64_t journal_bytes = 0;
  std::uint64_t journal_files = 0;
  std::uint64_t syncs = 0;  // data syncs that the journal asked for
  Lsn durable;
  std::vector<GroupStatus> groups;
  bool operator==(const StatusResult&) const = default;
};

using ClientReply = std::variant<CallError, AppendResult, FeedResult, HighWaterResult, StatusResult>;

// Limits of one call; beyond them: too_large, before memory is taken.
inline constexpr std::uint32_t kAppendCallBytesMax = 3u << 20;
inline constexpr std::uint32_t kAppendCallCountMax = 16384;
inline constexpr std::uint32_t kFeedCallBytesMax = 8u << 20;

}  // namespace reel
