#include "model/linearizability.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::model {
namespace {

constexpr std::size_t kTrailMin = 1u << 16;

}  // namespace

template <class Set>
BasicLinearizabilityChecker<Set>::BasicLinearizabilityChecker(const SequentialModel& model,
                                                              CheckOptions options)
    : model_(model), options_(options), trail_(1), trail_limit_(kTrailMin) {
  options_.steps_max = std::min<std::uint64_t>(options_.steps_max, UINT32_MAX);
  current_.insert(Configuration{{}, {}, model_.initial, 0}, {});
}

// ---- events, in order

template <class Set>
auto BasicLinearizabilityChecker<Set>::call(const Operation& operation) -> Handle {
  const Handle handle = calls_++;
  if (stopped_) return handle;
  pending_.push_back({operation, Outcome::awaited, false, 0});
  events_.push_back({handle, false});
  return handle;
}

template <class Set>
void BasicLinearizabilityChecker<Set>::returned(Handle handle, Words output) {
  if (stopped_) return;
  Pending& operation = pending(handle);
  REEL_CHECK(operation.outcome == Outcome::awaited);
  operation.outcome = Outcome::closed;
  operation.operation.output = output;
  operation.operation.returned = 0;
  events_.push_back({handle, true});
  sweep();
}

template <class Set>
void BasicLinearizabilityChecker<Set>::lost(Handle handle) {
  if (stopped_) return;
  Pending& operation = pending(handle);
  REEL_CHECK(operation.outcome == Outcome::awaited);
  operation.outcome = Outcome::open;
  operation.operation.returned = Operation::kOpen;
  sweep();
}

template <class Set>
CheckResult BasicLinearizabilityChecker<Set>::finish() {
  for (Pending& operation : pending_) {
    if (operation.outcome != Outcome::awaited) continue;
    operation.outcome = Outcome::open;
    operation.operation.returned = Operation::kOpen;
  }
  sweep();
  if (result_.verdict != Verdict::ok || !options_.witness) return std::move(result_);
  for (std::size_t i = 0; i < current_.size(); ++i) {
    if (!current_.at(i).alive) continue;
    result_.order = order_of(current_.at(i).configuration);
    break;
  }
  return std::move(result_);
}

template <class Set>
void BasicLinearizabilityChecker<Set>::sweep() {
  while (!stopped_ && !events_.empty()) {
    const Event event = events_.front();
    Pending& operation = pending(event.handle);
    if (operation.outcome == Outcome::awaited) return;
    events_.pop_front();
    if (event.is_return) {
      on_return(event.handle, operation.slot);
      retire(operation);
    } else if (operation.outcome == Outcome::closed) {
      admit_closed(event.handle, operation);
    } else {
      admit_open(event.handle, operation.operation);
      retire(operation);
    }
  }
  if (!stopped_) return;
  pending_.clear();
  events_.clear();
}

template <class Set>
void BasicLinearizabilityChecker<Set>::retire(Pending& operation) {
  operation.retired = true;
  while (!pending_.empty() && pending_.front().retired) {
    pending_.pop_front();
    ++pending_base_;
  }
}

template <class Set>
void BasicLinearizabilityChecker<Set>::give_up(WhyUnknown why, Handle handle) {
  result_.verdict = Verdict::unknown;
  result_.why = why;
  result_.offender = handle;
  stopped_ = true;
}

template <class Set>
State BasicLinearizabilityChecker<Set>::step(State state, const Operation& operation) {
  ++result_.steps;
  return model_.step(model_.context, state, operation);
}

template <class Set>
std::uint64_t BasicLinearizabilityChecker<Set>::touches(const Operation& operation) const {
  return model_.touches == nullptr ? UINT64_MAX : model_.touches(model_.context, operation);
}

// ---- calls

template <class Set>
void BasicLinearizabilityChecker<Set>::admit_closed(Handle handle, Pending& operation) {
  const unsigned slot = closed_used_.first_free();
  if (slot == Slots::kMax) return give_up(WhyUnknown::window, handle);
  closed_used_.add(slot);
  operation.slot = static_cast<std::uint16_t>(slot);
  if (slot == closed_.size()) closed_.emplace_back();
  closed_[slot] = {operation.operation, handle, {}, touches(operation.operation)};
  if (!model_.pure(model_.context, operation.operation)) return;
  pure_.add(slot);
  for (auto& member : current_.members()) {
    if (!member.alive) continue;
    Configuration& at = member.configuration;
    const Slots gained = settled(at.state, Slots::only(slot));
    at.placed |= gained;
    at.trail = link_pure(at.trail, gained);
  }
}

template <class Set>
void BasicLinearizabilityChecker<Set>::admit_open(Handle handle, Operation operation) {
  // P5: it may be left out, and whoever leaves it out has the same future.
  if (model_.pure(model_.context, operation) || model_.idle(model_.context, operation)) return;
  reclaim_spent();
  const unsigned slot = open_used_.first_free();
  if (slot == Slots::kMax) return give_up(WhyUnknown::window, handle);
  Slots twins;
  open_used_.for_each([&](unsigned other) {
    const Operation& earlier = open_[other].operation;
    if (earlier.verb == operation.verb && earlier.input == operation.input) twins.add(other);
  });
  open_used_.add(slot);
  if (slot == open_.size()) open_.emplace_back();
  open_[slot] = {operation, handle, twins, touches(operation)};
}

// What every explanation has spent cannot be spent again: its slot is free.
template <class Set>
void BasicLinearizabilityChecker<Set>::reclaim_spent() {
  Slots everywhere = open_used_;
  for (const auto& member : current_.members()) {
    if (member.alive) everywhere &= member.configuration.spent;
  }
  if (everywhere.empty()) return;
  for (auto& member : current_.members()) member.configuration.spent -= everywhere;
  open_used_ -= everywhere;
  open_used_.for_each([&](unsigned slot) { open_[slot].earlier_twins -= everywhere; });
}

// ---- returns

template <class Set>
void BasicLinearizabilityChecker<Set>::on_return(Handle handle, unsigned slot) {
  reached_.clear();
  next_.clear();
  for (const auto& member : current_.members()) {
    if (!member.alive) continue;
    Configuration at = member.configuration;
    const bool past = at.placed.has(slot);
    at.placed.remove(slot);
    (past ? next_ : reached_).insert(at, pure_);
  }
  find_dependents(slot);
  for (std::size_t i = 0; i < reached_.size(); ++i) {
    if (!reached_.at(i).alive) continue;
    const Configuration from = reached_.at(i).configuration;
    expand(from, slot);
    if (result_.steps > options_.steps_max) return give_up(WhyUnknown::budget, handle);
  }
  if (next_.alive() == 0) {
    result_.verdict = Verdict::illegal;
    result_.offender = handle;
    stopped_ = true;
    return;
  }
  closed_used_.remove(slot);
  pure_.remove(slot);
  std::swap(current_, next_);
  result_.configurations_max = std::max<std::uint64_t>(result_.configurations_max, current_.alive());
  compact_trail();
}

// The pending operations that are connected with this one by parts of the state that they share.
template <class Set>
void BasicLinearizabilityChecker<Set>::find_dependents(unsigned slot) {
  closed_dependents_ = closed_used_ - pure_;
  open_dependents_ = open_used_;
  if (model_.touches == nullptr) return;
  std::uint64_t parts = closed_[slot].touches;
  for (std::uint64_t before = 0; parts != before;) {
    before = parts;
    const auto spread = [&](const Active& active) {
      if ((active.touches & parts) != 0) parts |= active.touches;
    };
    closed_dependents_.for_each([&](unsigned closed) { spread(closed_[closed]); });
    open_dependents_.for_each([&](unsigned open) { spread(open_[open]); });
  }
  Slots apart;
  closed_dependents_.for_each([&](unsigned closed) {
    if ((closed_[closed].touches & parts) == 0) apart.add(closed);
  });
  closed_dependents_ -= apart;
  apart = {};
  open_dependents_.for_each([&](unsigned open) {
    if ((open_[open].touches & parts) == 0) apart.add(open);
  });
  open_dependents_ -= apart;
}

// Every dependent that is called and not placed may come next: all that returned before are placed.
template <class Set>
void BasicLinearizabilityChecker<Set>::expand(const Configuration& from, unsigned slot) {
  (closed_dependents_ - from.placed).for_each([&](unsigned closed) {
    const State state = step(from.state, closed_[closed].operation);
    if (state == kRefused) return;
    Configuration to{from.placed, from.spent, state, from.trail};
    to.placed.add(closed);
    arrive(to, closed_[closed], slot);
  });
  (open_dependents_ - from.spent).for_each([&](unsigned open) {
    // P3: in any order in which this one is spent and an earlier equal one is not, the two may be swapped.
    if (!open_[open].earlier_twins.is_subset_of(from.spent)) return;
    const State state = step(from.state, open_[open].operation);
    // P2: leaving it out here gives the same state and keeps it for later.
    if (state == kRefused || state == from.state) return;
    Configuration to{from.placed, from.spent, state, from.trail};
    to.spent.add(open);
    arrive(to, open_[open], slot);
  });
}

template <class Set>
void BasicLinearizabilityChecker<Set>::arrive(Configuration& to, const Active& placed, unsigned slot) {
  // P1: whatever order completes the history from here, a pure operation that is legal now can be moved to
  // its front.
  const Slots gained = settled(to.state, pure_ - to.placed);
  to.placed |= gained;
  const bool past = to.placed.has(slot);
  to.placed.remove(slot);
  Configuration* kept = (past ? next_ : reached_).insert(to, pure_);
  if (kept != nullptr) kept->trail = link_pure(link(to.trail, placed.handle), gained);
}

// Those of the pure candidates that are legal in this state.
template <class Set>
Set BasicLinearizabilityChecker<Set>::settled(State state, const Slots& candidates) {
  Slots legal;
  candidates.for_each([&](unsigned slot) {
    const State after = step(state, closed_[slot].operation);
    REEL_CHECK(after == kRefused || after == state);
    if (after == state) legal.add(slot);
  });
  return legal;
}

// ---- the order, as far as it is wanted

template <class Set>
std::uint32_t BasicLinearizabilityChecker<Set>::link(std::uint32_t before, Handle handle) {
  if (!options_.witness) return 0;
  REEL_CHECK(trail_.size() < UINT32_MAX);
  trail_.push_back({before, handle});
  return static_cast<std::uint32_t>(trail_.size() - 1);
}

template <class Set>
std::uint32_t BasicLinearizabilityChecker<Set>::link_pure(std::uint32_t before, const Slots& pure) {
  pure.for_each([&](unsigned slot) { before = link(before, closed_[slot].handle); });
  return before;
}

// Keeps only the orders of who is left. A link's predecessor always stands before it, so one pass renumbers
// them.
template <class Set>
void BasicLinearizabilityChecker<Set>::compact_trail() {
  if (trail_.size() < trail_limit_) return;
  std::vector<std::uint32_t> place(trail_.size());
  for (const auto& member : current_.members()) {
    if (!member.alive) continue;
    for (std::uint32_t at = member.configuration.trail; at != 0 && place[at] == 0; at = trail_[at].before)
      place[at] = 1;
  }
  std::uint32_t kept = 1;
  for (std::size_t at = 1; at < trail_.size(); ++at) {
    if (place[at] == 0) continue;
    trail_[kept] = {place[trail_[at].before], trail_[at].handle};
    place[at] = kept++;
  }
  trail_.resize(kept);
  for (auto& member : current_.members()) member.configuration.trail = place[member.configuration.trail];
  trail_limit_ = std::max<std::size_t>(kTrailMin, std::size_t{kept} * 2);
}

template <class Set>
std::vector<std::uint32_t> BasicLinearizabilityChecker<Set>::order_of(
    const Configuration& configuration) const {
  std::vector<std::uint32_t> order;
  for (std::uint32_t at = configuration.trail; at != 0; at = trail_[at].before)
    order.push_back(trail_[at].handle);
  std::reverse(order.begin(), order.end());
  return order;
}

template class BasicLinearizabilityChecker<Slots>;
template class BasicLinearizabilityChecker<FewSlots>;

// ---- a whole history

namespace {

struct Moment {
  std::uint64_t time;
  bool is_return;
  std::uint32_t at;
  auto operator<=>(const Moment&) const = default;
};

std::vector<Moment> moments_of(std::span<const Operation> history) {
  REEL_CHECK(history.size() < CheckResult::kNobody);
  std::vector<Moment> moments;
  moments.reserve(history.size() * 2);
  for (std::uint32_t at = 0; at < history.size(); ++at) {
    REEL_CHECK(history[at].call <= history[at].returned);
    moments.push_back({history[at].call, false, at});
    if (!history[at].open()) moments.push_back({history[at].returned, true, at});
  }
  std::sort(moments.begin(), moments.end());
  return moments;
}

template <class Set>
CheckResult sweep_of(const SequentialModel& model, std::span<const Operation> history,
                     std::span<const Moment> moments, const CheckOptions& options) {
  BasicLinearizabilityChecker<Set> checker(model, options);
  std::vector<std::uint32_t> handles(history.size());
  std::vector<std::uint32_t> positions;  // by handle
  positions.reserve(history.size());
  for (const Moment& moment : moments) {
    const Operation& operation = history[moment.at];
    if (moment.is_return) {
      checker.returned(handles[moment.at], operation.output);
      if (checker.verdict() != Verdict::ok) break;
      continue;
    }
    handles[moment.at] = checker.call(operation);
    positions.push_back(moment.at);
    if (operation.open()) checker.lost(handles[moment.at]);
  }
  CheckResult result = checker.finish();
  if (result.offender != CheckResult::kNobody) result.offender = positions[result.offender];
  for (std::uint32_t& at : result.order) at = positions[at];
  return result;
}

}  // namespace

CheckResult check_linearizability(const SequentialModel& model, std::span<const Operation> history,
                                  CheckOptions options) {
  const std::vector<Moment> moments = moments_of(history);
  CheckResult result = sweep_of<FewSlots>(model, history, moments, options);
  if (result.why == WhyUnknown::window) result = sweep_of<Slots>(model, history, moments, options);
  return result;
}

}  // namespace reel::model
