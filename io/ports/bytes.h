// Bytes: an immutable, reference-counted slice. Copying and slicing share the owner and never copy content, so one
// buffer can be a journal write, a message body to every peer and a cache line at once (copied once, design.md §2).
// Buffer: its unique, writable past; sector-aligned so that it can be written with direct I/O; frozen exactly once.
// Reference counts are atomic: content may be released on another thread. Content is never written after freeze().
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace reel::io {

// The unit of direct I/O, and of what a crash tears.
inline constexpr std::size_t kSectorBytes = 4096;

namespace detail {
struct Owner {
  std::atomic<std::uint32_t> references{1};
  void (*destroy)(Owner*) = nullptr;
};
inline void retain(Owner* owner) {
  if (owner != nullptr) owner->references.fetch_add(1, std::memory_order_relaxed);
}
inline void release(Owner* owner) {
  if (owner != nullptr && owner->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
    owner->destroy(owner);
}
}  // namespace detail

class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes& other) : owner_(other.owner_), data_(other.data_), size_(other.size_) {
    detail::retain(owner_);
  }
  Bytes(Bytes&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Bytes& operator=(Bytes other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Bytes() { detail::release(owner_); }

  // A new owner with a copy of the content. Cost: one allocation, one memcpy.
  [[nodiscard]] static Bytes copy_of(std::span<const std::byte> content);
  [[nodiscard]] static Bytes copy_of(std::string_view content) {
    return copy_of(std::as_bytes(std::span(content.data(), content.size())));
  }
  // Borrows content that outlives every copy (constants, arenas of a test).
  [[nodiscard]] static Bytes unowned(std::span<const std::byte> content) {
    return Bytes(nullptr, content.data(), content.size());
  }
  // Keeps `keeper` alive as long as any slice of the content it holds (a received frame, a mapped file).
  template <class Keeper>
  [[nodiscard]] static Bytes kept_by(Keeper keeper, std::span<const std::byte> content) {
    struct Kept : detail::Owner {
      explicit Kept(Keeper&& k) : keeper(std::move(k)) {
        destroy = [](detail::Owner* owner) { delete static_cast<Kept*>(owner); };
      }
      Keeper keeper;
    };
    return Bytes(new Kept(std::move(keeper)), content.data(), content.size());
  }

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<const std::byte> span() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

  // Shares the owner. Requires offset + length <= size().
  [[nodiscard]] Bytes slice(std::size_t offset, std::size_t length) const;

  // Equality is of content.
  friend bool operator==(const Bytes& a, const Bytes& b) {
    return a.size_ == b.size_ &&
           (a.data_ == b.data_ || a.size_ == 0 || std::memcmp(a.data_, b.data_, a.size_) == 0);
  }

 private:
  friend class Buffer;
  Bytes(detail::Owner* owner, const std::byte* data, std::size_t size)
      : owner_(owner), data_(data), size_(size) {}

  detail::Owner* owner_ = nullptr;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() { detail::release(owner_); }

  // Content is uninitialised; the address is a multiple of kSectorBytes. Whoever writes it to disk fills all of it.
  [[nodiscard]] static Buffer allocate(std::size_t size);

  std::byte* data() { return data_; }
  std::size_t size() const { return size_; }
  std::span<std::byte> span() { return {data_, size_}; }

  [[nodiscard]] Bytes freeze() && {
    Bytes bytes(std::exchange(owner_, nullptr), std::exchange(data_, nullptr), size_);
    size_ = 0;
    return bytes;
  }

 private:
  detail::Owner* owner_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace reel::io
