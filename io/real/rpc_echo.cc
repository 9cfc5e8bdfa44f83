// rpc_echo: what the RPC layer alone costs on this machine. A server process that answers every append at
// once, and a client process that keeps some calls outstanding, over loopback; no node, no disk. One JSON
// object per line.
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
  Client(Loop& loop, io::Remote& remote, std::size_t bytes, std::uint32_t transactions)
      : loop_(loop), remote_(remote) {
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
    } else if (--under_way_ == 0) {
      loop_.stop();
    }
  }
  void on_call_failed(io::CallId) override {
    std::fprintf(stderr, "rpc_echo: a call failed\n");
    std::exit(1);
  }

  void measure(std::uint32_t outstanding, double seconds) {
    latencies_.clear();
    started_.assign(std::size_t{outstanding} * 2, 0);
    const std::int64_t begin_ns = monotonic_now().ns;
    end_ns_ = begin_ns + static_cast<std::int64_t>(seconds * 1e9);
    under_way_ = outstanding;
    for (std::uint32_t i = 0; i < outstanding; ++i) start();
    loop_.run();
    elapsed_s_ = static_cast<double>(monotonic_now().ns - begin_ns) / 1e9;
    std::sort(latencies_.begin(), latencies_.end());
  }
  std::size_t calls() const { return latencies_.size(); }
  double elapsed_s() const { return elapsed_s_; }
  double percentile_us(std::size_t percent) const {
    return static_cast<double>(latencies_[(latencies_.size() - 1) * percent / 100]) / 1e3;
  }

 private:
  void start() {
    const io::CallId call(next_++);
    started_[call.value % started_.size()] = monotonic_now().ns;
    remote_.call(NodeId(1), call, wire::parcel(ClientCall(call_)));
  }

  Loop& loop_;
  io::Remote& remote_;
  AppendCall call_;
  std::uint64_t next_ = 1;
  std::uint32_t under_way_ = 0;
  std::int64_t end_ns_ = 0;
  double elapsed_s_ = 0;
  std::vector<std::int64_t> started_;
  std::vector<std::int64_t> latencies_;
};

struct Shape {
  const char* name;
  std::size_t bytes;
  std::uint32_t transactions;
  std::uint32_t outstanding;
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
  RpcRemote remote(transport, dialer, options);
  remote.set_address(NodeId(1), "127.0.0.1:" + std::to_string(port));
  Client client(loop, remote, shape.bytes, shape.transactions);
  remote.attach(&client);
  client.measure(shape.outstanding, seconds);
  ::kill(child, SIGTERM);
  ::waitpid(child, nullptr, 0);
  const double cpu = cpu_seconds(RUSAGE_SELF) - own_before + cpu_seconds(RUSAGE_CHILDREN) - children_before;
  const auto calls = static_cast<double>(client.calls());
  const double rate = calls / client.elapsed_s();
  std::printf(
      "{\"what\":\"%s\",\"size\":%zu,\"outstanding\":%u,\"calls_per_s\":%.0f,\"txn_per_s\":%.0f,"
      "\"p50_us\":%.1f,\"p99_us\":%.1f,\"cpu_us_per_call\":%.2f,\"cpu_us_per_txn\":%.3f,\"writes\":%llu}\n",
      shape.name, shape.bytes, shape.outstanding, rate, rate * shape.transactions, client.percentile_us(50),
      client.percentile_us(99), cpu * 1e6 / calls, cpu * 1e6 / (calls * shape.transactions),
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
  // 256 transactions of 128 bytes a call, as a batching client sends them: 176 bytes a record.
  measure({"echo_batched", std::size_t{256} * 176, 256, 1}, seconds);
  measure({"echo_batched", std::size_t{256} * 176, 256, 16}, seconds);
  return 0;
}
