#include "sim/trace.h"

#include <gtest/gtest.h>

#include "io/ports/checksum.h"
#include "sim/test_hosts.h"

namespace reel::sim {
namespace {

using io::NodeId;

// Runs gossip for a while; `meddle` may change the world before it starts.
void play(World& world, const std::function<void()>& meddle = [] {}) {
  add_gossip(world, 5);
  world.boot_all();
  meddle();
  world.run_until(io::Instant{300'000'000});
}

Trace record(std::uint64_t seed, std::size_t records_max = 0) {
  World world({.seed = seed});
  Recorder recorder(world, records_max);
  play(world);
  Trace trace = recorder.trace();
  trace.build = "a test";
  trace.options = {{"nodes", "5"}, {"workload", "gossip"}};
  trace.overrides = {{{Choice::net_drop, 17, 3, 1'000'000}, 1}};
  trace.marks = {"raft.truncate", "journal.cut_torn"};
  return trace;
}

TEST(Trace, RoundTrip) {
  // Something of a trace could be lost on its way to disk and back.
  Trace trace = record(1);
  EXPECT_GT(trace.records.size(), 2000u);
  for (const bool failed : {false, true}) {
    if (failed) trace.failure = TraceFailure{"durability", "lost:entry", "entry 7 of term 3 is gone\n"};
    const std::vector<std::byte> bytes = encode_trace(trace);
    const auto decoded = decode_trace(bytes);
    ASSERT_TRUE(decoded.has_value()) << decoded.error();
    EXPECT_EQ(*decoded, trace);
    EXPECT_EQ(encode_trace(*decoded), bytes);
  }
  const auto empty = decode_trace(encode_trace(Trace{}));
  ASSERT_TRUE(empty.has_value());
  EXPECT_EQ(*empty, Trace{});
}

TEST(Trace, SmallPerEvent) {
  // Recording every failing run could cost more disk than it is worth.
  const Trace trace = record(1);
  const std::size_t bytes = encode_trace(trace).size();
  const std::size_t per_event_x10 = bytes * 10 / trace.records.size();
  RecordProperty("bytes_per_event_x10", static_cast<int>(per_event_x10));
  EXPECT_LT(per_event_x10, 90u);
}

TEST(Trace, ReplayAgrees) {
  // A replay could differ from its recording although nothing changed.
  const Trace trace = record(2);
  World world({.seed = 2});
  Replayer replayer(world, trace);
  play(world);
  EXPECT_FALSE(replayer.finish().has_value()) << replayer.finish()->text;
  EXPECT_FALSE(world.failed());
}

TEST(Trace, ReplayStopsAtTheFirstDifference) {
  // A divergence could be found late, or not at all, or without saying what differs.
  const Trace trace = record(3);
  {
    // Another seed: the very start differs.
    World world({.seed = 4});
    Replayer replayer(world, trace);
    play(world);
    ASSERT_TRUE(replayer.finish().has_value());
    EXPECT_LT(replayer.divergence()->index, 20u);
  }
  {
    // One more crash in the middle.
    World world({.seed = 3});
    Replayer replayer(world, trace);
    play(world, [&] { world.at(io::Instant{150'000'000}, [&] { world.crash(NodeId(3), {}); }); });
    ASSERT_TRUE(replayer.finish().has_value());
    EXPECT_TRUE(world.failed());
    EXPECT_EQ(world.failure()->oracle, "replay");
    EXPECT_LE(world.time().ns, 152'000'000);
    EXPECT_GE(world.time().ns, 150'000'000);
    ASSERT_TRUE(replayer.divergence()->recorded && replayer.divergence()->live);
    EXPECT_NE(replayer.divergence()->text.find("recorded: "), std::string::npos);
    EXPECT_NE(replayer.divergence()->text.find("live: "), std::string::npos);
  }
}

TEST(Trace, DifferencesInContentAndInEffectsAreToldApart) {
  // Two runs with the same schedule could differ in what was said, or in what was done about it.
  const auto run = [](std::string_view text, bool extra_effect, Observer* observer, World& world) {
    static ScriptHost::Script sender, receiver;
    static Heard heard;
    sender = {};
    receiver = {};
    sender.start = [text](io::Ports& ports) { ports.network.send(NodeId(2), text_parcel(text)); };
    receiver.received = [extra_effect](io::Ports& ports, NodeId, const io::Parcel&) {
      if (extra_effect) ports.network.send(NodeId(1), text_parcel("surprise"));
    };
    (void)observer;
    add_script(world, 1, sender, heard);
    add_script(world, 2, receiver, heard);
    world.boot(NodeId(2));
    world.run_until(io::Instant{1'000'000});
    world.boot(NodeId(1));
    world.run_until(io::Instant{100'000'000});
  };
  Trace trace;
  {
    World world({.seed = 1});
    Recorder recorder(world);
    run("hello", false, &recorder, world);
    trace = recorder.trace();
  }
  World other_content({.seed = 1});
  Replayer content(other_content, trace);
  run("howdy", false, &content, other_content);
  ASSERT_TRUE(content.finish().has_value());
  World other_effects({.seed = 1});
  Replayer effects(other_effects, trace);
  run("hello", true, &effects, other_effects);
  ASSERT_TRUE(effects.finish().has_value());
  EXPECT_NE(effects.divergence()->text.find("other effects"), std::string::npos)
      << effects.divergence()->text;
  EXPECT_EQ(effects.divergence()->recorded->kind, EventKind::message);
}

TEST(Trace, ShortRunsAndOtherVerdictsAreFound) {
  // A replay that ends early, or fails where the recording did not, could pass.
  const Trace trace = record(5);
  {
    World world({.seed = 5});
    Replayer replayer(world, trace);
    add_gossip(world, 5);
    world.boot_all();
    world.run_until(io::Instant{100'000'000});
    ASSERT_TRUE(replayer.finish().has_value());
    EXPECT_NE(replayer.divergence()->text.find("recording goes on"), std::string::npos);
  }
  {
    Trace failed = trace;
    failed.failure = TraceFailure{"oracle", "signature", "text"};
    World world({.seed = 5});
    Replayer replayer(world, failed);
    play(world);
    EXPECT_TRUE(replayer.finish().has_value());
  }
}

TEST(Trace, RingsKeepTheEnd) {
  // A bounded recording could keep the wrong part, or not replay.
  const Trace whole = record(6);
  const Trace ring = record(6, 500);
  ASSERT_EQ(ring.records.size(), 500u);
  EXPECT_EQ(ring.skipped + 500, whole.records.size());
  EXPECT_TRUE(std::equal(ring.records.begin(), ring.records.end(), whole.records.end() - 500));
  World world({.seed = 6});
  Replayer replayer(world, ring);
  play(world);
  EXPECT_FALSE(replayer.finish().has_value());
}

TEST(Trace, EveryDamagedByteIsRefused) {
  // A damaged trace could be taken for a good one and accuse the code.
  Trace trace = record(7, 200);
  const std::vector<std::byte> bytes = encode_trace(trace);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::vector<std::byte> damaged = bytes;
    damaged[i] ^= std::byte{0x10};
    EXPECT_FALSE(decode_trace(damaged).has_value()) << i;
  }
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_trace(std::span(bytes).first(length)).has_value()) << length;
  }
}

// As an attacker would: any bytes, with a checksum that is right.
void reseal(std::vector<std::byte>& bytes) {
  const std::uint64_t sum = io::digest64(std::span(bytes).first(bytes.size() - 8));
  for (std::size_t i = 0; i < 8; ++i) bytes[bytes.size() - 8 + i] = static_cast<std::byte>(sum >> (8 * i));
}

TEST(Trace, HostileBytesAreRefusedWithoutHarm) {
  // Bytes with a right checksum could still ask for memory without end, overflow a time or read past the end.
  const std::vector<std::byte> good = encode_trace(record(8, 200));
  Decisions decisions(1);
  for (std::uint64_t round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes = good;
    const std::uint64_t edits = decisions.range({Choice::harness, 0, 0, round}, 1, 4);
    for (std::uint32_t edit = 0; edit < edits; ++edit) {
      const std::uint64_t at = decisions.below({Choice::harness, 1, edit, round}, bytes.size() - 8);
      const std::uint64_t value = decisions.below({Choice::harness, 2, edit, round}, 256);
      bytes[at] = static_cast<std::byte>(value);
    }
    reseal(bytes);
    const auto decoded = decode_trace(bytes);
    if (decoded) (void)encode_trace(*decoded);
  }
  // Lengths that claim more than there is, and more than there may be.
  for (const std::uint64_t claim : {std::uint64_t{1} << 20, std::uint64_t{1} << 40, UINT64_MAX}) {
    std::vector<std::byte> bytes = good;
    std::uint32_t header = 0;
    std::memcpy(&header, bytes.data() + 12, 4);
    for (std::size_t field = 0; field < 2; ++field) {
      std::vector<std::byte> edited = bytes;
      std::memcpy(edited.data() + 16 + header + 8 * field, &claim, 8);
      reseal(edited);
      EXPECT_FALSE(decode_trace(edited).has_value());
    }
  }
}

TEST(Trace, OtherVersionsAreRefusedByName) {
  // A later version could be misread.
  std::vector<std::byte> bytes = encode_trace(Trace{});
  bytes[8] = std::byte{9};
  reseal(bytes);
  const auto decoded = decode_trace(bytes);
  ASSERT_FALSE(decoded.has_value());
  EXPECT_NE(decoded.error().find("version 9"), std::string::npos);
}

}  // namespace
}  // namespace reel::sim
