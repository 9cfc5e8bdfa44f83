// What may travel: the limits of node/message.h and node/client_message.h, and the shape that every message
// has, as predicates on values. Both decoders (io/wire and the RPC adapter) end in these, so nothing that a
// core may rely on depends on which of them received a message.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "node/client_message.h"
#include "node/message.h"

namespace reel::wire {

// Sentences inside messages: an error's text, a version, a disk's state. Encoders cut longer ones, decoders
// refuse them.
inline constexpr std::uint32_t kTextBytesMax = 4096;
// A FeedResult holds at least one entry, whatever the credit; so it may exceed the credit by at most one
// entry.
inline constexpr std::uint32_t kFeedResultBytesMax = kFeedCallBytesMax + kEntryBytesMax;
inline constexpr std::uint32_t kFeedResultEntriesMax = 65536;
// Members of a joint configuration, and learners.
inline constexpr std::uint32_t kPeerStatusesMax = 64;
// An index or sequence beyond this cannot be genuine; below it, adding a count cannot wrap.
inline constexpr std::uint64_t kCounterMax = std::uint64_t{1} << 62;

// Nothing, or one sentence that says why not.
using Verdict = std::expected<void, std::string>;

// Contiguous indexes behind `previous`, terms that never fall and never exceed the message's, sizes within
// limits, payloads of exactly the size that their identity says. Payload checksums are not computed here.
[[nodiscard]] Verdict check(const PeerMessage& message);
[[nodiscard]] Verdict check(const ClientCall& call);
[[nodiscard]] Verdict check(const ClientReply& reply);

}  // namespace reel::wire
