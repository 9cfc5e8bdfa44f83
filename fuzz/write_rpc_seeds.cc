// Writes the near seeds of targets/rpc_messages.cc: write_rpc_seeds DIRECTORY. Run by `fuzz/run_fuzzers --write-seeds`.
#include <capnp/message.h>
#include <capnp/serialize.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <variant>

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
  template <class Schema, class Value>
  void add(char which, const Value& value) {
    capnp::MallocMessageBuilder builder;
    real::write(builder.initRoot<Schema>(), value);
    const auto words = capnp::messageToFlatArray(builder);
    const auto bytes = words.asChars();
    std::ofstream file(directory_ / ("seed-" + std::to_string(++count_)), std::ios::binary);
    file.put(which).write(bytes.begin(), static_cast<std::streamsize>(bytes.size()));
    failed_ = failed_ || !file.flush();
  }
  bool failed() const { return failed_; }

 private:
  std::filesystem::path directory_;
  int count_ = 0;
  bool failed_ = false;
};
}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_rpc_seeds DIRECTORY\n");
    return 2;
  }
  Corpus corpus(std::filesystem::path(argv[1]) / "rpc_messages");
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
  if (corpus.failed()) std::fprintf(stderr, "write_rpc_seeds: cannot write to %s\n", argv[1]);
  return corpus.failed() ? 1 : 0;
}
