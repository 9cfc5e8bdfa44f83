// XXH3 checksums and keyed hashes. A checksum finds accidents, not attackers. Everything that decides by chance in
// the core draws from keyed_hash(seed, purpose, …), never from a stream (design.md §2).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "io/ports/bytes.h"

namespace reel::io {

// XXH3-128 of some bytes, stored little-endian, low half first.
struct Checksum {
  std::uint64_t low{};
  std::uint64_t high{};
  auto operator<=>(const Checksum&) const = default;
};

[[nodiscard]] Checksum checksum(std::span<const std::byte> content);
// Of two parts as if they stood one behind the other; no copy.
[[nodiscard]] Checksum checksum(std::span<const std::byte> first, std::span<const std::byte> second);
// XXH3-64, for traces, tables and digests.
[[nodiscard]] std::uint64_t digest64(std::span<const std::byte> content, std::uint64_t seed = 0);
// A draw without state: the same key gives the same number, for ever, on every compiler.
[[nodiscard]] std::uint64_t keyed_hash(std::uint64_t seed, std::initializer_list<std::uint64_t> key);

// A running digest of small integers and byte strings: cheap (a multiply and a fold a word), order-sensitive.
class Hasher {
 public:
  explicit constexpr Hasher(std::uint64_t seed = 0x9e3779b97f4a7c15ull) : state_(seed) {}
  constexpr Hasher& add(std::uint64_t word) {
    const Wide product = static_cast<Wide>(state_ ^ word ^ 0xa0761d6478bd642full) * 0xe7037ed1a0b428dbull;
    state_ = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    state_ += word;
    return *this;
  }
  Hasher& add(std::span<const std::byte> content) { return add(digest64(content)).add(content.size()); }
  constexpr std::uint64_t value() const { return state_; }

 private:
  __extension__ using Wide = unsigned __int128;
  std::uint64_t state_;
};

}  // namespace reel::io
