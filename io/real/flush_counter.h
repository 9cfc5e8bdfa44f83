// The kernel's own count of cache flushes of a block device: the judge of whether a node syncs as often as it
// says. It counts the whole device, so other writers of the machine show up too. Not to be had on network and
// stacked file systems, and where /sys is hidden: then there is nullopt, and nothing is proved.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reel::real {

class FlushCounter {
 public:
  // For the device that holds `path`. nullopt if it has no counter.
  [[nodiscard]] static std::optional<FlushCounter> of(const std::string& path);

  // Completed flushes since the machine started.
  [[nodiscard]] std::optional<std::uint64_t> read() const;
  // "/sys/block/vda/stat" or the like.
  const std::string& source() const { return source_; }

 private:
  explicit FlushCounter(std::string source) : source_(std::move(source)) {}
  std::string source_;
};

// The field "flush I/Os" of the content of a stat file (kernel: Documentation/block/stat.rst); nullopt before
// 5.5.
[[nodiscard]] std::optional<std::uint64_t> flushes_of_stat(std::string_view content);

}  // namespace reel::real
