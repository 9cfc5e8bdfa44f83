// Histories to be judged, as text: what clients of a true system would have seen that runs their operations one after the other,
// each at some time within its interval. Some crash, before their operation took effect or after.
#pragma once

#include <cstdint>
#include <string>

#include "harness/history/rules.h"

namespace reel::harness {

struct HistoryWorkload {
  const char* name = "";
  CheckModel model = CheckModel::reg;
  std::uint32_t histories = 1;
  std::uint32_t operations = 0;  // of each; transactions of list-append and rw-register
  std::uint32_t clients = 1;     // as many operations are under way most of the time
  std::uint32_t keys = 1;        // list-append: at once; a list that is full is followed by another
  std::uint32_t crashes = 0;     // of each, spread evenly
  bool by_key = true;
  bool wrong = false;  // an answer near the end is one that nobody could have got
};

// JSON Lines, the same for the same seed. Two events for each operation, one for those that crash.
[[nodiscard]] std::string write_history(const HistoryWorkload& workload, std::uint64_t seed);

}  // namespace reel::harness
