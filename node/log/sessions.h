// Client sessions: exactly-once appends as replicated state (thesis §6.3). Every node that applied the same entries
// holds the same sessions, so a retry gets its original's answer from whoever leads now.
//
// A session keeps the outcomes of its newest kSessionWindow sequences as runs: committed, or burned (they never will be).
// A sequence older than that can no longer be told from a new one and is refused as expired.
//
// A table keeps the `sessions_max` sessions that were used last, and none that was idle for `session_expiry` of *log
// time*: whichever node applies an entry drops the same ones. Whatever is dropped raises floor() to the entry that used it
// last. A client says which index it knew to be applied when it drew its session; every entry of that session comes
// later. So a session which is not here, and was drawn below the floor, may have been here: it is expired and never
// opened again; one drawn at the floor or later is new. No request commits twice, however late its copy comes.
//
// Memory: at most kSessionWindow runs of 40 bytes a session; about 200 bytes for one that appends in large batches.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "node/client_message.h"
#include "node/types.h"

namespace reel::log {

inline constexpr std::uint64_t kSessionWindow = 16384;  // sequences; clients keep fewer than this outstanding
inline constexpr std::uint32_t kSessionsMax = 65536;

// The same fate for neighbours: committed as ids [id, …) at times [time, …), or burned.
struct Outcome {
  Sequence first;
  std::uint32_t count = 0;
  bool burned = false;
  TxnId id;
  std::uint64_t time = 0;
  bool operator==(const Outcome&) const = default;
};

class Session {
 public:
  // The highest sequence whose outcome is applied; 0 for none.
  Sequence last() const { return last_; }
  // Sequences up to here have left the window.
  Sequence floor() const { return floor_; }

  void decide(const Outcome& outcome);
  // The outcome that covers `sequence`, cut to start there; nullopt if it has none, or none any more.
  [[nodiscard]] std::optional<Outcome> outcome(Sequence sequence) const;
  // How many sequences from the undecided `sequence` on, at most `limit`, are undecided.
  [[nodiscard]] std::uint32_t undecided(Sequence sequence, std::uint32_t limit) const;

 private:
  Sequence last_;
  Sequence floor_;
  std::deque<Outcome> outcomes_;  // by first; no overlaps; all reach above floor()
};

struct SessionLimits {
  std::uint32_t sessions_max = kSessionsMax;
  std::uint64_t session_expiry = 24ull * 3600 * 1'000'000'000;  // of log time, nanoseconds
};

class SessionTable {
 public:
  explicit SessionTable(const SessionLimits& limits = {});

  [[nodiscard]] const Session* find(const SessionId& id) const;
  // The session, which is now the one that was used last; opened if it is not here and `fresh`: its leader knew that it is
  // new. nullptr for one that was dropped while the entry was on its way: what else it had done is forgotten, so it is
  // expired, and this outcome is not kept either. Drops what is idle for too long, or too much.
  Session* use(const SessionId& id, bool fresh, std::uint64_t time, Index index);
  // A session that is not here and was drawn before this was applied is expired.
  Index floor() const { return floor_; }
  std::size_t size() const { return sessions_.size(); }
  // Those that were used last, newest first, at most `count`. For people.
  [[nodiscard]] std::vector<SessionId> newest(std::size_t count) const;

 private:
  struct Use {
    SessionId id;
    std::uint64_t time = 0;  // commit time
    Index index;
  };
  struct Kept {
    Session session;
    std::list<Use>::iterator last_use;
  };
  void drop_oldest();

  SessionLimits limits_;
  std::map<SessionId, Kept> sessions_;
  std::list<Use> uses_;  // each session's last one, in order
  Index floor_;
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
