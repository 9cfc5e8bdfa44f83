#include "sim/disk.h"

#include <cstring>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"

namespace reel::sim {
namespace {

constexpr std::size_t kSplitBytes = 512;
constexpr std::uint64_t kFileBytesMax = 1ull << 34;  // an address space of pages that stays small
constexpr std::size_t kInFlightMax = 65'536;

void copy_sector(const io::Bytes& page, std::byte* to) {
  if (!page.empty()) std::memcpy(to, page.data(), page.size());
  std::memset(to + page.size(), 0, io::kSectorBytes - page.size());
}

// Without the zeros at its end.
std::size_t used_bytes_of(const io::Bytes& page) {
  std::size_t used = page.size();
  while (used >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, page.data() + used - sizeof word, sizeof word);
    if (word != 0) break;
    used -= sizeof word;
  }
  return used;
}

bool aligned(std::uint64_t value) { return value % io::kSectorBytes == 0; }

bool names_a_file(io::DiskVerb verb) {
  return verb == io::DiskVerb::create || verb == io::DiskVerb::open || verb == io::DiskVerb::remove;
}

bool uses_a_handle(io::DiskVerb verb) {
  return verb == io::DiskVerb::read || verb == io::DiskVerb::write || verb == io::DiskVerb::sync ||
         verb == io::DiskVerb::close;
}

bool moves_bytes(io::DiskVerb verb) { return verb == io::DiskVerb::read || verb == io::DiskVerb::write; }

// Draw places of one crash: one per question, so that an override can name it.
enum CrashPlace : std::uint32_t { kFate, kPattern, kBoundary, kSector, kDamage, kNameFate, kSizeFate };

std::uint64_t sector_key(std::uint64_t serial, std::uint64_t sector) { return (serial << 20) | sector; }

}  // namespace

// ---- life of an operation ---------------------------------------------------------------------------------

Disk::Submitted Disk::submit(io::DiskRequest request, io::Instant now) {
  REEL_CHECK(in_flight_ < kInFlightMax);
  Inode inode = kNoInode;
  if (uses_a_handle(request.verb)) {
    inode = inode_of(request.file);
    REEL_CHECK(inode != kNoInode && "disk request for a file that is not open");
  }
  check_contract(request, inode);
  Submitted submitted;
  submitted.digest = digest_of(request);
  submitted.done = completion_time(request, now);
  if (free_pending_.empty()) {
    free_pending_.push_back(static_cast<std::uint32_t>(pending_.size()));
    pending_.emplace_back();
  }
  submitted.slot = free_pending_.back();
  free_pending_.pop_back();
  Pending& pending = pending_[submitted.slot];
  pending.request = std::move(request);
  pending.inode = inode;
  pending.serial = submissions_++;
  pending.covered = completions_;
  pending.live = true;
  ++in_flight_;
  return submitted;
}

io::DiskResult Disk::complete(std::uint32_t slot) {
  REEL_CHECK(slot < pending_.size() && pending_[slot].live);
  Pending& pending = pending_[slot];
  const io::DiskRequest& request = pending.request;
  ++completions_;
  io::DiskResult result;
  result.op = request.op;
  result.verb = request.verb;
  result.file = request.file;
  switch (request.verb) {
    case io::DiskVerb::list: result.files = files(); break;
    case io::DiskVerb::create: result.status = create(pending, result); break;
    case io::DiskVerb::open: result.status = open(request, result); break;
    case io::DiskVerb::close: close(request.file); break;
    case io::DiskVerb::read: result.data = read(request, inodes_[pending.inode]); break;
    case io::DiskVerb::write: write(pending, true); break;
    case io::DiskVerb::sync: sync(inodes_[pending.inode], pending.covered); break;
    case io::DiskVerb::remove: result.status = remove(pending); break;
    case io::DiskVerb::sync_directory: sync_directory(pending.covered); break;
  }
  pending.live = false;
  pending.request = {};
  free_pending_.push_back(slot);
  --in_flight_;
  return result;
}

void Disk::check_contract(const io::DiskRequest& request, Inode inode) const {
  if (request.verb == io::DiskVerb::create || request.verb == io::DiskVerb::open) {
    REEL_CHECK(inode_of(request.file) == kNoInode && "a handle that is in use already");
  }
  if (request.verb == io::DiskVerb::create) {
    REEL_CHECK(request.length > 0 && aligned(request.length) && request.length <= kFileBytesMax);
  }
  if (moves_bytes(request.verb)) {
    REEL_CHECK(aligned(request.offset) && aligned(request.length) && request.length > 0);
    const std::uint64_t size = inodes_[inode].visible.size() * io::kSectorBytes;
    REEL_CHECK(request.offset <= size && request.length <= size - request.offset &&
               "beyond the end of the file");
  }
  if (request.verb == io::DiskVerb::write) {
    std::uint64_t total = 0;
    for (const io::Bytes& part : request.data) {
      REEL_CHECK(aligned(part.size()) && aligned(reinterpret_cast<std::uintptr_t>(part.data())));
      total += part.size();
    }
    REEL_CHECK(total == request.length);
  }
  if (inode == kNoInode || in_flight_ == 0) return;
  for (const Pending& other : pending_) {
    if (!other.live || other.inode != inode) continue;
    REEL_CHECK(request.verb != io::DiskVerb::close && other.request.verb != io::DiskVerb::close &&
               "close with operations in flight");
    if (!moves_bytes(request.verb) || !moves_bytes(other.request.verb)) continue;
    if (request.verb == io::DiskVerb::read && other.request.verb == io::DiskVerb::read) continue;
    const bool apart = request.offset + request.length <= other.request.offset ||
                       other.request.offset + other.request.length <= request.offset;
    REEL_CHECK(apart && "overlapping disk operations in flight");
  }
}

std::uint64_t Disk::digest_of(const io::DiskRequest& request) const {
  io::Hasher hasher;
  hasher.add((static_cast<std::uint64_t>(request.verb) << 32) | request.file.value);
  hasher.add(request.op.value).add(request.offset).add(request.length);
  if (!request.name.empty()) hasher.add(std::as_bytes(std::span(request.name)));
  for (const io::Bytes& part : request.data) hasher.add(part.span());
  return hasher.value();
}

io::Instant Disk::completion_time(const io::DiskRequest& request, io::Instant now) {
  const bool zeroes = request.verb == io::DiskVerb::create;
  const std::uint64_t bytes = moves_bytes(request.verb) || zeroes ? request.length : 0;
  busy_until_ = std::max(busy_until_, now) +
                io::nanoseconds(static_cast<std::int64_t>(bytes / 1024) * options_.ns_per_kib);
  io::Duration base = options_.write_base;
  if (request.verb == io::DiskVerb::read || request.verb == io::DiskVerb::list) base = options_.read_base;
  if (request.verb == io::DiskVerb::sync || request.verb == io::DiskVerb::sync_directory)
    base = options_.sync_base;
  const ChoiceKey key{Choice::disk_latency, 0, machine_, submissions_};
  const auto jitter = decisions_.exponential(key, static_cast<std::uint64_t>(options_.jitter_mean.ns));
  io::Instant done = busy_until_ + base + io::nanoseconds(static_cast<std::int64_t>(jitter));
  if (extra_mean_.ns > 0) {
    const ChoiceKey extra_key{Choice::disk_latency, 1, machine_, submissions_};
    const auto extra = decisions_.exponential(extra_key, static_cast<std::uint64_t>(extra_mean_.ns));
    done = done + io::nanoseconds(static_cast<std::int64_t>(extra));
    if (!extra_fired_) counters_.fire(FaultKind::disk_latency);
    extra_fired_ = true;
  }
  return done;
}

// ---- names and handles ------------------------------------------------------------------------------------

Disk::Inode Disk::inode_of(io::FileId file) const {
  for (const auto& [id, inode] : handles_) {
    if (id == file) return inode;
  }
  return kNoInode;
}

Disk::Inode Disk::new_inode(std::uint64_t pages) {
  if (free_inodes_.empty()) {
    free_inodes_.push_back(static_cast<Inode>(inodes_.size()));
    inodes_.emplace_back();
  }
  const Inode inode = free_inodes_.back();
  free_inodes_.pop_back();
  File& file = inodes_[inode];
  file.used = true;
  file.visible.resize(pages);
  file.durable.resize(pages);
  return inode;
}

std::uint64_t Disk::used_bytes() const {
  std::uint64_t total = 0;
  for (const File& file : inodes_) total += file.visible.size() * io::kSectorBytes;
  return total;
}

// Frees the files that neither a name of either directory, nor a name in doubt, nor a handle refers to.
void Disk::collect() {
  std::vector<bool> referred(inodes_.size(), false);
  for (const auto& [name, inode] : visible_names_) referred[inode] = true;
  for (const auto& [name, inode] : durable_names_) referred[inode] = true;
  for (const VolatileName& name : names_) {
    if (name.inode != kNoInode) referred[name.inode] = true;
  }
  for (const auto& [id, inode] : handles_) referred[inode] = true;
  for (Inode inode = 0; inode < inodes_.size(); ++inode) {
    if (referred[inode] || !inodes_[inode].used) continue;
    inodes_[inode] = File{};
    free_inodes_.push_back(inode);
  }
}

io::DiskStatus Disk::create(const Pending& pending, io::DiskResult& result) {
  const io::DiskRequest& request = pending.request;
  if (!io::disk_name_allowed(request.name)) return io::DiskStatus::refused;
  if (visible_names_.contains(request.name)) return io::DiskStatus::exists;
  if (options_.capacity_bytes != 0 && used_bytes() + request.length > options_.capacity_bytes) {
    return io::DiskStatus::no_space;
  }
  const Inode inode = new_inode(request.length / io::kSectorBytes);
  inodes_[inode].size_volatile = true;
  inodes_[inode].created = completions_;
  inodes_[inode].serial = pending.serial;
  visible_names_[request.name] = inode;
  names_.push_back({.create = true,
                    .name = request.name,
                    .inode = inode,
                    .serial = pending.serial,
                    .completed = completions_,
                    .acknowledged = true});
  handles_.emplace_back(request.file, inode);
  result.size = request.length;
  return io::DiskStatus::ok;
}

io::DiskStatus Disk::open(const io::DiskRequest& request, io::DiskResult& result) {
  if (!io::disk_name_allowed(request.name)) return io::DiskStatus::refused;
  const auto found = visible_names_.find(request.name);
  if (found == visible_names_.end()) return io::DiskStatus::not_found;
  handles_.emplace_back(request.file, found->second);
  result.size = inodes_[found->second].visible.size() * io::kSectorBytes;
  return io::DiskStatus::ok;
}

io::DiskStatus Disk::remove(const Pending& pending) {
  const std::string& name = pending.request.name;
  if (!io::disk_name_allowed(name)) return io::DiskStatus::refused;
  if (visible_names_.erase(name) == 0) return io::DiskStatus::not_found;
  names_.push_back({.create = false,
                    .name = name,
                    .inode = kNoInode,
                    .serial = pending.serial,
                    .completed = completions_,
                    .acknowledged = true});
  return io::DiskStatus::ok;
}

void Disk::close(io::FileId file) {
  std::erase_if(handles_, [file](const auto& handle) { return handle.first == file; });
  collect();
}

// ---- content ----------------------------------------------------------------------------------------------

std::vector<Disk::Page> Disk::pages_of(const io::DiskRequest& request) {
  std::vector<Page> pages;
  pages.reserve(request.length / io::kSectorBytes);
  for (const io::Bytes& part : request.data) {
    for (std::size_t at = 0; at < part.size(); at += io::kSectorBytes) {
      pages.push_back(part.slice(at, io::kSectorBytes));
    }
  }
  return pages;
}

io::Bytes Disk::read(const io::DiskRequest& request, const File& file) const {
  io::Buffer buffer = io::Buffer::allocate(request.length);
  const std::uint64_t first = request.offset / io::kSectorBytes;
  for (std::uint64_t i = 0; i < request.length / io::kSectorBytes; ++i) {
    copy_sector(file.visible[first + i], buffer.data() + i * io::kSectorBytes);
  }
  return std::move(buffer).freeze();
}

void Disk::write(const Pending& pending, bool acknowledged) {
  File& file = inodes_[pending.inode];
  VolatileWrite write{.first_page = pending.request.offset / io::kSectorBytes,
                      .pages = pages_of(pending.request),
                      .serial = pending.serial,
                      .completed = completions_,
                      .acknowledged = acknowledged};
  if (acknowledged) apply(file.visible, write);
  file.writes.push_back(std::move(write));
}

void Disk::apply(std::vector<Page>& image, const VolatileWrite& write) {
  for (std::size_t i = 0; i < write.pages.size(); ++i) {
    const std::uint64_t page = write.first_page + i;
    // A file whose size was lost has fewer pages than the write knew.
    if (page < image.size()) image[page] = write.pages[i];
  }
}

// What is durable stays for long, and is mostly zeros: small records in whole sectors. Kept as it was written, a long run with
// small entries would hold gigabytes.
void Disk::compact(File& file, const VolatileWrite& write) {
  for (std::size_t i = 0; i < write.pages.size(); ++i) {
    const Page& page = write.pages[i];
    const std::size_t used = used_bytes_of(page);
    const std::uint64_t at = write.first_page + i;
    if (used > io::kSectorBytes / 2 || at >= file.durable.size() || page.size() < io::kSectorBytes) continue;
    const Page small = used == 0 ? Page() : io::Bytes::copy_of(page.span().first(used));
    if (file.durable[at].data() == page.data()) file.durable[at] = small;
    if (at < file.visible.size() && file.visible[at].data() == page.data()) file.visible[at] = small;
  }
}

void Disk::sync(File& file, std::uint64_t covered) {
  std::size_t count = 0;
  while (count < file.writes.size() && file.writes[count].completed <= covered) {
    apply(file.durable, file.writes[count]);
    compact(file, file.writes[count]);
    ++count;
  }
  file.writes.erase(file.writes.begin(), file.writes.begin() + static_cast<std::ptrdiff_t>(count));
  if (file.created <= covered) file.size_volatile = false;
}

void Disk::sync_directory(std::uint64_t covered) {
  std::size_t count = 0;
  while (count < names_.size() && names_[count].completed <= covered) {
    const VolatileName& name = names_[count];
    if (name.create) {
      durable_names_[name.name] = name.inode;
    } else {
      durable_names_.erase(name.name);
    }
    ++count;
  }
  names_.erase(names_.begin(), names_.begin() + static_cast<std::ptrdiff_t>(count));
  collect();
}

// ---- crash ------------------------------------------------------------------------------------------------

void Disk::crash(const DiskCrash& how) {
  handles_.clear();
  crash_in_flight(how);
  if (how.power) {
    for (File& file : inodes_) {
      if (file.used) crash_file(file, how);
    }
    crash_names(how);
    busy_until_ = {};
  }
  collect();
}

// Operations in flight either never happened or join the volatile ones as unacknowledged.
void Disk::crash_in_flight(const DiskCrash& how) {
  for (std::uint32_t slot = 0; slot < pending_.size(); ++slot) {
    Pending& pending = pending_[slot];
    if (!pending.live) continue;
    const io::DiskVerb verb = pending.request.verb;
    if (verb == io::DiskVerb::write && (how.durable || how.torn)) {
      write(pending, false);
      File& file = inodes_[pending.inode];
      if (!how.power) {
        // The page cache keeps whole sectors of what had arrived; a later power loss may still take them.
        VolatileWrite& last = file.writes.back();
        const Fate fate = fate_of_write(last, how);
        if (fate == Fate::partial) tear(last, file.visible, true);
        if (fate == Fate::lost) {
          file.writes.pop_back();
        } else {
          last.acknowledged = true;
          apply(file.visible, last);
        }
      }
    } else if (names_a_file(verb) && verb != io::DiskVerb::open && how.durable) {
      if (!how.power && !survives(pending.serial, false, how)) {
        // Never reached the directory.
      } else {
        io::DiskResult ignored;
        const std::size_t before = names_.size();
        (void)(verb == io::DiskVerb::create ? create(pending, ignored) : remove(pending));
        // With the power gone, crash_names() draws whether it happened.
        if (names_.size() > before) names_.back().acknowledged = !how.power;
        handles_.clear();
      }
    }
    pending.live = false;
    pending.request = {};
    free_pending_.push_back(slot);
  }
  in_flight_ = 0;
}

bool Disk::survives(std::uint64_t serial, bool acknowledged, const DiskCrash& how) {
  if (acknowledged && !how.loss) return true;
  const bool kept = draw(Choice::disk_crash, kNameFate, serial, 2) == 0;
  if (acknowledged && !kept) counters_.fire(FaultKind::disk_crash_loss);
  if (!acknowledged && kept) counters_.fire(FaultKind::disk_crash_durable);
  return kept;
}

void Disk::crash_names(const DiskCrash& how) {
  for (const VolatileName& name : names_) {
    if (!survives(name.serial, name.acknowledged, how)) continue;
    if (name.create) {
      durable_names_[name.name] = name.inode;
    } else {
      durable_names_.erase(name.name);
    }
  }
  names_.clear();
  visible_names_ = durable_names_;
}

void Disk::crash_file(File& file, const DiskCrash& how) {
  for (VolatileWrite& write : file.writes) {
    const Fate fate = fate_of_write(write, how);
    if (fate == Fate::lost) continue;
    if (fate == Fate::partial) tear(write, file.durable, false);
    apply(file.durable, write);
  }
  file.writes.clear();
  if (file.size_volatile && how.loss) {
    // Of a file that was never synced, the name may survive without the size.
    const std::uint64_t quarters = 4 - draw(Choice::disk_crash, kSizeFate, file.serial, 5);
    if (quarters < 4) counters_.fire(FaultKind::disk_crash_loss);
    file.durable.resize(file.durable.size() * quarters / 4);
  }
  file.size_volatile = false;
  file.visible = file.durable;
}

// Neutral: what was acknowledged stays, what was not is lost.
Disk::Fate Disk::fate_of_write(const VolatileWrite& write, const DiskCrash& how) {
  if (write.acknowledged && !how.loss) return Fate::applied;
  constexpr Fate kWhenAcknowledged[] = {Fate::applied, Fate::lost, Fate::partial};
  constexpr Fate kInFlight[] = {Fate::lost, Fate::partial, Fate::applied};
  Fate fate = Fate::lost;
  if (write.acknowledged) {
    fate = kWhenAcknowledged[draw(Choice::disk_crash, kFate, write.serial, how.torn ? 3 : 2)];
  } else if (how.torn) {
    fate = kInFlight[draw(Choice::disk_crash, kFate, write.serial, how.durable ? 3 : 2)];
  } else {
    fate = draw(Choice::disk_crash, kFate, write.serial, 2) == 0 ? Fate::lost : Fate::applied;
  }
  if (fate == Fate::lost && write.acknowledged) counters_.fire(FaultKind::disk_crash_loss);
  if (fate == Fate::partial) counters_.fire(FaultKind::disk_crash_torn);
  if (fate == Fate::applied && !write.acknowledged) counters_.fire(FaultKind::disk_crash_durable);
  return fate;
}

// Replaces the sectors of a write that did not survive by what is there, and at most one by something
// damaged. `cached`: the machine has power, so sectors are old or new, and whole.
void Disk::tear(VolatileWrite& write, const std::vector<Page>& image, bool cached) {
  enum Pattern : std::uint64_t { kPrefix, kSuffix, kHoles, kOneBad, kPatterns };
  const std::uint64_t count = write.pages.size();
  const auto before = [&](std::uint64_t i) {
    const std::uint64_t page = write.first_page + i;
    return page < image.size() ? image[page] : Page();
  };
  const std::uint64_t pattern = draw(Choice::disk_crash, kPattern, write.serial, kPatterns);
  const std::uint64_t boundary = draw(Choice::disk_crash, kBoundary, write.serial, count);
  for (std::uint64_t i = 0; i < count; ++i) {
    bool kept = true;
    if (pattern == kPrefix) kept = i < boundary;
    if (pattern == kSuffix) kept = i > boundary;
    if (pattern == kHoles) kept = draw(Choice::disk_sector, kSector, sector_key(write.serial, i), 2) == 1;
    if (i == boundary && !cached) {
      write.pages[i] = damaged(before(i), write.pages[i], sector_key(write.serial, i));
    } else if (!kept || (cached && i == boundary)) {
      write.pages[i] = before(i);
    }
  }
}

Disk::Page Disk::damaged(const Page& before, const Page& after, std::uint64_t key) {
  enum Damage : std::uint64_t { kOld, kNew, kZero, kGarbage, kSplit, kDamages };
  const std::uint64_t damage = draw(Choice::disk_sector, kDamage, key, kDamages);
  if (damage == kOld) return before;
  if (damage == kNew) return after;
  if (damage == kZero) return Page();
  io::Buffer buffer = io::Buffer::allocate(io::kSectorBytes);
  copy_sector(before, buffer.data());
  for (std::size_t at = 0; at < io::kSectorBytes; at += kSplitBytes) {
    const std::uint64_t bits =
        decisions_.bits({Choice::disk_garbage, 0, machine_, key * 8 + at / kSplitBytes});
    if (damage == kSplit) {
      if ((bits & 1) == 0) continue;
      // A page may be short, here and as the new content of a write that another crash tore.
      const std::size_t held = std::min<std::size_t>(after.size() - std::min(after.size(), at), kSplitBytes);
      if (held > 0) std::memcpy(buffer.data() + at, after.data() + at, held);
      std::memset(buffer.data() + at + held, 0, kSplitBytes - held);
      continue;
    }
    for (std::size_t word = 0; word < kSplitBytes; word += sizeof bits) {
      const std::uint64_t noise = io::keyed_hash(bits, {word});
      std::memcpy(buffer.data() + at + word, &noise, sizeof noise);
    }
  }
  return std::move(buffer).freeze();
}

// ---- inspection -------------------------------------------------------------------------------------------

void Disk::install(const std::string& name, std::span<const std::byte> content, std::uint64_t size) {
  REEL_CHECK(io::disk_name_allowed(name) && handles_.empty() && in_flight_ == 0);
  const std::uint64_t bytes = std::max<std::uint64_t>(size, content.size());
  REEL_CHECK(bytes > 0 && bytes <= kFileBytesMax);
  const std::uint64_t pages = (bytes + io::kSectorBytes - 1) / io::kSectorBytes;
  const Inode inode = new_inode(pages);
  for (std::uint64_t i = 0; i * io::kSectorBytes < content.size(); ++i) {
    io::Buffer buffer = io::Buffer::allocate(io::kSectorBytes);
    const std::size_t length = std::min<std::size_t>(io::kSectorBytes, content.size() - i * io::kSectorBytes);
    std::memcpy(buffer.data(), content.data() + i * io::kSectorBytes, length);
    std::memset(buffer.data() + length, 0, io::kSectorBytes - length);
    inodes_[inode].durable[i] = std::move(buffer).freeze();
  }
  inodes_[inode].visible = inodes_[inode].durable;
  visible_names_[name] = inode;
  durable_names_[name] = inode;
  std::erase_if(names_, [&](const VolatileName& entry) { return entry.name == name; });
  collect();
}

std::vector<io::FileEntry> Disk::files() const {
  std::vector<io::FileEntry> entries;
  entries.reserve(visible_names_.size());
  for (const auto& [name, inode] : visible_names_) {
    entries.push_back({name, inodes_[inode].visible.size() * io::kSectorBytes});
  }
  return entries;
}

std::vector<std::byte> Disk::content_of(const std::vector<Page>& pages) {
  std::vector<std::byte> content(pages.size() * io::kSectorBytes);
  for (std::size_t i = 0; i < pages.size(); ++i) {
    copy_sector(pages[i], content.data() + i * io::kSectorBytes);
  }
  return content;
}

std::optional<std::vector<std::byte>> Disk::visible(const std::string& name) const {
  const auto found = visible_names_.find(name);
  if (found == visible_names_.end()) return std::nullopt;
  return content_of(inodes_[found->second].visible);
}

std::optional<std::vector<std::byte>> Disk::durable(const std::string& name) const {
  const auto found = durable_names_.find(name);
  if (found == durable_names_.end()) return std::nullopt;
  return content_of(inodes_[found->second].durable);
}

std::size_t Disk::volatile_operations() const {
  std::size_t count = names_.size();
  for (const File& file : inodes_) count += file.writes.size();
  return count;
}

std::uint64_t Disk::pages_held() const {
  std::uint64_t held = 0;
  const auto count = [&held](const std::vector<Page>& pages) {
    for (const Page& page : pages) held += page.empty() ? 0 : 1;
  };
  for (const File& file : inodes_) {
    count(file.visible);
    count(file.durable);
  }
  return held;
}

}  // namespace reel::sim
