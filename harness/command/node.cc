#include <fmt/core.h>

#include <filesystem>
#include <memory>

#include "harness/command/command.h"
#include "harness/node_config.h"
#include "harness/real_node.h"

namespace reel::harness {
namespace {

struct InitFlags {
  std::uint64_t cluster = 0;
  std::uint64_t node = 0;
  std::string dir;
  std::vector<std::string> peers;
  std::uint32_t partitions = 1;
  std::uint64_t journal_file_mib = 64;
};

Exit init(const InitFlags& flags) {
  if (flags.cluster == 0 || flags.cluster > INT64_MAX)
    misuse("--cluster must be a number from 1 to 2^63 - 1");
  if (flags.node == 0 || flags.node > INT64_MAX) misuse("--node must be a number from 1 to 2^63 - 1");
  if (flags.partitions < 1 || flags.partitions > 1024) misuse("--partitions must be from 1 to 1024");
  if (flags.journal_file_mib < kJournalFileMibMin || flags.journal_file_mib > kJournalFileMibMax) {
    misuse("--journal-file-mib must be from " + std::to_string(kJournalFileMibMin) + " to " +
           std::to_string(kJournalFileMibMax));
  }
  std::vector<NodeId> voters;
  for (const std::string& text : flags.peers) {
    const NodeId voter = parse_peer(text).node;
    if (std::find(voters.begin(), voters.end(), voter) != voters.end()) {
      misuse("node " + std::to_string(voter.value) + " stands twice among --peer");
    }
    voters.push_back(voter);
  }
  if (voters.size() > kVotersMax) misuse("a cluster has at most " + std::to_string(kVotersMax) + " voters");
  if (std::find(voters.begin(), voters.end(), NodeId(flags.node)) == voters.end()) {
    misuse("--peer must name every node of the cluster, node " + std::to_string(flags.node) + " too");
  }
  std::sort(voters.begin(), voters.end());
  std::error_code error;
  if (std::filesystem::exists(flags.dir, error) && !std::filesystem::is_directory(flags.dir, error)) {
    refuse("'" + flags.dir + "' is not a directory: choose another --dir");
  }
  journal::Options options = journal_options(flags.journal_file_mib);
  const auto made =
      init_directory(flags.dir, {io::ClusterId(flags.cluster), NodeId(flags.node), Incarnation(0)}, voters,
                     flags.partitions, options);
  if (!made) refuse(made.error());
  fmt::print("made {} for node {} of cluster {}\n", flags.dir, flags.node, flags.cluster);
  return Exit::ok;
}

Exit serve(const std::string& path) {
  const NodeConfig config = read_node_config(path);
  real::Loop::capture_stop_signals();
  real::Loop loop;
  std::string why;
  RealNode::Events events;
  events.online = [&] {
    fmt::print("node {} of cluster {} serves on {}\n", config.node.value, config.cluster.value,
               config.listen);
    std::fflush(stdout);
  };
  events.halted = [&](const std::string& reason) {
    why = reason;
    loop.stop();
  };
  auto node = RealNode::start(loop, config, std::move(events));
  if (!node) refuse(node.error());
  if (!(*node)->notice().empty()) fmt::print(stderr, "reel: {}\n", (*node)->notice());
  loop.on_stop_signal([&](int) { loop.stop(); });
  if (why.empty()) loop.run();
  node->reset();
  if (!why.empty()) refuse("node " + std::to_string(config.node.value) + " stopped: " + why);
  return Exit::ok;
}

}  // namespace

void add_node(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("node", "Run one production node, or make its data directory");
  command->footer(
      "Example: reel node init --cluster 7 --node 1 --dir /srv/reel --peer 1=10.0.0.1:7101 --peer "
      "2=10.0.0.2:7101 "
      "--peer 3=10.0.0.3:7101\n         reel node --config /etc/reel.toml\n\n"
      "A configuration says who the node is (cluster, node, dir, listen, token_file, peers), and may have a "
      "table of\n"
      "limits; these are the defaults, and harness/README.md says what each bounds:\n\n"
      "    [limits]\n"
      "    transaction_kib = 1024       batch_kib = 3072         batch_transactions = 16384   entry_kib = "
      "1024\n"
      "    frame_kib = 4096             connections = 4096       calls = 65536                call_mib = "
      "256\n"
      "    unread_mib = 64              queue_mib = 64           queue_min_kib = 2048         queue_calls = "
      "65536\n"
      "    queue_delay_ms = 200         retry_max_ms = 1000      feeds_waiting = 65536        reads_waiting "
      "= 16384\n"
      "    partitions = 1024\n\n"
      "(one line each in the file)");
  auto config = std::make_shared<std::string>();
  command->add_option("--config", *config, "the node's configuration (TOML)");
  auto flags = std::make_shared<InitFlags>();
  CLI::App* made = command->add_subcommand("init", "Make a data directory for one node of a cluster");
  made->footer("Example: reel node init --cluster 7 --node 1 --dir /srv/reel --peer 1=10.0.0.1:7101");
  made->add_option("--cluster", flags->cluster, "the cluster's number, the same for all its nodes")
      ->required();
  made->add_option("--node", flags->node, "this node's number")->required();
  made->add_option("--dir", flags->dir, "the data directory: empty, or not there yet")->required();
  made->add_option("--peer", flags->peers, "NODE=HOST:PORT, once for every node of the cluster")->required();
  made->add_option("--partitions", flags->partitions, "partitions of the log")->capture_default_str();
  made->add_option("--journal-file-mib", flags->journal_file_mib, "size of one journal file")
      ->capture_default_str();
  made->callback([flags, &run] { run = [flags] { return init(*flags); }; });
  command->callback([config, made, &run] {
    if (made->parsed()) return;
    run = [config] {
      if (config->empty()) misuse("give --config FILE, or use `reel node init` to make a data directory");
      return serve(*config);
    };
  });
}

}  // namespace reel::harness
