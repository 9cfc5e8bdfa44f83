#include "model/feed_oracle.h"

#include <algorithm>

namespace reel::model {
namespace {

bool wants(const Wanted& wanted, const Shown& transaction) {
  if (transaction.time < wanted.time_min) return false;
  if ((transaction.header & wanted.header_mask) != wanted.header_value) return false;
  return !wanted.lock || std::find(transaction.locks.begin(), transaction.locks.end(), *wanted.lock) !=
                             transaction.locks.end();
}

}  // namespace

void FeedOracle::applied(TxnId id, const Shown& transaction) {
  if (id.value == log_.size()) log_.push_back(transaction);
}

void FeedOracle::opened(Reader reader, TxnId from, const Wanted& wanted) {
  readers_[reader] = {wanted, from};
}

FeedOracle::Finding FeedOracle::fed(Reader reader, TxnId id, const Shown& transaction) {
  if (Finding finding = passed(reader, id)) return finding;
  Progress& progress = readers_[reader];
  if (id < progress.next) {
    return violation("filtered-feed", "reader ", reader, " got transaction ", id, ", but had passed ", id,
                     " before: it stood at ", progress.next);
  }
  if (id.value >= log_.size()) {
    return violation("filtered-feed", "reader ", reader, " got transaction ", id,
                     ", which no node has applied");
  }
  if (log_[id.value] != transaction) {
    return violation("filtered-feed", "reader ", reader, " got another transaction ", id,
                     " than stands in the log");
  }
  if (!wants(progress.wanted, transaction)) {
    return violation("filtered-feed", "reader ", reader, " got transaction ", id,
                     ", which its filter does not let through");
  }
  progress.next = id + 1;
  return std::nullopt;
}

FeedOracle::Finding FeedOracle::passed(Reader reader, TxnId next) {
  Progress& progress = readers_[reader];
  for (; progress.next < next; ++progress.next) {
    const TxnId id = progress.next;
    if (id.value >= log_.size()) {
      return violation("filtered-feed", "reader ", reader, " goes on at transaction ", next, ", but only ",
                       log_.size(), " are applied");
    }
    if (wants(progress.wanted, log_[id.value])) {
      return violation("filtered-feed", "reader ", reader, " goes on at transaction ", next,
                       ", but was not shown transaction ", id, ", which its filter lets through");
    }
  }
  return std::nullopt;
}

}  // namespace reel::model
