#include "harness/oracles.h"

#include "harness/bank_operation.h"
#include "node/log/record.h"

namespace reel::harness {
namespace {

model::Transaction model_of(const log::Transaction& transaction) {
  model::Transaction result;
  result.session = transaction.session;
  result.sequence = transaction.sequence;
  result.time = transaction.time;
  result.digest = io::digest64(transaction.record.data, transaction.record.header);
  return result;
}

model::Shown shown_of(const log::Transaction& transaction) {
  model::Shown result;
  result.time = transaction.time;
  result.header = transaction.record.header;
  io::Hasher hasher;
  hasher.add(transaction.session.high).add(transaction.session.low).add(transaction.sequence.value);
  result.digest = hasher.add(transaction.record.data).value();
  for (std::uint32_t lock = 0; lock < transaction.record.lock_count(); ++lock) {
    result.locks.push_back(transaction.record.lock(lock));
  }
  return result;
}

// By position alone: which of them counts as checked, or as a change, is for the oracle to say, not for the code under test.
model::LockRequest request_of(const log::RecordView& record) {
  model::LockRequest request;
  request.based_on = record.based_on;
  std::uint32_t lock = 0;
  for (std::uint32_t i = 0; i < record.write_locks; ++i) request.writes.push_back(record.lock(lock++));
  for (std::uint32_t i = 0; i < record.read_locks; ++i) request.reads.push_back(record.lock(lock++));
  for (std::uint32_t i = 0; i < record.append_locks; ++i) request.appends.push_back(record.lock(lock++));
  return request;
}

}  // namespace

Oracles::Oracles(std::vector<NodeId> voters, const OracleOptions& options,
                 std::function<void(std::string_view)> marked)
    : consensus_(std::move(voters)),
      logs_(options.partitions),
      locks_(options.partitions, model::LockOracle(options.lock_keys_max)),
      has_bank_(options.bank),
      has_lists_(options.lists),
      feeds_(options.partitions),
      marked_(std::move(marked)) {}

void Oracles::on_step(const node::Node& node, const io::Now&, const node::Event&,
                      const node::Effects& effects) {
  if (violation_) return;
  const NodeId id = node.stamp().node;
  for (const node::Note& note : effects.notes) on_note(id, node.stamp().incarnation, note);
  for (std::size_t i = 1; i <= logs_.size(); ++i) {
    const node::Group* group = node.group(GroupId(static_cast<std::uint32_t>(i)));
    if (group == nullptr) break;
    const node::Admission& admission = group->admission();
    take(model::OverloadOracle::queue(
        id, group->id(), {admission.calls(), admission.bytes(), group->queued(), admission.limit_max()}));
  }
}

void Oracles::on_note(NodeId node, Incarnation life, const node::Note& note) {
  if (const auto* mark = std::get_if<node::NoteMark>(&note)) return marked_(mark->name);
  if (const auto* booted = std::get_if<node::NoteBooted>(&note)) log_of(booted->group).restarted(node);
  take(consensus_.observe(node, life, note));
  if (const auto* applied = std::get_if<node::NoteApplied>(&note)) on_applied(node, *applied);
}

void Oracles::on_applied(NodeId node, const node::NoteApplied& applied) {
  if (applied.identity.kind != EntryKind::transactions) return;
  model::LogOracle& log = log_of(applied.group);
  const bool readable =
      log::for_each_transaction(applied.payload.span(), TxnId(0), [&](const log::Transaction& transaction) {
        take(log.applied(node, transaction.id, model_of(transaction)));
        model::FeedOracle& feeds = feeds_of(applied.group);
        if (!feeds.knows(transaction.id)) feeds.applied(transaction.id, shown_of(transaction));
        if (!has_lists_ || applied.group != kListGroup) {
          take(locks_of(applied.group).committed(transaction.id, request_of(transaction.record)));
        }
        if (has_bank_ && applied.group == kBankGroup) on_bank(transaction);
      });
  if (!readable) complain("entry-format", "an applied entry cannot be parsed");
}

void Oracles::on_bank(const log::Transaction& transaction) {
  const auto operation = parse_bank_operation(transaction.record.data);
  if (!operation) return complain("bank-rule", "the bank's log holds something else");
  take(bank_.committed(transaction.id, *operation));
}

void Oracles::crashed(NodeId node) { consensus_.crashed(node); }

void Oracles::session_opened(GroupId group, SessionId session, bool ordered) {
  if (ordered) log_of(group).declare_ordered(session);
}

void Oracles::acknowledged(GroupId group, SessionId session, const CommittedRun& run) {
  for (std::uint32_t i = 0; i < run.count; ++i) {
    take(log_of(group).acknowledged(session, run.first + i, run.id + i, run.time + i));
  }
  acknowledged_ += run.count;
}

void Oracles::conflicted(GroupId group, const model::LockRequest& request, std::uint32_t lock, TxnId by) {
  take(locks_of(group).conflicted(request, lock, by));
}

void Oracles::stale(GroupId group, const model::LockRequest& request, TxnId floor) {
  take(locks_of(group).stale(request, floor));
}

void Oracles::burned(GroupId group, SessionId session, Sequence sequence) {
  take(log_of(group).burned(session, sequence));
}

void Oracles::banked(const model::BankRequest& request, model::BankOutcome outcome, TxnId id,
                     std::uint64_t attempt) {
  take(bank_.told(request, outcome, id, attempt));
}

void Oracles::feed_opened(GroupId group, NodeId reader, TxnId from) {
  log_of(group).feed_opened(reader.value, from);
}

void Oracles::fed(GroupId group, NodeId reader, const log::Transaction& transaction) {
  take(log_of(group).fed(reader.value, transaction.id, model_of(transaction)));
}

void Oracles::selection_opened(GroupId group, NodeId reader, TxnId from, const model::Wanted& wanted) {
  feeds_of(group).opened(reader.value, from, wanted);
}

void Oracles::selected(GroupId group, NodeId reader, const log::Transaction& transaction) {
  take(feeds_of(group).fed(reader.value, transaction.id, shown_of(transaction)));
}

void Oracles::passed(GroupId group, NodeId reader, TxnId next) {
  take(feeds_of(group).passed(reader.value, next));
}

void Oracles::told_to_wait(NodeId client, NodeId node, io::Instant until) {
  marked_("client.told_to_wait");
  overload_.told_to_wait(client, node, until);
}

void Oracles::asks(NodeId client, NodeId node, io::Instant at) { take(overload_.asks(client, node, at)); }

void Oracles::waited_too_long(NodeId client) { take(model::OverloadOracle::timed_out(client)); }

void Oracles::bore_load(std::span<const model::ClientLoad> clients, std::span<const std::uint64_t> answered) {
  take(model::OverloadOracle::fair(clients));
  take(model::OverloadOracle::steady(answered));
}

void Oracles::group_gained(const MemberId& member, GroupId group, Epoch epoch, TxnId next) {
  take(reader_group_.gained(member, group, epoch, next));
}

void Oracles::group_handed(const MemberId& member, GroupId group, Epoch epoch, TxnId id) {
  take(reader_group_.handed(member, group, epoch, id));
}

void Oracles::group_done(const MemberId& member, GroupId group, Epoch epoch, TxnId next) {
  take(reader_group_.done(member, group, epoch, next));
}

void Oracles::group_kept(const MemberId& member, GroupId group, Epoch epoch, TxnId next) {
  take(reader_group_.kept(member, group, epoch, next));
}

void Oracles::finish(std::span<const NodeId> core) {
  for (const model::LogOracle& log : logs_) take(log.finish(core));
  take(bank_.finish());
}

void Oracles::complain(const std::string& oracle, const std::string& text) {
  if (violation_) return;
  complaint_ = oracle;
  violation_ = model::Violation{complaint_.c_str(), text};
}

void Oracles::take(std::optional<model::Violation> violation) {
  if (!violation_ && violation) violation_ = std::move(violation);
}

}  // namespace reel::harness
