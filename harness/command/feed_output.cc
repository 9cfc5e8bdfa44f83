#include "harness/command/feed_output.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "harness/session_text.h"

namespace reel::harness {
namespace {

constexpr std::size_t kBufferBytes = 1u << 20;

bool is_text(std::string_view data) {
  // Strict UTF-8 is what JSON can carry; anything else travels as hexadecimal digits.
  return nlohmann::ordered_json(data)
             .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
             .find("\xEF\xBF\xBD") == std::string::npos;
}

}  // namespace

void FeedOutput::add(const log::Transaction& transaction, std::optional<std::uint32_t> partition) {
  const std::string_view data(reinterpret_cast<const char*>(transaction.record.data.data()),
                              transaction.record.data.size());
  if (json_) {
    nlohmann::ordered_json object;
    if (partition) object["partition"] = *partition;
    object["id"] = transaction.id.value;
    object["time"] = transaction.time;
    object["session"] = text_of(transaction.session);
    object["sequence"] = transaction.sequence.value;
    object["header"] = transaction.record.header;
    if (is_text(data)) {
      object["data"] = data;
    } else {
      std::string hex;
      for (const unsigned char byte : data) hex += fmt::format("{:02x}", byte);
      object["data_hex"] = hex;
    }
    text_ += object.dump();
  } else {
    text_ += data;
  }
  text_ += '\n';
  ++count_;
  if (text_.size() > kBufferBytes) write_out();
}

bool FeedOutput::write_out() {
  std::size_t at = 0;
  while (!broken_ && at < text_.size()) {
    const ssize_t wrote = write(STDOUT_FILENO, text_.data() + at, text_.size() - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      broken_ = true;
      if (errno != EPIPE) {
        error_ = std::string("writing the output failed (") + std::strerror(errno) + "): make room";
      }
      break;
    }
    at += static_cast<std::size_t>(wrote);
  }
  text_.clear();
  return !broken_;
}

}  // namespace reel::harness
