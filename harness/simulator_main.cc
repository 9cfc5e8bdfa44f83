// reel-sim: the simulator alone. It needs no Cap'n Proto and no liburing, so builds with a planted bug stay cheap.
#include "harness/command/command.h"

int main(int argc, char** argv) {
  CLI::App app("Reel's simulator: seeded runs of a whole cluster under faults", "reel-sim");
  reel::harness::Run run;
  reel::harness::add_sim(app, run);
  reel::harness::add_replay(app, run);
  reel::harness::add_trace(app, run);
  reel::harness::add_shrink(app, run);
  app.require_subcommand(1);
  return reel::harness::run_command_line(app, run, argc, argv);
}
