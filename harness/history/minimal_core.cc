#include "harness/history/minimal_core.h"

#include <algorithm>
#include <optional>

namespace reel::harness {
namespace {

using model::Operation;

// What it costs to look at an operation at all, in model steps.
constexpr std::uint64_t kStepsEach = 4;

class CoreSearch {
 public:
  CoreSearch(const ObjectHistory& history, const std::vector<Operation>& operations, bool by_key,
             std::uint64_t steps_max)
      : history_(history), by_key_(by_key), operations_(operations), steps_left_(steps_max) {
    for (std::uint32_t at = 0; at < operations.size(); ++at) {
      const bool pure = is_pure(history, operations[at]);
      if (!operations[at].open() || !pure) left_.push_back({at, operations[at], pure, false});
    }
  }

  std::vector<CoreOperation> find(std::uint32_t offender) {
    shrink_by_key(offender);
    // What changes nothing first: without those who look, others need not be there either.
    for (bool again = true; again && steps_left_ > 0;) {
      again = shrink_to_single(offender, true);
      shrink_by_process(offender);
      again = shrink_to_single(offender, false) || again;
    }
    return what_is_left();
  }

 private:
  struct Left {
    std::uint32_t at;
    Operation operation;
    bool pure;
    bool at_any_time;
  };

  // Those that may still be taken out.
  std::vector<std::uint32_t> firm(bool pure) const {
    std::vector<std::uint32_t> all;
    for (const Left& each : left_) {
      if (!each.at_any_time && each.pure == pure) all.push_back(each.at);
    }
    return all;
  }
  bool shrink_to_single(std::uint32_t offender, bool pure);
  bool shrink(std::uint32_t offender, bool pure, std::size_t size);
  void shrink_by_key(std::uint32_t offender);
  void shrink_by_process(std::uint32_t offender);
  bool take_out(const std::vector<std::uint32_t>& out, std::uint32_t offender);
  std::vector<CoreOperation> what_is_left() const;

  const ObjectHistory& history_;
  bool by_key_;
  const std::vector<Operation>& operations_;
  std::vector<Left> left_;
  std::uint64_t steps_left_;
};

// Without the operations `out`, sorted. True if it is still illegal, and then they are out.
bool CoreSearch::take_out(const std::vector<std::uint32_t>& out, std::uint32_t offender) {
  std::vector<Left> rest;
  for (const Left& each : left_) {
    if (each.at == offender || !std::binary_search(out.begin(), out.end(), each.at)) {
      rest.push_back(each);
      continue;
    }
    if (each.pure) continue;
    Left loose = each;
    loose.operation.call = 0;
    loose.operation.returned = Operation::kOpen;
    loose.at_any_time = true;
    rest.push_back(loose);
  }
  std::vector<Operation> operations;
  operations.reserve(rest.size());
  for (const Left& each : rest) operations.push_back(each.operation);
  const std::vector<bool> idle = idle_of(history_, operations);
  std::size_t kept = 0;
  for (std::size_t at = 0; at < rest.size(); ++at) {
    if (rest[at].at_any_time && idle[at]) continue;
    rest[kept] = rest[at];
    operations[kept++] = operations[at];
  }
  rest.resize(kept);
  operations.resize(kept);
  const model::CheckResult result =
      check_part(history_, operations, by_key_, {.steps_max = steps_left_, .witness = false});
  steps_left_ -= std::min(steps_left_, result.steps + kStepsEach * operations.size());
  if (result.verdict != model::Verdict::illegal) return false;
  left_ = std::move(rest);
  return true;
}

// Several keys as one object: all but one of them hardly ever matter.
void CoreSearch::shrink_by_key(std::uint32_t offender) {
  if (by_key_) return;
  std::vector<std::uint32_t> out;
  for (const Left& each : left_) {
    if (each.operation.input.second != operations_[offender].input.second) out.push_back(each.at);
  }
  (void)take_out(out, offender);
}

void CoreSearch::shrink_by_process(std::uint32_t offender) {
  std::vector<std::uint64_t> processes;
  processes.reserve(left_.size());
  for (const Left& each : left_) processes.push_back(each.operation.process);
  std::sort(processes.begin(), processes.end());
  processes.erase(std::unique(processes.begin(), processes.end()), processes.end());
  for (const std::uint64_t process : processes) {
    std::vector<std::uint32_t> out;
    for (const Left& each : left_) {
      if (each.operation.process == process && each.at != offender) out.push_back(each.at);
    }
    if (steps_left_ > 0 && !out.empty()) (void)take_out(out, offender);
  }
}

// Groups of half of them, a quarter, and so on. True if any could go.
bool CoreSearch::shrink_to_single(std::uint32_t offender, bool pure) {
  bool any = false;
  for (std::size_t size = firm(pure).size(); size > 0; size /= 2) any = shrink(offender, pure, size) || any;
  return any;
}

// Groups of this size, one behind the other.
bool CoreSearch::shrink(std::uint32_t offender, bool pure, std::size_t size) {
  bool any = false;
  const std::vector<std::uint32_t> all = firm(pure);
  for (std::size_t begin = 0; begin < all.size() && steps_left_ > 0; begin += size) {
    std::vector<std::uint32_t> out;
    for (std::size_t at = begin; at < std::min(begin + size, all.size()); ++at) {
      if (all[at] != offender) out.push_back(all[at]);
    }
    if (!out.empty() && take_out(out, offender)) any = true;
  }
  return any;
}

std::vector<CoreOperation> CoreSearch::what_is_left() const {
  std::vector<CoreOperation> core;
  core.reserve(left_.size());
  for (const Left& each : left_) core.push_back({each.at, each.at_any_time});
  std::sort(core.begin(), core.end(), [this](const CoreOperation& a, const CoreOperation& b) {
    return operations_[a.operation].call < operations_[b.operation].call;
  });
  return core;
}

}  // namespace

std::vector<CoreOperation> minimal_core(const ObjectHistory& history,
                                        const std::vector<Operation>& operations, std::uint32_t offender,
                                        bool by_key, std::uint64_t steps_max) {
  return CoreSearch(history, operations, by_key, steps_max).find(offender);
}

}  // namespace reel::harness
