#include "reel/client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <set>
#include <thread>
#include <vector>

#include "harness/cluster_directory.h"
#include "harness/real_node.h"
#include "io/real/disk_test_world.h"
#include "reel/async_client.h"

namespace reel {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A cluster of one real node, on a thread of its own, in a directory that is gone afterwards.
class Server {
 public:
  Server() {
    harness::make_cluster({directory_.path(), 1, 2, 0, true, {}});
    config_ = harness::read_node_config(harness::config_path(directory_.path(), 1));
    std::promise<void> online;
    auto ready = online.get_future();
    thread_ = std::thread([this, &online] { run(online); });
    ready.get();
  }
  ~Server() {
    mailbox_->post([this] { loop_->stop(); });
    thread_.join();
  }
  ConnectOptions options() const {
    ConnectOptions options;
    options.addresses = {config_.listen};
    options.token_file = config_.token_file;
    return options;
  }
  std::unique_ptr<Client> client(const ConnectOptions& options) const {
    auto connected = Client::connect(options);
    EXPECT_TRUE(connected.has_value()) << connected.error().text;
    return connected ? std::move(*connected) : nullptr;
  }

 private:
  void run(std::promise<void>& online) {
    real::Loop loop;
    loop_ = &loop;
    mailbox_ = loop.mailbox();
    auto node =
        harness::RealNode::start(loop, config_, {[&] { online.set_value(); }, [](const std::string&) {}});
    ASSERT_TRUE(node.has_value()) << node.error();
    loop.run();
  }

  real::TemporaryDirectory directory_;  // gone also when the constructor fails
  harness::NodeConfig config_;
  std::thread thread_;
  real::Loop* loop_ = nullptr;
  std::shared_ptr<real::Mailbox> mailbox_;
};

Server& server() {
  static Server one;
  return one;
}

Transaction saying(std::string data, std::uint32_t partition = 0) {
  Transaction transaction;
  transaction.partition = partition;
  transaction.execute = [data = std::move(data)](const Attempt&) {
    Draft draft;
    draft.data = data;
    return draft;
  };
  return transaction;
}

// What the client's thread saw; read by others when the client is closed.
struct Seen {
  Mount mount() {
    Mount mount;
    mount.apply = [this](const CommittedTransaction& one) -> std::expected<void, std::string> {
      threads.insert(std::this_thread::get_id());
      if (one.data == "poison") return std::unexpected(std::string("poison"));
      data.emplace_back(one.data);
      return {};
    };
    mount.apply_attempts_max = 1;
    return mount;
  }
  std::set<std::thread::id> threads;
  std::vector<std::string> data;
};

// Many threads at little room: a submission could be lost or hang, or callbacks run on several threads at once.
TEST(BlockingClient, TakesSubmissionsOfManyThreads) {
  ConnectOptions options = server().options();
  options.outstanding_max = 3;
  const auto client = server().client(options);
  Seen seen;
  ASSERT_TRUE(client->mount(0, seen.mount()).has_value());
  EXPECT_EQ(client->mount(0, seen.mount()).error().code, Error::Code::mounted_already);
  constexpr int kThreads = 6;
  constexpr int kEach = 60;
  std::atomic<int> committed = 0;
  std::atomic<int> never = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      std::vector<Pending> pending;
      for (int i = 0; i < kEach; ++i) {
        pending.push_back(client->submit(saying("crowd " + std::to_string(thread * kEach + i))));
        if (i % 10 == 0) pending.back().cancel();
      }
      for (const Pending& each : pending) {
        const Outcome outcome = each.wait();
        EXPECT_NE(outcome.kind, Outcome::Kind::failed) << outcome.text;
        ++(outcome.committed() ? committed : never);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(client->flush(true, seconds(20)));
  EXPECT_TRUE(client->catch_up(0, seconds(20)));
  EXPECT_EQ(committed + never, kThreads * kEach);
  client->close(seconds(5));
  EXPECT_EQ(seen.threads.size(), 1u);
  const auto own = std::count_if(seen.data.begin(), seen.data.end(),
                                 [](const std::string& data) { return data.starts_with("crowd"); });
  EXPECT_EQ(own, committed);
  EXPECT_EQ(std::set<std::string>(seen.data.begin(), seen.data.end()).size(), seen.data.size())
      << "one came twice";
}

// A callback that submits could wait for itself for ever, or its submission be forgotten.
TEST(BlockingClient, CallbacksMaySubmit) {
  const auto client = server().client(server().options());
  Seen seen;
  ASSERT_TRUE(client->mount(1, seen.mount()).has_value());
  std::promise<Outcome> second;
  Transaction first = saying("first", 1);
  first.on_applied = [&](const Outcome&, Applied how) {
    EXPECT_EQ(how, Applied::applied);
    EXPECT_GT(client->view(1)->next, 0u);
    Transaction next = saying("second", 1);
    next.on_committed = [&](const Outcome& outcome) { second.set_value(outcome); };
    [[maybe_unused]] const Pending pending = client->submit(std::move(next));
    const Pending refused = client->submit(saying("nowhere", 7));
    refused.cancel();
  };
  const Pending pending = client->submit(std::move(first));
  EXPECT_EQ(pending.wait_applied_for(seconds(20)), Applied::applied);
  const Outcome outcome = second.get_future().get();
  EXPECT_EQ(outcome.id, pending.wait().id + 1);
  const auto found = client->lookup(1, outcome.id, seconds(10));
  ASSERT_TRUE(found.has_value() && found->has_value());
  EXPECT_EQ((*found)->data, "second");
  EXPECT_EQ((*found)->request, outcome.request);
  EXPECT_FALSE(client->lookup(1, outcome.id + 1, seconds(10))->has_value());
  EXPECT_EQ(client->resolve(1, outcome.request, true, seconds(10))->id, outcome.id);
  EXPECT_EQ(client->high_water(7, true, seconds(10)).error().code, Error::Code::no_such_partition);
}

// A refusal must name its key, or nobody can act on it; and a veto must end it.
TEST(BlockingClient, TellsTheKeyOfAConflict) {
  const auto client = server().client(server().options());
  const auto other = server().client(server().options());
  Seen seen;
  Seen others;
  ASSERT_TRUE(client->mount(1, seen.mount()).has_value());
  ASSERT_TRUE(other->mount(1, others.mount()).has_value());
  ASSERT_TRUE(client->catch_up(1, seconds(20)));
  Transaction change = saying("change", 1);
  change.execute = [](const Attempt&) { return Draft{.data = "change", .write_locks = {"the key"}}; };
  // While it is made, somebody else changes what it depends on.
  Transaction late = saying("late", 1);
  std::uint64_t changed_by = 0;
  late.execute = [&](const Attempt& attempt) -> std::optional<Draft> {
    EXPECT_EQ(attempt.number, 1u);
    changed_by = other->submit(change).wait().id;
    return Draft{.data = "late", .write_locks = {"another"}, .read_locks = {"the key"}};
  };
  std::vector<std::string> told;
  late.on_conflict = [&](const Conflict& conflict) {
    told.push_back(conflict.key);
    return false;
  };
  const Outcome outcome = client->submit(late).wait();
  EXPECT_EQ(outcome.kind, Outcome::Kind::conflict);
  EXPECT_EQ(told, std::vector<std::string>{"the key"});
  ASSERT_TRUE(outcome.conflict.has_value());
  EXPECT_EQ(outcome.conflict->key, "the key");
  EXPECT_EQ(outcome.conflict->id, changed_by);
}

// A poison transaction could hang its submitter, or stop what has nothing to do with it.
TEST(BlockingClient, APoisonTransactionIsSeenAndSkipped) {
  const auto client = server().client(server().options());
  Seen seen;
  Seen healthy;
  std::promise<ViewState> stopped;
  Mount mount = seen.mount();
  mount.from = *client->high_water(0, true, seconds(10));
  mount.on_stopped = [&](const ViewState& state) { stopped.set_value(state); };
  ASSERT_TRUE(client->mount(0, mount).has_value());
  ASSERT_TRUE(client->mount(1, healthy.mount()).has_value());
  const Pending poison = client->submit(saying("poison"));
  EXPECT_TRUE(poison.wait().committed());
  const ViewState state = stopped.get_future().get();
  EXPECT_EQ(state.why, "poison");
  EXPECT_EQ(state.next, poison.wait().id);
  EXPECT_FALSE(client->catch_up(0, seconds(1)));
  EXPECT_FALSE(client->flush(true, milliseconds(50)));
  EXPECT_EQ(client->submit(saying("beside", 1)).wait_applied_for(seconds(20)), Applied::applied);
  EXPECT_TRUE(client->resume(0, Verdict::skip));
  EXPECT_EQ(poison.wait_applied_for(seconds(20)), Applied::skipped);
  EXPECT_TRUE(client->catch_up(0, seconds(20)));
  EXPECT_TRUE(client->unmount(0).has_value());
  EXPECT_EQ(client->unmount(0).error().code, Error::Code::not_mounted);
  EXPECT_EQ(client->submit(saying("gone")).wait().kind, Outcome::Kind::failed);
}

// Threads that still submit, wait or ask when the client closes could hang for ever.
TEST(BlockingClient, ClosesUnderThreadsThatUseIt) {
  auto client = server().client(server().options());
  Seen seen;
  Mount mount = seen.mount();
  mount.from = *client->high_water(0, true, seconds(10));  // behind what the other tests left there
  ASSERT_TRUE(client->mount(0, mount).has_value());
  std::atomic<bool> closed = false;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      while (!closed) {
        [[maybe_unused]] const Outcome outcome = client->submit(saying("closing")).wait();
        if (thread == 0) [[maybe_unused]]
          const auto end = client->high_water(0, true, seconds(5));
      }
      EXPECT_EQ(client->submit(saying("after")).wait().kind, Outcome::Kind::burned);
      EXPECT_EQ(client->high_water(0, true, seconds(5)).error().code, Error::Code::closed);
    });
  }
  std::this_thread::sleep_for(milliseconds(50));
  client->close(seconds(5));
  closed = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(client->view(0).has_value());
  client->close(seconds(5));
  const Pending outlives = client->submit(saying("late"));
  client.reset();
  EXPECT_FALSE(outlives.wait().committed());
}

// Whoever cannot connect must be told why at once, and by a sentence.
TEST(BlockingClient, RefusesToConnectWithASentence) {
  const auto problem = [](const ConnectOptions& options) { return Client::connect(options).error(); };
  ConnectOptions options = server().options();
  options.addresses.clear();
  EXPECT_EQ(problem(options).code, Error::Code::wrong_use);
  options.addresses = {"nowhere"};
  EXPECT_EQ(problem(options).code, Error::Code::wrong_use);
  options = server().options();
  options.token_file.clear();
  EXPECT_EQ(problem(options).code, Error::Code::wrong_use);
  options.token = std::string(64, '0');
  EXPECT_EQ(problem(options).code, Error::Code::unauthorized);
  options = server().options();
  options.outstanding_max = 0;
  EXPECT_EQ(problem(options).code, Error::Code::wrong_use);
  options = server().options();
  options.addresses = {"127.0.0.1:1"};
  options.patience = milliseconds(300);
  EXPECT_EQ(problem(options).code, Error::Code::unreachable);
  EXPECT_NE(problem(options).text.find("127.0.0.1:1"), std::string::npos);
}

// Promises that nobody keeps must not take their submissions with them, nor one that waits for room wait for ever.
TEST(AsyncClient, GoesOnWithoutItsPromises) {
  ConnectOptions options = server().options();  // which may have to be made first, on a loop of its own
  real::Loop loop;
  kj::WaitScope& scope = loop.wait_scope();
  options.outstanding_max = 2;
  auto connected =
      AsyncClient::connect(loop.io().provider->getNetwork(), loop.io().provider->getTimer(), options);
  auto result = connected.wait(scope);
  ASSERT_TRUE(result.has_value());
  AsyncClient& client = **result;
  Seen seen;
  Mount mount = seen.mount();
  mount.from = *client.high_water(1, true, seconds(10)).wait(scope);
  ASSERT_TRUE(client.mount(1, mount).has_value());
  EXPECT_TRUE(client.submit(saying("dropped", 1)).has_value());
  auto kept = client.submit(saying("kept", 1));
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(client.submit(saying("too much", 1)).error().code, Error::Code::no_room);
  client.when_room().wait(scope);
  EXPECT_TRUE(kept->outcome.wait(scope).committed());
  EXPECT_TRUE(client.flush(true, seconds(10)).wait(scope));
  EXPECT_EQ(seen.data, (std::vector<std::string>{"dropped", "kept"}));
  auto cancelled = client.submit(saying("cancelled", 1));
  client.cancel(cancelled->number);
  const Outcome::Kind ended = cancelled->outcome.wait(scope).kind;
  EXPECT_TRUE(ended == Outcome::Kind::committed || ended == Outcome::Kind::burned) << name_of(ended);
  auto last = client.submit(saying("last", 1));
  client.close(seconds(10)).wait(scope);
  EXPECT_TRUE(last->outcome.wait(scope).committed());
  EXPECT_EQ(seen.data.back(), "last");
  EXPECT_EQ(client.submit(saying("late", 1)).error().code, Error::Code::not_mounted);
  EXPECT_EQ(client.mount(1, seen.mount()).error().code, Error::Code::closed);
}

}  // namespace
}  // namespace reel
