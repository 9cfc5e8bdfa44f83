#include "model/frontier.h"

#include "io/ports/checksum.h"

namespace reel::model {
namespace {

template <class Set>
bool same_key(const BasicConfiguration<Set>& a, const BasicConfiguration<Set>& b, const Set& pure) {
  return a.state == b.state && a.placed - pure == b.placed - pure;
}

template <class Set>
std::uint64_t hash_of(const BasicConfiguration<Set>& configuration, const Set& pure) {
  io::Hasher hasher;
  hasher.add(configuration.state);
  (configuration.placed - pure).add_to(hasher);
  return hasher.value();
}

// True if whatever completes `worse` completes `better` as well.
template <class Set>
bool covers(const BasicConfiguration<Set>& better, const BasicConfiguration<Set>& worse, const Set& pure) {
  return better.spent.is_subset_of(worse.spent) && (worse.placed & pure).is_subset_of(better.placed);
}

}  // namespace

template <class Set>
auto BasicFrontier<Set>::bucket_of(std::uint64_t hash) -> Bucket& {
  Bucket& bucket = buckets_[hash & (buckets_.size() - 1)];
  if (bucket.epoch != epoch_) bucket = {epoch_, 0};
  return bucket;
}

template <class Set>
auto BasicFrontier<Set>::insert(const Configuration& configuration, const Set& pure) -> Configuration* {
  if (members_.size() >= buckets_.size()) grow();
  const std::uint64_t hash = hash_of(configuration, pure);
  Bucket& bucket = bucket_of(hash);
  for (std::uint32_t at = bucket.head; at != 0; at = members_[at - 1].next) {
    Member& member = members_[at - 1];
    if (member.hash != hash || !member.alive || !same_key(member.configuration, configuration, pure))
      continue;
    if (covers(member.configuration, configuration, pure)) return nullptr;
    if (covers(configuration, member.configuration, pure)) {
      member.alive = false;
      --alive_;
    }
  }
  members_.push_back({configuration, hash, bucket.head, true});
  bucket.head = static_cast<std::uint32_t>(members_.size());
  ++alive_;
  return &members_.back().configuration;
}

template <class Set>
void BasicFrontier<Set>::grow() {
  buckets_.assign(buckets_.size() * 4, Bucket{});
  epoch_ = 1;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    Bucket& bucket = bucket_of(members_[i].hash);
    members_[i].next = bucket.head;
    bucket.head = static_cast<std::uint32_t>(i + 1);
  }
}

template <class Set>
void BasicFrontier<Set>::clear() {
  members_.clear();
  alive_ = 0;
  if (++epoch_ != 0) return;
  buckets_.assign(buckets_.size(), Bucket{});
  epoch_ = 1;
}

template class BasicFrontier<Slots>;
template class BasicFrontier<FewSlots>;

}  // namespace reel::model
