// What `bench append` with a rate, or with several clients, shares with `bench overload` (harness/bench/open_load.h).
#pragma once

#include <cstdint>
#include <string>

#include "harness/bench/open_load.h"
#include "harness/command/command.h"

namespace reel::harness {

struct OverloadFlags {
  std::string dir = "/var/tmp";
  std::uint32_t nodes = 3;
  std::uint32_t size = 128;
  std::uint32_t clients = 1;
  std::uint32_t outstanding = 4096;  // of each client
  double rate = 0;                   // transactions a second; 0: a closed loop, or `times` the peak
  double times = 3;
  double seconds = 10;
  bool json = false;
};

[[nodiscard]] Exit run_append_of_many(const OverloadFlags& flags);

}  // namespace reel::harness
