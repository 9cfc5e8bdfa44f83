// A history of transactions (list-append, rw-register), from its events to what the checker of isolation takes. The value of an
// event is a list of [:append key value], [:w key value] and [:r key what-was-read]. Transactions are numbered from 0 in the order
// of their invocations; times are events, counted from 1.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "harness/history/events.h"
#include "harness/history/rules.h"
#include "harness/history/value_names.h"
#include "model/transactions.h"

namespace reel::harness {

class TransactionHistory {
 public:
  explicit TransactionHistory(const HistoryRules& rules) : rules_(rules) {}
  TransactionHistory(const TransactionHistory&) = delete;  // its lists are referred to
  TransactionHistory& operator=(const TransactionHistory&) = delete;

  // An EventSink: what is wrong with the event, if anything.
  [[nodiscard]] std::optional<std::string> take(const Event& event, const Forms& forms);
  // Behind the last event.
  void finish();

  const HistoryRules& rules() const { return rules_; }
  const std::vector<model::ClientTransaction>& transactions() const { return transactions_; }
  // For sentences; refers to this history.
  [[nodiscard]] model::HistoryNames names() const;
  std::uint64_t line_of(std::uint64_t event) const { return lines_[event - 1]; }

 private:
  using Problem = std::optional<std::string>;
  struct Pending {
    std::uint32_t transaction;
    std::uint64_t line;
  };

  Problem take_accesses(const Form* value, const Forms& forms, bool committed,
                        std::vector<model::Access>& accesses);
  Problem take_access(const Form& part, const Forms& forms, bool committed, model::Access& access);
  Problem take_read(const Form& value, const Forms& forms, model::Access& access);
  std::span<const std::uint64_t> keep(std::span<const std::uint64_t> list);

  HistoryRules rules_;
  ValueNames names_;
  std::vector<model::ClientTransaction> transactions_;
  std::vector<std::uint64_t> lines_;  // by event
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::deque<std::vector<std::uint64_t>> blocks_;  // what was read; never moved
  std::vector<std::uint64_t> list_;                // the one that is being read
  std::vector<model::Access> ended_;               // likewise
};

}  // namespace reel::harness
