#include "harness/command/command.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <string_view>

namespace reel::harness {
namespace {

// CLI11 takes "-1" and what is too large for the largest number.
void check_numbers(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_type_name() != "UINT") continue;
    option->check(CLI::Validator(
        [](const std::string& text) {
          std::uint64_t number = 0;
          const bool hex = text.starts_with("0x");  // masks are easier to read so
          const char* digits = text.data() + (hex ? 2 : 0);
          const auto [end, error] = std::from_chars(digits, text.data() + text.size(), number, hex ? 16 : 10);
          const bool good = error == std::errc() && end == text.data() + text.size();
          return good ? std::string() : "'" + text + "' is not a whole number from 0 to 2^64 - 1";
        },
        ""));
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) check_numbers(*command);
}

// How far the words name commands, and the first word that does not.
struct Reached {
  const CLI::App* command;
  std::string name;
  std::string_view next;
};
Reached reached_by(const CLI::App& app, int argc, char** argv) {
  Reached reached{&app, app.get_name(), {}};
  for (int i = 1; i < argc; ++i) {
    const auto named = reached.command->get_subcommands(
        [word = std::string_view(argv[i])](const CLI::App* command) { return command->get_name() == word; });
    if (named.empty()) {
      reached.next = argv[i];
      break;
    }
    reached.command = named.front();
    reached.name += " " + reached.command->get_name();
  }
  return reached;
}

std::string what_is_wrong(const CLI::ParseError& error, const Reached& reached) {
  std::string text = error.what();
  const bool wants_command = reached.command->get_require_subcommand_min() > 0;
  if (wants_command && reached.next.empty()) {
    text = "`" + reached.name + "` needs a command";
  } else if (wants_command) {
    text = "`" + reached.name + "` knows no " + (reached.next.starts_with("-") ? "flag" : "command") + " '" +
           std::string(reached.next) + "'";
  } else if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::size_t colon = text.rfind(": ");
    if (colon != std::string::npos) text = "`" + reached.name + "` does not know " + text.substr(colon + 2);
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

std::uint32_t processes_of(std::uint32_t jobs) {
  return jobs != 0 ? jobs : static_cast<std::uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

int run_command_line(CLI::App& app, Run& run, int argc, char** argv) {
  check_numbers(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    return app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    const Reached reached = reached_by(app, argc, argv);
    std::fprintf(stderr, "reel: %s; see `%s --help`\n", what_is_wrong(error, reached).c_str(),
                 reached.name.c_str());
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
