#include "harness/client_history.h"

#include <gtest/gtest.h>

namespace reel::harness {
namespace {

// Of two clients: each begins its life, and reads or appends by hand.
struct Two {
  ClientHistory a, b;
  Two() {
    a.begin_life(1);
    b.begin_life(2);
  }
  std::optional<std::string> judge() const {
    const ClientHistory* both[] = {&a, &b};
    return judge_histories(both);
  }
};

// Views that lag, own appends and crashes could look like anomalies.
TEST(ClientHistory, WhatIsExplainedIsAccepted) {
  Two two;
  const auto first = two.a.begin(10);
  two.a.append(first, 1, 100);
  two.a.read(first, 1);
  two.a.committed(first, 20);
  two.b.apply(1, 100);
  const auto second = two.b.begin(30);
  two.b.read(second, 1);
  two.b.append(second, 1, 200);
  two.b.begin_life(3);  // nobody knows what became of it
  two.a.apply(1, 100);
  two.a.apply(1, 200);
  const auto third = two.a.begin(40);
  two.a.read(third, 1);
  two.a.committed(third, 50);
  EXPECT_EQ(two.judge(), std::nullopt);
}

// A read could be taken from a later view than the one that the transaction was made from.
TEST(ClientHistory, ReadsAreOfTheirTime) {
  Two two;
  const auto writer = two.a.begin(10);
  two.a.append(writer, 1, 100);
  two.a.committed(writer, 20);
  const auto reader = two.b.begin(30);
  two.b.read(reader, 1);
  two.b.apply(1, 100);
  two.b.committed(reader, 40);
  const auto wrong = two.judge();
  ASSERT_TRUE(wrong.has_value());
  EXPECT_TRUE(wrong->starts_with("G-single-")) << *wrong;
}

// An attempt could commit although it was said to be dead.
TEST(ClientHistory, AnAttemptThatWasReplacedMustNotShow) {
  Two two;
  const auto replaced = two.a.begin(10);
  two.a.append(replaced, 1, 100);
  two.a.aborted(replaced);
  two.b.apply(1, 100);
  const auto reader = two.b.begin(20);
  two.b.read(reader, 1);
  two.b.committed(reader, 30);
  const auto wrong = two.judge();
  ASSERT_TRUE(wrong.has_value());
  EXPECT_TRUE(wrong->starts_with("G1a: ")) << *wrong;
}

// Two attempts with one value could not be told apart.
TEST(ClientHistory, ValuesAreUnique) {
  Two two;
  two.a.append(two.a.begin(10), 1, 100);
  two.b.append(two.b.begin(10), 1, 100);
  EXPECT_TRUE(two.judge().has_value());
}

}  // namespace
}  // namespace reel::harness
