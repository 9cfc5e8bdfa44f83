#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <tuple>

#include "harness/command/command.h"
#include "harness/command/connect_flags.h"
#include "harness/insistent_call.h"
#include "harness/random_bits.h"
#include "harness/session_text.h"
#include "io/wire/codec.h"
#include "node/client/driver.h"

namespace reel::harness {
namespace {

constexpr io::Duration kLookAgain = io::milliseconds(500);
// A node that is no leader any more may not know a session's newest sequences; not for so long.
constexpr std::chrono::seconds kHolePatience{3};
// Refusals that the report lists; all are counted.
constexpr std::size_t kRefusalsListedMax = 10'000;

struct AppendFlags {
  ConnectFlags connect;
  std::uint32_t partition = 0;
  std::uint32_t header = 0;
  std::vector<std::string> write_keys;
  std::vector<std::string> read_keys;
  std::vector<std::string> append_keys;
  std::uint64_t based_on = 0;
  bool has_based_on = false;
  std::string session;
  std::uint64_t opened = 0;
  std::uint64_t first_sequence = 1;
  std::uint32_t outstanding = 4096;
  std::uint32_t patience_s = 60;
  bool json = false;
};

// Reads standard input on a thread of its own, in blocks, at most `kBlocksMax` ahead of the loop.
class InputReader {
 public:
  explicit InputReader(real::Loop& loop, std::function<void(std::string, bool, int)> block)
      : mailbox_(loop.mailbox()), block_(std::move(block)), thread_([this] { run(); }) {
    thread_.detach();  // it may block in read(2) for ever; the process ends without it
  }
  void taken() {
    std::lock_guard lock(state_->mutex);
    --state_->ahead;
    state_->room.notify_one();
  }

 private:
  static constexpr std::size_t kBlockBytes = 1u << 18;
  static constexpr int kBlocksMax = 8;
  struct State {
    std::mutex mutex;
    std::condition_variable room;
    int ahead = 0;
  };

  void run() {
    const std::shared_ptr<State> state = state_;
    const auto block = block_;
    const auto mailbox = mailbox_;
    while (true) {
      {
        std::unique_lock lock(state->mutex);
        state->room.wait(lock, [&] { return state->ahead < kBlocksMax; });
        ++state->ahead;
      }
      std::string bytes(kBlockBytes, '\0');
      ssize_t got = 0;
      do {
        got = read(STDIN_FILENO, bytes.data(), bytes.size());
      } while (got < 0 && errno == EINTR);
      const int error = got < 0 ? errno : 0;
      bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
      const bool end = got <= 0;
      mailbox->post(
          [block, end, error, moved = std::move(bytes)]() mutable { block(std::move(moved), end, error); });
      if (end) return;
    }
  }

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::shared_ptr<real::Mailbox> mailbox_;
  std::function<void(std::string, bool, int)> block_;
  std::thread thread_;
};

SessionId draw_session() {
  const std::uint64_t high = random_bits();
  return {high, random_bits()};
}

struct Session {
  SessionId id;
  Index opened;
  bool drawn = false;  // by this program: nobody used it before
};

// What the nodes were asked before the first line is read.
struct Prospect {
  Session session;
  NodeId leader;  // 0: unknown
};

// Any node's word is good: an index that it has applied, and a hint at the leader.
Prospect look_ahead(real::Loop& loop, RealClient& client, const AppendFlags& flags) {
  Prospect prospect;
  const GroupId group(flags.partition + 1);
  const ClientReply reply =
      insist(loop, client, StatusCall{}, io::seconds(flags.patience_s), "nothing was committed");
  if (const auto* status = std::get_if<StatusResult>(&reply)) {
    for (const GroupStatus& one : status->groups) {
      if (one.group != group) continue;
      prospect.leader = one.leader;
      prospect.session.opened = one.applied;
    }
  }
  if (flags.session.empty()) {
    prospect.session.id = draw_session();
    prospect.session.drawn = true;
  } else {
    prospect.session = {*parse_session(flags.session), Index(flags.opened), false};
  }
  return prospect;
}

// An id that is not committed can not have been applied. (A node would wait until it knows more; that can be never.)
void check_based_on(real::Loop& loop, RealClient& client, const AppendFlags& flags) {
  if (!flags.has_based_on) return;
  const HighWaterCall call{GroupId(flags.partition + 1), true};
  const ClientReply reply =
      insist(loop, client, call, io::seconds(flags.patience_s), "nothing was committed");
  if (const auto* error = std::get_if<CallError>(&reply)) {
    refuse("the cluster refused (" + std::string(name_of(error->code)) + "): " + error->text);
  }
  const auto* high_water = std::get_if<HighWaterResult>(&reply);
  if (high_water == nullptr || flags.based_on < high_water->high_water.value) return;
  const std::string end = high_water->high_water.value == 0
                              ? "is empty"
                              : "ends with " + std::to_string(high_water->high_water.value - 1);
  refuse("--based-on " + std::to_string(flags.based_on) + " is not in the log, which " + end +
         ": give the highest id that was applied; nothing was committed");
}

// The lock keys of each line, as the user wrote them and as they travel.
class Locks {
 public:
  Locks(const AppendFlags& flags, io::ClusterId cluster) {
    for (const auto& [keys, hashes, mode] :
         {std::tuple{&flags.write_keys, &write_, "write"}, std::tuple{&flags.read_keys, &read_, "read"},
          std::tuple{&flags.append_keys, &append_, "append"}}) {
      for (const std::string& key : *keys) {
        hashes->push_back(log::lock_key(key, cluster.value));
        named_.push_back({mode, key});
      }
    }
  }
  void set(log::TransactionInput& input) const {
    input.write_locks = write_;
    input.read_locks = read_;
    input.append_locks = append_;
  }
  // Only these can be refused.
  bool any_checked() const { return !write_.empty() || !read_.empty(); }

  struct Named {
    std::string mode;
    std::string key;
  };
  // By its number, as refusals have it.
  Named at(std::uint32_t number) const { return number < named_.size() ? named_[number] : Named{"?", "?"}; }

 private:
  std::vector<log::LockKey> write_;
  std::vector<log::LockKey> read_;
  std::vector<log::LockKey> append_;
  std::vector<Named> named_;
};

class AppendHost final : public client::Driver {
 public:
  AppendHost(real::Loop& loop, RealClient& client, const AppendFlags& flags, const Prospect& prospect)
      : Driver(client.ports(), wire::kClientCallCodec),
        loop_(loop),
        flags_(flags),
        locks_(flags, client.cluster()),
        session_(prospect.session) {
    client::AppenderOptions options;
    options.nodes = client.everyone();
    std::stable_partition(options.nodes.begin(), options.nodes.end(),
                          [&](NodeId node) { return node == prospect.leader; });
    options.group = GroupId(flags.partition + 1);
    options.outstanding_max = flags.outstanding;
    options.session = session_.id;
    options.opened = session_.opened;
    options.first = Sequence(flags.first_sequence);
    options.ordered = !locks_.any_checked();
    options.seed = random_bits();
    open_appender(options);
    client.attach(*this);
    reader_ = std::make_unique<InputReader>(loop, [this](std::string bytes, bool end, int error) {
      blocks_.push_back({std::move(bytes), end, error});
      feed();
      flush();
    });
    last_answer_ = waiting_since_ = started_ = std::chrono::steady_clock::now();
    set_alarm(ports().clock.now().monotonic + kLookAgain);
  }

  void on_committed(const std::vector<CommittedRun>& runs) override {
    const auto now = std::chrono::steady_clock::now();
    if (answered_ > 0) gap_ = std::max(gap_, now - last_answer_);
    last_answer_ = waiting_since_ = now;
    for (const CommittedRun& run : runs) {
      const TxnId last = run.id + (run.count - 1);
      first_ = answered_ == 0 ? run.id : std::min(first_, run.id);
      last_ = answered_ == 0 ? last : std::max(last_, last);
      answered_ += run.count;
    }
    show_progress(false);
  }

  void on_refused(const std::vector<Refusal>& refusals) override {
    waiting_since_ = std::chrono::steady_clock::now();
    refused_ += refusals.size();
    for (const Refusal& refusal : refusals) {
      if (refusals_.size() < kRefusalsListedMax) refusals_.push_back(refusal);
    }
  }

  void on_progress() override {
    if (appender()->failure()) {
      const CallError& failure = *appender()->failure();
      if (failure.code == ErrorCode::expired && session_.drawn && appender()->untouched()) {
        session_ = {draw_session(), Index(failure.limit), true};
        appender()->begin_again(session_.id, session_.opened);
      } else {
        error_ = failure.code == ErrorCode::expired
                     ? expired()
                     : std::string("the cluster refused (") + name_of(failure.code) + "): " + failure.text;
        return loop_.stop();
      }
    }
    feed();
  }

  // Nothing may be waiting for an answer for longer than the user's patience.
  void on_alarm() override {
    const auto now = std::chrono::steady_clock::now();
    set_alarm(ports().clock.now().monotonic + kLookAgain);
    if (appender()->outstanding() == 0) waiting_since_ = now;
    if (now - waiting_since_ >= kHolePatience && stands_behind_a_hole()) return loop_.stop();
    if (flags_.patience_s == 0 || now - waiting_since_ < std::chrono::seconds(flags_.patience_s)) return;
    error_ = "the cluster committed nothing for " + std::to_string(flags_.patience_s) +
             " s: see `reel status`; is a majority of its nodes up?";
    loop_.stop();
  }

  // Ctrl-C: what was sent is waited for, so that its outcome is known; a second one ends at once.
  void interrupt() {
    const bool again = !error_.empty();
    stop_reading("interrupted");
    if (again) loop_.stop();
  }

  Exit report() {
    show_progress(true);
    if (!error_.empty()) refuse(error_ + told());
    if (flags_.json) {
      // A key may be any bytes; JSON carries text.
      fmt::print("{}\n", json().dump(-1, ' ', false, Json::error_handler_t::replace));
    } else if (answered_ > 0) {
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
      fmt::print("appended {} transactions as {}..{} in {:.2f} s\n", answered_, first_.value, last_.value,
                 seconds);
    } else if (refused_ == 0) {
      fmt::print("nothing to append\n");
    }
    if (refused_ > 0) refuse(refused());
    return Exit::ok;
  }

 private:
  using Json = nlohmann::ordered_json;

  Json json() {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    Json object;
    object["session"] = text_of(session_.id);
    object["opened"] = session_.opened.value;
    object["first_sequence"] = lines_ > 0 ? Json(flags_.first_sequence) : Json();
    object["last_sequence"] = lines_ > 0 ? Json(appender()->last_submitted().value) : Json();
    object["first"] = answered_ > 0 ? Json(first_.value) : Json();
    object["last"] = answered_ > 0 ? Json(last_.value) : Json();
    object["count"] = answered_;
    object["bytes"] = bytes_;
    object["seconds"] = seconds;
    object["gap_ms_max"] = std::chrono::duration<double, std::milli>(gap_).count();
    object["retries"] = appender()->retries();
    object["refused"] = refused_;
    object["refusals"] = Json::array();
    for (const Refusal& refusal : refusals_) object["refusals"].push_back(json_of(refusal));
    return object;
  }

  Json json_of(const Refusal& refusal) const {
    Json object{{"sequence", refusal.sequence.value}, {"reason", name_of(refusal.code)}};
    if (refusal.code == RefusalCode::conflict) {
      const Locks::Named lock = locks_.at(refusal.lock);
      object["lock"] = lock.mode;
      object["key"] = lock.key;
      object["id"] = refusal.id.value;
    } else if (refusal.code == RefusalCode::stale) {
      object["floor"] = refusal.id.value;
    }
    return object;
  }

  // What was refused, in one line: the first of them, and how many.
  std::string refused() const {
    const std::string many =
        lines_ == 1 ? "" : std::to_string(refused_) + " of " + std::to_string(lines_) + " were refused; ";
    return many + "line " + std::to_string(line_of(refusals_.front().sequence)) + " " +
           why(refusals_.front());
  }

  std::string why(const Refusal& refusal) const {
    const std::string id = std::to_string(refusal.id.value);
    const std::string based =
        flags_.has_based_on ? "based on " + std::to_string(flags_.based_on) : "based on nothing";
    switch (refusal.code) {
      case RefusalCode::conflict: {
        const Locks::Named lock = locks_.at(refusal.lock);
        return "conflicts: transaction " + id + " changed the key '" + shown(lock.key) + "' of its " +
               lock.mode + " lock, and it is " + based + ": apply the feed up to " + id +
               ", and append what follows from that with its --based-on";
      }
      case RefusalCode::stale:
        return "is stale: it is " + based + ", and which keys were changed before transaction " + id +
               " is forgotten: apply the feed, and append what follows from that with its --based-on";
      case RefusalCode::burned: break;
    }
    return "is burned: sequence " + std::to_string(refusal.sequence.value) +
           " was resolved and never commits: append it under another sequence";
  }

  std::uint64_t line_of(Sequence sequence) const { return sequence.value - flags_.first_sequence + 1; }

  // By which flags this session is gone on with.
  std::string session_flags() const {
    std::string text = "--session " + text_of(session_.id);
    if (session_.opened.value != 0) text += " --opened " + std::to_string(session_.opened.value);
    return text;
  }

  std::string expired() {
    return "session " + text_of(session_.id) + " has expired: the outcome of sequences " +
           std::to_string(appender()->first_unanswered().value) + ".." +
           std::to_string(appender()->last_submitted().value) +
           " is unknown and forgotten; look for them with `reel feed`, and append what is missing in a new "
           "session";
  }

  // An ordered session takes nothing behind sequences that it does not have, and nobody here can fill that hole.
  bool stands_behind_a_hole() {
    const auto& hindrance = appender()->hindrance();
    if (!hindrance || hindrance->code != ErrorCode::out_of_order ||
        hindrance->limit >= flags_.first_sequence) {
      return false;
    }
    error_ = "session " + text_of(session_.id) + " goes on with sequence " +
             std::to_string(hindrance->limit) + ", not with " + std::to_string(flags_.first_sequence) +
             ": correct --first-sequence";
    return true;
  }

  // What is certain when the command ends early, and how to go on.
  std::string told() {
    std::string text = answered_ == 0
                           ? "; nothing was committed"
                           : "; " + std::to_string(answered_) + " transactions were committed as " +
                                 std::to_string(first_.value) + ".." + std::to_string(last_.value);
    if (refused_ > 0) text += ", " + std::to_string(refused_) + " were refused";
    const bool forgotten = appender()->failure() && appender()->failure()->code == ErrorCode::expired;
    if (appender()->outstanding() == 0 || appender()->untouched() || forgotten) return text;
    const Sequence first = appender()->first_unanswered();
    return text + ", of " + std::to_string(appender()->outstanding()) +
           " more it is not known: repeat from line " + std::to_string(line_of(first)) + " on with " +
           session_flags() + " --first-sequence " + std::to_string(first.value);
  }

  struct Block {
    std::string bytes;
    bool end = false;
    int error = 0;
  };

  // Submits what there is while the window has room; ends when all of it is answered.
  void feed() {
    if (!ended_) submit_lines();
    if (ended_ && appender()->outstanding() == 0) loop_.stop();
  }

  // Complete lines, and at the end of the input a last one without a newline.
  void submit_lines() {
    while (!ended_) {
      const std::size_t newline = pending_.find('\n', at_);
      if (newline != std::string::npos) {
        if (!submit(newline)) return;
        at_ = newline + 1;
        continue;
      }
      pending_.erase(0, at_);
      at_ = 0;
      if (pending_.size() > kTransactionBytesMax) return line_too_long();
      if (input_ended_) {
        if (!pending_.empty() && !submit(pending_.size())) return;
        ended_ = true;
      } else if (blocks_.empty()) {
        return;
      } else {
        take_block();
      }
    }
  }

  void take_block() {
    Block block = std::move(blocks_.front());
    blocks_.pop_front();
    reader_->taken();
    pending_ += block.bytes;
    input_ended_ = block.end;
    if (block.error != 0)
      stop_reading(std::string("reading the input failed (") + std::strerror(block.error) + ")");
  }

  bool submit(std::size_t end) {
    if (!appender()->can_submit()) return false;
    const std::size_t size = end - at_;
    if (size > kTransactionBytesMax) {
      line_too_long();
      return false;
    }
    log::TransactionInput input;
    input.header = flags_.header;
    locks_.set(input);
    if (flags_.has_based_on) input.based_on = TxnId(flags_.based_on);
    input.data = std::as_bytes(std::span(pending_.data() + at_, size));
    appender()->submit(input);
    ++lines_;
    bytes_ += size;
    return true;
  }

  void line_too_long() {
    stop_reading("line " + std::to_string(lines_ + 1) + " is longer than the limit of " +
                 std::to_string(kTransactionBytesMax) + " bytes, nothing from it on was sent: split it");
  }

  // The command will fail, when everything that was submitted before is answered.
  void stop_reading(std::string why) {
    if (error_.empty()) error_ = std::move(why);
    ended_ = true;
    if (appender()->outstanding() == 0) loop_.stop();
  }

  void show_progress(bool last) {
    if (isatty(STDERR_FILENO) == 0) return;
    const auto now = std::chrono::steady_clock::now();
    if (!last && now - shown_ < std::chrono::milliseconds(200)) return;
    shown_ = now;
    const double seconds = std::chrono::duration<double>(now - started_).count();
    fmt::print(stderr, "\r{} transactions, {:.1f} MB, {:.0f}/s   {}", answered_,
               static_cast<double>(bytes_) / 1e6, static_cast<double>(answered_) / std::max(seconds, 1e-3),
               last ? "\n" : "");
    std::fflush(stderr);
  }

  real::Loop& loop_;
  AppendFlags flags_;
  Locks locks_;
  Session session_;
  std::unique_ptr<InputReader> reader_;
  std::deque<Block> blocks_;
  std::string pending_;
  std::size_t at_ = 0;
  bool input_ended_ = false;
  bool ended_ = false;
  std::string error_;
  std::uint64_t lines_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t answered_ = 0;
  TxnId first_;
  TxnId last_;
  std::uint64_t refused_ = 0;
  std::vector<Refusal> refusals_;  // the first kRefusalsListedMax
  std::chrono::steady_clock::time_point started_, last_answer_, waiting_since_, shown_;
  std::chrono::steady_clock::duration gap_{};
};

void check(const AppendFlags& flags) {
  if (flags.outstanding < 1 || flags.outstanding > log::kSessionWindow / 2) {
    misuse("--outstanding must be from 1 to " + std::to_string(log::kSessionWindow / 2));
  }
  std::size_t locks = 0;
  for (const auto* keys : {&flags.write_keys, &flags.read_keys, &flags.append_keys}) {
    locks += keys->size();
    for (const std::string& key : *keys) {
      if (key.empty()) misuse("a lock's key is empty: name what the transaction changes or depends on");
    }
  }
  if (locks > kTransactionLocksMax) {
    misuse("a transaction has at most " + std::to_string(kTransactionLocksMax) + " locks");
  }
  if (!flags.session.empty() && !parse_session(flags.session)) {
    misuse("--session is '" + shown(flags.session) +
           "', which is neither 32 hexadecimal digits nor HIGH:LOW");
  }
  if (flags.session.empty() && (flags.first_sequence != 1 || flags.opened != 0)) {
    misuse("--first-sequence and --opened are of a session that was used before: give its --session");
  }
  if (flags.first_sequence < 1 || flags.first_sequence > kSequenceMax) {
    misuse("--first-sequence must be from 1 to 2^62");
  }
}

Exit append(const AppendFlags& flags) {
  check(flags);
  real::Loop::capture_stop_signals();
  real::Loop loop;
  RealClient client(loop, flags.connect);
  AppendHost* appending = nullptr;
  loop.on_stop_signal([&](int) { appending == nullptr ? loop.stop() : appending->interrupt(); });
  const Prospect prospect = look_ahead(loop, client, flags);
  check_based_on(loop, client, flags);
  AppendHost host(loop, client, flags, prospect);
  appending = &host;
  host.on_start();
  loop.run();
  return host.report();
}

void add_lock_flags(CLI::App& command, const std::shared_ptr<AppendFlags>& flags) {
  const auto add = [&](const char* name, std::vector<std::string>& keys, const char* what) {
    command.add_option(name, keys, what)->allow_extra_args(false);
  };
  add("--lock-write", flags->write_keys,
      "KEY that each line changes, depending on its value: refused if it was changed since --based-on, by "
      "earlier lines too (repeatable)");
  add("--lock-read", flags->read_keys,
      "KEY that each line depends on: refused if it was changed since --based-on (repeatable)");
  add("--lock-append", flags->append_keys,
      "KEY that each line changes whatever its value: never refused (repeatable)");
  command
      .add_option("--based-on", flags->based_on,
                  "highest transaction id that was applied when the lines were made (default: none)")
      ->each([flags](const std::string&) { flags->has_based_on = true; });
}

void add_session_flags(CLI::App& command, AppendFlags& flags) {
  command.add_option("--session", flags.session,
                     "the append session, 32 hexadecimal digits or HIGH:LOW (default: a new one). Repeat a "
                     "command with its session, first sequence and input, and it happens once");
  command.add_option("--first-sequence", flags.first_sequence, "the first line's number in the session")
      ->capture_default_str();
  command
      .add_option("--opened", flags.opened,
                  "as `reel append` printed it for the session; 0 for one of your own")
      ->capture_default_str();
}

}  // namespace

void add_append(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("append",
                         "Append standard input, one transaction per line, exactly once.\n"
                         "With write or read locks lines are independent: they may commit in another order");
  command->footer(
      "Example: reel append --connect 127.0.0.1:7101 --token-file reel-data/token < lines.txt\n"
      "         echo 'ann -10' | reel append --lock-write account/ann --based-on 41 --token-file "
      "reel-data/token");
  auto flags = std::make_shared<AppendFlags>();
  add_connect_flags(*command, flags->connect);
  command->add_option("--partition", flags->partition, "partition of the log")->capture_default_str();
  command->add_option("--header", flags->header, "the application's own 32 bits of each transaction")
      ->capture_default_str();
  add_lock_flags(*command, flags);
  add_session_flags(*command, *flags);
  command->add_option("--outstanding", flags->outstanding, "transactions without an answer at once")
      ->capture_default_str();
  command
      ->add_option("--patience", flags->patience_s,
                   "give up when nothing is committed for so many seconds; 0: never")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "end with one JSON object");
  command->callback([flags, &run] { run = [flags] { return append(*flags); }; });
}

}  // namespace reel::harness
