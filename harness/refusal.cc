#include "harness/refusal.h"

#include <algorithm>
#include <utility>

namespace reel::harness {

void refuse(std::string text) { throw CommandError{Exit::finding, std::move(text)}; }
void misuse(std::string text) { throw CommandError{Exit::usage, std::move(text)}; }

std::string shown(std::string_view text) {
  constexpr std::size_t kShownBytesMax = 100;
  std::string line(text.substr(0, kShownBytesMax));
  std::replace_if(line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
  if (text.size() > kShownBytesMax) line += "...";
  return line;
}

}  // namespace reel::harness
