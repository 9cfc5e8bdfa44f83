// The values and keys of a history as numbers, because that is what checkers compare. Equal values have equal numbers; a value of
// another kind ("1", :1 and 1) is another value.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "harness/history/form.h"

namespace reel::harness {

class ValueNames {
 public:
  static constexpr std::uint64_t kNil = 1;

  ValueNames();
  // Below 2^63. Whole numbers of less than 61 bits are not kept, everything else is, once.
  [[nodiscard]] std::uint64_t number_of(const Form& form, const Forms& forms);
  // As EDN.
  [[nodiscard]] std::string text(std::uint64_t number) const;

 private:
  std::unordered_map<std::string, std::uint64_t> numbers_;
  std::vector<std::string> texts_;
};

}  // namespace reel::harness
