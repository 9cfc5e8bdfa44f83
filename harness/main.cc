// reel: the one binary. Every command is in harness/command.
#include <malloc.h>

#include "harness/command/command.h"

// Feeds and large batches take and free memory by the mebibyte, thousands of times a second. Glibc would give each piece
// back to the kernel, and get it again page by page, zeroed: with a hundred readers that was half of all the work. So this
// program keeps up to kKeptBytes that it does not use.
static void keep_freed_memory() {
  constexpr int kKeptBytes = 256 << 20;
  constexpr int kMappedBytesMin = 32 << 20;  // larger pieces come from the kernel and go back to it
  mallopt(M_MMAP_THRESHOLD, kMappedBytesMin);
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
}

int main(int argc, char** argv) {
  keep_freed_memory();
  CLI::App app("Reel: a replicated transaction log, and the seeded world that tests it", "reel");
  app.footer(
      "Example: reel up, then in another terminal: echo hello | reel append --token-file reel-data/token …\n"
      "Each command explains itself: reel append --help");
  app.set_version_flag("--version", "reel 0.1.0");
  reel::harness::Run run;
  reel::harness::add_up(app, run);
  reel::harness::add_node(app, run);
  reel::harness::add_status(app, run);
  reel::harness::add_append(app, run);
  reel::harness::add_submit(app, run);
  reel::harness::add_resolve(app, run);
  reel::harness::add_lookup(app, run);
  reel::harness::add_feed(app, run);
  reel::harness::add_admin(app, run);
  reel::harness::add_disk(app, run);
  reel::harness::add_sim(app, run);
  reel::harness::add_replay(app, run);
  reel::harness::add_trace(app, run);
  reel::harness::add_check(app, run);
  reel::harness::add_shrink(app, run);
  reel::harness::add_bench(app, run);
  app.require_subcommand(1);
  return reel::harness::run_command_line(app, run, argc, argv);
}
