#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/bench/figures.h"
#include "harness/bench/local_cluster.h"
#include "harness/bench/session_load.h"
#include "harness/command/command.h"

namespace reel::harness {
namespace {

struct SessionFlags {
  std::string dir = "/var/tmp";
  std::uint32_t nodes = 3;
  std::uint32_t size = 128;
  std::uint32_t sessions = 64;
  std::uint32_t connections = 1;
  double seconds = 10;
  bool json = false;

  void check() const {
    if (nodes < 1 || nodes > 7) misuse("--nodes must be from 1 to 7");
    if (size > kTransactionBytesMax) misuse("--size must be at most " + std::to_string(kTransactionBytesMax));
    if (sessions < 1 || sessions > 10'000) misuse("--sessions must be from 1 to 10000");
    if (connections < 1 || connections > sessions)
      misuse("--connections must be from 1 to the number of sessions");
    if (!(seconds >= 0.1 && seconds <= 3600)) misuse("--seconds must be from 0.1 to 3600");
  }
};

Exit run_sessions(const SessionFlags& flags) {
  flags.check();
  real::Loop::capture_stop_signals();
  BenchDirectory directory(flags.dir);
  LocalCluster cluster(ClusterKind::replicas, directory.path() + "/replicas", flags.nodes);
  real::Loop loop;
  loop.on_stop_signal([&loop](int) { loop.stop(); });
  cluster.await_ready(loop, io::seconds(30));
  SessionLoadOptions options;
  options.sessions = flags.sessions;
  options.connections = flags.connections;
  options.size = flags.size;
  options.duration = {static_cast<std::int64_t>(flags.seconds * 1e9)};
  SessionLoad load(loop, cluster.connect_flags(), options);
  std::int64_t cpu_ns = 0;
  const SessionLoadReport report = load.run(count_cpu(cluster, cpu_ns), watch(cluster, "sessions"));
  show("");
  const auto answered = static_cast<double>(std::max<std::uint64_t>(report.transactions, 1));
  const auto quantile = [&](std::uint32_t millionths) {
    return rounded(static_cast<double>(report.latencies.quantile_ns(millionths)) / 1e3);
  };
  if (flags.json) {
    nlohmann::ordered_json json;
    json["what"] = "sessions";
    json["nodes"] = flags.nodes;
    json["size"] = flags.size;
    json["outstanding"] = flags.sessions;
    json["sessions"] = flags.sessions;
    json["connections"] = flags.connections;
    json["seconds"] = rounded(report.seconds);
    json["tps"] = std::round(answered / report.seconds);
    json["p50_us"] = quantile(500'000);
    json["p99_us"] = quantile(990'000);
    json["p999_us"] = quantile(999'000);
    json["cpu_us_per_txn"] = rounded(static_cast<double>(cpu_ns) / 1e3 / answered);
    json["cpu_cores"] = rounded(static_cast<double>(cpu_ns) / 1e9 / report.seconds);
    json["slowest_over_fastest"] =
        rounded(static_cast<double>(report.slowest) / std::max(1.0, static_cast<double>(report.fastest)));
    json["peak_rss_mib"] = rounded(static_cast<double>(cluster.peak_rss_bytes(1)) / (1u << 20));
    fmt::print("{}\n", json.dump());
    return Exit::ok;
  }
  fmt::print("sessions: {} over {} connections, one transaction of {} B each at a time, {:.1f} s\n",
             flags.sessions, flags.connections, flags.size, report.seconds);
  fmt::print("  {:.0f} transactions/s; p50 {:.0f} us, p99 {:.0f} us; {:.2f} us of CPU each\n",
             answered / report.seconds, quantile(500'000), quantile(990'000),
             static_cast<double>(cpu_ns) / 1e3 / answered);
  return Exit::ok;
}

}  // namespace

void add_bench_sessions(CLI::App& bench, Run& run) {
  CLI::App* command =
      bench.add_subcommand("sessions", "Many sessions, each with one durable append at a time");
  command->footer("Example: reel bench sessions --sessions 256 --connections 1 --json");
  auto flags = std::make_shared<SessionFlags>();
  command->add_option("--dir", flags->dir, "where to make the data directories: on a disk")
      ->capture_default_str();
  command->add_option("--nodes", flags->nodes, "processes, 1 to 7")->capture_default_str();
  command->add_option("--size", flags->size, "bytes of a transaction's data")->capture_default_str();
  command->add_option("--sessions", flags->sessions, "each waits for its answer")->capture_default_str();
  command->add_option("--connections", flags->connections, "that they share")->capture_default_str();
  command->add_option("--seconds", flags->seconds, "measured time")->capture_default_str();
  command->add_flag("--json", flags->json, "end with one JSON object");
  command->callback([flags, &run] { run = [flags] { return run_sessions(*flags); }; });
}

}  // namespace reel::harness
