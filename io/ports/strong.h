// Strong integer types: an index, a size and a term are all 64 bits wide and must never mix.
// A Strong is ordered, hashable and has just the arithmetic of a counter: value + count, value - value.
// A regular, trivially copyable type without padding, so it may be hashed and written as it stands.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace reel::io {

template <class Tag, class Rep = std::uint64_t>
struct Strong {
  Rep value{};

  constexpr Strong() = default;
  constexpr explicit Strong(Rep initial) : value(initial) {}

  constexpr auto operator<=>(const Strong&) const = default;

  constexpr Strong& operator++() {
    ++value;
    return *this;
  }
  constexpr Strong& operator+=(Rep count) {
    value = static_cast<Rep>(value + count);
    return *this;
  }
  friend constexpr Strong operator+(Strong base, Rep count) {
    return Strong(static_cast<Rep>(base.value + count));
  }
  friend constexpr Strong operator-(Strong base, Rep count) {
    return Strong(static_cast<Rep>(base.value - count));
  }
  friend constexpr Rep operator-(Strong a, Strong b) { return static_cast<Rep>(a.value - b.value); }
};

// A participant of the network: replicas and clients alike. 0 is nobody.
using NodeId = Strong<struct NodeIdTag, std::uint64_t>;
// Which cluster a node, a file or a frame belongs to. 0 is none.
using ClusterId = Strong<struct ClusterIdTag, std::uint64_t>;
// Raised and synced by the Driver before each Boot, so that a peer can tell two lives of one node apart.
using Incarnation = Strong<struct IncarnationTag, std::uint64_t>;

}  // namespace reel::io

template <class Tag, class Rep>
struct std::hash<reel::io::Strong<Tag, Rep>> {
  std::size_t operator()(const reel::io::Strong<Tag, Rep>& strong) const noexcept {
    return std::hash<Rep>{}(strong.value);
  }
};
