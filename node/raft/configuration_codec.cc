#include "node/raft/configuration_codec.h"

#include "io/ports/assert.h"

namespace reel::raft {
namespace {

constexpr std::byte kVersion{1};
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kIdBytes = 8;

void put_id(std::vector<std::byte>& out, NodeId node) {
  for (std::size_t i = 0; i < kIdBytes; ++i) out.push_back(static_cast<std::byte>(node.value >> (8 * i)));
}

NodeId get_id(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kIdBytes; ++i) value |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  return NodeId(value);
}

VoterSet get_ids(std::span<const std::byte>& rest, std::size_t count) {
  VoterSet nodes;
  nodes.reserve(count);
  for (std::size_t i = 0; i < count; ++i) nodes.push_back(get_id(rest.subspan(i * kIdBytes, kIdBytes)));
  rest = rest.subspan(count * kIdBytes);
  return nodes;
}

}  // namespace

Bytes encode_configuration(const Configuration& configuration) {
  REEL_ASSERT(is_valid(configuration));
  std::vector<std::byte> out{kVersion, static_cast<std::byte>(configuration.voters.size()),
                             static_cast<std::byte>(configuration.outgoing.size()),
                             static_cast<std::byte>(configuration.learners.size())};
  out.resize(kHeaderBytes);
  for (const VoterSet* part : {&configuration.voters, &configuration.outgoing, &configuration.learners}) {
    for (const NodeId node : *part) put_id(out, node);
  }
  REEL_ASSERT(out.size() <= kConfigurationBytesMax);
  return Bytes::copy_of(out);
}

std::optional<Configuration> decode_configuration(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytes || bytes.size() > kConfigurationBytesMax || bytes[0] != kVersion) return {};
  for (std::size_t i = 4; i < kHeaderBytes; ++i) {
    if (bytes[i] != std::byte{0}) return {};
  }
  const auto voters = static_cast<std::size_t>(bytes[1]);
  const auto outgoing = static_cast<std::size_t>(bytes[2]);
  const auto learners = static_cast<std::size_t>(bytes[3]);
  if (bytes.size() != kHeaderBytes + kIdBytes * (voters + outgoing + learners)) return {};
  std::span<const std::byte> rest = bytes.subspan(kHeaderBytes);
  Configuration configuration;
  configuration.voters = get_ids(rest, voters);
  configuration.outgoing = get_ids(rest, outgoing);
  configuration.learners = get_ids(rest, learners);
  if (!is_valid(configuration)) return {};
  return configuration;
}

}  // namespace reel::raft
