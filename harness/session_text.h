// How people and scripts write an append session: as 32 hexadecimal digits.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "node/types.h"

namespace reel::harness {

[[nodiscard]] std::string text_of(const SessionId& session);
// 32 hexadecimal digits, or HIGH:LOW with 1 to 16 of them in each half; nullopt for anything else.
[[nodiscard]] std::optional<SessionId> parse_session(std::string_view text);

}  // namespace reel::harness
