#include "sim/decisions.h"

#include <array>
#include <bit>

#include "io/ports/checksum.h"

namespace reel::sim {
namespace {

// log2(1 + i/256) in 16 binary places, by squaring: the digit is 1 when the square passes 2. No floating
// point, so the table is the same everywhere.
constexpr std::array<std::uint32_t, 257> make_log2_table() {
  std::array<std::uint32_t, 257> table{};
  for (std::uint32_t i = 0; i <= 256; ++i) {
    std::uint64_t x = (static_cast<std::uint64_t>(256 + i)) << 22;  // 2.30 fixed point, 1 <= x <= 2
    std::uint32_t result = 0;
    if (i == 256) {
      table[i] = 1u << 16;
      continue;
    }
    for (int digit = 0; digit < 16; ++digit) {
      x = (x * x) >> 30;
      result <<= 1;
      if (x >= (2ull << 30)) {
        x >>= 1;
        result |= 1;
      }
    }
    table[i] = result;
  }
  return table;
}
constexpr std::array<std::uint32_t, 257> kLog2 = make_log2_table();
static_assert(kLog2[0] == 0 && kLog2[256] == 65536 && kLog2[128] == 38336);

// -log2(u) in 16 binary places, for u = bits / 2^64 in (0, 1].
constexpr std::uint64_t negative_log2(std::uint64_t bits) {
  bits |= 1;
  const int zeros = std::countl_zero(bits);
  const std::uint64_t mantissa = zeros == 63 ? 0 : (bits << zeros << 1);  // the bits after the leading one
  const std::uint32_t index = static_cast<std::uint32_t>(mantissa >> 56);
  const std::uint64_t rest = (mantissa >> 40) & 0xffff;
  const std::uint64_t log2 = kLog2[index] + (((kLog2[index + 1] - kLog2[index]) * rest) >> 16);
  return ((static_cast<std::uint64_t>(zeros) + 1) << 16) - log2;
}

constexpr std::uint64_t kLn2 = 45426;  // ln 2 in 16 binary places

}  // namespace

const char* name_of(Choice choice) {
  switch (choice) {
    case Choice::tie: return "tie";
    case Choice::wake_late: return "wake_late";
    case Choice::boot_delay: return "boot_delay";
    case Choice::net_base: return "net_base";
    case Choice::net_latency: return "net_latency";
    case Choice::net_tail: return "net_tail";
    case Choice::net_drop: return "net_drop";
    case Choice::net_duplicate: return "net_duplicate";
    case Choice::net_reorder: return "net_reorder";
    case Choice::net_codec: return "net_codec";
    case Choice::net_reset: return "net_reset";
    case Choice::disk_latency: return "disk_latency";
    case Choice::disk_crash: return "disk_crash";
    case Choice::disk_sector: return "disk_sector";
    case Choice::disk_garbage: return "disk_garbage";
    case Choice::crash_point: return "crash_point";
    case Choice::fault_plan: return "fault_plan";
    case Choice::fault_time: return "fault_time";
    case Choice::fault_target: return "fault_target";
    case Choice::fault_length: return "fault_length";
    case Choice::core: return "core";
    case Choice::workload: return "workload";
    case Choice::harness: return "harness";
    case Choice::fault_strike: return "fault_strike";
  }
  return "?";
}

std::optional<Choice> choice_by_name(std::string_view name) {
  for (std::size_t value = 1; value < kChoices; ++value) {
    if (name == name_of(static_cast<Choice>(value))) return static_cast<Choice>(value);
  }
  return std::nullopt;
}

std::size_t ChoiceKeyHash::operator()(const ChoiceKey& key) const noexcept {
  const std::uint64_t where =
      (static_cast<std::uint64_t>(key.kind) << 56) ^ (static_cast<std::uint64_t>(key.place) << 32) ^ key.node;
  return static_cast<std::size_t>(io::Hasher().add(where).add(key.counter).value());
}

void Decisions::override_with(std::span<const Override> overrides) {
  for (const Override& entry : overrides) overrides_[entry.key] = entry.value;
  plain_ = nothing_special();
}

void Decisions::set_listener(DecisionListener* listener) {
  listener_ = listener;
  plain_ = nothing_special();
}

std::uint64_t Decisions::special(const ChoiceKey& key, std::uint64_t drawn, std::uint64_t highest,
                                 std::uint64_t neutral, bool identity) {
  const bool dull =
      missing_ == Missing::neutral || (!identity && neutral_[static_cast<std::size_t>(key.kind)]);
  std::uint64_t value = dull ? neutral : drawn;
  if (!overrides_.empty()) {
    const auto found = overrides_.find(key);
    if (found != overrides_.end()) value = std::min(found->second, highest);
  }
  if (listener_ == nullptr) return value;
  if (identity) {
    listener_->on_identity(key, value);
  } else if (value == neutral) {
    listener_->on_default(key, value);
  } else {
    listener_->on_draw(key, value);
  }
  return value;
}

std::uint64_t Decisions::drawn_exponential(const ChoiceKey& key, std::uint64_t mean) const {
  REEL_CHECK(mean < (1ull << 56));
  const Wide scaled = static_cast<Wide>(negative_log2(hash(key))) * kLn2 * mean;
  return static_cast<std::uint64_t>(scaled >> 32);
}

std::uint64_t Decisions::exponential(const ChoiceKey& key, std::uint64_t mean) {
  if (mean == 0) return 0;
  const std::uint64_t drawn = drawn_exponential(key, mean);
  return plain_ ? drawn : special(key, drawn, 45 * mean);
}

std::uint64_t Decisions::pause(const ChoiceKey& key, std::uint64_t mean) {
  if (mean == 0) return 0;
  const std::uint64_t drawn = drawn_exponential(key, mean);
  return plain_ ? drawn : special(key, drawn, 45 * mean, mean);
}

std::size_t Decisions::pick(const ChoiceKey& key, std::span<const std::uint32_t> weights) {
  std::uint64_t sum = 0;
  std::size_t first = weights.size();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    sum += weights[i];
    if (weights[i] != 0 && first == weights.size()) first = i;
  }
  REEL_CHECK(sum > 0 && sum < (1ull << 32));
  std::uint64_t point = scale(hash(key), sum);
  std::size_t index = first;
  for (std::size_t i = first; i < weights.size(); ++i) {
    if (point < weights[i]) {
      index = i;
      break;
    }
    point -= weights[i];
  }
  if (plain_) return index;
  // Recorded as the distance from the neutral choice.
  const std::uint64_t chosen = first + special(key, index - first, weights.size() - 1 - first);
  // An edited index may point at a weight of 0, which is never legal.
  return weights[chosen] != 0 ? static_cast<std::size_t>(chosen) : first;
}

}  // namespace reel::sim
