#include "harness/bench/session_load.h"

#include <algorithm>
#include <unordered_map>

#include "harness/bench/interval.h"
#include "harness/random_bits.h"
#include "harness/refusal.h"
#include "io/ports/host.h"
#include "io/real/clock.h"
#include "io/wire/codec.h"

namespace reel::harness {
// All sessions of one connection.
class SessionLoad::Connection final : public io::Host {
 public:
  Connection(RealClient& client, std::uint32_t sessions, SessionLoad& owner)
      : ports_(client.ports()), owner_(owner), data_(owner.options_.size) {
    for (std::uint32_t i = 0; i < sessions; ++i) {
      client::AppenderOptions options;
      options.nodes = client.everyone();
      options.session = {random_bits(), random_bits()};
      options.seed = random_bits();
      options.outstanding_max = 1;
      sessions_.push_back({client::Appender(options), {}, 0});
    }
    client.attach(*this);
  }

  void on_start() override {
    const io::Now now = ports_.clock.now();
    for (Session& session : sessions_) submit(session, now);
    flush(now);
  }
  void on_wake() override { flush(ports_.clock.now()); }
  void on_reply(io::CallId call, io::Parcel body) override {
    if (!body.is<ClientReply>()) return on_call_failed(call);
    const io::Now now = ports_.clock.now();
    Session* session = take(call);
    if (session == nullptr) return;
    AppendResult outcomes;
    (void)session->appender.on_reply(call, body.get<ClientReply>(), now, calls_, outcomes);
    if (session->appender.failure()) return fail(*session->appender.failure());
    if (!outcomes.runs.empty()) answered(*session, now);
    flush(now);
  }
  void on_call_failed(io::CallId call) override {
    const io::Now now = ports_.clock.now();
    Session* session = take(call);
    if (session == nullptr) return;
    (void)session->appender.on_failed(call, now, calls_);
    flush(now);
  }
  void reset_counts() {
    for (Session& session : sessions_) session.answered = 0;
  }
  void count_into(SessionLoadReport& report) const {
    for (const Session& session : sessions_) {
      report.fastest = std::max(report.fastest, session.answered);
      report.slowest = std::min(report.slowest, session.answered);
    }
  }

 private:
  struct Session {
    client::Appender appender;
    io::Instant submitted;
    std::uint64_t answered = 0;
  };

  void submit(Session& session, const io::Now& now) {
    log::TransactionInput input;
    input.data = data_;
    (void)session.appender.submit(input);
    session.submitted = now.monotonic;
    ready_.push_back(&session);
  }
  void answered(Session& session, const io::Now& now) {
    if (owner_.measuring_) {
      ++owner_.report_.transactions;
      ++session.answered;
      owner_.report_.latencies.add((now.monotonic - session.submitted).ns);
    }
    submit(session, now);
  }
  void flush(const io::Now& now) {
    // Whoever waits for nothing but time is asked too, when its time has come.
    if (now.monotonic >= look_again_) {
      look_again_ = now.monotonic + io::milliseconds(5);
      for (Session& session : sessions_) ready_.push_back(&session);
    }
    for (Session* session : ready_) {
      session->appender.pump(now, calls_);
      for (client::OutgoingCall& outgoing : calls_.calls()) {
        waiting_[outgoing.call.value] = session;
        ports_.remote.call(outgoing.to, outgoing.call,
                           io::Parcel::of(std::move(outgoing.body), wire::kClientCallCodec));
      }
      calls_.calls().clear();
      for (const io::CallId cancelled : calls_.cancels()) ports_.remote.cancel(cancelled);
      calls_.cancels().clear();
    }
    ready_.clear();
    ports_.clock.wake_at(look_again_);
  }
  Session* take(io::CallId call) {
    const auto found = waiting_.find(call.value);
    if (found == waiting_.end()) return nullptr;
    Session* session = found->second;
    waiting_.erase(found);
    ready_.push_back(session);
    return session;
  }
  void fail(const CallError& error) {
    owner_.error_ = std::string("the cluster refused (") + name_of(error.code) + "): " + error.text;
    owner_.loop_.stop();
  }

  io::Ports& ports_;
  SessionLoad& owner_;
  std::vector<std::byte> data_;
  client::Calls calls_;
  std::vector<Session> sessions_;
  std::vector<Session*> ready_;
  std::unordered_map<std::uint64_t, Session*> waiting_;  // by call
  io::Instant look_again_;
};

SessionLoad::SessionLoad(real::Loop& loop, const ConnectFlags& flags, const SessionLoadOptions& options)
    : loop_(loop), options_(options) {
  const std::uint32_t connections = std::min(options.connections, options.sessions);
  for (std::uint32_t i = 0; i < connections; ++i) {
    const std::uint32_t sessions =
        options.sessions / connections + (i < options.sessions % connections ? 1 : 0);
    clients_.push_back(std::make_unique<RealClient>(loop, flags));
    connections_.push_back(std::make_unique<Connection>(*clients_.back(), sessions, *this));
  }
}

SessionLoad::~SessionLoad() = default;

SessionLoadReport SessionLoad::run(const std::function<void(bool)>& mark,
                                   const std::function<void(double)>& watch) {
  for (auto& connection : connections_) connection->on_start();
  const auto measure = [&](bool begin) {
    if (begin) {
      for (auto& connection : connections_) connection->reset_counts();
    }
    measuring_ = begin;
    mark(begin);
  };
  report_.seconds = run_measured(loop_, {options_.warm_up, options_.duration}, error_, measure, watch);
  report_.slowest = UINT64_MAX;
  for (const auto& connection : connections_) connection->count_into(report_);
  return report_;
}

}  // namespace reel::harness
