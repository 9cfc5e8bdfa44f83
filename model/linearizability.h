// The linearizability checker: is there one order of the operations of a history that respects "returned
// before called" and that the sequential model allows? It judges client histories alone and knows nothing of
// nodes.
//
// It sweeps the events once and keeps the set of all configurations that explain them (just-in-time
// linearization: Lowe, "Testing for linearizability", 2017). At a return, those that have not placed the
// operation yet try every order of pending operations that ends with it; who cannot is dropped; when nobody
// is left, that return is the first event which cannot be explained. Prunings:
//   P1  a pure operation is placed as soon as it is legal: it can stand in front of everything else
//   P2  an open operation that would not change the state is not placed: leaving it out allows more
//   P3  of open operations with equal input only the earliest is tried: swapping equals changes nothing
//   P4  antichains (model/frontier.h)
//   P5  open operations that are pure or idle are dropped at once: they constrain nothing
//   P6  in front of an operation that returns, only those are placed that it depends on, directly or through others that are
//       pending: all that commute with these can be placed at a later return as well
// A model may refuse more than it must where it has evidence (sequential.h, key_value.h): what can no longer lead to an outcome
// that is known is not followed.
//
// The sweep stops at the call of an operation whose outcome is not known yet, and goes on when it is; so a
// checker that is fed while a run goes on needs returned() or lost() for every call, sooner or later. Memory:
// what is pending, the frontier, and with `witness` 8 bytes for each operation so far; nothing else grows
// with the history.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "model/frontier.h"
#include "model/history.h"
#include "model/sequential.h"

namespace reel::model {

enum class Verdict : std::uint8_t { ok, illegal, unknown };
enum class WhyUnknown : std::uint8_t {
  none,
  budget,  // steps_max model steps were taken
  window,  // more than Slots::kMax closed operations at once, or open ones that may still matter
};

struct CheckOptions {
  // Model steps, not time: a verdict can be reproduced. At most 2^32 - 1 count.
  std::uint64_t steps_max = 200'000'000;
  // Keep an order that explains the history. check_witness() verifies it.
  bool witness = true;
};

struct CheckResult {
  static constexpr std::uint32_t kNobody = UINT32_MAX;

  Verdict verdict = Verdict::ok;
  WhyUnknown why = WhyUnknown::none;
  // illegal: the operation at whose return no explanation was left, given what pending operations turned out
  // to return. unknown: the one at which the check gave up.
  std::uint32_t offender = kNobody;
  std::vector<std::uint32_t> order;      // ok, with witness: operations in a legal order
  std::uint64_t steps = 0;               // of the model
  std::uint64_t configurations_max = 0;  // the largest frontier
};

// `Set`: how many closed operations, and how many open ones that may still matter, can be pending at once.
template <class Set>
class BasicLinearizabilityChecker {
 public:
  // Numbers operations in order of their calls, from 0.
  using Handle = std::uint32_t;

  // What the model's context points to must outlive the checker.
  explicit BasicLinearizabilityChecker(const SequentialModel& model, CheckOptions options = {});

  // Events in order of time; of events at one time calls come first. Times and outputs in `operation` are
  // ignored.
  Handle call(const Operation& operation);
  void returned(Handle handle, Words output);
  // Nobody will ever know: it stays open.
  void lost(Handle handle);

  // Of what was swept so far. illegal and unknown are final.
  Verdict verdict() const { return result_.verdict; }
  // Whatever has no outcome yet stays open. Call once, last.
  [[nodiscard]] CheckResult finish();

 private:
  using Slots = Set;
  using Configuration = BasicConfiguration<Set>;
  using Frontier = BasicFrontier<Set>;
  enum class Outcome : std::uint8_t { awaited, closed, open };
  struct Pending {
    Operation operation;
    Outcome outcome = Outcome::awaited;
    bool retired = false;    // the sweep is done with it
    std::uint16_t slot = 0;  // closed and called: its slot
  };
  struct Event {
    Handle handle;
    bool is_return;
  };
  struct Active {
    Operation operation;
    Handle handle = 0;
    Slots earlier_twins;                 // open: slots with equal input that were called before
    std::uint64_t touches = UINT64_MAX;  // parts of the state
  };
  struct Link {
    std::uint32_t before;
    Handle handle;
  };

  Pending& pending(Handle handle) { return pending_[handle - pending_base_]; }
  void sweep();
  void retire(Pending& operation);
  void admit_closed(Handle handle, Pending& operation);
  void admit_open(Handle handle, Operation operation);
  void reclaim_spent();
  void on_return(Handle handle, unsigned slot);
  void find_dependents(unsigned slot);
  void expand(const Configuration& from, unsigned slot);
  void arrive(Configuration& to, const Active& placed, unsigned slot);
  Slots settled(State state, const Slots& candidates);
  State step(State state, const Operation& operation);
  std::uint64_t touches(const Operation& operation) const;
  void give_up(WhyUnknown why, Handle handle);

  std::uint32_t link(std::uint32_t before, Handle handle);
  std::uint32_t link_pure(std::uint32_t before, const Slots& pure);
  void compact_trail();
  std::vector<std::uint32_t> order_of(const Configuration& configuration) const;

  SequentialModel model_;
  CheckOptions options_;
  CheckResult result_;
  bool stopped_ = false;
  Handle calls_ = 0;

  std::deque<Pending> pending_;  // from pending_base_ on
  Handle pending_base_ = 0;
  std::deque<Event> events_;  // not swept yet

  std::vector<Active> closed_;  // by slot, as far as one was ever used
  Slots closed_used_;
  Slots pure_;
  std::vector<Active> open_;  // likewise
  Slots open_used_;

  Slots closed_dependents_;  // during a return: who may have to be placed in front of it
  Slots open_dependents_;

  Frontier current_;         // explains everything swept
  Frontier reached_;         // during a return: not yet past it
  Frontier next_;            // during a return: past it
  std::vector<Link> trail_;  // [0] is the empty order
  std::size_t trail_limit_ = 0;
};

using LinearizabilityChecker = BasicLinearizabilityChecker<Slots>;

// A whole history at once, at most 2^32 - 2 operations in any order, none of which returned before it was
// called. The result's operations are positions in `history`.
[[nodiscard]] CheckResult check_linearizability(const SequentialModel& model,
                                                std::span<const Operation> history,
                                                CheckOptions options = {});

}  // namespace reel::model
