// What this machine can do without us, measured in the same run as what we make of it.
#pragma once

#include <string>

#include "io/ports/time.h"

namespace reel::harness {

struct MachineFloor {
  double disk_write_p50_us =
      0;  // a 4 KiB body and its identity in parallel, then one data sync (io/real/disk_floor.h)
  double loopback_rtt_us = 0;  // 64 bytes there and back over TCP between two threads that block: the median
};
// Takes about twice `each`. Refuses (CommandError) when the disk does.
[[nodiscard]] MachineFloor measure_machine(const std::string& directory, io::Duration each);

}  // namespace reel::harness
