#include "node/group.h"

#include <algorithm>
#include <cstring>

#include "io/ports/assert.h"
#include "node/log/selection.h"
#include "node/signs.h"

namespace reel::node {
namespace {

// An entry counts its sections in 16 bits; one call alone may add as many as it has transactions.
constexpr std::size_t kSectionsEnough = UINT16_MAX / 2;
static_assert(kSectionsEnough + kAppendCallCountMax <= UINT16_MAX);

// When a reader that found no room may ask again; what fills that room is readers that wait for something to happen.
constexpr io::Duration kReadAgain = io::milliseconds(50);

// That wait to be proposed: enough for an entry beside one that is on its way.
constexpr std::uint64_t kPipelinedBytesMin = 16u << 10;

std::size_t slot(raft::Timer timer) { return static_cast<std::size_t>(timer); }

AppendRequest* entries_of(PeerMessage& message) { return std::get_if<AppendRequest>(&message.body); }

raft::Options with_group(raft::Options options, GroupId id) {
  options.group = id;
  return options;
}

}  // namespace

Group::Group(GroupId id, const GroupOptions& options, const raft::Recovered& recovered,
             std::optional<cluster::Coordinator> coordinator)
    : id_(id),
      options_(options),
      core_(with_group(options.raft, id), recovered),
      state_(options.log),
      coordinator_(std::move(coordinator)),
      noted_(recovered.hard_state),
      noted_durable_(core_.durable_index()),
      admission_(options.admission),
      tail_first_(core_.last_index() + 1),
      boot_commit_(recovered.commit),
      found_log_(core_.last_index().value > 0) {
  REEL_ASSERT(options.transaction_bytes_max <= kTransactionBytesMax);
  REEL_ASSERT(options.call_bytes_max <= kAppendCallBytesMax);
  REEL_ASSERT(options.call_transactions_max <= kAppendCallCountMax);
  deadlines_.fill(io::kNever);
}

// ---- replay -------------------------------------------------------------------------------------------------------

void Group::replay(Context& context) {
  if (replayed_) return;
  if (!std::exchange(boot_noted_, true)) {
    note(NoteBooted{id_, noted_, core_.first_index(),
                    EntryId{core_.log().empty() ? Term() : core_.log().back().term, core_.last_index()},
                    boot_commit_},
         context);
  }
  while (replay_next_ <= core_.last_index()) {
    if (replay_next_ <= boot_commit_) {
      if (!apply(context) && state_.applied() < replay_next_) return;  // waits for a body, or failed
      replay_next_ = std::max(replay_next_, state_.applied()) + 1;
      continue;
    }
    if (body_of(replay_next_) == nullptr) {
      want(replay_next_, context);
      return;
    }
    ++replay_next_;  // its checksum was verified on arrival
  }
  replayed_ = true;
  effects_.clear();
  core_.start(effects_);
  raft::Output starting;
  starting.swap(effects_);
  note_changes(context);
  for (raft::Effect& effect : starting) {
    std::visit([&](auto& one) { handle(one, context); }, effect);
  }
}

// ---- the core and its effects ------------------------------------------------------------------------------------

void Group::run(const raft::Input& input, Context& context) {
  REEL_ASSERT(effects_.empty());
  if (context.out.wants_notes) {
    Signs signs(core_, input);
    core_.step(input, effects_);
    for (const char* sign : signs.after(core_, effects_)) note(NoteMark{sign}, context);
  } else {
    core_.step(input, effects_);
  }
  raft::Output effects;
  effects.swap(effects_);
  note_changes(context);
  for (raft::Effect& effect : effects) {
    std::visit([&](auto& one) { handle(one, context); }, effect);
  }
  effects.clear();
  effects_.swap(effects);  // keeps the capacity
}

// Before anything of it can reach the disk or a peer.
void Group::note_changes(Context& context) {
  const HardState now{core_.term(), core_.vote()};
  if (now != noted_) {
    noted_ = now;
    note(NoteHardState{id_, now}, context);
  }
  if (core_.durable_index() != noted_durable_) {
    noted_durable_ = core_.durable_index();
    note(NoteDurable{id_, noted_durable_}, context);
  }
}

void Group::handle(raft::SetTimer& effect, Context& context) {
  const std::int64_t timeout = options_.election_timeout.ns;
  io::Duration delay = options_.election_timeout;
  if (effect.timer == raft::Timer::heartbeat) delay = options_.heartbeat_interval;
  if (effect.timer == raft::Timer::notice) delay = options_.commit_notice;
  if (effect.timer == raft::Timer::election) {
    const std::uint64_t draw =
        io::keyed_hash(context.seed, {0x656c656374ull, id_.value, core_.term().value, ++elections_timed_});
    delay.ns = timeout + static_cast<std::int64_t>(draw % static_cast<std::uint64_t>(timeout));
  }
  deadlines_[slot(effect.timer)] = context.now.monotonic + delay;
}

void Group::handle(raft::StopTimer& effect, Context&) { deadlines_[slot(effect.timer)] = io::kNever; }

void Group::handle(raft::Outgoing& effect, Context& context) {
  if (may_leave(effect)) {
    send(std::move(effect), context);
  } else {
    held_.push_back(std::move(effect));
  }
}

void Group::handle(raft::AppendToLog& effect, Context& context) {
  Lsn lsn;
  if (effect.truncate_from) {
    note(NoteTruncated{id_, *effect.truncate_from}, context);
    lsn = context.journal.truncate(id_, *effect.truncate_from);
    forget_from(*effect.truncate_from);
  }
  for (Entry& entry : effect.entries) {
    note(NoteAppended{id_, entry.identity}, context);
    // The leader's own proposal is already in a journal buffer; what came from a peer is copied into one, once.
    const bool own = entry.payload.data() != nullptr && entry.payload.data() == proposing_.payload().data();
    journal::Body body = own ? proposing_ : journal::BodyBuilder::copy_of(entry.payload.span());
    lsn = context.journal.append(id_, entry.identity, body);
    remember(entry.identity.index, std::move(body));
  }
  appends_.push_back({effect.ticket, lsn});
}

void Group::handle(raft::SaveHardState& effect, Context& context) {
  saves_.push_back({effect.ticket, context.hard_states.save(id_, effect.state)});
}

void Group::handle(raft::Committed& effect, Context& context) {
  note(NoteCommitted{id_, effect.index}, context);
  if (core_.durable_index() < effect.index) {
    note(
        NoteMark{core_.role() == Role::leader ? "group.leader_disk_is_last" : "group.commit_before_own_disk"},
        context);
  }
}

void Group::handle(raft::RoleChanged& effect, Context& context) {
  note(NoteRole{id_, effect.role, effect.term, effect.leader}, context);
  found_leader_ = found_leader_ || effect.leader != NodeId();
  overlay_.clear();
  lock_overlay_.clear();
  if (effect.role != Role::leader) {
    inherits_ = false;
    fail_clients(context);
  } else {
    inherits_ = true;
  }
}

void Group::handle(raft::ReadReady& effect, Context&) {
  const auto it = read_contexts_.find(effect.context);
  if (it == read_contexts_.end()) return;  // cancelled meanwhile
  it->second.index = effect.index;
  reads_ready_.push_back(it->second);
  read_contexts_.erase(it);
}

void Group::handle(raft::ReadRefused& effect, Context& context) {
  const auto it = read_contexts_.find(effect.context);
  if (it == read_contexts_.end()) return;
  refuse(it->second.call, ErrorCode::not_leader, context);
  read_contexts_.erase(it);
}

void Group::handle(raft::Proposed& effect, Context&) { proposed_ = effect.id; }

bool Group::fire_timers(Context& context) {
  bool fired = false;
  for (std::size_t i = 0; i < raft::kTimers; ++i) {
    if (deadlines_[i] > context.now.monotonic) continue;
    if (context.now.monotonic - deadlines_[i] > options_.heartbeat_interval) {
      note(NoteMark{"group.timer_late"}, context);  // this process, or its machine, stood still
    }
    if (static_cast<raft::Timer>(i) == raft::Timer::election && !found_leader_ && found_log_) {
      note(NoteMark{"group.nobody_leads_after_boot"}, context);
    }
    deadlines_[i] = io::kNever;
    run(raft::TimedOut{static_cast<raft::Timer>(i)}, context);
    fired = true;
  }
  return fired;
}

bool Group::collect_durability(Context& context) {
  bool any = false;
  while (!appends_.empty() && appends_.front().number <= context.journal.durable()) {
    append_durable_ = appends_.front().ticket;
    appends_.pop_front();
    run(raft::AppendDurable{append_durable_}, context);
    any = true;
  }
  while (!saves_.empty() && saves_.front().number <= context.hard_states.saved()) {
    hard_state_durable_ = saves_.front().ticket;
    saves_.pop_front();
    run(raft::HardStateDurable{hard_state_durable_}, context);
    any = true;
  }
  return any;
}

bool Group::may_leave(const raft::Outgoing& message) const {
  return message.after_append <= append_durable_ && message.after_hard_state <= hard_state_durable_;
}

bool Group::release_held(Context& context) {
  bool any = false;
  for (std::size_t i = held_.size(); i > 0; --i) {
    raft::Outgoing message = std::move(held_.front());
    held_.pop_front();
    if (may_leave(message)) {
      send(std::move(message), context);
      any = true;
    } else {
      held_.push_back(std::move(message));
    }
  }
  return any;
}

void Group::send(raft::Outgoing message, Context& context) {
  if (fill(message.message, context)) {
    context.out.sends.push_back({message.to, {}});
    context.out.sends.back().batch.messages.push_back(std::move(message.message));
  } else if (waiting_sends_.size() < options_.sends_waiting_max) {
    note(NoteMark{"group.send_waits_for_body"}, context);
    waiting_sends_.push_back(std::move(message));
  }
}

// ---- peers --------------------------------------------------------------------------------------------------------

void Group::on_message(NodeId from, const PeerMessage& message, Context& context) {
  if (!replayed_) return;
  run(raft::Received{from, message}, context);
}

void Group::on_peer_reset(NodeId peer, Context& context) {
  if (replayed_) run(raft::PeerReset{peer}, context);
}

void Group::transfer(NodeId target, Context& context) {
  if (replayed_) run(raft::Transfer{target}, context);
}

void Group::on_disk_failed(Context& context) {
  if (replayed_) run(raft::DiskFailed{}, context);
}

// ---- appends ------------------------------------------------------------------------------------------------------

bool Group::leads() const {
  // Only when everything inherited is applied does this node know every id, time and session that it must respect.
  return core_.role() == Role::leader && core_.has_committed_in_term() &&
         core_.condition() == raft::Condition::normal;
}

bool Group::may_propose(const Context& context) const {
  return leads() && core_.transfer_target() == NodeId() && state_.applied() >= core_.commit() &&
         context.journal.has_room() && !is_worth_waiting(context) &&
         core_.last_index() - core_.commit() < options_.entries_in_flight_max;
}

// Little more would make an entry of its own, which costs as much as a large one: it goes with what else comes until the disk
// has what is under way. Not when that is committed already, so that a slow disk here holds up nobody; nor for the quorum
// alone, which may be far away; nor when the queue fills up, small as it may be.
bool Group::is_worth_waiting(const Context& context) const {
  return context.journal.busy() && core_.last_index() > core_.commit() &&
         admission_.bytes() < std::min(kPipelinedBytesMin, admission_.limit() / 4);
}

// At the first moment in which this leader may propose: everything inherited is applied, nothing is in flight.
void Group::take_over(const Context& context) {
  REEL_ASSERT(core_.last_index() == state_.applied());
  next_id_ = state_.next_id();
  last_time_ = state_.last_time();
  if (coordinator_) coordinator_->lead(context.now);
}

void Group::on_append(io::CallId call, const AppendCall& append, Context& context) {
  if (core_.role() != Role::leader) return refuse(call, ErrorCode::not_leader, context);
  const auto too_large = [&](std::uint64_t limit) { refuse(call, ErrorCode::too_large, context, limit); };
  if (append.block.size() > options_.call_bytes_max) return too_large(options_.call_bytes_max);
  if (append.count > options_.call_transactions_max) return too_large(options_.call_transactions_max);
  if (append.count == 0 || append.first.value == 0 || append.first.value > kSequenceMax) {
    return refuse(call, ErrorCode::malformed, context);
  }
  const auto survey = log::survey(append.block.span(), append.count);
  if (!survey) return refuse(call, ErrorCode::malformed, context);
  if (survey->data_max > options_.transaction_bytes_max) return too_large(options_.transaction_bytes_max);
  enqueue({call, append, *survey}, context);
}

void Group::on_resolve(io::CallId call, const ResolveCall& resolve, Context& context) {
  if (core_.role() != Role::leader) return refuse(call, ErrorCode::not_leader, context);
  if (resolve.sequence.value == 0 || resolve.sequence.value > kSequenceMax) {
    return refuse(call, ErrorCode::malformed, context);
  }
  AppendCall as;
  as.group = resolve.group;
  as.session = resolve.session;
  as.opened = resolve.opened;
  as.first = resolve.sequence;
  as.count = 1;
  enqueue({call, as, {}, true, resolve.burn}, context);
}

void Group::enqueue(QueuedCall queued, Context& context) {
  const AppendCall& append = queued.append;
  if (const auto retry_after =
          admission_.refuses(append.session, append.block.size(), context.now.monotonic)) {
    return refuse_overloaded(queued.call, *retry_after, context);
  }
  queue_.push_back(std::move(queued));
}

// What can be said of a call as a whole, before its sequences are looked at; true if it was refused.
bool Group::refuses(const QueuedCall& queued, Context& context) const {
  const AppendCall& append = queued.append;
  const log::Session* session = state_.sessions().find(append.session);
  const bool known = session != nullptr || overlay_.has(append.session);
  if (!known && append.opened < state_.sessions().floor()) {
    note(NoteMark{"group.session_expired"}, context);
    refuse(queued.call, ErrorCode::expired, context, state_.applied().value);
    return true;
  }
  if (session != nullptr && append.first <= session->floor()) {
    refuse(queued.call, ErrorCode::expired, context, state_.applied().value);
    return true;
  }
  const Sequence last =
      std::max(session == nullptr ? Sequence() : session->last(), overlay_.last(append.session));
  if (!queued.resolve && append.ordered && append.first > last + 1) {
    note(NoteMark{"group.out_of_order"}, context);
    refuse(queued.call, ErrorCode::out_of_order, context, last.value + 1);
    return true;
  }
  if (append.ordered && queued.survey.checked > 0) {  // a stream cannot go on behind a refusal
    refuse(queued.call, ErrorCode::malformed, context);
    return true;
  }
  // Whoever leads has applied all that any node may show; so another one leads, and this one does not know it yet.
  if (queued.survey.based_on && *queued.survey.based_on >= state_.next_id()) {
    note(NoteMark{"group.based_on_the_future"}, context);
    refuse(queued.call, ErrorCode::unavailable, context);
    return true;
  }
  return false;
}

// Decides every sequence of one call: decided or in flight (joined), or new (a section of the next entry, or refused by
// the lock rule).
void Group::admit(const QueuedCall& queued, Proposal& proposal, Context& context) {
  if (refuses(queued, context)) return;
  const AppendCall& append = queued.append;
  const log::Session* session = state_.sessions().find(append.session);
  Waiter waiter{queued.call, append.session, append.first, append.count, queued.resolve, {}};
  Index wait_for;
  std::size_t offset = 0;
  for (std::uint32_t done = 0; done < append.count;) {
    const Sequence at = append.first + done;
    const std::uint32_t left = append.count - done;
    std::uint32_t count = 0;
    bool fresh = false;
    if (const auto outcome = session == nullptr ? std::nullopt : session->outcome(at)) {
      note(NoteMark{outcome->burned ? "group.burned" : "group.duplicate_committed"}, context);
      count = std::min(left, outcome->count);
    } else if (const auto pending = overlay_.pending(append.session, at)) {
      note(NoteMark{"group.duplicate_in_flight"}, context);
      count = std::min(left, pending->count);
      wait_for = std::max(wait_for, pending->index);
    } else if (queued.resolve && !queued.burn) {
      return reply(queued.call, ResolveResult{std::nullopt, true}, context);
    } else {
      count = session == nullptr ? left : session->undecided(at, left);
      count = overlay_.unseen(append.session, at, count);
      fresh = true;
    }
    const std::size_t bytes = count == left ? append.block.size() - offset
                                            : log::prefix_bytes(append.block.span().subspan(offset), count);
    if (fresh) {
      Section section{&queued, done, count, offset, bytes};
      section.kind = queued.resolve ? log::SectionKind::burn : log::SectionKind::transactions;
      if (queued.survey.locks > 0) {
        judge(section, proposal, waiter, wait_for, context);
      } else {
        add(section, proposal);
        wait_for = proposal.index;
      }
    }
    offset += bytes;
    done += count;
  }
  waiters_.emplace(wait_for, std::move(waiter));
}

// The lock rule for every record of a section: neighbours that commit stay together. Each sees what the ones before it
// change, in this entry too.
void Group::judge(Section all, Proposal& proposal, Waiter& waiter, Index& wait_for, Context& context) {
  const AppendCall& append = all.from->append;
  Section accepted = all;
  accepted.count = 0;
  accepted.bytes = 0;
  const auto close = [&] {
    if (accepted.count == 0) return;
    add(accepted, proposal);
    wait_for = proposal.index;
  };
  std::size_t offset = all.offset;
  for (std::uint32_t i = 0; i < all.count; ++i) {
    const auto record = log::parse_record(append.block.span().subspan(offset));
    REEL_ASSERT(record.has_value());
    const TxnId id = proposal.next_id + accepted.count;
    const log::LockVerdict verdict = log::judge(*record, state_.locks(), lock_overlay_);
    offset += record->size;
    if (verdict.kind == log::LockVerdict::Kind::free) {
      for (std::uint32_t lock = 0; lock < record->lock_count(); ++lock) {
        if (!record->lock_is_changed(lock)) continue;
        lock_overlay_.change(record->lock(lock), {id, proposal.index});
        ++accepted.changes;
      }
      ++accepted.count;
      accepted.bytes += record->size;
      continue;
    }
    close();
    accepted = Section{all.from, all.skip + i + 1, 0, offset, 0};
    const bool conflict = verdict.kind == log::LockVerdict::Kind::conflict;
    const bool in_flight = verdict.released_by != Index();
    note(NoteMark{!conflict   ? "group.stale"
                  : in_flight ? "group.conflict_in_flight"
                              : "group.conflict"},
         context);
    waiter.refusals.push_back({append.first + all.skip + i,
                               conflict ? RefusalCode::conflict : RefusalCode::stale, verdict.lock,
                               verdict.id});
    wait_for = std::max(wait_for, verdict.released_by);
  }
  close();
}

void Group::add(const Section& section, Proposal& proposal) {
  const AppendCall& append = section.from->append;
  Section& added = proposal.sections.emplace_back(section);
  added.opens = state_.sessions().find(append.session) == nullptr && !overlay_.has(append.session);
  overlay_.add(append.session, {append.first + section.skip, section.count, proposal.index});
  proposal.bytes += log::kSectionHeaderBytes + section.bytes;
  if (section.kind == log::SectionKind::transactions) proposal.next_id += section.count;
}

bool Group::propose(Context& context) {
  if (!may_propose(context)) return false;
  if (std::exchange(inherits_, false)) take_over(context);
  bool any = coordinator_ && propose_commands(context);
  while (!queue_.empty() && may_propose(context) && waiters_.size() < options_.answers_waiting_max) {
    Proposal proposal{core_.last_index() + 1, next_id_, log::kEntryHeaderBytes, {}};
    std::deque<QueuedCall> taken;
    while (!queue_.empty() && proposal.sections.size() < kSectionsEnough) {
      const std::size_t more = queue_.front().append.block.size() + log::kSectionHeaderBytes;
      if (!taken.empty() && proposal.bytes + more > options_.entry_bytes_max) break;
      taken.push_back(std::move(queue_.front()));
      queue_.pop_front();
      const AppendCall& append = taken.back().append;
      admission_.release(append.session, append.block.size(), context.now.monotonic);
      admit(taken.back(), proposal, context);
    }
    if (!proposal.sections.empty()) build_entry(proposal, context);
    any = true;
  }
  if (any) answer_waiters(context);  // repeated requests whose original is applied
  return any;
}

bool Group::propose_commands(Context& context) {
  bool any = false;
  coordinator_->wake(context.now);
  while (coordinator_->has_commands() && may_propose(context)) {
    any = true;
    const std::vector<std::byte> payload =
        coordinator_->take_entry(core_.last_index() + 1, core_.configuration());
    if (!payload.empty()) {
      propose_entry(EntryKind::cluster, journal::BodyBuilder::copy_of(payload), context);
    }
  }
  return any;
}

void Group::propose_entry(EntryKind kind, journal::Body body, Context& context) {
  proposing_ = std::move(body);
  proposed_.reset();
  const Bytes payload = proposing_.payload();
  run(raft::Propose{kind, static_cast<std::uint32_t>(payload.size()), io::checksum(payload.span()), payload},
      context);
  proposing_ = {};
  REEL_ASSERT(proposed_.has_value() && proposed_->index.value != 0);
}

void Group::build_entry(const Proposal& proposal, Context& context) {
  journal::BodyBuilder builder(proposal.bytes);
  std::span<std::byte> room = builder.room();
  std::size_t at = log::kEntryHeaderBytes;
  for (const Section& section : proposal.sections) {
    const AppendCall& append = section.from->append;
    log::write_section_header(
        room.subspan(at).first<log::kSectionHeaderBytes>(),
        {append.session, append.first + section.skip, section.count,
         static_cast<std::uint32_t>(section.bytes), section.kind, section.opens, section.changes});
    at += log::kSectionHeaderBytes;
    if (section.bytes > 0) std::memcpy(room.data() + at, append.block.data() + section.offset, section.bytes);
    at += section.bytes;
  }
  REEL_ASSERT(at == proposal.bytes);
  const auto transactions = static_cast<std::uint32_t>(proposal.next_id - next_id_);
  const std::uint64_t time =
      std::max(last_time_ + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(context.now.wall.ns, 1)));
  log::write_entry_header(
      room.first<log::kEntryHeaderBytes>(),
      {static_cast<std::uint16_t>(proposal.sections.size()), transactions, next_id_, time});
  next_id_ = proposal.next_id;
  last_time_ = time + std::max(transactions, 1u) - 1;
  propose_entry(EntryKind::transactions, std::move(builder).finish(at), context);
}

// nullopt only when the session was dropped, or its window has passed a slow call's first sequences, between admission
// and commit.
std::optional<ClientReply> Group::answer_of(const Waiter& waiter) const {
  AppendResult result;
  const log::Session* session = state_.sessions().find(waiter.session);
  auto refusal = waiter.refusals.begin();
  for (std::uint32_t done = 0; done < waiter.count;) {
    const Sequence at = waiter.first + done;
    if (refusal != waiter.refusals.end() && refusal->sequence == at) {
      result.refusals.push_back(*refusal++);
      ++done;
      continue;
    }
    const auto outcome = session == nullptr ? std::nullopt : session->outcome(at);
    if (!outcome) return std::nullopt;
    const std::uint32_t count = std::min(outcome->count, waiter.count - done);
    if (outcome->burned) {
      for (std::uint32_t i = 0; i < count; ++i)
        result.refusals.push_back({at + i, RefusalCode::burned, 0, {}});
    } else {
      result.runs.push_back({at, count, outcome->id, outcome->time});
    }
    done += count;
  }
  if (!waiter.resolve) return result;
  if (result.runs.empty()) return ResolveResult{};
  return ResolveResult{result.runs.front(), false};
}

void Group::answer_waiters(Context& context) {
  while (!waiters_.empty() && waiters_.begin()->first <= state_.applied()) {
    const Waiter& waiter = waiters_.begin()->second;
    if (auto answer = answer_of(waiter)) {
      reply(waiter.call, std::move(*answer), context);
    } else {
      refuse(waiter.call, ErrorCode::expired, context, state_.applied().value);
    }
    waiters_.erase(waiters_.begin());
  }
  if (!coordinator_) return;
  cluster::Answers answers;
  coordinator_->answer_applied(state_.applied(), answers);
  reply_all(std::move(answers), context);
}

// Leadership is gone: whatever is queued or in flight may or may not commit under the next leader. Repeating a request
// is always safe, so "not the leader" is an honest answer.
void Group::fail_clients(Context& context) {
  for (const QueuedCall& queued : queue_) refuse(queued.call, ErrorCode::not_leader, context);
  queue_.clear();
  admission_.clear();
  for (const auto& [index, waiter] : waiters_) refuse(waiter.call, ErrorCode::not_leader, context);
  waiters_.clear();
  if (!coordinator_) return;
  cluster::Answers answers;
  coordinator_->follow(answers);
  reply_all(std::move(answers), context);
}

// ---- bodies -------------------------------------------------------------------------------------------------------

const Bytes* Group::body_of(Index index) const {
  if (index >= tail_first_ && index < tail_first_ + tail_.size())
    return &tail_[index - tail_first_].payload();
  const auto it = read_cache_.find(index);
  return it == read_cache_.end() ? nullptr : &it->second;
}

void Group::remember(Index index, journal::Body body) {
  if (tail_.empty()) tail_first_ = index;
  REEL_ASSERT(index == tail_first_ + tail_.size());
  tail_bytes_ += body.whole().size();
  tail_.push_back(std::move(body));
  evict();
}

void Group::forget_from(Index index) {
  while (!tail_.empty() && tail_first_ + (tail_.size() - 1) >= index) {
    tail_bytes_ -= tail_.back().whole().size();
    tail_.pop_back();
  }
  for (auto it = read_cache_.lower_bound(index); it != read_cache_.end();) {
    read_bytes_ -= it->second.size();
    it = read_cache_.erase(it);
  }
}

void Group::evict() {
  while (tail_.size() > 1 && tail_bytes_ > options_.cache_bytes && tail_first_ <= state_.applied() &&
         tail_first_ <= core_.durable_index()) {
    tail_bytes_ -= tail_.front().whole().size();
    tail_.pop_front();
    ++tail_first_;
  }
}

// Asks for a chunk of bodies from `index` on, and for the chunks behind it, unless they are on their way. All that is on
// its way together fits into the cache, or else each chunk would drive out the one before it.
void Group::want(Index index, Context& context) {
  const std::uint64_t chunk_bytes = std::min<std::uint64_t>(
      options_.read_chunk_bytes, options_.read_cache_bytes / options_.reads_in_flight_max);
  Index at = index;
  while (reads_.size() < options_.reads_in_flight_max && at <= core_.last_index()) {
    bool moved = true;
    while (moved) {  // skip what is here or coming
      moved = false;
      while (at <= core_.last_index() && body_of(at) != nullptr) ++at, moved = true;
      for (const auto& [op, read] : reads_) {
        if (at >= read.first && at < read.first + read.identities.size()) {
          at = read.first + read.identities.size();
          moved = true;
        }
      }
    }
    if (at > core_.last_index() || at - index > 4096) return;
    ReadInFlight read{at, {}, {}};
    std::uint64_t bytes = 0;
    for (Index i = at; i <= core_.last_index() && (i == at || bytes < chunk_bytes) && body_of(i) == nullptr;
         ++i) {
      const auto identity = core_.at(i);
      const auto location = context.journal.find(id_, i);
      REEL_ASSERT(identity.has_value());
      if (!identity || !location) break;
      if (!read.locations.empty() && (location->file_sequence != read.locations.front().file_sequence ||
                                      location->offset != read.locations.front().offset + bytes)) {
        break;
      }
      read.identities.push_back(*identity);
      read.locations.push_back(*location);
      bytes += journal::record_bytes(identity->size);
    }
    if (read.identities.empty()) return;
    io::DiskRequest request;
    request.verb = io::DiskVerb::read;
    request.file = context.journal.file_of(read.locations.front().file_sequence);
    request.offset = read.locations.front().offset;
    request.length = bytes;
    at += read.identities.size();
    const io::DiskOpId op = context.out.disk.submit(DiskOwner::reader, std::move(request));
    reads_.emplace(op, std::move(read));
  }
}

bool Group::on_read(const io::DiskResult& result, Context& context) {
  const auto it = reads_.find(result.op);
  if (it == reads_.end()) return false;
  const ReadInFlight read = std::move(it->second);
  reads_.erase(it);
  bodies_arrived_ = true;
  if (result.status != io::DiskStatus::ok) {
    fail(std::string("reading the journal failed (") + io::name_of(result.status) +
         "): check the device, then start the node again");
    return true;
  }
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < read.identities.size(); ++i) {
    const std::uint64_t bytes = journal::record_bytes(read.identities[i].size);
    if (offset + bytes > result.data.size()) break;
    const Bytes record = result.data.slice(offset, bytes);
    offset += bytes;
    const Index index = read.first + i;
    if (core_.at(index) != read.identities[i] || read_cache_.contains(index))
      continue;  // truncated meanwhile
    auto payload = journal::verify_record(record, context.stamp, id_, read.identities[i], read.locations[i]);
    if (!payload) {
      fail(payload.error().text);
      return true;
    }
    read_bytes_ += payload->size();
    read_cache_.emplace(index, std::move(*payload));
    read_order_.push_back(index);
  }
  return true;
}

// At the end of a turn only: whoever waited for what was just read has seen it by then, however small the cache is.
void Group::trim_read_cache() {
  while (read_bytes_ > options_.read_cache_bytes && read_order_.size() > 1) {
    const auto oldest = read_cache_.find(read_order_.front());
    read_order_.pop_front();
    if (oldest == read_cache_.end()) continue;
    read_bytes_ -= oldest->second.size();
    read_cache_.erase(oldest);
  }
}

bool Group::apply(Context& context) {
  bool any = false;
  const Index limit = replayed_ ? core_.commit() : std::min(boot_commit_, core_.last_index());
  while (state_.applied() < limit && !failure_) {
    const Index next = state_.applied() + 1;
    const EntryIdentity identity = *core_.at(next);
    const Bytes* body = body_of(next);
    if (body == nullptr && identity.size > 0) {
      want(next, context);
      break;
    }
    const std::span<const std::byte> payload = body == nullptr ? std::span<const std::byte>() : body->span();
    auto applied = state_.apply(identity, payload);
    if (identity.kind == EntryKind::cluster && applied) applied = apply_commands(payload);
    if (!applied) {
      fail("entry " + std::to_string(next.value) + " cannot be applied: " + std::string(applied.error()));
      return true;
    }
    overlay_.applied(next);
    lock_overlay_.applied(next);
    note(NoteApplied{id_, identity, state_.next_id(), state_.digest(), body == nullptr ? Bytes() : *body},
         context);
    any = true;
  }
  if (any && replayed_) {
    if (core_.role() == Role::leader) answer_waiters(context);
    evict();
  }
  return any;
}

std::expected<void, std::string_view> Group::apply_commands(std::span<const std::byte> payload) {
  if (!coordinator_) return std::unexpected("it concerns the cluster, and stands in another partition's log");
  return coordinator_->apply(payload);
}

// Puts bodies behind the identities of an append; false while one of them has to come from disk. It keeps those that it
// has, so a message that is larger than the read cache is filled all the same. Entries that left the log meanwhile end
// the message early: the follower takes a shorter append as it is.
bool Group::fill(PeerMessage& message, Context& context) {
  AppendRequest* append = entries_of(message);
  if (append == nullptr) return true;
  std::optional<Index> missing;
  for (std::size_t i = 0; i < append->entries.size(); ++i) {
    Entry& entry = append->entries[i];
    if (entry.identity.size == 0 || !entry.payload.empty()) continue;
    if (core_.at(entry.identity.index) != entry.identity) {
      append->entries.resize(i);
      break;
    }
    if (const Bytes* body = body_of(entry.identity.index)) {
      entry.payload = *body;
    } else if (!missing) {
      missing = entry.identity.index;
    }
  }
  if (missing) want(*missing, context);
  return !missing;
}

bool Group::retry_sends(Context& context) {
  bool any = false;
  for (std::size_t i = waiting_sends_.size(); i > 0; --i) {
    raft::Outgoing message = std::move(waiting_sends_.front());
    waiting_sends_.pop_front();
    if (message.message.term != core_.term()) continue;  // of a leadership that ended
    send(std::move(message), context);
    any = true;
  }
  return any;
}

// ---- readers ------------------------------------------------------------------------------------------------------

void Group::on_feed(io::CallId call, const FeedCall& feed, Context& context) {
  if (feeds_.size() + lookups_.size() >= options_.feeds_waiting_max) {
    return refuse_overloaded(call, kReadAgain, context);
  }
  if ((feed.filter.header_value & ~feed.filter.header_mask) != 0) {
    return refuse(call, ErrorCode::malformed, context);
  }
  const io::Duration wait = std::clamp(feed.wait, io::Duration{0}, options_.feed_wait_max);
  WaitingFeed waiting{call, feed, context.now.monotonic + wait};
  waiting.feed.bytes_max = std::min(feed.bytes_max, kFeedCallBytesMax);
  if (answer_feed(waiting, context)) return;
  feed_deadline_ = std::min(feed_deadline_, waiting.deadline);
  feeds_.push_back(waiting);
}

// False: it waits, for what is not committed yet or for a body. What it will not look at again moves its `from`.
bool Group::answer_feed(WaitingFeed& waiting, Context& context) {
  FeedCall& feed = waiting.feed;
  if (feed.from_time > 0) feed.from = std::max(feed.from, state_.first_at(feed.from_time));
  if (feed.from < state_.next_id()) {
    return feed.filter.empty() ? answer_entries(waiting, context) : answer_matches(waiting, context);
  }
  if (waiting.deadline > context.now.monotonic) return false;
  FeedResult nothing;
  nothing.high_water = state_.next_id();
  if (!feed.filter.empty()) nothing.next = feed.from;
  reply(waiting.call, std::move(nothing), context);
  return true;
}

bool Group::answer_entries(const WaitingFeed& waiting, Context& context) {
  FeedResult result;
  result.high_water = state_.next_id();
  std::uint64_t bytes = 0;
  for (Index at = state_.entry_of(waiting.feed.from); at <= state_.applied(); ++at) {
    const EntryIdentity identity = *core_.at(at);
    if (identity.kind != EntryKind::transactions) continue;
    if (!result.entries.empty() && bytes + identity.size > waiting.feed.bytes_max) break;
    const Bytes* body = body_of(at);
    if (body == nullptr) {
      want(at, context);
      if (result.entries.empty()) return false;
      break;
    }
    bytes += body->size();
    result.entries.push_back(*body);
  }
  reply(waiting.call, std::move(result), context);
  return true;
}

// Looks at no more than feed_scan_bytes_max of payload, or one entry: then it says how far it came, though nothing matched.
bool Group::answer_matches(WaitingFeed& waiting, Context& context) {
  FeedCall& feed = waiting.feed;
  log::Selection selection(feed.filter, feed.from, feed.bytes_max);
  std::uint64_t scanned = 0;
  bool enough = false;
  bool missing = false;
  for (Index at = state_.entry_of(feed.from); at <= state_.applied() && !enough && !missing; ++at) {
    const EntryIdentity identity = *core_.at(at);
    if (identity.kind != EntryKind::transactions) continue;
    if (scanned > 0 && scanned + identity.size > options_.feed_scan_bytes_max) {
      note(NoteMark{"group.feed_scan_bounded"}, context);
      enough = true;
      continue;
    }
    const Bytes* body = body_of(at);
    if (body == nullptr) {
      want(at, context);
      missing = true;
      continue;
    }
    scanned += body->size();
    const auto walk = selection.walk(*body);
    if (walk == log::Selection::Walk::malformed) {
      fail("entry " + std::to_string(at.value) + " holds records that cannot be read: restore the node");
      return false;
    }
    if (walk == log::Selection::Walk::full) {
      note(NoteMark{"group.feed_credit_used"}, context);
      enough = true;
    }
  }
  if (selection.matches().empty() && !enough) {
    feed.from = selection.next();
    if (missing || waiting.deadline > context.now.monotonic) return false;
  }
  FeedResult result;
  result.high_water = state_.next_id();
  result.matches = std::move(selection.matches());
  result.next = selection.next();
  reply(waiting.call, std::move(result), context);
  return true;
}

void Group::on_lookup(io::CallId call, const TransactionCall& wanted, Context& context) {
  if (feeds_.size() + lookups_.size() >= options_.feeds_waiting_max) {
    return refuse_overloaded(call, kReadAgain, context);
  }
  const WaitingLookup waiting{call, wanted.id};
  if (!answer_lookup(waiting, context)) lookups_.push_back(waiting);
}

// False: it waits for a body.
bool Group::answer_lookup(const WaitingLookup& waiting, Context& context) {
  TransactionResult result;
  result.high_water = state_.next_id();
  if (waiting.id < state_.next_id()) {
    const Index at = state_.entry_of(waiting.id);
    const Bytes* body = body_of(at);
    if (body == nullptr) {
      want(at, context);
      return false;
    }
    log::for_each_transaction(body->span(), waiting.id, [&](const log::Transaction& transaction) {
      result.transaction = log::cut_out(*body, transaction);
      return false;
    });
    if (!result.transaction) {
      fail("entry " + std::to_string(at.value) + " holds records that cannot be read: restore the node");
      return false;
    }
  }
  reply(waiting.call, std::move(result), context);
  return true;
}

bool Group::answer_lookups(Context& context) {
  return std::erase_if(lookups_,
                       [&](const WaitingLookup& waiting) { return answer_lookup(waiting, context); }) > 0;
}

bool Group::answer_feeds(Context& context) {
  bool any = false;
  feed_deadline_ = io::kNever;
  for (std::size_t i = feeds_.size(); i > 0; --i) {
    WaitingFeed waiting = feeds_.front();
    feeds_.pop_front();
    if (answer_feed(waiting, context)) {
      any = true;
    } else {
      feed_deadline_ = std::min(feed_deadline_, waiting.deadline);
      feeds_.push_back(waiting);
    }
  }
  return any;
}

void Group::on_high_water(io::CallId call, const HighWaterCall& wanted, Context& context) {
  if (!wanted.linearizable) return reply(call, HighWaterResult{state_.next_id()}, context);
  start_read({call, GroupId(), {}, Index()}, context);
}

void Group::on_unknown_partition(io::CallId call, GroupId partition, Context& context) {
  if (core_.role() != Role::leader) return refuse(call, ErrorCode::not_leader, context);
  start_read({call, partition, {}, Index()}, context);
}

void Group::start_read(const WaitingRead& read, Context& context) {
  if (read_contexts_.size() + reads_ready_.size() >= options_.reads_waiting_max) {
    return refuse_overloaded(read.call, kReadAgain, context);
  }
  const std::uint64_t number = ++last_read_context_;
  read_contexts_.emplace(number, read);
  run(raft::Read{number}, context);
}

bool Group::answer_reads(Context& context) {
  bool any = false;
  for (std::size_t i = 0; i < reads_ready_.size();) {
    if (reads_ready_[i].index > state_.applied()) {
      ++i;
      continue;
    }
    answer_read(reads_ready_[i], context);
    reads_ready_.erase(reads_ready_.begin() + static_cast<std::ptrdiff_t>(i));
    any = true;
  }
  return any;
}

void Group::answer_read(const WaitingRead& read, Context& context) {
  if (read.question) return reply(read.call, coordinator_->answer(*read.question), context);
  if (read.partition == GroupId()) return reply(read.call, HighWaterResult{state_.next_id()}, context);
  const bool exists = read.partition.value <= coordinator_->partitions();
  refuse(read.call, exists ? ErrorCode::unavailable : ErrorCode::no_such_partition, context);
}

void Group::on_cluster_call(io::CallId call, const ClientCall& body, Context& context) {
  REEL_ASSERT(coordinator_.has_value());
  if (core_.role() != Role::leader) return refuse(call, ErrorCode::not_leader, context);
  cluster::Answers answers;
  const bool confirm = coordinator_->on_call(call, body, context.now, answers);
  reply_all(std::move(answers), context);
  if (confirm) start_read({call, GroupId(), body, Index()}, context);
}

void Group::on_cancelled(io::CallId call) {
  // An append that is admitted stays: its outcome is decided whether or not anybody waits.
  std::erase_if(feeds_, [call](const WaitingFeed& waiting) { return waiting.call == call; });
  std::erase_if(lookups_, [call](const WaitingLookup& waiting) { return waiting.call == call; });
  std::erase_if(read_contexts_, [call](const auto& entry) { return entry.second.call == call; });
  std::erase_if(reads_ready_, [call](const WaitingRead& waiting) { return waiting.call == call; });
  if (coordinator_) coordinator_->on_cancelled(call);
}

// ---- the turn -----------------------------------------------------------------------------------------------------

bool Group::pump(Context& context) {
  if (failure_) return false;
  if (!replayed_) {
    replay(context);
    trim_read_cache();
    return false;
  }
  bool any = fire_timers(context);
  any |= collect_durability(context);
  if (!held_.empty()) any |= release_held(context);
  const bool advanced = apply(context);
  const bool bodies = std::exchange(bodies_arrived_, false);
  any |= advanced;
  if (bodies) any |= retry_sends(context);
  any |= propose(context);
  if (!feeds_.empty() && (advanced || bodies || feed_deadline_ <= context.now.monotonic))
    any |= answer_feeds(context);
  if (bodies && !lookups_.empty()) any |= answer_lookups(context);
  if (!reads_ready_.empty()) any |= answer_reads(context);
  trim_read_cache();
  return any;
}

io::Instant Group::deadline() const {
  const io::Instant members = coordinator_ ? coordinator_->deadline() : io::kNever;
  return std::min({feed_deadline_, members, *std::min_element(deadlines_.begin(), deadlines_.end())});
}

GroupStatus Group::status() const {
  GroupStatus status;
  status.group = id_;
  status.role = core_.role();
  status.term = core_.term();
  status.leader = core_.leader();
  status.first = core_.first_index();
  status.last = core_.last_index();
  status.commit = core_.commit();
  status.applied = state_.applied();
  status.high_water = state_.next_id();
  status.sessions = state_.sessions().size();
  if (core_.role() == Role::leader) {
    for (const auto& [node, progress] : core_.progress()) {
      status.peers.push_back({node, progress.match, progress.recently_active});
    }
  }
  return status;
}

void Group::reply(io::CallId call, ClientReply body, Context& context) const {
  context.out.replies.push_back({call, std::move(body)});
}

void Group::reply_all(cluster::Answers answers, Context& context) const {
  for (cluster::Answer& answer : answers) {
    if (auto* error = std::get_if<CallError>(&answer.body); error && error->code == ErrorCode::not_leader) {
      error->hint = core_.leader();
    }
    reply(answer.call, std::move(answer.body), context);
  }
}

void Group::refuse(io::CallId call, ErrorCode code, Context& context, std::uint64_t limit) const {
  CallError error;
  error.code = code;
  error.limit = limit;
  switch (code) {
    case ErrorCode::not_leader:
      error.hint = core_.leader();
      error.text = "this node does not lead the partition: ask the leader and repeat the request";
      break;
    case ErrorCode::too_large:
      error.text = "the call is above the limit: send fewer or smaller transactions";
      break;
    case ErrorCode::out_of_order:
      error.text = "an earlier request of this session is missing: repeat from the sequence given";
      break;
    case ErrorCode::expired:
      error.text =
          "the session was dropped, or has moved on too far: draw a new one; this request was not taken";
      break;
    case ErrorCode::unavailable:
      error.retry_after = io::milliseconds(20);
      error.text = "this node does not know yet what the call is about: repeat it soon";
      break;
    case ErrorCode::no_such_partition: error.text = "there is no such partition: see `reel status`"; break;
    default: error.text = "the call is malformed"; break;
  }
  reply(call, std::move(error), context);
}

void Group::refuse_overloaded(io::CallId call, io::Duration retry_after, Context& context) const {
  note(NoteMark{"group.overloaded"}, context);
  CallError error;
  error.code = ErrorCode::overloaded;
  error.retry_after = retry_after;
  error.text = "too much is waiting here: repeat the request after the time given";
  reply(call, std::move(error), context);
}

void Group::note(Note note, Context& context) const {
  if (context.out.wants_notes) context.out.notes.push_back(std::move(note));
}

}  // namespace reel::node
