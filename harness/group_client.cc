#include "harness/group_client.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "harness/insistent_caller.h"
#include "harness/programs.h"
#include "harness/shared_clock.h"
#include "node/client/client.h"
#include "node/log/record.h"

namespace reel::harness {
namespace {

enum Place : std::uint32_t { kMemberDraw = 50, kOperatorDraw };
constexpr io::Duration kWorkMean = io::milliseconds(20);
constexpr const char* kGroup = "readers";

// ---- a member -----------------------------------------------------------------------------------------------------

class MemberProgram final : public io::Host {
 public:
  MemberProgram(io::Ports& ports, const MemberPlan& plan, MemberMemory& memory, Oracles& oracles,
                sim::Decisions& decisions)
      : clock_(ports.clock),
        ports_{clock_, ports.network, ports.disk, ports.service, ports.remote},
        plan_(plan),
        memory_(memory),
        oracles_(oracles),
        decisions_(decisions) {
    ++memory_.lives;
    client::ClientOptions options;
    options.nodes = plan_.nodes;
    options.entropy.high = decisions_.bits(key());
    options.entropy.low = decisions_.bits(key());
    options.apply_max = static_cast<std::uint32_t>(1 + below(8));
    client_.emplace(ports_, *plan.call_codec, std::move(options));
  }

  void on_start() override {
    join();
    client_->on_start();
    clock_.wake_program_at(now() + kWorkMean);
  }
  void on_wake() override {
    if (clock_.program_alarm() <= now()) act();
    client_->on_wake();
    look();
  }
  void on_reply(io::CallId call, io::Parcel body) override {
    client_->on_reply(call, std::move(body));
    look();
  }
  void on_call_failed(io::CallId call) override {
    client_->on_call_failed(call);
    look();
  }

 private:
  struct Share {
    Epoch epoch;
    TxnId done;
    TxnId handed;
    bool stopped = false;
  };

  io::Instant now() const { return ports_.clock.now().monotonic; }
  sim::ChoiceKey key() {
    return {sim::Choice::workload, kMemberDraw, static_cast<std::uint32_t>(plan_.self.value),
            ++memory_.draws};
  }
  std::uint64_t below(std::uint64_t bound) { return decisions_.below(key(), bound); }
  io::Duration draw(io::Duration mean) {
    return {static_cast<std::int64_t>(decisions_.pause(key(), static_cast<std::uint64_t>(mean.ns)))};
  }

  void join() {
    shares_.clear();
    repeats_ = {};
    by_hand_ = below(2) == 0;
    fails_ = below(4) == 0;
    client::JoinOptions options;
    options.name = kGroup;
    options.apply = [this](GroupId group, const log::Transaction& transaction) {
      return apply(group, transaction);
    };
    options.dead_letter = [this](const client::Poison& poison) { return judge(poison); };
    options.retry_min = io::milliseconds(2);
    options.retry_max = io::milliseconds(50);
    options.done_by_hand = by_hand_;
    options.on_share = [this](const client::ShareChange& change) { on_share(change); };
    options.on_stopped = [this](GroupId group, const client::ViewState&) {
      oracles_.mark("group_reader.share_stopped");
      shares_.at(group).stopped = true;
    };
    options.on_failed = [this](const std::string& why) { oracles_.complain("group-refused", why); };
    options.patience = plan_.patience;
    options.report_delay = plan_.patience / 8;
    options.bytes_total = 4096;
    if (!client_->join(options)) oracles_.complain("group-refused", "a member that has left may not join");
    member_ = client_->membership(kGroup)->self();
  }

  void on_share(const client::ShareChange& change) {
    if (!change.gained) {
      shares_.erase(change.group);
      oracles_.mark("group_reader.share_lost");
      return;
    }
    shares_[change.group] = {change.epoch, change.next, change.next};
    oracles_.mark(change.epoch.value > 1 ? "group_reader.share_taken_over" : "group_reader.share_gained");
    oracles_.group_gained(member_, change.group, change.epoch, change.next);
    oracles_.feed_opened(change.group, plan_.self, change.next);
  }

  std::expected<void, std::string> apply(GroupId group, const log::Transaction& transaction) {
    if (leaving_) oracles_.complain("group-order", "a transaction was handed to a member that leaves");
    if (fails_ && below(16) == 0) return std::unexpected(std::string("not now"));
    pass(group, transaction);
    return {};
  }
  client::Verdict judge(const client::Poison& poison) {
    const std::uint64_t verdict = below(4);
    if (verdict > 1) return client::Verdict::retry;
    if (verdict == 1) return client::Verdict::stop;
    pass(poison.partition, poison.transaction);
    return client::Verdict::skip;
  }
  void pass(GroupId group, const log::Transaction& transaction) {
    Share& share = shares_.at(group);
    oracles_.group_handed(member_, group, share.epoch, transaction.id);
    oracles_.fed(group, plan_.self, transaction);
    share.handed = transaction.id + 1;
    if (!by_hand_) be_done(group, share, share.handed);
  }
  // Before the client reports it.
  void be_done(GroupId group, Share& share, TxnId next) {
    share.done = next;
    oracles_.group_done(member_, group, share.epoch, next);
  }

  // Works on what it was handed, one piece at a time.
  void act() {
    for (auto& [group, share] : shares_) {
      if (std::exchange(share.stopped, false)) let_go_on(group);
      if (share.done == share.handed) continue;
      const std::uint64_t left = share.handed - share.done;
      const std::uint64_t piece = below(3) == 0 ? 1 + below(left) : left;
      be_done(group, share, share.done + piece);
      client_->done(kGroup, group, share.epoch, share.done);
    }
    io::Duration pause = draw(kWorkMean);
    if (memory_.moves < plan_.moves_max && below(40) == 0) {
      ++memory_.moves;
      if (below(2) == 0) {
        leave();
      } else {
        pause = plan_.patience * 2;  // slower than anybody waits
      }
    }
    clock_.wake_program_at(now() + pause);
  }
  // A transaction that it stopped at. What it skips has been handed over, as far as the group is concerned.
  void let_go_on(GroupId group) {
    if (client_->resume(kGroup, group, client::Verdict::retry)) oracles_.mark("group_reader.share_resumed");
  }
  void leave() {
    if (std::exchange(leaving_, true)) return;
    (void)client_->leave(kGroup, plan_.patience * 2, [this](bool known) {
      oracles_.mark(known ? "group_reader.left" : "group_reader.left_without_a_word");
      leaving_ = false;
      join();
    });
  }

  void look() {
    const client::Membership* membership = client_->membership(kGroup);
    if (membership == nullptr) return;
    repeats_.tell(membership->repeats(), oracles_);
    for (const client::ShareState& share : membership->shares()) {
      oracles_.group_kept(member_, share.partition, share.epoch, share.kept);
    }
  }

  SharedClock clock_;
  io::Ports ports_;
  MemberPlan plan_;
  MemberMemory& memory_;
  Oracles& oracles_;
  sim::Decisions& decisions_;
  MemberId member_;
  std::map<GroupId, Share> shares_;
  bool by_hand_ = false;
  bool fails_ = false;
  bool leaving_ = false;
  RepeatMarks repeats_;
  std::optional<client::Client> client_;  // last: its callbacks use all of the above
};

// ---- the operator -------------------------------------------------------------------------------------------------

class Operator {
 public:
  Operator(const OperatorPlan& plan, OperatorMemory& memory, Oracles& oracles, sim::Decisions& decisions)
      : plan_(plan),
        memory_(memory),
        oracles_(oracles),
        decisions_(decisions),
        content_(plan.seed, plan.self, 64),
        caller_(plan.nodes, plan.self, *plan.call_codec, plan.seed) {
    ++memory_.lives;
    memory_.partitions = std::max(memory_.partitions, plan.partitions_from);
  }

  void run(sim::FiberHost& host) {
    while (true) {
      write(host);
      if (memory_.partitions >= plan_.partitions_total) return;
      host.sleep({static_cast<std::int64_t>(
          decisions_.pause(key(), static_cast<std::uint64_t>(plan_.think_mean.ns)))});
      create(host);
    }
  }

 private:
  static constexpr io::Duration kTimeout = io::milliseconds(400);

  sim::ChoiceKey key() {
    return {sim::Choice::workload, kOperatorDraw, static_cast<std::uint32_t>(plan_.self.value),
            ++memory_.draws};
  }

  void create(sim::FiberHost& host) {
    const std::uint32_t more = 1 + static_cast<std::uint32_t>(decisions_.below(key(), 2));
    const std::uint32_t total = std::min(memory_.partitions + more, plan_.partitions_total);
    const auto created = caller_.insist<PartitionsResult>(host, CreatePartitionsCall{total}, kTimeout);
    if (!created) return oracles_.complain("client-refused", "creating partitions: " + created.error().text);
    if (created->total < total || created->total > plan_.partitions_total) {
      return oracles_.complain("partitions", "there are " + std::to_string(created->total) +
                                                 " partitions after asking for " + std::to_string(total));
    }
    memory_.partitions = created->total;
    oracles_.mark("operator.partition_created");
  }

  // Fills the partitions that it created; at once, and wherever it asks they may not have been heard of.
  void write(sim::FiberHost& host) {
    for (std::uint32_t id = plan_.partitions_from + 1; id <= memory_.partitions; ++id) {
      const GroupId group(id);
      OperatorMemory::Stream& stream = memory_.streams[group];
      if (stream.session == SessionId()) {
        stream.session = {decisions_.bits(key()), decisions_.bits(key())};
        oracles_.session_opened(group, stream.session, true);
      }
      while (stream.answered < plan_.transactions) append(host, group, stream);
    }
  }

  void append(sim::FiberHost& host, GroupId group, OperatorMemory::Stream& stream) {
    AppendCall call;
    call.group = group;
    call.session = stream.session;
    call.first = Sequence(stream.answered + 1);
    call.ordered = true;
    const std::uint64_t left = plan_.transactions - stream.answered;
    call.count = static_cast<std::uint32_t>(1 + decisions_.below(key(), std::min<std::uint64_t>(left, 8)));
    std::vector<std::byte> block;
    for (std::uint32_t i = 0; i < call.count; ++i) {
      const Sequence sequence((std::uint64_t{group.value} << 32) + (call.first + i).value);
      const std::vector<std::byte> data = content_.of(sequence);
      log::TransactionInput input;
      input.header = content_.header_of(sequence);
      input.data = data;
      log::append_record(block, input);
    }
    call.block = Bytes::copy_of(block);
    stream.submitted = std::max(stream.submitted, stream.answered + call.count);
    const auto result = caller_.insist<AppendResult>(host, call, kTimeout);
    if (!result) return oracles_.complain("client-refused", "an append: " + result.error().text);
    for (const CommittedRun& run : result->runs) oracles_.acknowledged(group, stream.session, run);
    stream.answered += call.count;
  }

  OperatorPlan plan_;
  OperatorMemory& memory_;
  Oracles& oracles_;
  sim::Decisions& decisions_;
  Content content_;
  InsistentCaller caller_;
};

}  // namespace

std::unique_ptr<io::Host> make_group_member(io::Ports& ports, const MemberPlan& plan, MemberMemory& memory,
                                            Oracles& oracles, sim::Decisions& decisions) {
  return std::make_unique<MemberProgram>(ports, plan, memory, oracles, decisions);
}

std::unique_ptr<io::Host> make_operator(io::Ports& ports, const OperatorPlan& plan, OperatorMemory& memory,
                                        Oracles& oracles, sim::Decisions& decisions) {
  return std::make_unique<sim::FiberHost>(ports, [plan, &memory, &oracles, &decisions](sim::FiberHost& host) {
    Operator(plan, memory, oracles, decisions).run(host);
  });
}

}  // namespace reel::harness
