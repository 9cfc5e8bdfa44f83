#include <fmt/core.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "harness/command/command.h"
#include "harness/command/connect_flags.h"
#include "io/wire/codec.h"
#include "node/client/driver.h"

namespace reel::harness {
namespace {

constexpr io::Duration kLookAgain = io::milliseconds(500);

struct AppendFlags {
  ConnectFlags connect;
  std::uint32_t partition = 0;
  std::uint32_t header = 0;
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

class AppendHost final : public client::Driver {
 public:
  AppendHost(real::Loop& loop, RealClient& client, const AppendFlags& flags)
      : Driver(client.ports(), wire::kClientCallCodec), loop_(loop), flags_(flags) {
    client::AppenderOptions options;
    options.nodes = client.everyone();
    options.group = GroupId(flags.partition + 1);
    options.outstanding_max = flags.outstanding;
    std::uint64_t random[3] = {};
    while (getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    }
    options.session = {random[0], random[1]};
    options.seed = random[2];
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
      if (answered_ == 0) first_ = run.id;
      last_ = run.id + (run.count - 1);
      answered_ += run.count;
    }
    show_progress(false);
  }

  void on_progress() override {
    if (appender()->failure()) {
      error_ = std::string("the cluster refused (") + name_of(appender()->failure()->code) +
               "): " + appender()->failure()->text;
      return loop_.stop();
    }
    feed();
  }

  // Nothing may be waiting for an answer for longer than the user's patience.
  void on_alarm() override {
    const auto now = std::chrono::steady_clock::now();
    set_alarm(ports().clock.now().monotonic + kLookAgain);
    if (appender()->outstanding() == 0) waiting_since_ = now;
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
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    const double gap_ms = std::chrono::duration<double, std::milli>(gap_).count();
    if (flags_.json) {
      nlohmann::ordered_json object;
      object["first"] = answered_ > 0 ? nlohmann::ordered_json(first_.value) : nlohmann::ordered_json();
      object["last"] = answered_ > 0 ? nlohmann::ordered_json(last_.value) : nlohmann::ordered_json();
      object["count"] = answered_;
      object["bytes"] = bytes_;
      object["seconds"] = seconds;
      object["gap_ms_max"] = gap_ms;
      object["retries"] = appender()->retries();
      fmt::print("{}\n", object.dump());
    } else if (answered_ > 0) {
      fmt::print("appended {} transactions as {}..{} in {:.2f} s\n", answered_, first_.value, last_.value,
                 seconds);
    } else {
      fmt::print("nothing to append\n");
    }
    return Exit::ok;
  }

  // What is certain when the command ends early.
  std::string told() {
    std::string text = answered_ == 0
                           ? "; nothing was committed"
                           : "; " + std::to_string(answered_) + " transactions were committed as " +
                                 std::to_string(first_.value) + ".." + std::to_string(last_.value);
    if (appender()->outstanding() > 0) {
      text += ", of " + std::to_string(appender()->outstanding()) + " more it is not known";
    }
    return text;
  }

 private:
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
  std::chrono::steady_clock::time_point started_, last_answer_, waiting_since_, shown_;
  std::chrono::steady_clock::duration gap_{};
};

Exit append(const AppendFlags& flags) {
  if (flags.outstanding < 1 || flags.outstanding > log::kSessionWindow / 2) {
    misuse("--outstanding must be from 1 to " + std::to_string(log::kSessionWindow / 2));
  }
  real::Loop::capture_stop_signals();
  real::Loop loop;
  RealClient client(loop, flags.connect);
  AppendHost host(loop, client, flags);
  loop.on_stop_signal([&](int) { host.interrupt(); });
  host.on_start();
  loop.run();
  return host.report();
}

}  // namespace

void add_append(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("append", "Append standard input, one transaction per line, exactly once");
  command->footer("Example: reel append --connect 127.0.0.1:7101 --token-file reel-data/token < lines.txt");
  auto flags = std::make_shared<AppendFlags>();
  add_connect_flags(*command, flags->connect);
  command->add_option("--partition", flags->partition, "partition of the log")->capture_default_str();
  command->add_option("--header", flags->header, "the application's own 32 bits of each transaction")
      ->capture_default_str();
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
