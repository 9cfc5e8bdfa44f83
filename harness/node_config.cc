// toml++ takes for granted, in release builds, what a malformed file can break ("[ =" does): here its assertions stay on,
// and are refusals. No other file includes it.
#undef NDEBUG
struct TomlDefect {};
[[noreturn]] static void find_toml_defect() { throw TomlDefect(); }
#define TOML_ASSERT(expression) ((expression) ? static_cast<void>(0) : find_toml_defect())

#include "harness/node_config.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "io/ports/assert.h"
#include "node/log/record.h"

namespace reel::harness {
namespace {

constexpr std::size_t kTokenBytesMax = 256;
constexpr std::size_t kTextFileBytesMax = 1u << 20;
// Below these a client that knows nothing of this node's limits could send what it refuses (client::AppenderOptions).
constexpr std::uint32_t kBatchKibMin = 512;
constexpr std::uint32_t kBatchTransactionsMin = 1024;
constexpr std::uint32_t kTransactionMoreKib = 8;
constexpr std::uint32_t kFrameMoreKib = 64;
static_assert(log::kRecordHeaderBytes + kTransactionLocksMax * sizeof(LockKey) + 8 <= kTransactionMoreKib
                                                                                          << 10);

class Table {
 public:
  Table(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

  std::uint64_t number(const char* key, std::uint64_t low, std::uint64_t high,
                       std::optional<std::uint64_t> fallback) {
    known_.insert(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr) {
      if (!fallback) refuse(where_ + ": the key '" + key + "' is missing: add it");
      return *fallback;
    }
    const auto value = node->value_exact<std::int64_t>();
    if (!value || *value < 0 || static_cast<std::uint64_t>(*value) < low ||
        static_cast<std::uint64_t>(*value) > high) {
      refuse(where_ + ": '" + key + "' must be a whole number from " + std::to_string(low) + " to " +
             std::to_string(high));
    }
    return static_cast<std::uint64_t>(*value);
  }
  std::string text(const char* key, std::optional<std::string> fallback) {
    known_.insert(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr) {
      if (!fallback) refuse(where_ + ": the key '" + key + "' is missing: add it");
      return *fallback;
    }
    const auto value = node->value_exact<std::string>();
    if (!value || value->empty()) refuse(where_ + ": '" + key + "' must be a text that is not empty");
    return *value;
  }
  // A table inside of this one; an empty one if there is none.
  Table table(const char* key) {
    static const toml::table kNone;
    known_.insert(key);
    const toml::node* node = table_.get(key);
    if (node != nullptr && !node->is_table())
      refuse(where_ + ": '" + key + "' must be a table: [" + key + "]");
    return Table(node == nullptr ? kNone : *node->as_table(), where_ + ", [" + key + "]");
  }
  const std::string& where() const { return where_; }
  const toml::array* array(const char* key) {
    known_.insert(key);
    const toml::node* node = table_.get(key);
    return node == nullptr ? nullptr : node->as_array();
  }
  void refuse_unknown() const {
    for (const auto& [key, value] : table_) {
      const std::string name(key.str());
      if (!known_.contains(name)) {
        refuse(where_ + ": unknown key '" + shown(name) + "': remove it or correct its spelling");
      }
    }
  }

 private:
  const toml::table& table_;
  std::string where_;
  std::set<std::string> known_;
};

io::Duration milliseconds_of(Table& table, const char* key, std::uint64_t high, io::Duration fallback) {
  return io::milliseconds(static_cast<std::int64_t>(
      table.number(key, 1, high, static_cast<std::uint64_t>(fallback.ns / 1'000'000))));
}

// A text file of at most kTextFileBytesMax.
std::string content_of(const std::string& path, const std::string& what) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    refuse("the " + what + " '" + path + "' is a directory: name a file");
  std::ifstream file(path, std::ios::binary);
  if (!file)
    refuse("cannot read the " + what + " '" + path + "' (" + std::strerror(errno) +
           "): name a file that can be read");
  std::string content(kTextFileBytesMax + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.size() > kTextFileBytesMax)
    refuse("'" + path + "' is no " + what + ": it is larger than 1 MiB");
  return content;
}

// All of a line but what is a comment beyond doubt.
std::string_view before_comment(std::string_view line) {
  const std::string_view code = line.substr(0, line.find('#'));
  const bool sure = code.find('\\') == std::string_view::npos &&
                    std::count(code.begin(), code.end(), '"') % 2 == 0 &&
                    std::count(code.begin(), code.end(), '\'') % 2 == 0;
  return sure ? code : line;
}

// Where other characters stand outside of texts, toml++ 3.3 runs into what it takes for unreachable (its table of white
// space); found by fuzz/targets/node_config.cc.
void refuse_beyond_ascii(std::string_view content, const std::string& path) {
  const bool may_have_comments =
      content.find("\"\"\"") == std::string_view::npos && content.find("'''") == std::string_view::npos;
  std::size_t number = 0;
  while (!content.empty()) {
    ++number;
    const std::string_view line = content.substr(0, content.find('\n'));
    content.remove_prefix(std::min(content.size(), line.size() + 1));
    const std::string_view code = may_have_comments ? before_comment(line) : line;
    if (std::none_of(code.begin(), code.end(), [](unsigned char c) { return c >= 0x80; })) continue;
    refuse(path + ", line " + std::to_string(number) +
           " has a character that is not ASCII: outside of comments write it as \\uXXXX, in double quotes");
  }
}

bool lies_in(const std::string& file, const std::string& directory) {
  std::error_code error;
  const auto parent = std::filesystem::weakly_canonical(std::filesystem::absolute(file), error).parent_path();
  return parent == std::filesystem::weakly_canonical(std::filesystem::absolute(directory), error);
}

std::vector<PeerAddress> peers_of(Table& table, const std::string& where) {
  const toml::array* list = table.array("peers");
  if (list == nullptr || list->empty()) {
    refuse(where + ": 'peers' must list every node of the cluster as { node = N, address = \"HOST:PORT\" }");
  }
  std::vector<PeerAddress> peers;
  for (const toml::node& item : *list) {
    const toml::table* one = item.as_table();
    if (one == nullptr) refuse(where + ": 'peers' must hold tables { node = N, address = \"HOST:PORT\" }");
    Table entry(*one, where + ", peers");
    PeerAddress peer;
    peer.node = NodeId(entry.number("node", 1, INT64_MAX, std::nullopt));
    peer.address = entry.text("address", std::nullopt);
    entry.refuse_unknown();
    check_address(peer.address, where + ": the address of node " + std::to_string(peer.node.value));
    for (const PeerAddress& other : peers) {
      if (other.node == peer.node) {
        refuse(where + ": node " + std::to_string(peer.node.value) + " stands twice in 'peers'");
      }
    }
    peers.push_back(std::move(peer));
  }
  return peers;
}

// Every one has a default; what the bounds are is told in a refusal.
void read_limits(Table table, NodeConfig& config) {
  node::GroupOptions& group = config.options.group;
  node::AdmissionOptions& queue = group.admission;
  ServerLimits& server = config.limits;
  const auto count = [&](const char* key, std::uint32_t low, std::uint32_t high, std::uint32_t& value) {
    value = static_cast<std::uint32_t>(table.number(key, low, high, value));
  };
  const auto kib = [&](const char* key, std::uint64_t low, std::uint64_t high, auto& value) {
    value = static_cast<std::remove_reference_t<decltype(value)>>(
        table.number(key, low, high, std::uint64_t{value} >> 10) << 10);
  };
  const auto mib = [&](const char* key, std::uint64_t low, std::uint64_t high, std::uint64_t& value) {
    value = table.number(key, low, high, value >> 20) << 20;
  };
  kib("transaction_kib", 1, kTransactionBytesMax >> 10, group.transaction_bytes_max);
  kib("batch_kib", kBatchKibMin, kAppendCallBytesMax >> 10, group.call_bytes_max);
  count("batch_transactions", kBatchTransactionsMin, kAppendCallCountMax, group.call_transactions_max);
  kib("entry_kib", 64, 2048, group.entry_bytes_max);
  kib("frame_kib", kBatchKibMin + kFrameMoreKib, 16384, server.frame_bytes_max);
  count("connections", 1, 65536, server.connections_max);
  count("calls", 16, 1u << 20, server.calls_max);
  mib("call_mib", 4, 1u << 16, server.call_bytes_max);
  mib("unread_mib", 16, 1u << 12, server.unread_bytes_max);
  mib("queue_mib", 4, 1u << 12, queue.bytes_max);
  kib("queue_min_kib", 64, 4096, queue.bytes_min);
  count("queue_calls", 16, 1u << 20, queue.calls_max);
  queue.delay_target = milliseconds_of(table, "queue_delay_ms", 10'000, queue.delay_target);
  queue.retry_max = milliseconds_of(table, "retry_max_ms", 60'000, queue.retry_max);
  queue.retry_min = std::min(queue.retry_min, queue.retry_max);
  count("feeds_waiting", 16, 1u << 20, group.feeds_waiting_max);
  count("reads_waiting", 16, 1u << 20, group.reads_waiting_max);
  count("partitions", 1, kGroupsMax, config.options.partitions_max);
  table.refuse_unknown();
  // A transaction has a header and up to 256 keys besides its data, and must fit into a batch; a batch into a frame.
  if (group.transaction_bytes_max + (kTransactionMoreKib << 10) > group.call_bytes_max) {
    refuse(table.where() + ": 'batch_kib' must be at least " + std::to_string(kTransactionMoreKib) +
           " more than 'transaction_kib': a transaction travels in a batch");
  }
  if (group.call_bytes_max + (kFrameMoreKib << 10) > server.frame_bytes_max) {
    refuse(table.where() + ": 'frame_kib' must be at least " + std::to_string(kFrameMoreKib) +
           " more than 'batch_kib': a batch travels in a frame");
  }
}

}  // namespace

NodeConfig read_node_config(const std::string& path) {
  return parse_node_config(content_of(path, "configuration"), path);
}

NodeConfig parse_node_config(std::string_view content, const std::string& path) {
  refuse_beyond_ascii(content, path);
  toml::table parsed;
  try {
    parsed = toml::parse(content, path);
  } catch (const toml::parse_error& error) {
    refuse(path + ", line " + std::to_string(error.source().begin.line) +
           " is not TOML: " + shown(error.description()));
  } catch (const TomlDefect&) {
    refuse(path + " is not TOML: correct it");
  }
  Table table(parsed, path);
  NodeConfig config;
  config.cluster = io::ClusterId(table.number("cluster", 1, INT64_MAX, std::nullopt));
  config.node = NodeId(table.number("node", 1, INT64_MAX, std::nullopt));
  config.dir = table.text("dir", std::nullopt);
  config.listen = table.text("listen", std::nullopt);
  check_address(config.listen, path + ": 'listen'");
  config.token_file = table.text("token_file", std::nullopt);
  config.peers = peers_of(table, path);
  config.disk_engine = table.text("disk_engine", "automatic");
  if (config.disk_engine != "automatic" && config.disk_engine != "uring" && config.disk_engine != "threads") {
    refuse(path + ": 'disk_engine' must be automatic, uring or threads");
  }
  config.record = table.text("record", "");
  node::GroupOptions& group = config.options.group;
  group.cache_bytes = table.number("cache_mib", 1, 1u << 20, group.cache_bytes >> 20) << 20;
  group.election_timeout = milliseconds_of(table, "election_timeout_ms", 60'000, group.election_timeout);
  group.heartbeat_interval = milliseconds_of(table, "heartbeat_ms", 10'000, group.heartbeat_interval);
  if (group.heartbeat_interval * 3 > group.election_timeout) {
    refuse(path + ": 'heartbeat_ms' must be at most a third of 'election_timeout_ms'");
  }
  config.options.journal =
      journal_options(table.number("journal_file_mib", kJournalFileMibMin, kJournalFileMibMax, 64));
  read_limits(table.table("limits"), config);
  table.refuse_unknown();
  bool self = false;
  for (const PeerAddress& peer : config.peers) self = self || peer.node == config.node;
  if (!self)
    refuse(path + ": 'peers' does not list this node, " + std::to_string(config.node.value) + ": add it");
  if (!config.record.empty() && lies_in(config.record, config.dir)) {
    refuse(path + ": 'record' lies in the data directory that it would record: put it elsewhere");
  }
  return config;
}

journal::Options journal_options(std::uint64_t file_mib) {
  journal::Options options;
  options.file_bytes = file_mib << 20;
  // A quarter for identities: half of what the smallest batches need, twice what well-filled ones do.
  options.identity_sectors = static_cast<std::uint32_t>(options.file_bytes / io::kSectorBytes / 4);
  REEL_CHECK(journal::payload_bytes_max(options) == kEntryBytesMax);
  return options;
}

PeerAddress parse_peer(const std::string& text) {
  const std::size_t equals = text.find('=');
  PeerAddress peer;
  if (equals != std::string::npos) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + equals, peer.node.value);
    if (error == std::errc() && end == text.data() + equals && peer.node.value != 0) {
      peer.address = text.substr(equals + 1);
      check_address(peer.address, "--peer " + shown(text), Exit::usage);
      return peer;
    }
  }
  misuse("--peer '" + shown(text) + "' is not NODE=HOST:PORT, for example 1=127.0.0.1:7101");
}

void check_address(const std::string& address, const std::string& what, Exit status) {
  const std::size_t colon = address.rfind(':');
  std::uint32_t port = 0;
  bool good = colon != std::string::npos && colon > 0 && colon + 1 < address.size();
  if (good) {
    const auto [end, error] =
        std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
    good = error == std::errc() && end == address.data() + address.size() && port >= 1 && port <= 65535;
  }
  if (good) return;
  throw CommandError{
      status, what + " is '" + shown(address) + "', which is not HOST:PORT with a port from 1 to 65535"};
}

std::vector<Token> read_tokens(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) {
    refuse("cannot read the token file '" + path + "' (" + std::strerror(errno) +
           "): name the file that `reel up` or "
           "the cluster's operator made");
  }
  if ((info.st_mode & 077) != 0) {
    refuse("the token file '" + path + "' can be read by others: chmod 600 it");
  }
  return parse_tokens(content_of(path, "token file"), path);
}

std::vector<Token> parse_tokens(const std::string& content, const std::string& path) {
  std::istringstream lines(content);
  std::vector<Token> tokens;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first, second, third;
    words >> first >> second >> third;
    if (first.empty()) continue;
    Token token;
    token.secret = second.empty() ? first : second;
    if (second.empty()) {
      token.rights = io::Rights::read | io::Rights::append | io::Rights::admin;
      token.peer = true;
    } else if (first == "read") {
      token.rights = io::Rights::read;
    } else if (first == "append") {
      token.rights = io::Rights::read | io::Rights::append;
    } else if (first == "admin") {
      token.rights = io::Rights::read | io::Rights::append | io::Rights::admin;
    } else {
      refuse("the token file '" + path +
             "' has a line that is neither TOKEN nor read|append|admin TOKEN: correct it");
    }
    if (!third.empty() || token.secret.size() > kTokenBytesMax || token.secret.size() < 16) {
      refuse("the token file '" + path +
             "' has a token that is not one word of 16 to 256 characters: correct it");
    }
    tokens.push_back(std::move(token));
  }
  if (tokens.empty())
    refuse("the token file '" + path + "' is empty: put one token of at least 16 characters in it");
  return tokens;
}

void make_token_file(const std::string& path) {
  std::array<unsigned char, 32> random{};
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    refuse("the system gave no random bytes for a token");
  }
  std::string token;
  for (const unsigned char byte : random) {
    constexpr const char* kHex = "0123456789abcdef";
    token += kHex[byte >> 4];
    token += kHex[byte & 15];
  }
  token += '\n';
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0)
    refuse("cannot make the token file '" + path + "' (" + std::strerror(errno) +
           "): choose another directory");
  const bool written = write(file, token.data(), token.size()) == static_cast<ssize_t>(token.size());
  close(file);
  if (!written)
    refuse("cannot write the token file '" + path + "' (" + std::strerror(errno) +
           "): make room, then try again");
}

}  // namespace reel::harness
