// The transactional checker: which isolation does a history of transactions satisfy, judged by what clients saw alone? It
// works on two data types, whose values are unique per key: lists, to which transactions append and which they read whole
// (Elle's list-append), and registers, which they write and read (rw-register).
//
// Method (Kingsbury and Alvaro, "Elle", VLDB 2020; Adya's thesis): from what was read follow the order of versions, from that
// the dependencies, and a cycle of these is an anomaly in every execution that could have looked like this. Beyond that:
// - Lists: the verdict on the serializable models is exact. Each version that anybody read has its place; what nobody read
//   stands behind, in an order that any topological order of the graph completes. So no cycle means that such an order of the
//   transactions explains everything that was seen.
// - Registers: sound only. Versions are ordered by what a transaction read before it wrote, by the initial version, and, at
//   the level of a process or of real time, by who touched the key before whom. What no such evidence orders stays open, and
//   so may an anomaly.
// - An unknown outcome: the transaction counts if somebody who counts read a write of it, and then all of it does, reads
//   included; else it may be left out. It has no end, so it precedes nobody in real time.
//
// - Snapshot isolation of lists: exact if every append was read; two writers of a key whose order nobody saw conflict in
//   either order, and only one of both is excluded by a cycle.
//
// Cost: O(n log n) for n accesses, O(length) for each read of a list: 100,000 transactions in half a second. Memory: some 700
// bytes a transaction. Cycles, where there are any: dependency_graph.h.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/isolation.h"

namespace reel::model {

struct Access {
  enum class Verb : std::uint8_t { read, write };

  Verb verb{};
  bool known = true;  // read: false if nobody knows what it returned
  std::uint64_t key = 0;
  std::uint64_t value = 0;  // write: what is appended, or the register's new value; unique per key
  std::span<const std::uint64_t>
      seen;  // read: the list, or the register's value; nothing: as it was at first
};

enum class Fate : std::uint8_t { committed, aborted, unknown };

struct ClientTransaction {
  static constexpr std::uint64_t kOpen = UINT64_MAX;

  std::uint64_t process = 0;
  std::uint64_t call = 0;          // any numbers that order events; [call, returned] is a closed interval
  std::uint64_t returned = kOpen;  // committed: when its client knew
  Fate fate = Fate::unknown;
  std::vector<Access> accesses;  // in its own order
};

enum class DataType : std::uint8_t { list, reg };

// How the numbers of a history are told in sentences; what is empty tells them as they are.
struct HistoryNames {
  std::function<std::string(std::uint64_t)> key{}, value{}, time{};
};

// Registers: what the order in which a key was touched says of the order of its versions. Elle calls these sequential and
// linearizable keys; both are assumptions about the store, each key for itself.
enum class VersionOrder : std::uint8_t {
  unknown,      // nothing for sure: what it would mean counts as an anomaly of its process or of real time
  process,      // each process sees the versions of a key in their order
  linearizable  // so does whoever is called later
};

struct TransactionCheckOptions {
  DataType type = DataType::list;
  // Registers: who reads a version and then writes has overwritten it, perhaps with others in between.
  bool writes_follow_reads = true;
  VersionOrder versions = VersionOrder::unknown;  // registers
  HistoryNames names{};
  std::uint64_t steps_max =
      20'000'000;  // edges looked at in order to find short cycles; not time: repeatable
};

struct AnomalyReport {
  Anomaly anomaly{};
  std::vector<std::uint32_t> transactions;  // positions in the history; of a cycle in its order
  std::string text;                         // one sentence: why each depends on the next, with all numbers
};

struct TransactionReport {
  std::vector<AnomalyReport> anomalies;  // one of each name, cycles last
  Anomalies found = 0;
  // Lists, if nothing was found: those that happened, in an order that is strictly serializable. check_serial_order() says so.
  std::vector<std::uint32_t> order;
  Anomalies undecided = 0;  // the budget ended the search for these; everything else was decided
  // How much was at stake: a history in which nothing depends on anything satisfies everything.
  std::uint64_t counted = 0;       // transactions that happened
  std::uint64_t dependencies = 0;  // ww, wr and rw between them

  bool violates(Isolation model) const { return (found & forbidden_by(model)) != 0; }
  // As far as the method goes (above): nothing speaks against it.
  bool satisfies(Isolation model) const { return ((found | undecided) & forbidden_by(model)) == 0; }
  // The strongest models that are satisfied, and the weakest that are violated: no other of the kind is stronger, or weaker.
  [[nodiscard]] std::vector<Isolation> strongest() const;
  [[nodiscard]] std::vector<Isolation> weakest_violated() const;
  // The first anomaly that the model forbids, the worst first; nullptr if none was found.
  [[nodiscard]] const AnomalyReport* worst(Isolation model) const;
};

// A sentence if it is no history: two writes of one value to a key, an end before its beginning, a committed transaction
// without an end, a register that showed two values, more than 2^31 transactions, or 4,096 accesses of one. What the spans refer to must outlive the
// call.
[[nodiscard]] std::expected<TransactionReport, std::string> check_transactions(
    std::span<const ClientTransaction> history, const TransactionCheckOptions& options = {});

// The other half of the checker: nothing if this order (positions in the history) holds every committed transaction and no
// aborted one, each at most once, respects real time, and shows each of them what it saw; otherwise what is wrong with it. It
// shares nothing with the search, and is short enough to be believed.
[[nodiscard]] std::optional<std::string> check_serial_order(std::span<const ClientTransaction> history,
                                                            std::span<const std::uint32_t> order,
                                                            DataType type = DataType::list);

}  // namespace reel::model
