#include "harness/session_text.h"

#include <fmt/core.h>

#include <charconv>

namespace reel::harness {
namespace {

constexpr std::size_t kHalfDigits = 16;

std::optional<std::uint64_t> parse_half(std::string_view digits) {
  std::uint64_t value = 0;
  if (digits.empty() || digits.size() > kHalfDigits) return std::nullopt;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string text_of(const SessionId& session) {
  return fmt::format("{:016x}{:016x}", session.high, session.low);
}

std::optional<SessionId> parse_session(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos && text.size() != 2 * kHalfDigits) return std::nullopt;
  const auto high = parse_half(text.substr(0, colon == std::string_view::npos ? kHalfDigits : colon));
  const auto low = parse_half(text.substr(colon == std::string_view::npos ? kHalfDigits : colon + 1));
  if (!high || !low) return std::nullopt;
  return SessionId{*high, *low};
}

}  // namespace reel::harness
