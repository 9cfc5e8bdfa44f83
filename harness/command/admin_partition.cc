#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/cluster_survey.h"
#include "harness/command/admin.h"
#include "harness/command/command.h"
#include "harness/command/connect_flags.h"
#include "harness/insistent_call.h"

namespace reel::harness {
namespace {

struct PartitionFlags {
  ConnectFlags connect;
  std::uint32_t partition = 0;
  std::uint32_t total = 0;  // create: 0: one more
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

Exit list(const PartitionFlags& flags) {
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

Exit describe(const PartitionFlags& flags) {
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

constexpr io::Duration kCreatePatience = io::seconds(30);

// Every node that answers has the partition, and somebody leads it.
bool all_know(const Statuses& statuses, std::uint32_t total) {
  if (statuses.empty()) return false;
  for (const auto& [node, status] : statuses) {
    if (status.groups.size() < total) return false;
  }
  const Partitions partitions = partitions_of(statuses);
  return std::all_of(partitions.begin(), partitions.end(),
                     [](const auto& entry) { return entry.second.leader.value != 0; });
}

Exit create(const PartitionFlags& flags) {
  real::Loop loop;
  RealClient client(loop, flags.connect, kSurveyPatience);
  const auto before = static_cast<std::uint32_t>(partitions_of(survey(loop, client)).rbegin()->first.value);
  const std::uint32_t wanted = flags.total == 0 ? before + 1 : flags.total;
  const ClientReply reply = insist(loop, client, CreatePartitionsCall{wanted}, kCreatePatience,
                                   "the partitions may be created or not, see `reel admin partition list`");
  if (const auto* error = std::get_if<CallError>(&reply)) {
    refuse("the cluster refused (" + std::string(name_of(error->code)) + "): " + error->text +
           (error->limit > 0 ? " (limit " + std::to_string(error->limit) + ")" : ""));
  }
  const auto* result = std::get_if<PartitionsResult>(&reply);
  if (result == nullptr) refuse("the node answered with something else: check its version");
  // Those that are up hear of it within a heartbeat; who asks now wants to use it now.
  const io::Instant until = real::monotonic_now() + kCreatePatience;
  bool known = all_know(survey(loop, client), result->total);
  while (!known && real::monotonic_now() < until) {
    loop.io().provider->getTimer().afterDelay(50 * kj::MILLISECONDS).wait(loop.wait_scope());
    known = all_know(survey(loop, client), result->total);
  }
  if (flags.json) {
    fmt::print(
        "{}\n",
        nlohmann::ordered_json{{"before", before}, {"partitions", result->total}, {"ready", known}}.dump());
  } else {
    fmt::print("{} partitions: 0..{}\n", result->total, result->total - 1);
  }
  if (!known) {
    refuse(
        "the partitions are created, but not yet led, or not yet known to all nodes: see `reel admin "
        "partition list`");
  }
  return Exit::ok;
}

}  // namespace

void add_admin_partition(CLI::App& admin, Run& run) {
  CLI::App* partition = admin.add_subcommand("partition", "The partitions of the log");
  partition->footer(
      "Example: reel admin partition list --token-file reel-data/token\n"
      "         reel admin partition create --total 8 --token-file reel-data/token\n"
      "         reel admin partition describe 0 --json --token-file reel-data/token");
  partition->require_subcommand(1);
  auto flags = std::make_shared<PartitionFlags>();
  CLI::App* listed = partition->add_subcommand("list", "All partitions: leader, term, length, lag");
  listed->footer("Example: reel admin partition list --token-file reel-data/token");
  CLI::App* described = partition->add_subcommand("describe", "One partition on all nodes");
  described->footer("Example: reel admin partition describe 0 --token-file reel-data/token");
  described->add_option("partition", flags->partition, "its number, from 0")->required();
  CLI::App* created = partition->add_subcommand(
      "create", "Create partitions while the cluster runs: one more, or as many as there are to be");
  created->footer("Example: reel admin partition create --total 8 --token-file reel-data/token");
  created->add_option("--total", flags->total, "how many there are to be; may be repeated safely")
      ->check(CLI::Range(1u, kGroupsMax));
  for (CLI::App* each : {listed, described, created}) {
    add_connect_flags(*each, flags->connect);
    each->add_flag("--json", flags->json, "one JSON object");
  }
  listed->callback([flags, &run] { run = [flags] { return list(*flags); }; });
  described->callback([flags, &run] { run = [flags] { return describe(*flags); }; });
  created->callback([flags, &run] { run = [flags] { return create(*flags); }; });
}

}  // namespace reel::harness
