#include <fmt/core.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "harness/cluster_survey.h"
#include "harness/command/admin.h"
#include "harness/command/connect_flags.h"
#include "harness/insistent_call.h"
#include "harness/session_text.h"
#include "node/cluster/commands.h"

namespace reel::harness {
namespace {

struct GroupFlags {
  ConnectFlags connect;
  std::string name;
  bool json = false;
};

constexpr io::Duration kPatience = io::seconds(15);

ReaderGroupsResult ask(real::Loop& loop, RealClient& client, const ClientCall& call) {
  const ClientReply reply = insist(loop, client, call, kPatience, "reader groups");
  if (const auto* error = std::get_if<CallError>(&reply)) {
    if (error->code == ErrorCode::no_such_reader_group) {
      refuse("there is no such reader group: see `reel admin group list`");
    }
    refuse("the cluster refused (" + std::string(name_of(error->code)) + "): " + error->text);
  }
  const auto* result = std::get_if<ReaderGroupsResult>(&reply);
  if (result == nullptr) refuse("the node answered with something else: check its version");
  return *result;
}

void check_name(const std::string& name) {
  if (cluster::is_reader_group_name(name)) return;
  misuse("'" + shown(name) + "' is no name of a reader group: use letters, digits and . _ - : /");
}

std::string text_of(const MemberId& member) {
  return member == MemberId() ? "" : harness::text_of(SessionId{member.high, member.low});
}

Exit list(const GroupFlags& flags) {
  real::Loop loop;
  RealClient client(loop, flags.connect, kSurveyPatience);
  const ReaderGroupsResult result = ask(loop, client, ReaderGroupsCall{});
  if (flags.json) {
    nlohmann::ordered_json names = nlohmann::ordered_json::array();
    for (const ReaderGroupStatus& group : result.groups) names.push_back(group.name);
    fmt::print("{}\n", nlohmann::ordered_json{{"groups", names}}.dump());
    return Exit::ok;
  }
  for (const ReaderGroupStatus& group : result.groups) fmt::print("{}\n", group.name);
  return Exit::ok;
}

// The high-water marks as the nodes that answered know them.
std::map<GroupId, TxnId> ends_of(real::Loop& loop, RealClient& client) {
  std::map<GroupId, TxnId> ends;
  for (const auto& [node, status] : survey(loop, client)) {
    for (const GroupStatus& group : status.groups) {
      ends[group.group] = std::max(ends[group.group], group.high_water);
    }
  }
  return ends;
}

Exit describe(const GroupFlags& flags) {
  check_name(flags.name);
  real::Loop loop;
  RealClient client(loop, flags.connect, kSurveyPatience);
  const ReaderGroupsResult result = ask(loop, client, ReaderGroupsCall{flags.name});
  if (result.groups.empty()) refuse("the node answered with something else: check its version");
  const ReaderGroupStatus& group = result.groups.front();
  const std::map<GroupId, TxnId> ends = ends_of(loop, client);
  const auto lag_of = [&](const ReaderPosition& position) {
    const auto end = ends.find(position.group);
    return end == ends.end() || end->second < position.next ? 0 : end->second - position.next;
  };
  if (flags.json) {
    nlohmann::ordered_json object{{"group", group.name}};
    object["members"] = nlohmann::ordered_json::array();
    for (const ReaderMember& member : group.members) {
      object["members"].push_back(
          {{"member", text_of(member.member)}, {"patience_ms", member.patience.ns / 1'000'000}});
    }
    object["positions"] = nlohmann::ordered_json::array();
    for (const ReaderPosition& position : group.positions) {
      object["positions"].push_back({{"partition", position.group.value - 1},
                                     {"next", position.next.value},
                                     {"lag", lag_of(position)},
                                     {"owner", text_of(position.owner)},
                                     {"heir", text_of(position.heir)},
                                     {"epoch", position.epoch.value}});
    }
    fmt::print("{}\n", object.dump());
    return Exit::ok;
  }
  fmt::print("reader group {}: {} members\n\n", group.name, group.members.size());
  fmt::print("{:>9} {:>11} {:>9} {:>6}  {}\n", "partition", "next", "lag", "epoch", "owner");
  for (const ReaderPosition& position : group.positions) {
    const std::string owner = position.owner == MemberId() ? "nobody" : text_of(position.owner);
    const std::string heir = position.heir == MemberId() ? "" : ", awaited by " + text_of(position.heir);
    fmt::print("{:>9} {:>11} {:>9} {:>6}  {}{}\n", position.group.value - 1, position.next.value,
               lag_of(position), position.epoch.value, owner, heir);
  }
  return Exit::ok;
}

Exit remove(const GroupFlags& flags) {
  check_name(flags.name);
  real::Loop loop;
  RealClient client(loop, flags.connect, kSurveyPatience);
  static_cast<void>(ask(loop, client, ReaderGroupsCall{flags.name}));  // refuses if there is none
  static_cast<void>(ask(loop, client, RemoveReaderGroupCall{flags.name}));
  if (flags.json) fmt::print("{}\n", nlohmann::ordered_json{{"removed", flags.name}}.dump());
  return Exit::ok;
}

}  // namespace

void add_admin_group(CLI::App& admin, Run& run) {
  CLI::App* group = admin.add_subcommand(
      "group", "Reader groups: processes that share the partitions, and whose positions the cluster keeps");
  group->footer(
      "Example: reel admin group list --token-file reel-data/token\n"
      "         reel admin group describe billing --json --token-file reel-data/token");
  group->require_subcommand(1);
  auto flags = std::make_shared<GroupFlags>();
  CLI::App* listed = group->add_subcommand("list", "The names of all reader groups");
  listed->footer("Example: reel admin group list --token-file reel-data/token");
  CLI::App* described =
      group->add_subcommand("describe", "A reader group's members, and who reads which partition how far");
  described->footer("Example: reel admin group describe billing --token-file reel-data/token");
  CLI::App* removed = group->add_subcommand(
      "remove", "Forget a reader group and its positions; members that live join anew, from 0");
  removed->footer("Example: reel admin group remove billing --token-file reel-data/token");
  for (CLI::App* each : {described, removed}) {
    each->add_option("group", flags->name, "its name")->required();
  }
  for (CLI::App* each : {listed, described, removed}) {
    add_connect_flags(*each, flags->connect);
    each->add_flag("--json", flags->json, "one JSON object");
  }
  listed->callback([flags, &run] { run = [flags] { return list(*flags); }; });
  described->callback([flags, &run] { run = [flags] { return describe(*flags); }; });
  removed->callback([flags, &run] { run = [flags] { return remove(*flags); }; });
}

}  // namespace reel::harness
