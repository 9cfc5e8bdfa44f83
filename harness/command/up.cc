#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "harness/cluster_directory.h"
#include "harness/command/command.h"
#include "harness/real_node.h"

namespace reel::harness {
namespace {

constexpr std::uint32_t kDefaultPort = 7101;  // as in ConnectFlags

struct UpFlags {
  std::uint32_t nodes = 3;
  std::string dir = "reel-data";
  std::uint32_t partitions = 1;
  std::uint32_t port = 0;
  std::string shaping;  // the first flag given that only a new cluster can obey
};

// One node on a thread and a loop of its own.
class NodeThread {
 public:
  // Both are called on the node's thread.
  struct Events {
    std::function<void()> online;
    std::function<void(const std::string&)> ended;  // why, or nothing if it was told to
  };
  NodeThread(const NodeConfig& config, Events events)
      : thread_([this, config, events = std::move(events)] { run(config, events); }) {}
  ~NodeThread() {
    if (thread_.joinable()) thread_.join();
  }
  void stop() {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    if (mailbox_) mailbox_->post([loop = loop_] { loop->stop(); });
  }

 private:
  void run(const NodeConfig& config, const Events& events) {
    std::string why;
    try {
      real::Loop loop;
      auto node = RealNode::start(loop, config, {events.online, [&](const std::string& reason) {
                                                   why = reason;
                                                   loop.stop();
                                                 }});
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
    events.ended(why);
  }

  std::mutex mutex_;
  std::shared_ptr<real::Mailbox> mailbox_;
  real::Loop* loop_ = nullptr;
  bool stopping_ = false;
  std::thread thread_;
};

// Why a node could not listen on this port of 127.0.0.1; nullopt if it can.
std::optional<std::string> problem_with_port(std::uint32_t port) {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int reuse = 1;  // as the node itself will do it: a port whose last owner is gone is free
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool free = probe >= 0 && setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) == 0 &&
                    bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  const std::string why = std::strerror(errno);
  if (probe >= 0) close(probe);
  if (free) return std::nullopt;
  return why;
}

// Before anything is made: a port that somebody else has would stand in the configuration for ever. Without --port the
// cluster lives where clients look by default, and elsewhere (0) if that is taken.
std::uint32_t choose_first_port(const UpFlags& flags) {
  const std::uint32_t first = flags.port != 0 ? flags.port : kDefaultPort;
  for (std::uint32_t port = first; port < first + flags.nodes; ++port) {
    const auto problem = problem_with_port(port);
    if (!problem) continue;
    if (flags.port == 0) return 0;
    refuse("port " + std::to_string(port) + " of 127.0.0.1 cannot be used (" + *problem +
           "): choose another --port; nothing was made");
  }
  return first;
}

std::vector<NodeConfig> configs_of(const UpFlags& flags) {
  if (!std::filesystem::exists(config_path(flags.dir, 1))) {
    make_cluster({flags.dir, flags.nodes, flags.partitions, choose_first_port(flags), true, {}});
  } else if (!flags.shaping.empty()) {
    misuse("'" + flags.dir + "' holds a cluster already, and " + flags.shaping +
           " is for a new one: leave it out, or choose another --dir");
  }
  std::vector<NodeConfig> configs;
  for (std::uint32_t node = 1; std::filesystem::exists(config_path(flags.dir, node)); ++node) {
    configs.push_back(read_node_config(config_path(flags.dir, node)));
  }
  return configs;
}

void greet(const UpFlags& flags, const std::vector<NodeConfig>& configs) {
  std::string connect;
  for (const NodeConfig& config : configs) connect += (connect.empty() ? "" : ",") + config.listen;
  fmt::print("a cluster of {} in {}, Ctrl-C stops it\n\n", configs.size(), flags.dir);
  fmt::print("  export REEL_TOKEN_FILE={}\n", configs.front().token_file);
  fmt::print("  echo hello | reel append --connect {}\n", connect);
  fmt::print("  reel feed --connect {}\n  reel status --connect {}\n\n", connect, connect);
  std::fflush(stdout);
}

Exit up(const UpFlags& flags) {
  if (flags.nodes < 1 || flags.nodes > 7) misuse("--nodes must be from 1 to 7");
  if (flags.port > 65535 - 7) misuse("--port must leave room for seven ports below 65536");
  if (flags.partitions < 1 || flags.partitions > 1024) misuse("--partitions must be from 1 to 1024");
  const std::vector<NodeConfig> configs = configs_of(flags);
  real::Loop::capture_stop_signals();
  real::Loop loop;
  std::string failure;
  std::size_t online = 0;
  std::vector<std::unique_ptr<NodeThread>> threads;
  for (const NodeConfig& config : configs) {
    NodeThread::Events events;
    events.online = [&, mailbox = loop.mailbox()] {
      mailbox->post([&] {
        if (++online == configs.size()) greet(flags, configs);
      });
    };
    events.ended = [&, node = config.node.value, mailbox = loop.mailbox()](const std::string& why) {
      mailbox->post([&, node, why] {
        if (!why.empty() && failure.empty()) failure = "node " + std::to_string(node) + ": " + why;
        loop.stop();
      });
    };
    threads.push_back(std::make_unique<NodeThread>(config, std::move(events)));
  }
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
  const auto shaping = [flags](CLI::Option* option) {
    option->each([flags, option](const std::string&) { flags->shaping = option->get_name(); });
  };
  shaping(
      command->add_option("--nodes", flags->nodes, "size of a new cluster, 1 to 7")->capture_default_str());
  command->add_option("--dir", flags->dir, "where its data lives; made if it is not there")
      ->capture_default_str();
  shaping(command->add_option("--partitions", flags->partitions, "partitions of a new cluster")
              ->capture_default_str());
  shaping(command->add_option("--port", flags->port,
                              "first port of a new cluster on 127.0.0.1 (default: 7101, or free "
                              "ones if that is taken)"));
  command->callback([flags, &run] { run = [flags] { return up(*flags); }; });
}

}  // namespace reel::harness
