// Superblock, hard states and manifest are pages that a disk gives back. Whatever the bytes: a DecodeError, or a page
// within its bounds that encodes to the same bytes again.
//
// input: bit 7 of byte 0 leaves the checksum as it is; the rest is the page's start, filled with zeros.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "io/ports/assert.h"
#include "node/journal/page_table.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reel::journal;
  if (size < 1) return 0;
  std::array<std::byte, kSectorBytes> sector{};
  std::ranges::copy(std::as_bytes(std::span(data + 1, std::min(size - 1, kSectorBytes))), sector.begin());
  if ((data[0] & 0x80) == 0) seal_sector(sector);
  const auto page = decode_page(sector);
  if (!page) return 0;
  REEL_CHECK(page->content.size() <= kPageContentMax && page->generation > 0);
  std::array<std::byte, kSectorBytes> again{};
  encode_page(*page, again);
  REEL_CHECK(again == sector);
  return 0;
}
