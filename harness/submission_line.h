// One line of a file for `reel submit`: a transaction as JSON.
//
//   {"partition": 0, "data": "withdraw ann 30", "write": ["account/ann"], "based_on": 2}
//
//   partition    its number (0 if neither is there), or
//   key          of which the partition is made: by a hash, so that it stays where it is while there are as many
//   header       the application's own 32 bits
//   data, or data_base64
//   write, read, append     lists of keys
//   based_on     the highest id that was applied when it was made
//   deadline_ms  then it is burned, if it has not committed
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/log/record.h"

namespace reel::harness {

struct SubmissionLine {
  std::optional<std::uint32_t> partition;
  std::optional<std::string> key;
  std::uint32_t header = 0;
  std::string data;
  std::vector<std::string> writes;
  std::vector<std::string> reads;
  std::vector<std::string> appends;
  std::optional<TxnId> based_on;
  std::optional<std::uint64_t> deadline_ms;

  // The lock with this number, as refusals count: writes, then reads, then appends.
  struct Lock {
    const char* mode;
    std::string_view key;
  };
  [[nodiscard]] Lock lock(std::uint32_t number) const;
  // As AppendCall::block has it.
  [[nodiscard]] Bytes record(io::ClusterId cluster) const;
};

// What is wrong with it is said in a few words.
[[nodiscard]] std::expected<SubmissionLine, std::string> parse_submission_line(std::string_view text);
// RFC 4648, with padding and nothing else; nothing if it is not that.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);
// Which of so many partitions a key belongs to.
[[nodiscard]] std::uint32_t partition_of(std::string_view key, std::uint32_t partitions);

}  // namespace reel::harness
