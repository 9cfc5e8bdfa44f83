// Writes the near seeds of the targets that need the real world's code: write_real_seeds DIRECTORY makes
// DIRECTORY/<target>/seed-<n>. Run by `fuzz/run_fuzzers --write-seeds`.
#include <capnp/message.h>
#include <capnp/serialize.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <variant>

#include "io/ports/disk.h"
#include "io/ports/endian.h"
#include "io/real/recording.h"
#include "io/real/rpc_messages.h"
#include "io/wire/limits.h"
#include "io/wire/samples_for_tests.h"

namespace {
using namespace reel;

class Corpus {
 public:
  explicit Corpus(const std::filesystem::path& directory) : directory_(directory) {
    std::filesystem::create_directories(directory_);
  }
  void add(std::string_view content) {
    std::ofstream file(directory_ / ("seed-" + std::to_string(++count_)), std::ios::binary);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    failed_ = failed_ || !file.flush();
  }
  template <class Schema, class Value>
  void add(char which, const Value& value) {
    capnp::MallocMessageBuilder builder;
    real::write(builder.initRoot<Schema>(), value);
    const auto words = capnp::messageToFlatArray(builder);
    const auto bytes = words.asChars();
    add(which + std::string(bytes.begin(), bytes.size()));
  }
  // True if all of it was written.
  bool finish() const {
    if (failed_) std::fprintf(stderr, "write_real_seeds: cannot write to %s\n", directory_.c_str());
    return !failed_;
  }

 private:
  std::filesystem::path directory_;
  int count_ = 0;
  bool failed_ = false;
};

bool write_messages(Corpus corpus) {
  for (std::uint64_t which = 0; which < std::variant_size_v<PeerBody>; ++which) {
    wire::Draw draw(which + 1);
    corpus.add<schema::PeerMessage>(0, wire::sample_message(draw, which));
  }
  corpus.add<schema::AppendBatch>(1, std::get<AppendCall>(wire::sample_call(1, 0)));
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    corpus.add<schema::AppendResult>(2, wire::sample_reply(seed, 0));  // an error
    corpus.add<schema::AppendResult>(2, wire::sample_reply(seed, 1));
    corpus.add<schema::FeedResult>(3, wire::sample_reply(seed, 2));
    corpus.add<schema::HighWaterResult>(4, wire::sample_reply(seed, 3));
    corpus.add<schema::StatusResult>(5, wire::sample_reply(seed, 4));
  }
  corpus.add<schema::Partition::ResolveParams>(6, std::get<ResolveCall>(wire::sample_call(1, 4)));
  corpus.add<schema::ResolveResult>(7, ClientReply(ResolveResult{}));
  corpus.add<schema::ResolveResult>(
      7, ClientReply(ResolveResult{CommittedRun{Sequence(2), 1, TxnId(3), 4}, false}));
  corpus.add<schema::ResolveResult>(7, ClientReply(ResolveResult{std::nullopt, true}));
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {  // filters with and without each part, matches, absences
    corpus.add<schema::Reader::FeedParams>(8, std::get<FeedCall>(wire::sample_call(seed, 1)));
    corpus.add<schema::FeedResult>(3, wire::sample_reply(seed + 2, 2));
    corpus.add<schema::TransactionResult>(9, wire::sample_reply(seed, 6));
  }
  return corpus.finish();
}

// The story of a disk, in the records that targets/disk_recording.cc puts into a recording.
class Story {
 public:
  Story& base(std::string_view name, std::uint64_t size) {
    return record(real::RecordKind::base_file, number(size) + named(name))
        .record(real::RecordKind::base_data, number<std::uint64_t>(0) + named(name));
  }
  Story& submitted(io::DiskVerb verb, std::uint64_t sector = 0, std::uint64_t sectors = 0,
                   std::string_view name = {}) {
    return record(real::RecordKind::submitted,
                  number(++op_) + static_cast<char>(verb) + number(std::uint32_t{1}) +
                      number(sector * io::kSectorBytes) + number(sectors * io::kSectorBytes) + named(name));
  }
  Story& completed(io::DiskStatus status = io::DiskStatus::ok) {
    return record(real::RecordKind::completed,
                  number(op_) + static_cast<char>(status) + number<std::uint64_t>(0));
  }
  Story& mark(std::string_view text) { return record(real::RecordKind::mark, std::string(text)); }
  const std::string& text() const { return text_; }

 private:
  template <class Integer>
  static std::string number(Integer value) {
    std::string bytes(sizeof value, '\0');
    io::store(reinterpret_cast<std::byte*>(bytes.data()), value);
    return bytes;
  }
  static std::string named(std::string_view name) {
    return static_cast<char>(name.size()) + std::string(name);
  }
  Story& record(real::RecordKind kind, const std::string& body) {
    text_ += static_cast<char>(kind);
    text_ += static_cast<char>(body.size());
    text_ += body;
    return *this;
  }

  std::uint64_t op_ = 0;
  std::string text_{'\1'};  // the target is to put it together
};

bool write_recordings(Corpus corpus) {
  using enum io::DiskVerb;
  corpus.add(Story().base("a", 3 * io::kSectorBytes).submitted(open, 0, 0, "a").completed().text());
  corpus.add(Story()
                 .submitted(create, 0, 8, "b")
                 .completed()
                 .submitted(write, 2, 3)
                 .completed()
                 .submitted(sync)
                 .completed()
                 .submitted(sync_directory)
                 .completed()
                 .mark("acked 0 0 1")
                 .submitted(write, 1, 4)
                 .text());
  corpus.add(Story()
                 .submitted(create, 0, 2, "c")
                 .completed(io::DiskStatus::no_space)
                 .submitted(create, 0, 1, "c")
                 .completed()
                 .submitted(close)
                 .completed()
                 .submitted(remove, 0, 0, "c")
                 .completed()
                 .submitted(list)
                 .text());
  return corpus.finish();
}

bool write_configs(Corpus corpus) {
  const std::string config =
      "cluster = 7\nnode = 1\ndir = \"d\"\nlisten = \"127.0.0.1:7101\"\ntoken_file = \"t\"\n"
      "peers = [ { node = 1, address = \"127.0.0.1:7101\" } ]\n";
  corpus.add(std::string(1, '\0') + config);
  corpus.add(std::string(1, '\0') +
             "disk_engine = \"uring\"\ncache_mib = 8\nelection_timeout_ms = 300\n"
             "heartbeat_ms = 50\njournal_file_mib = 8\nrecord = \"r\"\n" +
             config);
  corpus.add(
      "\1"
      "0123456789abcdef\nread 0123456789abcdef\nappend 0123456789abcdef\nadmin 0123456789abcdef\n");
  return corpus.finish();
}
}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_real_seeds DIRECTORY\n");
    return 2;
  }
  const std::filesystem::path root(argv[1]);
  const bool written = write_messages(Corpus(root / "rpc_messages")) &&
                       write_recordings(Corpus(root / "disk_recording")) &&
                       write_configs(Corpus(root / "node_config"));
  return written ? 0 : 1;
}
