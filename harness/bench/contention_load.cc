#include "harness/bench/contention_load.h"

#include <algorithm>
#include <cmath>

#include "harness/bench/interval.h"
#include "harness/random_bits.h"
#include "harness/refusal.h"
#include "io/real/clock.h"
#include "io/wire/codec.h"

namespace reel::harness {

class ContentionLoad::Client final : public client::Driver {
 public:
  Client(RealClient& connection, ContentionLoad& owner)
      : Driver(connection.ports(), wire::kClientCallCodec),
        owner_(owner),
        cluster_(connection.cluster().value),
        seed_(random_bits()),
        data_(owner.options_.size) {
    client::SubmitterOptions submitter;
    submitter.nodes = connection.everyone();
    submitter.session = {random_bits(), random_bits()};
    submitter.attempts_max = UINT32_MAX;  // its deadline ends it
    submitter.seed = random_bits();
    open_submitter(submitter);
    client::ReaderOptions reader;
    reader.nodes = connection.everyone();
    open_reader(reader);
    connection.attach(*this);
  }

  void on_start() override {
    submit();
    flush();
  }
  void on_transaction(const log::Transaction& transaction) override { applied_ = transaction.id; }
  void on_submitted(const client::SubmitOutcome& outcome) override {
    if (owner_.measuring_) count(outcome);
    const auto think = static_cast<double>(owner_.options_.think.ns);
    const double share = static_cast<double>(draw() >> 11) / 9007199254740992.0;  // 2^53
    set_alarm(real::monotonic_now() + io::Duration{static_cast<std::int64_t>(-std::log1p(-share) * think)});
  }
  void on_progress() override {
    if (applied_) submitter()->applied(*applied_);
    for (const auto& reader : readers()) {
      if (reader->failure()) return fail(*reader->failure());
    }
    if (submitter()->failure()) fail(submitter()->failure()->text);
  }
  void on_alarm() override { submit(); }

  void begin_measuring() { committed_ = 0; }
  std::uint64_t committed() const { return committed_; }

 private:
  std::uint64_t draw() { return io::keyed_hash(seed_, {++drawn_}); }
  void fail(const std::string& why) {
    owner_.error_ = "the cluster refused: " + why;
    owner_.loop_.stop();
  }
  void submit() {
    if (!submitter()->can_submit() || submitter()->outstanding() > 0) return;
    const std::string name = "key/" + std::to_string(draw() % owner_.options_.keys);
    const log::LockKey key = log::lock_key(name, cluster_);
    const std::uint64_t mode = draw() % 100;
    submitted_ = real::monotonic_now();
    submitter()->submit({[this, key, mode](const client::View& view) {
                           if (owner_.measuring_) {
                             ++owner_.report_.executions;
                             owner_.report_.refused += view.attempt > 1 ? 1 : 0;
                           }
                           client::Prepared prepared;
                           prepared.data = data_;
                           const ContentionOptions& options = owner_.options_;
                           const bool writes = mode < options.write_percent;
                           const bool reads = !writes && mode < options.write_percent + options.read_percent;
                           (writes  ? prepared.write_locks
                            : reads ? prepared.read_locks
                                    : prepared.append_locks)
                               .push_back(key);
                           return std::optional(std::move(prepared));
                         },
                         submitted_ + owner_.options_.deadline});
  }
  void count(const client::SubmitOutcome& outcome) {
    ContentionReport& report = owner_.report_;
    const bool committed = outcome.kind == client::SubmitOutcome::Kind::committed;
    if (!committed) {
      ++report.failed;
      return;
    }
    ++report.committed;
    ++committed_;
    report.latencies.add((real::monotonic_now() - submitted_).ns);
  }

  ContentionLoad& owner_;
  std::uint64_t cluster_;
  std::uint64_t seed_;
  std::uint64_t drawn_ = 0;
  std::vector<std::byte> data_;
  std::optional<TxnId> applied_;
  io::Instant submitted_;
  std::uint64_t committed_ = 0;
};

ContentionLoad::ContentionLoad(real::Loop& loop, const ConnectFlags& flags, const ContentionOptions& options)
    : loop_(loop), options_(options) {
  for (std::uint32_t i = 0; i < options.clients; ++i) {
    connections_.push_back(std::make_unique<RealClient>(loop, flags));
    clients_.push_back(std::make_unique<Client>(*connections_.back(), *this));
  }
}

ContentionLoad::~ContentionLoad() = default;

ContentionReport ContentionLoad::run(const std::function<void(bool)>& mark,
                                     const std::function<void(double)>& watch) {
  for (auto& client : clients_) client->on_start();
  const auto measure = [&](bool begin) {
    if (begin) {
      for (auto& client : clients_) client->begin_measuring();
    }
    measuring_ = begin;
    mark(begin);
  };
  report_.seconds = run_measured(loop_, {options_.warm_up, options_.duration}, error_, measure, watch);
  report_.slowest = UINT64_MAX;
  for (auto& client : clients_) {
    report_.fastest = std::max(report_.fastest, client->committed());
    report_.slowest = std::min(report_.slowest, client->committed());
  }
  return report_;
}

}  // namespace reel::harness
