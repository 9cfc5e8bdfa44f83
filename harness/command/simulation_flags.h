// The flags that describe a simulated run, shared by `reel sim`, `reel replay` and `reel bench sim`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "harness/shape.h"

namespace reel::harness {

struct SimulationFlags {
  std::string workload = "mixed";
  std::string mode = "bounded";
  std::string setting = "normal";
  std::string faults;
  std::uint32_t nodes = 0;
  std::uint32_t scale = 1;

  void add_to(CLI::App& command);
  // Refuses (CommandError) what is not known.
  [[nodiscard]] SimulationOptions options() const;
};

// "7" or "1..200"; refuses anything else.
void parse_seeds(const std::string& text, std::uint64_t& first, std::uint64_t& last);

}  // namespace reel::harness
