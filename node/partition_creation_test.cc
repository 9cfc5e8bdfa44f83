// Partitions created while a node runs, with every crash on the way.
#include <gtest/gtest.h>

#include "node/journal/test_life.h"
#include "node/log/record.h"
#include "node/node.h"

namespace reel::node {
namespace {

using journal::TestDisk;

NodeOptions small() {
  NodeOptions options;
  options.journal = journal::small_options();
  options.group.entry_bytes_max = 4096;
  return options;
}

// A node that is a whole cluster, on a disk whose requests complete one by one.
class Alone {
 public:
  Alone(const TestDisk::Image& image, std::uint64_t incarnation) : disk(image), node_(small()) {
    out_.wants_notes = true;
    step(Boot{journal::test_stamp(incarnation), 7});
  }

  void step(const Event& event) {
    node_.step(now_, event, out_);
    for (Reply& reply : out_.replies) replies.push_back(std::move(reply));
    if (out_.halt) halted = *out_.halt;
    if (out_.wake_at) wake_ = *out_.wake_at;
    disk.take(out_.disk);
    out_.clear();
  }
  // One disk request, or, when there is none, the next alarm. The manifest's come last, and only after some alarms: whoever
  // does not wait for it shows.
  void go_on() {
    for (std::size_t i = 0; i < disk.pending(); ++i) {
      const bool manifest = node_.ready() && DiskQueue::owner_of(disk.request(i).op) == DiskOwner::manifest;
      if (manifest && alarms_ < 8) continue;
      if (manifest) alarms_ = 0;
      return step(DiskDone{disk.finish(i)});
    }
    ++alarms_;
    now_.monotonic = std::max(now_.monotonic, wake_);
    now_.wall.ns = 1'000'000 + now_.monotonic.ns;
    step(Tick{});
  }
  // False: it did not come to that.
  template <class Condition>
  bool until(Condition condition) {
    for (int i = 0; i < 3000 && halted.empty(); ++i) {
      if (condition()) return true;
      go_on();
    }
    return condition();
  }
  bool leads(std::uint32_t group) const {
    const Group* found = node_.group(GroupId(group));
    return found != nullptr && found->core().role() == Role::leader && found->core().has_committed_in_term();
  }
  void ask(std::uint64_t call, const ClientCall& body) {
    static const io::ParcelCodec kCodec{.name = "call",
                                        .size = [](const void*) { return std::size_t{1}; },
                                        .encode = [](const void*) { return Bytes(); },
                                        .decode = nullptr,
                                        .digest = [](const void*) { return std::uint64_t{0}; }};
    step(Request{io::CallId(call), io::Rights::read | io::Rights::append | io::Rights::admin,
                 io::Parcel::of(ClientCall(body), kCodec)});
  }
  template <class Result>
  bool answered(std::uint64_t call) const {
    for (const Reply& reply : replies) {
      if (reply.call == io::CallId(call)) return std::holds_alternative<Result>(reply.body);
    }
    return false;
  }
  const Node& node() const { return node_; }

  TestDisk disk;
  std::string halted;
  std::vector<Reply> replies;

 private:
  Node node_;
  Effects out_;
  io::Now now_{};
  io::Instant wake_ = io::kNever;
  int alarms_ = 0;  // since the manifest's last request
};

TestDisk::Image fresh() {
  const raft::Configuration alone{{journal::kTestNode}, {}, {}};
  return journal::formatted(journal::small_options(), {{GroupId(1), Index(1), Index(), alone}});
}

AppendCall append_to(std::uint32_t group) {
  std::vector<std::byte> block;
  log::append_record(block, {});
  AppendCall call;
  call.group = GroupId(group);
  call.session = {1, group};
  call.first = Sequence(1);
  call.count = 1;
  call.block = Bytes::copy_of(block);
  return call;
}

// What the next life must find, whatever the crash took.
void check_next_life(const TestDisk::Image& image, bool created, bool appended) {
  Alone next(image, 2);
  const bool up = next.until([&] { return next.leads(1); });
  ASSERT_TRUE(up && next.halted.empty()) << next.halted;
  if (created) {
    ASSERT_TRUE(next.until([&] { return next.leads(2) && next.leads(3); })) << next.halted;
  }
  if (appended) {
    EXPECT_EQ(next.node().group(GroupId(3))->state().next_id(), TxnId(1));
  }
}

void check_crashes(const TestDisk& disk, bool created, bool appended) {
  using Fate = TestDisk::Fate;
  const std::size_t count = disk.units().size();
  for (const Fate all : {Fate::lost, Fate::kept, Fate::garbage}) {
    check_next_life(disk.crash(std::vector<Fate>(count, all)), created, appended);
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<Fate> fates(count, Fate::kept);
    fates[i] = Fate::lost;
    check_next_life(disk.crash(fates), created, appended);
    fates.assign(count, Fate::lost);
    fates[i] = Fate::kept;
    check_next_life(disk.crash(fates), created, appended);
  }
}

TEST(PartitionCreation, AnyCrashOnTheWayLosesNothing) {
  // A partition that takes part before the manifest names it would be unknown to the next life, and with it what it had
  // acknowledged; one that was acknowledged and is gone would be the same to its users.
  Alone alone(fresh(), 1);
  ASSERT_TRUE(alone.until([&] { return alone.leads(1); })) << alone.halted;
  alone.ask(1, CreatePartitionsCall{3});
  bool asked = false;
  for (int steps = 0; steps < 600 && !alone.answered<AppendResult>(2); ++steps) {
    check_crashes(alone.disk, alone.answered<PartitionsResult>(1), false);
    if (HasFailure()) FAIL() << "after " << steps << " steps";
    if (!asked && alone.leads(3)) {
      asked = true;
      alone.ask(2, append_to(3));
    }
    alone.go_on();
  }
  ASSERT_TRUE(alone.answered<AppendResult>(2)) << alone.halted;
  check_crashes(alone.disk, true, true);
}

}  // namespace
}  // namespace reel::node
