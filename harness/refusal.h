// How a program refuses: one line on stderr (what happened, and what to do) and an exit status: 0 success, 1 a finding or
// a refusal, 2 wrong use.
#pragma once

#include <string>
#include <string_view>

namespace reel::harness {

enum class Exit : int { ok = 0, finding = 1, usage = 2 };

// Ends the command; main() prints "reel: text".
struct CommandError {
  Exit code;
  std::string text;
};
[[noreturn]] void refuse(std::string text);
[[noreturn]] void misuse(std::string text);

// Text from a file or an argument, fit to be a part of that one line: no control characters, at most 100 bytes.
[[nodiscard]] std::string shown(std::string_view text);

}  // namespace reel::harness
