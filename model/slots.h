// A set of slots: the operations that are pending at one time, by small number. Wide enough for clients that pipeline
// and for what crashes leave open in a long run, and still a plain value without memory of its own.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace reel::model {

template <std::size_t kWords>
class BasicSlots {
 public:
  static constexpr unsigned kMax = 64 * kWords;

  constexpr BasicSlots() = default;
  // The set of this slot alone. Requires slot < kMax.
  static constexpr BasicSlots only(unsigned slot) {
    BasicSlots set;
    set.words_[slot / 64] = std::uint64_t{1} << (slot % 64);
    return set;
  }

  constexpr bool operator==(const BasicSlots&) const = default;
  constexpr BasicSlots& operator|=(const BasicSlots& other) {
    for (std::size_t i = 0; i < kWords; ++i) words_[i] |= other.words_[i];
    return *this;
  }
  constexpr BasicSlots& operator&=(const BasicSlots& other) {
    for (std::size_t i = 0; i < kWords; ++i) words_[i] &= other.words_[i];
    return *this;
  }
  // Set difference.
  constexpr BasicSlots& operator-=(const BasicSlots& other) {
    for (std::size_t i = 0; i < kWords; ++i) words_[i] &= ~other.words_[i];
    return *this;
  }
  friend constexpr BasicSlots operator|(BasicSlots a, const BasicSlots& b) { return a |= b; }
  friend constexpr BasicSlots operator&(BasicSlots a, const BasicSlots& b) { return a &= b; }
  friend constexpr BasicSlots operator-(BasicSlots a, const BasicSlots& b) { return a -= b; }

  constexpr bool empty() const { return *this == BasicSlots(); }
  constexpr bool has(unsigned slot) const { return (words_[slot / 64] >> (slot % 64) & 1u) != 0; }
  constexpr void add(unsigned slot) { words_[slot / 64] |= std::uint64_t{1} << (slot % 64); }
  constexpr void remove(unsigned slot) { words_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64)); }
  constexpr bool is_subset_of(const BasicSlots& other) const { return (*this - other).empty(); }

  // kMax if the set is full.
  constexpr unsigned first_free() const {
    for (unsigned i = 0; i < kWords; ++i) {
      if (words_[i] != UINT64_MAX) return i * 64 + static_cast<unsigned>(std::countr_one(words_[i]));
    }
    return kMax;
  }
  // In rising order. The set may change meanwhile; what is visited was in it when its word was reached.
  template <class Visit>
  constexpr void for_each(Visit visit) const {
    for (unsigned i = 0; i < kWords; ++i) {
      for (std::uint64_t word = words_[i]; word != 0; word &= word - 1) {
        visit(i * 64 + static_cast<unsigned>(std::countr_zero(word)));
      }
    }
  }
  template <class Hasher>
  void add_to(Hasher& hasher) const {
    // BasicSlots are handed out from below, so most words are empty: they are told by their place.
    for (std::size_t i = 0; i < kWords; ++i) {
      if (words_[i] != 0) hasher.add(words_[i] + i);
    }
  }

 private:
  std::array<std::uint64_t, kWords> words_{};
};

using Slots = BasicSlots<4>;
using FewSlots = BasicSlots<1>;  // enough for most histories, and faster

}  // namespace reel::model
