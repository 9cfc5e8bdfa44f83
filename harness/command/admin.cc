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

struct AdminFlags {
  ConnectFlags connect;
  std::uint32_t partition = 0;
  bool json = false;
};

// One partition as the nodes that answered see it.
struct PartitionView {
  std::map<NodeId, GroupStatus> replicas;
  NodeId leader;  // 0: nobody leads
  Term term;      // the highest that anybody reported
  TxnId high_water;
  Index commit;

  std::uint64_t lag_of(const GroupStatus& replica) const {
    return commit.value - std::min(commit.value, replica.applied.value);
  }
};
using Partitions = std::map<GroupId, PartitionView>;
using Statuses = std::map<NodeId, StatusResult>;

// Refuses when nobody could say anything.
Partitions partitions_of(const Statuses& statuses) {
  Partitions partitions;
  for (const auto& [node, status] : statuses) {
    for (const GroupStatus& group : status.groups) {
      PartitionView& view = partitions[group.group];
      view.replicas[node] = group;
      view.term = std::max(view.term, group.term);
      view.high_water = std::max(view.high_water, group.high_water);
      view.commit = std::max(view.commit, group.commit);
    }
  }
  for (auto& [group, view] : partitions) {
    for (const auto& [node, replica] : view.replicas) {
      // One that lost a later election may not know it yet.
      if (replica.role == Role::leader && replica.term == view.term) view.leader = node;
    }
  }
  if (partitions.empty()) refuse("no node answered that serves yet: see `reel status`");
  return partitions;
}

nlohmann::ordered_json json_of(GroupId group, const PartitionView& view) {
  nlohmann::ordered_json object{{"partition", group.value - 1},
                                {"leader", view.leader.value},
                                {"term", view.term.value},
                                {"high_water", view.high_water.value},
                                {"commit", view.commit.value}};
  object["replicas"] = nlohmann::ordered_json::array();
  for (const auto& [node, replica] : view.replicas) {
    object["replicas"].push_back({{"node", node.value},
                                  {"role", name_of(replica.role)},
                                  {"term", replica.term.value},
                                  {"first", replica.first.value},
                                  {"last", replica.last.value},
                                  {"commit", replica.commit.value},
                                  {"applied", replica.applied.value},
                                  {"lag", view.lag_of(replica)},
                                  {"sessions", replica.sessions}});
  }
  return object;
}

std::string name_of_leader(const PartitionView& view) {
  return view.leader.value == 0 ? "none" : std::to_string(view.leader.value);
}

// What the leader knows of each member's log; without a leader nobody knows.
void add_peers(nlohmann::ordered_json& object, const PartitionView& view) {
  object["peers"] = nlohmann::ordered_json::array();
  if (view.leader.value == 0) return;
  for (const PeerStatus& peer : view.replicas.at(view.leader).peers) {
    object["peers"].push_back(
        {{"node", peer.node.value}, {"match", peer.match.value}, {"connected", peer.connected}});
  }
}

void print_list(const Partitions& partitions, std::size_t members) {
  fmt::print("{:>9} {:>7} {:>6} {:>11} {:>9} {:>9} {:>8}\n", "partition", "leader", "term", "high water",
             "commit", "replicas", "lag max");
  for (const auto& [group, view] : partitions) {
    std::uint64_t lag_max = 0;
    for (const auto& [node, replica] : view.replicas) lag_max = std::max(lag_max, view.lag_of(replica));
    fmt::print("{:>9} {:>7} {:>6} {:>11} {:>9} {:>9} {:>8}\n", group.value - 1, name_of_leader(view),
               view.term.value, view.high_water.value, view.commit.value,
               fmt::format("{}/{}", view.replicas.size(), members), lag_max);
  }
}

void print_one(GroupId group, const PartitionView& view, const Statuses& statuses, const RealClient& client) {
  fmt::print("partition {}: leader {}, term {}, high water {}, commit {}\n\n", group.value - 1,
             name_of_leader(view), view.term.value, view.high_water.value, view.commit.value);
  fmt::print("{:>4}  {:<21} {:<13} {:>9} {:>9} {:>9} {:>5}\n", "node", "address", "role", "last", "commit",
             "applied", "lag");
  for (const ClusterMember& member : members_by_node(client)) {
    const std::string name = member.node.value == 0 ? "?" : std::to_string(member.node.value);
    const auto it = view.replicas.find(member.node);
    if (it == view.replicas.end()) {
      const bool answered = statuses.contains(member.node);
      fmt::print("{:>4}  {:<21} {}\n", name, member.address,
                 answered ? "recovering" : "unreachable: " + why_silent(client, member));
      continue;
    }
    const GroupStatus& replica = it->second;
    fmt::print("{:>4}  {:<21} {:<13} {:>9} {:>9} {:>9} {:>5}\n", name, member.address, name_of(replica.role),
               replica.last.value, replica.commit.value, replica.applied.value, view.lag_of(replica));
  }
}

Exit list(const AdminFlags& flags) {
  real::Loop loop;
  RealClient client(loop, flags.connect, kSurveyPatience);
  const Partitions partitions = partitions_of(survey(loop, client));
  if (!flags.json) {
    print_list(partitions, client.everyone().size());
    return Exit::ok;
  }
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const auto& [group, view] : partitions) all.push_back(json_of(group, view));
  fmt::print("{}\n", nlohmann::ordered_json{{"partitions", all}}.dump());
  return Exit::ok;
}

Exit describe(const AdminFlags& flags) {
  real::Loop loop;
  RealClient client(loop, flags.connect, kSurveyPatience);
  const Statuses statuses = survey(loop, client);
  const Partitions partitions = partitions_of(statuses);
  const GroupId group(flags.partition + 1);
  const auto it = partitions.find(group);
  if (it == partitions.end()) {
    refuse("there is no such partition " + std::to_string(flags.partition) + ": the cluster has 0.." +
           std::to_string(partitions.rbegin()->first.value - 1));
  }
  if (!flags.json) {
    print_one(group, it->second, statuses, client);
    return Exit::ok;
  }
  nlohmann::ordered_json object = json_of(group, it->second);
  add_peers(object, it->second);
  fmt::print("{}\n", object.dump());
  return Exit::ok;
}

}  // namespace

void add_admin(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("admin", "What operators ask of a cluster");
  command->footer("Example: reel admin partition list --token-file reel-data/token");
  command->require_subcommand(1);
  CLI::App* partition = command->add_subcommand("partition", "The partitions of the log");
  partition->footer(
      "Example: reel admin partition list --token-file reel-data/token\n"
      "         reel admin partition describe 0 --json --token-file reel-data/token");
  partition->require_subcommand(1);
  auto flags = std::make_shared<AdminFlags>();
  CLI::App* listed = partition->add_subcommand("list", "All partitions: leader, term, length, lag");
  listed->footer("Example: reel admin partition list --token-file reel-data/token");
  CLI::App* described = partition->add_subcommand("describe", "One partition on all nodes");
  described->footer("Example: reel admin partition describe 0 --token-file reel-data/token");
  described->add_option("partition", flags->partition, "its number, from 0")->required();
  for (CLI::App* each : {listed, described}) {
    add_connect_flags(*each, flags->connect);
    each->add_flag("--json", flags->json, "one JSON object");
  }
  listed->callback([flags, &run] { run = [flags] { return list(*flags); }; });
  described->callback([flags, &run] { run = [flags] { return describe(*flags); }; });
}

}  // namespace reel::harness
