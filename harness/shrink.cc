#include "harness/shrink.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "harness/simulation.h"

namespace reel::harness {
namespace {

using sim::Choice;
using Clock = std::chrono::steady_clock;

// How late, how fast, in which order: what every run has, and few failures need.
constexpr std::array kTiming{Choice::tie,         Choice::wake_late, Choice::boot_delay,  Choice::net_base,
                             Choice::net_latency, Choice::net_codec, Choice::disk_latency};
// What faults, cores and clients choose while they go on.
constexpr std::array kOther{Choice::net_reset,     Choice::core,        Choice::disk_garbage,
                            Choice::disk_sector,   Choice::disk_crash,  Choice::crash_point,
                            Choice::net_duplicate, Choice::net_reorder, Choice::net_tail,
                            Choice::net_drop,      Choice::workload,    Choice::fault_strike};
// A run that shrinks should not become longer; one that is stuck until its end may be somewhat.
constexpr std::uint64_t kEventsFactor = 3;
constexpr std::uint64_t kEventsSpare = 200'000;
constexpr io::Duration kStormMin = io::milliseconds(50);
// Worlds in which a candidate is tried, by round: more when little else is left to try.
constexpr std::array<std::uint64_t, 4> kWorlds{1, 3, 8, 16};
constexpr std::uint64_t kWorldsForTiming = 8;
constexpr std::uint64_t kWorldsForKinds = 4;
// Other seeds, of clusters of the same workload, that are hunted for the same failure without timing noise.
constexpr std::uint64_t kSeedsHunted = 120;
constexpr std::uint64_t kHunted = 0x68'756e'7465'64;
// A candidate that has not failed by so long after its original passes.
constexpr io::Duration kTimeSpare = io::milliseconds(500);
constexpr io::Duration kHuntMin = io::seconds(5);

bool is_timing(Choice kind) { return std::find(kTiming.begin(), kTiming.end(), kind) != kTiming.end(); }
bool is_other(Choice kind) { return std::find(kOther.begin(), kOther.end(), kind) != kOther.end(); }
std::size_t index_of(Choice kind) { return static_cast<std::size_t>(kind); }

bool strikes(sim::FaultKind kind) {
  using Kind = sim::FaultKind;
  return kind == Kind::net_clog || kind == Kind::net_reset || kind == Kind::disk_stall ||
         kind == Kind::node_crash || kind == Kind::node_crash_loop || kind == Kind::node_restart_all ||
         kind == Kind::node_pause || kind == Kind::client_crash;
}

std::uint64_t decisions_of(const Trial& trial, const std::vector<sim::Override>& draws) {
  std::uint64_t count = 0;
  for (const sim::Override& draw : draws) {
    if (is_timing(draw.key.kind) || is_other(draw.key.kind) || is_knob(draw.key)) ++count;
  }
  for (const sim::FaultProgram& program : trial.options.cuts.plan->programs) {
    if (!strikes(program.kind)) ++count;
  }
  return count;
}

class Shrinker {
 public:
  explicit Shrinker(const ShrinkOptions& options) : options_(options) {}

  std::expected<Shrunk, std::string> run(const Trial& failing) {
    current_ = failing;
    limits_.jobs = std::max(1u, options_.jobs);
    const TrialOutcome first = run_trial(failing, limits_, true);
    if (first.end == TrialEnd::passed)
      return std::unexpected("the run does not fail: there is nothing to shrink");
    if (first.end == TrialEnd::unending)
      return std::unexpected(
          "the run does not end: only a run that an oracle or an assertion ends can be shrunk");
    if (first.end == TrialEnd::crashed) {
      return std::unexpected("the run dies of signal " + std::to_string(first.signal) +
                             ": only a run that an oracle or an assertion ends can be shrunk");
    }
    signature_ = signature_of(first.failure);
    keeps_workload_ = first.failure.oracle == "liveness";
    limits_.events_max = first.events * kEventsFactor + kEventsSpare;
    limits_.time_max = later_than(first.time_ns);
    learn();
    Shrunk shrunk;
    shrunk.before = size_of(current_, first);
    if (run_all() && !spent()) shrunk.complete = true;
    shrunk.trial = current_;
    limits_.time_max = io::kNever;
    const TrialOutcome last = run_trial(current_, limits_, true);
    if (!last.has(signature_))
      return std::unexpected("the same run ended in two ways: it reads something undrawn");
    shrunk.failure = last.failure;
    shrunk.signature = signature_;
    shrunk.after = size_of(current_, last);
    shrunk.runs = runs_;
    shrunk.seconds = seconds();
    return shrunk;
  }

 private:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  bool spent() const {
    if (options_.runs_max != 0 && runs_ >= options_.runs_max) return true;
    return options_.seconds_max > 0 && seconds() > options_.seconds_max;
  }

  static io::Instant later_than(std::int64_t time_ns) {
    return io::Instant{time_ns} + io::nanoseconds(time_ns / 2) + kTimeSpare;
  }

  // What the run is made of, for passes that leave parts of it out.
  void learn() {
    const Simulation made(current_.options, current_.overrides);
    clients_ = made.clients();
    if (!current_.options.cuts.plan) current_.options.cuts.plan = made.plan();
    nodes_ = made.shape().nodes;
    storm_ = made.shape().storm;
  }

  Size size_of(const Trial& trial, const TrialOutcome& outcome) const {
    Size size;
    size.decisions = decisions_of(trial, outcome.draws);
    size.nodes = trial.options.nodes.value_or(nodes_);
    const std::vector<NodeId>& without = trial.options.cuts.without;
    size.clients =
        static_cast<std::uint32_t>(std::count_if(clients_.begin(), clients_.end(), [&](NodeId client) {
          return std::find(without.begin(), without.end(), client) == without.end();
        }));
    size.commits = outcome.commits;
    size.events = outcome.events;
    size.time_ns = outcome.time_ns;
    return size;
  }

  // The first candidate that fails in the same way becomes the run; nullopt if none does.
  std::optional<std::size_t> adopt_first(std::vector<Trial> candidates) {
    if (options_.runs_max != 0) {
      const std::uint64_t left = options_.runs_max - std::min(runs_, options_.runs_max);
      if (candidates.size() > left) candidates.resize(static_cast<std::size_t>(left));
    }
    // In small parts, so that the bound in seconds is looked at.
    const std::size_t part = 2 * static_cast<std::size_t>(limits_.jobs);
    for (std::size_t from = 0; from < candidates.size() && !spent(); from += part) {
      const std::size_t count = std::min(part, candidates.size() - from);
      const auto found = first_with(signature_, std::span(candidates).subspan(from, count), limits_);
      runs_ += found ? found->index + 1 : count;
      if (options_.progress) options_.progress({runs_, seconds(), pass_});
      if (!found) continue;
      current_ = std::move(candidates[from + found->index]);
      limits_.time_max = std::min(limits_.time_max, later_than(found->outcome.time_ns));
      changed_ = true;
      return from + found->index;
    }
    return std::nullopt;
  }

  // The candidate in so many worlds: its own first.
  void add_worlds(const Trial& candidate, std::uint64_t worlds, std::vector<Trial>& to) {
    to.push_back(candidate);
    for (std::uint64_t world = 1; world < worlds; ++world) {
      to.push_back(candidate);
      to.back().options.cuts.respin = respins_ + world;
    }
  }
  bool adopt(const Trial& candidate, std::uint64_t worlds) {
    std::vector<Trial> candidates;
    add_worlds(candidate, worlds, candidates);
    const bool adopted = adopt_first(std::move(candidates)).has_value();
    respins_ += worlds;
    return adopted;
  }

  // Delta debugging: as few of `items` as do. make(kept) is the candidate that has only those.
  template <class Item, class Make>
  void reduce(std::vector<Item> items, const Make& make) {
    if (items.empty() || spent()) return;
    if (adopt(make(std::vector<Item>{}), worlds_)) return;
    for (std::size_t part = (items.size() + 1) / 2; part > 0 && !spent(); part /= 2) {
      for (std::size_t at = 0; at < items.size() && items.size() > 1 && !spent();) {
        std::vector<Trial> candidates;
        std::vector<std::vector<Item>> rests;
        for (std::size_t from = at; from < items.size(); from += part) {
          std::vector<Item> rest;
          for (std::size_t i = 0; i < items.size(); ++i) {
            if (i < from || i >= from + part) rest.push_back(items[i]);
          }
          candidates.push_back(make(rest));
          rests.push_back(std::move(rest));
          if (candidates.size() >= 2 * static_cast<std::size_t>(limits_.jobs)) break;
        }
        const std::size_t tried = candidates.size();
        const auto found = adopt_first(std::move(candidates));
        if (found) {
          at += *found * part;
          items = std::move(rests[*found]);
        } else {
          at += tried * part;
        }
      }
    }
  }

  // ---- passes

  bool run_all() {
    pass_ = "timing";
    quiet_timing();
    for (std::size_t round = 0; round < kWorlds.size() && !spent();) {
      changed_ = false;
      worlds_ = kWorlds[round];
      cut_time();
      drop_clients();
      drop_programs();
      neutralise(kOther);
      drop_nodes();
      drop_knobs();
      drop_requests();
      for (const Choice kind : kOther) drop_choices(kind);
      neutralise(kTiming);
      for (const Choice kind : kTiming) drop_choices(kind);
      if (!changed_) ++round;
    }
    return !changed_;
  }

  // The same run without timing noise; or one of another seed that fails so: what chance alone brought about in this
  // cluster, it brings about in others. Else as many kinds of it as may go.
  void quiet_timing() {
    Trial candidate = current_;
    for (const Choice kind : kTiming) candidate.options.cuts.neutral.set(index_of(kind));
    if (adopt(candidate, kWorldsForTiming)) return;
    pass_ = "other seeds";
    const io::Instant time_max = limits_.time_max;
    limits_.time_max = std::max(time_max, io::Instant{} + kHuntMin);
    const sim::ChoiceSet neutral = candidate.options.cuts.neutral;
    candidate.overrides.clear();
    candidate.options.cuts = {};  // of another cluster's clients and programs
    candidate.options.cuts.neutral = neutral;
    std::vector<Trial> candidates(kSeedsHunted, candidate);
    for (std::uint64_t i = 0; i < candidates.size(); ++i) {
      SimulationOptions& options = candidates[i].options;
      options.seed = io::keyed_hash(current_.options.seed, {kHunted, i});
      options.nodes = std::min(nodes_, 3u);
      if (i % 2 == 1 && options.setting == Setting::normal) options.setting = Setting::harsh;
    }
    if (adopt_first(std::move(candidates))) return learn();
    limits_.time_max = time_max;
    worlds_ = kWorldsForKinds;
    neutralise(kTiming);
  }

  // A client that always chooses the same may never come to its end, whatever the cluster does: in a run that is said to be
  // stuck, clients keep their choices.
  bool may_go(Choice kind) const { return kind != Choice::workload || !keeps_workload_; }

  template <class Kinds>
  void neutralise(const Kinds& kinds) {
    pass_ = "kinds of choices";
    for (const Choice kind : kinds) {
      if (current_.options.cuts.neutral[index_of(kind)] || !may_go(kind) || spent()) continue;
      Trial candidate = current_;
      candidate.options.cuts.neutral.set(index_of(kind));
      (void)adopt(candidate, std::max(worlds_, kWorldsForKinds));
    }
  }

  void cut_time() {
    pass_ = "time";
    bool shorter = true;
    while (shorter && !spent()) {
      const io::Duration now = current_.options.cuts.storm.value_or(storm_);
      if (now < kStormMin) break;
      std::vector<Trial> candidates;
      for (const std::int64_t share : {8, 4, 2}) {
        candidates.push_back(current_);
        candidates.back().options.cuts.storm = now / share;
      }
      shorter = adopt_first(std::move(candidates)).has_value();
    }
  }

  void drop_clients() {
    pass_ = "clients";
    const std::vector<NodeId>& without = current_.options.cuts.without;
    std::vector<NodeId> there;
    for (const NodeId client : clients_) {
      if (std::find(without.begin(), without.end(), client) == without.end()) there.push_back(client);
    }
    reduce(there, [this](const std::vector<NodeId>& kept) {
      Trial candidate = current_;
      candidate.options.cuts.without.clear();
      for (const NodeId client : clients_) {
        if (std::find(kept.begin(), kept.end(), client) == kept.end())
          candidate.options.cuts.without.push_back(client);
      }
      return candidate;
    });
  }

  void drop_programs() {
    pass_ = "fault programs";
    reduce(current_.options.cuts.plan->programs, [this](const std::vector<sim::FaultProgram>& kept) {
      Trial candidate = current_;
      candidate.options.cuts.plan->programs = kept;
      return candidate;
    });
  }

  void drop_nodes() {
    pass_ = "nodes";
    const std::uint32_t nodes = current_.options.nodes.value_or(nodes_);
    std::vector<Trial> candidates;
    for (std::uint32_t fewer = 1; fewer < nodes; ++fewer) {
      Trial candidate = current_;
      candidate.options.nodes = fewer;
      add_worlds(candidate, worlds_, candidates);
    }
    respins_ += worlds_;
    (void)adopt_first(std::move(candidates));
  }

  void drop_knobs() {
    pass_ = "options";
    if (spent()) return;
    std::vector<sim::ChoiceKey> on;
    for (const sim::Override& draw : draws()) {
      if (is_knob(draw.key)) on.push_back(draw.key);
    }
    reduce(on, [this, on](const std::vector<sim::ChoiceKey>& kept) {
      Trial candidate = current_;
      for (const sim::ChoiceKey& key : on) {
        std::erase_if(candidate.overrides, [&key](const sim::Override& each) { return each.key == key; });
        if (std::find(kept.begin(), kept.end(), key) == kept.end()) candidate.overrides.push_back({key, 0});
      }
      return candidate;
    });
  }

  void drop_requests() {
    pass_ = "requests";
    const std::uint32_t now = current_.options.cuts.requests.value_or(UINT32_MAX);
    std::vector<Trial> candidates;
    for (const std::uint32_t fewer : {1u, 2u, 3u, 5u, 8u, 16u, 32u, 64u, 128u}) {
      if (fewer >= now) break;
      candidates.push_back(current_);
      candidates.back().options.cuts.requests = fewer;
    }
    (void)adopt_first(std::move(candidates));
  }

  // Of one kind, those choices that the failure needs; the others are neutral.
  void drop_choices(Choice kind) {
    pass_ = name_of(kind);
    if (!may_go(kind) || spent()) return;
    std::vector<sim::Override> chosen;
    for (const sim::Override& draw : draws()) {
      if (draw.key.kind == kind) chosen.push_back(draw);
    }
    reduce(chosen, [this, kind](const std::vector<sim::Override>& kept) {
      Trial candidate = current_;
      candidate.options.cuts.neutral.set(index_of(kind));
      std::erase_if(candidate.overrides, [kind](const sim::Override& each) { return each.key.kind == kind; });
      candidate.overrides.insert(candidate.overrides.end(), kept.begin(), kept.end());
      return candidate;
    });
  }

  // What the run chooses that is not neutral. A run of its own, asked for again only when something has changed.
  const std::vector<sim::Override>& draws() {
    if (!drawn_ || changed_since_drawn()) {
      drawn_ = run_trial(current_, limits_, true).draws;
      drawn_of_ = current_;
      ++runs_;
    }
    return *drawn_;
  }
  bool changed_since_drawn() const {
    return drawn_of_.overrides != current_.overrides ||
           drawn_of_.options.to_map() != current_.options.to_map();
  }

  ShrinkOptions options_;
  Clock::time_point start_ = Clock::now();
  TrialLimits limits_;
  Trial current_;
  std::string signature_;
  std::vector<NodeId> clients_;
  std::uint32_t nodes_ = 0;
  io::Duration storm_;
  std::uint64_t runs_ = 0;
  std::uint64_t worlds_ = 1;
  std::uint64_t respins_ = 0;  // no world is tried for two candidates
  bool changed_ = false;
  bool keeps_workload_ = false;
  const char* pass_ = "";
  std::optional<std::vector<sim::Override>> drawn_;
  Trial drawn_of_;
};

}  // namespace

std::expected<Shrunk, std::string> shrink(const Trial& failing, const ShrinkOptions& options) {
  return Shrinker(options).run(failing);
}

}  // namespace reel::harness
