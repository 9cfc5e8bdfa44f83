#include "model/witness.h"

#include <gtest/gtest.h>

#include <vector>

namespace reel::model {
namespace {

Operation write(std::uint64_t value, std::uint64_t call, std::uint64_t returned = Operation::kOpen) {
  return {0, call, returned, register_verb::kWrite, {value, 0}, {}};
}
Operation read(std::uint64_t value, std::uint64_t call, std::uint64_t returned) {
  return {0, call, returned, register_verb::kRead, {}, {value, 0}};
}

// 0 and 1 are concurrent, 2 comes after both, 3 is open.
const std::vector<Operation> kHistory{write(1, 1, 4), write(2, 2, 3), read(1, 5, 6), write(9, 1)};

std::optional<std::string> complaint(std::vector<std::uint32_t> order) {
  return check_witness(register_model(0), kHistory, order);
}

TEST(Witness, AcceptsAnOrderThatIsOne) {
  // A verifier that refuses everything would be as useless as one that accepts everything.
  EXPECT_EQ(complaint({1, 0, 2}), std::nullopt);
  EXPECT_EQ(complaint({3, 1, 0, 2}), std::nullopt);
  EXPECT_EQ(complaint({1, 0, 2, 3}), std::nullopt);
}

TEST(Witness, RefusesWhatIsLeftOut) {
  // An operation that returned could be missing from the order.
  EXPECT_TRUE(complaint({1, 0}));
  EXPECT_TRUE(complaint({}));
}

TEST(Witness, RefusesWhatStandsTwiceOrNowhere) {
  // A crashed write could be replayed twice; an index could point outside.
  EXPECT_TRUE(complaint({3, 1, 3, 0, 2}));
  EXPECT_TRUE(complaint({1, 0, 2, 4}));
}

TEST(Witness, RefusesWhatTheModelRefuses) {
  // A legal-looking order could give the read another value.
  EXPECT_TRUE(complaint({0, 1, 2}));
  EXPECT_TRUE(complaint({1, 0, 3, 2}));
}

TEST(Witness, RefusesAnOrderAgainstTime) {
  // An operation could be moved before one that had returned when it was called.
  const std::vector<Operation> history{write(1, 1, 2), read(0, 3, 4)};
  EXPECT_TRUE(check_witness(register_model(0), history, std::vector<std::uint32_t>{1, 0}));
  // At one time they are concurrent.
  const std::vector<Operation> touching{write(1, 1, 3), read(0, 3, 4)};
  EXPECT_FALSE(check_witness(register_model(0), touching, std::vector<std::uint32_t>{1, 0}));
}

}  // namespace
}  // namespace reel::model
