#include "harness/noticed.h"

namespace reel::harness {
namespace {

using sim::FaultKind;

constexpr bool kNamesItsCause = true;

// Calm rates, firings and marks by kind alone: harness/noticed_test.cc.
constexpr NoticeRule kRules[] = {
    {FaultKind::net_delay, "raft.late_reply"},
    {FaultKind::net_delay, "raft.append_of_a_past_term"},
    {FaultKind::net_delay, "raft.leader_lost"},
    {FaultKind::net_delay, "raft.quorum_lost"},
    {FaultKind::net_delay, "raft.vote_refused_in_contact"},

    {FaultKind::net_drop, "raft.append_behind_a_gap"},
    {FaultKind::net_drop, "group.out_of_order"},
    {FaultKind::net_drop, "client.timed_out"},

    {FaultKind::net_duplicate, "raft.append_held_already"},
    {FaultKind::net_duplicate, "raft.vote_asked_twice", kNamesItsCause},
    {FaultKind::net_duplicate, "group.duplicate_in_flight"},
    {FaultKind::net_duplicate, "group.duplicate_committed"},

    {FaultKind::net_reorder, "raft.append_behind_a_gap"},
    {FaultKind::net_reorder, "raft.late_reply"},
    {FaultKind::net_reorder, "group.out_of_order"},

    {FaultKind::net_clog, "raft.leader_lost"},
    {FaultKind::net_clog, "raft.vote_refused_in_contact"},
    {FaultKind::net_clog, "group.duplicate_in_flight"},

    {FaultKind::net_partition, "raft.leader_lost"},
    {FaultKind::net_partition, "raft.quorum_lost"},
    {FaultKind::net_partition, "client.leader_changed"},

    {FaultKind::net_partition_oneway, "raft.leader_lost"},
    {FaultKind::net_partition_oneway, "raft.vote_refused_in_contact"},
    {FaultKind::net_partition_oneway, "raft.quorum_lost"},

    {FaultKind::net_partition_partial, "raft.vote_refused_in_contact"},
    {FaultKind::net_partition_partial, "raft.leader_lost"},
    {FaultKind::net_partition_partial, "raft.quorum_lost"},

    {FaultKind::net_isolate, "raft.leader_lost"},
    {FaultKind::net_isolate, "raft.quorum_lost"},
    {FaultKind::net_isolate, "raft.campaign_without_result"},

    {FaultKind::net_reset, "node.connection_lost"},
    {FaultKind::net_reset, "raft.append_behind_a_gap"},

    {FaultKind::disk_latency, "raft.window_probed"},

    {FaultKind::disk_stall, "raft.disk_stalled"},
    {FaultKind::disk_stall, "raft.window_probed"},

    {FaultKind::disk_crash_loss, "journal.cut"},

    {FaultKind::disk_crash_torn, "journal.cut"},
    {FaultKind::disk_crash_torn, "journal.damaged_identity", kNamesItsCause},

    {FaultKind::disk_crash_durable, "journal.cut"},

    {FaultKind::node_crash, "journal.found"},
    {FaultKind::node_crash, "raft.peer_came_back"},

    {FaultKind::node_crash_loop, "journal.life_without_opening"},

    {FaultKind::node_restart_all, "group.nobody_leads_after_boot"},

    {FaultKind::node_pause, "group.timer_late", kNamesItsCause},

    {FaultKind::client_crash, "group.duplicate_committed"},
    {FaultKind::client_crash, "group.duplicate_in_flight"},
    {FaultKind::client_crash, "node.call_cancelled"},
};

}  // namespace

std::span<const NoticeRule> notice_rules() { return kRules; }

void Noticed::look(io::Instant now) {
  fires_ = counters_.fires();
  for (std::size_t kind = 0; kind < sim::kFaultKinds; ++kind) {
    const std::uint64_t fired = counters_[static_cast<FaultKind>(kind)].fired;
    if (fired == fired_[kind]) continue;
    fired_[kind] = fired;
    fired_at_[kind] = now;
  }
}

void Noticed::marked(std::string_view name, io::Instant now, bool deliberate) {
  at(now);
  auto found = marks_.find(name);
  if (found == marks_.end()) {
    found = marks_.try_emplace(std::string(name)).first;
    for (const NoticeRule& rule : kRules) {
      if (name == rule.mark) found->second.rules.push_back(&rule);
    }
  }
  ++found->second.count;
  if (deliberate) return;
  for (const NoticeRule* rule : found->second.rules) {
    const auto kind = static_cast<std::size_t>(rule->kind);
    const bool soon = credulous_ && now - fired_at_[kind] <= kNoticedWithin;
    if (fired_[kind] == 0 || !(soon || rule->names_its_cause)) continue;
    if (counters_[rule->kind].noticed < fired_[kind]) counters_.notice(rule->kind);
  }
}

std::map<std::string, std::uint64_t> Noticed::marks() const {
  std::map<std::string, std::uint64_t> counts;
  for (const auto& [name, mark] : marks_) counts.emplace(name, mark.count);
  return counts;
}

}  // namespace reel::harness
