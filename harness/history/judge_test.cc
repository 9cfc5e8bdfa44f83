#include "harness/history/judge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "harness/history/object_part.h"
#include "io/ports/checksum.h"
#include "model/sequential.h"

namespace reel::harness {
namespace {

using model::Operation;
using model::Verdict;

// ---- small histories, an event a line: "0 invoke write 1", where the value is EDN

std::string edn_of(const std::string& lines) {
  std::string text;
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = std::min(lines.find(';', at), lines.size());
    std::string line = lines.substr(at, end - at);
    at = end + 1;
    line.erase(0, line.find_first_not_of(' '));
    std::string words[3];
    for (std::string& word : words) {
      const std::size_t space = std::min(line.find(' '), line.size());
      word = line.substr(0, space);
      line.erase(0, space + 1);
    }
    const bool fields =
        line.empty() || line.starts_with(":key ") || line.starts_with(":value ") || line.starts_with(":id ");
    text += "{:process " + words[0] + " :type :" + words[1] + " :f :" + words[2] + " " +
            (fields ? line : ":value " + line) + "}\n";
  }
  return text;
}

struct Read {
  ObjectHistory history;
  std::string problem;
};
Read read_objects(const std::string& text, const HistoryRules& rules) {
  Read read{ObjectHistory(rules), ""};
  const auto done = read_events(text, HistoryFormat::edn, [&](const Event& event, const Forms& forms) {
    return read.history.take(event, forms);
  });
  if (!done) read.problem = std::to_string(done.error().line) + ": " + done.error().reason;
  read.history.finish();
  return read;
}
Judgement judged(const std::string& lines, const HistoryRules& rules, const JudgeOptions& options = {}) {
  const Read read = read_objects(edn_of(lines), rules);
  EXPECT_EQ(read.problem, "") << lines;
  return judge(read.history, options);
}
bool is_ok(const std::string& lines, const HistoryRules& rules) {
  const Judgement judgement = judged(lines, rules);
  EXPECT_NE(judgement.verdict, Verdict::unknown);
  return judgement.verdict == Verdict::ok;
}
HistoryRules rules_of(CheckModel model, const std::string& initial = "") {
  HistoryRules rules;
  rules.model = model;
  rules.initial = initial;
  return rules;
}

TEST(Meaning, TheInitialValueIsAbsentUnlessItIsTold) {
  // Reads before the first write could be judged by somebody else's initial value.
  const std::string reads_zero = "0 invoke read nil; 0 ok read 0";
  const std::string reads_nil = "0 invoke read nil; 0 ok read nil";
  EXPECT_FALSE(is_ok(reads_zero, rules_of(CheckModel::reg)));
  EXPECT_TRUE(is_ok(reads_nil, rules_of(CheckModel::reg)));
  EXPECT_TRUE(is_ok(reads_zero, rules_of(CheckModel::reg, "0")));
  EXPECT_FALSE(is_ok(reads_nil, rules_of(CheckModel::reg, "0")));
  EXPECT_FALSE(is_ok(reads_zero, rules_of(CheckModel::reg, "\"0\"")));
  EXPECT_TRUE(is_ok("0 invoke get :key 1; 0 ok get :key 1 :value \"\"", rules_of(CheckModel::kv)));
  EXPECT_TRUE(
      is_ok("0 invoke get :key 1; 0 ok get :key 1 :value \"ab\"", rules_of(CheckModel::kv, "\"ab\"")));
}

TEST(Meaning, NilIsAbsentOrAnything) {
  // A wildcard could be held against a register, or an absent value be waved through.
  const std::string lines = "0 invoke write 1; 0 ok write 1; 0 invoke read nil; 0 ok read nil";
  HistoryRules rules = rules_of(CheckModel::reg);
  EXPECT_FALSE(is_ok(lines, rules));
  rules.nil = NilRead::any;
  EXPECT_TRUE(is_ok(lines, rules));
  HistoryRules store = rules_of(CheckModel::kv);
  const std::string got =
      "0 invoke put :key 1 :value 1; 0 ok put :key 1; 0 invoke get :key 1; 0 ok get :key 1 :value nil";
  EXPECT_FALSE(is_ok(got, store));
  store.nil = NilRead::any;
  EXPECT_TRUE(is_ok(got, store));
}

TEST(Meaning, AFailedCasIsEvidenceOrNothing) {
  // A refused compare-and-set could be believed although it failed for another reason, or ignored although it tells something.
  const std::string lines = "0 invoke write 1; 0 ok write 1; 0 invoke cas [1 2]; 0 fail cas [1 2]";
  HistoryRules rules = rules_of(CheckModel::cas_register);
  EXPECT_FALSE(is_ok(lines, rules));
  rules.failed_cas = FailedCas::ignored;
  EXPECT_TRUE(is_ok(lines, rules));
  rules.failed_cas = FailedCas::evidence;
  // A reason instead of the value: then it tells nothing.
  EXPECT_TRUE(is_ok("0 invoke write 1; 0 ok write 1; 0 invoke cas [1 2]; 0 fail cas :timed-out", rules));
}

TEST(Meaning, AnUnknownOutcomeIsMaybeOrNever) {
  // What crashed could be held to have happened, or not to.
  const std::string seen = "0 invoke write 1; 0 info write :timed-out; 1 invoke read nil; 1 ok read 1";
  const std::string unseen = "0 invoke write 1; 0 info write 1; 1 invoke read nil; 1 ok read nil";
  const std::string no_end = "0 invoke write 1; 1 invoke read nil; 1 ok read 1";
  HistoryRules rules = rules_of(CheckModel::reg);
  for (const std::string& lines : {seen, unseen, no_end}) EXPECT_TRUE(is_ok(lines, rules)) << lines;
  rules.unknown = UnknownOutcome::never;
  EXPECT_TRUE(is_ok(unseen, rules));
  EXPECT_FALSE(is_ok(seen, rules));
  EXPECT_FALSE(is_ok(no_end, rules));
}

TEST(Meaning, WhatFailedDidNotHappen) {
  // A failed write could explain a read.
  EXPECT_FALSE(
      is_ok("0 invoke write 1; 0 fail write 1; 1 invoke read nil; 1 ok read 1", rules_of(CheckModel::reg)));
  EXPECT_TRUE(is_ok("0 invoke read nil; 0 fail read :timed-out", rules_of(CheckModel::reg)));
}

TEST(Meaning, KeysAreObjectsOfTheirOwn) {
  // Two keys could be mixed up, whether they stand beside the value or in it.
  const std::string beside =
      "0 invoke write :key :x :value 1; 0 ok write :key :x :value 1; 0 invoke read :key :y; 0 ok read :key "
      ":y :value nil";
  EXPECT_TRUE(is_ok(beside, rules_of(CheckModel::reg)));
  HistoryRules rules = rules_of(CheckModel::cas_register);
  rules.key_in_value = true;
  EXPECT_TRUE(
      is_ok("0 invoke write [:x 1]; 0 ok write [:x 1]; 0 invoke cas [:y [nil 3]]; 0 ok cas [:y [nil 3]];"
            "0 invoke read [:x nil]; 0 ok read [:x 1]; 0 invoke read [:y nil]; 0 info read :gone",
            rules));
  EXPECT_FALSE(
      is_ok("0 invoke write [:x 1]; 0 ok write [:x 1]; 0 invoke read [:x nil]; 0 ok read [:x 2]", rules));
}

TEST(Meaning, TheLogHasIdsAndAnOrder) {
  // An append at another's place, or a read that misses one, could pass.
  const HistoryRules rules = rules_of(CheckModel::log);
  const std::string two =
      "0 invoke append :a; 1 invoke append :b; 0 ok append :value :a :id 1; 1 ok append :value :b :id 0;";
  EXPECT_TRUE(is_ok(two + "2 invoke read; 2 ok read [:b :a]; 2 invoke high-water; 2 ok high-water 2", rules));
  EXPECT_TRUE(is_ok(two + "2 invoke read; 2 ok read [:b]", rules));
  EXPECT_FALSE(is_ok(two + "2 invoke read; 2 ok read [:a :b]", rules));
  EXPECT_FALSE(is_ok(two + "2 invoke high-water; 2 ok high-water 1", rules));
}

TEST(Meaning, WhatIsNoHistoryIsRefused) {
  // A process that does two things at once, or an outcome of nothing, could be judged as if it made sense.
  const struct {
    CheckModel model;
    const char* lines;
    const char* problem;
  } cases[] = {
      {CheckModel::reg, "0 invoke read; 0 invoke read",
       "2: process 0 invokes although what it invoked in line 1 has no outcome"},
      {CheckModel::reg, "0 ok read 1", "1: process 0 has an outcome, ok, of nothing that it invoked"},
      {CheckModel::reg, "0 invoke read; 0 ok write 1",
       "2: process 0 invoked read in line 1, and this is the outcome of write"},
      {CheckModel::reg, "0 invoke cas [1 2]", "1: register has no operation 'cas'"},
      {CheckModel::reg, "0 invoke write 1; 0 ok write 2", "2: its value is not the one that was invoked"},
      {CheckModel::reg, "0 invoke write", "1: a write has no value"},
      {CheckModel::reg, "0 invoke read :key 1; 0 ok read :key 2 :value 1",
       "2: its key is not the one that was invoked"},
      {CheckModel::cas_register, "0 invoke cas 1", "1: the value of a cas must be [from to]"},
      {CheckModel::kv, "0 invoke write nil", "1: a write has no value"},
      {CheckModel::kv, "0 invoke delete 1", "1: kv has no operation 'delete'"},
      {CheckModel::log, "0 invoke append 1; 0 ok append 1",
       "2: an append that returned must tell its id, a number from 0 on"},
      {CheckModel::log, "0 invoke read; 0 ok read 1",
       "2: a read must show the list of all values from the first on"},
  };
  for (const auto& [model, lines, problem] : cases) {
    EXPECT_EQ(read_objects(edn_of(lines), rules_of(model)).problem, problem) << lines;
  }
  HistoryRules rules = rules_of(CheckModel::reg);
  rules.key_in_value = true;
  EXPECT_EQ(read_objects(edn_of("0 invoke write 1"), rules).problem, "1: its value is not [key value]");
  rules.initial = "[1";
  EXPECT_TRUE(ObjectHistory::problem_with(rules).has_value());
}

TEST(Judge, TheFirstBadEventIsTheEndOfTheShortestIllegalPrefix) {
  // What an operation returns only later could make an earlier event seem to be the bad one.
  const HistoryRules rules = rules_of(CheckModel::cas_register);
  const std::string lines =
      "0 invoke cas [nil 1]; 1 invoke read nil; 1 ok read 1; 2 invoke read nil; 2 ok read 1; 0 fail cas [nil "
      "1]";
  const Judgement judgement = judged(lines, rules);
  ASSERT_EQ(judgement.verdict, Verdict::illegal);
  EXPECT_EQ(judgement.first_bad, 0u);  // the cas, when it fails: until then both reads had an explanation
}

TEST(Judge, AStaleReadIsToldInWords) {
  // The report could name everything but the reason.
  const std::string lines =
      "3 invoke write 9; 0 invoke write 1; 0 ok write 1; 1 invoke write 2; 1 ok write 2; 4 invoke read nil; "
      "4 ok read 2;"
      "2 invoke read nil; 2 ok read 1";
  const Judgement judgement = judged(lines, rules_of(CheckModel::reg));
  ASSERT_EQ(judgement.verdict, Verdict::illegal);
  EXPECT_EQ(judgement.first_bad, 4u);
  EXPECT_EQ(judgement.core, (std::vector<CoreOperation>{{1, false}, {2, false}, {4, false}}));
  EXPECT_EQ(judgement.reason,
            "process 2 read 1 (lines 8 and 9), but process 1 wrote 2 (lines 4 and 5) when all that ever "
            "brought 1 had "
            "returned, and returned itself before this was called");
  EXPECT_EQ(judged("0 invoke read nil; 0 ok read 7", rules_of(CheckModel::reg)).reason,
            "process 0 read 7 (lines 1 and 2), but nobody had brought the value 7 by then");
}

TEST(Judge, ALostAppendIsToldInWords) {
  // Likewise for a store.
  const Judgement judgement = judged(
      "0 invoke append :key 1 :value a; 0 ok append :key 1; 1 invoke append :key 1 :value b; 1 ok append "
      ":key 1;"
      "2 invoke get :key 1; 2 ok get :key 1 :value b",
      rules_of(CheckModel::kv));
  ASSERT_EQ(judgement.verdict, Verdict::illegal);
  EXPECT_EQ(judgement.reason,
            "process 2 got key 1 as \"b\" (lines 5 and 6), which lacks what process 0 appended \"a\" to key "
            "1 (lines 1 and "
            "2), and that had returned before this was called");
}

TEST(Judge, AnAppendThatIsLostBehindAPutIsToldInWords) {
  // Where there are puts, that something is missing is no contradiction by itself.
  const std::string lines =
      "0 invoke put :key 1 :value a; 0 ok put :key 1; 0 invoke append :key 1 :value b; 0 ok append :key 1;"
      "1 invoke append :key 1 :value c; 1 ok append :key 1; 2 invoke get :key 1; 2 ok get :key 1 :value ab";
  EXPECT_EQ(
      judged(lines, rules_of(CheckModel::kv)).reason,
      "process 2 got key 1 as \"ab\" (lines 7 and 8), which lacks what process 1 appended \"c\" to key 1 "
      "(lines 5 and 6) before this was called, and shows what process 0 appended \"b\" to key 1 (lines 3 and "
      "4) "
      "before that");
  EXPECT_EQ(judged("3 invoke put :key 1 :value ab;" + lines, rules_of(CheckModel::kv)).verdict, Verdict::ok);
}

TEST(Judge, AnEndedBudgetIsNoVerdict) {
  // A check that gave up could say ok.
  std::string lines;
  for (int each = 0; each < 8; ++each) {
    lines += std::to_string(each) + " invoke append " + ":key 1 :value " +
             std::string(1, static_cast<char>('a' + each)) + ";";
  }
  for (int each = 0; each < 8; ++each) lines += std::to_string(each) + " ok append :key 1;";
  lines +=
      "9 invoke get :key 1; 9 ok get :key 1 :value \"hgfedcba\"; 9 invoke put :key 1 :value x; 9 ok put :key "
      "1";
  JudgeOptions options;
  EXPECT_EQ(judged(lines, rules_of(CheckModel::kv), options).verdict, Verdict::ok);
  options.steps_max = 5;
  const Judgement judgement = judged(lines, rules_of(CheckModel::kv), options);
  EXPECT_EQ(judgement.verdict, Verdict::unknown);
  EXPECT_NE(judgement.why_unknown.find("the budget of 5 steps was spent"), std::string::npos)
      << judgement.why_unknown;
}

// ---- against brute force

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t below(std::uint64_t bound) { return io::keyed_hash(seed_, {++count_}) % bound; }

 private:
  std::uint64_t seed_;
  std::uint64_t count_ = 0;
};

// Any events in any order that is a history: outcomes are drawn, so most are illegal sooner or later.
std::string random_history(Draw& draw, CheckModel model, std::uint64_t keys, std::uint64_t total) {
  std::string lines;
  struct Process {
    bool busy = false;
    std::string invoked, f;
    bool cas = false, read = false;
  };
  std::vector<Process> processes(2 + draw.below(3));
  std::uint64_t invoked = 0;
  const auto value = [&] { return std::to_string(draw.below(3)); };
  for (std::uint64_t step = 0; step < total * 3; ++step) {
    const std::uint64_t who = draw.below(processes.size());
    Process& process = processes[who];
    std::string event = std::to_string(who);
    if (!process.busy && invoked < total) {
      ++invoked;
      const std::uint64_t kind = draw.below(3);
      const std::string key = ":key " + std::to_string(draw.below(keys));
      process = {true, key, "read", false, kind == 0};
      if (model == CheckModel::kv) {
        process.f = kind == 0 ? "get" : kind == 1 && draw.below(2) == 0 ? "put" : "append";
        if (kind != 0) process.invoked += " :value \"" + std::string(1 + draw.below(2), 'a') + "\"";
      } else if (kind == 1) {
        process.f = "write";
        process.invoked += " :value " + value();
      } else if (kind == 2) {
        process.f = "cas";
        process.cas = true;
        process.invoked += " :value [" + value();
        process.invoked += " " + value() + "]";
      }
      event += " invoke " + process.f + " " + process.invoked;
    } else if (process.busy) {
      process.busy = false;
      const std::uint64_t fate = draw.below(6);
      const char* type = fate == 0 ? "info" : fate == 1 || (process.cas && fate == 2) ? "fail" : "ok";
      event += std::string(" ") + type + " " + process.f + " " + process.invoked;
      if (process.read && std::string(type) == "ok") {
        event += model == CheckModel::kv ? " :value \"" + std::string(draw.below(4), 'a') + "\""
                                         : " :value " + value();
      }
    } else {
      continue;
    }
    lines += event + ";";
  }
  lines.pop_back();
  return lines;
}

// Is there an order of the operations? Every one is tried.
bool explainable(const model::SequentialModel& model, const std::vector<Operation>& history,
                 std::uint64_t placed, model::State state) {
  bool complete = true;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if ((placed >> i & 1) == 0 && !history[i].open()) complete = false;
  }
  if (complete) return true;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if ((placed >> i & 1) != 0) continue;
    bool minimal = true;
    for (std::size_t j = 0; j < history.size(); ++j) {
      if ((placed >> j & 1) == 0 && history[j].returned < history[i].call) minimal = false;
    }
    const model::State next = minimal ? model.step(model.context, state, history[i]) : model::kRefused;
    if (next != model::kRefused && explainable(model, history, placed | std::uint64_t{1} << i, next))
      return true;
  }
  return false;
}

// What counts, as it stood at a time.
std::vector<Operation> prefix(const ObjectHistory& history, std::uint64_t time) {
  std::vector<Operation> operations;
  for (std::uint32_t at = 0; at < history.size(); ++at) {
    Operation operation = history.operations()[at];
    if (!history.source(at).counts || operation.call > time) continue;
    if (operation.returned > time) operation.returned = Operation::kOpen;
    operations.push_back(operation);
  }
  return operations;
}

class Brute {
 public:
  explicit Brute(const ObjectHistory& history)
      : history_(history), store_(history.strings(), 0, std::max<std::size_t>(1, history.keys())) {}
  bool legal(const std::vector<Operation>& operations) {
    if (history_.rules().model == CheckModel::kv) return explainable(store_.model(), operations, 0, 0);
    // Registers have no keys of their own: each is tried by itself.
    const model::SequentialModel model = model::cas_register_model(history_.initial_value());
    return explainable(model, operations, 0, model.initial);
  }

 private:
  const ObjectHistory& history_;
  model::KeyValueModel store_;
};

// Each operation of the core is needed: without its interval, the others contradict each other no more.
void expect_core(Brute& brute, const ObjectHistory& history, const Judgement& judgement,
                 std::uint64_t bad_time, const std::string& text) {
  std::vector<Operation> core;
  const auto loosen = [](Operation operation) {
    operation.call = 0;
    operation.returned = Operation::kOpen;
    return operation;
  };
  for (const CoreOperation& each : judgement.core) {
    Operation operation = history.operations()[each.operation];
    if (operation.returned > bad_time) operation.returned = Operation::kOpen;
    core.push_back(each.at_any_time ? loosen(operation) : operation);
  }
  ASSERT_FALSE(brute.legal(core)) << text;
  for (std::size_t out = 0; out < core.size(); ++out) {
    if (judgement.core[out].operation == *judgement.first_bad || judgement.core[out].at_any_time) continue;
    std::vector<Operation> rest = core;
    rest[out] = loosen(rest[out]);
    if (is_pure(history, core[out])) rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(out));
    EXPECT_TRUE(brute.legal(rest)) << "the core has more than it needs: " << text;
  }
}

void compare(std::uint64_t seed, CheckModel model, std::uint64_t keys, std::uint64_t& legal) {
  Draw draw(seed);
  const std::string lines = random_history(draw, model, keys, 4 + draw.below(4));
  HistoryRules rules = rules_of(model, model == CheckModel::kv ? "" : "0");
  if (draw.below(4) == 0) rules.unknown = UnknownOutcome::never;
  const Read read = read_objects(edn_of(lines), rules);
  ASSERT_EQ(read.problem, "") << lines;
  const ObjectHistory& history = read.history;
  JudgeOptions options;
  options.by_key = keys == 1 || draw.below(2) == 0;
  options.threads = 1 + static_cast<unsigned>(draw.below(2));
  const Judgement judgement = judge(history, options);
  Brute brute(history);
  std::vector<std::uint64_t> returns;
  for (std::uint32_t at = 0; at < history.size(); ++at) {
    const Operation& operation = history.operations()[at];
    if (history.source(at).counts && !operation.open()) returns.push_back(operation.returned);
  }
  std::sort(returns.begin(), returns.end());
  const auto bad = std::find_if(returns.begin(), returns.end(),
                                [&](std::uint64_t time) { return !brute.legal(prefix(history, time)); });
  ASSERT_EQ(judgement.verdict, bad == returns.end() ? Verdict::ok : Verdict::illegal)
      << "seed " << seed << "\n"
      << lines;
  if (bad == returns.end()) {
    ++legal;
    return;
  }
  EXPECT_EQ(history.operations()[*judgement.first_bad].returned, *bad) << "seed " << seed << "\n" << lines;
  expect_core(brute, history, judgement, *bad, "seed " + std::to_string(seed) + "\n" + lines);
}

void compare_many(CheckModel model, std::uint64_t keys, std::uint64_t histories) {
  std::uint64_t legal = 0;
  for (std::uint64_t seed = 0; seed < histories && !testing::Test::HasFailure(); ++seed) {
    compare(seed, model, keys, legal);
  }
  EXPECT_GT(legal * 20, histories);
  EXPECT_LT(legal * 20, histories * 19);
}

TEST(JudgeBruteForce, CasRegister) {
  // From the text to the verdict, the first bad event and the core: any step could bend the history.
  compare_many(CheckModel::cas_register, 1, 10'000);
}

TEST(JudgeBruteForce, KeyValue) {
  // Likewise, with evidence from what was got, by key and as one object.
  compare_many(CheckModel::kv, 1, 10'000);
  compare_many(CheckModel::kv, 2, 10'000);
}

TEST(Judge, ThreadsChangeNothing) {
  // What comes out could depend on which thread is done first.
  Draw draw(7);
  std::string lines = random_history(draw, CheckModel::kv, 1, 6);
  for (std::uint64_t key = 1; key < 20; ++key) {
    const std::string number = std::to_string(key);
    for (const char* event : {"1 invoke put :value a", "1 ok put", "2 invoke get"}) {
      lines.append(";").append(number).append(event).append(" :key ").append(number);
    }
    lines.append(";").append(number).append("2 ok get :key ").append(number);
    lines.append(key % 5 == 0 ? " :value b" : " :value a");
  }
  const Judgement one = judged(lines, rules_of(CheckModel::kv));
  JudgeOptions options;
  options.threads = 8;
  const Judgement many = judged(lines, rules_of(CheckModel::kv), options);
  EXPECT_EQ(one.verdict, Verdict::illegal);
  EXPECT_EQ(one.first_bad, many.first_bad);
  EXPECT_EQ(one.core, many.core);
  EXPECT_EQ(one.reason, many.reason);
  EXPECT_EQ(one.steps, many.steps);
}

// ---- transactions

struct Transactions {
  std::string problem;
  std::string anomalies;
  Verdict verdict = Verdict::ok;
  std::string strongest;
  std::string text;  // of the first anomaly
};
Transactions judged_transactions(const std::string& lines, CheckModel model,
                                 model::Isolation wanted = model::Isolation::strict_serializable,
                                 const model::TransactionCheckOptions& options = {}) {
  Transactions result;
  TransactionHistory history(rules_of(model));
  const auto done =
      read_events(edn_of(lines), HistoryFormat::edn,
                  [&](const Event& event, const Forms& forms) { return history.take(event, forms); });
  history.finish();
  if (!done) {
    result.problem = std::to_string(done.error().line) + ": " + done.error().reason;
    return result;
  }
  const auto judgement = judge(history, wanted, options);
  if (!judgement) {
    result.problem = judgement.error();
    return result;
  }
  result.verdict = judgement->verdict;
  for (const auto& each : judgement->report.anomalies)
    result.anomalies += std::string(model::name_of(each.anomaly)) + " ";
  for (const model::Isolation each : judgement->report.strongest())
    result.strongest += std::string(model::name_of(each)) + " ";
  if (!judgement->report.anomalies.empty()) result.text = judgement->report.anomalies.front().text;
  return result;
}

const std::string kSkew =
    "0 invoke txn [[:append :x 1] [:r :y nil]]; 1 invoke txn [[:append :y 1] [:r :x nil]];"
    "0 ok txn [[:append :x 1] [:r :y []]]; 1 ok txn [[:append :y 1] [:r :x []]];"
    "2 invoke txn [[:r :x nil] [:r :y nil]]; 2 ok txn [[:r :x [1]] [:r :y [1]]]";

TEST(JudgeTransactions, WriteSkewIsToldWithTheNamesOfTheHistory) {
  // The sentence could speak of the checker's own numbers, which nobody knows.
  const Transactions skew = judged_transactions(kSkew, CheckModel::list_append);
  EXPECT_EQ(skew.verdict, Verdict::illegal);
  EXPECT_EQ(skew.anomalies, "G2-item ");
  EXPECT_EQ(skew.strongest, "strong-snapshot-isolation ");
  for (const char* part :
       {"read key :y as it was at first and not what T1 wrote, 1", "process 0, from line 1 to line 3"}) {
    EXPECT_NE(skew.text.find(part), std::string::npos) << skew.text;
  }
  EXPECT_EQ(judged_transactions(kSkew, CheckModel::list_append, model::Isolation::snapshot_isolation).verdict,
            Verdict::ok);
}

TEST(JudgeTransactions, ALegalHistoryHasAnOrder) {
  // An order that no replay accepts would be no witness: judge() says unknown then.
  const Transactions legal = judged_transactions(
      "0 invoke txn [[:append :x 1]]; 0 ok txn [[:append :x 1]]; 1 invoke txn [[:r :x nil] [:append :x 2]];"
      "1 ok txn [[:r :x [1]] [:append :x 2]]; 2 invoke txn [[:append :x 3]]; 2 fail txn nil",
      CheckModel::list_append);
  EXPECT_EQ(legal.verdict, Verdict::ok);
  EXPECT_EQ(legal.anomalies, "");
}

TEST(JudgeTransactions, FatesAreTakenFromTheOutcome) {
  // A failed transaction that was read is the gravest of all findings, and an unknown one is none.
  const auto history = [](const std::string& fate) {
    return "0 invoke txn [[:append :x 1]]; 0 " + fate +
           " txn :why; 1 invoke txn [[:r :x nil]]; 1 ok txn [[:r :x [1]]]";
  };
  EXPECT_EQ(judged_transactions(history("fail"), CheckModel::list_append).anomalies, "G1a ");
  EXPECT_EQ(judged_transactions(history("info"), CheckModel::list_append).anomalies, "");
}

TEST(JudgeTransactions, RegistersByWhatOrdersTheirVersions) {
  // An assumption about the store could be made although nobody said that it holds, or be ignored.
  const std::string lost =
      "0 invoke txn [[:w :x 1]]; 0 ok txn [[:w :x 1]]; 0 invoke txn [[:w :x 2] [:w :y 1]]; 0 ok txn [[:w :x "
      "2] [:w :y 1]];"
      "1 invoke txn [[:r :y nil] [:r :x nil]]; 1 ok txn [[:r :y 1] [:r :x 1]]";
  EXPECT_EQ(judged_transactions(lost, CheckModel::rw_register).anomalies.substr(0, 17), "G-single-process ");
  model::TransactionCheckOptions options;
  options.versions = model::VersionOrder::process;
  EXPECT_EQ(judged_transactions(lost, CheckModel::rw_register, model::Isolation::serializable, options)
                .anomalies.substr(0, 9),
            "G-single ");
  // Who read and then wrote overwrote what it read, unless that is not assumed.
  const std::string chain =
      "0 invoke txn [[:w :x 1]]; 1 invoke txn [[:r :x nil] [:w :x 2] [:w :y 1]]; 2 invoke txn [[:r :y nil] "
      "[:r :x nil]];"
      "0 ok txn [[:w :x 1]]; 1 ok txn [[:r :x 1] [:w :x 2] [:w :y 1]]; 2 ok txn [[:r :y 1] [:r :x 1]]";
  options = {};
  EXPECT_EQ(
      judged_transactions(chain, CheckModel::rw_register, model::Isolation::serializable, options).anomalies,
      "G-single ");
  options.writes_follow_reads = false;
  EXPECT_EQ(
      judged_transactions(chain, CheckModel::rw_register, model::Isolation::serializable, options).anomalies,
      "");
}

TEST(JudgeTransactions, WhatIsNoHistoryIsRefused) {
  // A transaction that did something else than it said could be judged by either.
  const struct {
    const char* lines;
    const char* problem;
  } cases[] = {
      {"0 invoke txn 1", "1: the value of a transaction must be a list"},
      {"0 invoke txn [[:w :x 1]]", "1: [:w :x 1] is neither [:append key value] nor [:r key list]"},
      {"0 invoke txn [[:append :x nil]]", "1: nil is what nobody wrote, so it cannot be written"},
      {"0 invoke txn [[:r :x nil]]; 0 ok txn [[:r :y [1]]]",
       "2: it did something else than it was invoked to do"},
      {"0 invoke txn [[:r :x nil]]; 0 ok txn [[:r :x 1]]", "2: a read showed 1, which is no list"},
      {"0 invoke txn []; 0 invoke txn []",
       "2: process 0 invokes although what it invoked in line 1 has no outcome"},
      {"0 ok txn []", "1: process 0 has an outcome, ok, of nothing that it invoked"},
      {"0 invoke txn [[:append :x 1]]; 1 invoke txn [[:append :x 1]]",
       "T0 (called at line 1) and T1 (called at line 2) both write 1 to key :x: nobody could tell whose was "
       "read"},
  };
  for (const auto& [lines, problem] : cases) {
    EXPECT_EQ(judged_transactions(lines, CheckModel::list_append).problem, problem) << lines;
  }
}

}  // namespace
}  // namespace reel::harness
