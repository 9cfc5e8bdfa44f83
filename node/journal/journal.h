// The journal: one per node for all its groups. Entries go in through enqueue(), become durable in LSN order, and are
// found again by (group, index). Pure: it sees disk results and asks for disk requests, nothing else.
//
// On disk (node/journal/format.h draws it): files of fixed size, written with zeros first and overwritten through
// direct I/O. A batch is one identity sector (4 KiB, in the file's identity zone) plus the bodies of its records (in
// the body zone, each on a sector boundary), written in parallel, awaited, then covered by one data sync.
//
// Invariants
// - durable() only rises, and record n is released only when all of 1..n are durable.
// - LSNs are never reused, also not after a cut; a sector with acknowledged bytes is never rewritten.
// - At most Options::batches_in_flight_max batches are between "formed" and "durable".
// - After the first failed write or sync nothing is released any more: failed() is set for ever (recovery.md S52).
// Cost per record: one 128-byte header and one 64-byte identity are written; no copy of the payload.
#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "node/disk_queue.h"
#include "node/types.h"

namespace reel::journal {

// Whose files these are; all three stand in every sector that the node writes.
struct Stamp {
  io::ClusterId cluster;
  NodeId node;
  Incarnation incarnation;  // of this life
  bool operator==(const Stamp&) const = default;
};

struct Options {
  std::uint64_t file_bytes = 64u << 20;          // [256 KiB, 1 GiB], multiple of a sector
  std::uint32_t identity_sectors = 2048;         // per file; the rest, less the header, is the body zone
  std::uint32_t batches_in_flight_max = 4;       // [1, 16]
  std::uint32_t batch_bytes_max = 4u << 20;      // of bodies, but always one record
  std::uint32_t batch_records_max = 48;          // at most kIdentitiesPerSector
  std::uint32_t files_ahead = 1;                 // zero-written files kept ready
};

// A payload in the one aligned buffer that is journal write, message body and cache at once: kRecordHeaderBytes of
// headroom that belong to the journal, the payload, zeros up to the sector's end. The payload never changes; the
// headroom is written once, by the journal, when the record gets its place.
class Body {
 public:
  Body() = default;
  const Bytes& payload() const { return payload_; }
  const Bytes& whole() const { return whole_; }

 private:
  friend class BodyBuilder;
  friend class Journal;
  Bytes whole_;
  Bytes payload_;
  std::byte* header_ = nullptr;
};

class BodyBuilder {
 public:
  // Room for up to `payload_bytes_max` (<= kEntryBytesMax) bytes.
  explicit BodyBuilder(std::size_t payload_bytes_max);
  // Where the payload goes.
  std::span<std::byte> room();
  // The first `payload_bytes` of room() are the payload. The builder is spent.
  [[nodiscard]] Body finish(std::size_t payload_bytes) &&;
  // The copy that a follower makes of a received payload.
  [[nodiscard]] static Body copy_of(std::span<const std::byte> payload);

 private:
  io::Buffer buffer_;
};

// Where a body lies.
struct Location {
  std::uint64_t file_sequence = 0;
  std::uint64_t offset = 0;       // of the record's header, bytes
  bool operator==(const Location&) const = default;
};

// What is known of one group's log on this disk.
struct GroupLog {
  Index first{1};
  std::vector<EntryIdentity> entries;   // entries[0] has index `first`
  std::vector<Location> locations;      // same length
};

struct RecoveryError {
  enum class Code : std::uint8_t {
    empty_directory,   // no superblock: `reel node init` makes one
    foreign,           // another cluster's, another node's, or another file's bytes
    rot,               // acknowledged bytes are damaged
    unreadable,        // hard state or manifest without a readable copy
    unsupported,       // a newer format
    io,                // the device said no
    inconsistent,      // valid records that contradict each other
  };
  Code code{};
  std::string text;    // one sentence: what, where, what to do
};

struct JournalFile {
  std::uint64_t sequence = 0;
  io::FileId file;                        // open handle
  std::uint32_t identities_used = 0;      // sectors of the identity zone
  std::uint64_t body_end = 0;             // next free byte of the body zone
};

struct Recovered {
  std::map<GroupId, GroupLog> groups;
  std::vector<JournalFile> files;         // in order of sequence
  Lsn next_lsn;                           // above every LSN ever seen, also of cut records
  std::uint64_t next_batch = 0;           // batch sequence, likewise
  Checksum last_batch;                    // of the last kept batch, for the chain
  Lsn synced;                             // highest LSN proven durable by a later batch
  std::uint64_t cut_records = 0;          // TORN and UNDECIDED records that were cut
  std::uint64_t bytes = 0;                // of all journal files
};

// Reads every identity zone, decides a verdict for each record above the synced mark (node/journal/verdict.h), and
// returns the surviving logs. Bodies at or below the mark are not read here: Reader verifies them as they are used.
class Recovery {
 public:
  // `commit_marks`: per group an index known committed (from the manifest); records at or below it can only be rot.
  Recovery(const Options& options, const Stamp& stamp, std::map<GroupId, Index> commit_marks);
  void start(node::DiskQueue& out);
  void on_disk(io::DiskResult result, node::DiskQueue& out);
  bool done() const;
  // Once, when done().
  std::expected<Recovered, RecoveryError> take();
};

class Journal {
 public:
  Journal(const Options& options, const Stamp& stamp, Recovered recovered);

  // Queues one record, in order; returns its LSN. The body's payload must match the identity (asserted on size).
  Lsn append(GroupId group, const EntryIdentity& identity, Body body);
  // Everything of the group from `from` on is void. Requires from > the group's first index - 1.
  Lsn truncate(GroupId group, Index from);
  // Forms batches while the window has room. Call once at the end of a step.
  void pump(node::DiskQueue& out);
  // A result that belongs to DiskOwner::journal.
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  // Writes a batch without records, so that `synced_lsn` on disk catches up with durable(): when idle.
  void mark_synced(node::DiskQueue& out);
  bool mark_is_due() const;   // durable() is above what any batch on disk says

  Lsn durable() const;                       // all records up to here are durable
  Lsn last() const;                          // last LSN handed out
  bool has_room() const;                     // nothing is queued and the window is not full: a good moment to batch
  bool failed() const;
  std::string failure() const;               // one sentence
  std::uint64_t syncs() const;               // data syncs asked for in this life
  std::uint64_t bytes() const;               // of all files
  std::uint64_t files() const;

  // Where an entry lies; nullopt before it has a place or when it is outside the log.
  std::optional<Location> find(GroupId group, Index index) const;
  io::FileId file_of(std::uint64_t file_sequence) const;
};

// Checks one record as read from its place: header, stamp, identity, payload checksum. Returns the payload.
[[nodiscard]] std::expected<Bytes, RecoveryError> verify_record(const Bytes& record, const Stamp& stamp, GroupId group,
                                                                const EntryIdentity& identity, const Location& at);
// Bytes to read for a record with this payload size, header and padding included.
[[nodiscard]] std::uint64_t record_bytes(std::uint32_t payload_bytes);

}  // namespace reel::journal
