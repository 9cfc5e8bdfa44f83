// Messages between replicas: plain values, no behaviour. Encoded by io/wire, described to strangers by io/schema.
// Every message names its group and its sender's term; rules about terms are the core's (node/raft/raft.h).
#pragma once

#include <variant>
#include <vector>

#include "node/types.h"

namespace reel {

// Asks for a vote, or, with pre set, whether one would be given (thesis §9.6: nothing is promised, no term is raised).
struct VoteRequest {
  bool pre = false;
  bool transfer = false;  // sent at the leader's own wish: stickiness does not apply (thesis §3.10)
  EntryId last;           // the candidate's last entry, by identity (an unreadable body counts as held)
  bool operator==(const VoteRequest&) const = default;
};

struct VoteReply {
  bool pre = false;
  bool granted = false;
  Term asked;  // the request's term: an answer counts only in the campaign that asked (scenarios.md S19)
  bool operator==(const VoteReply&) const = default;
};

// AppendEntries (Raft §5.3); without entries it is a heartbeat or a probe.
struct AppendRequest {
  EntryId previous;
  Index commit;             // the leader's; the follower takes at most what this message has checked (S28)
  std::uint64_t round = 0;  // rises per leader and term; echoed, confirms reads and leadership (thesis §6.4)
  std::vector<Entry> entries;  // contiguous, terms never fall, first index is previous.index + 1
  bool operator==(const AppendRequest&) const = default;
};

struct AppendReply {
  bool accepted = false;
  Index match;     // accepted: durable here and equal to the leader's log up to this index
  EntryId hint;    // rejected: where to try next: last entry with index <= previous and term <= previous.term
  Index rejected;  // rejected: the request's previous.index, to tell late answers
  std::uint64_t round = 0;  // echo
  bool operator==(const AppendReply&) const = default;
};

// The leader asks the receiver to campaign at once (thesis §3.10).
struct TimeoutNow {
  bool operator==(const TimeoutNow&) const = default;
};

using PeerBody = std::variant<VoteRequest, VoteReply, AppendRequest, AppendReply, TimeoutNow>;

struct PeerMessage {
  GroupId group;
  Term term;  // the sender's current term; for pre-votes the term it would campaign in
  Incarnation
      incarnation;  // of the sender's life: what an earlier life acknowledged is void (recovery.md §4.6)
  PeerBody body;
  bool operator==(const PeerMessage&) const = default;
};

// Messages of one event-loop turn for one peer travel together.
struct PeerBatch {
  std::vector<PeerMessage> messages;  // at most kPeerBatchMessagesMax
  bool operator==(const PeerBatch&) const = default;
};
inline constexpr std::uint32_t kPeerBatchMessagesMax = 4096;

}  // namespace reel
