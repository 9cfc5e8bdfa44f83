#include "harness/node_config.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>

namespace reel::harness {
namespace {

NodeConfig parse(const std::string& limits) {
  return parse_node_config(
      "cluster = 7\nnode = 1\ndir = \"/srv/reel\"\nlisten = \"127.0.0.1:7101\"\ntoken_file = \"/srv/token\"\n"
      "peers = [ { node = 1, address = \"127.0.0.1:7101\" } ]\n" +
          limits,
      "node1.toml");
}

std::string refusal(const std::string& limits) {
  try {
    (void)parse("[limits]\n" + limits + "\n");
  } catch (const CommandError& error) {
    return error.text;
  }
  return {};
}

// A limit that is read into the wrong place, or in the wrong unit, is none.
TEST(NodeConfigLimits, EachReachesWhatItLimits) {
  const NodeConfig config = parse(
      "[limits]\ntransaction_kib = 100\nbatch_kib = 600\nbatch_transactions = 2000\nentry_kib = 128\n"
      "frame_kib = 700\nconnections = 11\ncalls = 22\ncall_mib = 33\nunread_mib = 44\nqueue_mib = 55\n"
      "queue_min_kib = 66\nqueue_calls = 77\nqueue_delay_ms = 88\nretry_max_ms = 99\nfeeds_waiting = 111\n"
      "reads_waiting = 222\npartitions = 333\n");
  const node::GroupOptions& group = config.options.group;
  EXPECT_EQ(group.transaction_bytes_max, 100u << 10);
  EXPECT_EQ(group.call_bytes_max, 600u << 10);
  EXPECT_EQ(group.call_transactions_max, 2000u);
  EXPECT_EQ(group.entry_bytes_max, 128u << 10);
  EXPECT_EQ(group.feeds_waiting_max, 111u);
  EXPECT_EQ(group.reads_waiting_max, 222u);
  EXPECT_EQ(group.admission.bytes_max, 55u << 20);
  EXPECT_EQ(group.admission.bytes_min, 66u << 10);
  EXPECT_EQ(group.admission.calls_max, 77u);
  EXPECT_EQ(group.admission.delay_target, io::milliseconds(88));
  EXPECT_EQ(group.admission.retry_max, io::milliseconds(99));
  EXPECT_EQ(config.options.partitions_max, 333u);
  EXPECT_EQ(config.limits.frame_bytes_max, 700u << 10);
  EXPECT_EQ(config.limits.connections_max, 11u);
  EXPECT_EQ(config.limits.calls_max, 22u);
  EXPECT_EQ(config.limits.call_bytes_max, 33u << 20);
  EXPECT_EQ(config.limits.unread_bytes_max, 44u << 20);
}

// A file that says nothing of limits must get those of the code, not zeros.
TEST(NodeConfigLimits, AreTheDefaultsWhenNothingIsSaid) {
  for (const char* nothing : {"", "[limits]\n"}) {
    const NodeConfig config = parse(nothing);
    const node::GroupOptions defaults;
    EXPECT_EQ(config.options.group.call_bytes_max, defaults.call_bytes_max);
    EXPECT_EQ(config.options.group.transaction_bytes_max, defaults.transaction_bytes_max);
    EXPECT_EQ(config.options.group.admission.bytes_max, defaults.admission.bytes_max);
    EXPECT_EQ(config.options.group.admission.delay_target, defaults.admission.delay_target);
    EXPECT_EQ(config.limits.connections_max, ServerLimits().connections_max);
    EXPECT_EQ(config.limits.frame_bytes_max, ServerLimits().frame_bytes_max);
  }
}

// What the help and the README call defaults must be accepted, and change nothing.
TEST(NodeConfigLimits, TheDocumentedDefaultsAreTheDefaults) {
  const NodeConfig said = parse(
      "[limits]\ntransaction_kib = 1024\nbatch_kib = 3072\nbatch_transactions = 16384\nentry_kib = 1024\n"
      "frame_kib = 4096\nconnections = 4096\ncalls = 65536\ncall_mib = 256\nunread_mib = 64\nqueue_mib = 64\n"
      "queue_min_kib = 2048\nqueue_calls = 65536\nqueue_delay_ms = 200\nretry_max_ms = 1000\n"
      "feeds_waiting = 65536\nreads_waiting = 16384\npartitions = 1024\n");
  const NodeConfig silent = parse("");
  const node::GroupOptions& a = said.options.group;
  const node::GroupOptions& b = silent.options.group;
  EXPECT_EQ(a.transaction_bytes_max, b.transaction_bytes_max);
  EXPECT_EQ(a.call_bytes_max, b.call_bytes_max);
  EXPECT_EQ(a.call_transactions_max, b.call_transactions_max);
  EXPECT_EQ(a.entry_bytes_max, b.entry_bytes_max);
  EXPECT_EQ(a.feeds_waiting_max, b.feeds_waiting_max);
  EXPECT_EQ(a.reads_waiting_max, b.reads_waiting_max);
  EXPECT_EQ(a.admission.bytes_max, b.admission.bytes_max);
  EXPECT_EQ(a.admission.bytes_min, b.admission.bytes_min);
  EXPECT_EQ(a.admission.calls_max, b.admission.calls_max);
  EXPECT_EQ(a.admission.delay_target, b.admission.delay_target);
  EXPECT_EQ(a.admission.retry_max, b.admission.retry_max);
  EXPECT_EQ(said.options.partitions_max, silent.options.partitions_max);
  EXPECT_EQ(said.limits.frame_bytes_max, silent.limits.frame_bytes_max);
  EXPECT_EQ(said.limits.connections_max, silent.limits.connections_max);
  EXPECT_EQ(said.limits.calls_max, silent.limits.calls_max);
  EXPECT_EQ(said.limits.call_bytes_max, silent.limits.call_bytes_max);
  EXPECT_EQ(said.limits.unread_bytes_max, silent.limits.unread_bytes_max);
}

// What no node can keep, or what contradicts itself, must stop the start, with one line that names the key.
TEST(NodeConfigLimits, ImpossibleOnesAreRefusedByName) {
  constexpr std::array<std::pair<const char*, const char*>, 10> kWrong{{
      {"transaction_kib = 1025", "'transaction_kib' must be a whole number from 1 to 1024"},
      {"transaction_kib = 0", "'transaction_kib'"},
      {"batch_kib = 511", "'batch_kib' must be a whole number from 512 to 3072"},
      {"batch_transactions = 16385", "'batch_transactions'"},
      {"connections = -1", "'connections'"},
      {"queue_delay_ms = 0", "'queue_delay_ms'"},
      {"queue_mib = \"many\"", "'queue_mib'"},
      {"batch_kib = 600", "'batch_kib' must be at least 8 more than 'transaction_kib'"},
      {"frame_kib = 3100", "'frame_kib' must be at least 64 more than 'batch_kib'"},
      {"queue_size = 5", "unknown key 'queue_size'"},
  }};
  for (const auto& [limits, words] : kWrong) {
    const std::string text = refusal(limits);
    EXPECT_NE(text.find(words), std::string::npos) << limits << ": " << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
  EXPECT_NE(refusal("connections = 0").find("[limits]"), std::string::npos);
}

}  // namespace
}  // namespace reel::harness
