// A committed transaction as commands print it.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "node/log/record.h"

namespace reel::harness {

[[nodiscard]] std::string_view data_of(const log::Transaction& transaction);
// Data that is not UTF-8 stands in `data_hex`, as hexadecimal digits.
[[nodiscard]] nlohmann::ordered_json json_of(const log::Transaction& transaction);

}  // namespace reel::harness
