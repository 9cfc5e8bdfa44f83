// What became of one journal record, from what can be seen of it after a restart: the rules of recovery.md
// §4.6 with the corrections at its end, as one pure and total function. Recovery, the scrubber and
// `reel disk verify` share it.
#pragma once

#include <cstdint>

namespace reel::journal {

enum class IdentityState : std::uint8_t {
  valid,
  missing,  // zeros, or bytes that an unfinished write can leave: it cannot be told apart from never written
  damaged,  // what no unfinished write leaves: a device error, or a whole sector that belongs elsewhere
};

enum class BodyState : std::uint8_t {
  valid,
  bad,
  unread,  // nobody looked, or nobody knows where
};

struct Evidence {
  IdentityState identity{};
  BodyState body{};
  bool superseded = false;        // a later life went on before this record: it decided that this one was cut
  bool chained = false;           // everything before it is kept
  bool at_or_below_mark = false;  // LSN <= the largest valid `synced` on the disk
  bool committed = false;         // its index is at or below the persisted commit index
  bool in_last_batch = false;     // no batch after it is known
  bool operator==(const Evidence&) const = default;
};

enum class Verdict : std::uint8_t {
  intact,                // keep
  torn,                  // never acknowledged: discard it and all after it
  undecided,             // identity known, body bad, above the mark: neither present nor absent
  rot_identity_known,    // acknowledged and damaged; its term and index are known
  rot_identity_unknown,  // acknowledged, and nothing is left that names it
  rewrite_identity,      // the body is whole, its identity is gone: keep, write the identity again, then sync
  uncertain_head,        // provable damage where the head of the log may have been: the node may not vote
  dead,                  // lies behind a cut: void for ever
};
[[nodiscard]] const char* name_of(Verdict verdict);

// The order of the rules:
// 1. superseded: dead, whatever it says.
// 2. acknowledged (at or below the mark, or committed): intact unless damaged; damage is rot. A later batch
//    alone proves nothing (correction 1), and rot needs no neighbours: it is rot also when something before
//    it is missing.
// 3. not acknowledged and not chained: dead, since a cut discards everything after it.
// 4. not acknowledged, identity valid: intact if the body was read and is valid, else undecided.
// 5. not acknowledged, identity gone: a valid body of the last batch is kept (rewrite_identity); otherwise
//    damage that no crash explains makes the head uncertain (correction 5), and all the rest is torn.
[[nodiscard]] Verdict judge(const Evidence& evidence);

}  // namespace reel::journal
