#include "harness/real_node.h"

#include <kj/async-io.h>

#include <filesystem>

#include "harness/provision.h"
#include "harness/random_bits.h"
#include "io/wire/codec.h"

namespace reel::harness {
namespace {

real::DiskOptions disk_options(const NodeConfig& config) {
  real::DiskOptions options;
  options.directory = config.dir;
  if (config.disk_engine == "uring") options.engine = real::DiskEngineKind::uring;
  if (config.disk_engine == "threads") options.engine = real::DiskEngineKind::threads;
  return options;
}

std::string peer_token(const std::vector<Token>& tokens) {
  for (const Token& token : tokens) {
    if (token.peer) return token.secret;
  }
  return {};
}

real::RpcNetworkOptions network_options(const NodeConfig& config, const std::vector<Token>& tokens) {
  real::RpcNetworkOptions options;
  options.self = config.node;
  options.cluster = config.cluster;
  options.token = peer_token(tokens);
  options.seed = random_bits();
  return options;
}

real::RpcServerOptions server_options(const NodeConfig& config, const std::vector<Token>& tokens) {
  real::RpcServerOptions options;
  options.self = config.node;
  options.cluster = config.cluster;
  for (const Token& token : tokens) options.tokens.push_back({token.secret, token.rights});
  options.peer_token = peer_token(tokens);
  options.connections_max = config.limits.connections_max;
  options.frame_bytes_max = config.limits.frame_bytes_max;
  options.calls_max = config.limits.calls_max;
  options.call_bytes_max = config.limits.call_bytes_max;
  options.unread_bytes_max = config.limits.unread_bytes_max;
  for (const PeerAddress& peer : config.peers) options.members.push_back({peer.node, peer.address});
  return options;
}

// What KJ says of a failed call, down to the reason itself, and what to do about it.
std::string listen_error(const std::string& address, const kj::Exception& exception) {
  std::string why(exception.getDescription().cStr());
  constexpr std::string_view kResolver = "gai_strerror(status) = ";
  if (const std::size_t at = why.find(kResolver); at != std::string::npos)
    why.erase(0, at + kResolver.size());
  if (const std::size_t call = why.find("): "); call != std::string::npos) why.erase(0, call + 3);
  why = why.substr(0, why.find(';'));
  const bool in_use = why.find("in use") != std::string::npos;
  return "cannot listen on " + address + " (" + why + "): " +
         (in_use ? "stop whoever uses the port, or choose another one"
                 : "'listen' must be an address of this machine and a free port");
}

}  // namespace

std::expected<std::unique_ptr<RealWorld>, std::string> RealWorld::open(real::Loop& loop,
                                                                       const NodeConfig& config) {
  std::vector<Token> tokens = read_tokens(config.token_file);
  if (peer_token(tokens).empty()) {
    return std::unexpected("the token file '" + config.token_file +
                           "' has no token of all rights, which replicas need: add a line with a bare token");
  }
  auto disk = real::RealDisk::open(loop, disk_options(config));
  if (!disk) return std::unexpected(disk.error().text);
  std::unique_ptr<RealWorld> world(new RealWorld(loop, config, std::move(*disk), std::move(tokens)));
  if (auto listening = world->listen(); !listening) return std::unexpected(listening.error());
  if (auto recording = world->start_recording(); !recording) return std::unexpected(recording.error());
  io::Disk* used = world->disk_.get();
  if (world->recorder_) used = &world->recorder_->disk();
  world->ports_.emplace(io::Ports{world->clock_, world->network_, *used, world->server_, world->remote_});
  return world;
}

RealWorld::RealWorld(real::Loop& loop, const NodeConfig& config, std::unique_ptr<real::RealDisk> disk,
                     std::vector<Token> tokens)
    : loop_(loop),
      config_(config),
      tokens_(std::move(tokens)),
      clock_(loop),
      reactor_(loop),
      transport_(reactor_, [](const std::string& line) { std::fprintf(stderr, "reel: %s\n", line.c_str()); }),
      dialer_(loop.io().provider->getNetwork()),
      disk_(std::move(disk)),
      network_(transport_, dialer_, network_options(config_, tokens_)),
      server_(transport_, server_options(config_, tokens_)) {}

RealWorld::~RealWorld() = default;

std::expected<void, std::string> RealWorld::listen() {
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] {
                 auto address = loop_.io()
                                    .provider->getNetwork()
                                    .parseAddress(config_.listen.c_str())
                                    .wait(loop_.wait_scope());
                 receiver_ = address->listen();
               })) {
    return std::unexpected(listen_error(config_.listen, *exception));
  }
  return {};
}

std::expected<void, std::string> RealWorld::start_recording() {
  if (config_.record.empty()) return {};
  auto recorder = NodeRecorder::start(config_.record, config_.dir, *disk_);
  if (!recorder) return std::unexpected(recorder.error());
  recorder_ = std::move(*recorder);
  return {};
}

void RealWorld::attach(io::Host& host) {
  clock_.attach(&host);
  if (recorder_) {
    recorder_->attach(&host);
    disk_->attach(&recorder_->results());
  } else {
    disk_->attach(&host);
  }
  network_.attach(&host);
  server_.attach(&host);
}

void RealWorld::go_online(const journal::Stamp& stamp) {
  server_.set_incarnation(stamp.incarnation);
  network_.set_incarnation(stamp.incarnation);
  // Whoever connected before waits in the kernel's queue: there was no node yet to answer.
  server_.listen(kj::mv(receiver_));
  for (const PeerAddress& peer : config_.peers) {
    if (peer.node != config_.node) network_.set_peer(peer.node, peer.address);
  }
}

std::expected<std::unique_ptr<RealNode>, std::string> RealNode::start(real::Loop& loop,
                                                                      const NodeConfig& config,
                                                                      Events events) {
  std::error_code error;
  if (std::filesystem::is_directory(config.dir, error) && std::filesystem::is_empty(config.dir, error)) {
    return std::unexpected("directory " + config.dir +
                           " is empty: make a data directory with `reel node init`, or if "
                           "this node had one, restore it");
  }
  if (std::filesystem::is_directory(config.dir, error) &&
      !std::filesystem::exists(config.dir + "/superblock", error)) {
    return std::unexpected("directory " + config.dir +
                           " holds no node's data: correct 'dir', or make a data directory "
                           "elsewhere with `reel node init`");
  }
  auto world = RealWorld::open(loop, config);
  if (!world) return std::unexpected(world.error());
  auto node = std::make_unique<RealNode>();
  node->world_ = std::move(*world);
  node::DriverOptions options;
  options.node = config.options;
  options.cluster = config.cluster;
  options.id = config.node;
  options.entropy = random_bits();
  options.peer_batch_codec = &wire::kPeerBatchCodec;
  options.client_reply_codec = &wire::kClientReplyCodec;
  options.booted = [world_of_node = node->world_.get(),
                    online = std::move(events.online)](const journal::Stamp& stamp) {
    world_of_node->go_online(stamp);
    if (online) online();
  };
  node->driver_ = std::make_unique<node::Driver>(options, node->world_->ports(), node->world_->recorder(),
                                                 std::move(events.halted));
  node->world_->attach(*node->driver_);
  node->driver_->on_start();
  return node;
}

namespace {

// Runs a Formatter on a real disk.
class FormatHost final : public io::Host {
 public:
  FormatHost(io::Disk& disk, journal::Formatter& formatter) : disk_(disk), formatter_(formatter) {}
  void on_start() override {
    formatter_.start(queue_);
    submit();
  }
  void on_disk(io::DiskResult result) override {
    formatter_.on_disk(result, queue_);
    submit();
  }

 private:
  void submit() {
    std::vector<io::DiskRequest> requests;
    requests.swap(queue_.requests());
    for (io::DiskRequest& request : requests) disk_.submit(std::move(request));
  }
  io::Disk& disk_;
  journal::Formatter& formatter_;
  node::DiskQueue queue_;
};

}  // namespace

std::expected<void, std::string> init_directory(const std::string& directory,
                                                const journal::SuperblockContent& who,
                                                const std::vector<NodeId>& voters, std::uint32_t partitions,
                                                const journal::Options& options) {
  real::Loop loop;
  real::DiskOptions disk_options;
  disk_options.directory = directory;
  disk_options.make_directory = true;
  auto disk = real::RealDisk::open(loop, disk_options);
  if (!disk) return std::unexpected(disk.error().text);
  journal::Formatter formatter(who, options, initial_groups(voters, partitions));
  FormatHost host(**disk, formatter);
  (*disk)->attach(&host);
  host.on_start();
  if (!loop.run_until([&] { return formatter.done(); }, io::seconds(300))) {
    return std::unexpected("the disk of '" + directory +
                           "' did not answer for five minutes: check the device");
  }
  if (auto made = formatter.take(); !made)
    return std::unexpected("'" + directory + "': " + made.error().text);
  return {};
}

}  // namespace reel::harness
