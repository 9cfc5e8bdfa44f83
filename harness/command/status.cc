#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/cluster_survey.h"
#include "harness/command/command.h"
#include "harness/command/connect_flags.h"

namespace reel::harness {
namespace {

struct StatusFlags {
  ConnectFlags connect;
  bool json = false;
};

// How far a group is behind the furthest that anybody reported.
std::uint64_t lag_of(const std::map<NodeId, StatusResult>& results, const GroupStatus& group) {
  std::uint64_t furthest = 0;
  for (const auto& [node, status] : results) {
    for (const GroupStatus& other : status.groups) {
      if (other.group == group.group) furthest = std::max(furthest, other.commit.value);
    }
  }
  return furthest - std::min(furthest, group.applied.value);
}

nlohmann::ordered_json json_of(const std::map<NodeId, StatusResult>& results, const StatusResult& status,
                               const std::string& address) {
  nlohmann::ordered_json node{{"node", status.node.value},
                              {"address", address},
                              {"reachable", true},
                              {"cluster", status.cluster},
                              {"incarnation", status.incarnation.value},
                              {"version", status.version},
                              {"ready", status.ready},
                              {"disk", status.disk},
                              {"journal_bytes", status.journal_bytes},
                              {"journal_files", status.journal_files},
                              {"syncs", status.syncs}};
  node["partitions"] = nlohmann::ordered_json::array();
  for (const GroupStatus& group : status.groups) {
    nlohmann::ordered_json one{{"partition", group.group.value - 1}, {"role", name_of(group.role)},
                               {"term", group.term.value},           {"leader", group.leader.value},
                               {"commit", group.commit.value},       {"applied", group.applied.value},
                               {"last", group.last.value},           {"high_water", group.high_water.value},
                               {"lag", lag_of(results, group)},      {"sessions", group.sessions}};
    node["partitions"].push_back(one);
    if (group.group != GroupId(1)) continue;
    // Partition 0 in the node's own object too: most clusters begin with one.
    for (const char* key : {"role", "term", "leader", "commit", "applied", "high_water", "lag"})
      node[key] = one[key];
  }
  return node;
}

void print_node(const std::map<NodeId, StatusResult>& results, const StatusResult& status,
                const std::string& address) {
  if (status.groups.empty()) {
    fmt::print("{:>4}  {:<21} {}\n", status.node.value, address, status.ready ? "" : "recovering");
  }
  for (const GroupStatus& group : status.groups) {
    fmt::print("{:>4}  {:<21} {:>4} {:<13} {:>6} {:>9} {:>9} {:>11} {:>5}  {}\n", status.node.value, address,
               group.group.value - 1, name_of(group.role), group.term.value, group.commit.value,
               group.applied.value, group.high_water.value, lag_of(results, group), status.disk);
  }
}

Exit status(const StatusFlags& flags) {
  real::Loop loop;
  RealClient client(loop, flags.connect, kSurveyPatience);
  const auto results = survey(loop, client);
  nlohmann::ordered_json nodes = nlohmann::ordered_json::array();
  if (!flags.json) {
    fmt::print("{:>4}  {:<21} {:>4} {:<13} {:>6} {:>9} {:>9} {:>11} {:>5}  {}\n", "node", "address", "part",
               "role", "term", "commit", "applied", "high water", "lag", "disk");
  }
  for (const ClusterMember& member : members_by_node(client)) {
    const auto it = results.find(member.node);
    if (it == results.end()) {
      const std::string why = why_silent(client, member);
      nodes.push_back(
          {{"node", member.node.value}, {"address", member.address}, {"reachable", false}, {"error", why}});
      const std::string name = member.node.value == 0 ? "?" : std::to_string(member.node.value);
      if (!flags.json) fmt::print("{:>4}  {:<21} unreachable: {}\n", name, member.address, why);
      continue;
    }
    nodes.push_back(json_of(results, it->second, member.address));
    if (!flags.json) print_node(results, it->second, member.address);
  }
  if (flags.json) fmt::print("{}\n", nlohmann::ordered_json{{"nodes", nodes}}.dump());
  return results.empty() ? Exit::finding : Exit::ok;
}

}  // namespace

void add_status(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("status", "Roles, terms, commit and lag of every node of the cluster");
  command->footer(
      "Example: reel status --connect 127.0.0.1:7101,127.0.0.1:7102 --token-file reel-data/token");
  auto flags = std::make_shared<StatusFlags>();
  add_connect_flags(*command, flags->connect);
  command->add_flag("--json", flags->json, "one JSON object");
  command->callback([flags, &run] { run = [flags] { return status(*flags); }; });
}

}  // namespace reel::harness
