#include "model/key_value.h"

#include <algorithm>
#include <map>
#include <tuple>
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

// No string has this one: all contents that nobody got, nor anything that begins so.
constexpr Fingerprint kUnseen{UINT64_MAX, 0, 0};

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

KeyValueModel::KeyValueModel(const KeyValueStrings& strings, std::uint64_t initial, std::uint64_t keys)
    : strings_(strings) {
  REEL_CHECK(keys > 0 && initial < strings.size());
  (void)cell_of(strings.fingerprint(initial));
  unsigned levels = 0;
  while ((keys - 1) >> (levels * kFanBits) != 0) ++levels;
  tree_.resize(levels);
  for (Interned<Node>& level : tree_) (void)level.number_of(Node{}, hash_of(Node{}));
}

void KeyValueModel::observe(std::uint64_t key, std::vector<std::string_view> got) {
  if (key >= seen_.size()) seen_.resize(key + 1);
  Beginnings& seen = seen_[key].emplace();
  std::sort(got.begin(), got.end());
  std::vector<Fingerprint> path;  // the beginnings of the string before, by length
  std::vector<std::uint32_t> numbers;
  const auto leave = [&](std::size_t length) {
    for (; numbers.size() > length; numbers.pop_back()) {
      seen.last[numbers.back()] = static_cast<std::uint32_t>(seen.contents.size() - 1);
    }
    path.resize(length);
  };
  std::string_view before;
  for (const std::string_view each : got) {
    const auto differ = std::mismatch(each.begin(), each.end(), before.begin(), before.end());
    const auto shared = static_cast<std::size_t>(differ.first - each.begin());
    if (!path.empty()) leave(shared + 1);
    while (path.size() <= each.size() && beginnings_ + path.size() <= kBeginningsMax) {
      path.push_back(path.empty() ? Fingerprint{} : extend(path.back(), each[path.size() - 1]));
      numbers.push_back(seen.contents.number_of(path.back(), hash_of(path.back())));
      seen.last.push_back(0);
    }
    if (beginnings_ + seen.contents.size() > kBeginningsMax) {
      seen_[key].reset();
      return;
    }
    before = each;
  }
  leave(0);
  beginnings_ += seen.contents.size();
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

std::optional<Fingerprint> KeyValueModel::changed(const Fingerprint& before,
                                                  const Operation& operation) const {
  const std::uint64_t key = operation.input.second;
  const bool put = operation.verb == key_value_verb::kPut;
  if (!put && before == kUnseen) return operation.output.first == 0 ? std::optional(kUnseen) : std::nullopt;
  const Fingerprint after =
      put ? strings_.fingerprint(operation.input.first) : strings_.append(before, operation.input.first);
  if (key >= seen_.size() || !seen_[key]) return after;
  const Beginnings& seen = *seen_[key];
  const std::uint32_t number = seen.contents.find(after, hash_of(after));
  const bool known = number != Interned<Fingerprint>::kNone;
  if (operation.open() || operation.output.first == 0) return known ? after : kUnseen;
  const Fingerprint& wanted = strings_.fingerprint(operation.output.first - 1);
  const std::uint32_t goal = seen.contents.find(wanted, hash_of(wanted));
  if (!known || goal < number || goal > seen.last[number]) return std::nullopt;
  return after;
}

State KeyValueModel::step(State state, const Operation& operation) {
  const std::uint64_t key = operation.input.second;
  const std::uint32_t before = get(state, key);
  if (operation.verb == key_value_verb::kGet) {
    const bool fits = operation.open() || cells_.at(before) == strings_.fingerprint(operation.output.first);
    return fits ? state : kRefused;
  }
  if (operation.verb > key_value_verb::kGet) return kRefused;
  const std::optional<Fingerprint> after = changed(cells_.at(before), operation);
  if (!after) return kRefused;
  return set(static_cast<std::uint32_t>(state), static_cast<unsigned>(tree_.size()), key, cell_of(*after));
}

// ---- evidence

namespace {

// Of one key.
struct Times {
  std::vector<std::uint64_t> put_calls, put_returns;  // sorted
  struct Get {
    std::uint64_t call, returned, string;
  };
  std::vector<Get> gets;  // by call; each replaced by the one that returns first of those from there on

  void arrange() {
    std::sort(put_calls.begin(), put_calls.end());
    std::sort(put_returns.begin(), put_returns.end());
    std::sort(gets.begin(), gets.end(), [](const Get& a, const Get& b) {
      return std::tie(a.call, a.returned, a.string) < std::tie(b.call, b.returned, b.string);
    });
    for (std::size_t at = gets.size(); at-- > 1;) {
      if (gets[at].returned >= gets[at - 1].returned) continue;
      gets[at - 1].returned = gets[at].returned;
      gets[at - 1].string = gets[at].string;
    }
  }
  // 1 + the string; 0 if there is none.
  std::uint64_t evidence_for(const Operation& operation) const {
    const auto behind = std::upper_bound(gets.begin(), gets.end(), operation.returned,
                                         [](std::uint64_t time, const Get& get) { return time < get.call; });
    if (operation.open() || behind == gets.end()) return 0;
    const auto called =
        std::upper_bound(put_calls.begin(), put_calls.end(), behind->returned) - put_calls.begin();
    const auto over =
        std::lower_bound(put_returns.begin(), put_returns.end(), operation.call) - put_returns.begin();
    const bool another = called - over > (operation.verb == key_value_verb::kPut ? 1 : 0);
    return another ? 0 : behind->string + 1;
  }
};

}  // namespace

void find_evidence(std::span<Operation> history) {
  std::map<std::uint64_t, Times> keys;
  for (const Operation& operation : history) {
    Times& times = keys[operation.input.second];
    if (operation.verb == key_value_verb::kPut) {
      times.put_calls.push_back(operation.call);
      times.put_returns.push_back(operation.returned);
    } else if (operation.verb == key_value_verb::kGet && !operation.open()) {
      times.gets.push_back({operation.call, operation.returned, operation.output.first});
    }
  }
  for (auto& [key, times] : keys) times.arrange();
  for (Operation& operation : history) {
    if (operation.verb == key_value_verb::kGet) continue;
    operation.output.first = keys[operation.input.second].evidence_for(operation);
  }
}

}  // namespace reel::model
