// The other half of the checker: accepts or refuses an order of operations, by replaying it. It shares
// nothing with the search but the model, and is short enough to be believed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "model/history.h"
#include "model/sequential.h"

namespace reel::model {

// Nothing if `order` (positions in `history`) holds every operation that returned, each at most once,
// respects "returned before called", and is legal for the model; otherwise what is wrong with it.
[[nodiscard]] std::optional<std::string> check_witness(const SequentialModel& model,
                                                       std::span<const Operation> history,
                                                       std::span<const std::uint32_t> order);

}  // namespace reel::model
