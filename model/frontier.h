// The set of configurations that explain a history so far, kept minimal: an antichain.
//
// A configuration is a state, the closed operations placed already, and the open operations spent. Two that
// agree in the state and in the impure operations placed have the same future steps, but for what they owe
// and what is left to them: one that spent a subset of the other's open operations, and placed a superset of
// its pure ones, can do everything that the other can. The other is dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/sequential.h"
#include "model/slots.h"

namespace reel::model {

template <class Set>
struct BasicConfiguration {
  Set placed;  // closed operations, called and not yet returned, that are in the order already
  Set spent;   // open operations that are in the order
  State state = 0;
  std::uint32_t trail = 0;  // where its order is written down; 0: nowhere
};

template <class Set>
class BasicFrontier {
 public:
  using Configuration = BasicConfiguration<Set>;
  struct Member {
    Configuration configuration;
    std::uint64_t hash = 0;  // of what must be equal for two to be compared
    std::uint32_t next = 0;  // 1 + the next member with the same hash
    bool alive = true;       // false: dropped since
  };

  BasicFrontier() : buckets_(kBucketsMin) {}

  // Nothing if a member is at least as good; otherwise its place, and the members that are no better are
  // dropped. `pure` names the slots of pure operations; it is the same for all members. Places stay valid
  // until clear().
  Configuration* insert(const Configuration& configuration, const Set& pure);
  void clear();

  // Members in order of insertion, dropped ones among them. Grows while it is walked by position.
  std::size_t size() const { return members_.size(); }
  const Member& at(std::size_t position) const { return members_[position]; }
  std::vector<Member>& members() { return members_; }
  std::size_t alive() const { return alive_; }

 private:
  static constexpr std::size_t kBucketsMin = 16;
  struct Bucket {
    std::uint32_t epoch = 0;
    std::uint32_t head = 0;  // 1 + position
  };
  Bucket& bucket_of(std::uint64_t hash);
  void grow();

  std::vector<Member> members_;
  std::vector<Bucket> buckets_;
  std::uint32_t epoch_ = 1;
  std::size_t alive_ = 0;
};

using Configuration = BasicConfiguration<Slots>;
using Frontier = BasicFrontier<Slots>;

}  // namespace reel::model
