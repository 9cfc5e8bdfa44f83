// rpc_echo: what the RPC layer alone costs on this machine. A server process that answers every append at
// once, and a client process that keeps some calls outstanding, over one or many connections of loopback; no node, no
// disk. One JSON object per line.
//
//   rpc_echo [seconds per measurement]
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "io/real/clock.h"
#include "io/real/rpc_remote.h"
#include "io/real/rpc_server.h"
#include "io/wire/codec.h"

namespace reel::real {
namespace {

LoopOptions loop_options() {
  LoopOptions options;
  options.spin = io::microseconds(std::getenv("REEL_ECHO_SPIN_US") != nullptr ? 20 : 0);
  return options;
}

struct EchoHost final : io::Host {
  explicit EchoHost(io::Service& s) : service(s) {}
  void on_start() override {}
  void on_call(io::CallId call, io::Rights, io::Parcel body) override {
    const auto& append = std::get<AppendCall>(body.get<ClientCall>());
    CommittedRun run;
    run.first = append.first;
    run.count = append.count;
    service.reply(call, wire::parcel(ClientReply(AppendResult{{run}, {}})));
  }
  io::Service& service;
};

[[noreturn]] void serve(int port_pipe) {
  Loop loop(loop_options());
  LoopReactor reactor(loop);
  Transport transport(reactor);
  RpcServerOptions options;
  options.self = NodeId(1);
  options.tokens = {{"echo", io::Rights::read | io::Rights::append}};
  RpcServer server(transport, options);
  EchoHost host(server);
  server.attach(&host);
  auto address = loop.io().provider->getNetwork().parseAddress("127.0.0.1", 0).wait(loop.wait_scope());
  auto receiver = address->listen();
  const unsigned port = receiver->getPort();
  if (::write(port_pipe, &port, sizeof port) != sizeof port) std::_Exit(1);
  server.listen(kj::mv(receiver));
  loop.run();
  std::_Exit(0);
}

double cpu_seconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// Keeps `outstanding` calls of one shape under way for some time.
class Client final : public io::Host {
 public:
  // `busy`: clients that have calls under way; the last one stops the loop.
  Client(Loop& loop, io::Remote& remote, std::size_t bytes, std::uint32_t transactions, std::uint32_t& busy)
      : loop_(loop), remote_(remote), busy_(busy) {
    call_.group = GroupId(1);
    call_.first = Sequence(1);
    call_.count = transactions;
    call_.block = Bytes::copy_of(std::string(bytes, 'x'));
  }

  void on_start() override {}
  void on_reply(io::CallId call, io::Parcel) override {
    const std::int64_t now_ns = monotonic_now().ns;
    latencies_.push_back(now_ns - started_[call.value % started_.size()]);
    if (now_ns < end_ns_) {
      start();
    } else if (--under_way_ == 0 && --busy_ == 0) {
      loop_.stop();
    }
  }
  void on_call_failed(io::CallId) override {
    std::fprintf(stderr, "rpc_echo: a call failed\n");
    std::exit(1);
  }

  void begin(std::uint32_t outstanding, double seconds) {
    started_.assign(std::size_t{outstanding} * 2, 0);
    end_ns_ = monotonic_now().ns + static_cast<std::int64_t>(seconds * 1e9);
    under_way_ = outstanding;
    ++busy_;
    for (std::uint32_t i = 0; i < outstanding; ++i) start();
  }
  const std::vector<std::int64_t>& latencies() const { return latencies_; }

 private:
  void start() {
    const io::CallId call(next_++);
    started_[call.value % started_.size()] = monotonic_now().ns;
    remote_.call(NodeId(1), call, wire::parcel(ClientCall(call_)));
  }

  Loop& loop_;
  io::Remote& remote_;
  std::uint32_t& busy_;
  AppendCall call_;
  std::uint64_t next_ = 1;
  std::uint32_t under_way_ = 0;
  std::int64_t end_ns_ = 0;
  std::vector<std::int64_t> started_;
  std::vector<std::int64_t> latencies_;
};

struct Shape {
  const char* name;
  std::size_t bytes;
  std::uint32_t transactions;
  std::uint32_t outstanding;  // of all connections together
  std::uint32_t connections = 1;
};

// One server process per shape, so that its processor time can be told apart.
void measure(const Shape& shape, double seconds) {
  int port_pipe[2];
  if (::pipe(port_pipe) != 0) std::exit(1);
  const pid_t child = ::fork();
  if (child == 0) serve(port_pipe[1]);
  unsigned port = 0;
  if (::read(port_pipe[0], &port, sizeof port) != sizeof port) std::exit(1);
  const double own_before = cpu_seconds(RUSAGE_SELF);
  const double children_before = cpu_seconds(RUSAGE_CHILDREN);
  Loop loop(loop_options());
  LoopReactor reactor(loop);
  Transport transport(reactor);
  SocketDialer dialer(loop.io().provider->getNetwork());
  RpcRemoteOptions options;
  options.token = "echo";
  std::vector<std::unique_ptr<RpcRemote>> remotes;
  std::vector<std::unique_ptr<Client>> clients;
  std::uint32_t busy = 0;
  for (std::uint32_t i = 0; i < shape.connections; ++i) {
    remotes.push_back(std::make_unique<RpcRemote>(transport, dialer, options));
    remotes.back()->set_address(NodeId(1), "127.0.0.1:" + std::to_string(port));
    clients.push_back(std::make_unique<Client>(loop, *remotes.back(), shape.bytes, shape.transactions, busy));
    remotes.back()->attach(clients.back().get());
  }
  const std::int64_t begin_ns = monotonic_now().ns;
  for (const auto& client : clients) client->begin(shape.outstanding / shape.connections, seconds);
  loop.run();
  const double elapsed_s = static_cast<double>(monotonic_now().ns - begin_ns) / 1e9;
  std::vector<std::int64_t> latencies;
  for (const auto& client : clients) {
    latencies.insert(latencies.end(), client->latencies().begin(), client->latencies().end());
  }
  std::sort(latencies.begin(), latencies.end());
  const auto percentile_us = [&](std::size_t percent) {
    return static_cast<double>(latencies[(latencies.size() - 1) * percent / 100]) / 1e3;
  };
  ::kill(child, SIGTERM);
  ::waitpid(child, nullptr, 0);
  const double cpu = cpu_seconds(RUSAGE_SELF) - own_before + cpu_seconds(RUSAGE_CHILDREN) - children_before;
  const auto calls = static_cast<double>(latencies.size());
  const double rate = calls / elapsed_s;
  std::printf(
      "{\"what\":\"%s\",\"size\":%zu,\"outstanding\":%u,\"connections\":%u,\"calls_per_s\":%.0f,\"txn_per_"
      "s\":%.0f,"
      "\"p50_us\":%.1f,\"p99_us\":%.1f,\"cpu_us_per_call\":%.2f,\"cpu_us_per_txn\":%.3f,\"writes\":%llu}\n",
      shape.name, shape.bytes, shape.outstanding, shape.connections, rate, rate * shape.transactions,
      percentile_us(50), percentile_us(99), cpu * 1e6 / calls, cpu * 1e6 / (calls * shape.transactions),
      static_cast<unsigned long long>(transport.counters().writes));
  ::close(port_pipe[0]);
  ::close(port_pipe[1]);
}

}  // namespace
}  // namespace reel::real

int main(int argc, char** argv) {
  using reel::real::measure;
  const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
  measure({"echo", 4096, 1, 1}, seconds);
  measure({"echo", 4096, 1, 16}, seconds);
  measure({"echo", 4096, 1, 256}, seconds);
  // As `reel bench sessions --sessions 64 --connections 64`.
  measure({"echo", 176, 1, 64, 64}, seconds);
  // 256 transactions of 128 bytes a call, as a batching client sends them: 176 bytes a record.
  measure({"echo_batched", std::size_t{256} * 176, 256, 1}, seconds);
  measure({"echo_batched", std::size_t{256} * 176, 256, 16}, seconds);
  return 0;
}
