// io/wire takes frames from strangers. Whatever the bytes: a decoder refuses with a sentence, or what it accepts is
// within limits.h and encodes to the same bytes again.
//
// input: byte 0 chooses the kind of message, and whether the frame's header is mended (random bytes would hardly ever
// carry their own checksum); the rest is the frame.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/wire/codec.h"
#include "io/wire/frame.h"
#include "io/wire/limits.h"

namespace {
using reel::io::Bytes;

// Version, kind, a size that fits, and the checksum of the fields, so that the fields themselves are what is tried.
void mend(std::vector<std::byte>& frame, reel::wire::Kind kind) {
  if (frame.size() < reel::wire::kFrameHeaderBytes) frame.resize(reel::wire::kFrameHeaderBytes);
  frame[0] = std::byte{reel::wire::kVersion};
  frame[1] = static_cast<std::byte>(kind);
  frame[2] = frame[3] = std::byte{0};
  std::uint32_t fields = 0;
  std::memcpy(&fields, frame.data() + 4, 4);
  const std::size_t room = frame.size() - reel::wire::kFrameHeaderBytes;
  if (fields > room) fields = static_cast<std::uint32_t>(room);
  std::memcpy(frame.data() + 4, &fields, 4);
  std::uint64_t seed = 0;
  std::memcpy(&seed, frame.data(), 8);
  const auto content = std::span<const std::byte>(frame).subspan(reel::wire::kFrameHeaderBytes, fields);
  const std::uint64_t digest = reel::io::digest64(content, seed);
  std::memcpy(frame.data() + 8, &digest, 8);
}

template <class Value>
void check_accepted(const std::expected<Value, std::string>& decoded, const Bytes& frame) {
  if (!decoded) {
    REEL_CHECK(!decoded.error().empty());
    return;
  }
  REEL_CHECK(reel::wire::encode(*decoded) == frame);
  (void)reel::wire::digest(*decoded);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const auto kind = static_cast<reel::wire::Kind>(1 + data[0] % 3);
  const auto content = std::as_bytes(std::span(data + 1, size - 1));
  std::vector<std::byte> mended(content.begin(), content.end());
  if ((data[0] & 0x80) == 0) mend(mended, kind);
  const Bytes frame = Bytes::copy_of(mended);
  switch (kind) {
    case reel::wire::Kind::peer_batch: {
      const auto batch = reel::wire::decode_peer_batch(frame);
      check_accepted(batch, frame);
      if (batch) {
        REEL_CHECK(batch->messages.size() <= reel::kPeerBatchMessagesMax);
        for (const reel::PeerMessage& message : batch->messages)
          REEL_CHECK(reel::wire::check(message).has_value());
      }
      break;
    }
    case reel::wire::Kind::client_call: {
      const auto call = reel::wire::decode_client_call(frame);
      check_accepted(call, frame);
      if (call) REEL_CHECK(reel::wire::check(*call).has_value());
      break;
    }
    case reel::wire::Kind::client_reply: {
      const auto reply = reel::wire::decode_client_reply(frame);
      check_accepted(reply, frame);
      if (reply) REEL_CHECK(reel::wire::check(*reply).has_value());
      break;
    }
  }
  return 0;
}
