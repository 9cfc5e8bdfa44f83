#include "harness/command/bench_overload.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/bench/figures.h"
#include "harness/bench/local_cluster.h"
#include "harness/command/command.h"
#include "node/log/sessions.h"

namespace reel::harness {
namespace {

using Json = nlohmann::ordered_json;

constexpr io::Duration kReadyMax = io::seconds(30);

double microseconds(std::int64_t ns) { return rounded(static_cast<double>(ns) / 1e3); }
double mebibytes(std::uint64_t bytes) { return rounded(static_cast<double>(bytes) / (1u << 20)); }
double per_second(std::uint64_t count, double seconds) {
  return std::round(static_cast<double>(count) / std::max(1e-9, seconds));
}

Term term_of(const std::vector<StatusResult>& statuses) {
  Term term;
  for (const StatusResult& status : statuses) {
    for (const GroupStatus& group : status.groups) term = std::max(term, group.term);
  }
  return term;
}

struct Measured {
  OpenLoadReport load;
  std::int64_t cpu_ns = 0;
  std::uint64_t elections = 0;  // terms that began meanwhile
};

Measured measure(real::Loop& loop, LocalCluster& cluster, const OpenLoadOptions& options,
                 const std::string& name) {
  Measured measured;
  const Term before = term_of(cluster.await_ready(loop, kReadyMax));
  {
    OpenLoad load(loop, cluster.connect_flags(), options);
    measured.load =
        load.run(count_cpu(cluster, measured.cpu_ns), [&](double seconds, std::uint64_t answered) {
          cluster.check();
          show(fmt::format("{}: {:.0f} s, {:.0f} transactions/s", name, seconds,
                           per_second(answered, std::max(seconds, 0.001))));
        });
  }
  measured.elections = term_of(cluster.await_ready(loop, kReadyMax)) - before;
  return measured;
}

std::uint64_t peak_rss(const LocalCluster& cluster) {
  std::uint64_t peak = 0;
  for (std::uint32_t node = 1; node <= cluster.nodes(); ++node) {
    peak = std::max(peak, cluster.peak_rss_bytes(node));
  }
  return peak;
}

void check(const OverloadFlags& flags) {
  if (flags.nodes < 1 || flags.nodes > 7) misuse("--nodes must be from 1 to 7");
  if (flags.size > kTransactionBytesMax) {
    misuse("--size must be at most " + std::to_string(kTransactionBytesMax));
  }
  if (flags.clients < 1 || flags.clients > 1000) misuse("--clients must be from 1 to 1000");
  if (flags.outstanding < 1 || flags.outstanding > log::kSessionWindow / 2) {
    misuse("--outstanding must be from 1 to " + std::to_string(log::kSessionWindow / 2));
  }
  if (!(flags.rate >= 0 && flags.rate <= 1e8)) misuse("--rate must be from 0 to 100000000");
  if (!(flags.seconds >= 0.1 && flags.seconds <= 86'400)) misuse("--seconds must be from 0.1 to 86400");
  if (!(flags.times >= 1 && flags.times <= 100)) misuse("--times must be from 1 to 100");
}

OpenLoadOptions options_of(const OverloadFlags& flags) {
  OpenLoadOptions options;
  options.clients = flags.clients;
  options.rate = flags.rate;
  options.outstanding = flags.outstanding;
  options.size = flags.size;
  options.duration = duration_of(flags.seconds);
  options.warm_up = duration_of(std::clamp(flags.seconds / 4, 0.2, 2.0));
  return options;
}

Json shared(const char* what, const OverloadFlags& flags, const Measured& measured,
            const LocalCluster& cluster) {
  const OpenLoadReport& load = measured.load;
  Json json;
  json["what"] = what;
  json["nodes"] = flags.nodes;
  json["size"] = flags.size;
  json["outstanding"] = flags.outstanding;
  json["seconds"] = rounded(load.seconds);
  json["cpu_us_per_txn"] = rounded(static_cast<double>(measured.cpu_ns) / 1e3 /
                                   static_cast<double>(std::max<std::uint64_t>(load.transactions, 1)));
  json["cpu_cores"] = rounded(static_cast<double>(measured.cpu_ns) / 1e9 / std::max(1e-9, load.seconds));
  json["peak_rss_mib"] = mebibytes(peak_rss(cluster));
  json["clients"] = flags.clients;
  json["tps"] = per_second(load.transactions, load.seconds);
  json["p50_us"] = microseconds(load.latencies.quantile_ns(500'000));
  json["p99_us"] = microseconds(load.latencies.quantile_ns(990'000));
  json["p999_us"] = microseconds(load.latencies.quantile_ns(999'000));
  json["sent_p50_us"] = microseconds(load.sent_latencies.quantile_ns(500'000));
  json["sent_p99_us"] = microseconds(load.sent_latencies.quantile_ns(990'000));
  json["refused"] = load.refused;
  json["repeated"] = load.repeated;
  json["leader_changes"] = measured.elections;
  json["slowest_over_fastest"] = rounded(static_cast<double>(load.slowest) /
                                         static_cast<double>(std::max<std::uint64_t>(load.fastest, 1)));
  return json;
}

// The most that as many clients get in a closed loop, with whichever window suits this machine best.
double find_peak(real::Loop& loop, LocalCluster& cluster, const OverloadFlags& flags) {
  OpenLoadOptions closed = options_of(flags);
  closed.rate = 0;
  closed.duration = duration_of(std::clamp(flags.seconds / 8, 0.3, 5.0));
  closed.warm_up = duration_of(std::clamp(flags.seconds / 16, 0.2, 1.0));
  double peak = 0;
  for (const std::uint32_t part : {64u, 8u, 2u}) {
    closed.outstanding = std::max(1u, flags.outstanding / part);
    const Measured measured = measure(loop, cluster, closed, "peak");
    peak = std::max(peak, per_second(measured.load.transactions, measured.load.seconds));
  }
  return peak;
}

Exit run_overload(OverloadFlags flags) {
  check(flags);
  real::Loop::capture_stop_signals();
  BenchDirectory directory(flags.dir);
  LocalCluster cluster(ClusterKind::replicas, directory.path() + "/replicas", flags.nodes);
  real::Loop loop;
  loop.on_stop_signal([&loop](int) { loop.stop(); });
  const double peak_tps = find_peak(loop, cluster, flags);
  flags.rate = std::max(1.0, flags.rate > 0 ? flags.rate : peak_tps * flags.times);
  const Measured overload = measure(loop, cluster, options_of(flags), "overload");
  show("");
  const OpenLoadReport& load = overload.load;
  const double tps = per_second(load.transactions, load.seconds);
  if (flags.json) {
    Json json = shared("overload", flags, overload, cluster);
    json["peak_tps"] = peak_tps;
    json["offered_tps"] = per_second(load.due, load.seconds);
    json["goodput_ratio"] = rounded(tps / std::max(1.0, peak_tps));
    json["given_up"] = load.given_up;
    fmt::print("{}\n", json.dump());
    return Exit::ok;
  }
  fmt::print(
      "overload: {} clients, {} B; peak {:.0f} transactions/s, offered {:.0f}, answered {:.0f} ({:.0f} %)\n",
      flags.clients, flags.size, peak_tps, per_second(load.due, load.seconds), tps,
      100 * tps / std::max(1.0, peak_tps));
  fmt::print(
      "  p50 {:.1f} ms, p99 {:.1f} ms once handed over; {} calls refused; {} given up at the client; {} "
      "leader "
      "changes; {:.0f} MiB\n",
      microseconds(load.sent_latencies.quantile_ns(500'000)) / 1e3,
      microseconds(load.sent_latencies.quantile_ns(990'000)) / 1e3, load.refused, load.given_up,
      overload.elections, mebibytes(peak_rss(cluster)));
  return Exit::ok;
}

}  // namespace

Exit run_append_of_many(const OverloadFlags& flags) {
  check(flags);
  real::Loop::capture_stop_signals();
  BenchDirectory directory(flags.dir);
  LocalCluster cluster(ClusterKind::replicas, directory.path() + "/replicas", flags.nodes);
  real::Loop loop;
  loop.on_stop_signal([&loop](int) { loop.stop(); });
  const Measured measured = measure(loop, cluster, options_of(flags), "append");
  show("");
  const OpenLoadReport& load = measured.load;
  if (flags.json) {
    Json json = shared("append", flags, measured, cluster);
    json["loop"] = flags.rate > 0 ? "open" : "closed";
    json["rate"] = flags.rate;
    json["offered_tps"] = flags.rate > 0 ? Json(per_second(load.due, load.seconds)) : Json();
    json["given_up"] = load.given_up;
    fmt::print("{}\n", json.dump());
    return Exit::ok;
  }
  fmt::print("append: {} clients, {} B, {}, {:.1f} s\n", flags.clients, flags.size,
             flags.rate > 0 ? fmt::format("{:.0f} transactions due a second", flags.rate)
                            : fmt::format("{} outstanding each", flags.outstanding),
             load.seconds);
  fmt::print(
      "  {:.0f} transactions/s; p50 {:.0f} us, p99 {:.0f} us, p99.9 {:.0f} us{}; {} given up, {} calls "
      "refused\n",
      per_second(load.transactions, load.seconds), microseconds(load.latencies.quantile_ns(500'000)),
      microseconds(load.latencies.quantile_ns(990'000)), microseconds(load.latencies.quantile_ns(999'000)),
      flags.rate > 0 ? " from when they were due" : "", load.given_up, load.refused);
  return Exit::ok;
}

void add_bench_overload(CLI::App& bench, Run& run) {
  CLI::App* command =
      bench.add_subcommand("overload", "The cluster's peak, and what it still does when asked for far more");
  command->footer("Example: reel bench overload --clients 32 --seconds 600 --json");
  auto flags = std::make_shared<OverloadFlags>();
  flags->clients = 64;
  flags->outstanding = 8192;
  command->add_option("--dir", flags->dir, "where to make the data directories: on a disk")
      ->capture_default_str();
  command->add_option("--nodes", flags->nodes, "processes, 1 to 7")->capture_default_str();
  command->add_option("--size", flags->size, "bytes of a transaction's data")->capture_default_str();
  command->add_option("--clients", flags->clients, "each with a connection of its own")
      ->capture_default_str();
  command
      ->add_option("--outstanding", flags->outstanding,
                   "of each client under overload; what is due beyond waits at the client, for a second")
      ->capture_default_str();
  command->add_option("--times", flags->times, "what is offered, in peaks")->capture_default_str();
  command->add_option("--rate", flags->rate, "what is offered a second instead");
  command->add_option("--seconds", flags->seconds, "of overload")->capture_default_str();
  command->add_flag("--json", flags->json, "end with one JSON object");
  command->callback([flags, &run] { run = [flags] { return run_overload(*flags); }; });
}

}  // namespace reel::harness
