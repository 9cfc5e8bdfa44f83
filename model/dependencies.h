// From a history to its dependencies, and to the anomalies that are no cycles (transactions.h has the method).
//
// Writes are found by (key, value) in a sorted table. The order of a list is the longest chain of reads that extend each other,
// kept while they are looked at, so each element is looked up once; a transaction of unknown outcome counts from the moment
// that one of its writes turns up there.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/dependency_graph.h"
#include "model/transactions.h"

namespace reel::model {

class Dependencies {
 public:
  // Both must outlive it.
  Dependencies(std::span<const ClientTransaction> history, const TransactionCheckOptions& options);

  // What is wrong with the history, if it is none. Call first.
  [[nodiscard]] std::optional<std::string> index();
  // All dependencies and anomalies without a cycle. Call once, after index().
  void infer();

  DependencyGraph& graph() { return graph_; }
  std::vector<AnomalyReport>& anomalies() { return anomalies_; }
  std::uint64_t counted() const { return counted_total_; }
  bool counts(std::uint32_t transaction) const { return counted_[transaction] != 0; }
  // "T1 before T3: T1 wrote 5 to key 2, and T3 read it".
  [[nodiscard]] std::string explain(const CycleStep& step) const;
  // "T1 (process 3, from 10 to 20): wrote 5 to key 2, read key 1 as [3 4]".
  [[nodiscard]] std::string describe(std::uint32_t transaction) const;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Write {
    std::uint32_t key = 0;
    std::uint64_t value = 0;
    std::uint32_t transaction = 0;
    std::uint32_t position = kNone;  // lists: where it stands in the order of its key
    bool last = false;               // of its transaction to this key
  };
  // What a transaction saw of a key that others had left there; its own writes are taken off.
  struct Read {
    std::uint32_t transaction = 0;
    std::uint32_t key = 0;
    std::uint32_t write = kNone;  // the version: by its last write; kNone: the initial one
    std::uint32_t length = 0;     // lists: how much of the order it is
    bool in_order = true;         // lists: agrees with the order
  };
  struct Element {
    std::uint64_t value = 0;
    std::uint32_t write = kNone;  // kNone: nobody wrote it
  };
  struct Key {
    std::vector<Element> order;        // lists
    std::uint32_t ordered_by = kNone;  // who showed the last of it
    std::uint32_t writes_begin = 0, writes_end = 0;
  };
  // What a transaction knows of a key while its accesses are looked at.
  struct Local {
    bool read = false;                    // `base` is what it read
    std::span<const std::uint64_t> base;  // of others
    std::vector<std::uint64_t> own;       // its writes so far; of a register, the last
  };
  using Locals = std::map<std::uint32_t, Local>;  // by key
  // Of one transaction with a register: the first version that it met, and the last that it left there.
  struct Touch {
    std::uint32_t key = 0;
    std::uint32_t transaction = 0;
    std::uint32_t first = kNone;
    std::uint32_t last = kNone;
  };

  std::uint32_t key_of(std::uint64_t name) const;
  std::uint32_t find(std::uint32_t key, std::uint64_t value) const;
  const ClientTransaction& writer(std::uint32_t write) const { return history_[writes_[write].transaction]; }
  bool is_counted(std::uint32_t write) const { return counted_[writes_[write].transaction] != 0; }
  std::optional<std::string> index_writes();
  void report(Anomaly anomaly, std::vector<std::uint32_t> transactions, const std::string& text);

  // ---- who counts, and what each of them saw
  void count(std::uint32_t transaction);
  void look_at(std::uint32_t transaction);
  void look_at_list(std::uint32_t reader, std::size_t access, std::uint32_t key, Local& local);
  void look_at_register(std::uint32_t reader, std::size_t access, std::uint32_t key, Local& local);
  bool shows_future(std::uint32_t reader, std::size_t access) const;
  void report_internal(std::uint32_t reader, std::size_t access);
  bool meet(std::uint32_t reader, std::uint32_t key, std::uint64_t value, std::uint32_t write);
  bool take_list(std::uint32_t reader, std::uint32_t key, std::span<const std::uint64_t> list);
  bool extend(std::uint32_t reader, std::uint32_t key, std::uint64_t value);

  // ---- dependencies
  void order_in_time();
  void add_timeline(std::span<const std::uint32_t> transactions, Dependency kind, Level level);
  void precede_all(std::span<const std::uint32_t> before, std::span<const std::uint32_t> writes,
                   std::uint32_t key, std::uint32_t version, Dependency kind);
  void check_intermediate(const Read& read);
  void find_lost_updates();
  void infer_list(std::uint32_t key, std::span<const Read> reads);
  void infer_register(std::uint32_t key, std::span<const Read> reads);
  std::vector<Touch> touches_of(std::uint32_t key, std::span<const Read> reads) const;
  void order_versions(std::span<const Touch> touches, std::span<const Read> reads);
  void add_version_edge(std::uint32_t before, std::uint32_t after, Level level, std::span<const Read> reads);

  // ---- words
  std::string name(std::uint32_t transaction) const { return "T" + std::to_string(transaction); }
  std::string version(std::uint32_t write) const;
  std::string placed_name(std::uint32_t transaction) const;  // and when it was called
  std::string key_text(std::uint64_t name) const;
  std::string value_text(std::uint64_t value) const;
  std::string time_text(std::uint64_t time) const;
  std::string list_text(std::span<const std::uint64_t> list) const;

  std::span<const ClientTransaction> history_;
  const TransactionCheckOptions& options_;
  DataType type_;
  DependencyGraph graph_;
  std::vector<std::uint64_t> key_names_;  // sorted; a key is its position here
  std::vector<Key> keys_;
  std::vector<Write> writes_;  // sorted by (key, value)
  std::vector<Read> reads_;
  std::set<std::pair<std::uint32_t, std::uint64_t>> garbage_;  // key, value: in an order, and nobody wrote it
  std::vector<std::uint8_t> counted_;
  std::vector<std::uint32_t> to_look_at_;
  std::uint64_t counted_total_ = 0;
  std::vector<AnomalyReport> anomalies_;
  Anomalies reported_ = 0;
};

}  // namespace reel::model
