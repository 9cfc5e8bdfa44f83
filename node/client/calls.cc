#include "node/client/calls.h"

#include <algorithm>

#include "io/ports/checksum.h"

namespace reel::client {

io::Duration backoff(io::Duration min, io::Duration max, std::uint32_t failures, std::uint64_t seed) {
  const std::uint32_t doublings = std::min<std::uint32_t>(failures, 20);
  const std::int64_t whole = std::min(max.ns, min.ns << doublings);
  const std::uint64_t half = static_cast<std::uint64_t>(whole / 2) + 1;
  return {whole - static_cast<std::int64_t>(io::keyed_hash(seed, {failures}) % half)};
}

}  // namespace reel::client
