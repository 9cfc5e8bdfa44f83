#include "harness/random_bits.h"

#include <sys/random.h>

namespace reel::harness {

std::uint64_t random_bits() {
  std::uint64_t bits = 0;
  while (getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits)) {
  }
  return bits;
}

}  // namespace reel::harness
