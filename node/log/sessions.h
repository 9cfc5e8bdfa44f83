// Client sessions: exactly-once appends as replicated state (thesis §6.3). Every node that applied the same entries
// holds the same sessions, so a retry gets its original's answer from whoever leads now.
//
// A session keeps the outcomes of its newest kSessionWindow sequences as runs. A sequence older than that can no
// longer be told from a new one and is refused as expired. Sessions are never dropped in this version: a full table
// refuses new ones instead, so no request can commit twice.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "node/client_message.h"
#include "node/types.h"

namespace reel::log {

inline constexpr std::uint64_t kSessionWindow = 16384;  // sequences; clients keep fewer than this outstanding
inline constexpr std::size_t kSessionsMax = 65536;

class Session {
 public:
  // The highest sequence that is committed and applied; 0 for none.
  Sequence last() const { return last_; }
  // Sequences up to here have left the window.
  Sequence floor() const;

  void commit(const CommittedRun& run);
  // The committed run that covers `sequence`, cut to start there; nullopt if there is none.
  std::optional<CommittedRun> committed(Sequence sequence) const;
  // How many sequences from the uncommitted `sequence` on, at most `limit`, are not committed.
  std::uint32_t uncommitted(Sequence sequence, std::uint32_t limit) const;

 private:
  Sequence last_;
  std::deque<CommittedRun> runs_;  // by first; no overlaps; all reach above floor()
};

class SessionTable {
 public:
  Session* find(const SessionId& id);
  const Session* find(const SessionId& id) const;
  // Opens it if it is not there; nullptr when the table is full.
  Session* open(const SessionId& id);
  std::size_t size() const { return sessions_.size(); }

 private:
  std::map<SessionId, Session> sessions_;
};

// What a leader adds: runs that stand in its log and are not applied yet. A repeated request joins them. The overlay
// dies with leadership, and a new leader starts with an empty one, after it has applied all it inherited.
class SessionOverlay {
 public:
  struct Run {
    Sequence first;
    std::uint32_t count = 0;
    Index index;  // of the entry
  };

  // Entries come in order of index.
  void add(const SessionId& session, const Run& run);
  // Forgets the runs of entries up to `index`: they are applied now.
  void applied(Index index);
  void clear();

  bool has(const SessionId& session) const { return runs_.contains(session); }
  std::size_t sessions() const { return runs_.size(); }
  // The run that covers `sequence`, cut to start there.
  std::optional<Run> pending(const SessionId& session, Sequence sequence) const;
  // The highest pending sequence; 0 for none.
  Sequence last(const SessionId& session) const;
  // How many sequences from the `sequence` on that is not pending, at most `limit`, are not pending.
  std::uint32_t unseen(const SessionId& session, Sequence sequence, std::uint32_t limit) const;

 private:
  struct Touched {
    Index index;
    SessionId session;
  };
  std::map<SessionId, std::vector<Run>>
      runs_;                     // by index; neighbours of one entry are merged, so there are few
  std::deque<Touched> touched_;  // by index
};

}  // namespace reel::log
