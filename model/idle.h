// Open operations that may be left out, because nobody could tell: pruning P5 of linearizability.h for whole histories.
#pragma once

#include <span>
#include <vector>

#include "model/history.h"

namespace reel::model {

// Of a register's history, with or without compare-and-set: true for an open write or compare-and-set that brings a value which no
// read showed, no compare-and-set expects that is done or open itself and not idle, and whose being there no failed one proves by
// expecting another value. Wherever such an operation stands in a legal order, the next that is legal only without it is everything:
// so nothing is lost without it. Open reads are idle. Cost: O(n log n) for each round, of which there are as many as chains of
// open compare-and-sets are long.
[[nodiscard]] std::vector<bool> idle_of_register(std::span<const Operation> history);

}  // namespace reel::model
