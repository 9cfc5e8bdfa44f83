#include "harness/bench/local_cluster.h"

#include <arpa/inet.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "harness/bench/cluster_status.h"
#include "harness/bench/figures.h"
#include "harness/cluster_directory.h"
#include "harness/command/command.h"
#include "harness/node_config.h"
#include "io/real/clock.h"

namespace reel::harness {

namespace {

// Whether somebody accepts connections at 127.0.0.1:PORT.
bool listens(const std::string& address) {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1))));
  const bool accepted = connect(probe, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  close(probe);
  return accepted;
}

}  // namespace

BenchDirectory::BenchDirectory(const std::string& parent) {
  struct statfs system{};
  if (statfs(parent.c_str(), &system) != 0) {
    refuse("cannot use the directory '" + parent + "': " + std::strerror(errno) + "; choose another --dir");
  }
  if (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC) {
    refuse("'" + parent + "' lies in memory, where durable writes cost nothing: choose a --dir on a disk");
  }
  std::string name = std::filesystem::absolute(parent).string() + "/reel-bench-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    refuse("cannot make a directory in '" + parent + "': " + std::strerror(errno) + "; choose another --dir");
  }
  path_ = name;
}

BenchDirectory::~BenchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

LocalCluster::LocalCluster(ClusterKind kind, const std::string& directory, std::uint32_t nodes)
    : kind_(kind), directory_(directory) {
  ClusterPlan plan;
  plan.directory = directory;
  plan.nodes = nodes;
  plan.format_disks = kind == ClusterKind::replicas;
  make_cluster(plan);
  children_.resize(nodes);
  for (std::uint32_t node = 1; node <= nodes; ++node) {
    addresses_.push_back(read_node_config(config_path(directory_, node)).listen);
    start(node);
  }
}

void LocalCluster::start(std::uint32_t node) {
  std::vector<std::string> arguments{"node", "--config", config_path(directory_, node)};
  if (kind_ == ClusterKind::floor)
    arguments = {"bench", "floor-node", "--config", config_path(directory_, node)};
  children_[node - 1] =
      std::make_unique<Child>(arguments, directory_ + "/node" + std::to_string(node) + ".log");
}

void LocalCluster::kill(std::uint32_t node) { children_[node - 1]->kill(); }

void LocalCluster::check() const {
  for (std::size_t i = 0; i < children_.size(); ++i) {
    if (!children_[i]->running()) {
      refuse("node " + std::to_string(i + 1) + " of the benchmark ended: " + children_[i]->last_words());
    }
  }
}

std::vector<StatusResult> LocalCluster::await_ready(real::Loop& loop, io::Duration patience) {
  const io::Instant deadline = real::monotonic_now() + patience;
  for (const std::string& address : addresses_) {
    while (!listens(address) && real::monotonic_now() < deadline) {
      check();
      usleep(1000);
    }
  }
  return harness::await_ready(loop, connect_flags(), nodes(), patience, [this] { check(); });
}

ConnectFlags LocalCluster::connect_flags() const {
  ConnectFlags flags;
  flags.connect.clear();
  for (const std::string& address : addresses_) flags.connect += (flags.connect.empty() ? "" : ",") + address;
  flags.token_file = token_path(directory_);
  return flags;
}

std::int64_t LocalCluster::cpu_ns(std::uint32_t node) const { return cpu_ns_of(children_[node - 1]->id()); }
std::int64_t LocalCluster::cpu_ns_of_all() const {
  std::int64_t sum = cpu_ns_of(getpid());
  for (std::uint32_t node = 1; node <= nodes(); ++node) sum += cpu_ns(node);
  return sum;
}
std::uint64_t LocalCluster::peak_rss_bytes(std::uint32_t node) const {
  return peak_rss_bytes_of(children_[node - 1]->id());
}
std::uint64_t LocalCluster::rss_bytes(std::uint32_t node) const {
  return rss_bytes_of(children_[node - 1]->id());
}

std::function<void(bool)> count_cpu(const LocalCluster& cluster, std::int64_t& cpu_ns) {
  return [&](bool begin) { cpu_ns = begin ? cluster.cpu_ns_of_all() : cluster.cpu_ns_of_all() - cpu_ns; };
}

std::function<void(double)> watch(const LocalCluster& cluster, const std::string& name) {
  return [&cluster, name](double seconds) {
    cluster.check();
    show(fmt::format("{}: {:.0f} s", name, seconds));
  };
}

}  // namespace reel::harness
