#include "io/real/crash_image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "io/ports/checksum.h"
#include "io/real/disk_contract.h"
#include "io/real/disk_test_world.h"
#include "io/real/recording_disk.h"

namespace reel::real {
namespace {

using io::DiskStatus;
using io::DiskVerb;
using io::FileId;
using Script = DiskScript;
constexpr std::uint64_t kSector = io::kSectorBytes;
constexpr std::uint64_t kFileSectors = 12;

// A made-up history of a disk: no device, any order of completions, some failures. By hand or by seed.
class Story {
 public:
  std::uint64_t submit(io::DiskRequest request) {
    request.op = io::DiskOpId(++last_op_);
    Record record;
    record.kind = RecordKind::submitted;
    record.request = std::move(request);
    recording.records.push_back(std::move(record));
    return last_op_;
  }
  void complete(std::uint64_t op, DiskStatus status = DiskStatus::ok) {
    Record record;
    record.kind = RecordKind::completed;
    record.op = io::DiskOpId(op);
    record.status = status;
    recording.records.push_back(std::move(record));
  }
  std::uint64_t run(io::DiskRequest request) {
    const std::uint64_t op = submit(std::move(request));
    complete(op);
    return op;
  }
  // Every 512 bytes of a write begin with its number and their place.
  std::uint64_t submit_write(FileId file, std::uint64_t sector, std::uint64_t sectors) {
    io::Buffer buffer = io::Buffer::allocate(sectors * kSector);
    std::memset(buffer.data(), 0x77, buffer.size());
    for (std::uint64_t at = 0; at < buffer.size(); at += 512) {
      const std::uint64_t tag[2] = {last_op_ + 1, sector * kSector + at};
      std::memcpy(buffer.data() + at, tag, sizeof tag);
    }
    return submit(Script::write(file, sector * kSector, {std::move(buffer).freeze()}));
  }

  Recording recording;

 private:
  std::uint64_t last_op_ = 0;
};

// Writes, syncs, creates and removes on a few files, three requests in flight, one in sixteen fails.
Story story_of(std::uint64_t seed, std::size_t steps) {
  Story story;
  struct Flying {
    std::uint64_t op;
    DiskVerb verb;
    std::uint64_t file, from, to;
  };
  std::vector<Flying> flying;
  std::vector<std::uint64_t> open;
  std::uint64_t next_file = 0;
  std::uint64_t counter = 0;
  const auto draw = [&](std::uint64_t bound) { return io::keyed_hash(seed, {++counter}) % bound; };
  for (std::size_t i = 0; i < steps; ++i) {
    if (flying.size() == 4 || (!flying.empty() && draw(2) == 0)) {
      const auto which = static_cast<std::ptrdiff_t>(draw(flying.size()));
      const Flying done = flying[static_cast<std::size_t>(which)];
      flying.erase(flying.begin() + which);
      const bool fails = done.verb != DiskVerb::create && draw(16) == 0;
      story.complete(done.op, fails ? DiskStatus::io_error : DiskStatus::ok);
      if (done.verb == DiskVerb::create) open.push_back(done.file);
      continue;
    }
    const std::uint64_t what = draw(16);
    if (open.empty() || what == 0) {
      const std::uint64_t file = ++next_file;
      const auto op = story.submit(Script::create(FileId(static_cast<std::uint32_t>(file)),
                                                  "f" + std::to_string(file), kFileSectors * kSector));
      flying.push_back({op, DiskVerb::create, file, 0, 0});
    } else if (what <= 2) {
      flying.push_back({story.submit(Script::sync_directory()), DiskVerb::sync_directory, 0, 0, 0});
    } else if (what <= 6) {
      const std::uint64_t file = open[draw(open.size())];
      flying.push_back(
          {story.submit(Script::sync(FileId(static_cast<std::uint32_t>(file)))), DiskVerb::sync, file, 0, 0});
    } else {
      const std::uint64_t file = open[draw(open.size())];
      const std::uint64_t from = draw(kFileSectors);
      const std::uint64_t to = from + 1 + draw(kFileSectors - from);
      const bool overlaps = std::any_of(flying.begin(), flying.end(), [&](const Flying& one) {
        return one.verb == DiskVerb::write && one.file == file && one.from < to && from < one.to;
      });
      if (overlaps) continue;
      const auto op = story.submit_write(FileId(static_cast<std::uint32_t>(file)), from, to - from);
      flying.push_back({op, DiskVerb::write, file, from, to});
    }
  }
  return story;
}

// A second, naive reading of the contract, straight from the text of io/ports/disk.h and by brute force. For
// stories in which files are created once, under the name "f<handle>", and never removed. complaints() is
// empty for a legal image.
class Judge {
 public:
  Judge(const Recording& recording, std::size_t cut) : records_(recording.records), cut_(cut) {}

  std::vector<std::string> complaints(const CrashImage& image) const {
    std::vector<std::string> all;
    std::set<std::string> known;
    for (std::size_t i = 0; i < cut_; ++i) {
      const Record& record = records_[i];
      if (record.kind != RecordKind::submitted || record.request.verb != DiskVerb::create) continue;
      known.insert(record.request.name);
      check_file(image, record.request, all);
    }
    for (const auto& [name, file] : image.files) {
      if (!known.contains(name)) all.push_back(name + " came from nowhere");
    }
    return all;
  }

 private:
  std::optional<std::size_t> success_of(io::DiskOpId op) const {
    for (std::size_t i = 0; i < cut_; ++i) {
      if (records_[i].kind == RecordKind::completed && records_[i].op == op) {
        return records_[i].status == DiskStatus::ok ? std::optional(i) : std::nullopt;
      }
    }
    return std::nullopt;
  }

  // Is there a successful sync of this kind that was submitted after record `completed`?
  bool covered(std::size_t completed, DiskVerb verb, FileId file) const {
    for (std::size_t i = completed + 1; i < cut_; ++i) {
      const Record& record = records_[i];
      if (record.kind != RecordKind::submitted || record.request.verb != verb) continue;
      if (verb == DiskVerb::sync && record.request.file != file) continue;
      if (success_of(record.request.op)) return true;
    }
    return false;
  }

  void check_file(const CrashImage& image, const io::DiskRequest& create,
                  std::vector<std::string>& all) const {
    const auto created = success_of(create.op);
    const auto found = image.files.find(create.name);
    if (found == image.files.end()) {
      const bool durable = created && covered(*created, DiskVerb::sync_directory, {});
      if (durable) all.push_back(create.name + " is durable and gone");
      return;
    }
    const std::uint64_t size = found->second.size;
    if (size > create.length) all.push_back(create.name + " grew");
    if (size < create.length && created && covered(*created, DiskVerb::sync, create.file)) {
      all.push_back(create.name + " was synced and shrank");
    }
    const std::vector<const io::DiskRequest*> writes = writes_of(create.file);
    std::vector<bool> durable;
    for (const io::DiskRequest* write : writes) {
      const auto completed = success_of(write->op);
      durable.push_back(completed && covered(*completed, DiskVerb::sync, create.file));
    }
    for (std::uint64_t offset = 0; offset < create.length; offset += 512) {
      std::set<std::uint64_t> allowed = {0};
      for (std::size_t i = 0; i < writes.size(); ++i) {
        if (offset < writes[i]->offset || offset >= writes[i]->offset + writes[i]->length) continue;
        if (durable[i]) allowed.clear();
        allowed.insert(writes[i]->op.value);
      }
      const std::uint64_t tag = tag_at(found->second, offset);
      if (allowed.contains(tag)) continue;
      all.push_back(create.name + " at " + std::to_string(offset) + " holds write " + std::to_string(tag));
    }
  }

  std::vector<const io::DiskRequest*> writes_of(FileId file) const {
    std::vector<const io::DiskRequest*> writes;
    for (std::size_t i = 0; i < cut_; ++i) {
      const io::DiskRequest& request = records_[i].request;
      const bool is_write = records_[i].kind == RecordKind::submitted && request.verb == DiskVerb::write;
      if (is_write && request.file == file) writes.push_back(&request);
    }
    return writes;
  }

  // The number of the write whose bytes lie here: 0 for none, the greatest number for bytes of another place.
  static std::uint64_t tag_at(const ImageFile& file, std::uint64_t offset) {
    const auto sector = file.sectors.find(offset / kSector);
    if (sector == file.sectors.end()) return 0;
    std::uint64_t tag[2];
    std::memcpy(tag, sector->second.data() + offset % kSector, sizeof tag);
    return tag[0] == 0 || tag[1] == offset ? tag[0] : UINT64_MAX;
  }

  const std::vector<Record>& records_;
  const std::size_t cut_;
};

// An image could lack what a sync promised, or hold what was never written: then the proof proves nothing, or
// blames a node that did nothing wrong.
TEST(CrashImage, IsAlwaysLegal) {
  for (std::uint64_t seed = 0; seed < 120; ++seed) {
    const Story story = story_of(seed, 120);
    for (std::uint64_t round = 0; round < 8; ++round) {
      CrashOptions options;
      options.cut = io::keyed_hash(seed, {99, round}) % (story.recording.records.size() + 1);
      options.seed = seed * 1000 + round;
      options.tear_bytes = round % 2 == 0 ? 4096 : 512;
      const auto image = build_crash_image(story.recording, options);
      ASSERT_TRUE(image.has_value()) << image.error();
      ASSERT_EQ(Judge(story.recording, options.cut).complaints(*image), std::vector<std::string>{})
          << "seed " << seed << " round " << round << " cut " << options.cut << ": " << image->describe();
    }
  }
}

// The judge above could be blind.
TEST(CrashImage, TheJudgeSeesLostAndInventedData) {
  Story story;
  story.run(Script::create(FileId(1), "f1", kFileSectors * kSector));
  story.run(Script::sync_directory());
  story.complete(story.submit_write(FileId(1), 0, 1));
  story.run(Script::sync(FileId(1)));
  const CrashOptions options{.cut = story.recording.records.size(), .seed = 1};
  const CrashImage good = *build_crash_image(story.recording, options);
  const Judge judge(story.recording, options.cut);
  EXPECT_TRUE(judge.complaints(good).empty());
  CrashImage bad = good;
  bad.files.at("f1").sectors.clear();
  EXPECT_EQ(judge.complaints(bad).size(), 8u);
  bad = good;
  bad.files.at("f1").sectors[3] = good.files.at("f1").sectors.at(0);
  EXPECT_EQ(judge.complaints(bad).size(), 8u);
  bad = good;
  bad.files.at("f1").size = kSector;
  EXPECT_FALSE(judge.complaints(bad).empty());
  bad = good;
  bad.files.clear();
  EXPECT_FALSE(judge.complaints(bad).empty());
}

// Images could be so tame that no seed ever loses anything: legal, and useless.
TEST(CrashImage, EverySubsetOfTwoOpenWritesIsReached) {
  Story story;
  story.run(Script::create(FileId(1), "f1", 4 * kSector));
  story.run(Script::sync(FileId(1)));
  story.run(Script::sync_directory());
  const std::uint64_t first = story.submit_write(FileId(1), 0, 2);  // completed, not synced
  story.complete(first);
  const std::uint64_t second = story.submit_write(FileId(1), 2, 2);  // still under way
  std::set<std::vector<bool>> reached;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const auto image =
        build_crash_image(story.recording, {.cut = story.recording.records.size(), .seed = seed});
    ASSERT_TRUE(image.has_value());
    std::vector<bool> present(4);
    for (std::uint64_t sector = 0; sector < 4; ++sector)
      present[sector] = image->files.at("f1").sectors.contains(sector);
    reached.insert(present);
  }
  EXPECT_EQ(reached.size(), 16u) << "of writes " << first << " and " << second;
}

// A removed file could stay for ever, a lost create come back as another file, or a name be undone that was
// durable.
TEST(CrashImage, NamesAreUndoneInOrderOnly) {
  Story story;
  story.run(Script::create(FileId(1), "a", kSector));
  story.run(Script::sync(FileId(1)));
  story.run(Script::sync_directory());
  story.run(Script::remove("a"));
  story.run(Script::create(FileId(2), "a", 2 * kSector));
  story.run(Script::sync(FileId(2)));
  const std::size_t before = story.recording.records.size();
  story.run(Script::sync_directory());
  std::set<std::uint64_t> sizes;  // 0: no file
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const auto image = *build_crash_image(story.recording, {.cut = before, .seed = seed});
    sizes.insert(image.files.contains("a") ? image.files.at("a").size : 0);
    const auto later = *build_crash_image(story.recording, {.cut = before + 2, .seed = seed});
    ASSERT_EQ(later.files.at("a").size, 2 * kSector);
  }
  EXPECT_EQ(sizes, (std::set<std::uint64_t>{0, kSector, 2 * kSector}));
}

// A create that failed half-way could leave a file that the tool does not think of.
TEST(CrashImage, AFailedCreateMayLeaveAFile) {
  Story story;
  story.complete(story.submit(Script::create(FileId(1), "a", 8 * kSector)), DiskStatus::no_space);
  bool left = false;
  bool gone = false;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto image = *build_crash_image(story.recording, {.cut = 2, .seed = seed});
    (image.files.contains("a") ? left : gone) = true;
  }
  EXPECT_TRUE(left && gone);
}

// A sync that failed could be taken for one that kept its promise.
TEST(CrashImage, AFailedSyncPromisesNothing) {
  Story story;
  story.run(Script::create(FileId(1), "f1", kSector));
  story.run(Script::sync(FileId(1)));
  story.run(Script::sync_directory());
  story.complete(story.submit_write(FileId(1), 0, 1));
  story.complete(story.submit(Script::sync(FileId(1))), DiskStatus::io_error);
  bool lost = false;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto image =
        *build_crash_image(story.recording, {.cut = story.recording.records.size(), .seed = seed});
    lost = lost || image.files.at("f1").sectors.empty();
  }
  EXPECT_TRUE(lost);
}

// The same seed could give another image tomorrow, and a finding could not be looked at again.
TEST(CrashImage, DependsOnItsSeedOnly) {
  const Story story = story_of(7, 200);
  std::set<std::string> different;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const CrashOptions options{.cut = story.recording.records.size(), .seed = seed};
    const CrashImage first = *build_crash_image(story.recording, options);
    const CrashImage second = *build_crash_image(story.recording, options);
    ASSERT_EQ(first.files, second.files);
    different.insert(first.describe());
  }
  EXPECT_GT(different.size(), 10u);
  EXPECT_EQ(pick_cut(story.recording, 5), pick_cut(story.recording, 5));
}

// Recordings are files that anybody can hand in: a contradictory one must be an error, not a crash.
TEST(CrashImage, AContradictionIsRefused) {
  const auto refused = [](auto tell) {
    Story story;
    tell(story);
    return !build_crash_image(story.recording, {.cut = story.recording.records.size()}).has_value();
  };
  EXPECT_TRUE(refused([](Story& story) { story.submit_write(FileId(1), 0, 1); }));
  EXPECT_TRUE(refused([](Story& story) { story.run(Script::sync(FileId(1))); }));
  EXPECT_TRUE(refused([](Story& story) { story.complete(17); }));
  EXPECT_TRUE(refused([](Story& story) { story.run(Script::open(FileId(1), "a")); }));
  EXPECT_TRUE(refused([](Story& story) {
    story.run(Script::create(FileId(1), "a", kSector));
    story.submit_write(FileId(1), 1, 1);
  }));
  EXPECT_TRUE(refused([](Story& story) {
    story.run(Script::create(FileId(1), "a", kSector));
    story.run(Script::create(FileId(1), "b", kSector));
  }));
}

// ---- the whole way, on a real disk

// Sixteen commits of one sector each; a mark names each commit, after its sync or (`too_early`) before.
std::string record_commits(const std::string& path, bool too_early) {
  auto writer = RecordingWriter::create(path);
  REEL_CHECK(writer.has_value());
  RealWorld world(DiskEngineKind::automatic, writer->get());
  Script script(world);
  const auto expect_ok = [](const io::DiskResult& result) {
    EXPECT_EQ(result.status, DiskStatus::ok) << io::name_of(result.verb) << " " << result.op.value;
  };
  expect_ok(script.run(Script::create(FileId(1), "journal", 64 * kSector)));
  expect_ok(script.run(Script::sync(FileId(1))));
  expect_ok(script.run(Script::sync_directory()));
  for (std::uint64_t i = 0; i < 16; ++i) {
    const io::DiskOpId body =
        script.start(Script::write(FileId(1), (32 + i) * kSector, {Script::pattern(i, 1)}));
    const io::DiskOpId identity =
        script.start(Script::write(FileId(1), i * kSector, {Script::pattern(i + 100, 1)}));
    expect_ok(script.wait(body));
    expect_ok(script.wait(identity));
    if (too_early) world.recorder().mark("acknowledged " + std::to_string(i));
    expect_ok(script.run(Script::sync(FileId(1))));
    if (!too_early) world.recorder().mark("acknowledged " + std::to_string(i));
  }
  EXPECT_FALSE((*writer)->ended()) << (*writer)->failure();
  return path;
}

// "" if the result is what is expected, else what it is instead.
std::string difference(const io::DiskResult& got, const io::Bytes& expected) {
  if (got.status != DiskStatus::ok) return io::name_of(got.status);
  if (got.data == expected) return {};
  if (got.data.size() != expected.size()) return std::to_string(got.data.size()) + " bytes";
  return contract::all_zero(got.data) ? "zeros" : "other content";
}

// Which acknowledged commits are missing, in words, on a disk that was really written and is opened by the real
// adapter.
std::vector<std::string> missing_after_crash(const Recording& recording, const CrashOptions& options) {
  TemporaryDirectory parent;
  const std::string directory = parent.path() + "/image";
  const auto image = build_crash_image(recording, options);
  REEL_CHECK(image.has_value());
  const auto written = write_crash_image(*image, directory);
  if (!written) return {written.error()};
  const std::size_t acknowledged = marks_before(recording, options.cut).size();
  if (acknowledged == 0) return {};
  RealWorld world(DiskEngineKind::automatic, nullptr, directory);
  Script script(world);
  const io::DiskResult opened = script.run(Script::open(FileId(1), "journal"));
  if (opened.status != DiskStatus::ok) return {std::string("open: ") + io::name_of(opened.status)};
  std::vector<std::string> missing;
  const auto look = [&](const char* what, std::uint64_t commit, std::uint64_t sector,
                        const io::Bytes& expected) {
    const std::string found =
        difference(script.run(Script::read(FileId(1), sector * kSector, kSector)), expected);
    if (found.empty()) return;
    missing.push_back(std::string(what) + " of commit " + std::to_string(commit) + " of " +
                      std::to_string(acknowledged) + ": " + found + " (" + image->describe() + ")");
  };
  for (std::uint64_t i = 0; i < acknowledged; ++i) {
    look("body", i, 32 + i, Script::pattern(i, 1));
    look("identity", i, i, Script::pattern(i + 100, 1));
  }
  return missing;
}

// What a program acknowledged after its sync could be missing on an image that was really written and opened
// again.
TEST(CrashImage, KeepsWhatARealRunAcknowledged) {
  TemporaryDirectory directory;
  const auto recording = read_recording(record_commits(directory.path() + "/recording", false));
  ASSERT_TRUE(recording.has_value()) << recording.error();
  ASSERT_EQ(marks_before(*recording, recording->records.size()).size(), 16u);
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const CrashOptions options{.cut = pick_cut(*recording, seed), .seed = seed};
    const std::vector<std::string> missing = missing_after_crash(*recording, options);
    ASSERT_TRUE(missing.empty()) << missing.size() << " missing, seed " << seed << " cut " << options.cut
                                 << ": " << missing.front();
  }
}

// A program that acknowledges before its sync could pass the proof.
TEST(CrashImage, ConvictsAProgramThatAcknowledgesTooEarly) {
  TemporaryDirectory directory;
  const auto recording = read_recording(record_commits(directory.path() + "/recording", true));
  ASSERT_TRUE(recording.has_value()) << recording.error();
  std::size_t convictions = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    convictions +=
        missing_after_crash(*recording, {.cut = pick_cut(*recording, seed), .seed = seed}).empty() ? 0 : 1;
  }
  EXPECT_GE(convictions, 3u);
}

// What was on the disk before the recording began could be missing, and a directory in use be overwritten.
TEST(CrashImage, ContainsTheBaseAndRespectsOtherDirectories) {
  TemporaryDirectory directory;
  Recording recording;
  const io::Bytes content = Script::pattern(3, 2);
  recording.base.push_back({.name = "hardstate", .size = 8 * kSector, .pieces = {{kSector, content}}});
  const auto image = build_crash_image(recording, {.cut = 0, .seed = 4});
  ASSERT_TRUE(image.has_value());
  const std::string target = directory.path() + "/image";
  ASSERT_TRUE(write_crash_image(*image, target).has_value());
  EXPECT_EQ(std::filesystem::file_size(target + "/hardstate"), 8 * kSector);
  EXPECT_FALSE(write_crash_image(*image, target).has_value());
  RealWorld world(DiskEngineKind::automatic, nullptr, target);
  Script script(world);
  ASSERT_EQ(script.run(Script::open(FileId(1), "hardstate")).status, DiskStatus::ok);
  EXPECT_EQ(script.run(Script::read(FileId(1), kSector, 2 * kSector)).data, content);
}

}  // namespace
}  // namespace reel::real
