#include "harness/command/command.h"

#include <cstdio>
#include <exception>

namespace reel::harness {

int run_command_line(CLI::App& app, Run& run, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    return app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "reel: %s; see `%s --help`\n", error.what(), app.get_name().c_str());
    return static_cast<int>(Exit::usage);
  }
  try {
    return static_cast<int>(run());
  } catch (const CommandError& error) {
    std::fprintf(stderr, "reel: %s\n", error.text.c_str());
    return static_cast<int>(error.code);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reel: unexpected: %s\n", error.what());
    return static_cast<int>(Exit::finding);
  }
}

}  // namespace reel::harness
