// The commands of `reel`. Each adds itself to the command line; what it refuses is one line on stderr (what happened,
// and what to do) and an exit status: 0 success, 1 a finding or a refusal, 2 wrong use.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>

namespace reel::harness {

enum class Exit : int { ok = 0, finding = 1, usage = 2 };

// Ends the command; main() prints "reel: text".
struct CommandError {
  Exit code;
  std::string text;
};
[[noreturn]] inline void refuse(std::string text) { throw CommandError{Exit::finding, std::move(text)}; }
[[noreturn]] inline void misuse(std::string text) { throw CommandError{Exit::usage, std::move(text)}; }

// The command that was chosen, to be run after parsing.
using Run = std::function<Exit()>;

// Simulation: needs no network and no real disk, and is all there is in the program `reel-sim`.
void add_sim(CLI::App& app, Run& run);
void add_replay(CLI::App& app, Run& run);
void add_trace(CLI::App& app, Run& run);

// The real world.
void add_node(CLI::App& app, Run& run);
void add_up(CLI::App& app, Run& run);
void add_append(CLI::App& app, Run& run);
void add_feed(CLI::App& app, Run& run);
void add_status(CLI::App& app, Run& run);
void add_disk(CLI::App& app, Run& run);
void add_bench(CLI::App& app, Run& run);

// Parses, runs, and turns errors into exit statuses.
int run_command_line(CLI::App& app, Run& run, int argc, char** argv);

}  // namespace reel::harness
