#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/bench/feed_load.h"
#include "harness/bench/figures.h"
#include "harness/bench/load.h"
#include "harness/bench/local_cluster.h"
#include "harness/command/command.h"

namespace reel::harness {
namespace {

struct FeedFlags {
  std::string dir = "/var/tmp";
  std::uint32_t nodes = 3;
  std::uint32_t size = 128;
  std::uint32_t readers = 1;
  std::uint64_t transactions = 300'000;
  double seconds = 10;
  bool json = false;

  void check() const {
    if (nodes < 1 || nodes > 7) misuse("--nodes must be from 1 to 7");
    if (size > kTransactionBytesMax) misuse("--size must be at most " + std::to_string(kTransactionBytesMax));
    if (readers < 1 || readers > 1000) misuse("--readers must be from 1 to 1000");
    if (transactions < 1 || transactions > 100'000'000) misuse("--transactions must be from 1 to 100000000");
    if (!(seconds >= 0.1 && seconds <= 3600)) misuse("--seconds must be from 0.1 to 3600");
  }
};

// Returns the log's end.
TxnId fill(real::Loop& loop, const LocalCluster& cluster, const FeedFlags& flags) {
  RealClient client(loop, cluster.connect_flags());
  LoadOptions options;
  options.size = flags.size;
  options.outstanding = 4096;
  options.warm_up = {};
  options.duration = io::seconds(3600);
  options.transactions_max = flags.transactions;
  Load load(loop, client, options, [](bool) {}, [](const LoadReport&) {});
  return TxnId(load.run().answered);
}

// Readers ask one follower, the one with the lowest id: followers serve what the leader need not.
NodeId follower_of(const std::vector<StatusResult>& statuses) {
  for (const StatusResult& status : statuses) {
    if (!status.groups.empty() && status.groups.front().role == Role::follower) return status.node;
  }
  return statuses.front().node;
}

Exit run_feed(const FeedFlags& flags) {
  flags.check();
  real::Loop::capture_stop_signals();
  BenchDirectory directory(flags.dir);
  LocalCluster cluster(ClusterKind::replicas, directory.path() + "/replicas", flags.nodes);
  real::Loop loop;
  loop.on_stop_signal([&loop](int) { loop.stop(); });
  cluster.await_ready(loop, io::seconds(30));
  const TxnId end = fill(loop, cluster, flags);
  const NodeId node = follower_of(cluster.await_ready(loop, io::seconds(30)));
  const auto number = static_cast<std::uint32_t>(node.value);
  FeedLoad load(loop, cluster.connect_flags(), node, flags.readers, end);
  const std::int64_t readers_before = cpu_ns_of(getpid());
  const std::int64_t node_before = cluster.cpu_ns(number);
  const FeedLoadReport report = load.run(duration_of(flags.seconds), watch(cluster, "feed"));
  show("");
  const auto readers_cpu = static_cast<double>(cpu_ns_of(getpid()) - readers_before);
  const auto node_cpu = static_cast<double>(cluster.cpu_ns(number) - node_before);
  const auto delivered = static_cast<double>(std::max<std::uint64_t>(report.transactions, 1));
  const auto [slowest, fastest] = std::minmax_element(report.of_reader.begin(), report.of_reader.end());
  if (flags.json) {
    nlohmann::ordered_json json;
    json["what"] = "feed";
    json["nodes"] = flags.nodes;
    json["size"] = flags.size;
    json["outstanding"] = nullptr;
    json["readers"] = flags.readers;
    json["seconds"] = rounded(report.seconds);
    json["tps"] = std::round(delivered / report.seconds);
    json["mb_s"] = rounded(static_cast<double>(report.bytes) / 1e6 / report.seconds);
    json["cpu_us_per_txn"] = rounded((readers_cpu + node_cpu) / 1e3 / delivered);
    json["cpu_us_per_txn_of"] = {rounded(readers_cpu / 1e3 / delivered), rounded(node_cpu / 1e3 / delivered)};
    json["cpu_cores"] = rounded((readers_cpu + node_cpu) / 1e9 / report.seconds);
    json["tps_per_core"] = std::round(delivered * 1e9 / std::max(1.0, readers_cpu + node_cpu));
    json["slowest_over_fastest"] =
        rounded(static_cast<double>(*slowest) / std::max(1.0, static_cast<double>(*fastest)));
    json["peak_rss_mib"] = rounded(static_cast<double>(cluster.peak_rss_bytes(number)) / (1u << 20));
    fmt::print("{}\n", json.dump());
    return Exit::ok;
  }
  fmt::print("feed: {} readers of {} transactions of {} B on one follower, {:.1f} s\n", flags.readers,
             end.value, flags.size, report.seconds);
  fmt::print(
      "  {:.0f} transactions/s, {:.1f} MB/s; {:.3f} us of CPU each; the slowest reader got {:.0f} % of the "
      "fastest\n",
      delivered / report.seconds, static_cast<double>(report.bytes) / 1e6 / report.seconds,
      (readers_cpu + node_cpu) / 1e3 / delivered,
      100 * static_cast<double>(*slowest) / std::max(1.0, static_cast<double>(*fastest)));
  return Exit::ok;
}

}  // namespace

void add_bench_feed(CLI::App& bench, Run& run) {
  CLI::App* command = bench.add_subcommand("feed", "How fast readers get a log that is in memory");
  command->footer("Example: reel bench feed --readers 100 --json");
  auto flags = std::make_shared<FeedFlags>();
  command->add_option("--dir", flags->dir, "where to make the data directories: on a disk")
      ->capture_default_str();
  command->add_option("--nodes", flags->nodes, "processes, 1 to 7")->capture_default_str();
  command->add_option("--size", flags->size, "bytes of a transaction's data")->capture_default_str();
  command->add_option("--readers", flags->readers, "each with a connection of its own")
      ->capture_default_str();
  command
      ->add_option("--transactions", flags->transactions,
                   "in the log; 300000 of 128 B fit into a node's cache")
      ->capture_default_str();
  command->add_option("--seconds", flags->seconds, "measured time")->capture_default_str();
  command->add_flag("--json", flags->json, "end with one JSON object");
  command->callback([flags, &run] { run = [flags] { return run_feed(*flags); }; });
}

}  // namespace reel::harness
