#include "model/bank_oracle.h"

#include <string>

namespace reel::model {
namespace {

std::string words_of(const BankRequest& request) {
  return "submit " + std::to_string(request.number) + " of client " + std::to_string(request.client) +
         " in life " + std::to_string(request.life);
}

}  // namespace

BankOracle::Finding BankOracle::committed(TxnId id, const BankOperation& operation) {
  if (id < next_) return std::nullopt;
  next_ = id + 1;
  const auto [at, first] = committed_.try_emplace(operation.request, Committed{id, operation.attempt});
  if (!first) {
    return violation("bank-twice", words_of(operation.request), " stands in the log as transaction ",
                     at->second.id, " and as ", id);
  }
  if (const auto told = told_.find(operation.request); told != told_.end()) {
    if (auto finding = judge(operation.request, told->second, at->second)) return finding;
  }
  return book(id, operation);
}

BankOracle::Finding BankOracle::book(TxnId id, const BankOperation& operation) {
  using Verb = BankOperation::Verb;
  Account& account = accounts_[operation.account];
  if (account.open == (operation.verb == Verb::open)) {
    return violation("bank-rule", "transaction ", id, " is for account ", std::uint64_t{operation.account},
                     account.open ? ", which is open already" : ", which is not open");
  }
  const std::uint64_t balance = account.balance;
  switch (operation.verb) {
    case Verb::open: account.open = true; return std::nullopt;
    case Verb::deposit:
      account.balance += operation.amount;
      came_in_ += operation.amount;
      return std::nullopt;
    case Verb::transfer: {
      Account& to = accounts_[operation.to];
      if (operation.amount > balance || !to.open) {
        return violation("bank-rule", "transaction ", id, " moves ", operation.amount, " from account ",
                         std::uint64_t{operation.account}, " with ", balance, " to account ",
                         std::uint64_t{operation.to}, to.open ? "" : ", which is not open");
      }
      account.balance -= operation.amount;
      to.balance += operation.amount;
      return std::nullopt;
    }
    case Verb::close:
      if (operation.amount != balance) {
        return violation("bank-rule", "transaction ", id, " closes account ",
                         std::uint64_t{operation.account}, " and pays out ", operation.amount,
                         ", but its balance is ", balance);
      }
      went_out_ += balance;
      account = {};
      return std::nullopt;
  }
  return violation("bank-rule", "transaction ", id, " is no operation of the bank");
}

BankOracle::Finding BankOracle::told(const BankRequest& request, BankOutcome outcome, TxnId id,
                                     std::uint64_t attempt) {
  const auto [at, first] = told_.try_emplace(request, Told{outcome, id, attempt});
  if (!first) return violation("bank-outcome", words_of(request), " was given a second outcome");
  const auto found = committed_.find(request);
  if (found != committed_.end()) return judge(request, at->second, found->second);
  if (outcome == BankOutcome::committed && id < next_) {
    return violation("bank-outcome", words_of(request), " was told that it is transaction ", id,
                     ", which is another one");
  }
  return std::nullopt;
}

BankOracle::Finding BankOracle::judge(const BankRequest& request, const Told& told,
                                      const Committed& committed) const {
  if (told.outcome == BankOutcome::never) {
    return violation("bank-outcome", words_of(request),
                     " was told that it never commits, and stands in the log as ", committed.id);
  }
  if (told.outcome == BankOutcome::committed && told.id != committed.id) {
    return violation("bank-outcome", words_of(request), " was told that it is transaction ", told.id,
                     " and is ", committed.id);
  }
  if (told.attempt != committed.attempt) {
    return violation("bank-outcome", words_of(request), " committed what execution ", committed.attempt,
                     " made, but was executed ", told.attempt, " times");
  }
  return std::nullopt;
}

BankOracle::Finding BankOracle::finish() const {
  for (const auto& [request, told] : told_) {
    if (told.outcome == BankOutcome::committed && !committed_.contains(request)) {
      return violation("bank-outcome", words_of(request), " was told that it is transaction ", told.id,
                       ", and is not in the log");
    }
  }
  std::uint64_t held = 0;
  for (const auto& [number, account] : accounts_) held += account.balance;
  if (held + went_out_ == came_in_) return std::nullopt;
  return violation("bank-total", "the accounts hold ", held, ", but ", came_in_, " came in and ", went_out_,
                   " went out");
}

}  // namespace reel::model
