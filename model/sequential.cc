#include "model/sequential.h"

#include <algorithm>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"

namespace reel::model {
namespace {

State register_step(void*, State state, const Operation& operation) {
  switch (operation.verb) {
    case register_verb::kWrite: return operation.input.first;
    case register_verb::kRead: return operation.open() || operation.output.first == state ? state : kRefused;
    case register_verb::kCas: {
      const bool done = operation.input.first == state;
      if (!operation.open() && operation.output.first != (done ? 1u : 0u)) return kRefused;
      return done ? operation.input.second : state;
    }
    default: return kRefused;
  }
}

bool register_pure(void*, const Operation& operation) {
  if (operation.verb == register_verb::kRead) return true;
  if (operation.verb != register_verb::kCas) return false;
  const bool failed = !operation.open() && operation.output.first == 0;
  return failed || operation.input.first == operation.input.second;
}

bool never_idle(void*, const Operation&) { return false; }

bool log_pure(void*, const Operation& operation) { return operation.verb != log_verb::kAppend; }

// Evidence is bounded: ids beyond this are no help and would only cost memory.
constexpr std::uint64_t kKnownIdsMax = 1u << 28;

}  // namespace

SequentialModel register_model(State initial) {
  return {"register", initial, nullptr, register_step, register_pure, never_idle};
}

SequentialModel cas_register_model(State initial) {
  return {"cas-register", initial, nullptr, register_step, register_pure, never_idle};
}

std::uint64_t log_digest(std::uint64_t before, std::uint64_t value) {
  return io::Hasher(before).add(value).value();
}

LogModel::LogModel() : nodes_(1) {}

void LogModel::learn(std::uint64_t id, std::uint64_t value) {
  if (id >= kKnownIdsMax) return;
  if (id >= known_.size()) known_.resize(id + 1);
  known_[id] = {true, value};
}

void LogModel::seal(std::span<const Operation> history) {
  std::uint64_t spoken_of = 0;
  for (const Operation& operation : history) {
    if (operation.open()) continue;
    const std::uint64_t end = operation.output.first + (operation.verb == log_verb::kAppend ? 1 : 0);
    spoken_of = std::max(spoken_of, end);
  }
  sealed_ = spoken_of <= known_.size();
  for (std::uint64_t id = 0; sealed_ && id < spoken_of; ++id) sealed_ = known_[id].known;
  known_values_.clear();
  for (const Known& known : known_) {
    if (known.known) known_values_.push_back(known.value);
  }
  std::sort(known_values_.begin(), known_values_.end());
}

SequentialModel LogModel::model() {
  return {
      "log",
      0,
      this,
      [](void* self, State state, const Operation& operation) {
        return static_cast<LogModel*>(self)->step(state, operation);
      },
      log_pure,
      [](void* self, const Operation& operation) { return static_cast<LogModel*>(self)->idle(operation); }};
}

// It could only stand behind everything that anybody saw, where it changes nothing for anyone.
bool LogModel::idle(const Operation& operation) const {
  return sealed_ && operation.verb == log_verb::kAppend &&
         !std::binary_search(known_values_.begin(), known_values_.end(), operation.input.first);
}

State LogModel::step(State state, const Operation& operation) {
  switch (operation.verb) {
    case log_verb::kAppend: return append(state, operation);
    case log_verb::kHighWater:
      return operation.open() || nodes_[state].length == operation.output.first ? state : kRefused;
    case log_verb::kPrefix:
      if (operation.open()) return state;
      if (nodes_[state].length < operation.output.first) return kRefused;
      return ancestor(state, operation.output.first).digest == operation.output.second ? state : kRefused;
    default: return kRefused;
  }
}

State LogModel::append(State state, const Operation& operation) {
  const std::uint64_t id = nodes_[state].length;
  if (!operation.open() && operation.output.first != id) return kRefused;
  if (id < known_.size() && known_[id].known && known_[id].value != operation.input.first) return kRefused;
  return child(state, operation.input.first);
}

State LogModel::child(State state, std::uint64_t value) {
  for (std::uint32_t at = nodes_[state].first_child; at != 0; at = nodes_[at].next_sibling) {
    if (nodes_[at].value == value) return at;
  }
  REEL_CHECK(nodes_.size() < UINT32_MAX);
  const auto made = static_cast<std::uint32_t>(nodes_.size());
  const Node& parent = nodes_[state];
  const Node& half = nodes_[parent.jump];
  const bool even = parent.length - half.length == half.length - nodes_[half.jump].length;
  Node node;
  node.parent = static_cast<std::uint32_t>(state);
  node.jump = even ? half.jump : static_cast<std::uint32_t>(state);
  node.next_sibling = parent.first_child;
  node.length = parent.length + 1;
  node.value = value;
  node.digest = log_digest(parent.digest, value);
  nodes_.push_back(node);
  nodes_[state].first_child = made;
  return made;
}

const LogModel::Node& LogModel::ancestor(State state, std::uint64_t length) const {
  const Node* node = &nodes_[state];
  while (node->length > length) {
    const Node& jump = nodes_[node->jump];
    node = jump.length >= length ? &jump : &nodes_[node->parent];
  }
  return *node;
}

}  // namespace reel::model
