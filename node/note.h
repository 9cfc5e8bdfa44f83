// Notes: what a step did, told for traces, oracles and coverage. A node behaves the same whether anybody listens; in
// production they are dropped. They are emitted by the host of the core (node/group.cc), where effects become facts.
#pragma once

#include <variant>

#include "node/client_message.h"
#include "node/types.h"

namespace reel::node {

// After recovery, once per group and life, before anything else of the group.
struct NoteBooted {
  GroupId group;
  HardState hard_state;
  Index first;
  EntryId last;
  Index commit;  // the persisted lower bound
};
struct NoteHardState {  // term or vote changed in memory
  GroupId group;
  HardState state;
};
struct NoteRole {
  GroupId group;
  Role role{};
  Term term;
  NodeId leader;
};
struct NoteTruncated {  // entries from `from` on left the log
  GroupId group;
  Index from;
};
struct NoteAppended {  // an entry entered the log (in memory; not yet durable)
  GroupId group;
  EntryIdentity identity;
};
struct NoteDurable {  // the log is durable here up to index
  GroupId group;
  Index index;
};
struct NoteCommitted {
  GroupId group;
  Index index;
};
struct NoteApplied {  // one entry went through the state machine
  GroupId group;
  EntryIdentity identity;
  TxnId next;                // next transaction id after it
  std::uint64_t digest = 0;  // of the state machine's whole state after it
  Bytes payload;             // of the entry
};
// The code reached a place that a test or a campaign must see ("raft.truncate", "journal.cut_torn"). Names are static.
struct NoteMark {
  const char* name = nullptr;
};

using Note = std::variant<NoteBooted, NoteHardState, NoteRole, NoteTruncated, NoteAppended, NoteDurable,
                          NoteCommitted, NoteApplied, NoteMark>;

}  // namespace reel::node
