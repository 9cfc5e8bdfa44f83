#include "harness/bench/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "io/ports/checksum.h"

namespace reel::harness {
namespace {

TEST(Histogram, QuantilesAreThoseOfTheSortedValues) {
  // A percentile from the wrong bucket would make every figure that we publish wrong, and nobody would see it.
  std::vector<std::int64_t> values;
  Histogram histogram;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    const std::uint64_t draw = io::keyed_hash(1, {i});
    values.push_back(static_cast<std::int64_t>((draw >> 20) >> (draw % 44)));
    histogram.add(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const std::uint32_t part : {1u, 100'000u, 500'000u, 990'000u, 999'000u, 999'999u}) {
    const auto rank = static_cast<std::size_t>((values.size() * std::uint64_t{part} + 999'999) / 1'000'000);
    const std::int64_t exact =
        std::min<std::int64_t>(values[std::max<std::size_t>(rank, 1) - 1], 3'600'000'000'000);
    const std::int64_t told = histogram.quantile_ns(part);
    EXPECT_GE(told, exact) << part;
    EXPECT_LE(told, exact + exact / 64 + 1) << part;
  }
  EXPECT_EQ(histogram.quantile_ns(1'000'000), histogram.max_ns());
}

TEST(Histogram, EdgesHaveAPlace) {
  // A clock that steps back, or a hung disk, must not write outside the buckets.
  Histogram histogram;
  EXPECT_EQ(histogram.quantile_ns(500'000), 0);
  histogram.add(-5);
  EXPECT_EQ(histogram.quantile_ns(500'000), 0);
  histogram.add(INT64_MAX, 3);
  EXPECT_EQ(histogram.count(), 4u);
  EXPECT_EQ(histogram.quantile_ns(990'000), 3'600'000'000'000);
  Histogram sum;
  sum.add(7, 10);
  sum.add(histogram);
  EXPECT_EQ(sum.count(), 14u);
  EXPECT_EQ(sum.quantile_ns(500'000), 7);
}

}  // namespace
}  // namespace reel::harness
