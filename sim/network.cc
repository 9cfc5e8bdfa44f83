#include "sim/network.h"

#include <algorithm>
#include <string>

#include "io/ports/assert.h"
#include "sim/machine.h"

namespace reel::sim {
namespace {

// Event::flags of network events.
constexpr std::uint8_t kOnLink = 1;    // counts as in flight on its link, and may be cut or held back
constexpr std::uint8_t kReleased = 2;  // a clog had held it back; its new place in the order stands

// Draw places of Choice::net_reset beside the pair: what the draw is about.
enum ResetPlace : std::uint32_t { kLearns = 0, kWhen = 1, kDrains = 2 };
// How often what a process had sent before it died still arrives.
constexpr std::uint32_t kDrainsPermille = 750;

io::Duration span_of(std::uint64_t ns) { return io::nanoseconds(static_cast<std::int64_t>(ns)); }

}  // namespace

// ---- machines and links -----------------------------------------------------------------------------------

void Network::add_machine() {
  const auto index = static_cast<std::uint32_t>(machines_.size());
  machines_.emplace_back();
  if (machines_.size() > capacity_) grow(std::max<std::uint32_t>(8, 2 * capacity_));
  const auto low = static_cast<std::uint64_t>(options_.base_min.ns);
  const auto high = std::max(low, static_cast<std::uint64_t>(options_.base_max.ns));
  for (std::uint32_t other = 0; other <= index; ++other) {
    const std::uint64_t base =
        world_.decisions_.range({Choice::net_base, place(other, index), 0, 0}, low, high);
    link(other, index).base_ns = static_cast<std::int64_t>(base);
    link(index, other).base_ns = static_cast<std::int64_t>(base);
  }
}

void Network::grow(std::uint32_t machines) {
  std::vector<Link> links(static_cast<std::size_t>(machines) * machines);
  std::vector<Pair> pairs(static_cast<std::size_t>(machines) * machines);
  for (std::uint32_t from = 0; from < capacity_; ++from) {
    for (std::uint32_t to = 0; to < capacity_; ++to) {
      links[static_cast<std::size_t>(from) * machines + to] = std::move(link(from, to));
      pairs[static_cast<std::size_t>(from) * machines + to] = pairs_[from * capacity_ + to];
    }
  }
  links_ = std::move(links);
  pairs_ = std::move(pairs);
  capacity_ = machines;
}

void Network::clear_faults() {
  for (Link& link : links_) link.faults = {};
}

void Network::clog(std::uint32_t from, std::uint32_t to, io::Instant until) {
  Link& clogged = link(from, to);
  clogged.clogged_until = std::max(clogged.clogged_until, until.ns);
  clogged.clog_counted = false;
}

void Network::unclog(std::uint32_t from, std::uint32_t to) {
  link(from, to).clogged_until = 0;
  release(from, to);
}

// True if the link is cut; the fault counts as fired, once per program and link.
bool Network::swallowed_by_cut(std::uint32_t from, std::uint32_t to) {
  Link& used = link(from, to);
  if (!used.faults.cut) [[likely]]
    return false;
  // Program 0: cut for good after the storm, which is no fault of the catalogue.
  if (used.faults.program != 0 && used.cut_fired != used.faults.program) {
    used.cut_fired = used.faults.program;
    world_.counters_.fire(used.faults.cut_kind);
  }
  return true;
}

// ---- connections ------------------------------------------------------------------------------------------

bool Network::learns_of_reset(std::uint32_t machine, std::uint32_t peer, io::Duration* delay) {
  const std::uint64_t counter = link(peer, machine).resets++;
  const std::uint32_t where = place(machine, peer);
  if (!world_.decisions_.permille({Choice::net_reset, where, kLearns, counter}, options_.reset_permille))
    return false;
  const auto longest = static_cast<std::uint64_t>(options_.reset_delay_max.ns);
  const std::uint64_t extra = world_.decisions_.range({Choice::net_reset, where, kWhen, counter}, 0, longest);
  *delay = span_of(static_cast<std::uint64_t>(link(peer, machine).base_ns) + extra);
  return true;
}

void Network::connect(std::uint32_t from, std::uint32_t to, Pair& opened) {
  opened.open = true;
  ++opened.epoch;
  ++counters_.connections;
  // The answer to the handshake takes a round trip; the other end learns with the first parcel.
  const EventSlot slot = world_.queue_.make();
  Event& event = world_.queue_[slot];
  event.kind = EventKind::peer_up;
  event.machine = from;
  event.life = world_.life_at(from);
  event.peer = to;
  event.a = opened.epoch;
  world_.schedule(world_.now_ + io::nanoseconds(2 * link(from, to).base_ns),
                  {Choice::tie, place(from, to), 1, opened.epoch}, slot);
}

void Network::break_connection(std::uint32_t machine, std::uint32_t peer, std::uint64_t epoch) {
  io::Duration delay;
  if (!learns_of_reset(machine, peer, &delay)) return;
  const EventSlot slot = world_.queue_.make();
  Event& event = world_.queue_[slot];
  event.kind = EventKind::peer_down;
  event.machine = machine;
  event.life = world_.life_at(machine);
  event.peer = peer;
  event.a = epoch;
  world_.schedule(world_.now_ + delay, {Choice::tie, place(peer, machine), 2, epoch}, slot);
}

bool Network::reset(std::uint32_t a, std::uint32_t b) {
  Pair& broken = pair(a, b);
  if (!broken.open) return false;
  broken.open = false;
  break_connection(a, b, broken.epoch);
  break_connection(b, a, broken.epoch);
  return true;
}

void Network::on_crash(std::uint32_t machine) {
  const auto count = static_cast<std::uint32_t>(machines_.size());
  for (std::uint32_t peer = 0; peer < count; ++peer) {
    if (peer == machine) continue;
    Pair& shared = pair(machine, peer);
    shared.heard[machine < peer ? 0 : 1] = 0;
    if (shared.open) {
      shared.open = false;
      const ChoiceKey drains{Choice::net_reset, place(machine, peer), kDrains, shared.epoch};
      if (world_.decisions_.permille(drains, kDrainsPermille)) {
        shared.draining = shared.epoch;
        shared.draining_from = machine;
      }
      if (world_.up(peer)) break_connection(peer, machine, shared.epoch);
    }
  }
  for (std::uint32_t client = 0; client < count; ++client) {
    if (client == machine || !world_.up(client)) continue;
    for (const MadeCall& call : machines_[client].made) {
      if (call.server == machine) fail_call(client, call);
    }
  }
  for (std::uint32_t server = 0; server < count; ++server) {
    if (server == machine || !world_.up(server)) continue;
    for (const TakenCall& call : machines_[server].taken) {
      if (call.client == machine) cancel_taken(server, call);
    }
  }
  machines_[machine].made.clear();
  machines_[machine].taken.clear();
}

// ---- sending ----------------------------------------------------------------------------------------------

void Network::send(std::uint32_t from, std::uint32_t to, io::Parcel parcel) {
  ++counters_.sent;
  std::uint64_t epoch = 0;
  if (from != to) [[likely]] {
    Pair& used = pair(from, to);
    if (!used.open) {
      const bool cut = swallowed_by_cut(from, to) || swallowed_by_cut(to, from);
      world_.fold(parcel.digest());
      if (cut || !world_.up(to)) return;
      connect(from, to, used);
    }
    epoch = used.epoch;
  }
  transmit(EventKind::message, from, to, epoch, 0, std::move(parcel));
}

io::Parcel Network::through_codec(io::Parcel parcel) {
  if (parcel.codec() == nullptr) return parcel;
  ++counters_.encoded;
  const std::string name = parcel.codec()->name;
  std::expected<io::Parcel, std::string> decoded = parcel.codec()->decode(parcel.encode());
  if (!decoded) {
    world_.fail("wire", "refused:" + name, "a codec refuses what it encoded itself: " + decoded.error());
    return parcel;
  }
  if (decoded->digest() != parcel.digest()) {
    world_.fail("wire", "changed:" + name, "a parcel changed on its way through its codec");
  }
  return *std::move(decoded);
}

void Network::transmit(EventKind kind, std::uint32_t from, std::uint32_t to, std::uint64_t a, std::uint64_t b,
                       io::Parcel parcel) {
  Link& used = link(from, to);
  Decisions& decisions = world_.decisions_;
  const std::uint64_t counter = used.sent++;
  const std::uint32_t where = place(from, to);
  const std::uint64_t digest = parcel.digest();
  world_.fold((static_cast<std::uint64_t>(kind) << 32) | to);
  world_.fold(digest);
  if (used.in_flight >= options_.link_parcels_max) {
    ++counters_.dropped_overflow;
    return;
  }
  if (decisions.permille({Choice::net_drop, where, 0, counter}, used.faults.drop_permille)) {
    world_.counters_.fire(FaultKind::net_drop);
    return;
  }
  if (decisions.permille({Choice::net_codec, where, 0, counter}, options_.codec_permille)) {
    parcel = through_codec(std::move(parcel));
  }
  const bool twice =
      decisions.permille({Choice::net_duplicate, where, 0, counter}, used.faults.duplicate_permille);
  for (int copy = 0; copy < (twice ? 2 : 1); ++copy) {
    const EventSlot slot = world_.queue_.make();
    Event& event = world_.queue_[slot];
    event.kind = kind;
    event.flags = kOnLink;
    event.machine = to;
    event.life = world_.life_at(to);
    event.peer = from;
    event.a = a;
    event.b = b;
    event.digest = digest;
    event.parcel = parcel;
    schedule(used, where, slot, counter, copy != 0);
  }
  if (twice) world_.counters_.fire(FaultKind::net_duplicate);
}

void Network::schedule(Link& used, std::uint32_t where, EventSlot slot, std::uint64_t counter,
                       bool duplicate) {
  Decisions& decisions = world_.decisions_;
  const LinkFaults& faults = used.faults;
  // The copy of a duplicated parcel has draws of its own.
  const std::uint32_t copy = duplicate ? 1 : 0;
  std::uint64_t ns = static_cast<std::uint64_t>(used.base_ns);
  ns += decisions.exponential({Choice::net_latency, where, copy, counter},
                              static_cast<std::uint64_t>(options_.jitter_mean.ns));
  if (faults.delay_mean.ns > 0) [[unlikely]] {
    ns += decisions.exponential({Choice::net_tail, where, copy, counter},
                                static_cast<std::uint64_t>(faults.delay_mean.ns));
    if (decisions.permille({Choice::net_tail, where, 2 + copy, counter}, faults.tail_permille)) {
      ns += decisions.exponential({Choice::net_tail, where, 4 + copy, counter},
                                  static_cast<std::uint64_t>(faults.tail_mean.ns));
      world_.counters_.fire(FaultKind::net_delay);
    }
  }
  if (duplicate) ns += decisions.exponential({Choice::net_duplicate, where, 1, counter}, 10 * ns);
  io::Instant arrival = world_.now_ + span_of(ns);
  const bool reordered =
      decisions.permille({Choice::net_reorder, where, copy, counter}, faults.reorder_permille);
  if (reordered) {
    const std::uint64_t late = decisions.exponential({Choice::net_reorder, where, 2 + copy, counter}, 4 * ns);
    arrival = arrival + span_of(late);
    world_.counters_.fire(FaultKind::net_reorder);
  } else if (!duplicate) {
    arrival.ns = std::max(arrival.ns, used.last_arrival + 1);
    used.last_arrival = arrival.ns;
  }
  ++used.in_flight;
  world_.schedule(arrival, {Choice::tie, where, 4 + copy, counter}, slot);
}

// ---- arriving ---------------------------------------------------------------------------------------------

// True if the parcel has to wait: the link is clogged, or others that waited have not left yet.
bool Network::hold_back(Link& used, EventSlot slot) {
  Event& event = world_.queue_[slot];
  if ((event.flags & kReleased) != 0) return false;
  const bool clogged = world_.now_.ns < used.clogged_until;
  if (!clogged && used.held.empty()) [[likely]]
    return false;
  if (clogged && !used.clog_counted) {
    used.clog_counted = true;
    world_.counters_.fire(FaultKind::net_clog);
  }
  if (used.held.empty()) plan_release(event.peer, event.machine);
  used.held.push_back(slot);
  return true;
}

void Network::plan_release(std::uint32_t from, std::uint32_t to) {
  const EventSlot slot = world_.queue_.make();
  Event& event = world_.queue_[slot];
  event.kind = EventKind::control;
  event.flags = World::kReleasesLink;
  event.machine = to;
  event.peer = from;
  const std::int64_t until = std::max(link(from, to).clogged_until, world_.now_.ns);
  world_.queue_.schedule(io::Instant{until}, 0, slot);
}

void Network::release(std::uint32_t from, std::uint32_t to) {
  Link& used = link(from, to);
  if (used.held.empty()) return;
  if (world_.now_.ns < used.clogged_until) return plan_release(from, to);
  // Tie 0: the order of holding back is the order of release.
  for (const EventSlot slot : used.held) {
    world_.queue_[slot].flags |= kReleased;
    world_.queue_.schedule(world_.now_, 0, slot);
  }
  used.held.clear();
}

bool Network::deliver(EventSlot slot, bool* kept) {
  Event& event = world_.queue_[slot];
  if ((event.flags & kOnLink) != 0) {
    Link& used = link(event.peer, event.machine);
    *kept = hold_back(used, slot);
    if (*kept) return false;
    discard(event);
    if (swallowed_by_cut(event.peer, event.machine)) return false;
  }
  switch (event.kind) {
    case EventKind::message: return deliver_message(event);
    case EventKind::peer_up: return deliver_up(event.machine, event.life, event.peer, event.a);
    case EventKind::peer_down: return deliver_down(event);
    case EventKind::call: return deliver_call(event);
    case EventKind::call_cancelled: return deliver_cancel(event);
    case EventKind::reply: return deliver_reply(event);
    case EventKind::call_failed: return deliver_failure(event);
    default: REEL_CHECK(false && "not an event of the network");
  }
  return false;
}

void Network::discard(const Event& event) {
  if ((event.flags & kOnLink) == 0) return;
  Link& used = link(event.peer, event.machine);
  REEL_CHECK(used.in_flight > 0);
  --used.in_flight;
}

bool Network::deliver_message(Event& event) {
  const std::uint32_t to = event.machine;
  if (event.peer != to) [[likely]] {
    const Pair& used = pair(event.peer, to);
    if (!carries(used, event.a, event.peer)) return false;
    const std::uint64_t& heard = used.heard[to < event.peer ? 0 : 1];
    if (heard != event.a) deliver_up(to, event.life, event.peer, event.a);
    if (heard != event.a) return false;
  }
  if (!world_.up(to) || world_.life_at(to) != event.life) return false;
  ++counters_.delivered;
  World::Machine& machine = world_.at_index(to);
  const io::NodeId from = world_.id_of(event.peer);
  world_.enter(machine, EventKind::message, event.digest,
               [&](io::Host& host) { host.on_received(from, std::move(event.parcel)); });
  return true;
}

// The host of `to` learns that the connection is up, once; of an older one it learns first that it is gone.
bool Network::deliver_up(std::uint32_t to, std::uint32_t life, std::uint32_t peer, std::uint64_t epoch) {
  if (!world_.up(to) || world_.life_at(to) != life) return false;
  Pair& used = pair(to, peer);
  std::uint64_t& heard = used.heard[to < peer ? 0 : 1];
  if (!carries(used, epoch, peer) || heard >= epoch) return false;
  World::Machine& machine = world_.at_index(to);
  const io::NodeId from = world_.id_of(peer);
  if (heard != 0) {
    const io::ConnectionId old(std::exchange(heard, 0));
    world_.enter(machine, EventKind::peer_down, old.value,
                 [&](io::Host& host) { host.on_peer_down(from, old); });
    if (!world_.up(to) || world_.life_at(to) != life) return true;
  }
  heard = epoch;
  world_.enter(machine, EventKind::peer_up, epoch,
               [&](io::Host& host) { host.on_peer_up(from, io::ConnectionId(epoch)); });
  return true;
}

bool Network::deliver_down(Event& event) {
  const std::uint32_t to = event.machine;
  if (!world_.up(to) || world_.life_at(to) != event.life) return false;
  Pair& broken = pair(to, event.peer);
  if (broken.draining == event.a) broken.draining = 0;
  std::uint64_t& heard = broken.heard[to < event.peer ? 0 : 1];
  if (heard != event.a) return false;
  heard = 0;
  const io::NodeId from = world_.id_of(event.peer);
  world_.enter(world_.at_index(to), EventKind::peer_down, event.a,
               [&](io::Host& host) { host.on_peer_down(from, io::ConnectionId(event.a)); });
  return true;
}

// ---- calls ------------------------------------------------------------------------------------------------

void Network::call(std::uint32_t from, std::uint32_t to, io::CallId id, io::Parcel body) {
  Machine& client = machines_[from];
  for (const MadeCall& open : client.made) REEL_CHECK(open.id != id && "a call id that is in use");
  const MadeCall made{.id = id, .server = to, .serial = ++serial_};
  client.made.push_back(made);
  if (!world_.up(to)) {
    world_.fold(body.digest());
    if (!swallowed_by_cut(from, to)) fail_call(from, made);
    return;
  }
  transmit(EventKind::call, from, to, made.serial, world_.life_at(from), std::move(body));
}

void Network::cancel(std::uint32_t from, io::CallId id) {
  std::vector<MadeCall>& made = machines_[from].made;
  const auto found =
      std::find_if(made.begin(), made.end(), [id](const MadeCall& call) { return call.id == id; });
  if (found == made.end()) return;  // the answer is already there
  const MadeCall call = *found;
  made.erase(found);
  if (world_.up(call.server)) transmit(EventKind::call_cancelled, from, call.server, call.serial, 0, {});
}

void Network::reply(std::uint32_t from, io::CallId id, io::Parcel body) {
  std::vector<TakenCall>& taken = machines_[from].taken;
  const auto found =
      std::find_if(taken.begin(), taken.end(), [id](const TakenCall& call) { return call.id == id; });
  if (found == taken.end()) return;  // cancelled meanwhile
  const TakenCall call = *found;
  taken.erase(found);
  if (!world_.up(call.client) || world_.life_at(call.client) != call.client_life) return;
  transmit(EventKind::reply, from, call.client, call.serial, 0, std::move(body));
}

// The client learns that the call will not be answered, or it does not: both are drawn.
void Network::fail_call(std::uint32_t client, const MadeCall& call) {
  io::Duration delay;
  if (!learns_of_reset(client, call.server, &delay)) return;
  const EventSlot slot = world_.queue_.make();
  Event& event = world_.queue_[slot];
  event.kind = EventKind::call_failed;
  event.machine = client;
  event.life = world_.life_at(client);
  event.peer = call.server;
  event.a = call.serial;
  world_.schedule(world_.now_ + delay, {Choice::tie, place(call.server, client), 3, call.serial}, slot);
}

void Network::cancel_taken(std::uint32_t server, const TakenCall& call) {
  io::Duration delay;
  if (!learns_of_reset(server, call.client, &delay)) return;
  const EventSlot slot = world_.queue_.make();
  Event& event = world_.queue_[slot];
  event.kind = EventKind::call_cancelled;
  event.machine = server;
  event.life = world_.life_at(server);
  event.peer = call.client;
  event.a = call.serial;
  world_.schedule(world_.now_ + delay, {Choice::tie, place(call.client, server), 3, call.serial}, slot);
}

bool Network::deliver_call(Event& event) {
  const std::uint32_t to = event.machine;
  const std::uint32_t from = event.peer;
  if (!world_.up(to) || world_.life_at(to) != event.life) {
    // The server died under way: what its machine answers, if anything, is a refusal.
    for (const MadeCall& call : machines_[from].made) {
      if (call.serial == event.a) {
        fail_call(from, call);
        break;
      }
    }
    return false;
  }
  Machine& server = machines_[to];
  if (server.taken.size() >= kTakenCallsMax) {
    ++counters_.dropped_overflow;
    return false;
  }
  const io::CallId id(++server.calls_taken);
  const auto client_life = static_cast<std::uint32_t>(event.b);
  server.taken.push_back({.id = id, .client = from, .client_life = client_life, .serial = event.a});
  const io::Rights rights = world_.rights_at(from);
  world_.enter(world_.at_index(to), EventKind::call, event.digest,
               [&](io::Host& host) { host.on_call(id, rights, std::move(event.parcel)); });
  return true;
}

bool Network::deliver_cancel(Event& event) {
  const std::uint32_t to = event.machine;
  bool any = false;
  // A duplicated call was taken twice.
  while (world_.up(to) && world_.life_at(to) == event.life) {
    std::vector<TakenCall>& taken = machines_[to].taken;
    const auto found = std::find_if(taken.begin(), taken.end(),
                                    [&](const TakenCall& call) { return call.serial == event.a; });
    if (found == taken.end()) break;
    const io::CallId id = found->id;
    taken.erase(found);
    world_.enter(world_.at_index(to), EventKind::call_cancelled, id.value,
                 [&](io::Host& host) { host.on_call_cancelled(id); });
    any = true;
  }
  return any;
}

// The id of the open call with this serial, which is closed thereby; nothing if it was answered or given up
// before.
std::optional<io::CallId> Network::close_made(const Event& event) {
  const std::uint32_t client = event.machine;
  if (!world_.up(client) || world_.life_at(client) != event.life) return std::nullopt;
  std::vector<MadeCall>& made = machines_[client].made;
  const auto found =
      std::find_if(made.begin(), made.end(), [&](const MadeCall& call) { return call.serial == event.a; });
  if (found == made.end()) return std::nullopt;
  const io::CallId id = found->id;
  made.erase(found);
  return id;
}

bool Network::deliver_reply(Event& event) {
  const std::optional<io::CallId> id = close_made(event);
  if (!id) return false;
  world_.enter(world_.at_index(event.machine), EventKind::reply, event.digest,
               [&](io::Host& host) { host.on_reply(*id, std::move(event.parcel)); });
  return true;
}

bool Network::deliver_failure(Event& event) {
  const std::optional<io::CallId> id = close_made(event);
  if (!id) return false;
  world_.enter(world_.at_index(event.machine), EventKind::call_failed, id->value,
               [&](io::Host& host) { host.on_call_failed(*id); });
  return true;
}

}  // namespace reel::sim
