#include <fmt/core.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "harness/command/command.h"
#include "harness/command/connect_flags.h"
#include "harness/insistent_call.h"
#include "harness/session_text.h"

namespace reel::harness {
namespace {

struct ResolveFlags {
  ConnectFlags connect;
  std::uint32_t partition = 0;
  std::string session;
  std::uint64_t sequence = 0;
  std::uint64_t opened = 0;
  std::uint32_t patience_s = 60;
  bool no_burn = false;
  bool json = false;
};

[[noreturn]] void refuse_error(const CallError& error, const std::string& what) {
  if (error.code == ErrorCode::expired) {
    refuse(what + " has expired, its outcome is forgotten: look for it with `reel feed`");
  }
  refuse("the cluster refused (" + std::string(name_of(error.code)) + "): " + error.text);
}

void print(const ResolveResult& result, const ResolveFlags& flags, const SessionId& session) {
  if (flags.json) {
    nlohmann::ordered_json object{{"session", text_of(session)},
                                  {"sequence", flags.sequence},
                                  {"burned", result.outcome() == ResolveOutcome::burned}};
    if (flags.no_burn) object["undecided"] = result.undecided;
    object["id"] = result.committed ? nlohmann::ordered_json(result.committed->id.value) : nullptr;
    object["time"] = result.committed ? nlohmann::ordered_json(result.committed->time) : nullptr;
    fmt::print("{}\n", object.dump());
  } else if (result.committed) {
    fmt::print("committed as {} at {}\n", result.committed->id.value, result.committed->time);
  } else if (result.undecided) {
    fmt::print("undecided: it may commit at any time; without --no-burn it never will\n");
  } else {
    fmt::print("burned: it never commits\n");
  }
}

Exit resolve(const ResolveFlags& flags) {
  const auto session = parse_session(flags.session);
  if (!session) {
    misuse("--session is '" + shown(flags.session) +
           "', which is neither 32 hexadecimal digits, as `reel append --json` prints them, nor HIGH:LOW");
  }
  if (flags.sequence < 1 || flags.sequence > kSequenceMax) misuse("--sequence must be from 1 to 2^62");
  real::Loop::capture_stop_signals();
  real::Loop loop;
  RealClient client(loop, flags.connect);
  loop.on_stop_signal([&](int) { loop.stop(); });
  const std::string what = "sequence " + std::to_string(flags.sequence) + " of session " + text_of(*session);
  const ResolveCall call{GroupId(flags.partition + 1), *session, Index(flags.opened),
                         Sequence(flags.sequence), !flags.no_burn};
  const ClientReply reply =
      insist(loop, client, call, io::seconds(flags.patience_s),
             what + (flags.no_burn ? " is not known" : " may be burned or not, repeat this command"));
  if (const auto* error = std::get_if<CallError>(&reply)) refuse_error(*error, what);
  const auto* result = std::get_if<ResolveResult>(&reply);
  if (result == nullptr) refuse("the node answered with something else: check its version");
  print(*result, flags, *session);
  return Exit::ok;
}

}  // namespace

void add_resolve(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "resolve",
      "Say what became of one appended transaction: committed as which id and when, or burned.\n"
      "One that is neither yet is burned by asking: it never commits, however late a copy of it comes");
  command->footer(
      "Example: reel resolve --session 0f8e2c5a9b7d41630f8e2c5a9b7d4163 --sequence 1 --token-file "
      "reel-data/token");
  auto flags = std::make_shared<ResolveFlags>();
  add_connect_flags(*command, flags->connect);
  command->add_option("--partition", flags->partition, "partition of the log")->capture_default_str();
  command->add_option("--session", flags->session, "the append session: 32 hexadecimal digits, or HIGH:LOW")
      ->required();
  command->add_option("--sequence", flags->sequence, "the transaction's number in its session, from 1")
      ->required();
  command->add_option("--opened", flags->opened, "as `reel append` printed it for the session, else 0")
      ->capture_default_str();
  command
      ->add_option("--patience", flags->patience_s,
                   "give up when there is no answer for so many seconds; 0: never")
      ->capture_default_str();
  command->add_flag("--no-burn", flags->no_burn, "only look: leave it undecided if it is");
  command->add_flag("--json", flags->json, "one JSON object");
  command->callback([flags, &run] { run = [flags] { return resolve(*flags); }; });
}

}  // namespace reel::harness
