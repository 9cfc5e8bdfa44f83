#include "io/wire/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "io/wire/frame.h"
#include "io/wire/limits.h"
#include "io/wire/samples_for_tests.h"

namespace reel::wire {
namespace {

constexpr std::uint64_t kCalls = std::variant_size_v<ClientCall>;
constexpr std::uint64_t kReplies = std::variant_size_v<ClientReply>;

// Every frame that the samples give: what the robustness tests cut and garble.
struct Sample {
  Bytes frame;
  const io::ParcelCodec* codec;
};
std::vector<Sample> sample_frames(std::uint64_t seed) {
  std::vector<Sample> frames{{encode(sample_batch(seed)), &kPeerBatchCodec}};
  for (std::uint64_t i = 0; i < kCalls; ++i)
    frames.push_back({encode(sample_call(seed, i)), &kClientCallCodec});
  for (std::uint64_t i = 0; i < kReplies; ++i)
    frames.push_back({encode(sample_reply(seed, i)), &kClientReplyCodec});
  return frames;
}

// A frame whose fields were changed and whose header is right: what a hostile peer sends.
Bytes reframed(const Bytes& frame, std::size_t offset, std::uint8_t value) {
  std::vector<std::byte> copy(frame.span().begin(), frame.span().end());
  copy[kFrameHeaderBytes + offset] = static_cast<std::byte>(value);
  std::uint64_t seed = 0;
  std::uint32_t fields = 0;
  std::memcpy(&seed, copy.data(), 8);
  std::memcpy(&fields, copy.data() + 4, 4);
  const std::uint64_t sum = io::digest64(std::span(copy).subspan(kFrameHeaderBytes, fields), seed);
  std::memcpy(copy.data() + 8, &sum, 8);
  return Bytes::copy_of(copy);
}

TEST(PeerCodec, EveryBodyComesBack) {
  // A field that is written and not read, or read into another, would change a vote or an append under way.
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const PeerBatch batch = sample_batch(seed);
    const Bytes frame = encode(batch);
    const auto back = decode_peer_batch(frame);
    ASSERT_TRUE(back) << back.error();
    EXPECT_EQ(*back, batch);
    EXPECT_EQ(encode(*back), frame);
    EXPECT_EQ(digest(*back), digest(batch));
    EXPECT_EQ(checksum_of(back->messages[2], 7), checksum_of(batch.messages[2], 7));
    EXPECT_NE(checksum_of(batch.messages[2], 8), checksum_of(batch.messages[2], 7));
  }
}

TEST(ClientCodec, EveryCallAndReplyComesBack) {
  // A field lost on the way would make a client append something else, or believe another answer.
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    for (std::uint64_t which = 0; which < kCalls; ++which) {
      const ClientCall call = sample_call(seed, which);
      const auto back = decode_client_call(encode(call));
      ASSERT_TRUE(back) << back.error();
      EXPECT_EQ(*back, call);
      EXPECT_EQ(digest(*back), digest(call));
    }
    for (std::uint64_t which = 0; which < kReplies; ++which) {
      const ClientReply reply = sample_reply(seed, which);
      const auto back = decode_client_reply(encode(reply));
      ASSERT_TRUE(back) << back.error();
      EXPECT_EQ(*back, reply);
      EXPECT_EQ(digest(*back), digest(reply));
    }
  }
}

TEST(Codec, ParcelsEncodeAndDecodeThroughTheirCodec) {
  // A parcel that named the wrong codec would reach the other side as another type.
  const io::Parcel batch = parcel(sample_batch(7));
  const auto batch_back = batch.codec()->decode(batch.encode());
  ASSERT_TRUE(batch_back);
  EXPECT_EQ(batch_back->get<PeerBatch>(), batch.get<PeerBatch>());
  EXPECT_EQ(batch_back->digest(), batch.digest());
  const io::Parcel call = parcel(sample_call(7, 0));
  const auto call_back = call.codec()->decode(call.encode());
  ASSERT_TRUE(call_back);
  EXPECT_EQ(call_back->get<ClientCall>(), call.get<ClientCall>());
  const io::Parcel reply = parcel(sample_reply(7, 4));
  const auto reply_back = reply.codec()->decode(reply.encode());
  ASSERT_TRUE(reply_back);
  EXPECT_EQ(reply_back->get<ClientReply>(), reply.get<ClientReply>());
}

TEST(Codec, SizeEstimatesAreNearTheTruth) {
  // Links that count bandwidth by an estimate far from the frame would let through what they should drop.
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const io::Parcel batch = parcel(sample_batch(seed));
    EXPECT_NEAR(static_cast<double>(batch.size()), static_cast<double>(batch.encode().size()), 300);
    for (std::uint64_t which = 0; which < kCalls; ++which) {
      const io::Parcel call = parcel(sample_call(seed, which));
      EXPECT_NEAR(static_cast<double>(call.size()), static_cast<double>(call.encode().size()), 100);
    }
    const io::Parcel result = parcel(sample_reply(seed, 1));
    EXPECT_NEAR(static_cast<double>(result.size()), static_cast<double>(result.encode().size()), 100);
  }
}

TEST(Codec, PayloadsAreSlicesOfTheFrame) {
  // A decoder that copied payloads would double the memory traffic of every append.
  AppendCall call = std::get<AppendCall>(sample_call(3, 0));
  call.block = Bytes::copy_of(std::string_view("some records"));
  const Bytes frame = encode(ClientCall(call));
  const auto back = decode_client_call(frame);
  ASSERT_TRUE(back);
  const Bytes& block = std::get<AppendCall>(*back).block;
  EXPECT_GE(block.data(), frame.data());
  EXPECT_LE(block.data() + block.size(), frame.data() + frame.size());
}

TEST(Codec, EveryTruncationIsRefused) {
  // A frame that was cut must never be taken for a shorter message.
  for (const Sample& sample : sample_frames(11)) {
    for (std::size_t size = 0; size < sample.frame.size(); ++size) {
      EXPECT_FALSE(sample.codec->decode(Bytes::copy_of(sample.frame.span().first(size)))) << size;
    }
    std::vector<std::byte> longer(sample.frame.span().begin(), sample.frame.span().end());
    longer.push_back(std::byte{0});
    EXPECT_FALSE(sample.codec->decode(Bytes::copy_of(longer)));
  }
}

TEST(Codec, EveryFlippedBitIsNoticed) {
  // net.corrupt: one flipped bit anywhere must cost the frame, not the log.
  for (const Sample& sample : sample_frames(12)) {
    for (std::size_t bit = 0; bit < sample.frame.size() * 8; ++bit) {
      std::vector<std::byte> copy(sample.frame.span().begin(), sample.frame.span().end());
      copy[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      EXPECT_FALSE(sample.codec->decode(Bytes::copy_of(copy))) << sample.codec->name << " bit " << bit;
    }
  }
}

TEST(Codec, FieldsWithRightChecksumsAreStillChecked) {
  // A hostile sender computes checksums: what is accepted then must still be in shape, and be canonical.
  std::uint64_t accepted = 0;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    for (const Sample& sample : sample_frames(seed)) {
      std::uint32_t fields = 0;
      std::memcpy(&fields, sample.frame.data() + 4, 4);
      for (std::size_t offset = 0; offset < fields; ++offset) {
        for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
          const Bytes frame = reframed(sample.frame, offset, static_cast<std::uint8_t>(value));
          const auto back = sample.codec->decode(frame);
          if (!back) continue;
          ++accepted;
          EXPECT_EQ(back->encode(), frame);
        }
      }
    }
  }
  EXPECT_GT(accepted, 1000u);
}

TEST(Codec, NoiseIsRefused) {
  // Bytes from nowhere must neither crash nor be taken for a message.
  Draw draw(5);
  for (int round = 0; round < 3000; ++round) {
    const Bytes noise = draw.bytes(200);
    EXPECT_FALSE(decode_peer_batch(noise));
    EXPECT_FALSE(decode_client_call(noise));
    EXPECT_FALSE(decode_client_reply(noise));
  }
}

TEST(Codec, CountsAreCheckedBeforeMemoryIsTaken) {
  // A count of four billion in a frame of fifty bytes must not reserve four billion items.
  FieldWriter fields;
  fields.u32(0xffffffffu);
  const auto back = decode_peer_batch(fields.frame(Kind::peer_batch));
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error(), "more items than allowed");
  FieldWriter fewer;
  fewer.u32(kPeerBatchMessagesMax);
  EXPECT_EQ(decode_peer_batch(fewer.frame(Kind::peer_batch)).error(), "more items than the frame holds");
}

TEST(Codec, OversizedCallsAreRefused) {
  // A block above the limit must be refused by the receiver although its sender encoded it.
  AppendCall call;
  call.group = GroupId(1);
  call.count = 1;
  const std::vector<std::byte> big(kAppendCallBytesMax + 1);
  call.block = Bytes::unowned(big);
  EXPECT_FALSE(decode_client_call(encode(ClientCall(call))));
  call.block = Bytes::unowned(std::span(big).first(kAppendCallBytesMax));
  EXPECT_TRUE(decode_client_call(encode(ClientCall(call))));
  call.count = kAppendCallCountMax + 1;
  EXPECT_FALSE(decode_client_call(encode(ClientCall(call))));
  FeedCall feed;
  feed.bytes_max = kFeedCallBytesMax + 1;
  EXPECT_FALSE(decode_client_call(encode(ClientCall(feed))));
  ResolveCall resolve;
  resolve.sequence = Sequence(kCounterMax);
  EXPECT_TRUE(decode_client_call(encode(ClientCall(resolve))));
  ++resolve.sequence;
  EXPECT_FALSE(decode_client_call(encode(ClientCall(resolve))));
}

TEST(Codec, CountsOfRefusalsAreCheckedBeforeMemoryIsTaken) {
  // The second list of a reply must not be taken at its word because the first one was honest.
  const auto announced = [](std::uint32_t refusals) {
    FieldWriter fields;
    fields.u8(2);  // append
    fields.u8(0);
    fields.u16(0);
    fields.u32(0);  // runs
    fields.u32(refusals);
    return decode_client_reply(fields.frame(Kind::client_reply));
  };
  EXPECT_TRUE(announced(0));
  EXPECT_EQ(announced(kAppendCallCountMax + 1).error(), "more items than allowed");
  EXPECT_EQ(announced(kAppendCallCountMax).error(), "more items than the frame holds");
}

TEST(Limits, OutcomesOutOfShapeAreRefused) {
  // A client that believed an outcome of nothing, or looked up a lock by an unchecked number, would act on noise.
  AppendResult result;
  result.refusals.resize(1);
  const auto with = [&](RefusalCode code, std::uint32_t lock) {
    result.refusals[0].code = code;
    result.refusals[0].lock = lock;
    return check(ClientReply(result)).has_value();
  };
  EXPECT_TRUE(with(RefusalCode::conflict, kTransactionLocksMax - 1));
  EXPECT_TRUE(with(RefusalCode::burned, 0));
  EXPECT_FALSE(with(RefusalCode::conflict, kTransactionLocksMax));
  EXPECT_FALSE(with(RefusalCode{0}, 0));
  EXPECT_FALSE(with(RefusalCode{4}, 0));
  // More outcomes than a call has sequences.
  result.refusals.assign(kAppendCallCountMax, Refusal{Sequence(1), RefusalCode::burned, 0, TxnId(0)});
  EXPECT_TRUE(check(ClientReply(result)));
  result.runs.resize(1);
  EXPECT_FALSE(check(ClientReply(result)));
  // Matches rise, below `next`, and do not stand beside entries.
  FeedResult matches;
  matches.next = TxnId(9);
  for (const std::uint64_t id : {3, 8}) matches.matches.push_back({TxnId(id), 1, {}, Sequence(1), {}});
  EXPECT_TRUE(check(ClientReply(matches)));
  const auto refused = [&](auto change) {
    FeedResult other = matches;
    change(other);
    return !check(ClientReply(other)).has_value();
  };
  EXPECT_TRUE(refused([](FeedResult& r) { r.next = TxnId(8); }));
  EXPECT_TRUE(refused([](FeedResult& r) { r.next.reset(); }));
  EXPECT_TRUE(refused([](FeedResult& r) { r.matches[0].id = TxnId(8); }));
  EXPECT_TRUE(refused([](FeedResult& r) { r.entries.push_back(Bytes()); }));
  EXPECT_TRUE(refused([](FeedResult& r) { r.matches.resize(kFeedMatchesMax + 1); }));
  FeedCall filtered;
  filtered.filter.header_mask = 6;
  filtered.filter.header_value = 4;
  EXPECT_TRUE(check(ClientCall(filtered)));
  filtered.filter.header_value = 5;
  EXPECT_FALSE(check(ClientCall(filtered)));
  // A resolve is about one sequence, and its outcome is one.
  EXPECT_FALSE(check(ClientReply(ResolveResult{CommittedRun{Sequence(7), 1, TxnId(3), 4}, true})));
  ResolveResult resolved;
  EXPECT_TRUE(check(ClientReply(resolved)));
  for (const std::uint32_t count : {0u, 1u, 2u}) {
    resolved.committed = CommittedRun{Sequence(7), count, TxnId(3), 4};
    EXPECT_EQ(check(ClientReply(resolved)).has_value(), count == 1) << count;
  }
}

TEST(Limits, AppendRequestsOutOfShapeAreRefused) {
  // A gap, a falling term or a lying size inside one message would break Log Matching in the receiver.
  Draw draw(9);
  PeerMessage good = sample_message(draw, 2);
  good.body = [&] {
    AppendRequest request;
    while (request.entries.size() < 3) request = sample_append_request(draw);
    return request;
  }();
  ASSERT_TRUE(check(good));
  const auto broken = [&](auto change) {
    PeerMessage message = good;
    change(std::get<AppendRequest>(message.body));
    return !check(message).has_value();
  };
  EXPECT_TRUE(broken([](AppendRequest& r) { r.entries[1].identity.index += 1; }));
  EXPECT_TRUE(broken([](AppendRequest& r) { r.previous.index += 1; }));
  EXPECT_TRUE(broken([](AppendRequest& r) { r.entries[0].identity.term += 5; }));
  EXPECT_TRUE(broken([](AppendRequest& r) { r.entries[2].identity.term += 100000; }));
  EXPECT_TRUE(broken([](AppendRequest& r) { r.entries[0].identity.size += 1; }));
  EXPECT_TRUE(broken([](AppendRequest& r) { r.entries[0].identity.kind = static_cast<EntryKind>(9); }));
  EXPECT_TRUE(broken([](AppendRequest& r) { r.previous.index = Index(UINT64_MAX); }));
}

TEST(Limits, EveryKindOfEntryTravels) {
  // A kind that the wire does not know would cut every connection of the peer that sends it.
  for (const EntryKind kind :
       {EntryKind::empty, EntryKind::transactions, EntryKind::configuration, EntryKind::cluster}) {
    Draw draw(7);
    PeerMessage message = sample_message(draw, 2);
    auto& request = std::get<AppendRequest>(message.body);
    while (request.entries.empty()) message.body = sample_append_request(draw), message.term = Term(1000);
    std::get<AppendRequest>(message.body).entries[0].identity.kind = kind;
    const auto back = decode_peer_batch(encode(PeerBatch{{message}}));
    ASSERT_TRUE(back.has_value()) << back.error();
    EXPECT_EQ(back->messages[0], message);
  }
}

TEST(Digest, EveryFieldCounts) {
  // Two different messages with one digest would let a diverged replay pass for the same run.
  std::vector<std::uint64_t> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    seen.push_back(digest(sample_batch(seed)));
    for (std::uint64_t which = 0; which < kCalls; ++which) {
      const ClientCall call = sample_call(seed, which);
      const bool empty = std::holds_alternative<StatusCall>(call) || call == ClientCall(ReaderGroupsCall{});
      if (!empty) seen.push_back(digest(call));  // the others are all the same
    }
    for (std::uint64_t which = 0; which < kReplies; ++which) {
      const ClientReply reply = sample_reply(seed, which);
      if (reply != ClientReply(ReaderGroupsResult{})) seen.push_back(digest(reply));
    }
  }
  const std::size_t all = seen.size();
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  // High-water calls of few bits may truly be equal; empty append results and burned requests are.
  EXPECT_GT(seen.size(), all - 400);
}

TEST(Digest, RunsAndRefusalsAreToldApart) {
  // The same numbers say "committed" in one list and "never committed" in the other.
  AppendResult result;
  result.runs.push_back({Sequence(5), 1, TxnId(2), 9});
  result.refusals.push_back({Sequence(6), RefusalCode::conflict, 1, TxnId(3)});
  const auto differs = [&](auto change) {
    AppendResult other = result;
    change(other);
    return digest(ClientReply(other)) != digest(ClientReply(result));
  };
  EXPECT_TRUE(differs([](AppendResult& r) { ++r.refusals[0].sequence; }));
  EXPECT_TRUE(differs([](AppendResult& r) { r.refusals[0].code = RefusalCode::burned; }));
  EXPECT_TRUE(differs([](AppendResult& r) { ++r.refusals[0].lock; }));
  EXPECT_TRUE(differs([](AppendResult& r) { ++r.refusals[0].id; }));
  AppendResult committed;
  committed.runs.push_back({Sequence(5), 1, TxnId(2), 9});
  AppendResult refused;
  refused.refusals.push_back({Sequence(5), RefusalCode::conflict, 2, TxnId(9)});
  EXPECT_NE(digest(ClientReply(committed)), digest(ClientReply(refused)));
}

TEST(Checksums, ChangeWithEveryField) {
  // The schema's checksum must cover the scalars too: a changed sequence is as bad as a changed block.
  const AppendCall call = std::get<AppendCall>(sample_call(3, 0));
  const auto differs = [&](auto change) {
    AppendCall other = call;
    change(other);
    return checksum_of(other) != checksum_of(call);
  };
  EXPECT_TRUE(differs([](AppendCall& c) { ++c.group; }));
  EXPECT_TRUE(differs([](AppendCall& c) { ++c.count; }));
  EXPECT_TRUE(differs([](AppendCall& c) { ++c.first; }));
  EXPECT_TRUE(differs([](AppendCall& c) { c.ordered = !c.ordered; }));
  EXPECT_TRUE(differs([](AppendCall& c) { ++c.session.low; }));
  EXPECT_TRUE(differs([](AppendCall& c) { ++c.session.high; }));
  EXPECT_TRUE(differs([](AppendCall& c) { ++c.opened; }));
  EXPECT_TRUE(differs([](AppendCall& c) { c.block = Bytes::copy_of(std::string_view("x")); }));
}

TEST(Golden, TheFormatDoesNotChangeUnnoticed) {
  // Recorded traces hold these frames: a changed layout needs a new version, not a new constant here.
  const auto sum = [](const Bytes& frame) { return io::digest64(frame.span()); };
  // Version 2: appends say when their session was drawn and may be refused one by one; requests are resolved, or only
  // looked for; feeds have filters.
  static_assert(kVersion == 2);
  EXPECT_EQ(sum(encode(sample_batch(1))), 8110361505560804530u);
  EXPECT_EQ(sum(encode(sample_call(1, 0))), 1880082539150565877u);
  EXPECT_EQ(sum(encode(sample_call(1, 4))), 5982223123156857440u);
  EXPECT_EQ(sum(encode(sample_call(1, 1))), 614472329117134618u);
  Draw draw(1);
  EXPECT_EQ(sum(encode(ClientReply(sample_matches(draw)))), 13293741796234674432u);
  EXPECT_EQ(sum(encode(sample_reply(1, 1))), 13490064716480802880u);
  EXPECT_EQ(sum(encode(sample_reply(1, 4))), 923484719206971736u);
  EXPECT_EQ(sum(encode(sample_reply(1, 5))), 4710000669629155254u);
  // Partitions and reader groups.
  EXPECT_EQ(sum(encode(sample_call(1, 7))), 4011281826631435247u);
  EXPECT_EQ(sum(encode(sample_reply(1, 8))), 6345280655343036562u);
  EXPECT_EQ(sum(encode(sample_reply(1, 9))), 13710885377748891252u);
}

}  // namespace
}  // namespace reel::wire
