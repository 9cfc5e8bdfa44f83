#include "harness/bank_operation.h"

#include "io/ports/assert.h"
#include "io/ports/endian.h"

namespace reel::harness {
namespace {

constexpr std::size_t kBytes = 56;

// Decimal, so that a report can be read: client, life, number, attempt.
constexpr std::uint64_t kAttempts = 1'000;
constexpr std::uint64_t kNumbers = 10'000'000;
constexpr std::uint64_t kLives = 10'000;

}  // namespace

std::uint64_t value_of(const model::BankOperation& operation) {
  const model::BankRequest& request = operation.request;
  REEL_CHECK(request.client < 100'000 && request.life < kLives && request.number < kNumbers &&
             operation.attempt < kAttempts);
  return ((request.client * kLives + request.life) * kNumbers + request.number) * kAttempts +
         operation.attempt;
}

std::vector<std::byte> encode(const model::BankOperation& operation) {
  std::vector<std::byte> data(kBytes);
  io::store(data.data(), static_cast<std::uint32_t>(operation.verb));
  io::store(data.data() + 4, operation.account);
  io::store(data.data() + 8, operation.to);
  io::store(data.data() + 16, operation.amount);
  io::store(data.data() + 24, operation.request.client);
  io::store(data.data() + 32, operation.request.life);
  io::store(data.data() + 40, operation.request.number);
  io::store(data.data() + 48, operation.attempt);
  return data;
}

std::optional<model::BankOperation> parse_bank_operation(std::span<const std::byte> data) {
  if (data.size() != kBytes) return std::nullopt;
  const auto verb = io::load<std::uint32_t>(data.data());
  if (verb < static_cast<std::uint32_t>(model::BankOperation::Verb::open) ||
      verb > static_cast<std::uint32_t>(model::BankOperation::Verb::close)) {
    return std::nullopt;
  }
  model::BankOperation operation;
  operation.verb = static_cast<model::BankOperation::Verb>(verb);
  operation.account = io::load<std::uint32_t>(data.data() + 4);
  operation.to = io::load<std::uint32_t>(data.data() + 8);
  operation.amount = io::load<std::uint64_t>(data.data() + 16);
  operation.request.client = io::load<std::uint64_t>(data.data() + 24);
  operation.request.life = io::load<std::uint64_t>(data.data() + 32);
  operation.request.number = io::load<std::uint64_t>(data.data() + 40);
  operation.attempt = io::load<std::uint64_t>(data.data() + 48);
  return operation;
}

}  // namespace reel::harness
