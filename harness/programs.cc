#include "harness/programs.h"

#include <algorithm>
#include <cstring>

namespace reel::harness {
namespace {

constexpr std::uint32_t kThinkPlace = 1;

io::Duration think(sim::Decisions& decisions, NodeId self, std::uint64_t life, Sequence sequence,
                   io::Duration mean) {
  const sim::ChoiceKey key{sim::Choice::workload, kThinkPlace, static_cast<std::uint32_t>(self.value),
                           (life << 32) | sequence.value};
  return {static_cast<std::int64_t>(decisions.pause(key, static_cast<std::uint64_t>(mean.ns)))};
}

}  // namespace

std::vector<std::byte> Content::of(Sequence sequence) const {
  const std::uint64_t draw = io::keyed_hash(seed_, {client_.value, sequence.value});
  std::vector<std::byte> data(draw % (bytes_max_ + 1));
  for (std::size_t at = 0; at < data.size(); at += 8) {
    const std::uint64_t word = io::keyed_hash(draw, {at});
    std::memcpy(data.data() + at, &word, std::min<std::size_t>(8, data.size() - at));
  }
  return data;
}

std::uint32_t Content::header_of(Sequence sequence) const {
  return static_cast<std::uint32_t>(io::keyed_hash(seed_, {client_.value, sequence.value, 1}));
}

const char* mark_of(client::SubmitOutcome::Kind kind) {
  using Kind = client::SubmitOutcome::Kind;
  switch (kind) {
    case Kind::committed: return "submit.committed";
    case Kind::conflict: return "submit.conflict";
    case Kind::stale: return "submit.stale";
    case Kind::vetoed: return "submit.vetoed";
    case Kind::burned: return "submit.burned";
    case Kind::failed: return "submit.failed";
    case Kind::unknown: return "submit.unknown";
  }
  return "?";
}

void RepeatMarks::tell(const client::Repeats& now, Oracles& oracles) {
  auto tell = [&oracles](std::uint64_t& told, std::uint64_t count, const char* mark) {
    while (told < count) ++told, oracles.mark(mark);
  };
  tell(told_.timed_out, now.timed_out, "client.timed_out");
  tell(told_.failed, now.failed, "client.call_failed");
  tell(told_.unavailable, now.unavailable, "client.unavailable");
  tell(told_.not_leader, now.not_leader, "client.leader_changed");
  tell(told_.overloaded, now.overloaded, "client.overloaded");
  tell(told_.out_of_order, now.out_of_order, "client.out_of_order");
}

AppendProgram::AppendProgram(io::Ports& ports, NodeId self, const AppendPlan& plan, AppendMemory& memory,
                             Oracles& oracles, sim::Decisions& decisions)
    : Driver(ports, *plan.call_codec),
      self_(self),
      plan_(plan),
      memory_(memory),
      oracles_(oracles),
      decisions_(decisions),
      content_(plan.content_seed, self, plan.bytes_max),
      next_(memory.answered + 1) {
  if (memory_.lives++ == 0)
    oracles.session_opened(plan.appender.group, memory.session, plan.appender.ordered);
  client::AppenderOptions options = plan.appender;
  options.session = memory.session;
  options.first = next_;
  open_appender(options);
}

void AppendProgram::on_start() {
  // Whatever an earlier life submitted and never saw answered is submitted again, under the same request ids.
  while (next_ <= memory_.submitted && appender()->can_submit()) submit_burst();
  if (has_more()) set_alarm(ports().clock.now().monotonic);
  flush();
}

void AppendProgram::submit_burst() {
  for (std::uint32_t i = 0; i < plan_.burst && has_more() && appender()->can_submit(); ++i) {
    const std::vector<std::byte> data = content_.of(next_);
    log::TransactionInput input;
    input.header = content_.header_of(next_);
    input.data = data;
    appender()->submit(input);
    memory_.submitted = std::max(memory_.submitted, next_);
    ++next_;
  }
}

void AppendProgram::on_alarm() {
  submit_burst();
  if (!has_more()) return;
  const io::Duration pause = think(decisions_, self_, memory_.lives, next_, plan_.think_mean);
  set_alarm(ports().clock.now().monotonic + pause);
}

void AppendProgram::on_committed(const std::vector<CommittedRun>& runs) {
  for (const CommittedRun& run : runs) {
    oracles_.acknowledged(plan_.appender.group, memory_.session, run);
    for (std::uint32_t i = 0; i < run.count; ++i) memory_.answered_beyond.insert(run.first + i);
  }
  while (!memory_.answered_beyond.empty() && *memory_.answered_beyond.begin() <= memory_.answered + 1) {
    memory_.answered = std::max(memory_.answered, *memory_.answered_beyond.begin());
    memory_.answered_beyond.erase(memory_.answered_beyond.begin());
  }
}

void AppendProgram::on_progress() {
  repeats_.tell(appender()->repeats(), oracles_);
  if (appender()->failure()) {
    oracles_.complain("client-refused", std::string("an append ended with ") +
                                            name_of(appender()->failure()->code) + ": " +
                                            appender()->failure()->text);
    return;
  }
  if (plan_.think_mean.ns == 0) submit_burst();
}

FeedProgram::FeedProgram(io::Ports& ports, NodeId self, const FeedPlan& plan, TxnId& position,
                         Oracles& oracles)
    : Driver(ports, *plan.call_codec),
      self_(self),
      plan_(plan),
      group_(plan.reader.group),
      position_(position),
      oracles_(oracles) {
  client::ReaderOptions options = plan.reader;
  options.from = position;
  open_reader(options);
  if (!selects()) {
    oracles.feed_opened(group_, self, position);
    return;
  }
  const FeedFilter& filter = options.filter;
  oracles.selection_opened(group_, self, position,
                           {options.from_time, filter.header_mask, filter.header_value, filter.lock});
}

void FeedProgram::on_transaction(const log::Transaction& transaction) {
  if (selects()) {
    oracles_.selected(group_, self_, transaction);
  } else {
    oracles_.fed(group_, self_, transaction);
  }
  position_ = transaction.id + 1;
  if (!plan_.looks_up || transaction.id.value % 16 != 0 || lookup_.value != 0) return;
  digest_ = io::digest64(transaction.record.data);
  looked_up_ = transaction.id;
  lookup_ = call(readers().front()->target(), TransactionCall{group_, transaction.id});
}

// The node that just showed it may have died since, and know less now; but it must not know otherwise.
void FeedProgram::on_other_reply(io::CallId call, const ClientReply* reply) {
  if (call != lookup_) return;
  lookup_ = io::CallId();
  const auto* result = reply == nullptr ? nullptr : std::get_if<TransactionResult>(reply);
  if (result == nullptr) return;
  if (!result->transaction) {
    if (result->high_water > looked_up_) oracles_.complain("lookup", "a committed transaction was not found");
    return;
  }
  oracles_.mark("client.looked_up");
  const auto record = log::parse_record(result->transaction->record.span());
  if (result->transaction->id != looked_up_ || !record || io::digest64(record->data) != digest_) {
    oracles_.complain("lookup", "a transaction was looked up and is not what the feed brought");
  }
}

void FeedProgram::on_progress() {
  const client::Reader& reader = *readers().front();
  repeats_.tell(reader.repeats(), oracles_);
  if (reader.failure()) return oracles_.complain("feed", *reader.failure());
  if (!selects()) return;
  oracles_.passed(group_, self_, reader.next());
  position_ = std::max(position_, reader.next());
}

}  // namespace reel::harness
