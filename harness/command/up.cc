#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <thread>

#include "harness/command/command.h"
#include "harness/real_node.h"

namespace reel::harness {
namespace {

struct UpFlags {
  std::uint32_t nodes = 3;
  std::string dir = "reel-data";
  std::uint32_t partitions = 1;
  std::uint32_t port = 0;
};

std::uint32_t free_port() {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (probe < 0 || bind(probe, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    refuse("the system has no free port on 127.0.0.1");
  }
  close(probe);
  return ntohs(address.sin_port);
}

std::string config_path(const UpFlags& flags, std::uint32_t node) {
  return flags.dir + "/node" + std::to_string(node) + ".toml";
}

// A new development cluster: token, configurations, data directories. Configurations come last: a directory that was
// only half made is refused the next time, and nothing of it is used.
void make_cluster(const UpFlags& flags) {
  std::error_code error;
  if (std::filesystem::exists(flags.dir, error) && !std::filesystem::is_empty(flags.dir, error)) {
    refuse("'" + flags.dir + "' is not empty and holds no development cluster: choose another --dir");
  }
  std::filesystem::create_directories(flags.dir, error);
  if (error) refuse("cannot make the directory '" + flags.dir + "': " + error.message());
  make_token_file(flags.dir + "/token");
  std::uint64_t cluster = 0;
  while (getrandom(&cluster, sizeof cluster, 0) != static_cast<ssize_t>(sizeof cluster)) {
  }
  cluster = (cluster >> 2) + 1;
  std::vector<NodeId> voters;
  std::string peers;
  std::vector<std::string> addresses;
  for (std::uint32_t node = 1; node <= flags.nodes; ++node) {
    voters.push_back(NodeId(node));
    addresses.push_back("127.0.0.1:" + std::to_string(flags.port != 0 ? flags.port + node - 1 : free_port()));
    peers += fmt::format("  {{ node = {}, address = \"{}\" }},\n", node, addresses.back());
  }
  for (std::uint32_t node = 1; node <= flags.nodes; ++node) {
    const auto made = init_directory(flags.dir + "/node" + std::to_string(node),
                                     {io::ClusterId(cluster), NodeId(node), Incarnation(0)}, voters, flags.partitions,
                                     journal_options(64));
    if (!made) refuse(made.error());
  }
  const std::string absolute = std::filesystem::absolute(flags.dir).string();
  for (std::uint32_t node = flags.nodes; node >= 1; --node) {
    std::ofstream file(config_path(flags, node));
    file << fmt::format(
        "cluster = {}\nnode = {}\ndir = \"{}/node{}\"\nlisten = \"{}\"\ntoken_file = \"{}/token\"\npeers = [\n{}]\n",
        cluster, node, absolute, node, addresses[node - 1], absolute, peers);
    if (!file) refuse("cannot write " + config_path(flags, node));
  }
}

// One node on a thread and a loop of its own.
class NodeThread {
 public:
  NodeThread(const NodeConfig& config, std::function<void(const std::string&)> ended)
      : thread_([this, config, ended = std::move(ended)] { run(config, ended); }) {}
  ~NodeThread() {
    if (thread_.joinable()) thread_.join();
  }
  void stop() {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    if (mailbox_) mailbox_->post([loop = loop_] { loop->stop(); });
  }

 private:
  void run(const NodeConfig& config, const std::function<void(const std::string&)>& ended) {
    std::string why;
    try {
      real::Loop loop;
      auto node = RealNode::start(loop, config, [&](const std::string& reason) {
        why = reason;
        loop.stop();
      });
      if (node) {
        {
          std::lock_guard lock(mutex_);
          mailbox_ = loop.mailbox();
          loop_ = &loop;
          if (stopping_) loop.stop();
        }
        loop.run();
        std::lock_guard lock(mutex_);
        mailbox_.reset();
      } else {
        why = node.error();
      }
    } catch (const CommandError& error) {
      why = error.text;
    }
    ended(why);
  }

  std::mutex mutex_;
  std::shared_ptr<real::Mailbox> mailbox_;
  real::Loop* loop_ = nullptr;
  bool stopping_ = false;
  std::thread thread_;
};

Exit up(const UpFlags& flags) {
  if (flags.nodes < 1 || flags.nodes > 7) misuse("--nodes must be from 1 to 7");
  if (flags.port > 65535 - 7) misuse("--port must leave room for seven ports below 65536");
  if (!std::filesystem::exists(config_path(flags, 1))) make_cluster(flags);
  std::vector<NodeConfig> configs;
  while (std::filesystem::exists(config_path(flags, static_cast<std::uint32_t>(configs.size() + 1)))) {
    configs.push_back(read_node_config(config_path(flags, static_cast<std::uint32_t>(configs.size() + 1))));
  }
  real::Loop::capture_stop_signals();
  real::Loop loop;
  std::string failure;
  std::vector<std::unique_ptr<NodeThread>> threads;
  for (const NodeConfig& config : configs) {
    const std::uint64_t node = config.node.value;
    threads.push_back(std::make_unique<NodeThread>(config, [&, node, mailbox = loop.mailbox()](const std::string& why) {
      mailbox->post([&, node, why] {
        if (!why.empty() && failure.empty()) failure = "node " + std::to_string(node) + ": " + why;
        loop.stop();
      });
    }));
  }
  std::string connect;
  for (const NodeConfig& config : configs) connect += (connect.empty() ? "" : ",") + config.listen;
  fmt::print("a cluster of {} in {}, Ctrl-C stops it\n\n", configs.size(), flags.dir);
  fmt::print("  export REEL_TOKEN_FILE={}\n", configs.front().token_file);
  fmt::print("  echo hello | reel append --connect {}\n", connect);
  fmt::print("  reel feed --connect {}\n  reel status --connect {}\n\n", connect, connect);
  std::fflush(stdout);
  loop.on_stop_signal([&](int) { loop.stop(); });
  loop.run();
  for (const auto& thread : threads) thread->stop();
  threads.clear();
  if (!failure.empty()) refuse(failure);
  fmt::print("stopped\n");
  return Exit::ok;
}

}  // namespace

void add_up(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("up", "Run a development cluster in one process, on real disks");
  command->footer("Example: reel up --nodes 3 --dir reel-data");
  auto flags = std::make_shared<UpFlags>();
  command->add_option("--nodes", flags->nodes, "size of a new cluster, 1 to 7")->capture_default_str();
  command->add_option("--dir", flags->dir, "where its data lives; made if it is not there")->capture_default_str();
  command->add_option("--partitions", flags->partitions, "partitions of a new cluster")->capture_default_str();
  command->add_option("--port", flags->port, "first port of a new cluster on 127.0.0.1; 0: free ones");
  command->callback([flags, &run] { run = [flags] { return up(*flags); }; });
}

}  // namespace reel::harness
