#include "node/log/selection.h"

#include "io/ports/assert.h"

namespace reel::log {

bool matches(const FeedFilter& filter, const RecordView& record) {
  if ((record.header & filter.header_mask) != filter.header_value) return false;
  if (!filter.lock) return true;
  for (std::uint32_t number = 0; number < record.lock_count(); ++number) {
    if (record.lock(number) == *filter.lock) return true;
  }
  return false;
}

CommittedRecord cut_out(const Bytes& payload, const Transaction& transaction) {
  const std::span<const std::byte> whole = transaction.record.whole();
  REEL_ASSERT(whole.data() >= payload.data() &&
              whole.data() + whole.size() <= payload.data() + payload.size());
  return {transaction.id, transaction.time, transaction.session, transaction.sequence,
          payload.slice(static_cast<std::size_t>(whole.data() - payload.data()), whole.size())};
}

bool Selection::fits(const RecordView& record) const {
  if (matches_.empty()) return true;
  return matches_.size() < kFeedMatchesMax && bytes_ + record.size <= bytes_max_;
}

Selection::Walk Selection::walk(const Bytes& payload) {
  bool full = false;
  const bool readable = for_each_transaction(payload.span(), next_, [&](const Transaction& transaction) {
    if (log::matches(filter_, transaction.record)) {
      full = !fits(transaction.record);
      if (full) return false;
      bytes_ += transaction.record.size;
      matches_.push_back(cut_out(payload, transaction));
    }
    next_ = transaction.id + 1;
    return true;
  });
  if (!readable) return Walk::malformed;
  return full ? Walk::full : Walk::done;
}

}  // namespace reel::log
