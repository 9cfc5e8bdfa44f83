// The commands of `reel`. Each adds itself to the command line; how it refuses: harness/refusal.h.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>

#include "harness/refusal.h"

namespace reel::harness {

// The command that was chosen, to be run after parsing.
using Run = std::function<Exit()>;

// Simulation: needs no network and no real disk, and is all there is in the program `reel-sim`.
void add_sim(CLI::App& app, Run& run);
void add_replay(CLI::App& app, Run& run);
void add_trace(CLI::App& app, Run& run);
void add_check(CLI::App& app, Run& run);
void add_shrink(CLI::App& app, Run& run);

// The real world.
void add_node(CLI::App& app, Run& run);
void add_up(CLI::App& app, Run& run);
void add_append(CLI::App& app, Run& run);
void add_submit(CLI::App& app, Run& run);
void add_resolve(CLI::App& app, Run& run);
void add_lookup(CLI::App& app, Run& run);
void add_feed(CLI::App& app, Run& run);
void add_status(CLI::App& app, Run& run);
void add_admin(CLI::App& app, Run& run);
void add_disk(CLI::App& app, Run& run);
void add_bench(CLI::App& app, Run& run);
void add_bench_check(CLI::App& bench, Run& run);
void add_bench_contention(CLI::App& bench, Run& run);
void add_bench_feed(CLI::App& bench, Run& run);
void add_bench_overload(CLI::App& bench, Run& run);
void add_bench_sessions(CLI::App& bench, Run& run);

// What --jobs asks for; 0: a process for each core.
[[nodiscard]] std::uint32_t processes_of(std::uint32_t jobs);

// Parses, runs, and turns errors into exit statuses.
int run_command_line(CLI::App& app, Run& run, int argc, char** argv);

}  // namespace reel::harness
