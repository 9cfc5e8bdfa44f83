// What all nodes of a cluster say of themselves, asked once.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/real_client.h"
#include "node/client_message.h"

namespace reel::harness {

// Longer than a connection takes to be refused or given up.
inline constexpr io::Duration kSurveyPatience = io::seconds(3);

// Asks every node that can be called, and waits kSurveyPatience at most; nodes that did not answer are missing. Attaches
// a host of its own to the client.
[[nodiscard]] std::map<NodeId, StatusResult> survey(real::Loop& loop, RealClient& client);

// RealClient::members(), by number; those of unknown number first.
[[nodiscard]] std::vector<ClusterMember> members_by_node(const RealClient& client);
// Why a member did not answer a survey, in a few words.
[[nodiscard]] std::string why_silent(const RealClient& client, const ClusterMember& member);

}  // namespace reel::harness
