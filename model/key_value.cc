#include "model/key_value.h"

#include <utility>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"

namespace reel::model {
namespace {

constexpr std::uint64_t kModulus = (std::uint64_t{1} << 61) - 1;
constexpr std::uint64_t kBaseFirst = 0x1b873593cc9e2d51ull % kModulus;
constexpr std::uint64_t kBaseSecond = 0x165667b19e3779f9ull % kModulus;

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t multiply(std::uint64_t a, std::uint64_t b) {
  const Wide product = static_cast<Wide>(a) * b;
  const std::uint64_t sum =
      static_cast<std::uint64_t>(product & kModulus) + static_cast<std::uint64_t>(product >> 61);
  return sum >= kModulus ? sum - kModulus : sum;
}
constexpr std::uint64_t sum_of(std::uint64_t a, std::uint64_t b) {
  return a + b >= kModulus ? a + b - kModulus : a + b;
}

// One more character. Never zero, so that a leading one counts.
Fingerprint extend(const Fingerprint& front, char next) {
  const std::uint64_t digit = std::uint64_t{static_cast<unsigned char>(next)} + 1;
  return {front.length + 1, sum_of(multiply(front.first, kBaseFirst), digit),
          sum_of(multiply(front.second, kBaseSecond), digit)};
}

std::uint64_t hash_of(const Fingerprint& content) {
  return io::Hasher(content.length).add(content.first).value();
}
template <std::size_t kSize>
std::uint64_t hash_of(const std::array<std::uint32_t, kSize>& node) {
  io::Hasher hasher;
  for (std::size_t at = 0; at < kSize; at += 2) hasher.add(std::uint64_t{node[at]} << 32 | node[at + 1]);
  return hasher.value();
}

}  // namespace

std::uint64_t KeyValueStrings::add(std::string_view content) {
  Known known;
  for (const char next : content) {
    known.fingerprint = extend(known.fingerprint, next);
    known.power_first = multiply(known.power_first, kBaseFirst);
    known.power_second = multiply(known.power_second, kBaseSecond);
  }
  strings_.push_back(known);
  return strings_.size() - 1;
}

Fingerprint KeyValueStrings::append(const Fingerprint& front, std::uint64_t string) const {
  const Known& behind = strings_[string];
  return {front.length + behind.fingerprint.length,
          sum_of(multiply(front.first, behind.power_first), behind.fingerprint.first),
          sum_of(multiply(front.second, behind.power_second), behind.fingerprint.second)};
}

std::vector<Fingerprint> prefixes_of(std::string_view content) {
  std::vector<Fingerprint> prefixes(1);
  prefixes.reserve(content.size() + 1);
  for (const char next : content) prefixes.push_back(extend(prefixes.back(), next));
  return prefixes;
}

KeyValueModel::KeyValueModel(const KeyValueStrings& strings, std::uint64_t initial, std::uint64_t keys)
    : strings_(strings) {
  REEL_CHECK(keys > 0 && initial < strings.size());
  (void)cell_of(strings.fingerprint(initial));
  unsigned levels = 0;
  while ((keys - 1) >> (levels * kFanBits) != 0) ++levels;
  tree_.resize(levels);
  for (Interned<Node>& level : tree_) (void)level.number_of(Node{}, hash_of(Node{}));
}

void KeyValueModel::learn(std::uint64_t key, std::vector<Fingerprint> prefixes) {
  REEL_CHECK(!prefixes.empty());
  if (key >= known_.size()) known_.resize(key + 1);
  known_[key] = std::move(prefixes);
}

SequentialModel KeyValueModel::model() {
  SequentialModel model{};
  model.name = "kv";
  model.context = this;
  model.step = [](void* self, State state, const Operation& operation) {
    return static_cast<KeyValueModel*>(self)->step(state, operation);
  };
  model.pure = [](void*, const Operation& operation) { return operation.verb == key_value_verb::kGet; };
  model.idle = [](void*, const Operation&) { return false; };
  model.touches = [](void*, const Operation& operation) {
    return std::uint64_t{1} << operation.input.second % 64;
  };
  return model;
}

std::uint32_t KeyValueModel::cell_of(const Fingerprint& content) {
  return cells_.number_of(content, hash_of(content));
}

std::uint32_t KeyValueModel::get(State state, std::uint64_t key) const {
  auto node = static_cast<std::uint32_t>(state);
  for (std::size_t level = tree_.size(); level-- > 0;) {
    node = tree_[level].at(node)[key >> (level * kFanBits) & ((1u << kFanBits) - 1)];
  }
  return node;
}

// The node with this key changed; its level stands above `level` others.
std::uint32_t KeyValueModel::set(std::uint32_t node, unsigned level, std::uint64_t key, std::uint32_t cell) {
  if (level == 0) return cell;
  Node changed = tree_[level - 1].at(node);
  std::uint32_t& child = changed[key >> ((level - 1) * kFanBits) & ((1u << kFanBits) - 1)];
  child = set(child, level - 1, key, cell);
  return tree_[level - 1].number_of(changed, hash_of(changed));
}

bool KeyValueModel::can_become(std::uint64_t key, const Fingerprint& before, const Fingerprint& after) const {
  if (key >= known_.size() || known_[key].empty()) return true;
  const std::vector<Fingerprint>& prefixes = known_[key];
  if (after.length < prefixes.size()) return prefixes[after.length] == after;
  return before.length + 1 >= prefixes.size();  // or the string that was seen would have been stepped over
}

State KeyValueModel::step(State state, const Operation& operation) {
  const std::uint64_t key = operation.input.second;
  const std::uint32_t before = get(state, key);
  Fingerprint content;
  switch (operation.verb) {
    case key_value_verb::kGet: {
      const bool fits = operation.open() || cells_.at(before) == strings_.fingerprint(operation.output.first);
      return fits ? state : kRefused;
    }
    case key_value_verb::kPut: content = strings_.fingerprint(operation.input.first); break;
    case key_value_verb::kAppend: content = strings_.append(cells_.at(before), operation.input.first); break;
    default: return kRefused;
  }
  if (!can_become(key, cells_.at(before), content)) return kRefused;
  return set(static_cast<std::uint32_t>(state), static_cast<unsigned>(tree_.size()), key, cell_of(content));
}

}  // namespace reel::model
