#include "node/journal/verdict.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace reel::journal {
namespace {

struct Rule {
  const char* text;
  bool (*applies)(const Evidence&);
  Verdict verdict;
};

bool acknowledged(const Evidence& e) { return !e.superseded && (e.at_or_below_mark || e.committed); }
bool in_doubt(const Evidence& e) { return !e.superseded && !e.at_or_below_mark && !e.committed && e.chained; }
bool known(const Evidence& e) { return e.identity == IdentityState::valid; }
bool keepable(const Evidence& e) { return e.body == BodyState::valid && e.in_last_batch; }

// The corrected rules of recovery.md §4.6, each with its own condition: written again here, not derived from
// judge().
const std::vector<Rule> kRules{
    {"a later life cut it", [](const Evidence& e) { return e.superseded; }, Verdict::dead},
    {"acknowledged, whole",
     [](const Evidence& e) { return acknowledged(e) && known(e) && e.body == BodyState::valid; },
     Verdict::intact},
    {"acknowledged, body read when it is used",
     [](const Evidence& e) { return acknowledged(e) && known(e) && e.body == BodyState::unread; },
     Verdict::intact},
    {"acknowledged, body damaged",
     [](const Evidence& e) { return acknowledged(e) && known(e) && e.body == BodyState::bad; },
     Verdict::rot_identity_known},
    {"acknowledged, identity gone", [](const Evidence& e) { return acknowledged(e) && !known(e); },
     Verdict::rot_identity_unknown},
    {"behind a cut, never acknowledged",
     [](const Evidence& e) { return !e.superseded && !e.at_or_below_mark && !e.committed && !e.chained; },
     Verdict::dead},
    {"in doubt, whole",
     [](const Evidence& e) { return in_doubt(e) && known(e) && e.body == BodyState::valid; },
     Verdict::intact},
    {"in doubt, body not proven",
     [](const Evidence& e) { return in_doubt(e) && known(e) && e.body != BodyState::valid; },
     Verdict::undecided},
    {"in doubt, last batch, only the identity gone",
     [](const Evidence& e) { return in_doubt(e) && !known(e) && keepable(e); }, Verdict::rewrite_identity},
    {"in doubt, identity torn or never written",
     [](const Evidence& e) { return in_doubt(e) && e.identity == IdentityState::missing && !keepable(e); },
     Verdict::torn},
    {"in doubt, damage that no crash explains",
     [](const Evidence& e) { return in_doubt(e) && e.identity == IdentityState::damaged && !keepable(e); },
     Verdict::uncertain_head},
};

std::vector<Evidence> all_evidence() {
  std::vector<Evidence> all;
  for (const auto identity : {IdentityState::valid, IdentityState::missing, IdentityState::damaged}) {
    for (const auto body : {BodyState::valid, BodyState::bad, BodyState::unread}) {
      for (unsigned bits = 0; bits < 32; ++bits) {
        all.push_back({identity, body, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0,
                       (bits & 16) != 0});
      }
    }
  }
  return all;
}

// Could some evidence meet no rule, two rules, or a verdict that its rule does not give?
TEST(Verdict, EveryCombinationMeetsExactlyOneRule) {
  std::set<Verdict> given;
  for (const Evidence& evidence : all_evidence()) {
    std::vector<const Rule*> matching;
    for (const Rule& rule : kRules) {
      if (rule.applies(evidence)) matching.push_back(&rule);
    }
    ASSERT_EQ(matching.size(), 1u);
    EXPECT_EQ(judge(evidence), matching[0]->verdict) << matching[0]->text << ": " << name_of(judge(evidence));
    given.insert(judge(evidence));
  }
  EXPECT_EQ(all_evidence().size(), 288u);
  EXPECT_EQ(given.size(), 8u);  // every verdict is reachable
}

// Could more evidence of an acknowledgement ever make a node forget more?
TEST(Verdict, AcknowledgedIsNeverDiscarded) {
  for (const Evidence& evidence : all_evidence()) {
    if (evidence.superseded || !(evidence.at_or_below_mark || evidence.committed)) continue;
    const Verdict verdict = judge(evidence);
    EXPECT_TRUE(verdict == Verdict::intact || verdict == Verdict::rot_identity_known ||
                verdict == Verdict::rot_identity_unknown);
  }
}

// Could a plain power loss, which leaves only missing identities and bad bodies, keep a node from voting or
// starting?
TEST(Verdict, PowerLossAloneNeverStopsANode) {
  for (const Evidence& evidence : all_evidence()) {
    if (evidence.identity == IdentityState::damaged || evidence.at_or_below_mark || evidence.committed)
      continue;
    const Verdict verdict = judge(evidence);
    EXPECT_NE(verdict, Verdict::uncertain_head);
    EXPECT_NE(verdict, Verdict::rot_identity_known);
    EXPECT_NE(verdict, Verdict::rot_identity_unknown);
  }
}

}  // namespace
}  // namespace reel::journal
