#include "io/real/disk.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <thread>

#include "io/real/disk_contract.h"
#include "io/real/disk_floor.h"
#include "io/real/disk_test_world.h"
#include "io/real/flush_counter.h"

namespace reel::real {
namespace {

using Script = DiskScript;
constexpr std::uint64_t kSector = io::kSectorBytes;

class Contract : public testing::TestWithParam<std::tuple<DiskEngineKind, DiskContractCase>> {};

// One engine could promise less than the port says, and what the simulator proves would not hold on it.
TEST_P(Contract, Holds) {
  const auto& [engine, one] = GetParam();
  RealWorld world(engine);
  one.check(world);
}

INSTANTIATE_TEST_SUITE_P(RealDisk, Contract,
                         testing::Combine(testing::Values(DiskEngineKind::automatic, DiskEngineKind::threads),
                                          testing::ValuesIn(disk_contract())),
                         [](const auto& instance) {
                           const bool threads = std::get<0>(instance.param) == DiskEngineKind::threads;
                           return std::string(std::get<1>(instance.param).name) +
                                  (threads ? "OnThreads" : "");
                         });

// Two processes could write into one directory, and each would destroy what the other promised.
TEST(RealDisk, ADirectoryHasOneOwner) {
  TemporaryDirectory directory;
  Loop loop;
  auto first = RealDisk::open(loop, {.directory = directory.path()});
  ASSERT_TRUE(first.has_value());
  auto second = RealDisk::open(loop, {.directory = directory.path()});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, DiskOpenError::Code::in_use);
  EXPECT_NE(second.error().text.find("process " + std::to_string(::getpid())), std::string::npos)
      << second.error().text;
  first->reset();
  EXPECT_TRUE(RealDisk::open(loop, {.directory = directory.path()}).has_value());
}

// The lock of a killed process could outlive it, or a child could keep it.
TEST(RealDisk, TheLockDiesWithItsProcess) {
  TemporaryDirectory directory;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Loop loop;
    auto disk = RealDisk::open(loop, {.directory = directory.path()});
    const char state = disk.has_value() ? 'y' : 'n';
    (void)!::write(ready[1], &state, 1);
    ::pause();
    ::_exit(0);
  }
  char state = 0;
  ASSERT_EQ(::read(ready[0], &state, 1), 1);
  ASSERT_EQ(state, 'y');
  Loop loop;
  EXPECT_FALSE(RealDisk::open(loop, {.directory = directory.path()}).has_value());
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(RealDisk::open(loop, {.directory = directory.path()}).has_value());
  ::close(ready[0]);
  ::close(ready[1]);
}

// A wrong path could be met by a crash, a new empty directory, or a message that helps nobody.
TEST(RealDisk, AWrongDirectoryIsAnErrorThatSaysWhatToDo) {
  TemporaryDirectory directory;
  Loop loop;
  const std::string missing = directory.path() + "/none";
  auto disk = RealDisk::open(loop, {.directory = missing});
  ASSERT_FALSE(disk.has_value());
  EXPECT_EQ(disk.error().code, DiskOpenError::Code::missing);
  EXPECT_NE(disk.error().text.find("reel node init"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(missing));

  const std::string file = directory.path() + "/file";
  std::ofstream(file) << "x";
  disk = RealDisk::open(loop, {.directory = file});
  ASSERT_FALSE(disk.has_value());
  EXPECT_EQ(disk.error().code, DiskOpenError::Code::missing);

  EXPECT_TRUE(RealDisk::open(loop, {.directory = missing + "/deep/er", .make_directory = true}).has_value());
}

// Makes io_uring_setup fail with EPERM in this process, as the default profile of container engines does.
bool forbid_uring() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(code), .filter = code};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Runs in a process of its own; the exit code says what was wrong.
int use_disk_without_uring(const std::string& directory) {
  if (!forbid_uring()) return 10;
  {
    Loop loop;
    if (RealDisk::open(loop, {.directory = directory, .engine = DiskEngineKind::uring})) return 11;
    auto disk = RealDisk::open(loop, {.directory = directory});
    if (!disk || (*disk)->uses_uring()) return 12;
    if ((*disk)->notice().find("io_uring is not available") == std::string::npos) return 13;
  }
  RealWorld world(DiskEngineKind::automatic);
  contract::content_survives_a_reopen(world);
  return testing::Test::HasFailure() ? 14 : 0;
}

// Where a container forbids io_uring, a node could fail to start, or lose its durability without a word.
TEST(RealDisk, FallsBackWhereUringIsForbidden) {
  TemporaryDirectory directory;
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 99;
    try {
      code = use_disk_without_uring(directory.path());
    } catch (...) {
      code = 98;
    }
    ::_exit(code);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// The loop could stand still while a journal file is filled with zeros.
TEST(RealDisk, ALargeCreateDoesNotBlockTheLoop) {
  RealWorld world(DiskEngineKind::automatic);
  Script script(world);
  ASSERT_EQ(script.run(Script::create(io::FileId(1), "small", kSector)).status, io::DiskStatus::ok);
  const io::DiskOpId create = script.start(Script::create(io::FileId(2), "large", 64u << 20));
  std::uint64_t commits = 0;
  bool created = false;
  while (!created) {
    const io::DiskOpId write = script.start(Script::write(io::FileId(1), 0, {Script::pattern(commits, 1)}));
    ASSERT_EQ(script.wait(write).status, io::DiskStatus::ok);
    ++commits;
    created = world.real().counters().creates == 2;
  }
  EXPECT_EQ(script.wait(create).status, io::DiskStatus::ok);
  EXPECT_GE(commits, 10u);
}

// On a device that is busy with writes alone, small pieces of zeros would never be done, and the journal would stand still for
// want of its next file.
TEST(RealDisk, ZerosKeepUpWithTheWritesBesideThem) {
  std::uint64_t largest = 0;
  RealWorld world(DiskEngineKind::automatic);
  world.tamper([&](const Transfer& transfer) {
    const bool fills = transfer.kind == Transfer::Kind::write && transfer.part_count > 1;
    if (fills) largest = std::max(largest, static_cast<std::uint64_t>(transfer.result));
    return transfer.result;
  });
  world.reopen();
  Script script(world);
  constexpr std::uint64_t kWrite = 1u << 20;
  ASSERT_EQ(script.run(Script::create(io::FileId(1), "busy", 8 * kWrite)).status, io::DiskStatus::ok);
  const io::DiskOpId create = script.start(Script::create(io::FileId(2), "next", 64 * kWrite));
  std::deque<io::DiskOpId> writes;
  for (std::uint64_t i = 0; world.real().counters().creates < 2; ++i) {
    writes.push_back(
        script.start(Script::write(io::FileId(1), i % 8 * kWrite, {Script::pattern(i, kWrite / kSector)})));
    if (writes.size() < 8) continue;
    ASSERT_EQ(script.wait(writes.front()).status, io::DiskStatus::ok);
    writes.pop_front();
    ASSERT_LT(world.real().counters().written_bytes, 128 * kWrite) << "the file is not there yet";
  }
  for (const io::DiskOpId write : writes) EXPECT_EQ(script.wait(write).status, io::DiskStatus::ok);
  EXPECT_EQ(script.wait(create).status, io::DiskStatus::ok);
  EXPECT_GE(largest, kWrite);
}

// A file cut short behind our back could make the node read garbage, or wait for ever.
TEST(RealDisk, AReadBeyondTheEndOfAShrunkFileFails) {
  RealWorld world(DiskEngineKind::automatic);
  Script script(world);
  ASSERT_EQ(script.run(Script::create(io::FileId(1), "a", 8 * kSector)).status, io::DiskStatus::ok);
  std::filesystem::resize_file(world.path() + "/a", 3 * kSector);
  EXPECT_EQ(script.run(Script::read(io::FileId(1), 0, 3 * kSector)).status, io::DiskStatus::ok);
  EXPECT_EQ(script.run(Script::read(io::FileId(1), 0, 8 * kSector)).status, io::DiskStatus::io_error);
  EXPECT_EQ(script.run(Script::read(io::FileId(1), 4 * kSector, kSector)).status, io::DiskStatus::io_error);
}

// A create that cannot succeed could take all space for a moment, and everybody else on that file system would fail.
TEST(RealDisk, ACreateThatFailsTakesNothingFromOthers) {
  RealWorld world(DiskEngineKind::automatic);
  const auto free_bytes = [&] { return std::filesystem::space(world.path()).available; };
  const std::uintmax_t before = free_bytes();
  std::atomic<bool> over{false};
  std::uintmax_t lowest = before;
  std::thread watcher([&] {
    while (!over) lowest = std::min(lowest, free_bytes());
  });
  Script script(world);
  EXPECT_EQ(script.run(Script::create(io::FileId(1), "huge", 1ull << 43)).status, io::DiskStatus::no_space);
  over = true;
  watcher.join();
  EXPECT_GT(lowest, before / 2);
}

// A disk that is full could leave half a file behind, which the next attempt would take for a whole one.
TEST(RealDisk, ACreateThatFailsLeavesNothing) {
  RealWorld world(DiskEngineKind::automatic);
  Script script(world);
  // More than any file system of a test machine has room for; refused when space is allocated.
  const io::DiskResult result = script.run(Script::create(io::FileId(1), "huge", 1ull << 43));
  EXPECT_EQ(result.status, io::DiskStatus::no_space);
  EXPECT_TRUE(script.run(Script::list()).files.empty());
  EXPECT_EQ(script.run(Script::create(io::FileId(1), "huge", kSector)).status, io::DiskStatus::ok);
}

// Requests under way could be answered into a host that is gone, or their memory be freed under the kernel.
TEST(RealDisk, MayDieWithRequestsUnderWay) {
  for (const DiskEngineKind engine : {DiskEngineKind::automatic, DiskEngineKind::threads}) {
    RealWorld world(engine);
    Script script(world);
    ASSERT_EQ(script.run(Script::create(io::FileId(1), "a", 512 * kSector)).status, io::DiskStatus::ok);
    for (std::uint64_t i = 0; i < 64; ++i) {
      (void)script.start(Script::write(io::FileId(1), 8 * i * kSector, {Script::pattern(i, 8)}));
    }
    (void)script.start(Script::create(io::FileId(2), "b", 4u << 20));
    (void)script.start(Script::remove("..."));
    world.loop().wait_scope().poll();
    world.reopen();
    EXPECT_EQ(script.run(Script::open(io::FileId(3), "a")).size, 512 * kSector);
  }
}

// A close could take the descriptor away from requests that still use it.
TEST(RealDisk, ACloseWaitsForItsRequests) {
  RealWorld world(DiskEngineKind::threads);
  Script script(world);
  ASSERT_EQ(script.run(Script::create(io::FileId(1), "a", 64 * kSector)).status, io::DiskStatus::ok);
  std::vector<io::DiskOpId> writes;
  writes.reserve(64);
  for (std::uint64_t i = 0; i < 64; ++i) {
    writes.push_back(script.start(Script::write(io::FileId(1), i * kSector, {Script::pattern(i, 1)})));
  }
  const io::DiskOpId close = script.start(Script::close(io::FileId(1)));
  for (const io::DiskOpId op : writes) EXPECT_EQ(script.wait(op).status, io::DiskStatus::ok);
  EXPECT_EQ(script.wait(close).status, io::DiskStatus::ok);
}

// ---- error paths: transfers whose results are not what they were

// Moves fewer bytes than asked, sometimes not whole sectors, and is interrupted now and then.
std::function<std::int64_t(const Transfer&)> stuttering() {
  return [counter = 0](const Transfer& transfer) mutable -> std::int64_t {
    ++counter;
    if (transfer.result < 0) return transfer.result;
    if (counter % 5 == 0) return -EINTR;
    if (counter % 7 == 0) return -EAGAIN;
    if (transfer.kind == Transfer::Kind::sync || counter % 3 == 0) return transfer.result;
    return transfer.result > 512 ? transfer.result / 2 + 100 : transfer.result;
  };
}

std::function<std::int64_t(const Transfer&)> failing(Transfer::Kind kind, int error) {
  return [kind, error](const Transfer& transfer) -> std::int64_t {
    return transfer.kind == kind ? -error : transfer.result;
  };
}

// A short transfer could be taken for a whole one: half a record would be acknowledged.
TEST(RealDisk, KeepsItsContractOverShortAndInterruptedTransfers) {
  for (const DiskContractCase& one : disk_contract()) {
    RealWorld world(DiskEngineKind::automatic);
    world.tamper(stuttering());
    world.reopen();
    one.check(world);
    ASSERT_FALSE(testing::Test::HasFailure()) << one.name;
  }
}

// A device that never makes progress could keep a request, and with it the node, for ever.
TEST(RealDisk, GivesUpWithoutProgress) {
  RealWorld world(DiskEngineKind::automatic);
  Script script(world);
  ASSERT_EQ(script.run(Script::create(io::FileId(1), "a", 8 * kSector)).status, io::DiskStatus::ok);
  world.tamper([](const Transfer&) -> std::int64_t { return -EAGAIN; });
  world.reopen();
  Script again(world);
  ASSERT_EQ(again.run(Script::open(io::FileId(1), "a")).status, io::DiskStatus::ok);
  EXPECT_EQ(again.run(Script::read(io::FileId(1), 0, kSector)).status, io::DiskStatus::io_error);
  EXPECT_EQ(again.run(Script::sync(io::FileId(1))).status, io::DiskStatus::io_error);
}

// An error of the device could come back as success, or as another error that the node answers wrongly.
TEST(RealDisk, TellsErrorsApart) {
  const std::pair<int, io::DiskStatus> cases[] = {
      {EIO, io::DiskStatus::io_error},    {ENOSPC, io::DiskStatus::no_space},
      {EDQUOT, io::DiskStatus::no_space}, {EROFS, io::DiskStatus::read_only},
      {EACCES, io::DiskStatus::refused},  {ENXIO, io::DiskStatus::io_error}};
  RealWorld world(DiskEngineKind::automatic);
  {
    Script script(world);
    ASSERT_EQ(script.run(Script::create(io::FileId(1), "a", 8 * kSector)).status, io::DiskStatus::ok);
  }
  for (const auto& [error, status] : cases) {
    for (const Transfer::Kind kind : {Transfer::Kind::read, Transfer::Kind::write, Transfer::Kind::sync}) {
      world.tamper(failing(kind, error));
      world.reopen();
      Script script(world);
      ASSERT_EQ(script.run(Script::open(io::FileId(1), "a")).status, io::DiskStatus::ok);
      const auto expected = [&](Transfer::Kind one) { return one == kind ? status : io::DiskStatus::ok; };
      EXPECT_EQ(script.run(Script::read(io::FileId(1), 0, kSector)).status, expected(Transfer::Kind::read));
      EXPECT_EQ(script.run(Script::write(io::FileId(1), 0, {Script::pattern(1, 1)})).status,
                expected(Transfer::Kind::write));
      EXPECT_EQ(script.run(Script::sync(io::FileId(1))).status, expected(Transfer::Kind::sync));
    }
  }
}

// Space could run out between the allocation and the zeros, and half a file be left.
TEST(RealDisk, ACreateWhoseZerosFailLeavesNothing) {
  RealWorld world(DiskEngineKind::automatic);
  world.tamper([counter = 0](const Transfer& transfer) mutable -> std::int64_t {
    return ++counter == 3 ? -ENOSPC : transfer.result;
  });
  world.reopen();
  Script script(world);
  EXPECT_EQ(script.run(Script::create(io::FileId(1), "a", 4u << 20)).status, io::DiskStatus::no_space);
  EXPECT_TRUE(script.run(Script::list()).files.empty());
  EXPECT_EQ(script.run(Script::create(io::FileId(1), "a", 4u << 20)).status, io::DiskStatus::ok);
}

using RealDiskDeathTest = testing::Test;

// Two overlapping writes at once have no defined outcome: the mistake must not pass in silence.
TEST(RealDiskDeathTest, OverlappingRequestsAreAMistake) {
  TemporaryDirectory directory;  // of the parent: the dying child cleans nothing up
  EXPECT_DEATH(
      {
        RealWorld world(DiskEngineKind::automatic, nullptr, directory.path());
        Script script(world);
        (void)script.run(Script::create(io::FileId(1), "a", 8 * kSector));
        (void)script.start(Script::write(io::FileId(1), 0, {Script::pattern(1, 2)}));
        (void)script.start(Script::read(io::FileId(1), kSector, kSector));
      },
      "assertion failed");
}

// An unaligned buffer would be refused by the device at run time, on some machines only.
TEST(RealDiskDeathTest, UnalignedBuffersAreAMistake) {
  TemporaryDirectory directory;  // of the parent: the dying child cleans nothing up
  EXPECT_DEATH(
      {
        RealWorld world(DiskEngineKind::automatic, nullptr, directory.path());
        Script script(world);
        (void)script.run(Script::create(io::FileId(1), "a", 8 * kSector));
        (void)script.start(Script::write(io::FileId(1), 0, {Script::pattern(1, 2).slice(512, kSector)}));
      },
      "assertion failed");
}

// A turn's requests could each cost a system call.
TEST(RealDisk, ATurnIsOneSubmission) {
  RealWorld world(DiskEngineKind::automatic);
  if (!world.real().uses_uring()) GTEST_SKIP() << world.real().notice();
  Script script(world);
  ASSERT_EQ(script.run(Script::create(io::FileId(1), "a", 64 * kSector)).status, io::DiskStatus::ok);
  const std::uint64_t before = world.real().submissions();
  std::vector<io::DiskOpId> writes;
  writes.reserve(8);
  for (std::uint64_t i = 0; i < 8; ++i) {
    writes.push_back(script.start(Script::write(io::FileId(1), i * kSector, {Script::pattern(i, 1)})));
  }
  for (const io::DiskOpId op : writes) (void)script.wait(op);
  EXPECT_EQ(world.real().submissions(), before + 1);
}

// The judge of our syncs could read the wrong field, or a partition's counter that never moves.
TEST(FlushCounter, ReadsTheFlushFieldOnly) {
  EXPECT_EQ(flushes_of_stat("  1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 4711 17\n"), 4711u);
  EXPECT_EQ(flushes_of_stat("  1 2 3 4 5 6 7 8 9 10 11\n"), std::nullopt);
  EXPECT_EQ(flushes_of_stat(""), std::nullopt);
  EXPECT_EQ(flushes_of_stat("a b c"), std::nullopt);
}

// A sync could return without the device having been told to flush.
TEST(FlushCounter, RisesWithEverySync) {
  RealWorld world(DiskEngineKind::automatic);
  const auto counter = FlushCounter::of(world.path());
  if (!counter) GTEST_SKIP() << "no flush counter for " << world.path();
  Script script(world);
  ASSERT_EQ(script.run(Script::create(io::FileId(1), "a", 64 * kSector)).status, io::DiskStatus::ok);
  ASSERT_EQ(script.run(Script::sync(io::FileId(1))).status, io::DiskStatus::ok);
  const auto before = counter->read();
  for (std::uint64_t i = 0; i < 20; ++i) {
    ASSERT_EQ(script.run(Script::write(io::FileId(1), i * kSector, {Script::pattern(i, 1)})).status,
              io::DiskStatus::ok);
    ASSERT_EQ(script.run(Script::sync(io::FileId(1))).status, io::DiskStatus::ok);
  }
  EXPECT_GE(*counter->read() - *before, 20u);
}

// The floor could be measured on another path than the node's, or leave its files behind.
TEST(DiskFloor, MeasuresAndCleansUp) {
  TemporaryDirectory directory;
  for (const DiskEngineKind engine : {DiskEngineKind::automatic, DiskEngineKind::threads}) {
    const auto floor = measure_disk_floor(
        directory.path(),
        {.duration = io::milliseconds(500), .warm_up = io::milliseconds(50), .engine = engine});
    ASSERT_TRUE(floor.has_value()) << floor.error().text;
    ASSERT_FALSE(floor->latencies_ns.empty());
    EXPECT_LE(floor->quantile_ns(500), floor->quantile_ns(990));
    if (floor->kernel_flushes) {
      EXPECT_GE(*floor->kernel_flushes, floor->latencies_ns.size());
    }
    RecordProperty("p50_us", std::to_string(floor->quantile_ns(500) / 1000));
    std::printf("%s: %zu commits, p50 %.1f us, p99 %.1f us, p99.9 %.1f us\n",
                floor->notice.empty() && engine == DiskEngineKind::automatic ? "io_uring" : "threads",
                floor->latencies_ns.size(), static_cast<double>(floor->quantile_ns(500)) / 1e3,
                static_cast<double>(floor->quantile_ns(990)) / 1e3,
                static_cast<double>(floor->quantile_ns(999)) / 1e3);
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

}  // namespace
}  // namespace reel::real
