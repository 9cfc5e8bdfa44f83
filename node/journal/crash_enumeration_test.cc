// Every crash of three batches in flight, over two boots: each subset of the sectors that were not durable
// survives, for each number of acknowledged batches; the survivor appends three more and crashes again in
// every way.
//
// After every boot: exactly the batches before the first incomplete one are there, bit for bit; so what was
// acknowledged survives, nothing torn is accepted, and nothing that an earlier boot cut ever returns. LSNs of
// a life lie above all LSNs of every earlier life, also of those that left no trace. Recovering twice gives
// the same.
#include <gtest/gtest.h>

#include <set>

#include "node/journal/test_life.h"

namespace reel::journal {
namespace {

using Fate = TestDisk::Fate;

struct Shape {
  Options options = small_options();
  std::array<std::size_t, 3> payload_bytes{100, 100, 100};
  bool garbage_first = false;  // in the first crash a sector may also come back split
  bool truncate = false;       // in the second life the second batch cuts a group and goes on
};

// One batch of a life: which records, and which requests are its writes.
struct Batch {
  std::size_t records_end = 0;  // in Life::written
  std::set<io::DiskOpId> writes;
};

// A life with three batches in flight, the first `acknowledged` of which are durable and released.
struct InFlight {
  Life life;
  Logs before;
  std::vector<Batch> batches;
};

void write_batch(InFlight& state, GroupId group, std::size_t payload_bytes, bool truncate) {
  Life& life = state.life;
  const auto log = life.logs.find(group);
  if (truncate && log != life.logs.end()) life.truncate(group, Index(log->second.size()));
  life.append(group, payload_bytes);
  const std::size_t pending = life.disk.pending();
  life.pump();
  Batch batch{life.written.size(), {}};
  for (std::size_t i = pending; i < life.disk.pending(); ++i) {
    if (life.disk.request(i).verb == io::DiskVerb::write) batch.writes.insert(life.disk.request(i).op);
  }
  state.batches.push_back(std::move(batch));
}

void acknowledge(InFlight& state, std::size_t batches) {
  Life& life = state.life;
  std::set<io::DiskOpId> wanted;
  for (std::size_t i = 0; i < batches; ++i)
    wanted.insert(state.batches[i].writes.begin(), state.batches[i].writes.end());
  for (std::size_t i = 0; i < life.disk.pending();) {
    const io::DiskRequest& request = life.disk.request(i);
    if (wanted.contains(request.op) || request.verb == io::DiskVerb::sync) {
      life.finish(i);
      i = 0;
    } else {
      ++i;
    }
  }
  const Lsn durable = batches == 0 ? life.recovered.next_lsn - 1
                                   : life.written[state.batches[batches - 1].records_end - 1].lsn;
  ASSERT_EQ(life.journal->durable(), durable);
}

InFlight begin(const TestDisk::Image& image, const Shape& shape, std::uint64_t incarnation,
               std::size_t acknowledged) {
  InFlight state{Life(image, shape.options, incarnation), {}, {}};
  EXPECT_FALSE(state.life.error.has_value()) << state.life.error->text;
  state.before = state.life.logs;
  state.life.settle();  // the file made in advance is ready
  const std::array<GroupId, 3> groups{GroupId(1), GroupId(2), GroupId(1)};
  for (std::size_t i = 0; i < groups.size(); ++i) {
    write_batch(state, groups[i], shape.payload_bytes[i], shape.truncate && incarnation > 1 && i == 1);
  }
  acknowledge(state, acknowledged);
  return state;
}

// The one legal outcome: every batch before the first with a sector missing.
Logs expected(const InFlight& state, const std::vector<Fate>& fates) {
  std::set<io::DiskOpId> damaged;
  for (std::size_t i = 0; i < fates.size(); ++i) {
    if (fates[i] != Fate::kept) damaged.insert(state.life.disk.units()[i].op);
  }
  Logs logs = state.before;
  std::size_t record = 0;
  for (const Batch& batch : state.batches) {
    for (const io::DiskOpId op : batch.writes) {
      if (damaged.contains(op)) return logs;
    }
    for (; record < batch.records_end; ++record) replay(logs, state.life.written[record]);
  }
  return logs;
}

// Calls visit with every assignment of `kinds` fates to the units of the disk.
template <class Visit>
void for_each_crash(const TestDisk& disk, std::uint32_t kinds, Visit visit) {
  std::vector<Fate> fates(disk.units().size(), Fate::lost);
  for (;;) {
    visit(fates);
    std::size_t i = 0;
    while (i < fates.size() && static_cast<std::uint32_t>(fates[i]) + 1 == kinds) fates[i++] = Fate::lost;
    if (i == fates.size()) return;
    fates[i] = static_cast<Fate>(static_cast<std::uint32_t>(fates[i]) + 1);
  }
}

void expect_readable(Life& life) {
  for (const auto& [group, log] : life.logs) {
    for (const EntryIdentity& identity : log) {
      const auto payload = life.read(group, identity);
      ASSERT_TRUE(payload.has_value()) << payload.error().text;
    }
  }
}

struct Counts {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

// Boots the image that a crash left; the recovery itself is cut short too, with its opening batch lost and
// kept.
void check_boot(const TestDisk::Image& image, const Shape& shape, std::uint64_t incarnation,
                const Logs& wanted, const InFlight& crashed) {
  Life life(image, shape.options, incarnation);
  ASSERT_FALSE(life.error.has_value()) << life.error->text;
  ASSERT_EQ(life.logs, wanted);
  ASSERT_GT(life.recovered.next_lsn, crashed.life.journal->last());
  ASSERT_GE(life.recovered.next_batch, crashed.life.recovered.next_batch + crashed.batches.size());
  expect_readable(life);
  Life again(life.disk.image(), shape.options, incarnation + 1);
  ASSERT_FALSE(again.error.has_value()) << again.error->text;
  ASSERT_EQ(again.logs, wanted);
  ASSERT_EQ(again.recovered.cut_records, 0u);  // the first boot's cut was durable
  ASSERT_GT(again.recovered.next_lsn, life.recovered.next_lsn);
}

// Stops a recovery after each of its completions, lets every subset of what it wrote survive, and recovers
// again.
void check_crashed_recovery(const TestDisk::Image& image, const Shape& shape, std::uint64_t incarnation,
                            const Logs& wanted) {
  bool done = false;
  for (std::size_t completions = 1; !done; ++completions) {
    TestDisk disk(image);
    node::DiskQueue queue;
    Recovery recovery(shape.options, test_stamp(incarnation), {});
    recovery.start(queue);
    disk.take(queue);
    for (std::size_t i = 0; i < completions && disk.pending() > 0; ++i) {
      recovery.on_disk(disk.finish(0), queue);
      disk.take(queue);
    }
    done = recovery.done();
    if (disk.units().empty()) continue;
    for_each_crash(disk, 2, [&](const std::vector<Fate>& fates) {
      Life life(disk.crash(fates), shape.options, incarnation + 1);
      ASSERT_FALSE(life.error.has_value()) << life.error->text;
      ASSERT_EQ(life.logs, wanted);
    });
  }
}

Counts enumerate(const Shape& shape) {
  Counts counts;
  const TestDisk::Image fresh = formatted(shape.options);
  for (std::size_t acknowledged = 0; acknowledged <= 3; ++acknowledged) {
    const InFlight first = begin(fresh, shape, 1, acknowledged);
    for_each_crash(first.life.disk, shape.garbage_first ? 3 : 2, [&](const std::vector<Fate>& fates) {
      if (testing::Test::HasFailure()) return;
      ++counts.first;
      const TestDisk::Image image = first.life.disk.crash(fates);
      const Logs wanted = expected(first, fates);
      check_boot(image, shape, 2, wanted, first);
      check_crashed_recovery(image, shape, 2, wanted);
      for (std::size_t again = 0; again <= 3; ++again) {
        const InFlight second = begin(image, shape, 2, again);
        for_each_crash(second.life.disk, 2, [&](const std::vector<Fate>& second_fates) {
          if (testing::Test::HasFailure()) return;
          ++counts.second;
          check_boot(second.life.disk.crash(second_fates), shape, 3, expected(second, second_fates), second);
        });
      }
    });
  }
  return counts;
}

// Could a subset of sectors of three batches in flight lose what was acknowledged, or bring back what was
// cut?
TEST(CrashEnumeration, EverySectorSubsetOverTwoBoots) {
  const Counts counts = enumerate(Shape{});
  EXPECT_EQ(counts.first, 64u + 16 + 4 + 1);
  EXPECT_EQ(counts.second, 85u * 85);
}

// Could a killed process leave writes in a cache, which its successor believes and a power loss then takes
// away?
TEST(CrashEnumeration, PowerLossAfterAKilledProcess) {
  const Shape shape;
  const TestDisk::Image fresh = formatted(shape.options);
  std::uint64_t crashes = 0;
  for (std::uint32_t completed = 0; completed < 64 && !HasFailure(); ++completed) {
    for (std::size_t stop = 1; stop < 64; ++stop) {
      InFlight state = begin(fresh, shape, 1, 0);
      for (std::size_t i = 6; i-- > 0;) {  // the six writes are all that is pending
        if ((completed >> i & 1) != 0) state.life.disk.finish(i);
      }
      std::vector<Fate> done_writes;
      for (const TestDisk::Unit& unit : state.life.disk.units()) {
        done_writes.push_back(unit.completed == 0 ? Fate::lost : Fate::kept);
      }
      const Logs seen = expected(state, done_writes);
      state.life.disk.kill();
      Recovery recovery(shape.options, test_stamp(2), {});
      recovery.start(state.life.queue);
      state.life.disk.take(state.life.queue);
      for (std::size_t i = 0; i < stop && state.life.disk.pending() > 0; ++i) {
        recovery.on_disk(state.life.disk.finish(0), state.life.queue);
        state.life.disk.take(state.life.queue);
      }
      const bool done = recovery.done();
      if (!done && state.life.disk.pending() > 0 && state.life.disk.request(0).verb < io::DiskVerb::write)
        continue;
      for_each_crash(state.life.disk, 2, [&](const std::vector<Fate>& fates) {
        ++crashes;
        Life life(state.life.disk.crash(fates), shape.options, 3);
        ASSERT_FALSE(life.error.has_value()) << life.error->text;
        if (done) {
          ASSERT_EQ(life.logs, seen);  // what the second life was told is durable
        }
      });
      if (done) break;
    }
  }
  EXPECT_GT(crashes, 1000u);
}

// Could half a body pass for a whole one?
TEST(CrashEnumeration, WithABodyOfTwoSectors) {
  Shape shape;
  shape.payload_bytes = {100, 6000, 100};
  const Counts counts = enumerate(shape);
  EXPECT_EQ(counts.first, 128u + 32 + 4 + 1);
  EXPECT_EQ(counts.second, 165u * 165);
}

// Could a sector that came back split, neither old nor new, be taken for a batch or hide one?
TEST(CrashEnumeration, WithSplitSectors) {
  Shape shape;
  shape.garbage_first = true;
  const Counts counts = enumerate(shape);
  EXPECT_EQ(counts.first, 729u + 81 + 9 + 1);
  EXPECT_EQ(counts.second, 820u * 85);
}

// Could a lost truncation leave a mixture of the old suffix and the new one?
TEST(CrashEnumeration, WithATruncationInTheSecondLife) {
  Shape shape;
  shape.truncate = true;
  EXPECT_EQ(enumerate(shape).first, 85u);
}

// Could a batch in the next file survive its lost predecessor in the file before?
TEST(CrashEnumeration, AcrossTheEndOfAFile) {
  for (const std::uint32_t identity_sectors : {2u, 3u, 4u, 5u}) {
    Shape shape;
    shape.options.identity_sectors = identity_sectors;
    shape.options.files_ahead = 3;  // all files that three batches can need are ready
    enumerate(shape);
  }
}

}  // namespace
}  // namespace reel::journal
