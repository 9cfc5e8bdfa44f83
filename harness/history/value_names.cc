#include "harness/history/value_names.h"

namespace reel::harness {
namespace {

constexpr std::int64_t kPlainMax = std::int64_t{1} << 60;

// Even: a whole number, the sign in bit 1. Odd: the place in a table.
std::uint64_t plain(std::int64_t value) {
  const auto magnitude = static_cast<std::uint64_t>(value < 0 ? -value : value);
  return magnitude << 2 | (value < 0 ? 2 : 0);
}

}  // namespace

ValueNames::ValueNames() : texts_{"nil"} { numbers_.emplace("nil", 0); }

std::uint64_t ValueNames::number_of(const Form& form, const Forms& forms) {
  if (form.kind == Form::Kind::integer && form.integer > -kPlainMax && form.integer < kPlainMax) {
    return plain(form.integer);
  }
  if (form.kind == Form::Kind::nil) return kNil;
  const auto [found, added] = numbers_.try_emplace(text_of(form, forms, true), texts_.size());
  if (added) texts_.push_back(found->first);
  return found->second << 1 | 1;
}

std::string ValueNames::text(std::uint64_t number) const {
  if ((number & 1) != 0) return texts_[number >> 1];
  return ((number & 2) != 0 ? "-" : "") + std::to_string(number >> 2);
}

}  // namespace reel::harness
