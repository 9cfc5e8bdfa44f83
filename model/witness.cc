#include "model/witness.h"

#include <algorithm>
#include <vector>

namespace reel::model {

std::optional<std::string> check_witness(const SequentialModel& model, std::span<const Operation> history,
                                         std::span<const std::uint32_t> order) {
  std::vector<bool> placed(history.size());
  State state = model.initial;
  for (const std::uint32_t at : order) {
    if (at >= history.size()) return "there is no operation " + std::to_string(at);
    if (placed[at]) return "operation " + std::to_string(at) + " stands twice in the order";
    placed[at] = true;
    state = model.step(model.context, state, history[at]);
    if (state == kRefused)
      return "operation " + std::to_string(at) + " could not have this outcome at its place";
  }
  for (std::size_t at = 0; at < history.size(); ++at) {
    if (!placed[at] && !history[at].open())
      return "operation " + std::to_string(at) + " returned, but is left out";
  }
  // Nobody may stand before an operation that had returned when it was called: walked backwards.
  std::uint64_t first_return = Operation::kOpen;
  for (auto at = order.rbegin(); at != order.rend(); ++at) {
    first_return = std::min(first_return, history[*at].returned);
    if (history[*at].call > first_return) {
      return "operation " + std::to_string(*at) + " stands before one that returned before it was called";
    }
  }
  return std::nullopt;
}

}  // namespace reel::model
