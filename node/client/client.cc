#include "node/client/client.h"

#include <algorithm>
#include <exception>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"

namespace reel::client {
namespace {

constexpr std::uint64_t kSessionHigh = 1;
constexpr std::uint64_t kSessionLow = 2;
constexpr std::uint64_t kSubmitSeed = 3;
constexpr std::uint64_t kReadSeed = 4;
constexpr std::uint64_t kApplySeed = 5;
constexpr std::uint64_t kQuestionSeed = 6;

// What a transaction in the queue takes besides its record.
constexpr std::uint64_t kPendingBytes = 160;

io::Instant after(const io::Now& now, io::Duration span) {
  return span.ns >= io::kNever.ns - now.monotonic.ns ? io::kNever : now.monotonic + span;
}

// Why no correct node answers so to a lookup of this id.
std::optional<std::string> fault_of(const CommittedRecord& found, TxnId id) {
  const auto record = log::parse_record(found.record.span());
  if (found.id != id || !record || record->size != found.record.size()) {
    return "a node answered with something else than transaction " + std::to_string(id.value) +
           ": report this node's log";
  }
  if (io::checksum(record->data) != record->checksum) {
    return "transaction " + std::to_string(id.value) + " does not match its client's checksum";
  }
  return std::nullopt;
}

}  // namespace

const char* name_of(NotTaken why) {
  switch (why) {
    case NotTaken::not_mounted: return "NotMounted";
    case NotTaken::no_room: return "NoRoom";
    case NotTaken::closed: return "Closed";
    case NotTaken::failed: return "Failed";
  }
  return "?";
}

const char* name_of(ViewState::Status status) {
  switch (status) {
    case ViewState::Status::running: return "running";
    case ViewState::Status::retrying: return "retrying";
    case ViewState::Status::stopped: return "stopped";
    case ViewState::Status::failed: return "failed";
  }
  return "?";
}

Client::Client(io::Ports& ports, const io::ParcelCodec& call_codec, ClientOptions options)
    : ports_(ports), call_codec_(call_codec), options_(std::move(options)) {
  REEL_ASSERT(!options_.nodes.empty());
  REEL_ASSERT(options_.apply_max > 0 && options_.prefetch_bytes > 0);
}

// ---- partitions -------------------------------------------------------------------------------------------------

Client::Partition* Client::find(GroupId partition) {
  const auto found = partitions_.find(partition);
  return found == partitions_.end() ? nullptr : found->second.get();
}

const Client::Partition* Client::find(GroupId partition) const {
  const auto found = partitions_.find(partition);
  return found == partitions_.end() ? nullptr : found->second.get();
}

// Each mount has sessions of its own: what an earlier one left undecided is never taken for something new.
SessionId Client::session_of(std::uint64_t mount) const {
  const SessionId& drawn = options_.entropy;
  return {io::keyed_hash(drawn.high, {drawn.low, mount, kSessionHigh}),
          io::keyed_hash(drawn.high, {drawn.low, mount, kSessionLow})};
}

bool Client::mount(GroupId partition, MountOptions options) {
  REEL_ASSERT(options.apply && options.apply_attempts_max > 0);
  if (closing_ || partitions_.contains(partition)) return false;
  ++mounts_;
  const std::uint64_t seed = options_.entropy.low;
  SubmitterOptions submits = options_.submitter;
  submits.nodes = options_.nodes;
  submits.group = partition;
  submits.session = session_of(mounts_);
  submits.seed = io::keyed_hash(seed, {mounts_, kSubmitSeed});
  ReaderOptions reads = options_.reader;
  reads.nodes = options_.nodes;
  reads.group = partition;
  reads.from = options.from;
  reads.from_time = 0;
  reads.filter = {};
  reads.seed = io::keyed_hash(seed, {mounts_, kReadSeed});
  auto mounted = std::make_unique<Partition>(partition, submits, reads, std::move(options));
  if (mounted->next.value > 0) mounted->submitter.applied(mounted->next - 1);
  partitions_.emplace(partition, std::move(mounted));
  touched_.insert(partition);
  return true;
}

bool Client::unmount(GroupId partition, std::function<void()> done) {
  Partition* found = find(partition);
  if (found == nullptr) return false;
  if (done) found->unmounted.push_back(std::move(done));
  start_unmounting(*found, ports_.clock.now());
  return true;
}

void Client::start_unmounting(Partition& partition, const io::Now& now) {
  touched_.insert(partition.group);
  if (partition.unmounting) return;
  partition.unmounting = true;
  partition.submitter.close();
  for (const auto& [submit, submission] : partition.submits) partition.submitter.cancel(submit, now);
}

std::vector<GroupId> Client::mounted() const {
  std::vector<GroupId> groups;
  for (const auto& [group, partition] : partitions_) {
    if (!partition->unmounting) groups.push_back(group);
  }
  return groups;
}

std::optional<ViewState> Client::view(GroupId partition) const {
  const Partition* found = find(partition);
  if (found == nullptr) return std::nullopt;
  return ViewState{found->status, found->next, std::max(found->next, found->reader.high_water()), found->why};
}

bool Client::resume(GroupId partition, Verdict verdict) {
  Partition* found = find(partition);
  if (found == nullptr || found->status != Status::stopped || found->unmounting) return false;
  REEL_ASSERT(!found->queue.empty());
  if (verdict == Verdict::stop) return true;
  found->status = Status::running;
  found->why.clear();
  found->failures = 0;
  touched_.insert(partition);
  if (verdict == Verdict::skip) pass(*found, Application::skipped);
  return true;
}

// ---- submissions ------------------------------------------------------------------------------------------------

std::optional<NotTaken> Client::refusal(GroupId partition) const {
  const Partition* found = find(partition);
  if (found == nullptr) return NotTaken::not_mounted;
  if (closing_ || found->unmounting) return NotTaken::closed;
  if (found->submitter.failure()) return NotTaken::failed;
  const bool room = found->submitter.can_submit() &&
                    found->submits.size() + found->unapplied.size() < options_.submitter.outstanding_max;
  return room ? std::nullopt : std::optional(NotTaken::no_room);
}

std::expected<SubmissionId, NotTaken> Client::submit(Submission submission) {
  REEL_ASSERT(submission.execute && (submission.partition || options_.partition_of));
  const GroupId group = submission.partition ? *submission.partition : options_.partition_of(submission.key);
  if (const auto why = refusal(group)) return std::unexpected(*why);
  Partition* found = find(group);
  const SubmissionId id = ++last_;
  Open& open = submissions_[id];
  open.partition = group;
  open.submission = std::move(submission);
  const io::Duration timeout =
      open.submission.timeout.ns > 0 ? open.submission.timeout : options_.submit_timeout;
  TransactionContext context;
  context.execute = std::move(open.submission.execute);
  context.deadline = after(ports_.clock.now(), timeout);
  context.attempts_max = open.submission.attempts_max;
  context.on_conflict = std::move(open.submission.on_conflict);
  open.submit = found->submitter.submit(std::move(context));
  found->submits.emplace(open.submit, id);
  unanswered_.insert(id);
  touched_.insert(group);
  return id;
}

void Client::cancel(SubmissionId submission) {
  const auto found = submissions_.find(submission);
  if (found == submissions_.end() || !unanswered_.contains(submission)) return;
  Partition* partition = find(found->second.partition);
  REEL_ASSERT(partition != nullptr);
  partition->submitter.cancel(found->second.submit, ports_.clock.now());
  touched_.insert(partition->group);
}

void Client::flush(bool applied, io::Duration timeout, std::function<void(bool)> done) {
  REEL_ASSERT(done);
  if (flushes_.size() >= options_.questions_max) return done(false);
  flushes_.push_back({applied, last_, after(ports_.clock.now(), timeout), std::move(done)});
}

bool Client::has_ended(const Flush& flush) const {
  if (!unanswered_.empty() && *unanswered_.begin() <= flush.upto) return false;
  return !flush.applied || submissions_.empty() || submissions_.begin()->first > flush.upto;
}

void Client::settle_flushes(const io::Now& now) {
  std::vector<Flush> flushes = std::exchange(flushes_, {});
  std::vector<std::pair<std::function<void(bool)>, bool>> ended;
  for (Flush& flush : flushes) {
    const bool well = has_ended(flush);
    if (well || flush.deadline <= now.monotonic) {
      ended.emplace_back(std::move(flush.done), well);
    } else {
      flushes_.push_back(std::move(flush));
    }
  }
  for (const auto& [done, well] : ended) done(well);
}

// ---- outcomes and the view --------------------------------------------------------------------------------------

void Client::settle(Partition& partition, const io::Now& now) {
  for (const SubmitOutcome& outcome : partition.submitter.take_outcomes()) tell(partition, outcome);
  if (partition.unmounting) return;
  take_in(partition);
  if (partition.status == Status::retrying && partition.retry_at <= now.monotonic) {
    partition.status = Status::running;
  }
  apply_some(partition, now);
  const bool idle = partition.status == Status::running && partition.queue.empty();
  if (idle && partition.reader.failure()) stop(partition, Status::failed, *partition.reader.failure());
}

void Client::tell(Partition& partition, const SubmitOutcome& outcome) {
  const auto found = partition.submits.find(outcome.submit);
  REEL_ASSERT(found != partition.submits.end());
  const SubmissionId id = found->second;
  partition.submits.erase(found);
  unanswered_.erase(id);
  Open& open = submissions_.at(id);
  if (outcome.kind != SubmitOutcome::Kind::committed) {
    const auto told = std::move(open.submission.on_failed);
    submissions_.erase(id);
    if (told) told(outcome);
    return;
  }
  open.outcome = outcome;
  const bool passed = outcome.id < partition.next;
  if (!passed) partition.unapplied.emplace(outcome.id, id);
  if (const auto told = std::move(open.submission.on_committed)) told(outcome);
  if (passed) end(id, partition.skips.contains(outcome.id) ? Application::skipped : Application::applied);
}

// A committed submission's last word.
void Client::end(SubmissionId submission, Application how) {
  const auto found = submissions_.find(submission);
  if (found == submissions_.end()) return;
  const Open open = std::move(found->second);
  submissions_.erase(found);
  if (open.submission.on_applied) open.submission.on_applied(open.outcome, how);
}

void Client::take_in(Partition& partition) {
  partition.reader.drain([&](const log::Transaction& transaction, const Bytes& memory) {
    partition.queue.push_back({transaction, memory});
    partition.queue_bytes += transaction.record.size + kPendingBytes;
  });
}

// A part of what there is: other partitions, and the loop, have their turn too.
void Client::apply_some(Partition& partition, const io::Now& now) {
  for (std::uint32_t i = 0; i < options_.apply_max; ++i) {
    if (partition.unmounting || partition.status != Status::running || partition.queue.empty()) return;
    const log::Transaction& transaction = partition.queue.front().transaction;
    REEL_ASSERT(transaction.id == partition.next);
    const auto applied = apply(partition, transaction);
    if (partition.unmounting) return;  // by the application, meanwhile
    if (!applied) return poisoned(partition, applied.error(), now);
    pass(partition, Application::applied);
  }
}

std::expected<void, std::string> Client::apply(Partition& partition, const log::Transaction& transaction) {
  try {
    return partition.options.apply(partition.group, transaction);
  } catch (const std::exception& thrown) {
    return std::unexpected(std::string(thrown.what()));
  }
}

void Client::pass(Partition& partition, Application how) {
  const Pending& front = partition.queue.front();
  const TxnId id = front.transaction.id;
  partition.queue_bytes -= front.transaction.record.size + kPendingBytes;
  partition.queue.pop_front();
  partition.failures = 0;
  partition.next = id + 1;
  if (how == Application::skipped) {
    partition.skips.insert(id);
    if (partition.skips.size() > kSkipsMax) partition.skips.erase(partition.skips.begin());
  }
  partition.submitter.applied(id);
  const auto own = partition.unapplied.find(id);
  if (own == partition.unapplied.end()) return;
  const SubmissionId submission = own->second;
  partition.unapplied.erase(own);
  end(submission, how);
}

Verdict Client::verdict_on(Partition& partition, const Poison& poison) {
  if (!partition.options.dead_letter) {
    return poison.failures < partition.options.apply_attempts_max ? Verdict::retry : Verdict::stop;
  }
  try {
    return partition.options.dead_letter(poison);
  } catch (const std::exception&) {
    return Verdict::stop;
  }
}

void Client::poisoned(Partition& partition, std::string why, const io::Now& now) {
  ++partition.failures;
  const log::Transaction& transaction = partition.queue.front().transaction;
  const Verdict verdict = verdict_on(partition, {partition.group, transaction, why, partition.failures});
  if (partition.unmounting) return;
  switch (verdict) {
    case Verdict::skip: return pass(partition, Application::skipped);
    case Verdict::stop: return stop(partition, Status::stopped, std::move(why));
    case Verdict::retry: break;
  }
  partition.status = Status::retrying;
  partition.why = std::move(why);
  partition.retry_at =
      now.monotonic + backoff(partition.options.retry_min, partition.options.retry_max,
                              partition.failures - 1, io::keyed_hash(options_.entropy.low, {kApplySeed}));
}

void Client::stop(Partition& partition, Status status, std::string why) {
  partition.status = status;
  partition.why = std::move(why);
  if (partition.options.on_stopped) partition.options.on_stopped(partition.group, *view(partition.group));
}

// ---- questions --------------------------------------------------------------------------------------------------

void Client::ask(GroupId partition, ClientCall body, io::Instant deadline, io::Instant not_before,
                 std::function<void(const Answer&)> done) {
  if (questions_.size() >= options_.questions_max) {
    CallError full;
    full.code = ErrorCode::overloaded;
    full.text = "too many questions are unanswered: wait for some of them";
    return done(std::unexpected(full));
  }
  const std::uint64_t number = ++last_question_;
  QuestionOptions options;
  options.nodes = options_.nodes;
  // A mounted partition's leader is known, most often.
  const Partition* found = find(partition);
  const NodeId first =
      found != nullptr ? found->submitter.target() : options_.nodes[number % options_.nodes.size()];
  options.first = static_cast<std::size_t>(std::find(options_.nodes.begin(), options_.nodes.end(), first) -
                                           options_.nodes.begin());
  options.body = std::move(body);
  options.deadline = deadline;
  options.not_before = not_before;
  options.seed = io::keyed_hash(options_.entropy.low, {number, kQuestionSeed});
  questions_.emplace(number, Asked{Question(std::move(options)), std::move(done)});
}

void Client::high_water(GroupId partition, bool linearizable, io::Duration timeout,
                        std::function<void(std::expected<TxnId, CallError>)> done) {
  const io::Now now = ports_.clock.now();
  ask(partition, HighWaterCall{partition, linearizable}, after(now, timeout), now.monotonic,
      [done = std::move(done)](const Answer& answer) {
        if (!answer) return done(std::unexpected(answer.error()));
        done(std::get<HighWaterResult>(*answer).high_water);
      });
}

void Client::resolve(GroupId partition, const SessionId& session, Sequence sequence, bool burn,
                     io::Duration timeout,
                     std::function<void(std::expected<ResolveResult, CallError>)> done) {
  const io::Now now = ports_.clock.now();
  ask(partition, ResolveCall{partition, session, Index(), sequence, burn}, after(now, timeout), now.monotonic,
      [done = std::move(done)](const Answer& answer) {
        if (!answer) return done(std::unexpected(answer.error()));
        done(std::get<ResolveResult>(*answer));
      });
}

void Client::lookup(
    GroupId partition, TxnId id, io::Duration timeout,
    const std::function<void(std::expected<std::optional<CommittedRecord>, CallError>)>& done) {
  look(partition, id, after(ports_.clock.now(), timeout), 0, done);
}

// A node that does not have it may only be behind. So the leader is asked whether it is there; if so, somebody has it.
void Client::look(GroupId partition, TxnId id, io::Instant deadline, std::uint32_t round,
                  const std::function<void(std::expected<std::optional<CommittedRecord>, CallError>)>& done) {
  const io::Now now = ports_.clock.now();
  const io::Duration pause =
      round == 0 ? io::Duration{0}
                 : backoff(Question::kPauseMin, Question::kPauseMax, round, options_.entropy.low);
  const auto at_end = [this, partition, id, deadline, round, done](const Answer& answer) {
    if (!answer) return done(std::unexpected(answer.error()));
    if (id >= std::get<HighWaterResult>(*answer).high_water) return done(std::optional<CommittedRecord>());
    look(partition, id, deadline, round + 1, done);
  };
  ask(partition, TransactionCall{partition, id}, deadline, now.monotonic + pause,
      [this, partition, id, deadline, done, at_end](const Answer& answer) {
        if (!answer) return done(std::unexpected(answer.error()));
        const auto& found = std::get<TransactionResult>(*answer).transaction;
        if (!found) {
          return ask(partition, HighWaterCall{partition, true}, deadline, ports_.clock.now().monotonic,
                     at_end);
        }
        const auto fault = fault_of(*found, id);
        if (!fault) return done(found);
        CallError error;
        error.code = ErrorCode::malformed;
        error.text = *fault;
        done(std::unexpected(error));
      });
}

void Client::settle_questions(const io::Now& now) {
  std::vector<std::pair<std::function<void(const Answer&)>, Answer>> answered;
  for (auto at = questions_.begin(); at != questions_.end();) {
    at->second.question.pump(now, calls_);
    own_new_calls({{}, at->first});
    if (!at->second.question.answer()) {
      ++at;
      continue;
    }
    answered.emplace_back(std::move(at->second.done), *at->second.question.answer());
    at = questions_.erase(at);
  }
  for (const auto& [done, answer] : answered) done(answer);
}

// ---- the end ----------------------------------------------------------------------------------------------------

void Client::close(io::Duration timeout, std::function<void()> done) {
  REEL_ASSERT(!closing_);
  closing_ = true;
  closed_ = std::move(done);
  close_at_ = after(ports_.clock.now(), timeout);
}

void Client::settle_closing(const io::Now& now) {
  if (!closing_ || closing_unmounts_) return;
  if (!submissions_.empty() && now.monotonic < close_at_) return;
  closing_unmounts_ = true;
  for (const auto& [group, partition] : partitions_) start_unmounting(*partition, now);
}

// Partitions whose last submission has ended.
void Client::reap() {
  std::vector<std::unique_ptr<Partition>> gone;
  for (const GroupId group : touched_) {
    const auto found = partitions_.find(group);
    if (found == partitions_.end() || !found->second->unmounting || !found->second->submits.empty()) continue;
    deadlines_.erase({found->second->deadline, group});
    for (const auto& [call, owner] : owners_) {
      if (owner.question == 0 && owner.partition == group) calls_.cancel(call);
    }
    gone.push_back(std::move(found->second));
    partitions_.erase(found);
  }
  for (const auto& partition : gone) {
    for (const auto& [id, submission] : partition->unapplied) end(submission, Application::unreported);
    for (const auto& done : partition->unmounted) done();
  }
  if (closing_unmounts_ && partitions_.empty() && closed_) std::exchange(closed_, {})();
}

// ---- turns ------------------------------------------------------------------------------------------------------

void Client::on_reply(io::CallId call, io::Parcel body) {
  if (!body.is<ClientReply>()) return on_call_failed(call);
  const auto owner = owners_.extract(call);
  if (owner.empty()) return;
  const ClientReply& reply = body.get<ClientReply>();
  const io::Now now = ports_.clock.now();
  if (owner.mapped().question != 0) {
    const auto asked = questions_.find(owner.mapped().question);
    if (asked != questions_.end()) asked->second.question.on_reply(call, reply, now);
  } else if (Partition* partition = find(owner.mapped().partition)) {
    if (!partition->submitter.on_reply(call, reply, now, calls_)) {
      partition->reader.on_reply(call, reply, now, calls_);
    }
    touched_.insert(partition->group);
  }
  turn();
}

void Client::on_call_failed(io::CallId call) {
  const auto owner = owners_.extract(call);
  if (owner.empty()) return;
  const io::Now now = ports_.clock.now();
  if (owner.mapped().question != 0) {
    const auto asked = questions_.find(owner.mapped().question);
    if (asked != questions_.end()) asked->second.question.on_failed(call, now);
  } else if (Partition* partition = find(owner.mapped().partition)) {
    if (!partition->submitter.on_failed(call, now, calls_)) partition->reader.on_failed(call, now, calls_);
    touched_.insert(partition->group);
  }
  turn();
}

void Client::turn() {
  const io::Now now = ports_.clock.now();
  turning_ = true;
  for (auto at = deadlines_.begin(); at != deadlines_.end() && at->first <= now.monotonic; ++at) {
    touched_.insert(at->second);
  }
  // What callbacks touch beyond these is told of in the next turn.
  const std::set<GroupId> now_touched = touched_;
  for (const GroupId group : now_touched) {
    if (Partition* partition = find(group)) settle(*partition, now);
  }
  settle_questions(now);
  settle_flushes(now);
  settle_closing(now);
  reap();
  turning_ = false;
  pump();
}

// ---- sending ----------------------------------------------------------------------------------------------------

void Client::pump() {
  if (turning_) return;  // its end pumps
  const io::Now now = ports_.clock.now();
  for (const GroupId group : std::exchange(touched_, {})) {
    if (Partition* partition = find(group)) pump_partition(*partition, now);
  }
  for (auto& [number, asked] : questions_) {
    asked.question.pump(now, calls_);
    own_new_calls({{}, number});
  }
  send();
  set_alarm(now);
}

// What waits to be applied, and may be.
bool Client::has_backlog(const Partition& partition) const {
  return !partition.unmounting && partition.status == Status::running && !partition.queue.empty();
}

void Client::pump_partition(Partition& partition, const io::Now& now) {
  partition.submitter.pump(now, calls_);
  const bool reads = !partition.unmounting && partition.queue_bytes < options_.prefetch_bytes;
  if (reads) partition.reader.pump(now, calls_);
  own_new_calls({partition.group, 0});
  io::Instant next = partition.submitter.deadline();
  if (reads) next = std::min(next, partition.reader.deadline());
  if (!partition.unmounting && partition.status == Status::retrying)
    next = std::min(next, partition.retry_at);
  // Told, or applied, in a turn of its own: a program may go on at once, for ever.
  const bool gone = partition.unmounting && partition.submits.empty();
  if (partition.submitter.has_outcomes() || has_backlog(partition) || gone) next = now.monotonic;
  deadlines_.erase({partition.deadline, partition.group});
  partition.deadline = next;
  if (next != io::kNever) deadlines_.emplace(next, partition.group);
}

void Client::own_new_calls(const Owner& owner) {
  const std::vector<OutgoingCall>& calls = calls_.calls();
  for (; owned_ < calls.size(); ++owned_) owners_.emplace(calls[owned_].call, owner);
}

void Client::send() {
  REEL_ASSERT(owned_ == calls_.calls().size());
  owned_ = 0;
  std::vector<OutgoingCall> calls;
  calls.swap(calls_.calls());
  std::vector<io::CallId> cancels;
  cancels.swap(calls_.cancels());
  for (const io::CallId cancelled : cancels) {
    owners_.erase(cancelled);
    ports_.remote.cancel(cancelled);
  }
  for (OutgoingCall& outgoing : calls) {
    ports_.remote.call(outgoing.to, outgoing.call, io::Parcel::of(std::move(outgoing.body), call_codec_));
  }
}

void Client::set_alarm(const io::Now& now) {
  io::Instant next = deadlines_.empty() ? io::kNever : deadlines_.begin()->first;
  for (const auto& [number, asked] : questions_) {
    next = std::min(next, asked.question.answer() ? now.monotonic : asked.question.deadline());
  }
  for (const Flush& flush : flushes_)
    next = std::min(next, has_ended(flush) ? now.monotonic : flush.deadline);
  const bool ends = submissions_.empty() || (partitions_.empty() && closed_);
  if (closing_ && !closing_unmounts_) next = std::min(next, ends ? now.monotonic : close_at_);
  if (closing_unmounts_ && partitions_.empty() && closed_) next = now.monotonic;
  ports_.clock.wake_at(next);
}

}  // namespace reel::client
