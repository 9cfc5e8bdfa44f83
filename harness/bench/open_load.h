// The load of `bench overload`, and of `bench append` with a rate or with several clients: each client has a session and a
// connection of its own. Open loop: transactions arrive by the clock, whatever becomes of them, and a latency runs from
// the time when its transaction was due, also when the client had no room to send it yet. So a stall is paid for by all
// that were due in it; a closed loop would pay for it once (coordinated omission).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/bench/histogram.h"
#include "harness/real_client.h"
#include "node/client/driver.h"

namespace reel::harness {

struct OpenLoadOptions {
  std::uint32_t clients = 1;
  double rate = 0;                         // transactions a second, of all clients together; 0: a closed loop
  std::uint32_t outstanding = 4096;        // of each client; what is due beyond that waits at the client
  io::Duration patience = io::seconds(1);  // so long; then it is given up without having been sent
  std::uint32_t size = 128;
  io::Duration warm_up = io::seconds(1);
  io::Duration duration = io::seconds(10);
};

struct OpenLoadReport {
  std::uint64_t transactions = 0;  // answered while measuring
  std::uint64_t due = 0;           // open loop: while measuring
  std::uint64_t given_up = 0;      // of them
  std::uint64_t refused = 0;       // calls, as overloaded
  std::uint64_t repeated = 0;      // calls that were lost, or asked somebody who did not lead
  double seconds = 0;
  Histogram latencies;  // from when they were due; those without an answer at the end count with their age
  Histogram sent_latencies;   // of those that were answered, from when they were handed to the appender
  std::uint64_t slowest = 0;  // of a client
  std::uint64_t fastest = 0;
};

class OpenLoad {
 public:
  OpenLoad(real::Loop& loop, const ConnectFlags& flags, const OpenLoadOptions& options);
  ~OpenLoad();
  // `mark` and `watch` as run_measured(); `watch` also gets the transactions that were answered so far. Refuses
  // (CommandError) when the cluster does, and on Ctrl-C.
  OpenLoadReport run(const std::function<void(bool)>& mark,
                     const std::function<void(double, std::uint64_t)>& watch);

 private:
  class Client;

  real::Loop& loop_;
  OpenLoadOptions options_;
  std::vector<std::unique_ptr<RealClient>> connections_;
  std::vector<std::unique_ptr<Client>> clients_;
  bool measuring_ = false;
  OpenLoadReport report_;
  std::string error_;
};

}  // namespace reel::harness
