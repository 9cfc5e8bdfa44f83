#include "harness/trace_difference.h"

#include <algorithm>
#include <map>

#include "harness/recording.h"

namespace reel::harness {
namespace {

constexpr std::size_t kOverridesShown = 5;
constexpr std::size_t kValueShown = 60;

std::string text_of(const sim::ChoiceKey& key) {
  return std::string(sim::name_of(key.kind)) + " place " + std::to_string(key.place) + " node " +
         std::to_string(key.node) + " #" + std::to_string(key.counter);
}

std::string shown(const std::string& value) {
  std::string text = value.substr(0, kValueShown);
  std::replace(text.begin(), text.end(), '\n', ';');
  return value.size() > kValueShown ? text + "..." : text;
}

std::optional<std::string> value_of(const sim::Trace& trace, const std::string& option) {
  const auto found = trace.options.find(option);
  if (found == trace.options.end()) return std::nullopt;
  return found->second;
}

std::vector<std::string> made_from(const sim::Trace& left, const sim::Trace& right) {
  std::vector<std::string> lines;
  if (left.seed != right.seed)
    lines.push_back("seed " + std::to_string(left.seed) + " / " + std::to_string(right.seed));
  std::map<std::string, std::pair<std::string, std::string>> options;
  for (const auto& [key, value] : left.options) options[key].first = "'" + shown(value) + "'";
  for (const auto& [key, value] : right.options) options[key].second = "'" + shown(value) + "'";
  for (const auto& [key, values] : options) {
    const auto& [a, b] = values;
    // Both are cut short where they are shown, so they are compared where they are whole.
    if (value_of(left, key) == value_of(right, key)) continue;
    lines.push_back("option " + key + ": " + (a.empty() ? "not given" : a) + " / " +
                    (b.empty() ? "not given" : b));
  }
  const auto only = [&lines](const sim::Trace& in, const sim::Trace& other, const char* where) {
    std::size_t count = 0;
    for (const sim::Override& entry : in.overrides) {
      const auto& all = other.overrides;
      if (std::find(all.begin(), all.end(), entry) != all.end()) continue;
      if (++count <= kOverridesShown)
        lines.push_back("override " + text_of(entry.key) + " = " + std::to_string(entry.value) +
                        " only in the " + where);
    }
    if (count > kOverridesShown)
      lines.push_back("and " + std::to_string(count - kOverridesShown) + " overrides more only in the " +
                      where);
  };
  only(left, right, "first");
  only(right, left, "second");
  return lines;
}

const sim::TraceRecord* record_at(const sim::Trace& trace, std::uint64_t index) {
  if (index < trace.skipped || index - trace.skipped >= trace.records.size()) return nullptr;
  return &trace.records[index - trace.skipped];
}

// Every draw up to the event with this number, as far as the run goes.
std::vector<sim::Override> draws_until(const sim::Trace& trace, std::uint64_t index) {
  const auto options = options_of(trace);
  if (!options) return {};
  sim::DecisionLog log;
  Simulation simulation(*options, trace.overrides, {}, &log);
  class Counter final : public sim::Observer {
   public:
    void on_event(const sim::EventRecord&) override { ++seen; }
    std::uint64_t seen = 0;
  } counter;
  simulation.world().add_observer(&counter);
  simulation.between_events([&] { return counter.seen <= index; });
  (void)simulation.run();
  simulation.world().remove_observer(&counter);
  return log.draws();
}

std::string first_choice(const sim::Trace& left, const sim::Trace& right, std::uint64_t index) {
  const std::vector<sim::Override> a = draws_until(left, index);
  const std::vector<sim::Override> b = draws_until(right, index);
  if (a.empty() || b.empty()) return "this build does not know the options of one of them";
  const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (x == a.end() || y == b.end()) {
    return "every choice is the same up to there: one was made by another program";
  }
  if (x->key == y->key) {
    return "the choice " + text_of(x->key) + " is " + std::to_string(x->value) + " in the first and " +
           std::to_string(y->value) + " in the second";
  }
  return "the first asks for the choice " + text_of(x->key) + " where the second asks for " + text_of(y->key);
}

}  // namespace

TraceDifference difference_of(const sim::Trace& left, const sim::Trace& right) {
  TraceDifference difference;
  difference.made_from = made_from(left, right);
  const std::uint64_t from = std::max(left.skipped, right.skipped);
  const std::uint64_t end =
      std::max(left.skipped + left.records.size(), right.skipped + right.records.size());
  for (std::uint64_t index = from; index < end && !difference.index; ++index) {
    const sim::TraceRecord* const a = record_at(left, index);
    const sim::TraceRecord* const b = record_at(right, index);
    if (a != nullptr && b != nullptr && *a == *b) continue;
    difference.index = index;
    if (a != nullptr) difference.left = *a;
    if (b != nullptr) difference.right = *b;
  }
  difference.may_be_earlier = difference.index == from && from > 0;
  if (!difference.index && left.chain != right.chain)
    difference.verdict = "the chains over all events differ";
  if (left.failure != right.failure) {
    const auto verdict = [](const sim::Trace& trace) {
      return trace.failure ? "fails by " + trace.failure->oracle + " (" + trace.failure->text + ")"
                           : "passes";
    };
    difference.verdict = "the first " + verdict(left) + ", the second " + verdict(right);
  }
  if (difference.index) difference.why = first_choice(left, right, *difference.index);
  return difference;
}

std::string describe(const TraceDifference& difference) {
  if (difference.same()) return "the same run\n";
  std::string text;
  for (const std::string& line : difference.made_from) text += line + "\n";
  if (difference.index) {
    const auto record = [](const std::optional<sim::TraceRecord>& one) {
      return one ? sim::describe(*one) : std::string("the run is over");
    };
    text += "event " + std::to_string(*difference.index) + " is the first that differs" +
            (difference.may_be_earlier ? ", of those that both kept" : "") + "\n";
    text += "  first:  " + record(difference.left) + "\n  second: " + record(difference.right) + "\n";
    text += "why: " + difference.why + "\n";
  }
  if (!difference.verdict.empty()) text += difference.verdict + "\n";
  return text;
}

}  // namespace reel::harness
