// The value types of node/message.h and node/client_message.h as the structs of io/schema, and back.
//
// Reading takes untrusted structs: every size is checked before memory is taken, every enum is checked, and
// what is read obeys io/wire/limits.h. Cap'n Proto itself throws kj::Exception for pointers that lead
// nowhere; callers catch that where they know the connection. Payloads are shared with the received message
// where that is worth it (FrameMemory::share).
#pragma once

#include <expected>
#include <string>

#include "io/ports/service.h"
#include "io/real/transport.h"
#include "io/schema/client.capnp.h"
#include "io/schema/peers.capnp.h"
#include "node/client_message.h"
#include "node/message.h"

namespace reel::real {

inline constexpr std::uint32_t kSchemaVersion = 1;

// Group g is partition g - 1 (node/types.h).
[[nodiscard]] constexpr std::uint32_t partition_of(GroupId group) { return group.value - 1; }
[[nodiscard]] constexpr GroupId group_of(std::uint32_t partition) { return GroupId(partition + 1); }

// ---- peers

// Words that a message takes in a batch, for the builder's first segment.
[[nodiscard]] std::uint64_t words_of(const PeerMessage& message);
void write(schema::PeerMessage::Builder to, const PeerMessage& message);
// Not for `opaque` messages.
[[nodiscard]] std::expected<PeerMessage, std::string> read(schema::PeerMessage::Reader from,
                                                           const FrameMemory& memory);

// ---- clients

// What is beyond the bounds is left out, in both directions.
void write(schema::NodeInfo::Builder to, const std::vector<Member>& members);
[[nodiscard]] std::vector<Member> read_members(schema::NodeInfo::Reader from);

void write(schema::CallError::Builder to, const CallError& error);
[[nodiscard]] CallError read(schema::CallError::Reader from);

// Of Partition.appendEach: batches, and bytes of their blocks if there are several. Together they fit into the smallest frame
// that a node may be set to take (576 KiB).
inline constexpr std::uint32_t kAppendEachMax = 1024;
inline constexpr std::uint64_t kAppendEachBytesMax = 256u << 10;
static_assert(kAppendEachBytesMax + std::uint64_t{200} * kAppendEachMax < (576u << 10));

void write(schema::AppendBatch::Builder to, const AppendCall& call);
// The call, or what to answer instead: TooLarge or Malformed.
[[nodiscard]] std::expected<AppendCall, CallError> read(schema::AppendBatch::Reader from, GroupId group,
                                                        const FrameMemory& memory);

void write(schema::Partition::ResolveParams::Builder to, const ResolveCall& call);
// The call, or what to answer instead: Malformed.
[[nodiscard]] std::expected<ResolveCall, CallError> read(schema::Partition::ResolveParams::Reader from,
                                                         GroupId group);

void write(schema::Reader::FeedParams::Builder to, const FeedCall& call);
// The call, or what to answer instead: Malformed. A credit above the limit counts as the limit.
[[nodiscard]] std::expected<FeedCall, CallError> read(schema::Reader::FeedParams::Reader from, GroupId group);

void write(schema::ReaderGroupReport::Builder to, const ReaderGroupCall& call);
// The call, or what to answer instead: TooLarge or Malformed.
[[nodiscard]] std::expected<ReaderGroupCall, CallError> read(schema::ReaderGroupReport::Reader from);
// A name of a reader group, or what to answer instead.
[[nodiscard]] std::expected<std::string, CallError> read_name(capnp::Text::Reader from);

// The size of a reply's results, for the builder's first segment.
[[nodiscard]] capnp::MessageSize size_hint(const ClientReply& reply);
// A reply of another kind than the call asks for is a programmer error.
void write(schema::AppendResult::Builder to, const ClientReply& reply);
void write(schema::FeedResult::Builder to, const ClientReply& reply);
void write(schema::HighWaterResult::Builder to, const ClientReply& reply);
void write(schema::StatusResult::Builder to, const ClientReply& reply);
void write(schema::ResolveResult::Builder to, const ClientReply& reply);
void write(schema::TransactionResult::Builder to, const ClientReply& reply);
void write(schema::PartitionsResult::Builder to, const ClientReply& reply);
void write(schema::ReaderGroupResult::Builder to, const ClientReply& reply);
void write(schema::ReaderGroupsResult::Builder to, const ClientReply& reply);

// An error here means that the server is at fault: as good as no answer.
using ReadReply = std::expected<ClientReply, std::string>;
[[nodiscard]] ReadReply read(schema::AppendResult::Reader from);
[[nodiscard]] ReadReply read(schema::FeedResult::Reader from, const FrameMemory& memory);
[[nodiscard]] ReadReply read(schema::HighWaterResult::Reader from);
[[nodiscard]] ReadReply read(schema::StatusResult::Reader from);
[[nodiscard]] ReadReply read(schema::ResolveResult::Reader from);
[[nodiscard]] ReadReply read(schema::TransactionResult::Reader from, const FrameMemory& memory);
[[nodiscard]] ReadReply read(schema::PartitionsResult::Reader from);
[[nodiscard]] ReadReply read(schema::ReaderGroupResult::Reader from);
[[nodiscard]] ReadReply read(schema::ReaderGroupsResult::Reader from);

}  // namespace reel::real
