#include "harness/bench/histogram.h"

#include <algorithm>
#include <bit>

#include "io/ports/assert.h"

namespace reel::harness {

// Values below 2^kSubBits have a bucket each; above, each power of two is cut into 2^kSubBits.
std::size_t Histogram::bucket_of(std::uint64_t value) {
  if (value < (std::uint64_t{1} << kSubBits)) return value;
  const auto shift = static_cast<std::uint32_t>(std::bit_width(value)) - kSubBits - 1;
  return ((std::size_t{shift} + 1) << kSubBits) + ((value >> shift) - (std::uint64_t{1} << kSubBits));
}

std::uint64_t Histogram::top_of(std::size_t bucket) {
  if (bucket < (std::size_t{1} << kSubBits)) return bucket;
  const std::size_t shift = (bucket >> kSubBits) - 1;
  const std::uint64_t base = (std::uint64_t{1} << kSubBits) + (bucket & ((std::size_t{1} << kSubBits) - 1));
  return ((base + 1) << shift) - 1;
}

void Histogram::add(std::int64_t value_ns, std::uint64_t count) {
  const auto value = std::min(static_cast<std::uint64_t>(std::max<std::int64_t>(value_ns, 0)), kValueMax);
  const std::size_t bucket = bucket_of(value);
  REEL_CHECK(bucket < kBuckets);
  buckets_[bucket] += count;
  count_ += count;
  max_ns_ = std::max(max_ns_, static_cast<std::int64_t>(value));
}

void Histogram::add(const Histogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ns_ = std::max(max_ns_, other.max_ns_);
}

std::int64_t Histogram::quantile_ns(std::uint32_t per_million) const {
  REEL_CHECK(per_million <= 1'000'000);
  if (count_ == 0) return 0;
  __extension__ using Wide = unsigned __int128;
  const auto rank = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>((Wide{count_} * per_million + 999'999) / 1'000'000));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::min(static_cast<std::int64_t>(top_of(i)), max_ns_);
  }
  return max_ns_;
}

}  // namespace reel::harness
