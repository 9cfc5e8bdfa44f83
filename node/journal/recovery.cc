#include <algorithm>

#include "io/ports/assert.h"
#include "node/journal/file_maker.h"
#include "node/journal/journal.h"
#include "node/journal/verdict.h"

namespace reel::journal {
namespace {

using Code = RecoveryError::Code;

constexpr std::uint64_t kChunkBytes = 1u << 20;
constexpr std::size_t kReadsInFlightMax = 8;
constexpr std::uint32_t kAttemptsMax = 3;  // a device error may pass; refusing the start is the last resort

// One batch as found in an identity zone.
struct Found {
  std::size_t file = 0;  // position in the list of files
  std::uint32_t slot = 0;
  IdentitySector sector;
  bool superseded = false;
  bool bodies_valid = true;  // false only after they were read
};

// The history that the zones tell: each batch names the one that it follows; a later life that follows an
// earlier batch thereby cuts what came after that one.
class Chain {
 public:
  // In the order of places on disk. An error is a sentence.
  std::optional<std::string> add(Found& batch) {
    const IdentitySector& sector = batch.sector;
    std::size_t keep = kept_.size();
    while (keep > 0 && kept_[keep - 1]->sector.checksum != sector.previous) --keep;
    if (keep == 0 && sector.previous != Checksum{})
      return std::nullopt;  // what it follows is lost: behind a cut
    const Lsn before = keep == 0 ? Lsn(0) : kept_[keep - 1]->sector.reach();
    if (sector.previous_lsn != before) return "a batch does not continue where its predecessor ended";
    if (keep < kept_.size() && sector.stamp.incarnation <= kept_[keep]->sector.stamp.incarnation) {
      return "two batches of one life follow the same batch";
    }
    for (std::size_t i = keep; i < kept_.size(); ++i) kept_[i]->superseded = true;
    kept_.resize(keep);
    kept_.push_back(&batch);
    return std::nullopt;
  }
  std::vector<Found*>& kept() { return kept_; }
  Lsn reach() const { return kept_.empty() ? Lsn(0) : kept_.back()->sector.reach(); }
  Checksum last() const { return kept_.empty() ? Checksum{} : kept_.back()->sector.checksum; }

 private:
  std::vector<Found*> kept_;
};

// Replays one record into its group's log. An error is a sentence.
std::optional<std::string> replay(GroupLog& log, bool fresh, const RecordIdentity& record, Lsn lsn,
                                  Location at) {
  const Index index = record.identity.index;
  if (fresh) log.first = index;
  if (!fresh && record.previous != log.last_lsn) return "a record does not follow its group's last one";
  log.last_lsn = lsn;
  if (index < log.first) return "a record lies before its group's log";
  const std::uint64_t position = index - log.first;
  if (record.kind == RecordKind::truncation) {
    if (position < log.entries.size()) {
      log.entries.resize(position);
      log.locations.resize(position);
    }
    while (!log.configurations.empty() && log.configurations.back().first >= index)
      log.configurations.pop_back();
    return std::nullopt;
  }
  if (position != log.entries.size()) return "an entry does not follow its group's last one";
  if (!log.entries.empty() && record.identity.term < log.entries.back().term)
    return "terms fall in a group's log";
  log.entries.push_back(record.identity);
  log.locations.push_back(at);
  if (record.identity.kind == EntryKind::configuration)
    log.configurations.emplace_back(index, record.configuration);
  return std::nullopt;
}

}  // namespace

class Recovery::Impl {
 public:
  Impl(const Options& options, const Stamp& stamp, std::map<GroupId, Index> commit_marks)
      : options_(options), stamp_(stamp), commit_marks_(std::move(commit_marks)) {
    REEL_ASSERT(!problem_with(options));
  }

  void start(node::DiskQueue& out);
  void on_disk(io::DiskResult result, node::DiskQueue& out);
  bool done() const { return step_ == Step::done; }
  std::expected<Recovered, RecoveryError> take();

 private:
  enum class Step : std::uint8_t {
    idle,
    listing,
    opening,
    reading_headers,
    reading_zones,
    reading_bodies,
    closing,
    removing,
    making,
    writing,
    syncing,
    done
  };
  struct File {
    std::string name;
    std::uint64_t size = 0;
    bool usable = false;         // a header was read
    bool holds_batches = false;  // although no header was read
    JournalFile journal;
  };
  struct Op {
    io::DiskVerb verb{};
    std::size_t file = 0;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::size_t batch = 0;  // reading bodies: position in chain_.kept()
    std::uint32_t attempts = 0;
  };

  void submit(Op op, node::DiskQueue& out);
  bool retried(const Op& op, const io::DiskResult& result, node::DiskQueue& out);
  void advance(node::DiskQueue& out);
  void feed_reads(node::DiskQueue& out);

  void on_list(const io::DiskResult& result, node::DiskQueue& out);
  void read_headers(node::DiskQueue& out);
  void on_header(const Op& op, const io::DiskResult& result, node::DiskQueue& out);
  void read_zones(node::DiskQueue& out);
  void check_headerless_file();
  void on_zone(const Op& op, const io::DiskResult& result);
  void on_identity(std::size_t file, std::uint32_t slot, std::span<const std::byte> sector);
  void link(node::DiskQueue& out);
  void read_bodies(node::DiskQueue& out);
  void on_bodies(const Op& op, const io::DiskResult& result);
  void judge_bodies();
  void build_logs();
  void prepare_tail(node::DiskQueue& out);
  void remove_half_made(node::DiskQueue& out);
  void write_opening(node::DiskQueue& out);
  void sync_all(node::DiskQueue& out);
  void finish();

  void fail(Code code, std::string what, const char* advice);
  void fail_at(Code code, const std::string& what, std::size_t file, std::uint64_t offset);
  bool committed(const RecordIdentity& record) const;

  Options options_;
  Stamp stamp_;
  std::map<GroupId, Index> commit_marks_;
  Step step_ = Step::idle;
  std::map<io::DiskOpId, Op> ops_;
  std::vector<Op> reads_;  // waiting for a place in the window, last first
  std::vector<File> files_;
  std::optional<std::size_t> half_made_;
  std::vector<Found> found_;
  Chain chain_;
  std::size_t first_unmarked_ =
      0;  // position in chain_.kept() of the first batch that may not be durable yet
  Lsn mark_;
  Lsn seen_;
  std::uint64_t seen_batch_ = 0;
  std::size_t tail_ = 0;
  std::optional<FileMaker> maker_;
  Recovered recovered_;
  std::optional<RecoveryError> error_;
};

// ---- requests and their order

void Recovery::Impl::submit(Op op, node::DiskQueue& out) {
  io::DiskRequest request;
  request.verb = op.verb;
  request.offset = op.offset;
  request.length = op.length;
  if (op.verb == io::DiskVerb::open || op.verb == io::DiskVerb::remove) request.name = files_[op.file].name;
  if (op.file < files_.size()) request.file = files_[op.file].journal.file;
  const io::DiskOpId id = out.submit(node::DiskOwner::journal, std::move(request));
  ops_.emplace(id, op);
}

void Recovery::Impl::feed_reads(node::DiskQueue& out) {
  while (!reads_.empty() && ops_.size() < kReadsInFlightMax) {
    const Op op = reads_.back();
    reads_.pop_back();
    submit(op, out);
  }
}

// Reads are idempotent: a device error is asked again before it counts.
bool Recovery::Impl::retried(const Op& op, const io::DiskResult& result, node::DiskQueue& out) {
  const bool short_read =
      op.verb == io::DiskVerb::read && result.status == io::DiskStatus::ok && result.data.size() != op.length;
  if (result.status == io::DiskStatus::ok && !short_read) return false;
  const bool again =
      op.verb == io::DiskVerb::read || op.verb == io::DiskVerb::open || op.verb == io::DiskVerb::list;
  Op next = op;
  if (again && ++next.attempts < kAttemptsMax) {
    submit(next, out);
    return true;
  }
  const std::string where = op.file < files_.size() ? " of " + files_[op.file].name : "";
  fail(Code::io,
       std::string("recovery: ") + io::name_of(op.verb) + where + " failed (" +
           (short_read ? "short" : io::name_of(result.status)) + ")",
       "check the device and its permissions, then start the node again");
  return true;
}

void Recovery::Impl::on_disk(io::DiskResult result, node::DiskQueue& out) {
  if (step_ == Step::done) return;
  if (maker_ && maker_->on_disk(result, out)) {
    if (maker_->failure()) return fail(Code::io, *maker_->failure(), nullptr);
    return advance(out);
  }
  const auto it = ops_.find(result.op);
  REEL_ASSERT(it != ops_.end());
  if (it == ops_.end()) return;
  const Op op = it->second;
  ops_.erase(it);
  if (retried(op, result, out)) return;
  switch (step_) {
    case Step::listing: on_list(result, out); break;
    case Step::opening: files_[op.file].size = result.size; break;
    case Step::reading_headers: on_header(op, result, out); break;
    case Step::reading_zones: on_zone(op, result); break;
    case Step::reading_bodies: on_bodies(op, result); break;
    default: break;
  }
  if (step_ == Step::done) return;
  feed_reads(out);
  advance(out);
}

// When everything that a step asked for is there, the next step begins. A step that has nothing to ask falls
// through.
void Recovery::Impl::advance(node::DiskQueue& out) {
  while (step_ != Step::done && ops_.empty() && reads_.empty()) {
    if (step_ == Step::making && maker_ && !maker_->done()) return;
    switch (step_) {
      case Step::opening:
        step_ = Step::reading_headers;
        read_headers(out);
        break;
      case Step::reading_headers:
        step_ = Step::reading_zones;
        read_zones(out);
        break;
      case Step::reading_zones:
        step_ = Step::reading_bodies;
        link(out);
        break;
      case Step::reading_bodies:
        step_ = Step::closing;
        judge_bodies();
        prepare_tail(out);
        break;
      case Step::closing:
        step_ = Step::removing;
        remove_half_made(out);
        break;
      case Step::removing:
        step_ = Step::making;
        if (maker_) maker_->start(out);
        break;
      case Step::making:
        step_ = Step::writing;
        write_opening(out);
        break;
      case Step::writing:
        step_ = Step::syncing;
        sync_all(out);
        break;
      case Step::syncing: finish(); break;
      case Step::idle:
      case Step::listing:  // goes on by itself
      case Step::done: REEL_ASSERT(false); return;
    }
  }
}

void Recovery::Impl::fail(Code code, std::string what, const char* advice) {
  if (step_ == Step::done) return;
  if (advice != nullptr) what = what + "; " + advice;
  error_ = RecoveryError{code, std::move(what)};
  step_ = Step::done;
}

void Recovery::Impl::fail_at(Code code, const std::string& what, std::size_t file, std::uint64_t offset) {
  const char* advice = code == Code::foreign       ? "give this node its own data directory back"
                       : code == Code::unsupported ? "start the version of Reel that wrote it, or a newer one"
                                                   : "restore this node from its peers";
  fail(code, files_[file].name + " at byte " + std::to_string(offset) + ": " + what, advice);
}

// ---- files and their headers

void Recovery::Impl::start(node::DiskQueue& out) {
  REEL_ASSERT(step_ == Step::idle);
  step_ = Step::listing;
  submit(Op{io::DiskVerb::list, SIZE_MAX, 0, 0, 0, 0}, out);
}

void Recovery::Impl::on_list(const io::DiskResult& result, node::DiskQueue& out) {
  for (const io::FileEntry& entry : result.files) {
    const std::uint64_t sequence = sequence_of(entry.name);
    if (sequence == 0) continue;
    File file;
    file.name = entry.name;
    file.journal.sequence = sequence;
    file.journal.file = out.new_file();
    files_.push_back(std::move(file));
  }
  std::sort(files_.begin(), files_.end(),
            [](const File& a, const File& b) { return a.journal.sequence < b.journal.sequence; });
  for (std::size_t i = 0; i < std::max<std::size_t>(files_.size(), 1); ++i) {
    if (i < files_.size() && files_[i].journal.sequence == i + 1) continue;
    return fail(Code::rot, "journal file " + file_name(i + 1) + " is missing",
                "restore this node from its peers");
  }
  step_ = Step::opening;
  step_ = Step::opening;
  for (std::size_t i = 0; i < files_.size(); ++i) submit(Op{io::DiskVerb::open, i, 0, 0, 0, 0}, out);
}

void Recovery::Impl::read_headers(node::DiskQueue& out) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (files_[i].size >= 2 * kSectorBytes)
      reads_.push_back(Op{io::DiskVerb::read, i, 0, kSectorBytes, 0, 0});
  }
  feed_reads(out);
}

// First the header, if that fails its copy at the end, if that fails too the first identity: is this a file
// that was only half made (it goes), or one that lost both headers (rot)?
void Recovery::Impl::on_header(const Op& op, const io::DiskResult& result, node::DiskQueue& out) {
  File& file = files_[op.file];
  const std::uint64_t copy_at = file.size - kSectorBytes;
  if (op.offset == kSectorBytes) {
    const auto identity = decode_identity_sector(result.data.span());
    file.holds_batches = identity.has_value();
    return;
  }
  const auto header = decode_file_header(result.data.span());
  if (header && (header->stamp.cluster != stamp_.cluster || header->stamp.node != stamp_.node)) {
    return fail_at(Code::foreign, "this file belongs to another cluster or node", op.file, op.offset);
  }
  if (header && header->file_sequence != file.journal.sequence) {
    return fail_at(Code::foreign, "this is another journal file under a wrong name", op.file, op.offset);
  }
  if (header && header->stamp.incarnation > stamp_.incarnation) {
    return fail_at(Code::inconsistent, "the journal is newer than the superblock", op.file, op.offset);
  }
  if (header && header->offset == op.offset && header->geometry.file_bytes == file.size) {
    file.usable = true;
    file.journal.geometry = header->geometry;
    file.journal.body_end = header->geometry.body_begin();
    return;
  }
  if (!header && header.error() == DecodeError::unsupported) {
    return fail_at(Code::unsupported, "this file was written by a newer version", op.file, op.offset);
  }
  const bool first = op.offset == 0;
  submit(Op{io::DiskVerb::read, op.file, first && copy_at % kSectorBytes == 0 ? copy_at : kSectorBytes,
            kSectorBytes, 0, 0},
         out);
}

// Only the newest file can be half made: the next one is begun when it is done (journal.cc).
void Recovery::Impl::check_headerless_file() {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (files_[i].usable) continue;
    if (i > 0 && i + 1 == files_.size() && !files_[i].holds_batches) {
      half_made_ = i;
    } else {
      fail_at(Code::rot, "both headers of this journal file are damaged", i, 0);
    }
  }
}

// ---- identity zones

void Recovery::Impl::read_zones(node::DiskQueue& out) {
  check_headerless_file();
  if (step_ == Step::done) return;
  for (std::size_t i = files_.size(); i-- > 0;) {
    if (!files_[i].usable) continue;
    const std::uint64_t begin = files_[i].journal.geometry.identity_at(0);
    const std::uint64_t end = files_[i].journal.geometry.body_begin();
    for (std::uint64_t at = begin; at < end; at += kChunkBytes) {
      reads_.push_back(Op{io::DiskVerb::read, i, at, std::min(kChunkBytes, end - at), 0, 0});
    }
  }
  std::reverse(reads_.begin(), reads_.end());
  feed_reads(out);
}

void Recovery::Impl::on_zone(const Op& op, const io::DiskResult& result) {
  const std::uint32_t first = static_cast<std::uint32_t>(op.offset / kSectorBytes - 1);
  const std::uint32_t count = static_cast<std::uint32_t>(op.length / kSectorBytes);
  for (std::uint32_t i = 0; i < count && step_ != Step::done; ++i) {
    on_identity(op.file, first + i, result.data.span().subspan(i * kSectorBytes, kSectorBytes));
  }
}

void Recovery::Impl::on_identity(std::size_t file, std::uint32_t slot, std::span<const std::byte> sector) {
  auto batch = decode_identity_sector(sector);
  JournalFile& journal = files_[file].journal;
  const std::uint64_t offset = journal.geometry.identity_at(slot);
  if (!batch && batch.error() == DecodeError::empty) return;
  journal.identities_used = std::max(journal.identities_used, slot + 1);
  if (!batch) {
    if (batch.error() == DecodeError::damaged) {
      ++recovered_.damaged_identities;
      return;  // torn, or rot: the marks will tell
    }
    const bool newer = batch.error() == DecodeError::unsupported;
    return fail_at(newer ? Code::unsupported : Code::inconsistent,
                   std::string("an identity sector is ") + name_of(batch.error()), file, offset);
  }
  if (batch->stamp.cluster != stamp_.cluster || batch->stamp.node != stamp_.node) {
    return fail_at(Code::foreign, "an identity sector belongs to another cluster or node", file, offset);
  }
  if (batch->file_sequence != journal.sequence || batch->offset != offset) {
    return fail_at(Code::foreign, "an identity sector belongs to another place", file, offset);
  }
  if (batch->stamp.incarnation >= stamp_.incarnation) {
    return fail_at(Code::inconsistent, "the journal is newer than the superblock", file, offset);
  }
  const std::uint64_t body_end = batch->body_offset + batch->body_bytes;
  if (batch->body_bytes > 0 &&
      (batch->body_offset < journal.geometry.body_begin() || body_end > journal.geometry.body_end())) {
    return fail_at(Code::inconsistent, "a batch claims bodies outside of its zone", file, offset);
  }
  // Whatever a batch claimed is never given to another one, kept or not: so stale and new bytes never mix.
  journal.body_end = std::max(journal.body_end, body_end);
  mark_ = std::max(mark_, batch->synced);
  seen_ = std::max(seen_, batch->reach());
  seen_batch_ = std::max(seen_batch_, batch->batch);
  recovered_.last_life = std::max(recovered_.last_life, batch->stamp.incarnation);
  found_.push_back({file, slot, std::move(*batch)});
}

// ---- history

void Recovery::Impl::link(node::DiskQueue& out) {
  std::sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) {
    return std::pair(a.file, a.slot) < std::pair(b.file, b.slot);
  });
  const Found* before = nullptr;
  for (Found& batch : found_) {
    const std::uint64_t offset = batch.sector.offset;
    if (before != nullptr && (batch.sector.batch <= before->sector.batch ||
                              batch.sector.stamp.incarnation < before->sector.stamp.incarnation)) {
      return fail_at(Code::inconsistent, "batches are out of order", batch.file, offset);
    }
    before = &batch;
    if (auto problem = chain_.add(batch)) return fail_at(Code::inconsistent, *problem, batch.file, offset);
  }
  // What lies behind the last kept batch: only a cut, or something that was acknowledged?
  Evidence missing;
  missing.identity = IdentityState::missing;
  missing.body = BodyState::unread;
  missing.chained = true;
  missing.at_or_below_mark = mark_ > chain_.reach();
  if (judge(missing) != Verdict::torn) {
    return fail(Code::rot,
                "acknowledged records " + std::to_string(chain_.reach().value + 1) + " to " +
                    std::to_string(mark_.value) + " of the journal are damaged or missing",
                "restore this node from its peers");
  }
  read_bodies(out);
}

// Only above the mark: everything else was synced once, and is verified when it is used. Batches are released
// in order, so a record at or below the mark proves its batch and all before it; a batch without records is
// proven by none of its own, however high its `synced` is.
void Recovery::Impl::read_bodies(node::DiskQueue& out) {
  const std::vector<Found*>& kept = chain_.kept();
  const auto proven = [&](const IdentitySector& sector) {
    return !sector.records.empty() && sector.reach() <= mark_;
  };
  first_unmarked_ = kept.size();
  while (first_unmarked_ > 0 && !proven(kept[first_unmarked_ - 1]->sector)) --first_unmarked_;
  for (std::size_t i = kept.size(); i-- > first_unmarked_;) {
    const IdentitySector& sector = kept[i]->sector;
    if (sector.body_bytes == 0) continue;
    reads_.push_back(Op{io::DiskVerb::read, kept[i]->file, sector.body_offset, sector.body_bytes, i, 0});
  }
  feed_reads(out);
}

void Recovery::Impl::on_bodies(const Op& op, const io::DiskResult& result) {
  Found& batch = *chain_.kept()[op.batch];
  for (std::size_t i = 0; i < batch.sector.records.size(); ++i) {
    const RecordIdentity& record = batch.sector.records[i];
    if (record.kind != RecordKind::entry) continue;
    const Bytes bytes = result.data.slice(record.body_offset - op.offset, record_bytes(record.identity.size));
    const Location at{batch.sector.file_sequence, record.body_offset};
    const auto payload = verify_record(bytes, batch.sector.stamp, record.group, record.identity, at);
    const auto header = decode_record_header(bytes.span());
    const bool valid = payload && header && header->stamp == batch.sector.stamp &&
                       header->batch == batch.sector.batch && header->lsn == batch.sector.first_lsn + i;
    batch.bodies_valid = batch.bodies_valid && valid;
  }
}

bool Recovery::Impl::committed(const RecordIdentity& record) const {
  const auto it = commit_marks_.find(record.group);
  return it != commit_marks_.end() && record.kind == RecordKind::entry && record.identity.index <= it->second;
}

// A batch is acknowledged as a whole, so it is kept or cut as a whole, and with it everything behind.
void Recovery::Impl::judge_bodies() {
  std::vector<Found*>& kept = chain_.kept();
  std::size_t keep = first_unmarked_;
  while (keep < kept.size() && kept[keep]->bodies_valid) ++keep;
  std::vector<Found*> cut(kept.begin() + static_cast<std::ptrdiff_t>(keep), kept.end());
  for (const Found* batch : cut) {
    for (std::size_t i = 0; i < batch->sector.records.size(); ++i) {
      Evidence evidence;
      evidence.identity = IdentityState::valid;
      evidence.body = batch->bodies_valid ? BodyState::valid : BodyState::bad;
      evidence.chained = batch == cut.front();
      evidence.at_or_below_mark = batch->sector.first_lsn + i <= mark_;
      evidence.committed = committed(batch->sector.records[i]);
      if (judge(evidence) == Verdict::rot_identity_known) {
        return fail_at(Code::rot, "the body of an acknowledged record is damaged", batch->file,
                       batch->sector.body_offset);
      }
    }
  }
  kept.resize(keep);
  // What lies before the last kept batch and was not kept, an earlier boot has cut already.
  for (std::size_t i = kept.empty() ? 0 : static_cast<std::size_t>(kept.back() - found_.data()) + 1;
       i < found_.size(); ++i) {
    if (found_[i].superseded) continue;
    ++recovered_.cut_batches;
    recovered_.cut_records += found_[i].sector.records.size();
  }
  build_logs();
}

void Recovery::Impl::build_logs() {
  for (const Found* batch : chain_.kept()) {
    const IdentitySector& sector = batch->sector;
    for (std::size_t i = 0; i < sector.records.size(); ++i) {
      const RecordIdentity& record = sector.records[i];
      const Lsn lsn = sector.first_lsn + i;
      auto [it, fresh] = recovered_.groups.try_emplace(record.group);
      const Location at{sector.file_sequence, record.body_offset};
      if (auto problem = replay(it->second, fresh, record, lsn, at)) {
        return fail_at(Code::inconsistent, *problem, batch->file, sector.offset);
      }
      recovered_.mark_due = recovered_.mark_due || lsn > mark_;
    }
  }
  for (const auto& [group, commit] : commit_marks_) {
    const auto it = recovered_.groups.find(group);
    const Index next =
        it == recovered_.groups.end() ? Index(1) : it->second.first + it->second.entries.size();
    if (commit < next) continue;
    return fail(Code::rot,
                "group " + std::to_string(group.value) + ": committed entries from index " +
                    std::to_string(next.value) + " on are missing from the journal",
                "restore this node from its peers");
  }
}

// ---- this life begins

// The tail is the last file that anything was ever written to; a new life goes on behind all of that.
void Recovery::Impl::prepare_tail(node::DiskQueue& out) {
  if (step_ == Step::done) return;
  if (half_made_) submit(Op{io::DiskVerb::close, *half_made_, 0, 0, 0, 0}, out);
  const std::size_t usable = files_.size() - (half_made_ ? 1 : 0);
  for (std::size_t i = 0; i < usable; ++i) {
    if (files_[i].journal.identities_used > 0) tail_ = i;
  }
  if (files_[tail_].journal.identities_used < files_[tail_].journal.geometry.identity_sectors) return;
  if (++tail_ < usable) return;
  maker_.emplace(node::DiskOwner::journal, stamp_, Geometry{options_.file_bytes, options_.identity_sectors},
                 files_[usable - 1].journal.sequence + 1);
}

void Recovery::Impl::remove_half_made(node::DiskQueue& out) {
  if (half_made_) submit(Op{io::DiskVerb::remove, *half_made_, 0, 0, 0, 0}, out);
}

void Recovery::Impl::write_opening(node::DiskQueue& out) {
  if (half_made_) files_.pop_back();
  if (maker_) {
    File made;
    made.name = file_name(maker_->file().sequence);
    made.usable = true;
    made.journal = maker_->file();
    files_.push_back(std::move(made));
    maker_.reset();
  }
  JournalFile& tail = files_[tail_].journal;
  IdentitySector opening;
  opening.stamp = stamp_;
  opening.file_sequence = tail.sequence;
  opening.offset = tail.geometry.identity_at(tail.identities_used);
  opening.batch = found_.empty() ? 1 : seen_batch_ + kBatchGap + 1;
  opening.first_lsn = found_.empty() ? Lsn(1) : seen_ + (kLsnGap + 1);
  opening.previous_lsn = chain_.reach();
  opening.previous = chain_.last();
  opening.synced = mark_;
  ++tail.identities_used;
  io::DiskRequest write = sector_write(tail.file, opening.offset, [&](auto sector) {
    recovered_.last_batch = encode_identity_sector(opening, sector);
  });
  ops_.emplace(out.submit(node::DiskOwner::journal, std::move(write)),
               Op{io::DiskVerb::write, tail_, opening.offset, kSectorBytes, 0, 0});
  recovered_.next_lsn = opening.first_lsn;
  recovered_.next_batch = opening.batch + 1;
  recovered_.synced = mark_;
}

// What was read above the mark may have come from a cache: from here on it is durable. So are files made in
// advance.
void Recovery::Impl::sync_all(node::DiskQueue& out) {
  std::vector<bool> wanted(files_.size(), false);
  for (std::size_t i = tail_; i < files_.size(); ++i) wanted[i] = true;
  for (std::size_t i = first_unmarked_; i < chain_.kept().size(); ++i) wanted[chain_.kept()[i]->file] = true;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (wanted[i]) submit(Op{io::DiskVerb::sync, i, 0, 0, 0, 0}, out);
  }
  submit(Op{io::DiskVerb::sync_directory, SIZE_MAX, 0, 0, 0, 0}, out);
}

void Recovery::Impl::finish() {
  for (const File& file : files_) {
    recovered_.files.push_back(file.journal);
    recovered_.bytes += file.journal.geometry.file_bytes;
  }
  recovered_.current = tail_;
  step_ = Step::done;
}

std::expected<Recovered, RecoveryError> Recovery::Impl::take() {
  REEL_ASSERT(done());
  if (error_) return std::unexpected(std::move(*error_));
  return std::move(recovered_);
}

Recovery::Recovery(const Options& options, const Stamp& stamp, std::map<GroupId, Index> commit_marks)
    : impl_(std::make_unique<Impl>(options, stamp, std::move(commit_marks))) {}
Recovery::Recovery(Recovery&&) noexcept = default;
Recovery& Recovery::operator=(Recovery&&) noexcept = default;
Recovery::~Recovery() = default;
void Recovery::start(node::DiskQueue& out) { impl_->start(out); }
void Recovery::on_disk(io::DiskResult result, node::DiskQueue& out) {
  impl_->on_disk(std::move(result), out);
}
bool Recovery::done() const { return impl_->done(); }
std::expected<Recovered, RecoveryError> Recovery::take() { return impl_->take(); }

}  // namespace reel::journal
