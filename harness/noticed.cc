#include "harness/noticed.h"

namespace reel::harness {
namespace {

using sim::FaultKind;

// A consequence that comes within some election timeouts, or not at all.
constexpr io::Duration kSoon = io::seconds(3);
// Names its cause: nothing else leads there.
constexpr io::Duration kEver = io::seconds(1'000'000);

constexpr NoticeRule kRules[] = {
    {FaultKind::net_delay, "raft.leader_lost", kSoon},
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

void Noticed::marked(std::string_view name, io::Instant now) {
  at(now);
  auto found = marks_.find(name);
  if (found == marks_.end()) {
    found = marks_.try_emplace(std::string(name)).first;
    for (const NoticeRule& rule : kRules) {
      if (name == rule.mark) found->second.rules.push_back(&rule);
    }
  }
  ++found->second.count;
  for (const NoticeRule* rule : found->second.rules) {
    const auto kind = static_cast<std::size_t>(rule->kind);
    if (fired_[kind] == 0 || now - fired_at_[kind] > rule->within) continue;
    if (counters_[rule->kind].noticed < fired_[kind]) counters_.notice(rule->kind);
  }
}

std::map<std::string, std::uint64_t> Noticed::marks() const {
  std::map<std::string, std::uint64_t> counts;
  for (const auto& [name, mark] : marks_) counts.emplace(name, mark.count);
  return counts;
}

}  // namespace reel::harness
