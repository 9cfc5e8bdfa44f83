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
//
// A transaction with write or read locks commits only if nothing that its client had not applied (`based_on`) has changed
// their keys (node/log/locks.h); else it is refused by itself, and the rest of the call goes on.
struct AppendCall {
  GroupId group;
  SessionId session;
  // An index of the partition's log that the client knew to be applied when it drew the session's id; 0 if it knew none.
  // A session that was dropped meanwhile is told from a new one by it (node/log/sessions.h).
  Index opened;
  Sequence first;
  std::uint32_t count = 0;
  // Append only directly behind its predecessor `first - 1` of this session (a pipelined stream keeps its order
  // across leader changes). Without it requests are independent. Ordered ones carry no write or read locks: a refusal
  // would be a hole.
  bool ordered = false;
  Bytes block;
  bool operator==(const AppendCall&) const = default;
};

// Which transactions a reader wants: those to which all of it applies.
struct FeedFilter {
  std::uint32_t header_mask = 0;   // header & mask == value; 0: any header
  std::uint32_t header_value = 0;  // no bit outside of the mask
  std::optional<LockKey> lock;     // they have a lock on this key, of any mode
  bool empty() const { return header_mask == 0 && !lock; }
  bool operator==(const FeedFilter&) const = default;
};

// Reads committed transactions, from the first with id >= `from` and commit time >= `from_time`. Without a filter they
// come as whole entries, from the one that holds that transaction; with one, the matching records alone.
struct FeedCall {
  GroupId group;
  TxnId from;
  std::uint32_t bytes_max = 0;  // credit, of payload or records; at least one entry or record is sent
  io::Duration wait;            // long poll: answer at the latest after this, empty if nothing came
  std::uint64_t from_time = 0;  // HLC nanoseconds; 0: from any time
  FeedFilter filter{};
  bool operator==(const FeedCall&) const = default;
};

// One committed transaction, if this node has applied it.
struct TransactionCall {
  GroupId group;
  TxnId id;
  bool operator==(const TransactionCall&) const = default;
};

// The id that the next committed transaction will get.
struct HighWaterCall {
  GroupId group;
  bool linearizable = true;  // false: whatever this node knows
  bool operator==(const HighWaterCall&) const = default;
};

// What became of request `sequence` of a session? If it has no outcome yet it is burned: it never commits, however late a
// copy of it comes. So the answer is final, and may be acted upon. Without `burn` it is only looked up: then "undecided"
// promises nothing, and the request may commit right behind the answer.
struct ResolveCall {
  GroupId group;
  SessionId session;
  Index opened;
  Sequence sequence;
  bool burn = true;
  bool operator==(const ResolveCall&) const = default;
};

struct StatusCall {
  bool operator==(const StatusCall&) const = default;
};

// The cluster has `total` partitions from now on, if it had fewer. Repeating it is harmless.
struct CreatePartitionsCall {
  std::uint32_t total = 0;
  bool operator==(const CreatePartitionsCall&) const = default;
};

// How far a member has come with a partition that it owns.
struct ReaderProgress {
  GroupId group;
  Epoch epoch;            // that it was given the partition in; of another one nothing is taken
  TxnId next;             // everything before is done with
  bool released = false;  // the member is through with it: whoever waits for the partition gets it
  bool operator==(const ReaderProgress&) const = default;
};

// What members of a reader group say from time to time, and hear in the answer which partitions are theirs (node/cluster).
// Whoever is not heard of for as long as it said itself is out, and its partitions go to others.
struct ReaderGroupCall {
  enum class Verb : std::uint8_t {
    report,  // a member's progress
    join,    // the same, of somebody who may be none yet
    leave,   // the same, of one that will be none any more
  };
  std::string name;
  MemberId member;
  Verb verb = Verb::report;
  io::Duration patience;  // join: [kReaderPatienceMin, kReaderPatienceMax]
  std::vector<ReaderProgress> progress;
  bool operator==(const ReaderGroupCall&) const = default;
};

// One reader group, or the names of all if `name` is empty.
struct ReaderGroupsCall {
  std::string name;
  bool operator==(const ReaderGroupsCall&) const = default;
};

// Forgets a reader group, its members and its positions.
struct RemoveReaderGroupCall {
  std::string name;
  bool operator==(const RemoveReaderGroupCall&) const = default;
};

using ClientCall =
    std::variant<AppendCall, FeedCall, HighWaterCall, StatusCall, ResolveCall, TransactionCall,
                 CreatePartitionsCall, ReaderGroupCall, ReaderGroupsCall, RemoveReaderGroupCall>;

enum class ErrorCode : std::uint8_t {
  not_leader = 1,    // hint: the leader, if known
  overloaded = 2,    // try again after retry_after
  too_large = 3,     // limit
  out_of_order = 4,  // ordered append whose predecessor is not here; expected: the sequence to go on from
  expired =
      5,  // the session was dropped, or its window has passed this sequence; limit: what `opened` of a session drawn now may be.
          // Or the caller is no member of the reader group (any more)
  unauthorized = 6,
  no_such_partition = 7,
  unavailable = 8,        // no leader, disk failed, starting up
  deadline_exceeded = 9,  // outcome unknown
  malformed = 10,
  no_such_reader_group = 11,
};
inline constexpr ErrorCode kErrorCodeMax = ErrorCode::no_such_reader_group;
[[nodiscard]] const char* name_of(ErrorCode code);

struct CallError {
  ErrorCode code{};
  NodeId hint;               // not_leader
  io::Duration retry_after;  // overloaded
  std::uint64_t limit = 0;   // too_large: bytes; out_of_order: the expected sequence; expired: see there
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

// Why one transaction did not commit. It leaves no trace, so the same request may be tried again, re-executed.
enum class RefusalCode : std::uint8_t {
  conflict =
      1,       // `id` changed the key of its lock number `lock`; writes count first, then reads, then appends
  stale = 2,   // based on less than `id` - 1: changes that far back are forgotten
  burned = 3,  // resolved before: it never commits
};
[[nodiscard]] const char* name_of(RefusalCode code);
struct Refusal {
  Sequence sequence;
  RefusalCode code{};
  std::uint32_t lock = 0;
  TxnId id;
  bool operator==(const Refusal&) const = default;
};

// Together, runs and refusals cover the call's sequences; each in order.
struct AppendResult {
  std::vector<CommittedRun> runs;
  std::vector<Refusal> refusals;
  bool operator==(const AppendResult&) const = default;
};

// One transaction out of its entry: its record (node/log/record.h), and what only the entry says.
struct CommittedRecord {
  TxnId id;
  std::uint64_t time = 0;
  SessionId session;
  Sequence sequence;
  Bytes record;  // a slice of the entry's payload, where the node has that
  bool operator==(const CommittedRecord&) const = default;
};

struct FeedResult {
  TxnId high_water;            // the next id as far as this node knows: how fresh the answer is
  std::vector<Bytes> entries;  // payloads of transaction entries, contiguous (node/log/record.h)
  // Of a call with a filter only: the transactions that match, by id, and from where to go on. Everything between the
  // call's beginning and `next` was looked at, and nothing else there matches.
  std::vector<CommittedRecord> matches{};
  std::optional<TxnId> next{};
  bool operator==(const FeedResult&) const = default;
};

struct TransactionResult {
  TxnId high_water;                            // as in FeedResult
  std::optional<CommittedRecord> transaction;  // nothing: its id is not below high_water
  bool operator==(const TransactionResult&) const = default;
};

enum class ResolveOutcome : std::uint8_t { committed, burned, undecided };
struct ResolveResult {
  std::optional<CommittedRun> committed;  // of this one sequence
  bool undecided = false;                 // only if burning was not wanted; neither: burned
  ResolveOutcome outcome() const {
    return committed   ? ResolveOutcome::committed
           : undecided ? ResolveOutcome::undecided
                       : ResolveOutcome::burned;
  }
  bool operator==(const ResolveResult&) const = default;
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

struct PartitionsResult {
  std::uint32_t total = 0;
  bool operator==(const PartitionsResult&) const = default;
};

// A partition that is the member's.
struct ReaderShare {
  GroupId group;
  Epoch epoch;
  TxnId next;            // the group's position: where to begin
  bool revoked = false;  // another member waits for it: finish, and release it
  bool operator==(const ReaderShare&) const = default;
};

struct ReaderGroupResult {
  std::uint32_t members = 0;
  std::uint32_t partitions = 0;     // of the cluster
  std::vector<ReaderShare> shares;  // by group
  bool operator==(const ReaderGroupResult&) const = default;
};

struct ReaderMember {
  MemberId member;
  io::Duration patience;
  bool operator==(const ReaderMember&) const = default;
};
struct ReaderPosition {
  GroupId group;
  MemberId owner;  // none: nobody reads it
  MemberId heir;   // who waits for the owner to release it
  Epoch epoch;
  TxnId next;
  bool operator==(const ReaderPosition&) const = default;
};
struct ReaderGroupStatus {
  std::string name;
  std::vector<ReaderMember> members;
  std::vector<ReaderPosition> positions;
  bool operator==(const ReaderGroupStatus&) const = default;
};
// One that was asked for by name, whole; else all, without members and positions.
struct ReaderGroupsResult {
  std::vector<ReaderGroupStatus> groups;
  bool operator==(const ReaderGroupsResult&) const = default;
};

// The group that a call concerns; nothing for those that any node answers for itself.
[[nodiscard]] std::optional<GroupId> group_of(const ClientCall& call);

using ClientReply =
    std::variant<CallError, AppendResult, FeedResult, HighWaterResult, StatusResult, ResolveResult,
                 TransactionResult, PartitionsResult, ReaderGroupResult, ReaderGroupsResult>;

// Limits of one call; beyond them: too_large, before memory is taken.
inline constexpr std::uint32_t kAppendCallBytesMax = 3u << 20;
inline constexpr std::uint32_t kAppendCallCountMax = 16384;
inline constexpr std::uint32_t kFeedCallBytesMax = 8u << 20;
inline constexpr std::uint32_t kFeedMatchesMax = 65536;  // of one answer
inline constexpr std::uint32_t kReaderProgressMax = kGroupsMax;
inline constexpr io::Duration kReaderPatienceMin = io::milliseconds(100);
inline constexpr io::Duration kReaderPatienceMax = io::seconds(3600);

}  // namespace reel
