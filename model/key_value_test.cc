#include "model/key_value.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "io/ports/checksum.h"
#include "model/linearizability.h"
#include "model/witness.h"

namespace reel::model {
namespace {

using History = std::vector<Operation>;

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t below(std::uint64_t bound) { return io::keyed_hash(seed_, {++count_}) % bound; }

 private:
  std::uint64_t seed_;
  std::uint64_t count_ = 0;
};

// ---- the reference: real strings, every order, nothing pruned

struct Texts {
  KeyValueStrings strings;
  std::vector<std::string> texts;
  std::uint64_t add(std::string text) {
    texts.push_back(std::move(text));
    return strings.add(texts.back());
  }
};

using Store = std::map<std::uint64_t, std::string>;

bool apply(const Texts& texts, Store& store, const Operation& op) {
  std::string& content = store[op.input.second];
  switch (op.verb) {
    case key_value_verb::kPut: content = texts.texts[op.input.first]; return true;
    case key_value_verb::kAppend: content += texts.texts[op.input.first]; return true;
    default: return op.open() || content == texts.texts[op.output.first];
  }
}

bool explainable(const Texts& texts, const History& history, std::uint64_t until, std::uint64_t placed,
                 const Store& store) {
  bool complete = true;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if ((placed >> i & 1) == 0 && history[i].returned <= until) complete = false;
  }
  if (complete) return true;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if ((placed >> i & 1) != 0 || history[i].call > until) continue;
    const bool minimal = std::none_of(history.begin(), history.end(), [&](const Operation& other) {
      const auto at = static_cast<std::size_t>(&other - history.data());
      return (placed >> at & 1) == 0 && other.returned < history[i].call;
    });
    Store next = store;
    if (minimal && apply(texts, next, history[i]) &&
        explainable(texts, history, until, placed | std::uint64_t{1} << i, next)) {
      return true;
    }
  }
  return false;
}

// The first return that cannot be explained; kNobody if all can.
std::uint32_t brute_force(const Texts& texts, const History& history) {
  std::vector<std::uint32_t> returns;
  for (std::uint32_t i = 0; i < history.size(); ++i) {
    if (!history[i].open()) returns.push_back(i);
  }
  std::sort(returns.begin(), returns.end(),
            [&](std::uint32_t a, std::uint32_t b) { return history[a].returned < history[b].returned; });
  for (const std::uint32_t at : returns) {
    if (!explainable(texts, history, history[at].returned, 0, {})) return at;
  }
  return CheckResult::kNobody;
}

// ---- random histories of a true store, with crashes and lies

struct Shape {
  std::uint64_t keys = 1;
  bool puts = true;
};

// What was called, until it returns.
struct Running {
  std::size_t at;
  bool done;
};

History generate(Draw& draw, Texts& texts, const Shape& shape) {
  History history;
  Store truth;
  std::vector<Running> running;
  std::uint64_t time = 0;
  const std::uint64_t total = 4 + draw.below(4);
  while (history.size() < total || !running.empty()) {
    if (history.size() < total && (running.empty() || (running.size() < 4 && draw.below(2) == 0))) {
      Operation op;
      op.process = history.size();
      op.call = ++time;
      op.verb = draw.below(3);
      if (op.verb == key_value_verb::kPut && !shape.puts) op.verb = key_value_verb::kAppend;
      op.input.second = draw.below(shape.keys);
      // Short ones that are often equal, and that concatenate to the same: "a" "aa".
      if (op.verb != key_value_verb::kGet)
        op.input.first = texts.add(std::string(1 + draw.below(2), 'a') + (draw.below(2) == 0 ? "b" : ""));
      running.push_back({history.size(), false});
      history.push_back(op);
      continue;
    }
    const std::size_t which = draw.below(running.size());
    Operation& op = history[running[which].at];
    if (!running[which].done) {
      op.returned = 0;  // so that it is not open
      std::string& content = truth[op.input.second];
      if (op.verb == key_value_verb::kGet) {
        op.output.first = texts.add(content);
      } else {
        (void)apply(texts, truth, op);
      }
      op.returned = Operation::kOpen;
      running[which].done = true;
      if (draw.below(8) != 0) continue;  // else it crashes now
    } else {
      op.returned = ++time;
      if (op.verb == key_value_verb::kGet && draw.below(3) == 0)
        op.output.first = draw.below(texts.texts.size());
    }
    running.erase(running.begin() + static_cast<std::ptrdiff_t>(which));
  }
  return history;
}

struct Tally {
  std::uint64_t legal = 0;
  std::uint64_t open = 0;
};

void compare(std::uint64_t seed, const Shape& shape, bool evidence, Tally& tally) {
  Draw draw(seed);
  Texts texts;
  (void)texts.add("");
  History history = generate(draw, texts, shape);
  KeyValueModel store(texts.strings, 0, shape.keys);
  if (evidence) {
    find_evidence(history);
    for (std::uint64_t key = 0; key < shape.keys; ++key) {
      std::vector<std::string_view> got;
      for (const Operation& op : history) {
        if (op.verb != key_value_verb::kGet || op.open() || op.input.second != key) continue;
        got.push_back(texts.texts[op.output.first]);
      }
      store.observe(key, got);
    }
  }
  const std::uint32_t offender = brute_force(texts, history);
  const CheckResult result = check_linearizability(store.model(), history);
  const bool legal = offender == CheckResult::kNobody;
  ASSERT_EQ(result.verdict, legal ? Verdict::ok : Verdict::illegal) << "seed " << seed;
  // With evidence it may be found out earlier.
  if (!evidence) {
    ASSERT_EQ(result.offender, offender) << "seed " << seed;
  }
  tally.legal += legal ? 1 : 0;
  for (const Operation& op : history) tally.open += op.open() ? 1 : 0;
  if (!legal) return;
  KeyValueModel plain(texts.strings, 0, shape.keys);
  const auto complaint = check_witness(plain.model(), history, result.order);
  ASSERT_FALSE(complaint) << "seed " << seed << ": " << *complaint;
}

void compare_many(const Shape& shape, bool evidence, std::uint64_t histories) {
  Tally tally;
  for (std::uint64_t seed = 0; seed < histories && !testing::Test::HasFatalFailure(); ++seed) {
    compare(seed, shape, evidence, tally);
  }
  EXPECT_GT(tally.legal * 5, histories);
  EXPECT_LT(tally.legal * 20, histories * 19);
  EXPECT_GT(tally.open * 4, histories);
}

TEST(KeyValueBruteForce, OneKey) {
  // Two strings that were put together differently could be held apart, or two different ones be taken for one.
  compare_many({.keys = 1, .puts = true}, false, 15'000);
}

TEST(KeyValueBruteForce, SeveralKeysAsOneObject) {
  // What commutes is placed late: an order could be missed in which a key's operation is needed early.
  compare_many({.keys = 3, .puts = true}, false, 15'000);
}

TEST(KeyValueBruteForce, ManyKeys) {
  // Keys that share a bit of `touches`, or a node of the tree, could be confused.
  compare_many({.keys = 130, .puts = true}, false, 3'000);
}

TEST(KeyValueBruteForce, EvidenceChangesNoVerdict) {
  // What was got later could exclude an order that is right, or two contents be held to be one that somebody tells apart.
  compare_many({.keys = 1, .puts = false}, true, 15'000);
  compare_many({.keys = 1, .puts = true}, true, 30'000);
  compare_many({.keys = 2, .puts = true}, true, 10'000);
}

TEST(KeyValue, FingerprintsAreOfTheContent) {
  // The length of a part could leak into the fingerprint of the whole, or a zero byte be lost.
  KeyValueStrings strings;
  const std::string zeros(3, '\0');
  const std::uint64_t empty = strings.add("");
  const std::uint64_t a = strings.add("a");
  const std::uint64_t bc = strings.add("bc");
  const std::uint64_t abc = strings.add("abc");
  const std::uint64_t zero = strings.add(zeros);
  EXPECT_EQ(strings.append(strings.fingerprint(a), bc), strings.fingerprint(abc));
  EXPECT_EQ(strings.append(strings.fingerprint(abc), empty), strings.fingerprint(abc));
  EXPECT_NE(strings.fingerprint(zero), strings.fingerprint(empty));
  EXPECT_NE(strings.append(strings.fingerprint(bc), a), strings.fingerprint(abc));
}

TEST(KeyValue, EvidenceIsWhatNoPutCanComeBefore) {
  // A get that a put may precede tells nothing about what was there before; one that none can precede tells everything.
  Texts texts;
  const std::uint64_t a = texts.add("a");
  const std::uint64_t ab = texts.add("ab");
  const auto make = [](std::uint64_t verb, std::uint64_t string, std::uint64_t call, std::uint64_t returned) {
    Operation op;
    op.verb = verb;
    op.input = {string, 0};
    op.call = call;
    op.returned = returned;
    return op;
  };
  Operation get = make(key_value_verb::kGet, 0, 20, 30);
  get.output.first = ab;
  History history{make(key_value_verb::kPut, a, 0, 10), make(key_value_verb::kAppend, a, 12, 14), get};
  find_evidence(history);
  EXPECT_EQ(history[0].output.first, ab + 1);
  EXPECT_EQ(history[1].output.first, ab + 1);
  // Concurrent with the get, or with the first put: it may stand between.
  history.push_back(make(key_value_verb::kPut, a, 30, 40));
  find_evidence(history);
  EXPECT_EQ(history[0].output.first, 0u);
  EXPECT_EQ(history[1].output.first, 0u);
  history.back() = make(key_value_verb::kPut, a, 0, 12);
  find_evidence(history);
  EXPECT_EQ(history[0].output.first, 0u);
  EXPECT_EQ(history[1].output.first, 0u);
  history.back() = make(key_value_verb::kPut, a, 0, 11);
  find_evidence(history);
  EXPECT_EQ(history[1].output.first, ab + 1);
}

TEST(KeyValue, WhatIsTooLongIsJudgedWithoutEvidence) {
  // A history of large values could take fifty times its size in memory, or lose its verdict where evidence ends.
  Texts texts;
  (void)texts.add("");
  const std::uint64_t large = texts.add(std::string(KeyValueModel::kBeginningsMax + 10, 'a'));
  const std::uint64_t other = texts.add("b");
  for (const std::uint64_t got : {large, other}) {
    Operation put, get;
    put.input.first = large;
    put.returned = 1;
    get.verb = key_value_verb::kGet;
    get.call = 2;
    get.returned = 3;
    get.output.first = got;
    History history{put, get};
    find_evidence(history);
    KeyValueModel store(texts.strings, 0, 1);
    store.observe(0, {texts.texts[large], texts.texts[got]});
    EXPECT_EQ(check_linearizability(store.model(), history).verdict,
              got == large ? Verdict::ok : Verdict::illegal);
  }
}

TEST(Interned, NumbersStayWhenItGrows) {
  // A number that is given anew after growth would make equal states different, for ever.
  Interned<std::uint64_t> interned;
  for (std::uint64_t each = 0; each < 5'000; ++each) {
    // Hashes that collide in every size of the table.
    ASSERT_EQ(interned.number_of(each * 7, each % 50), each);
  }
  for (std::uint64_t each = 0; each < 5'000; ++each) {
    ASSERT_EQ(interned.number_of(each * 7, each % 50), each);
    ASSERT_EQ(interned.at(static_cast<std::uint32_t>(each)), each * 7);
  }
}

}  // namespace
}  // namespace reel::model
