#include "model/dependency_graph.h"

#include <algorithm>
#include <deque>

#include "io/ports/assert.h"

namespace reel::model {
namespace {

constexpr std::uint32_t kNobody = UINT32_MAX;

// How a class of cycles is walked. A place is a node together with whether the last edge was rw, as 2 * node + rw; where that
// does not matter, rw is always 0.
struct CycleClass {
  Anomaly anomaly;
  Dependency required;  // a cycle has at least one of these, and is looked for from there
  bool reads_wr;        // wr edges belong to it
  bool rw_anywhere;     // rw edges too, not only the first
  bool rw_never_adjacent;
  // Strongly connected components alone say whether there is one.
  bool decided_by_components() const { return required != Dependency::rw || rw_anywhere; }
};
constexpr CycleClass kClasses[] = {
    {Anomaly::g0, Dependency::ww, false, false, false},
    {Anomaly::g1c, Dependency::wr, true, false, false},
    {Anomaly::g_single, Dependency::rw, true, false, false},
    {Anomaly::g_nonadjacent, Dependency::rw, true, true, true},
    {Anomaly::g2_item, Dependency::rw, true, true, false},
};

}  // namespace

void DependencyGraph::add(std::uint32_t from, const Edge& edge) {
  REEL_CHECK(from < nodes_ && edge.to < nodes_);
  REEL_CHECK(from < transactions_ || edge.kind == Dependency::joint);
  if (from == edge.to) return;
  if (edge.kind <= Dependency::rw) ++dependencies_;
  added_.push_back({from, edge});
}

// A counting sort: the edges of a node stay in the order in which they were added.
void DependencyGraph::arrange() {
  begin_.assign(nodes_ + std::size_t{1}, 0);
  for (const Added& added : added_) ++begin_[added.from + 1];
  for (std::uint32_t node = 0; node < nodes_; ++node) begin_[node + 1] += begin_[node];
  edges_.resize(added_.size());
  std::vector<std::uint64_t> next(begin_.begin(), begin_.end() - 1);
  for (const Added& added : added_) edges_[next[added.from]++] = added.edge;
  added_ = {};
}

// One level's search: which places are strongly connected, and the shortest cycles among them.
class CycleSearch {
 public:
  CycleSearch(const DependencyGraph& graph, std::uint64_t steps_max)
      : graph_(graph), steps_left_(steps_max) {}

  // False: there is no cycle of any kind, and order() is one that explains all edges.
  bool find_knots();
  std::vector<std::uint32_t> order() const;
  // Nothing if there is none, or (out_of_steps()) if none was found in time.
  std::optional<Cycle> find(const CycleClass& wanted, Level level);
  bool out_of_steps() const { return steps_left_ == 0; }

 private:
  using Place = std::uint32_t;
  std::uint32_t node_of(Place place) const { return place >> 1; }
  bool takes(const Edge& edge, Place from) const;
  Place follow(const Edge& edge, Place from) const {
    const bool rw = edge.kind == Dependency::rw || (edge.kind == Dependency::joint && (from & 1) != 0);
    return edge.to << 1 | (wanted_.rw_never_adjacent && rw ? 1u : 0u);
  }
  void connect(bool knots);
  void visit(Place root, bool knots);
  bool starts(std::uint32_t node, const Edge& edge) const;
  void shortest_from(std::uint32_t start);
  void reach(Place from, const Edge& edge, std::uint32_t length, bool from_joint);
  Cycle cycle_to(std::uint32_t start, Place end) const;

  const DependencyGraph& graph_;
  CycleClass wanted_{};
  Level level_{};
  std::uint64_t steps_left_;
  std::vector<std::uint32_t> knot_;       // by node: its component in the graph of everything; kNobody: alone
  std::vector<std::uint32_t> component_;  // by place, for wanted_ and level_

  // Tarjan's algorithm without recursion.
  struct Visit {
    Place place;
    std::uint32_t next;  // edge
  };
  std::vector<std::uint32_t> number_, low_;
  std::vector<Place> stack_;
  std::vector<std::uint32_t> size_;  // by component
  std::uint32_t numbers_ = 0;

  // Breadth first, by transactions.
  struct Reached {
    std::uint32_t search = 0;  // which search wrote this
    std::uint32_t length = 0;
    Place before = 0;
    const Edge* by = nullptr;
  };
  std::vector<Reached> reached_;
  std::deque<Place> queue_;
  std::uint32_t searches_ = 0;
  std::uint32_t best_length_ = kNobody;
  Cycle best_;
};

bool CycleSearch::takes(const Edge& edge, Place from) const {
  if (edge.level > level_) return false;
  switch (edge.kind) {
    case Dependency::wr: return wanted_.reads_wr;
    case Dependency::rw: return wanted_.rw_anywhere && (!wanted_.rw_never_adjacent || (from & 1) == 0);
    default: return true;
  }
}

// Components of all places; with `knots`, of nodes with all of their edges.
void CycleSearch::connect(bool knots) {
  const std::size_t places = std::size_t{graph_.nodes_} * 2;
  number_.assign(places, 0);
  low_.assign(places, 0);
  component_.assign(places, kNobody);
  size_.clear();
  numbers_ = 0;
  for (std::uint32_t node = 0; node < graph_.nodes_; ++node) {
    if (!knots && knot_[node] == kNobody) continue;
    for (Place place = node << 1; place <= (node << 1 | (wanted_.rw_never_adjacent ? 1u : 0u)); ++place) {
      if (number_[place] == 0) visit(place, knots);
    }
  }
}

void CycleSearch::visit(Place root, bool knots) {
  std::vector<Visit> path;
  const auto enter = [&](Place place) {
    number_[place] = low_[place] = ++numbers_;
    stack_.push_back(place);
    path.push_back({place, 0});
  };
  enter(root);
  while (!path.empty()) {
    const Place place = path.back().place;
    const std::span<const Edge> edges = graph_.edges(node_of(place));
    if (path.back().next < edges.size()) {
      const Edge& edge = edges[path.back().next++];
      if (!knots && (knot_[edge.to] != knot_[node_of(place)] || !takes(edge, place))) continue;
      const Place to = knots ? edge.to << 1 : follow(edge, place);
      if (number_[to] == 0) {
        enter(to);
      } else if (component_[to] == kNobody) {
        low_[place] = std::min(low_[place], number_[to]);
      }
      continue;
    }
    path.pop_back();
    if (!path.empty()) low_[path.back().place] = std::min(low_[path.back().place], low_[place]);
    if (low_[place] != number_[place]) continue;
    const auto component = static_cast<std::uint32_t>(size_.size());
    size_.push_back(0);
    for (Place member = kNobody; member != place;) {
      member = stack_.back();
      stack_.pop_back();
      component_[member] = component;
      ++size_[component];
    }
  }
}

bool CycleSearch::find_knots() {
  connect(true);
  knot_.assign(graph_.nodes_, kNobody);
  bool any = false;
  for (std::uint32_t node = 0; node < graph_.nodes_; ++node) {
    const std::uint32_t component = component_[node << 1];
    if (size_[component] < 2) continue;
    knot_[node] = component;
    any = true;
  }
  return any;
}

// Tarjan's algorithm leaves a component when everything behind it has been left.
std::vector<std::uint32_t> CycleSearch::order() const {
  std::vector<std::uint32_t> by_component(size_.size(), kNobody);
  for (std::uint32_t node = 0; node < graph_.transactions_; ++node)
    by_component[component_[node << 1]] = node;
  std::vector<std::uint32_t> order;
  order.reserve(graph_.transactions_);
  for (std::size_t component = by_component.size(); component-- > 0;) {
    if (by_component[component] != kNobody) order.push_back(by_component[component]);
  }
  return order;
}

// True if a cycle of the wanted class may begin with this edge; where components decide, one does.
bool CycleSearch::starts(std::uint32_t node, const Edge& edge) const {
  if (edge.kind != wanted_.required || edge.level > level_ || knot_[edge.to] != knot_[node]) return false;
  if (!wanted_.decided_by_components()) return true;
  return component_[node << 1] == component_[follow(edge, node << 1)];
}

std::optional<Cycle> CycleSearch::find(const CycleClass& wanted, Level level) {
  wanted_ = wanted;
  level_ = level;
  const bool decided = wanted.decided_by_components();
  if (decided) connect(false);
  reached_.resize(std::size_t{graph_.nodes_} * 2);
  best_length_ = kNobody;
  for (std::uint32_t node = 0; node < graph_.transactions_ && best_length_ > 2; ++node) {
    if (knot_[node] == kNobody) continue;
    // Where a cycle is certain, one is found whatever it costs.
    if (steps_left_ == 0 && !(decided && best_length_ == kNobody)) break;
    const std::span<const Edge> edges = graph_.edges(node);
    if (std::any_of(edges.begin(), edges.end(), [&](const Edge& edge) { return starts(node, edge); })) {
      shortest_from(node);
    }
  }
  if (best_length_ == kNobody) return std::nullopt;
  best_.anomaly = at_level(wanted.anomaly, level);
  return best_;
}

void CycleSearch::reach(Place from, const Edge& edge, std::uint32_t length, bool from_joint) {
  const Place to = follow(edge, from);
  Reached& there = reached_[to];
  if (there.search == searches_ && there.length <= length) return;
  there = {searches_, length, from, &edge};
  from_joint ? queue_.push_front(to) : queue_.push_back(to);
}

// Lengths count transactions: leaving a joint is free.
void CycleSearch::shortest_from(std::uint32_t start) {
  ++searches_;
  queue_.clear();
  for (const Edge& edge : graph_.edges(start)) {
    if (starts(start, edge)) reach(start << 1, edge, 1, false);
  }
  while (!queue_.empty()) {
    const Place place = queue_.front();
    queue_.pop_front();
    const std::uint32_t node = node_of(place);
    const std::uint32_t length = reached_[place].length;
    if (length >= best_length_) break;
    if (node == start && (place & 1) == 0) {
      best_length_ = length;
      best_ = cycle_to(start, place);
      return;
    }
    const bool joint = node >= graph_.transactions_;
    for (const Edge& edge : graph_.edges(node)) {
      if (steps_left_ > 0) --steps_left_;
      if (knot_[edge.to] != knot_[start] || !takes(edge, place)) continue;
      reach(place, edge, length + (joint ? 0 : 1), joint);
    }
  }
}

Cycle CycleSearch::cycle_to(std::uint32_t start, Place end) const {
  Cycle cycle;
  Place place = end;
  std::uint32_t after = kNobody;  // of the edge by which a joint was left for a transaction
  do {
    const Reached& here = reached_[place];
    if (here.by->kind == Dependency::joint) {
      if (node_of(place) < graph_.transactions_) {
        cycle.steps.push_back({0, *here.by});
        after = here.by->after;
      }
    } else {
      Edge edge = *here.by;
      if (node_of(place) >= graph_.transactions_) {
        edge.to = cycle.steps.back().edge.to;
        edge.after = after;
        cycle.steps.pop_back();
      }
      cycle.steps.push_back({node_of(here.before), edge});
    }
    place = here.before;
  } while (place != start << 1);
  std::reverse(cycle.steps.begin(), cycle.steps.end());
  return cycle;
}

Cycles DependencyGraph::find_cycles(std::uint64_t steps_max) {
  arrange();
  Cycles cycles;
  CycleSearch search(*this, steps_max);
  if (!search.find_knots()) {
    cycles.order = search.order();
    return cycles;
  }
  bool found[std::size(kClasses)] = {};
  for (const Level level : {Level::plain, Level::process, Level::realtime}) {
    for (std::size_t each = 0; each < std::size(kClasses); ++each) {
      const CycleClass& wanted = kClasses[each];
      // Implied by what was found at this level or a better one: G0 implies G1c, each class of rw the next.
      const std::size_t first = wanted.required == Dependency::rw ? 2 : 0;
      if (std::any_of(found + first, found + each + 1, [](bool is) { return is; })) continue;
      if (auto cycle = search.find(wanted, level)) {
        found[each] = true;
        cycles.found.push_back(std::move(*cycle));
      } else if (!wanted.decided_by_components() && search.out_of_steps()) {
        cycles.undecided |= set_of(at_level(wanted.anomaly, level));
      }
    }
  }
  return cycles;
}

}  // namespace reel::model
