#include "node/node.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::node {
namespace {

// Peer input is checked before the core sees it: entries must be what their identities say, and bounded.
bool plausible(const PeerMessage& message) {
  const auto* append = std::get_if<AppendRequest>(&message.body);
  if (append == nullptr) return true;
  if (append->entries.size() > kAppendEntriesMax) return false;
  for (const Entry& entry : append->entries) {
    const EntryIdentity& identity = entry.identity;
    if (identity.size > kEntryBytesMax || identity.kind > kEntryKindMax ||
        entry.payload.size() != identity.size || io::checksum(entry.payload.span()) != identity.checksum) {
      return false;
    }
  }
  return true;
}

io::Rights rights_for(const ClientCall& call) {
  // Resolving may burn: it writes to the log.
  if (std::holds_alternative<AppendCall>(call) || std::holds_alternative<ResolveCall>(call)) {
    return io::Rights::append;
  }
  if (std::holds_alternative<CreatePartitionsCall>(call) ||
      std::holds_alternative<RemoveReaderGroupCall>(call)) {
    return io::Rights::admin;
  }
  return io::Rights::read;
}

CallError error_of(ErrorCode code, std::string text) {
  CallError error;
  error.code = code;
  error.text = std::move(text);
  return error;
}

}  // namespace

Node::Node(const NodeOptions& options) : options_(options) {}

Context Node::context(const io::Now& now, Effects& out) {
  return Context{now, out, *journal_, *hard_states_, stamp_, seed_};
}

Group* Node::find(GroupId id) {
  if (id.value == 0 || id.value > groups_.size()) return nullptr;
  return groups_[id.value - 1].get();
}

const Group* Node::group(GroupId id) const {
  if (id.value == 0 || id.value > groups_.size()) return nullptr;
  return groups_[id.value - 1].get();
}

void Node::step(const io::Now& now, const Event& event, Effects& out) {
  if (halted_) return;
  if (const auto* boot = std::get_if<Boot>(&event)) {
    REEL_ASSERT(!booted_);
    booted_ = true;
    stamp_ = boot->stamp;
    seed_ = io::keyed_hash(boot->entropy, {stamp_.node.value, stamp_.incarnation.value});
    hard_states_.emplace(stamp_);
    manifest_.emplace(stamp_);
    hard_states_->recover(out.disk);
    manifest_->recover(out.disk);
    return;
  }
  REEL_ASSERT(booted_);
  if (const auto* done = std::get_if<DiskDone>(&event)) on_disk(done->result, now, out);
  if (const auto* request = std::get_if<Request>(&event)) {
    if (serving_) {
      Context shared = context(now, out);
      on_request(*request, shared);
    } else {
      on_request_early(*request, out);
    }
  }
  if (serving_ && !halted_) {
    Context shared = context(now, out);
    if (const auto* received = std::get_if<ReceivedParcel>(&event)) on_batch(*received, shared);
    if (const auto* up = std::get_if<PeerUp>(&event)) {
      for (auto& group : groups_) group->on_peer_reset(up->peer, shared);
    }
    if (const auto* down = std::get_if<PeerDown>(&event)) {
      if (out.wants_notes) out.notes.push_back(NoteMark{"node.connection_lost"});
      for (auto& group : groups_) group->on_peer_reset(down->peer, shared);
    }
    if (const auto* cancelled = std::get_if<Cancelled>(&event)) {
      if (out.wants_notes) out.notes.push_back(NoteMark{"node.call_cancelled"});
      for (auto& group : groups_) group->on_cancelled(cancelled->call);
    }
  }
  if (!halted_) settle(now, out);
}

// ---- boot ---------------------------------------------------------------------------------------------------------

void Node::continue_boot(const io::Now& now, Effects& out) {
  for (const auto& error : {hard_states_->error(), manifest_->error()}) {
    if (error) return halt(error->text, out);
  }
  if (journal_) return;
  if (!hard_states_->recovered() || !manifest_->recovered()) return;
  if (!recovery_) {
    std::map<GroupId, Index> marks;
    for (const auto& [id, group] : manifest_->groups()) marks[id] = group.commit;
    recovery_.emplace(options_.journal, stamp_, std::move(marks));
    recovery_->start(out.disk);
    return;
  }
  if (!recovery_->done()) return;
  auto recovered = recovery_->take();
  recovery_.reset();
  if (!recovered) return halt(recovered.error().text, out);
  if (out.wants_notes) note_recovery(*recovered, out);
  std::map<GroupId, journal::GroupLog> logs;
  for (const auto& [id, group_log] : recovered->groups) logs[id].entries = group_log.entries;
  journal_.emplace(options_.journal, stamp_, std::move(*recovered));
  while (manifest_->groups().contains(GroupId(creating_ + 1))) ++creating_;
  for (const auto& [id, in_manifest] : manifest_->groups()) {
    std::vector<EntryIdentity>& log = logs[id].entries;
    if (id.value <= creating_) {
      add_group(in_manifest, std::move(log));
    } else if (!log.empty() || hard_states_->get(id) != HardState()) {
      return halt("the manifest skips a group: restore the node from its peers", out);
    }  // else a crash came while it was created: the cluster's log has it created again
  }
  manifest_at_ = now.monotonic + options_.manifest_interval;
  balance_.emplace(stamp_.node, options_.balance_interval);
}

void Node::add_group(const journal::GroupManifest& group, std::vector<EntryIdentity> log) {
  raft::Recovered state;
  state.hard_state = hard_states_->get(group.group);
  state.configuration = group.configuration;
  state.log = std::move(log);
  state.commit = group.commit;
  GroupOptions options = options_.group;
  options.raft.self = stamp_.node;
  options.raft.incarnation = stamp_.incarnation;
  std::optional<cluster::Coordinator> coordinator;
  if (group.group == kClusterGroup) {
    const std::uint32_t room = journal::groups_max(options_.journal, group.configuration);
    coordinator.emplace(creating_, std::min(options_.partitions_max, room));
  }
  groups_.push_back(std::make_unique<Group>(group.group, options, std::move(state), std::move(coordinator)));
}

// What the cluster's log says there is more.
void Node::create_groups(Effects& out) {
  if (groups_.empty() || !groups_.front()->replayed()) return;
  const cluster::Coordinator& coordinator = *groups_.front()->coordinator();
  for (; creating_ < coordinator.state().partitions(); ++creating_) {
    const GroupId id(creating_ + 1);
    const raft::Configuration* configuration = coordinator.state().configuration_of(id);
    if (configuration == nullptr) {
      return halt("the cluster had more partitions from the start than this node's directory: make it anew",
                  out);
    }
    if (out.wants_notes) out.notes.push_back(NoteMark{"node.partition_created"});
    creating_saved_ = manifest_->update({id, Index(1), Index(), *configuration});
  }
  if (creating_ == groups_.size()) return;
  manifest_->pump(out.disk);
  if (manifest_->saved() < creating_saved_) return;
  while (groups_.size() < creating_) {
    add_group(manifest_->groups().at(GroupId(static_cast<std::uint32_t>(groups_.size() + 1))), {});
  }
}

void Node::balance(const io::Now& now, Effects& out) {
  if (groups_.size() < 2 || !serving_) return;
  if (balance_->due() == io::kNever) balance_->start(now.monotonic);
  if (balance_->due() > now.monotonic) return;
  std::vector<LeadershipView> views;
  for (const auto& group : groups_) {
    const raft::Core& core = group->core();
    LeadershipView view{group->id(), core.leader(), core.transfer_target() != NodeId(), {}};
    if (core.role() == Role::leader) {
      view.leader = stamp_.node;
      for (const auto& [node, progress] : core.progress()) {
        const bool able = progress.recently_active && progress.match >= core.commit();
        if (able && core.configuration().is_voter(node)) view.can_lead.push_back(node);
      }
    }
    views.push_back(std::move(view));
  }
  Context shared = context(now, out);
  for (const Handover& handover : balance_->decide(views, now.monotonic)) {
    if (out.wants_notes) out.notes.push_back(NoteMark{"node.hands_over"});
    find(handover.group)->transfer(handover.to, shared);
  }
}

// What the disk of an earlier life told.
void Node::note_recovery(const journal::Recovered& recovered, Effects& out) const {
  auto mark = [&out](const char* name) { out.notes.push_back(NoteMark{name}); };
  if (recovered.last_life.value > 0) mark("journal.found");
  if (recovered.cut_records > 0) mark("journal.cut");
  if (recovered.mark_due) mark("journal.kept_above_the_mark");
  if (recovered.damaged_identities > 0) mark("journal.damaged_identity");
  // The life before this one raised the incarnation and died before it had opened the journal.
  if (recovered.last_life.value + 1 < stamp_.incarnation.value) mark("journal.life_without_opening");
}

void Node::on_disk(const io::DiskResult& result, const io::Now& now, Effects& out) {
  switch (DiskQueue::owner_of(result.op)) {
    case DiskOwner::hard_state: hard_states_->on_disk(result, out.disk); break;
    case DiskOwner::manifest: manifest_->on_disk(result, out.disk); break;
    case DiskOwner::journal:
      if (journal_) {
        journal_->on_disk(result, out.disk);
      } else if (recovery_) {
        recovery_->on_disk(result, out.disk);
      }
      break;
    case DiskOwner::reader: {
      Context shared = context(now, out);
      for (auto& group : groups_) {
        if (group->on_read(result, shared)) break;
      }
      break;
    }
    case DiskOwner::superblock: break;  // the Driver's
  }
  if (!serving_ && !halted_) continue_boot(now, out);
}

// ---- events -------------------------------------------------------------------------------------------------------

void Node::on_batch(const ReceivedParcel& received, Context& context) {
  if (!received.parcel.is<PeerBatch>()) {
    ++refused_;
    return;
  }
  for (const PeerMessage& message : received.parcel.get<PeerBatch>().messages) {
    Group* group = find(message.group);
    if (group == nullptr && message.group.value > 0 && message.group.value <= kGroupsMax) {
      // Created elsewhere already: its leader tries again.
      if (context.out.wants_notes) context.out.notes.push_back(NoteMark{"node.partition_not_here_yet"});
      continue;
    }
    if (group == nullptr || !plausible(message)) {
      ++refused_;
      if (context.out.wants_notes) context.out.notes.push_back(NoteMark{"node.refused_message"});
      continue;
    }
    group->on_message(received.from, message, context);
  }
}

void Node::on_request_early(const Request& request, Effects& out) const {
  if (request.body.is<ClientCall>() && std::holds_alternative<StatusCall>(request.body.get<ClientCall>())) {
    out.replies.push_back({request.call, status()});
    return;
  }
  if (out.wants_notes) out.notes.push_back(NoteMark{"node.call_while_recovering"});
  CallError error = error_of(ErrorCode::unavailable, "the node is still recovering: repeat the request soon");
  error.retry_after = io::milliseconds(50);
  out.replies.push_back({request.call, std::move(error)});
}

void Node::on_request(const Request& request, Context& context) {
  auto refuse = [&](ErrorCode code, std::string text) {
    ++refused_;
    if (context.out.wants_notes) context.out.notes.push_back(NoteMark{"node.refused_call"});
    context.out.replies.push_back({request.call, error_of(code, std::move(text))});
  };
  if (!request.body.is<ClientCall>()) return refuse(ErrorCode::malformed, "the call is malformed");
  const ClientCall& call = request.body.get<ClientCall>();
  if (!io::includes(request.rights, rights_for(call))) {
    return refuse(ErrorCode::unauthorized, "the token does not allow this call: ask for one that does");
  }
  if (std::holds_alternative<StatusCall>(call)) {
    context.out.replies.push_back({request.call, status()});
    return;
  }
  const GroupId wanted_group = *group_of(call);
  Group* group = find(wanted_group);
  if (group == nullptr && !groups_.empty()) {
    return groups_.front()->on_unknown_partition(request.call, wanted_group, context);
  }
  if (group == nullptr) return refuse(ErrorCode::no_such_partition, "this node has no partitions at all");
  if (const auto* append = std::get_if<AppendCall>(&call))
    return group->on_append(request.call, *append, context);
  if (const auto* resolve = std::get_if<ResolveCall>(&call))
    return group->on_resolve(request.call, *resolve, context);
  if (const auto* feed = std::get_if<FeedCall>(&call)) return group->on_feed(request.call, *feed, context);
  if (const auto* lookup = std::get_if<TransactionCall>(&call))
    return group->on_lookup(request.call, *lookup, context);
  if (const auto* wanted = std::get_if<HighWaterCall>(&call))
    return group->on_high_water(request.call, *wanted, context);
  group->on_cluster_call(request.call, call, context);
}

// ---- the end of every step ----------------------------------------------------------------------------------------

// Runs the groups until nothing moves any more, lets the journal form batches, and asks for the next wake-up.
void Node::settle(const io::Now& now, Effects& out) {
  if (!journal_) return;
  Context shared = context(now, out);
  create_groups(out);
  if (halted_) return;
  balance(now, out);
  bool serving = true;
  for (auto& group : groups_) {
    while (group->pump(shared)) {
    }
    serving = serving && group->replayed();
  }
  serving_ = serving;
  create_groups(out);
  if (halted_) return;
  journal_->pump(out.disk);
  hard_states_->pump(out.disk);
  keep_tables(now, out);
  check_failures(out);
  merge_sends(out);
  io::Instant next = std::min({mark_at_, manifest_at_, balance_->due()});
  for (const auto& group : groups_) next = std::min(next, group->deadline());
  out.wake_at = next;
}

// The synced mark when idle, and commit indexes in the manifest now and then: both lazy, both only save work at boot.
void Node::keep_tables(const io::Now& now, Effects& out) {
  if (mark_at_ <= now.monotonic) {
    mark_at_ = io::kNever;
    if (journal_->mark_is_due()) journal_->mark_synced(out.disk);
  }
  if (journal_->durable() != marked_) {
    marked_ = journal_->durable();
    mark_at_ = now.monotonic + options_.mark_delay;
  }
  if (manifest_at_ > now.monotonic) return;
  manifest_at_ = now.monotonic + options_.manifest_interval;
  for (const auto& group : groups_) {
    const GroupId id = group->id();
    const journal::GroupManifest& known = manifest_->groups().at(id);
    // Only what is durable here may be called committed here: recovery takes damage below this for rot.
    const Index commit =
        std::min({group->core().commit(), group->core().durable_index(), group->state().applied()});
    if (commit <= known.commit) continue;
    journal::GroupManifest next = known;
    next.commit = commit;
    manifest_->update(next);
  }
  manifest_->pump(out.disk);
}

void Node::check_failures(Effects& out) {
  for (const auto& group : groups_) {
    if (group->failure()) return halt(*group->failure(), out);
  }
  if (journal_->failed()) return halt(journal_->failure(), out);
  if (hard_states_->failed() || manifest_->failed()) {
    halt("writing the node's tables failed: check the device, then start the node again", out);
  }
}

void Node::halt(std::string why, Effects& out) {
  halted_ = true;
  halt_reason_ = why;
  // Nothing that this step wanted to say leaves any more: what it would promise may not be durable.
  out.sends.clear();
  out.replies.clear();
  out.disk.requests().clear();
  out.halt = std::move(why);
}

// One batch per peer and step.
void Node::merge_sends(Effects& out) const {
  std::vector<Send>& sends = out.sends;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < sends.size(); ++i) {
    std::size_t into = 0;
    while (into < kept && sends[into].to != sends[i].to) ++into;
    if (into == kept) {
      if (kept != i) sends[kept] = std::move(sends[i]);
      ++kept;
    } else {
      auto& messages = sends[into].batch.messages;
      std::move(sends[i].batch.messages.begin(), sends[i].batch.messages.end(), std::back_inserter(messages));
    }
  }
  sends.resize(kept);
}

bool Node::ready() const { return serving_ && !halted_; }

StatusResult Node::status() const {
  StatusResult status;
  status.node = stamp_.node;
  status.cluster = stamp_.cluster.value;
  status.incarnation = stamp_.incarnation;
  status.version = options_.version;
  status.ready = ready();
  status.disk = halted_ ? halt_reason_ : "ok";
  if (journal_) {
    status.journal_bytes = journal_->bytes();
    status.journal_files = journal_->files();
    status.syncs = journal_->syncs();
    status.durable = journal_->durable();
  }
  for (const auto& group : groups_) status.groups.push_back(group->status());
  return status;
}

}  // namespace reel::node
