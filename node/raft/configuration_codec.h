// The payload of a configuration entry. Durable and on the wire: changed only with a new version byte.
//
//   byte  0      version, 1
//         1      number of voters      [1, kVotersMax]
//         2      number of outgoing    [0, kVotersMax]
//         3      number of learners    [0, kLearnersMax]
//         4..7   zero
//         8..    node ids, 8 bytes each, little-endian: voters, outgoing, learners, each strictly rising
#pragma once

#include <optional>
#include <span>

#include "node/raft/quorum.h"

namespace reel::raft {

inline constexpr std::size_t kConfigurationBytesMax = 8 + 8 * (2 * kVotersMax + kLearnersMax);

// Requires is_valid(configuration).
[[nodiscard]] Bytes encode_configuration(const Configuration& configuration);
// nullopt unless the bytes are exactly the encoding of a valid configuration.
[[nodiscard]] std::optional<Configuration> decode_configuration(std::span<const std::byte> bytes);

}  // namespace reel::raft
