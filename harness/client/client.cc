#include "reel/client.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "io/ports/assert.h"
#include "io/real/event_loop.h"
#include "reel/async_client.h"

namespace reel {
namespace {

using Time = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kCloseMax{5000};  // of a client that nobody closed
constexpr milliseconds kLookAgain{2};  // whether a view has come so far, or a waiting transaction is too late
constexpr std::size_t kHandedMax = 1024;  // transactions between their threads and the client's

Error closed_error() { return {Error::Code::closed, "this client is closed"}; }

Outcome ended_as(Outcome::Kind kind, std::string text) {
  Outcome outcome;
  outcome.kind = kind;
  outcome.text = std::move(text);
  return outcome;
}

// The way from any thread to the client's. It outlives the client.
class Link {
 public:
  void open(std::shared_ptr<real::Mailbox> mailbox, AsyncClient& client) {
    const std::lock_guard lock(mutex_);
    home_ = std::this_thread::get_id();
    mailbox_ = std::move(mailbox);
    client_ = &client;
  }
  // What is posted from now on is destroyed.
  void shut() {
    const std::lock_guard lock(mutex_);
    mailbox_.reset();
    client_ = nullptr;
    room_.notify_all();
  }
  bool at_home() const {
    const std::lock_guard lock(mutex_);
    return std::this_thread::get_id() == home_;
  }
  void post(real::Task task) {
    std::shared_ptr<real::Mailbox> mailbox;
    {
      const std::lock_guard lock(mutex_);
      mailbox = mailbox_;
    }
    if (mailbox != nullptr) mailbox->post(std::move(task));
  }
  // Only at home.
  AsyncClient& client() {
    REEL_CHECK(client_ != nullptr);
    return *client_;
  }

  // A place for one more transaction; false: there was none in time, or the client is gone.
  bool hand_over(Time::time_point deadline) {
    std::unique_lock lock(mutex_);
    room_.wait_until(lock, deadline, [this] { return handed_ < kHandedMax || mailbox_ == nullptr; });
    if (handed_ >= kHandedMax || mailbox_ == nullptr) return false;
    ++handed_;
    return true;
  }
  void taken() {
    const std::lock_guard lock(mutex_);
    --handed_;
    room_.notify_one();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::thread::id home_;
  std::shared_ptr<real::Mailbox> mailbox_;  // nullptr: the client is gone
  AsyncClient* client_ = nullptr;
  std::size_t handed_ = 0;
};

}  // namespace

// What a Pending is, for its submitter's threads and for the client's.
struct Pending::State {
  explicit State(std::shared_ptr<Link> to) : link(std::move(to)) {}

  void end(const Outcome& how) {
    const std::lock_guard lock(mutex);
    if (!outcome) outcome = how;
    changed.notify_all();
  }
  void settle(Applied how) {
    const std::lock_guard lock(mutex);
    applied = how;
    changed.notify_all();
  }

  std::shared_ptr<Link> link;
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Outcome> outcome;
  std::optional<Applied> applied;
  std::uint64_t number = 0;  // 0: not submitted yet
  bool cancelled = false;
};

std::optional<Outcome> Pending::wait_for(milliseconds limit) const {
  REEL_CHECK(!state_->link->at_home());  // it would wait for itself
  std::unique_lock lock(state_->mutex);
  state_->changed.wait_for(lock, limit, [this] { return state_->outcome.has_value(); });
  return state_->outcome;
}

Outcome Pending::wait() const {
  REEL_CHECK(!state_->link->at_home());
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->outcome.has_value(); });
  return *state_->outcome;
}

std::optional<Applied> Pending::wait_applied_for(milliseconds limit) const {
  REEL_CHECK(!state_->link->at_home());
  std::unique_lock lock(state_->mutex);
  state_->changed.wait_for(
      lock, limit, [this] { return state_->applied || (state_->outcome && !state_->outcome->committed()); });
  return state_->applied;
}

void Pending::cancel() const {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(state_->mutex);
    state_->cancelled = true;
    number = state_->number;
  }
  if (number == 0) return;  // whoever submits it will see
  state_->link->post([link = state_->link, number] { link->client().cancel(number); });
}

// ---- the client's thread ----------------------------------------------------------------------------------------

namespace {

// A transaction on its way to the client. One that never arrives, because that is gone, has ended all the same.
class Handed {
 public:
  Handed(Transaction transaction, std::shared_ptr<Pending::State> state, Time::time_point deadline)
      : transaction_(std::move(transaction)), state_(std::move(state)), deadline_(deadline) {}
  Handed(Handed&&) = default;
  Handed& operator=(Handed&&) = default;
  ~Handed() {
    if (state_ != nullptr) release()->end(ended_as(Outcome::Kind::failed, closed_error().text));
  }

  // Counts what was taken, by the client's thread.
  std::uint64_t order = 0;

  // What became of it, as far as can be said now; false: it has to wait for room.
  bool submit(AsyncClient& client, std::set<std::uint32_t>& full) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - Time::now());
    if (left.count() <= 0 || is_cancelled()) {
      end(ended_as(Outcome::Kind::burned, "cancelled, or no room in time"));
      return true;
    }
    if (transaction_.partition && full.contains(*transaction_.partition)) return false;  // keep their order
    if (const auto why = client.refusal(transaction_)) {
      if (why->code == Error::Code::no_room) {
        if (transaction_.partition) full.insert(*transaction_.partition);
        return false;
      }
      end(ended_as(Outcome::Kind::failed, why->text));
      return true;
    }
    transaction_.timeout = left;
    const auto submitted = client.submit(std::move(transaction_));
    REEL_CHECK(submitted.has_value());
    const std::shared_ptr<Pending::State> state = release();
    const std::lock_guard lock(state->mutex);
    state->number = submitted->number;
    if (state->cancelled)
      state->link->post([link = state->link, number = state->number] { link->client().cancel(number); });
    return true;
  }

  // On the client's thread, as a callback is called.
  void end(const Outcome& outcome) {
    transaction_.on_failed(outcome);
    release();
  }

 private:
  bool is_cancelled() const {
    const std::lock_guard lock(state_->mutex);
    return state_->cancelled;
  }
  std::shared_ptr<Pending::State> release() {
    state_->link->taken();
    return std::exchange(state_, nullptr);
  }

  Transaction transaction_;
  std::shared_ptr<Pending::State> state_;
  Time::time_point deadline_;
};

// The application's callbacks first, then its waiting threads.
Transaction told_to(Transaction transaction, const std::shared_ptr<Pending::State>& state) {
  transaction.on_committed = [state, told = std::move(transaction.on_committed)](const Outcome& outcome) {
    if (told) told(outcome);
    state->end(outcome);
  };
  transaction.on_applied = [state, told = std::move(transaction.on_applied)](const Outcome& outcome,
                                                                             Applied how) {
    if (told) told(outcome, how);
    state->settle(how);
  };
  transaction.on_failed = [state, told = std::move(transaction.on_failed)](const Outcome& outcome) {
    if (told) told(outcome);
    state->end(outcome);
  };
  return transaction;
}

}  // namespace

class Client::Inside {
 public:
  explicit Inside(ConnectOptions with) : options_(std::move(with)) {}
  ~Inside() {
    close(kCloseMax);
    if (thread_.joinable()) thread_.join();
  }

  std::expected<void, Error> connect() {
    std::promise<std::expected<void, Error>> ready;
    auto connected = ready.get_future();
    thread_ = std::thread([this, told = std::move(ready)]() mutable { run(std::move(told)); });
    return connected.get();
  }

  Pending submit(Transaction transaction);
  bool flush(bool applied, milliseconds timeout);
  void close(milliseconds timeout);
  std::uint64_t cluster() const { return cluster_; }

  // Calls f(AsyncClient&) on the client's thread; `otherwise` if that is gone.
  template <class Result, class F>
  Result at_home(Result otherwise, const F& f) {
    if (link_->at_home()) return f(link_->client());
    auto promise = std::make_shared<std::promise<Result>>();
    auto answer = promise->get_future();
    link_->post([link = link_, f, promise = std::move(promise)] { promise->set_value(f(link->client())); });
    return value_of(std::move(answer), std::move(otherwise));
  }
  // Calls f(AsyncClient&) on the client's thread, soon; never, if that is gone.
  template <class F>
  void post(const F& f) {
    if (link_->at_home()) return f(link_->client());
    link_->post([link = link_, f] { f(link->client()); });
  }
  // As at_home(), for an f that returns a promise of the result. Not from the client's own thread.
  template <class Result, class F>
  Result wait(Result otherwise, const F& f) {
    REEL_CHECK(!link_->at_home());  // it would wait for itself
    auto promise = std::make_shared<std::promise<Result>>();
    auto answer = promise->get_future();
    link_->post([this, f, promise = std::move(promise)] {
      loop_->keep(
          f(link_->client()).then([promise](Result&& result) { promise->set_value(std::move(result)); }));
    });
    return value_of(std::move(answer), std::move(otherwise));
  }

 private:
  template <class Result>
  static Result value_of(std::future<Result> answer, Result otherwise) {
    try {
      return answer.get();
    } catch (const std::future_error&) {  // nobody is left to answer
      return otherwise;
    }
  }

  void run(std::promise<std::expected<void, Error>> ready);
  void take(Handed handed);
  void submit_waiting();

  ConnectOptions options_;
  std::shared_ptr<Link> link_ = std::make_shared<Link>();
  std::thread thread_;
  std::mutex closing_;
  bool closed_ = false;
  // Of the client's thread.
  real::Loop* loop_ = nullptr;
  std::uint64_t cluster_ = 0;  // written before anybody reads it
  std::deque<Handed> waiting_;
  std::uint64_t taken_ = 0;
  bool waits_for_room_ = false;
};

void Client::Inside::run(std::promise<std::expected<void, Error>> ready) {
  real::Loop loop;
  auto connected =
      AsyncClient::connect(loop.io().provider->getNetwork(), loop.io().provider->getTimer(), options_)
          .wait(loop.wait_scope());
  if (!connected) return ready.set_value(std::unexpected(connected.error()));
  kj::Own<AsyncClient> client = kj::mv(*connected);
  loop_ = &loop;
  cluster_ = client->cluster();
  link_->open(loop.mailbox(), *client);
  ready.set_value({});
  loop.run();
  link_->shut();
  for (Handed& handed : waiting_) handed.end(ended_as(Outcome::Kind::failed, closed_error().text));
  waiting_.clear();
}

void Client::Inside::take(Handed handed) {
  handed.order = ++taken_;
  waiting_.push_back(std::move(handed));
  if (!waits_for_room_) submit_waiting();
}

// In order, for each partition. The rest waits until something has ended, or is too late.
void Client::Inside::submit_waiting() {
  std::set<std::uint32_t> full;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    at = at->submit(link_->client(), full) ? waiting_.erase(at) : std::next(at);
  }
  waits_for_room_ = !waiting_.empty();
  if (!waits_for_room_) return;
  auto late = loop_->io().provider->getTimer().afterDelay(kLookAgain.count() * 25 * kj::MILLISECONDS);
  loop_->keep(link_->client().when_room().exclusiveJoin(kj::mv(late)).then([this] { submit_waiting(); }));
}

Pending Client::Inside::submit(Transaction transaction) {
  auto state = std::make_shared<Pending::State>(link_);
  const auto timeout = transaction.timeout.count() > 0 ? transaction.timeout : options_.submit_timeout;
  const Time::time_point deadline = Time::now() + timeout;
  transaction = told_to(std::move(transaction), state);
  if (link_->at_home()) {
    if (const auto why = link_->client().refusal(transaction)) {
      transaction.on_failed(ended_as(Outcome::Kind::failed, why->text));
    } else {
      transaction.timeout = timeout;
      const auto submitted = link_->client().submit(std::move(transaction));
      const std::lock_guard lock(state->mutex);
      state->number = submitted->number;
    }
    return Pending(state);
  }
  if (!link_->hand_over(deadline)) {
    state->end(ended_as(Outcome::Kind::burned, "there was no room for it in time, or this client is closed"));
    return Pending(state);
  }
  link_->post([this, handed = Handed(std::move(transaction), state, deadline)]() mutable {
    take(std::move(handed));
  });
  return Pending(state);
}

// What waits for room is not the client's yet.
bool Client::Inside::flush(bool applied, milliseconds timeout) {
  const Time::time_point deadline = Time::now() + timeout;
  const auto last = at_home<std::uint64_t>(0, [this](AsyncClient&) { return taken_; });
  while (!at_home<bool>(
      true, [=, this](AsyncClient&) { return waiting_.empty() || waiting_.front().order > last; })) {
    if (Time::now() >= deadline) return false;
    std::this_thread::sleep_for(kLookAgain);
  }
  const auto left =
      std::max(std::chrono::duration_cast<milliseconds>(deadline - Time::now()), milliseconds(0));
  return wait<bool>(false, [=](AsyncClient& client) { return client.flush(applied, left); });
}

void Client::Inside::close(milliseconds timeout) {
  const std::lock_guard lock(closing_);
  if (std::exchange(closed_, true) || loop_ == nullptr) return;
  wait<bool>(false,
             [timeout](AsyncClient& client) { return client.close(timeout).then([] { return true; }); });
  link_->post([this] { loop_->stop(); });
  thread_.join();
}

// ---- the public face --------------------------------------------------------------------------------------------

Client::Client(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
Client::~Client() = default;

std::expected<std::unique_ptr<Client>, Error> Client::connect(ConnectOptions options) {
  auto inside = std::make_unique<Inside>(std::move(options));
  const auto connected = inside->connect();
  if (!connected) return std::unexpected(connected.error());
  return std::make_unique<Client>(std::move(inside));
}

std::uint64_t Client::cluster() const { return inside_->cluster(); }

std::expected<void, Error> Client::mount(std::uint32_t partition, const Mount& mount) {
  return inside_->at_home<std::expected<void, Error>>(
      std::unexpected(closed_error()), [=](AsyncClient& client) { return client.mount(partition, mount); });
}

std::expected<void, Error> Client::unmount(std::uint32_t partition) {
  using Result = std::expected<void, Error>;
  return inside_->wait<Result>(
      std::unexpected(closed_error()), [=](AsyncClient& client) -> kj::Promise<Result> {
        if (!client.view(partition)) {
          return Result(std::unexpected(Error{Error::Code::not_mounted, "this partition is not mounted"}));
        }
        return client.unmount(partition).then([] { return Result(); });
      });
}

std::optional<ViewState> Client::view(std::uint32_t partition) const {
  return inside_->at_home<std::optional<ViewState>>(
      std::nullopt, [=](AsyncClient& client) { return client.view(partition); });
}

bool Client::resume(std::uint32_t partition, Verdict verdict) {
  return inside_->at_home<bool>(false,
                                [=](AsyncClient& client) { return client.resume(partition, verdict); });
}

bool Client::catch_up(std::uint32_t partition, milliseconds timeout) {
  const Time::time_point deadline = Time::now() + timeout;
  const auto end = high_water(partition, true, timeout);
  while (end) {
    const auto state = view(partition);
    if (!state || (state->next < *end && state->status >= ViewState::Status::stopped)) return false;
    if (state->next >= *end) return true;
    if (Time::now() >= deadline) return false;
    std::this_thread::sleep_for(kLookAgain);
  }
  return false;
}

std::expected<void, Error> Client::join(const ReaderGroup& group) {
  return inside_->at_home<std::expected<void, Error>>(
      std::unexpected(closed_error()), [=](AsyncClient& client) { return client.join(group); });
}

bool Client::leave(const std::string& group, milliseconds timeout) {
  return inside_->wait<bool>(false, [=](AsyncClient& client) { return client.leave(group, timeout); });
}

void Client::done(const std::string& group, const Share& share, std::uint64_t next) {
  inside_->post([=](AsyncClient& client) { client.done(group, share, next); });
}

bool Client::resume(const std::string& group, std::uint32_t partition, Verdict verdict) {
  return inside_->at_home<bool>(
      false, [=](AsyncClient& client) { return client.resume(group, partition, verdict); });
}

std::optional<std::vector<Share>> Client::shares(const std::string& group) const {
  return inside_->at_home<std::optional<std::vector<Share>>>(
      std::nullopt, [=](AsyncClient& client) { return client.shares(group); });
}

Pending Client::submit(Transaction transaction) { return inside_->submit(std::move(transaction)); }

bool Client::flush(bool applied, milliseconds timeout) { return inside_->flush(applied, timeout); }

std::expected<std::uint64_t, Error> Client::high_water(std::uint32_t partition, bool linearizable,
                                                       milliseconds timeout) const {
  return inside_->wait<std::expected<std::uint64_t, Error>>(
      std::unexpected(closed_error()),
      [=](AsyncClient& client) { return client.high_water(partition, linearizable, timeout); });
}

std::expected<std::optional<Found>, Error> Client::lookup(std::uint32_t partition, std::uint64_t id,
                                                          milliseconds timeout) const {
  return inside_->wait<std::expected<std::optional<Found>, Error>>(
      std::unexpected(closed_error()),
      [=](AsyncClient& client) { return client.lookup(partition, id, timeout); });
}

std::expected<Resolution, Error> Client::resolve(std::uint32_t partition, const RequestId& request, bool burn,
                                                 milliseconds timeout) const {
  return inside_->wait<std::expected<Resolution, Error>>(
      std::unexpected(closed_error()),
      [=](AsyncClient& client) { return client.resolve(partition, request, burn, timeout); });
}

void Client::close(milliseconds timeout) { inside_->close(timeout); }

}  // namespace reel
