#include "harness/bank_client.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/bank_operation.h"
#include "harness/programs.h"

namespace reel::harness {
namespace {

using Verb = model::BankOperation::Verb;
using Kind = client::SubmitOutcome::Kind;
using Ending = client::SubmitOutcome::Ending;

enum Place : std::uint32_t { kBankDraw = 30 };
constexpr io::Duration kPatience = io::seconds(4);
constexpr io::Duration kGrace = io::seconds(2);
// How late a program may hear of an end that is due: its alarm may come late, and what is submitted again at once waits a
// turn.
constexpr io::Duration kSlack = io::milliseconds(200);

log::LockKey existence_of(std::uint32_t account) {
  return log::lock_key("account " + std::to_string(account), 1);
}
log::LockKey balance_of(std::uint32_t account) {
  return log::lock_key("balance " + std::to_string(account), 1);
}

model::LockRequest request_of(const client::Prepared& prepared, const std::optional<TxnId>& based_on) {
  return {prepared.write_locks, prepared.read_locks, prepared.append_locks, based_on};
}

// What an operation does to the bank's lists, as its locks say.
struct ListUse {
  std::uint64_t list = 0;
  bool read = false;
  bool appended = false;
};
std::vector<ListUse> lists_of(const model::BankOperation& operation) {
  const auto existence = [](std::uint32_t account) { return std::uint64_t{account} * 2; };
  const auto balance = [](std::uint32_t account) { return std::uint64_t{account} * 2 + 1; };
  switch (operation.verb) {
    case Verb::open: return {{existence(operation.account), true, true}};
    case Verb::deposit:
      return {{existence(operation.account), true, false}, {balance(operation.account), false, true}};
    case Verb::transfer:
      return {{existence(operation.account), true, false},
              {existence(operation.to), true, false},
              {balance(operation.account), true, true},
              {balance(operation.to), true, true}};
    case Verb::close:
      return {{existence(operation.account), true, true}, {balance(operation.account), true, true}};
  }
  return {};
}

class BankProgram final : public client::Driver {
 public:
  BankProgram(io::Ports& ports, const BankPlan& plan, BankMemory& memory, Oracles& oracles,
              sim::Decisions& decisions)
      : Driver(ports, *plan.call_codec),
        plan_(plan),
        memory_(memory),
        oracles_(oracles),
        decisions_(decisions) {
    ++memory_.lives;
    memory_.lost = memory_.operations - memory_.answered;
    memory_.history.begin_life(plan.self.value * 1000 + memory_.lives);
    client::ReaderOptions reader;
    reader.nodes = plan.nodes;
    reader.group = kBankGroup;
    reader.wait = io::milliseconds(500);
    reader.call_timeout = io::seconds(1);
    reader.seed = plan.seed;
    open_reader(reader);
    oracles.feed_opened(kBankGroup, plan.self, TxnId(0));
    client::SubmitterOptions submitter;
    submitter.nodes = plan.nodes;
    submitter.group = kBankGroup;
    submitter.session.high = decisions_.bits(key());
    submitter.session.low = decisions_.bits(key());
    submitter.call_timeout = io::milliseconds(400);
    submitter.grace = kGrace;
    submitter.seed = decisions_.bits(key());
    submitter.attempts_max = 2 + static_cast<std::uint32_t>(below(8));
    submitter.call_transactions_max = 1 + static_cast<std::uint32_t>(below(8));
    submitter.calls_in_flight_max = 1 + static_cast<std::uint32_t>(below(4));
    open_submitter(submitter);
  }

  void on_start() override {
    set_alarm(ports().clock.now().monotonic);
    flush();
  }
  void on_alarm() override;
  void on_transaction(const log::Transaction& transaction) override;
  void on_submitted(const client::SubmitOutcome& outcome) override;
  void on_progress() override;

 private:
  struct Account {
    bool open = false;
    std::uint64_t balance = 0;
  };
  // What a teller was asked for; the amount is found when it is executed.
  struct Order {
    Verb verb{};
    std::uint32_t account = 0;
    std::uint32_t to = 0;
    std::uint64_t amount = 0;
    std::uint64_t number = 0;
    std::vector<model::LockRequest> attempts;    // what each asked for
    std::optional<ClientHistory::Attempt> kept;  // the last, in the history
    io::Instant ends_by;
  };

  sim::ChoiceKey key() {
    return {sim::Choice::workload, kBankDraw, static_cast<std::uint32_t>(plan_.self.value), ++memory_.draws};
  }
  std::uint64_t below(std::uint64_t bound) { return decisions_.below(key(), bound); }
  model::BankRequest request_of(const Order& order) const {
    return {plan_.self.value, memory_.lives, order.number};
  }

  Order draw_order();
  void submit();
  void cancel_one();
  std::optional<client::Prepared> execute(Order& order, const client::View& view);
  std::optional<client::Prepared> prepare(Order& order, model::BankOperation& operation) const;
  void keep(Order& order, const model::BankOperation& operation);
  void check_view(const Order& order, const client::View& view);
  void check_refusal(const Order& order, const Refusal& refusal, std::uint32_t attempt);
  void apply(const model::BankOperation& operation);

  BankPlan plan_;
  BankMemory& memory_;
  Oracles& oracles_;
  sim::Decisions& decisions_;
  std::map<std::uint32_t, Account> accounts_;  // the view
  TxnId position_;                             // everything below it is in the view
  std::map<client::SubmitId, Order> orders_;   // outstanding
  std::uint64_t submits_ = 0;
  RepeatMarks repeats_;
};

// ---- orders -----------------------------------------------------------------------------------------------------

// Mostly what the view allows; what the bank forbids by then is vetoed.
BankProgram::Order BankProgram::draw_order() {
  Order order;
  const std::uint64_t verb = below(20);
  order.account = static_cast<std::uint32_t>(below(plan_.accounts));
  order.to = (order.account + 1 + static_cast<std::uint32_t>(below(plan_.accounts - 1))) % plan_.accounts;
  order.amount = 1 + below(1000);
  const bool open = accounts_[order.account].open;
  if (verb == 0 || (!open && verb < 16)) {
    order.verb = Verb::open;
  } else {
    order.verb = verb < 8 ? Verb::deposit : verb < 17 ? Verb::transfer : Verb::close;
  }
  return order;
}

void BankProgram::submit() {
  ++memory_.operations;
  const io::Instant now = ports().clock.now().monotonic;
  Order order = draw_order();
  order.number = ++submits_;
  const bool hurried = plan_.impatient && below(4) == 0;
  const io::Duration patience =
      hurried ? io::microseconds(static_cast<std::int64_t>(below(60'000))) : kPatience;
  order.ends_by = now + patience + kGrace + kSlack;
  // An outcome is told in a later turn: by then the order is here.
  const client::SubmitId next(submits_);
  orders_.emplace(next, std::move(order));
  const client::SubmitId id = submitter()->submit(
      {[this, next](const client::View& view) { return execute(orders_.at(next), view); }, now + patience});
  if (id != next) oracles_.complain("submit-outcome", "submits are not numbered 1, 2, 3");
}

void BankProgram::cancel_one() {
  if (orders_.empty()) return;
  const auto chosen = std::next(orders_.begin(), static_cast<std::ptrdiff_t>(below(orders_.size())));
  submitter()->cancel(chosen->first, ports().clock.now());
}

void BankProgram::on_alarm() {
  while (memory_.operations < plan_.operations && orders_.size() < plan_.outstanding &&
         submitter()->can_submit()) {
    submit();
    if (below(3) == 0) break;
  }
  if (plan_.impatient && below(12) == 0) cancel_one();
  if (memory_.operations >= plan_.operations && orders_.empty()) return;
  const auto pause = decisions_.pause(key(), static_cast<std::uint64_t>(plan_.think_mean.ns));
  set_alarm(ports().clock.now().monotonic + io::Duration{static_cast<std::int64_t>(pause)});
}

// ---- execution --------------------------------------------------------------------------------------------------

std::optional<client::Prepared> BankProgram::execute(Order& order, const client::View& view) {
  check_view(order, view);
  order.attempts.emplace_back();
  // It is executed again because it can no longer commit as it was.
  if (order.kept) memory_.history.aborted(*order.kept);
  order.kept.reset();
  model::BankOperation operation{order.verb,   order.account,     order.to,
                                 order.amount, request_of(order), order.attempts.size()};
  std::optional<client::Prepared> prepared = prepare(order, operation);
  if (!prepared) return prepared;
  order.attempts.back() = harness::request_of(*prepared, view.applied);
  keep(order, operation);
  return prepared;
}

// As the checker sees it.
void BankProgram::keep(Order& order, const model::BankOperation& operation) {
  ClientHistory& history = memory_.history;
  order.kept = history.begin(plan_.clock());
  for (const ListUse& use : lists_of(operation)) {
    if (use.read) history.read(*order.kept, use.list);
    if (use.appended) history.append(*order.kept, use.list, value_of(operation));
  }
}

// The rules of the bank, on the view. Nothing: they forbid it.
std::optional<client::Prepared> BankProgram::prepare(Order& order, model::BankOperation& operation) const {
  const auto account_of = [this](std::uint32_t number) {
    const auto found = accounts_.find(number);
    return found == accounts_.end() ? Account{} : found->second;
  };
  const Account account = account_of(order.account);
  if (account.open == (order.verb == Verb::open)) return std::nullopt;
  client::Prepared prepared;
  const log::LockKey existence = existence_of(order.account);
  const log::LockKey balance = balance_of(order.account);
  switch (order.verb) {
    case Verb::open: prepared.write_locks = {existence}; break;
    case Verb::deposit:
      prepared.read_locks = {existence};
      prepared.append_locks = {balance};
      break;
    case Verb::transfer:
      if (account.balance == 0 || !account_of(order.to).open) return std::nullopt;
      operation.amount = std::min(order.amount, account.balance);
      prepared.read_locks = {existence, existence_of(order.to)};
      prepared.write_locks = {balance, balance_of(order.to)};
      break;
    case Verb::close:
      operation.amount = account.balance;
      prepared.write_locks = {existence, balance};
      break;
  }
  prepared.data = encode(operation);
  return prepared;
}

// What the submitter promises of the view that an attempt is made from.
void BankProgram::check_view(const Order& order, const client::View& view) {
  const std::optional<TxnId> applied = position_.value == 0 ? std::nullopt : std::optional(position_ - 1);
  if (view.applied != applied)
    oracles_.complain("submit-view", "an execution is not based on the newest view");
  if (!view.refusal) return;
  oracles_.mark("submit.executed_again");
  check_refusal(order, *view.refusal, view.refused);
  if (view.refusal->code == RefusalCode::conflict && (!applied || *applied < view.refusal->id)) {
    oracles_.complain("submit-view", "a submit is executed again before its view holds transaction " +
                                         std::to_string(view.refusal->id.value) + ", which refused it");
  }
}

void BankProgram::check_refusal(const Order& order, const Refusal& refusal, std::uint32_t attempt) {
  if (attempt == 0 || attempt > order.attempts.size()) {
    return oracles_.complain("submit-view", "a refusal of an attempt that was never made");
  }
  const model::LockRequest& locks = order.attempts[attempt - 1];
  if (refusal.code == RefusalCode::conflict) {
    oracles_.conflicted(kBankGroup, locks, refusal.lock, refusal.id);
  } else if (refusal.code == RefusalCode::stale) {
    oracles_.stale(kBankGroup, locks, refusal.id);
  }
}

// ---- the view ---------------------------------------------------------------------------------------------------

void BankProgram::on_transaction(const log::Transaction& transaction) {
  oracles_.fed(kBankGroup, plan_.self, transaction);
  position_ = transaction.id + 1;
  if (const auto operation = parse_bank_operation(transaction.record.data)) {
    apply(*operation);
  } else {
    oracles_.complain("bank-rule", "the bank's log holds something else");
  }
  submitter()->applied(transaction.id);
}

void BankProgram::apply(const model::BankOperation& operation) {
  for (const ListUse& use : lists_of(operation)) {
    if (use.appended) memory_.history.apply(use.list, value_of(operation));
  }
  Account& account = accounts_[operation.account];
  switch (operation.verb) {
    case Verb::open: account.open = true; break;
    case Verb::deposit: account.balance += operation.amount; break;
    case Verb::transfer:
      account.balance -= operation.amount;
      accounts_[operation.to].balance += operation.amount;
      break;
    case Verb::close: account = {}; break;
  }
}

// ---- outcomes ---------------------------------------------------------------------------------------------------

void BankProgram::on_submitted(const client::SubmitOutcome& outcome) {
  const auto found = orders_.find(outcome.submit);
  if (found == orders_.end()) return oracles_.complain("submit-outcome", "a submit ended twice");
  const Order& order = found->second;
  oracles_.mark(mark_of(outcome.kind));
  if (outcome.ending == Ending::expired) oracles_.mark("submit.session_expired");
  const io::Instant now = ports().clock.now().monotonic;
  if (now > order.ends_by) {
    oracles_.complain("submit-deadline", "a submit ended " + std::to_string((now - order.ends_by).ns) +
                                             " ns after it had to, as " + client::name_of(outcome.kind));
  }
  model::BankOutcome told = model::BankOutcome::never;
  switch (outcome.kind) {
    case Kind::committed:
      told = model::BankOutcome::committed;
      memory_.history.committed(*order.kept, plan_.clock());
      oracles_.acknowledged(kBankGroup, outcome.session, {outcome.sequence, 1, outcome.id, outcome.time});
      break;
    case Kind::conflict:
    case Kind::stale: check_refusal(order, *outcome.refusal, outcome.refused); break;
    case Kind::vetoed: break;
    case Kind::burned:
      if (outcome.sequence.value > 0) oracles_.burned(kBankGroup, outcome.session, outcome.sequence);
      break;
    case Kind::failed:
      oracles_.complain("client-refused", "a submit was refused: " + outcome.error->text);
      break;
    case Kind::unknown: told = model::BankOutcome::unknown; break;
  }
  if (told == model::BankOutcome::never && order.kept) memory_.history.aborted(*order.kept);
  oracles_.banked(request_of(order), told, outcome.id, order.attempts.size());
  orders_.erase(found);
  ++memory_.answered;
}

void BankProgram::on_progress() {
  repeats_.tell(submitter()->repeats(), oracles_);
  if (readers().front()->failure()) oracles_.complain("feed", *readers().front()->failure());
  if (submitter()->failure()) oracles_.complain("client-refused", submitter()->failure()->text);
}

}  // namespace

std::unique_ptr<io::Host> make_bank_client(io::Ports& ports, const BankPlan& plan, BankMemory& memory,
                                           Oracles& oracles, sim::Decisions& decisions) {
  return std::make_unique<BankProgram>(ports, plan, memory, oracles, decisions);
}

}  // namespace reel::harness
