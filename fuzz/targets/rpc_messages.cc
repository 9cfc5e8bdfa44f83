// Structs of io/schema come from whoever logged in, and replies from whoever answers. Whatever the bytes: Cap'n Proto
// refuses them, or read() does with a sentence, or the value obeys io/wire/limits.h and survives being written and read
// again.
//
// input: byte 0 chooses the struct; the rest is a Cap'n Proto message, cut to whole words.
#include "io/real/rpc_messages.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstdint>
#include <cstring>
#include <span>

#include "io/ports/assert.h"
#include "io/wire/limits.h"

namespace {
using namespace reel;

template <class Schema, class Value>
auto written_and_read(const Value& value, const real::FrameMemory& memory) {
  capnp::MallocMessageBuilder builder;
  real::write(builder.initRoot<Schema>(), value);
  if constexpr (requires { real::read(builder.getRoot<Schema>().asReader(), memory); }) {
    return real::read(builder.getRoot<Schema>().asReader(), memory);
  } else {
    return real::read(builder.getRoot<Schema>().asReader());
  }
}

void try_peer_message(capnp::MessageReader& message) {
  const real::FrameMemory memory;
  const auto value = real::read(message.getRoot<schema::PeerMessage>(), memory);
  if (!value) {
    REEL_CHECK(!value.error().empty());
    return;
  }
  REEL_CHECK(wire::check(*value).has_value());
  const auto again = written_and_read<schema::PeerMessage>(*value, memory);
  REEL_CHECK(again.has_value() && *again == *value);
}

void try_append(capnp::MessageReader& message) {
  const real::FrameMemory memory;
  const auto value = real::read(message.getRoot<schema::AppendBatch>(), GroupId(1), memory);
  if (!value) return;
  REEL_CHECK(wire::check(ClientCall(*value)).has_value());
  capnp::MallocMessageBuilder builder;
  real::write(builder.initRoot<schema::AppendBatch>(), *value);
  const auto again = real::read(builder.getRoot<schema::AppendBatch>().asReader(), GroupId(1), memory);
  REEL_CHECK(again.has_value() && *again == *value);
}

void try_resolve(capnp::MessageReader& message) {
  const auto value = real::read(message.getRoot<schema::Partition::ResolveParams>(), GroupId(1));
  if (!value) return;
  REEL_CHECK(wire::check(ClientCall(*value)).has_value());
  capnp::MallocMessageBuilder builder;
  real::write(builder.initRoot<schema::Partition::ResolveParams>(), *value);
  const auto again = real::read(builder.getRoot<schema::Partition::ResolveParams>().asReader(), GroupId(1));
  REEL_CHECK(again.has_value() && *again == *value);
}

void try_feed(capnp::MessageReader& message) {
  const auto value = real::read(message.getRoot<schema::Reader::FeedParams>(), GroupId(1));
  if (!value) return;
  REEL_CHECK(wire::check(ClientCall(*value)).has_value());
  capnp::MallocMessageBuilder builder;
  real::write(builder.initRoot<schema::Reader::FeedParams>(), *value);
  const auto again = real::read(builder.getRoot<schema::Reader::FeedParams>().asReader(), GroupId(1));
  REEL_CHECK(again.has_value() && *again == *value);
}

template <class Schema>
void try_reply(const real::ReadReply& value) {
  if (!value) {
    REEL_CHECK(!value.error().empty());
    return;
  }
  REEL_CHECK(wire::check(*value).has_value());
  const real::FrameMemory memory;
  const auto again = written_and_read<Schema>(*value, memory);
  REEL_CHECK(again.has_value() && *again == *value);
}

void try_message(std::uint8_t which, capnp::MessageReader& message) {
  const real::FrameMemory memory;
  switch (which % 10) {
    case 0: return try_peer_message(message);
    case 1: return try_append(message);
    case 2: return try_reply<schema::AppendResult>(real::read(message.getRoot<schema::AppendResult>()));
    case 3: return try_reply<schema::FeedResult>(real::read(message.getRoot<schema::FeedResult>(), memory));
    case 4: return try_reply<schema::HighWaterResult>(real::read(message.getRoot<schema::HighWaterResult>()));
    case 5: return try_reply<schema::StatusResult>(real::read(message.getRoot<schema::StatusResult>()));
    case 6: return try_resolve(message);
    case 7: return try_reply<schema::ResolveResult>(real::read(message.getRoot<schema::ResolveResult>()));
    case 8: return try_feed(message);
    default:
      return try_reply<schema::TransactionResult>(
          real::read(message.getRoot<schema::TransactionResult>(), memory));
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 + sizeof(capnp::word)) return 0;
  auto words = kj::heapArray<capnp::word>((size - 1) / sizeof(capnp::word));
  std::memcpy(words.begin(), data + 1, words.asBytes().size());
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = 1u << 16;
  // Pointers that lead nowhere are KJ's exceptions; everything else must come as a value.
  const auto refused = kj::runCatchingExceptions([&] {
    capnp::FlatArrayMessageReader message(words, limits);
    try_message(data[0], message);
  });
  (void)refused;
  return 0;
}
