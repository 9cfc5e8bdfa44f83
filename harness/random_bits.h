// Chance from the system, for what must differ from run to run: ids of sessions and clusters, seeds of real programs.
// Nothing simulated may ask for it.
#pragma once

#include <cstdint>

namespace reel::harness {

[[nodiscard]] std::uint64_t random_bits();

}  // namespace reel::harness
