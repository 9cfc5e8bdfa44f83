// What `reel feed` prints: one transaction per line, as it is or as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "node/log/record.h"

namespace reel::harness {

class FeedOutput {
 public:
  explicit FeedOutput(bool json) : json_(json) {}

  // `partition`: named in the JSON. Buffered until write_out(), or a megabyte.
  void add(const log::Transaction& transaction, std::optional<std::uint32_t> partition = std::nullopt);
  // False: nobody reads it any more, or it cannot be written; then error() says why, or nothing if the reader left.
  bool write_out();
  bool broken() const { return broken_; }
  const std::string& error() const { return error_; }
  std::uint64_t count() const { return count_; }

 private:
  bool json_;
  std::string text_;
  std::string error_;
  bool broken_ = false;
  std::uint64_t count_ = 0;
};

}  // namespace reel::harness
