// Writes the near seeds of the fuzz targets: write_seeds DIRECTORY makes DIRECTORY/<target>/seed-<n>. Valid inputs of
// every kind, small, so that mutation starts beside what decoders accept. Run by `fuzz/run_fuzzers --write-seeds`.
#include <zstd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "io/wire/codec.h"
#include "io/wire/limits.h"
#include "io/wire/samples_for_tests.h"
#include "node/cluster/commands.h"
#include "node/journal/page_table.h"
#include "node/log/record.h"
#include "node/raft/configuration_codec.h"
#include "sim/trace.h"

namespace {
using namespace reel;
using Content = std::vector<std::byte>;

class Corpus {
 public:
  Corpus(const std::filesystem::path& root, const std::string& target) : directory_(root / target) {
    std::filesystem::create_directories(directory_);
  }
  void add(const Content& content) {
    std::ofstream file(directory_ / ("seed-" + std::to_string(++count_)), std::ios::binary);
    file.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
    if (!file.flush()) {
      std::fprintf(stderr, "write_seeds: cannot write to %s\n", directory_.c_str());
      std::exit(1);
    }
  }

 private:
  std::filesystem::path directory_;
  int count_ = 0;
};

Content behind(std::initializer_list<unsigned> prefix, std::span<const std::byte> content) {
  Content all;
  for (const unsigned byte : prefix) all.push_back(static_cast<std::byte>(byte));
  all.insert(all.end(), content.begin(), content.end());
  return all;
}

void write_frames(Corpus corpus) {
  for (std::uint64_t which = 0; which < std::variant_size_v<PeerBody>; ++which) {
    wire::Draw draw(which + 1);
    PeerBatch batch;
    batch.messages.push_back(wire::sample_message(draw, which));
    corpus.add(behind({0}, wire::encode(batch).span()));
  }
  for (std::uint64_t which = 0; which < std::variant_size_v<ClientCall>; ++which) {
    corpus.add(behind({1}, wire::encode(wire::sample_call(which + 1, which)).span()));
  }
  for (std::uint64_t which = 0; which < std::variant_size_v<ClientReply>; ++which) {
    corpus.add(behind({2}, wire::encode(wire::sample_reply(which + 1, which)).span()));
  }
}

Content sample_records(unsigned count) {
  Content block;
  for (unsigned i = 0; i < count; ++i) {
    const std::string data(i * 5, static_cast<char>('a' + i));
    const std::vector<log::LockKey> locks(i % 3, log::LockKey{.low = i, .high = 7});
    log::TransactionInput transaction;
    transaction.header = i;
    transaction.data = std::as_bytes(std::span(data));
    transaction.write_locks = locks;
    transaction.append_locks = locks;
    if (i > 0) transaction.based_on = TxnId(i);
    log::append_record(block, transaction);
  }
  return block;
}

std::uint32_t changes_of(std::span<const std::byte> records) {
  std::uint32_t changes = 0;
  while (const auto record = log::parse_record(records)) {
    changes += record->write_locks + record->append_locks;
    records = records.subspan(record->size);
  }
  return changes;
}

void write_records(Corpus corpus) {
  for (unsigned count = 1; count <= 4; ++count) corpus.add(behind({1, count, 0}, sample_records(count)));
  for (unsigned sections = 0; sections <= 3; ++sections) {
    Content payload(log::kEntryHeaderBytes);
    log::EntryHeader header{
        .sections = static_cast<std::uint16_t>(sections), .first_id = TxnId(3), .time = 1000};
    for (unsigned i = 1; i <= sections; ++i) {
      const bool burn = i == 2;
      const Content records = sample_records(burn ? 0 : i);
      Content section(log::kSectionHeaderBytes);
      const log::SectionHeader described{
          .session = {.high = 1, .low = i},
          .first = Sequence(i),
          .count = i,
          .bytes = static_cast<std::uint32_t>(records.size()),
          .kind = burn ? log::SectionKind::burn : log::SectionKind::transactions,
          .opens = i == 3,
          .changes = changes_of(records)};
      log::write_section_header(std::span(section).first<log::kSectionHeaderBytes>(), described);
      payload.insert(payload.end(), section.begin(), section.end());
      payload.insert(payload.end(), records.begin(), records.end());
      header.transactions += described.transactions();
    }
    log::write_entry_header(std::span(payload).first<log::kEntryHeaderBytes>(), header);
    corpus.add(behind({0}, payload));
  }
}

void write_configurations(Corpus corpus) {
  raft::Configuration plain{
      .voters = {NodeId(1), NodeId(2), NodeId(3)}, .outgoing = {}, .learners = {NodeId(9)}};
  raft::Configuration joint{.voters = {NodeId(1), NodeId(4)}, .outgoing = plain.voters, .learners = {}};
  for (const raft::Configuration& configuration : {plain, joint}) {
    corpus.add(behind({}, raft::encode_configuration(configuration).span()));
  }
}
void write_commands(Corpus corpus) {
  const raft::Configuration three{
      .voters = {NodeId(1), NodeId(2), NodeId(3)}, .outgoing = {}, .learners = {}};
  cluster::Report join{{"g", MemberId{1, 2}, ReaderGroupCall::Verb::join, io::seconds(9), {}}, 4};
  cluster::Report report{{"g", MemberId{1, 2}, ReaderGroupCall::Verb::report, {}, {}}, 4};
  report.call.progress = {{GroupId(1), Epoch(1), TxnId(5), false}, {GroupId(3), Epoch(1), TxnId(7), true}};
  cluster::Report second = join;
  second.call.member = {3, 4};
  const std::vector<cluster::Command> commands{cluster::CreatePartitions{1, 4, three},
                                               join,
                                               second,
                                               report,
                                               cluster::RevokeShare{"g", GroupId(2), Epoch(1)},
                                               cluster::ExpireMember{"g", MemberId{3, 4}},
                                               cluster::RemoveReaderGroup{"g"}};
  for (const cluster::Command& command : commands) {
    corpus.add(behind({}, cluster::encode(std::span(&command, 1))));
  }
  corpus.add(behind({}, cluster::encode(commands)));
}
void write_journal(Corpus corpus) {
  const journal::Stamp stamp{io::ClusterId(7), NodeId(1), Incarnation(2)};
  std::array<std::byte, journal::kSectorBytes> sector{};
  const std::span<const std::byte> start =
      std::span(sector).first(512);  // the rest is zeros: the target adds them
  journal::encode_file_header({stamp, 1, 0, {journal::kFileBytesMin, 4}}, sector);
  corpus.add(behind({0}, start));
  for (std::size_t count = 0; count <= 3; ++count) {
    journal::IdentitySector batch;
    batch.stamp = stamp;
    batch.file_sequence = 1;
    batch.offset = journal::kSectorBytes;
    batch.batch = 1;
    batch.first_lsn = Lsn(1);
    batch.body_offset = count == 0 ? 0 : 5 * journal::kSectorBytes;
    for (std::size_t i = 0; i < count; ++i) {
      const Lsn previous(i);
      journal::RecordIdentity record{GroupId(1), journal::RecordKind::entry, {}, 0, previous, {}};
      record.identity = {Term(1), Index(i + 1), EntryKind::transactions, 100, io::checksum({})};
      record.body_offset = batch.body_offset + batch.body_bytes;
      batch.body_bytes += journal::record_bytes(record.identity.size);
      batch.records.push_back(record);
    }
    journal::encode_identity_sector(batch, sector);
    corpus.add(behind({1}, start));
  }
  journal::RecordHeader header;
  header.stamp = stamp;
  header.file_sequence = 1;
  header.offset = 5 * journal::kSectorBytes;
  header.batch = 1;
  header.lsn = Lsn(1);
  header.group = GroupId(1);
  header.identity = {Term(1), Index(1), EntryKind::transactions, 100, io::checksum({})};
  const auto record = std::span(sector).first<journal::kRecordHeaderBytes>();
  journal::encode_record_header(header, record);
  corpus.add(behind({2}, record));
}
void write_pages(Corpus corpus) {
  for (const auto kind :
       {journal::PageKind::superblock, journal::PageKind::hard_state, journal::PageKind::manifest}) {
    journal::Page page;
    page.kind = kind;
    page.stamp = {io::ClusterId(7), NodeId(1), Incarnation(2)};
    page.generation = 1;
    page.offset = journal::page_at(1, 0, page.generation, 0);
    page.content.resize(40, std::byte{3});
    std::array<std::byte, journal::kSectorBytes> sector{};
    journal::encode_page(page, sector);
    corpus.add(behind({0}, std::span(sector).first(256)));
  }
}
// As targets/trace.cc takes them apart: the length of the header, the header, the body.
void write_traces(Corpus corpus) {
  for (std::uint64_t count = 0; count <= 3; ++count) {
    sim::Trace trace;
    trace.seed = count;
    trace.build = "0";
    if (count > 0) trace.options = {{"mode", "bounded"}};
    for (std::uint64_t i = 0; i < count; ++i) {
      trace.overrides.push_back({{sim::Choice::tie, 1, 2, i}, i});
      sim::TraceRecord record;
      record.time = io::Instant{static_cast<std::int64_t>(i * 100)};
      record.machine = static_cast<std::uint32_t>(i);
      record.kind = sim::EventKind::boot;
      trace.records.push_back(record);
      trace.marks.push_back("mark" + std::to_string(i));
    }
    if (count == 3) trace.failure = sim::TraceFailure{"oracle", "signature", "text"};
    const Content whole = sim::encode_trace(trace);
    std::uint32_t header = 0;
    std::memcpy(&header, whole.data() + 12, sizeof header);
    std::uint64_t sizes[2] = {};  // of the body, before and after compression
    std::memcpy(sizes, whole.data() + 16 + header, sizeof sizes);
    Content body(sizes[0]);
    ZSTD_decompress(body.data(), body.size(), whole.data() + 16 + header + sizeof sizes, sizes[1]);
    Content input = behind({0, header}, std::span(whole).subspan(16, header));
    input.insert(input.end(), body.begin(), body.end());
    corpus.add(input);
  }
}
}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_seeds DIRECTORY\n");
    return 2;
  }
  const std::filesystem::path root = argv[1];
  write_frames(Corpus(root, "wire_frame"));
  write_records(Corpus(root, "log_record"));
  write_configurations(Corpus(root, "raft_configuration"));
  write_commands(Corpus(root, "cluster_commands"));
  write_journal(Corpus(root, "journal_format"));
  write_pages(Corpus(root, "journal_page"));
  write_traces(Corpus(root, "trace"));
  return 0;
}
