#include "io/ports/assert.h"
#include "io/ports/endian.h"
#include "node/journal/tables.h"

namespace reel::journal {
namespace {

constexpr std::size_t kHeadBytes = 8;
constexpr std::size_t kEntryBytes = 24;

}  // namespace

std::vector<std::byte> encode_hard_states(const std::map<GroupId, HardState>& states) {
  REEL_ASSERT(states.size() <= kHardStatesPerPage);
  std::vector<std::byte> content(kHeadBytes + states.size() * kEntryBytes);
  io::store(content.data(), static_cast<std::uint32_t>(states.size()));
  std::byte* to = content.data() + kHeadBytes;
  for (const auto& [group, state] : states) {
    io::store(to, group.value);
    io::store(to + 8, state.term.value);
    io::store(to + 16, state.vote.value);
    to += kEntryBytes;
  }
  return content;
}

std::optional<std::map<GroupId, HardState>> decode_hard_states(std::span<const std::byte> content) {
  if (content.size() < kHeadBytes || (content.size() - kHeadBytes) % kEntryBytes != 0) return std::nullopt;
  const std::size_t count = (content.size() - kHeadBytes) / kEntryBytes;
  if (io::load<std::uint32_t>(content.data()) != count || io::load<std::uint32_t>(content.data() + 4) != 0) {
    return std::nullopt;
  }
  std::map<GroupId, HardState> states;
  GroupId before(0);
  for (std::size_t i = 0; i < count; ++i) {
    const std::byte* at = content.data() + kHeadBytes + i * kEntryBytes;
    const GroupId group(io::load<std::uint32_t>(at));
    if (group <= before || io::load<std::uint32_t>(at + 4) != 0) return std::nullopt;
    before = group;
    states.emplace_hint(
        states.end(), group,
        HardState{Term(io::load<std::uint64_t>(at + 8)), NodeId(io::load<std::uint64_t>(at + 16))});
  }
  return states;
}

HardStateTable::HardStateTable(const Stamp& stamp)
    : table_(node::DiskOwner::hard_state, PageKind::hard_state, "hardstate", stamp) {}

void HardStateTable::recover(node::DiskQueue& out) { table_.recover(out); }
bool HardStateTable::recovered() const { return read_; }
std::optional<RecoveryError> HardStateTable::error() const { return table_.error(); }
bool HardStateTable::failed() const { return full_ || table_.failed(); }
std::uint64_t HardStateTable::saved() const { return saved_; }

void HardStateTable::read_pages() {
  pages_.resize(table_.pages());
  for (std::size_t page = 0; page < table_.pages(); ++page) {
    auto states = decode_hard_states(table_.content(page));
    bool sound = states.has_value();
    if (sound) {
      for (const auto& [group, state] : *states) sound = home_.emplace(group, page).second && sound;
      pages_[page] = std::move(*states);
    }
    if (sound) continue;
    return table_.refuse({RecoveryError::Code::inconsistent,
                          "hardstate: page " + std::to_string(page) +
                              " makes no sense; remove this replica from its groups and admit a new one"});
  }
  read_ = true;
}

HardState HardStateTable::get(GroupId group) const {
  const auto home = home_.find(group);
  return home == home_.end() ? HardState{} : pages_[home->second].at(group);
}

// First fit; a group never moves, so one page decides about it.
std::size_t HardStateTable::page_of(GroupId group) {
  if (const auto home = home_.find(group); home != home_.end()) return home->second;
  std::size_t page = 0;
  while (page < pages_.size() && pages_[page].size() == kHardStatesPerPage) ++page;
  if (page < pages_.size()) home_.emplace(group, page);
  return page;
}

std::uint64_t HardStateTable::save(GroupId group, const HardState& state) {
  REEL_ASSERT(read_ && group.value != 0);
  const HardState before = get(group);
  REEL_ASSERT(state.term >= before.term);
  REEL_ASSERT(state.term > before.term || before.vote.value == 0 || before.vote == state.vote);
  ++last_save_;
  const std::size_t page = page_of(group);
  if (page == pages_.size()) {
    full_ = true;  // then nothing is durable any more: the host sees failed()
    return last_save_;
  }
  pages_[page][group] = state;
  table_.put(page, encode_hard_states(pages_[page]));
  return last_save_;
}

void HardStateTable::pump(node::DiskQueue& out) {
  if (!read_ || full_) return;
  if (table_.pump(out)) in_round_ = last_save_;
}

void HardStateTable::on_disk(const io::DiskResult& result, node::DiskQueue& out) {
  table_.on_disk(result, out);
  if (!read_ && table_.recovered() && !table_.error()) read_pages();
  if (failed() || table_.round_running()) return;
  saved_ = in_round_;
  pump(out);
}

}  // namespace reel::journal
