#include "harness/history/transaction_history.h"

#include <algorithm>
#include <utility>

namespace reel::harness {
namespace {

using model::Access;
using model::ClientTransaction;
using model::Fate;

constexpr std::size_t kBlockNumbers = 1u << 16;
constexpr std::size_t kTransactionsMax = std::size_t{1} << 31;

}  // namespace

std::optional<std::string> TransactionHistory::take(const Event& event, const Forms& forms) {
  lines_.push_back(event.line);
  const std::uint64_t now = lines_.size();
  const auto found = pending_.find(event.process);
  const std::string process = "process " + std::to_string(event.process);
  if (event.type == EventType::invoke) {
    if (found != pending_.end()) {
      return process + " invokes although what it invoked in line " + std::to_string(found->second.line) +
             " has no outcome";
    }
    if (transactions_.size() >= kTransactionsMax) return "it has more than 2^31 transactions";
    ClientTransaction transaction;
    transaction.process = event.process;
    transaction.call = now;
    if (Problem problem = take_accesses(event.value, forms, false, transaction.accesses)) return problem;
    pending_.emplace(event.process, Pending{static_cast<std::uint32_t>(transactions_.size()), event.line});
    transactions_.push_back(std::move(transaction));
    return std::nullopt;
  }
  if (found == pending_.end()) {
    return process + " has an outcome, " + name_of(event.type) + ", of nothing that it invoked";
  }
  ClientTransaction& transaction = transactions_[found->second.transaction];
  pending_.erase(found);
  if (event.type == EventType::fail) transaction.fate = Fate::aborted;
  if (event.type != EventType::ok) return std::nullopt;
  transaction.fate = Fate::committed;
  transaction.returned = now;
  if (Problem problem = take_accesses(event.value, forms, true, ended_)) return problem;
  const bool same = std::equal(ended_.begin(), ended_.end(), transaction.accesses.begin(),
                               transaction.accesses.end(), [](const Access& a, const Access& b) {
                                 return a.verb == b.verb && a.key == b.key && a.value == b.value;
                               });
  if (!same) return "it did something else than it was invoked to do";
  std::swap(transaction.accesses, ended_);
  return std::nullopt;
}

TransactionHistory::Problem TransactionHistory::take_accesses(const Form* value, const Forms& forms,
                                                              bool committed, std::vector<Access>& accesses) {
  if (value == nullptr || value->kind != Form::Kind::list) return "the value of a transaction must be a list";
  accesses.clear();
  accesses.reserve(value->count);
  for (const Form& part : forms.parts(*value)) {
    if (Problem problem = take_access(part, forms, committed, accesses.emplace_back())) return problem;
  }
  return std::nullopt;
}

TransactionHistory::Problem TransactionHistory::take_access(const Form& part, const Forms& forms,
                                                            bool committed, Access& access) {
  const bool lists = rules_.model == CheckModel::list_append;
  const auto wrong = [&] {
    return text_of(part, forms) + (lists ? " is neither [:append key value] nor [:r key list]"
                                         : " is neither [:w key value] nor [:r key value]");
  };
  if (part.kind != Form::Kind::list || part.count < 2 || part.count > 3) return wrong();
  const std::span<const Form> parts = forms.parts(part);
  const std::string_view f = parts[0].text;
  access.key = names_.number_of(parts[1], forms);
  if (f == "r") {
    access.verb = Access::Verb::read;
    access.known = committed;
    return committed && parts.size() == 3 ? take_read(parts[2], forms, access) : std::nullopt;
  }
  if (f != (lists ? "append" : "w") || parts.size() != 3) return wrong();
  if (parts[2].kind == Form::Kind::nil) return "nil is what nobody wrote, so it cannot be written";
  access.verb = Access::Verb::write;
  access.value = names_.number_of(parts[2], forms);
  return std::nullopt;
}

TransactionHistory::Problem TransactionHistory::take_read(const Form& value, const Forms& forms,
                                                          Access& access) {
  if (value.kind == Form::Kind::nil) {
    access.known = rules_.nil == NilRead::absent;
    return std::nullopt;
  }
  list_.clear();
  if (rules_.model == CheckModel::list_append) {
    if (value.kind != Form::Kind::list)
      return "a read showed " + text_of(value, forms) + ", which is no list";
    for (const Form& each : forms.parts(value)) list_.push_back(names_.number_of(each, forms));
  } else {
    list_.push_back(names_.number_of(value, forms));
  }
  access.seen = keep(list_);
  return std::nullopt;
}

std::span<const std::uint64_t> TransactionHistory::keep(std::span<const std::uint64_t> list) {
  if (blocks_.empty() || blocks_.back().capacity() - blocks_.back().size() < list.size()) {
    blocks_.emplace_back().reserve(std::max(kBlockNumbers, list.size()));
  }
  std::vector<std::uint64_t>& block = blocks_.back();
  const std::size_t at = block.size();
  block.insert(block.end(), list.begin(), list.end());  // within its capacity
  return std::span(block).subspan(at);
}

void TransactionHistory::finish() {
  pending_.clear();
  if (rules_.unknown == UnknownOutcome::maybe) return;
  for (ClientTransaction& transaction : transactions_) {
    if (transaction.fate == Fate::unknown) transaction.fate = Fate::aborted;
  }
}

model::HistoryNames TransactionHistory::names() const {
  const auto value = [this](std::uint64_t number) { return names_.text(number); };
  return {value, value, [this](std::uint64_t event) { return "line " + std::to_string(line_of(event)); }};
}

}  // namespace reel::harness
