#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "harness/bench/figures.h"
#include "harness/bench/floor_node.h"
#include "harness/bench/load.h"
#include "harness/bench/local_cluster.h"
#include "harness/bench/machine.h"
#include "harness/campaign.h"
#include "harness/command/bench_overload.h"
#include "harness/command/command.h"
#include "harness/command/simulation_flags.h"
#include "io/real/clock.h"

namespace reel::harness {
namespace {

using Json = nlohmann::ordered_json;

constexpr io::Duration kReadyMax = io::seconds(30);
constexpr io::Duration kMachineEach = io::seconds(1);

struct BenchFlags {
  std::string dir = "/var/tmp";
  std::uint32_t nodes = 3;
  std::uint32_t size = 128;
  std::uint32_t outstanding = 1;
  double seconds = 10;
  std::uint32_t clients = 1;
  double rate = 0;
  std::uint32_t log_mib = 1024;
  bool json = false;

  void check() const {
    if (nodes < 1 || nodes > 7) misuse("--nodes must be from 1 to 7");
    if (size > kTransactionBytesMax) misuse("--size must be at most " + std::to_string(kTransactionBytesMax));
    if (outstanding < 1 || outstanding > log::kSessionWindow / 2) {
      misuse("--outstanding must be from 1 to " + std::to_string(log::kSessionWindow / 2));
    }
    if (!(seconds >= 0.1 && seconds <= 86'400)) misuse("--seconds must be from 0.1 to 86400");
    if (log_mib < 1 || log_mib > 1u << 16) misuse("--log-mib must be from 1 to 65536");
  }
};

double microseconds(std::int64_t ns) { return static_cast<double>(ns) / 1e3; }
double mebibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / (1u << 20); }

// ---- appends: `floor` and `append` -------------------------------------------------------------------------------

// One load on one cluster, and what every process paid for it.
struct Measured {
  LoadReport load;
  double syncs = 0;                  // of all nodes, per 1,000 transactions, warm-up included
  std::vector<std::int64_t> cpu_ns;  // client, node 1, node 2, …; while measuring
  std::vector<std::uint64_t> rss;    // at the end, likewise
  std::uint64_t peak_rss = 0;        // of the largest process

  double cpu_us_per_txn() const {
    return microseconds(std::accumulate(cpu_ns.begin(), cpu_ns.end(), std::int64_t{0})) /
           std::max(1.0, static_cast<double>(load.transactions));
  }
  double cpu_cores() const {
    return microseconds(std::accumulate(cpu_ns.begin(), cpu_ns.end(), std::int64_t{0})) / 1e6 /
           std::max(1e-9, load.seconds);
  }
  void add(const Measured& other) {
    const auto weight = static_cast<double>(load.answered);
    const auto more = static_cast<double>(other.load.answered);
    syncs = (syncs * weight + other.syncs * more) / std::max(1.0, weight + more);
    load.transactions += other.load.transactions;
    load.answered += other.load.answered;
    load.seconds += other.load.seconds;
    load.retries += other.load.retries;
    load.gap_ms = std::max(load.gap_ms, other.load.gap_ms);
    load.latencies.add(other.load.latencies);
    cpu_ns.resize(other.cpu_ns.size());
    for (std::size_t i = 0; i < cpu_ns.size(); ++i) cpu_ns[i] += other.cpu_ns[i];
    rss = other.rss;
    peak_rss = std::max(peak_rss, other.peak_rss);
  }
};

std::vector<std::int64_t> sample_cpu(const LocalCluster& cluster) {
  std::vector<std::int64_t> cpu{cpu_ns_of(getpid())};
  for (std::uint32_t node = 1; node <= cluster.nodes(); ++node) cpu.push_back(cluster.cpu_ns(node));
  return cpu;
}

std::uint64_t syncs_of(const std::vector<StatusResult>& statuses) {
  std::uint64_t sum = 0;
  for (const StatusResult& status : statuses) sum += status.syncs;
  return sum;
}

Measured measure(real::Loop& loop, LocalCluster& cluster, const LoadOptions& options,
                 const std::string& name) {
  Measured measured;
  const std::uint64_t syncs_before = syncs_of(cluster.await_ready(loop, kReadyMax));
  {
    RealClient client(loop, cluster.connect_flags());
    const auto mark = [&](bool begin) {
      std::vector<std::int64_t> cpu = sample_cpu(cluster);
      if (!begin) {
        for (std::size_t i = 0; i < cpu.size(); ++i) cpu[i] -= measured.cpu_ns[i];
      }
      measured.cpu_ns = std::move(cpu);
    };
    const auto progress = [&](const LoadReport& so_far) {
      cluster.check();
      show(fmt::format("{}: {:.0f} s, {:.0f} transactions/s, p50 {:.0f} us", name, so_far.seconds,
                       static_cast<double>(so_far.transactions) / so_far.seconds,
                       microseconds(so_far.latencies.quantile_ns(500'000))));
    };
    Load load(loop, client, options, mark, progress);
    measured.load = load.run();
  }
  measured.rss.push_back(rss_bytes_of(getpid()));
  measured.peak_rss = peak_rss_bytes_of(getpid());
  for (std::uint32_t node = 1; node <= cluster.nodes(); ++node) {
    measured.rss.push_back(cluster.rss_bytes(node));
    measured.peak_rss = std::max(measured.peak_rss, cluster.peak_rss_bytes(node));
  }
  const std::uint64_t syncs = syncs_of(cluster.await_ready(loop, kReadyMax)) - syncs_before;
  measured.syncs =
      1e3 * static_cast<double>(syncs) / std::max(1.0, static_cast<double>(measured.load.answered));
  return measured;
}

Json json_of(const std::string& what, const BenchFlags& flags, const Measured& measured,
             const MachineFloor& machine) {
  const LoadReport& load = measured.load;
  Json json;
  json["what"] = what;
  json["nodes"] = flags.nodes;
  json["size"] = flags.size;
  json["outstanding"] = flags.outstanding;
  json["seconds"] = rounded(load.seconds);
  json["cpu_us_per_txn"] = rounded(measured.cpu_us_per_txn());
  json["cpu_cores"] = rounded(measured.cpu_cores());
  json["peak_rss_mib"] = rounded(mebibytes(measured.peak_rss));
  json["tps"] = std::round(static_cast<double>(load.transactions) / std::max(1e-9, load.seconds));
  json["p50_us"] = rounded(microseconds(load.latencies.quantile_ns(500'000)));
  json["p99_us"] = rounded(microseconds(load.latencies.quantile_ns(990'000)));
  json["p999_us"] = rounded(microseconds(load.latencies.quantile_ns(999'000)));
  json["syncs_per_1000"] = rounded(measured.syncs);
  json["disk_write_p50_us"] = rounded(machine.disk_write_p50_us);
  json["loopback_rtt_us"] = rounded(machine.loopback_rtt_us);
  json["gap_ms_max"] = rounded(load.gap_ms);
  json["retries"] = load.retries;
  json["cpu_us_per_txn_of"] = Json::array();  // client, node 1, node 2, …
  for (const std::int64_t cpu : measured.cpu_ns) {
    json["cpu_us_per_txn_of"].push_back(
        rounded(microseconds(cpu) / std::max(1.0, static_cast<double>(load.transactions))));
  }
  json["rss_mib_of"] = Json::array();
  for (const std::uint64_t rss : measured.rss) json["rss_mib_of"].push_back(rounded(mebibytes(rss)));
  return json;
}

void print_measured(const std::string& what, const BenchFlags& flags, const Measured& measured) {
  const LoadReport& load = measured.load;
  fmt::print("{}: {} nodes, {} B, {} outstanding, {:.1f} s\n", what, flags.nodes, flags.size,
             flags.outstanding, load.seconds);
  fmt::print(
      "  {:.0f} transactions/s; p50 {:.0f} us, p99 {:.0f} us, p99.9 {:.0f} us; longest gap {:.1f} ms\n",
      static_cast<double>(load.transactions) / std::max(1e-9, load.seconds),
      microseconds(load.latencies.quantile_ns(500'000)), microseconds(load.latencies.quantile_ns(990'000)),
      microseconds(load.latencies.quantile_ns(999'000)), load.gap_ms);
  fmt::print(
      "  {:.2f} us of CPU per transaction over all processes, {:.2f} cores; {:.1f} syncs per 1,000; {:.0f} "
      "MiB\n",
      measured.cpu_us_per_txn(), measured.cpu_cores(), measured.syncs, mebibytes(measured.peak_rss));
}

void print_machine(const MachineFloor& machine) {
  fmt::print("this machine: a durable 4 KiB write {:.0f} us, a round trip over loopback {:.0f} us\n",
             machine.disk_write_p50_us, machine.loopback_rtt_us);
}

LoadOptions load_options(const BenchFlags& flags, double seconds) {
  LoadOptions options;
  options.size = flags.size;
  options.outstanding = flags.outstanding;
  options.duration = duration_of(seconds);
  options.warm_up = duration_of(std::clamp(seconds / 4, 0.1, 2.0));
  return options;
}

void stop_on_signals(real::Loop& loop) {
  loop.on_stop_signal([&loop](int) { loop.stop(); });
}

Exit run_floor(const BenchFlags& flags) {
  flags.check();
  real::Loop::capture_stop_signals();
  BenchDirectory directory(flags.dir);
  show("measuring the machine");
  const MachineFloor machine = measure_machine(directory.path(), kMachineEach);
  LocalCluster cluster(ClusterKind::floor, directory.path() + "/floor", flags.nodes);
  real::Loop loop;
  stop_on_signals(loop);
  const Measured measured = measure(loop, cluster, load_options(flags, flags.seconds), "floor");
  show_done();
  if (flags.json) {
    fmt::print("{}\n", json_of("floor", flags, measured, machine).dump());
    return Exit::ok;
  }
  print_measured("floor", flags, measured);
  print_machine(machine);
  return Exit::ok;
}

// The floor is measured before and after the appends: what the machine does to one it does to the other.
Exit run_append(const BenchFlags& flags) {
  flags.check();
  if (flags.rate != 0 || flags.clients != 1) {
    OverloadFlags many;
    many.dir = flags.dir;
    many.nodes = flags.nodes;
    many.size = flags.size;
    many.clients = flags.clients;
    // In an open loop what is outstanding is for the cluster to decide, within a session's window.
    many.outstanding = flags.rate != 0 ? log::kSessionWindow / 2 : flags.outstanding;
    many.rate = flags.rate;
    many.seconds = flags.seconds;
    many.json = flags.json;
    return run_append_of_many(many);
  }
  real::Loop::capture_stop_signals();
  BenchDirectory directory(flags.dir);
  show("measuring the machine");
  const MachineFloor machine = measure_machine(directory.path(), kMachineEach);
  LocalCluster writers(ClusterKind::floor, directory.path() + "/floor", flags.nodes);
  LocalCluster replicas(ClusterKind::replicas, directory.path() + "/replicas", flags.nodes);
  real::Loop loop;
  stop_on_signals(loop);
  const LoadOptions slice = load_options(flags, std::clamp(flags.seconds / 4, 1.0, 10.0));
  Measured floor = measure(loop, writers, slice, "floor");
  const Measured append = measure(loop, replicas, load_options(flags, flags.seconds), "append");
  floor.add(measure(loop, writers, slice, "floor"));
  show_done();
  const double floor_p50_us = microseconds(floor.load.latencies.quantile_ns(500'000));
  const double p50_us = microseconds(append.load.latencies.quantile_ns(500'000));
  if (flags.json) {
    Json json = json_of("append", flags, append, machine);
    json["floor_p50_us"] = rounded(floor_p50_us);
    json["floor_tps"] =
        std::round(static_cast<double>(floor.load.transactions) / std::max(1e-9, floor.load.seconds));
    json["floor_cpu_us_per_txn"] = rounded(floor.cpu_us_per_txn());
    fmt::print("{}\n", json.dump());
    return Exit::ok;
  }
  print_measured("append", flags, append);
  print_measured("floor", flags, floor);
  print_machine(machine);
  fmt::print("the median append takes {:.2f} times the floor's\n", p50_us / std::max(1e-9, floor_p50_us));
  return Exit::ok;
}

// The process that LocalCluster starts; not for people.
Exit run_floor_node(const std::string& path) {
  const NodeConfig config = read_node_config(path);
  real::Loop::capture_stop_signals();
  real::Loop loop;
  auto world = RealWorld::open(loop, config);
  if (!world) refuse(world.error());
  std::string why;
  FloorNode node(**world, config, [&](const std::string& reason) {
    why = reason;
    loop.stop();
  });
  (*world)->attach(node);
  node.on_start();
  loop.on_stop_signal([&](int) { loop.stop(); });
  loop.run();
  world->reset();
  if (!why.empty()) refuse(why);
  return Exit::ok;
}

// ---- recovery ----------------------------------------------------------------------------------------------------

// A node with so much log is killed and started again: how long until it serves, and how much memory it needed.
Exit run_recovery(const BenchFlags& flags) {
  flags.check();
  real::Loop::capture_stop_signals();
  BenchDirectory directory(flags.dir);
  LocalCluster cluster(ClusterKind::replicas, directory.path() + "/replicas", flags.nodes);
  real::Loop loop;
  stop_on_signals(loop);
  LoadOptions options = load_options(flags, 86'400);
  options.warm_up = io::Duration{0};
  const std::uint64_t record = log::kRecordHeaderBytes + (std::uint64_t{flags.size} + 7) / 8 * 8;
  options.transactions_max = (std::uint64_t{flags.log_mib} << 20) / record;
  const Measured filled = measure(loop, cluster, options, "filling the log");
  const std::uint64_t log_bytes = filled.load.answered * record;
  cluster.kill(1);
  show("restarting");
  const io::Instant began = real::monotonic_now();
  cluster.start(1);
  const auto statuses = cluster.await_ready(loop, io::seconds(300));
  const double ready_ms = static_cast<double>((real::monotonic_now() - began).ns) / 1e6;
  const std::int64_t cpu_ns = cluster.cpu_ns(1);
  const double peak_mib = mebibytes(cluster.peak_rss_bytes(1));
  const node::GroupOptions defaults;
  const double caches_mib = mebibytes(defaults.cache_bytes + defaults.read_cache_bytes);
  show_done();
  if (flags.json) {
    Json json;
    json["what"] = "recovery";
    json["nodes"] = flags.nodes;
    json["size"] = flags.size;
    json["outstanding"] = flags.outstanding;
    json["seconds"] = rounded(ready_ms / 1e3);
    json["cpu_us_per_txn"] =
        rounded(microseconds(cpu_ns) / std::max(1.0, static_cast<double>(filled.load.answered)));
    json["cpu_cores"] = rounded(microseconds(cpu_ns) / 1e3 / std::max(1e-3, ready_ms));
    json["peak_rss_mib"] = rounded(peak_mib);
    json["log_bytes"] = log_bytes;
    json["ready_ms"] = rounded(ready_ms);
    json["journal_bytes"] = statuses.front().journal_bytes;
    json["transactions"] = filled.load.answered;
    json["caches_mib"] = rounded(caches_mib);
    fmt::print("{}\n", json.dump());
    return Exit::ok;
  }
  fmt::print("recovery: {:.0f} MiB of log in {} transactions of {} B, {} outstanding\n", mebibytes(log_bytes),
             filled.load.answered, flags.size, flags.outstanding);
  fmt::print(
      "  serving again after {:.0f} ms; {:.0f} MiB of memory at most, of which caches may take {:.0f}\n",
      ready_ms, peak_mib, caches_mib);
  return Exit::ok;
}

// ---- sim ---------------------------------------------------------------------------------------------------------

std::uint64_t median(std::vector<std::uint64_t> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

double own_cpu_seconds() { return static_cast<double>(cpu_ns_of(getpid())) / 1e9; }

struct SimBench {
  SimulationFlags flags;
  std::string seeds;
  double seconds = 60;
  bool json = false;

  Exit run() const;
};

// On one thread. Rates are per second of processor time, so that they hold on a machine that others use too; on an idle
// one that is the same as a second on the clock.
Exit SimBench::run() const {
  if (!(seconds >= 0.1 && seconds <= 86'400)) misuse("--seconds must be from 0.1 to 86400");
  CampaignOptions options;
  options.simulation = flags.options();
  options.last_seed = UINT64_MAX - 1;
  options.minutes = seconds / 60;
  if (!seeds.empty()) {
    parse_seeds(seeds, options.first_seed, options.last_seed);
    options.minutes = 0;
  }
  const double cpu_before = own_cpu_seconds();
  const CampaignReport report = run_campaign(options, [](const CampaignReport& so_far) {
    show(fmt::format("sim: {} seeds, {:.0f}/min, {:.2f} M events/s", so_far.seeds,
                     static_cast<double>(so_far.seeds) * 60 / std::max(so_far.wall_seconds, 1e-3),
                     static_cast<double>(so_far.events) / 1e6 / std::max(so_far.wall_seconds, 1e-3)));
  });
  const double cpu = std::max(own_cpu_seconds() - cpu_before, 1e-9);
  show_done();
  const auto per_second = [cpu](auto count) { return static_cast<double>(count) / cpu; };
  if (json) {
    Json out;
    out["what"] = "sim";
    out["nodes"] = flags.nodes == 0 ? Json() : Json(flags.nodes);  // drawn by each seed
    out["size"] = nullptr;                                         // likewise
    out["outstanding"] = nullptr;
    out["seconds"] = rounded(report.wall_seconds);
    out["cpu_us_per_txn"] = rounded(cpu * 1e6 / std::max(1.0, static_cast<double>(report.commits)));
    out["cpu_cores"] = rounded(cpu / std::max(report.wall_seconds, 1e-9));
    out["peak_rss_mib"] = rounded(mebibytes(peak_rss_bytes_of(getpid())));
    out["events_per_s"] = std::round(per_second(report.events));
    out["seeds_per_min"] = rounded(per_second(report.seeds) * 60);
    out["sim_to_wall"] = rounded(per_second(report.simulated_seconds));
    out["commits_per_cpu_s"] = rounded(per_second(report.commits));
    out["elections_per_cpu_s"] = rounded(per_second(report.elections));
    out["faults_per_s"] = rounded(per_second(report.faults.fired_total()));
    out["seeds"] = report.seeds;
    out["failures"] = report.failures;
    out["median_commits"] = median(report.commits_of);
    out["median_faults"] = median(report.faults_of);
    out["median_elections"] = median(report.elections_of);
    fmt::print("{}\n", out.dump());
  } else {
    fmt::print(
        "sim: {} seeds in {:.1f} s of processor time ({:.1f} s on the clock), one thread, {} failures\n",
        report.seeds, cpu, report.wall_seconds, report.failures);
    fmt::print("  {:.0f} events/s, {:.0f} seeds/min, {:.0f} simulated seconds a second\n",
               per_second(report.events), per_second(report.seeds) * 60,
               per_second(report.simulated_seconds));
    fmt::print(
        "  {:.0f} commits/s, {:.1f} elections/s, {:.0f} faults/s; the median seed: {} commits, {} faults, {} "
        "elections\n",
        per_second(report.commits), per_second(report.elections), per_second(report.faults.fired_total()),
        median(report.commits_of), median(report.faults_of), median(report.elections_of));
  }
  return report.failures == 0 ? Exit::ok : Exit::finding;
}

void add_common_flags(CLI::App& command, BenchFlags& flags) {
  command
      .add_option("--dir", flags.dir, "where to make the data directories for the time of the run: on a disk")
      ->capture_default_str();
  command.add_option("--nodes", flags.nodes, "processes, 1 to 7")->capture_default_str();
  command.add_option("--size", flags.size, "bytes of a transaction's data")->capture_default_str();
  command
      .add_option("--outstanding", flags.outstanding, "transactions without an answer at once, closed loop")
      ->capture_default_str();
  command.add_flag("--json", flags.json, "end with one JSON object");
}

CLI::App* add_load_command(CLI::App& bench, const char* name, const char* text, const char* example,
                           Exit (*go)(const BenchFlags&), Run& run,
                           const std::shared_ptr<BenchFlags>& flags) {
  CLI::App* command = bench.add_subcommand(name, text);
  command->footer(example);
  add_common_flags(*command, *flags);
  command->add_option("--seconds", flags->seconds, "measured time, warm-up not included")
      ->capture_default_str();
  command->callback([flags, go, &run] { run = [flags, go] { return go(*flags); }; });
  return command;
}

void add_recovery(CLI::App& bench, Run& run) {
  CLI::App* command =
      bench.add_subcommand("recovery", "How long a killed node with much log needs to serve again");
  command->footer("Example: reel bench recovery --log-mib 1024 --json");
  auto flags = std::make_shared<BenchFlags>();
  flags->nodes = 1;
  flags->outstanding = 4096;
  add_common_flags(*command, *flags);
  command->add_option("--log-mib", flags->log_mib, "transactions to write first")->capture_default_str();
  command->callback([flags, &run] { run = [flags] { return run_recovery(*flags); }; });
}

void add_sim_bench(CLI::App& bench, Run& run) {
  CLI::App* command =
      bench.add_subcommand("sim", "How fast the seeded world runs, all oracles on, on one core");
  command->footer("Example: reel bench sim --seconds 60 --json");
  auto sim = std::make_shared<SimBench>();
  sim->flags.add_to(*command);
  command->add_option("--seconds", sim->seconds, "stop starting seeds after this long")
      ->capture_default_str();
  command->add_option("--seeds", sim->seeds, "A..B: these seeds instead, however long they take");
  command->add_flag("--json", sim->json, "end with one JSON object");
  command->callback([sim, &run] { run = [sim] { return sim->run(); }; });
}

}  // namespace

void add_bench(CLI::App& app, Run& run) {
  CLI::App* bench = app.add_subcommand("bench", "Measure this machine, and Reel on it");
  bench->footer("Example: reel bench append --outstanding 4096 --seconds 60 --json");
  bench->require_subcommand(1);
  add_load_command(*bench, "floor", "The same processes, calls and durable writes without consensus",
                   "Example: reel bench floor --outstanding 1 --json", run_floor, run,
                   std::make_shared<BenchFlags>());
  auto append = std::make_shared<BenchFlags>();
  CLI::App* appends =
      add_load_command(*bench, "append", "Durable replicated appends, next to the floor of the same run",
                       "Example: reel bench append --outstanding 4096 --seconds 60 --json\n"
                       "         reel bench append --rate 50000 --clients 8 --json",
                       run_append, run, append);
  appends->add_option(
      "--rate", append->rate,
      "open loop: so many are due a second, whatever becomes of them; latencies run from then");
  appends->add_option("--clients", append->clients, "each with a session and a connection; without the floor")
      ->capture_default_str();
  add_bench_overload(*bench, run);
  add_bench_contention(*bench, run);
  add_bench_sessions(*bench, run);
  add_bench_feed(*bench, run);
  add_recovery(*bench, run);
  add_sim_bench(*bench, run);
  add_bench_check(*bench, run);
  CLI::App* node = bench->add_subcommand("floor-node", "One process of `bench floor`");
  node->group("");  // hidden
  auto config = std::make_shared<std::string>();
  node->add_option("--config", *config, "its configuration")->required();
  node->callback([config, &run] { run = [config] { return run_floor_node(*config); }; });
}

}  // namespace reel::harness
