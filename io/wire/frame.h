// The frame around every encoded message, and the two cursors that write and read its fields.
//
//   offset  bytes
//        0      1  version, kVersion
//        1      1  kind of message (Kind)
//        2      2  zero
//        4      4  size of the fields, F
//        8      8  XXH3-64 of the fields, seeded with the first eight bytes of the frame as a number
//       16      F  fields: integers of fixed width, little-endian, without padding between them
//     16+F         blobs: payloads, back to back, in the order in which the fields mention them
//
// A frame ends with its last blob. The fields tell the size and a checksum of each blob, so every bit of a
// frame is covered exactly once. A decoder reads the fields, then takes the blobs as slices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

#include "io/ports/bytes.h"

namespace reel::wire {

inline constexpr std::uint8_t kVersion = 2;
inline constexpr std::size_t kFrameHeaderBytes = 16;

enum class Kind : std::uint8_t { peer_batch = 1, client_call = 2, client_reply = 3 };

// Collects fields, and remembers blobs without copying them.
class FieldWriter {
 public:
  FieldWriter() { fields_.reserve(256); }
  void u8(std::uint8_t value) { put(value, 1); }
  void u16(std::uint16_t value) { put(value, 2); }
  void u32(std::uint32_t value) { put(value, 4); }
  void u64(std::uint64_t value) { put(value, 8); }
  // A length and the text, cut at kTextBytesMax.
  void text(std::string_view value);
  // To stand behind the fields. The caller has written its size and checksum. `blob` must live until frame().
  void blob(const io::Bytes& blob) {
    blobs_.push_back(&blob);
    blob_bytes_ += blob.size();
  }

  std::span<const std::byte> fields() const { return fields_; }
  // The whole frame: one allocation, one copy of each blob.
  [[nodiscard]] io::Bytes frame(Kind kind) const;

 private:
  void put(std::uint64_t value, std::size_t width);

  std::vector<std::byte> fields_;
  std::vector<const io::Bytes*> blobs_;
  std::size_t blob_bytes_ = 0;
};

// Reads fields; after the first read beyond the end, or the first refusal, everything is zero and failed()
// holds.
class FieldReader {
 public:
  // Checks the header and the checksum of the fields.
  [[nodiscard]] static std::expected<FieldReader, std::string> open(const io::Bytes& frame, Kind kind);

  std::uint8_t u8() { return static_cast<std::uint8_t>(get(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(get(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(get(4)); }
  std::uint64_t u64() { return get(8); }
  std::string text();
  // A byte with no bits but `allowed`.
  std::uint8_t flags(std::uint8_t allowed);
  void zero(std::size_t width);
  // A count of items that take at least `item_bytes` of fields each: more than can still come is refused.
  std::uint32_t count(std::uint32_t count_max, std::size_t item_bytes);
  // The next blob, a slice of the frame; refused if the frame does not hold it.
  io::Bytes blob(std::uint32_t size);

  void refuse(const char* why) {
    if (error_ == nullptr) error_ = why;
  }
  bool failed() const { return error_ != nullptr; }
  // After the last field: nothing may be left over. Nothing, or why the frame is refused.
  [[nodiscard]] std::expected<void, std::string> finish();

 private:
  FieldReader(io::Bytes frame, std::size_t fields_end)
      : frame_(std::move(frame)), next_(kFrameHeaderBytes), fields_end_(fields_end), blob_next_(fields_end) {}
  std::uint64_t get(std::size_t width);

  io::Bytes frame_;
  std::size_t next_;
  std::size_t fields_end_;
  std::size_t blob_next_;
  const char* error_ = nullptr;
};

}  // namespace reel::wire
