#include "sim/decisions.h"

#include <gtest/gtest.h>

#include <array>
#include <map>

namespace reel::sim {
namespace {

constexpr std::uint64_t kKnownBits = 7715536346037173470ull;
constexpr std::uint64_t kKnownBelow = 807229;
constexpr std::uint64_t kKnownExponential = 2845;

ChoiceKey key_of(std::uint64_t counter, std::uint32_t node = 0, std::uint32_t place = 0) {
  return {Choice::harness, place, node, counter};
}

TEST(Decisions, KeyedNotPositional) {
  // A draw could depend on the draws before it, so that removing one shifts all others.
  Decisions first(7), second(7);
  const std::uint64_t alone = first.below(key_of(500), 1'000'000);
  for (std::uint64_t i = 0; i < 500; ++i) (void)second.below(key_of(i), 10);
  EXPECT_EQ(second.below(key_of(500), 1'000'000), alone);
}

TEST(Decisions, KnownValues) {
  // A compiler, a library or a careless change could give the same seed another run.
  Decisions decisions(42);
  EXPECT_EQ(decisions.bits(key_of(0)), kKnownBits);
  EXPECT_EQ(decisions.below(key_of(1, 2, 3), 1'000'000), kKnownBelow);
  EXPECT_EQ(decisions.exponential(key_of(2), 1'000'000), kKnownExponential);
}

TEST(Decisions, EveryPartOfTheKeyMatters) {
  // Two places could share their draws.
  Decisions decisions(1), other(2);
  const std::uint64_t base = decisions.bits({Choice::harness, 1, 1, 1});
  EXPECT_NE(decisions.bits({Choice::workload, 1, 1, 1}), base);
  EXPECT_NE(decisions.bits({Choice::harness, 2, 1, 1}), base);
  EXPECT_NE(decisions.bits({Choice::harness, 1, 2, 1}), base);
  EXPECT_NE(decisions.bits({Choice::harness, 1, 1, 2}), base);
  EXPECT_NE(other.bits({Choice::harness, 1, 1, 1}), base);
}

TEST(Decisions, UniformEnough) {
  // Small counters could show in the draws: a bias in the low end hides whole classes of runs.
  Decisions decisions(3);
  std::array<int, 10> counts{};
  for (std::uint64_t i = 0; i < 100'000; ++i) ++counts[decisions.below(key_of(i), 10)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 400);
  std::array<int, 4> pairs{};
  for (std::uint64_t i = 0; i < 40'000; ++i) {
    const std::uint64_t a = decisions.below(key_of(i), 2);
    const std::uint64_t b = decisions.below(key_of(i + 1), 2);
    ++pairs[2 * a + b];
  }
  for (const int count : pairs) EXPECT_NEAR(count, 10'000, 400);
  int hits = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i) hits += decisions.permille(key_of(i, 9), 50) ? 1 : 0;
  EXPECT_NEAR(hits, 5'000, 300);
}

TEST(Decisions, ExponentialHasItsMeanAndItsTail) {
  // The integer approximation could be off in the mean, or have no tail.
  Decisions decisions(4);
  double sum = 0;
  int above_3 = 0, below_half = 0;
  constexpr int kDraws = 200'000;
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const auto value = static_cast<double>(decisions.exponential(key_of(i), 1'000'000));
    sum += value;
    above_3 += value > 3'000'000 ? 1 : 0;
    below_half += value < 500'000 ? 1 : 0;
  }
  EXPECT_NEAR(sum / kDraws, 1'000'000, 10'000);
  EXPECT_NEAR(above_3, kDraws * 0.0498, kDraws * 0.003);
  EXPECT_NEAR(below_half, kDraws * 0.3935, kDraws * 0.005);
  EXPECT_EQ(decisions.exponential(key_of(1), 0), 0u);
}

TEST(Decisions, PickFollowsItsWeights) {
  // A weight of zero could be picked, or weights be ignored.
  Decisions decisions(5);
  const std::array<std::uint32_t, 5> weights = {0, 1, 0, 3, 0};
  std::map<std::size_t, int> counts;
  for (std::uint64_t i = 0; i < 10'000; ++i) ++counts[decisions.pick(key_of(i), weights)];
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_NEAR(counts[3], 7'500, 300);
}

TEST(Decisions, OverridesReplaceAndStayLegal) {
  // An edited list of choices could be ignored, shift others, or drive code out of its range.
  Decisions decisions(6), plain(6);
  const std::array<Override, 3> overrides = {Override{key_of(1), 3}, Override{key_of(2), 1'000'000},
                                             Override{key_of(3), 2}};
  decisions.override_with(overrides);
  EXPECT_EQ(decisions.below(key_of(1), 10), 3u);
  EXPECT_EQ(decisions.below(key_of(2), 10), 9u);
  EXPECT_EQ(decisions.range(key_of(1), 100, 110), 103u);
  EXPECT_EQ(decisions.below(key_of(4), 1000), plain.below(key_of(4), 1000));
  const std::array<std::uint32_t, 4> weights = {0, 5, 0, 5};
  EXPECT_EQ(decisions.pick(key_of(1), weights), 3u);
  EXPECT_EQ(decisions.pick(key_of(2), weights), 3u);
  const std::array<std::uint32_t, 4> sparse = {0, 5, 0, 0};
  EXPECT_EQ(decisions.pick(key_of(3), sparse), 1u);
}

TEST(Decisions, NeutralIsTheDullestValue) {
  // A shrinker could not take a choice away, because what is missing is drawn all the same.
  Decisions neutral(7, Decisions::Missing::neutral);
  const std::array<std::uint32_t, 3> weights = {0, 2, 2};
  for (std::uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(neutral.below(key_of(i), 10), 0u);
    EXPECT_EQ(neutral.range(key_of(i), 5, 9), 5u);
    EXPECT_FALSE(neutral.permille(key_of(i), 999));
    EXPECT_EQ(neutral.exponential(key_of(i), 1000), 0u);
    EXPECT_EQ(neutral.pick(key_of(i), weights), 1u);
  }
}

TEST(Decisions, ALoggedRunReplaysFromItsLog) {
  // What the log holds could be less than what was decided.
  DecisionLog log;
  Decisions live(8);
  live.set_listener(&log);
  std::vector<std::uint64_t> first, second;
  const std::array<std::uint32_t, 3> weights = {1, 0, 2};
  const auto run = [&](Decisions& decisions, std::vector<std::uint64_t>& values) {
    for (std::uint64_t i = 0; i < 50; ++i) {
      values.push_back(decisions.below(key_of(i), 100));
      values.push_back(decisions.permille(key_of(i, 1), 300) ? 1 : 0);
      values.push_back(decisions.exponential(key_of(i, 2), 1000));
      values.push_back(decisions.pick(key_of(i, 3), weights));
      values.push_back(decisions.bits(key_of(i, 4)));
    }
  };
  run(live, first);
  EXPECT_EQ(log.draws().size(), 250u);
  Decisions replayed(999, Decisions::Missing::neutral);
  replayed.override_with(log.draws());
  run(replayed, second);
  EXPECT_EQ(first, second);
}

TEST(Decisions, KindsMayBeNeutralAloneAndIdentitiesStay) {
  // Making one kind dull could dull others, give two things one name, or leave no way to keep a single choice.
  ChoiceSet dull;
  dull.set(static_cast<std::size_t>(Choice::workload));
  Decisions seeded(5), some(5, Decisions::Missing::seeded, dull);
  const ChoiceKey one{Choice::workload, 1, 2, 3}, kept{Choice::workload, 1, 2, 4};
  some.override_with(std::array{Override{kept, 7}});
  EXPECT_EQ(some.below(one, 1000), 0u);
  EXPECT_EQ(some.below(kept, 1000), 7u);
  EXPECT_EQ(some.pause(one, 500), 500u);
  EXPECT_EQ(some.bits(one), seeded.bits(one));
  EXPECT_EQ(some.below(key_of(1), 1000), seeded.below(key_of(1), 1000));
  EXPECT_EQ(seeded.pause(one, 500), seeded.exponential(one, 500));
}

TEST(Decisions, WhatIsPlannedHappensUnlessSomebodySaysNo) {
  // A strike could be drawn away by a seed, or be impossible to take out of a run.
  ChoiceSet none;
  none.set(static_cast<std::size_t>(Choice::fault_strike));
  Decisions seeded(6), without(6, Decisions::Missing::seeded, none), edited(6);
  const ChoiceKey strike{Choice::fault_strike, 1, 0, 1}, other{Choice::fault_strike, 1, 0, 2};
  edited.override_with(std::array{Override{strike, 0}});
  without.override_with(std::array{Override{strike, 1}});
  EXPECT_TRUE(seeded.happens(strike));
  EXPECT_FALSE(edited.happens(strike));
  EXPECT_TRUE(edited.happens(other));
  EXPECT_TRUE(without.happens(strike));
  EXPECT_FALSE(without.happens(other));
}

TEST(Decisions, ListenersTellChoicesFromDefaultsAndNames) {
  // A count of what a run chose could count what nobody chose.
  class Sorted final : public DecisionListener {
   public:
    void on_draw(const ChoiceKey&, std::uint64_t) override { ++chosen; }
    void on_default(const ChoiceKey&, std::uint64_t) override { ++left; }
    void on_identity(const ChoiceKey&, std::uint64_t) override { ++names; }
    int chosen = 0, left = 0, names = 0;
  } sorted;
  Decisions dull(7, Decisions::Missing::neutral);
  dull.override_with(std::array{Override{key_of(1), 3}, Override{key_of(2), 9}});
  dull.set_listener(&sorted);
  (void)dull.below(key_of(0), 10);
  (void)dull.below(key_of(1), 10);
  (void)dull.pause(key_of(2), 9);
  (void)dull.bits(key_of(3));
  EXPECT_EQ(sorted.chosen, 1);
  EXPECT_EQ(sorted.left, 2);
  EXPECT_EQ(sorted.names, 1);
}

TEST(Decisions, AnotherFutureIsAnotherSeedFromNowOn) {
  // A fork could repeat the past's choices, or stay as dull as the run that it left.
  Decisions run(8, Decisions::Missing::neutral), same(9);
  EXPECT_EQ(run.below(key_of(0), 1000), 0u);
  run.reseed(9);
  for (std::uint64_t i = 1; i < 20; ++i) EXPECT_EQ(run.below(key_of(i), 1000), same.below(key_of(i), 1000));
}

}  // namespace
}  // namespace reel::sim
