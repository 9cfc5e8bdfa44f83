// The load of `bench floor` and `bench append`: one client that keeps a fixed number of transactions outstanding, as the
// client library does it: a closed loop, batched into calls, exactly once. Latencies run from submission to the answer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/bench/histogram.h"
#include "harness/real_client.h"
#include "node/client/driver.h"

namespace reel::harness {

struct LoadOptions {
  GroupId group{1};
  std::uint32_t size = 128;               // bytes of a transaction's data
  std::uint32_t outstanding = 1;          // at most kSessionWindow / 2
  io::Duration warm_up = io::seconds(1);  // behind the first answer; not measured
  io::Duration duration = io::seconds(10);
  std::uint64_t transactions_max = UINT64_MAX;  // ends earlier when so many are answered
};

struct LoadReport {
  std::uint64_t transactions = 0;  // answered while measuring
  double seconds = 0;              // measured
  Histogram latencies;
  std::uint64_t answered = 0;  // warm-up and end included
  std::uint64_t retries = 0;   // calls that were repeated, whenever
  double gap_ms = 0;           // longest time without an answer while measuring
};

class Load final : public client::Driver {
 public:
  // `mark(true)` is called when measuring begins, `mark(false)` when it ends; `progress` now and then.
  Load(real::Loop& loop, RealClient& client, const LoadOptions& options, std::function<void(bool)> mark,
       std::function<void(const LoadReport&)> progress);

  // Runs it all. Refuses (CommandError) when the cluster does, when ids have gaps or repeat, and on Ctrl-C.
  LoadReport run();

  void on_committed(const std::vector<CommittedRun>& runs) override;
  void on_progress() override;
  void on_alarm() override;

 private:
  enum class Phase : std::uint8_t { first_answer, warm_up, measuring, ending };

  void submit(io::Instant now);
  void advance(io::Instant now);
  void take(const CommittedRun& run, io::Instant now);
  void fail(std::string why);

  real::Loop& loop_;
  LoadOptions options_;
  std::function<void(bool)> mark_;
  std::function<void(const LoadReport&)> progress_;
  std::vector<std::byte> data_;
  std::vector<io::Instant> submitted_at_;  // by sequence modulo its size
  Phase phase_ = Phase::first_answer;
  io::Instant phase_began_;
  io::Instant last_answer_;
  std::optional<TxnId> first_id_;  // of sequence 1
  LoadReport report_;
  std::string error_;
};

}  // namespace reel::harness
