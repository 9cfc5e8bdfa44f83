#include "harness/history/contradiction.h"

#include <algorithm>
#include <optional>

#include "model/key_value.h"
#include "model/sequential.h"

namespace reel::harness {
namespace {

namespace kv = model::key_value_verb;
namespace reg = model::register_verb;
using model::Operation;

// What a register's operation leaves there, if that is certain once it took effect.
std::optional<std::uint64_t> left_by(const Operation& operation) {
  if (operation.verb == reg::kWrite) return operation.input.first;
  const bool done = operation.verb == reg::kCas && (operation.open() || operation.output.first == 1);
  return done ? std::optional(operation.input.second) : std::nullopt;
}

struct Words {
  const ObjectHistory& history;
  const ObjectPart& part;
  std::string of(std::uint32_t at) const {
    const std::uint32_t number = part.numbers[at];
    return history.describe(history.operations()[number]) + " (" + history.lines(number) + ")";
  }
};

std::optional<std::string> register_contradiction(const Words& words, const std::vector<Operation>& before,
                                                  std::uint32_t offender) {
  const Operation& it = before[offender];
  const bool failed = it.verb == reg::kCas && it.output.first == 0;
  if (it.verb == reg::kWrite || failed) return std::nullopt;
  const std::uint64_t value = it.verb == reg::kRead ? it.output.first : it.input.first;
  const std::string name = words.history.value_text(value);
  std::uint64_t last_return = 0;  // of whoever brought the value
  bool brought = value == words.history.initial_value();
  for (std::uint32_t at = 0; at < before.size(); ++at) {
    if (at == offender || left_by(before[at]) != value) continue;
    brought = true;
    last_return = std::max(last_return, before[at].returned);
  }
  if (!brought) return words.of(offender) + ", but nobody had brought the value " + name + " by then";
  for (std::uint32_t at = 0; at < before.size(); ++at) {
    const Operation& other = before[at];
    if (other.open() || other.call <= last_return || other.returned >= it.call) continue;
    const std::optional<std::uint64_t> left = left_by(other);
    if (!left || *left == value) continue;
    return words.of(offender) + ", but " + words.of(at) + " when all that ever brought " + name +
           " had returned, and returned itself before this was called";
  }
  return std::nullopt;
}

// It shows what one operation of the core wrote, and lacks what another appended behind that.
std::optional<std::string> kv_contradiction(const Words& words, const std::vector<Operation>& before,
                                            std::uint32_t offender, const std::vector<CoreOperation>& core) {
  const Operation& it = before[offender];
  if (it.verb != kv::kGet) return std::nullopt;
  const std::string_view seen = words.history.string(it.output.first);
  const auto is_firm = [&](const CoreOperation& each) {
    const Operation& other = before[each.operation];
    return !each.at_any_time && other.verb != kv::kGet && other.input.second == it.input.second;
  };
  const auto shows = [&](std::uint32_t at) {
    return seen.contains(words.history.string(before[at].input.first));
  };
  for (const CoreOperation& lacking : core) {
    const Operation& lost = before[lacking.operation];
    if (!is_firm(lacking) || lost.verb != kv::kAppend || shows(lacking.operation) || lost.returned >= it.call)
      continue;
    const std::string text = ", which lacks what " + words.of(lacking.operation);
    const bool put = std::any_of(before.begin(), before.end(), [&](const Operation& other) {
      return other.verb == kv::kPut && other.input.second == it.input.second;
    });
    if (!put) return words.of(offender) + text + ", and that had returned before this was called";
    for (const CoreOperation& shown : core) {
      if (!is_firm(shown) || !shows(shown.operation) || before[shown.operation].returned >= lost.call)
        continue;
      return words.of(offender) + text + " before this was called, and shows what " +
             words.of(shown.operation) + " before that";
    }
  }
  return std::nullopt;
}

}  // namespace

std::string contradiction(const ObjectHistory& history, const ObjectPart& part,
                          const std::vector<Operation>& before, std::uint32_t offender,
                          const std::vector<CoreOperation>& core) {
  const Words words{history, part};
  std::optional<std::string> plain;
  switch (history.rules().model) {
    case CheckModel::reg:
    case CheckModel::cas_register: plain = register_contradiction(words, before, offender); break;
    case CheckModel::kv: plain = kv_contradiction(words, before, offender, core); break;
    default: break;
  }
  if (plain) return *plain;
  return words.of(offender) + ", and no order of what had been called by then explains that";
}

}  // namespace reel::harness
