#include "io/real/recording.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <utility>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "io/ports/endian.h"
#include "io/real/disk.h"

namespace reel::real {
namespace {

constexpr std::string_view kMagic = "REELREC1";
constexpr std::size_t kFileHeaderBytes = 16;
constexpr std::size_t kRecordHeaderBytes = 16;
constexpr std::size_t kPrefixBytesMax = kMarkBytesMax;  // of a body before its data; a mark is all prefix

class Encoder {
 public:
  template <class Integer>
  Encoder& put(Integer value) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof value);
    io::store(bytes_.data() + at, value);
    return *this;
  }
  Encoder& put_name(const std::string& name) {
    REEL_CHECK(name.size() <= 64);
    return put(static_cast<std::uint8_t>(name.size())).put_text(name);
  }
  Encoder& put_text(std::string_view text) {
    const auto* start = reinterpret_cast<const std::byte*>(text.data());
    bytes_.insert(bytes_.end(), start, start + text.size());
    return *this;
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Reads integers and names from untrusted bytes; after the first read beyond the end, ok() is false and
// values are 0.
class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <class Integer>
  Integer take() {
    if (bytes_.size() - at_ < sizeof(Integer)) {
      ok_ = false;
      return 0;
    }
    const auto value = io::load<Integer>(bytes_.data() + at_);
    at_ += sizeof(Integer);
    return value;
  }
  std::string take_name() {
    const auto size = take<std::uint8_t>();
    if (bytes_.size() - at_ < size) {
      ok_ = false;
      return {};
    }
    std::string name(reinterpret_cast<const char*>(bytes_.data() + at_), size);
    at_ += size;
    return name;
  }
  bool ok() const { return ok_; }
  std::size_t position() const { return at_; }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

// The prefix of a body is covered as a whole, its data sector by sector, so that gathered parts need no copy.
std::uint64_t prefix_digest(RecordKind kind, std::uint32_t body_bytes, std::span<const std::byte> prefix) {
  return io::digest64(prefix, static_cast<std::uint64_t>(body_bytes) << 8 | static_cast<std::uint8_t>(kind));
}
std::uint64_t data_digest(std::uint64_t chain, std::span<const std::byte> data) {
  for (std::size_t at = 0; at < data.size(); at += io::kSectorBytes) {
    chain = io::digest64(data.subspan(at, std::min(io::kSectorBytes, data.size() - at)), chain);
  }
  return chain;
}

bool is_zero(std::span<const std::byte> content) {
  return std::all_of(content.begin(), content.end(), [](std::byte b) { return b == std::byte{0}; });
}

bool range_is_sane(std::uint64_t offset, std::uint64_t length) {
  return offset % io::kSectorBytes == 0 && length % io::kSectorBytes == 0 && offset <= kRecordedFileMax &&
         length <= kRecordedFileMax - offset;
}

// One body, by kind. Each returns false for anything that a RecordingWriter would not have written.
class Reader {
 public:
  explicit Reader(const io::Bytes& bytes) : bytes_(bytes) {}

  std::expected<Recording, std::string> run() {
    if (bytes_.size() < kFileHeaderBytes || bytes_.text().substr(0, kMagic.size()) != kMagic) {
      return std::unexpected("this is not a disk recording");
    }
    const auto version = io::load<std::uint32_t>(bytes_.data() + kMagic.size());
    if (version != kRecordingVersion) {
      return std::unexpected("the recording has version " + std::to_string(version) +
                             ", this program reads " + std::to_string(kRecordingVersion));
    }
    if (io::load<std::uint32_t>(bytes_.data() + 12) != 0)
      return std::unexpected("the recording's header is damaged");
    std::size_t at = kFileHeaderBytes;
    while (at < bytes_.size() && !recording_.ended) {
      const auto next = read_record(at);
      if (!next)
        return std::unexpected(next.error() + " at byte " + std::to_string(at) + " of the recording");
      if (*next == at) {
        recording_.cut_short = true;
        break;
      }
      at = *next;
    }
    return std::move(recording_);
  }

 private:
  // Where the next record begins; `at` itself if this one is incomplete.
  std::expected<std::size_t, std::string> read_record(std::size_t at) {
    const std::size_t left = bytes_.size() - at;
    if (left < kRecordHeaderBytes) return at;
    const std::byte* head = bytes_.data() + at;
    const auto body_bytes = io::load<std::uint32_t>(head);
    const auto kind = static_cast<RecordKind>(io::load<std::uint8_t>(head + 4));
    if (io::load<std::uint32_t>(head + 4) >> 8 != 0) return std::unexpected("a malformed record");
    if (body_bytes > kRecordedDataMax + kPrefixBytesMax) return std::unexpected("an oversized record");
    if (body_bytes > left - kRecordHeaderBytes) return at;
    const io::Bytes body = bytes_.slice(at + kRecordHeaderBytes, body_bytes);
    std::size_t prefix = 0;
    if (!parse(kind, body, prefix)) return std::unexpected("a malformed record");
    const std::uint64_t digest =
        data_digest(prefix_digest(kind, body_bytes, body.span().first(prefix)), body.span().subspan(prefix));
    if (digest != io::load<std::uint64_t>(head + 8)) return std::unexpected("a record with a wrong checksum");
    return at + kRecordHeaderBytes + body_bytes;
  }

  bool parse(RecordKind kind, const io::Bytes& body, std::size_t& prefix) {
    const bool is_base = kind == RecordKind::base_file || kind == RecordKind::base_data;
    if (is_base && !recording_.records.empty()) return false;
    switch (kind) {
      case RecordKind::base_file: return parse_base_file(body, prefix);
      case RecordKind::base_data: return parse_base_data(body, prefix);
      case RecordKind::submitted: return parse_submitted(body, prefix);
      case RecordKind::completed: return parse_completed(body, prefix);
      case RecordKind::mark: return parse_mark(body, prefix);
      case RecordKind::ended: recording_.ended = true; return body.empty();
    }
    return false;
  }

  bool parse_base_file(const io::Bytes& body, std::size_t& prefix) {
    Decoder decoder(body.span());
    RecordedFile file;
    file.size = decoder.take<std::uint64_t>();
    file.name = decoder.take_name();
    prefix = decoder.position();
    if (!decoder.ok() || prefix != body.size() || file.size > kRecordedFileMax) return false;
    if (!io::disk_name_allowed(file.name) || base_.contains(file.name)) return false;
    base_.emplace(file.name, recording_.base.size());
    recording_.base.push_back(std::move(file));
    return true;
  }

  bool parse_base_data(const io::Bytes& body, std::size_t& prefix) {
    Decoder decoder(body.span());
    const auto offset = decoder.take<std::uint64_t>();
    const auto found = base_.find(decoder.take_name());
    prefix = decoder.position();
    if (!decoder.ok() || found == base_.end()) return false;
    RecordedFile& file = recording_.base[found->second];
    const std::size_t length = body.size() - prefix;
    if (length == 0 || offset % io::kSectorBytes != 0) return false;
    if (offset > file.size || length > file.size - offset) return false;
    file.pieces.push_back({offset, body.slice(prefix, length)});
    return true;
  }

  bool parse_submitted(const io::Bytes& body, std::size_t& prefix) {
    Decoder decoder(body.span());
    Record record;
    record.kind = RecordKind::submitted;
    io::DiskRequest& request = record.request;
    request.op = io::DiskOpId(decoder.take<std::uint64_t>());
    const auto verb = decoder.take<std::uint8_t>();
    request.verb = static_cast<io::DiskVerb>(verb);
    request.file = io::FileId(decoder.take<std::uint32_t>());
    request.offset = decoder.take<std::uint64_t>();
    request.length = decoder.take<std::uint64_t>();
    request.name = decoder.take_name();
    prefix = decoder.position();
    if (!decoder.ok() || verb > static_cast<std::uint8_t>(io::DiskVerb::sync_directory)) return false;
    if (!range_is_sane(request.offset, request.length)) return false;
    // Empty stands for a name that the disk refused. Others become files of an image: no path may hide in
    // them.
    if (!request.name.empty() && !io::disk_name_allowed(request.name)) return false;
    const std::size_t length = body.size() - prefix;
    if (request.verb != io::DiskVerb::write) return push(std::move(record)) && length == 0;
    if (length == 0 || length != request.length) return false;
    request.data.push_back(body.slice(prefix, length));
    return push(std::move(record));
  }

  bool parse_completed(const io::Bytes& body, std::size_t& prefix) {
    Decoder decoder(body.span());
    Record record;
    record.kind = RecordKind::completed;
    record.op = io::DiskOpId(decoder.take<std::uint64_t>());
    const auto status = decoder.take<std::uint8_t>();
    record.status = static_cast<io::DiskStatus>(status);
    record.size = decoder.take<std::uint64_t>();
    prefix = decoder.position();
    if (!decoder.ok() || prefix != body.size()) return false;
    if (status > static_cast<std::uint8_t>(io::DiskStatus::refused)) return false;
    return push(std::move(record));
  }

  bool parse_mark(const io::Bytes& body, std::size_t& prefix) {
    if (body.size() > kMarkBytesMax) return false;
    Record record;
    record.kind = RecordKind::mark;
    record.text = body.text();
    prefix = body.size();
    return push(std::move(record));
  }

  bool push(Record record) {
    recording_.records.push_back(std::move(record));
    return true;
  }

  const io::Bytes& bytes_;
  Recording recording_;
  std::map<std::string, std::size_t> base_;
};

struct Mapping {
  Mapping(void* start, std::size_t size) : start_(start), size_(size) {}
  Mapping(Mapping&& other) noexcept : start_(std::exchange(other.start_, nullptr)), size_(other.size_) {}
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping() {
    if (start_ != nullptr) ::munmap(start_, size_);
  }
  void* start_;
  std::size_t size_;
};

}  // namespace

std::expected<Recording, std::string> decode_recording(const io::Bytes& bytes) { return Reader(bytes).run(); }

std::expected<Recording, std::string> read_recording(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status{};
  if (descriptor < 0 || ::fstat(descriptor, &status) != 0 || status.st_size == 0) {
    if (descriptor >= 0) ::close(descriptor);
    return std::unexpected("cannot read recording " + path + ": check that it exists and is not empty");
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  void* start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  ::close(descriptor);
  if (start == MAP_FAILED)
    return std::unexpected("cannot map recording " + path + ": " + std::strerror(errno));
  return decode_recording(
      io::Bytes::kept_by(Mapping(start, size), {static_cast<const std::byte*>(start), size}));
}

// ---- writing

std::expected<std::unique_ptr<RecordingWriter>, std::string> RecordingWriter::create(
    const std::string& path, std::uint64_t bytes_max) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_APPEND, 0640);
  if (descriptor < 0) {
    return std::unexpected("cannot make recording " + path + " (" + std::strerror(errno) +
                           "): choose a new file in a writable directory");
  }
  std::unique_ptr<RecordingWriter> writer(new RecordingWriter(descriptor, bytes_max));
  Encoder header;
  header.put_text(kMagic).put(kRecordingVersion).put(std::uint32_t{0});
  writer->write_out(header.take(), {});
  if (!writer->failure_.empty()) return std::unexpected(writer->failure_);
  return writer;
}

RecordingWriter::~RecordingWriter() { ::close(descriptor_); }

void RecordingWriter::append(RecordKind kind, const std::vector<std::byte>& prefix,
                             const std::vector<io::Bytes>& data) {
  if (ended_) return;
  std::uint64_t body_bytes = prefix.size();
  for (const io::Bytes& part : data) body_bytes += part.size();
  const std::uint64_t all_bytes = kRecordHeaderBytes + body_bytes;
  // Room for the closing record is never given away.
  const bool fits =
      body_bytes - prefix.size() <= kRecordedDataMax && all_bytes + kRecordHeaderBytes <= bytes_left_;
  if (!fits && kind != RecordKind::ended) {
    append(RecordKind::ended, {}, {});
    ended_ = true;
    return;
  }
  const auto size = static_cast<std::uint32_t>(body_bytes);
  std::uint64_t digest = prefix_digest(kind, size, prefix);
  for (const io::Bytes& part : data) digest = data_digest(digest, part.span());
  Encoder head;
  head.put(size).put(static_cast<std::uint8_t>(kind)).put(std::uint8_t{0}).put(std::uint16_t{0}).put(digest);
  std::vector<std::byte> bytes = head.take();
  bytes.insert(bytes.end(), prefix.begin(), prefix.end());
  bytes_left_ -= std::min(bytes_left_, all_bytes);
  write_out(std::move(bytes), data);
}

void RecordingWriter::write_out(std::vector<std::byte> head, const std::vector<io::Bytes>& data) {
  std::vector<iovec> parts{{head.data(), head.size()}};
  for (const io::Bytes& part : data) parts.push_back({const_cast<std::byte*>(part.data()), part.size()});
  std::size_t first = 0;
  while (first < parts.size()) {
    const auto count = static_cast<int>(std::min<std::size_t>(parts.size() - first, kTransferPartsMax));
    const ssize_t written = ::writev(descriptor_, parts.data() + first, count);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      failure_ = std::string("the recording could not be written: ") + std::strerror(errno);
      ended_ = true;
      return;
    }
    auto left = static_cast<std::size_t>(written);
    while (first < parts.size() && left >= parts[first].iov_len) left -= parts[first++].iov_len;
    if (left > 0) {
      parts[first].iov_base = static_cast<std::byte*>(parts[first].iov_base) + left;
      parts[first].iov_len -= left;
    }
  }
}

void RecordingWriter::submitted(const io::DiskRequest& request) {
  Encoder prefix;
  prefix.put(request.op.value)
      .put(static_cast<std::uint8_t>(request.verb))
      .put(request.file.value)
      .put(request.offset)
      .put(request.length)
      // A name that the disk will refuse may be of any length.
      .put_name(io::disk_name_allowed(request.name) ? request.name : std::string());
  append(RecordKind::submitted, prefix.take(), request.data);
}

void RecordingWriter::completed(const io::DiskResult& result) {
  Encoder prefix;
  prefix.put(result.op.value).put(static_cast<std::uint8_t>(result.status)).put(result.size);
  append(RecordKind::completed, prefix.take(), {});
}

void RecordingWriter::mark(std::string_view text) {
  Encoder prefix;
  prefix.put_text(text.substr(0, kMarkBytesMax));
  append(RecordKind::mark, prefix.take(), {});
}

std::expected<void, std::string> RecordingWriter::add_base(const std::string& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return std::unexpected("cannot read directory " + directory + ": " + std::strerror(errno));
  std::vector<io::FileEntry> entries;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (!entry.is_regular_file() || !io::disk_name_allowed(entry.path().filename().string())) continue;
    entries.push_back({entry.path().filename().string(), entry.file_size()});
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const io::FileEntry& entry : entries) {
    if (failure_.empty()) add_base_file(descriptor, entry);
  }
  ::close(descriptor);
  if (error) failure_ = "cannot list directory " + directory + ": " + error.message();
  if (!failure_.empty()) return std::unexpected(failure_);
  if (ended_) return std::unexpected("directory " + directory + " is larger than the recording may become");
  return {};
}

void RecordingWriter::add_base_file(int directory, const io::FileEntry& entry) {
  Encoder prefix;
  prefix.put(entry.size).put_name(entry.name);
  append(RecordKind::base_file, prefix.take(), {});
  const int file = ::openat(directory, entry.name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) {
    failure_ = "cannot read " + entry.name + ": " + std::strerror(errno);
    return;
  }
  constexpr std::size_t kPiece = 256u << 10;
  for (std::uint64_t at = 0; at < entry.size && failure_.empty();) {
    io::Buffer buffer = io::Buffer::allocate(std::min<std::uint64_t>(kPiece, entry.size - at));
    const ssize_t got = ::pread(file, buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (got != static_cast<ssize_t>(buffer.size())) {
      failure_ = "cannot read " + entry.name + " as a whole: is a node running on it?";
      break;
    }
    const io::Bytes piece = std::move(buffer).freeze();
    if (!is_zero(piece.span())) {
      Encoder place;
      place.put(at).put_name(entry.name);
      append(RecordKind::base_data, place.take(), {piece});
    }
    at += piece.size();
  }
  ::close(file);
}

}  // namespace reel::real
