// The load of `bench sessions`: many sessions, each with one transaction without an answer at a time, as a service has
// that appends on behalf of its users. Sessions share connections; what is ready in one turn of the loop leaves together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/bench/histogram.h"
#include "harness/real_client.h"
#include "node/client/appender.h"

namespace reel::harness {

struct SessionLoadOptions {
  std::uint32_t sessions = 64;
  std::uint32_t connections = 1;  // sessions are dealt out to them; at most as many
  std::uint32_t size = 128;
  io::Duration warm_up = io::seconds(1);
  io::Duration duration = io::seconds(10);
};

struct SessionLoadReport {
  std::uint64_t transactions = 0;  // answered while measuring
  double seconds = 0;
  Histogram latencies;
  std::uint64_t slowest = 0;  // of a session
  std::uint64_t fastest = 0;
};

class SessionLoad {
 public:
  SessionLoad(real::Loop& loop, const ConnectFlags& flags, const SessionLoadOptions& options);
  ~SessionLoad();
  // `mark` and `watch` as run_measured(). Refuses (CommandError) when the cluster does, and on Ctrl-C.
  SessionLoadReport run(const std::function<void(bool)>& mark, const std::function<void(double)>& watch);

 private:
  class Connection;
  real::Loop& loop_;
  SessionLoadOptions options_;
  std::vector<std::unique_ptr<RealClient>> clients_;
  std::vector<std::unique_ptr<Connection>> connections_;
  bool measuring_ = false;
  SessionLoadReport report_;
  std::string error_;
};

}  // namespace reel::harness
