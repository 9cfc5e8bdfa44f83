#include "harness/command/admin.h"

namespace reel::harness {

void add_admin(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("admin", "What operators ask of a cluster");
  command->footer(
      "Example: reel admin partition list --token-file reel-data/token\n"
      "         reel admin group describe billing --token-file reel-data/token");
  command->require_subcommand(1);
  add_admin_partition(*command, run);
  add_admin_group(*command, run);
}

}  // namespace reel::harness
