#include <algorithm>

#include "io/ports/assert.h"
#include "io/ports/endian.h"
#include "node/journal/tables.h"
#include "node/raft/configuration_codec.h"

namespace reel::journal {
namespace {

constexpr std::size_t kEntryHeadBytes = 32;
static_assert(kManifestHeadBytes + kEntryHeadBytes + raft::kConfigurationBytesMax <= kPageContentMax);
static_assert(raft::kConfigurationBytesMax <= kInlineBytesMax);

std::vector<std::byte> join(const std::vector<Bytes>& entries) {
  std::vector<std::byte> content(kManifestHeadBytes);
  io::store(content.data(), static_cast<std::uint32_t>(entries.size()));
  for (const Bytes& entry : entries) content.insert(content.end(), entry.data(), entry.data() + entry.size());
  return content;
}

}  // namespace

Bytes encode_manifest_entry(const StoredManifest& stored) {
  const Bytes configuration = raft::encode_configuration(stored.group.configuration);
  std::vector<std::byte> out(kEntryHeadBytes);
  io::store(out.data(), stored.group.group.value);
  io::store(out.data() + 4, static_cast<std::uint32_t>(configuration.size()));
  io::store(out.data() + 8, stored.group.first.value);
  io::store(out.data() + 16, stored.group.commit.value);
  io::store(out.data() + 24, stored.revision);
  out.insert(out.end(), configuration.data(), configuration.data() + configuration.size());
  return Bytes::copy_of(out);
}

std::optional<std::vector<StoredManifest>> decode_manifests(std::span<const std::byte> content) {
  if (content.size() < kManifestHeadBytes) return std::nullopt;
  const auto count = io::load<std::uint32_t>(content.data());
  if (io::load<std::uint32_t>(content.data() + 4) != 0) return std::nullopt;
  content = content.subspan(kManifestHeadBytes);
  std::vector<StoredManifest> entries;
  GroupId before(0);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (content.size() < kEntryHeadBytes) return std::nullopt;
    const std::size_t configuration_bytes = io::load<std::uint32_t>(content.data() + 4);
    if (configuration_bytes > content.size() - kEntryHeadBytes) return std::nullopt;
    const auto configuration =
        raft::decode_configuration(content.subspan(kEntryHeadBytes, configuration_bytes));
    StoredManifest stored;
    stored.group.group = GroupId(io::load<std::uint32_t>(content.data()));
    stored.group.first = Index(io::load<std::uint64_t>(content.data() + 8));
    stored.group.commit = Index(io::load<std::uint64_t>(content.data() + 16));
    stored.revision = io::load<std::uint64_t>(content.data() + 24);
    const bool sound = configuration && stored.group.group > before && stored.group.first.value > 0 &&
                       stored.revision > 0 && stored.revision < UINT64_MAX;
    if (!sound) return std::nullopt;
    before = stored.group.group;
    stored.group.configuration = *configuration;
    entries.push_back(std::move(stored));
    content = content.subspan(kEntryHeadBytes + configuration_bytes);
  }
  if (!content.empty()) return std::nullopt;
  return entries;
}

std::uint32_t groups_max(const Options& options, const raft::Configuration& configuration) {
  const std::size_t entry = encode_manifest_entry({1, {GroupId(1), Index(1), Index(), configuration}}).size();
  const std::size_t in_manifest = (kPageContentMax - kManifestHeadBytes) / entry * options.manifest_pages;
  const std::size_t in_hard_states = kHardStatesPerPage * options.hard_state_pages;
  return static_cast<std::uint32_t>(std::min<std::size_t>({kGroupsMax, in_manifest, in_hard_states}));
}

Manifest::Manifest(const Stamp& stamp)
    : table_(node::DiskOwner::manifest, PageKind::manifest, "manifest", stamp) {}

void Manifest::recover(node::DiskQueue& out) { table_.recover(out); }
bool Manifest::recovered() const { return read_; }
std::optional<RecoveryError> Manifest::error() const { return table_.error(); }
bool Manifest::failed() const { return full_ || table_.failed(); }
const std::map<GroupId, GroupManifest>& Manifest::groups() const { return groups_; }

void Manifest::read_pages() {
  pages_.resize(table_.pages());
  for (std::size_t page = 0; page < table_.pages(); ++page) {
    auto entries = decode_manifests(table_.content(page));
    if (!entries) {
      return table_.refuse({RecoveryError::Code::inconsistent,
                            "manifest: page " + std::to_string(page) +
                                " makes no sense; remove this replica from its groups and admit a new one"});
    }
    for (StoredManifest& stored : *entries) {
      const GroupId group = stored.group.group;
      revision_ = std::max(revision_, stored.revision);
      pages_[page].emplace(group, Stored{stored.revision, encode_manifest_entry(stored)});
      const auto [home, fresh] = home_.try_emplace(group, page);
      if (!fresh) {  // a crash came between the two steps of a move
        const bool newer = stored.revision > pages_[home->second].at(group).revision;
        moved_.emplace_back(newer ? home->second : page, group);
        if (!newer) continue;
        home->second = page;
      }
      groups_[group] = std::move(stored.group);
    }
  }
  read_ = true;
}

// Puts a group into a page if it fits there beside the others.
bool Manifest::place(std::size_t page, GroupId group, const Stored& stored) {
  std::size_t bytes = kManifestHeadBytes + stored.encoded.size();
  for (const auto& [other, entry] : pages_[page]) {
    if (other != group) bytes += entry.encoded.size();
  }
  if (bytes > kPageContentMax) return false;
  pages_[page][group] = stored;
  std::vector<Bytes> entries;
  for (const auto& [other, entry] : pages_[page]) entries.push_back(entry.encoded);
  table_.put(page, join(entries));
  return true;
}

std::uint64_t Manifest::update(const GroupManifest& group) {
  REEL_ASSERT(read_ && group.group.value != 0 && group.first.value > 0);
  groups_[group.group] = group;
  const Stored stored{revision_ + 1, encode_manifest_entry({revision_ + 1, group})};
  ++revision_;
  const auto home = home_.find(group.group);
  if (home != home_.end() && place(home->second, group.group, stored)) return revision_;
  for (std::size_t page = 0; page < pages_.size(); ++page) {
    const bool left_behind =
        pages_[page].contains(group.group);  // an older place that is still to be cleared
    if (left_behind || !place(page, group.group, stored)) continue;
    if (home != home_.end()) moved_.emplace_back(home->second, group.group);
    home_[group.group] = page;
    return revision_;
  }
  full_ = true;  // then nothing is durable any more: the host sees failed()
  return revision_;
}

void Manifest::pump(node::DiskQueue& out) {
  if (!read_ || full_) return;
  if (!table_.pump(out)) return;
  in_round_ = revision_;
  moved_in_round_ = std::move(moved_);
  moved_.clear();
}

void Manifest::on_disk(const io::DiskResult& result, node::DiskQueue& out) {
  table_.on_disk(result, out);
  if (!read_ && table_.recovered() && !table_.error()) {
    read_pages();
    moved_in_round_ = std::move(moved_);  // both copies are durable: the older can go
    moved_.clear();
  }
  if (!read_ || failed() || table_.round_running()) return;
  saved_ = in_round_;
  for (const auto& [page, group] : moved_in_round_) {
    pages_[page].erase(group);
    std::vector<Bytes> entries;
    for (const auto& [other, entry] : pages_[page]) entries.push_back(entry.encoded);
    table_.put(page, join(entries));
  }
  moved_in_round_.clear();
  pump(out);
}

}  // namespace reel::journal
