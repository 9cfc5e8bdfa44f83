#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/bench/contention_load.h"
#include "harness/bench/figures.h"
#include "harness/bench/local_cluster.h"
#include "harness/command/command.h"

namespace reel::harness {
namespace {

struct ContentionFlags {
  std::string dir = "/var/tmp";
  std::uint32_t nodes = 3;
  std::uint32_t size = 128;
  std::uint32_t clients = 16;
  std::uint32_t keys = 100;
  std::uint32_t write_percent = 100;
  std::uint32_t read_percent = 0;
  double think_ms = 0;
  double seconds = 10;
  bool json = false;

  void check() const {
    if (nodes < 1 || nodes > 7) misuse("--nodes must be from 1 to 7");
    if (size > kTransactionBytesMax) misuse("--size must be at most " + std::to_string(kTransactionBytesMax));
    if (clients < 1 || clients > 1000) misuse("--clients must be from 1 to 1000");
    if (keys < 1) misuse("--keys must be at least 1");
    if (write_percent + read_percent > 100 || write_percent > 100)
      misuse("--write-locks and --read-locks are percents: together at most 100");
    if (!(think_ms >= 0 && think_ms <= 60'000)) misuse("--think-time must be from 0 to 60000");
    if (!(seconds >= 0.1 && seconds <= 3600)) misuse("--seconds must be from 0.1 to 3600");
  }
};

Exit run_contention(const ContentionFlags& flags) {
  flags.check();
  real::Loop::capture_stop_signals();
  BenchDirectory directory(flags.dir);
  LocalCluster cluster(ClusterKind::replicas, directory.path() + "/replicas", flags.nodes);
  real::Loop loop;
  loop.on_stop_signal([&loop](int) { loop.stop(); });
  cluster.await_ready(loop, io::seconds(30));
  ContentionOptions options;
  options.clients = flags.clients;
  options.keys = flags.keys;
  options.write_percent = flags.write_percent;
  options.read_percent = flags.read_percent;
  options.think = {static_cast<std::int64_t>(flags.think_ms * 1e6)};
  options.size = flags.size;
  options.duration = {static_cast<std::int64_t>(flags.seconds * 1e9)};
  options.warm_up = {static_cast<std::int64_t>(std::clamp(flags.seconds / 4, 0.2, 2.0) * 1e9)};
  ContentionLoad load(loop, cluster.connect_flags(), options);
  std::int64_t cpu_ns = 0;
  const ContentionReport report = load.run(count_cpu(cluster, cpu_ns), watch(cluster, "contention"));
  show("");
  const auto committed = static_cast<double>(std::max<std::uint64_t>(report.committed, 1));
  const auto quantile = [&](std::uint32_t millionths) {
    return rounded(static_cast<double>(report.latencies.quantile_ns(millionths)) / 1e3);
  };
  const double fairness =
      rounded(static_cast<double>(report.slowest) / std::max(1.0, static_cast<double>(report.fastest)));
  if (flags.json) {
    nlohmann::ordered_json json;
    json["what"] = "contention";
    json["nodes"] = flags.nodes;
    json["size"] = flags.size;
    json["outstanding"] = flags.clients;
    json["clients"] = flags.clients;
    json["keys"] = flags.keys;
    json["write_percent"] = flags.write_percent;
    json["read_percent"] = flags.read_percent;
    json["append_percent"] = 100 - flags.write_percent - flags.read_percent;
    json["think_ms"] = flags.think_ms;
    json["seconds"] = rounded(report.seconds);
    json["tps"] = std::round(static_cast<double>(report.committed) / report.seconds);
    json["executions_per_commit"] = rounded(static_cast<double>(report.executions) / committed);
    json["refused"] = report.refused;
    json["failed"] = report.failed;
    json["p50_us"] = quantile(500'000);
    json["p99_us"] = quantile(990'000);
    json["p999_us"] = quantile(999'000);
    json["cpu_us_per_txn"] = rounded(static_cast<double>(cpu_ns) / 1e3 / committed);
    json["cpu_cores"] = rounded(static_cast<double>(cpu_ns) / 1e9 / report.seconds);
    json["slowest_over_fastest"] = fairness;
    json["peak_rss_mib"] = rounded(static_cast<double>(cluster.peak_rss_bytes(1)) / (1u << 20));
    fmt::print("{}\n", json.dump());
    return Exit::ok;
  }
  fmt::print("contention: {} clients over {} keys, {} % write, {} % read, {} % append locks, {:.1f} s\n",
             flags.clients, flags.keys, flags.write_percent, flags.read_percent,
             100 - flags.write_percent - flags.read_percent, report.seconds);
  fmt::print(
      "  {:.0f} commits/s; {:.2f} executions each, {} refused, {} failed; p50 {:.0f} us, p99 {:.0f} us; the "
      "slowest client got {:.0f} % of the fastest\n",
      static_cast<double>(report.committed) / report.seconds,
      static_cast<double>(report.executions) / committed, report.refused, report.failed, quantile(500'000),
      quantile(990'000), 100 * fairness);
  return Exit::ok;
}

}  // namespace

void add_bench_contention(CLI::App& bench, Run& run) {
  CLI::App* command =
      bench.add_subcommand("contention", "Transactions with locks on few keys, executed again when refused");
  command->footer(
      "Example: reel bench contention --clients 16 --keys 10 --read-locks 50 --write-locks 50 --json");
  auto flags = std::make_shared<ContentionFlags>();
  command->add_option("--dir", flags->dir, "where to make the data directories: on a disk")
      ->capture_default_str();
  command->add_option("--nodes", flags->nodes, "processes, 1 to 7")->capture_default_str();
  command->add_option("--size", flags->size, "bytes of a transaction's data")->capture_default_str();
  command->add_option("--clients", flags->clients, "each with a view, a connection, and one submit at a time")
      ->capture_default_str();
  command->add_option("--keys", flags->keys, "in the pool; each transaction locks one")
      ->capture_default_str();
  command->add_option("--write-locks", flags->write_percent, "percent of all transactions")
      ->capture_default_str();
  command->add_option("--read-locks", flags->read_percent, "percent; the rest has append locks")
      ->capture_default_str();
  command->add_option("--think-time", flags->think_ms, "mean pause between submits of a client, in ms")
      ->capture_default_str();
  command->add_option("--seconds", flags->seconds, "measured time")->capture_default_str();
  command->add_flag("--json", flags->json, "end with one JSON object");
  command->callback([flags, &run] { run = [flags] { return run_contention(*flags); }; });
}

}  // namespace reel::harness
