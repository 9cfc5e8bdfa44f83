#include "node/journal/tables.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "node/journal/test_disk.h"
#include "node/journal/test_life.h"

namespace reel::journal {
namespace {

using Fate = TestDisk::Fate;
using Code = RecoveryError::Code;

raft::Configuration voters(std::uint64_t count, std::uint64_t learners = 0) {
  raft::Configuration configuration;
  for (std::uint64_t i = 1; i <= count; ++i) configuration.voters.push_back(NodeId(i));
  for (std::uint64_t i = 1; i <= learners; ++i) configuration.learners.push_back(NodeId(100 + i));
  return configuration;
}

GroupManifest group(std::uint32_t id, std::uint64_t commit, std::uint64_t learners = 0) {
  return {GroupId(id), Index(1), Index(commit), voters(3, learners)};
}

std::unique_ptr<HardStateTable> open_states(TestDisk& disk, node::DiskQueue& queue,
                                            std::uint64_t incarnation) {
  auto table = std::make_unique<HardStateTable>(test_stamp(incarnation));
  table->recover(queue);
  run_to_end(*table, disk, queue);
  return table;
}
std::unique_ptr<Manifest> open_manifest(TestDisk& disk, node::DiskQueue& queue, std::uint64_t incarnation) {
  auto table = std::make_unique<Manifest>(test_stamp(incarnation));
  table->recover(queue);
  run_to_end(*table, disk, queue);
  return table;
}

void garble(TestDisk::Image& image, const std::string& name, std::uint64_t sector,
            std::byte with = std::byte{1}) {
  Bytes& old = image.at(name).sectors[sector];
  std::vector<std::byte> bytes(kSectorBytes);
  if (!old.empty()) std::memcpy(bytes.data(), old.data(), kSectorBytes);
  bytes[100] ^= with;
  old = Bytes::copy_of(bytes);
}

template <class Visit>
void for_each_subset(const TestDisk& disk, Visit visit) {
  const std::size_t units = disk.units().size();
  ASSERT_LE(units, 12u);
  for (std::uint32_t subset = 0; subset < (1u << units); ++subset) {
    std::vector<Fate> fates(units);
    for (std::size_t i = 0; i < units; ++i) fates[i] = (subset >> i & 1) != 0 ? Fate::kept : Fate::garbage;
    visit(fates);
    for (Fate& fate : fates) {
      if (fate == Fate::garbage) fate = Fate::lost;
    }
    visit(fates);
  }
}

// Could a vote that was reported durable be gone after a crash, or one that was not make the table
// unreadable?
TEST(HardStateTable, EveryCrashKeepsWhatWasSaved) {
  for (std::size_t completions = 0; completions <= 3; ++completions) {
    TestDisk disk(formatted(small_options()));
    node::DiskQueue queue;
    auto table = open_states(disk, queue, 1);
    table->save(GroupId(1), {Term(1), NodeId(2)});
    table->pump(queue);
    run_to_end(*table, disk, queue);
    ASSERT_EQ(table->saved(), 1u);
    table->save(GroupId(1), {Term(2), NodeId(3)});
    const std::uint64_t second = table->save(GroupId(2), {Term(5), NodeId(1)});
    table->pump(queue);
    disk.take(queue);
    for (std::size_t i = 0; i < completions; ++i) {  // two copies, a sync
      table->on_disk(disk.finish(0), queue);
      disk.take(queue);
    }
    ASSERT_EQ(table->saved() == second, completions == 3);
    for_each_subset(disk, [&](const std::vector<Fate>& fates) {
      TestDisk after(disk.crash(fates));
      node::DiskQueue fresh;
      auto again = open_states(after, fresh, 2);
      ASSERT_FALSE(again->error().has_value()) << again->error()->text;
      ASSERT_TRUE(again->recovered());
      const bool newer = again->get(GroupId(1)).term == Term(2);
      EXPECT_EQ(again->get(GroupId(1)),
                newer ? (HardState{Term(2), NodeId(3)}) : (HardState{Term(1), NodeId(2)}));
      EXPECT_EQ(again->get(GroupId(2)), newer ? (HardState{Term(5), NodeId(1)}) : HardState{});
      if (table->saved() == second) {
        EXPECT_TRUE(newer);
      }
      // What this boot saw, every later one sees: the surviving copy was copied forward.
      EXPECT_TRUE(after.units().empty());
      TestDisk::Image image = after.image();
      for (const std::uint64_t sector : {0u, 2u, 4u, 6u}) {  // page 0: four copies; any one may rot now
        TestDisk::Image damaged = image;
        garble(damaged, "hardstate", sector);
        TestDisk rotten(damaged);
        node::DiskQueue more;
        EXPECT_EQ(open_states(rotten, more, 3)->get(GroupId(1)), again->get(GroupId(1)));
      }
    });
  }
}

// Could saves that arrive while a round is running be reported too early, or never?
TEST(HardStateTable, SavesDuringARoundWaitForTheNext) {
  TestDisk disk(formatted(small_options()));
  node::DiskQueue queue;
  auto table = open_states(disk, queue, 1);
  EXPECT_EQ(table->save(GroupId(1), {Term(1), NodeId(0)}), 1u);
  table->pump(queue);
  disk.take(queue);
  EXPECT_EQ(table->save(GroupId(1), {Term(1), NodeId(2)}), 2u);
  table->pump(queue);
  EXPECT_TRUE(queue.requests().empty());
  for (int i = 0; i < 3; ++i) {
    table->on_disk(disk.finish(0), queue);
    disk.take(queue);
  }
  EXPECT_EQ(table->saved(), 1u);
  EXPECT_EQ(disk.pending(), 2u);  // the next round has begun by itself
  run_to_end(*table, disk, queue);
  EXPECT_EQ(table->saved(), 2u);
}

// Could a table with more groups than one page lose some, or a full one pretend to have saved?
TEST(HardStateTable, ManyGroupsAndAFullTable) {
  TestDisk disk(formatted(small_options()));
  node::DiskQueue queue;
  auto table = open_states(disk, queue, 1);
  const auto room = static_cast<std::uint32_t>(2 * kHardStatesPerPage);
  for (std::uint32_t i = 1; i <= room; ++i) table->save(GroupId(i), {Term(i), NodeId(1)});
  table->pump(queue);
  run_to_end(*table, disk, queue);
  EXPECT_EQ(table->saved(), room);
  auto again = open_states(disk, queue, 2);
  for (std::uint32_t i = 1; i <= room; ++i) ASSERT_EQ(again->get(GroupId(i)).term, Term(i));
  const std::uint64_t number = again->save(GroupId(room + 1), {Term(1), NodeId(1)});
  again->pump(queue);
  run_to_end(*again, disk, queue);
  EXPECT_TRUE(again->failed());
  EXPECT_LT(again->saved(), number);
}

// Could a failed write or sync be reported as saved, now or later?
TEST(HardStateTable, AFailureLatches) {
  for (const io::DiskVerb verb : {io::DiskVerb::write, io::DiskVerb::sync}) {
    TestDisk disk(formatted(small_options()));
    node::DiskQueue queue;
    auto table = open_states(disk, queue, 1);
    disk.fault = [verb](const io::DiskRequest& request) {
      return request.verb == verb ? io::DiskStatus::io_error : io::DiskStatus::ok;
    };
    table->save(GroupId(1), {Term(1), NodeId(2)});
    table->pump(queue);
    run_to_end(*table, disk, queue);
    disk.fault = nullptr;
    table->save(GroupId(1), {Term(2), NodeId(2)});
    table->pump(queue);
    run_to_end(*table, disk, queue);
    EXPECT_TRUE(table->failed());
    EXPECT_EQ(table->saved(), 0u);
  }
}

// Could a node start although nobody can tell it any more what it promised?
TEST(HardStateTable, NoReadableCopyRefuses) {
  TestDisk::Image image = formatted(small_options());
  const auto error_of = [](const TestDisk::Image& bad, auto fault) {
    TestDisk disk(bad);
    disk.fault = fault;
    node::DiskQueue queue;
    return open_states(disk, queue, 1)->error();
  };
  const auto no_fault = [](const io::DiskRequest&) { return io::DiskStatus::ok; };
  ASSERT_FALSE(error_of(image, no_fault).has_value());
  TestDisk::Image bad = image;  // generation 1 of page 1 of 2: sectors 5 and 7
  garble(bad, "hardstate", 5);
  EXPECT_FALSE(error_of(bad, no_fault).has_value());
  garble(bad, "hardstate", 7);
  ASSERT_TRUE(error_of(bad, no_fault).has_value());
  EXPECT_EQ(error_of(bad, no_fault)->code, Code::unreadable);
  bad = image;
  bad.erase("hardstate");
  EXPECT_EQ(error_of(bad, no_fault)->code, Code::unreadable);
  // One latent sector is what the second copy is for; a generation that cannot be read at all is not.
  const auto latent = [](std::set<std::uint64_t> sectors) {
    return [sectors](const io::DiskRequest& request) {
      if (request.verb != io::DiskVerb::read) return io::DiskStatus::ok;
      for (const std::uint64_t sector : sectors) {
        const std::uint64_t at = sector * kSectorBytes;
        if (request.offset <= at && at < request.offset + request.length) return io::DiskStatus::io_error;
      }
      return io::DiskStatus::ok;
    };
  };
  EXPECT_FALSE(error_of(image, latent({4})).has_value());
  EXPECT_EQ(error_of(image, latent({4, 6}))->code, Code::unreadable);
  EXPECT_EQ(error_of(image, latent({0, 2}))->code, Code::unreadable);  // perhaps a newer generation lay there
  TestDisk disk(image);
  node::DiskQueue queue;
  HardStateTable foreign({kTestCluster, NodeId(99), Incarnation(1)});
  foreign.recover(queue);
  run_to_end(foreign, disk, queue);
  ASSERT_TRUE(foreign.error().has_value());
  EXPECT_EQ(foreign.error()->code, Code::foreign);
}

// Could a group vanish from the manifest in a crash, also while its entry outgrows its page?
TEST(Manifest, EveryCrashKeepsEveryGroup) {
  std::vector<GroupManifest> groups;
  for (std::uint32_t i = 1; i <= 60; ++i) groups.push_back(group(i, 0));
  Options options = small_options();
  options.manifest_pages = 3;
  const TestDisk::Image image = formatted(options, groups);
  for (std::size_t completions = 0; completions <= 12; ++completions) {
    TestDisk disk(image);
    node::DiskQueue queue;
    auto manifest = open_manifest(disk, queue, 1);
    ASSERT_EQ(manifest->groups().size(), 60u);
    const GroupManifest grown = group(7, 42, 60);  // ten times as large: it must move to another page
    manifest->update(grown);
    manifest->pump(queue);
    disk.take(queue);
    for (std::size_t i = 0; i < completions && disk.pending() > 0; ++i) {
      manifest->on_disk(disk.finish(0), queue);
      disk.take(queue);
    }
    for_each_subset(disk, [&](const std::vector<Fate>& fates) {
      TestDisk after(disk.crash(fates));
      node::DiskQueue fresh;
      auto again = open_manifest(after, fresh, 2);
      ASSERT_FALSE(again->error().has_value()) << again->error()->text;
      ASSERT_EQ(again->groups().size(), 60u);
      const GroupManifest& found = again->groups().at(GroupId(7));
      EXPECT_TRUE(found == grown || found == group(7, 0));
      if (completions >= 3) {
        EXPECT_EQ(found, grown);
      }
      EXPECT_EQ(again->groups().at(GroupId(8)), group(8, 0));
    });
  }
}

// Could a full manifest go unnoticed?
TEST(Manifest, FullIsAFailure) {
  TestDisk disk(formatted(small_options()));
  node::DiskQueue queue;
  auto manifest = open_manifest(disk, queue, 1);
  for (std::uint32_t i = 1; i <= 200 && !manifest->failed(); ++i) manifest->update(group(i, 1));
  EXPECT_TRUE(manifest->failed());
}

std::expected<SuperblockContent, RecoveryError> boot(TestDisk& disk, io::ClusterId cluster, NodeId node) {
  node::DiskQueue queue;
  Superblock superblock(cluster, node);
  superblock.start(queue);
  run_to_end(superblock, disk, queue);
  REEL_CHECK(superblock.done());
  return superblock.take();
}

// Could two lives of a node have the same incarnation?
TEST(Superblock, EveryBootRaisesTheIncarnation) {
  TestDisk disk(formatted(small_options()));
  for (std::uint64_t incarnation = 1; incarnation <= 5; ++incarnation) {
    EXPECT_EQ(boot(disk, kTestCluster, NodeId(0)),
              (SuperblockContent{kTestCluster, kTestNode, Incarnation(incarnation)}));
    EXPECT_TRUE(disk.units().empty());  // it is durable before anybody hears of it
  }
}

// Could a node run on an empty directory, or on another's?
TEST(Superblock, EmptyAndForeignDirectoriesAreRefused) {
  TestDisk empty;
  EXPECT_EQ(boot(empty, kTestCluster, kTestNode).error().code, Code::empty_directory);
  TestDisk disk(formatted(small_options()));
  EXPECT_EQ(boot(disk, io::ClusterId(1), kTestNode).error().code, Code::foreign);
  EXPECT_EQ(boot(disk, kTestCluster, NodeId(1)).error().code, Code::foreign);
  EXPECT_EQ(boot(disk, kTestCluster, kTestNode)->incarnation, Incarnation(1));
  TestDisk::Image image = disk.image();
  for (std::uint64_t sector = 0; sector < 4; ++sector) garble(image, "superblock", sector);
  TestDisk rotten(image);
  EXPECT_EQ(boot(rotten, kTestCluster, kTestNode).error().code, Code::unreadable);
}

// Could a directory that was only half made be taken for a node?
TEST(Formatter, HalfMadeIsNoNodeAndOccupiedIsRefused) {
  for (std::size_t completions = 0;; ++completions) {
    TestDisk disk;
    node::DiskQueue queue;
    Formatter formatter({kTestCluster, kTestNode, Incarnation(0)}, small_options(), {group(1, 0)});
    formatter.start(queue);
    disk.take(queue);
    for (std::size_t i = 0; i < completions && disk.pending() > 0; ++i) {
      formatter.on_disk(disk.finish(0), queue);
      disk.take(queue);
    }
    const bool done = formatter.done();
    for (const Fate fate : {Fate::lost, Fate::kept}) {
      TestDisk after(disk.crash(std::vector<Fate>(disk.units().size(), fate)));
      const auto booted = boot(after, kTestCluster, kTestNode);
      if (done) {
        ASSERT_TRUE(booted.has_value());
      }
      if (!booted) {
        EXPECT_TRUE(booted.error().code == Code::empty_directory || booted.error().code == Code::unreadable);
        continue;
      }
      Life life(after.image(), small_options(), booted->incarnation.value);
      EXPECT_FALSE(life.error.has_value());
    }
    if (!done) continue;
    Formatter second({kTestCluster, kTestNode, Incarnation(0)}, small_options(), {});
    second.start(queue);
    run_to_end(second, disk, queue);
    EXPECT_EQ(second.take().error().code, Code::not_empty);
    break;
  }
}

}  // namespace
}  // namespace reel::journal
