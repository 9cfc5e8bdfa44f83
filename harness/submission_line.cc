#include "harness/submission_line.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/refusal.h"
#include "io/ports/checksum.h"

namespace reel::harness {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kDeadlineMsMax = 86'400'000;  // a day

// Fills one field; what is wrong with its value, or nothing.
using Problem = std::optional<std::string>;

Problem take_number(const Json& value, std::uint64_t max, const char* name, std::uint64_t& out) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > max) {
    return std::string(name) + " must be a whole number from 0 to " + std::to_string(max);
  }
  out = value.get<std::uint64_t>();
  return std::nullopt;
}

Problem take_keys(const Json& value, const std::string& name, std::vector<std::string>& out) {
  const bool good = value.is_array() && std::all_of(value.begin(), value.end(), [](const Json& key) {
                      return key.is_string() && !key.get_ref<const std::string&>().empty();
                    });
  if (!good) return name + " must be a list of keys that are not empty";
  for (const Json& key : value) out.push_back(key.get<std::string>());
  return std::nullopt;
}

Problem take_text(const Json& value, const std::string& name, std::string& out) {
  if (!value.is_string()) return name + " must be a string";
  out = value.get<std::string>();
  return std::nullopt;
}

Problem take(const std::string& name, const Json& value, SubmissionLine& line) {
  std::uint64_t number = 0;
  if (name == "partition") {
    const Problem problem = take_number(value, kGroupsMax - 2, "partition", number);
    line.partition = static_cast<std::uint32_t>(number);
    return problem;
  }
  if (name == "header") {
    const Problem problem = take_number(value, UINT32_MAX, "header", number);
    line.header = static_cast<std::uint32_t>(number);
    return problem;
  }
  if (name == "based_on") {
    const Problem problem = take_number(value, kSequenceMax, "based_on", number);
    line.based_on = TxnId(number);
    return problem;
  }
  if (name == "deadline_ms") {
    const Problem problem = take_number(value, kDeadlineMsMax, "deadline_ms", number);
    line.deadline_ms = number;
    return problem;
  }
  if (name == "key") return take_text(value, name, line.key.emplace());
  if (name == "data") return take_text(value, name, line.data);
  if (name == "data_base64") {
    std::string encoded;
    if (const Problem problem = take_text(value, name, encoded)) return problem;
    auto decoded = decode_base64(encoded);
    if (!decoded) return "data_base64 is not base64";
    line.data = std::move(*decoded);
    return std::nullopt;
  }
  if (name == "write") return take_keys(value, name, line.writes);
  if (name == "read") return take_keys(value, name, line.reads);
  if (name == "append") return take_keys(value, name, line.appends);
  return "it has a field '" + shown(name) + "', which means nothing";
}

}  // namespace

SubmissionLine::Lock SubmissionLine::lock(std::uint32_t number) const {
  for (const auto& [mode, keys] : {std::pair{"write", &writes}, {"read", &reads}, {"append", &appends}}) {
    if (number < keys->size()) return {mode, (*keys)[number]};
    number -= static_cast<std::uint32_t>(keys->size());
  }
  return {"?", "?"};
}

Bytes SubmissionLine::record(io::ClusterId cluster) const {
  const auto hashes = [&](const std::vector<std::string>& keys) {
    std::vector<LockKey> locks;
    locks.reserve(keys.size());
    for (const std::string& name : keys) locks.push_back(log::lock_key(name, cluster.value));
    return locks;
  };
  const std::vector<LockKey> write_locks = hashes(writes);
  const std::vector<LockKey> read_locks = hashes(reads);
  const std::vector<LockKey> append_locks = hashes(appends);
  log::TransactionInput input;
  input.header = header;
  input.data = std::as_bytes(std::span(data));
  input.write_locks = write_locks;
  input.read_locks = read_locks;
  input.append_locks = append_locks;
  input.based_on = based_on;
  std::vector<std::byte> block;
  log::append_record(block, input);
  return Bytes::copy_of(block);
}

std::expected<SubmissionLine, std::string> parse_submission_line(std::string_view text) {
  const Json object = Json::parse(text, nullptr, false);
  if (object.is_discarded()) return std::unexpected("is not JSON");
  if (!object.is_object()) return std::unexpected("is not a JSON object");
  SubmissionLine line;
  for (const auto& [name, value] : object.items()) {
    if (const Problem problem = take(name, value, line))
      return std::unexpected("cannot be used: " + *problem);
  }
  if (object.contains("data") == object.contains("data_base64")) {
    return std::unexpected("cannot be used: it needs either data or data_base64");
  }
  if (line.partition && line.key) return std::unexpected("cannot be used: it has both a partition and a key");
  if (line.data.size() > kTransactionBytesMax) {
    return std::unexpected("cannot be used: its data is longer than the limit of " +
                           std::to_string(kTransactionBytesMax) + " bytes");
  }
  if (line.writes.size() + line.reads.size() + line.appends.size() > kTransactionLocksMax) {
    return std::unexpected("cannot be used: a transaction has at most " +
                           std::to_string(kTransactionLocksMax) + " locks");
  }
  return line;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  const std::string_view digits = text.substr(0, text.size() - padding);
  std::string bytes;
  std::uint32_t bits = 0;
  std::uint32_t held = 0;  // bits that are not a byte yet
  for (const char digit : digits) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::size_t value = kDigits.find(digit);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 6 | static_cast<std::uint32_t>(value)) & 0xffffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<char>(bits >> held & 0xff));
    }
  }
  const bool rest_is_zero = (bits & ((1u << held) - 1)) == 0;
  if (!rest_is_zero) return std::nullopt;  // two texts for the same bytes
  return bytes;
}

std::uint32_t partition_of(std::string_view key, std::uint32_t partitions) {
  return static_cast<std::uint32_t>(io::digest64(std::as_bytes(std::span(key))) % partitions);
}

}  // namespace reel::harness
