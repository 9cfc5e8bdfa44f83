#include "harness/history/judge.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <tuple>
#include <utility>

#include "harness/history/contradiction.h"
#include "harness/history/minimal_core.h"
#include "harness/history/object_part.h"
#include "io/ports/assert.h"
#include "model/witness.h"

namespace reel::harness {
namespace {

using model::CheckResult;
using model::Operation;
using model::Verdict;
using model::WhyUnknown;

constexpr std::uint64_t kCoreSteps = 20'000'000;

// Runs f(0) to f(count - 1), each once.
template <class Work>
void on_threads(unsigned threads, std::size_t count, const Work& work) {
  std::atomic<std::size_t> next{0};
  const auto loop = [&] {
    for (std::size_t at = next++; at < count; at = next++) work(at);
  };
  std::vector<std::jthread> others;
  for (std::size_t each = 1; each < std::min<std::size_t>(threads, count); ++each) others.emplace_back(loop);
  loop();
}

// What had happened by then.
std::vector<Operation> cut(const std::vector<Operation>& operations, std::uint64_t time) {
  std::vector<Operation> before;
  for (const Operation& operation : operations) {
    if (operation.call > time) break;  // they are in the order of their calls
    before.push_back(operation);
    if (operation.returned <= time) continue;
    before.back().returned = Operation::kOpen;
    before.back().output = {};
  }
  return before;
}

// The end of the shortest prefix that is illegal. Where the budget decides nothing, a longer one is taken.
// `found`: where the check of the whole ended, which knows what pending operations return later, so it is never behind.
std::uint64_t first_bad_time(const ObjectHistory& history, const ObjectPart& part,
                             const JudgeOptions& options, std::uint64_t found) {
  std::vector<std::uint64_t> returns;
  for (const Operation& operation : part.operations) {
    if (!operation.open() && operation.returned >= found) returns.push_back(operation.returned);
  }
  std::sort(returns.begin(), returns.end());
  const auto legal = [&](std::uint64_t time) {
    const model::CheckOptions check{.steps_max = options.steps_max, .witness = false};
    return check_part(history, cut(part.operations, time), options.by_key, check).verdict != Verdict::illegal;
  };
  if (!legal(found)) return found;
  // The whole is illegal.
  const auto first = std::partition_point(returns.begin(), returns.end() - 1, legal);
  return *first;
}

std::string why_unknown(const ObjectHistory& history, const ObjectPart& part, const CheckResult& result,
                        const JudgeOptions& options) {
  const std::uint32_t at = part.numbers[result.offender];
  std::size_t open = 0;
  for (const Operation& operation : part.operations) open += operation.open() ? 1 : 0;
  std::string text = history.keys() > 1 && options.by_key
                         ? "key " + history.key_name(history.source(at).key) + ": "
                         : std::string();
  text += result.why == WhyUnknown::window
              ? "more than 256 operations were pending at once"
              : "the budget of " + std::to_string(options.steps_max) + " steps was spent";
  return text + " at the operation of " + history.lines(at) + "; " + std::to_string(open) + " of " +
         std::to_string(part.operations.size()) + " operations never returned";
}

void explain(const ObjectHistory& history, const ObjectPart& part, std::uint64_t time,
             const JudgeOptions& options, Judgement& judgement) {
  const std::vector<Operation> before = cut(part.operations, time);
  std::uint32_t offender = 0;
  while (before[offender].returned != time) ++offender;
  judgement.first_bad = part.numbers[offender];
  if (!options.core) return;
  judgement.core =
      minimal_core(history, before, offender, options.by_key, std::min(options.steps_max, kCoreSteps));
  judgement.reason = contradiction(history, part, before, offender, judgement.core);
  for (CoreOperation& each : judgement.core) each.operation = part.numbers[each.operation];
}

// Orders of the parts make one of the whole (Herlihy and Wing, 1990, theorem 1): each operation takes effect when the last of those
// up to it in its part was called, which lies within its interval.
void merge_orders(const ObjectHistory& history, const std::vector<ObjectPart>& parts,
                  const std::vector<CheckResult>& results, bool by_key, Judgement& judgement) {
  std::vector<std::tuple<std::uint64_t, std::uint32_t, std::uint32_t>>
      points;  // time, part, place in its order
  const auto fail = [&](const std::string& complaint) {
    judgement.verdict = Verdict::unknown;
    judgement.why_unknown = "the checker found an order that its own replay refuses: " + complaint;
  };
  for (std::uint32_t part = 0; part < parts.size(); ++part) {
    const std::vector<std::uint32_t>& order = results[part].order;
    if (const auto complaint = check_order(history, parts[part], by_key, order)) return fail(*complaint);
    std::uint64_t time = 0;
    for (std::uint32_t place = 0; place < order.size(); ++place) {
      time = std::max(time, parts[part].operations[order[place]].call);
      points.emplace_back(time, part, place);
    }
  }
  std::sort(points.begin(), points.end());
  for (const auto& [time, part, place] : points) {
    judgement.witness.push_back(parts[part].numbers[results[part].order[place]]);
  }
  // Real time across the parts.
  std::uint64_t first_return = Operation::kOpen;
  for (auto at = judgement.witness.rbegin(); at != judgement.witness.rend(); ++at) {
    const Operation& operation = history.operations()[*at];
    first_return = std::min(first_return, operation.returned);
    if (operation.call > first_return) return fail("real time across keys");
  }
}

}  // namespace

Judgement judge(const ObjectHistory& history, const JudgeOptions& options) {
  REEL_CHECK(options.threads > 0);
  const std::vector<ObjectPart> parts = parts_of(history, options.by_key);
  std::vector<CheckResult> results(parts.size());
  std::vector<std::uint64_t> bad_times(parts.size(), Operation::kOpen);
  on_threads(options.threads, parts.size(), [&](std::size_t at) {
    results[at] = check_part(history, parts[at].operations, options.by_key,
                             {.steps_max = options.steps_max, .witness = true});
    if (results[at].verdict == Verdict::illegal) {
      const std::uint64_t found = parts[at].operations[results[at].offender].returned;
      bad_times[at] = first_bad_time(history, parts[at], options, found);
    }
  });
  Judgement judgement;
  judgement.objects = parts.size();
  for (std::size_t at = 0; at < parts.size(); ++at) {
    judgement.steps += results[at].steps;
    if (results[at].verdict != Verdict::unknown || judgement.verdict != Verdict::ok) continue;
    judgement.verdict = Verdict::unknown;
    judgement.why_unknown = why_unknown(history, parts[at], results[at], options);
  }
  const auto worst = std::min_element(bad_times.begin(), bad_times.end());
  if (worst != bad_times.end() && *worst != Operation::kOpen) {
    judgement.verdict = Verdict::illegal;
    judgement.why_unknown.clear();
    explain(history, parts[static_cast<std::size_t>(worst - bad_times.begin())], *worst, options, judgement);
  } else if (judgement.verdict == Verdict::ok) {
    merge_orders(history, parts, results, options.by_key, judgement);
  }
  return judgement;
}

std::expected<TransactionJudgement, std::string> judge(const TransactionHistory& history,
                                                       model::Isolation wanted,
                                                       model::TransactionCheckOptions options) {
  options.type =
      history.rules().model == CheckModel::list_append ? model::DataType::list : model::DataType::reg;
  options.names = history.names();
  auto report = model::check_transactions(history.transactions(), options);
  if (!report) return std::unexpected(std::move(report.error()));
  TransactionJudgement judgement;
  judgement.report = std::move(*report);
  if (judgement.report.violates(wanted)) {
    judgement.verdict = Verdict::illegal;
  } else if (!judgement.report.satisfies(wanted)) {
    judgement.verdict = Verdict::unknown;
    judgement.why_unknown = "the budget of " + std::to_string(options.steps_max) +
                            " edges was spent before every kind of cycle was looked for";
  } else if (options.type == model::DataType::list && judgement.report.found == 0) {
    const auto complaint =
        model::check_serial_order(history.transactions(), judgement.report.order, options.type);
    if (complaint) {
      judgement.verdict = Verdict::unknown;
      judgement.why_unknown = "the checker found an order that its own replay refuses: " + *complaint;
    }
  }
  return judgement;
}

}  // namespace reel::harness
