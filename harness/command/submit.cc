#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/command/command.h"
#include "harness/command/connect_flags.h"
#include "harness/insistent_call.h"
#include "harness/random_bits.h"
#include "harness/session_text.h"
#include "harness/submission_line.h"
#include "io/wire/codec.h"
#include "node/client/question.h"
#include "node/log/sessions.h"

namespace reel::harness {
namespace {

// Everything is read and understood before anything is sent.
constexpr std::size_t kInputBytesMax = 256u << 20;
// To find out what became of a transaction whose time is up.
constexpr io::Duration kGrace = io::seconds(10);

struct SubmitFlags {
  ConnectFlags connect;
  std::string file;
  std::string session;
  std::string opened;
  std::uint32_t partitions = 0;
  std::uint32_t outstanding = 256;
  std::uint64_t deadline_ms = 60'000;
  bool json = false;
};

// ---- the input

std::string read_input(const std::string& path) {
  std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
  if (file == nullptr) refuse("'" + shown(path) + "' cannot be read (" + std::strerror(errno) + ")");
  std::string text;
  std::vector<char> block(1u << 18);
  while (const std::size_t got = std::fread(block.data(), 1, block.size(), file)) {
    text.append(block.data(), got);
    if (text.size() > kInputBytesMax) break;
  }
  const bool failed = std::ferror(file) != 0;
  const std::string why = std::strerror(errno);
  if (file != stdin) std::fclose(file);
  if (failed) refuse("reading '" + shown(path) + "' failed (" + why + "); nothing was sent");
  if (text.size() > kInputBytesMax) {
    refuse("'" + shown(path) + "' is larger than " + std::to_string(kInputBytesMax >> 20) +
           " MiB: split it; nothing was sent");
  }
  return text;
}

std::vector<SubmissionLine> parse_input(const std::string& path) {
  const std::string text = read_input(path);
  std::vector<SubmissionLine> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    auto line = parse_submission_line(std::string_view(text).substr(at, end - at));
    if (!line) {
      refuse("line " + std::to_string(lines.size() + 1) + " " + line.error() +
             ": correct it; nothing was sent");
    }
    lines.push_back(std::move(*line));
    at = end + 1;
  }
  return lines;
}

// ---- where to

// Of each partition: an index that is applied, and who leads.
struct Prospect {
  Index opened;
  NodeId leader;  // 0: unknown
};
using Prospects = std::map<std::uint32_t, Prospect>;

Prospects look_ahead(real::Loop& loop, RealClient& client, const SubmitFlags& flags) {
  Prospects prospects;
  const ClientReply reply =
      insist(loop, client, StatusCall{},
             io::milliseconds(static_cast<std::int64_t>(std::max<std::uint64_t>(flags.deadline_ms, 1))),
             "nothing was sent");
  const auto* status = std::get_if<StatusResult>(&reply);
  if (status == nullptr) refuse("the cluster does not say what partitions it has: check the token's rights");
  for (const GroupStatus& group : status->groups) {
    prospects[group.group.value - 1] = {group.applied, group.leader};
  }
  return prospects;
}

// "0=17,1=23", as the command prints it.
std::map<std::uint32_t, Index> parse_opened(const std::string& text) {
  std::map<std::uint32_t, Index> opened;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    unsigned long long partition = 0;
    unsigned long long index = 0;
    int taken = 0;
    const std::string pair = text.substr(at, comma - at);
    if (std::sscanf(pair.c_str(), "%llu=%llu%n", &partition, &index, &taken) != 2 ||
        static_cast<std::size_t>(taken) != pair.size() || partition >= kGroupsMax) {
      misuse("--opened is '" + shown(text) + "', which is not PARTITION=INDEX[,PARTITION=INDEX…]");
    }
    opened[static_cast<std::uint32_t>(partition)] = Index(index);
    at = comma + 1;
  }
  return opened;
}

// ---- the work

// One line, from its first call to its outcome.
struct Work {
  enum class Kind : std::uint8_t { open, committed, conflict, stale, burned, unknown, failed };
  std::uint32_t partition = 0;
  Sequence sequence;  // its place among the lines of its partition
  Kind kind = Kind::open;
  CommittedRun committed;
  Refusal refusal;
  std::string why;
};

const char* name_of(Work::Kind kind) {
  switch (kind) {
    case Work::Kind::open: return "open";
    case Work::Kind::committed: return "committed";
    case Work::Kind::conflict: return "conflict";
    case Work::Kind::stale: return "stale";
    case Work::Kind::burned: return "burned";
    case Work::Kind::unknown: return "unknown";
    case Work::Kind::failed: return "failed";
  }
  return "?";
}

// Each line is a request of its own, asked until it is answered; when its time is up it is resolved, and so burned if it
// has not committed. A line's request id is the session and its place among its partition's lines: the same file under the
// same session means the same requests.
class SubmitHost final : public io::Host {
 public:
  SubmitHost(real::Loop& loop, RealClient& client, const SubmitFlags& flags,
             const std::vector<SubmissionLine>& lines, std::vector<Work>& works, const SessionId& session,
             const Prospects& prospects)
      : loop_(loop),
        ports_(client.ports()),
        nodes_(client.everyone()),
        cluster_(client.cluster()),
        flags_(flags),
        lines_(lines),
        works_(works),
        session_(session),
        prospects_(prospects) {
    client.attach(*this);
  }

  void on_start() override { pump(); }
  void on_wake() override { pump(); }
  void on_reply(io::CallId call, io::Parcel body) override {
    if (!body.is<ClientReply>()) return on_call_failed(call);
    if (Asked* asked = owner_of(call))
      asked->question.on_reply(call, body.get<ClientReply>(), ports_.clock.now());
    pump();
  }
  void on_call_failed(io::CallId call) override {
    if (Asked* asked = owner_of(call)) asked->question.on_failed(call, ports_.clock.now());
    pump();
  }

  // What was sent is waited for, so that its outcome is known; a second time ends at once.
  void interrupt() {
    if (interrupted_) loop_.stop();
    interrupted_ = true;
    pump();
  }
  bool interrupted() const { return interrupted_; }

 private:
  struct Asked {
    client::Question question;
    bool resolves = false;
  };

  // A session remembers so many requests: none may fall far behind the others.
  bool has_more() const {
    const bool far = !asked_.empty() && next_ - asked_.begin()->first >= log::kSessionWindow / 2;
    return !interrupted_ && next_ < works_.size() && asked_.size() < flags_.outstanding && !far;
  }

  Asked* owner_of(io::CallId call) {
    const auto owner = owners_.extract(call);
    if (owner.empty()) return nullptr;
    const auto found = asked_.find(owner.mapped());
    return found == asked_.end() ? nullptr : &found->second;
  }

  void ask(std::size_t line, ClientCall body, io::Duration patience, bool resolves) {
    const Work& work = works_[line];
    client::QuestionOptions options;
    options.nodes = nodes_;
    options.first = static_cast<std::size_t>(
        std::find(nodes_.begin(), nodes_.end(), prospects_.at(work.partition).leader) - nodes_.begin());
    options.body = std::move(body);
    options.deadline = ports_.clock.now().monotonic + patience;
    options.seed = line;
    asked_.insert_or_assign(line, Asked{client::Question(std::move(options)), resolves});
  }

  void begin(std::size_t line) {
    const Work& work = works_[line];
    AppendCall append;
    append.group = GroupId(work.partition + 1);
    append.session = session_;
    append.opened = prospects_.at(work.partition).opened;
    append.first = work.sequence;
    append.count = 1;
    append.block = lines_[line].record(cluster_);
    const std::uint64_t patience_ms = lines_[line].deadline_ms.value_or(flags_.deadline_ms);
    ask(line, std::move(append), io::milliseconds(static_cast<std::int64_t>(patience_ms)), false);
  }

  void resolve(std::size_t line) {
    const Work& work = works_[line];
    ask(line,
        ResolveCall{GroupId(work.partition + 1), session_, prospects_.at(work.partition).opened,
                    work.sequence},
        kGrace, true);
  }

  void pump() {
    const io::Now now = ports_.clock.now();
    while (has_more()) begin(next_++);
    io::Instant alarm = io::kNever;
    for (auto at = asked_.begin(); at != asked_.end();) {
      const std::size_t line = at->first;
      Asked& asked = at->second;
      asked.question.pump(now, calls_);
      for (; owned_ < calls_.calls().size(); ++owned_) owners_.emplace(calls_.calls()[owned_].call, line);
      const bool done = asked.question.answer() && end(line, asked);
      if (asked.question.answer() && !done) {
        resolve(line);  // pumped below, or in the next turn
        alarm = now.monotonic;
      }
      alarm = std::min(alarm, asked.question.deadline());
      at = done ? asked_.erase(at) : std::next(at);
    }
    send();
    const bool more = has_more();
    ports_.clock.wake_at(more ? now.monotonic : alarm);
    print();
    if (asked_.empty() && !more) loop_.stop();
  }

  void send() {
    owned_ = 0;
    for (const io::CallId cancelled : std::exchange(calls_.cancels(), {})) {
      owners_.erase(cancelled);
      ports_.remote.cancel(cancelled);
    }
    for (client::OutgoingCall& call : std::exchange(calls_.calls(), {})) {
      ports_.remote.call(call.to, call.call, io::Parcel::of(std::move(call.body), wire::kClientCallCodec));
    }
  }

  // False: its time is up, and what became of it must be asked.
  bool end(std::size_t line, const Asked& asked) {
    Work& work = works_[line];
    const client::Answer& answer = *asked.question.answer();
    if (!answer) {
      const CallError& error = answer.error();
      if (error.code == ErrorCode::deadline_exceeded && !asked.resolves) return false;
      const bool open = error.code == ErrorCode::deadline_exceeded || error.code == ErrorCode::expired;
      work.kind = open || asked.resolves ? Work::Kind::unknown : Work::Kind::failed;
      work.why = std::string(reel::name_of(error.code)) + ": " + error.text;
      return true;
    }
    prospects_.at(work.partition).leader = asked.question.target();
    if (const auto* resolved = std::get_if<ResolveResult>(&*answer)) {
      work.kind = resolved->committed ? Work::Kind::committed : Work::Kind::burned;
      if (resolved->committed) work.committed = *resolved->committed;
      return true;
    }
    const auto& result = std::get<AppendResult>(*answer);
    if (!result.runs.empty()) {
      work.kind = Work::Kind::committed;
      work.committed = result.runs.front();
    } else if (!result.refusals.empty()) {
      work.refusal = result.refusals.front();
      work.kind = work.refusal.code == RefusalCode::conflict ? Work::Kind::conflict
                  : work.refusal.code == RefusalCode::stale  ? Work::Kind::stale
                                                             : Work::Kind::burned;
    } else {
      work.kind = Work::Kind::unknown;
      work.why = "the node answered with something else: check its version";
    }
    return true;
  }

  // In the order of the lines.
  void print() {
    if (!flags_.json) return;
    for (; printed_ < works_.size() && works_[printed_].kind != Work::Kind::open; ++printed_) {
      const Work& work = works_[printed_];
      nlohmann::ordered_json object{{"line", printed_ + 1},
                                    {"partition", work.partition},
                                    {"sequence", work.sequence.value},
                                    {"outcome", name_of(work.kind)}};
      if (work.kind == Work::Kind::committed) {
        object["id"] = work.committed.id.value;
        object["time"] = work.committed.time;
      } else if (work.kind == Work::Kind::conflict) {
        const SubmissionLine::Lock lock = lines_[printed_].lock(work.refusal.lock);
        object["lock"] = lock.mode;
        object["key"] = lock.key;
        object["id"] = work.refusal.id.value;
      } else if (work.kind == Work::Kind::stale) {
        object["floor"] = work.refusal.id.value;
      }
      if (!work.why.empty()) object["error"] = work.why;
      fmt::print("{}\n", object.dump());
    }
    std::fflush(stdout);
  }

  real::Loop& loop_;
  io::Ports& ports_;
  std::vector<NodeId> nodes_;
  io::ClusterId cluster_;
  const SubmitFlags& flags_;
  const std::vector<SubmissionLine>& lines_;
  std::vector<Work>& works_;
  SessionId session_;
  Prospects prospects_;
  client::Calls calls_;
  std::size_t owned_ = 0;
  std::map<io::CallId, std::size_t> owners_;
  std::map<std::size_t, Asked> asked_;  // by line
  std::size_t next_ = 0;
  std::size_t printed_ = 0;
  bool interrupted_ = false;
};

// ---- the command

std::string why_not(const Work& work, const SubmissionLine& line) {
  const std::string id = std::to_string(work.refusal.id.value);
  switch (work.kind) {
    case Work::Kind::conflict: {
      const SubmissionLine::Lock lock = line.lock(work.refusal.lock);
      return "conflicts: transaction " + id + " changed the key '" + shown(lock.key) + "' of its " +
             lock.mode + " lock: apply the feed up to " + id + ", and submit what follows from that";
    }
    case Work::Kind::stale:
      return "is stale: which keys were changed before transaction " + id +
             " is forgotten: apply the feed, and "
             "submit what follows from that";
    case Work::Kind::burned: return "is burned: it never commits";
    case Work::Kind::failed: return "failed: " + work.why;
    default: break;
  }
  return "has an unknown outcome (" + (work.why.empty() ? std::string("interrupted") : work.why) +
         "): repeat the command with its session";
}

// Where each line goes, and its request's number there.
std::vector<Work> plan(const std::vector<SubmissionLine>& lines, std::uint32_t partitions,
                       const Prospects& prospects) {
  std::vector<Work> works;
  std::map<std::uint32_t, Sequence> last;
  for (const SubmissionLine& line : lines) {
    Work work;
    work.partition = line.key ? partition_of(*line.key, partitions) : line.partition.value_or(0);
    if (!prospects.contains(work.partition)) {
      refuse("line " + std::to_string(works.size() + 1) + " is for partition " +
             std::to_string(work.partition) +
             ", which is not there: see `reel admin partition list`; nothing was sent");
    }
    work.sequence = ++last[work.partition];
    works.push_back(work);
  }
  return works;
}

// An id that is not committed can not have been applied. (A node would wait until it knows more; that can be never.)
void check_based_on(real::Loop& loop, RealClient& client, const std::vector<SubmissionLine>& lines,
                    const std::vector<Work>& works, io::Duration patience) {
  std::map<std::uint32_t, TxnId> ends;
  for (std::size_t line = 0; line < lines.size(); ++line) {
    if (!lines[line].based_on) continue;
    const std::uint32_t partition = works[line].partition;
    if (!ends.contains(partition)) {
      const HighWaterCall call{GroupId(partition + 1), true};
      const ClientReply reply = insist(loop, client, call, patience, "nothing was sent");
      if (const auto* error = std::get_if<CallError>(&reply)) {
        refuse(std::string("the cluster refused (") + reel::name_of(error->code) + "): " + error->text);
      }
      const auto* result = std::get_if<HighWaterResult>(&reply);
      ends[partition] = result == nullptr ? TxnId(UINT64_MAX) : result->high_water;
    }
    if (*lines[line].based_on < ends[partition]) continue;
    refuse("line " + std::to_string(line + 1) + " is based on " +
           std::to_string(lines[line].based_on->value) + ", which is not in the log of partition " +
           std::to_string(partition) + ": it has " + std::to_string(ends[partition].value) +
           " transactions; nothing was sent");
  }
}

// What a repetition has to be told.
std::string opened_text(const std::vector<Work>& works, const Prospects& prospects) {
  std::set<std::uint32_t> used;
  for (const Work& work : works) used.insert(work.partition);
  std::string text;
  for (const std::uint32_t partition : used) {
    const Index opened = prospects.at(partition).opened;
    text += (text.empty() ? "" : ",") + std::to_string(partition) + "=" + std::to_string(opened.value);
  }
  return text;
}

Exit report(const SubmitFlags& flags, const std::vector<SubmissionLine>& lines,
            const std::vector<Work>& works, const SessionId& session, const std::string& opened,
            bool interrupted) {
  std::map<std::string, std::size_t> counts;
  for (const Work& work : works) ++counts[name_of(work.kind)];
  const std::size_t committed = counts["committed"];
  if (flags.json) {
    nlohmann::ordered_json object{{"session", text_of(session)}, {"opened", opened}, {"lines", works.size()}};
    for (const auto kind : {Work::Kind::committed, Work::Kind::conflict, Work::Kind::stale,
                            Work::Kind::burned, Work::Kind::failed, Work::Kind::unknown}) {
      object[name_of(kind)] = counts[name_of(kind)];
    }
    object["unsent"] = counts["open"];
    fmt::print("{}\n", object.dump());
  } else {
    fmt::print("session {}: {} of {} committed\n", text_of(session), committed, works.size());
  }
  std::fflush(stdout);
  if (committed == works.size()) return Exit::ok;
  const auto first = std::find_if(works.begin(), works.end(),
                                  [](const Work& work) { return work.kind != Work::Kind::committed; });
  const auto line = static_cast<std::size_t>(first - works.begin());
  if (interrupted) {
    refuse("interrupted; " + std::to_string(committed) + " of " + std::to_string(works.size()) +
           " were committed: repeat the command with --session " + text_of(session) + " --opened " + opened);
  }
  refuse(std::to_string(works.size() - committed) + " of " + std::to_string(works.size()) +
         " were not committed; line " + std::to_string(line + 1) + " " + why_not(*first, lines[line]));
}

void check(const SubmitFlags& flags) {
  if (flags.outstanding < 1 || flags.outstanding > log::kSessionWindow / 2) {
    misuse("--outstanding must be from 1 to " + std::to_string(log::kSessionWindow / 2));
  }
  if (flags.deadline_ms < 1 || flags.deadline_ms > 86'400'000)
    misuse("--deadline-ms must be from 1 to 86400000");
  if (!flags.session.empty() && !parse_session(flags.session)) {
    misuse("--session is '" + shown(flags.session) +
           "', which is neither 32 hexadecimal digits nor HIGH:LOW");
  }
  if (flags.session.empty() && !flags.opened.empty()) {
    misuse("--opened is of a session that was used before: give its --session");
  }
}

Exit submit(const SubmitFlags& flags) {
  check(flags);
  const std::map<std::uint32_t, Index> opened = parse_opened(flags.opened);
  const std::vector<SubmissionLine> lines = parse_input(flags.file);
  const bool keyed =
      std::any_of(lines.begin(), lines.end(), [](const auto& line) { return line.key.has_value(); });
  if (keyed && flags.partitions == 0) {
    misuse(
        "a line has a key: say by --partitions over how many partitions keys are spread, always the same "
        "number");
  }
  real::Loop::capture_stop_signals();
  real::Loop loop;
  RealClient client(loop, flags.connect);
  SubmitHost* submitting = nullptr;
  loop.on_stop_signal([&](int) { submitting == nullptr ? loop.stop() : submitting->interrupt(); });
  Prospects prospects = look_ahead(loop, client, flags);
  if (!flags.session.empty()) {
    for (auto& [partition, prospect] : prospects) {
      const auto said = opened.find(partition);
      prospect.opened = said == opened.end() ? Index() : said->second;
    }
  }
  const std::uint64_t drawn = random_bits();
  const SessionId session =
      flags.session.empty() ? SessionId{drawn, random_bits()} : *parse_session(flags.session);
  std::vector<Work> works = plan(lines, flags.partitions, prospects);
  check_based_on(loop, client, lines, works, io::milliseconds(static_cast<std::int64_t>(flags.deadline_ms)));
  SubmitHost host(loop, client, flags, lines, works, session, prospects);
  submitting = &host;
  host.on_start();
  if (!works.empty()) loop.run();
  return report(flags, lines, works, session, opened_text(works, prospects), host.interrupted());
}

}  // namespace

void add_submit(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "submit",
      "Append a file of transactions, one JSON object per line, each with its own partition and locks.\n"
      "Lines are independent: they may commit in another order, and each has its own outcome");
  command->footer(
      "Example: reel submit transfers.jsonl --json --token-file reel-data/token, where a line is\n"
      "         {\"partition\": 0, \"data\": \"withdraw ann 30\", \"write\": [\"account/ann\"], "
      "\"based_on\": 2}\n"
      "         with any of: partition or key, header, data or data_base64, write, read, append, based_on,\n"
      "         deadline_ms");
  auto flags = std::make_shared<SubmitFlags>();
  command->add_option("FILE", flags->file, "the file, or - for standard input")->required();
  add_connect_flags(*command, flags->connect);
  command->add_option("--partitions", flags->partitions,
                      "over how many partitions keys are spread; the same number always, or keys move");
  command->add_option(
      "--session", flags->session,
      "the session, 32 hexadecimal digits or HIGH:LOW (default: a new one). Repeat a command with its "
      "session and file, and it happens once");
  command->add_option("--opened", flags->opened, "as `reel submit --json` printed it for the session");
  command->add_option("--outstanding", flags->outstanding, "lines without an answer at once; 1: in order")
      ->capture_default_str();
  command->add_option("--deadline-ms", flags->deadline_ms, "of lines that have none: then they are burned")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "one JSON object for each line, in order, and one at the end");
  command->callback([flags, &run] { run = [flags] { return submit(*flags); }; });
}

}  // namespace reel::harness
