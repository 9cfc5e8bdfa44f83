// The one decision stream. Every non-deterministic choice of a run passes through Decisions, keyed by (kind,
// place, node, counter): a draw is a keyed hash of the seed, never a position in a stream, so taking one
// choice away does not shift the others (design.md §8). A seed feeds it; overrides replay, edit or shrink it;
// a listener records it. Integers only: the same key gives the same value under every compiler.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/ports/assert.h"

namespace reel::sim {

// What is being chosen. Values are part of the trace format: append, never renumber.
enum class Choice : std::uint8_t {
  tie = 1,    // order of events of the same instant
  wake_late,  // how late a timer fires
  boot_delay,
  net_base,  // latency of a pair, once per run
  net_latency,
  net_tail,
  net_drop,
  net_duplicate,
  net_reorder,
  net_codec,  // is this message really encoded?
  net_reset,  // does the peer learn of a crash or a cut, and when?
  disk_latency,
  disk_crash,   // what happens to one volatile operation
  disk_sector,  // what happens to one sector of a torn write
  disk_garbage,
  crash_point,  // how many effects of a step still happen
  fault_plan,   // which programs a run has
  fault_time,   // when a program strikes next
  fault_target,
  fault_length,
  core,          // who belongs to the core that heals
  workload,      // free for the user of the library
  harness,       // free for the user of the library: cluster shape and options
  fault_strike,  // does this strike of a program happen? It does, unless somebody says that it does not
};
inline constexpr std::size_t kChoices = 25;  // values in use and 0
[[nodiscard]] const char* name_of(Choice choice);
[[nodiscard]] std::optional<Choice> choice_by_name(std::string_view name);
// Kinds of choices, by their values.
using ChoiceSet = std::bitset<kChoices>;

struct ChoiceKey {
  Choice kind{};
  std::uint32_t place = 0;    // which place in the code, link, file or program; below 2^24
  std::uint32_t node = 0;     // machine index or node id; 0 where there is none
  std::uint64_t counter = 0;  // how often this place was asked before
  bool operator==(const ChoiceKey&) const = default;
};

struct ChoiceKeyHash {
  std::size_t operator()(const ChoiceKey& key) const noexcept;
};

struct Override {
  ChoiceKey key;
  std::uint64_t value = 0;
  bool operator==(const Override&) const = default;
};

// Hears every draw with its result; it must not draw itself.
class DecisionListener {
 public:
  virtual ~DecisionListener() = default;
  virtual void on_draw(const ChoiceKey& key, std::uint64_t value) = 0;
  // The same where the result is what it would be if nobody had chosen: neutral.
  virtual void on_default(const ChoiceKey& key, std::uint64_t value) { on_draw(key, value); }
  // What bits() drew: no choice, but a name or a seed of something.
  virtual void on_identity(const ChoiceKey& key, std::uint64_t value) { on_draw(key, value); }
};

class Decisions {
 public:
  // What a choice becomes that no override names.
  enum class Missing : std::uint8_t {
    seeded,   // the keyed hash of the seed
    neutral,  // the dullest legal value: the low end of a range, false, the first of a list
  };

  // Choices of the kinds in `neutral` are neutral, whatever the others are; but identities, drawn by bits(), stay
  // seeded there: they name things and choose nothing, and two things of one name are another world.
  explicit Decisions(std::uint64_t seed, Missing missing = Missing::seeded, ChoiceSet neutral = {})
      : seed_(seed), missing_(missing), neutral_(neutral) {
    plain_ = nothing_special();
  }

  // Replaces the results of the named choices. Values outside a choice's range are cut to it, so an edited
  // list stays legal whatever the code around it became. Later entries win.
  void override_with(std::span<const Override> overrides);
  void set_listener(DecisionListener* listener);

  std::uint64_t seed() const { return seed_; }
  // From now on another seed, and nothing is neutral any more but what is overridden: another future of the same past.
  void reseed(std::uint64_t seed) {
    seed_ = seed;
    missing_ = Missing::seeded;
    neutral_.reset();
    plain_ = nothing_special();
  }

  // Each of 0 … bound-1 alike; bound > 0. Neutral: 0.
  std::uint64_t below(const ChoiceKey& key, std::uint64_t bound) {
    REEL_CHECK(bound > 0);
    if (plain_) [[likely]]
      return scale(hash(key), bound);
    return special(key, scale(hash(key), bound), bound - 1);
  }
  // Each of low … high alike, both included. Neutral: low.
  std::uint64_t range(const ChoiceKey& key, std::uint64_t low, std::uint64_t high) {
    REEL_CHECK(low <= high && high - low != UINT64_MAX);
    return low + below(key, high - low + 1);
  }
  // True in `permille` of 1,000 cases. Neutral: false. 0 and 1,000 or more are not draws.
  bool permille(const ChoiceKey& key, std::uint32_t permille) {
    if (permille == 0) return false;
    if (permille >= 1000) return true;
    const std::uint64_t value = scale(hash(key), 1000) < permille ? 1 : 0;
    return (plain_ ? value : special(key, value, 1)) != 0;
  }
  // Geometric approximation of the exponential distribution with this mean, at most 44 × mean. Neutral: 0.
  std::uint64_t exponential(const ChoiceKey& key, std::uint64_t mean);
  // The same for how long somebody waits who goes on of its own accord. Neutral: the mean, for a world in which nobody
  // ever pauses is busier than any other.
  std::uint64_t pause(const ChoiceKey& key, std::uint64_t mean);
  // An index into weights, with odds in proportion; their sum is > 0 and below 2^32. Neutral: the first whose
  // weight is not 0.
  std::size_t pick(const ChoiceKey& key, std::span<const std::uint32_t> weights);
  // All 64 bits; for seeding what draws by itself (the entropy of a node). Neutral: 0.
  std::uint64_t bits(const ChoiceKey& key) {
    return plain_ ? hash(key) : special(key, hash(key), UINT64_MAX, 0, true);
  }
  // Something that was planned: true, whatever the seed. Neutral: false.
  bool happens(const ChoiceKey& key) { return plain_ || special(key, 1, 1) != 0; }

 private:
  __extension__ using Wide = unsigned __int128;
  static constexpr std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
  static constexpr std::uint64_t scale(std::uint64_t bits, std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<Wide>(bits) * bound) >> 64);
  }
  std::uint64_t hash(const ChoiceKey& key) const {
    const std::uint64_t where = (static_cast<std::uint64_t>(key.kind) << 56) ^
                                (static_cast<std::uint64_t>(key.place) << 32) ^ key.node;
    const std::uint64_t first = fold(where ^ 0xa0761d6478bd642full, seed_ ^ 0xe7037ed1a0b428dbull);
    // Two rounds: a product of a small counter alone would leave its low bits visible.
    return fold(first ^ key.counter ^ 0x8ebc6af09c88c6e3ull,
                fold(key.counter ^ 0x589965cc75374cc3ull, seed_ ^ first));
  }
  std::uint64_t drawn_exponential(const ChoiceKey& key, std::uint64_t mean) const;
  std::uint64_t special(const ChoiceKey& key, std::uint64_t drawn, std::uint64_t highest,
                        std::uint64_t neutral = 0, bool identity = false);
  bool nothing_special() const {
    return overrides_.empty() && listener_ == nullptr && missing_ == Missing::seeded && neutral_.none();
  }

  std::uint64_t seed_;
  Missing missing_;
  ChoiceSet neutral_;
  bool plain_ = false;  // neither overrides, nor a listener, nor neutral: the fast way
  DecisionListener* listener_ = nullptr;
  std::unordered_map<ChoiceKey, std::uint64_t, ChoiceKeyHash> overrides_;  // looked up, never iterated
};

// Keeps every draw of a run: what a shrinker starts from. Twenty-odd bytes per draw.
class DecisionLog final : public DecisionListener {
 public:
  void on_draw(const ChoiceKey& key, std::uint64_t value) override { draws_.push_back({key, value}); }
  const std::vector<Override>& draws() const { return draws_; }

 private:
  std::vector<Override> draws_;
};

}  // namespace reel::sim
