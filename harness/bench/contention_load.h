// The load of `bench contention`: clients with views of their own that submit transactions with locks on a pool of keys,
// and execute them again when they are refused, through client::Submitter: as services do that keep a database beside the
// log. Each client has one submit at a time, and thinks between them.
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

struct ContentionOptions {
  std::uint32_t clients = 16;
  std::uint32_t keys = 100;  // drawn evenly
  // In percent; what is left is append locks. One lock a transaction.
  std::uint32_t write_percent = 100;
  std::uint32_t read_percent = 0;
  io::Duration think;  // mean, exponential; 0: none
  std::uint32_t size = 128;
  io::Duration deadline = io::seconds(10);  // of one submit
  io::Duration warm_up = io::seconds(1);
  io::Duration duration = io::seconds(10);
};

struct ContentionReport {
  std::uint64_t committed = 0;   // while measuring
  std::uint64_t executions = 0;  // likewise
  std::uint64_t refused = 0;     // of them, again because the lock rule had refused the one before
  std::uint64_t failed = 0;      // submits that ended in anything but a commit
  double seconds = 0;
  Histogram latencies;  // of those committed, from submit to outcome
  std::uint64_t slowest = 0;
  std::uint64_t fastest = 0;
};

class ContentionLoad {
 public:
  ContentionLoad(real::Loop& loop, const ConnectFlags& flags, const ContentionOptions& options);
  ~ContentionLoad();
  // As SessionLoad::run().
  ContentionReport run(const std::function<void(bool)>& mark, const std::function<void(double)>& watch);

 private:
  class Client;

  real::Loop& loop_;
  ContentionOptions options_;
  std::vector<std::unique_ptr<RealClient>> connections_;
  std::vector<std::unique_ptr<Client>> clients_;
  bool measuring_ = false;
  ContentionReport report_;
  std::string error_;
};

}  // namespace reel::harness
