// What messages and nodes say of themselves, for people: diagrams and inspection. Never on the way of a decision.
#pragma once

#include <string>

#include "node/client_message.h"
#include "node/message.h"
#include "node/node.h"

namespace reel::node {

// A few words each: "append 5..7 t3", "vote? t4", "holds 7"; "" for heartbeats and their answers, which say nothing new.
// Of groups other than the cluster's own the number stands in front.
[[nodiscard]] std::string describe(const PeerMessage& message);
// "append 1..3", "feed from 7"; "answers 3 committed", "NotLeader".
[[nodiscard]] std::string describe(const ClientCall& call);
[[nodiscard]] std::string describe(const ClientReply& reply);

// Everything that can be read of a node, a fact a line: roles, logs, votes, timers, queues, sessions, locks, journal. `now`
// is its own clock. At most `lines_max` entries of each log and keys of each lock table, the newest ones.
[[nodiscard]] std::string describe(const Node& node, io::Instant now, std::size_t lines_max = 8);

}  // namespace reel::node
