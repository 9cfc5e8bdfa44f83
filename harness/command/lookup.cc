#include <memory>
#include <optional>

#include "harness/command/command.h"
#include "harness/command/connect_flags.h"
#include "harness/command/feed_output.h"
#include "harness/random_bits.h"
#include "io/wire/codec.h"
#include "node/client/client.h"

namespace reel::harness {
namespace {

struct LookupFlags {
  ConnectFlags connect;
  std::uint32_t partition = 0;
  std::uint64_t id = 0;
  std::uint32_t patience_s = 60;
  bool json = false;
};

using Found = std::expected<std::optional<CommittedRecord>, CallError>;

Found found_by(real::Loop& loop, RealClient& client, const LookupFlags& flags) {
  client::ClientOptions options;
  options.nodes = client.everyone();
  options.entropy = {random_bits(), random_bits()};
  client::Client looking(client.ports(), wire::kClientCallCodec, options);
  client.attach(looking);
  std::optional<Found> found;
  const io::Duration patience = io::seconds(flags.patience_s == 0 ? 1'000'000'000 : flags.patience_s);
  looking.lookup(GroupId(flags.partition + 1), TxnId(flags.id), patience, [&](Found answer) {
    found = std::move(answer);
    loop.stop();
  });
  looking.on_start();
  loop.run();
  if (!found) refuse("interrupted before there was an answer");
  return *found;
}

Exit lookup(const LookupFlags& flags) {
  real::Loop::capture_stop_signals();
  real::Loop loop;
  RealClient client(loop, flags.connect);
  loop.on_stop_signal([&](int) { loop.stop(); });
  const Found found = found_by(loop, client, flags);
  if (!found && found.error().code == ErrorCode::deadline_exceeded) {
    refuse("no answer for " + std::to_string(flags.patience_s) +
           " s: see `reel status`; is a majority of the nodes up?");
  }
  if (!found)
    refuse(std::string("the cluster refused (") + name_of(found.error().code) + "): " + found.error().text);
  if (!*found) refuse("there is no transaction " + std::to_string(flags.id) + " yet");
  const CommittedRecord& record = **found;
  const auto parsed = log::parse_record(record.record.span());
  if (!parsed) refuse("the node answered with something else: check its version");
  const log::Transaction transaction{record.id, record.time, record.session, record.sequence, *parsed};
  FeedOutput out(flags.json);
  out.add(transaction);
  if (!out.write_out() && !out.error().empty()) refuse(out.error());
  return Exit::ok;
}

}  // namespace

void add_lookup(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("lookup", "Print one committed transaction");
  command->footer("Example: reel lookup --id 41 --json --token-file reel-data/token");
  auto flags = std::make_shared<LookupFlags>();
  add_connect_flags(*command, flags->connect);
  command->add_option("--partition", flags->partition, "partition of the log")->capture_default_str();
  command->add_option("--id", flags->id, "its id")->required();
  command
      ->add_option("--patience", flags->patience_s,
                   "give up when there is no answer for so many seconds; 0: never")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "one JSON object, as `reel feed --json` prints it");
  command->callback([flags, &run] { run = [flags] { return lookup(*flags); }; });
}

}  // namespace reel::harness
