#include "node/client/submitter.h"

#include <algorithm>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"

namespace reel::client {
namespace {

// How far apart the requests of one session may be: half of what the cluster remembers.
constexpr std::uint64_t kSessionSpanMax = log::kSessionWindow / 2;
// Burned to open the session.
constexpr Sequence kOpening{1};

constexpr std::uint64_t kSessionHigh = 1;
constexpr std::uint64_t kSessionLow = 2;
constexpr std::uint64_t kRetry = 3;

SubmitOutcome::Kind kind_of(RefusalCode code) {
  switch (code) {
    case RefusalCode::conflict: return SubmitOutcome::Kind::conflict;
    case RefusalCode::stale: return SubmitOutcome::Kind::stale;
    case RefusalCode::burned: break;
  }
  return SubmitOutcome::Kind::burned;
}

// The lowest view that a refused attempt's successor may be made from.
TxnId view_behind(const Refusal& refusal) {
  const bool stale = refusal.code == RefusalCode::stale && refusal.id.value > 0;
  return stale ? refusal.id - 1 : refusal.id;
}

bool fits(const Prepared& prepared) {
  const std::size_t locks =
      prepared.write_locks.size() + prepared.read_locks.size() + prepared.append_locks.size();
  return prepared.data.size() <= kTransactionBytesMax && locks <= kTransactionLocksMax;
}

// Each of the sequences [first, first + count) exactly once.
bool covers(const AppendResult& result, Sequence first, std::uint64_t count) {
  std::vector<bool> covered(count);
  std::uint64_t left = count;
  const auto cover = [&](Sequence sequence) {
    const std::uint64_t at = sequence.value - first.value;
    if (sequence < first || at >= count || covered[at]) return false;
    covered[at] = true;
    --left;
    return true;
  };
  for (const CommittedRun& run : result.runs) {
    if (run.count > count) return false;
    for (std::uint32_t i = 0; i < run.count; ++i) {
      if (!cover(run.first + i)) return false;
    }
  }
  for (const Refusal& refusal : result.refusals) {
    if (!cover(refusal.sequence)) return false;
  }
  return left == 0;
}

}  // namespace

const char* name_of(SubmitOutcome::Kind kind) {
  switch (kind) {
    case SubmitOutcome::Kind::committed: return "Committed";
    case SubmitOutcome::Kind::conflict: return "Conflict";
    case SubmitOutcome::Kind::stale: return "Stale";
    case SubmitOutcome::Kind::vetoed: return "Vetoed";
    case SubmitOutcome::Kind::burned: return "Burned";
    case SubmitOutcome::Kind::failed: return "Failed";
    case SubmitOutcome::Kind::unknown: return "Unknown";
  }
  return "?";
}

Submitter::Submitter(const SubmitterOptions& options) : options_(options), known_(options.opened) {
  REEL_ASSERT(!options.nodes.empty());
  REEL_ASSERT(options.outstanding_max > 0 && options.outstanding_max <= kSessionSpanMax);
  REEL_ASSERT(options.bytes_max > 0 && options.attempts_max > 0);
  REEL_ASSERT(options.call_transactions_max > 0 && options.call_transactions_max <= kAppendCallCountMax);
  REEL_ASSERT(options.call_bytes_max <= kAppendCallBytesMax && options.calls_in_flight_max > 0);
}

// ---- the application --------------------------------------------------------------------------------------------

bool Submitter::can_submit() const {
  return requests_.size() < options_.outstanding_max && bytes_ < options_.bytes_max && !closed_ && !failure_;
}

SubmitId Submitter::submit(TransactionContext context) {
  REEL_ASSERT(can_submit() && !executing_ && context.execute);
  ++last_;
  Request& request = requests_[last_];
  request.context = std::move(context);
  request.deadline = io::kNever;
  set_deadline(last_, request, request.context.deadline);
  fresh_.insert(last_);
  return last_;
}

void Submitter::applied(TxnId id) {
  REEL_ASSERT(!executing_ && (!applied_ || *applied_ <= id));
  applied_ = id;
  while (!behind_.empty() && behind_.begin()->first <= id) {
    const SubmitId submit = behind_.begin()->second;
    behind_.erase(behind_.begin());
    Request& request = requests_.at(submit);
    request.state = State::paused;
    paused_.emplace(request.due, submit);
  }
}

void Submitter::cancel(SubmitId submit, const io::Now& now) {
  REEL_ASSERT(!executing_);
  if (requests_.contains(submit)) give_up(submit, Ending::cancelled, now);
}

// ---- outcomes ---------------------------------------------------------------------------------------------------

void Submitter::set_deadline(SubmitId id, Request& request, io::Instant deadline) {
  deadlines_.erase({request.deadline, id});
  request.deadline = deadline;
  if (deadline != io::kNever) deadlines_.emplace(deadline, id);
}

void Submitter::drop_record(Request& request) {
  bytes_ -= request.record.size();
  request.record = {};
}

// Takes it out of the queue that its state says.
void Submitter::detach(SubmitId id, Request& request) {
  switch (request.state) {
    case State::fresh: fresh_.erase(id); break;
    case State::behind: behind_.erase({request.needs, id}); break;
    case State::paused: paused_.erase({request.due, id}); break;
    case State::ready: ready_.erase(request.number); break;
    case State::sent: break;
    case State::resolving: resolves_.erase(id); break;
  }
}

SubmitOutcome Submitter::outcome_of(SubmitId id, const Request& request, Kind kind, Ending ending) const {
  SubmitOutcome outcome;
  outcome.submit = id;
  outcome.kind = kind;
  outcome.ending = ending;
  if (request.number.sequence.value > 0) outcome.session = session_of(request.number.generation);
  outcome.sequence = request.number.sequence;
  outcome.attempts = request.attempts;
  outcome.refusal = request.refusal;
  outcome.refused = request.refused;
  return outcome;
}

void Submitter::finish(SubmitId id, SubmitOutcome outcome) {
  const auto found = requests_.find(id);
  REEL_ASSERT(found != requests_.end());
  Request& request = found->second;
  detach(id, request);
  set_deadline(id, request, io::kNever);
  if (request.number.sequence.value > 0) numbered_.erase(request.number);
  drop_record(request);
  requests_.erase(found);
  outcomes_.push_back(std::move(outcome));
}

void Submitter::finish(SubmitId id, Kind kind, Ending ending) {
  finish(id, outcome_of(id, requests_.at(id), kind, ending));
}

// Deadline or cancellation. What may be on its way must be resolved first; everything else is certain.
void Submitter::give_up(SubmitId id, Ending why, const io::Now& now) {
  Request& request = requests_.at(id);
  if (request.state == State::resolving) {
    if (why == Ending::deadline) finish(id, Kind::unknown, why);
    return;
  }
  if (!request.exposed) {
    return finish(id, request.refusal ? kind_of(request.refusal->code) : Kind::burned, why);
  }
  detach(id, request);
  request.state = State::resolving;
  request.ending = why;
  resolves_.insert(id);
  set_deadline(id, request, now.monotonic + options_.grace);
}

bool Submitter::wants_another(const Request& request, const Refusal& refusal) {
  executing_ = true;
  const bool wanted = request.context.on_conflict(refusal);
  executing_ = false;
  return wanted;
}

// This attempt is over for good, and left no trace.
void Submitter::refused(SubmitId id, Request& request, const Refusal& refusal, const io::Now& now) {
  request.refusal = refusal;
  request.refused = request.attempts;
  ++request.refusals;
  const bool given_up = request.state == State::resolving;
  if (refusal.code == RefusalCode::burned || given_up) {
    return finish(id, kind_of(refusal.code), given_up ? request.ending : Ending::answered);
  }
  const std::uint32_t wanted = request.context.attempts_max;
  if (request.refusals >= (wanted == 0 ? options_.attempts_max : wanted)) {
    return finish(id, kind_of(refusal.code), Ending::attempts);
  }
  if (request.context.on_conflict && !wants_another(request, refusal)) {
    return finish(id, kind_of(refusal.code), Ending::veto);
  }
  drop_record(request);
  request.exposed = false;
  request.repeated = false;
  request.needs = view_behind(refusal);
  request.due = now.monotonic + backoff(options_.retry_min, options_.retry_max, request.refusals - 1,
                                        io::keyed_hash(options_.seed, {kRetry, id.value}));
  const bool behind = !applied_ || *applied_ < request.needs;
  request.state = behind ? State::behind : State::paused;
  if (behind) {
    behind_.emplace(request.needs, id);
  } else {
    paused_.emplace(request.due, id);
  }
}

// ---- sessions ---------------------------------------------------------------------------------------------------

SessionId Submitter::session_of(std::uint64_t generation) const {
  const SessionId& base = options_.session;
  if (generation == 0) return base;
  return {io::keyed_hash(base.high, {base.low, generation, kSessionHigh}),
          io::keyed_hash(base.high, {base.low, generation, kSessionLow})};
}

void Submitter::draw_session() {
  ++generation_;
  open_ = false;
  next_ = kOpening + 1;
}

bool Submitter::session_has_room() const {
  const auto oldest = numbered_.lower_bound({generation_, Sequence()});
  return oldest == numbered_.end() || next_ - oldest->first.sequence < kSessionSpanMax;
}

// The cluster has dropped this session. Its requests that are certain not to have committed give their numbers back, and
// get new ones; copies of what was refused stay refused, or expire.
void Submitter::leave_session(std::uint64_t generation) {
  if (generation == generation_) draw_session();
  for (auto at = numbered_.lower_bound({generation, Sequence()});
       at != numbered_.end() && at->first.generation == generation;) {
    const SubmitId id = at->second;
    Request& request = requests_.at(id);
    if (request.exposed) {
      ++at;
      continue;
    }
    at = numbered_.erase(at);
    if (request.state == State::ready) {
      ready_.erase(request.number);
      drop_record(request);
      request.state = State::fresh;
      fresh_.insert(id);
    }
    request.number = {};
  }
}

// ---- execution --------------------------------------------------------------------------------------------------

void Submitter::execute(SubmitId id) {
  Request& request = requests_.at(id);
  detach(id, request);
  request.state = State::sent;  // in no queue
  ++request.attempts;
  executing_ = true;
  const std::optional<Prepared> prepared =
      request.context.execute({id, applied_, request.attempts, request.refusal, request.refused});
  executing_ = false;
  if (!prepared) return finish(id, Kind::vetoed, Ending::veto);
  if (fits(*prepared)) return make_ready(id, request, *prepared);
  SubmitOutcome outcome = outcome_of(id, request, Kind::failed, Ending::refused);
  CallError& error = outcome.error.emplace();
  error.code = ErrorCode::too_large;
  error.limit = kTransactionBytesMax;
  error.text = "the transaction's data, or its number of locks, is above the limit: make it smaller";
  finish(id, std::move(outcome));
}

void Submitter::make_ready(SubmitId id, Request& request, const Prepared& prepared) {
  log::TransactionInput input;
  input.header = prepared.header;
  input.data = prepared.data;
  input.write_locks = prepared.write_locks;
  input.read_locks = prepared.read_locks;
  input.append_locks = prepared.append_locks;
  input.based_on = applied_;
  input.intent = prepared.intent;
  REEL_ASSERT(request.record.empty() && !request.exposed);
  log::append_record(request.record, input);
  bytes_ += request.record.size();
  if (request.number.sequence.value == 0) {
    request.number = {generation_, next_};
    request.opened = known_;
    ++next_;
    numbered_.emplace(request.number, id);
  }
  request.state = State::ready;
  ready_.emplace(request.number, id);
}

// One call's worth, and no more: what is executed late is based on more.
void Submitter::execute_some(const io::Now& now) {
  while (ready_.size() < options_.call_transactions_max && bytes_ < options_.bytes_max) {
    if (!paused_.empty() && paused_.begin()->first <= now.monotonic) {
      const SubmitId id = paused_.begin()->second;
      Request& request = requests_.at(id);
      if (request.number.sequence.value > 0) {
        execute(id);
        continue;
      }
      detach(id, request);
      request.state = State::fresh;
      fresh_.insert(id);
    }
    if (fresh_.empty() || !open_) return;
    if (!session_has_room()) return draw_session();
    execute(*fresh_.begin());
  }
}

bool Submitter::has_something_to_execute() const {
  return bytes_ < options_.bytes_max && !fresh_.empty() && (open_ || !opening_);
}

// ---- sending ----------------------------------------------------------------------------------------------------

void Submitter::pump(const io::Now& now, Calls& out) {
  if (failure_) return;
  time_out(now, out);
  while (!deadlines_.empty() && deadlines_.begin()->first <= now.monotonic) {
    give_up(deadlines_.begin()->second, Ending::deadline, now);
  }
  if (now.monotonic < resume_at_) return;
  send_resolves(now, out);
  const bool idle = open_ && numbered_.empty() && now.monotonic - used_ >= options_.session_idle_max;
  if (idle && !fresh_.empty()) draw_session();
  while (has_room()) {
    execute_some(now);
    if (!fresh_.empty() && !open_ && !opening_) {
      open_session(now, out);
      continue;
    }
    if (ready_.empty()) return;
    send_ready(now, out);
  }
}

// Before a call has succeeded the leader is only guessed: one call at a time.
bool Submitter::has_room() const {
  return pipelining_ ? appends_ < options_.calls_in_flight_max : calls_.empty();
}

void Submitter::note_sent(io::CallId call, Sent sent, const io::Now& now) {
  sent.to = target();
  sent.expires = now.monotonic + options_.call_timeout;
  appends_ += sent.what == Sent::What::append ? 1 : 0;
  resolving_ += sent.what == Sent::What::resolve ? 1 : 0;
  opening_ = opening_ || sent.what == Sent::What::open;
  calls_.emplace(call, std::move(sent));
}

void Submitter::open_session(const io::Now& now, Calls& out) {
  const io::CallId call =
      out.make(target(), ResolveCall{options_.group, session_of(generation_), known_, kOpening});
  note_sent(call, {Sent::What::open, {}, {}, {generation_, kOpening}, {}}, now);
}

void Submitter::send_resolves(const io::Now& now, Calls& out) {
  while (!resolves_.empty() && (pipelining_ ? resolving_ < kResolvesInFlightMax : calls_.empty())) {
    const SubmitId id = *resolves_.begin();
    resolves_.erase(resolves_.begin());
    const Request& request = requests_.at(id);
    const Number number = request.number;
    const io::CallId call = out.make(target(), ResolveCall{options_.group, session_of(number.generation),
                                                           request.opened, number.sequence});
    note_sent(call, {Sent::What::resolve, {}, {}, number, {id}}, now);
  }
}

// One call with the ready neighbours of one session.
void Submitter::send_ready(const io::Now& now, Calls& out) {
  Sent sent{Sent::What::append, {}, {}, ready_.begin()->first, {}};
  AppendCall append;
  append.opened = requests_.at(ready_.begin()->second).opened;
  std::vector<std::byte> block;
  bool alone = false;
  while (!ready_.empty() && sent.submits.size() < options_.call_transactions_max) {
    const auto [number, id] = *ready_.begin();
    Request& request = requests_.at(id);
    alone = alone || request.alone;
    const Number expected{sent.first.generation, sent.first.sequence + sent.submits.size()};
    const bool full = alone || block.size() + request.record.size() > options_.call_bytes_max;
    if (!sent.submits.empty() && (full || number != expected)) break;
    block.insert(block.end(), request.record.begin(), request.record.end());
    sent.submits.push_back(id);
    ready_.erase(ready_.begin());
    request.state = State::sent;
    request.exposed = true;
  }
  append.group = options_.group;
  append.session = session_of(sent.first.generation);
  append.first = sent.first.sequence;
  append.count = static_cast<std::uint32_t>(sent.submits.size());
  append.block = Bytes::copy_of(block);
  const io::CallId call = out.make(target(), std::move(append));
  note_sent(call, std::move(sent), now);
}

io::Instant Submitter::deadline() const {
  io::Instant earliest = deadlines_.empty() ? io::kNever : deadlines_.begin()->first;
  for (const auto& [call, sent] : calls_) earliest = std::min(earliest, sent.expires);
  const bool resolves =
      !resolves_.empty() && (pipelining_ ? resolving_ < kResolvesInFlightMax : calls_.empty());
  if (resolves || (has_room() && (!ready_.empty() || has_something_to_execute()))) {
    earliest = std::min(earliest, resume_at_);
  }
  if (has_room() && bytes_ < options_.bytes_max && !paused_.empty()) {
    earliest = std::min(earliest, std::max(paused_.begin()->first, resume_at_));
  }
  return earliest;
}

// ---- answers ----------------------------------------------------------------------------------------------------

void Submitter::forget_call(const Sent& sent) {
  appends_ -= sent.what == Sent::What::append ? 1 : 0;
  resolving_ -= sent.what == Sent::What::resolve ? 1 : 0;
  if (sent.what == Sent::What::open) opening_ = false;
}

void Submitter::time_out(const io::Now& now, Calls& out) {
  for (auto at = calls_.begin(); at != calls_.end();) {
    if (at->second.expires > now.monotonic) {
      ++at;
      continue;
    }
    out.cancel(at->first);
    const Sent sent = std::move(at->second);
    at = calls_.erase(at);
    forget_call(sent);
    ++repeats_.timed_out;
    lose(sent, NodeId(), options_.backoff_min, now);
  }
}

bool Submitter::on_failed(io::CallId call, const io::Now& now, Calls&) {
  const auto node = calls_.extract(call);
  if (node.empty()) return false;
  forget_call(node.mapped());
  ++repeats_.failed;
  lose(node.mapped(), NodeId(), options_.backoff_min, now);
  return true;
}

bool Submitter::on_reply(io::CallId call, const ClientReply& reply, const io::Now& now, Calls& out) {
  const auto node = calls_.extract(call);
  if (node.empty()) return false;
  const Sent& sent = node.mapped();
  forget_call(sent);
  const auto* appended = std::get_if<AppendResult>(&reply);
  const auto* resolved = std::get_if<ResolveResult>(&reply);
  if (const auto* error = std::get_if<CallError>(&reply)) {
    on_error(sent, *error, now, out);
  } else if (sent.what == Sent::What::append && appended != nullptr &&
             covers(*appended, sent.first.sequence, sent.submits.size())) {
    succeeded(now);
    on_appended(sent, *appended, now);
  } else if (sent.what != Sent::What::append && resolved != nullptr) {
    succeeded(now);
    on_resolved(sent, *resolved);
  } else {
    ++repeats_.unavailable;
    lose(sent, NodeId(), options_.backoff_min, now);
  }
  return true;
}

void Submitter::succeeded(const io::Now& now) {
  used_ = now.monotonic;
  pipelining_ = true;
  failures_ = 0;
}

void Submitter::on_appended(const Sent& sent, const AppendResult& result, const io::Now& now) {
  const auto request_of = [&](Sequence sequence) {
    return requests_.find(sent.submits[sequence - sent.first.sequence]);
  };
  for (const CommittedRun& run : result.runs) {
    for (std::uint32_t i = 0; i < run.count; ++i) {
      const auto found = request_of(run.first + i);
      if (found == requests_.end()) continue;  // resolved meanwhile
      const bool given_up = found->second.state == State::resolving;
      SubmitOutcome outcome = outcome_of(found->first, found->second, Kind::committed,
                                         given_up ? found->second.ending : Ending::answered);
      outcome.id = run.id + i;
      outcome.time = run.time + i;
      finish(found->first, std::move(outcome));
    }
  }
  for (const Refusal& refusal : result.refusals) {
    const auto found = request_of(refusal.sequence);
    if (found != requests_.end()) refused(found->first, found->second, refusal, now);
  }
}

void Submitter::on_resolved(const Sent& sent, const ResolveResult& result) {
  if (sent.what == Sent::What::open) {
    open_ = open_ || sent.first.generation == generation_;
    return;
  }
  const auto found = requests_.find(sent.submits.front());
  if (found == requests_.end()) return;  // its append was answered first
  const Request& request = found->second;
  SubmitOutcome outcome = outcome_of(found->first, request, Kind::burned, request.ending);
  if (result.committed) {
    outcome.kind = Kind::committed;
    outcome.id = result.committed->id;
    outcome.time = result.committed->time;
  }
  finish(found->first, std::move(outcome));
}

void Submitter::on_error(const Sent& sent, const CallError& error, const io::Now& now, Calls& out) {
  switch (error.code) {
    case ErrorCode::not_leader:
      if (pipelining_) ++repeats_.not_leader;
      return lose(sent, error.hint, options_.backoff_min, now);
    case ErrorCode::overloaded:
      ++repeats_.overloaded;
      return lose(sent, sent.to, std::max(error.retry_after, options_.backoff_min), now);
    case ErrorCode::out_of_order:
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
      ++repeats_.unavailable;
      return lose(sent, NodeId(), error.retry_after, now);
    case ErrorCode::expired: return on_expired(sent, error);
    case ErrorCode::too_large:
    case ErrorCode::malformed:
    case ErrorCode::no_such_reader_group:
      if (sent.what == Sent::What::open) break;
      return reject(sent, error, now);
    case ErrorCode::unauthorized:
    case ErrorCode::no_such_partition: break;
  }
  for (const SubmitId id : sent.submits) {  // this call was not taken; an earlier copy may have been
    const auto found = requests_.find(id);
    if (found != requests_.end() && !found->second.repeated) found->second.exposed = false;
  }
  fail(error, out);
}

void Submitter::on_expired(const Sent& sent, const CallError& error) {
  known_ = std::max(known_, Index(error.limit));
  for (const SubmitId id : sent.submits) {
    const auto found = requests_.find(id);
    if (found == requests_.end()) continue;
    SubmitOutcome outcome = outcome_of(id, found->second, Kind::unknown, Ending::expired);
    outcome.error = error;
    finish(id, std::move(outcome));
  }
  leave_session(sent.first.generation);
}

// Something in this call can never be taken. Whose fault it is shows when each is sent alone.
void Submitter::reject(const Sent& sent, const CallError& error, const io::Now& now) {
  if (sent.what == Sent::What::append && sent.submits.size() > 1) {
    for (const SubmitId id : sent.submits) {
      const auto found = requests_.find(id);
      if (found != requests_.end()) found->second.alone = true;
    }
    return lose(sent, sent.to, io::Duration{0}, now);
  }
  for (const SubmitId id : sent.submits) {
    const auto found = requests_.find(id);
    if (found == requests_.end()) continue;
    const bool certain = sent.what == Sent::What::append;  // no node takes this content, nor has taken it
    SubmitOutcome outcome =
        outcome_of(id, found->second, certain ? Kind::failed : Kind::unknown, Ending::refused);
    outcome.error = error;
    finish(id, std::move(outcome));
  }
}

void Submitter::fail(const CallError& error, Calls& out) {
  failure_ = error;
  for (const auto& [call, sent] : calls_) out.cancel(call);
  calls_.clear();
  appends_ = 0;
  resolving_ = 0;
  opening_ = false;
  while (!requests_.empty()) {
    const auto& [id, request] = *requests_.begin();
    SubmitOutcome outcome =
        outcome_of(id, request, request.exposed ? Kind::unknown : Kind::failed, Ending::refused);
    outcome.error = error;
    finish(id, std::move(outcome));
  }
}

// The call may have arrived or not. Its requests are sent again, unchanged; then who is asked next, and when.
void Submitter::lose(const Sent& sent, NodeId hint, io::Duration at_least, const io::Now& now) {
  for (const SubmitId id : sent.submits) {
    const auto found = requests_.find(id);
    if (found == requests_.end()) continue;
    Request& request = found->second;
    request.repeated = true;
    if (request.state == State::sent) {
      request.state = State::ready;
      ready_.emplace(request.number, id);
    } else if (sent.what == Sent::What::resolve) {
      resolves_.insert(id);
    }
  }
  if (sent.to != target()) return;  // somebody else is asked already
  pipelining_ = false;
  const auto known = std::find(options_.nodes.begin(), options_.nodes.end(), hint);
  const bool fresh_hint = known != options_.nodes.end() && *known != target();
  target_ = known != options_.nodes.end() ? static_cast<std::size_t>(known - options_.nodes.begin())
                                          : (target_ + 1) % options_.nodes.size();
  // The first hint to another node is followed at once; everything else waits longer and longer.
  const io::Duration pause =
      fresh_hint && failures_ == 0
          ? io::Duration{0}
          : std::max(at_least, backoff(options_.backoff_min, options_.backoff_max, failures_, options_.seed));
  ++failures_;
  resume_at_ = now.monotonic + pause;
}

}  // namespace reel::client
