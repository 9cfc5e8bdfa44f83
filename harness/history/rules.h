// What the words of a history mean: the same ones mean different things in the files of different systems.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reel::harness {

enum class CheckModel : std::uint8_t { reg, cas_register, kv, log, list_append, rw_register };
inline constexpr std::size_t kCheckModels = 6;
[[nodiscard]] const char* name_of(CheckModel model);
[[nodiscard]] std::optional<CheckModel> check_model_of(std::string_view name);
[[nodiscard]] constexpr bool is_transactional(CheckModel model) {
  return model == CheckModel::list_append || model == CheckModel::rw_register;
}

enum class NilRead : std::uint8_t {
  absent,  // nobody had written anything yet
  any,     // nobody knows what was read
};
enum class FailedCas : std::uint8_t {
  evidence,  // another value was there
  ignored,   // it did not happen, for whatever reason
};
enum class UnknownOutcome : std::uint8_t {
  maybe,  // it took effect at some time after its call, or never
  never,  // it did not
};

struct HistoryRules {
  CheckModel model = CheckModel::reg;
  std::string
      initial;  // as EDN or JSON; registers: the value, by default nil; kv: the string, by default empty
  NilRead nil = NilRead::absent;
  FailedCas failed_cas = FailedCas::evidence;
  UnknownOutcome unknown = UnknownOutcome::maybe;
  bool key_in_value = false;  // a value is [key value], as Jepsen's independent workloads write it
};

}  // namespace reel::harness
