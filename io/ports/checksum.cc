#include "io/ports/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace reel::io {

Checksum checksum(std::span<const std::byte> content) {
  const XXH128_hash_t hash = XXH3_128bits(content.data(), content.size());
  return {hash.low64, hash.high64};
}

Checksum checksum(std::span<const std::byte> first, std::span<const std::byte> second) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  XXH3_128bits_update(&state, first.data(), first.size());
  XXH3_128bits_update(&state, second.data(), second.size());
  const XXH128_hash_t hash = XXH3_128bits_digest(&state);
  return {hash.low64, hash.high64};
}

std::uint64_t digest64(std::span<const std::byte> content, std::uint64_t seed) {
  return XXH3_64bits_withSeed(content.data(), content.size(), seed);
}

std::uint64_t keyed_hash(std::uint64_t seed, std::initializer_list<std::uint64_t> key) {
  Hasher hasher(seed ^ 0x2545f4914f6cdd1dull);
  for (const std::uint64_t word : key) hasher.add(word);
  // A last round, so that keys that differ in their last word differ in all bits.
  hasher.add(key.size());
  return hasher.value();
}

}  // namespace reel::io
