#include <fmt/core.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/command/command.h"
#include "harness/command/connect_flags.h"
#include "io/wire/codec.h"
#include "node/client/driver.h"

namespace reel::harness {
namespace {

struct StatusFlags {
  ConnectFlags connect;
  bool json = false;
};

// Asks every node that was found, once.
class StatusHost final : public client::Driver {
 public:
  StatusHost(real::Loop& loop, RealClient& client) : Driver(client.ports(), wire::kClientCallCodec), loop_(loop) {
    client.attach(*this);
    for (const NodeId node : client.nodes()) calls_[call(node, StatusCall{})] = node;
    set_alarm(ports().clock.now().monotonic + io::seconds(3));
  }
  void on_other_reply(io::CallId call, const ClientReply* reply) override {
    const auto it = calls_.find(call);
    if (it == calls_.end()) return;
    if (reply != nullptr) {
      if (const auto* status = std::get_if<StatusResult>(reply)) results_[it->second] = *status;
    }
    calls_.erase(it);
    if (calls_.empty()) loop_.stop();
  }
  void on_alarm() override { loop_.stop(); }
  const std::map<NodeId, StatusResult>& results() const { return results_; }

 private:
  real::Loop& loop_;
  std::map<io::CallId, NodeId> calls_;
  std::map<NodeId, StatusResult> results_;
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
    nlohmann::ordered_json one{{"partition", group.group.value - 1},
                               {"role", name_of(group.role)},
                               {"term", group.term.value},
                               {"leader", group.leader.value},
                               {"commit", group.commit.value},
                               {"applied", group.applied.value},
                               {"last", group.last.value},
                               {"high_water", group.high_water.value},
                               {"lag", lag_of(results, group)},
                               {"sessions", group.sessions}};
    node["partitions"].push_back(one);
    if (group.group != GroupId(1)) continue;
    // Partition 0 in the node's own object too: most clusters begin with one.
    for (const char* key : {"role", "term", "leader", "commit", "applied", "high_water", "lag"}) node[key] = one[key];
  }
  return node;
}

Exit status(const StatusFlags& flags) {
  real::Loop loop;
  RealClient client(loop, flags.connect);
  StatusHost host(loop, client);
  host.flush();
  loop.run();
  const auto& results = host.results();
  nlohmann::ordered_json nodes = nlohmann::ordered_json::array();
  if (!flags.json) {
    fmt::print("{:>4}  {:<21} {:>4} {:<13} {:>6} {:>9} {:>9} {:>11} {:>5}  {}\n", "node", "address", "part", "role",
               "term", "commit", "applied", "high water", "lag", "disk");
  }
  for (const real::Found& found : client.found()) {
    const auto it = results.find(found.node);
    if (found.node.value == 0 || it == results.end()) {
      const std::string why = found.error.empty() ? "no answer" : found.error;
      nodes.push_back({{"node", found.node.value}, {"address", found.address}, {"reachable", false}, {"error", why}});
      if (!flags.json) fmt::print("{:>4}  {:<21} unreachable: {}\n", "?", found.address, why);
      continue;
    }
    nodes.push_back(json_of(results, it->second, found.address));
    if (flags.json) continue;
    if (it->second.groups.empty()) {
      fmt::print("{:>4}  {:<21} {}\n", found.node.value, found.address, it->second.ready ? "" : "recovering");
    }
    for (const GroupStatus& group : it->second.groups) {
      fmt::print("{:>4}  {:<21} {:>4} {:<13} {:>6} {:>9} {:>9} {:>11} {:>5}  {}\n", found.node.value, found.address,
                 group.group.value - 1, name_of(group.role), group.term.value, group.commit.value, group.applied.value,
                 group.high_water.value, lag_of(results, group), it->second.disk);
    }
  }
  if (flags.json) fmt::print("{}\n", nlohmann::ordered_json{{"nodes", nodes}}.dump());
  return results.empty() ? Exit::finding : Exit::ok;
}

}  // namespace

void add_status(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("status", "Roles, terms, commit and lag of every node that --connect names");
  command->footer("Example: reel status --connect 127.0.0.1:7101,127.0.0.1:7102 --token-file reel-data/token");
  auto flags = std::make_shared<StatusFlags>();
  add_connect_flags(*command, flags->connect);
  command->add_flag("--json", flags->json, "one JSON object");
  command->callback([flags, &run] { run = [flags] { return status(*flags); }; });
}

}  // namespace reel::harness
