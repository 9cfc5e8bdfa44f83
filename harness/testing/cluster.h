// reel::testing::Cluster: a whole cluster of Reel inside a test, in virtual time, repeatable from its seed. It is the
// simulator itself, so what a test meets here is what production does, and every step is watched by its oracles.
//
//   reel::testing::Cluster cluster({.seed = 7});
//   EXPECT_TRUE(cluster.run([&](reel::testing::Client& client) {
//     auto first = client.append({.data = "opened", .write_locks = {"account 1"}});
//     cluster.lose_answers(1);                 // the next append commits, and its answer is lost
//     auto second = client.append({.data = "deposit", .read_locks = {"account 1"}, .based_on = first->id});
//     ASSERT_TRUE(second.has_value());         // exactly once all the same
//     cluster.crash(cluster.leader());
//     EXPECT_EQ(client.read(0)->size(), 2u);   // the others serve
//   }));
//
// Programs are plain blocking code, each on a fiber of its own machine. They may use whatever is deterministic; clocks,
// entropy, threads and files are caught. Everything here is used from the one thread of the test.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/ports/time.h"
#include "model/violation.h"
#include "node/client_message.h"

namespace reel::testing {

struct ClusterOptions {
  std::uint64_t seed = 1;
  std::uint32_t nodes = 3;       // 1 to 7
  std::uint32_t partitions = 1;  // 1 to 16
  // Sessions that were idle for so long, by the log's time, are dropped; not given: the state machine's default.
  std::optional<io::Duration> session_expiry{};
  io::Duration call_timeout = io::milliseconds(500);  // of clients: then they ask elsewhere
};

struct Transaction {
  std::string data{};
  std::uint32_t header = 0;
  std::vector<std::string> write_locks{};
  std::vector<std::string> read_locks{};
  std::vector<std::string> append_locks{};
  std::optional<std::uint64_t> based_on{};  // the highest id that is applied; nothing: none is
};

struct Committed {
  std::uint64_t id = 0;
  std::uint64_t time = 0;  // commit time, HLC nanoseconds
  bool operator==(const Committed&) const = default;
};

// Why there is no commit. What was refused, or burned, never commits under this request.
struct NotCommitted {
  enum class Reason : std::uint8_t { conflict, stale, burned, unknown } reason{};
  std::string key{};     // conflict: the key
  std::uint64_t id = 0;  // conflict: who changed it; stale: the floor
  std::string text{};    // unknown: no answer came in time
};

struct Read {
  std::uint64_t id = 0;
  std::uint64_t time = 0;
  std::uint32_t header = 0;
  std::string data{};
};

class Cluster;

// A client's blocking calls; to be used on its own fiber only, so inside of its program.
class Client {
 public:
  // Exactly once, whoever dies meanwhile; asked again and again until there is an answer or `limit` has passed. Then
  // resolve() tells what became of it.
  std::expected<Committed, NotCommitted> append(const Transaction& transaction, std::uint32_t partition = 0,
                                                io::Duration limit = io::seconds(30));
  // The fate of the last append of this client in the partition, for good: what had none is burned.
  std::expected<Committed, NotCommitted> resolve(std::uint32_t partition = 0,
                                                 io::Duration limit = io::seconds(30));
  // What a node knows to be committed, from this id on; an empty answer is one, too. Nothing: no answer in time.
  std::optional<std::vector<Read>> read(std::uint64_t from, std::uint32_t partition = 0,
                                        io::Duration limit = io::seconds(30));
  // How many transactions the partition holds: linearizable.
  std::optional<std::uint64_t> high_water(std::uint32_t partition = 0, io::Duration limit = io::seconds(30));
  // There are `total` partitions from now on, if there were fewer (at most 16). How many there are.
  std::optional<std::uint32_t> create_partitions(std::uint32_t total, io::Duration limit = io::seconds(30));
  void sleep(io::Duration span);

 private:
  friend class Cluster;
  struct Inside;
  explicit Client(Inside& inside) : inside_(inside) {}
  Inside& inside_;
};

class Cluster {
 public:
  explicit Cluster(const ClusterOptions& options = {});
  ~Cluster();

  using Program = std::function<void(Client&)>;
  // Another client, which begins with the next run().
  void start(Program program);
  // Runs the world until every program has ended: false if one has not within `limit` of virtual time, or if an oracle
  // has found a violation.
  bool run(io::Duration limit = io::seconds(120));
  bool run(Program program, io::Duration limit = io::seconds(120));
  // Lets virtual time pass with no program of its own.
  void run_for(io::Duration span);

  // ---- on demand. Nodes are 1, 2, …; what is changed stays until it is changed back.

  // Who leads the partition as far as the others follow; 0: nobody.
  [[nodiscard]] std::uint32_t leader(std::uint32_t partition = 0) const;
  // Its memory is gone; with `power` also what it had written and not synced.
  void crash(std::uint32_t node, bool power = false);
  void restart(std::uint32_t node);
  // Every node at one instant, writes torn; then all boot again.
  void power_loss();
  // Nobody reaches this node, and it reaches nobody.
  void isolate(std::uint32_t node);
  // It and the other nodes do not reach each other; clients reach all of them.
  void cut_from_peers(std::uint32_t node);
  // What it answers to clients is lost; what they ask arrives.
  void silence(std::uint32_t node);
  void heal();
  // The next so many appends are never sent; the client finds out by its timeout.
  void lose_requests(std::uint32_t count);
  // The next so many appends are carried out, and their answers are lost.
  void lose_answers(std::uint32_t count);
  // Somebody else changes this key: a transaction with a write lock on it commits, before this returns. From within a
  // program.
  void change_key(Client& client, const std::string& key, std::uint32_t partition = 0);
  // While held, reads get nothing new.
  void hold_feeds(bool held);

  // What the oracles have found, if anything; and the virtual time.
  [[nodiscard]] std::optional<model::Violation> violation() const;
  [[nodiscard]] io::Duration now() const;
  // Of all that happened: equal for equal seeds and programs.
  [[nodiscard]] std::uint64_t chain() const;

 private:
  friend class Client;
  struct World;
  std::unique_ptr<World> world_;
};

}  // namespace reel::testing
