// A cluster of nodes on this machine, as files below one directory: a token, a configuration and a data directory for
// each node, addresses on 127.0.0.1. `reel up` and `reel bench` make theirs here.
#pragma once

#include <cstdint>
#include <string>

namespace reel::harness {

struct ClusterPlan {
  std::string directory;    // empty, or not there yet
  std::uint32_t nodes = 3;  // with ids 1, 2, …
  std::uint32_t partitions = 1;
  std::uint32_t first_port = 0;  // 0: whatever is free
  bool format_disks = true;      // false: data directories stay empty, for hosts that are no replicas
  std::string settings;          // further lines of each configuration, as they stand
};

// Refuses (CommandError) a directory that is not empty, and what the system refuses. Configurations are written last, so
// a directory that was only half made is refused the next time, and nothing of it is used.
void make_cluster(const ClusterPlan& plan);

// The node's configuration, as `reel node --config` reads it.
[[nodiscard]] std::string config_path(const std::string& directory, std::uint32_t node);
[[nodiscard]] std::string token_path(const std::string& directory);

}  // namespace reel::harness
