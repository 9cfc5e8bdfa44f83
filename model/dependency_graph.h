// A graph of dependencies between transactions, and its cycles.
//
// Nodes are transactions 0 to n - 1 and joints. A joint stands for no transaction: it lets many precede many with few edges
// (everything that returned before this call; all readers of the last version and all who wrote behind it). What leaves a
// joint has the kind of what entered it, so a joint is entered by edges of any kind and left by `joint` edges only; nothing
// comes back to the transaction that it left without passing another one.
//
// Whether there is a cycle of a class is decided exactly by strongly connected components: for cycles without adjacent rw, of
// the graph whose nodes also say whether the last edge was rw (Cerone and Gotsman, "Analysing Snapshot Isolation", 2018); only
// cycles with a single rw need a search from each. Cost: linear where there are no cycles, and where there are, steps_max
// edges to find short ones.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "model/isolation.h"

namespace reel::model {

enum class Dependency : std::uint8_t { ww, wr, rw, process, realtime, joint };

struct Edge {
  static constexpr std::uint32_t kNone = UINT32_MAX;

  std::uint32_t to = 0;
  Dependency kind{};
  Level level{};                 // what the dependency was inferred from
  std::uint32_t key = kNone;     // for explanations: which key,
  std::uint32_t before = kNone;  // the write that `from` made or read; kNone: the initial version
  std::uint32_t after = kNone;   // and the write that `to` made or read
};

// From one transaction to the next, joints skipped.
struct CycleStep {
  std::uint32_t from = 0;
  Edge edge;
};

struct Cycle {
  Anomaly anomaly{};
  std::vector<CycleStep> steps;
};

struct Cycles {
  std::vector<Cycle> found;  // at most one of each class and level, the shortest that was seen
  Anomalies undecided = 0;   // not found, but steps_max ended the search
  // Where there is no cycle at all: the transactions, each behind everything that it depends on at any level.
  std::vector<std::uint32_t> order;
};

class DependencyGraph {
 public:
  explicit DependencyGraph(std::uint32_t transactions) : transactions_(transactions), nodes_(transactions) {}

  std::uint32_t add_joint() { return nodes_++; }
  void add(std::uint32_t from, const Edge& edge);
  // No transaction is its own dependency: such edges are not added.
  void add(std::uint32_t from, std::uint32_t to, Dependency kind, Level level = Level::plain,
           std::uint32_t key = Edge::kNone, std::uint32_t before = Edge::kNone,
           std::uint32_t after = Edge::kNone) {
    add(from, Edge{to, kind, level, key, before, after});
  }
  std::uint64_t dependencies() const { return dependencies_; }  // ww, wr and rw that were added

  // Classes that an earlier, equal or worse class at an equal or better level implies are left out. Call once, last.
  [[nodiscard]] Cycles find_cycles(std::uint64_t steps_max);

 private:
  friend class CycleSearch;
  struct Added {
    std::uint32_t from;
    Edge edge;
  };
  void arrange();
  std::span<const Edge> edges(std::uint32_t node) const {
    return {edges_.data() + begin_[node], begin_[node + 1] - begin_[node]};
  }

  std::uint32_t transactions_;
  std::uint32_t nodes_;
  std::uint64_t dependencies_ = 0;
  std::vector<Added> added_;
  std::vector<std::uint64_t> begin_;  // arranged: the edges of node v are [begin_[v], begin_[v + 1])
  std::vector<Edge> edges_;
};

}  // namespace reel::model
