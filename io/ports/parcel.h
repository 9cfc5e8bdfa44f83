// Parcel: what io::Network carries. A type-erased immutable value with a size on the wire and a codec, so that the
// simulator can pass the value itself in most runs and real bytes in the others, and users of the library can send
// types of their own, or plain Bytes. Copies share the value.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <typeinfo>

#include "io/ports/assert.h"
#include "io/ports/bytes.h"

namespace reel::io {

class Parcel;

// How one C++ type becomes bytes and back. Codecs are constants with static storage.
struct ParcelCodec {
  const char* name;                                                  // stable, for traces
  std::size_t (*size)(const void* value);                            // bytes on the wire, an estimate is fine
  Bytes (*encode)(const void* value);                                // never fails
  std::expected<Parcel, std::string> (*decode)(const Bytes& bytes);  // untrusted input: checked and bounded
  std::uint64_t (*digest)(const void* value);  // of the content, for traces: equal values, equal digests
};

class Parcel {
 public:
  Parcel() = default;
  template <class T>
  [[nodiscard]] static Parcel of(T value, const ParcelCodec& codec) {
    Parcel parcel;
    parcel.value_ = std::make_shared<const T>(std::move(value));
    parcel.type_ = &typeid(T);
    parcel.codec_ = &codec;
    return parcel;
  }

  explicit operator bool() const { return value_ != nullptr; }
  template <class T>
  bool is() const {
    return type_ != nullptr && *type_ == typeid(T);
  }
  template <class T>
  const T& get() const {
    REEL_CHECK(is<T>());
    return *static_cast<const T*>(value_.get());
  }
  std::size_t size() const { return codec_ == nullptr ? 0 : codec_->size(value_.get()); }
  Bytes encode() const { return codec_->encode(value_.get()); }
  std::uint64_t digest() const { return codec_ == nullptr ? 0 : codec_->digest(value_.get()); }
  const ParcelCodec* codec() const { return codec_; }

 private:
  std::shared_ptr<const void> value_;
  const std::type_info* type_ = nullptr;
  const ParcelCodec* codec_ = nullptr;
};

// Plain bytes for programs that need no type of their own.
extern const ParcelCodec kBytesCodec;
[[nodiscard]] inline Parcel parcel_of(Bytes bytes) {
  return Parcel::of<Bytes>(std::move(bytes), kBytesCodec);
}

}  // namespace reel::io
