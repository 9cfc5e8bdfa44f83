#include "model/log_oracle.h"

#include "io/ports/checksum.h"

namespace reel::model {
namespace {

constexpr std::uint64_t kOne = 1;

Violation broken(const char* oracle, std::string_view what, TxnId id, const Transaction& claimed,
                 const Transaction& found) {
  return violation(oracle, what, id, ": session ", claimed.session.high, "/", claimed.session.low,
                   " sequence ", claimed.sequence, " time ", claimed.time, " digest ", claimed.digest,
                   ", but session ", found.session.high, "/", found.session.low, " sequence ", found.sequence,
                   " time ", found.time, " digest ", found.digest, " stands there");
}

}  // namespace

// ---- the table of requests

std::size_t LogOracle::RequestTable::place(const Request& request) const {
  io::Hasher hasher;
  hasher.add(request.session.high).add(request.session.low).add(request.sequence.value);
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hasher.value() & mask;
  while (slots_[at].id_plus_one != 0 && slots_[at].request != request) at = (at + 1) & mask;
  return at;
}

void LogOracle::RequestTable::grow() {
  std::vector<Slot> old(slots_.empty() ? 64 : slots_.size() * 2);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.id_plus_one != 0) slots_[place(slot.request)] = slot;
  }
}

std::optional<TxnId> LogOracle::RequestTable::put(const Request& request, TxnId id) {
  if (used_ * 2 >= slots_.size()) grow();
  Slot& slot = slots_[place(request)];
  if (slot.id_plus_one != 0) return TxnId(slot.id_plus_one - 1);
  slot = {request, id.value + 1};
  ++used_;
  return std::nullopt;
}

std::optional<TxnId> LogOracle::RequestTable::find(const Request& request) const {
  if (slots_.empty()) return std::nullopt;
  const Slot& slot = slots_[place(request)];
  return slot.id_plus_one == 0 ? std::nullopt : std::optional(TxnId(slot.id_plus_one - 1));
}

// ---- what nodes apply

void LogOracle::declare_ordered(SessionId session) { ordered_.try_emplace(session); }

LogOracle::Progress& LogOracle::progress_of(NodeId node) {
  for (Progress& progress : nodes_) {
    if (progress.node == node) return progress;
  }
  return nodes_.emplace_back(Progress{node, TxnId{}});
}

void LogOracle::restarted(NodeId node) { progress_of(node).next = TxnId{}; }

LogOracle::Finding LogOracle::applied(NodeId node, TxnId id, const Transaction& transaction) {
  Progress& progress = progress_of(node);
  if (id != progress.next) {
    return violation("gap-free", "node ", node, " applies transaction ", id, " where ", progress.next,
                     " must come");
  }
  ++progress.next;
  if (id.value == log_.size()) return define(node, id, transaction);
  if (log_[id.value] == transaction) return std::nullopt;
  return broken("divergence", violation("", "node ", node, " applies at id ").sentence, id, transaction,
                log_[id.value]);
}

LogOracle::Finding LogOracle::define(NodeId node, TxnId id, const Transaction& transaction) {
  if (const auto before = requests_.put({transaction.session, transaction.sequence}, id)) {
    return violation("exactly-once", "node ", node, " applies session ", transaction.session.high, "/",
                     transaction.session.low, " sequence ", transaction.sequence, " at id ", id,
                     ", which stands at id ", *before, " already");
  }
  if (burned_.contains({transaction.session, transaction.sequence})) {
    return violation("burn", "node ", node, " applies session ", transaction.session.high, "/",
                     transaction.session.low, " sequence ", transaction.sequence, " at id ", id,
                     ", but its client was told that it is burned");
  }
  if (!log_.empty() && transaction.time <= log_.back().time) {
    return violation("commit-time", "transaction ", id, " has time ", transaction.time, ", its predecessor ",
                     log_.back().time);
  }
  if (const auto session = ordered_.find(transaction.session); session != ordered_.end()) {
    if (transaction.sequence != session->second + kOne) {
      return violation("session-order", "transaction ", id, " is sequence ", transaction.sequence,
                       " of the ordered session ", transaction.session.high, "/", transaction.session.low,
                       ", behind sequence ", session->second);
    }
    session->second = transaction.sequence;
  }
  log_.push_back(transaction);
  const auto waiting = claims_.find(id);
  if (waiting == claims_.end()) return std::nullopt;
  const std::vector<Claim> claims = std::move(waiting->second);
  claims_.erase(waiting);
  claims_size_ -= claims.size();
  for (const Claim& claim : claims) {
    if (Finding finding = judge(id, claim)) return finding;
  }
  return std::nullopt;
}

// ---- what clients were told

LogOracle::Finding LogOracle::judge(TxnId id, const Claim& claim) const {
  const Transaction& found = log_[id.value];
  Transaction claimed = claim.transaction;
  if (claim.acknowledgement) claimed.digest = found.digest;
  if (claimed == found) return std::nullopt;
  if (claim.acknowledgement) return broken("durability", "acknowledged at id ", id, claimed, found);
  return broken("feed", violation("", "reader ", claim.reader, " got at id ").sentence, id, claimed, found);
}

LogOracle::Finding LogOracle::claim(TxnId id, const Claim& claim) {
  if (id.value < log_.size()) return judge(id, claim);
  if (claims_size_ == kClaimsMax) {
    return violation(claim.acknowledgement ? "durability" : "feed", "clients know of ", kClaimsMax,
                     " transactions from id ", claims_.begin()->first, " that no node has applied");
  }
  claims_[id].push_back(claim);
  ++claims_size_;
  return std::nullopt;
}

LogOracle::Finding LogOracle::acknowledged(SessionId session, Sequence sequence, TxnId id,
                                           std::uint64_t time) {
  ++acknowledgements_;
  if (id >= acknowledged_end_) acknowledged_end_ = id + kOne;
  return claim(id, Claim{true, 0, Transaction{session, sequence, time, 0}});
}

LogOracle::Finding LogOracle::burned(SessionId session, Sequence sequence) {
  burned_.emplace(session, sequence);
  const auto id = requests_.find({session, sequence});
  if (!id) return std::nullopt;
  return violation("burn", "a client was told that session ", session.high, "/", session.low, " sequence ",
                   sequence, " is burned, but it stands at id ", *id);
}

void LogOracle::feed_opened(Reader reader, TxnId from) { readers_[reader] = from; }

LogOracle::Finding LogOracle::fed(Reader reader, TxnId id, const Transaction& transaction) {
  ++deliveries_;
  TxnId& next = readers_[reader];
  if (id != next) {
    return violation("feed", "reader ", reader, " got transaction ", id, " where ", next, " must come");
  }
  ++next;
  return claim(id, Claim{false, reader, transaction});
}

LogOracle::Finding LogOracle::finish(std::span<const NodeId> core) const {
  if (!claims_.empty()) {
    const Claim& claim = claims_.begin()->second.front();
    return violation(claim.acknowledgement ? "durability" : "feed", "transaction ", claims_.begin()->first,
                     claim.acknowledgement ? " was acknowledged" : " was delivered",
                     ", but no node ever applied it");
  }
  for (const NodeId node : core) {
    TxnId next;
    for (const Progress& progress : nodes_) {
      if (progress.node == node) next = progress.next;
    }
    if (next < acknowledged_end_) {
      return violation("durability", "node ", node, " ends with ", next, " transactions, but ids below ",
                       acknowledged_end_, " were acknowledged");
    }
  }
  return std::nullopt;
}

}  // namespace reel::model
