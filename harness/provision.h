// A formatted data directory as bytes in memory, made by the same Formatter that `reel node init` runs on a real disk.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "node/journal/tables.h"

namespace reel::harness {

using DiskImage = std::map<std::string, std::vector<std::byte>>;

// The groups of a cluster of these voters with `partitions` log partitions.
[[nodiscard]] std::vector<journal::GroupManifest> initial_groups(const std::vector<NodeId>& voters,
                                                                 std::uint32_t partitions);
[[nodiscard]] DiskImage format_image(const journal::SuperblockContent& who, const journal::Options& options,
                                     const std::vector<journal::GroupManifest>& groups);

}  // namespace reel::harness
