#include "harness/client_history.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::harness {

using Verb = model::Access::Verb;

void ClientHistory::begin_life(std::uint64_t process) {
  process_ = process;
  views_.emplace_back();
}

std::size_t ClientHistory::length(std::uint64_t key) const {
  const auto found = views_.back().find(key);
  return found == views_.back().end() ? 0 : found->second.size();
}

ClientHistory::Attempt ClientHistory::begin(std::uint64_t time) {
  Transaction transaction;
  transaction.process = process_;
  transaction.call = time;
  transaction.view = views_.size() - 1;
  transactions_.push_back(std::move(transaction));
  return transactions_.size() - 1;
}

void ClientHistory::read(Attempt attempt, std::uint64_t key) {
  transactions_[attempt].accesses.push_back({Verb::read, key, 0, length(key)});
}

void ClientHistory::append(Attempt attempt, std::uint64_t key, std::uint64_t value) {
  transactions_[attempt].accesses.push_back({Verb::write, key, value, 0});
}

void ClientHistory::committed(Attempt attempt, std::uint64_t time) {
  Transaction& transaction = transactions_[attempt];
  REEL_CHECK(transaction.fate == model::Fate::unknown);
  transaction.fate = model::Fate::committed;
  transaction.returned = time;
}

void ClientHistory::aborted(Attempt attempt) {
  REEL_CHECK(transactions_[attempt].fate != model::Fate::committed);
  transactions_[attempt].fate = model::Fate::aborted;
}

void ClientHistory::add_to(std::vector<model::ClientTransaction>& history,
                           std::deque<std::vector<std::uint64_t>>& lists) const {
  for (const Transaction& kept : transactions_) {
    model::ClientTransaction transaction{kept.process, kept.call, kept.returned, kept.fate, {}};
    std::map<std::uint64_t, std::vector<std::uint64_t>> own;
    for (const Kept& access : kept.accesses) {
      transaction.accesses.push_back({access.verb, true, access.key, access.value, {}});
      if (access.verb == Verb::write) {
        own[access.key].push_back(access.value);
        continue;
      }
      const auto found = views_[kept.view].find(access.key);
      std::span<const std::uint64_t> seen;
      if (found != views_[kept.view].end()) seen = std::span(found->second).first(access.length);
      if (const auto mine = own.find(access.key); mine != own.end()) {
        std::vector<std::uint64_t>& list = lists.emplace_back(seen.begin(), seen.end());
        list.insert(list.end(), mine->second.begin(), mine->second.end());
        seen = list;
      }
      transaction.accesses.back().seen = seen;
    }
    history.push_back(std::move(transaction));
  }
}

std::optional<std::string> judge_histories(std::span<const ClientHistory* const> clients) {
  std::vector<model::ClientTransaction> history;
  std::deque<std::vector<std::uint64_t>> lists;
  for (const ClientHistory* client : clients) client->add_to(history, lists);
  const auto report = model::check_transactions(history, {});
  if (!report) return "the clients' histories are none: " + report.error();
  const model::AnomalyReport* worst = report->worst(model::Isolation::strict_serializable);
  if (worst == nullptr) {
    const auto wrong = model::check_serial_order(history, report->order);
    if (!wrong) return std::nullopt;
    return "the checker's own order is wrong: " + *wrong;
  }
  return std::string(model::name_of(worst->anomaly)) + ": " + worst->text;
}

}  // namespace reel::harness
