#include "node/log/log_state.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::log {

std::expected<void, std::string_view> LogState::apply(const EntryIdentity& identity,
                                                      std::span<const std::byte> payload) {
  REEL_ASSERT(identity.index == applied_ + 1);
  io::Hasher hasher(digest_);
  hasher.add(identity.index.value).add(identity.term.value).add(static_cast<std::uint64_t>(identity.kind));
  if (identity.kind != EntryKind::transactions) {
    if (identity.kind == EntryKind::cluster) hasher.add(identity.checksum.low);
    applied_ = identity.index;
    digest_ = hasher.value();
    return {};
  }
  const auto entry = parse_entry(payload);
  if (!entry) return std::unexpected(entry.error());
  REEL_ASSERT(entry->header.first_id == next_id_);
  REEL_ASSERT(entry->header.time > last_time_);
  if (entry->header.transactions > 0) steps_.push_back({identity.index, next_id_, entry->header.time});
  TxnId id = entry->header.first_id;
  std::uint64_t time = entry->header.time;
  for (const SectionView& section : entry->sections) {
    const SectionHeader& header = section.header;
    const TxnId behind = id + header.transactions();
    if (header.changes > 0 && !change_keys(section, id))
      return std::unexpected("section with other locks than it says");
    if (Session* session = sessions_.use(header.session, header.opens, time, identity.index)) {
      session->decide({header.first, header.count, header.kind == SectionKind::burn, id, time});
    }
    hasher.add(header.session.low).add(header.first.value).add(id.value).add(time);
    time += behind - id;
    id = behind;
  }
  // What was dropped must be the same everywhere too.
  hasher.add(sessions_.floor().value).add(sessions_.size()).add(locks_.floor().value);
  hasher.add(identity.checksum.low);
  applied_ = identity.index;
  next_id_ = id;
  last_time_ = std::max(entry->header.time, time - 1);
  digest_ = hasher.value();
  return {};
}

bool LogState::change_keys(const SectionView& section, TxnId id) {
  std::span<const std::byte> rest = section.records;
  std::uint32_t left = section.header.changes;
  for (std::uint32_t i = 0; i < section.header.count; ++i, ++id) {
    const auto record = parse_record(rest);
    if (!record) return false;
    rest = rest.subspan(record->size);
    for (std::uint32_t lock = 0; lock < record->lock_count(); ++lock) {
      if (!record->lock_is_changed(lock)) continue;
      if (left-- == 0) return false;
      locks_.change(record->lock(lock), id);
    }
  }
  return left == 0;
}

Index LogState::entry_of(TxnId id) const {
  REEL_ASSERT(id < next_id_);
  const auto after = std::upper_bound(steps_.begin(), steps_.end(), id,
                                      [](TxnId wanted, const Step& step) { return wanted < step.first; });
  REEL_ASSERT(after != steps_.begin());
  return std::prev(after)->index;
}

TxnId LogState::first_at(std::uint64_t time) const {
  const auto after =
      std::upper_bound(steps_.begin(), steps_.end(), time,
                       [](std::uint64_t wanted, const Step& step) { return wanted < step.time; });
  const TxnId behind = after == steps_.end() ? next_id_ : after->first;
  if (after == steps_.begin()) return behind;
  // It lies in the entry before, unless that one's last transaction is earlier still.
  const Step& step = *std::prev(after);
  const std::uint64_t position = time - step.time;
  return position < behind - step.first ? step.first + position : behind;
}

}  // namespace reel::log
