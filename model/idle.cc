#include "model/idle.h"

#include <algorithm>
#include <cstdint>

#include "model/sequential.h"

namespace reel::model {
namespace {

// What the operations that are not idle can tell apart.
struct Watched {
  std::vector<std::uint64_t> values;   // sorted: somebody needs them to be there
  std::vector<std::uint64_t> avoided;  // somebody needs another value than one of these to be there
  bool tells(std::uint64_t value) const {
    if (std::binary_search(values.begin(), values.end(), value)) return true;
    return std::any_of(avoided.begin(), avoided.end(), [value](std::uint64_t each) { return each != value; });
  }
};

Watched watched_by(std::span<const Operation> history, const std::vector<bool>& idle) {
  Watched watched;
  for (std::size_t at = 0; at < history.size(); ++at) {
    const Operation& operation = history[at];
    if (idle[at]) continue;
    if (operation.verb == register_verb::kRead && !operation.open()) {
      watched.values.push_back(operation.output.first);
    } else if (operation.verb == register_verb::kCas) {
      const bool failed = !operation.open() && operation.output.first == 0;
      (failed ? watched.avoided : watched.values).push_back(operation.input.first);
    }
  }
  for (std::vector<std::uint64_t>* each : {&watched.values, &watched.avoided}) {
    std::sort(each->begin(), each->end());
    each->erase(std::unique(each->begin(), each->end()), each->end());
  }
  return watched;
}

}  // namespace

std::vector<bool> idle_of_register(std::span<const Operation> history) {
  std::vector<bool> idle(history.size());
  for (std::size_t at = 0; at < history.size(); ++at) {
    idle[at] = history[at].open() && history[at].verb == register_verb::kRead;
  }
  for (bool more = true; more;) {
    more = false;
    const Watched watched = watched_by(history, idle);
    for (std::size_t at = 0; at < history.size(); ++at) {
      const Operation& operation = history[at];
      if (!operation.open() || idle[at]) continue;
      const std::uint64_t brings =
          operation.verb == register_verb::kWrite ? operation.input.first : operation.input.second;
      if (watched.tells(brings)) continue;
      idle[at] = true;
      more = true;
    }
  }
  return idle;
}

}  // namespace reel::model
