#include "node/cluster/cluster_state.h"

#include <algorithm>
#include <utility>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"

namespace reel::cluster {

// ---- one reader group

std::vector<ReaderShare> ReaderGroup::shares_of(const MemberId& member) const {
  std::vector<ReaderShare> owned;
  for (std::size_t i = 0; i < shares_.size(); ++i) {
    const Share& share = shares_[i];
    if (share.owner != member) continue;
    owned.push_back(
        {GroupId(static_cast<std::uint32_t>(i + 1)), share.epoch, share.next, share.heir != MemberId()});
  }
  return owned;
}

void ReaderGroup::set_partitions(std::uint32_t partitions) {
  if (partitions <= shares_.size()) return;
  shares_.resize(partitions);
  assign();
}

bool ReaderGroup::join(const MemberId& member, io::Duration patience) {
  if (const auto it = members_.find(member); it != members_.end()) {
    it->second = patience;
    return true;
  }
  if (members_.size() >= kReaderGroupMembersMax) return false;
  members_.emplace(member, patience);
  assign();
  return true;
}

void ReaderGroup::leave(const MemberId& member) {
  if (members_.erase(member) > 0) assign();
}

const ReaderGroup::Share* ReaderGroup::find(GroupId group) const {
  return group.value == 0 || group.value > shares_.size() ? nullptr : &shares_[group.value - 1];
}

bool ReaderGroup::is_news(const MemberId& member, const ReaderProgress& progress) const {
  const Share* share = find(progress.group);
  if (share == nullptr || share->owner != member || share->epoch != progress.epoch) return false;
  return progress.next > share->next || (progress.released && share->heir != MemberId());
}

void ReaderGroup::report(const MemberId& member, const ReaderProgress& progress) {
  if (!is_news(member, progress)) return;
  Share& share = shares_[progress.group.value - 1];
  share.next = std::max(share.next, progress.next);
  if (progress.released && share.heir != MemberId()) hand_over(share);
}

void ReaderGroup::revoke(GroupId group, Epoch epoch) {
  const Share* share = find(group);
  if (share == nullptr || share->epoch != epoch || share->heir == MemberId()) return;
  hand_over(shares_[group.value - 1]);
}

void ReaderGroup::hand_over(Share& share) {
  REEL_ASSERT(members_.contains(share.heir));
  share.owner = std::exchange(share.heir, MemberId());
  ++share.epoch;
  --waiting_;
}

// Gives each partition the member that is to have it, moving as few as the quotas allow.
void ReaderGroup::assign() {
  struct Load {
    MemberId member;
    std::size_t has = 0;
    std::size_t quota = 0;
  };
  std::vector<Load> loads;
  loads.reserve(members_.size());
  for (const auto& [member, patience] : members_) loads.push_back({member, 0, 0});
  const auto load_of = [&](const MemberId& member) {
    const auto it =
        std::lower_bound(loads.begin(), loads.end(), member,
                         [](const Load& load, const MemberId& wanted) { return load.member < wanted; });
    return it != loads.end() && it->member == member ? &*it : nullptr;
  };
  // Who is to have it: as before, as long as that is a member.
  std::vector<MemberId> wanted(shares_.size());
  for (std::size_t i = 0; i < shares_.size(); ++i) {
    const Share& share = shares_[i];
    for (const MemberId& member : {share.heir, share.owner}) {
      Load* load = member == MemberId() ? nullptr : load_of(member);
      if (load == nullptr) continue;
      wanted[i] = member;
      ++load->has;
      break;
    }
  }
  if (!loads.empty()) {
    // Those that have most get what does not divide, so that fewer partitions move.
    std::vector<Load*> by_load;
    by_load.reserve(loads.size());
    for (Load& load : loads) by_load.push_back(&load);
    std::sort(by_load.begin(), by_load.end(), [](const Load* a, const Load* b) {
      return a->has != b->has ? a->has > b->has : a->member < b->member;
    });
    for (std::size_t i = 0; i < by_load.size(); ++i) {
      by_load[i]->quota = shares_.size() / loads.size() + (i < shares_.size() % loads.size() ? 1 : 0);
    }
    for (std::size_t i = shares_.size(); i > 0; --i) {
      MemberId& member = wanted[i - 1];
      if (member == MemberId()) continue;
      Load* load = load_of(member);
      if (load->has <= load->quota) continue;
      --load->has;
      member = MemberId();
    }
    auto free = loads.begin();
    for (MemberId& member : wanted) {
      if (member != MemberId()) continue;
      while (free->has >= free->quota) ++free;
      member = free->member;
      ++free->has;
    }
  }
  waiting_ = 0;
  for (std::size_t i = 0; i < shares_.size(); ++i) {
    Share& share = shares_[i];
    share.heir = MemberId();
    if (wanted[i] == share.owner) continue;
    if (share.owner != MemberId() && members_.contains(share.owner)) {
      share.heir = wanted[i];
      ++waiting_;
    } else {
      share.owner = wanted[i];
      ++share.epoch;
    }
  }
}

// ---- the cluster

const ReaderGroup* ClusterState::find(std::string_view name) const {
  const auto it = groups_.find(name);
  return it == groups_.end() ? nullptr : &it->second;
}

std::expected<void, std::string_view> ClusterState::apply(std::span<const std::byte> payload) {
  const auto commands = decode(payload);
  if (!commands) return std::unexpected(commands.error());
  digest_ = io::digest64(payload, digest_);
  joined_.clear();
  for (const Command& command : *commands) {
    std::visit([this](const auto& body) { apply(body); }, command);
  }
  return {};
}

const raft::Configuration* ClusterState::configuration_of(GroupId group) const {
  const auto it = created_.lower_bound(group);
  return group.value < created_from_ || it == created_.end() ? nullptr : &it->second;
}

// False: the reader groups have no room for them.
bool ClusterState::set_partitions(std::uint32_t partitions) {
  if (partitions <= partitions_) return true;
  if (!has_room_for(partitions)) return false;
  partitions_ = partitions;
  for (auto& [name, group] : groups_) {
    group.set_partitions(partitions);
    note(group);
  }
  return true;
}

void ClusterState::apply(const CreatePartitions& command) {
  if (command.from > partitions_) set_partitions(command.from);
  const std::uint32_t before = partitions_;
  if (command.total <= before || !set_partitions(command.total)) return;
  if (created_.empty()) created_from_ = before + 1;
  created_.emplace(GroupId(command.total), command.configuration);
}

void ClusterState::apply(const Report& command) {
  const ReaderGroupCall& call = command.call;
  set_partitions(command.partitions);
  auto it = groups_.find(call.name);
  if (it == groups_.end()) {
    if (call.verb != ReaderGroupCall::Verb::join || !has_room_for_group()) return;
    it = groups_.try_emplace(call.name).first;
    it->second.set_partitions(partitions_);
  }
  ReaderGroup& group = it->second;
  // Before membership changes: what it reports was its own until now.
  io::Hasher hasher(digest_);
  for (const ReaderProgress& progress : call.progress) {
    group.report(call.member, progress);
    if (const ReaderGroup::Share* share = group.find(progress.group)) {
      hasher.add(share->owner.low).add(share->epoch.value).add(share->next.value);
    }
  }
  digest_ = hasher.value();
  if (call.verb == ReaderGroupCall::Verb::report) return;
  if (call.verb == ReaderGroupCall::Verb::join) {
    const bool fresh = !group.members().contains(call.member);
    if (group.join(call.member, call.patience) && fresh) joined_.push_back({call.name, call.member});
  } else {
    group.leave(call.member);
  }
  note(group);
}

void ClusterState::apply(const ExpireMember& command) {
  const auto it = groups_.find(command.name);
  if (it == groups_.end()) return;
  it->second.leave(command.member);
  note(it->second);
}

void ClusterState::apply(const RevokeShare& command) {
  const auto it = groups_.find(command.name);
  if (it == groups_.end()) return;
  it->second.revoke(command.group, command.epoch);
  note(it->second);
}

void ClusterState::apply(const RemoveReaderGroup& command) { groups_.erase(command.name); }

void ClusterState::note(const ReaderGroup& group) {
  io::Hasher hasher(digest_);
  for (const ReaderGroup::Share& share : group.shares()) {
    hasher.add(share.owner.low).add(share.heir.low).add(share.epoch.value).add(share.next.value);
  }
  digest_ = hasher.value();
}

}  // namespace reel::cluster
