#include "node/journal/page_table.h"

#include <algorithm>

#include "io/ports/assert.h"
#include "node/journal/file_maker.h"
#include "node/journal/sector.h"

namespace reel::journal {
namespace {

using Code = RecoveryError::Code;

constexpr std::uint64_t kPageMagic = magic("REELPAGE");
constexpr std::uint64_t kChunkBytes = 1u << 20;
constexpr std::uint64_t kPagesMax = 4096;
constexpr std::uint32_t kAttemptsMax = 3;

}  // namespace

void encode_page(const Page& page, std::span<std::byte, kSectorBytes> out) {
  REEL_ASSERT(page.generation > 0 && page.content.size() <= kPageContentMax);
  Writer to(out);
  to.u64(kPageMagic);
  to.u32(kFormatVersion);
  to.u32(static_cast<std::uint32_t>(page.kind));
  to.u64(page.stamp.cluster.value);
  to.u64(page.stamp.node.value);
  to.u64(page.stamp.incarnation.value);
  to.u64(page.page);
  to.u64(page.offset);
  to.u64(page.generation);
  to.u32(static_cast<std::uint32_t>(page.content.size()));
  to.u32(0);
  REEL_ASSERT(to.at() == kPageHeadBytes);
  to.bytes(page.content);
  to.zeros();
  seal(out);
}

std::expected<Page, DecodeError> decode_page(std::span<const std::byte> sector) {
  if (auto whole = check_sealed(sector, kSectorBytes, kPageMagic, kFormatVersion); !whole) {
    return std::unexpected(whole.error());
  }
  Reader from(sector.first(kSectorBytes - kChecksumBytes));
  from.skip(12);
  Page page;
  const std::uint32_t kind = from.u32();
  from.require(kind >= static_cast<std::uint32_t>(PageKind::superblock) &&
               kind <= static_cast<std::uint32_t>(PageKind::manifest));
  page.kind = static_cast<PageKind>(kind);
  page.stamp.cluster = io::ClusterId(from.u64());
  page.stamp.node = NodeId(from.u64());
  page.stamp.incarnation = Incarnation(from.u64());
  page.page = from.u64();
  page.offset = from.u64();
  page.generation = from.u64();
  const std::uint32_t content_bytes = from.u32();
  from.require(from.u32() == 0);
  from.require(page.page < kPagesMax && page.offset % kSectorBytes == 0);
  from.require(page.generation > 0 && page.generation < UINT64_MAX && content_bytes <= kPageContentMax);
  if (from.ok()) {
    const auto content = from.bytes(content_bytes);
    page.content.assign(content.begin(), content.end());
    from.require_zeros();
  }
  if (!from.ok()) return std::unexpected(DecodeError::malformed);
  return page;
}

std::vector<io::DiskRequest> first_generation(PageKind kind, const Stamp& stamp, io::FileId file,
                                              const std::vector<std::vector<std::byte>>& contents) {
  std::vector<io::DiskRequest> writes;
  for (const std::uint64_t copy : {0u, 1u}) {
    io::Buffer buffer = io::Buffer::allocate(contents.size() * kSectorBytes);
    for (std::size_t i = 0; i < contents.size(); ++i) {
      const Page page{kind, stamp, i, page_at(contents.size(), i, 1, copy), 1, contents[i]};
      encode_page(page, buffer.span().subspan(i * kSectorBytes).first<kSectorBytes>());
    }
    io::DiskRequest write;
    write.verb = io::DiskVerb::write;
    write.file = file;
    write.offset = page_at(contents.size(), 0, 1, copy);
    write.length = buffer.size();
    write.data.push_back(std::move(buffer).freeze());
    writes.push_back(std::move(write));
  }
  return writes;
}

PageTable::PageTable(node::DiskOwner owner, PageKind kind, std::string name, const Stamp& stamp)
    : owner_(owner), kind_(kind), name_(std::move(name)), stamp_(stamp) {}

void PageTable::refuse(RecoveryError error) {
  if (!error_) error_ = std::move(error);
}

void PageTable::fail_recovery(Code code, const std::string& what) {
  const char* advice = "; remove this replica from its groups and admit a new one";
  if (code == Code::foreign) advice = "; give this node its own data directory back";
  if (code == Code::unsupported) advice = "; start the version of Reel that wrote it, or a newer one";
  if (code == Code::io) advice = "; check the device and its permissions, then start the node again";
  if (code == Code::empty_directory) advice = "; make a data directory with `reel node init`";
  refuse({code, name_ + ": " + what + advice});
}

// ---- recovery

void PageTable::recover(node::DiskQueue& out) {
  REEL_ASSERT(step_ == Step::idle);
  step_ = Step::opening;
  file_ = out.new_file();
  io::DiskRequest request;
  request.verb = io::DiskVerb::open;
  request.file = file_;
  request.name = name_;
  opening_ = out.submit(owner_, std::move(request));
}

void PageTable::on_open(const io::DiskResult& result, node::DiskQueue& out) {
  if (result.status == io::DiskStatus::not_found) {
    return fail_recovery(kind_ == PageKind::superblock ? Code::empty_directory : Code::unreadable,
                         "there is no such file in the data directory");
  }
  if (result.status != io::DiskStatus::ok) {
    return fail_recovery(Code::io, std::string("opening failed (") + io::name_of(result.status) + ")");
  }
  const std::uint64_t pages = result.size / (kPageSectors * kSectorBytes);
  if (pages == 0 || pages > kPagesMax || result.size % (kPageSectors * kSectorBytes) != 0) {
    return fail_recovery(Code::unreadable, "the file has a size that no table has");
  }
  pages_.resize(pages);
  copies_.resize(pages * kPageSectors);
  step_ = Step::reading;
  for (std::uint64_t at = 0; at < result.size; at += kChunkBytes) {
    read({at, std::min(kChunkBytes, result.size - at), 0}, out);
  }
}

void PageTable::read(const ReadOp& op, node::DiskQueue& out) {
  io::DiskRequest request;
  request.verb = io::DiskVerb::read;
  request.file = file_;
  request.offset = op.offset;
  request.length = op.length;
  reads_.emplace(out.submit(owner_, std::move(request)), op);
}

// A device error in a long read is narrowed down to its sectors, and asked again there before it counts.
void PageTable::on_read(const ReadOp& op, const io::DiskResult& result, node::DiskQueue& out) {
  if (result.status == io::DiskStatus::ok && result.data.size() == op.length) {
    for (std::uint64_t at = 0; at < op.length; at += kSectorBytes) {
      on_sector(op.offset + at, result.data.span().subspan(at, kSectorBytes));
    }
  } else if (op.length > kSectorBytes) {
    for (std::uint64_t at = 0; at < op.length; at += kSectorBytes)
      read({op.offset + at, kSectorBytes, 0}, out);
  } else if (op.attempts + 1 < kAttemptsMax) {
    read({op.offset, op.length, op.attempts + 1}, out);
  } else {
    copies_[op.offset / kSectorBytes].device_error = true;
  }
  if (reads_.empty() && !error_) choose(out);
}

void PageTable::on_sector(std::uint64_t offset, std::span<const std::byte> sector) {
  auto page = decode_page(sector);
  if (!page) {
    if (page.error() == DecodeError::unsupported)
      fail_recovery(Code::unsupported, "a page is of a newer version");
    return;  // torn, rotten or empty: another copy will do
  }
  const bool same_cluster = stamp_.cluster.value == 0 || page->stamp.cluster == stamp_.cluster;
  const bool same_node = stamp_.node.value == 0 || page->stamp.node == stamp_.node;
  if (!same_cluster || !same_node) {
    return fail_recovery(Code::foreign, "a page belongs to cluster " +
                                            std::to_string(page->stamp.cluster.value) + " node " +
                                            std::to_string(page->stamp.node.value));
  }
  if (stamp_.incarnation.value != 0 && page->stamp.incarnation > stamp_.incarnation) {
    return fail_recovery(Code::inconsistent, "a page is newer than the superblock");
  }
  const std::uint64_t pages = pages_.size();
  const std::uint64_t at = offset / kSectorBytes;
  const bool in_place = page->kind == kind_ && page->offset == offset && page->page == at % pages &&
                        page->generation % 2 == at / pages / 2;
  if (in_place) copies_[at].page = std::move(*page);  // else misdirected: as good as damaged
}

void PageTable::choose(node::DiskQueue& out) {
  const std::size_t pages = pages_.size();
  for (std::size_t i = 0; i < pages; ++i) {
    std::array<Copy*, kPageSectors> four{};
    for (std::size_t region = 0; region < kPageSectors; ++region) four[region] = &copies_[region * pages + i];
    const Page* newest = nullptr;
    for (const Copy* copy : four) {
      if (copy->page && (newest == nullptr || copy->page->generation > newest->generation))
        newest = &*copy->page;
    }
    // A generation whose copies cannot be read at all may be the newest one: nothing is torn by a device
    // error.
    const auto hidden = [](const Copy* a, const Copy* b) {
      return !a->page && !b->page && (a->device_error || b->device_error);
    };
    if (newest == nullptr || hidden(four[0], four[1]) || hidden(four[2], four[3])) {
      return fail_recovery(Code::unreadable, "page " + std::to_string(i) + " has no readable copy");
    }
    const auto same = [&](const Copy* copy) {
      return copy->page && copy->page->generation == newest->generation;
    };
    const auto whole = std::count_if(four.begin(), four.end(), same);
    for (const Copy* copy : four) {
      if (same(copy) && copy->page->content != newest->content) {
        return fail_recovery(Code::inconsistent, "page " + std::to_string(i) + " has two copies that differ");
      }
    }
    pages_[i] = {newest->generation, newest->content};
    stamp_.cluster = newest->stamp.cluster;
    stamp_.node = newest->stamp.node;
    if (stamp_.incarnation.value == 0 || kind_ == PageKind::superblock)
      stamp_.incarnation = newest->stamp.incarnation;
    if (whole < 2) changed_.insert(i);
  }
  copies_ = {};
  // What was read may have come from a cache: it counts when it is synced, changed or not.
  step_ = Step::healing;
  start_round(out);
}

// ---- rounds

void PageTable::put(std::size_t page, std::vector<std::byte> content) {
  REEL_ASSERT(recovered() && page < pages_.size() && content.size() <= kPageContentMax);
  pages_[page].content = std::move(content);
  changed_.insert(page);
}

bool PageTable::pump(node::DiskQueue& out) {
  if (step_ != Step::ready || failed_ || round_running() || changed_.empty()) return false;
  start_round(out);
  return true;
}

void PageTable::start_round(node::DiskQueue& out) {
  REEL_ASSERT(awaited_.empty());
  syncing_ = changed_.empty();
  for (const std::size_t i : changed_) {
    Slot& slot = pages_[i];
    ++slot.generation;
    Page page{kind_, stamp_, i, 0, slot.generation, slot.content};
    for (const std::uint64_t copy : {0u, 1u}) {
      page.offset = page_at(pages_.size(), i, page.generation, copy);
      auto write = sector_write(file_, page.offset, [&](auto sector) { encode_page(page, sector); });
      awaited_.push_back(out.submit(owner_, std::move(write)));
    }
  }
  changed_.clear();
  if (!syncing_) return;
  io::DiskRequest sync;
  sync.verb = io::DiskVerb::sync;
  sync.file = file_;
  awaited_.push_back(out.submit(owner_, std::move(sync)));
}

void PageTable::on_disk(const io::DiskResult& result, node::DiskQueue& out) {
  if (result.verb == io::DiskVerb::open && result.op == opening_) return on_open(result, out);
  if (const auto it = reads_.find(result.op); it != reads_.end()) {
    const ReadOp op = it->second;
    reads_.erase(it);
    return on_read(op, result, out);
  }
  const auto it = std::find(awaited_.begin(), awaited_.end(), result.op);
  if (it == awaited_.end()) return;
  awaited_.erase(it);
  if (result.status != io::DiskStatus::ok) {
    failed_ = true;
    if (step_ == Step::healing) {
      fail_recovery(Code::io, std::string("writing failed (") + io::name_of(result.status) + ")");
    }
  }
  if (failed_ || !awaited_.empty()) return;
  if (!syncing_) {
    io::DiskRequest sync;
    sync.verb = io::DiskVerb::sync;
    sync.file = file_;
    awaited_.push_back(out.submit(owner_, std::move(sync)));
    syncing_ = true;
    return;
  }
  syncing_ = false;
  if (step_ == Step::healing) step_ = Step::ready;
}

}  // namespace reel::journal
