#include "sim/disk.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "io/ports/assert.h"

namespace reel::sim {
namespace {

using io::DiskRequest;
using io::DiskResult;
using io::DiskStatus;
using io::DiskVerb;
using io::FileId;
using io::kSectorBytes;

io::Bytes page_of(char fill, std::size_t pages = 1) {
  io::Buffer buffer = io::Buffer::allocate(pages * kSectorBytes);
  std::memset(buffer.data(), fill, buffer.size());
  return std::move(buffer).freeze();
}

// A disk, driven to completion by hand.
struct Bench {
  explicit Bench(std::uint64_t seed = 1, const DiskOptions& options = {})
      : decisions(seed), disk(options, decisions, counters, 0) {}

  Disk::Submitted submit(DiskRequest request) {
    request.op = io::DiskOpId(++op);
    return disk.submit(std::move(request), now);
  }
  DiskResult run(DiskRequest request) {
    const Disk::Submitted submitted = submit(std::move(request));
    now = std::max(now, submitted.done);
    return disk.complete(submitted.slot);
  }
  static DiskRequest request(DiskVerb verb, std::uint32_t file = 1, std::string name = {}) {
    DiskRequest made;
    made.verb = verb;
    made.file = FileId(file);
    made.name = std::move(name);
    return made;
  }
  static DiskRequest write_of(std::uint64_t page, const io::Bytes& data, std::uint32_t file = 1) {
    DiskRequest made = request(DiskVerb::write, file);
    made.offset = page * kSectorBytes;
    made.length = data.size();
    made.data = {data};
    return made;
  }
  DiskResult create(const std::string& name, std::uint64_t pages, std::uint32_t file = 1) {
    DiskRequest made = request(DiskVerb::create, file, name);
    made.length = pages * kSectorBytes;
    return run(std::move(made));
  }
  DiskResult write(std::uint64_t page, const io::Bytes& data, std::uint32_t file = 1) {
    return run(write_of(page, data, file));
  }
  DiskResult read(std::uint64_t page, std::uint64_t pages, std::uint32_t file = 1) {
    DiskRequest made = request(DiskVerb::read, file);
    made.offset = page * kSectorBytes;
    made.length = pages * kSectorBytes;
    return run(std::move(made));
  }
  DiskResult sync(std::uint32_t file = 1) { return run(request(DiskVerb::sync, file)); }
  DiskResult sync_directory() { return run(request(DiskVerb::sync_directory)); }
  // A durable file of zeros, open.
  void durable_file(std::uint64_t pages) {
    ASSERT_EQ(create("a", pages).status, DiskStatus::ok);
    sync();
    sync_directory();
  }
  char visible_at(std::uint64_t page, const std::string& name = "a") {
    const auto content = disk.visible(name);
    return content && content->size() > page * kSectorBytes
               ? static_cast<char>((*content)[page * kSectorBytes])
               : '?';
  }
  char durable_at(std::uint64_t page) {
    const auto content = disk.durable("a");
    return content ? static_cast<char>((*content)[page * kSectorBytes]) : '?';
  }

  FaultCounters counters;
  Decisions decisions;
  Disk disk;
  io::Instant now;
  std::uint64_t op = 0;
};

TEST(Disk, FilesAreZerosThenWhatWasWritten) {
  // A new file could show foreign bytes, or a read could miss a completed write.
  Bench bench;
  bench.durable_file(8);
  EXPECT_EQ(bench.disk.pages_held(), 0u);  // zeros take no memory
  DiskResult result = bench.read(0, 8);
  EXPECT_EQ(result.data.size(), 8 * kSectorBytes);
  for (const std::byte value : result.data.span()) ASSERT_EQ(value, std::byte{0});
  bench.write(2, page_of('x', 3));
  result = bench.read(1, 5);
  EXPECT_EQ(result.data.text()[0], 0);
  EXPECT_EQ(result.data.text()[kSectorBytes], 'x');
  EXPECT_EQ(result.data.text()[4 * kSectorBytes - 1], 'x');
  EXPECT_EQ(result.data.text()[4 * kSectorBytes], 0);
}

TEST(Disk, NamesAreCheckedAndListed) {
  // Names that a real directory would refuse could pass in the simulator.
  Bench bench;
  for (const char* bad : {"", "A", "a/b", "ä", "a b", "_"}) {
    EXPECT_EQ(bench.create(bad, 1).status, DiskStatus::refused) << bad;
  }
  EXPECT_EQ(bench.create(std::string(65, 'a'), 1).status, DiskStatus::refused);
  EXPECT_EQ(bench.create("b", 1, 1).status, DiskStatus::ok);
  EXPECT_EQ(bench.create("b", 1, 2).status, DiskStatus::exists);
  EXPECT_EQ(bench.create("a.1-z", 2, 3).status, DiskStatus::ok);
  EXPECT_EQ(bench.run(Bench::request(DiskVerb::open, 4, "c")).status, DiskStatus::not_found);
  EXPECT_EQ(bench.run(Bench::request(DiskVerb::open, 4, "b")).size, kSectorBytes);
  EXPECT_EQ(bench.run(Bench::request(DiskVerb::remove, 0, "c")).status, DiskStatus::not_found);
  const std::vector<io::FileEntry> expected = {{"a.1-z", 2 * kSectorBytes}, {"b", kSectorBytes}};
  EXPECT_EQ(bench.run(Bench::request(DiskVerb::list)).files, expected);
}

TEST(Disk, CapacityIsRefused) {
  // A full disk could accept a file.
  DiskOptions options;
  options.capacity_bytes = 4 * kSectorBytes;
  Bench bench(1, options);
  EXPECT_EQ(bench.create("a", 3, 1).status, DiskStatus::ok);
  EXPECT_EQ(bench.create("b", 2, 2).status, DiskStatus::no_space);
  EXPECT_EQ(bench.create("b", 1, 2).status, DiskStatus::ok);
}

TEST(Disk, SyncCoversWhatHadCompletedBefore) {
  // A sync could cover a write that completed after it was submitted, and so hide a missing wait.
  Bench bench;
  bench.durable_file(4);
  bench.write(0, page_of('a'));
  const Disk::Submitted late = bench.submit(Bench::write_of(1, page_of('b')));
  const Disk::Submitted sync = bench.submit(Bench::request(DiskVerb::sync));
  (void)bench.disk.complete(late.slot);
  (void)bench.disk.complete(sync.slot);
  EXPECT_EQ(bench.durable_at(0), 'a');
  EXPECT_EQ(bench.durable_at(1), 0);
  EXPECT_EQ(bench.visible_at(1), 'b');
  EXPECT_EQ(bench.disk.volatile_operations(), 1u);
  bench.sync();
  EXPECT_EQ(bench.durable_at(1), 'b');
  EXPECT_EQ(bench.disk.volatile_operations(), 0u);
}

TEST(Disk, SyncedDataSurvivesEveryCrash) {
  // A crash could take what a sync had covered; then every finding of the simulator would be suspect.
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Bench bench(seed);
    bench.durable_file(6);
    bench.write(0, page_of('a', 6));
    bench.sync();
    bench.write(3, page_of('b', 2));
    (void)bench.submit(Bench::write_of(5, page_of('c')));
    bench.disk.crash({.power = true, .loss = true, .torn = true, .durable = true});
    for (std::uint64_t page = 0; page < 3; ++page) ASSERT_EQ(bench.visible_at(page), 'a') << seed;
  }
}

// What a page holds after the crash of a disk whose page held 'o' durably, then 'n' in a completed write.
std::set<char> outcomes_of_completed(const DiskCrash& how, FaultCounters& counters) {
  std::set<char> seen;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Bench bench(seed);
    bench.durable_file(1);
    bench.write(0, page_of('o'));
    bench.sync();
    bench.write(0, page_of('n'));
    bench.disk.crash(how);
    seen.insert(bench.visible_at(0));
    for (const FaultKind kind :
         {FaultKind::disk_crash_loss, FaultKind::disk_crash_torn, FaultKind::disk_crash_durable}) {
      counters[kind].fired += bench.counters[kind].fired;
    }
  }
  return seen;
}

TEST(Disk, CrashLossTakesCompletedWritesAndOnlyThen) {
  // An unsynced write could always survive, so that a missing sync is never found; or be lost by a mere SIGKILL.
  FaultCounters lossy, calm, killed;
  EXPECT_EQ(outcomes_of_completed({.power = true, .loss = true}, lossy), (std::set<char>{'n', 'o'}));
  EXPECT_GT(lossy[FaultKind::disk_crash_loss].fired, 20u);
  EXPECT_EQ(outcomes_of_completed({.power = true}, calm), (std::set<char>{'n'}));
  EXPECT_EQ(outcomes_of_completed({.power = false, .loss = true}, killed), (std::set<char>{'n'}));
  EXPECT_EQ(calm.fired_total() + killed.fired_total(), 0u);
}

TEST(Disk, KilledProcessLeavesTheCacheToALaterPowerLoss) {
  // Data that a restarted process read, and believed durable, could be beyond the reach of the next power loss.
  std::set<char> seen;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Bench bench(seed);
    bench.durable_file(1);
    bench.write(0, page_of('n'));
    bench.disk.crash({.power = false});
    EXPECT_EQ(bench.run(Bench::request(DiskVerb::open, 7, "a")).status, DiskStatus::ok);
    EXPECT_EQ(bench.visible_at(0), 'n');
    bench.disk.crash({.power = true, .loss = true});
    seen.insert(bench.visible_at(0));
  }
  EXPECT_EQ(seen, (std::set<char>{'n', 0}));
}

TEST(Disk, CrashDurableKeepsWhatWasNeverAcknowledged) {
  // An operation in flight could always vanish, so that an unacknowledged entry never comes back.
  std::set<char> with, without;
  std::uint64_t fired = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    for (const bool durable : {true, false}) {
      for (const bool power : {true, false}) {
        Bench bench(seed);
        bench.durable_file(1);
        (void)bench.submit(Bench::write_of(0, page_of('n')));
        bench.disk.crash({.power = power, .durable = durable});
        (durable ? with : without).insert(bench.visible_at(0));
        fired += bench.counters[FaultKind::disk_crash_durable].fired;
        EXPECT_EQ(bench.disk.in_flight(), 0u);
      }
    }
  }
  EXPECT_EQ(with, (std::set<char>{'n', 0}));
  EXPECT_EQ(without, (std::set<char>{0}));
  EXPECT_GT(fired, 50u);
}

TEST(Disk, TornWritesShowEveryShape) {
  // A torn write could be only ever a prefix, and code that trusts a good last sector would pass.
  std::set<std::string> shapes;
  bool zero = false, garbage = false, split = false;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    Bench bench(seed);
    bench.durable_file(3);
    bench.write(0, page_of('o', 3));
    bench.sync();
    bench.write(0, page_of('n', 3));
    bench.disk.crash({.power = true, .loss = true, .torn = true});
    const auto content = bench.disk.visible("a");
    ASSERT_TRUE(content.has_value());
    std::string shape;
    for (std::size_t page = 0; page < 3; ++page) {
      std::set<char> values;
      for (std::size_t i = 0; i < kSectorBytes; ++i) {
        values.insert(static_cast<char>((*content)[page * kSectorBytes + i]));
      }
      char mark = values.size() == 1 ? *values.begin() : '?';
      if (mark == 0) zero = true;
      if (values == std::set<char>{'n', 'o'}) split = true;
      if (values.size() > 2) garbage = true;
      shape += mark == 0 ? 'z' : mark;
    }
    shapes.insert(shape);
  }
  for (const char* shape : {"ooo", "nnn", "noo", "nno", "oon", "onn", "non", "ono"}) {
    EXPECT_TRUE(shapes.contains(shape)) << shape;
  }
  EXPECT_TRUE(zero);
  EXPECT_TRUE(garbage);
  EXPECT_TRUE(split);
}

TEST(Disk, DirectoryEntriesNeedTheirOwnSync) {
  // A created or removed name could be durable without a sync of the directory.
  bool created_lost = false, created_kept = false, removed_lost = false, removed_kept = false,
       short_size = false;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Bench bench(seed);
    bench.durable_file(4);
    EXPECT_EQ(bench.create("b", 4, 2).status, DiskStatus::ok);
    bench.run(Bench::request(DiskVerb::remove, 0, "a"));
    EXPECT_EQ(bench.disk.files().size(), 1u);
    bench.disk.crash({.power = true, .loss = true});
    (bench.disk.visible("b") ? created_kept : created_lost) = true;
    (bench.disk.visible("a") ? removed_lost : removed_kept) = true;
    // The size of a file that was never synced is in doubt, too.
    if (const auto content = bench.disk.visible("b")) short_size |= content->size() < 4 * kSectorBytes;
  }
  EXPECT_TRUE(created_lost && created_kept && removed_lost && removed_kept && short_size);
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Bench bench(seed);
    bench.durable_file(4);
    bench.run(Bench::request(DiskVerb::remove, 0, "a"));
    bench.create("b", 4, 2);
    bench.sync(2);
    bench.sync_directory();
    bench.disk.crash({.power = true, .loss = true, .torn = true, .durable = true});
    const std::vector<io::FileEntry> expected = {{"b", 4 * kSectorBytes}};
    EXPECT_EQ(bench.disk.files(), expected);
  }
}

TEST(Disk, MemoryIsGivenBack) {
  // Removed files and overwritten pages could pile up over a long run.
  Bench bench;
  bench.durable_file(16);
  for (int round = 0; round < 50; ++round) {
    bench.write(0, page_of('x', 16));
    bench.sync();
  }
  EXPECT_EQ(bench.disk.pages_held(), 32u);
  bench.run(Bench::request(DiskVerb::remove, 0, "a"));
  bench.sync_directory();
  bench.run(Bench::request(DiskVerb::close, 1));
  EXPECT_EQ(bench.disk.pages_held(), 0u);
}

TEST(Disk, LatencyAndStall) {
  // A slow disk could be slow in name only.
  Bench bench;
  bench.durable_file(4);
  std::int64_t normal = 0, slow = 0;
  for (int i = 0; i < 200; ++i) {
    const io::Instant before = bench.now;
    bench.write(0, page_of('x'));
    normal += (bench.now - before).ns;
  }
  bench.disk.set_extra_latency(io::milliseconds(5));
  for (int i = 0; i < 200; ++i) {
    const io::Instant before = bench.now;
    bench.write(0, page_of('x'));
    slow += (bench.now - before).ns;
  }
  EXPECT_LT(normal / 200, 200'000);
  EXPECT_GT(slow / 200, 3'000'000);
  EXPECT_EQ(bench.counters[FaultKind::disk_latency].fired, 1u);
}

TEST(Disk, InstalledFilesAreDurable) {
  // A provisioned file could vanish at the first crash.
  Bench bench;
  const std::string text = "cluster 7";
  bench.disk.install("superblock", std::as_bytes(std::span(text)), 3 * kSectorBytes);
  bench.disk.crash({.power = true, .loss = true});
  const auto content = bench.disk.durable("superblock");
  ASSERT_TRUE(content.has_value());
  EXPECT_EQ(content->size(), 3 * kSectorBytes);
  EXPECT_EQ(std::memcmp(content->data(), text.data(), text.size()), 0);
}

// Assertions as exceptions, so that a test may go on after one.
struct Refused {};
struct Expecting {
  Expecting() : previous(io::set_assertion_hook([](const char*, const char*, int) { throw Refused{}; })) {}
  ~Expecting() { io::set_assertion_hook(previous); }
  io::AssertionHook previous;
};

TEST(Disk, BreachesOfTheContractAreFound) {
  // Code that breaks the contract of io/ports/disk.h could pass in the simulator and fail on a real disk.
  const Expecting expecting;
  Bench bench;
  bench.durable_file(8);
  const io::Bytes two = page_of('x', 2);
  (void)bench.submit(Bench::write_of(2, two));
  EXPECT_THROW((void)bench.submit(Bench::write_of(3, two)), Refused) << "overlapping writes";
  DiskRequest read = Bench::request(DiskVerb::read);
  read.offset = 3 * kSectorBytes;
  read.length = kSectorBytes;
  EXPECT_THROW((void)bench.submit(read), Refused) << "a read over a write in flight";
  read.offset = 8 * kSectorBytes;
  EXPECT_THROW((void)bench.submit(read), Refused) << "beyond the end";
  read.offset = 100;
  EXPECT_THROW((void)bench.submit(read), Refused) << "misaligned";
  EXPECT_THROW((void)bench.submit(Bench::write_of(0, two, 9)), Refused) << "unknown file";
  EXPECT_THROW((void)bench.submit(Bench::request(DiskVerb::close)), Refused)
      << "close with operations in flight";
  EXPECT_THROW((void)bench.submit(Bench::request(DiskVerb::open, 1, "a")), Refused) << "a handle in use";
  DiskRequest odd = Bench::write_of(5, page_of('x', 3).slice(512, 2 * kSectorBytes));
  EXPECT_THROW((void)bench.submit(odd), Refused) << "a misaligned buffer";
}

}  // namespace
}  // namespace reel::sim
