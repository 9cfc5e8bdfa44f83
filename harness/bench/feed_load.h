// The load of `bench feed`: readers that read a log from its front to its end, again and again, verifying every
// transaction's checksum. Each has a connection of its own; all live in one process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/real_client.h"
#include "node/client/driver.h"

namespace reel::harness {

struct FeedLoadReport {
  std::uint64_t transactions = 0;  // delivered while measuring, to all readers together
  std::uint64_t bytes = 0;         // of their data
  double seconds = 0;
  std::vector<std::uint64_t> of_reader;  // transactions
};

class FeedLoad {
 public:
  // `node` serves all readers; the log holds `transactions`.
  FeedLoad(real::Loop& loop, const ConnectFlags& flags, NodeId node, std::uint32_t readers, TxnId end);
  ~FeedLoad();
  // `watch` as run_measured(). Refuses (CommandError) when a reader finds damage or a gap, and on Ctrl-C.
  FeedLoadReport run(io::Duration duration, const std::function<void(double)>& watch);

 private:
  class Reading;
  real::Loop& loop_;
  std::vector<std::unique_ptr<RealClient>> clients_;
  std::vector<std::unique_ptr<Reading>> readings_;
  std::string error_;
};

}  // namespace reel::harness
