#include "harness/history/object_part.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "model/idle.h"
#include "model/key_value.h"
#include "model/witness.h"

namespace reel::harness {
namespace {

namespace kv = model::key_value_verb;
using model::Operation;

// Comparisons of a string with a string, for a rule that only saves work.
constexpr std::size_t kIdleComparisonsMax = 1u << 20;

// A model of its own for one check, with what it may know.
class PartModel {
 public:
  PartModel(const ObjectHistory& history, std::span<const Operation> operations, bool by_key) {
    switch (history.rules().model) {
      case CheckModel::kv: make_key_value(history, operations, by_key); break;
      case CheckModel::log: make_log(history, operations); break;
      case CheckModel::reg: model_ = model::register_model(history.initial_value()); break;
      default: model_ = model::cas_register_model(history.initial_value()); break;
    }
  }
  const model::SequentialModel& model() const { return model_; }

 private:
  void make_key_value(const ObjectHistory& history, std::span<const Operation> operations, bool by_key);
  void make_log(const ObjectHistory& history, std::span<const Operation> operations);

  std::unique_ptr<model::KeyValueModel> key_value_;
  std::unique_ptr<model::LogModel> log_;
  model::SequentialModel model_{};
};

void PartModel::make_key_value(const ObjectHistory& history, std::span<const Operation> operations,
                               bool by_key) {
  const std::size_t keys = by_key ? 1 : std::max<std::size_t>(1, history.keys());
  key_value_ = std::make_unique<model::KeyValueModel>(history.strings(), 0, keys);
  model_ = key_value_->model();
  if (operations.empty()) return;  // for a replay, which needs no evidence
  std::vector<std::vector<std::string_view>> got(keys);
  for (const Operation& operation : operations) {
    if (operation.verb != kv::kGet || operation.open()) continue;
    got[operation.input.second].push_back(history.string(operation.output.first));
  }
  for (std::size_t key = 0; key < keys; ++key) key_value_->observe(key, std::move(got[key]));
}

void PartModel::make_log(const ObjectHistory& history, std::span<const Operation> operations) {
  log_ = std::make_unique<model::LogModel>();
  model_ = log_->model();
  for (const Operation& operation : operations) {
    if (operation.open()) continue;
    if (operation.verb == model::log_verb::kAppend)
      log_->learn(operation.output.first, operation.input.first);
    if (operation.verb != model::log_verb::kPrefix) continue;
    const std::vector<std::uint64_t>& seen = history.seen(operation);
    for (std::size_t id = 0; id < seen.size(); ++id) log_->learn(id, seen[id]);
  }
  log_->seal(operations);
}

std::vector<bool> idle_of_key_value(const ObjectHistory& history, std::span<const Operation> operations) {
  std::vector<bool> idle(operations.size());
  std::size_t comparisons = 0;
  for (std::size_t at = 0; at < operations.size(); ++at) {
    const Operation& open = operations[at];
    if (!open.open()) continue;
    idle[at] = true;
    if (open.verb == kv::kGet) continue;
    const std::string_view text = history.string(open.input.first);
    for (const Operation& got : operations) {
      if (got.verb != kv::kGet || got.open() || got.input.second != open.input.second) continue;
      const std::string_view seen = history.string(got.output.first);
      const bool shows = open.verb == kv::kPut ? seen.starts_with(text) : seen.contains(text);
      if (!shows && ++comparisons < kIdleComparisonsMax) continue;
      idle[at] = false;
      break;
    }
  }
  return idle;
}

}  // namespace

std::vector<ObjectPart> parts_of(const ObjectHistory& history, bool by_key) {
  std::vector<ObjectPart> parts(by_key ? history.keys() : 1);
  for (std::uint32_t at = 0; at < history.size(); ++at) {
    if (!history.source(at).counts) continue;
    ObjectPart& part = parts[by_key ? history.source(at).key : 0];
    part.operations.push_back(history.operations()[at]);
    if (by_key && history.rules().model == CheckModel::kv) part.operations.back().input.second = 0;
    part.numbers.push_back(at);
  }
  return parts;
}

bool is_pure(const ObjectHistory& history, const Operation& operation) {
  const PartModel part(history, {}, true);
  return part.model().pure(part.model().context, operation);
}

std::vector<bool> idle_of(const ObjectHistory& history, std::span<const Operation> operations) {
  switch (history.rules().model) {
    case CheckModel::reg:
    case CheckModel::cas_register: return model::idle_of_register(operations);
    case CheckModel::kv: return idle_of_key_value(history, operations);
    default: return std::vector<bool>(operations.size());  // the model knows by itself
  }
}

model::CheckResult check_part(const ObjectHistory& history, std::span<const Operation> operations,
                              bool by_key, const model::CheckOptions& options) {
  const std::vector<bool> idle = idle_of(history, operations);
  std::vector<Operation> kept;
  std::vector<std::uint32_t> places;
  kept.reserve(operations.size());
  places.reserve(operations.size());
  for (std::uint32_t at = 0; at < operations.size(); ++at) {
    if (idle[at]) continue;
    kept.push_back(operations[at]);
    places.push_back(at);
  }
  if (history.rules().model == CheckModel::kv) model::find_evidence(kept);
  const PartModel part(history, kept, by_key);
  model::CheckResult result = model::check_linearizability(part.model(), kept, options);
  if (result.offender != model::CheckResult::kNobody) result.offender = places[result.offender];
  for (std::uint32_t& at : result.order) at = places[at];
  return result;
}

std::optional<std::string> check_order(const ObjectHistory& history, const ObjectPart& part, bool by_key,
                                       std::span<const std::uint32_t> order) {
  const PartModel judge(history, {}, by_key);
  return model::check_witness(judge.model(), part.operations, order);
}

}  // namespace reel::harness
