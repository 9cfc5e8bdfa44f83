// What the lock rule costs, and that it is never wrong: ten million transactions over a million keys through the parser,
// the rule and the state machine, as a leader and its followers run them. Every verdict is held against a naive model that
// forgets nothing. Then the same entries without locks, applied beside an empty table and beside a full one. Prints one
// JSON line; exit 1 if a verdict was wrong. Not a timed test: figures belong into reports.
//
//   log_locks_benchmark [TRANSACTIONS [KEYS]]

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string_view>
#include <vector>

#include "io/ports/checksum.h"
#include "node/log/log_state.h"

namespace reel::log {
namespace {

constexpr std::uint32_t kBatch = 128;       // transactions judged and applied together, as one entry
constexpr std::uint64_t kLagMax = 100'000;  // how far clients are behind what they base a transaction on
constexpr std::uint64_t kNever = UINT64_MAX;
constexpr int kRounds = 400;
constexpr std::uint64_t kRoundTransactions = 1u << 14;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

LockKey key_of(std::uint64_t number) { return {io::keyed_hash(1, {number}), io::keyed_hash(2, {number})}; }

// One transaction as its client drew it: up to two keys, written, read or appended.
struct Drawn {
  std::uint64_t keys[2] = {};
  std::uint32_t modes[2] = {};  // 0 write, 1 read, 2 append; ascending
  std::uint32_t count = 0;
  std::optional<TxnId> based_on;
};

Drawn draw(std::uint64_t number, std::uint64_t keys, TxnId next) {
  const std::uint64_t bits = io::keyed_hash(7, {number});
  Drawn drawn;
  drawn.count = 1 + static_cast<std::uint32_t>(bits % 2);
  for (std::uint32_t i = 0; i < drawn.count; ++i) {
    drawn.keys[i] = io::keyed_hash(8, {number, i}) % keys;
    drawn.modes[i] = static_cast<std::uint32_t>((bits >> (8 + 8 * i)) % 3);
  }
  if (drawn.count == 2 && drawn.modes[0] > drawn.modes[1]) std::swap(drawn.modes[0], drawn.modes[1]);
  const std::uint64_t lag = (bits >> 32) % kLagMax;
  if (next.value > lag) drawn.based_on = TxnId(next.value - 1 - lag);
  return drawn;
}

void encode(const Drawn& drawn, std::vector<std::byte>& block) {
  LockKey locks[2];
  std::uint32_t count[3] = {};
  for (std::uint32_t i = 0; i < drawn.count; ++i) {
    locks[i] = key_of(drawn.keys[i]);
    ++count[drawn.modes[i]];
  }
  static constexpr std::byte kData[64] = {};
  TransactionInput input;
  input.data = kData;
  input.based_on = drawn.based_on;
  input.write_locks = {locks, count[0]};
  input.read_locks = {locks + count[0], count[1]};
  input.append_locks = {locks + count[0] + count[1], count[2]};
  append_record(block, input);
}

// The lock rule as one line of the design says it, over every change of every key.
class NaiveModel {
 public:
  explicit NaiveModel(std::uint64_t keys) : changed_(keys, kNever) {}
  // Who stands in the way; nullopt: nobody.
  std::optional<TxnId> conflict(const Drawn& drawn) const {
    for (std::uint32_t i = 0; i < drawn.count; ++i) {
      const std::uint64_t by = changed_[drawn.keys[i]];
      if (drawn.modes[i] == 2 || by == kNever) continue;
      if (!drawn.based_on || by > drawn.based_on->value) return TxnId(by);
    }
    return std::nullopt;
  }
  void commit(const Drawn& drawn, TxnId id) {
    for (std::uint32_t i = 0; i < drawn.count; ++i) {
      if (drawn.modes[i] != 1) changed_[drawn.keys[i]] = id.value;
    }
  }

 private:
  std::vector<std::uint64_t> changed_;  // by key: the last id
};

// Makes entries out of records, of one session whose sequences go on and on.
class EntryMaker {
 public:
  explicit EntryMaker(SessionId session) : session_(session) {}
  std::vector<std::byte>& begin() {
    payload_.assign(kEntryHeaderBytes + kSectionHeaderBytes, std::byte{0});
    return payload_;
  }
  void finish(const LogState& state, std::uint32_t count, std::uint32_t changes) {
    const std::span<std::byte> room(payload_);
    write_entry_header(room.first<kEntryHeaderBytes>(), {1, count, state.next_id(), state.last_time() + 1});
    SectionHeader section;
    section.session = session_;
    section.first = sequence_;
    section.count = count;
    section.bytes = static_cast<std::uint32_t>(payload_.size() - kEntryHeaderBytes - kSectionHeaderBytes);
    section.opens = sequence_ == Sequence(1);
    section.changes = changes;
    write_section_header(room.subspan<kEntryHeaderBytes, kSectionHeaderBytes>(), section);
    sequence_ += count;
  }
  void apply(LogState& state) const {
    EntryIdentity identity;
    identity.term = Term(1);
    identity.index = state.applied() + 1;
    identity.kind = EntryKind::transactions;
    if (!state.apply(identity, payload_)) std::abort();
  }

 private:
  SessionId session_;
  std::vector<std::byte> payload_;
  Sequence sequence_{1};
};

struct Figures {
  std::uint64_t committed = 0;
  std::uint64_t conflicts = 0;
  std::uint64_t in_flight = 0;  // of those, with a transaction of the same batch
  std::uint64_t stale = 0;
  std::uint64_t false_conflicts = 0;   // refused, and nothing stood in the way
  std::uint64_t missed_conflicts = 0;  // accepted, and something did
  std::uint64_t wrong_blame = 0;       // refused because of a key that was not in the way
  double judge_s = 0;
  double apply_s = 0;
};

// Judges a batch, whose transactions see each other in flight, then applies it.
class Contest {
 public:
  Contest(LogState& state, std::uint64_t keys) : state_(state), keys_(keys), model_(keys) {}

  Figures run(std::uint64_t transactions) {
    for (std::uint64_t at = 0; at < transactions; at += kBatch) {
      const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBatch, transactions - at));
      drawn_.clear();
      block_.clear();
      for (std::uint32_t i = 0; i < count; ++i) {
        drawn_.push_back(draw(at + i, keys_, state_.next_id()));
        encode(drawn_.back(), block_);
      }
      judge_all();
      commit();
    }
    return figures_;
  }

 private:
  // As a leader does it: parse, judge, note what changes.
  void judge_all() {
    const auto start = Clock::now();
    verdicts_.clear();
    TxnId id = state_.next_id();
    std::span<const std::byte> rest(block_);
    while (!rest.empty()) {
      const auto record = parse_record(rest);
      rest = rest.subspan(record->size);
      const LockVerdict verdict = judge(*record, state_.locks(), overlay_);
      verdicts_.push_back(verdict);
      if (verdict.kind != LockVerdict::Kind::free) continue;
      for (std::uint32_t lock = 0; lock < record->lock_count(); ++lock) {
        if (record->lock_is_changed(lock)) overlay_.change(record->lock(lock), {id, state_.applied() + 1});
      }
      ++id;
    }
    figures_.judge_s += seconds_since(start);
  }

  void commit() {
    std::vector<std::byte>& payload = maker_.begin();
    std::uint32_t count = 0;
    std::uint32_t changes = 0;
    std::span<const std::byte> rest(block_);
    for (std::size_t i = 0; i < drawn_.size(); ++i) {
      const auto record = parse_record(rest);
      check(drawn_[i], verdicts_[i]);
      if (verdicts_[i].kind == LockVerdict::Kind::free) {
        model_.commit(drawn_[i], state_.next_id() + count);
        payload.insert(payload.end(), rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(record->size));
        changes += record->write_locks + record->append_locks;
        ++count;
      }
      rest = rest.subspan(record->size);
    }
    if (count == 0) return;
    maker_.finish(state_, count, changes);
    const auto start = Clock::now();
    maker_.apply(state_);
    overlay_.applied(state_.applied());
    figures_.apply_s += seconds_since(start);
    figures_.committed += count;
  }

  void check(const Drawn& drawn, const LockVerdict& verdict) {
    const auto by = model_.conflict(drawn);
    switch (verdict.kind) {
      case LockVerdict::Kind::free: figures_.missed_conflicts += by.has_value(); break;
      case LockVerdict::Kind::stale: ++figures_.stale; break;
      case LockVerdict::Kind::conflict:
        ++figures_.conflicts;
        figures_.in_flight += verdict.released_by != Index();
        if (!by) ++figures_.false_conflicts;
        if (by && !names_a_cause(drawn, verdict)) ++figures_.wrong_blame;
        break;
    }
  }
  // The key that the verdict names is one that stands in the way; there may be two.
  bool names_a_cause(const Drawn& drawn, const LockVerdict& verdict) const {
    Drawn one = drawn;
    one.count = 1;
    one.keys[0] = drawn.keys[verdict.lock];
    one.modes[0] = drawn.modes[verdict.lock];
    return model_.conflict(one).has_value();
  }

  LogState& state_;
  std::uint64_t keys_;
  NaiveModel model_;
  LockOverlay overlay_;
  EntryMaker maker_{SessionId{1, 1}};
  std::vector<Drawn> drawn_;
  std::vector<std::byte> block_;
  std::vector<LockVerdict> verdicts_;
  Figures figures_;
};

// Nanoseconds to survey and apply one transaction without locks. The best of many rounds, each far shorter than a slice
// of the scheduler: noise only adds.
class Lockless {
 public:
  explicit Lockless(LogState& state) : state_(state) {}
  double round(std::uint64_t transactions) {
    const auto start = Clock::now();
    for (std::uint64_t at = 0; at < transactions; at += kBatch) {
      std::vector<std::byte>& payload = maker_.begin();
      for (std::uint32_t i = 0; i < kBatch; ++i) append_record(payload, {});
      const auto records = std::span(payload).subspan(kEntryHeaderBytes + kSectionHeaderBytes);
      if (survey(records, kBatch)->locks != 0) std::abort();
      maker_.finish(state_, kBatch, 0);
      maker_.apply(state_);
      overlay_.applied(state_.applied());
    }
    best_ = std::min(best_, seconds_since(start) * 1e9 / static_cast<double>(transactions));
    return best_;
  }

 private:
  LogState& state_;
  EntryMaker maker_{SessionId{2, 2}};
  LockOverlay overlay_;
  double best_ = 1e9;
};

std::uint64_t resident_bytes() {
  std::uint64_t pages = 0;
  std::uint64_t resident = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%lu %lu", &pages, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return resident * 4096;
}

int run(std::uint64_t transactions, std::uint64_t keys) {
  const std::uint64_t before = resident_bytes();
  std::uint64_t table_bytes = 0;
  {  // The table by itself, full of as many keys.
    LockTable table(1u << 20);
    for (std::uint64_t i = 0; i < (1u << 20); ++i) table.change(key_of(i), TxnId(i));
    table_bytes = resident_bytes() - before;
  }
  LogState full;
  const Figures figures = Contest(full, keys).run(transactions);
  LogState empty;
  Lockless beside_full(full);
  Lockless beside_empty(empty);
  double full_ns = 0;
  double empty_ns = 0;
  for (int round = 0; round < kRounds; ++round) {
    empty_ns = beside_empty.round(kRoundTransactions);
    full_ns = beside_full.round(kRoundTransactions);
  }
  const auto per_transaction = [&](double seconds) {
    return seconds * 1e9 / static_cast<double>(transactions);
  };
  std::printf(
      "{\"what\":\"locks\",\"transactions\":%lu,\"keys\":%lu,\"committed\":%lu,\"conflicts\":%lu,\"in_"
      "flight\":%lu,\"stale\":%"
      "lu,"
      "\"false_conflicts\":%lu,\"missed_conflicts\":%lu,\"wrong_blame\":%lu,\"judge_ns\":%.1f,\"apply_ns\":%."
      "1f,"
      "\"lockless_empty_ns\":%.2f,\"lockless_full_ns\":%.2f,\"lockless_ratio\":%.3f,\"keys_in_table\":%u,"
      "\"table_bytes_per_key\":%.1f,\"table_mib\":%.1f}\n",
      transactions, keys, figures.committed, figures.conflicts, figures.in_flight, figures.stale,
      figures.false_conflicts, figures.missed_conflicts, figures.wrong_blame,
      per_transaction(figures.judge_s), per_transaction(figures.apply_s), empty_ns, full_ns,
      full_ns / empty_ns, full.locks().size(), static_cast<double>(table_bytes) / (1u << 20),
      static_cast<double>(table_bytes) / (1u << 20));
  return figures.false_conflicts + figures.missed_conflicts + figures.wrong_blame == 0 ? 0 : 1;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0) return std::nullopt;
  return number;
}

}  // namespace
}  // namespace reel::log

int main(int argc, char** argv) {
  const auto transactions = reel::log::number_of(argc > 1 ? argv[1] : "10000000");
  const auto keys = reel::log::number_of(argc > 2 ? argv[2] : "1000000");
  if (argc > 3 || !transactions || !keys) {
    std::fprintf(stderr, "usage: log_locks_benchmark [TRANSACTIONS [KEYS]], both above 0\n");
    return 2;
  }
  return reel::log::run(*transactions, *keys);
}
