// The parts of `reel admin`.
#pragma once

#include "harness/command/command.h"

namespace reel::harness {

void add_admin_partition(CLI::App& admin, Run& run);
void add_admin_group(CLI::App& admin, Run& run);

}  // namespace reel::harness
