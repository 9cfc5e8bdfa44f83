// Reader: follows the feed of one partition from any id or time, in order and without gaps, as pure logic. It verifies
// every transaction's checksum end to end (no hop recomputes it), asks for the next batch while there is more, waits at the
// node when there is none, and goes on elsewhere when a node does not answer.
//
// With a filter it gets the matching transactions alone. That none is left out it must believe the node; that each
// matches, that ids rise, and that the node stays within the credit, it verifies.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "io/ports/time.h"
#include "node/client/calls.h"
#include "node/client_message.h"
#include "node/log/record.h"

namespace reel::client {

struct ReaderOptions {
  std::vector<NodeId> nodes;  // not empty; the first is asked first
  GroupId group{1};
  TxnId from;
  std::uint64_t from_time =
      0;  // begins with the first transaction of this commit time or later; 0: with `from`
  FeedFilter filter;
  std::uint32_t bytes_max = 1u << 20;          // credit of one call
  io::Duration wait = io::seconds(10);         // long poll at the end of the log; 0: just look
  io::Duration call_timeout = io::seconds(5);  // on top of `wait`
  io::Duration backoff_min = io::milliseconds(5);
  io::Duration backoff_max = io::milliseconds(500);
  std::uint64_t seed = 0;
};

class Reader {
 public:
  explicit Reader(const ReaderOptions& options);

  void pump(const io::Now& now, Calls& out);
  // Takes the answer to this reader's call; false if it is not. Transactions are read with drain().
  bool on_reply(io::CallId call, const ClientReply& reply, const io::Now& now, Calls& out);
  bool on_failed(io::CallId call, const io::Now& now, Calls& out);
  io::Instant deadline() const;
  // Nothing more is wanted: no call stays behind.
  void close(Calls& out);

  // Hands over what has come, in order of id, each once: visit(const log::Transaction&), or with the bytes that it lies in
  // as a second argument, for a visitor that keeps it.
  template <class Visit>
  void drain(Visit&& visit) {
    std::vector<Bytes> entries;
    entries.swap(entries_);
    for (const Bytes& payload : entries) {
      log::for_each_transaction(payload.span(), next_, [&](const log::Transaction& transaction) {
        if (failure_ || comes_before(transaction) || !accept(transaction)) return;
        hand_over(visit, transaction, payload);
      });
    }
    std::vector<CommittedRecord> matches;
    matches.swap(matches_);
    for (const CommittedRecord& match : matches) {
      const auto transaction = open(match);
      if (!transaction || !accept(*transaction)) return;
      hand_over(visit, *transaction, match.record);
    }
    if (!failure_) next_ = std::max(next_, std::exchange(looked_at_, TxnId()));
  }

  // Something came that drain() has not handed over.
  bool has_news() const { return !entries_.empty() || !matches_.empty() || looked_at_ > next_; }
  // All before it was handed over, or does not match; the next id that drain() may hand over.
  TxnId next() const { return next_; }
  TxnId high_water() const { return high_water_; }  // as of the last answer
  bool caught_up() const { return !has_news() && answered_ && next_ >= high_water_; }
  const std::optional<std::string>& failure() const {
    return failure_;
  }  // damage or refusal: nothing more comes
  NodeId target() const { return options_.nodes[target_]; }
  const Repeats& repeats() const { return repeats_; }

 private:
  template <class Visit>
  static void hand_over(Visit& visit, const log::Transaction& transaction, const Bytes& memory) {
    if constexpr (std::is_invocable_v<Visit&, const log::Transaction&, const Bytes&>) {
      visit(transaction, memory);
    } else {
      visit(transaction);
    }
  }
  void take(const FeedResult& result);
  // Why no correct node sends this; nothing if one may.
  std::optional<std::string> fault_of(const FeedResult& result) const;
  // Before from_time: it is there because the rest of its entry is wanted.
  bool comes_before(const log::Transaction& transaction);
  // Fails the reader if the match is none.
  std::optional<log::Transaction> open(const CommittedRecord& match);
  bool accept(const log::Transaction& transaction);
  void fall_back(const io::Now& now);

  ReaderOptions options_;
  std::vector<Bytes> entries_;
  std::vector<CommittedRecord> matches_;
  TxnId looked_at_;  // when they are handed over, all before this was; 0: nothing is said
  bool seeking_;     // from_time is not reached yet
  TxnId next_;
  TxnId high_water_;
  io::CallId call_;
  io::Instant expires_ = io::kNever;
  io::Instant resume_at_{INT64_MIN};
  std::size_t target_ = 0;
  std::uint32_t failures_ = 0;
  bool answered_ = false;
  Repeats repeats_;
  std::optional<std::string> failure_;
};

}  // namespace reel::client
