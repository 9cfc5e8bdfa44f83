// Why an operation could not return what it did, in words: the plain cases by name, everything else in general.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/history/judge.h"
#include "harness/history/object_part.h"

namespace reel::harness {

// `before`: the operations of `part` that were called by the time when `offender`, one of them, returned; those that had not
// returned are open. `core`: positions in it.
[[nodiscard]] std::string contradiction(const ObjectHistory& history, const ObjectPart& part,
                                        const std::vector<model::Operation>& before, std::uint32_t offender,
                                        const std::vector<CoreOperation>& core);

}  // namespace reel::harness
