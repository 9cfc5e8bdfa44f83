#include "model/transactions.h"

#include <algorithm>
#include <map>
#include <utility>

#include "model/dependencies.h"

namespace reel::model {
namespace {

constexpr std::size_t kTransactionsMax = std::size_t{1} << 31;

AnomalyReport report_of(const Cycle& cycle, const Dependencies& dependencies) {
  AnomalyReport report;
  report.anomaly = cycle.anomaly;
  const char* divider = "";
  for (const CycleStep& step : cycle.steps) {
    report.transactions.push_back(step.from);
    report.text += divider + dependencies.explain(step);
    divider = "; ";
  }
  for (const CycleStep& step : cycle.steps) report.text += "; " + dependencies.describe(step.from);
  return report;
}

// Models in `of` that no other in it is stronger than, or with `weakest` weaker than.
std::vector<Isolation> extremes(const std::vector<Isolation>& of, bool weakest) {
  std::vector<Isolation> result;
  for (const Isolation model : of) {
    bool beaten = false;
    for (const Isolation other : of) {
      const Anomalies weaker = forbidden_by(weakest ? other : model);
      const Anomalies stronger = forbidden_by(weakest ? model : other);
      beaten = beaten || (other != model && (weaker & ~stronger) == 0);
    }
    if (!beaten) result.push_back(model);
  }
  return result;
}

template <class Wanted>
std::vector<Isolation> models(const Wanted& wanted) {
  std::vector<Isolation> result;
  for (std::size_t each = 0; each < kIsolations; ++each) {
    if (wanted(static_cast<Isolation>(each))) result.push_back(static_cast<Isolation>(each));
  }
  return result;
}

}  // namespace

std::vector<Isolation> TransactionReport::strongest() const {
  return extremes(models([this](Isolation model) { return satisfies(model); }), false);
}

std::vector<Isolation> TransactionReport::weakest_violated() const {
  return extremes(models([this](Isolation model) { return violates(model); }), true);
}

const AnomalyReport* TransactionReport::worst(Isolation model) const {
  const AnomalyReport* worst = nullptr;
  std::size_t models_against = 0;
  for (const AnomalyReport& each : anomalies) {
    if ((set_of(each.anomaly) & forbidden_by(model)) == 0) continue;
    const std::size_t against =
        models([&](Isolation other) { return (set_of(each.anomaly) & forbidden_by(other)) != 0; }).size();
    if (against <= models_against) continue;
    worst = &each;
    models_against = against;
  }
  return worst;
}

std::expected<TransactionReport, std::string> check_transactions(std::span<const ClientTransaction> history,
                                                                 const TransactionCheckOptions& options) {
  if (history.size() > kTransactionsMax) return std::unexpected("it has more than 2^31 transactions");
  Dependencies dependencies(history, options);
  if (auto wrong = dependencies.index()) return std::unexpected(std::move(*wrong));
  dependencies.infer();
  TransactionReport report;
  report.counted = dependencies.counted();
  report.dependencies = dependencies.graph().dependencies();
  report.anomalies = std::move(dependencies.anomalies());
  Cycles cycles = dependencies.graph().find_cycles(options.steps_max);
  for (const Cycle& cycle : cycles.found) report.anomalies.push_back(report_of(cycle, dependencies));
  for (const AnomalyReport& each : report.anomalies) report.found |= set_of(each.anomaly);
  report.undecided = cycles.undecided;
  if (options.type == DataType::list && report.found == 0) {
    report.order = std::move(cycles.order);
    std::erase_if(report.order, [&dependencies](std::uint32_t each) { return !dependencies.counts(each); });
  }
  return report;
}

std::optional<std::string> check_serial_order(std::span<const ClientTransaction> history,
                                              std::span<const std::uint32_t> order, DataType type) {
  std::map<std::uint64_t, std::vector<std::uint64_t>> state;  // by key
  std::vector<bool> placed(history.size());
  std::uint64_t latest_call = 0;
  for (const std::uint32_t each : order) {
    const std::string name = "T" + std::to_string(each);
    if (each >= history.size() || placed[each]) return name + " is not in the history, or twice in the order";
    placed[each] = true;
    const ClientTransaction& transaction = history[each];
    if (transaction.fate == Fate::aborted) return name + " was aborted";
    if (transaction.fate == Fate::committed && transaction.returned < latest_call) {
      return name + " returned before another was called that stands before it";
    }
    latest_call = std::max(latest_call, transaction.call);
    for (const Access& access : transaction.accesses) {
      std::vector<std::uint64_t>& value = state[access.key];
      if (access.verb == Access::Verb::write) {
        if (type == DataType::reg) value.clear();
        value.push_back(access.value);
      } else if (access.known &&
                 !std::equal(value.begin(), value.end(), access.seen.begin(), access.seen.end())) {
        return name + " saw something else in key " + std::to_string(access.key);
      }
    }
  }
  for (std::size_t each = 0; each < history.size(); ++each) {
    if (history[each].fate == Fate::committed && !placed[each])
      return "T" + std::to_string(each) + " is missing";
  }
  return std::nullopt;
}

}  // namespace reel::model
