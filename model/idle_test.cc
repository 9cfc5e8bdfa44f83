#include "model/idle.h"

#include <gtest/gtest.h>

#include <vector>

#include "io/ports/checksum.h"
#include "model/linearizability.h"
#include "model/sequential.h"

namespace reel::model {
namespace {

using History = std::vector<Operation>;

Operation operation(std::uint64_t verb, Words input, Words output, std::uint64_t call,
                    std::uint64_t returned) {
  Operation made;
  made.verb = verb;
  made.input = input;
  made.output = output;
  made.call = call;
  made.returned = returned;
  return made;
}
Operation write(std::uint64_t value, std::uint64_t call, std::uint64_t returned = Operation::kOpen) {
  return operation(register_verb::kWrite, {value, 0}, {}, call, returned);
}
Operation read(std::uint64_t value, std::uint64_t call, std::uint64_t returned) {
  return operation(register_verb::kRead, {}, {value, 0}, call, returned);
}
Operation cas(std::uint64_t from, std::uint64_t to, bool done, std::uint64_t call,
              std::uint64_t returned = Operation::kOpen) {
  return operation(register_verb::kCas, {from, to}, {done ? 1u : 0u, 0}, call, returned);
}

History without_idle(const History& history) {
  const std::vector<bool> idle = idle_of_register(history);
  History left;
  for (std::size_t at = 0; at < history.size(); ++at) {
    if (!idle[at]) left.push_back(history[at]);
  }
  return left;
}

TEST(Idle, WhatNobodySawIsIdle) {
  // The rule could keep everything, and a search would carry dead weight along.
  const std::vector<bool> idle =
      idle_of_register(History{write(1, 0, 10), write(2, 0), write(3, 0), read(3, 20, 30)});
  EXPECT_EQ(idle, (std::vector<bool>{false, true, false, false}));
}

TEST(Idle, AChainOfOpenOnesIsNeededAsAWhole) {
  // An open write could be dropped that only another open operation needs.
  EXPECT_EQ(idle_of_register(History{write(1, 0), cas(1, 2, true, 0), cas(2, 3, true, 0), read(3, 5, 6)}),
            (std::vector<bool>{false, false, false, false}));
  EXPECT_EQ(idle_of_register(History{write(1, 0), cas(1, 2, true, 0), cas(2, 3, true, 0), read(0, 5, 6)}),
            (std::vector<bool>{true, true, true, false}));
}

TEST(Idle, AFailedCasSawThatAnotherValueWasThere) {
  // The write that made a compare-and-set fail could be dropped.
  const History history{write(1, 0), cas(0, 5, false, 10, 20)};
  EXPECT_EQ(idle_of_register(history), (std::vector<bool>{false, false}));
  EXPECT_EQ(check_linearizability(cas_register_model(0), history).verdict, Verdict::ok);
}

TEST(Idle, NoVerdictDependsOnIdleOnes) {
  // Whatever the shape of the history: leaving them out could turn legal into illegal, or the other way round.
  std::uint64_t legal = 0, dropped = 0;
  for (std::uint64_t seed = 0; seed < 40'000; ++seed) {
    std::uint64_t draws = 0;
    const auto below = [&](std::uint64_t bound) { return io::keyed_hash(seed, {++draws}) % bound; };
    History history;
    for (std::uint64_t count = 3 + below(6); count > 0; --count) {
      const std::uint64_t verb = below(3);
      const std::uint64_t from = below(4);
      const std::uint64_t to = below(4);
      const std::uint64_t call = below(12);
      const std::uint64_t length = 1 + below(8);
      const std::uint64_t returned =
          verb != register_verb::kRead && below(2) == 0 ? Operation::kOpen : call + length;
      const std::uint64_t output = verb == register_verb::kCas ? below(2) : below(4);
      history.push_back(operation(verb, verb == register_verb::kRead ? Words{} : Words{from, to}, {output, 0},
                                  call, returned));
    }
    const History left = without_idle(history);
    dropped += history.size() - left.size();
    const Verdict whole = check_linearizability(cas_register_model(0), history).verdict;
    ASSERT_EQ(check_linearizability(cas_register_model(0), left).verdict, whole) << "seed " << seed;
    legal += whole == Verdict::ok ? 1 : 0;
  }
  EXPECT_GT(legal, 8'000u);
  EXPECT_LT(legal, 32'000u);
  EXPECT_GT(dropped, 10'000u);
}

}  // namespace
}  // namespace reel::model
