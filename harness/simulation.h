// One simulated run: a cluster of the production code in a seeded world, clients, faults, oracles, two phases.
//
// Storm: faults on, clients at work. Then the ledger picks a core, everything in it heals, everything else stays
// broken for ever, and the core must answer every request and agree within a bound (bounded mode). At the end the
// oracles look back at the whole run, and the clients' histories are judged on their own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/bank_client.h"
#include "harness/group_client.h"
#include "harness/list_client.h"
#include "harness/lock_client.h"
#include "harness/log_client.h"
#include "harness/noticed.h"
#include "harness/oracles.h"
#include "harness/overload_client.h"
#include "harness/programs.h"
#include "harness/shape.h"
#include "harness/view_client.h"
#include "sim/fault.h"
#include "sim/ledger.h"
#include "sim/world.h"

namespace reel::harness {

struct RunReport {
  std::uint64_t seed = 0;
  std::optional<sim::Failure> failure;
  std::uint64_t chain = 0;
  std::uint64_t events = 0;
  std::int64_t simulated_ns = 0;
  std::uint64_t commits = 0;  // acknowledged transactions
  std::uint64_t elections = 0;
  sim::FaultCounters faults;
  std::map<std::string, std::uint64_t> marks;  // how often each coverage mark was reached
  std::uint32_t nodes = 0;
};

class Simulation final : private sim::Observer, private node::StepObserver {
 public:
  // `between`, for tests that break things: what stands between a replica and its ports. It outlives the run.
  using Between = std::function<io::Ports&(NodeId, io::Ports&)>;
  // `listener` hears every draw, of the shape, too; it outlives the run.
  explicit Simulation(const SimulationOptions& options, std::span<const sim::Override> overrides = {},
                      Between between = {}, sim::DecisionListener* listener = nullptr);
  ~Simulation() override;

  // The whole run. Once.
  RunReport run();

  sim::World& world() { return *world_; }
  const Shape& shape() const { return shape_; }
  // Those that are created while it runs included.
  std::uint32_t partitions() const { return total_; }
  // The replica's driver, or nullptr while it is down.
  const node::Driver* driver(NodeId id) const;
  // Stops the run before it goes beyond this time (time travel); run() then reports what there is.
  void stop_at(io::Instant time) { stop_at_ = time; }
  // Called after every entry of the world's queue, outside of every host: may look at everything, and fork(2). False: the
  // run stops here; run() then reports what there is.
  using BetweenEvents = std::function<bool()>;
  void between_events(BetweenEvents function) { between_events_ = std::move(function); }
  // What is to be held beside the oracles' own view: hears of every step of every replica. Outlives the run.
  void add_step_observer(node::StepObserver* observer) { step_observers_.push_back(observer); }
  void remove_step_observer(node::StepObserver* observer) { std::erase(step_observers_, observer); }
  const sim::FaultPlan& plan() const { return faults_->plan(); }
  const std::vector<NodeId>& replicas() const { return voters_; }
  const std::vector<NodeId>& clients() const { return clients_; }
  // False: this client never starts (Cuts::without).
  bool takes_part(NodeId client) const;

 private:
  void on_event(const sim::EventRecord& record) override;
  void on_step(const node::Node& node, const io::Now& now, const node::Event& event,
               const node::Effects& effects) override;
  void add_nodes();
  void add_appenders();
  void add_readers();
  void add_log_clients();
  void add_lock_clients();
  void add_bank_clients();
  void add_list_clients();
  void add_group_clients();
  void add_view_clients();
  // All nodes, beginning with one that is drawn for this client.
  std::vector<NodeId> nodes_from_anywhere(NodeId client);
  void add_client(NodeId id, sim::HostFactory factory, io::Rights more = io::Rights::none);
  std::uint64_t capped(std::uint64_t requests) const;
  void advance(io::Instant until);
  template <class Predicate>
  bool advance_while(const Predicate& keep_going, io::Instant limit);
  void storm();
  void end_load();
  bool over() const;  // failed, or as far as it was told to go
  void heal_and_settle();
  bool clients_done() const;
  bool operator_done() const;
  bool core_agrees() const;
  void judge();
  void judge_transactions();
  void reached(std::string_view mark);
  // No fault has to be behind this mark: what the run itself does on purpose reaches it.
  bool is_deliberate(std::string_view mark) const;
  void check();
  sim::FaultPlan draw_plan();
  std::string who_waits() const;

  SimulationOptions options_;
  Between between_;
  std::unique_ptr<sim::World> world_;
  Shape shape_;
  std::vector<NodeId> voters_;
  std::uint32_t partitions_ = 1;  // from the start
  std::uint32_t total_ = 1;       // with those that the operator creates
  std::unique_ptr<Noticed> noticed_;
  std::unique_ptr<Oracles> oracles_;
  sim::Ledger ledger_;
  std::unique_ptr<sim::Faults> faults_;
  std::vector<NodeId> clients_;
  std::vector<NodeId> core_;
  std::map<NodeId, node::Driver*> drivers_;
  std::vector<std::unique_ptr<AppendMemory>> append_memories_;
  std::vector<std::uint64_t> append_totals_;
  std::vector<std::unique_ptr<OverloadMemory>> overload_memories_;  // by client; nullptr: no such client
  std::vector<std::uint64_t> answered_by_second_;                   // of an overload, warm
  bool quiet_ = false;                                              // nothing breaks in this run
  struct ReaderMemory {
    GroupId group;
    TxnId position;
    bool takes_part = true;
  };
  std::vector<std::unique_ptr<ReaderMemory>> reader_memories_;
  std::vector<std::unique_ptr<LogClientMemory>> log_memories_;
  std::vector<std::unique_ptr<LockClientMemory>> lock_memories_;
  std::vector<std::unique_ptr<BankMemory>> bank_memories_;
  std::vector<std::unique_ptr<ListMemory>> list_memories_;
  std::vector<std::unique_ptr<MemberMemory>> member_memories_;
  std::unique_ptr<OperatorMemory> operator_memory_;
  std::vector<std::unique_ptr<ViewMemory>> view_memories_;
  ViewTruth view_truth_;
  bool group_is_read_ = false;  // a member of the reader group takes part
  bool operator_takes_part_ = false;
  std::optional<io::Instant> stop_at_;
  BetweenEvents between_events_;
  bool stopped_ = false;  // by between_events_
  std::vector<node::StepObserver*> step_observers_;
  io::Instant handed_over_{INT64_MIN};  // a node, to spread the load
};

}  // namespace reel::harness
