// Histories: what clients saw, and nothing else. An operation has a call, and a return or none: one that
// crashed, timed out or was cut off stays open for ever, because it may have taken effect at any time after
// its call, or never.
//
// Times are any numbers that order the events; [call, returned] is a closed interval, so an operation that is
// called at the very time when another returns is concurrent with it. What definitely did not happen is left
// out.
#pragma once

#include <cstdint>

namespace reel::model {

struct Words {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  bool operator==(const Words&) const = default;
};

struct Operation {
  static constexpr std::uint64_t kOpen = UINT64_MAX;

  std::uint64_t process = 0;
  std::uint64_t call = 0;
  std::uint64_t returned = kOpen;
  std::uint64_t verb = 0;  // the model's
  Words input;             // the model's
  Words output;            // the model's; without meaning while open
  bool open() const { return returned == kOpen; }
  bool operator==(const Operation&) const = default;
};

}  // namespace reel::model
