// `reel feed --group`: a member of a reader group.
#pragma once

#include <cstdint>
#include <string>

#include "harness/real_client.h"
#include "harness/refusal.h"

namespace reel::harness {

struct GroupFeedFlags {
  std::string name;
  std::uint32_t patience_ms = 10'000;
  std::uint64_t limit = 0;  // transactions; 0: no limit
  bool follow = false;
  bool json = false;
};

// Prints what the group's partitions of this member hold, until it is told to stop, the limit is reached or, without
// `follow`, there is nothing more. What was written to the output is done with: its position is reported before the end.
[[nodiscard]] Exit feed_group(real::Loop& loop, RealClient& client, const GroupFeedFlags& flags);

}  // namespace reel::harness
