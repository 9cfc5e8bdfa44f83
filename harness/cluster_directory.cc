#include "harness/cluster_directory.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "harness/command/command.h"
#include "harness/random_bits.h"
#include "harness/real_node.h"

namespace reel::harness {
namespace {

// Free ports, all different: each probe keeps its port until all are known.
class FreePorts {
 public:
  ~FreePorts() {
    for (const int probe : probes_) close(probe);
  }
  std::uint32_t next() {
    const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe >= 0) probes_.push_back(probe);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (probe < 0 || bind(probe, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      refuse("the system has no free port on 127.0.0.1");
    }
    return ntohs(address.sin_port);
  }

 private:
  std::vector<int> probes_;
};

io::ClusterId random_cluster() { return io::ClusterId((random_bits() >> 2) + 1); }

std::string data_path(const std::string& directory, std::uint32_t node) {
  return directory + "/node" + std::to_string(node);
}

void make_data_directories(const ClusterPlan& plan, io::ClusterId cluster) {
  std::vector<NodeId> voters;
  for (std::uint32_t node = 1; node <= plan.nodes; ++node) voters.push_back(NodeId(node));
  for (const NodeId node : voters) {
    const std::string directory = data_path(plan.directory, static_cast<std::uint32_t>(node.value));
    if (!plan.format_disks) {
      std::error_code error;
      std::filesystem::create_directory(directory, error);
      if (error) refuse("cannot make the directory '" + directory + "': " + error.message());
      continue;
    }
    const auto made = init_directory(directory, {cluster, node, Incarnation(0)}, voters, plan.partitions,
                                     journal_options(64));
    if (!made) refuse(made.error());
  }
}

void write_configurations(const ClusterPlan& plan, io::ClusterId cluster,
                          const std::vector<std::string>& addresses) {
  std::string peers;
  for (std::uint32_t node = 1; node <= plan.nodes; ++node) {
    peers += fmt::format("  {{ node = {}, address = \"{}\" }},\n", node, addresses[node - 1]);
  }
  const std::string directory = std::filesystem::absolute(plan.directory).string();
  for (std::uint32_t node = plan.nodes; node >= 1; --node) {
    std::ofstream file(config_path(plan.directory, node));
    file << fmt::format(
        "cluster = {}\nnode = {}\ndir = \"{}\"\nlisten = \"{}\"\ntoken_file = \"{}\"\n{}peers = [\n{}]\n",
        cluster.value, node, data_path(directory, node), addresses[node - 1], token_path(directory),
        plan.settings, peers);
    if (!file) refuse("cannot write " + config_path(plan.directory, node));
  }
}

}  // namespace

std::string config_path(const std::string& directory, std::uint32_t node) {
  return data_path(directory, node) + ".toml";
}

std::string token_path(const std::string& directory) { return directory + "/token"; }

void make_cluster(const ClusterPlan& plan) {
  std::error_code error;
  if (std::filesystem::exists(plan.directory, error) && !std::filesystem::is_empty(plan.directory, error)) {
    refuse("'" + plan.directory + "' is not empty and holds no development cluster: choose another --dir");
  }
  std::filesystem::create_directories(plan.directory, error);
  if (error) refuse("cannot make the directory '" + plan.directory + "': " + error.message());
  make_token_file(token_path(plan.directory));
  const io::ClusterId cluster = random_cluster();
  std::vector<std::string> addresses;
  FreePorts ports;
  for (std::uint32_t node = 1; node <= plan.nodes; ++node) {
    addresses.push_back("127.0.0.1:" +
                        std::to_string(plan.first_port != 0 ? plan.first_port + node - 1 : ports.next()));
  }
  make_data_directories(plan, cluster);
  write_configurations(plan, cluster, addresses);
}

}  // namespace reel::harness
