// The journal: one per node for all its groups. Entries go in through append(), become durable in LSN order,
// and are found again by (group, index). Pure: it sees disk results and asks for disk requests, nothing else.
//
// On disk (format.h defines it, FORMAT.md draws it): files of fixed size, written with zeros first and
// overwritten through direct I/O. A batch is one identity sector (4 KiB, in the file's identity zone) plus
// the bodies of its records (in the body zone, each on a sector boundary), written in parallel, awaited, then
// covered by one data sync.
//
// Invariants
// - durable() only rises, and record n is released only when all of 1..n are durable.
// - LSNs are never reused, also not after a cut; a sector with acknowledged bytes is never rewritten, and a
//   slot of the identity zone is written once in the file's life.
// - At most Options::batches_in_flight_max batches are between "formed" and "durable".
// - After the first failed write, sync or creation nothing is released any more: failed() is set for ever
//   (recovery.md §4.6: no retry of fsync). This holds for a full disk too: restart when there is space.
//
// Cost per record: one 128-byte header and one 64-byte identity are written; no copy of the payload.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "node/disk_queue.h"
#include "node/journal/format.h"
#include "node/types.h"

namespace reel::journal {

struct Options {
  std::uint64_t file_bytes = 64u << 20;      // of files made from now on: [256 KiB, 1 GiB], whole sectors
  std::uint32_t identity_sectors = 2048;     // of each; the rest, less two headers, is the body zone
  std::uint32_t batches_in_flight_max = 4;   // [1, kBatchesInFlightMax]
  std::uint32_t syncs_in_flight_max = 2;     // [1, 4]; three at once take twice as long as one
  std::uint32_t batch_bytes_max = 4u << 20;  // of bodies, but always one record
  std::uint32_t batch_records_max = 48;      // [1, kIdentitiesPerSector]
  std::uint32_t files_ahead = 1;  // zero-written files kept ready; 0: the journal waits at every roll
  // Formatter only: pages of the tables beside the journal, four sectors each (node/journal/tables.h).
  std::uint32_t hard_state_pages = 128;  // of 166 groups
  std::uint32_t manifest_pages = 512;    // of some 55 groups with three voters
};
// One sentence if these options are out of bounds or do not fit each other.
[[nodiscard]] std::optional<std::string> problem_with(const Options& options);
// The largest payload that fits into a file made with these options; at most kEntryBytesMax.
[[nodiscard]] std::uint32_t payload_bytes_max(const Options& options);

// A payload in the one aligned buffer that is journal write, message body and cache at once:
// kRecordHeaderBytes of headroom that belong to the journal, the payload, zeros up to the sector's end. The
// payload never changes; the headroom is written once, by the journal, when the record gets its place. Copies
// share the buffer.
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
  std::size_t room_bytes_ = 0;
};

// What is known of one group's log on this disk.
struct GroupLog {
  Index first{1};
  std::vector<EntryIdentity> entries;  // entries[0] has index `first`
  std::vector<Location> locations;     // same length
  // The payloads of all configuration entries in it, in order of index: they are stored beside their
  // identities.
  std::vector<std::pair<Index, Bytes>> configurations;
  Lsn last_lsn;  // of the group's last record, truncations included
};

struct RecoveryError {
  enum class Code : std::uint8_t {
    empty_directory,  // no superblock: `reel node init` makes one
    not_empty,        // Formatter only: something is there already
    foreign,          // another cluster's, another node's, or another file's bytes
    rot,              // acknowledged bytes are damaged
    unreadable,       // superblock, hard state or manifest without a readable copy
    unsupported,      // a newer format
    io,               // the device said no
    inconsistent,     // valid records that contradict each other
  };
  Code code{};
  std::string text;  // one sentence: what, where, what to do
};

struct JournalFile {
  std::uint64_t sequence = 0;
  io::FileId file;                    // open handle
  Geometry geometry;                  // its own: options may have changed since it was made
  std::uint32_t identities_used = 0;  // slots of the identity zone up to and with the last one ever written
  std::uint64_t body_end = 0;         // next free byte of the body zone
};

struct Recovered {
  std::map<GroupId, GroupLog> groups;
  std::vector<JournalFile> files;  // in order of sequence
  std::size_t current = 0;         // files[current] takes the next batch; those behind it are ready
  Lsn next_lsn;                    // above every LSN that any life can have used, also of lost records
  std::uint64_t next_batch = 0;    // batch sequence, likewise
  Checksum last_batch;             // of the batch to chain on: the opening batch of this life
  Lsn synced;                      // highest LSN that a batch on disk proves durable
  bool mark_due = false;           // records above it were kept (and are durable now)
  std::uint64_t cut_records = 0;   // TORN and UNDECIDED records, and those behind them, that were cut now
  std::uint64_t cut_batches = 0;
  std::uint64_t bytes = 0;  // of all journal files
  std::uint64_t damaged_identities =
      0;                  // sectors of identity zones that are neither empty nor whole: torn, once
  Incarnation last_life;  // the newest life that any batch names; 0: there is none
};

// Reads every identity zone, decides a verdict for each record above the synced mark
// (node/journal/verdict.h), and returns the surviving logs. Bodies at or below the mark are not read here:
// Reader verifies them as they are used.
//
// Before it is done it makes its decision durable: it writes the *opening batch* of this life, without
// records, which follows the last batch that was kept, and syncs. So what was kept is durable whatever cache
// it was read from, and what was cut is dead at every later boot, whatever else survives (format.h: a batch
// names the one that it follows).
//
// Deviations of this version from the verdict: UNDECIDED is cut like TORN; rot, and an uncertain head, refuse
// the start.
class Recovery {
 public:
  // `stamp.incarnation` must be above that of every earlier life. `commit_marks`: per group an index known
  // committed *and durable on this node* (from the manifest); what is at or below it and damaged can only be
  // rot.
  Recovery(const Options& options, const Stamp& stamp, std::map<GroupId, Index> commit_marks);
  Recovery(Recovery&&) noexcept;
  Recovery& operator=(Recovery&&) noexcept;
  ~Recovery();
  void start(node::DiskQueue& out);
  void on_disk(io::DiskResult result, node::DiskQueue& out);
  bool done() const;
  // Once, when done().
  std::expected<Recovered, RecoveryError> take();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

class Journal {
 public:
  Journal(const Options& options, const Stamp& stamp, Recovered recovered);
  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;
  ~Journal();

  // Queues one record, in order; returns its LSN. The index must follow the group's last one (asserted); the
  // payload must match the identity (asserted on size), fit payload_bytes_max(), and inline_room(1) if a
  // configuration.
  Lsn append(GroupId group, const EntryIdentity& identity, Body body);
  // Everything of the group from `from` on is void. Requires from >= the group's first index.
  Lsn truncate(GroupId group, Index from);
  // Forms batches while the window has room, and asks for the next file. Call once at the end of a step.
  void pump(node::DiskQueue& out);
  // A result that belongs to DiskOwner::journal.
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  // Writes a batch without records, so that `synced` on disk catches up with durable(): when idle. Does
  // nothing while records are queued (their batch carries the mark) or the window or file is full.
  void mark_synced(node::DiskQueue& out);
  bool mark_is_due() const;  // durable() is above what any batch on disk says

  Lsn durable() const;    // all records up to here are durable
  Lsn last() const;       // last LSN handed out
  bool busy() const;      // batches are on their way to the disk
  bool has_room() const;  // nothing is queued and the window is not full: a good moment to batch
  bool failed() const;
  std::string failure() const;  // one sentence
  std::uint64_t syncs() const;  // data syncs of batches asked for in this life
  std::uint64_t bytes() const;  // of all files
  std::uint64_t files() const;

  // Where an entry lies; nullopt until its record is durable, and outside the log.
  std::optional<Location> find(GroupId group, Index index) const;
  io::FileId file_of(std::uint64_t file_sequence) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Checks one record as read from its place: header, stamp, identity, payload checksum. Returns the payload, a
// slice.
[[nodiscard]] std::expected<Bytes, RecoveryError> verify_record(const Bytes& record, const Stamp& stamp,
                                                                GroupId group, const EntryIdentity& identity,
                                                                const Location& at);

}  // namespace reel::journal
