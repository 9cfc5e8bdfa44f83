// The state machine of a log partition: what the committed entries, applied in order, amount to. A pure function of
// them: every node that applied the same prefix holds the same state, and the same digest.
//
// apply() never refuses (design.md §11): ids, times and duplicates were decided by the leader and stand in the entry;
// here they are asserted. Cost: O(sections) per entry, and O(locks) for transactions that change keys; others are not
// walked.
#pragma once

#include <expected>
#include <string_view>
#include <vector>

#include "node/log/locks.h"
#include "node/log/record.h"
#include "node/log/sessions.h"
#include "node/types.h"

namespace reel::log {

// Part of the state machine: the same on every node of a cluster, for ever.
struct LogOptions {
  std::uint32_t lock_keys_max = 1u << 20;
  SessionLimits sessions;
};

class LogState {
 public:
  explicit LogState(const LogOptions& options = {})
      : sessions_(options.sessions), locks_(options.lock_keys_max) {}

  // Entries must come in order of index, starting behind `applied()`. An unreadable payload is an error: the
  // host stops the group.
  std::expected<void, std::string_view> apply(const EntryIdentity& identity,
                                              std::span<const std::byte> payload);

  Index applied() const { return applied_; }
  TxnId next_id() const { return next_id_; }              // the high-water mark
  std::uint64_t last_time() const { return last_time_; }  // of the newest entry or transaction; 0 for none
  // Of the whole state, as a chain: equal states have equal digests, and one differing step makes all later differ.
  std::uint64_t digest() const { return digest_; }
  const SessionTable& sessions() const { return sessions_; }
  const LockTable& locks() const { return locks_; }

  // The applied entry that holds transaction `id`. Requires id < next_id(). O(log entries).
  Index entry_of(TxnId id) const;
  // The first transaction whose commit time is `time` or later; next_id() if there is none. O(log entries).
  TxnId first_at(std::uint64_t time) const;

 private:
  [[nodiscard]] bool change_keys(const SectionView& section, TxnId first);

  struct Step {
    Index index;
    TxnId first;
    std::uint64_t time;  // of `first`; both count up with each transaction of the entry
  };
  Index applied_;
  TxnId next_id_;
  std::uint64_t last_time_ = 0;
  std::uint64_t digest_ = 0;
  SessionTable sessions_;
  LockTable locks_;
  std::vector<Step> steps_;  // entries with transactions, by index, by id and by time
};

}  // namespace reel::log
