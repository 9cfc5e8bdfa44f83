#include "harness/cuts.h"

#include <algorithm>
#include <charconv>

#include "io/ports/assert.h"

namespace reel::harness {
namespace {

constexpr std::uint64_t kStormMaxNs = std::uint64_t{1} << 56;

bool read_number(std::string_view text, std::uint64_t highest, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value <= highest;
}

// The words of a list with commas between; false if take() refuses one.
template <class Take>
bool each_word(std::string_view list, Take&& take) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (!take(list.substr(0, comma))) return false;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return true;
}

}  // namespace

void Cuts::add_to(std::map<std::string, std::string>& options) const {
  if (plan) options["plan"] = plan->text();
  std::string kinds;
  for (std::size_t kind = 1; kind < sim::kChoices; ++kind) {
    if (neutral[kind])
      kinds += (kinds.empty() ? "" : ",") + std::string(name_of(static_cast<sim::Choice>(kind)));
  }
  if (!kinds.empty()) options["neutral"] = kinds;
  if (respin != 0) options["respin"] = std::to_string(respin);
  std::string absent;
  for (const NodeId client : without) absent += (absent.empty() ? "" : ",") + std::to_string(client.value);
  if (!absent.empty()) options["without"] = absent;
  if (requests) options["requests"] = std::to_string(*requests);
  if (storm) options["storm_ns"] = std::to_string(storm->ns);
}

bool Cuts::knows(std::string_view key) {
  return key == "plan" || key == "neutral" || key == "respin" || key == "without" || key == "requests" ||
         key == "storm_ns";
}

bool Cuts::set(std::string_view key, const std::string& value) {
  std::uint64_t number = 0;
  if (key == "plan") {
    auto parsed = sim::FaultPlan::parse(value);
    if (!parsed) return false;
    plan = *std::move(parsed);
    return true;
  }
  if (key == "neutral") {
    return each_word(value, [this](std::string_view word) {
      const auto kind = sim::choice_by_name(word);
      if (kind) neutral.set(static_cast<std::size_t>(*kind));
      return kind.has_value();
    });
  }
  if (key == "respin") return read_number(value, UINT64_MAX, respin);
  if (key == "without") {
    return each_word(value, [this](std::string_view word) {
      std::uint64_t id = 0;
      if (!read_number(word, UINT32_MAX, id)) return false;
      without.emplace_back(id);
      return true;
    });
  }
  if (key == "requests" && read_number(value, UINT32_MAX, number)) {
    requests = static_cast<std::uint32_t>(number);
    return true;
  }
  if (key == "storm_ns" && read_number(value, kStormMaxNs, number)) {
    storm = io::nanoseconds(static_cast<std::int64_t>(number));
    return true;
  }
  return false;
}

sim::FaultPlan Cuts::plan_among(std::span<const NodeId> machines) const {
  REEL_CHECK(plan.has_value());
  sim::FaultPlan among = *plan;
  std::erase_if(among.programs, [machines](sim::FaultProgram& program) {
    const bool pairs = program.kind == sim::FaultKind::net_partition_partial;
    if (program.targets.empty()) return pairs;
    const auto absent = [machines](NodeId id) {
      return std::find(machines.begin(), machines.end(), id) == machines.end();
    };
    if (pairs) {
      for (std::size_t pair = program.targets.size() / 2; pair-- > 0;) {
        if (!absent(program.targets[2 * pair]) && !absent(program.targets[2 * pair + 1])) continue;
        const auto first = program.targets.begin() + static_cast<std::ptrdiff_t>(2 * pair);
        program.targets.erase(first, first + 2);
      }
    } else {
      std::erase_if(program.targets, absent);
    }
    return program.targets.empty();
  });
  return among;
}

}  // namespace reel::harness
