// A cluster of real processes on this machine for the time of a benchmark: directories on a real disk, addresses on
// loopback, `reel node` (or the writers of `bench floor`) as children, all gone afterwards.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/bench/process.h"
#include "harness/real_client.h"
#include "io/real/event_loop.h"
#include "node/client_message.h"

namespace reel::harness {

// A new directory below `parent`, removed with everything in it at the end. Refuses (CommandError) what is no disk.
class BenchDirectory {
 public:
  explicit BenchDirectory(const std::string& parent);
  ~BenchDirectory();
  BenchDirectory(const BenchDirectory&) = delete;
  BenchDirectory& operator=(const BenchDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

enum class ClusterKind : std::uint8_t {
  replicas,  // `reel node`
  floor,     // the same processes and calls without consensus (floor_node.h)
};

class LocalCluster {
 public:
  // Makes the data directories in `directory` and starts every node.
  LocalCluster(ClusterKind kind, const std::string& directory, std::uint32_t nodes);

  // Waits until all nodes are ready and returns what they say; refuses (CommandError) with a node's own words if one
  // ends, or if it takes longer than `patience`.
  std::vector<StatusResult> await_ready(real::Loop& loop, io::Duration patience);
  [[nodiscard]] ConnectFlags connect_flags() const;

  // Refuses (CommandError), with a node's own last words, if it has ended by itself.
  void check() const;
  void kill(std::uint32_t node);
  void start(std::uint32_t node);
  std::uint32_t nodes() const { return static_cast<std::uint32_t>(children_.size()); }

  // Of node `node`, 1 … nodes().
  [[nodiscard]] std::int64_t cpu_ns(std::uint32_t node) const;
  // Of all nodes, and of this process, which is their client.
  [[nodiscard]] std::int64_t cpu_ns_of_all() const;
  [[nodiscard]] std::uint64_t peak_rss_bytes(std::uint32_t node) const;
  [[nodiscard]] std::uint64_t rss_bytes(std::uint32_t node) const;

 private:
  ClusterKind kind_;
  std::string directory_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Child>> children_;  // [0] is node 1
};

// For run_measured(): `cpu_ns` becomes what all processes used while measuring. Both arguments outlive it.
[[nodiscard]] std::function<void(bool)> count_cpu(const LocalCluster& cluster, std::int64_t& cpu_ns);
// Likewise: shows how long it has measured, and looks whether all nodes still run. The cluster outlives it.
[[nodiscard]] std::function<void(double)> watch(const LocalCluster& cluster, const std::string& name);

}  // namespace reel::harness
