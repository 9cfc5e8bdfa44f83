#include "io/real/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "io/ports/assert.h"

namespace reel::real {
namespace {

using io::DiskStatus;
using io::DiskVerb;

constexpr const char* kLockName = "LOCK";
// A node bounds its requests itself; far above every such bound this catches one that does not.
constexpr std::size_t kRequestsMax = 65536;
// EINTR, EAGAIN and transfers without progress, per request.
constexpr std::uint32_t kRetriesMax = 1000;

bool is_transfer(DiskVerb verb) {
  return verb == DiskVerb::read || verb == DiskVerb::write || verb == DiskVerb::sync;
}

std::string reason_of(int error) { return std::strerror(error); }

std::unexpected<DiskOpenError> open_error(DiskOpenError::Code code, std::string text) {
  return std::unexpected(DiskOpenError{code, std::move(text)});
}

DiskOpenError::Code code_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return DiskOpenError::Code::missing;
    case EACCES:
    case EPERM:
    case EROFS: return DiskOpenError::Code::denied;
    default: return DiskOpenError::Code::io;
  }
}

// Asked before anything is allocated: a file system may take all that is left, piece by piece, before it finds out that
// it is not enough, and meanwhile nobody else on it can write.
bool has_room(int directory, std::uint64_t bytes) {
  struct statvfs space{};
  if (::fstatvfs(directory, &space) != 0) return true;  // then the allocation tells
  return bytes / space.f_frsize <= space.f_bavail;
}

// The kernel splits no sector of an aligned write, but a file system may stop anywhere.
std::uint64_t whole_sectors(std::uint64_t bytes) { return bytes / io::kSectorBytes * io::kSectorBytes; }

// The files of a directory, in order of name. Things that are not regular files are not ours.
int list_files(int directory, std::vector<io::FileEntry>& files) {
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return errno;
  DIR* stream = ::fdopendir(copy);
  if (stream == nullptr) {
    const int error = errno;
    ::close(copy);
    return error;
  }
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    struct stat status{};
    if (std::strcmp(entry->d_name, kLockName) == 0) continue;
    if (::fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
    if (S_ISREG(status.st_mode)) files.push_back({entry->d_name, static_cast<std::uint64_t>(status.st_size)});
    errno = 0;
  }
  const int error = errno;
  ::closedir(stream);
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return error;
}

// Makes the directory and its missing parents, each with mode 0750. 0 or errno.
int make_directories(const std::string& path) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    if (::mkdir(path.substr(0, end).c_str(), 0750) != 0 && errno != EEXIST) return errno;
    if (end == std::string::npos) return 0;
  }
}

std::string holder_of(int lock) {
  char text[32] = {};
  const ssize_t size = ::pread(lock, text, sizeof text - 1, 0);
  const long process = size > 0 ? std::strtol(text, nullptr, 10) : 0;
  return process > 0 ? "process " + std::to_string(process) : "another process";
}

}  // namespace

DiskStatus disk_status_of(int error) {
  switch (error) {
    case 0: return DiskStatus::ok;
    case ENOENT: return DiskStatus::not_found;
    case EEXIST: return DiskStatus::exists;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return DiskStatus::no_space;
    case EROFS: return DiskStatus::read_only;
    case EACCES:
    case EPERM:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG: return DiskStatus::refused;
    default: return DiskStatus::io_error;
  }
}

// Of zeros in one transfer.
constexpr std::uint64_t kZeroBytesMax = 4u << 20;

struct RealDisk::Operation : Transfer {
  io::DiskRequest request;
  std::size_t slot = 0;              // in live_
  std::vector<iovec> vectors;        // what `parts` points at
  io::Buffer buffer;                 // read
  std::uint64_t done_bytes = 0;      // read, write, create: so far
  std::uint64_t written_before = 0;  // create: of all writes, when the zeros began
  std::uint32_t retries = 0;
};

struct RealDisk::NameResult {
  NameResult() = default;
  NameResult(const NameResult&) = delete;
  NameResult& operator=(const NameResult&) = delete;
  // A result that nobody took, because the disk is gone, leaves no descriptor behind.
  ~NameResult() {
    if (descriptor >= 0) ::close(descriptor);
  }
  int take() { return std::exchange(descriptor, -1); }

  int error = 0;
  int descriptor = -1;
  std::uint64_t size = 0;
  std::vector<io::FileEntry> files;
};

// ---- opening

std::expected<std::unique_ptr<RealDisk>, DiskOpenError> RealDisk::open(Loop& loop,
                                                                       const DiskOptions& options) {
  REEL_CHECK(options.queue_depth >= 4 && options.queue_depth <= 4096);
  REEL_CHECK(options.threads >= 1 && options.threads <= 64);
  REEL_CHECK(options.zero_chunk_bytes >= io::kSectorBytes && options.zero_chunk_bytes <= (16u << 20) &&
             options.zero_chunk_bytes % io::kSectorBytes == 0);
  std::unique_ptr<RealDisk> disk(new RealDisk(loop, options));
  if (auto entered = disk->enter_directory(); !entered) return std::unexpected(entered.error());
  if (auto locked = disk->take_lock(); !locked) return std::unexpected(locked.error());
  if (auto chosen = disk->choose_engine(); !chosen) return std::unexpected(chosen.error());
  return disk;
}

RealDisk::RealDisk(Loop& loop, const DiskOptions& options) : loop_(loop), options_(options) {
  io::Buffer zeros = io::Buffer::allocate(options_.zero_chunk_bytes);
  std::memset(zeros.data(), 0, zeros.size());
  zeros_ = std::move(zeros).freeze();
  loop_.add_flusher(FlushPhase::disk, *this);
}

std::expected<void, DiskOpenError> RealDisk::enter_directory() {
  const std::string& path = options_.directory;
  if (path.empty()) return open_error(DiskOpenError::Code::missing, "no data directory was named: give one");
  if (options_.make_directory) {
    if (const int error = make_directories(path); error != 0) {
      return open_error(code_of(error), "cannot make directory " + path + " (" + reason_of(error) +
                                            "): check the path and its permissions");
    }
  }
  directory_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory_ < 0) {
    const int error = errno;
    const char* advice = code_of(error) == DiskOpenError::Code::missing
                             ? "): make a data directory with `reel node init`"
                             : "): check its permissions";
    return open_error(code_of(error), "cannot open directory " + path + " (" + reason_of(error) + advice);
  }
  return {};
}

std::expected<void, DiskOpenError> RealDisk::take_lock() {
  lock_ = ::openat(directory_, kLockName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (lock_ < 0) {
    const int error = errno;
    return open_error(code_of(error), "directory " + options_.directory + " is not writable (" +
                                          reason_of(error) + "): check owner, permissions and mount");
  }
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    return open_error(DiskOpenError::Code::in_use, "directory " + options_.directory + " is in use by " +
                                                       holder_of(lock_) +
                                                       ": stop it, or choose another directory");
  }
  // For the message above only; the lock is the kernel's, so a failure here does no harm.
  const std::string process = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock_, 0) == 0 && ::pwrite(lock_, process.data(), process.size(), 0) < 0) errno = 0;
  const int probe = ::openat(directory_, kLockName, O_RDONLY | O_DIRECT | O_CLOEXEC);
  direct_ = probe >= 0;
  if (probe >= 0) ::close(probe);
  return {};
}

std::expected<void, DiskOpenError> RealDisk::choose_engine() {
  names_ = std::make_unique<Workers>(loop_, 1);
  if (!direct_) {
    notice_ = "the file system of " + options_.directory +
              " has no direct I/O: going through the page cache, which is slower";
  }
  const auto done = [this](Transfer& transfer) { on_transfer(transfer); };
  if (options_.engine != DiskEngineKind::threads) {
    auto engine = make_uring_engine(loop_, options_.queue_depth, done);
    if (engine) {
      engine_ = std::move(*engine);
      uses_uring_ = true;
      return {};
    }
    const std::string why = reason_of(engine.error());
    if (options_.engine == DiskEngineKind::uring) {
      return open_error(DiskOpenError::Code::unsupported,
                        "io_uring is not available (" + why + "): allow it, or choose the engine `threads`");
    }
    if (!notice_.empty()) notice_ += "; ";
    notice_ +=
        "io_uring is not available (" + why + "): writing with pwrite and fdatasync on threads, slower";
  }
  engine_ = make_thread_engine(loop_, options_.threads, done);
  return {};
}

RealDisk::~RealDisk() noexcept {
  loop_.remove_flusher(*this);
  host_ = nullptr;
  alive_.reset();
  const bool transfers_settled = engine_ == nullptr || engine_->settle(io::seconds(5));
  const bool names_settled = names_ == nullptr || names_->settle(io::seconds(5));
  if (!transfers_settled || !names_settled) {
    // The kernel may still write into this memory; nobody else may get it.
    // NOLINTBEGIN(bugprone-unused-return-value,bugprone-unhandled-exception-at-new): it is given up on purpose.
    for (auto& operation : live_) (void)operation.release();
    new io::Bytes(zeros_);
    // The lock stays taken: what may still be written must not meet a second owner.
    (void)engine_.release();
    (void)names_.release();
    // NOLINTEND(bugprone-unused-return-value,bugprone-unhandled-exception-at-new)
    return;
  }
  engine_.reset();
  names_.reset();
  for (const auto& [id, file] : files_) {
    if (file.descriptor >= 0) ::close(file.descriptor);
  }
  if (lock_ >= 0) ::close(lock_);
  if (directory_ >= 0) ::close(directory_);
}

// ---- requests

void RealDisk::flush() { engine_->flush(); }

RealDisk::Operation& RealDisk::admit(io::DiskRequest request) {
  REEL_CHECK(live_.size() < kRequestsMax);
  std::unique_ptr<Operation> operation;
  if (spare_.empty()) {
    operation = std::make_unique<Operation>();
  } else {
    operation = std::move(spare_.back());
    spare_.pop_back();
  }
  operation->request = std::move(request);
  operation->slot = live_.size();
  operation->done_bytes = 0;
  operation->retries = 0;
  live_.push_back(std::move(operation));
  return *live_.back();
}

void RealDisk::submit(io::DiskRequest request) {
  Operation& operation = admit(std::move(request));
  switch (operation.request.verb) {
    case DiskVerb::read:
    case DiskVerb::write:
    case DiskVerb::sync: return begin_transfer(operation);
    case DiskVerb::list: return begin_list(operation);
    case DiskVerb::create: return begin_create(operation);
    case DiskVerb::open: return begin_open(operation);
    case DiskVerb::close: return begin_close(operation);
    case DiskVerb::remove: return begin_remove(operation);
    case DiskVerb::sync_directory: return begin_sync_directory(operation);
  }
  REEL_CHECK(false);
}

void RealDisk::begin_transfer(Operation& operation) {
  OpenFile& file = file_of(operation);
  REEL_CHECK(file.descriptor >= 0 && file.closing == nullptr);
  check_transfer(file, operation);
  file.in_flight.push_back(&operation);
  if (operation.request.verb == DiskVerb::read)
    operation.buffer = io::Buffer::allocate(operation.request.length);
  start_transfer(operation);
}

void RealDisk::begin_list(Operation& operation) {
  on_worker(
      operation,
      [directory = directory_](NameResult& result) { result.error = list_files(directory, result.files); },
      [this](Operation& op, NameResult& result) {
        io::DiskResult listed;
        listed.status = disk_status_of(result.error);
        listed.files = std::move(result.files);
        finish(op, std::move(listed));
      });
}

void RealDisk::begin_create(Operation& operation) {
  const io::DiskRequest& asked = operation.request;
  REEL_CHECK(asked.length > 0 && asked.length % io::kSectorBytes == 0);
  if (!io::disk_name_allowed(asked.name)) return refuse(operation, DiskStatus::refused);
  REEL_CHECK(files_.try_emplace(asked.file).second);
  on_worker(
      operation,
      [directory = directory_, flags = open_flags() | O_CREAT | O_EXCL, name = asked.name,
       length = asked.length](NameResult& result) {
        if (!has_room(directory, length)) {
          result.error = ENOSPC;
          return;
        }
        result.descriptor = ::openat(directory, name.c_str(), flags, 0640);
        if (result.descriptor < 0) {
          result.error = errno;
          return;
        }
        // Allocated at once, the file lies in one piece, and a full disk is known before anything is written.
        if (::fallocate(result.descriptor, 0, 0, static_cast<off_t>(length)) != 0 && errno != EOPNOTSUPP) {
          result.error = errno;
        }
      },
      [this](Operation& op, NameResult& result) { created(op, result); });
}

void RealDisk::begin_open(Operation& operation) {
  const io::DiskRequest& asked = operation.request;
  if (!io::disk_name_allowed(asked.name)) return refuse(operation, DiskStatus::refused);
  REEL_CHECK(files_.try_emplace(asked.file).second);
  on_worker(
      operation,
      [directory = directory_, flags = open_flags(), name = asked.name](NameResult& result) {
        result.descriptor = ::openat(directory, name.c_str(), flags);
        struct stat status{};
        if (result.descriptor < 0 || ::fstat(result.descriptor, &status) != 0) {
          result.error = errno;
        } else if (!S_ISREG(status.st_mode)) {
          result.error = EISDIR;
        } else {
          result.size = static_cast<std::uint64_t>(status.st_size);
        }
      },
      [this](Operation& op, NameResult& result) { opened(op, result); });
}

void RealDisk::begin_close(Operation& operation) {
  OpenFile& file = file_of(operation);
  REEL_CHECK(file.descriptor >= 0 && file.closing == nullptr);
  file.closing = &operation;
  if (file.in_flight.empty()) start_close(operation);
}

void RealDisk::begin_remove(Operation& operation) {
  if (!io::disk_name_allowed(operation.request.name)) return refuse(operation, DiskStatus::refused);
  on_worker(
      operation,
      [directory = directory_, name = operation.request.name](NameResult& result) {
        if (::unlinkat(directory, name.c_str(), 0) != 0) result.error = errno;
      },
      [this](Operation& op, NameResult& result) { finish(op, disk_status_of(result.error)); });
}

void RealDisk::begin_sync_directory(Operation& operation) {
  on_worker(
      operation,
      [directory = directory_](NameResult& result) {
        if (::fsync(directory) != 0) result.error = errno;
      },
      [this](Operation& op, NameResult& result) { finish(op, disk_status_of(result.error)); });
}

int RealDisk::open_flags() const { return O_RDWR | O_CLOEXEC | O_NOFOLLOW | (direct_ ? O_DIRECT : 0); }

RealDisk::OpenFile& RealDisk::file_of(const Operation& operation) {
  const auto found = files_.find(operation.request.file);
  REEL_CHECK(found != files_.end());
  return found->second;
}

// The contract's programmer errors (io/ports/disk.h).
void RealDisk::check_transfer(const OpenFile& file, const Operation& operation) const {
  const io::DiskRequest& asked = operation.request;
  if (asked.verb == DiskVerb::sync) return;
  REEL_CHECK(asked.length > 0 && asked.length % io::kSectorBytes == 0 &&
             asked.offset % io::kSectorBytes == 0);
  REEL_CHECK(asked.offset <= file.size && asked.length <= file.size - asked.offset);
  if (asked.verb == DiskVerb::write) {
    std::uint64_t total = 0;
    for (const io::Bytes& part : asked.data) {
      REEL_CHECK(!part.empty() && part.size() % io::kSectorBytes == 0);
      REEL_CHECK(reinterpret_cast<std::uintptr_t>(part.data()) % io::kSectorBytes == 0);
      total += part.size();
    }
    REEL_CHECK(total == asked.length);
  }
  for (const Operation* other : file.in_flight) {
    if (other->request.verb == DiskVerb::sync) continue;
    if (other->request.verb == DiskVerb::read && asked.verb == DiskVerb::read) continue;
    const bool apart = other->request.offset + other->request.length <= asked.offset ||
                       asked.offset + asked.length <= other->request.offset;
    REEL_CHECK(apart);
  }
}

// ---- transfers

// How much of a create's zeros to write at once. A device shares itself out by what is queued: small chunks leave commits
// their latency, but beside writes that fill the device they would never be done, and whoever needs the next file would stand
// still until they are. So zeros that fall behind the writes since they began take as large a share as those.
std::uint64_t RealDisk::zero_bytes(const Operation& create) const {
  const std::uint64_t written = counters_.written_bytes - create.written_before;
  if (create.done_bytes >= written + written / 4) return options_.zero_chunk_bytes;
  std::uint64_t queued = 0;
  for (const auto& operation : live_) {
    if (operation->request.verb == DiskVerb::write) queued += operation->request.length;
  }
  const std::uint64_t chunks = queued / options_.zero_chunk_bytes + 1;
  return std::min(chunks * options_.zero_chunk_bytes,
                  std::max<std::uint64_t>(kZeroBytesMax, options_.zero_chunk_bytes));
}

// The next piece of a read, write, sync, or of a create's zeros.
void RealDisk::start_transfer(Operation& operation) {
  const io::DiskRequest& asked = operation.request;
  const std::uint64_t left = asked.length - operation.done_bytes;
  operation.descriptor = file_of(operation).descriptor;
  operation.offset = asked.offset + operation.done_bytes;
  operation.vectors.clear();
  switch (asked.verb) {
    case DiskVerb::read:
      operation.kind = Transfer::Kind::read;
      operation.vectors.push_back({operation.buffer.data() + operation.done_bytes, left});
      break;
    case DiskVerb::write: {
      operation.kind = Transfer::Kind::write;
      std::uint64_t skip = operation.done_bytes;
      for (const io::Bytes& part : asked.data) {
        if (skip >= part.size()) {
          skip -= part.size();
          continue;
        }
        // writev only reads through this pointer.
        auto* start = const_cast<std::byte*>(part.data()) + skip;
        operation.vectors.push_back({start, part.size() - skip});
        skip = 0;
        if (operation.vectors.size() == kTransferPartsMax) break;
      }
      break;
    }
    case DiskVerb::create:
      operation.kind = Transfer::Kind::write;
      for (std::uint64_t chunk = std::min(left, zero_bytes(operation)); chunk > 0;) {
        const std::uint64_t part = std::min<std::uint64_t>(chunk, zeros_.size());
        operation.vectors.push_back({const_cast<std::byte*>(zeros_.data()), part});
        chunk -= part;
      }
      break;
    default: operation.kind = Transfer::Kind::sync; break;
  }
  operation.parts = operation.vectors.data();
  operation.part_count = static_cast<std::uint32_t>(operation.vectors.size());
  engine_->start(operation);
}

void RealDisk::on_transfer(Transfer& transfer) {
  if (options_.tamper) transfer.result = options_.tamper(transfer);
  auto& operation = static_cast<Operation&>(transfer);
  const io::DiskRequest& asked = operation.request;
  const auto fail = [&](DiskStatus status) {
    asked.verb == DiskVerb::create ? abandon_create(operation, status) : finish(operation, status);
  };
  const auto again = [&] {
    ++counters_.continued;
    if (++operation.retries > kRetriesMax) return fail(DiskStatus::io_error);
    start_transfer(operation);
  };
  if (transfer.result == -EINTR || transfer.result == -EAGAIN) return again();
  if (transfer.result < 0) return fail(disk_status_of(static_cast<int>(-transfer.result)));
  if (asked.verb == DiskVerb::sync) return finish(operation, DiskStatus::ok);

  std::uint64_t wanted = 0;
  for (const iovec& part : operation.vectors) wanted += part.iov_len;
  const auto moved = static_cast<std::uint64_t>(transfer.result);
  REEL_CHECK(moved <= wanted);
  // A read that ends before the file's known size met a file cut short behind our back.
  if (moved == 0) return fail(DiskStatus::io_error);
  operation.done_bytes += whole_sectors(moved);
  if (moved < wanted) return again();
  if (operation.done_bytes < asked.length) return start_transfer(operation);
  io::DiskResult result;
  if (asked.verb == DiskVerb::read) result.data = std::move(operation.buffer).freeze();
  if (asked.verb == DiskVerb::create) result.size = asked.length;
  finish(operation, std::move(result));
}

// ---- names

void RealDisk::on_worker(Operation& operation, std::function<void(NameResult&)> job,
                         std::function<void(Operation&, NameResult&)> done) {
  auto result = std::make_shared<NameResult>();
  names_->run([result, job = std::move(job)] { job(*result); },
              [this, &operation, result, done = std::move(done)] {
                loop_.note_activity();
                done(operation, *result);
              });
}

void RealDisk::created(Operation& operation, NameResult& result) {
  if (result.descriptor < 0) {
    files_.erase(operation.request.file);
    return finish(operation, disk_status_of(result.error));
  }
  OpenFile& file = file_of(operation);
  file.descriptor = result.take();
  file.size = operation.request.length;
  if (result.error != 0) return abandon_create(operation, disk_status_of(result.error));
  operation.written_before = counters_.written_bytes;
  start_transfer(operation);
}

// A file that could not be filled is of no use to anybody, and would be met as `exists` at the next attempt.
void RealDisk::abandon_create(Operation& operation, DiskStatus status) {
  const int descriptor = file_of(operation).descriptor;
  files_.erase(operation.request.file);
  on_worker(
      operation,
      [directory = directory_, descriptor, name = operation.request.name](NameResult&) {
        ::close(descriptor);
        ::unlinkat(directory, name.c_str(), 0);
      },
      [this, status](Operation& op, NameResult&) { finish(op, status); });
}

void RealDisk::opened(Operation& operation, NameResult& result) {
  if (result.error != 0) {
    files_.erase(operation.request.file);
    return finish(operation, disk_status_of(result.error));
  }
  OpenFile& file = file_of(operation);
  file.descriptor = result.take();
  file.size = result.size;
  io::DiskResult opened;
  opened.size = result.size;
  finish(operation, std::move(opened));
}

void RealDisk::start_close(Operation& operation) {
  const int descriptor = file_of(operation).descriptor;
  files_.erase(operation.request.file);
  on_worker(
      operation,
      [descriptor](NameResult& result) {
        if (::close(descriptor) != 0) result.error = errno;
      },
      [this](Operation& op, NameResult& result) { finish(op, disk_status_of(result.error)); });
}

// Results never come from inside submit().
void RealDisk::refuse(Operation& operation, DiskStatus status) {
  loop_.defer([this, &operation, status, alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) finish(operation, status);
  });
}

// ---- the end of a request

void RealDisk::finish(Operation& operation, DiskStatus status) {
  io::DiskResult result;
  result.status = status;
  finish(operation, std::move(result));
}

void RealDisk::finish(Operation& operation, io::DiskResult result) {
  const io::DiskRequest& asked = operation.request;
  result.op = asked.op;
  result.verb = asked.verb;
  result.file = asked.file;
  count(operation, result.status);
  if (is_transfer(asked.verb)) {
    OpenFile& file = file_of(operation);
    std::erase(file.in_flight, &operation);
    if (file.in_flight.empty() && file.closing != nullptr) start_close(*file.closing);
  }
  operation.request = {};
  operation.buffer = {};
  live_.back()->slot = operation.slot;
  std::swap(live_[operation.slot], live_.back());
  spare_.push_back(std::move(live_.back()));
  live_.pop_back();
  if (host_ != nullptr) host_->on_disk(std::move(result));
}

void RealDisk::count(const Operation& operation, DiskStatus status) {
  const io::DiskRequest& asked = operation.request;
  if (status != DiskStatus::ok) ++counters_.errors;
  switch (asked.verb) {
    case DiskVerb::read: ++counters_.reads; break;
    case DiskVerb::write:
      ++counters_.writes;
      counters_.written_bytes += asked.length;
      break;
    case DiskVerb::sync: ++counters_.syncs; break;
    case DiskVerb::sync_directory: ++counters_.directory_syncs; break;
    case DiskVerb::create: ++counters_.creates; break;
    default: break;
  }
}

}  // namespace reel::real
