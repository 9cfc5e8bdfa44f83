#include "harness/bench/machine.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "harness/bench/histogram.h"
#include "harness/command/command.h"
#include "io/real/clock.h"
#include "io/real/disk_floor.h"

namespace reel::harness {
namespace {

using Message = std::array<char, 64>;

bool transfer(int socket, Message& message, ssize_t (*move)(int, void*, std::size_t)) {
  for (std::size_t done = 0; done < message.size();) {
    const ssize_t moved = move(socket, message.data() + done, message.size() - done);
    if (moved <= 0) return false;
    done += static_cast<std::size_t>(moved);
  }
  return true;
}
bool receive(int socket, Message& message) { return transfer(socket, message, &read); }
bool say(int socket, Message& message) {
  return transfer(socket, message,
                  [](int to, void* from, std::size_t size) { return write(to, from, size); });
}

// Two ends of a TCP connection over loopback.
struct Connection {
  Connection() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, any, size) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, any, &size) == 0 && connect(near, any, size) == 0) {
      far = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    }
    close(listener);
    if (far < 0) refuse("cannot make a TCP connection over loopback: is 127.0.0.1 up?");
    const int on = 1;
    for (const int end : {near, far}) setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~Connection() {
    close(near);
    close(far);
  }
  int near = -1;
  int far = -1;
};

double loopback_rtt_us(io::Duration duration) {
  Connection connection;
  std::thread echo([&] {
    Message message{};
    while (receive(connection.far, message) && say(connection.far, message)) {
    }
  });
  Histogram histogram;
  Message message{};
  io::Instant now = real::monotonic_now();
  for (const io::Instant end = now + duration; now < end;) {
    const io::Instant began = now;
    if (!say(connection.near, message) || !receive(connection.near, message)) break;
    now = real::monotonic_now();
    histogram.add((now - began).ns);
  }
  shutdown(connection.near, SHUT_RDWR);
  echo.join();
  return static_cast<double>(histogram.quantile_ns(500'000)) / 1e3;
}

}  // namespace

MachineFloor measure_machine(const std::string& directory, io::Duration each) {
  MachineFloor floor;
  std::string failure;
  // On a thread of its own: it has an event loop of its own.
  std::thread disk([&] {
    real::DiskFloorOptions options;
    options.duration = each;
    const auto measured = real::measure_disk_floor(directory, options);
    if (measured) {
      floor.disk_write_p50_us = static_cast<double>(measured->quantile_ns(500)) / 1e3;
    } else {
      failure = measured.error().text;
    }
  });
  disk.join();
  if (!failure.empty()) refuse(failure);
  floor.loopback_rtt_us = loopback_rtt_us(each);
  return floor;
}

}  // namespace reel::harness
