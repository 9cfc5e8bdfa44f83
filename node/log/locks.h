// The lock rule of design.md §5 as replicated state: which keys were changed lately, and by which transaction.
//
//   earlier, with id > based_on \ later    write       read        append
//   write, append                         conflict    conflict    ok
//   read                                  ok          ok          ok
//
// So a transaction conflicts if a key that it writes or reads was changed (written or appended) by a transaction which
// its client had not applied yet. Reads leave nothing behind, and appends ask for nothing.
//
// Window. The table remembers the keys_max keys that were changed last; whatever is forgotten raises floor(): all changes
// by ids >= floor() are still known. A transaction based on less than that, whose keys are not known to conflict, cannot
// be judged and is `stale`. Every node forgets the same keys at the same entry, so keys_max must be the same on all.
//
// Cost: O(1) a key. Memory: 48 bytes a key in use, at most kLockKeysMaxLimit keys; none before the first change.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "node/log/record.h"
#include "node/types.h"

namespace reel::log {

inline constexpr std::uint32_t kLockKeysMaxLimit = 1u << 26;

class LockTable {
 public:
  explicit LockTable(std::uint32_t keys_max);

  // The newest transaction in the window that changed this key.
  [[nodiscard]] std::optional<TxnId> changed(const LockKey& key) const;
  // Changes by this id and later ones are all in the window. Only rises.
  TxnId floor() const { return floor_; }
  std::uint32_t size() const { return size_; }
  // The keys that were changed last, newest first, at most `count`. For people.
  [[nodiscard]] std::vector<std::pair<LockKey, TxnId>> newest(std::size_t count) const;
  // Ids never go down from call to call.
  void change(const LockKey& key, TxnId id);

 private:
  using Slot = std::uint32_t;  // 0: none
  struct Change {
    LockKey key;
    TxnId id;
    Slot newer;
    Slot older;
  };
  struct Free {
    void operator()(void* memory) const;
  };
  // Untouched pages of it cost nothing, and it never has to move.
  template <class Item>
  using Table = std::unique_ptr<Item[], Free>;

  void reserve();
  std::uint64_t place_of(const LockKey& key) const;
  void unlink(Slot slot);
  void link_newest(Slot slot);
  Slot forget_oldest();

  std::uint32_t keys_max_;
  std::uint64_t mask_ = 0;
  Table<Slot> places_;     // open addressing: key -> slot
  Table<Change> changes_;  // by slot; 0 is unused
  std::uint32_t size_ = 0;
  Slot newest_ = 0;
  Slot oldest_ = 0;
  TxnId floor_;
};

// What a leader adds: changes by entries that stand in its log and are not applied yet. A verdict that rests on one of
// them is released when that entry is applied; it dies with leadership, and so do the verdicts.
class LockOverlay {
 public:
  struct Change {
    TxnId id;
    Index index;  // of the entry
  };
  [[nodiscard]] std::optional<Change> changed(const LockKey& key) const;
  void change(const LockKey& key, const Change& change);
  // Forgets the changes of entries up to `index`: they are applied now.
  void applied(Index index);
  void clear();

 private:
  struct KeyHash {
    std::size_t operator()(const LockKey& key) const { return key.low ^ key.high; }
  };
  std::unordered_map<LockKey, Change, KeyHash> changes_;  // looked up, never iterated
  std::deque<std::pair<Index, LockKey>> order_;
};

// Why a transaction does not commit. Each names the key by its number among the transaction's locks.
struct LockVerdict {
  enum class Kind : std::uint8_t { free, conflict, stale } kind = Kind::free;
  std::uint32_t lock = 0;  // conflict: the lock with this number
  TxnId id;                // conflict: who changed it; stale: the floor
  Index released_by;       // conflict with an entry in flight: not to be told before that is applied
};
// The lock rule. The first conflicting lock is named; a conflict that is committed is named before one in flight.
[[nodiscard]] LockVerdict judge(const RecordView& record, const LockTable& table, const LockOverlay& overlay);

}  // namespace reel::log
