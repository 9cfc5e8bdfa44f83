#include "node/client/membership.h"

#include <algorithm>
#include <utility>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"

namespace reel::client {
namespace {

constexpr std::uint64_t kReadSeed = 1;
constexpr std::uint64_t kApplySeed = 2;

GroupReaderOptions reader_options(const JoinOptions& options, std::vector<NodeId> nodes, MemberId member,
                                  std::uint64_t seed) {
  GroupReaderOptions reader;
  reader.nodes = std::move(nodes);
  reader.name = options.name;
  reader.member = member;
  reader.patience = options.patience;
  reader.report_delay = options.report_delay;
  reader.bytes_total = options.bytes_total;
  reader.bytes_max =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(reader.bytes_max, options.bytes_total));
  reader.wait = std::min(reader.wait, options.patience);
  reader.call_timeout = std::min(reader.call_timeout, options.patience / 3);  // a lost report may be repeated
  reader.seed = io::keyed_hash(seed, {kReadSeed});
  return reader;
}

}  // namespace

Membership::Membership(const JoinOptions& options, std::vector<NodeId> nodes, MemberId member,
                       std::uint64_t seed)
    : options_(options),
      self_(member),
      reader_(reader_options(options, std::move(nodes), member, seed)),
      seed_(seed) {
  REEL_ASSERT(options_.apply && options_.apply_attempts_max > 0);
}

// Changes come before what was read, so that nothing is handed to a share that is not here yet, or is another's by now.
void Membership::settle(const io::Now& now, std::uint32_t apply_max) {
  tell_changes();
  take_in();
  for (auto& [partition, share] : shares_) apply_some(share, now, apply_max);
  if (failed() && !std::exchange(failure_told_, true) && options_.on_failed) {
    options_.on_failed(*reader_.failure());
  }
}

void Membership::tell_changes() {
  for (const ShareChange& change : reader_.take_changes()) {
    shares_.erase(change.group);
    if (change.gained) {
      const std::uint64_t seed = io::keyed_hash(seed_, {kApplySeed, change.group.value});
      shares_.try_emplace(change.group, change.epoch, Applier(change.group, options_, change.next, seed));
    }
    if (options_.on_share) options_.on_share(change);
  }
}

void Membership::take_in() {
  for (auto& [partition, share] : shares_) {
    // Others wait for it: what is not applied is theirs.
    if (!leaving_ && !reader_.revoked(partition, share.epoch)) continue;
    share.applier.drop();
    share.done = std::min(share.done, share.applier.next());
    reader_.give_back(partition, share.epoch, share.applier.next());
  }
  if (leaving_) return;
  const auto has_room = [this](GroupId partition, Epoch epoch) {
    const auto share = shares_.find(partition);
    REEL_ASSERT(share != shares_.end() && share->second.epoch == epoch);
    return share->second.applier.idle();
  };
  reader_.drain(has_room,
                [this](GroupId partition, Epoch, const log::Transaction& transaction, const Bytes& memory) {
                  shares_.at(partition).applier.take(transaction, memory);
                });
}

void Membership::apply_some(Share& share, const io::Now& now, std::uint32_t apply_max) {
  for (std::uint32_t i = 0; i < apply_max && !leaving_; ++i) {
    const auto passed = share.applier.apply_one(now);
    if (!passed) break;
    this->passed(share, *passed);
  }
  if (share.applier.take_news() && options_.on_stopped) {
    options_.on_stopped(share.applier.group(), view_of(share.applier));
  }
}

void Membership::passed(Share& share, const Applier::Passed& passed) {
  if (!options_.done_by_hand) share.done = passed.id + 1;
  reader_.done(share.applier.group(), share.epoch, std::min(share.done, share.applier.next()));
}

void Membership::done(GroupId partition, Epoch epoch, TxnId next) {
  const auto found = shares_.find(partition);
  if (!options_.done_by_hand || found == shares_.end() || found->second.epoch != epoch) return;
  Share& share = found->second;
  const TxnId end = share.applier.applying() ? share.applier.next() + 1 : share.applier.next();
  if (next > end || next <= share.done) return;
  share.done = next;
  reader_.done(partition, epoch, std::min(share.done, share.applier.next()));
}

bool Membership::resume(GroupId partition, Verdict verdict) {
  const auto share = shares_.find(partition);
  if (share == shares_.end() || !share->second.applier.stopped()) return false;
  if (const auto skipped = share->second.applier.resume(verdict)) passed(share->second, *skipped);
  return true;
}

void Membership::leave() {
  leaving_ = true;
  reader_.leave();
}

bool Membership::caught_up() const {
  return reader_.caught_up() && std::all_of(shares_.begin(), shares_.end(),
                                            [](const auto& entry) { return entry.second.applier.idle(); });
}

std::vector<ShareState> Membership::shares() const {
  std::vector<ShareState> states;
  states.reserve(shares_.size());
  for (const auto& [partition, share] : shares_) {
    ShareState state;
    state.partition = partition;
    state.epoch = share.epoch;
    state.next = share.applier.next();
    state.kept = reader_.kept(partition, share.epoch).value_or(TxnId());
    state.status = share.applier.status();
    state.why = share.applier.why();
    states.push_back(std::move(state));
  }
  return states;
}

io::Instant Membership::deadline(const io::Now& now) const {
  io::Instant next = reader_.deadline();
  for (const auto& [partition, share] : shares_) {
    next = std::min(next, share.applier.deadline(now));
    if (share.applier.idle() && reader_.has_news(partition)) next = std::min(next, now.monotonic);
  }
  return next;
}

ViewState Membership::view_of(const Applier& applier) {
  return {applier.status(), applier.next(), applier.next(), applier.why()};
}

}  // namespace reel::client
