#include "node/journal/journal.h"

#include <algorithm>
#include <deque>

#include "io/ports/assert.h"
#include "node/journal/file_maker.h"

namespace reel::journal {

std::optional<std::string> problem_with(const Options& options) {
  const Geometry geometry{options.file_bytes, options.identity_sectors};
  if (!geometry.valid()) {
    return "journal files must have 256 KiB to 1 GiB in whole sectors of 4 KiB, with room for identities and "
           "bodies";
  }
  if (options.batches_in_flight_max < 1 || options.batches_in_flight_max > kBatchesInFlightMax) {
    return "batches_in_flight_max must be 1 to 16";
  }
  if (options.syncs_in_flight_max < 1 || options.syncs_in_flight_max > 4)
    return "syncs_in_flight_max must be 1 to 4";
  if (options.batch_records_max < 1 || options.batch_records_max > kIdentitiesPerSector) {
    return "batch_records_max must be 1 to 48";
  }
  if (options.files_ahead > 4) return "files_ahead must be at most 4";
  if (options.hard_state_pages < 1 || options.manifest_pages < 1) return "a table has at least one page";
  if (options.hard_state_pages > 4096 || options.manifest_pages > 4096)
    return "a table has at most 4096 pages";
  return std::nullopt;
}

std::uint32_t payload_bytes_max(const Options& options) {
  const Geometry geometry{options.file_bytes, options.identity_sectors};
  const std::uint64_t zone = geometry.body_end() - geometry.body_begin();
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(zone - kRecordHeaderBytes, kEntryBytesMax));
}

class Journal::Impl {
 public:
  Impl(const Options& options, const Stamp& stamp, Recovered recovered);

  Lsn append(GroupId group, const EntryIdentity& identity, Body body);
  Lsn truncate(GroupId group, Index from);
  void pump(node::DiskQueue& out);
  void on_disk(const io::DiskResult& result, node::DiskQueue& out);
  void mark_synced(node::DiskQueue& out);
  bool mark_is_due() const { return mark_due_ || durable_ > marked_; }
  bool busy() const { return !flights_.empty(); }
  bool has_room() const {
    return !failure_ && queue_.empty() && flights_.size() < options_.batches_in_flight_max;
  }
  std::optional<Location> find(GroupId group, Index index) const;
  io::FileId file_of(std::uint64_t file_sequence) const;

  Lsn durable() const { return durable_; }
  Lsn last() const { return last_; }
  const std::optional<std::string>& failure() const { return failure_; }
  std::uint64_t syncs() const { return sync_count_; }
  std::uint64_t bytes() const;
  std::uint64_t files() const { return files_.size(); }

 private:
  struct Queued {
    Lsn lsn;
    RecordIdentity record;
    Body body;
  };
  // What find() learns when a record is durable.
  struct Placed {
    GroupId group;
    Index index;
    Lsn lsn;
    Location at;
  };
  // A batch between formed and durable.
  struct Flight {
    enum class State : std::uint8_t { writing, written, syncing, durable };
    std::uint64_t batch = 0;
    Lsn reach;
    io::FileId file;
    State state = State::writing;
    std::vector<io::DiskOpId> writes;
    std::vector<Placed> placed;
  };
  struct Sync {
    io::DiskOpId op;
    std::uint64_t first_batch = 0;
    std::uint64_t last_batch = 0;
    bool done = false;
  };
  struct Places {
    Index first;
    // A record that is not durable yet has file_sequence 0 and its LSN in `offset`.
    std::vector<Location> at;
    Lsn last_lsn;
  };
  // How many queued records the next batch takes.
  struct Plan {
    std::size_t records = 0;
    std::uint64_t body_bytes = 0;
  };

  JournalFile& current() { return files_[current_]; }
  Plan plan() const;
  bool form(node::DiskQueue& out);
  void write_batch(const Plan& plan, node::DiskQueue& out);
  void write_bodies(const IdentitySector& batch, const Plan& plan, Flight& flight, node::DiskQueue& out);
  void ask_for_files(node::DiskQueue& out);
  void on_write(Flight& flight, const io::DiskResult& result);
  void start_syncs(node::DiskQueue& out);
  void on_sync(Sync& sync, const io::DiskResult& result);
  void release();
  void fail(std::string why);

  Options options_;
  Stamp stamp_;
  std::vector<JournalFile> files_;
  std::size_t current_ = 0;
  std::optional<FileMaker> maker_;
  std::map<GroupId, Places> groups_;

  std::deque<Queued> queue_;
  std::deque<Flight> flights_;  // in order of batch, whose numbers are contiguous
  std::deque<Sync> syncs_;      // in order of submission
  std::uint64_t next_batch_;
  Checksum last_batch_;  // of the batch formed last
  Lsn formed_;           // reach of the batch formed last
  Lsn last_;
  Lsn durable_;
  Lsn marked_;  // highest `synced` that was written
  bool mark_due_;
  std::uint64_t sync_count_ = 0;
  std::optional<std::string> failure_;
};

Journal::Impl::Impl(const Options& options, const Stamp& stamp, Recovered recovered)
    : options_(options),
      stamp_(stamp),
      files_(std::move(recovered.files)),
      current_(recovered.current),
      next_batch_(recovered.next_batch),
      last_batch_(recovered.last_batch),
      formed_(recovered.next_lsn - 1),
      last_(formed_),
      durable_(formed_),
      marked_(formed_),
      mark_due_(recovered.mark_due) {
  REEL_ASSERT(!problem_with(options) && current_ < files_.size());
  REEL_ASSERT(recovered.next_lsn.value > 0 && next_batch_ > 0);
  for (auto& [group, log] : recovered.groups) {
    groups_.emplace(group, Places{log.first, std::move(log.locations), log.last_lsn});
  }
}

// ---- in

Lsn Journal::Impl::append(GroupId group, const EntryIdentity& identity, Body body) {
  REEL_ASSERT(identity.size == body.payload().size() && identity.size <= payload_bytes_max(options_));
  REEL_ASSERT(group.value != 0 && body.header_ != nullptr);
  auto [it, fresh] = groups_.try_emplace(group, Places{identity.index, {}, Lsn(0)});
  Places& places = it->second;
  REEL_ASSERT(identity.index == places.first + places.at.size());
  const Lsn lsn = ++last_;
  Queued queued{lsn, {group, RecordKind::entry, identity, 0, places.last_lsn, {}}, std::move(body)};
  if (identity.kind == EntryKind::configuration) {
    REEL_ASSERT(identity.size <= inline_room(1));
    queued.record.configuration = queued.body.payload();
  }
  places.at.push_back({0, lsn.value});
  places.last_lsn = lsn;
  queue_.push_back(std::move(queued));
  return lsn;
}

Lsn Journal::Impl::truncate(GroupId group, Index from) {
  REEL_ASSERT(group.value != 0 && from.value != 0);
  auto [it, fresh] = groups_.try_emplace(group, Places{from, {}, Lsn(0)});
  Places& places = it->second;
  REEL_ASSERT(from >= places.first);
  if (from - places.first < places.at.size()) places.at.resize(from - places.first);
  const Lsn lsn = ++last_;
  EntryIdentity identity;
  identity.index = from;
  queue_.push_back({lsn, {group, RecordKind::truncation, identity, 0, places.last_lsn, {}}, {}});
  places.last_lsn = lsn;
  return lsn;
}

// ---- batches

// As many queued records as one identity sector, the limits, and the file's zones take.
Journal::Impl::Plan Journal::Impl::plan() const {
  const JournalFile& file = files_[current_];
  Plan plan;
  if (file.identities_used >= file.geometry.identity_sectors) return plan;
  const std::uint64_t room = file.geometry.body_end() - file.body_end;
  std::size_t inline_bytes = 0;
  for (const Queued& queued : queue_) {
    if (plan.records == options_.batch_records_max) break;
    inline_bytes += queued.record.configuration.size();
    if (inline_bytes > inline_room(plan.records + 1)) break;
    const std::uint64_t bytes = plan.body_bytes + queued.body.whole().size();
    if (bytes > room || (bytes > options_.batch_bytes_max && plan.records > 0)) break;
    plan.body_bytes = bytes;
    ++plan.records;
  }
  return plan;
}

// Forms one batch, or rolls to the next file; false if neither is possible now.
bool Journal::Impl::form(node::DiskQueue& out) {
  if (queue_.empty() || flights_.size() >= options_.batches_in_flight_max) return false;
  const Plan next = plan();
  if (next.records > 0) {
    write_batch(next, out);
    return true;
  }
  if (current_ + 1 == files_.size()) return false;
  ++current_;
  return true;
}

void Journal::Impl::write_batch(const Plan& plan, node::DiskQueue& out) {
  JournalFile& file = current();
  IdentitySector batch;
  batch.stamp = stamp_;
  batch.file_sequence = file.sequence;
  batch.offset = file.geometry.identity_at(file.identities_used);
  batch.batch = next_batch_;
  batch.first_lsn = formed_ + 1;
  batch.previous_lsn = formed_;
  batch.previous = last_batch_;
  batch.synced = durable_;
  batch.body_offset = plan.body_bytes == 0 ? 0 : file.body_end;
  batch.body_bytes = plan.body_bytes;
  Flight flight;
  flight.batch = next_batch_;
  flight.file = file.file;
  write_bodies(batch, plan, flight, out);
  for (std::size_t i = 0; i < plan.records; ++i) {
    Queued& queued = queue_.front();
    REEL_ASSERT(queued.lsn == batch.first_lsn + i);
    if (queued.record.kind == RecordKind::entry) {
      flight.placed.push_back({queued.record.group, queued.record.identity.index, queued.lsn,
                               Location{file.sequence, queued.record.body_offset}});
    }
    batch.records.push_back(std::move(queued.record));
    queue_.pop_front();
  }
  io::DiskRequest write = sector_write(
      file.file, batch.offset, [&](auto sector) { last_batch_ = encode_identity_sector(batch, sector); });
  flight.writes.push_back(out.submit(node::DiskOwner::journal, std::move(write)));
  flight.reach = batch.reach();
  formed_ = batch.reach();
  marked_ = durable_;
  mark_due_ = false;
  ++next_batch_;
  ++file.identities_used;
  file.body_end += plan.body_bytes;
  REEL_ASSERT(file.body_end <= file.geometry.body_end());
  flights_.push_back(std::move(flight));
}

// Gives each record its place and its header; one gathered write, no copy.
void Journal::Impl::write_bodies(const IdentitySector& batch, const Plan& plan, Flight& flight,
                                 node::DiskQueue& out) {
  if (plan.body_bytes == 0) return;
  io::DiskRequest write;
  write.verb = io::DiskVerb::write;
  write.file = flight.file;
  write.offset = batch.body_offset;
  write.length = plan.body_bytes;
  std::uint64_t at = batch.body_offset;
  for (std::size_t i = 0; i < plan.records; ++i) {
    Queued& queued = queue_[i];
    if (queued.record.kind != RecordKind::entry) continue;
    queued.record.body_offset = at;
    const RecordHeader header{stamp_,
                              batch.file_sequence,
                              at,
                              batch.batch,
                              queued.lsn,
                              queued.record.group,
                              queued.record.identity};
    const std::span<std::byte, kRecordHeaderBytes> place(queued.body.header_, kRecordHeaderBytes);
    REEL_ASSERT(is_zero(place));  // a body is journalled once
    encode_record_header(header, place);
    at += queued.body.whole().size();
    write.data.push_back(queued.body.whole());
  }
  REEL_ASSERT(at == batch.body_offset + batch.body_bytes);
  flight.writes.push_back(out.submit(node::DiskOwner::journal, std::move(write)));
}

// One file at a time is made, in order, so at most the newest file can be half made after a crash.
void Journal::Impl::ask_for_files(node::DiskQueue& out) {
  if (maker_) return;
  const std::size_t ready = files_.size() - 1 - current_;
  const bool stalled = !queue_.empty() && ready == 0 && plan().records == 0;
  if (ready >= options_.files_ahead && !stalled) return;
  maker_.emplace(node::DiskOwner::journal, stamp_, Geometry{options_.file_bytes, options_.identity_sectors},
                 files_.back().sequence + 1);
  maker_->start(out);
}

void Journal::Impl::pump(node::DiskQueue& out) {
  if (failure_) return;
  while (form(out)) {
  }
  ask_for_files(out);
}

void Journal::Impl::mark_synced(node::DiskQueue& out) {
  if (failure_ || !mark_is_due() || !queue_.empty()) return;
  if (flights_.size() >= options_.batches_in_flight_max) return;
  if (current().identities_used >= current().geometry.identity_sectors) {
    if (current_ + 1 == files_.size()) return;
    ++current_;
  }
  write_batch(Plan{}, out);
}

// ---- completions

void Journal::Impl::on_disk(const io::DiskResult& result, node::DiskQueue& out) {
  if (maker_ && maker_->on_disk(result, out)) {
    if (maker_->failure()) return fail(*maker_->failure());
    if (maker_->done()) {
      files_.push_back(maker_->file());
      maker_.reset();
    }
    return;
  }
  for (Sync& sync : syncs_) {
    if (sync.op != result.op) continue;
    on_sync(sync, result);
    return start_syncs(out);
  }
  for (Flight& flight : flights_) {
    if (std::find(flight.writes.begin(), flight.writes.end(), result.op) == flight.writes.end()) continue;
    on_write(flight, result);
    return start_syncs(out);
  }
  REEL_ASSERT(failure_.has_value());
}

void Journal::Impl::on_write(Flight& flight, const io::DiskResult& result) {
  if (result.status != io::DiskStatus::ok) {
    return fail(std::string("a write to the journal failed (") + io::name_of(result.status) +
                "): check the device, then start the node again");
  }
  std::erase(flight.writes, result.op);
  if (flight.writes.empty()) flight.state = Flight::State::written;
}

// A sync covers what was written before it was asked for. Only a batch whose predecessors are all written (or
// further) is worth one: nothing behind a gap can be released. Batches in two files need a sync each.
void Journal::Impl::start_syncs(node::DiskQueue& out) {
  std::size_t at = 0;
  while (!failure_ && syncs_.size() < options_.syncs_in_flight_max) {
    while (at < flights_.size() && flights_[at].state >= Flight::State::syncing) ++at;
    const std::size_t first = at;
    while (at < flights_.size() && flights_[at].state == Flight::State::written &&
           flights_[at].file == flights_[first].file) {
      flights_[at++].state = Flight::State::syncing;
    }
    if (at == first) return;
    io::DiskRequest request;
    request.verb = io::DiskVerb::sync;
    request.file = flights_[first].file;
    const io::DiskOpId op = out.submit(node::DiskOwner::journal, std::move(request));
    syncs_.push_back({op, flights_[first].batch, flights_[at - 1].batch, false});
    ++sync_count_;
  }
}

// A sync counts only when all that were asked for before it have succeeded: after an error nothing that was
// in flight with it may be trusted, whatever came back first.
void Journal::Impl::on_sync(Sync& sync, const io::DiskResult& result) {
  if (result.status != io::DiskStatus::ok) {
    return fail(std::string("a sync of the journal failed (") + io::name_of(result.status) +
                "): nothing in flight may be trusted, so check the device and start the node again");
  }
  sync.done = true;
  if (failure_) return;
  while (!syncs_.empty() && syncs_.front().done) {
    for (Flight& flight : flights_) {
      if (flight.batch >= syncs_.front().first_batch && flight.batch <= syncs_.front().last_batch) {
        REEL_ASSERT(flight.state == Flight::State::syncing);
        flight.state = Flight::State::durable;
      }
    }
    syncs_.pop_front();
  }
  release();
}

void Journal::Impl::release() {
  while (!flights_.empty() && flights_.front().state == Flight::State::durable) {
    const Flight& flight = flights_.front();
    REEL_ASSERT(flight.reach >= durable_);
    durable_ = flight.reach;
    for (const Placed& placed : flight.placed) {
      Places& places = groups_.at(placed.group);
      if (placed.index < places.first || placed.index - places.first >= places.at.size()) continue;
      Location& at = places.at[placed.index - places.first];
      if (at == Location{0, placed.lsn.value})
        at = placed.at;  // else it was cut, and is another record's by now
    }
    flights_.pop_front();
  }
  REEL_ASSERT(durable_ <= last_);
}

void Journal::Impl::fail(std::string why) {
  if (!failure_) failure_ = std::move(why);
}

// ---- out

std::optional<Location> Journal::Impl::find(GroupId group, Index index) const {
  const auto it = groups_.find(group);
  if (it == groups_.end() || index < it->second.first) return std::nullopt;
  const std::uint64_t at = index - it->second.first;
  if (at >= it->second.at.size() || it->second.at[at].file_sequence == 0) return std::nullopt;
  return it->second.at[at];
}

io::FileId Journal::Impl::file_of(std::uint64_t file_sequence) const {
  REEL_ASSERT(file_sequence >= files_.front().sequence && file_sequence <= files_.back().sequence);
  return files_[file_sequence - files_.front().sequence].file;
}

std::uint64_t Journal::Impl::bytes() const {
  std::uint64_t sum = 0;
  for (const JournalFile& file : files_) sum += file.geometry.file_bytes;
  return sum;
}

Journal::Journal(const Options& options, const Stamp& stamp, Recovered recovered)
    : impl_(std::make_unique<Impl>(options, stamp, std::move(recovered))) {}
Journal::Journal(Journal&&) noexcept = default;
Journal& Journal::operator=(Journal&&) noexcept = default;
Journal::~Journal() = default;
Lsn Journal::append(GroupId group, const EntryIdentity& identity, Body body) {
  return impl_->append(group, identity, std::move(body));
}
Lsn Journal::truncate(GroupId group, Index from) { return impl_->truncate(group, from); }
void Journal::pump(node::DiskQueue& out) { impl_->pump(out); }
void Journal::on_disk(const io::DiskResult& result, node::DiskQueue& out) { impl_->on_disk(result, out); }
void Journal::mark_synced(node::DiskQueue& out) { impl_->mark_synced(out); }
bool Journal::mark_is_due() const { return impl_->mark_is_due(); }
Lsn Journal::durable() const { return impl_->durable(); }
Lsn Journal::last() const { return impl_->last(); }
bool Journal::busy() const { return impl_->busy(); }
bool Journal::has_room() const { return impl_->has_room(); }
bool Journal::failed() const { return impl_->failure().has_value(); }
std::string Journal::failure() const { return impl_->failure().value_or(""); }
std::uint64_t Journal::syncs() const { return impl_->syncs(); }
std::uint64_t Journal::bytes() const { return impl_->bytes(); }
std::uint64_t Journal::files() const { return impl_->files(); }
std::optional<Location> Journal::find(GroupId group, Index index) const { return impl_->find(group, index); }
io::FileId Journal::file_of(std::uint64_t file_sequence) const { return impl_->file_of(file_sequence); }

}  // namespace reel::journal
