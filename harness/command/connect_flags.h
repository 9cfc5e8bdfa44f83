// The flags by which a command finds its cluster.
#pragma once

#include <CLI/CLI.hpp>

#include "harness/real_client.h"

namespace reel::harness {

inline void add_connect_flags(CLI::App& command, ConnectFlags& flags) {
  command.add_option("--connect", flags.connect, "HOST:PORT[,HOST:PORT…] of the cluster's nodes")
      ->capture_default_str();
  command
      .add_option("--token-file", flags.token_file,
                  "file with the cluster's token (default: $REEL_TOKEN_FILE)")
      ->envname("REEL_TOKEN_FILE");
}

}  // namespace reel::harness
