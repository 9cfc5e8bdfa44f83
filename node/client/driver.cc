#include "node/client/driver.h"

#include <algorithm>
#include <utility>

namespace reel::client {

Appender& Driver::open_appender(const AppenderOptions& options) { return appender_.emplace(options); }

Reader& Driver::open_reader(const ReaderOptions& options) {
  readers_.push_back(std::make_unique<Reader>(options));
  return *readers_.back();
}

Submitter& Driver::open_submitter(const SubmitterOptions& options) { return submitter_.emplace(options); }

io::CallId Driver::call(NodeId to, ClientCall body) { return calls_.make(to, std::move(body)); }

void Driver::on_wake() {
  if (alarm_ <= ports_.clock.now().monotonic) {
    alarm_ = io::kNever;
    on_alarm();
  }
  settle();
}

void Driver::on_reply(io::CallId call, io::Parcel body) {
  if (!body.is<ClientReply>()) return on_call_failed(call);
  const ClientReply& reply = body.get<ClientReply>();
  const io::Now now = ports_.clock.now();
  bool taken = appender_ && appender_->on_reply(call, reply, now, calls_, outcomes_);
  taken = taken || (submitter_ && submitter_->on_reply(call, reply, now, calls_));
  for (auto& reader : readers_) {
    if (taken) break;
    taken = reader->on_reply(call, reply, now, calls_);
  }
  if (!taken) on_other_reply(call, &reply);
  settle();
}

void Driver::on_call_failed(io::CallId call) {
  const io::Now now = ports_.clock.now();
  bool taken = appender_ && appender_->on_failed(call, now, calls_);
  taken = taken || (submitter_ && submitter_->on_failed(call, now, calls_));
  for (auto& reader : readers_) {
    if (taken) break;
    taken = reader->on_failed(call, now, calls_);
  }
  if (!taken) on_other_reply(call, nullptr);
  settle();
}

// Tells the program what came, lets it submit more, and sends.
void Driver::settle() {
  if (!outcomes_.runs.empty() || !outcomes_.refusals.empty()) {
    const AppendResult outcomes = std::exchange(outcomes_, {});
    if (!outcomes.runs.empty()) on_committed(outcomes.runs);
    if (!outcomes.refusals.empty()) on_refused(outcomes.refusals);
  }
  if (submitter_) {
    for (const SubmitOutcome& outcome : submitter_->take_outcomes()) on_submitted(outcome);
  }
  for (std::size_t i = 0; i < readers_.size(); ++i) {
    readers_[i]->drain([this](const log::Transaction& transaction) { on_transaction(transaction); });
  }
  on_progress();
  flush();
}

void Driver::flush() {
  const io::Now now = ports_.clock.now();
  if (appender_) appender_->pump(now, calls_);
  if (submitter_) submitter_->pump(now, calls_);
  for (auto& reader : readers_) reader->pump(now, calls_);
  std::vector<OutgoingCall> calls;
  calls.swap(calls_.calls());
  std::vector<io::CallId> cancels;
  cancels.swap(calls_.cancels());
  for (const io::CallId cancelled : cancels) ports_.remote.cancel(cancelled);
  for (OutgoingCall& outgoing : calls) {
    ports_.remote.call(outgoing.to, outgoing.call, io::Parcel::of(std::move(outgoing.body), call_codec_));
  }
  io::Instant next = alarm_;
  if (appender_) next = std::min(next, appender_->deadline());
  if (submitter_) {
    // What ended while it was pumped is told in a turn of its own: a program may submit again at once, for ever.
    next = std::min(next, submitter_->has_outcomes() ? now.monotonic : submitter_->deadline());
  }
  for (const auto& reader : readers_) next = std::min(next, reader->deadline());
  ports_.clock.wake_at(next);
}

}  // namespace reel::client
