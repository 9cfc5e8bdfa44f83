// Commands of the cluster's log come from peers and disks. Whatever the bytes: refused, or exactly the encoding of well-formed
// commands; and a state machine that applies them, whatever they say, gives each partition of a group a member, or nobody
// if there is none.
#include <cstdint>
#include <span>

#include "io/ports/assert.h"
#include "node/cluster/cluster_state.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reel;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto commands = cluster::decode(bytes);
  if (!commands) return 0;
  const std::vector<std::byte> again = cluster::encode(*commands);
  REEL_CHECK(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  cluster::ClusterState state;
  REEL_CHECK(state.apply(bytes).has_value());
  for (const auto& [name, group] : state.groups()) {
    REEL_CHECK(cluster::is_reader_group_name(name) && group.shares().size() <= kGroupsMax);
    for (const cluster::ReaderGroup::Share& share : group.shares()) {
      REEL_CHECK(group.members().empty() ? share.owner == MemberId() : group.members().contains(share.owner));
      REEL_CHECK(share.heir == MemberId() || group.members().contains(share.heir));
    }
  }
  return 0;
}
