// A recording: everything that one node asked of its disk in one life, what came back and when, and the marks
// that the program set in between ("acknowledged 4711"). It is the evidence of a durability proof:
// crash_image.h builds from it the disks that a power loss could have left behind.
//
// File format, version 1. Integers are little-endian; nothing is aligned.
//
//   header   "REELREC1"  u32 version = 1  u32 zero
//   record   u32 bytes of the body  u8 kind  u8[3] zero  u64 checksum  body
//
//   kind          body
//   1 base file   u64 size  u8 n  name[n]              a file of the directory when the recording began
//   2 base data   u64 offset  u8 n  name[n]  data      content of a base file; what is not given is zeros
//   3 submitted   u64 op  u8 verb  u32 file  u64 offset  u64 length  u8 n  name[n]  data (write: `length`)
//   4 completed   u64 op  u8 status  u64 size          after all that completed before it
//   5 mark        text
//   6 ended       nothing: the bound of the recording was reached, what came later is unknown
//
// Base records come first. The checksum is XXH3-64 of kind, size and the body before data, then chained
// through each 4 KiB of data. Bounds: names 64, marks 4096, data 64 MiB, files 1 TiB. A record is written by
// one system call, so a killed process leaves at most one incomplete record, the last; a decoder stops there
// and says so.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/ports/disk.h"

namespace reel::real {

inline constexpr std::uint32_t kRecordingVersion = 1;
inline constexpr std::size_t kMarkBytesMax = 4096;
inline constexpr std::size_t kRecordedDataMax = 64u << 20;
inline constexpr std::uint64_t kRecordedFileMax = 1ull << 40;

struct RecordedFile {
  struct Piece {
    std::uint64_t offset = 0;
    io::Bytes data;
  };
  std::string name;
  std::uint64_t size = 0;
  std::vector<Piece> pieces;
};

enum class RecordKind : std::uint8_t { base_file = 1, base_data, submitted, completed, mark, ended };

// One of submitted, completed and mark.
struct Record {
  RecordKind kind{};
  io::DiskRequest request;                     // submitted; a write's data is one unaligned slice
  io::DiskOpId op;                             // completed
  io::DiskStatus status = io::DiskStatus::ok;  // completed
  std::uint64_t size = 0;                      // completed
  std::string text;                            // mark
};

struct Recording {
  std::vector<RecordedFile> base;
  std::vector<Record> records;
  bool cut_short = false;  // the last record was incomplete: the recorded process was killed
  bool ended = false;      // the recorder had reached its bound
};

// Untrusted bytes: checked and bounded. Slices of `bytes` are shared, not copied. The error is one sentence.
[[nodiscard]] std::expected<Recording, std::string> decode_recording(const io::Bytes& bytes);
// The same of a file, which is mapped and must not change while the recording is in use.
[[nodiscard]] std::expected<Recording, std::string> read_recording(const std::string& path);

class RecordingWriter {
 public:
  // Makes the file; refuses one that exists. The recording ends silently but visibly at `bytes_max`.
  [[nodiscard]] static std::expected<std::unique_ptr<RecordingWriter>, std::string> create(
      const std::string& path, std::uint64_t bytes_max = 4ull << 30);
  ~RecordingWriter();
  RecordingWriter(const RecordingWriter&) = delete;
  RecordingWriter& operator=(const RecordingWriter&) = delete;

  // What the directory holds now, as durable content; before anything else. Reads all of it: call before
  // service.
  [[nodiscard]] std::expected<void, std::string> add_base(const std::string& directory);
  void submitted(const io::DiskRequest& request);
  void completed(const io::DiskResult& result);
  // At most kMarkBytesMax bytes; longer texts are cut.
  void mark(std::string_view text);

  // Nothing is recorded any more: the bound was reached or the recording could not be written.
  bool ended() const { return ended_; }
  const std::string& failure() const { return failure_; }

 private:
  explicit RecordingWriter(int descriptor, std::uint64_t bytes_max)
      : descriptor_(descriptor), bytes_left_(bytes_max) {}
  void append(RecordKind kind, const std::vector<std::byte>& prefix, const std::vector<io::Bytes>& data);
  void add_base_file(int directory, const io::FileEntry& entry);
  void write_out(std::vector<std::byte> head, const std::vector<io::Bytes>& data);

  int descriptor_;
  std::uint64_t bytes_left_;
  bool ended_ = false;
  std::string failure_;
};

}  // namespace reel::real
