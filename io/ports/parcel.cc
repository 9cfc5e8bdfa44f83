#include "io/ports/parcel.h"

#include "io/ports/checksum.h"

namespace reel::io {

const ParcelCodec kBytesCodec{
    .name = "bytes",
    .size = [](const void* value) { return static_cast<const Bytes*>(value)->size(); },
    .encode = [](const void* value) { return *static_cast<const Bytes*>(value); },
    .decode = [](const Bytes& bytes) -> std::expected<Parcel, std::string> { return parcel_of(bytes); },
    .digest = [](const void* value) { return digest64(static_cast<const Bytes*>(value)->span()); },
};

}  // namespace reel::io
