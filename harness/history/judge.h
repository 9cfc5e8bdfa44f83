// Judges a history: the verdict, an order that explains it or the first event that nothing explains, and the few operations that
// contradict each other.
//
// Objects are judged key by key, because a history is linearizable if it is so for each object (Herlihy and Wing, 1990, §3.1),
// on several threads; what comes out does not depend on how many. Each key has the whole budget, counted in steps of its model.
//
// The first bad event is the return at which the history, cut off behind it and with whatever is pending open, is no longer
// explainable: the shortest illegal prefix. What pending operations return later plays no part.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/history/object_history.h"
#include "harness/history/transaction_history.h"
#include "model/isolation.h"
#include "model/linearizability.h"

namespace reel::harness {

struct JudgeOptions {
  std::uint64_t steps_max = 20'000'000;  // of the model, for each object: at most some 100 bytes each
  unsigned threads = 1;                  // at least 1
  bool by_key = true;                    // false: kv as one object with many keys
  bool core = true;                      // look for a minimal one
};

struct CoreOperation {
  std::uint32_t operation = 0;
  // Its interval plays no part: it may take effect at any time or never, and the others contradict each other all the same.
  bool at_any_time = false;
  bool operator==(const CoreOperation&) const = default;
};

struct Judgement {
  model::Verdict verdict = model::Verdict::ok;
  std::string why_unknown;
  std::uint64_t steps = 0;
  std::uint64_t objects = 0;  // keys that were judged by themselves

  // illegal
  std::optional<std::uint32_t> first_bad;  // an operation: its return
  std::vector<CoreOperation> core;         // in the order of their calls
  std::string reason;                      // one sentence

  // ok: all that took effect, in an order that was checked by replay.
  std::vector<std::uint32_t> witness;
};

[[nodiscard]] Judgement judge(const ObjectHistory& history, const JudgeOptions& options);

struct TransactionJudgement {
  model::Verdict verdict = model::Verdict::ok;
  std::string why_unknown;
  model::TransactionReport report;
};

// Illegal if it shows what `wanted` forbids. A sentence if it is no history for the checker (model/transactions.h).
[[nodiscard]] std::expected<TransactionJudgement, std::string> judge(const TransactionHistory& history,
                                                                     model::Isolation wanted,
                                                                     model::TransactionCheckOptions options);

}  // namespace reel::harness
