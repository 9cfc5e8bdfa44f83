// The contract of io::Disk as a list of tests, written against the port alone: the same list runs on the real
// disk (both engines, and behind the recorder) and on the simulated one. A world tells how to pump and how to
// reopen.
//
//   INSTANTIATE: for (const DiskContractCase& one : disk_contract()) { auto world = …; one.check(*world); }
//
// Only what holds in a run without crashes and injected faults is here; what a crash may do is the crash
// image's and the simulator's business. Needs GoogleTest and io/ports, nothing real.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/ports/disk.h"

namespace reel::real {

// An empty directory at birth, and whatever drives it.
class DiskWorld {
 public:
  virtual ~DiskWorld() = default;
  virtual io::Disk& disk() = 0;
  // Results since the last call, in the order in which they came; waits for at least one unless none is due
  // in time.
  virtual std::vector<io::DiskResult> pump() = 0;
  // Forgets all handles and opens the same directory again, as a process does that ended in order.
  virtual void reopen() = 0;
};

// Submits requests to a world and pairs the results with them.
class DiskScript {
 public:
  explicit DiskScript(DiskWorld& world) : world_(world) {}

  io::DiskOpId start(io::DiskRequest request) {
    request.op = io::DiskOpId(++last_op_);
    const io::DiskOpId op = request.op;
    world_.disk().submit(std::move(request));
    return op;
  }
  // Waits for the result of one request; others that come meanwhile are kept for their own wait.
  io::DiskResult wait(io::DiskOpId op) {
    while (!results_.contains(op)) {
      std::vector<io::DiskResult> came = world_.pump();
      if (came.empty()) {
        ADD_FAILURE() << "no result for operation " << op.value;
        return {};
      }
      for (io::DiskResult& result : came) {
        EXPECT_FALSE(results_.contains(result.op)) << "two results for operation " << result.op.value;
        results_.insert_or_assign(result.op, std::move(result));
      }
    }
    io::DiskResult result = std::move(results_.at(op));
    results_.erase(op);
    return result;
  }
  io::DiskResult run(io::DiskRequest request) { return wait(start(std::move(request))); }

  static io::DiskRequest list() {
    io::DiskRequest request;
    request.verb = io::DiskVerb::list;
    return request;
  }
  static io::DiskRequest create(io::FileId file, std::string name, std::uint64_t length) {
    io::DiskRequest request = on(io::DiskVerb::create, file);
    request.name = std::move(name);
    request.length = length;
    return request;
  }
  static io::DiskRequest open(io::FileId file, std::string name) {
    io::DiskRequest request = on(io::DiskVerb::open, file);
    request.name = std::move(name);
    return request;
  }
  static io::DiskRequest remove(std::string name) {
    io::DiskRequest request;
    request.verb = io::DiskVerb::remove;
    request.name = std::move(name);
    return request;
  }
  static io::DiskRequest close(io::FileId file) { return on(io::DiskVerb::close, file); }
  static io::DiskRequest sync(io::FileId file) { return on(io::DiskVerb::sync, file); }
  static io::DiskRequest sync_directory() {
    io::DiskRequest request;
    request.verb = io::DiskVerb::sync_directory;
    return request;
  }
  static io::DiskRequest read(io::FileId file, std::uint64_t offset, std::uint64_t length) {
    io::DiskRequest request = on(io::DiskVerb::read, file);
    request.offset = offset;
    request.length = length;
    return request;
  }
  static io::DiskRequest write(io::FileId file, std::uint64_t offset, std::vector<io::Bytes> parts) {
    io::DiskRequest request = on(io::DiskVerb::write, file);
    request.offset = offset;
    for (const io::Bytes& part : parts) request.length += part.size();
    request.data = std::move(parts);
    return request;
  }

  // Sectors that differ from each other and from those of another seed.
  static io::Bytes pattern(std::uint64_t seed, std::size_t sectors) {
    io::Buffer buffer = io::Buffer::allocate(sectors * io::kSectorBytes);
    for (std::size_t i = 0; i < buffer.size(); ++i) {
      const std::uint64_t word = (seed * 1'000'003 + i / io::kSectorBytes * 101 + i % 251) ^ (i >> 9);
      buffer.data()[i] = static_cast<std::byte>(word % 255 + 1);
    }
    return std::move(buffer).freeze();
  }

 private:
  static io::DiskRequest on(io::DiskVerb verb, io::FileId file) {
    io::DiskRequest request;
    request.verb = verb;
    request.file = file;
    return request;
  }

  DiskWorld& world_;
  std::uint64_t last_op_ = 0;
  std::map<io::DiskOpId, io::DiskResult> results_;
};

struct DiskContractCase {
  const char* name;
  void (*check)(DiskWorld& world);
};

namespace contract {

using io::DiskStatus;
using io::FileId;
using Script = DiskScript;
inline constexpr std::uint64_t kSector = io::kSectorBytes;

inline bool all_zero(const io::Bytes& bytes) {
  return std::all_of(bytes.span().begin(), bytes.span().end(), [](std::byte b) { return b == std::byte{0}; });
}

// A new file could hold what its blocks held before, or have another size.
inline void a_new_file_is_zeros(DiskWorld& world) {
  Script script(world);
  const io::DiskResult created = script.run(Script::create(FileId(1), "a.log", 300 * kSector));
  ASSERT_EQ(created.status, DiskStatus::ok);
  EXPECT_EQ(created.size, 300 * kSector);
  EXPECT_EQ(created.verb, io::DiskVerb::create);
  EXPECT_EQ(created.file, FileId(1));
  const io::DiskResult read = script.run(Script::read(FileId(1), 0, 300 * kSector));
  ASSERT_EQ(read.status, DiskStatus::ok);
  ASSERT_EQ(read.data.size(), 300 * kSector);
  EXPECT_TRUE(all_zero(read.data));
}

// A write could land elsewhere, gathered parts in another order, or neighbours be touched.
inline void a_gathered_write_lands_in_order(DiskWorld& world) {
  Script script(world);
  ASSERT_EQ(script.run(Script::create(FileId(1), "a", 64 * kSector)).status, DiskStatus::ok);
  const io::Bytes first = Script::pattern(1, 3);
  const io::Bytes second = Script::pattern(2, 1);
  const io::Bytes third = Script::pattern(3, 5);
  ASSERT_EQ(script.run(Script::write(FileId(1), 8 * kSector, {first, second, third})).status, DiskStatus::ok);
  const io::DiskResult read = script.run(Script::read(FileId(1), 7 * kSector, 11 * kSector));
  ASSERT_EQ(read.status, DiskStatus::ok);
  EXPECT_TRUE(all_zero(read.data.slice(0, kSector)));
  EXPECT_EQ(read.data.slice(kSector, 3 * kSector), first);
  EXPECT_EQ(read.data.slice(4 * kSector, kSector), second);
  EXPECT_EQ(read.data.slice(5 * kSector, 5 * kSector), third);
  EXPECT_TRUE(all_zero(read.data.slice(10 * kSector, kSector)));
}

// One request could carry more parts than one system call takes.
inline void a_write_of_very_many_parts_is_whole(DiskWorld& world) {
  Script script(world);
  constexpr std::size_t kParts = 2500;
  ASSERT_EQ(script.run(Script::create(FileId(1), "a", kParts * kSector)).status, DiskStatus::ok);
  std::vector<io::Bytes> parts;
  parts.reserve(kParts);
  for (std::size_t i = 0; i < kParts; ++i) parts.push_back(Script::pattern(i, 1));
  ASSERT_EQ(script.run(Script::write(FileId(1), 0, parts)).status, DiskStatus::ok);
  const io::DiskResult read = script.run(Script::read(FileId(1), 0, kParts * kSector));
  ASSERT_EQ(read.status, DiskStatus::ok);
  for (std::size_t i = 0; i < kParts; ++i) {
    ASSERT_EQ(read.data.slice(i * kSector, kSector), parts[i]) << "part " << i;
  }
}

// Requests in flight together could be mixed up, lost, or answered twice.
inline void many_requests_run_at_once(DiskWorld& world) {
  Script script(world);
  constexpr std::size_t kWrites = 500;
  ASSERT_EQ(script.run(Script::create(FileId(1), "a", kWrites * kSector)).status, DiskStatus::ok);
  ASSERT_EQ(script.run(Script::create(FileId(2), "b", kWrites * kSector)).status, DiskStatus::ok);
  std::vector<io::DiskOpId> operations;
  for (std::size_t i = 0; i < kWrites; ++i) {
    const FileId file(1 + i % 2);
    operations.push_back(script.start(Script::write(file, i * kSector, {Script::pattern(i, 1)})));
  }
  for (const io::DiskOpId op : operations) ASSERT_EQ(script.wait(op).status, DiskStatus::ok);
  const io::DiskOpId first_sync = script.start(Script::sync(FileId(1)));
  const io::DiskOpId second_sync = script.start(Script::sync(FileId(2)));
  EXPECT_EQ(script.wait(first_sync).status, DiskStatus::ok);
  EXPECT_EQ(script.wait(second_sync).status, DiskStatus::ok);
  operations.clear();
  for (std::size_t i = 0; i < kWrites; ++i) {
    operations.push_back(script.start(Script::read(FileId(1 + i % 2), i * kSector, kSector)));
  }
  for (std::size_t i = 0; i < kWrites; ++i) {
    const io::DiskResult read = script.wait(operations[i]);
    ASSERT_EQ(read.status, DiskStatus::ok);
    EXPECT_EQ(read.data, Script::pattern(i, 1)) << "sector " << i;
  }
}

// A sector written twice could come back old.
inline void the_later_write_wins(DiskWorld& world) {
  Script script(world);
  ASSERT_EQ(script.run(Script::create(FileId(1), "a", 8 * kSector)).status, DiskStatus::ok);
  for (std::uint64_t round = 0; round < 5; ++round) {
    ASSERT_EQ(script.run(Script::write(FileId(1), kSector, {Script::pattern(round, 2)})).status,
              DiskStatus::ok);
    const io::DiskResult read = script.run(Script::read(FileId(1), kSector, 2 * kSector));
    EXPECT_EQ(read.data, Script::pattern(round, 2));
  }
}

// Synced content could be gone, or have another name or size, after the process ended in order.
inline void content_survives_a_reopen(DiskWorld& world) {
  const io::Bytes content = DiskScript::pattern(7, 4);
  {
    Script script(world);
    ASSERT_EQ(script.run(Script::create(FileId(1), "journal-0001", 16 * kSector)).status, DiskStatus::ok);
    ASSERT_EQ(script.run(Script::write(FileId(1), 4 * kSector, {content})).status, DiskStatus::ok);
    ASSERT_EQ(script.run(Script::sync(FileId(1))).status, DiskStatus::ok);
    ASSERT_EQ(script.run(Script::sync_directory()).status, DiskStatus::ok);
  }
  world.reopen();
  Script script(world);
  const io::DiskResult opened = script.run(Script::open(FileId(9), "journal-0001"));
  ASSERT_EQ(opened.status, DiskStatus::ok);
  EXPECT_EQ(opened.size, 16 * kSector);
  EXPECT_EQ(script.run(Script::read(FileId(9), 4 * kSector, 4 * kSector)).data, content);
}

// A listing could miss a file, invent one, or come in another order on another machine.
inline void a_listing_is_complete_and_in_order(DiskWorld& world) {
  Script script(world);
  EXPECT_TRUE(script.run(Script::list()).files.empty());
  ASSERT_EQ(script.run(Script::create(FileId(1), "b", 2 * kSector)).status, DiskStatus::ok);
  ASSERT_EQ(script.run(Script::create(FileId(2), "a", kSector)).status, DiskStatus::ok);
  ASSERT_EQ(script.run(Script::create(FileId(3), "c-3.log", 3 * kSector)).status, DiskStatus::ok);
  const std::vector<io::FileEntry> all = {{"a", kSector}, {"b", 2 * kSector}, {"c-3.log", 3 * kSector}};
  EXPECT_EQ(script.run(Script::list()).files, all);
  EXPECT_EQ(script.run(Script::remove("b")).status, DiskStatus::ok);
  const std::vector<io::FileEntry> left = {{"a", kSector}, {"c-3.log", 3 * kSector}};
  EXPECT_EQ(script.run(Script::list()).files, left);
}

// A file could be overwritten by a second create, or a missing one appear out of nothing.
inline void names_are_checked(DiskWorld& world) {
  Script script(world);
  ASSERT_EQ(script.run(Script::create(FileId(1), "a", kSector)).status, DiskStatus::ok);
  ASSERT_EQ(script.run(Script::write(FileId(1), 0, {Script::pattern(1, 1)})).status, DiskStatus::ok);
  EXPECT_EQ(script.run(Script::create(FileId(2), "a", kSector)).status, DiskStatus::exists);
  EXPECT_EQ(script.run(Script::read(FileId(1), 0, kSector)).data, Script::pattern(1, 1));
  EXPECT_EQ(script.run(Script::open(FileId(2), "b")).status, DiskStatus::not_found);
  EXPECT_EQ(script.run(Script::remove("b")).status, DiskStatus::not_found);
  // The handle of a failed request is free again.
  EXPECT_EQ(script.run(Script::create(FileId(2), "b", kSector)).status, DiskStatus::ok);
}

// A name could lead out of the node's directory.
inline void names_outside_of_the_alphabet_are_refused(DiskWorld& world) {
  Script script(world);
  const std::string long_name(65, 'a');
  for (const std::string& name :
       {std::string("../a"), std::string("/a"), std::string(".."), std::string("."), std::string(""),
        std::string("A"), std::string("a b"), std::string("a\0b", 3), long_name}) {
    EXPECT_EQ(script.run(Script::create(FileId(1), name, kSector)).status, DiskStatus::refused) << name;
    EXPECT_EQ(script.run(Script::open(FileId(1), name)).status, DiskStatus::refused) << name;
    EXPECT_EQ(script.run(Script::remove(name)).status, DiskStatus::refused) << name;
  }
  EXPECT_TRUE(script.run(Script::list()).files.empty());
}

// A closed handle could stay taken, or lose what was written through it.
inline void handles_are_reusable_after_close(DiskWorld& world) {
  Script script(world);
  ASSERT_EQ(script.run(Script::create(FileId(1), "a", 2 * kSector)).status, DiskStatus::ok);
  ASSERT_EQ(script.run(Script::write(FileId(1), 0, {Script::pattern(5, 2)})).status, DiskStatus::ok);
  ASSERT_EQ(script.run(Script::close(FileId(1))).status, DiskStatus::ok);
  ASSERT_EQ(script.run(Script::create(FileId(1), "b", kSector)).status, DiskStatus::ok);
  ASSERT_EQ(script.run(Script::open(FileId(2), "a")).status, DiskStatus::ok);
  EXPECT_EQ(script.run(Script::read(FileId(2), 0, 2 * kSector)).data, Script::pattern(5, 2));
}

// Buffers could be released before the device has read them.
inline void a_write_keeps_its_buffers(DiskWorld& world) {
  Script script(world);
  constexpr std::size_t kRounds = 64;
  ASSERT_EQ(script.run(Script::create(FileId(1), "a", kRounds * 4 * kSector)).status, DiskStatus::ok);
  std::vector<io::DiskOpId> operations;
  operations.reserve(kRounds);
  for (std::size_t i = 0; i < kRounds; ++i) {
    // The only reference goes with the request; a released buffer would be reused by the next pattern.
    operations.push_back(script.start(Script::write(FileId(1), i * 4 * kSector, {Script::pattern(i, 4)})));
  }
  for (const io::DiskOpId op : operations) ASSERT_EQ(script.wait(op).status, DiskStatus::ok);
  for (std::size_t i = 0; i < kRounds; ++i) {
    const io::DiskResult read = script.run(Script::read(FileId(1), i * 4 * kSector, 4 * kSector));
    ASSERT_EQ(read.data, Script::pattern(i, 4)) << "write " << i;
  }
}

}  // namespace contract

inline const std::vector<DiskContractCase>& disk_contract() {
  static const std::vector<DiskContractCase> kCases = {
      {"NewFileIsZeros", contract::a_new_file_is_zeros},
      {"GatheredWriteLandsInOrder", contract::a_gathered_write_lands_in_order},
      {"WriteOfVeryManyPartsIsWhole", contract::a_write_of_very_many_parts_is_whole},
      {"ManyRequestsRunAtOnce", contract::many_requests_run_at_once},
      {"LaterWriteWins", contract::the_later_write_wins},
      {"ContentSurvivesReopen", contract::content_survives_a_reopen},
      {"ListingIsCompleteAndInOrder", contract::a_listing_is_complete_and_in_order},
      {"NamesAreChecked", contract::names_are_checked},
      {"NamesOutsideOfTheAlphabetAreRefused", contract::names_outside_of_the_alphabet_are_refused},
      {"HandlesAreReusableAfterClose", contract::handles_are_reusable_after_close},
      {"WriteKeepsItsBuffers", contract::a_write_keeps_its_buffers},
  };
  return kCases;
}

}  // namespace reel::real
