#include "model/lock_oracle.h"

#include <algorithm>
#include <set>
#include <string>

namespace reel::model {
namespace {

std::uint64_t first_unseen(const std::optional<TxnId>& based_on) {
  return based_on ? based_on->value + 1 : 0;
}

std::string base_of(const LockRequest& request) {
  return request.based_on ? "based on " + std::to_string(request.based_on->value) : "based on nothing";
}

}  // namespace

std::optional<TxnId> LockOracle::unseen(const Key& key, const std::optional<TxnId>& based_on) const {
  const auto found = changes_.find(key);
  if (found == changes_.end()) return std::nullopt;
  const std::vector<TxnId>& ids = found->second;
  const auto first = std::lower_bound(ids.begin(), ids.end(), TxnId(first_unseen(based_on)));
  return first == ids.end() ? std::nullopt : std::optional(*first);
}

void LockOracle::change(const Key& key, TxnId id) {
  std::vector<TxnId>& ids = changes_[key];
  if (!ids.empty() && ids.back() == id) return;
  ids.push_back(id);
  in_order_.emplace_back(id, key);
}

LockOracle::Finding LockOracle::committed(TxnId id, const LockRequest& request) {
  if (id < next_) return std::nullopt;
  next_ = id + 1;
  for (const auto* checked : {&request.writes, &request.reads}) {
    for (const Key& key : *checked) {
      if (const auto by = unseen(key, request.based_on)) {
        return violation("lock-rule", "transaction ", id, ", ", base_of(request), ", commits although ", *by,
                         " changed a key that it ", checked == &request.writes ? "writes" : "reads");
      }
    }
  }
  for (const Key& key : request.writes) change(key, id);
  for (const Key& key : request.appends) change(key, id);
  return std::nullopt;
}

LockOracle::Finding LockOracle::conflicted(const LockRequest& request, std::uint32_t lock, TxnId by) const {
  if (by >= next_) {
    return violation("early-verdict", "a client was refused because of transaction ", by,
                     ", which no node has applied");
  }
  const std::size_t writes = request.writes.size();
  if (lock >= writes + request.reads.size()) {
    return violation("false-conflict", "a refusal names lock ", std::uint64_t{lock}, " of ",
                     std::uint64_t{writes + request.reads.size()}, " that can conflict");
  }
  const Key& key = lock < writes ? request.writes[lock] : request.reads[lock - writes];
  const auto found = changes_.find(key);
  const bool changed =
      found != changes_.end() && std::binary_search(found->second.begin(), found->second.end(), by);
  if (!changed || by.value < first_unseen(request.based_on)) {
    return violation("false-conflict", "a transaction ", base_of(request), " was refused because of ", by,
                     changed ? ", which its client had applied" : ", which did not change that key");
  }
  return std::nullopt;
}

LockOracle::Finding LockOracle::stale(const LockRequest& request, TxnId floor) const {
  if (first_unseen(request.based_on) >= floor.value) {
    return violation("false-stale", "a transaction ", base_of(request), " was called stale with floor ",
                     floor);
  }
  // The change that was forgotten last is floor - 1; then as many other keys as are kept were changed later, or with it.
  std::set<Key> since;
  for (auto at = in_order_.rbegin(); at != in_order_.rend() && at->first.value + 1 >= floor.value; ++at) {
    since.insert(at->second);
  }
  if (since.size() > keys_max_) return std::nullopt;
  return violation("false-stale", "floor ", floor, " means that a key was forgotten, but only ",
                   std::uint64_t{since.size()}, " keys were changed since, of ", std::uint64_t{keys_max_},
                   " that are kept");
}

}  // namespace reel::model
