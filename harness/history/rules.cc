#include "harness/history/rules.h"

namespace reel::harness {

const char* name_of(CheckModel model) {
  switch (model) {
    case CheckModel::reg: return "register";
    case CheckModel::cas_register: return "cas-register";
    case CheckModel::kv: return "kv";
    case CheckModel::log: return "log";
    case CheckModel::list_append: return "list-append";
    case CheckModel::rw_register: return "rw-register";
  }
  return "";
}

std::optional<CheckModel> check_model_of(std::string_view name) {
  for (std::size_t each = 0; each < kCheckModels; ++each) {
    if (name == name_of(static_cast<CheckModel>(each))) return static_cast<CheckModel>(each);
  }
  return std::nullopt;
}

}  // namespace reel::harness
