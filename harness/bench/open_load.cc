#include "harness/bench/open_load.h"

#include <algorithm>
#include <cstring>

#include "harness/bench/interval.h"
#include "harness/random_bits.h"
#include "harness/refusal.h"
#include "io/real/clock.h"
#include "io/wire/codec.h"

namespace reel::harness {
namespace {

// What arrives within this time is sent together, as an application's own turns do.
constexpr io::Duration kTick = io::microseconds(500);

}  // namespace

class OpenLoad::Client final : public client::Driver {
 public:
  Client(RealClient& connection, OpenLoad& owner, std::uint32_t number)
      : Driver(connection.ports(), wire::kClientCallCodec),
        owner_(owner),
        data_(owner.options_.size),
        open_(owner.options_.rate > 0),
        requests_(std::size_t{owner.options_.outstanding} * 2) {
    client::AppenderOptions appender;
    appender.nodes = connection.everyone();
    appender.outstanding_max = owner.options_.outstanding;
    appender.session = {random_bits(), random_bits()};
    appender.seed = random_bits();
    open_appender(appender);
    for (std::size_t i = 0; i < data_.size(); i += 8) {
      const std::uint64_t word = io::keyed_hash(appender.seed, {i});
      std::memcpy(data_.data() + i, &word, std::min<std::size_t>(8, data_.size() - i));
    }
    if (open_) {
      every_ns_ = 1e9 * owner.options_.clients / owner.options_.rate;
      begin_ = real::monotonic_now() +
               io::Duration{static_cast<std::int64_t>(every_ns_ * number / owner.options_.clients)};
    }
    connection.attach(*this);
  }

  void on_start() override {
    arrive();
    flush();
  }
  void on_committed(const std::vector<CommittedRun>& runs) override {
    const io::Instant now = real::monotonic_now();
    for (const CommittedRun& run : runs) take(run, now);
  }
  void on_progress() override {
    if (appender()->failure()) {
      const CallError& failure = *appender()->failure();
      owner_.error_ = std::string("the cluster refused (") + name_of(failure.code) + "): " + failure.text;
      return owner_.loop_.stop();
    }
    arrive();
  }
  void on_alarm() override { arrive(); }

  void begin_measuring() {
    answered_ = 0;
    refused_before_ = appender()->repeats().overloaded;
    repeated_before_ = lost_calls();
  }
  // What is left without an answer has waited this long at least.
  void end_measuring(io::Instant now) {
    OpenLoadReport& report = owner_.report_;
    report.refused += appender()->repeats().overloaded - refused_before_;
    report.repeated += lost_calls() - repeated_before_;
    report.fastest = std::max(report.fastest, answered_);
    report.slowest = std::min(report.slowest, answered_);
    const std::uint64_t last = appender()->last_submitted().value;
    for (std::uint64_t sequence = appender()->first_unanswered().value; sequence <= last; ++sequence) {
      const Request& request = requests_[sequence % requests_.size()];
      if (request.sequence == sequence) report.latencies.add((now - request.due).ns);
    }
  }

 private:
  struct Request {
    std::uint64_t sequence = 0;  // 0: answered
    io::Instant due;
    io::Instant sent;
  };

  std::uint64_t lost_calls() {
    const client::Repeats& repeats = appender()->repeats();
    return repeats.timed_out + repeats.failed + repeats.not_leader;
  }
  io::Instant due(std::uint64_t number) const {
    return begin_ + io::Duration{static_cast<std::int64_t>(static_cast<double>(number) * every_ns_)};
  }
  void submit(io::Instant due, io::Instant now) {
    log::TransactionInput input;
    input.data = data_;
    const Sequence sequence = appender()->submit(input);
    requests_[sequence.value % requests_.size()] = {sequence.value, due, now};
  }
  // Hands over what is due.
  void arrive() {
    const io::Instant now = real::monotonic_now();
    if (!open_) {
      while (appender()->can_submit()) submit(now, now);
      return;
    }
    while (due(next_) <= now && appender()->can_submit()) {
      if (owner_.measuring_) ++owner_.report_.due;
      submit(due(next_++), now);
    }
    while (due(next_) + owner_.options_.patience < now) {
      ++next_;
      if (!owner_.measuring_) continue;
      ++owner_.report_.due;
      ++owner_.report_.given_up;
    }
    set_alarm(std::max(due(next_), now + kTick));
  }
  void take(const CommittedRun& run, io::Instant now) {
    for (std::uint32_t i = 0; i < run.count; ++i) {
      Request& request = requests_[(run.first + i).value % requests_.size()];
      request.sequence = 0;
      if (!owner_.measuring_) continue;
      owner_.report_.latencies.add((now - request.due).ns);
      owner_.report_.sent_latencies.add((now - request.sent).ns);
    }
    if (!owner_.measuring_) return;
    owner_.report_.transactions += run.count;
    answered_ += run.count;
  }

  OpenLoad& owner_;
  std::vector<std::byte> data_;
  bool open_;
  double every_ns_ = 0;
  io::Instant begin_;
  std::uint64_t next_ = 0;  // arrivals so far
  std::vector<Request> requests_;
  std::uint64_t answered_ = 0;
  std::uint64_t refused_before_ = 0;
  std::uint64_t repeated_before_ = 0;
};

OpenLoad::OpenLoad(real::Loop& loop, const ConnectFlags& flags, const OpenLoadOptions& options)
    : loop_(loop), options_(options) {
  for (std::uint32_t i = 0; i < options.clients; ++i) {
    connections_.push_back(std::make_unique<RealClient>(loop, flags));
  }
  for (std::uint32_t i = 0; i < options.clients; ++i) {
    clients_.push_back(std::make_unique<Client>(*connections_[i], *this, i));
  }
}

OpenLoad::~OpenLoad() = default;

OpenLoadReport OpenLoad::run(const std::function<void(bool)>& mark,
                             const std::function<void(double, std::uint64_t)>& watch) {
  for (auto& client : clients_) client->on_start();
  io::Instant now;
  const auto measure = [&](bool begin) {
    now = real::monotonic_now();
    if (begin) {
      for (auto& client : clients_) client->begin_measuring();
    }
    measuring_ = begin;
    mark(begin);
  };
  report_.seconds = run_measured(loop_, {options_.warm_up, options_.duration}, error_, measure,
                                 [&](double seconds) { watch(seconds, report_.transactions); });
  report_.slowest = UINT64_MAX;
  for (auto& client : clients_) client->end_measuring(now);
  return report_;
}

}  // namespace reel::harness
