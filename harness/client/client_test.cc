#include "reel/client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <map>
#include <mutex>
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

// What members of a reader group saw; on their clients' threads.
class GroupSeen {
 public:
  ReaderGroup group(std::string name) {
    ReaderGroup group;
    group.name = std::move(name);
    group.apply = [this](const CommittedTransaction& one) -> std::expected<void, std::string> {
      const std::lock_guard lock(mutex_);
      applied_[one.partition].insert(one.id);
      return {};
    };
    group.patience = seconds(3);
    group.report_delay = milliseconds(50);
    return group;
  }
  // The first id that nobody has applied.
  std::uint64_t upto(std::uint32_t partition) {
    const std::lock_guard lock(mutex_);
    std::uint64_t next = 0;
    for (const std::uint64_t id : applied_[partition]) {
      if (id == next) ++next;
    }
    return next;
  }

 private:
  std::mutex mutex_;
  std::map<std::uint32_t, std::set<std::uint64_t>> applied_;
};

bool eventually(const std::function<bool()>& holds) {
  for (int looks = 0; looks < 4000; ++looks) {
    if (holds()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return false;
}

// Members that come and go could leave a partition unread, or skip what nobody has applied.
TEST(BlockingClient, ReadsPartitionsTogetherWithOthers) {
  const auto writer = server().client(server().options());
  Seen own;
  for (const std::uint32_t partition : {0u, 1u}) {
    Mount mount = own.mount();
    mount.from = *writer->high_water(partition, true, seconds(10));
    ASSERT_TRUE(writer->mount(partition, mount).has_value());
  }
  std::array<std::uint64_t, 2> end{};
  const auto write = [&] {
    for (const std::uint32_t partition : {0u, 1u}) {
      for (int i = 0; i < 20; ++i) end[partition] = writer->submit(saying("shared", partition)).wait().id + 1;
    }
  };
  GroupSeen seen;
  const auto all_read = [&] { return seen.upto(0) >= end[0] && seen.upto(1) >= end[1]; };
  const auto first = server().client(server().options());
  const auto second = server().client(server().options());
  const auto share = [](Client& client) {
    return client.shares("together").value_or(std::vector<Share>()).size();
  };
  write();
  ASSERT_TRUE(first->join(seen.group("together")).has_value());
  EXPECT_EQ(first->join(seen.group("together")).error().code, Error::Code::mounted_already);
  EXPECT_EQ(first->join(seen.group("no name")).error().code, Error::Code::wrong_use);
  EXPECT_TRUE(eventually(all_read));
  EXPECT_EQ(share(*first), 2u);
  ASSERT_TRUE(second->join(seen.group("together")).has_value());
  EXPECT_TRUE(eventually([&] { return share(*first) == 1 && share(*second) == 1; }));
  write();
  EXPECT_TRUE(eventually(all_read));
  EXPECT_TRUE(first->leave("together", seconds(20)));
  EXPECT_FALSE(first->leave("together", seconds(20)));
  EXPECT_FALSE(first->shares("together").has_value());
  EXPECT_TRUE(eventually([&] { return share(*second) == 2; }));
  write();
  EXPECT_TRUE(eventually(all_read));
  EXPECT_TRUE(eventually([&] {
    const auto shares = second->shares("together");
    return shares && (*shares)[0].kept == end[0] && (*shares)[1].kept == end[1];
  }));
  second->close(seconds(20));
  EXPECT_EQ(second->join(seen.group("late")).error().code, Error::Code::closed);
}

// What the application has not called done must come again, and what it has must not.
TEST(BlockingClient, BeginsAgainBehindWhatWasDoneByHand) {
  const auto client = server().client(server().options());
  Seen own;
  Mount mount = own.mount();
  mount.from = *client->high_water(1, true, seconds(10));
  ASSERT_TRUE(client->mount(1, mount).has_value());
  std::uint64_t last = 0;
  for (int i = 0; i < 5; ++i) last = client->submit(saying("by hand", 1)).wait().id;
  std::atomic<std::uint64_t> begins = UINT64_MAX;
  std::atomic<std::uint64_t> applied = 0;
  std::optional<Share> share;  // of partition 1; of the client's thread
  ReaderGroup group;
  group.name = "hand/work";
  group.done_by_hand = true;
  group.patience = seconds(3);
  group.on_gained = [&](const Share& gained) {
    if (gained.partition != 1) return;
    share = gained;
    begins = gained.next;
  };
  group.apply = [&](const CommittedTransaction& one) -> std::expected<void, std::string> {
    if (one.partition != 1) return {};
    applied = one.id;
    if (one.id + 2 == last) client->done("hand/work", *share, one.id + 1);
    return {};
  };
  ASSERT_TRUE(client->join(group).has_value());
  EXPECT_TRUE(eventually([&] { return applied >= last; }));
  EXPECT_EQ(begins, 0u);
  EXPECT_TRUE(client->leave("hand/work", seconds(20)));
  ASSERT_TRUE(client->join(group).has_value());
  EXPECT_TRUE(eventually([&] { return begins == last - 1; })) << begins << " of " << last;
  EXPECT_TRUE(client->leave("hand/work", seconds(20)));
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
