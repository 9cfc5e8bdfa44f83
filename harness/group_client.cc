#include "harness/group_client.h"

#include <algorithm>

#include "harness/insistent_caller.h"
#include "harness/programs.h"
#include "node/log/record.h"

namespace reel::harness {
namespace {

enum Place : std::uint32_t { kMemberDraw = 50, kOperatorDraw };
constexpr io::Duration kWorkMean = io::milliseconds(20);

// ---- a member -----------------------------------------------------------------------------------------------------

class MemberProgram final : public client::Driver {
 public:
  MemberProgram(io::Ports& ports, const MemberPlan& plan, MemberMemory& memory, Oracles& oracles,
                sim::Decisions& decisions)
      : Driver(ports, *plan.call_codec),
        plan_(plan),
        memory_(memory),
        oracles_(oracles),
        decisions_(decisions) {
    ++memory_.lives;
    join();
  }

  void on_start() override {
    set_alarm(ports().clock.now().monotonic + kWorkMean);
    flush();
  }

  void on_share(const client::ShareChange& change) override {
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

  void on_group_transaction(GroupId group, Epoch epoch, const log::Transaction& transaction) override {
    oracles_.group_handed(member_, group, epoch, transaction.id);
    oracles_.fed(group, plan_.self, transaction);
    shares_.at(group).handed = transaction.id + 1;
  }

  // Works on what it was handed, one piece at a time.
  void on_alarm() override {
    for (auto& [group, share] : shares_) {
      if (share.done == share.handed) continue;
      const std::uint64_t left = share.handed - share.done;
      share.done += below(3) == 0 ? 1 + below(left) : left;
      oracles_.group_done(member_, group, share.epoch, share.done);
      group_reader()->done(group, share.epoch, share.done);
    }
    io::Duration pause = draw(kWorkMean);
    if (memory_.moves < plan_.moves_max && below(40) == 0) {
      ++memory_.moves;
      if (below(2) == 0) {
        group_reader()->leave();
      } else {
        pause = plan_.patience * 2;  // slower than anybody waits
      }
    }
    set_alarm(ports().clock.now().monotonic + pause);
  }

  void on_progress() override {
    repeats_.tell(group_reader()->repeats(), oracles_);
    if (group_reader()->failure()) return oracles_.complain("group-refused", *group_reader()->failure());
    for (const auto& [group, share] : shares_) {
      const auto kept = group_reader()->kept(group, share.epoch);
      if (kept) oracles_.group_kept(member_, group, share.epoch, *kept);
    }
    if (group_reader()->has_left()) {
      oracles_.mark("group_reader.left");
      join();
    }
  }

 private:
  struct Share {
    Epoch epoch;
    TxnId done;
    TxnId handed;
  };

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
    member_.high = decisions_.bits(key());
    member_.low = decisions_.bits(key());
    client::GroupReaderOptions options;
    options.nodes = plan_.nodes;
    options.name = "readers";
    options.member = member_;
    options.patience = plan_.patience;
    options.report_delay = plan_.patience / 8;
    options.bytes_max = 4096;
    options.wait = io::milliseconds(500);
    options.call_timeout = io::milliseconds(400);
    options.seed = decisions_.bits(key());
    open_group_reader(options);
  }

  MemberPlan plan_;
  MemberMemory& memory_;
  Oracles& oracles_;
  sim::Decisions& decisions_;
  MemberId member_;
  std::map<GroupId, Share> shares_;
  RepeatMarks repeats_;
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
