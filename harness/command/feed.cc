#include <csignal>
#include <memory>
#include <optional>
#include <set>

#include "harness/command/command.h"
#include "harness/command/connect_flags.h"
#include "harness/command/feed_group.h"
#include "harness/command/feed_output.h"
#include "io/wire/codec.h"
#include "node/client/driver.h"
#include "node/cluster/commands.h"

namespace reel::harness {
namespace {

struct FeedFlags {
  ConnectFlags connect;
  std::uint32_t partition = 0;
  std::uint64_t from = 0;
  std::uint64_t from_time = 0;
  std::uint32_t header_mask = 0;
  std::uint32_t header_value = 0;
  std::optional<std::string> lock;
  std::uint64_t limit = 0;
  std::uint32_t patience_s = 60;
  bool follow = false;
  bool json = false;
  GroupFeedFlags group;
};

constexpr io::Duration kLookAgain = io::milliseconds(500);
// How long the leader is looked for before the end of the log is what the nodes that are read know of it.
constexpr io::Duration kLeaderPatience = io::seconds(1);

// Prints the log of the nodes that --connect names. Followers learn a little later what is committed; so that a reader
// finds what somebody has just appended, the end of the log is asked of the leader, wherever it is.
class FeedHost final : public client::Driver {
 public:
  FeedHost(real::Loop& loop, RealClient& client, const FeedFlags& flags)
      : Driver(client.ports(), wire::kClientCallCodec), loop_(loop), flags_(flags), out_(flags.json) {
    client::ReaderOptions options;
    options.nodes = client.nodes();
    options.group = GroupId(flags.partition + 1);
    options.from = TxnId(flags.from);
    options.from_time = flags.from_time;
    options.filter.header_mask = flags.header_mask;
    options.filter.header_value = flags.header_value;
    if (flags.lock) options.filter.lock = log::lock_key(*flags.lock, client.cluster().value);
    options.wait = flags.follow ? io::seconds(10) : io::Duration{0};
    open_reader(options);
    client.attach(*this);
    started_ = last_news_ = ports().clock.now().monotonic;
    if (flags.follow) return;
    for (const NodeId node : client.everyone())
      questions_.insert(call(node, HighWaterCall{options.group, true}));
    set_alarm(started_ + kLookAgain);
  }

  void on_other_reply(io::CallId call, const ClientReply* reply) override {
    if (questions_.erase(call) == 0 || end_) return;
    const auto* answer = reply == nullptr ? nullptr : std::get_if<HighWaterResult>(reply);
    if (answer != nullptr) {
      end_ = answer->high_water;
    } else if (questions_.empty()) {
      end_ = TxnId(0);  // nobody leads
    }
  }

  void on_alarm() override {
    const io::Instant now = ports().clock.now().monotonic;
    set_alarm(now + kLookAgain);
    if (!end_ && now - started_ >= kLeaderPatience) end_ = TxnId(0);
    if (flags_.patience_s == 0 || now - last_news_ < io::seconds(flags_.patience_s)) return;
    const client::Reader& reader = *readers().front();
    error_ = "no transaction came for " + std::to_string(flags_.patience_s) + " s";
    error_ += end_ && reader.next() < *end_
                  ? ", though the leader has " + std::to_string(*end_ - reader.next()) + " more"
                  : " and no word that the log ends here";
    error_ += ": see `reel status`";
    loop_.stop();
  }

  void on_transaction(const log::Transaction& transaction) override {
    if (done_) return;
    out_.add(transaction);
    if (flags_.limit != 0 && out_.count() >= flags_.limit) finish();
  }

  void on_progress() override {
    if (!write_out()) return;
    const client::Reader& reader = *readers().front();
    if (reader.failure()) {
      error_ = *reader.failure();
      return loop_.stop();
    }
    if (reader.next() != position_) last_news_ = ports().clock.now().monotonic;
    position_ = reader.next();
    if (!flags_.follow && end_ && reader.caught_up() && reader.next() >= *end_) finish();
  }

  Exit report() {
    write_out();
    if (!error_.empty()) refuse(error_);
    return Exit::ok;
  }

 private:
  void finish() {
    done_ = true;
    loop_.stop();
  }
  bool write_out() {
    if (out_.write_out()) return true;
    error_ = out_.error();
    finish();
    return false;
  }

  real::Loop& loop_;
  FeedFlags flags_;
  FeedOutput out_;
  std::string error_;
  bool done_ = false;
  std::set<io::CallId> questions_;  // for the end of the log
  std::optional<TxnId> end_;        // read at least up to here; 0 if nobody could tell
  io::Instant started_;
  TxnId position_;  // how far it has come; with a filter, also past what it does not print
  io::Instant last_news_;
};

// Of a group, where to read and from where on is the cluster's to say.
void check_group(const FeedFlags& flags, const CLI::App& command) {
  for (const char* other :
       {"--partition", "--from", "--from-time", "--header-mask", "--header-value", "--lock", "--patience"}) {
    if (command.count(other) > 0) misuse(std::string(other) + " is not for --group: leave one of them out");
  }
  if (!cluster::is_reader_group_name(flags.group.name)) {
    misuse("--group is '" + shown(flags.group.name) + "': use letters, digits and . _ - : /");
  }
}

Exit feed(const FeedFlags& flags) {
  if ((flags.header_value & ~flags.header_mask) != 0) {
    misuse(
        "--header-value has bits that --header-mask does not have, so nothing can match: correct one of "
        "them");
  }
  real::Loop::capture_stop_signals();
  std::signal(SIGPIPE, SIG_IGN);
  real::Loop loop;
  RealClient client(loop, flags.connect);
  if (!flags.group.name.empty()) return feed_group(loop, client, flags.group);
  FeedHost host(loop, client, flags);
  loop.on_stop_signal([&](int) { loop.stop(); });
  host.on_start();
  loop.run();
  return host.report();
}

}  // namespace

void add_feed(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("feed", "Print committed transactions in order, one per line");
  command->footer(
      "Example: reel feed --from 0 --token-file reel-data/token\n"
      "         reel feed --from 100 --follow --json --token-file reel-data/token\n"
      "         reel feed --header-mask 0xff --header-value 7 --token-file reel-data/token\n"
      "         reel feed --lock account/17 --from-time 1700000000000000000 --token-file reel-data/token\n"
      "         reel feed --group billing --follow --json --token-file reel-data/token");
  auto flags = std::make_shared<FeedFlags>();
  add_connect_flags(*command, flags->connect);
  command->add_option("--partition", flags->partition, "partition of the log")->capture_default_str();
  command->add_option("--from", flags->from, "first transaction id")->capture_default_str();
  command->add_option("--from-time", flags->from_time,
                      "first commit time, in nanoseconds since 1970; with --from, both hold");
  command->add_option("--header-mask", flags->header_mask,
                      "only those whose header has, in the bits of this mask, --header-value; 0: all");
  command->add_option("--header-value", flags->header_value, "see --header-mask")->capture_default_str();
  command->add_option("--lock", flags->lock, "only those with a write, read or append lock on this key");
  command->add_option("--limit", flags->limit, "stop after so many; 0: no limit")->capture_default_str();
  command->add_flag("--follow", flags->follow, "wait for more at the end of the log");
  command
      ->add_option("--patience", flags->patience_s,
                   "without --follow: give up when nothing comes for so many seconds; "
                   "0: never")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "one JSON object per transaction");
  command->add_option(
      "--group", flags->group.name,
      "be a member of this reader group: read the partitions that are given to it, from where the "
      "group stands; what is printed is done with");
  command
      ->add_option("--member-patience", flags->group.patience_ms,
                   "with --group: milliseconds without a word after which a member's partitions go to others")
      ->check(CLI::Range(100u, 3'600'000u))
      ->capture_default_str();
  command->callback([flags, command, &run] {
    flags->group.limit = flags->limit;
    flags->group.follow = flags->follow;
    flags->group.json = flags->json;
    run = [flags, command] {
      if (command->count("--group") > 0) check_group(*flags, *command);
      return feed(*flags);
    };
  });
}

}  // namespace reel::harness
