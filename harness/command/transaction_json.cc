#include "harness/command/transaction_json.h"

#include <fmt/core.h>

#include <string>

#include "harness/session_text.h"

namespace reel::harness {
namespace {

// Strict UTF-8 is what JSON can carry.
bool is_text(std::string_view data) {
  return nlohmann::ordered_json(data)
             .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
             .find("\xEF\xBF\xBD") == std::string::npos;
}

}  // namespace

std::string_view data_of(const log::Transaction& transaction) {
  return {reinterpret_cast<const char*>(transaction.record.data.data()), transaction.record.data.size()};
}

nlohmann::ordered_json json_of(const log::Transaction& transaction) {
  nlohmann::ordered_json object{{"id", transaction.id.value},
                                {"time", transaction.time},
                                {"session", text_of(transaction.session)},
                                {"sequence", transaction.sequence.value},
                                {"header", transaction.record.header}};
  const std::string_view data = data_of(transaction);
  if (is_text(data)) {
    object["data"] = data;
    return object;
  }
  std::string hex;
  for (const unsigned char byte : data) hex += fmt::format("{:02x}", byte);
  object["data_hex"] = hex;
  return object;
}

}  // namespace reel::harness
