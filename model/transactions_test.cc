#include "model/transactions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "io/ports/checksum.h"

namespace reel::model {
namespace {

using Verb = Access::Verb;
using List = std::vector<std::uint64_t>;

// A history and the lists that it shows.
struct History {
  std::vector<ClientTransaction> transactions;
  std::deque<List> lists;

  Access read(std::uint64_t key, List list) {
    lists.push_back(std::move(list));
    return {Verb::read, true, key, 0, lists.back()};
  }
  static Access write(std::uint64_t key, std::uint64_t value) { return {Verb::write, true, key, value, {}}; }
  // Committed, and concurrent with all others that were added so.
  std::uint32_t add(std::vector<Access> accesses, Fate fate = Fate::committed) {
    const std::uint64_t end = fate == Fate::committed ? 1'000'000 : ClientTransaction::kOpen;
    return add(transactions.size(), 0, end, std::move(accesses), fate);
  }
  std::uint32_t add(std::uint64_t process, std::uint64_t call, std::uint64_t returned,
                    std::vector<Access> accesses, Fate fate = Fate::committed) {
    transactions.push_back({process, call, returned, fate, std::move(accesses)});
    return static_cast<std::uint32_t>(transactions.size() - 1);
  }
};

TransactionReport check(const History& history, DataType type = DataType::list) {
  const auto report = check_transactions(history.transactions, {.type = type});
  EXPECT_TRUE(report.has_value()) << report.error();
  return report.value_or(TransactionReport{});
}

std::string names_of(const TransactionReport& report) {
  std::string names;
  for (const AnomalyReport& each : report.anomalies)
    names += std::string(names.empty() ? "" : " ") + name_of(each.anomaly);
  return names;
}
std::string names_of(const std::vector<Isolation>& models) {
  std::string names;
  for (const Isolation each : models) names += std::string(names.empty() ? "" : " ") + name_of(each);
  return names;
}

// ---- each anomaly by itself: the smallest history that shows it, and what it leaves standing -----------------------

struct Expected {
  const char* anomalies;
  const char* strongest;
};
void expect(const History& history, const Expected& expected, DataType type = DataType::list) {
  const TransactionReport report = check(history, type);
  EXPECT_EQ(names_of(report), expected.anomalies);
  EXPECT_EQ(names_of(report.strongest()), expected.strongest);
  for (const AnomalyReport& each : report.anomalies) EXPECT_FALSE(each.text.empty());
}

// A detector could fire where nothing is wrong.
TEST(Transactions, NothingIsWrongWithALegalHistory) {
  History h;
  h.add(1, 0, 10, {h.read(1, {}), h.write(1, 5), h.read(1, {5})});
  h.add(2, 5, 20, {h.write(1, 6), h.write(2, 1)});
  h.add(1, 21, 30, {h.read(1, {5, 6}), h.read(2, {1}), h.write(2, 2), h.read(2, {1, 2})});
  h.add(3, 0, 40, {h.read(1, {5}), h.read(2, {})});
  expect(h, {"", "strict-serializable"});
  EXPECT_EQ(check(h).counted, 4u);
  EXPECT_GT(check(h).dependencies, 4u);
  expect(History{}, {"", "strict-serializable"});
}

TEST(Transactions, G0) {
  // Two transactions could write between each other's writes.
  History h;
  h.add({h.write(1, 1), h.write(2, 1)});
  h.add({h.write(1, 2), h.write(2, 2)});
  h.add({h.read(1, {1, 2})});
  h.add({h.read(2, {2, 1})});
  expect(h, {"G0", ""});
}

TEST(Transactions, G1a) {
  // A write that never happened could be read.
  History h;
  h.add({h.write(1, 1)}, Fate::aborted);
  h.add({h.read(1, {1})});
  expect(h, {"G1a", "read-uncommitted"});
}

TEST(Transactions, DirtyUpdate) {
  // Or built upon.
  History h;
  h.add({h.write(1, 1)}, Fate::aborted);
  h.add({h.write(1, 2)});
  h.add({h.read(1, {1, 2})});
  expect(h, {"G1a dirty-update", "read-uncommitted"});
}

TEST(Transactions, G1b) {
  // Half of a transaction could be read.
  History h;
  h.add({h.write(1, 1), h.write(1, 2)});
  h.add({h.read(1, {1})});
  EXPECT_TRUE(check(h).violates(Isolation::read_committed));
  EXPECT_FALSE(check(h).violates(Isolation::read_uncommitted));
  EXPECT_EQ(check(h).anomalies.front().anomaly, Anomaly::g1b);
}

TEST(Transactions, G1c) {
  // Two transactions could read from each other.
  History h;
  h.add({h.write(1, 1), h.read(2, {1})});
  h.add({h.write(2, 1), h.read(1, {1})});
  expect(h, {"G1c", "read-uncommitted"});
}

TEST(Transactions, GSingle) {
  // A reader could see a transaction in one key and miss it in the other.
  History h;
  h.add({h.write(1, 1), h.write(2, 1)});
  h.add({h.read(1, {1}), h.read(2, {})});
  h.add({h.read(2, {1})});
  expect(h, {"G-single", "cursor-stability"});
}

TEST(Transactions, LostUpdate) {
  // Two transactions could write on top of the same version.
  History h;
  h.add({h.read(1, {}), h.write(1, 1)});
  h.add({h.read(1, {}), h.write(1, 2)});
  h.add({h.read(1, {1, 2})});
  expect(h, {"lost-update G-single", "read-committed"});
  // Also if nobody sees what became of it.
  h.transactions.pop_back();
  expect(h, {"lost-update G2-item", "read-committed"});
}

TEST(Transactions, GNonadjacent) {
  // Two readers could see two independent transactions in opposite orders: a long fork.
  History h;
  h.add({h.write(1, 1)});
  h.add({h.write(2, 1)});
  h.add({h.read(1, {1}), h.read(2, {})});
  h.add({h.read(1, {}), h.read(2, {1})});
  expect(h, {"G-nonadjacent", "consistent-view"});
}

TEST(Transactions, G2Item) {
  // Write skew: each could read what the other changes.
  History h;
  h.add({h.write(1, 1), h.read(2, {})});
  h.add({h.write(2, 1), h.read(1, {})});
  h.add({h.read(1, {1}), h.read(2, {1})});
  expect(h, {"G2-item", "strong-snapshot-isolation"});
}

TEST(Transactions, Internal) {
  // A transaction could forget what it did itself.
  History h;
  h.add({h.write(1, 1), h.read(1, {})});
  expect(h, {"internal", "repeatable-read"});
}

TEST(Transactions, FutureRead) {
  // Or foresee it.
  History h;
  h.add({h.read(1, {1}), h.write(1, 1)});
  expect(h, {"future-read", "read-uncommitted"});
}

TEST(Transactions, DuplicateElements) {
  // A transaction could be applied twice.
  History h;
  h.add({h.write(1, 1)});
  h.add({h.read(1, {1, 1})});
  expect(h, {"duplicate-elements", ""});
}

TEST(Transactions, IncompatibleOrder) {
  // Two readers could see two orders of one key.
  History h;
  h.add({h.write(1, 1)});
  h.add({h.write(1, 2)});
  h.add({h.read(1, {1, 2})});
  h.add({h.read(1, {2, 1})});
  EXPECT_EQ(names_of(check(h)), "incompatible-order");
}

TEST(Transactions, GarbageRead) {
  // Something could be read that nobody wrote.
  History h;
  h.add({h.write(1, 1)});
  h.add({h.read(1, {1, 7})});
  expect(h, {"garbage-read", ""});
}

TEST(Transactions, TheOrderOfAProcessCountsForItsSession) {
  // A client could miss its own write.
  History h;
  h.add(1, 0, 10, {h.write(1, 1)});
  h.add(1, 11, 20, {h.read(1, {})});
  expect(h, {"G-single-process", "serializable"});
}

TEST(Transactions, RealTimeCountsForStrictModels) {
  // A client could miss what another was told is done.
  History h;
  h.add(1, 0, 10, {h.write(1, 1)});
  h.add(2, 11, 20, {h.read(1, {})});
  expect(h, {"G-single-realtime", "strong-session-serializable"});
  // The intervals are closed: who is called when the other returns is concurrent with it.
  h.transactions[1].call = 10;
  expect(h, {"", "strict-serializable"});
}

TEST(Transactions, WhatNobodyReadMayNotHaveHappened) {
  // A transaction of unknown outcome could be held to be lost, or to be there only in part.
  History h;
  h.add({h.write(1, 1), h.read(2, {9})}, Fate::unknown);
  h.add(1, 11, 20, {h.read(1, {}), h.read(3, {})});
  expect(h, {"", "strict-serializable"});
  EXPECT_EQ(check(h).counted, 1u);
  // It happens after those who missed it, however late it is seen.
  h.add(2, 21, 30, {h.read(1, {1})});
  EXPECT_EQ(names_of(check(h)), "garbage-read");  // and then its own read must be explained too
  h.transactions[0].accesses[1].known = false;
  expect(h, {"", "strict-serializable"});
  EXPECT_EQ(check(h).counted, 3u);
}

TEST(Transactions, WhatIsSeenInPartHappenedAsAWhole) {
  // An unknown transaction that was read could be allowed to have done only half of its writes.
  History h;
  h.add(1, 0, ClientTransaction::kOpen, {h.write(1, 1), h.write(2, 1)}, Fate::unknown);
  h.add(2, 11, 20, {h.read(1, {1}), h.read(2, {})});
  EXPECT_TRUE(check(h).violates(Isolation::serializable));
}

TEST(Transactions, ReadersAndWritersOfTheEndOfAListAreKeptApart) {
  // Appends that nobody read could seem to depend on themselves, if they also read or wrote what stands before.
  History h;
  h.add({h.write(1, 1)});
  h.add({h.read(1, {1})});
  h.add({h.read(1, {1})});
  h.add({h.read(1, {1}), h.write(1, 2)});
  h.add({h.write(1, 3)});
  h.add({h.write(1, 4), h.write(1, 5)});
  expect(h, {"", "strict-serializable"});
}

TEST(Transactions, RefusesWhatIsNoHistory) {
  // A file that somebody wrote could make the checker say anything.
  History twice;
  twice.add({twice.write(1, 1)});
  twice.add({twice.write(1, 1)}, Fate::aborted);
  EXPECT_FALSE(check_transactions(twice.transactions).has_value());
  History backwards;
  backwards.add(1, 5, 4, {});
  EXPECT_FALSE(check_transactions(backwards.transactions).has_value());
  History endless;
  endless.add(1, 5, ClientTransaction::kOpen, {});
  EXPECT_FALSE(check_transactions(endless.transactions).has_value());
  History broad;
  broad.add({broad.read(1, {1, 2})});
  EXPECT_FALSE(check_transactions(broad.transactions, {.type = DataType::reg}).has_value());
}

TEST(Transactions, RegistersAreOrderedByWhatIsKnown) {
  // Registers show no order by themselves: it could be forgotten, or invented.
  History blind;
  blind.add({blind.write(1, 1)});
  blind.add({blind.write(1, 2)});
  blind.add({blind.read(1, {1})});
  blind.add({blind.read(1, {2})});
  expect(blind, {"", "strict-serializable"}, DataType::reg);
  History skew;
  skew.add({skew.read(1, {}), skew.write(2, 1)});
  skew.add({skew.read(2, {}), skew.write(1, 1)});
  expect(skew, {"G2-item", "strong-snapshot-isolation"}, DataType::reg);
  History lost;
  lost.add({lost.write(1, 1)});
  lost.add({lost.read(1, {1}), lost.write(1, 2)});
  lost.add({lost.read(1, {1}), lost.write(1, 3)});
  expect(lost, {"lost-update G2-item", "read-committed"}, DataType::reg);
  History stale;
  stale.add(1, 0, 1, {stale.write(1, 1)});
  stale.add(2, 2, 3, {stale.write(1, 2)});
  stale.add(3, 4, 5, {stale.read(1, {1})});
  expect(stale, {"G0-realtime G-single-realtime", "strong-session-serializable"}, DataType::reg);
  History intermediate;
  intermediate.add({intermediate.write(1, 1), intermediate.write(1, 2)});
  intermediate.add({intermediate.read(1, {1})});
  expect(intermediate, {"G1b", "read-uncommitted"}, DataType::reg);
}

TEST(Transactions, ABudgetNeverHidesAViolation) {
  // A search that was ended could pass for one that found nothing.
  History h;
  h.add({h.write(1, 1), h.write(2, 1)});
  h.add({h.read(1, {1}), h.read(2, {})});
  const auto report = check_transactions(h.transactions, {.steps_max = 0});
  ASSERT_TRUE(report.has_value());
  EXPECT_TRUE(report->violates(Isolation::serializable));
  EXPECT_TRUE(report->violates(Isolation::snapshot_isolation));
  EXPECT_FALSE(report->violates(Isolation::consistent_view));
  EXPECT_FALSE(report->satisfies(Isolation::consistent_view));
}

TEST(Transactions, ACycleIsExplained) {
  // A verdict without its reason would have to be believed.
  History h;
  h.add(7, 10, 20, {h.write(1, 1), h.write(2, 1)});
  h.add(8, 15, 25, {h.read(1, {1}), h.read(2, {})});
  const TransactionReport report = check(h);
  const AnomalyReport* worst = report.worst(Isolation::serializable);
  ASSERT_NE(worst, nullptr);
  EXPECT_EQ(worst->text,
            "T1 before T0: T1 read key 2 as it was at first and not what T0 wrote, 1; "
            "T0 before T1: T0 wrote 1 to key 1, and T1 read it; "
            "T1 (process 8, from 15 to 25): read key 1 as [1], read key 2 as []; "
            "T0 (process 7, from 10 to 20): wrote 1 to key 1, wrote 1 to key 2");
}

// ---- the reference: every order is tried ---------------------------------------------------------------------------

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t below(std::uint64_t bound) { return io::keyed_hash(seed_, {++count_}) % bound; }
  bool chance(std::uint64_t percent) { return below(100) < percent; }

 private:
  std::uint64_t seed_;
  std::uint64_t count_ = 0;
};

using State = std::map<std::uint64_t, List>;

void write_to(State& state, DataType type, const Access& access) {
  List& value = state[access.key];
  if (type == DataType::reg) value.clear();
  value.push_back(access.value);
}

// Could the transaction have seen what it saw, from this state on? Leaves the state as it made it.
bool execute(State& state, DataType type, const ClientTransaction& transaction) {
  for (const Access& access : transaction.accesses) {
    if (access.verb == Verb::write) {
      write_to(state, type, access);
    } else if (access.known) {
      const List& value = state[access.key];
      if (!std::equal(value.begin(), value.end(), access.seen.begin(), access.seen.end())) return false;
    }
  }
  return true;
}

// Snapshots and commits so far.
struct Snapshots {
  State state;
  std::map<std::uint64_t, std::uint64_t> changed;  // when, by key
  std::uint64_t time = 0;
  std::map<std::size_t, std::uint64_t> begun;  // when
  std::uint64_t ended = 0;
};

struct Judge {
  const std::vector<ClientTransaction>& history;
  DataType type;
  Level level;

  bool precedes(std::size_t a, std::size_t b) const {
    const ClientTransaction& first = history[a];
    const ClientTransaction& second = history[b];
    if (level == Level::plain || first.fate != Fate::committed || first.returned >= second.call) return false;
    return level == Level::realtime || first.process == second.process;
  }
  // All that must come before it came, if it takes part at all.
  bool may_begin(std::size_t each, std::uint64_t ended) const {
    if (history[each].fate == Fate::aborted) return false;
    for (std::size_t other = 0; other < history.size(); ++other) {
      if ((ended >> other & 1) == 0 && precedes(other, each)) return false;
    }
    return true;
  }
  bool complete(std::uint64_t ended) const {
    for (std::size_t each = 0; each < history.size(); ++each) {
      if (history[each].fate == Fate::committed && (ended >> each & 1) == 0) return false;
    }
    return true;
  }

  bool serializable(const State& state = {}, std::uint64_t ended = 0) const {
    if (complete(ended)) return true;
    for (std::size_t each = 0; each < history.size(); ++each) {
      if ((ended >> each & 1) != 0 || !may_begin(each, ended)) continue;
      State next = state;
      if (execute(next, type, history[each]) && serializable(next, ended | std::uint64_t{1} << each))
        return true;
    }
    return false;
  }

  // Snapshots and commits in every order; the first committer of a key wins.
  bool snapshot_isolated(const Snapshots& now = {}) const {
    if (complete(now.ended)) return true;
    for (std::size_t each = 0; each < history.size(); ++each) {
      if ((now.ended >> each & 1) != 0) continue;
      Snapshots next = now;
      ++next.time;
      const auto begun = now.begun.find(each);
      if (begun == now.begun.end()) {
        State seen = now.state;
        if (!may_begin(each, now.ended) || !execute(seen, type, history[each])) continue;
        next.begun[each] = next.time;
      } else if (!commit(next, each, begun->second)) {
        continue;
      }
      if (snapshot_isolated(next)) return true;
    }
    return false;
  }
  bool commit(Snapshots& next, std::size_t each, std::uint64_t begun) const {
    for (const Access& access : history[each].accesses) {
      if (access.verb != Verb::write) continue;
      const auto changed = next.changed.find(access.key);
      if (changed != next.changed.end() && changed->second > begun && changed->second != next.time)
        return false;
      next.changed[access.key] = next.time;
      write_to(next.state, type, access);
    }
    next.begun.erase(each);
    next.ended |= std::uint64_t{1} << each;
    return true;
  }
};

// ---- random histories: transactions that run more or less atomically on a true state --------------------------------

struct Plan {
  std::uint64_t transactions = 5;
  std::uint64_t processes = 3;
  std::uint64_t keys = 2;
  std::uint64_t accesses_max = 3;
  std::uint64_t atomic_percent = 50;  // of transactions, that happen at one instant
  std::uint64_t aborts_percent = 10;
  std::uint64_t unknown_percent = 20;
  std::uint64_t dirt_percent = 0;  // of aborted ones, that leave their writes
  std::uint64_t lies = 0;          // reads that show less than they should
  bool reads_all = false;          // in the end
};

class Generator {
 public:
  Generator(Draw& draw, DataType type, const Plan& plan) : draw_(draw), type_(type), plan_(plan) {}

  History run() {
    std::vector<Process> processes(plan_.processes);
    while (history_.transactions.size() < plan_.transactions || running_ > 0) {
      step(processes, draw_.below(processes.size()));
    }
    for (std::uint64_t lie = 0; lie < plan_.lies; ++lie) tell_lie();
    if (plan_.reads_all) {
      std::vector<Access> all;
      for (const auto& [key, list] : truth_) all.push_back(history_.read(key, list));
      history_.add(1'000, time_ + 1, time_ + 2, std::move(all));
    }
    return std::move(history_);
  }

 private:
  struct Process {
    bool busy = false;
    std::size_t transaction = 0;
    std::size_t next = 0;  // access
    bool atomic = false;
    bool idle = false;  // aborted, or unknown and not happening
    std::uint64_t life = 0;
  };

  void step(std::vector<Process>& processes, std::size_t number) {
    Process& process = processes[number];
    if (!process.busy) {
      if (history_.transactions.size() == plan_.transactions) return;
      return begin(process, number);
    }
    ClientTransaction& transaction = history_.transactions[process.transaction];
    if (process.next < transaction.accesses.size()) {
      do perform(process, transaction.accesses[process.next++]);
      while (process.atomic && process.next < transaction.accesses.size());
      return;
    }
    if (transaction.fate == Fate::committed) transaction.returned = ++time_;
    if (transaction.fate == Fate::unknown) ++process.life;  // its client is another one now
    process.busy = false;
    --running_;
  }
  void begin(Process& process, std::size_t number) {
    ClientTransaction transaction;
    transaction.process = number + 100 * process.life;
    transaction.call = draw_.chance(80) ? ++time_ : time_;
    transaction.fate = draw_.chance(plan_.aborts_percent)    ? Fate::aborted
                       : draw_.chance(plan_.unknown_percent) ? Fate::unknown
                                                             : Fate::committed;
    for (std::uint64_t each = draw_.below(plan_.accesses_max) + 1; each > 0; --each) {
      const std::uint64_t key = draw_.below(plan_.keys);
      const bool writes = draw_.chance(50);
      transaction.accesses.push_back(writes ? History::write(key, ++values_)
                                            : Access{Verb::read, true, key, 0, {}});
    }
    process.transaction = history_.transactions.size();
    process.busy = true;
    process.next = 0;
    process.atomic = draw_.chance(plan_.atomic_percent);
    process.idle = transaction.fate == Fate::aborted   ? !draw_.chance(plan_.dirt_percent)
                   : transaction.fate == Fate::unknown ? draw_.chance(50)
                                                       : false;
    history_.transactions.push_back(std::move(transaction));
    ++running_;
  }
  void perform(const Process& process, Access& access) {
    if (access.verb == Verb::read) {
      const Access shown = history_.read(access.key, truth_[access.key]);
      access.seen = shown.seen;
      access.known = !draw_.chance(5);
    } else if (!process.idle) {
      write_to(truth_, type_, access);
    }
  }
  void tell_lie() {
    if (history_.transactions.empty()) return;
    ClientTransaction& transaction = history_.transactions[draw_.below(history_.transactions.size())];
    Access& access = transaction.accesses[draw_.below(transaction.accesses.size())];
    if (access.verb == Verb::read && !access.seen.empty()) {
      access.seen = access.seen.first(draw_.below(access.seen.size()));
    }
  }

  Draw& draw_;
  DataType type_;
  Plan plan_;
  History history_;
  State truth_;
  std::uint64_t time_ = 0;
  std::uint64_t values_ = 0;
  std::size_t running_ = 0;
};

Plan draw_plan(Draw& draw, std::uint64_t transactions_max) {
  Plan plan;
  plan.transactions = 3 + draw.below(transactions_max - 2);
  plan.processes = 2 + draw.below(4);
  plan.keys = 1 + draw.below(3);
  plan.accesses_max = 2 + draw.below(3);
  plan.atomic_percent = draw.chance(25) ? 100 : draw.below(80);
  plan.dirt_percent = draw.chance(20) ? 30 : 0;
  plan.lies = draw.chance(50) ? draw.below(3) : 0;
  plan.reads_all = draw.chance(50);
  return plan;
}

struct Tally {
  std::uint64_t legal = 0;
  std::uint64_t illegal = 0;
  std::uint64_t missed = 0;  // illegal, and not found out

  void count(bool is_legal, bool violated) {
    ++(is_legal ? legal : illegal);
    if (!is_legal && !violated) ++missed;
  }
  // A comparison on histories of one kind only would prove little.
  void expect_both_kinds(std::uint64_t histories) const {
    EXPECT_GT(legal * 4, histories);
    EXPECT_GT(illegal * 8, histories);
  }
};

std::string text_of(const History& history, const TransactionReport& report) {
  std::string text = names_of(report);
  for (const AnomalyReport& each : report.anomalies) text += "\n  " + each.text;
  for (std::size_t i = 0; i < history.transactions.size(); ++i) {
    const ClientTransaction& t = history.transactions[i];
    text += "\n  T" + std::to_string(i) + " process " + std::to_string(t.process) + " " +
            std::to_string(t.call) + ".." +
            (t.fate == Fate::committed ? std::to_string(t.returned)
             : t.fate == Fate::aborted ? "aborted"
                                       : "?");
    for (const Access& a : t.accesses) {
      text += a.verb == Verb::write ? " w" : a.known ? " r" : " r?";
      text += std::to_string(a.key) + "=";
      if (a.verb == Verb::write) text += std::to_string(a.value);
      for (const std::uint64_t value : a.seen) text += std::to_string(value) + ",";
    }
  }
  return text;
}

constexpr Isolation kSerializable[] = {Isolation::serializable, Isolation::strong_session_serializable,
                                       Isolation::strict_serializable};
constexpr Isolation kSnapshot[] = {Isolation::snapshot_isolation,
                                   Isolation::strong_session_snapshot_isolation,
                                   Isolation::strong_snapshot_isolation};

TEST(TransactionsBruteForce, ListsAreJudgedExactly) {
  // The checker could miss an anomaly, or see one in a history that some order explains: at each level.
  Tally tally[3];
  for (std::uint64_t seed = 0; seed < 40'000 && !HasFailure(); ++seed) {
    Draw draw(seed);
    const History history = Generator(draw, DataType::list, draw_plan(draw, 6)).run();
    const TransactionReport report = check(history);
    for (const Level level : {Level::plain, Level::process, Level::realtime}) {
      const auto each = static_cast<std::size_t>(level);
      const bool legal = Judge{history.transactions, DataType::list, level}.serializable();
      EXPECT_EQ(!report.violates(kSerializable[each]), legal)
          << name_of(kSerializable[each]) << " seed " << seed << ": " << text_of(history, report);
      tally[each].count(legal, report.violates(kSerializable[each]));
    }
    if (report.satisfies(Isolation::strict_serializable)) {
      const auto wrong = check_serial_order(history.transactions, report.order);
      EXPECT_EQ(wrong, std::nullopt) << "seed " << seed << ": " << *wrong;
    }
  }
  for (const Tally& each : tally) each.expect_both_kinds(40'000);
}

TEST(TransactionsBruteForce, SnapshotIsolationOfLists) {
  // Read skew and long forks could be taken for write skew, which snapshots allow. Two writers of a key whose order nobody
  // saw conflict under snapshots in either order: only then may an anomaly be missed.
  Tally tally[3];
  for (std::uint64_t seed = 0; seed < 12'000 && !HasFailure(); ++seed) {
    Draw draw(seed ^ 0x51);
    const Plan plan = draw_plan(draw, 4);
    const History history = Generator(draw, DataType::list, plan).run();
    const TransactionReport report = check(history);
    for (const Level level : {Level::plain, Level::process, Level::realtime}) {
      const auto each = static_cast<std::size_t>(level);
      const bool legal = Judge{history.transactions, DataType::list, level}.snapshot_isolated();
      const bool violated = report.violates(kSnapshot[each]);
      EXPECT_TRUE(violated != legal || (!violated && !plan.reads_all))
          << name_of(kSnapshot[each]) << " seed " << seed << ": " << text_of(history, report);
      tally[each].count(legal, violated);
    }
  }
  for (const Tally& each : tally) each.expect_both_kinds(12'000);
}

TEST(TransactionsBruteForce, RegistersAreNeverWronglyAccused) {
  // An order of versions could be inferred that need not be; what cannot be inferred is allowed to be missed.
  Tally tally[3];
  for (std::uint64_t seed = 0; seed < 40'000 && !HasFailure(); ++seed) {
    Draw draw(seed ^ 0x4e6);
    const History history = Generator(draw, DataType::reg, draw_plan(draw, 6)).run();
    const TransactionReport report = check(history, DataType::reg);
    for (const Level level : {Level::plain, Level::process, Level::realtime}) {
      const auto each = static_cast<std::size_t>(level);
      const bool legal = Judge{history.transactions, DataType::reg, level}.serializable();
      if (legal) {
        EXPECT_FALSE(report.violates(kSerializable[each]))
            << name_of(kSerializable[each]) << " seed " << seed << ": " << text_of(history, report);
      }
      tally[each].count(legal, report.violates(kSerializable[each]));
    }
  }
  for (const Tally& each : tally) {
    each.expect_both_kinds(40'000);
    EXPECT_LT(each.missed * 10, each.illegal);
  }
}

TEST(TransactionsBruteForce, AssumptionsAccuseOnlyWhoBreaksThem) {
  // What is assumed of the order of versions could be held against a history that keeps to it; and what is not assumed could
  // be used all the same.
  std::uint64_t kept = 0, more = 0, fewer = 0;
  for (std::uint64_t seed = 0; seed < 20'000 && !HasFailure(); ++seed) {
    Draw draw(seed ^ 0xa55);
    const History history = Generator(draw, DataType::reg, draw_plan(draw, 5)).run();
    const auto found = [&](VersionOrder versions, bool writes_follow_reads) {
      const auto report = check_transactions(
          history.transactions,
          {.type = DataType::reg, .writes_follow_reads = writes_follow_reads, .versions = versions});
      return report.has_value() ? report->found : Anomalies{0};
    };
    const Anomalies plain = found(VersionOrder::unknown, true);
    const Anomalies process = found(VersionOrder::process, true);
    const Anomalies linearizable = found(VersionOrder::linearizable, true);
    const Anomalies least = found(VersionOrder::unknown, false);
    // Whoever is strictly serializable keeps to every assumption.
    if (Judge{history.transactions, DataType::reg, Level::realtime}.serializable()) {
      ++kept;
      EXPECT_EQ(plain | process | linearizable | least, 0u) << "seed " << seed;
    }
    if (Judge{history.transactions, DataType::reg, Level::process}.serializable()) {
      EXPECT_EQ(process & forbidden_by(Isolation::serializable), 0u) << "seed " << seed;
    }
    EXPECT_TRUE(plain != 0 || least == 0) << "seed " << seed;
    EXPECT_TRUE(linearizable != 0 || plain == 0) << "seed " << seed;
    const Anomalies serializable = forbidden_by(Isolation::serializable);
    more += (linearizable & serializable) != 0 && (plain & serializable) == 0 ? 1 : 0;
    fewer += (least & serializable) == 0 && (plain & serializable) != 0 ? 1 : 0;
  }
  // Each of them must matter somewhere.
  EXPECT_GT(kept, 1'000u);
  EXPECT_GT(more, 100u);
  EXPECT_GT(fewer, 0u);
}

// ---- long histories -------------------------------------------------------------------------------------------------

// Serial, in real time too: what one client after the other does to lists that are left when they are long.
History long_history(std::uint64_t transactions, std::uint64_t concurrency, std::uint64_t seed) {
  Draw draw(seed);
  History history;
  State truth;
  std::uint64_t values = 0;
  std::vector<std::uint64_t> keys(16);
  for (std::uint64_t key = 0; key < keys.size(); ++key) keys[key] = key;
  for (std::uint64_t each = 0; each < transactions; ++each) {
    std::vector<Access> accesses;
    for (std::uint64_t count = 1 + draw.below(4); count > 0; --count) {
      std::uint64_t& key = keys[draw.below(keys.size())];
      if (truth[key].size() >= 64) key += keys.size();
      if (draw.chance(50)) {
        accesses.push_back(history.read(key, truth[key]));
      } else {
        accesses.push_back(History::write(key, ++values));
        truth[key].push_back(values);
      }
    }
    const std::uint64_t at = each * 10 + 10 * concurrency;
    history.add(each % concurrency, at - draw.below(5 * concurrency), at + draw.below(5 * concurrency),
                std::move(accesses));
  }
  return history;
}

// A cost that grows with the square of the history would make a long run impossible to judge.
TEST(Transactions, AHundredThousandAreJudged) {
  const History history = long_history(100'000, 20, 1);
  const TransactionReport report = check(history);
  EXPECT_EQ(names_of(report), "");
  EXPECT_EQ(report.counted, 100'000u);
  EXPECT_GT(report.dependencies, 200'000u);
  EXPECT_EQ(names_of(report.strongest()), "strict-serializable");
  EXPECT_EQ(check_serial_order(history.transactions, report.order), std::nullopt);
}

TEST(Transactions, AWrongOrderIsRefused) {
  // A proof that accepts everything proves nothing.
  History h;
  h.add(1, 0, 10, {h.write(1, 1)});
  h.add(2, 5, 20, {h.read(1, {1})});
  h.add(3, 15, 30, {h.read(1, {1})});
  h.add(4, 0, 30, {h.write(1, 2)}, Fate::aborted);
  const auto wrong = [&h](std::vector<std::uint32_t> order) {
    return check_serial_order(h.transactions, order).has_value();
  };
  EXPECT_FALSE(wrong({0, 1, 2}));
  EXPECT_FALSE(wrong({0, 2, 1}));
  EXPECT_TRUE(wrong({1, 0, 2}));     // saw something else
  EXPECT_TRUE(wrong({0, 1}));        // one is missing
  EXPECT_TRUE(wrong({0, 1, 2, 2}));  // twice
  EXPECT_TRUE(wrong({0, 1, 2, 3}));  // aborted
  EXPECT_TRUE(wrong({0, 1, 2, 9}));  // from elsewhere
  h.transactions[0].accesses.clear();
  h.transactions[1].accesses.clear();
  h.transactions[2].accesses.clear();
  EXPECT_FALSE(wrong({1, 0, 2}));
  EXPECT_TRUE(wrong({2, 0, 1}));  // real time
}

// Each mutation of a legal history must be found, as what it is, however long the history.
TEST(Transactions, OneLieAmongTenThousandIsFound) {
  const History legal = long_history(10'000, 10, 2);
  std::uint64_t found = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Draw draw(seed);
    History lying = legal;
    ClientTransaction& liar = lying.transactions[draw.below(lying.transactions.size())];
    Access& access = liar.accesses[draw.below(liar.accesses.size())];
    if (access.verb != Verb::read || access.seen.empty()) continue;
    const bool repeated = std::count_if(liar.accesses.begin(), liar.accesses.end(),
                                        [&](const Access& each) { return each.key == access.key; }) > 1;
    access.seen = access.seen.first(access.seen.size() - 1);
    const TransactionReport report = check(lying);
    if (repeated) {
      EXPECT_NE(report.found, 0u) << seed;
      continue;
    }
    // Its real time is some 200 transactions wide: most reads are found out.
    found += report.violates(Isolation::strict_serializable) ? 1 : 0;
    EXPECT_FALSE(report.violates(Isolation::read_uncommitted)) << names_of(report);
  }
  EXPECT_GT(found, 30u);
}

}  // namespace
}  // namespace reel::model
