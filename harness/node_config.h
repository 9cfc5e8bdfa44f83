// The configuration of one production node, as `reel node --config FILE` reads it (TOML), and token files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/refusal.h"
#include "io/ports/service.h"
#include "node/node.h"

namespace reel::harness {

struct PeerAddress {
  NodeId node;
  std::string address;  // HOST:PORT
};

// The table [limits] of a configuration, as far as it speaks of connections; the rest is in NodeOptions. Each limit is
// enforced before memory is taken. harness/README.md lists them all, with their bounds and what a caller is told.
struct ServerLimits {
  std::uint32_t connections_max = 4096;
  std::uint64_t frame_bytes_max = 4u << 20;
  std::uint32_t calls_max = 65536;
  std::uint64_t call_bytes_max = 256u << 20;
  std::uint64_t unread_bytes_max = 64u << 20;
};

struct NodeConfig {
  io::ClusterId cluster;
  NodeId node;
  std::string dir;
  std::string listen;
  std::string token_file;
  std::vector<PeerAddress> peers;  // every node of the cluster, this one too
  std::string disk_engine = "automatic";
  std::string record;  // if set: every disk operation is recorded into this file (durability proofs)
  node::NodeOptions options;
  ServerLimits limits;
};

// Refuses (CommandError) a missing file, bad TOML, an unknown key, a value out of range.
[[nodiscard]] NodeConfig read_node_config(const std::string& path);
// The same of a file's content; `path` is for the words of a refusal.
[[nodiscard]] NodeConfig parse_node_config(std::string_view content, const std::string& path);

// A journal file holds the largest entry; a smaller one would stop its node when a client sends much at once.
inline constexpr std::uint64_t kJournalFileMibMin = 8;
inline constexpr std::uint64_t kJournalFileMibMax = 1024;
// The journal's options for files of this size, within these bounds.
[[nodiscard]] journal::Options journal_options(std::uint64_t file_mib);

// "1=127.0.0.1:7101" as given to --peer.
[[nodiscard]] PeerAddress parse_peer(const std::string& text);
// HOST:PORT with a port in 1 … 65535; refuses anything else, with this exit status.
void check_address(const std::string& address, const std::string& what, Exit status = Exit::finding);

// A token file has one token a line: TOKEN (all rights), or "read TOKEN", "append TOKEN", "admin TOKEN".
// It must not be readable by others than its owner.
struct Token {
  std::string secret;
  io::Rights rights{};
  bool peer = false;  // may speak as a replica
};
[[nodiscard]] std::vector<Token> read_tokens(const std::string& path);
[[nodiscard]] std::vector<Token> parse_tokens(const std::string& content, const std::string& path);
// Makes a file of mode 0600 with one new random token of all rights; refuses to overwrite.
void make_token_file(const std::string& path);

}  // namespace reel::harness
