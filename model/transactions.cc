#include "model/transactions.h"

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
  Dependencies dependencies(history, options.type);
  if (auto wrong = dependencies.index()) return std::unexpected(std::move(*wrong));
  dependencies.infer();
  TransactionReport report;
  report.counted = dependencies.counted();
  report.dependencies = dependencies.graph().dependencies();
  report.anomalies = std::move(dependencies.anomalies());
  const Cycles cycles = dependencies.graph().find_cycles(options.steps_max);
  for (const Cycle& cycle : cycles.found) report.anomalies.push_back(report_of(cycle, dependencies));
  for (const AnomalyReport& each : report.anomalies) report.found |= set_of(each.anomaly);
  report.undecided = cycles.undecided;
  return report;
}

}  // namespace reel::model
