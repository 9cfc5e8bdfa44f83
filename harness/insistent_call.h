// One call of a command-line program, made until it has an answer.
#pragma once

#include <string>

#include "harness/real_client.h"
#include "node/client_message.h"

namespace reel::harness {

// Asks node after node, and the leader that they name, until one gives a result, or an error that asking again does not
// change. Only for calls that may be repeated. Refuses (CommandError) after `patience` (0: never), beginning with `who`,
// which names what was asked; and when loop.stop() is called meanwhile. Attaches a host of its own to the client: attach
// yours afterwards.
[[nodiscard]] ClientReply insist(real::Loop& loop, RealClient& client, const ClientCall& call,
                                 io::Duration patience, const std::string& who);

}  // namespace reel::harness
