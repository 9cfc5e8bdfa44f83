#include "node/log/locks.h"

#include <cstdlib>

#include "io/ports/assert.h"

namespace reel::log {
namespace {

template <class Item>
Item* zeroed(std::uint64_t count) {
  auto* memory = static_cast<Item*>(std::calloc(count, sizeof(Item)));
  REEL_CHECK(memory != nullptr);
  return memory;
}

// True if a change by `id` is news to a client that had applied everything up to `based_on`.
bool unseen(TxnId id, const std::optional<TxnId>& based_on) { return !based_on || id > *based_on; }

}  // namespace

// ---- the window

void LockTable::Free::operator()(void* memory) const { std::free(memory); }

LockTable::LockTable(std::uint32_t keys_max) : keys_max_(keys_max) {
  REEL_CHECK(keys_max > 0 && keys_max <= kLockKeysMaxLimit);
}

void LockTable::reserve() {
  std::uint64_t places = 4;
  while (places < std::uint64_t{keys_max_} * 2) places *= 2;  // at most half full, so probing stays short
  mask_ = places - 1;
  places_.reset(zeroed<Slot>(places));
  changes_.reset(zeroed<Change>(std::uint64_t{keys_max_} + 1));
}

// Where the key is, or would be.
std::uint64_t LockTable::place_of(const LockKey& key) const {
  std::uint64_t place = (key.low ^ (key.high * 0x9e3779b97f4a7c15ull)) & mask_;
  while (places_[place] != 0 && changes_[places_[place]].key != key) place = (place + 1) & mask_;
  return place;
}

std::optional<TxnId> LockTable::changed(const LockKey& key) const {
  if (size_ == 0) return std::nullopt;
  const Slot slot = places_[place_of(key)];
  if (slot == 0) return std::nullopt;
  return changes_[slot].id;
}

std::vector<std::pair<LockKey, TxnId>> LockTable::newest(std::size_t count) const {
  std::vector<std::pair<LockKey, TxnId>> keys;
  for (Slot slot = newest_; slot != 0 && keys.size() < count; slot = changes_[slot].older) {
    keys.emplace_back(changes_[slot].key, changes_[slot].id);
  }
  return keys;
}

void LockTable::change(const LockKey& key, TxnId id) {
  if (!places_) reserve();
  REEL_ASSERT(newest_ == 0 || changes_[newest_].id <= id);
  Slot slot = places_[place_of(key)];
  if (slot != 0) {
    unlink(slot);
  } else {
    slot = size_ < keys_max_ ? ++size_ : forget_oldest();
    changes_[slot].key = key;
    places_[place_of(key)] = slot;  // looked for anew: forgetting moves keys
  }
  changes_[slot].id = id;
  link_newest(slot);
}

void LockTable::unlink(Slot slot) {
  const Change& change = changes_[slot];
  (change.newer != 0 ? changes_[change.newer].older : newest_) = change.older;
  (change.older != 0 ? changes_[change.older].newer : oldest_) = change.newer;
}

void LockTable::link_newest(Slot slot) {
  changes_[slot].older = newest_;
  changes_[slot].newer = 0;
  (newest_ != 0 ? changes_[newest_].newer : oldest_) = slot;
  newest_ = slot;
}

// Takes the oldest change out of both structures and returns its slot.
LockTable::Slot LockTable::forget_oldest() {
  const Slot slot = oldest_;
  REEL_ASSERT(slot != 0);
  floor_ = std::max(floor_, changes_[slot].id + 1);
  unlink(slot);
  // Deletion from open addressing without tombstones: whatever probed across the hole moves up (Knuth 6.4, algorithm R).
  std::uint64_t hole = place_of(changes_[slot].key);
  places_[hole] = 0;
  for (std::uint64_t at = (hole + 1) & mask_; places_[at] != 0; at = (at + 1) & mask_) {
    const Slot moved = places_[at];
    places_[at] = 0;
    places_[place_of(changes_[moved].key)] = moved;
  }
  return slot;
}

// ---- what is in flight

std::optional<LockOverlay::Change> LockOverlay::changed(const LockKey& key) const {
  const auto found = changes_.find(key);
  if (found == changes_.end()) return std::nullopt;
  return found->second;
}

void LockOverlay::change(const LockKey& key, const Change& change) {
  REEL_ASSERT(order_.empty() || order_.back().first <= change.index);
  changes_.insert_or_assign(key, change);
  order_.emplace_back(change.index, key);
}

void LockOverlay::applied(Index index) {
  while (!order_.empty() && order_.front().first <= index) {
    const auto found = changes_.find(order_.front().second);
    if (found != changes_.end() && found->second.index <= index) changes_.erase(found);
    order_.pop_front();
  }
}

void LockOverlay::clear() {
  changes_.clear();
  order_.clear();
}

// ---- the rule

LockVerdict judge(const RecordView& record, const LockTable& table, const LockOverlay& overlay) {
  const std::uint32_t checked = std::uint32_t{record.write_locks} + record.read_locks;
  if (checked == 0) return {};
  using Kind = LockVerdict::Kind;
  for (std::uint32_t number = 0; number < checked; ++number) {
    const auto id = table.changed(record.lock(number));
    if (id && unseen(*id, record.based_on)) return {Kind::conflict, number, *id, {}};
  }
  if (table.floor().value > (record.based_on ? record.based_on->value + 1 : 0)) {
    return {Kind::stale, 0, table.floor(), {}};
  }
  for (std::uint32_t number = 0; number < checked; ++number) {
    const auto change = overlay.changed(record.lock(number));
    if (change && unseen(change->id, record.based_on)) {
      return {Kind::conflict, number, change->id, change->index};
    }
  }
  return {};
}

}  // namespace reel::log
