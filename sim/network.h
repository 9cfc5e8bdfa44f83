// The network between machines: directed links, connections per pair, and the calls of io::Service and
// io::Remote, which travel on the same links and suffer the same faults. Per link parcels arrive in order,
// unless net.reorder is on.
//
// A connection of a pair is opened by the first parcel; both ends hear peer_up. It ends by a crash of one end
// or by a reset: parcels in flight on it are lost, and whether and when the surviving end hears peer_down is
// drawn. A parcel to a machine that is down or cut off is lost without a word.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "io/ports/network.h"
#include "io/ports/service.h"
#include "io/ports/time.h"
#include "sim/event.h"
#include "sim/fault_kind.h"

namespace reel::sim {

class World;

struct NetworkOptions {
  // One-way latency: base, drawn once per pair between these bounds, and an exponential of this mean on top.
  io::Duration base_min = io::microseconds(50);
  io::Duration base_max = io::microseconds(500);
  io::Duration jitter_mean = io::microseconds(50);
  std::uint32_t link_parcels_max = 4096;  // in flight per directed link; more are dropped
  std::uint32_t codec_permille = 0;       // share of parcels that are really encoded and decoded
  // After a crash or a reset the other end learns of it in this share of cases, within this time.
  std::uint32_t reset_permille = 700;
  io::Duration reset_delay_max = io::milliseconds(200);
};

// What the fault programs have switched on for one directed link; rebuilt whenever a program starts or ends.
struct LinkFaults {
  std::uint32_t drop_permille = 0;
  std::uint32_t duplicate_permille = 0;
  std::uint32_t reorder_permille = 0;
  std::uint32_t tail_permille = 0;
  io::Duration delay_mean;  // net.delay
  io::Duration tail_mean;   // of the rare long tail
  bool cut = false;
  FaultKind cut_kind{};       // which fault fires when the cut swallows something
  std::uint32_t program = 0;  // that cut it: fires once per program and link
};

struct NetworkCounters {
  std::uint64_t sent = 0;
  std::uint64_t delivered = 0;
  std::uint64_t dropped_overflow = 0;
  std::uint64_t encoded = 0;
  std::uint64_t connections = 0;
};

class Network {
 public:
  Network(World& world, const NetworkOptions& options) : world_(world), options_(options) {}

  // Called by the world. Machines are indexes 0 … machines-1. -----------------------------------------------
  void add_machine();
  void send(std::uint32_t from, std::uint32_t to, io::Parcel parcel);
  void call(std::uint32_t from, std::uint32_t to, io::CallId id, io::Parcel body);
  void cancel(std::uint32_t from, io::CallId id);
  void reply(std::uint32_t from, io::CallId id, io::Parcel body);
  // Brings a network event to the host of its machine, or not. True if a host got something. May reschedule
  // the event (clog); then *kept is true and the slot stays in use.
  bool deliver(EventSlot slot, bool* kept);
  // The machine is gone: its connections break, calls to it may fail, calls from it may be cancelled.
  void on_crash(std::uint32_t machine);
  // What a clog held back goes on, unless the clog lasts longer by now.
  void release(std::uint32_t from, std::uint32_t to);
  // An event that will never be delivered leaves its link.
  void discard(const Event& event);

  // Faults. -------------------------------------------------------------------------------------------------
  LinkFaults& faults(std::uint32_t from, std::uint32_t to) { return link(from, to).faults; }
  void clear_faults();
  // Nothing arrives on the link before `until`; then everything does, in order.
  void clog(std::uint32_t from, std::uint32_t to, io::Instant until);
  void unclog(std::uint32_t from, std::uint32_t to);
  // net.reset: the connection of the pair ends now, with what is in flight. False if there is none.
  bool reset(std::uint32_t a, std::uint32_t b);

  const NetworkCounters& counters() const { return counters_; }
  std::size_t open_calls(std::uint32_t machine) const { return machines_[machine].made.size(); }
  void set_options(const NetworkOptions& options) { options_ = options; }
  const NetworkOptions& options() const { return options_; }

 private:
  struct Link {
    std::int64_t base_ns = 0;
    std::int64_t last_arrival = 0;  // planned; order within the link
    std::int64_t clogged_until = 0;
    std::uint64_t sent = 0;    // counts draws
    std::uint64_t resets = 0;  // counts draws
    std::uint32_t in_flight = 0;
    std::uint32_t cut_fired = 0;  // last program counted as fired here
    bool clog_counted = false;
    std::vector<EventSlot> held;  // by a clog, in order of arrival; bounded by link_parcels_max
    LinkFaults faults;
  };
  // Of an unordered pair. `heard` per side: the epoch of which this side's host has heard peer_up, 0 for
  // none.
  struct Pair {
    bool open = false;
    std::uint64_t epoch = 0;
    std::uint64_t heard[2] = {0, 0};
    // The last epoch that ended with a crash and whose parcels from the dead end still arrive: they had left it.
    std::uint64_t draining = 0;
    std::uint32_t draining_from = 0;
  };
  struct MadeCall {
    io::CallId id;
    std::uint32_t server = 0;
    std::uint64_t serial = 0;  // of the world: what a reply must name
  };
  struct TakenCall {
    io::CallId id;
    std::uint32_t client = 0;
    std::uint32_t client_life = 0;
    std::uint64_t serial = 0;
  };
  static constexpr std::size_t kTakenCallsMax = 65'536;
  struct Machine {
    std::vector<MadeCall> made;    // open calls of this life as a client
    std::vector<TakenCall> taken;  // open calls of this life as a server
    std::uint64_t calls_taken = 0;
  };

  Link& link(std::uint32_t from, std::uint32_t to) { return links_[from * capacity_ + to]; }
  Pair& pair(std::uint32_t a, std::uint32_t b) { return pairs_[std::min(a, b) * capacity_ + std::max(a, b)]; }
  static std::uint32_t place(std::uint32_t from, std::uint32_t to) { return (from << 12) | to; }
  void grow(std::uint32_t machines);

  bool swallowed_by_cut(std::uint32_t from, std::uint32_t to);
  bool learns_of_reset(std::uint32_t machine, std::uint32_t peer, io::Duration* delay);
  void connect(std::uint32_t from, std::uint32_t to, Pair& opened);
  void break_connection(std::uint32_t machine, std::uint32_t peer, std::uint64_t epoch);
  void transmit(EventKind kind, std::uint32_t from, std::uint32_t to, std::uint64_t a, std::uint64_t b,
                io::Parcel parcel);
  void schedule(Link& used, std::uint32_t where, EventSlot slot, std::uint64_t counter, bool duplicate);
  io::Parcel through_codec(io::Parcel parcel);
  bool hold_back(Link& used, EventSlot slot);
  void plan_release(std::uint32_t from, std::uint32_t to);

  bool carries(const Pair& used, std::uint64_t epoch, std::uint32_t from) const {
    return (used.open && used.epoch == epoch) || (used.draining == epoch && used.draining_from == from);
  }
  bool deliver_message(Event& event);
  bool deliver_up(std::uint32_t to, std::uint32_t life, std::uint32_t peer, std::uint64_t epoch);
  bool deliver_down(Event& event);
  bool deliver_call(Event& event);
  bool deliver_cancel(Event& event);
  bool deliver_reply(Event& event);
  bool deliver_failure(Event& event);
  std::optional<io::CallId> close_made(const Event& event);
  void fail_call(std::uint32_t client, const MadeCall& call);
  void cancel_taken(std::uint32_t server, const TakenCall& call);

  World& world_;
  NetworkOptions options_;
  NetworkCounters counters_;
  std::uint32_t capacity_ = 0;
  std::vector<Link> links_;
  std::vector<Pair> pairs_;
  std::vector<Machine> machines_;
  std::uint64_t serial_ = 0;
};

}  // namespace reel::sim
