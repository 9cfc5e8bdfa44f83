// The few operations of an illegal history that contradict each other.
//
// An operation is taken out of the core only in ways that keep a legal history legal, so what is left proves that the whole is
// illegal: one that changes nothing is dropped; any other loses its interval and outcome, and may take effect at any time or never.
// (Just deleting it would make up contradictions: a read of what then nobody wrote.) Groups are tried first, halved down to single
// operations, until nothing more can go.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/history/judge.h"
#include "harness/history/object_part.h"

namespace reel::harness {

// `operations`: positions are kept; illegal at its last return, which belongs to `offender`. Ends early, with more operations than
// needed, after steps_max model steps in all. The result is in the order of calls, positions in `operations`.
[[nodiscard]] std::vector<CoreOperation> minimal_core(const ObjectHistory& history,
                                                      const std::vector<model::Operation>& operations,
                                                      std::uint32_t offender, bool by_key,
                                                      std::uint64_t steps_max);

}  // namespace reel::harness
