// What an oracle says when a rule is broken. Oracles return values and never abort: the simulator turns a
// violation into a finding with a seed, a trace and a signature made of the oracle's name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "io/ports/strong.h"

namespace reel::model {

struct Violation {
  const char* oracle = "";  // stable: signatures of findings are built from it
  std::string sentence;     // one sentence: who broke what, with all numbers
  bool operator==(const Violation& other) const {
    return std::string_view(oracle) == other.oracle && sentence == other.sentence;
  }
};

namespace detail {
inline void tell(std::string& text, std::string_view part) { text += part; }
inline void tell(std::string& text, std::uint64_t part) { text += std::to_string(part); }
template <class Tag, class Rep>
void tell(std::string& text, io::Strong<Tag, Rep> part) {
  text += std::to_string(part.value);
}
}  // namespace detail

// Builds the sentence out of words and numbers. Cold: a run ends here.
template <class... Parts>
[[gnu::cold, gnu::noinline]] Violation violation(const char* oracle, const Parts&... parts) {
  Violation result{oracle, {}};
  (detail::tell(result.sentence, parts), ...);
  return result;
}

}  // namespace reel::model
