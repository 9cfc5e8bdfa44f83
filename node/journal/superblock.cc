#include "io/ports/assert.h"
#include "io/ports/endian.h"
#include "node/journal/tables.h"

namespace reel::journal {

std::vector<std::byte> encode_superblock(Incarnation incarnation) {
  std::vector<std::byte> content(8);
  io::store(content.data(), incarnation.value);
  return content;
}

std::optional<Incarnation> decode_superblock(std::span<const std::byte> content) {
  if (content.size() != 8) return std::nullopt;
  return Incarnation(io::load<std::uint64_t>(content.data()));
}

Superblock::Superblock(io::ClusterId cluster, NodeId node)
    : table_(node::DiskOwner::superblock, PageKind::superblock, "superblock",
             Stamp{cluster, node, Incarnation(0)}) {}

void Superblock::start(node::DiskQueue& out) { table_.recover(out); }

void Superblock::on_disk(const io::DiskResult& result, node::DiskQueue& out) {
  table_.on_disk(result, out);
  if (raised_ || table_.error() || !table_.recovered()) return;
  const auto incarnation = decode_superblock(table_.content(0));
  // The page's stamp says the same: they are written together.
  if (!incarnation || *incarnation != table_.stamp().incarnation || incarnation->value == UINT64_MAX) {
    return table_.refuse({RecoveryError::Code::inconsistent,
                          "superblock: its content makes no sense; admit this node as a new replica"});
  }
  Stamp stamp = table_.stamp();
  ++stamp.incarnation;
  table_.become(stamp);
  table_.put(0, encode_superblock(stamp.incarnation));
  table_.pump(out);
  raised_ = SuperblockContent{stamp.cluster, stamp.node, stamp.incarnation};
}

bool Superblock::done() const {
  if (table_.error() || table_.failed()) return true;
  return raised_.has_value() && !table_.round_running();
}

std::expected<SuperblockContent, RecoveryError> Superblock::take() {
  REEL_ASSERT(done());
  if (table_.error()) return std::unexpected(*table_.error());
  if (table_.failed()) {
    return std::unexpected(
        RecoveryError{RecoveryError::Code::io,
                      "superblock: raising the incarnation failed; check the device, then start "
                      "the node again"});
  }
  return *raised_;
}

}  // namespace reel::journal
