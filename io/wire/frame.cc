#include "io/wire/frame.h"

#include <bit>
#include <cstring>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/wire/limits.h"

namespace reel::wire {

// Fields are copied as they lie in memory; both compilers turn the loops of a byte-wise codec into worse
// code.
static_assert(std::endian::native == std::endian::little, "the codec copies integers as they lie in memory");

namespace {

void store(std::byte* to, std::uint64_t value, std::size_t width) { std::memcpy(to, &value, width); }

std::uint64_t load(const std::byte* from, std::size_t width) {
  std::uint64_t value = 0;
  std::memcpy(&value, from, width);
  return value;
}

}  // namespace

void FieldWriter::put(std::uint64_t value, std::size_t width) {
  const std::size_t at = fields_.size();
  fields_.resize(at + width);
  store(fields_.data() + at, value, width);
}

void FieldWriter::text(std::string_view value) {
  value = value.substr(0, kTextBytesMax);
  u32(static_cast<std::uint32_t>(value.size()));
  const auto bytes = std::as_bytes(std::span(value.data(), value.size()));
  fields_.insert(fields_.end(), bytes.begin(), bytes.end());
}

io::Bytes FieldWriter::frame(Kind kind) const {
  io::Buffer buffer = io::Buffer::allocate(kFrameHeaderBytes + fields_.size() + blob_bytes_);
  std::byte* to = buffer.data();
  store(to, kVersion, 1);
  store(to + 1, static_cast<std::uint8_t>(kind), 1);
  store(to + 2, 0, 2);
  store(to + 4, fields_.size(), 4);
  store(to + 8, io::digest64(fields_, load(to, 8)), 8);
  to += kFrameHeaderBytes;
  if (!fields_.empty()) std::memcpy(to, fields_.data(), fields_.size());
  to += fields_.size();
  for (const io::Bytes* blob : blobs_) {
    if (blob->empty()) continue;
    std::memcpy(to, blob->data(), blob->size());
    to += blob->size();
  }
  REEL_ASSERT(to == buffer.data() + buffer.size());
  return std::move(buffer).freeze();
}

std::expected<FieldReader, std::string> FieldReader::open(const io::Bytes& frame, Kind kind) {
  if (frame.size() < kFrameHeaderBytes) return std::unexpected("frame is shorter than its header");
  const std::byte* from = frame.data();
  if (load(from, 1) != kVersion) return std::unexpected("frame has an unknown version");
  if (load(from + 1, 1) != static_cast<std::uint8_t>(kind))
    return std::unexpected("frame is of another kind");
  if (load(from + 2, 2) != 0) return std::unexpected("frame header has unknown bits");
  const std::size_t fields = load(from + 4, 4);
  if (fields > frame.size() - kFrameHeaderBytes) return std::unexpected("frame is cut short");
  const std::span<const std::byte> content = frame.span().subspan(kFrameHeaderBytes, fields);
  if (io::digest64(content, load(from, 8)) != load(from + 8, 8))
    return std::unexpected("frame checksum differs");
  return FieldReader(frame, kFrameHeaderBytes + fields);
}

std::uint64_t FieldReader::get(std::size_t width) {
  if (fields_end_ - next_ < width) refuse("fields end early");
  if (failed()) return 0;
  const std::uint64_t value = load(frame_.data() + next_, width);
  next_ += width;
  return value;
}

std::string FieldReader::text() {
  const std::uint32_t size = u32();
  if (size > kTextBytesMax || fields_end_ - next_ < size) refuse("text is longer than allowed");
  if (failed()) return {};
  std::string value(reinterpret_cast<const char*>(frame_.data() + next_), size);
  next_ += size;
  return value;
}

std::uint8_t FieldReader::flags(std::uint8_t allowed) {
  const std::uint8_t value = u8();
  if ((value & ~allowed) != 0) refuse("unknown flags");
  return failed() ? 0 : value;
}

void FieldReader::zero(std::size_t width) {
  if (get(width) != 0) refuse("bits that must be zero are set");
}

std::uint32_t FieldReader::count(std::uint32_t count_max, std::size_t item_bytes) {
  const std::uint32_t value = u32();
  if (value > count_max) refuse("more items than allowed");
  if (value > (fields_end_ - next_) / item_bytes) refuse("more items than the frame holds");
  return failed() ? 0 : value;
}

io::Bytes FieldReader::blob(std::uint32_t size) {
  if (frame_.size() - blob_next_ < size) refuse("payload is cut short");
  if (failed()) return {};
  io::Bytes value = size == 0 ? io::Bytes() : frame_.slice(blob_next_, size);
  blob_next_ += size;
  return value;
}

std::expected<void, std::string> FieldReader::finish() {
  if (next_ != fields_end_) refuse("fields are left over");
  if (blob_next_ != frame_.size()) refuse("bytes are left over behind the payloads");
  if (failed()) return std::unexpected(error_);
  return {};
}

}  // namespace reel::wire
