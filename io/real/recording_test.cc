#include "io/real/recording.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "io/real/disk_contract.h"
#include "io/real/disk_test_world.h"
#include "io/real/recording_disk.h"

namespace reel::real {
namespace {

using Script = DiskScript;
constexpr std::uint64_t kSector = io::kSectorBytes;

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class RecordedContract : public testing::TestWithParam<DiskContractCase> {};

// The recorder could change what it watches.
TEST_P(RecordedContract, HoldsBehindTheRecorder) {
  TemporaryDirectory directory;
  auto writer = RecordingWriter::create(directory.path() + "/recording");
  ASSERT_TRUE(writer.has_value()) << writer.error();
  RealWorld world(DiskEngineKind::automatic, writer->get());
  GetParam().check(world);
  EXPECT_FALSE((*writer)->ended());
  const auto recording = read_recording(directory.path() + "/recording");
  ASSERT_TRUE(recording.has_value()) << recording.error();
  EXPECT_FALSE(recording->records.empty());
}

INSTANTIATE_TEST_SUITE_P(RecordingDisk, RecordedContract, testing::ValuesIn(disk_contract()),
                         [](const auto& instance) { return std::string(instance.param.name); });

// A short recording of everything, for the tests below.
std::string record_a_little(const std::string& path) {
  auto writer = RecordingWriter::create(path);
  REEL_CHECK(writer.has_value());
  RealWorld world(DiskEngineKind::automatic, writer->get());
  Script script(world);
  (void)script.run(Script::create(io::FileId(1), "journal", 16 * kSector));
  world.recorder().mark("one");
  (void)script.run(Script::write(io::FileId(1), 2 * kSector, {Script::pattern(1, 2), Script::pattern(2, 1)}));
  (void)script.run(Script::sync(io::FileId(1)));
  world.recorder().mark("two");
  (void)script.run(Script::read(io::FileId(1), 0, kSector));
  (void)script.run(Script::create(io::FileId(2), "../outside", kSector));
  (void)script.run(Script::list());
  return content_of(path);
}

// What is read back could differ from what happened, or come in another order.
TEST(Recording, IsReadBackAsItHappened) {
  TemporaryDirectory directory;
  const std::string bytes = record_a_little(directory.path() + "/recording");
  const auto recording = decode_recording(io::Bytes::copy_of(bytes));
  ASSERT_TRUE(recording.has_value()) << recording.error();
  EXPECT_FALSE(recording->cut_short);
  EXPECT_FALSE(recording->ended);
  const auto& records = recording->records;
  ASSERT_EQ(records.size(), 14u);
  EXPECT_EQ(records[0].request.verb, io::DiskVerb::create);
  EXPECT_EQ(records[0].request.name, "journal");
  EXPECT_EQ(records[0].request.length, 16 * kSector);
  EXPECT_EQ(records[1].kind, RecordKind::completed);
  EXPECT_EQ(records[1].op, records[0].request.op);
  EXPECT_EQ(records[2].text, "one");
  ASSERT_EQ(records[3].request.verb, io::DiskVerb::write);
  EXPECT_EQ(records[3].request.offset, 2 * kSector);
  ASSERT_EQ(records[3].request.data.size(), 1u);
  EXPECT_EQ(records[3].request.data[0].slice(0, 2 * kSector), Script::pattern(1, 2));
  EXPECT_EQ(records[3].request.data[0].slice(2 * kSector, kSector), Script::pattern(2, 1));
  EXPECT_EQ(records[5].request.verb, io::DiskVerb::sync);
  EXPECT_EQ(records[7].text, "two");
  EXPECT_EQ(records[10].request.name, "");  // a refused name is not kept
  EXPECT_EQ(records[11].status, io::DiskStatus::refused);
}

// A recording of a killed process ends anywhere: what came before must be usable, what is damaged must not be
// believed.
TEST(Recording, OfAKilledProcessIsReadUpToItsEnd) {
  TemporaryDirectory directory;
  const std::string bytes = record_a_little(directory.path() + "/recording");
  std::size_t records = 0;
  for (std::size_t size = 16; size < bytes.size(); size += size < 1024 ? 1 : 509) {
    const auto recording = decode_recording(io::Bytes::copy_of(std::string_view(bytes).substr(0, size)));
    ASSERT_TRUE(recording.has_value()) << "cut at " << size << ": " << recording.error();
    EXPECT_GE(recording->records.size(), records);
    records = recording->records.size();
  }
  EXPECT_GE(records, 10u);
}

// A flipped bit could turn the evidence into another story.
TEST(Recording, WithAFlippedBitIsRefused) {
  TemporaryDirectory directory;
  const std::string bytes = record_a_little(directory.path() + "/recording");
  const auto whole = decode_recording(io::Bytes::copy_of(bytes));
  ASSERT_TRUE(whole.has_value());
  for (std::size_t at = 0; at < bytes.size(); at += at < 256 ? 1 : 211) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const auto recording = decode_recording(io::Bytes::copy_of(damaged));
    // A damaged length may look like the end of a killed process: then less is believed, never something
    // else.
    if (!recording.has_value()) continue;
    EXPECT_TRUE(recording->cut_short) << "byte " << at;
    EXPECT_LT(recording->records.size(), whole->records.size()) << "byte " << at;
  }
}

// Something that is no recording, or one of a later version, could be taken for one.
TEST(Recording, OfAnotherKindIsRefused) {
  EXPECT_FALSE(decode_recording({}).has_value());
  EXPECT_FALSE(
      decode_recording(io::Bytes::copy_of(std::string_view("hello, this is some text"))).has_value());
  std::string later = "REELREC1";
  later += std::string("\2\0\0\0\0\0\0\0", 8);
  const auto recording = decode_recording(io::Bytes::copy_of(later));
  ASSERT_FALSE(recording.has_value());
  EXPECT_NE(recording.error().find("version 2"), std::string::npos);
  EXPECT_FALSE(read_recording("/nonexistent").has_value());
}

// The recording could fill the disk, or stop without saying so.
TEST(Recording, EndsVisiblyAtItsBound) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/recording";
  auto writer = RecordingWriter::create(path, 2000);
  ASSERT_TRUE(writer.has_value());
  while (!(*writer)->ended()) (*writer)->mark("a mark of some length");
  (*writer)->mark("one too many");
  EXPECT_LE(std::filesystem::file_size(path), 2016u);
  const auto recording = read_recording(path);
  ASSERT_TRUE(recording.has_value()) << recording.error();
  EXPECT_TRUE(recording->ended);
  EXPECT_FALSE(recording->cut_short);
  EXPECT_EQ(recording->records.back().text, "a mark of some length");
}

// Evidence of an earlier run could be overwritten.
TEST(Recording, NeverOverwritesAFile) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/recording";
  ASSERT_TRUE(RecordingWriter::create(path).has_value());
  EXPECT_FALSE(RecordingWriter::create(path).has_value());
}

// A recording that begins on a used directory could miss what was there before.
TEST(Recording, KnowsWhatTheDirectoryHeldBefore) {
  TemporaryDirectory directory;
  TemporaryDirectory data;
  std::string sparse(3 * (256u << 10) + 100, '\0');
  sparse[300'000] = 'x';
  std::ofstream(data.path() + "/journal", std::ios::binary) << sparse;
  std::ofstream(data.path() + "/LOCK") << "1";
  auto writer = RecordingWriter::create(directory.path() + "/recording");
  ASSERT_TRUE(writer.has_value());
  ASSERT_TRUE((*writer)->add_base(data.path()).has_value());
  const auto recording = read_recording(directory.path() + "/recording");
  ASSERT_TRUE(recording.has_value()) << recording.error();
  ASSERT_EQ(recording->base.size(), 1u);
  EXPECT_EQ(recording->base[0].name, "journal");
  EXPECT_EQ(recording->base[0].size, sparse.size());
  ASSERT_EQ(recording->base[0].pieces.size(), 1u);
  EXPECT_EQ(recording->base[0].pieces[0].offset, 256u << 10);
  EXPECT_EQ(recording->base[0].pieces[0].data.text(),
            std::string_view(sparse).substr(256u << 10, 256u << 10));
}

}  // namespace
}  // namespace reel::real
