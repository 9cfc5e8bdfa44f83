// A small durable table of pages, one sector each: two generations of two copies, the newest never
// overwritten.
//
// Page p of a table of n pages has its copy c of generation g at sector ((g mod 2) * 2 + c) * n + p: the four
// lie far apart, and generation g + 1 overwrites g - 1. A round writes both copies of every changed page,
// awaits them, syncs. So of every acknowledged generation two copies are whole, a torn round leaves the one
// before it, and a generation with a single whole copy after a crash is copied forward before anything else
// is done. The page's layout is drawn in FORMAT.md.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/disk_queue.h"
#include "node/journal/format.h"
#include "node/journal/journal.h"

namespace reel::journal {

enum class PageKind : std::uint32_t { superblock = 1, hard_state = 2, manifest = 3 };

inline constexpr std::size_t kPageHeadBytes = 72;
inline constexpr std::size_t kPageContentMax = kSectorBytes - kPageHeadBytes - 16;
inline constexpr std::uint64_t kPageSectors = 4;  // two generations of two copies

struct Page {
  PageKind kind{};
  Stamp stamp;
  std::uint64_t page = 0;
  std::uint64_t offset = 0;        // of this copy, bytes
  std::uint64_t generation = 0;    // at least 1
  std::vector<std::byte> content;  // at most kPageContentMax
  bool operator==(const Page&) const = default;
};
void encode_page(const Page& page, std::span<std::byte, kSectorBytes> out);
[[nodiscard]] std::expected<Page, DecodeError> decode_page(std::span<const std::byte> sector);

// Where a copy lies, bytes.
[[nodiscard]] constexpr std::uint64_t page_at(std::uint64_t pages, std::uint64_t page,
                                              std::uint64_t generation, std::uint64_t copy) {
  return ((generation % 2 * 2 + copy) * pages + page) * kSectorBytes;
}
// The first generation of a whole new table, as two writes for a file of zeros (Formatter).
[[nodiscard]] std::vector<io::DiskRequest> first_generation(
    PageKind kind, const Stamp& stamp, io::FileId file, const std::vector<std::vector<std::byte>>& contents);

class PageTable {
 public:
  // cluster or node 0 in `stamp`: take what the pages say.
  PageTable(node::DiskOwner owner, PageKind kind, std::string name, const Stamp& stamp);

  void recover(node::DiskQueue& out);
  bool recovered() const { return step_ == Step::ready; }
  const std::optional<RecoveryError>& error() const { return error_; }
  void refuse(RecoveryError error);  // its content makes no sense to its owner

  // After recovered().
  const Stamp& stamp() const { return stamp_; }
  void become(const Stamp& stamp) { stamp_ = stamp; }  // of pages written from now on
  std::size_t pages() const { return pages_.size(); }
  const std::vector<std::byte>& content(std::size_t page) const { return pages_[page].content; }
  void put(std::size_t page, std::vector<std::byte> content);
  // Starts a round if something changed and none is running; true if it did.
  bool pump(node::DiskQueue& out);
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  // Changes that were put() before the last pump() that returned true are durable.
  bool round_running() const { return !awaited_.empty(); }
  bool failed() const { return failed_; }

 private:
  enum class Step : std::uint8_t { idle, opening, reading, healing, ready };
  struct Copy {
    bool device_error = false;
    std::optional<Page> page;
  };
  struct Slot {
    std::uint64_t generation = 0;
    std::vector<std::byte> content;
  };
  struct ReadOp {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint32_t attempts = 0;
  };

  void fail_recovery(RecoveryError::Code code, const std::string& what);
  void on_open(const io::DiskResult& result, node::DiskQueue& out);
  void read(const ReadOp& op, node::DiskQueue& out);
  void on_read(const ReadOp& op, const io::DiskResult& result, node::DiskQueue& out);
  void on_sector(std::uint64_t offset, std::span<const std::byte> sector);
  void choose(node::DiskQueue& out);
  void start_round(node::DiskQueue& out);

  node::DiskOwner owner_;
  PageKind kind_;
  std::string name_;
  Stamp stamp_;
  Step step_ = Step::idle;
  io::FileId file_;
  io::DiskOpId opening_;
  std::map<io::DiskOpId, ReadOp> reads_;
  std::vector<Copy> copies_;  // in order of sector; empty once recovered
  std::vector<Slot> pages_;
  std::set<std::size_t> changed_;
  std::vector<io::DiskOpId> awaited_;  // of the running round
  bool syncing_ = false;
  bool failed_ = false;
  std::optional<RecoveryError> error_;
};

}  // namespace reel::journal
