// Selection: what a feed with a filter answers. It walks the payloads of consecutive entries and cuts out the records that
// match, as slices: nothing is copied.
//
// Invariant: everything from the call's `from` up to next() was looked at, and of that exactly the matching transactions
// are in matches(), in order. So a reader that goes on at next() misses nothing and gets nothing twice.
//
// Bounds: records of `bytes_max` bytes together (but always one), and kFeedMatchesMax of them. The caller bounds the walk.
#pragma once

#include <cstdint>
#include <vector>

#include "node/client_message.h"
#include "node/log/record.h"

namespace reel::log {

[[nodiscard]] bool matches(const FeedFilter& filter, const RecordView& record);
// The transaction without its entry. It must lie in `payload`.
[[nodiscard]] CommittedRecord cut_out(const Bytes& payload, const Transaction& transaction);

class Selection {
 public:
  enum class Walk : std::uint8_t {
    done,       // the whole payload was looked at
    full,       // there is no room for the transaction next()
    malformed,  // the payload cannot be parsed; next() stands before what could not be read
  };
  Selection(const FeedFilter& filter, TxnId from, std::uint32_t bytes_max)
      : filter_(filter), next_(from), bytes_max_(bytes_max) {}

  // The payload of the entry that holds next(), or of any between it and that one.
  [[nodiscard]] Walk walk(const Bytes& payload);
  TxnId next() const { return next_; }
  std::vector<CommittedRecord>& matches() { return matches_; }

 private:
  bool fits(const RecordView& record) const;

  const FeedFilter& filter_;
  TxnId next_;
  std::uint32_t bytes_max_;
  std::uint64_t bytes_ = 0;
  std::vector<CommittedRecord> matches_;
};

}  // namespace reel::log
