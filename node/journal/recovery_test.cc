// What recovery makes of damage: what is rot, what was only torn, what belongs to somebody else.
#include <gtest/gtest.h>

#include "node/journal/file_maker.h"
#include "node/journal/test_life.h"

namespace reel::journal {
namespace {

using Code = RecoveryError::Code;
using Fate = TestDisk::Fate;

const std::string kFirst = file_name(1);

std::vector<std::byte> sector_of(const TestDisk::Image& image, const std::string& name,
                                 std::uint64_t number) {
  std::vector<std::byte> bytes(kSectorBytes);
  const auto& sectors = image.at(name).sectors;
  if (const auto it = sectors.find(number); it != sectors.end())
    std::memcpy(bytes.data(), it->second.data(), kSectorBytes);
  return bytes;
}

void put(TestDisk::Image& image, const std::string& name, std::uint64_t number,
         const std::vector<std::byte>& bytes) {
  image.at(name).sectors[number] = Bytes::copy_of(bytes);
}

void flip(TestDisk::Image& image, const std::string& name, std::uint64_t number) {
  std::vector<std::byte> bytes = sector_of(image, name, number);
  bytes[150] ^= std::byte{16};
  put(image, name, number, bytes);
}

void zero(TestDisk::Image& image, const std::string& name, std::uint64_t number) {
  put(image, name, number, std::vector<std::byte>(kSectorBytes));
}

// Four acknowledged batches of one entry each, in slots 1 to 4 (0 is the opening); bodies from sector 17 on.
Life four_batches() {
  Life life(formatted(small_options()), small_options(), 1);
  for (int i = 0; i < 4; ++i) {
    life.append(GroupId(1), 1000);
    life.settle();
  }
  return life;
}
constexpr std::uint64_t kIdentity = 1;  // sector of slot 0
constexpr std::uint64_t kBody = 17;     // sector of the first body

std::expected<Recovered, RecoveryError> boot(const TestDisk::Image& image,
                                             std::map<GroupId, Index> marks = {},
                                             std::uint64_t incarnation = 2) {
  TestDisk disk(image);
  node::DiskQueue queue;
  return recover(disk, queue, small_options(), incarnation, std::move(marks));
}

std::size_t entries(const std::expected<Recovered, RecoveryError>& recovered) {
  const auto it = recovered->groups.find(GroupId(1));
  return it == recovered->groups.end() ? 0 : it->second.entries.size();
}

// Could damage below the synced mark be cut away like a torn tail?
TEST(Recovery, AMissingIdentityBelowTheMarkIsRot) {
  for (std::uint64_t batch = 1; batch <= 3;
       ++batch) {  // the fourth batch says that the first three were synced
    TestDisk::Image image = four_batches().disk.image();
    flip(image, kFirst, kIdentity + batch);
    EXPECT_EQ(boot(image).error().code, Code::rot) << batch;
    zero(image, kFirst, kIdentity + batch);
    EXPECT_EQ(boot(image).error().code, Code::rot) << batch;
  }
  TestDisk::Image image = four_batches().disk.image();
  zero(image, kFirst, kIdentity);  // this life's own opening
  EXPECT_EQ(boot(image).error().code, Code::rot);
}

// Could the last batch, of which nobody can know whether it was acknowledged, keep the node from starting?
TEST(Recovery, AboveTheMarkATornBatchIsCut) {
  TestDisk::Image image = four_batches().disk.image();
  ASSERT_EQ(entries(boot(image)), 4u);
  TestDisk::Image torn = image;
  flip(torn, kFirst, kIdentity + 4);  // TORN
  EXPECT_EQ(entries(boot(torn)), 3u);
  torn = image;
  flip(torn, kFirst, kBody + 3);  // UNDECIDED
  const auto recovered = boot(torn);
  EXPECT_EQ(entries(recovered), 3u);
  EXPECT_EQ(recovered->cut_records, 1u);
  EXPECT_EQ(recovered->cut_batches, 1u);
}

// Could a new life write over what a crash left, so that nobody can look at it any more, or old and new bytes
// mix?
TEST(Recovery, ANewLifeWritesBehindEverything) {
  TestDisk::Image image = four_batches().disk.image();
  flip(image, kFirst, kIdentity + 4);  // a damaged identity is still in the way
  put(image, kFirst, kIdentity + 6, std::vector<std::byte>(kSectorBytes, std::byte{1}));
  const auto recovered = boot(image);
  ASSERT_TRUE(recovered.has_value());
  EXPECT_EQ(recovered->files[0].identities_used, 8u);  // slots 0..6, and the opening batch
  TestDisk::Image undecided = four_batches().disk.image();
  flip(undecided, kFirst, kBody + 3);
  EXPECT_EQ(boot(undecided)->files[0].body_end, (kBody + 4) * kSectorBytes);
}

// Could a commit mark be ignored, and a committed record be cut?
TEST(Recovery, CommittedRecordsAreNeverCut) {
  for (const std::uint64_t sector : {kIdentity + 4, kBody + 3}) {
    TestDisk::Image image = four_batches().disk.image();
    flip(image, kFirst, sector);
    EXPECT_EQ(entries(boot(image, {{GroupId(1), Index(3)}})), 3u);
    EXPECT_EQ(boot(image, {{GroupId(1), Index(4)}}).error().code, Code::rot);
  }
  EXPECT_EQ(boot(four_batches().disk.image(), {{GroupId(2), Index(1)}}).error().code, Code::rot);
  EXPECT_TRUE(boot(four_batches().disk.image(), {{GroupId(2), Index(0)}}).has_value());
}

// Could a rotten body below the mark slow down or stop a start? It is found when it is read.
TEST(Recovery, BodiesBelowTheMarkAreNotRead) {
  Life life = four_batches();
  TestDisk::Image image = life.disk.image();
  flip(image, kFirst, kBody + 1);
  Life again(image, small_options(), 2);
  ASSERT_FALSE(again.error.has_value());
  EXPECT_EQ(again.logs, life.logs);
  const auto payload = again.read(GroupId(1), life.written[1].identity);
  ASSERT_FALSE(payload.has_value());
  EXPECT_EQ(payload.error().code, Code::rot);
  EXPECT_TRUE(again.read(GroupId(1), life.written[2].identity).has_value());
}

// Could the loss of one header, or a file that was only half made, be fatal; or the loss of both go
// unnoticed?
TEST(Recovery, HeadersHaveACopyAndHalfMadeFilesGo) {
  const TestDisk::Image image = four_batches().disk.image();
  ASSERT_TRUE(image.contains(file_name(2)));  // made ahead
  const std::uint64_t last = kFileBytesMin / kSectorBytes - 1;
  TestDisk::Image bad = image;
  flip(bad, kFirst, 0);
  EXPECT_EQ(entries(boot(bad)), 4u);
  flip(bad, kFirst, last);
  EXPECT_EQ(boot(bad).error().code, Code::rot);
  bad = image;
  bad.at(file_name(2)).sectors.clear();
  auto recovered = boot(bad);
  ASSERT_TRUE(recovered.has_value());
  EXPECT_EQ(recovered->files.size(), 1u);
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{kSectorBytes}, kFileBytesMin / 2}) {
    bad.at(file_name(2)).size = size;
    recovered = boot(bad);
    ASSERT_TRUE(recovered.has_value()) << recovered.error().text;
    EXPECT_EQ(recovered->files.size(), 1u);
  }
  // A second file that did hold batches is no half-made file.
  Life life = four_batches();
  for (int i = 0; i < 20; ++i) {
    life.append(GroupId(1), 1000);
    life.settle();
  }
  ASSERT_EQ(life.journal->find(GroupId(1), Index(24))->file_sequence, 2u);
  bad = life.disk.image();
  bad.erase(file_name(3));
  flip(bad, file_name(2), 0);
  flip(bad, file_name(2), last);
  EXPECT_EQ(boot(bad).error().code, Code::rot);
  bad = life.disk.image();
  bad.erase(file_name(2));
  EXPECT_EQ(boot(bad).error().code, Code::rot);
  bad.clear();
  EXPECT_EQ(boot(bad).error().code, Code::rot);
}

// Could a file of another node, another cluster, another name, or a sector of another place be taken for our
// own?
TEST(Recovery, ForeignBytesAreRefused) {
  const TestDisk::Image image = four_batches().disk.image();
  TestDisk disk(image);
  node::DiskQueue queue;
  for (const Stamp& stamp :
       {Stamp{io::ClusterId(1), kTestNode, Incarnation(2)}, Stamp{kTestCluster, NodeId(1), Incarnation(2)}}) {
    Recovery recovery(small_options(), stamp, {});
    recovery.start(queue);
    run_to_end(recovery, disk, queue);
    EXPECT_EQ(recovery.take().error().code, Code::foreign);
  }
  TestDisk::Image bad = image;
  std::swap(bad.at(kFirst), bad.at(file_name(2)));
  EXPECT_EQ(boot(bad).error().code, Code::foreign);
  bad = image;
  put(bad, kFirst, kIdentity + 9, sector_of(image, kFirst, kIdentity + 2));  // a misdirected write
  EXPECT_EQ(boot(bad).error().code, Code::foreign);
  EXPECT_EQ(boot(image, {}, 1).error().code, Code::inconsistent);  // an old superblock with a newer journal
}

// Could a newer format be cut away as damage?
TEST(Recovery, NewerFormatsAreRefused) {
  for (const std::uint64_t sector : {std::uint64_t{0}, kIdentity + 4}) {
    TestDisk::Image image = four_batches().disk.image();
    std::vector<std::byte> bytes = sector_of(image, kFirst, sector);
    bytes[8] = std::byte{9};
    seal_sector(std::span<std::byte, kSectorBytes>(bytes));
    put(image, kFirst, sector, bytes);
    EXPECT_EQ(boot(image).error().code, Code::unsupported);
  }
}

// Could whole sectors that contradict each other be believed?
TEST(Recovery, ContradictionsAreRefused) {
  const auto with = [](auto change) {
    TestDisk::Image image = four_batches().disk.image();
    const std::vector<std::byte> old = sector_of(image, kFirst, kIdentity + 4);
    IdentitySector batch = *decode_identity_sector(old);
    change(batch);
    std::vector<std::byte> bytes(kSectorBytes);
    encode_identity_sector(batch, std::span<std::byte, kSectorBytes>(bytes));
    put(image, kFirst, kIdentity + 4, bytes);
    const auto recovered = boot(image);
    return recovered ? Code::io : recovered.error().code;
  };
  EXPECT_EQ(with([](IdentitySector&) {}), Code::io);  // the unchanged one is fine
  EXPECT_EQ(with([](IdentitySector& b) { b.batch = 1; }), Code::inconsistent);
  EXPECT_EQ(with([](IdentitySector& b) { b.previous_lsn = Lsn(1); }), Code::inconsistent);
  EXPECT_EQ(with([](IdentitySector& b) { b.stamp.incarnation = Incarnation(0); }), Code::inconsistent);
  EXPECT_EQ(with([](IdentitySector& b) { b.stamp.incarnation = Incarnation(7); }), Code::inconsistent);
  EXPECT_EQ(with([](IdentitySector& b) {
              b.body_offset = b.records[0].body_offset = kFileBytesMin - kSectorBytes;
            }),
            Code::inconsistent);
  EXPECT_EQ(with([](IdentitySector& b) {  // no bodies, so nothing but the replay can object
              b.records[0] = {GroupId(1), RecordKind::truncation, {}, 0, Lsn(1), {}};
              b.records[0].identity.index = Index(2);
              b.body_offset = b.body_bytes = 0;
            }),
            Code::inconsistent);
}

// Could one passing device error at start lose data or refuse the start, or a lasting one be read as zeros?
TEST(Recovery, DeviceErrorsAreAskedAgainAndThenRefused) {
  const TestDisk::Image image = four_batches().disk.image();
  for (const std::uint64_t lasting : {1u, 2u, 1000u}) {
    for (const std::uint64_t offset : {kIdentity * kSectorBytes, (kBody + 3) * kSectorBytes}) {
      TestDisk disk(image);
      std::uint64_t failures = 0;
      disk.fault = [&](const io::DiskRequest& request) {
        const bool hit = request.verb == io::DiskVerb::read && request.offset == offset && failures < lasting;
        failures += hit ? 1 : 0;
        return hit ? io::DiskStatus::io_error : io::DiskStatus::ok;
      };
      node::DiskQueue queue;
      const auto recovered = recover(disk, queue, small_options(), 2);
      ASSERT_EQ(recovered.has_value(), lasting < 3);
      if (recovered) {
        EXPECT_EQ(entries(recovered), 4u);
      } else {
        EXPECT_EQ(recovered.error().code, Code::io);
      }
    }
  }
  for (const io::DiskVerb verb : {io::DiskVerb::write, io::DiskVerb::sync, io::DiskVerb::sync_directory}) {
    TestDisk disk(image);
    disk.fault = [verb](const io::DiskRequest& request) {
      return request.verb == verb ? io::DiskStatus::io_error : io::DiskStatus::ok;
    };
    node::DiskQueue queue;
    EXPECT_EQ(recover(disk, queue, small_options(), 2).error().code, Code::io);
  }
}

// Could a node that crashes at every boot wear out its identity zone, and then not start any more?
TEST(Recovery, ACrashLoopRollsToANewFile) {
  Life life = four_batches();
  TestDisk::Image image = life.disk.image();
  Lsn next = life.recovered.next_lsn;
  for (std::uint64_t incarnation = 2; incarnation < 60; ++incarnation) {
    Life again(image, small_options(), incarnation);
    ASSERT_FALSE(again.error.has_value()) << again.error->text;
    ASSERT_EQ(again.logs, life.logs);
    ASSERT_GT(again.recovered.next_lsn, next);
    next = again.recovered.next_lsn;
    image = again.disk.image();
  }
  EXPECT_TRUE(image.contains(file_name(4)));
  // And a full disk at that moment is told as such.
  Life full(image, small_options(), 60);
  for (std::uint64_t incarnation = 61;; ++incarnation) {
    TestDisk disk(image);
    disk.fault = [](const io::DiskRequest& request) {
      return request.verb == io::DiskVerb::create ? io::DiskStatus::no_space : io::DiskStatus::ok;
    };
    node::DiskQueue queue;
    const auto recovered = recover(disk, queue, small_options(), incarnation);
    if (!recovered) {
      EXPECT_EQ(recovered.error().code, Code::io);
      EXPECT_NE(recovered.error().text.find("no space"), std::string::npos);
      break;
    }
    image = disk.image();
    ASSERT_LT(incarnation, 100u);
  }
}

// Could the start of a node with much log read all of it?
TEST(Recovery, ReadsIdentitiesAndTheTailOnly) {
  Options options = small_options();
  options.file_bytes = 8u << 20;
  options.identity_sectors = 256;
  Life life(formatted(options), options, 1);
  for (int i = 0; i < 60; ++i) {
    for (int k = 0; k < 8; ++k) life.append(GroupId(1), 60'000);
    life.settle();
  }
  EXPECT_GT(life.journal->bytes(), 30u << 20);
  Life again(life.disk.image(), options, 2);
  ASSERT_FALSE(again.error.has_value()) << again.error->text;
  EXPECT_EQ(again.logs, life.logs);
  EXPECT_LT(again.disk.bytes_read, again.journal->bytes() / 6);
}

}  // namespace
}  // namespace reel::journal
