#include "harness/shape.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace reel::harness {
namespace {

// Places of Choice::harness draws. Values are part of old traces: append, never renumber.
enum class Place : std::uint32_t {
  nodes = 1,
  dimension,
  election_timeout,
  heartbeat,
  entry_bytes,
  entries_in_flight,
  cache,
  read_cache,
  read_chunk,
  journal_file,
  identity_sectors,
  batches_in_flight,
  batch_bytes,
  batch_records,
  raft_window,
  raft_bytes,
  raft_append_entries,
  raft_append_bytes,
  mark_delay,
  manifest_interval,
  appenders,
  readers,
  log_clients,
  log_operations,
  storm,
  total,
  burst,
  think,
  bytes,
  ordered,
  outstanding,
  call_transactions,
  calls_in_flight,
  codec,
  net_base,
  net_jitter,
  disk_speed,
  queue,
  wait,
  buggify,
  lock_clients,
  lock_operations,
  lock_keys,
  lock_window,
  sessions_max,
  session_expiry,
  bank_clients,
  bank_operations,
  bank_accounts,
  bank_outstanding,
  feed_filter,
  feed_header,
  feed_lock,
  feed_time,
  feed_credit,
  feed_lookup,
  feed_scan,
  lock_looks,
  group_members,
  group_partitions,
  group_transactions,
  group_patience,
  balance,
  list_clients,
  list_operations,
  list_keys,
  list_outstanding,
  view_clients,
  view_operations,
  view_partitions,
  view_outstanding,
  view_durable,
  overload,
  overload_greedy,
  overload_modest,
  overload_entry,
  overload_in_flight,
  overload_disk,
  overload_queue,
  overload_delay,
  overload_retry,
  overload_burst,
  overload_call,
  commit_notice,
};

class Draw {
 public:
  explicit Draw(sim::Decisions& decisions) : decisions_(decisions) {}
  std::uint64_t range(Place place, std::uint64_t low, std::uint64_t high, std::uint64_t counter = 0) {
    return decisions_.range(key(place, counter), low, high);
  }
  // Like range, but each power of two is as likely as the next.
  std::uint64_t log_range(Place place, std::uint64_t low, std::uint64_t high, std::uint64_t counter = 0) {
    std::uint32_t doublings = 0;
    while ((low << (doublings + 1)) <= high) ++doublings;
    const std::uint64_t base = low << decisions_.range(key(place, counter * 2), 0, doublings);
    return std::min(high, decisions_.range(key(place, counter * 2 + 1), base, base * 2 - 1));
  }
  bool permille(Place place, std::uint32_t permille, std::uint64_t counter = 0) {
    return decisions_.permille(key(place, counter), permille);
  }
  std::size_t pick(Place place, std::span<const std::uint32_t> weights, std::uint64_t counter = 0) {
    return decisions_.pick(key(place, counter), weights);
  }
  // Half of the dimensions are off in any one run.
  bool dimension(Place place) { return permille(Place::dimension, 500, static_cast<std::uint64_t>(place)); }

 private:
  static sim::ChoiceKey key(Place place, std::uint64_t counter) {
    return {sim::Choice::harness, static_cast<std::uint32_t>(place), 0, counter};
  }
  sim::Decisions& decisions_;
};

void draw_node(Draw& draw, node::NodeOptions& node) {
  node::GroupOptions& group = node.group;
  group.election_timeout = io::milliseconds(300);
  group.cache_bytes = 4u << 20;  // of each partition on each node, all of them in one process
  if (draw.dimension(Place::election_timeout)) {
    group.election_timeout =
        io::milliseconds(static_cast<std::int64_t>(draw.log_range(Place::election_timeout, 50, 1000)));
  }
  if (draw.dimension(Place::commit_notice)) {
    group.commit_notice =
        io::microseconds(static_cast<std::int64_t>(draw.log_range(Place::commit_notice, 50, 50'000)));
  }
  if (draw.dimension(Place::entry_bytes)) {
    group.entry_bytes_max = static_cast<std::uint32_t>(draw.log_range(Place::entry_bytes, 256, 1u << 16));
  }
  if (draw.dimension(Place::entries_in_flight)) {
    group.entries_in_flight_max = static_cast<std::uint32_t>(draw.range(Place::entries_in_flight, 1, 16));
  }
  if (draw.dimension(Place::cache)) group.cache_bytes = draw.log_range(Place::cache, 4096, 1u << 18);
  if (draw.dimension(Place::read_cache))
    group.read_cache_bytes = draw.log_range(Place::read_cache, 4096, 1u << 18);
  if (draw.dimension(Place::read_chunk)) {
    group.read_chunk_bytes = static_cast<std::uint32_t>(draw.log_range(Place::read_chunk, 4096, 1u << 17));
  }
  if (draw.dimension(Place::queue)) {
    group.admission.calls_max = static_cast<std::uint32_t>(draw.log_range(Place::queue, 2, 256));
  }
  raft::Options& raft = group.raft;
  if (draw.dimension(Place::raft_window)) {
    raft.inflight_messages_max = static_cast<std::uint32_t>(draw.range(Place::raft_window, 1, 16));
  }
  if (draw.dimension(Place::raft_bytes)) {
    raft.inflight_bytes_max = static_cast<std::uint32_t>(draw.log_range(Place::raft_bytes, 256, 1u << 16));
  }
  if (draw.dimension(Place::raft_append_entries)) {
    raft.append_entries_max = static_cast<std::uint32_t>(draw.range(Place::raft_append_entries, 1, 8));
  }
  if (draw.dimension(Place::raft_append_bytes)) {
    raft.append_bytes_max =
        static_cast<std::uint32_t>(draw.log_range(Place::raft_append_bytes, 256, 1u << 16));
  }
}

void draw_journal(Draw& draw, node::NodeOptions& node) {
  journal::Options& journal = node.journal;
  journal.file_bytes = 1u << 20;
  journal.hard_state_pages = 1;  // room for more groups than any simulated cluster has
  journal.manifest_pages = 1;
  if (draw.dimension(Place::journal_file)) {
    journal.file_bytes = std::uint64_t{1} << draw.range(Place::journal_file, 18, 22);
  }
  // Small files are soon full: with only one of them ready a slow disk makes the journal stand still at each.
  journal.files_ahead =
      static_cast<std::uint32_t>(std::max<std::uint64_t>(1, (1u << 20) / journal.file_bytes));
  const std::uint64_t sectors = journal.file_bytes / io::kSectorBytes;
  journal.identity_sectors = static_cast<std::uint32_t>(sectors / 3);
  if (draw.dimension(Place::identity_sectors)) {
    journal.identity_sectors =
        static_cast<std::uint32_t>(draw.log_range(Place::identity_sectors, 8, sectors / 3));
  }
  if (draw.dimension(Place::batches_in_flight)) {
    journal.batches_in_flight_max = static_cast<std::uint32_t>(draw.range(Place::batches_in_flight, 1, 8));
  }
  journal.batch_bytes_max = static_cast<std::uint32_t>(journal.file_bytes / 4);
  if (draw.dimension(Place::batch_records)) {
    journal.batch_records_max = static_cast<std::uint32_t>(draw.range(Place::batch_records, 1, 48));
  }
  // An entry must fit into a file's body zone.
  node.group.entry_bytes_max =
      std::min<std::uint32_t>(node.group.entry_bytes_max, static_cast<std::uint32_t>(journal.file_bytes / 8));
  if (draw.dimension(Place::mark_delay)) {
    node.mark_delay = io::milliseconds(static_cast<std::int64_t>(draw.log_range(Place::mark_delay, 1, 2000)));
  }
  if (draw.dimension(Place::manifest_interval)) {
    node.manifest_interval =
        io::milliseconds(static_cast<std::int64_t>(draw.log_range(Place::manifest_interval, 20, 20000)));
  }
}

ClientShape draw_client(Draw& draw, std::uint64_t client, std::uint32_t scale) {
  ClientShape shape;
  shape.outstanding_max = static_cast<std::uint32_t>(draw.log_range(Place::outstanding, 1, 512, client));
  // A small window on a slow network must not make the run endless.
  shape.total = std::min<std::uint64_t>(draw.log_range(Place::total, 300, 1600, client),
                                        std::uint64_t{200} * shape.outstanding_max) *
                scale;
  shape.burst = std::min(shape.outstanding_max,
                         static_cast<std::uint32_t>(draw.log_range(Place::burst, 1, 48, client)));
  const std::int64_t bursts = static_cast<std::int64_t>(shape.total / shape.burst + 1);
  // Spread over most of the storm, or as fast as it goes.
  if (draw.permille(Place::think, 750, client * 2)) {
    shape.think_mean = io::Duration{io::seconds(7).ns * static_cast<std::int64_t>(scale) / bursts};
  }
  shape.bytes_max = static_cast<std::uint32_t>(draw.log_range(Place::bytes, 16, 512, client));
  shape.ordered = draw.permille(Place::ordered, 600, client);
  shape.call_transactions_max =
      static_cast<std::uint32_t>(draw.log_range(Place::call_transactions, 1, 128, client));
  shape.calls_in_flight_max = static_cast<std::uint32_t>(draw.range(Place::calls_in_flight, 1, 8, client));
  return shape;
}

// The state machine's windows, drawn small: keys that are forgotten, sessions that are dropped while they are used.
void draw_windows(Draw& draw, std::uint64_t sessions_min, log::LogOptions& log) {
  if (draw.dimension(Place::lock_window)) {
    log.lock_keys_max = static_cast<std::uint32_t>(draw.log_range(Place::lock_window, 1, 64));
  }
  if (draw.dimension(Place::sessions_max)) {
    log.sessions.sessions_max = static_cast<std::uint32_t>(draw.range(Place::sessions_max, sessions_min, 32));
  }
}

void draw_locks(Draw& draw, const SimulationOptions& options, Shape& shape) {
  const bool alone = options.workload == Workload::locks;
  if (!alone && (options.workload != Workload::mixed || !draw.permille(Place::lock_clients, 300, 1))) return;
  shape.lock_clients = static_cast<std::uint32_t>(draw.range(Place::lock_clients, 2, 6));
  shape.lock_operations =
      static_cast<std::uint32_t>(draw.range(Place::lock_operations, 20, 100)) * options.scale;
  shape.lock_keys = static_cast<std::uint32_t>(draw.log_range(Place::lock_keys, 1, 64));
  shape.lock_looks = draw.permille(Place::lock_looks, 300);
  log::LogOptions& log = shape.node.group.log;
  // Windows that bite in this workload's partition. Others hold fewer sessions than are kept.
  draw_windows(draw, alone ? 2 : 8, log);
  if (alone && draw.dimension(Place::session_expiry)) {
    log.sessions.session_expiry = draw.log_range(Place::session_expiry, 100, 10000) * 1'000'000;
  }
}

// Fewer sessions than there are clients would leave none of them one that lasts for a call.
void draw_client_windows(Draw& draw, std::uint32_t clients, log::LogOptions& log) {
  draw_windows(draw, clients + 1, log);
  if (draw.dimension(Place::session_expiry)) {
    log.sessions.session_expiry = draw.log_range(Place::session_expiry, 100, 10000) * 1'000'000;
  }
}

void draw_bank(Draw& draw, const SimulationOptions& options, Shape& shape) {
  const bool alone = options.workload == Workload::bank;
  if (!alone && (options.workload != Workload::mixed || !draw.permille(Place::bank_clients, 200, 1))) return;
  shape.bank_clients = static_cast<std::uint32_t>(draw.range(Place::bank_clients, 2, 5));
  shape.bank_operations =
      static_cast<std::uint32_t>(draw.range(Place::bank_operations, 30, 150)) * options.scale;
  shape.bank_accounts = static_cast<std::uint32_t>(draw.log_range(Place::bank_accounts, 2, 31));
  shape.bank_outstanding = static_cast<std::uint32_t>(draw.log_range(Place::bank_outstanding, 1, 15));
  if (alone) draw_client_windows(draw, shape.bank_clients, shape.node.group.log);
}

void draw_lists(Draw& draw, const SimulationOptions& options, Shape& shape) {
  const bool alone = options.workload == Workload::lists;
  if (!alone && (options.workload != Workload::mixed || !draw.permille(Place::list_clients, 150, 2))) return;
  shape.list_clients = static_cast<std::uint32_t>(draw.range(Place::list_clients, 2, 6));
  shape.list_operations =
      static_cast<std::uint32_t>(draw.range(Place::list_operations, 30, 150)) * options.scale;
  shape.list_keys = static_cast<std::uint32_t>(draw.log_range(Place::list_keys, 1, 16));
  shape.list_outstanding = static_cast<std::uint32_t>(draw.log_range(Place::list_outstanding, 1, 15));
  if (alone) draw_client_windows(draw, shape.list_clients, shape.node.group.log);
}

void draw_groups(Draw& draw, const SimulationOptions& options, Shape& shape) {
  const bool alone = options.workload == Workload::groups;
  if (!alone && (options.workload != Workload::mixed || !draw.permille(Place::group_members, 150, 1))) return;
  shape.group_members = static_cast<std::uint32_t>(draw.range(Place::group_members, 1, 5));
  shape.group_partitions = static_cast<std::uint32_t>(draw.range(Place::group_partitions, alone ? 1 : 0, 5));
  shape.group_transactions =
      static_cast<std::uint32_t>(draw.log_range(Place::group_transactions, 5, 80)) * options.scale;
  shape.group_patience =
      io::milliseconds(static_cast<std::int64_t>(draw.log_range(Place::group_patience, 200, 3000)));
}

void draw_views(Draw& draw, const SimulationOptions& options, Shape& shape) {
  if (options.workload != Workload::views) return;
  shape.view_clients = static_cast<std::uint32_t>(draw.range(Place::view_clients, 1, 4));
  shape.view_operations =
      static_cast<std::uint32_t>(draw.range(Place::view_operations, 30, 120)) * options.scale;
  shape.view_partitions = static_cast<std::uint32_t>(draw.range(Place::view_partitions, 1, 3));
  shape.view_outstanding = static_cast<std::uint32_t>(draw.log_range(Place::view_outstanding, 1, 15));
  shape.view_durable = draw.permille(Place::view_durable, 500);
}

// Some get all of the log, as most programs do; others what a filter lets through, with credits that few records use up.
ReaderShape draw_reader(Draw& draw, std::uint64_t reader, const SimulationOptions& options,
                        const Shape& shape) {
  ReaderShape drawn;
  const std::uint32_t share = options.workload == Workload::feed ? 600 : 250;
  if (!draw.permille(Place::feed_filter, share, reader)) return drawn;
  if (shape.lock_clients > 0 && draw.permille(Place::feed_lock, 500, reader * 2)) {
    drawn.lock_key =
        static_cast<std::uint32_t>(draw.range(Place::feed_lock, 0, shape.lock_keys - 1, reader * 2 + 1));
  } else if (draw.permille(Place::feed_header, 800, reader * 3)) {
    drawn.header_mask = 1u << draw.range(Place::feed_header, 0, 15, reader * 3 + 1);
    drawn.header_mask |= 1u << draw.range(Place::feed_header, 0, 31, reader * 3 + 2);
    drawn.header_value = drawn.header_mask & 0xaaaaaaaau;
  }
  if (draw.permille(Place::feed_time, 300, reader * 2)) {
    drawn.from_time = io::milliseconds(static_cast<std::int64_t>(draw.range(
        Place::feed_time, 0, static_cast<std::uint64_t>(shape.storm.ns / 1'000'000), reader * 2 + 1)));
  }
  drawn.bytes_max = static_cast<std::uint32_t>(draw.log_range(Place::feed_credit, 64, 16384, reader));
  drawn.looks_up = draw.permille(Place::feed_lookup, 500, reader);
  return drawn;
}

void draw_readers(Draw& draw, const SimulationOptions& options, Shape& shape) {
  std::uint64_t count = draw.range(Place::readers, 0, 2);
  if (options.workload == Workload::feed) count += 2;
  if (options.workload == Workload::append || options.workload == Workload::views) count = 0;
  for (std::uint64_t reader = 0; reader < count; ++reader) {
    shape.readers.push_back(draw_reader(draw, reader, options, shape));
  }
  if (draw.dimension(Place::feed_scan)) {
    shape.node.group.feed_scan_bytes_max =
        static_cast<std::uint32_t>(draw.log_range(Place::feed_scan, 256, 1u << 16));
  }
}

// Clients that ask for far more than there is, of leaders whose queues are small; and one or two that ask for little.
void draw_overload(Draw& draw, const SimulationOptions& options, Shape& shape) {
  const bool alone = options.workload == Workload::overload;
  if (!alone && (options.workload != Workload::mixed || !draw.permille(Place::overload, 60))) return;
  node::AdmissionOptions& admission = shape.node.group.admission;
  admission.bytes_max = draw.log_range(Place::overload_queue, 1u << 18, 1u << 22);
  admission.bytes_min = draw.log_range(Place::overload_queue, 1u << 13, 1u << 14, 1);
  admission.delay_target =
      io::milliseconds(static_cast<std::int64_t>(draw.log_range(Place::overload_delay, 50, 250)));
  admission.retry_max =
      io::milliseconds(static_cast<std::int64_t>(draw.log_range(Place::overload_retry, 200, 2000)));
  const std::uint64_t greedy = draw.range(Place::overload_greedy, 2, alone ? 6 : 2);
  for (std::uint64_t client = 0; client < greedy; ++client) {
    ClientShape load;
    load.kind = ClientKind::greedy;
    load.total = UINT64_MAX;
    load.burst = static_cast<std::uint32_t>(draw.log_range(Place::overload_burst, 8, 32));
    load.think_mean = io::milliseconds(5);
    load.bytes_max = 512;
    load.ordered = draw.permille(Place::ordered, 500, kFirstClient + client);
    load.outstanding_max = 512;
    load.call_transactions_max = static_cast<std::uint32_t>(draw.log_range(Place::overload_call, 2, 16));
    load.calls_in_flight_max = 8;
    shape.appenders.push_back(load);
  }
  // The log gets long: readers that take one record a call would not see its end.
  for (ReaderShape& reader : shape.readers) reader.bytes_max = std::max(reader.bytes_max, 8192u);
  shape.node.group.feed_scan_bytes_max = std::max(shape.node.group.feed_scan_bytes_max, 1u << 16);
  if (!alone) return;
  const std::uint64_t modest = draw.range(Place::overload_modest, 1, 2);
  for (std::uint64_t client = 0; client < modest; ++client) {
    ClientShape little;
    little.kind = ClientKind::modest;
    little.total = UINT64_MAX;
    little.think_mean = io::milliseconds(50);
    little.call_transactions_max = 2;
    shape.appenders.push_back(little);
  }
  // A cluster that is easily overloaded: some hundred transactions a second.
  shape.node.group.admission.calls_max = 65536;
  shape.node.group.entry_bytes_max =
      static_cast<std::uint32_t>(draw.log_range(Place::overload_entry, 2048, 8191));
  shape.node.group.entries_in_flight_max =
      static_cast<std::uint32_t>(draw.range(Place::overload_in_flight, 1, 2));
  sim::DiskOptions& disk = shape.world.disk = {};
  const auto factor = static_cast<std::int64_t>(draw.range(Place::overload_disk, 30, 90));
  disk.write_base = disk.write_base * factor;
  disk.sync_base = disk.sync_base * factor;
  disk.jitter_mean = disk.jitter_mean * factor;
}

// Timeouts that this network and these disks can keep, or a healthy cluster has no leader for long: being too slow for
// one's timeouts is the business of net.delay and disk.latency.
void fit_timeouts(Draw& draw, Shape& shape) {
  const sim::NetworkOptions& network = shape.world.network;
  const sim::DiskOptions& disk = shape.world.disk;
  constexpr std::int64_t kTail = 6;  // means of an exponential that are hardly ever exceeded
  const io::Duration round = (network.base_max + network.jitter_mean * kTail) * 2 + disk.write_base +
                             disk.sync_base + disk.jitter_mean * kTail;
  node::GroupOptions& group = shape.node.group;
  group.election_timeout = std::max(group.election_timeout, round * 4);
  group.heartbeat_interval = std::max(
      group.election_timeout / static_cast<std::int64_t>(draw.range(Place::heartbeat, 4, 12)), round);
}

}  // namespace

Shape draw_shape(const SimulationOptions& options, sim::Decisions& decisions) {
  Draw draw(decisions);
  Shape shape;
  constexpr std::array<std::uint32_t, 8> kWeights{0, 4, 4, 56, 6, 24, 2, 4};
  shape.nodes =
      options.nodes ? *options.nodes : static_cast<std::uint32_t>(draw.pick(Place::nodes, kWeights));
  draw_node(draw, shape.node);
  draw_journal(draw, shape.node);
  const bool appends = options.workload == Workload::mixed || options.workload == Workload::append ||
                       options.workload == Workload::feed || options.workload == Workload::groups;
  const std::uint64_t appenders = appends ? draw.range(Place::appenders, 1, 4) : 0;
  for (std::uint64_t client = 0; client < appenders; ++client) {
    shape.appenders.push_back(draw_client(draw, client, options.scale));
  }
  const bool log = options.workload == Workload::log ||
                   (options.workload == Workload::mixed && draw.permille(Place::log_clients, 300, 1));
  if (log) {
    shape.log_clients = static_cast<std::uint32_t>(draw.range(Place::log_clients, 2, 5));
    shape.log_operations =
        static_cast<std::uint32_t>(draw.range(Place::log_operations, 20, 80)) * options.scale;
  }
  draw_locks(draw, options, shape);
  draw_bank(draw, options, shape);
  draw_lists(draw, options, shape);
  draw_groups(draw, options, shape);
  if (draw.dimension(Place::balance)) {
    shape.node.balance_interval =
        io::milliseconds(static_cast<std::int64_t>(draw.log_range(Place::balance, 100, 5000)));
  }
  draw_views(draw, options, shape);
  shape.storm = io::seconds(static_cast<std::int64_t>(draw.range(Place::storm, 6, 12) * options.scale));
  draw_readers(draw, options, shape);
  shape.world.seed = options.seed;
  sim::NetworkOptions& network = shape.world.network;
  if (draw.dimension(Place::net_base)) {
    network.base_max =
        io::microseconds(static_cast<std::int64_t>(draw.log_range(Place::net_base, 100, 20000)));
  }
  if (draw.dimension(Place::net_jitter)) {
    network.jitter_mean =
        io::microseconds(static_cast<std::int64_t>(draw.log_range(Place::net_jitter, 10, 5000)));
  }
  if (draw.permille(Place::codec, 200)) network.codec_permille = 300;
  sim::DiskOptions& disk = shape.world.disk;
  if (draw.dimension(Place::disk_speed)) {
    const auto factor = static_cast<std::int64_t>(draw.log_range(Place::disk_speed, 1, 32));
    disk.read_base = disk.read_base * factor;
    disk.write_base = disk.write_base * factor;
    disk.sync_base = disk.sync_base * factor;
    disk.jitter_mean = disk.jitter_mean * factor;
  }
  draw_overload(draw, options, shape);
  fit_timeouts(draw, shape);
  // Rare branches (faults.md); which of them are armed is the core's to draw from this seed.
  if (options.setting != Setting::calm && draw.permille(Place::buggify, 250)) {
    shape.node.group.raft.buggify_seed = draw.range(Place::buggify, 1, std::uint64_t{1} << 62, 1);
  }
  return shape;
}

bool is_knob(const sim::ChoiceKey& key) {
  if (key.kind != sim::Choice::harness) return false;
  const auto place = static_cast<Place>(key.place);
  return place == Place::dimension || (place == Place::buggify && key.counter == 0);
}

// ---- options as text ----------------------------------------------------------------------------------------------

const char* name_of(Mode mode) { return mode == Mode::bounded ? "bounded" : "unbounded"; }

const char* name_of(Setting setting) {
  switch (setting) {
    case Setting::calm: return "calm";
    case Setting::normal: return "normal";
    case Setting::harsh: return "harsh";
  }
  return "?";
}

const char* name_of(Workload workload) {
  switch (workload) {
    case Workload::mixed: return "mixed";
    case Workload::append: return "append";
    case Workload::feed: return "feed";
    case Workload::log: return "log";
    case Workload::locks: return "locks";
    case Workload::bank: return "bank";
    case Workload::groups: return "groups";
    case Workload::lists: return "lists";
    case Workload::views: return "views";
    case Workload::overload: return "overload";
  }
  return "?";
}

std::optional<Mode> mode_by_name(std::string_view name) {
  for (const Mode mode : {Mode::bounded, Mode::unbounded}) {
    if (name == name_of(mode)) return mode;
  }
  return std::nullopt;
}

std::optional<Setting> setting_by_name(std::string_view name) {
  for (const Setting setting : {Setting::calm, Setting::normal, Setting::harsh}) {
    if (name == name_of(setting)) return setting;
  }
  return std::nullopt;
}

std::optional<Workload> workload_by_name(std::string_view name) {
  for (const Workload workload :
       {Workload::mixed, Workload::append, Workload::feed, Workload::log, Workload::locks, Workload::bank,
        Workload::groups, Workload::lists, Workload::views, Workload::overload}) {
    if (name == name_of(workload)) return workload;
  }
  return std::nullopt;
}

std::map<std::string, std::string> SimulationOptions::to_map() const {
  std::map<std::string, std::string> map;
  map["mode"] = name_of(mode);
  map["setting"] = name_of(setting);
  map["workload"] = name_of(workload);
  map["scale"] = std::to_string(scale);
  if (nodes) map["nodes"] = std::to_string(*nodes);
  if (faults) {
    std::string list;
    for (const sim::FaultKind kind : *faults)
      list += (list.empty() ? "" : ",") + std::string(sim::name_of(kind));
    map["faults"] = list;
  }
  cuts.add_to(map);
  return map;
}

std::expected<SimulationOptions, std::string> SimulationOptions::from_map(
    const std::map<std::string, std::string>& map) {
  SimulationOptions options;
  auto number = [](const std::string& text, std::uint32_t low,
                   std::uint32_t high) -> std::optional<std::uint32_t> {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < low || value > high)
      return std::nullopt;
    return value;
  };
  for (const auto& [key, value] : map) {
    bool good = false;
    if (key == "mode") {
      if (const auto mode = mode_by_name(value)) options.mode = *mode, good = true;
    } else if (key == "setting") {
      if (const auto setting = setting_by_name(value)) options.setting = *setting, good = true;
    } else if (key == "workload") {
      if (const auto workload = workload_by_name(value)) options.workload = *workload, good = true;
    } else if (key == "scale") {
      if (const auto scale = number(value, 1, 1000)) options.scale = *scale, good = true;
    } else if (key == "nodes") {
      options.nodes = number(value, 1, 7);
      good = options.nodes.has_value();
    } else if (key == "faults") {
      options.faults.emplace();
      good = true;
      for (std::string_view rest(value); good && !value.empty();) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const auto kind = sim::fault_by_name(rest.substr(0, comma));
        if (kind) options.faults->push_back(*kind);
        good = kind.has_value();
        if (comma == rest.size()) break;
        rest.remove_prefix(comma + 1);
      }
    } else if (Cuts::knows(key)) {
      good = options.cuts.set(key, value);
    } else {
      return std::unexpected("unknown option '" + key + "'");
    }
    if (!good)
      return std::unexpected(
          std::string("option '").append(key).append("' cannot be '").append(value).append("'"));
  }
  return options;
}

}  // namespace reel::harness
