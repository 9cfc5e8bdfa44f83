// The words of consensus and of the log as strong types; plain values shared by messages, core and journal.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "io/ports/bytes.h"
#include "io/ports/checksum.h"
#include "io/ports/strong.h"

namespace reel {

using io::Bytes;
using io::Checksum;
using io::Incarnation;
using io::NodeId;

using Term = io::Strong<struct TermTag>;    // Raft §5.1; 0 before the first election
using Index = io::Strong<struct IndexTag>;  // position in a group's log; the first entry is 1, 0 is "before"
using GroupId =
    io::Strong<struct GroupTag, std::uint32_t>;  // one Raft group; partition p is group p + 1, 0 is none
using Lsn = io::Strong<struct LsnTag>;  // counts the journal records of one node; never reused; first is 1
using Ticket =
    io::Strong<struct TicketTag>;         // names one durable operation of one core in one life; 0 is "none"
using TxnId = io::Strong<struct TxnTag>;  // per partition 0, 1, 2, … without gaps (design.md §5)
using Sequence = io::Strong<struct SequenceTag>;  // per session; the first request is 1, 0 is "none"
// Rises whenever a partition of a reader group changes hands: a fencing token. The first is 1, 0 is "none".
using Epoch = io::Strong<struct EpochTag>;

// Drawn by the client at random; opened by its first append.
struct SessionId {
  std::uint64_t high{};
  std::uint64_t low{};
  auto operator<=>(const SessionId&) const = default;
};

// A member of a reader group, drawn at random by each process that joins one; {0, 0} is "none".
struct MemberId {
  std::uint64_t high{};
  std::uint64_t low{};
  auto operator<=>(const MemberId&) const = default;
};

// A lock's key as it travels and is stored: 128 bits of it, keyed by the cluster (log::lock_key). Two keys that collide can
// only cause a refusal.
struct LockKey {
  std::uint64_t low{};
  std::uint64_t high{};
  auto operator<=>(const LockKey&) const = default;
};

// What an entry is for. The kind is part of its identity (recovery.md, correction 4).
enum class EntryKind : std::uint8_t {
  empty = 0,          // a new leader's first entry (Raft §8)
  transactions = 1,   // one group-commit batch (node/log/record.h)
  configuration = 2,  // raft::Configuration, encoded; stored in full beside the identity too
  cluster = 3,        // partitions and reader groups (node/cluster/commands.h); in kClusterGroup alone
};
inline constexpr EntryKind kEntryKindMax = EntryKind::cluster;
// The group of partition 0, whose log also holds what concerns the cluster as a whole.
inline constexpr GroupId kClusterGroup{1};

// Raft's unit of order. Two logs that agree on an EntryId agree on everything before it (Log Matching, Raft §5.3).
struct EntryId {
  Term term;
  Index index;
  auto operator<=>(const EntryId&) const = default;
};

// Everything about an entry but its body: stored apart from the body, compared in elections (design.md §3).
struct EntryIdentity {
  Term term;
  Index index;
  EntryKind kind{};
  std::uint32_t size{};  // bytes of the payload
  Checksum checksum;     // of the payload
  EntryId id() const { return {term, index}; }
  auto operator<=>(const EntryIdentity&) const = default;
};

struct Entry {
  EntryIdentity identity;
  Bytes payload;
  bool operator==(const Entry&) const = default;
};

// What must be durable before the first vote or append acknowledgement of a term.
struct HardState {
  Term term;
  NodeId vote;  // 0: nobody yet in this term
  auto operator<=>(const HardState&) const = default;
};

// Hard limits of what may travel or be stored; checked before memory is taken. Wire, disk and core share them.
inline constexpr std::uint32_t kEntryBytesMax = 4u << 20;              // payload of one entry
inline constexpr std::uint32_t kTransactionBytesMax = 1u << 20;        // data of one transaction
inline constexpr std::uint32_t kTransactionLocksMax = 256;             // lock keys of one transaction
inline constexpr std::uint64_t kSequenceMax = std::uint64_t{1} << 62;  // of a session's requests
inline constexpr std::uint32_t kAppendEntriesMax = 1024;               // entries of one AppendRequest
inline constexpr std::uint32_t kAppendBytesMax = 8u << 20;             // payload bytes of one AppendRequest
inline constexpr std::uint32_t kGroupsMax = 16384;                     // groups of one node
inline constexpr std::uint32_t kVotersMax = 15;                        // voters of one configuration half
inline constexpr std::uint32_t kReaderGroupsMax = 1024;                // reader groups of a cluster
inline constexpr std::uint32_t kReaderGroupMembersMax = 1024;          // members of one reader group
inline constexpr std::uint32_t kReaderGroupNameBytesMax = 128;
// Partitions of all reader groups together.
inline constexpr std::uint32_t kReaderSharesMax = 1u << 20;

}  // namespace reel
