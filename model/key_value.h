// A store of strings by key: put replaces, append concatenates, get reads. Keys that nobody wrote hold one initial string.
//
// Contents are told apart by their length and two polynomial residues modulo 2^61 - 1, so an append costs the same however long
// the string is: the chance that two different contents are taken for one is below (length / 2^61)^2 for a pair that was not
// made for it. A store of several keys is a tree of 16-way nodes, each kept once, so that equal numbers are equal stores.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "model/sequential.h"

namespace reel::model {

namespace key_value_verb {
// input.first: the string, by KeyValueStrings; input.second: the key, from 0 on.
// output.first: evidence, find_evidence(); 0: none.
inline constexpr std::uint64_t kPut = 0;
inline constexpr std::uint64_t kAppend = 1;
inline constexpr std::uint64_t kGet = 2;  // input.second: the key; output.first: the string
}  // namespace key_value_verb

struct Fingerprint {
  std::uint64_t length = 0;
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  bool operator==(const Fingerprint&) const = default;
};

// The strings of a history. Filled once, then shared by all models, on any thread.
class KeyValueStrings {
 public:
  // The string's number. Its content is not kept: 40 bytes a string.
  [[nodiscard]] std::uint64_t add(std::string_view content);
  std::size_t size() const { return strings_.size(); }
  const Fingerprint& fingerprint(std::uint64_t string) const { return strings_[string].fingerprint; }
  // Of `front` with this string behind it.
  [[nodiscard]] Fingerprint append(const Fingerprint& front, std::uint64_t string) const;

 private:
  struct Known {
    Fingerprint fingerprint;
    std::uint64_t power_first = 1;  // the base to the string's length
    std::uint64_t power_second = 1;
  };
  std::vector<Known> strings_;
};

// What was met, each once, by number from 0 on. Grows for ever; at most 2^32 - 1 different ones.
template <class Content>
class Interned {
 public:
  Interned() : places_(16) {}
  std::uint32_t number_of(const Content& content, std::uint64_t hash) {
    if ((contents_.size() + 1) * 2 > places_.size()) grow();
    std::uint32_t& place = places_[place_of(content, hash)];
    if (place == 0) {
      contents_.push_back(content);
      hashes_.push_back(hash);
      place = static_cast<std::uint32_t>(contents_.size());
    }
    return place - 1;
  }
  const Content& at(std::uint32_t number) const { return contents_[number]; }
  std::size_t size() const { return contents_.size(); }
  // kNone if it was not met.
  static constexpr std::uint32_t kNone = UINT32_MAX;
  std::uint32_t find(const Content& content, std::uint64_t hash) const {
    return places_[place_of(content, hash)] - 1;
  }

 private:
  std::size_t place_of(const Content& content, std::uint64_t hash) const {
    for (std::size_t at = hash;; ++at) {
      const std::uint32_t place = places_[at & (places_.size() - 1)];
      if (place == 0 || (hashes_[place - 1] == hash && contents_[place - 1] == content)) {
        return at & (places_.size() - 1);
      }
    }
  }
  void grow() {
    places_.assign(places_.size() * 2, 0);
    for (std::uint32_t number = 0; number < contents_.size(); ++number) {
      std::size_t at = hashes_[number];
      while (places_[at & (places_.size() - 1)] != 0) ++at;
      places_[at & (places_.size() - 1)] = number + 1;
    }
  }

  std::vector<Content> contents_;
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint32_t> places_;  // 1 + number; 0: free
};

// The model must outlive what model() returned, and the strings the model. Memory: what a search reaches, some 60 bytes for
// each different content of a key, and 70 a level of the tree for each different store.
class KeyValueModel {
 public:
  // `initial`: a string of `strings`. Keys are those below `keys`, at least 1.
  KeyValueModel(const KeyValueStrings& strings, std::uint64_t initial, std::uint64_t keys);
  KeyValueModel(const KeyValueModel&) = delete;
  KeyValueModel& operator=(const KeyValueModel&) = delete;

  // Optional: `got` is all that operations of this history that returned got from this key. Then contents that are the beginning of
  // none of these are one and the same state: nobody gets anything until the next put, whatever is appended. And the evidence of
  // operations is heeded: what it contradicts is refused at once, so an illegal history is found out at the latest where it would
  // be without. Cost: the strings' lengths, 50 bytes for each different beginning; a key with which there would be more than
  // kBeginningsMax of them is judged without. Call once for each key, or for none.
  static constexpr std::size_t kBeginningsMax = std::size_t{1} << 22;
  void observe(std::uint64_t key, std::vector<std::string_view> got);

  [[nodiscard]] SequentialModel model();

 private:
  static constexpr unsigned kFanBits = 4;
  using Node = std::array<std::uint32_t, 1u << kFanBits>;
  // All beginnings of what was got from a key, numbered so that those which begin with one are behind it in a row.
  struct Beginnings {
    Interned<Fingerprint> contents;
    std::vector<std::uint32_t> last;  // by number: of those which begin with it
  };

  State step(State state, const Operation& operation);
  // What the key holds then, or nothing if evidence excludes it.
  std::optional<Fingerprint> changed(const Fingerprint& before, const Operation& operation) const;
  std::uint32_t cell_of(const Fingerprint& content);
  std::uint32_t get(State state, std::uint64_t key) const;
  std::uint32_t set(std::uint32_t node, unsigned level, std::uint64_t key, std::uint32_t cell);

  const KeyValueStrings& strings_;
  Interned<Fingerprint> cells_;  // contents of a key; 0 is the initial one
  std::vector<Interned<Node>>
      tree_;  // by level, leaves first; a node of zeros is number 0: nothing was written there
  std::vector<std::optional<Beginnings>> seen_;  // by key
  std::size_t beginnings_ = 0;                   // of all keys
};

// Fills the evidence of puts and appends: 1 + the string (output.first) of a get that stands behind the operation and before any put
// that could come behind it, in every order. Until then the key can only grow, so it must be a beginning of that string. Cost:
// O(n log n).
void find_evidence(std::span<Operation> history);

}  // namespace reel::model
