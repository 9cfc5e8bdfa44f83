// Configuration entries come from peers and disks. Whatever the bytes: refused, or exactly the encoding of a valid
// configuration, on which quorum arithmetic holds.
#include <cstdint>
#include <optional>
#include <span>

#include "io/ports/assert.h"
#include "node/raft/configuration_codec.h"
#include "node/raft/quorum.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reel;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto configuration = raft::decode_configuration(bytes);
  if (!configuration) return 0;
  REEL_CHECK(raft::encode_configuration(*configuration) == Bytes::unowned(bytes));
  for (const NodeId voter : configuration->voters) {
    REEL_CHECK(configuration->is_voter(voter) && configuration->is_member(voter));
  }
  for (const NodeId learner : configuration->learners) REEL_CHECK(configuration->is_member(learner));
  const auto nobody = [](NodeId) { return std::optional<bool>(); };
  const auto everybody = [](NodeId) { return std::optional<bool>(true); };
  const auto refused = [](NodeId) { return std::optional<bool>(false); };
  REEL_CHECK(raft::count_votes(*configuration, nobody) == raft::VoteResult::pending);
  REEL_CHECK(raft::count_votes(*configuration, everybody) == raft::VoteResult::won);
  REEL_CHECK(raft::count_votes(*configuration, refused) == raft::VoteResult::lost);
  REEL_CHECK(raft::quorum_index(*configuration, [](NodeId) { return Index(7); }) == Index(7));
  return 0;
}
