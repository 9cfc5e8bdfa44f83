// Crash images: the disks that a power loss could have left behind, built from a recording.
//
// A cut says how many records had happened. Everything that the contract of io::Disk (io/ports/disk.h) calls
// durable by then is in every image: writes that completed before a sync of their file was submitted which
// succeeded before the cut; names likewise, by sync_directory. Of everything else a seed chooses any subset:
//   write             applied, lost, or torn: any subset of its sectors
//   create, remove    per name, how many of the changes not yet durable have happened, in their order
//   a new file's size as created, none, or anything between, until the file was synced
// A write that failed, or had not completed, is one that is not durable. Later writes lie over earlier ones.
//
// The same (recording, cut, seed) gives the same image on every machine.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <vector>

#include "io/real/recording.h"

namespace reel::real {

struct CrashOptions {
  std::size_t cut = 0;  // the first `cut` records had happened; at most the number of records
  std::uint64_t seed = 0;
  // What is written whole or not at all: 4096, or 512 for devices that promise no more than that.
  std::uint32_t tear_bytes = 4096;
};

struct ImageFile {
  std::uint64_t size = 0;
  std::map<std::uint64_t, io::Bytes> sectors;  // by number, each of kSectorBytes; others are zeros
  bool operator==(const ImageFile&) const = default;
};

struct CrashImage {
  std::map<std::string, ImageFile> files;
  // What was chosen, of operations that were not durable at the cut.
  std::uint64_t durable_writes = 0;
  std::uint64_t applied_writes = 0;
  std::uint64_t lost_writes = 0;
  std::uint64_t torn_writes = 0;
  std::uint64_t undone_names = 0;
  std::uint64_t shortened_files = 0;
  // One line for a report.
  [[nodiscard]] std::string describe() const;
};

// The error is one sentence: a recording that contradicts itself (it is untrusted input too).
[[nodiscard]] std::expected<CrashImage, std::string> build_crash_image(const Recording& recording,
                                                                       const CrashOptions& options);
// Into a directory that is empty or does not exist. Contents are synced, so that a node that reads past the page
// cache finds them on every file system; names are not: the image need not survive a crash of its own.
[[nodiscard]] std::expected<void, std::string> write_crash_image(const CrashImage& image,
                                                                 const std::string& directory);

// A cut for a seed: half of them anywhere, half at the most delicate moment, just before a sync is known
// complete.
[[nodiscard]] std::size_t pick_cut(const Recording& recording, std::uint64_t seed);
// The marks among the first `cut` records, in order: what the program had promised by then.
[[nodiscard]] std::vector<std::string> marks_before(const Recording& recording, std::size_t cut);

}  // namespace reel::real
