// What one durable write costs on this machine, through the very adapter that a node uses: a 4 KiB body and
// its 4 KiB identity in parallel over zero-written space, awaited, then one data sync, one after the other.
// `reel bench floor` reports its median as disk_write_p50_us.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "io/ports/time.h"
#include "io/real/disk.h"

namespace reel::real {

struct DiskFloor {
  std::vector<std::int64_t> latencies_ns;       // of whole commits, sorted, at least one
  std::string notice;                           // of the disk, if it is not on the fast path
  std::optional<std::uint64_t> kernel_flushes;  // of the whole device meanwhile; see flush_counter.h
  // part in [0, 1000]: 500 is the median.
  [[nodiscard]] std::int64_t quantile_ns(std::uint32_t per_mille) const;
};

struct DiskFloorOptions {
  io::Duration duration = io::seconds(2);
  io::Duration warm_up = io::milliseconds(100);
  DiskEngineKind engine = DiskEngineKind::automatic;
  io::Duration spin = io::nanoseconds(0);
};

// Works in a directory of its own below `directory` and removes it afterwards. Blocks; needs a thread without
// a loop.
[[nodiscard]] std::expected<DiskFloor, DiskOpenError> measure_disk_floor(
    const std::string& directory, const DiskFloorOptions& options = {});

}  // namespace reel::real
