#include "model/linearizability.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/ports/checksum.h"
#include "model/sequential.h"
#include "model/witness.h"

namespace reel::model {
namespace {

using History = std::vector<Operation>;

// ---- the reference: every order is tried, nothing is pruned, nothing is remembered

struct RegisterReference {
  using Value = std::uint64_t;
  static bool apply(Value& value, const Operation& op) {
    if (op.verb == register_verb::kRead) return op.open() || op.output.first == value;
    if (op.verb == register_verb::kWrite) {
      value = op.input.first;
      return true;
    }
    const bool matches = value == op.input.first;
    if (matches) value = op.input.second;
    return op.open() || (op.output.first == 1) == matches;
  }
};

struct LogReference {
  using Value = std::vector<std::uint64_t>;
  static bool apply(Value& log, const Operation& op) {
    if (op.verb == log_verb::kAppend) {
      log.push_back(op.input.first);
      return op.open() || op.output.first == log.size() - 1;
    }
    if (op.open()) return true;
    if (op.verb == log_verb::kHighWater) return op.output.first == log.size();
    if (op.output.first > log.size()) return false;
    std::uint64_t digest = 0;
    for (std::uint64_t id = 0; id < op.output.first; ++id) digest = log_digest(digest, log[id]);
    return digest == op.output.second;
  }
};

// Three cells of two bits in one number: what touches different cells commutes, and a copy ties two of them together.
struct CellsReference {
  using Value = std::uint64_t;
  static constexpr std::uint64_t kWrite = 0;  // input: cell, value
  static constexpr std::uint64_t kRead = 1;   // input: cell; output: value
  static constexpr std::uint64_t kCopy = 2;   // input: from, to
  static std::uint64_t get(Value cells, std::uint64_t cell) { return cells >> cell * 2 & 3; }
  static Value set(Value cells, std::uint64_t cell, std::uint64_t value) {
    return (cells & ~(std::uint64_t{3} << cell * 2)) | value << cell * 2;
  }
  static bool apply(Value& cells, const Operation& op) {
    if (op.verb == kRead) return op.open() || op.output.first == get(cells, op.input.first);
    cells = op.verb == kWrite ? set(cells, op.input.first, op.input.second)
                              : set(cells, op.input.second, get(cells, op.input.first));
    return true;
  }
};

SequentialModel cells_model() {
  SequentialModel model{};
  model.name = "cells";
  model.step = [](void*, State state, const Operation& op) {
    return CellsReference::apply(state, op) ? state : kRefused;
  };
  model.pure = [](void*, const Operation& op) { return op.verb == CellsReference::kRead; };
  model.idle = [](void*, const Operation&) { return false; };
  model.touches = [](void*, const Operation& op) {
    const std::uint64_t first = std::uint64_t{1} << op.input.first;
    return op.verb == CellsReference::kCopy ? first | std::uint64_t{1} << op.input.second : first;
  };
  return model;
}

// Is there an order of operations called by `until` that has everything which returned by then?
template <class Reference>
bool explainable(const History& history, std::uint64_t until, std::uint64_t placed,
                 const typename Reference::Value& value) {
  bool complete = true;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if ((placed >> i & 1) == 0 && history[i].returned <= until) complete = false;
  }
  if (complete) return true;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if ((placed >> i & 1) != 0 || history[i].call > until) continue;
    bool minimal = true;
    for (std::size_t j = 0; j < history.size(); ++j) {
      if ((placed >> j & 1) == 0 && history[j].returned < history[i].call) minimal = false;
    }
    typename Reference::Value next = value;
    if (minimal && Reference::apply(next, history[i]) &&
        explainable<Reference>(history, until, placed | std::uint64_t{1} << i, next)) {
      return true;
    }
  }
  return false;
}

// The first return that cannot be explained; kNobody if all can. Requires that no two operations return at
// one time.
template <class Reference>
std::uint32_t brute_force(const History& history, const typename Reference::Value& initial) {
  std::vector<std::uint32_t> returns;
  for (std::uint32_t i = 0; i < history.size(); ++i) {
    if (!history[i].open()) returns.push_back(i);
  }
  std::sort(returns.begin(), returns.end(),
            [&](std::uint32_t a, std::uint32_t b) { return history[a].returned < history[b].returned; });
  for (const std::uint32_t at : returns) {
    if (!explainable<Reference>(history, history[at].returned, 0, initial)) return at;
  }
  return CheckResult::kNobody;
}

// ---- random histories: a true object, operations that take effect somewhere inside, crashes, and then lies

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t below(std::uint64_t bound) { return io::keyed_hash(seed_, {++count_}) % bound; }
  bool chance(std::uint64_t percent) { return below(100) < percent; }

 private:
  std::uint64_t seed_;
  std::uint64_t count_ = 0;
};

struct Shape {
  std::size_t operations = 8;
  std::size_t processes = 3;
  std::uint64_t values = 3;
  std::uint64_t crashes = 2'000;  // in 30,000 steps of a process
};

// How one kind of object is exercised.
template <class Reference>
struct Workload {
  std::function<Operation(Draw&, const Shape&)> invoke;
  // Takes effect on the true object and gives the true output.
  std::function<Words(Draw&, typename Reference::Value&, const Operation&)> perform;
  std::function<void(Draw&, const Shape&, Operation&)> lie;
};

template <class Reference>
History generate(Draw& draw, const Shape& shape, const Workload<Reference>& workload,
                 typename Reference::Value& truth) {
  struct Process {
    std::optional<std::size_t> operation;
    bool done = false;
    Words output;
  };
  History history;
  std::vector<Process> processes(shape.processes);
  std::uint64_t time = 0;
  std::size_t running = 0;
  while (history.size() < shape.operations || running > 0) {
    Process& process = processes[draw.below(processes.size())];
    if (!process.operation) {
      if (history.size() == shape.operations) continue;
      Operation operation = workload.invoke(draw, shape);
      // Sometimes at the very time of the last event: then the two are concurrent.
      operation.call = draw.chance(70) ? ++time : time;
      process = {history.size(), false, {}};
      history.push_back(operation);
      ++running;
    } else if (draw.below(30'000) < shape.crashes) {
      process.operation.reset();
      --running;
    } else if (!process.done) {
      process.output = workload.perform(draw, truth, history[*process.operation]);
      process.done = true;
    } else {
      history[*process.operation].output = process.output;
      history[*process.operation].returned = ++time;
      process.operation.reset();
      --running;
    }
  }
  return history;
}

template <class Reference>
void tell_lies(Draw& draw, const Shape& shape, const Workload<Reference>& workload, History& history) {
  for (std::uint64_t lies = draw.below(4); lies > 0; --lies) {
    Operation& operation = history[draw.below(history.size())];
    if (!operation.open()) workload.lie(draw, shape, operation);
  }
}

const Workload<RegisterReference> kRegister{
    [](Draw& draw, const Shape& shape) {
      Operation op;
      op.verb = draw.chance(50) ? register_verb::kWrite : register_verb::kRead;
      op.input.first = draw.below(shape.values);
      if (op.verb == register_verb::kRead) op.input = {};
      return op;
    },
    [](Draw&, std::uint64_t& value, const Operation& op) {
      if (op.verb == register_verb::kWrite) value = op.input.first;
      return op.verb == register_verb::kRead ? Words{value, 0} : Words{};
    },
    [](Draw& draw, const Shape& shape, Operation& op) {
      if (op.verb == register_verb::kRead) op.output.first = draw.below(shape.values);
    }};

const Workload<RegisterReference> kCasRegister{
    [](Draw& draw, const Shape& shape) {
      Operation op;
      op.verb = draw.below(3);
      op.input = {draw.below(shape.values), draw.below(shape.values)};
      if (op.verb == register_verb::kRead) op.input = {};
      if (op.verb == register_verb::kWrite) op.input.second = 0;
      return op;
    },
    [](Draw&, std::uint64_t& value, const Operation& op) {
      const std::uint64_t before = value;
      if (op.verb == register_verb::kRead) return Words{value, 0};
      if (op.verb == register_verb::kWrite) value = op.input.first;
      if (op.verb == register_verb::kCas && before == op.input.first) value = op.input.second;
      return Words{op.verb == register_verb::kCas && before == op.input.first ? 1u : 0u, 0};
    },
    [](Draw& draw, const Shape& shape, Operation& op) {
      if (op.verb == register_verb::kRead) op.output.first = draw.below(shape.values);
      if (op.verb == register_verb::kCas) op.output.first = 1 - op.output.first;
    }};

const Workload<CellsReference> kCells{
    [](Draw& draw, const Shape& shape) {
      Operation op;
      op.verb = draw.below(3);
      op.input.first = draw.below(3);
      op.input.second = op.verb == CellsReference::kCopy ? draw.below(3) : draw.below(shape.values);
      if (op.verb == CellsReference::kRead) op.input.second = 0;
      return op;
    },
    [](Draw&, std::uint64_t& cells, const Operation& op) {
      if (op.verb == CellsReference::kRead) return Words{CellsReference::get(cells, op.input.first), 0};
      (void)CellsReference::apply(cells, op);
      return Words{};
    },
    [](Draw& draw, const Shape& shape, Operation& op) {
      if (op.verb == CellsReference::kRead) op.output.first = draw.below(shape.values);
    }};

std::uint64_t digest_of(const std::vector<std::uint64_t>& log, std::uint64_t count) {
  std::uint64_t digest = 0;
  for (std::uint64_t id = 0; id < count; ++id) digest = log_digest(digest, log[id]);
  return digest;
}

const Workload<LogReference> kLog{[](Draw& draw, const Shape& shape) {
                                    Operation op;
                                    op.verb = draw.chance(60) ? log_verb::kAppend : 1 + draw.below(2);
                                    if (op.verb == log_verb::kAppend)
                                      op.input.first = draw.below(shape.values);
                                    return op;
                                  },
                                  [](Draw& draw, std::vector<std::uint64_t>& log, const Operation& op) {
                                    if (op.verb == log_verb::kAppend) log.push_back(op.input.first);
                                    if (op.verb == log_verb::kAppend) return Words{log.size() - 1, 0};
                                    if (op.verb == log_verb::kHighWater) return Words{log.size(), 0};
                                    const std::uint64_t seen =
                                        draw.chance(70) ? log.size() : draw.below(log.size() + 1);
                                    return Words{seen, digest_of(log, seen)};
                                  },
                                  [](Draw& draw, const Shape&, Operation& op) {
                                    if (draw.chance(50))
                                      op.output.first += 1;
                                    else if (op.output.first > 0)
                                      op.output.first -= 1;
                                  }};

Shape draw_shape(Draw& draw) {
  return {3 + draw.below(7), 2 + draw.below(4), 2 + draw.below(2), draw.below(3) * 2'500};
}

struct Tally {
  std::uint64_t legal = 0;
  std::uint64_t illegal = 0;
  std::uint64_t open = 0;
};

void expect_agreement(const SequentialModel& model, const History& history, std::uint32_t offender,
                      Tally& tally, std::uint64_t seed) {
  const CheckResult result = check_linearizability(model, history);
  const bool legal = offender == CheckResult::kNobody;
  ASSERT_EQ(result.verdict, legal ? Verdict::ok : Verdict::illegal) << model.name << " seed " << seed;
  ++(legal ? tally.legal : tally.illegal);
  for (const Operation& operation : history) tally.open += operation.open() ? 1 : 0;
  if (legal) {
    const auto complaint = check_witness(model, history, result.order);
    ASSERT_FALSE(complaint) << model.name << " seed " << seed << ": " << *complaint;
  }
}

void expect_offender(const SequentialModel& model, const History& history, std::uint32_t offender,
                     std::uint64_t seed) {
  const CheckResult result = check_linearizability(model, history);
  ASSERT_EQ(result.offender, offender) << model.name << " seed " << seed;
}

template <class Reference>
void compare_with_brute_force(const SequentialModel& model, const Workload<Reference>& workload,
                              std::uint64_t histories) {
  Tally tally;
  for (std::uint64_t seed = 0; seed < histories && !testing::Test::HasFatalFailure(); ++seed) {
    Draw draw(seed);
    const Shape shape = draw_shape(draw);
    typename Reference::Value truth{};
    History history = generate<Reference>(draw, shape, workload, truth);
    tell_lies(draw, shape, workload, history);
    const std::uint32_t offender = brute_force<Reference>(history, {});
    expect_agreement(model, history, offender, tally, seed);
    expect_offender(model, history, offender, seed);
  }
  // A comparison on histories of one kind only would prove little.
  EXPECT_GT(tally.legal * 5, histories);
  EXPECT_GT(tally.illegal * 10, histories);
  EXPECT_GT(tally.open * 3, histories);
}

TEST(LinearizabilityBruteForce, Register) {
  // A pruning could drop the only explanation of a register's history, or accept one that has none.
  compare_with_brute_force<RegisterReference>(register_model(0), kRegister, 20'000);
}

TEST(LinearizabilityBruteForce, CasRegister) {
  // An outcome that decides whether a cas is pure could be taken for another.
  compare_with_brute_force<RegisterReference>(cas_register_model(0), kCasRegister, 40'000);
}

TEST(LinearizabilityBruteForce, CellsThatAreTiedTogether) {
  // What commutes with an operation that returns is placed later: unless a third one, that is pending too, depends on both.
  compare_with_brute_force<CellsReference>(cells_model(), kCells, 30'000);
}

TEST(LinearizabilityBruteForce, Log) {
  // The tree of contents could confuse two logs, and a stale feed could be held to be wrong.
  Tally tally;
  for (std::uint64_t seed = 0; seed < 20'000 && !HasFatalFailure(); ++seed) {
    Draw draw(seed);
    const Shape shape = draw_shape(draw);
    std::vector<std::uint64_t> truth;
    History history = generate<LogReference>(draw, shape, kLog, truth);
    tell_lies(draw, shape, kLog, history);
    LogModel log;
    const std::uint32_t offender = brute_force<LogReference>(history, {});
    expect_agreement(log.model(), history, offender, tally, seed);
    expect_offender(log.model(), history, offender, seed);
  }
  EXPECT_GT(tally.legal, 4'000u);
  EXPECT_GT(tally.illegal, 4'000u);
}

TEST(LinearizabilityBruteForce, LogWithEvidence) {
  // Evidence could change a verdict instead of only the way to it.
  Tally tally;
  for (std::uint64_t seed = 0; seed < 20'000 && !HasFatalFailure(); ++seed) {
    Draw draw(seed ^ 0x5eed);
    const Shape shape = draw_shape(draw);
    std::vector<std::uint64_t> truth;
    History history = generate<LogReference>(draw, shape, kLog, truth);
    Operation all;
    all.verb = log_verb::kPrefix;
    all.call = history.empty() ? 0 : 1'000;
    all.returned = 1'001;
    all.output = {truth.size(), digest_of(truth, truth.size())};
    tell_lies(draw, shape, kLog, history);
    history.push_back(all);
    LogModel log;
    for (std::uint64_t id = 0; id < truth.size(); ++id) log.learn(id, truth[id]);
    if (draw.chance(50)) log.seal(history);
    expect_agreement(log.model(), history, brute_force<LogReference>(history, {}), tally, seed);
  }
  EXPECT_GT(tally.legal, 4'000u);
  EXPECT_GT(tally.illegal, 4'000u);
}

// ---- cases with a name

Operation write(std::uint64_t value, std::uint64_t call, std::uint64_t returned = Operation::kOpen) {
  return {0, call, returned, register_verb::kWrite, {value, 0}, {}};
}
Operation read(std::uint64_t value, std::uint64_t call, std::uint64_t returned) {
  return {0, call, returned, register_verb::kRead, {}, {value, 0}};
}

TEST(Linearizability, AWriteOfTheCurrentValueIsNotPure) {
  // Placing "write(1) on 1" at once, as if it were a read, would lose the order in which it comes behind
  // write(2).
  const History history{write(1, 1, 2), write(1, 3, 8), write(2, 4, 5), read(2, 6, 7), read(1, 9, 10)};
  EXPECT_EQ(check_linearizability(register_model(0), history).verdict, Verdict::ok);
}

TEST(Linearizability, AnOpenWriteTakesEffectOnce) {
  // A crashed write could be used for two appearances of its value.
  const History history{write(7, 1), read(7, 2, 3), write(8, 4, 5), read(8, 6, 7), read(7, 8, 9)};
  const CheckResult result = check_linearizability(register_model(0), history);
  EXPECT_EQ(result.verdict, Verdict::illegal);
  EXPECT_EQ(result.offender, 4u);
  History twice = history;
  twice.push_back(write(7, 1));
  EXPECT_EQ(check_linearizability(register_model(0), twice).verdict, Verdict::ok);
}

TEST(Linearizability, AnOpenWriteMayTakeEffectLateOrNever) {
  // A crashed write could be forced to happen, or to happen before its process went on.
  EXPECT_EQ(check_linearizability(register_model(0), History{write(7, 1), read(0, 2, 3)}).verdict,
            Verdict::ok);
  EXPECT_EQ(
      check_linearizability(register_model(0), History{write(7, 1), read(0, 2, 3), read(7, 4, 5)}).verdict,
      Verdict::ok);
  EXPECT_EQ(check_linearizability(register_model(0), History{read(7, 2, 3), write(7, 4)}).verdict,
            Verdict::illegal);
}

TEST(Linearizability, TheFirstBadReturnIsNamed) {
  // A verdict without the event that cannot be explained sends people searching in ten thousand operations.
  const History history{read(1, 9, 12), write(1, 1, 2), write(2, 3, 4), read(1, 5, 6), read(2, 7, 8)};
  const CheckResult result = check_linearizability(register_model(0), history);
  EXPECT_EQ(result.verdict, Verdict::illegal);
  EXPECT_EQ(result.offender, 3u);
}

TEST(Linearizability, TheStreamIsJudgedWhileItFlows) {
  // A checker that only speaks at the end cannot stop the run at the first bad event.
  LinearizabilityChecker checker(register_model(0));
  const auto first = checker.call(write(1, 0));
  const auto second = checker.call(read(0, 0, 0));
  checker.returned(second, {0, 0});
  EXPECT_EQ(checker.verdict(), Verdict::ok);
  checker.returned(first, {});
  const auto stale = checker.call(read(0, 0, 0));
  checker.returned(stale, {0, 0});
  EXPECT_EQ(checker.verdict(), Verdict::illegal);
  EXPECT_EQ(checker.call(write(3, 0)), 3u);
  EXPECT_EQ(checker.finish().offender, stale);
}

TEST(Linearizability, GivesUpReproducibly) {
  // A search without a bound hangs a campaign; a bound in seconds gives another verdict on another machine.
  History history;
  for (std::uint64_t i = 0; i < 14; ++i) history.push_back(write(i + 1, i, 100 + i));
  history.push_back(read(99, 200, 201));
  CheckOptions options;
  options.steps_max = 1'000;
  const CheckResult result = check_linearizability(register_model(0), history, options);
  EXPECT_EQ(result.verdict, Verdict::unknown);
  EXPECT_EQ(result.why, WhyUnknown::budget);
  const CheckResult again = check_linearizability(register_model(0), history, options);
  EXPECT_EQ(result.steps, again.steps);
  EXPECT_EQ(result.offender, again.offender);
  EXPECT_EQ(check_linearizability(register_model(0), history).verdict, Verdict::illegal);
}

TEST(Linearizability, AWindowThatIsTooSmallIsNoVerdict) {
  // More operations at once than there are slots could overwrite each other.
  History history;
  for (std::uint64_t i = 0; i < Slots::kMax + 1; ++i) history.push_back(write(1, i, 1'000 + i));
  EXPECT_EQ(check_linearizability(register_model(0), history).why, WhyUnknown::window);
  History open;
  for (std::uint64_t i = 0; i < Slots::kMax + 1; ++i) open.push_back(write(i + 1, i));
  EXPECT_EQ(check_linearizability(register_model(0), open).why, WhyUnknown::window);
}

TEST(Linearizability, ManyAppendsInFlight) {
  // Clients that pipeline have hundreds of requests out at once; their ids leave only one order.
  History history;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    const std::uint64_t block = i / 200 * 1'000;
    history.push_back({i % 7,
                       block + i % 200,
                       block + 999 - i % 200,
                       log_verb::kAppend,
                       {i, 0},
                       {i / 200 * 200 + (i + 50) % 200, 0}});
  }
  LogModel log;
  const CheckResult result = check_linearizability(log.model(), history);
  EXPECT_EQ(result.verdict, Verdict::ok);
  EXPECT_FALSE(check_witness(log.model(), history, result.order));
}

TEST(Linearizability, SlotsOfSpentOperationsAreUsedAgain) {
  // A long run with a crash here and there would end without a verdict.
  History history;
  for (std::uint64_t i = 0; i < 1'000; ++i) {
    history.push_back(write(i + 1, 10 * i));
    history.push_back(read(i + 1, 10 * i + 1, 10 * i + 2));
  }
  const CheckResult result = check_linearizability(register_model(0), history);
  EXPECT_EQ(result.verdict, Verdict::ok);
  EXPECT_FALSE(check_witness(register_model(0), history, result.order));
}

TEST(Linearizability, EqualOpenOperationsAreTwins) {
  // A hundred clients that died with the same request would cost two to the hundredth.
  History history;
  for (std::uint64_t i = 0; i < 100; ++i) history.push_back(write(5, i));
  for (std::uint64_t i = 0; i < 100; ++i) {
    history.push_back(read(5, 1'000 + 4 * i, 1'001 + 4 * i));
    history.push_back(write(6, 1'002 + 4 * i, 1'003 + 4 * i));
  }
  const CheckResult legal = check_linearizability(register_model(0), history);
  EXPECT_EQ(legal.verdict, Verdict::ok);
  EXPECT_LT(legal.steps, 10'000u);
  history.push_back(read(5, 10'000, 10'001));
  EXPECT_EQ(check_linearizability(register_model(0), history).verdict, Verdict::illegal);
}

TEST(Linearizability, LongHistoriesAreExplained) {
  // What holds for eight operations could fail where slots wrap around and orders are compacted.
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    Draw draw(seed);
    const Shape shape{20'000, 6, 1'000'000, 20};
    std::uint64_t truth = 0;
    History history = generate<RegisterReference>(draw, shape, kCasRegister, truth);
    const CheckResult result = check_linearizability(cas_register_model(0), history);
    ASSERT_EQ(result.verdict, Verdict::ok) << "seed " << seed;
    const auto complaint = check_witness(cas_register_model(0), history, result.order);
    ASSERT_FALSE(complaint) << *complaint;
    Operation lie = history[10'000 + draw.below(5'000)];
    while (lie.open()) lie = history[10'000 + draw.below(5'000)];
    lie.verb = register_verb::kRead;
    lie.output.first = 1'000'001;
    history.push_back(lie);
    const CheckResult caught = check_linearizability(cas_register_model(0), history);
    EXPECT_EQ(caught.verdict, Verdict::illegal);
    EXPECT_EQ(caught.offender, history.size() - 1);
  }
}

TEST(Linearizability, UnansweredAppendsAreFoundByEvidence) {
  // Forty appends without an answer have 40! orders; what a feed saw must lead the search through them.
  History history;
  std::vector<std::uint64_t> truth;
  for (std::uint64_t i = 0; i < 100; ++i) {
    history.push_back({i, i, Operation::kOpen, log_verb::kAppend, {1'000 + i, 0}, {}});
    if (i % 5 < 2) truth.push_back(1'000 + i);
  }
  std::reverse(truth.begin(), truth.end());
  const Words all{truth.size(), digest_of(truth, truth.size())};
  history.push_back({200, 500, 501, log_verb::kAppend, {1, 0}, {truth.size(), 0}});
  history.push_back({201, 600, 601, log_verb::kPrefix, {}, all});
  LogModel log;
  for (std::uint64_t id = 0; id < truth.size(); ++id) log.learn(id, truth[id]);
  log.learn(truth.size(), 1);
  log.seal(history);
  const CheckResult result = check_linearizability(log.model(), history);
  EXPECT_EQ(result.verdict, Verdict::ok);
  EXPECT_LT(result.steps, 20'000u);
  EXPECT_FALSE(check_witness(log.model(), history, result.order));
}

TEST(Linearizability, AFeedMayLagAndAHighWaterMarkMayNot) {
  // A follower's old prefix is no mistake; an old high-water mark, or a prefix that is not one, is.
  const std::uint64_t one = log_digest(0, 11);
  const Operation first{0, 1, 2, log_verb::kAppend, {11, 0}, {0, 0}};
  const Operation second{0, 3, 4, log_verb::kAppend, {22, 0}, {1, 0}};
  const auto verdict_with = [&](std::uint64_t verb, Words output) {
    LogModel log;
    return check_linearizability(log.model(), History{first, second, {1, 5, 6, verb, {}, output}}).verdict;
  };
  EXPECT_EQ(verdict_with(log_verb::kPrefix, {1, one}), Verdict::ok);
  EXPECT_EQ(verdict_with(log_verb::kPrefix, {2, log_digest(one, 22)}), Verdict::ok);
  EXPECT_EQ(verdict_with(log_verb::kPrefix, {1, log_digest(0, 22)}), Verdict::illegal);
  EXPECT_EQ(verdict_with(log_verb::kPrefix, {3, one}), Verdict::illegal);
  EXPECT_EQ(verdict_with(log_verb::kHighWater, {2, 0}), Verdict::ok);
  EXPECT_EQ(verdict_with(log_verb::kHighWater, {1, 0}), Verdict::illegal);
}

TEST(LogModel, PrefixesAreFoundAtEveryDepth) {
  // The shortcuts of the tree could lead past an ancestor.
  LogModel log;
  const SequentialModel model = log.model();
  std::vector<std::uint64_t> digests{0};
  State state = model.initial;
  for (std::uint64_t id = 0; id < 700; ++id) {
    state = model.step(model.context, state, {0, 0, 1, log_verb::kAppend, {id * 3, 0}, {id, 0}});
    ASSERT_NE(state, kRefused);
    digests.push_back(log_digest(digests.back(), id * 3));
  }
  EXPECT_EQ(log.length(state), 700u);
  for (std::uint64_t count = 0; count <= 700; ++count) {
    EXPECT_EQ(model.step(model.context, state, {0, 0, 1, log_verb::kPrefix, {}, {count, digests[count]}}),
              state);
    EXPECT_EQ(model.step(model.context, state, {0, 0, 1, log_verb::kPrefix, {}, {count, ~digests[count]}}),
              kRefused);
  }
}

TEST(Slots, AreSetsInEveryWord) {
  // A shift too far, or a loop too short, would merge operations that are pending at one time.
  Slots all;
  for (unsigned slot = 0; slot < Slots::kMax; ++slot) {
    EXPECT_EQ(all.first_free(), slot);
    EXPECT_FALSE(all.has(slot));
    EXPECT_FALSE(Slots::only(slot).is_subset_of(all));
    all.add(slot);
    EXPECT_TRUE(Slots::only(slot).is_subset_of(all));
    EXPECT_EQ((all & Slots::only(slot)), Slots::only(slot));
    EXPECT_EQ((all - Slots::only(slot)) | Slots::only(slot), all);
  }
  EXPECT_EQ(all.first_free(), Slots::kMax);
  std::vector<unsigned> visited;
  (Slots::only(3) | Slots::only(64) | Slots::only(255)).for_each([&](unsigned slot) {
    visited.push_back(slot);
  });
  EXPECT_EQ(visited, (std::vector<unsigned>{3, 64, 255}));
  all.remove(200);
  EXPECT_EQ(all.first_free(), 200u);
  EXPECT_FALSE(all.empty());
  EXPECT_TRUE((all - all).empty());
}

TEST(Frontier, KeepsTheAntichain) {
  // A configuration that is worse in one respect and better in another could be dropped, or a worse one kept.
  const Slots pure = Slots::only(9);
  const auto set = [](const std::vector<unsigned>& slots) {
    Slots result;
    for (const unsigned slot : slots) result.add(slot);
    return result;
  };
  Frontier frontier;
  const auto insert = [&](const std::vector<unsigned>& placed, const std::vector<unsigned>& spent,
                          State state) {
    return frontier.insert({set(placed), set(spent), state, 0}, pure) != nullptr;
  };
  EXPECT_TRUE(insert({0}, {1, 200}, 5));
  EXPECT_FALSE(insert({0}, {1, 200}, 5));       // the same
  EXPECT_FALSE(insert({0}, {0, 1, 200}, 5));    // spent more
  EXPECT_TRUE(insert({0}, {0}, 5));             // spent others
  EXPECT_TRUE(insert({0}, {1, 200}, 6));        // another state
  EXPECT_TRUE(insert({0, 255}, {1, 200}, 5));   // another obligation met
  EXPECT_TRUE(insert({0, 9}, {0, 1, 200}, 5));  // spent more, owes less
  EXPECT_EQ(frontier.alive(), 5u);
  EXPECT_TRUE(insert({0, 9}, {1}, 5));  // better than two of them
  EXPECT_EQ(frontier.alive(), 4u);
  frontier.clear();
  EXPECT_EQ(frontier.alive(), 0u);
  EXPECT_TRUE(insert({0}, {0, 1, 200}, 5));
}

TEST(Frontier, FindsMembersAfterGrowth) {
  // A table that grows could forget who is in it, and explore the same thing without end.
  Frontier frontier;
  for (State state = 0; state < 5'000; ++state)
    EXPECT_NE(frontier.insert({{}, Slots::only(1), state, 0}, {}), nullptr);
  for (State state = 0; state < 5'000; ++state)
    EXPECT_EQ(frontier.insert({{}, Slots::only(1), state, 0}, {}), nullptr);
  EXPECT_EQ(frontier.alive(), 5'000u);
}

}  // namespace
}  // namespace reel::model
