// The log oracle: what clients were promised, held against what nodes applied and what feeds delivered. One
// oracle watches one partition. It is fed with three kinds of fact, in the order in which they happen:
//   applied       a node's state machine took a transaction in; each life starts again at id 0 (restarted())
//   acknowledged  a client was told that its request is committed
//   fed           a reader got a transaction
//
// An acknowledgement or a delivery may come before any node reports the transaction applied; it is then a
// claim, kept until somebody applies that id, and broken if nobody ever does.
//
// Cost: O(1) a fact for the first node to apply an id, a comparison for every other. Memory: about 80 bytes
// for each transaction of the log, and at most kClaimsMax claims.
//
// Names of what can be violated (stable):
//   durability     an acknowledged transaction is not what stands at its id, or is gone from the core
//   exactly-once   one (session, sequence) stands at two ids
//   burn           a request that a client was told is burned stands in the log
//   gap-free       ids are not applied as 0, 1, 2, …
//   divergence     two nodes applied different transactions at one id
//   session-order  an ordered session's transactions are not in the order of their sequences
//   commit-time    commit times do not rise with the ids (design.md §5)
//   feed           a feed left out, repeated or changed a transaction, or delivered what nobody applied
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "model/violation.h"
#include "node/types.h"

namespace reel::model {

struct Transaction {
  SessionId session;
  Sequence sequence;
  std::uint64_t time = 0;    // commit time, HLC nanoseconds
  std::uint64_t digest = 0;  // of the record's bytes
  bool operator==(const Transaction&) const = default;
};

class LogOracle {
 public:
  using Finding = std::optional<Violation>;
  // Numbers the readers; chosen by the caller.
  using Reader = std::uint64_t;
  static constexpr std::size_t kClaimsMax = 1u << 17;

  // Every append of this session demands its predecessor; to be said before its first one is applied.
  void declare_ordered(SessionId session);

  [[nodiscard]] Finding applied(NodeId node, TxnId id, const Transaction& transaction);
  // The node's next life begins with an empty state machine.
  void restarted(NodeId node);
  [[nodiscard]] Finding acknowledged(SessionId session, Sequence sequence, TxnId id, std::uint64_t time);
  // A client was told that this request will never commit.
  [[nodiscard]] Finding burned(SessionId session, Sequence sequence);
  // The reader starts, or starts again, at `from`; a reader that was never opened starts at 0.
  void feed_opened(Reader reader, TxnId from);
  [[nodiscard]] Finding fed(Reader reader, TxnId id, const Transaction& transaction);
  // At the end, when the core has healed: all that was acknowledged is on every one of these nodes.
  [[nodiscard]] Finding finish(std::span<const NodeId> core) const;

  // Transactions that at least one node has applied.
  std::uint64_t size() const { return log_.size(); }
  std::uint64_t acknowledgements() const { return acknowledgements_; }
  std::uint64_t deliveries() const { return deliveries_; }

 private:
  struct Request {
    SessionId session;
    Sequence sequence;
    bool operator==(const Request&) const = default;
  };
  // Request -> id by open addressing: looked up, never walked; always less than half full.
  class RequestTable {
   public:
    // The id that the request had before, if it had one; otherwise it has this one now.
    std::optional<TxnId> put(const Request& request, TxnId id);
    std::optional<TxnId> find(const Request& request) const;

   private:
    struct Slot {
      Request request;
      std::uint64_t id_plus_one = 0;  // 0: empty
    };
    std::size_t place(const Request& request) const;
    void grow();
    std::vector<Slot> slots_;
    std::size_t used_ = 0;
  };
  struct Claim {
    bool acknowledgement = false;  // otherwise a delivery
    Reader reader = 0;
    Transaction transaction;  // of an acknowledgement the digest is unknown
  };
  struct Progress {
    NodeId node;
    TxnId next;
  };

  Progress& progress_of(NodeId node);
  Finding define(NodeId node, TxnId id, const Transaction& transaction);
  Finding judge(TxnId id, const Claim& claim) const;
  Finding claim(TxnId id, const Claim& claim);

  std::set<std::pair<SessionId, Sequence>> burned_;
  std::vector<Transaction> log_;  // by id, as the first node applied it
  RequestTable requests_;
  std::vector<Progress> nodes_;            // in order of appearance
  std::map<SessionId, Sequence> ordered_;  // the last sequence that was applied
  std::map<Reader, TxnId> readers_;        // what comes next
  std::map<TxnId, std::vector<Claim>> claims_;
  std::size_t claims_size_ = 0;
  TxnId acknowledged_end_;  // one behind the highest acknowledged id
  std::uint64_t acknowledgements_ = 0;
  std::uint64_t deliveries_ = 0;
};

}  // namespace reel::model
