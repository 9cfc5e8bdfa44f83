// Little-endian loads and stores at any address: how every format of Reel writes its integers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstring>
#include <type_traits>

namespace reel::io {

static_assert(std::endian::native == std::endian::little, "Reel's formats are written as they lie in memory");

template <class Integer>
[[nodiscard]] inline Integer load(const std::byte* from) {
  static_assert(std::is_integral_v<Integer>);
  Integer value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class Integer>
inline void store(std::byte* to, Integer value) {
  static_assert(std::is_integral_v<Integer>);
  std::memcpy(to, &value, sizeof value);
}

}  // namespace reel::io
