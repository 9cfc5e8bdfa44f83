// One life of a journal in a test: recovers on a disk, appends records with unique payloads, completes
// requests on demand, and remembers what it wrote and what was acknowledged.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "node/journal/journal.h"
#include "node/journal/tables.h"
#include "node/journal/test_disk.h"

namespace reel::journal {

inline constexpr io::ClusterId kTestCluster{77};
inline constexpr NodeId kTestNode{3};

inline Options small_options() {
  Options options;
  options.file_bytes = kFileBytesMin;
  options.identity_sectors = 16;
  options.hard_state_pages = 2;
  options.manifest_pages = 2;
  return options;
}

inline Stamp test_stamp(std::uint64_t incarnation) {
  return {kTestCluster, kTestNode, Incarnation(incarnation)};
}

// A data directory as `reel node init` makes it.
inline TestDisk::Image formatted(const Options& options, std::vector<GroupManifest> groups = {}) {
  TestDisk disk;
  node::DiskQueue queue;
  Formatter formatter({kTestCluster, kTestNode, Incarnation(0)}, options, std::move(groups));
  formatter.start(queue);
  run_to_end(formatter, disk, queue);
  REEL_CHECK(formatter.done() && formatter.take().has_value() && disk.units().empty());
  return disk.image();
}

inline std::expected<Recovered, RecoveryError> recover(TestDisk& disk, node::DiskQueue& queue,
                                                       const Options& options, std::uint64_t incarnation,
                                                       std::map<GroupId, Index> commit_marks = {}) {
  Recovery recovery(options, test_stamp(incarnation), std::move(commit_marks));
  recovery.start(queue);
  run_to_end(recovery, disk, queue);
  REEL_CHECK(recovery.done());
  return recovery.take();
}

// The log of every group, as bare identities: what two recoveries must agree on.
using Logs = std::map<GroupId, std::vector<EntryIdentity>>;
inline Logs logs_of(const std::map<GroupId, GroupLog>& groups) {
  Logs logs;
  for (const auto& [group, log] : groups) {
    if (!log.entries.empty()) logs[group] = log.entries;
  }
  return logs;
}

// A record as a test asked for it.
struct TestRecord {
  GroupId group;
  RecordKind kind{};
  EntryIdentity identity;
  Lsn lsn;
  std::string payload;
};

inline void replay(Logs& logs, const TestRecord& record) {
  auto& log = logs[record.group];
  if (record.kind == RecordKind::truncation) {
    log.resize(std::min<std::size_t>(log.size(), record.identity.index.value - 1));
  } else {
    REEL_CHECK(record.identity.index.value == log.size() + 1);
    log.push_back(record.identity);
  }
  if (log.empty()) logs.erase(record.group);
}

class Life {
 public:
  Life(const TestDisk::Image& image, const Options& with, std::uint64_t number)
      : Life(TestDisk(image), with, number) {}
  Life(TestDisk with_disk, const Options& with, std::uint64_t number)
      : options(with), incarnation(number), disk(std::move(with_disk)) {
    auto result = recover(disk, queue, options, incarnation);
    if (!result) {
      error = result.error();
      return;
    }
    recovered = std::move(*result);
    logs = logs_of(recovered.groups);
    journal.emplace(options, test_stamp(incarnation), recovered);
  }

  // Appends the group's next entry; its payload is unique in the test.
  const TestRecord& append(GroupId group, std::size_t payload_bytes,
                           EntryKind kind = EntryKind::transactions) {
    TestRecord record{group, RecordKind::entry, {}, {}, {}};
    // Unique in every sector: a tail that an earlier life left in the same place must not be taken for this
    // one's.
    const std::string text =
        "life " + std::to_string(incarnation) + " record " + std::to_string(written.size()) + " ";
    while (record.payload.size() < payload_bytes) record.payload += text;
    record.payload.resize(payload_bytes);
    const auto content = std::as_bytes(std::span(record.payload.data(), record.payload.size()));
    const auto log = logs.find(group);
    record.identity = {Term(incarnation), Index(log == logs.end() ? 1 : log->second.size() + 1), kind,
                       static_cast<std::uint32_t>(payload_bytes), io::checksum(content)};
    record.lsn = journal->append(group, record.identity, BodyBuilder::copy_of(content));
    replay(logs, record);
    written.push_back(std::move(record));
    return written.back();
  }
  const TestRecord& truncate(GroupId group, Index from) {
    TestRecord record{group, RecordKind::truncation, {}, {}, {}};
    record.identity.index = from;
    record.lsn = journal->truncate(group, from);
    replay(logs, record);
    written.push_back(std::move(record));
    return written.back();
  }
  void pump() {
    journal->pump(queue);
    disk.take(queue);
  }
  void finish(std::size_t i) {
    journal->on_disk(disk.finish(i), queue);
    disk.take(queue);
  }
  // Completes everything, files made in advance included.
  void settle() {
    pump();
    while (disk.pending() > 0) {
      finish(0);
      pump();
    }
  }
  // The payload of a recovered or durable entry, read from its place and verified.
  std::expected<Bytes, RecoveryError> read(GroupId group, const EntryIdentity& identity) {
    const auto at = journal->find(group, identity.index);
    if (!at) return std::unexpected(RecoveryError{RecoveryError::Code::inconsistent, "no place"});
    io::DiskRequest request;
    request.verb = io::DiskVerb::read;
    request.file = journal->file_of(at->file_sequence);
    request.offset = at->offset;
    request.length = record_bytes(identity.size);
    queue.submit(node::DiskOwner::reader, std::move(request));
    disk.take(queue);
    const io::DiskResult result = disk.finish(disk.pending() - 1);
    return verify_record(result.data, test_stamp(incarnation), group, identity, *at);
  }

  Options options;
  std::uint64_t incarnation;
  node::DiskQueue queue;
  TestDisk disk;
  std::optional<RecoveryError> error;
  Recovered recovered;
  std::optional<Journal> journal;
  Logs logs;                        // as the host believes
  std::vector<TestRecord> written;  // in this life
};

}  // namespace reel::journal
