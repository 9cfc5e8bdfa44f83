// A part of a history that is judged as one object, with the model that it is held against. Parts of one history can be judged on
// different threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "harness/history/object_history.h"
#include "model/linearizability.h"

namespace reel::harness {

struct ObjectPart {
  std::vector<model::Operation> operations;
  std::vector<std::uint32_t> numbers;  // of each in the history, rising
};

// What counts, by key, in the order of the keys' first operations; or in one part.
[[nodiscard]] std::vector<ObjectPart> parts_of(const ObjectHistory& history, bool by_key);

// Judges any selection of a part's operations: their positions in the result are those in `operations`. Evidence for the model is
// taken from the operations alone, and what nobody can miss is left out.
[[nodiscard]] model::CheckResult check_part(const ObjectHistory& history,
                                            std::span<const model::Operation> operations, bool by_key,
                                            const model::CheckOptions& options);

// True for an open operation that nobody could miss.
[[nodiscard]] std::vector<bool> idle_of(const ObjectHistory& history,
                                        std::span<const model::Operation> operations);

// True for what changes no state.
[[nodiscard]] bool is_pure(const ObjectHistory& history, const model::Operation& operation);

// Replays the order; what is wrong with it, if anything.
[[nodiscard]] std::optional<std::string> check_order(const ObjectHistory& history, const ObjectPart& part,
                                                     bool by_key, std::span<const std::uint32_t> order);

}  // namespace reel::harness
