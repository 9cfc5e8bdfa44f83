// A recording of a disk may come from a stranger, cut short and damaged. Whatever the bytes: refused with a sentence, or
// a recording from which every cut gives a crash image, the same one twice, or a sentence that says what contradicts
// what.
//
// input: bit 7 of byte 0 set: the rest is a recording as it stands. Else the rest is a list of records, each its kind,
// the length of its body before the data, and that body; they are put together with the right sizes and checksums, and a
// write gets the data that it claims, so that mutation works on the story and not on its envelope.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/ports/endian.h"
#include "io/real/crash_image.h"
#include "io/real/recording.h"

namespace {
using namespace reel;
using Content = std::vector<std::byte>;

constexpr std::size_t kVerbAt = 8;     // in the body of a submitted request: behind its number
constexpr std::size_t kLengthAt = 21;  // behind verb, file and offset
constexpr std::size_t kSectorsMax = 8;
constexpr std::size_t kRecordsMax = 64;

template <class Integer>
void put(Content& out, Integer value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  io::store(out.data() + at, value);
}

// The data of a write, as long as it claims, within a bound.
Content data_of(real::RecordKind kind, std::span<const std::byte> body) {
  if (kind == real::RecordKind::base_data) return Content(io::kSectorBytes, std::byte{7});
  if (kind != real::RecordKind::submitted || body.size() < kLengthAt + 8) return {};
  if (body[kVerbAt] != static_cast<std::byte>(io::DiskVerb::write)) return {};
  const auto length = io::load<std::uint64_t>(body.data() + kLengthAt);
  return Content(std::min<std::uint64_t>(length, kSectorsMax * io::kSectorBytes), body.front());
}

void add_record(Content& out, real::RecordKind kind, std::span<const std::byte> body) {
  const Content data = data_of(kind, body);
  const auto size = static_cast<std::uint32_t>(body.size() + data.size());
  std::uint64_t digest =
      io::digest64(body, static_cast<std::uint64_t>(size) << 8 | static_cast<std::uint8_t>(kind));
  for (std::size_t at = 0; at < data.size(); at += io::kSectorBytes) {
    const std::size_t part = std::min(io::kSectorBytes, data.size() - at);
    digest = io::digest64(std::span(data).subspan(at, part), digest);
  }
  put(out, size);
  put(out, static_cast<std::uint32_t>(kind));
  put(out, digest);
  out.insert(out.end(), body.begin(), body.end());
  out.insert(out.end(), data.begin(), data.end());
}

Content assemble(std::span<const std::byte> input) {
  Content recording;
  for (const char letter : {'R', 'E', 'E', 'L', 'R', 'E', 'C', '1'})
    recording.push_back(static_cast<std::byte>(letter));
  put(recording, real::kRecordingVersion);
  put(recording, std::uint32_t{0});
  for (std::size_t count = 0; input.size() >= 2 && count < kRecordsMax; ++count) {
    const auto kind = static_cast<real::RecordKind>(input[0]);
    const std::size_t length = std::min(static_cast<std::size_t>(input[1]), input.size() - 2);
    add_record(recording, kind, input.subspan(2, length));
    input = input.subspan(2 + length);
  }
  return recording;
}

void check_image(const real::Recording& recording, const real::CrashOptions& options) {
  const auto image = real::build_crash_image(recording, options);
  if (!image) {
    REEL_CHECK(!image.error().empty());
    return;
  }
  REEL_CHECK(image->files == real::build_crash_image(recording, options)->files);
  for (const auto& [name, file] : image->files) {
    REEL_CHECK(io::disk_name_allowed(name));
    for (const auto& [number, sector] : file.sectors) {
      REEL_CHECK(sector.size() == io::kSectorBytes && number * io::kSectorBytes < file.size);
    }
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto content = std::as_bytes(std::span(data, size));
  const Content raw(content.begin() + 1, content.end());
  const Content bytes = (data[0] & 0x80) != 0 ? raw : assemble(content.subspan(1));
  const auto recording = real::decode_recording(
      io::Bytes::copy_of(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
  if (!recording) {
    REEL_CHECK(!recording.error().empty());
    return 0;
  }
  const std::size_t all = recording->records.size();
  for (const std::size_t cut : {all, all / 2, real::pick_cut(*recording, data[0])}) {
    for (const std::uint32_t tear : {512u, 4096u}) {
      check_image(*recording, {.cut = cut, .seed = data[0], .tear_bytes = tear});
    }
  }
  return 0;
}
