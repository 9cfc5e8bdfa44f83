// The programs that a simulated cluster runs: replicas, appending clients, readers. Each is an io::Host, made anew at
// every boot; what survives a client's crash is its memory, kept outside (a real client keeps it in its database).
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "harness/oracles.h"
#include "node/client/driver.h"
#include "node/driver.h"
#include "sim/decisions.h"

namespace reel::harness {

// The content of a client's n-th transaction: drawn by key, so it can be made again after a crash and checked by anyone.
class Content {
 public:
  Content(std::uint64_t seed, NodeId client, std::uint32_t bytes_max)
      : seed_(seed), client_(client), bytes_max_(bytes_max) {}
  [[nodiscard]] std::vector<std::byte> of(Sequence sequence) const;
  [[nodiscard]] std::uint32_t header_of(Sequence sequence) const;

 private:
  std::uint64_t seed_;
  NodeId client_;
  std::uint32_t bytes_max_;
};

// What an appending client remembers across its crashes.
struct AppendMemory {
  SessionId session;
  Sequence submitted;                  // the highest that any life submitted
  Sequence answered;                   // all up to here are answered
  std::set<Sequence> answered_beyond;  // answered, above a gap (independent requests only)
  std::uint64_t lives = 0;
  bool stopped = false;  // nothing more is submitted than was already
};

struct AppendPlan {
  const io::ParcelCodec* call_codec = nullptr;
  client::AppenderOptions appender;
  std::uint64_t total = 0;  // transactions that this client appends in its life, unless it is stopped
  std::uint32_t burst = 1;  // submitted at once
  io::Duration think_mean;  // between bursts, exponential; 0: as fast as the window allows
  std::uint32_t bytes_max = 64;
  std::uint64_t content_seed = 0;
};

// The coverage mark of a submit's outcome.
[[nodiscard]] const char* mark_of(client::SubmitOutcome::Kind kind);

// Tells the oracles of calls that a client repeated since it told them last.
class RepeatMarks {
 public:
  void tell(const client::Repeats& now, Oracles& oracles);

 private:
  client::Repeats told_;
};

class AppendProgram : public client::Driver {
 public:
  AppendProgram(io::Ports& ports, NodeId self, const AppendPlan& plan, AppendMemory& memory, Oracles& oracles,
                sim::Decisions& decisions);
  void on_start() override;
  void on_committed(const std::vector<CommittedRun>& runs) override;
  void on_progress() override;
  void on_alarm() override;

 private:
  bool has_more() const { return next_.value <= (memory_.stopped ? memory_.submitted.value : plan_.total); }
  void submit_burst();

  NodeId self_;
  AppendPlan plan_;
  AppendMemory& memory_;
  Oracles& oracles_;
  sim::Decisions& decisions_;
  Content content_;
  Sequence next_;  // the next to submit in this life
  RepeatMarks repeats_;
};

struct FeedPlan {
  const io::ParcelCodec* call_codec = nullptr;
  client::ReaderOptions reader;
  bool looks_up = false;  // asks for every 16th transaction again, by its id
};

// Follows a partition's feed from where it stood, all of it or what a filter lets through, and tells the oracles what it
// saw.
class FeedProgram final : public client::Driver {
 public:
  FeedProgram(io::Ports& ports, NodeId self, const FeedPlan& plan, TxnId& position, Oracles& oracles);
  void on_transaction(const log::Transaction& transaction) override;
  void on_progress() override;
  void on_other_reply(io::CallId call, const ClientReply* reply) override;

 private:
  // Gets less than everything.
  bool selects() const { return !plan_.reader.filter.empty() || plan_.reader.from_time > 0; }

  NodeId self_;
  FeedPlan plan_;
  GroupId group_;
  io::CallId lookup_;         // 0: none
  TxnId looked_up_;           // what it asks for
  std::uint64_t digest_ = 0;  // of that one's data, as the feed brought it
  TxnId& position_;           // survives a crash: what was taken
  Oracles& oracles_;
  RepeatMarks repeats_;
};

}  // namespace reel::harness
