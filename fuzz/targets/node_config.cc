// Configurations and token files are written by people, and by whoever may write where they lie. Whatever the content:
// refused with one line, or values within their documented bounds.
//
// input: byte 0 even: the rest is a configuration; odd: a token file.
#include "harness/node_config.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "harness/refusal.h"
#include "io/ports/assert.h"

namespace {
using namespace reel;

constexpr const char* kPath = "node.toml";
// Every sentence of ours, and at most two texts of the file in it.
constexpr std::size_t kLineBytesMax = 600;

void check_line(const std::string& text) {
  REEL_CHECK(!text.empty() && text.size() <= kLineBytesMax);
  REEL_CHECK(std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' '; }));
}

void check_config(const harness::NodeConfig& config) {
  REEL_CHECK(config.cluster.value > 0 && config.node.value > 0 && !config.dir.empty());
  REEL_CHECK(std::any_of(config.peers.begin(), config.peers.end(),
                         [&](const harness::PeerAddress& peer) { return peer.node == config.node; }));
  const node::GroupOptions& group = config.options.group;
  REEL_CHECK(group.heartbeat_interval.ns > 0 && group.heartbeat_interval * 3 <= group.election_timeout);
  const std::uint64_t file_mib = config.options.journal.file_bytes >> 20;
  REEL_CHECK(file_mib >= harness::kJournalFileMibMin && file_mib <= harness::kJournalFileMibMax);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string content(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] % 2 == 0) {
      check_config(harness::parse_node_config(content, kPath));
    } else {
      for (const harness::Token& token : harness::parse_tokens(content, kPath)) {
        REEL_CHECK(token.secret.size() >= 16 && token.secret.size() <= 256);
        REEL_CHECK(io::includes(token.rights, io::Rights::read));
      }
    }
  } catch (const harness::CommandError& error) {
    check_line(error.text);
  }
  return 0;
}
