// A trace may come from a stranger. Whatever the bytes: refused with a sentence, or a trace that survives being written
// and read again.
//
// input: bit 7 of byte 0 set: the rest is a trace as it stands. Else byte 1 is the length of the header, which follows,
// and the rest is the body; both are put into a trace whose sizes, compression and checksum are right.
#include "sim/trace.h"

#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"

namespace {
using Content = std::vector<std::byte>;

void put(Content& out, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) out.push_back(static_cast<std::byte>(value >> (8 * i)));
}

void put(Content& out, std::span<const std::byte> content) {
  out.insert(out.end(), content.begin(), content.end());
}

Content assemble(std::span<const std::byte> header, std::span<const std::byte> body) {
  Content packed(ZSTD_compressBound(body.size()));
  const std::size_t size = ZSTD_compress(packed.data(), packed.size(), body.data(), body.size(), 1);
  REEL_CHECK(ZSTD_isError(size) == 0);
  packed.resize(size);
  Content trace;
  put(trace, std::as_bytes(std::span("REELTRC1", 8)));
  put(trace, reel::sim::kTraceVersion, 4);
  put(trace, header.size(), 4);
  put(trace, header);
  put(trace, body.size(), 8);
  put(trace, packed.size(), 8);
  put(trace, packed);
  put(trace, reel::io::digest64(trace), 8);
  return trace;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto content = std::as_bytes(std::span(data, size));
  Content bytes(content.begin() + 1, content.end());
  if ((data[0] & 0x80) == 0) {
    const std::size_t header = std::min<std::size_t>(data[1], size - 2);
    bytes = assemble(content.subspan(2, header), content.subspan(2 + header));
  }
  const auto trace = reel::sim::decode_trace(bytes);
  if (!trace) {
    REEL_CHECK(!trace.error().empty());
    return 0;
  }
  const auto again = reel::sim::decode_trace(reel::sim::encode_trace(*trace));
  REEL_CHECK(again.has_value() && *again == *trace);
  for (const reel::sim::TraceRecord& record : trace->records)
    REEL_CHECK(!reel::sim::describe(record).empty());
  return 0;
}
