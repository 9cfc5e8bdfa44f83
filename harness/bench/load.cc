#include "harness/bench/load.h"

#include <cstring>

#include "harness/command/command.h"
#include "harness/random_bits.h"
#include "io/real/clock.h"
#include "io/wire/codec.h"

namespace reel::harness {
namespace {

constexpr io::Duration kFirstAnswerMax = io::seconds(15);
constexpr io::Duration kProgressEvery = io::milliseconds(250);

double milliseconds(io::Duration duration) { return static_cast<double>(duration.ns) / 1e6; }

}  // namespace

Load::Load(real::Loop& loop, RealClient& client, const LoadOptions& options, std::function<void(bool)> mark,
           std::function<void(const LoadReport&)> progress)
    : Driver(client.ports(), wire::kClientCallCodec),
      loop_(loop),
      options_(options),
      mark_(std::move(mark)),
      progress_(std::move(progress)),
      data_(options.size),
      submitted_at_(std::size_t{options.outstanding} * 2) {
  client::AppenderOptions appender;
  appender.nodes = client.nodes();
  appender.group = options.group;
  appender.outstanding_max = options.outstanding;
  appender.session = {random_bits(), random_bits()};
  appender.seed = random_bits();
  open_appender(appender);
  // Incompressible, and different in every transaction.
  for (std::size_t i = 0; i < data_.size(); i += 8) {
    const std::uint64_t word = io::keyed_hash(appender.seed, {i});
    std::memcpy(data_.data() + i, &word, std::min<std::size_t>(8, data_.size() - i));
  }
  client.attach(*this);
}

LoadReport Load::run() {
  phase_began_ = last_answer_ = real::monotonic_now();
  set_alarm(phase_began_ + kProgressEvery);
  submit(phase_began_);
  on_start();
  loop_.run();
  if (!error_.empty()) refuse(error_);
  if (phase_ != Phase::ending) refuse("interrupted");
  report_.retries = appender()->retries();
  return report_;
}

void Load::submit(io::Instant now) {
  if (phase_ == Phase::ending) return;
  while (appender()->can_submit()) {
    log::TransactionInput input;
    input.data = data_;
    const Sequence sequence = appender()->submit(input);
    if (data_.size() >= sizeof sequence.value)
      std::memcpy(data_.data(), &sequence.value, sizeof sequence.value);
    submitted_at_[sequence.value % submitted_at_.size()] = now;
  }
}

void Load::on_committed(const std::vector<CommittedRun>& runs) {
  const io::Instant now = real::monotonic_now();
  for (const CommittedRun& run : runs) take(run, now);
  if (phase_ == Phase::measuring) report_.gap_ms = std::max(report_.gap_ms, milliseconds(now - last_answer_));
  last_answer_ = now;
  advance(now);
}

void Load::take(const CommittedRun& run, io::Instant now) {
  // Nobody else appends, so ids follow the sequences, in whatever order the answers come.
  if (!first_id_) first_id_ = run.id - (run.first.value - 1);
  if (run.id != *first_id_ + (run.first.value - 1)) {
    return fail("transaction " + std::to_string(run.id.value) +
                " is not where it belongs in the order of the log, at " +
                std::to_string(first_id_->value + run.first.value - 1) + ": is somebody else appending?");
  }
  report_.answered += run.count;
  if (phase_ != Phase::measuring) return;
  report_.transactions += run.count;
  for (std::uint32_t i = 0; i < run.count; ++i) {
    report_.latencies.add((now - submitted_at_[(run.first + i).value % submitted_at_.size()]).ns);
  }
}

// From one phase to the next, always at an answer, so that what is counted and how long it took belong together.
void Load::advance(io::Instant now) {
  const io::Duration in_phase = now - phase_began_;
  if (phase_ == Phase::first_answer) {
    phase_ = Phase::warm_up;
    phase_began_ = now;
  } else if (phase_ == Phase::warm_up && in_phase >= options_.warm_up) {
    phase_ = Phase::measuring;
    phase_began_ = now;
    mark_(true);
  } else if (phase_ == Phase::measuring &&
             (in_phase >= options_.duration || report_.answered >= options_.transactions_max)) {
    report_.seconds = milliseconds(in_phase) / 1e3;
    mark_(false);
    phase_ = Phase::ending;
  }
}

void Load::on_progress() {
  if (!error_.empty()) return;
  if (appender()->failure()) {
    const CallError& failure = *appender()->failure();
    return fail(std::string("the cluster refused (") + name_of(failure.code) + "): " + failure.text);
  }
  if (phase_ == Phase::ending) {
    if (appender()->outstanding() == 0) loop_.stop();
    return;
  }
  submit(real::monotonic_now());
}

void Load::on_alarm() {
  const io::Instant now = real::monotonic_now();
  set_alarm(now + kProgressEvery);
  if (now - last_answer_ > kFirstAnswerMax) return fail("the cluster has not answered for 15 s: is it up?");
  if (phase_ != Phase::measuring) return;
  LoadReport so_far = report_;
  so_far.seconds = milliseconds(now - phase_began_) / 1e3;
  progress_(so_far);
}

void Load::fail(std::string why) {
  if (error_.empty()) error_ = std::move(why);
  loop_.stop();
}

}  // namespace reel::harness
