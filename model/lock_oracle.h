// The lock oracle: an independent model of the lock rule (design.md §5), held against what commits and what clients are
// told. One oracle watches one partition. It keeps every change of every key for ever, so it has no window.
//
// Facts, in the order in which they happen: transactions as some node first applies them, and refusals as clients get
// them.
//
// Names of what can be violated (stable):
//   lock-rule       a transaction committed although a key that it writes or reads was changed behind its back
//   false-conflict  a transaction was refused for a change that is not there, or that its client had applied
//   early-verdict   a refusal names a transaction that no node has applied: its cause may still die
//   false-stale     a transaction was called stale although its base was not, or nothing can have been forgotten
//
// Cost: O(log changes) a key. Memory: about 100 bytes a change.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "model/violation.h"
#include "node/types.h"

namespace reel::model {

struct LockRequest {
  using Key = LockKey;
  std::vector<Key> writes;
  std::vector<Key> reads;
  std::vector<Key> appends;
  std::optional<TxnId> based_on;
};

class LockOracle {
 public:
  using Finding = std::optional<Violation>;
  // How many keys a node may forget beyond: the state machine's own constant.
  explicit LockOracle(std::uint32_t keys_max) : keys_max_(keys_max) {}

  // Ids come as 0, 1, 2, …; what was told before (by another node) changes nothing.
  [[nodiscard]] Finding committed(TxnId id, const LockRequest& request);
  // `lock` counts writes, then reads, then appends.
  [[nodiscard]] Finding conflicted(const LockRequest& request, std::uint32_t lock, TxnId by) const;
  [[nodiscard]] Finding stale(const LockRequest& request, TxnId floor) const;

 private:
  using Key = LockRequest::Key;
  void change(const Key& key, TxnId id);
  // The first change of the key that a client with this base has not applied.
  std::optional<TxnId> unseen(const Key& key, const std::optional<TxnId>& based_on) const;

  std::uint32_t keys_max_;
  TxnId next_;
  std::map<Key, std::vector<TxnId>> changes_;  // of each key, in order
  std::vector<std::pair<TxnId, Key>> in_order_;
};

}  // namespace reel::model
