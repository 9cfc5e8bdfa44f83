#include "node/journal/verdict.h"

namespace reel::journal {
namespace {

Verdict judge_acknowledged(const Evidence& evidence) {
  if (evidence.identity != IdentityState::valid) return Verdict::rot_identity_unknown;
  return evidence.body == BodyState::bad ? Verdict::rot_identity_known : Verdict::intact;
}

Verdict judge_unacknowledged(const Evidence& evidence) {
  if (!evidence.chained) return Verdict::dead;
  const bool whole = evidence.body == BodyState::valid;
  if (evidence.identity == IdentityState::valid) return whole ? Verdict::intact : Verdict::undecided;
  if (whole && evidence.in_last_batch) return Verdict::rewrite_identity;
  return evidence.identity == IdentityState::damaged ? Verdict::uncertain_head : Verdict::torn;
}

}  // namespace

Verdict judge(const Evidence& evidence) {
  if (evidence.superseded) return Verdict::dead;
  const bool acknowledged = evidence.at_or_below_mark || evidence.committed;
  return acknowledged ? judge_acknowledged(evidence) : judge_unacknowledged(evidence);
}

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::intact: return "intact";
    case Verdict::torn: return "torn";
    case Verdict::undecided: return "undecided";
    case Verdict::rot_identity_known: return "rot, identity known";
    case Verdict::rot_identity_unknown: return "rot, identity unknown";
    case Verdict::rewrite_identity: return "rewrite identity";
    case Verdict::uncertain_head: return "uncertain head";
    case Verdict::dead: return "dead";
  }
  return "?";
}

}  // namespace reel::journal
