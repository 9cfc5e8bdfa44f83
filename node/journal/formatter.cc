#include <algorithm>

#include "io/ports/assert.h"
#include "io/ports/endian.h"
#include "node/journal/file_maker.h"
#include "node/journal/tables.h"

namespace reel::journal {
namespace {

// Groups in order, as many to a page as fit; nullopt if they do not fit into the table.
std::optional<std::vector<std::vector<std::byte>>> manifest_pages(const std::vector<GroupManifest>& groups,
                                                                  std::size_t pages) {
  std::vector<std::vector<std::byte>> contents(pages, std::vector<std::byte>(kManifestHeadBytes));
  std::size_t page = 0;
  std::uint64_t revision = 0;
  for (const GroupManifest& group : groups) {
    const Bytes entry = encode_manifest_entry({++revision, group});
    if (page < pages && contents[page].size() + entry.size() > kPageContentMax) ++page;
    if (page == pages) return std::nullopt;
    std::vector<std::byte>& content = contents[page];
    content.insert(content.end(), entry.data(), entry.data() + entry.size());
    io::store(content.data(), io::load<std::uint32_t>(content.data()) + 1);
  }
  return contents;
}

}  // namespace

Formatter::Formatter(const SuperblockContent& who, const Options& options, std::vector<GroupManifest> groups)
    : stamp_{who.cluster, who.node, who.incarnation}, options_(options), groups_(std::move(groups)) {
  std::sort(groups_.begin(), groups_.end(),
            [](const GroupManifest& a, const GroupManifest& b) { return a.group < b.group; });
}

Formatter::~Formatter() = default;
Formatter::Formatter(Formatter&&) noexcept = default;
Formatter& Formatter::operator=(Formatter&&) noexcept = default;

void Formatter::fail(RecoveryError::Code code, std::string text) {
  if (!error_) error_ = RecoveryError{code, std::move(text)};
  step_ = Step::done;
}

void Formatter::submit(io::DiskRequest request, node::DiskQueue& out) {
  awaited_.push_back(out.submit(node::DiskOwner::superblock, std::move(request)));
}

void Formatter::start(node::DiskQueue& out) {
  REEL_ASSERT(step_ == Step::idle);
  if (const auto problem = problem_with(options_)) return fail(RecoveryError::Code::inconsistent, *problem);
  if (stamp_.cluster.value == 0 || stamp_.node.value == 0) {
    return fail(RecoveryError::Code::inconsistent, "cluster and node ids are numbers from 1 on");
  }
  auto contents = manifest_pages(groups_, options_.manifest_pages);
  if (!contents) {
    return fail(RecoveryError::Code::inconsistent,
                "the manifest is too small for so many groups: raise manifest_pages");
  }
  const std::vector<std::vector<std::byte>> no_states(options_.hard_state_pages, encode_hard_states({}));
  tables_.push_back({PageKind::hard_state, "hardstate", out.new_file(), no_states});
  tables_.push_back({PageKind::manifest, "manifest", out.new_file(), std::move(*contents)});
  superblock_ = {PageKind::superblock, "superblock", out.new_file(), {encode_superblock(stamp_.incarnation)}};
  step_ = Step::listing;
  io::DiskRequest list;
  list.verb = io::DiskVerb::list;
  submit(std::move(list), out);
}

void Formatter::create(const TableFile& table, node::DiskQueue& out) {
  io::DiskRequest request;
  request.verb = io::DiskVerb::create;
  request.file = table.file;
  request.name = table.name;
  request.length = table.contents.size() * kPageSectors * kSectorBytes;
  submit(std::move(request), out);
}

void Formatter::write(const TableFile& table, node::DiskQueue& out) {
  for (io::DiskRequest& request : first_generation(table.kind, stamp_, table.file, table.contents)) {
    submit(std::move(request), out);
  }
}

void Formatter::on_disk(const io::DiskResult& result, node::DiskQueue& out) {
  if (step_ == Step::done) return;
  if (maker_ && maker_->on_disk(result, out)) {
    if (maker_->failure()) return fail(RecoveryError::Code::io, *maker_->failure());
    if (maker_->done()) advance(out);
    return;
  }
  const auto it = std::find(awaited_.begin(), awaited_.end(), result.op);
  REEL_ASSERT(it != awaited_.end());
  if (it == awaited_.end()) return;
  awaited_.erase(it);
  if (result.status != io::DiskStatus::ok) {
    return fail(RecoveryError::Code::io, std::string("making the data directory failed (") +
                                             io::name_of(result.verb) + ": " + io::name_of(result.status) +
                                             "); empty it and try again");
  }
  if (step_ == Step::listing && !result.files.empty()) {
    return fail(RecoveryError::Code::not_empty,
                "the directory holds " + result.files.front().name +
                    " already; nothing was changed, choose an empty directory");
  }
  if (awaited_.empty()) advance(out);
}

void Formatter::advance(node::DiskQueue& out) {
  const auto sync = [&](io::FileId file, io::DiskVerb verb) {
    io::DiskRequest request;
    request.verb = verb;
    request.file = file;
    submit(std::move(request), out);
  };
  switch (step_) {
    case Step::listing:
      step_ = Step::tables;
      for (const TableFile& table : tables_) create(table, out);
      return;
    case Step::tables:
      step_ = Step::tables_written;
      for (const TableFile& table : tables_) write(table, out);
      return;
    case Step::tables_written:
      step_ = Step::tables_synced;
      for (const TableFile& table : tables_) sync(table.file, io::DiskVerb::sync);
      return;
    case Step::tables_synced:
      step_ = Step::journal;  // ends with a sync of the directory
      maker_ = std::make_unique<FileMaker>(node::DiskOwner::superblock, stamp_,
                                           Geometry{options_.file_bytes, options_.identity_sectors}, 1);
      return maker_->start(out);
    case Step::journal: step_ = Step::superblock; return create(superblock_, out);
    case Step::superblock: step_ = Step::superblock_written; return write(superblock_, out);
    case Step::superblock_written:
      step_ = Step::superblock_synced;
      return sync(superblock_.file, io::DiskVerb::sync);
    case Step::superblock_synced:
      step_ = Step::directory;
      return sync(superblock_.file, io::DiskVerb::sync_directory);
    case Step::directory: step_ = Step::done; return;
    case Step::idle:
    case Step::done: REEL_ASSERT(false);
  }
}

bool Formatter::done() const { return step_ == Step::done; }

std::expected<void, RecoveryError> Formatter::take() {
  REEL_ASSERT(done());
  if (error_) return std::unexpected(std::move(*error_));
  return {};
}

}  // namespace reel::journal
