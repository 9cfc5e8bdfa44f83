#include "node/client/client.h"

#include <algorithm>

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
constexpr std::uint64_t kMemberHigh = 7;
constexpr std::uint64_t kMemberLow = 8;
constexpr std::uint64_t kMemberSeed = 9;

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
  const TxnId from = options.from;
  auto on_stopped = std::move(options.on_stopped);
  Applier view(partition, std::move(options), from, io::keyed_hash(seed, {kApplySeed}));
  auto mounted = std::make_unique<Partition>(partition, submits, reads, std::move(view));
  mounted->on_stopped = std::move(on_stopped);
  if (from.value > 0) mounted->submitter.applied(from - 1);
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
  partition.applier.close();
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
  return found == nullptr ? std::nullopt : std::optional(view_of(*found));
}

ViewState Client::view_of(const Partition& partition) const {
  const Applier& applier = partition.applier;
  return {applier.status(), applier.next(), std::max(applier.next(), partition.reader.high_water()),
          applier.why()};
}

bool Client::resume(GroupId partition, Verdict verdict) {
  Partition* found = find(partition);
  if (found == nullptr || !found->applier.stopped() || found->unmounting) return false;
  touched_.insert(partition);
  if (const auto skipped = found->applier.resume(verdict)) pass(*found, *skipped);
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
  partition.reader.drain([&](const log::Transaction& transaction, const Bytes& memory) {
    partition.applier.take(transaction, memory);
  });
  apply_some(partition, now);
  if (partition.unmounting) return;
  if (partition.applier.idle() && partition.reader.failure())
    partition.applier.fail(*partition.reader.failure());
  tell_news(partition);
}

void Client::tell_news(Partition& partition) {
  if (!partition.applier.take_news() || !partition.on_stopped) return;
  partition.on_stopped(partition.group, view_of(partition));
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
  const bool passed = outcome.id < partition.applier.next();
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

// A part of what there is: other partitions, and the loop, have their turn too.
void Client::apply_some(Partition& partition, const io::Now& now) {
  for (std::uint32_t i = 0; i < options_.apply_max; ++i) {
    const auto passed = partition.applier.apply_one(now);
    if (!passed) return;
    pass(partition, *passed);
  }
}

void Client::pass(Partition& partition, const Applier::Passed& passed) {
  if (passed.how == Application::skipped) {
    partition.skips.insert(passed.id);
    if (partition.skips.size() > kSkipsMax) partition.skips.erase(partition.skips.begin());
  }
  partition.submitter.applied(passed.id);
  const auto own = partition.unapplied.find(passed.id);
  if (own == partition.unapplied.end()) return;
  const SubmissionId submission = own->second;
  partition.unapplied.erase(own);
  end(submission, passed.how);
}

// ---- reader groups ----------------------------------------------------------------------------------------------

bool Client::join(const JoinOptions& options) {
  if (closing_ || members_.contains(options.name)) return false;
  const SessionId& drawn = options_.entropy;
  const std::uint64_t number = ++joins_;
  const MemberId self{io::keyed_hash(drawn.high, {drawn.low, number, kMemberHigh}),
                      io::keyed_hash(drawn.high, {drawn.low, number, kMemberLow})};
  members_.emplace(options.name, std::make_unique<Member>(number, options, options_.nodes, self,
                                                          io::keyed_hash(drawn.low, {number, kMemberSeed})));
  return true;
}

bool Client::leave(const std::string& group, io::Duration timeout, std::function<void(bool)> done) {
  const auto found = members_.find(group);
  if (found == members_.end()) return false;
  if (done) found->second->left.push_back(std::move(done));
  start_leaving(*found->second, after(ports_.clock.now(), timeout));
  return true;
}

void Client::start_leaving(Member& member, io::Instant gone_by) {
  member.gone_by = std::min(member.gone_by, gone_by);
  if (std::exchange(member.leaving, true)) return;
  member.membership.leave();
}

void Client::done(const std::string& group, GroupId partition, Epoch epoch, TxnId next) {
  const auto found = members_.find(group);
  if (found != members_.end()) found->second->membership.done(partition, epoch, next);
}

bool Client::resume(const std::string& group, GroupId partition, Verdict verdict) {
  const auto found = members_.find(group);
  return found != members_.end() && found->second->membership.resume(partition, verdict);
}

const Membership* Client::membership(const std::string& group) const {
  const auto found = members_.find(group);
  return found == members_.end() ? nullptr : &found->second->membership;
}

Client::Member* Client::find_member(std::uint64_t number) {
  for (auto& [name, member] : members_) {
    if (member->number == number) return member.get();
  }
  return nullptr;
}

// One that failed stays, for the application to see why, until it leaves.
void Client::settle_members(const io::Now& now) {
  std::vector<std::string> names;
  names.reserve(members_.size());
  for (auto& [name, member] : members_) names.push_back(name);  // callbacks may join others
  for (const std::string& name : names) {
    Member& member = *members_.at(name);
    member.membership.settle(now, options_.apply_max);
    const bool gone = member.leaving && (member.membership.has_left() || member.gone_by <= now.monotonic);
    if (!gone) continue;
    for (const auto& [call, owner] : owners_) {
      if (owner.member == member.number) calls_.cancel(call);
    }
    const bool known = member.membership.has_left() && !member.membership.failed();
    const std::unique_ptr<Member> left = std::move(members_.extract(name).mapped());
    for (const auto& done : left->left) done(known);
  }
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
    own_new_calls({{}, at->first, 0});
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
  for (auto& [name, member] : members_) start_leaving(*member, close_at_);
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
      if (owner.partition == group) calls_.cancel(call);
    }
    gone.push_back(std::move(found->second));
    partitions_.erase(found);
  }
  for (const auto& partition : gone) {
    for (const auto& [id, submission] : partition->unapplied) end(submission, Application::unreported);
    for (const auto& done : partition->unmounted) done();
  }
  if (closing_unmounts_ && closed() && closed_) std::exchange(closed_, {})();
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
  } else if (owner.mapped().member != 0) {
    if (Member* member = find_member(owner.mapped().member)) {
      member->membership.on_reply(call, reply, now, calls_);
    }
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
  } else if (owner.mapped().member != 0) {
    if (Member* member = find_member(owner.mapped().member)) member->membership.on_failed(call, now, calls_);
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
  settle_members(now);
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
    own_new_calls({{}, number, 0});
  }
  for (auto& [name, member] : members_) {
    member->membership.pump(now, calls_);
    own_new_calls({{}, 0, member->number});
  }
  send();
  set_alarm(now);
}

void Client::pump_partition(Partition& partition, const io::Now& now) {
  partition.submitter.pump(now, calls_);
  const bool reads = !partition.unmounting && partition.applier.bytes() < options_.prefetch_bytes;
  if (reads) partition.reader.pump(now, calls_);
  own_new_calls({partition.group, 0, 0});
  io::Instant next = partition.submitter.deadline();
  if (reads) next = std::min(next, partition.reader.deadline());
  next = std::min(next, partition.applier.deadline(now));
  // Told, or applied, in a turn of its own: a program may go on at once, for ever.
  const bool gone = partition.unmounting && partition.submits.empty();
  if (partition.submitter.has_outcomes() || gone) next = now.monotonic;
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
  for (const auto& [name, member] : members_) {
    next = std::min(next, member->membership.deadline(now));
    if (!member->leaving) continue;
    next = std::min(next, member->membership.has_left() ? now.monotonic : member->gone_by);
  }
  const bool ends = submissions_.empty() || (partitions_.empty() && closed_);
  if (closing_ && !closing_unmounts_) next = std::min(next, ends ? now.monotonic : close_at_);
  if (closing_unmounts_ && closed() && closed_) next = now.monotonic;
  ports_.clock.wake_at(next);
}

}  // namespace reel::client
