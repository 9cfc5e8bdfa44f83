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
    applied_ = identity.index;
    digest_ = hasher.value();
    return {};
  }
  const auto entry = parse_entry(payload);
  if (!entry) return std::unexpected(entry.error());
  REEL_ASSERT(entry->header.first_id == next_id_);
  REEL_ASSERT(entry->header.time > last_time_);
  if (entry->header.transactions > 0) steps_.push_back({identity.index, next_id_});
  TxnId id = entry->header.first_id;
  std::uint64_t time = entry->header.time;
  for (const SectionView& section : entry->sections) {
    Session* session = sessions_.open(section.header.session);
    REEL_ASSERT(session != nullptr);
    if (session == nullptr) return std::unexpected("session table overflow");
    session->commit({section.header.first, section.header.transactions, id, time});
    hasher.add(section.header.session.low).add(section.header.first.value).add(id.value).add(time);
    id += section.header.transactions;
    time += section.header.transactions;
  }
  hasher.add(identity.checksum.low);
  applied_ = identity.index;
  next_id_ = id;
  if (entry->header.transactions > 0) last_time_ = time - 1;
  digest_ = hasher.value();
  return {};
}

Index LogState::entry_of(TxnId id) const {
  REEL_ASSERT(id < next_id_);
  const auto after = std::upper_bound(steps_.begin(), steps_.end(), id,
                                      [](TxnId wanted, const Step& step) { return wanted < step.first; });
  REEL_ASSERT(after != steps_.begin());
  return std::prev(after)->index;
}

}  // namespace reel::log
