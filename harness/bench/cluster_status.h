// What all nodes of a cluster say of themselves, once they are ready.
#pragma once

#include <functional>
#include <vector>

#include "harness/real_client.h"
#include "node/client_message.h"

namespace reel::harness {

// Asks again and again, every few milliseconds, until `nodes` nodes have said that they recovered and serve; returns
// what each said then, by node. `look` is called before each round and may refuse. Refuses (CommandError) when it takes
// longer than `patience`.
[[nodiscard]] std::vector<StatusResult> await_ready(real::Loop& loop, const ConnectFlags& flags,
                                                    std::uint32_t nodes, io::Duration patience,
                                                    const std::function<void()>& look);

}  // namespace reel::harness
