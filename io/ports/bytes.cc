#include "io/ports/bytes.h"

#include <new>

#include "io/ports/assert.h"

namespace reel::io {
namespace {

// Owner and content in one allocation: small copies stay one malloc.
struct Inline : detail::Owner {
  static Inline* allocate(std::size_t size) {
    void* place = ::operator new(sizeof(Inline) + size);
    auto* owner = new (place) Inline;
    owner->destroy = [](detail::Owner* base) {
      auto* self = static_cast<Inline*>(base);
      self->~Inline();
      ::operator delete(self);
    };
    return owner;
  }
  std::byte* content() { return reinterpret_cast<std::byte*>(this + 1); }
};

// Aligned content first, the owner apart, so that content starts on a sector boundary.
struct Aligned : detail::Owner {
  explicit Aligned(std::size_t size)
      : content(static_cast<std::byte*>(::operator new(size, std::align_val_t{kSectorBytes}))) {
    destroy = [](detail::Owner* base) { delete static_cast<Aligned*>(base); };
  }
  ~Aligned() { ::operator delete(content, std::align_val_t{kSectorBytes}); }
  std::byte* content;
};

}  // namespace

Bytes Bytes::copy_of(std::span<const std::byte> content) {
  if (content.empty()) return {};
  auto* owner = Inline::allocate(content.size());
  std::memcpy(owner->content(), content.data(), content.size());
  return Bytes(owner, owner->content(), content.size());
}

Bytes Bytes::slice(std::size_t offset, std::size_t length) const {
  REEL_ASSERT(offset <= size_ && length <= size_ - offset);
  detail::retain(owner_);
  return Bytes(owner_, data_ + offset, length);
}

Buffer Buffer::allocate(std::size_t size) {
  REEL_ASSERT(size > 0);
  Buffer buffer;
  auto* owner = new Aligned(size);
  buffer.owner_ = owner;
  buffer.data_ = owner->content;
  buffer.size_ = size;
  return buffer;
}

}  // namespace reel::io
