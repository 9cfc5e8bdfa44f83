// How an operation of the simulated bank lies in a transaction's data: 56 bytes, little-endian.
//
//    0  u32 verb     4  u32 account     8  u32 to     12  u32 zero     16  u64 amount
//   24  u64 client  32  u64 life       40  u64 number of the submit    48  u64 attempt
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "model/bank_oracle.h"

namespace reel::harness {

// The bank's own partition, so that every transaction there is an operation.
inline constexpr GroupId kBankGroup{4};

// Differs for every attempt of every submit: what the bank's lists hold (harness/bank_client.h).
[[nodiscard]] std::uint64_t value_of(const model::BankOperation& operation);
[[nodiscard]] std::vector<std::byte> encode(const model::BankOperation& operation);
[[nodiscard]] std::optional<model::BankOperation> parse_bank_operation(std::span<const std::byte> data);

}  // namespace reel::harness
