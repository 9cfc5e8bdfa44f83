// Latencies by the hundred million in a few kilobytes: buckets whose width grows with the value, as in HdrHistogram.
// A value is told apart from others to 1/64 of itself; percentiles are upper bounds of their bucket.
#pragma once

#include <array>
#include <cstdint>

namespace reel::harness {

class Histogram {
 public:
  // Values are nanoseconds; negative ones count as 0, those above an hour as an hour.
  void add(std::int64_t value_ns, std::uint64_t count = 1);
  void add(const Histogram& other);

  std::uint64_t count() const { return count_; }
  // The least value that at least `per_million` parts of all are at or below; 0 if there are none.
  [[nodiscard]] std::int64_t quantile_ns(std::uint32_t per_million) const;
  std::int64_t max_ns() const { return max_ns_; }

 private:
  static constexpr std::uint32_t kSubBits = 6;
  static constexpr std::uint64_t kValueMax = 3'600'000'000'000;
  static constexpr std::size_t kBuckets = (42 - kSubBits + 1) << kSubBits;

  static std::size_t bucket_of(std::uint64_t value);
  static std::uint64_t top_of(std::size_t bucket);

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  std::int64_t max_ns_ = 0;
};

}  // namespace reel::harness
