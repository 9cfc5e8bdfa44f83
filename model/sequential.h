// Sequential models: what an object does when one operation comes after the other. A model is a few plain
// functions over states that are 64-bit numbers; a model with bigger states interns them, so that equal
// numbers are equal states.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/history.h"

namespace reel::model {

using State = std::uint64_t;
// Not a state: the operation could not have had this outcome here.
inline constexpr State kRefused = UINT64_MAX;

struct SequentialModel {
  const char* name;
  State initial;
  void* context;  // the model's own tables, handed to each function
  // The state after the operation, or kRefused. An open operation has no output yet: any would do.
  State (*step)(void* context, State state, const Operation& operation);
  // True if the operation, with this outcome, never changes any state: reads, a cas that failed, a cas from x
  // to x. "Leaves the current state as it is" is not enough: write(1) on 1 must be able to hide behind a
  // write(2).
  bool (*pure)(void* context, const Operation& operation);
  // True if leaving this open operation out of every order costs nothing, as far as the model knows.
  bool (*idle)(void* context, const Operation& operation);
  // Which parts of the state the operation may read or change, as bits; nullptr: all. Two that share no bit commute, whatever
  // came of them, in every state.
  std::uint64_t (*touches)(void* context, const Operation& operation) = nullptr;
};

// ---- a register, with or without compare-and-set

namespace register_verb {
inline constexpr std::uint64_t kWrite = 0;  // input.first: the new value
inline constexpr std::uint64_t kRead = 1;   // output.first: the value
inline constexpr std::uint64_t kCas =
    2;  // input: from, to; output.first: 1 if it was done, 0 if `from` was not there
}  // namespace register_verb

// Values are any numbers but kRefused.
[[nodiscard]] SequentialModel register_model(State initial);
[[nodiscard]] SequentialModel cas_register_model(State initial);

// ---- the log

namespace log_verb {
inline constexpr std::uint64_t kAppend = 0;  // input.first: the value (a digest of it); output.first: its id
inline constexpr std::uint64_t kHighWater = 1;  // output.first: the next id, linearizable
inline constexpr std::uint64_t kPrefix =
    2;  // output: how many values from id 0 on were seen, and their digest;
}  // namespace log_verb

// The digest of a log after `value`; of the empty log 0.
[[nodiscard]] std::uint64_t log_digest(std::uint64_t before, std::uint64_t value);

// States are interned contents, kept as a tree: a state knows its last value and the state before it. Memory:
// 40 bytes for each different content that a search reaches. The model must outlive what model() returned.
class LogModel {
 public:
  LogModel();
  LogModel(const LogModel&) = delete;
  LogModel& operator=(const LogModel&) = delete;

  // Optional evidence, which turns an exponential search for the order of unanswered appends into a walk: an
  // operation of this history that returned saw `value` at `id`. It is verified, never trusted: whoever saw
  // it is a kPrefix operation that must be legal by itself. With evidence an illegal history is found out at
  // the latest where it would be without, and perhaps earlier.
  void learn(std::uint64_t id, std::uint64_t value);
  // Optional, after everything was learned: this is the whole history. Then open appends that no evidence
  // mentions are left out, if every position that any outcome speaks of is known.
  void seal(std::span<const Operation> history);

  [[nodiscard]] SequentialModel model();
  // For reports: the length of the log in this state.
  std::uint64_t length(State state) const { return nodes_[state].length; }

 private:
  struct Node {
    std::uint32_t parent = 0;
    std::uint32_t jump = 0;         // an ancestor: 0, or by the skew-binary rule about half way down
    std::uint32_t first_child = 0;  // 0: none, since the root is nobody's child
    std::uint32_t next_sibling = 0;
    std::uint64_t length = 0;
    std::uint64_t value = 0;
    std::uint64_t digest = 0;
  };
  State step(State state, const Operation& operation);
  State append(State state, const Operation& operation);
  State child(State state, std::uint64_t value);
  const Node& ancestor(State state, std::uint64_t length) const;
  bool idle(const Operation& operation) const;

  std::vector<Node> nodes_;
  struct Known {
    bool known = false;
    std::uint64_t value = 0;
  };
  std::vector<Known> known_;  // by id
  bool sealed_ = false;
  std::vector<std::uint64_t> known_values_;  // sealed: sorted
};

}  // namespace reel::model
