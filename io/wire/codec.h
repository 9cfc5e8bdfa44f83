// What io/wire offers: each message type as bytes, as a Parcel, and the checksums that the wire carries.
// Decoders take untrusted bytes: they refuse with a sentence, never crash, and never take memory for a size
// that was not checked. What they accept obeys limits.h, its payloads are slices of `frame`, and encoding it
// again gives the same bytes. Batches and replies to be encoded are within limits.h (a programmer error
// otherwise); calls need not be: what a client makes up is for the receiver to refuse.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "io/ports/parcel.h"
#include "node/client_message.h"
#include "node/message.h"

namespace reel::wire {

[[nodiscard]] Bytes encode(const PeerBatch& batch);
[[nodiscard]] Bytes encode(const ClientCall& call);
[[nodiscard]] Bytes encode(const ClientReply& reply);

[[nodiscard]] std::expected<PeerBatch, std::string> decode_peer_batch(const Bytes& frame);
[[nodiscard]] std::expected<ClientCall, std::string> decode_client_call(const Bytes& frame);
[[nodiscard]] std::expected<ClientReply, std::string> decode_client_reply(const Bytes& frame);

// Of everything in the value; payloads of entries count by their identity (its checksum stands for them), so
// this is cheap for peers' messages. Equal values have equal digests, in every build.
[[nodiscard]] std::uint64_t digest(const PeerMessage& message);
[[nodiscard]] std::uint64_t digest(const PeerBatch& batch);
[[nodiscard]] std::uint64_t digest(const ClientCall& call);
[[nodiscard]] std::uint64_t digest(const ClientReply& reply);

extern const io::ParcelCodec kPeerBatchCodec;
extern const io::ParcelCodec kClientCallCodec;
extern const io::ParcelCodec kClientReplyCodec;

[[nodiscard]] io::Parcel parcel(PeerBatch batch);
[[nodiscard]] io::Parcel parcel(ClientCall call);
[[nodiscard]] io::Parcel parcel(ClientReply reply);

// The checksum fields of io/schema; how a stranger computes them is said there.
// peers.capnp, PeerBatch.checksum: chained over the messages, `seed` being the sum so far. Covers everything
// but the entries' payloads, which their identities cover.
[[nodiscard]] std::uint64_t checksum_of(const PeerMessage& message, std::uint64_t seed);
// client.capnp, AppendBatch.checksum.
[[nodiscard]] std::uint64_t checksum_of(const AppendCall& call);
// client.capnp, ReaderGroupReport.checksum and Assignment.checksum.
[[nodiscard]] std::uint64_t checksum_of(const ReaderGroupCall& call);
[[nodiscard]] std::uint64_t checksum_of(const ReaderGroupResult& result);
// client.capnp, FeedBatch.checksum, or MatchBatch.checksum if there is a `next`.
[[nodiscard]] std::uint64_t checksum_of(const FeedResult& result);
// client.capnp, Transaction; `seed` being the sum so far. TransactionResult.checksum.
[[nodiscard]] std::uint64_t checksum_of(const CommittedRecord& transaction, std::uint64_t seed);
[[nodiscard]] std::uint64_t checksum_of(const TransactionResult& result);

}  // namespace reel::wire
