// How sealed structures are written and read, byte by byte: a magic number and a version first, a checksum
// over everything before it last. Shared by the journal's files (format.cc) and the tables (page_table.cc).
#pragma once

#include <cstring>
#include <expected>
#include <span>

#include "io/ports/assert.h"
#include "io/ports/endian.h"
#include "node/journal/format.h"

namespace reel::journal {

inline constexpr std::size_t kChecksumBytes = 16;

// Eight letters as they appear in a dump.
constexpr std::uint64_t magic(const char (&letters)[9]) {
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(letters[i]);
  return value;
}

// Fills a sealed structure up to its checksum; running over that is a programmer error.
class Writer {
 public:
  explicit Writer(std::span<std::byte> structure) : to_(structure.first(structure.size() - kChecksumBytes)) {}
  void u8(std::uint8_t value) { put(value); }
  void u16(std::uint16_t value) { put(value); }
  void u32(std::uint32_t value) { put(value); }
  void u64(std::uint64_t value) { put(value); }
  void checksum(const Checksum& value) {
    put(value.low);
    put(value.high);
  }
  void bytes(std::span<const std::byte> content) {
    REEL_CHECK(content.size() <= to_.size() - at_);
    if (!content.empty()) std::memcpy(to_.data() + at_, content.data(), content.size());
    at_ += content.size();
  }
  // Up to the end.
  void zeros() {
    std::memset(to_.data() + at_, 0, to_.size() - at_);
    at_ = to_.size();
  }
  std::size_t at() const { return at_; }

 private:
  template <class Integer>
  void put(Integer value) {
    REEL_CHECK(sizeof value <= to_.size() - at_);
    io::store(to_.data() + at_, value);
    at_ += sizeof value;
  }
  std::span<std::byte> to_;
  std::size_t at_ = 0;
};

// Reads bytes that may be anything. After the first failure every read gives zero and ok() stays false.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> from) : from_(from) {}
  std::uint8_t u8() { return get<std::uint8_t>(); }
  std::uint16_t u16() { return get<std::uint16_t>(); }
  std::uint32_t u32() { return get<std::uint32_t>(); }
  std::uint64_t u64() { return get<std::uint64_t>(); }
  Checksum checksum() {
    const std::uint64_t low = u64();
    return {low, u64()};
  }
  std::span<const std::byte> bytes(std::size_t size) {
    if (!has(size)) return {};
    at_ += size;
    return from_.subspan(at_ - size, size);
  }
  void skip(std::size_t size) { bytes(size); }
  void require(bool condition) { ok_ = ok_ && condition; }
  void require_zeros() { require(is_zero(from_.subspan(at_))); }
  bool ok() const { return ok_; }

 private:
  bool has(std::size_t size) {
    ok_ = ok_ && size <= from_.size() - at_;
    return ok_;
  }
  template <class Integer>
  Integer get() {
    if (!has(sizeof(Integer))) return 0;
    at_ += sizeof(Integer);
    return io::load<Integer>(from_.data() + at_ - sizeof(Integer));
  }
  std::span<const std::byte> from_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

inline void seal(std::span<std::byte> structure) {
  const std::size_t body = structure.size() - kChecksumBytes;
  const Checksum sum = io::checksum(structure.first(body));
  io::store(structure.data() + body, sum.low);
  io::store(structure.data() + body + 8, sum.high);
}

[[nodiscard]] inline Checksum sealed_checksum(std::span<const std::byte> structure) {
  const std::byte* at = structure.data() + structure.size() - kChecksumBytes;
  return {io::load<std::uint64_t>(at), io::load<std::uint64_t>(at + 8)};
}

// Size, magic, checksum, then version: a version whose checksum does not hold says nothing.
[[nodiscard]] inline std::expected<void, DecodeError> check_sealed(std::span<const std::byte> bytes,
                                                                   std::size_t size, std::uint64_t wanted,
                                                                   std::uint32_t version) {
  if (bytes.size() < size) return std::unexpected(DecodeError::damaged);
  bytes = bytes.first(size);
  if (io::load<std::uint64_t>(bytes.data()) != wanted) {
    return std::unexpected(is_zero(bytes) ? DecodeError::empty : DecodeError::damaged);
  }
  if (io::checksum(bytes.first(size - kChecksumBytes)) != sealed_checksum(bytes)) {
    return std::unexpected(DecodeError::damaged);
  }
  if (io::load<std::uint32_t>(bytes.data() + 8) != version) return std::unexpected(DecodeError::unsupported);
  return {};
}

}  // namespace reel::journal
