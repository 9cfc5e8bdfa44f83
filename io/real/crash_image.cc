#include "io/real/crash_image.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/real/disk.h"

namespace reel::real {
namespace {

using io::DiskStatus;
using io::DiskVerb;
constexpr std::uint64_t kSector = io::kSectorBytes;

// What a draw is for, so that no two questions share an answer.
enum class Purpose : std::uint64_t {
  policy = 1,
  spared,
  fate,
  shape,
  place,
  unit,
  names,
  size,
  cut,
  cut_kind
};

struct Write {
  const io::DiskRequest* request = nullptr;
  bool completed = false;  // with success, so a sync may cover it
  bool durable = false;
};

// A file's content, whatever its name. Inodes are numbered and never forgotten.
struct Inode {
  const RecordedFile* base = nullptr;
  std::uint64_t size = 0;
  bool size_durable = false;
  std::uint64_t creator = 0;   // operation, for draws
  std::vector<Write> writes;   // in order of submission
  std::size_t first_open = 0;  // all writes before it are durable
};
using InodeId = std::size_t;

// A change of one directory entry that is not durable yet.
struct NameChange {
  std::uint64_t op = 0;
  std::optional<InodeId> target;  // nothing: removed
  bool completed = false;
  bool doubtful =
      false;  // failed: the running node goes on as if it had not happened, a crash may show that it had
};
struct Name {
  std::optional<InodeId> durable;
  std::vector<NameChange> pending;
  // What the running node sees.
  std::optional<InodeId> latest() const {
    for (auto change = pending.rbegin(); change != pending.rend(); ++change) {
      if (!change->doubtful) return change->target;
    }
    return durable;
  }
};

// Replays a recording up to a cut: what there is, and what of it is durable.
class History {
 public:
  std::expected<void, std::string> replay(const Recording& recording, std::size_t cut) {
    for (const RecordedFile& file : recording.base) {
      names_[file.name].durable = inodes_.size();
      inodes_.push_back({.base = &file, .size = file.size, .size_durable = true, .writes = {}});
    }
    for (std::size_t i = 0; i < cut; ++i) {
      const Record& record = recording.records[i];
      const char* wrong = nullptr;
      if (record.kind == RecordKind::submitted) wrong = submitted(record.request);
      if (record.kind == RecordKind::completed) wrong = completed(record);
      if (wrong != nullptr) {
        return std::unexpected("the recording contradicts itself at record " + std::to_string(i) + ": " +
                               wrong);
      }
    }
    return {};
  }
  const std::vector<Inode>& inodes() const { return inodes_; }
  const std::map<std::string, Name>& names() const { return names_; }

 private:
  struct Running {
    const io::DiskRequest* request = nullptr;
    std::optional<InodeId> inode;
    std::size_t write = 0;                                       // write: its place in the inode
    std::vector<std::size_t> covered;                            // sync: writes of the inode
    std::vector<std::pair<std::string, std::uint64_t>> changes;  // sync_directory: changes of names
  };

  // nullptr, or what is wrong.
  const char* submitted(const io::DiskRequest& request) {
    Running running;
    running.request = &request;
    switch (request.verb) {
      case DiskVerb::write:
      case DiskVerb::sync: {
        const auto handle = handles_.find(request.file);
        if (handle == handles_.end()) return "a request on a file that is not open";
        running.inode = handle->second;
        Inode& inode = inodes_[handle->second];
        if (request.verb == DiskVerb::sync) {
          for (std::size_t i = inode.first_open; i < inode.writes.size(); ++i) {
            if (inode.writes[i].completed && !inode.writes[i].durable) running.covered.push_back(i);
          }
          break;
        }
        if (request.offset > inode.size || request.length > inode.size - request.offset) {
          return "a write beyond the end of its file";
        }
        running.write = inode.writes.size();
        inode.writes.push_back({.request = &request});
        break;
      }
      case DiskVerb::create:
        // Over a name that exists it can only fail.
        if (request.name.empty() || names_[request.name].latest()) break;
        running.inode = inodes_.size();
        inodes_.push_back({.size = request.length, .creator = request.op.value, .writes = {}});
        names_[request.name].pending.push_back({.op = request.op.value, .target = running.inode});
        break;
      case DiskVerb::remove:
        if (!request.name.empty())
          names_[request.name].pending.push_back({.op = request.op.value, .target = {}});
        break;
      case DiskVerb::sync_directory:
        for (const auto& [name, state] : names_) {
          for (const NameChange& change : state.pending) {
            if (change.completed) running.changes.emplace_back(name, change.op);
          }
        }
        break;
      case DiskVerb::open: running.inode = names_[request.name].latest(); break;
      default: break;
    }
    if (!running_.emplace(request.op, std::move(running)).second) return "an operation number used twice";
    return nullptr;
  }

  const char* completed(const Record& record) {
    const auto found = running_.find(record.op);
    if (found == running_.end()) return "a result of an operation that is not under way";
    const Running running = std::move(found->second);
    running_.erase(found);
    const io::DiskRequest& request = *running.request;
    const bool good = record.status == DiskStatus::ok;
    switch (request.verb) {
      case DiskVerb::write: inodes_[*running.inode].writes[running.write].completed = good; return nullptr;
      case DiskVerb::sync:
        if (good) file_is_durable(inodes_[*running.inode], running.covered);
        return nullptr;
      case DiskVerb::create: return created(request, running, record.status);
      case DiskVerb::remove: removed(request, record.status); return nullptr;
      case DiskVerb::open: return good ? opened(request, running) : nullptr;
      case DiskVerb::close: handles_.erase(request.file); return nullptr;
      case DiskVerb::sync_directory:
        if (good) names_are_durable(running.changes);
        return nullptr;
      case DiskVerb::list:
      case DiskVerb::read: return nullptr;
    }
    return "an unknown request";
  }

  static void file_is_durable(Inode& inode, const std::vector<std::size_t>& covered) {
    inode.size_durable = true;  // a handle exists only after its create has completed
    for (const std::size_t write : covered) inode.writes[write].durable = true;
    while (inode.first_open < inode.writes.size() && inode.writes[inode.first_open].durable)
      ++inode.first_open;
  }

  const char* created(const io::DiskRequest& request, const Running& running, DiskStatus status) {
    if (!running.inode) return status == DiskStatus::ok ? "a create over a name that exists" : nullptr;
    Name& name = names_[request.name];
    const auto change = std::find_if(name.pending.begin(), name.pending.end(),
                                     [&](const NameChange& one) { return one.op == request.op.value; });
    if (change == name.pending.end()) return "a create that was lost";
    if (status == DiskStatus::exists || status == DiskStatus::refused) {
      name.pending.erase(change);  // it never touched the directory
      return nullptr;
    }
    change->completed = true;
    if (status == DiskStatus::ok) {
      return handles_.emplace(request.file, *running.inode).second ? nullptr : "a handle used twice";
    }
    // The disk removed what it had begun, and that is not durable either.
    name.pending.insert(change + 1, {.op = request.op.value, .target = {}, .completed = true});
    return nullptr;
  }

  void removed(const io::DiskRequest& request, DiskStatus status) {
    if (request.name.empty()) return;
    auto& pending = names_[request.name].pending;
    for (auto change = pending.begin(); change != pending.end(); ++change) {
      if (change->op != request.op.value) continue;
      change->completed = status == DiskStatus::ok;
      change->doubtful = status != DiskStatus::ok;
      if (status == DiskStatus::not_found || status == DiskStatus::refused) pending.erase(change);
      return;
    }
  }

  const char* opened(const io::DiskRequest& request, const Running& running) {
    // Resolved when it was submitted: a removal that came later does not take the file away.
    const auto inode = running.inode ? running.inode : names_[request.name].latest();
    if (!inode) return "an open of a file that does not exist";
    return handles_.emplace(request.file, *inode).second ? nullptr : "a handle used twice";
  }

  // Of one name only the last durable change counts, with all before it: they were there to be overtaken.
  void names_are_durable(const std::vector<std::pair<std::string, std::uint64_t>>& changes) {
    for (const auto& [text, op] : changes) {
      Name& name = names_[text];
      std::size_t upto = 0;
      for (std::size_t i = 0; i < name.pending.size(); ++i) {
        if (name.pending[i].op == op && name.pending[i].completed) upto = i + 1;
      }
      if (upto == 0) continue;
      name.durable = name.pending[upto - 1].target;
      name.pending.erase(name.pending.begin(), name.pending.begin() + static_cast<std::ptrdiff_t>(upto));
    }
  }

  std::vector<Inode> inodes_;
  std::map<std::string, Name> names_;
  std::unordered_map<io::FileId, InodeId> handles_;
  std::unordered_map<io::DiskOpId, Running> running_;
};

// Chooses, by a seed, what became of everything that was not durable.
class Chooser {
 public:
  Chooser(const History& history, const CrashOptions& options)
      : history_(history),
        options_(options),
        policy_(static_cast<Policy>(draw(Purpose::policy, 0, 0) % kPolicies)) {
    std::uint64_t open_writes = 0;
    for (const Inode& inode : history.inodes()) {
      for (const Write& write : inode.writes) open_writes += write.durable ? 0 : 1;
    }
    if (open_writes > 0) spared_ = draw(Purpose::spared, 0, 0) % open_writes;
  }

  CrashImage choose() {
    // The counting order of pending writes is that of inodes and writes, so it does not depend on names.
    std::vector<ImageFile> contents;
    for (const Inode& inode : history_.inodes()) contents.push_back(content_of(inode));
    for (const auto& [text, name] : history_.names()) {
      const std::uint64_t changes = name.pending.size();
      const std::uint64_t kept = changes == 0 ? 0 : kept_changes(text, changes);
      image_.undone_names += changes - kept;
      const auto target = kept == 0 ? name.durable : name.pending[kept - 1].target;
      if (target) image_.files.emplace(text, contents[*target]);
    }
    return std::move(image_);
  }

 private:
  // Extremes find more than fair coins: a batch all there but for one write, or nothing but one.
  enum class Policy : std::uint64_t { mixed, all_lost, all_applied, all_torn, all_but_one, only_one };
  static constexpr std::uint64_t kPolicies = 6;
  enum class Fate : std::uint64_t { applied, lost, torn };
  enum class Shape : std::uint64_t { subset, prefix, suffix, all_but_one, only_one };
  static constexpr std::uint64_t kShapes = 5;

  std::uint64_t draw(Purpose purpose, std::uint64_t subject, std::uint64_t part) const {
    return io::keyed_hash(options_.seed, {static_cast<std::uint64_t>(purpose), subject, part});
  }

  std::uint64_t kept_changes(const std::string& name, std::uint64_t changes) const {
    const std::uint64_t subject = io::digest64(std::as_bytes(std::span(name.data(), name.size())));
    if (policy_ == Policy::all_lost) return 0;
    if (policy_ == Policy::all_applied) return changes;
    return draw(Purpose::names, subject, 0) % (changes + 1);
  }

  Fate fate_of(const Write& write, std::uint64_t number) const {
    switch (policy_) {
      case Policy::all_lost: return Fate::lost;
      case Policy::all_applied: return Fate::applied;
      case Policy::all_torn: return Fate::torn;
      case Policy::all_but_one: return number == spared_ ? Fate::lost : Fate::applied;
      case Policy::only_one: return number == spared_ ? Fate::applied : Fate::lost;
      case Policy::mixed: break;
    }
    return static_cast<Fate>(draw(Purpose::fate, write.request->op.value, 0) % 3);
  }

  ImageFile content_of(const Inode& inode) {
    ImageFile file;
    file.size = size_of(inode);
    if (inode.base != nullptr) {
      for (const RecordedFile::Piece& piece : inode.base->pieces) put(file, piece.offset, piece.data);
    }
    for (const Write& write : inode.writes) {
      const io::Bytes& data = write.request->data.front();
      if (write.durable) {
        ++image_.durable_writes;
        put(file, write.request->offset, data);
        continue;
      }
      switch (fate_of(write, next_open_write_++)) {
        case Fate::applied:
          ++image_.applied_writes;
          put(file, write.request->offset, data);
          break;
        case Fate::lost: ++image_.lost_writes; break;
        case Fate::torn:
          ++image_.torn_writes;
          tear(file, *write.request, data);
          break;
      }
    }
    return file;
  }

  std::uint64_t size_of(const Inode& inode) {
    if (inode.size_durable || policy_ == Policy::all_applied) return inode.size;
    std::uint64_t sectors = 0;
    const std::uint64_t how = draw(Purpose::size, inode.creator, 0) % 3;
    if (how == 0) return inode.size;
    if (how == 1) sectors = draw(Purpose::size, inode.creator, 1) % (inode.size / kSector + 1);
    if (sectors * kSector != inode.size) ++image_.shortened_files;
    return sectors * kSector;
  }

  void tear(ImageFile& file, const io::DiskRequest& request, const io::Bytes& data) const {
    const std::uint64_t unit = options_.tear_bytes;
    const std::uint64_t units = data.size() / unit;
    const std::uint64_t op = request.op.value;
    const auto shape = static_cast<Shape>(draw(Purpose::shape, op, 0) % kShapes);
    const std::uint64_t place = draw(Purpose::place, op, 0) % units;
    for (std::uint64_t i = 0; i < units; ++i) {
      bool survives = false;
      switch (shape) {
        case Shape::subset: survives = draw(Purpose::unit, op, i) % 2 == 0; break;
        case Shape::prefix: survives = i < place; break;
        case Shape::suffix: survives = i >= place; break;
        case Shape::all_but_one: survives = i != place; break;
        case Shape::only_one: survives = i == place; break;
      }
      if (survives) put_part(file, request.offset + i * unit, data.slice(i * unit, unit));
    }
  }

  // Content that ends inside of a sector (a foreign base file) is filled up with zeros.
  static void put(ImageFile& file, std::uint64_t offset, const io::Bytes& data) {
    for (std::uint64_t at = 0; at < data.size(); at += kSector) {
      const std::uint64_t length = std::min<std::uint64_t>(kSector, data.size() - at);
      put_part(file, offset + at, data.slice(at, length));
    }
  }

  // At most one sector, inside of one.
  static void put_part(ImageFile& file, std::uint64_t offset, const io::Bytes& part) {
    if (offset >= file.size) return;
    io::Bytes& sector = file.sectors[offset / kSector];
    if (part.size() == kSector) {
      sector = part;
      return;
    }
    io::Buffer merged = io::Buffer::allocate(kSector);
    std::memset(merged.data(), 0, kSector);
    if (!sector.empty()) std::memcpy(merged.data(), sector.data(), kSector);
    std::memcpy(merged.data() + offset % kSector, part.data(), part.size());
    sector = std::move(merged).freeze();
  }

  const History& history_;
  const CrashOptions& options_;
  const Policy policy_;
  std::uint64_t spared_ = 0;
  std::uint64_t next_open_write_ = 0;
  CrashImage image_;
};

std::expected<void, std::string> write_file(const std::string& path, const ImageFile& file) {
  const auto failed = [&] {
    return std::unexpected("cannot write " + path + " (" + std::strerror(errno) +
                           "): check space and permissions");
  };
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (descriptor < 0) return failed();
  bool good = ::ftruncate(descriptor, static_cast<off_t>(file.size)) == 0;
  for (const auto& [number, sector] : file.sectors) {
    const std::uint64_t offset = number * kSector;
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(kSector, file.size - offset));
    good = good && ::pwrite(descriptor, sector.data(), length, static_cast<off_t>(offset)) ==
                       static_cast<ssize_t>(length);
  }
  // A node reads past the page cache: what it finds must not depend on how a file system reconciles the two.
  good = good && ::fdatasync(descriptor) == 0;
  const int error = errno;
  if (::close(descriptor) != 0) good = false;
  errno = error;
  if (!good) return failed();
  return {};
}

}  // namespace

std::string CrashImage::describe() const {
  return std::to_string(files.size()) + " files; " + std::to_string(durable_writes) + " durable writes, of " +
         std::to_string(applied_writes + lost_writes + torn_writes) + " others " +
         std::to_string(applied_writes) + " applied, " + std::to_string(lost_writes) + " lost, " +
         std::to_string(torn_writes) + " torn; " + std::to_string(undone_names) +
         " changes of names undone, " + std::to_string(shortened_files) + " new files cut short";
}

std::expected<CrashImage, std::string> build_crash_image(const Recording& recording,
                                                         const CrashOptions& options) {
  REEL_CHECK(options.cut <= recording.records.size());
  REEL_CHECK(options.tear_bytes == 4096 || options.tear_bytes == 512);
  History history;
  if (auto replayed = history.replay(recording, options.cut); !replayed)
    return std::unexpected(replayed.error());
  return Chooser(history, options).choose();
}

std::expected<void, std::string> write_crash_image(const CrashImage& image, const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error || !std::filesystem::is_empty(directory, error) || error) {
    return std::unexpected("directory " + directory + " is not empty or cannot be made: choose a new one");
  }
  for (const auto& [name, file] : image.files) {
    std::string path = directory;
    if (auto written = write_file(path.append("/").append(name), file); !written) return written;
  }
  return {};
}

std::size_t pick_cut(const Recording& recording, std::uint64_t seed) {
  const std::uint64_t kind = io::keyed_hash(seed, {static_cast<std::uint64_t>(Purpose::cut_kind)});
  const std::uint64_t place = io::keyed_hash(seed, {static_cast<std::uint64_t>(Purpose::cut)});
  std::vector<std::size_t> delicate;
  if (kind % 2 == 0) {
    std::set<io::DiskOpId> syncs;
    for (std::size_t i = 0; i < recording.records.size(); ++i) {
      const Record& record = recording.records[i];
      if (record.kind == RecordKind::submitted && record.request.verb == DiskVerb::sync)
        syncs.insert(record.request.op);
      if (record.kind == RecordKind::completed && syncs.erase(record.op) > 0) delicate.push_back(i);
    }
  }
  if (!delicate.empty()) return delicate[place % delicate.size()];
  return place % (recording.records.size() + 1);
}

std::vector<std::string> marks_before(const Recording& recording, std::size_t cut) {
  REEL_CHECK(cut <= recording.records.size());
  std::vector<std::string> marks;
  for (std::size_t i = 0; i < cut; ++i) {
    if (recording.records[i].kind == RecordKind::mark) marks.push_back(recording.records[i].text);
  }
  return marks;
}

}  // namespace reel::real
