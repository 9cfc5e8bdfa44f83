// What concerns the cluster as a whole, as it stands in the log: entries of kind `cluster`, in the log of partition 0
// alone. All integers are little-endian; version 1.
//
//   entry payload   0  u16 version = 1     2  u16 zero     4  u32 commands     8  { command }*
//   command         0  u16 kind            2  u16 zero     4  u32 bytes of what follows
//     1 partitions  u32 from, u32 total, configuration of their Raft groups (raft/configuration_codec.h)
//     2 report      u64 member high, u64 low, u64 patience in ns, u32 partitions of the cluster,
//                   u8 verb (0 report, 1 join, 2 leave), u8 bytes of the name, u16 zero, u32 count, u32 zero,
//                   count times: u32 group, u32 flags (1 released), u64 epoch, u64 next; name
//     3 expire      u64 member high, u64 low, u8 bytes of the name, u8 zero 3, u32 zero; name
//     4 revoke      u64 epoch, u32 group, u8 bytes of the name, u8 zero 3; name
//     5 remove      name
//
// Bounds: kCommandsMax commands an entry, kEntryBytesMax bytes. Parsers take untrusted bytes: they check every bound and
// never read past the end, and what they accept encodes to the same bytes.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "node/client_message.h"
#include "node/raft/quorum.h"
#include "node/types.h"

namespace reel::cluster {

inline constexpr std::uint32_t kCommandsMax = 4096;

// There were `from` partitions, and now there are `total`; the Raft groups of new ones begin with this configuration.
struct CreatePartitions {
  std::uint32_t from = 0;
  std::uint32_t total = 0;
  raft::Configuration configuration;
  bool operator==(const CreatePartitions&) const = default;
};
// ReaderGroupCall, and how many partitions its leader knows of.
struct Report {
  ReaderGroupCall call;
  std::uint32_t partitions = 0;
  bool operator==(const Report&) const = default;
};
// The leader has not heard of the member for too long.
struct ExpireMember {
  std::string name;
  MemberId member;
  bool operator==(const ExpireMember&) const = default;
};
// The owner of a partition that another member waits for did not release it in time.
struct RevokeShare {
  std::string name;
  GroupId group;
  Epoch epoch;
  bool operator==(const RevokeShare&) const = default;
};
struct RemoveReaderGroup {
  std::string name;
  bool operator==(const RemoveReaderGroup&) const = default;
};
using Command = std::variant<CreatePartitions, Report, ExpireMember, RevokeShare, RemoveReaderGroup>;

// 1 … kReaderGroupNameBytesMax letters, digits, '.', '_', '-', ':' or '/'.
[[nodiscard]] bool is_reader_group_name(std::string_view name);

inline constexpr std::size_t kCommandsHeaderBytes = 8;
// An upper bound of what the command adds to an entry.
[[nodiscard]] std::size_t encoded_bytes(const Command& command);
// Requires well-formed commands: names, counts and configurations within their bounds.
[[nodiscard]] std::vector<std::byte> encode(std::span<const Command> commands);
[[nodiscard]] std::expected<std::vector<Command>, std::string_view> decode(
    std::span<const std::byte> payload);

}  // namespace reel::cluster
