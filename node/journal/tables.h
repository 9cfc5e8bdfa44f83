// The small durable tables beside the journal, all of them PageTables: pages of one 4 KiB sector each, in two
// generations of two copies, the newest never overwritten in place (recovery.md, correction 3).
//
//   superblock   who this directory belongs to, and the incarnation: raised and synced before Boot
//   hardstate    term and vote of every group: synced before the first vote or acknowledgement of a term
//   manifest     every group's first index, a lower bound of its commit index, and its configuration
//
// A page with no readable copy makes the node refuse to start (`unreadable`): promises are personal, and
// nobody else can tell them. A page whose newer generation is torn is read from the older: the newer was
// never acknowledged.
#pragma once

#include <expected>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "node/disk_queue.h"
#include "node/journal/journal.h"
#include "node/journal/page_table.h"
#include "node/raft/quorum.h"
#include "node/types.h"

namespace reel::journal {

struct SuperblockContent {
  io::ClusterId cluster;
  NodeId node;
  Incarnation incarnation;
  bool operator==(const SuperblockContent&) const = default;
};

// Opens the superblock, checks it against who we think we are, raises the incarnation by one, syncs.
class Superblock {
 public:
  // cluster or node 0: take what the disk says.
  Superblock(io::ClusterId cluster, NodeId node);
  void start(node::DiskQueue& out);
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  bool done() const;
  std::expected<SuperblockContent, RecoveryError> take();  // with the raised incarnation

 private:
  PageTable table_;
  std::optional<SuperblockContent> raised_;
};

class HardStateTable {
 public:
  explicit HardStateTable(const Stamp& stamp);
  void recover(node::DiskQueue& out);
  bool recovered() const;
  std::optional<RecoveryError> error() const;
  HardState get(GroupId group) const;  // as saved last, durable or not; {0, 0} for a group never saved

  // Saves and syncs; several saves in one step share writes and sync. Numbers rise from 1. Requires that the
  // term does not fall and that a vote does not change within a term.
  std::uint64_t save(GroupId group, const HardState& state);
  void pump(node::DiskQueue& out);
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  std::uint64_t saved() const;  // every save up to this number is durable
  bool failed() const;          // for ever: also when the table has no room for another group

 private:
  using Entries = std::map<GroupId, HardState>;
  void read_pages();
  std::size_t page_of(GroupId group);

  PageTable table_;
  bool read_ = false;
  std::vector<Entries> pages_;
  std::map<GroupId, std::size_t> home_;
  std::uint64_t last_save_ = 0;
  std::uint64_t in_round_ = 0;
  std::uint64_t saved_ = 0;
  bool full_ = false;
};

struct GroupManifest {
  GroupId group;
  Index first{1};
  Index commit;  // a lower bound, and durable on this node (Recovery relies on it)
  raft::Configuration configuration;
  bool operator==(const GroupManifest&) const = default;
};

class Manifest {
 public:
  explicit Manifest(const Stamp& stamp);
  void recover(node::DiskQueue& out);
  bool recovered() const;
  std::optional<RecoveryError> error() const;
  const std::map<GroupId, GroupManifest>& groups() const;

  // Replaces what is known of one group; written and synced lazily by pump(), newest content wins. Numbers rise from 1.
  std::uint64_t update(const GroupManifest& group);
  std::uint64_t saved() const { return saved_; }  // every update of this life up to this number is durable
  void pump(node::DiskQueue& out);
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  bool failed() const;  // for ever: also when the table is full

 private:
  struct Stored {
    std::uint64_t revision = 0;  // of all copies of a group the one with the highest counts
    Bytes encoded;
  };
  using Entries = std::map<GroupId, Stored>;
  void read_pages();
  bool place(std::size_t page, GroupId group, const Stored& stored);

  PageTable table_;
  bool read_ = false;
  std::map<GroupId, GroupManifest> groups_;
  std::vector<Entries> pages_;
  std::map<GroupId, std::size_t> home_;
  // A group that outgrew its page is removed from the old one only when it is durable in the new one.
  std::vector<std::pair<std::size_t, GroupId>> moved_;
  std::vector<std::pair<std::size_t, GroupId>> moved_in_round_;
  std::uint64_t revision_ = 0;
  std::uint64_t in_round_ = 0;
  std::uint64_t saved_ = 0;
  bool full_ = false;
};

// How many groups of this configuration the tables of such a directory have room for.
[[nodiscard]] std::uint32_t groups_max(const Options& options, const raft::Configuration& configuration);

class FileMaker;

// Makes a data directory: hardstate, manifest and the first journal file, each synced, then the superblock,
// so a directory that was only half made is refused as empty. Refuses a directory that holds anything. The
// life that formats is `who.incarnation`; the first one that boots raises it.
class Formatter {
 public:
  Formatter(const SuperblockContent& who, const Options& options, std::vector<GroupManifest> groups);
  Formatter(Formatter&&) noexcept;
  Formatter& operator=(Formatter&&) noexcept;
  ~Formatter();
  void start(node::DiskQueue& out);
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  bool done() const;
  std::expected<void, RecoveryError> take();

 private:
  enum class Step : std::uint8_t {
    idle,
    listing,
    tables,
    tables_written,
    tables_synced,
    journal,
    superblock,
    superblock_written,
    superblock_synced,
    directory,
    done
  };
  struct TableFile {
    PageKind kind{};
    std::string name;
    io::FileId file;
    std::vector<std::vector<std::byte>> contents;
  };
  void advance(node::DiskQueue& out);
  void create(const TableFile& table, node::DiskQueue& out);
  void write(const TableFile& table, node::DiskQueue& out);
  void submit(io::DiskRequest request, node::DiskQueue& out);
  void fail(RecoveryError::Code code, std::string text);

  Stamp stamp_;
  Options options_;
  std::vector<GroupManifest> groups_;
  Step step_ = Step::idle;
  std::vector<io::DiskOpId> awaited_;
  std::vector<TableFile> tables_;
  TableFile superblock_;
  std::unique_ptr<FileMaker> maker_;
  std::optional<RecoveryError> error_;
};

// The contents of the pages. Decoding refuses everything that encoding would not have made.
[[nodiscard]] std::vector<std::byte> encode_superblock(Incarnation incarnation);
[[nodiscard]] std::optional<Incarnation> decode_superblock(std::span<const std::byte> content);
inline constexpr std::size_t kHardStatesPerPage = (kPageContentMax - 8) / 24;
[[nodiscard]] std::vector<std::byte> encode_hard_states(const std::map<GroupId, HardState>& states);
[[nodiscard]] std::optional<std::map<GroupId, HardState>> decode_hard_states(
    std::span<const std::byte> content);
struct StoredManifest {
  std::uint64_t revision = 0;
  GroupManifest group;
  bool operator==(const StoredManifest&) const = default;
};
inline constexpr std::size_t kManifestHeadBytes = 8;  // of a page's content
[[nodiscard]] Bytes encode_manifest_entry(const StoredManifest& stored);
[[nodiscard]] std::optional<std::vector<StoredManifest>> decode_manifests(std::span<const std::byte> content);

}  // namespace reel::journal
