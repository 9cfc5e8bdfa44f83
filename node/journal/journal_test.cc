#include "node/journal/journal.h"

#include <gtest/gtest.h>

#include "node/journal/test_life.h"

namespace reel::journal {
namespace {

// Completes the first pending request with this verb; false if there is none.
bool finish_one(Life& life, io::DiskVerb verb) {
  for (std::size_t i = 0; i < life.disk.pending(); ++i) {
    if (life.disk.request(i).verb != verb) continue;
    life.finish(i);
    return true;
  }
  return false;
}

std::size_t pending(const Life& life, io::DiskVerb verb) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < life.disk.pending(); ++i) count += life.disk.request(i).verb == verb ? 1 : 0;
  return count;
}

Life fresh(const Options& options = small_options()) {
  Life life(formatted(options), options, 1);
  EXPECT_FALSE(life.error.has_value());
  life.settle();
  return life;
}

// Could a record be called durable before its sync, or with only one of its two writes done?
TEST(Journal, DurableOnlyAfterBothWritesAndASync) {
  Life life = fresh();
  const Lsn before = life.journal->durable();
  EXPECT_EQ(before, life.journal->last());
  const Lsn lsn = life.append(GroupId(1), 10).lsn;
  EXPECT_FALSE(life.journal->has_room());
  life.pump();
  EXPECT_TRUE(life.journal->has_room());
  ASSERT_EQ(pending(life, io::DiskVerb::write), 2u);
  EXPECT_TRUE(finish_one(life, io::DiskVerb::write));
  EXPECT_EQ(pending(life, io::DiskVerb::sync), 0u);
  EXPECT_TRUE(finish_one(life, io::DiskVerb::write));
  ASSERT_EQ(pending(life, io::DiskVerb::sync), 1u);
  EXPECT_EQ(life.journal->durable(), before);
  EXPECT_EQ(life.journal->find(GroupId(1), Index(1)), std::nullopt);
  EXPECT_TRUE(finish_one(life, io::DiskVerb::sync));
  EXPECT_EQ(life.journal->durable(), lsn);
  EXPECT_TRUE(life.read(GroupId(1), life.written[0].identity).has_value());
  EXPECT_EQ(life.journal->syncs(), 1u);
}

// Could a later batch, written and synced first, be released before an earlier one?
TEST(Journal, ReleasesInOrderOfLsn) {
  Life life = fresh();
  const Lsn before = life.journal->durable();
  for (int i = 0; i < 3; ++i) {
    life.append(GroupId(1), 10);
    life.pump();
  }
  while (life.disk.pending() > 2) life.finish(2);    // batches 2 and 3 are written
  EXPECT_EQ(pending(life, io::DiskVerb::sync), 0u);  // behind a gap a sync would be wasted
  EXPECT_EQ(life.journal->durable(), before);
  life.finish(0);
  life.finish(0);
  ASSERT_EQ(pending(life, io::DiskVerb::sync), 1u);  // one for all three
  life.finish(0);
  EXPECT_EQ(life.journal->durable(), life.written[2].lsn);
}

// Could a sync that was asked for before a write completed be taken to cover it?
TEST(Journal, ASyncCoversOnlyWhatWasWrittenBefore) {
  Life life = fresh();
  life.append(GroupId(1), 10);
  life.pump();
  finish_one(life, io::DiskVerb::write);
  finish_one(life, io::DiskVerb::write);
  life.append(GroupId(1), 10);
  life.pump();
  finish_one(life, io::DiskVerb::write);
  finish_one(life, io::DiskVerb::write);
  ASSERT_EQ(pending(life, io::DiskVerb::sync), 2u);
  // The second comes back first: nothing is released until the first is known to have succeeded.
  life.finish(1);
  EXPECT_LT(life.journal->durable(), life.written[0].lsn);
  life.finish(0);
  EXPECT_EQ(life.journal->durable(), life.written[1].lsn);
}

// Could more batches be in flight than the verdict allows for?
TEST(Journal, TheWindowIsBounded) {
  Life life = fresh();
  for (int i = 0; i < 10; ++i) {
    life.append(GroupId(1), 10);
    life.pump();
  }
  EXPECT_EQ(pending(life, io::DiskVerb::write), 2 * life.options.batches_in_flight_max);
  EXPECT_FALSE(life.journal->has_room());
  life.settle();
  EXPECT_EQ(life.journal->durable(), life.written.back().lsn);
  EXPECT_LE(life.journal->syncs(), 5u);  // what had to wait travelled together
}

// Could a batch exceed its limits, or a record that exceeds them alone never leave?
TEST(Journal, BatchesRespectTheirLimits) {
  Options options = small_options();
  options.batch_bytes_max = 3 * kSectorBytes;
  options.batch_records_max = 5;
  options.batches_in_flight_max = kBatchesInFlightMax;
  Life life = fresh(options);
  for (int i = 0; i < 4; ++i) life.append(GroupId(1), 10);                    // three fit by bytes
  life.append(GroupId(1), 5 * kSectorBytes);                                  // alone
  for (std::uint32_t i = 0; i < 6; ++i) life.truncate(GroupId(2), Index(1));  // five fit by count
  life.pump();
  std::vector<std::uint64_t> bodies;  // sectors
  for (std::size_t i = 0; i < life.disk.pending(); ++i) {
    const io::DiskRequest& request = life.disk.request(i);
    if (request.offset >= life.recovered.files[0].geometry.body_begin())
      bodies.push_back(request.length / kSectorBytes);
  }
  EXPECT_EQ(bodies, (std::vector<std::uint64_t>{3, 1, 6}));
  EXPECT_EQ(pending(life, io::DiskVerb::write), 5u + bodies.size());
  life.settle();
  EXPECT_EQ(life.journal->durable(), life.written.back().lsn);
  Life again(life.disk.image(), options, 2);
  ASSERT_FALSE(again.error.has_value()) << again.error->text;
  EXPECT_EQ(again.logs, life.logs);
}

// Could anything be released after a write, a sync or a creation failed, or after it was tried again?
TEST(Journal, AFailureLatchesForEver) {
  for (const io::DiskVerb verb : {io::DiskVerb::write, io::DiskVerb::sync, io::DiskVerb::create}) {
    Options options = small_options();
    options.identity_sectors = 4;
    Life life = fresh(options);
    life.append(GroupId(1), 10);
    life.settle();
    const io::DiskStatus status =
        verb == io::DiskVerb::create ? io::DiskStatus::no_space : io::DiskStatus::io_error;
    bool fired = false;
    life.disk.fault = [&](const io::DiskRequest& request) {
      if (request.verb != verb || fired) return io::DiskStatus::ok;  // once: later ones would succeed
      fired = true;
      return status;
    };
    Lsn durable;
    for (int i = 0; i < 12 && !life.journal->failed(); ++i) {
      durable = life.journal->durable();
      life.append(GroupId(1), 10);
      life.settle();
    }
    ASSERT_TRUE(life.journal->failed()) << io::name_of(verb);
    EXPECT_FALSE(life.journal->failure().empty());
    durable = std::max(durable, life.journal->durable());
    life.append(GroupId(1), 10);
    life.settle();
    EXPECT_EQ(life.journal->durable(), durable);
    EXPECT_FALSE(life.journal->has_room());
    EXPECT_FALSE(life.journal->failure().find(io::name_of(status)) == std::string::npos)
        << life.journal->failure();
  }
}

// Could a failed sync be forgotten because a younger one, in flight with it, came back first and well?
TEST(Journal, NothingIsReleasedByASyncThatFlewWithAFailedOne) {
  Life life = fresh();
  const Lsn before = life.journal->durable();
  for (int i = 0; i < 2; ++i) {
    life.append(GroupId(1), 10);
    life.pump();
    finish_one(life, io::DiskVerb::write);
    finish_one(life, io::DiskVerb::write);
  }
  ASSERT_EQ(pending(life, io::DiskVerb::sync), 2u);
  life.finish(1);
  life.disk.fault = [](const io::DiskRequest&) { return io::DiskStatus::io_error; };
  life.finish(0);
  EXPECT_TRUE(life.journal->failed());
  EXPECT_EQ(life.journal->durable(), before);
}

// Could a roll stall the journal, or lose the order between two files?
TEST(Journal, RollsToAFileThatWasMadeAhead) {
  Options options = small_options();
  options.identity_sectors = 4;
  Life life = fresh(options);
  ASSERT_EQ(life.journal->files(), 2u);
  for (int i = 0; i < 3; ++i) {  // with the opening batch the zone is full
    life.append(GroupId(1), 10);
    life.settle();
  }
  life.append(GroupId(1), 10);
  life.pump();
  EXPECT_EQ(pending(life, io::DiskVerb::write), 2u);  // it goes into the ready file at once
  EXPECT_EQ(pending(life, io::DiskVerb::create), 1u);
  life.settle();
  EXPECT_EQ(life.journal->find(GroupId(1), Index(4))->file_sequence, 2u);
  EXPECT_EQ(life.journal->files(), 3u);
  EXPECT_EQ(life.journal->bytes(), 3 * kFileBytesMin);
  for (const TestRecord& record : life.written)
    EXPECT_TRUE(life.read(record.group, record.identity).has_value());
  Life again(life.disk.image(), options, 2);
  ASSERT_FALSE(again.error.has_value()) << again.error->text;
  EXPECT_EQ(again.logs, life.logs);
}

// Could a journal without files ahead, or with a body zone that fills first, get stuck?
TEST(Journal, RollsWhenBodiesFillTheFileAndNothingIsReady) {
  Options options = small_options();
  options.files_ahead = 0;
  Life life = fresh(options);
  EXPECT_EQ(life.journal->files(), 1u);
  for (int i = 0; i < 10; ++i) life.append(GroupId(1), 60'000);
  life.settle();
  EXPECT_EQ(life.journal->durable(), life.written.back().lsn);
  EXPECT_GE(life.journal->files(), 3u);
  Life again(life.disk.image(), options, 2);
  ASSERT_FALSE(again.error.has_value()) << again.error->text;
  EXPECT_EQ(again.logs, life.logs);
}

// Could find() show a cut entry, or a new entry under the old one's place?
TEST(Journal, TruncationVoidsPlaces) {
  Life life = fresh();
  for (int i = 0; i < 3; ++i) life.append(GroupId(1), 10);
  life.settle();
  const auto second = life.journal->find(GroupId(1), Index(2));
  life.append(GroupId(1), 10);  // index 4, cut before it is durable
  life.pump();
  life.truncate(GroupId(1), Index(2));
  EXPECT_EQ(life.journal->find(GroupId(1), Index(2)), std::nullopt);
  EXPECT_NE(life.journal->find(GroupId(1), Index(1)), std::nullopt);
  for (int i = 0; i < 3; ++i) life.append(GroupId(1), 10);
  life.settle();
  EXPECT_NE(life.journal->find(GroupId(1), Index(2)), second);
  for (std::size_t i = 5; i < 8; ++i)
    EXPECT_TRUE(life.read(GroupId(1), life.written[i].identity).has_value());
  EXPECT_EQ(life.journal->find(GroupId(1), Index(5)), std::nullopt);
  EXPECT_EQ(life.journal->find(GroupId(2), Index(1)), std::nullopt);
}

// Could an idle node leave its last batches above the mark, where a fault could pass for a power loss?
TEST(Journal, TheMarkCatchesUpWhenIdle) {
  Life life = fresh();
  EXPECT_FALSE(life.journal->mark_is_due());
  life.append(GroupId(1), 10);
  life.settle();
  EXPECT_TRUE(life.journal->mark_is_due());
  life.journal->mark_synced(life.queue);
  life.settle();
  EXPECT_FALSE(life.journal->mark_is_due());
  Life again(life.disk.image(), life.options, 2);
  EXPECT_EQ(again.recovered.synced, life.written[0].lsn);
  EXPECT_EQ(again.logs, life.logs);
  EXPECT_FALSE(again.journal->mark_is_due());
}

// Could the payload of a configuration entry be known only from a body that may rot?
TEST(Journal, ConfigurationsAreStoredBesideTheirIdentities) {
  Life life = fresh();
  life.append(GroupId(1), 30, EntryKind::configuration);
  life.append(GroupId(1), 10);
  life.append(GroupId(1), kInlineBytesMax, EntryKind::configuration);
  life.append(GroupId(1), 40, EntryKind::configuration);
  life.truncate(GroupId(1), Index(4));
  life.settle();
  Life again(life.disk.image(), life.options, 2);
  ASSERT_FALSE(again.error.has_value()) << again.error->text;
  const auto& configurations = again.recovered.groups.at(GroupId(1)).configurations;
  ASSERT_EQ(configurations.size(), 2u);
  EXPECT_EQ(configurations[0].first, Index(1));
  EXPECT_EQ(configurations[0].second.text(), life.written[0].payload);
  EXPECT_EQ(configurations[1].second.text(), life.written[2].payload);
}

// Could a payload be copied on its way to the disk, or its padding carry what was in memory before?
TEST(Journal, ABodyIsWrittenWhereItLies) {
  BodyBuilder builder(100'000);
  std::memset(builder.room().data(), 0xab, builder.room().size());
  const Body body = std::move(builder).finish(5000);
  EXPECT_EQ(body.payload().size(), 5000u);
  EXPECT_EQ(body.whole().size(), record_bytes(5000));
  EXPECT_EQ(body.payload().data(), body.whole().data() + kRecordHeaderBytes);
  EXPECT_TRUE(is_zero(body.whole().span().subspan(kRecordHeaderBytes + 5000)));
  Life life = fresh();
  const EntryIdentity identity{Term(1), Index(1), EntryKind::transactions, 5000,
                               io::checksum(body.payload().span())};
  life.journal->append(GroupId(1), identity, body);
  life.pump();
  bool found = false;
  for (std::size_t i = 0; i < life.disk.pending(); ++i) {
    const io::DiskRequest& request = life.disk.request(i);
    if (request.verb == io::DiskVerb::write && request.length == record_bytes(5000)) {
      found = request.data.at(0).data() == body.whole().data();
    }
  }
  EXPECT_TRUE(found);
}

// Could verify_record accept another record, or a damaged one, in the place of the one that was asked for?
TEST(Journal, AReadRecordMustProveItself) {
  Life life = fresh();
  life.append(GroupId(1), 5000);
  life.append(GroupId(2), 5000);
  life.settle();
  const EntryIdentity identity = life.written[0].identity;
  const Location at = *life.journal->find(GroupId(1), Index(1));
  io::DiskRequest request;
  request.verb = io::DiskVerb::read;
  request.file = life.journal->file_of(at.file_sequence);
  request.offset = at.offset;
  request.length = record_bytes(identity.size);
  life.queue.submit(node::DiskOwner::reader, std::move(request));
  life.disk.take(life.queue);
  const Bytes good = life.disk.finish(0).data;
  ASSERT_EQ(verify_record(good, test_stamp(1), GroupId(1), identity, at)->text(), life.written[0].payload);
  EXPECT_FALSE(verify_record(good, test_stamp(1), GroupId(2), identity, at).has_value());
  EXPECT_FALSE(verify_record(good, test_stamp(1), GroupId(1), life.written[1].identity, at).has_value());
  EXPECT_FALSE(verify_record(good, test_stamp(1), GroupId(1), identity, {at.file_sequence + 1, at.offset})
                   .has_value());
  EXPECT_FALSE(verify_record(good, test_stamp(1), GroupId(1), identity, {at.file_sequence, 0}).has_value());
  EXPECT_FALSE(
      verify_record(good.slice(0, kSectorBytes), test_stamp(1), GroupId(1), identity, at).has_value());
  EXPECT_FALSE(verify_record(good.slice(0, 5), test_stamp(1), GroupId(1), identity, at).has_value());
  EXPECT_EQ(verify_record(good, {io::ClusterId(1), kTestNode, Incarnation(1)}, GroupId(1), identity, at)
                .error()
                .code,
            RecoveryError::Code::foreign);
  for (const std::size_t byte : {3u, 60u, 200u, 5100u}) {
    std::vector<std::byte> bad(good.data(), good.data() + good.size());
    bad[byte] ^= std::byte{4};
    EXPECT_EQ(verify_record(Bytes::copy_of(bad), test_stamp(1), GroupId(1), identity, at).error().code,
              RecoveryError::Code::rot);
  }
}

// Could nonsensical options be accepted?
TEST(Journal, OptionsAreChecked) {
  EXPECT_EQ(problem_with(Options{}), std::nullopt);
  EXPECT_EQ(problem_with(small_options()), std::nullopt);
  const auto refused = [](auto change) {
    Options options;
    change(options);
    return problem_with(options).has_value();
  };
  EXPECT_TRUE(refused([](Options& o) { o.file_bytes = 100'000; }));
  EXPECT_TRUE(refused([](Options& o) { o.file_bytes += 1; }));
  EXPECT_TRUE(refused([](Options& o) { o.identity_sectors = 1u << 20; }));
  EXPECT_TRUE(refused([](Options& o) { o.batches_in_flight_max = 17; }));
  EXPECT_TRUE(refused([](Options& o) { o.batch_records_max = 49; }));
  EXPECT_TRUE(refused([](Options& o) { o.syncs_in_flight_max = 0; }));
  EXPECT_TRUE(refused([](Options& o) { o.manifest_pages = 0; }));
  EXPECT_EQ(payload_bytes_max(Options{}), kEntryBytesMax);
  EXPECT_LT(payload_bytes_max(small_options()), kFileBytesMin);
}

}  // namespace
}  // namespace reel::journal
