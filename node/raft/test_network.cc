#include "node/raft/test_network.h"

#include <algorithm>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"
#include "node/raft/configuration_codec.h"

namespace reel::raft {
namespace {

Configuration first_voters(std::size_t count) {
  Configuration configuration;
  for (std::size_t i = 1; i <= count; ++i) configuration.voters.push_back(NodeId(i));
  return configuration;
}

void write(std::vector<Entry>& log, const AppendToLog& operation) {
  if (operation.truncate_from) log.resize(operation.truncate_from->value - 1);
  log.insert(log.end(), operation.entries.begin(), operation.entries.end());
}

}  // namespace

TestNetwork::TestNetwork(std::size_t nodes, std::optional<Configuration> initial, Options options)
    : initial_(initial ? *initial : first_voters(nodes)), options_(options), nodes_(nodes) {
  for (TestNode& one : nodes_) boot(one);
}

void TestNetwork::boot(TestNode& node) {
  Options options = options_;
  options.self = NodeId(static_cast<std::size_t>(&node - nodes_.data()) + 1);
  options.group = GroupId(1);
  options.incarnation = ++node.incarnation;
  Recovered recovered;
  recovered.hard_state = node.disk.hard_state;
  recovered.configuration = initial_;
  recovered.commit = node.disk.commit;
  for (const Entry& entry : node.disk.log) {
    recovered.log.push_back(entry.identity);
    if (entry.identity.kind != EntryKind::configuration) continue;
    recovered.configurations.push_back({entry.identity.index, *decode_configuration(entry.payload.span())});
  }
  node.bodies = node.disk.log;
  node.append_durable = {};
  node.hard_state_durable = {};
  node.core.emplace(options, std::move(recovered));
  node.before = remember(*node.core);
  Output out;
  node.core->start(out);
  perform(node, out);
}

NodeId TestNetwork::leader() const {
  NodeId best;
  Term term;
  for (const TestNode& one : nodes_) {
    if (!one.core || one.core->role() != Role::leader || one.core->term() < term) continue;
    best = one.core->leader();
    term = one.core->term();
  }
  return best;
}

void TestNetwork::fail(const TestNode& node, const std::string& what) {
  const auto number = static_cast<std::size_t>(&node - nodes_.data()) + 1;
  if (!failure_) failure_ = "node " + std::to_string(number) + ": " + what;
}

// ---- inputs

void TestNetwork::input(NodeId id, const Input& input) {
  TestNode& one = node(id);
  if (failure_ || !one.core) return;
  Output out;
  one.core->step(input, out);
  perform(one, out);
  if (!holding_.contains(id)) flush(one);
}

bool TestNetwork::fire(NodeId id, Timer timer) {
  TestNode& one = node(id);
  bool& armed = one.armed[static_cast<std::size_t>(timer)];
  if (!one.core || !armed) return false;
  armed = false;
  input(id, TimedOut{timer});
  return true;
}

EntryId TestNetwork::propose(NodeId id) {
  const std::string content = "transaction " + std::to_string(++contents_);
  const Bytes payload = Bytes::copy_of(content);
  node(id).proposed = {};
  input(id, Propose{EntryKind::transactions, static_cast<std::uint32_t>(payload.size()),
                    io::checksum(payload.span()), payload});
  return node(id).proposed;
}

EntryId TestNetwork::propose(NodeId id, const Configuration& next) {
  const Bytes payload = encode_configuration(next);
  node(id).proposed = {};
  input(id, Propose{EntryKind::configuration, static_cast<std::uint32_t>(payload.size()),
                    io::checksum(payload.span()), payload});
  return node(id).proposed;
}

void TestNetwork::read(NodeId id, std::uint64_t context) {
  node(id).reads[context] = committed_.size();
  input(id, Read{context});
}

// ---- network

void TestNetwork::cut_both(NodeId a, NodeId b) {
  cut(a, b);
  cut(b, a);
}

void TestNetwork::isolate(NodeId id) {
  for (std::size_t other = 1; other <= nodes_.size(); ++other) {
    if (NodeId(other) != id) cut_both(id, NodeId(other));
  }
}

void TestNetwork::deliver(std::size_t flight) {
  Flight message = std::move(flights_.at(flight));
  drop(flight);
  if (cuts_.contains({message.from, message.to})) return;
  input(message.to, Received{message.from, std::move(message.message)});
}

void TestNetwork::drop(std::size_t flight) {
  flights_.erase(flights_.begin() + static_cast<std::ptrdiff_t>(flight));
}

void TestNetwork::duplicate(std::size_t flight) { flights_.push_back(flights_.at(flight)); }

std::size_t TestNetwork::deliver_all(std::size_t limit) {
  std::size_t count = 0;
  for (; !flights_.empty() && count < limit && !failure_; ++count) deliver(0);
  return count;
}

// ---- disks

bool TestNetwork::hold_disk(NodeId id, bool hold) {
  const bool before = holding_.contains(id);
  if (hold) {
    holding_.insert(id);
  } else {
    holding_.erase(id);
    flush(node(id));
  }
  return before;
}

bool TestNetwork::complete_append(NodeId id) {
  TestNode& one = node(id);
  if (!one.core || one.disk.appends.empty()) return false;
  const AppendToLog done = std::move(one.disk.appends.front());
  one.disk.appends.pop_front();
  write(one.disk.log, done);
  one.append_durable = done.ticket;
  input(id, AppendDurable{done.ticket});
  release(one);
  return true;
}

bool TestNetwork::complete_save(NodeId id) {
  TestNode& one = node(id);
  if (!one.core || one.disk.saves.empty()) return false;
  const SaveHardState done = one.disk.saves.front();
  one.disk.saves.pop_front();
  one.disk.hard_state = done.state;
  one.hard_state_durable = done.ticket;
  input(id, HardStateDurable{done.ticket});
  release(one);
  return true;
}

void TestNetwork::complete_all(NodeId id) {
  while (!failure_ && (complete_save(id) || complete_append(id))) {
  }
}

void TestNetwork::flush(TestNode& node) {
  const NodeId id(static_cast<std::size_t>(&node - nodes_.data()) + 1);
  if (node.core && !(node.disk.appends.empty() && node.disk.saves.empty())) complete_all(id);
}

void TestNetwork::crash(NodeId id, std::size_t appends, std::size_t saves) {
  TestNode& one = node(id);
  if (!one.core) return;
  one.disk.commit = std::max(one.disk.commit, std::min(one.core->commit(), one.core->durable_index()));
  for (; appends > 0 && !one.disk.appends.empty(); --appends) {
    write(one.disk.log, one.disk.appends.front());
    one.disk.appends.pop_front();
  }
  for (; saves > 0 && !one.disk.saves.empty(); --saves) {
    one.disk.hard_state = one.disk.saves.front().state;
    one.disk.saves.pop_front();
  }
  one.disk.appends.clear();
  one.disk.saves.clear();
  one.held.clear();
  one.armed = {};
  one.reads.clear();
  one.core.reset();
}

void TestNetwork::restart(NodeId id) {
  TestNode& one = node(id);
  if (one.core || failure_) return;
  boot(one);
  if (!holding_.contains(id)) flush(one);
}

void TestNetwork::preload(NodeId id, HardState hard_state, std::vector<Entry> log) {
  TestNode& one = node(id);
  REEL_CHECK(!one.core);
  one.disk.hard_state = hard_state;
  one.disk.log = log;
  one.bodies = std::move(log);
  for (const Entry& entry : one.bodies) judge_created(one, entry.identity, true);
}

// ---- outputs

void TestNetwork::perform(TestNode& node, Output& out) {
  for (Effect& effect : out) std::visit([&](auto& one) { perform(node, one); }, effect);
  judge(node);
}

void TestNetwork::perform(TestNode& node, SetTimer& effect) {
  node.armed[static_cast<std::size_t>(effect.timer)] = true;
}

void TestNetwork::perform(TestNode& node, StopTimer& effect) {
  node.armed[static_cast<std::size_t>(effect.timer)] = false;
}

void TestNetwork::perform(TestNode& node, Outgoing& effect) {
  node.held.push_back(std::move(effect));
  release(node);
}

// In order where possible; what waits for a disk is overtaken.
void TestNetwork::release(TestNode& node) {
  std::vector<Outgoing> still;
  for (Outgoing& message : node.held) {
    if (message.after_append <= node.append_durable && message.after_hard_state <= node.hard_state_durable) {
      leave(node, std::move(message));
    } else {
      still.push_back(std::move(message));
    }
  }
  node.held = std::move(still);
}

void TestNetwork::leave(TestNode& node, Outgoing message) {
  if (auto* append = std::get_if<AppendRequest>(&message.message.body)) {
    for (Entry& entry : append->entries)
      entry.payload = node.bodies.at(entry.identity.index.value - 1).payload;
  }
  ++sent;
  Flight flight{NodeId(static_cast<std::size_t>(&node - nodes_.data()) + 1), message.to,
                std::move(message.message)};
  if (cuts_.contains({flight.from, flight.to}) || (lose && lose(flight))) return;
  flights_.push_back(std::move(flight));
}

void TestNetwork::perform(TestNode& node, AppendToLog& effect) {
  if (effect.truncate_from && effect.truncate_from->value <= committed_.size()) {
    const std::size_t at = effect.truncate_from->value - 1;
    if (node.before.commit >= *effect.truncate_from) fail(node, "cuts entries that it knew to be committed");
    if (node.bodies.at(at).identity == committed_[at]) fail(node, "cuts a committed entry");
  }
  if (effect.truncate_from) ++cuts_of_logs;
  write(node.bodies, effect);
  for (const Entry& entry : effect.entries)
    judge_created(node, entry.identity, node.core->role() == Role::leader);
  node.disk.appends.push_back(std::move(effect));
}

// Log Matching: a term and an index name one entry with one predecessor, and its term's leader made it.
void TestNetwork::judge_created(TestNode& node, const EntryIdentity& identity, bool may_create) {
  const std::size_t at = identity.index.value - 1;
  const EntryId previous = at == 0 ? EntryId{} : node.bodies.at(at - 1).identity.id();
  const auto [known, fresh] = created_.try_emplace(identity.id(), Created{identity, previous});
  if (known->second.identity != identity || known->second.previous != previous) {
    fail(node, "log matching: one term and index, two entries or two predecessors");
  }
  if (fresh && !may_create) fail(node, "an entry that no leader created");
}

void TestNetwork::perform(TestNode& node, SaveHardState& effect) { node.disk.saves.push_back(effect); }

void TestNetwork::perform(TestNode& node, Committed& effect) {
  if (node.core->role() == Role::leader) judge_commit_quorum(node, effect.index);
  for (Index index = node.before.commit + 1; index <= effect.index; ++index) {
    const EntryIdentity mine = node.bodies.at(index.value - 1).identity;
    if (index.value <= committed_.size()) {
      if (committed_[index.value - 1] != mine)
        fail(node, "state machine safety: another entry was committed here");
    } else {
      committed_.push_back(mine);
      committed_in_.push_back(node.core->term());
    }
  }
  // Whoever leads a later term must hold it already (Leader Completeness, from the other side).
  for (const TestNode& other : nodes_) {
    if (!other.core || other.core->role() != Role::leader || other.core->term() <= node.core->term())
      continue;
    const auto entry = other.core->at(effect.index);
    if (!entry || *entry != committed_[effect.index.value - 1])
      fail(other, "leads without a committed entry");
  }
  node.before.commit = effect.index;
  node.before.committed = node.bodies.at(effect.index.value - 1).identity.id();
}

void TestNetwork::judge_commit_quorum(const TestNode& leader, Index to) {
  const EntryId id = leader.bodies.at(to.value - 1).identity.id();
  const Index held = quorum_index(leader.core->configuration(), [&](NodeId voter) {
    const std::vector<Entry>& log = nodes_.at(voter.value - 1).disk.log;
    return to.value <= log.size() && log[to.value - 1].identity.id() == id ? to : Index();
  });
  // A voter may have lost it again only by following a later leader, which then holds it.
  if (held != to && leaders_.rbegin()->first <= leader.core->term()) {
    fail(leader, "committed what no quorum holds on disk");
  }
  if (leader.bodies.at(to.value - 1).identity.term != leader.core->term()) {
    fail(leader, "committed an entry of an earlier term by counting");
  }
}

void TestNetwork::perform(TestNode& node, RoleChanged& effect) {
  if (effect.role != Role::leader) return;
  const auto [known, fresh] = leaders_.try_emplace(effect.term, effect.leader);
  if (!fresh) {
    return fail(node, known->second == effect.leader ? "leads a term twice"
                                                     : "election safety: two leaders in a term");
  }
  for (std::size_t i = 0; i < committed_.size(); ++i) {
    if (committed_in_[i] >= effect.term) continue;
    if (i >= node.bodies.size() || node.bodies[i].identity != committed_[i]) {
      return fail(node, "leader completeness: elected without committed entry " + std::to_string(i + 1));
    }
  }
}

void TestNetwork::perform(TestNode& node, ReadReady& effect) {
  const auto asked = node.reads.find(effect.context);
  if (asked == node.reads.end()) return fail(node, "answers a read twice or unasked");
  if (effect.index.value < asked->second) fail(node, "a read misses what was committed before it was asked");
  if (effect.index > node.core->commit()) fail(node, "a read waits for what is not committed");
  node.reads.erase(asked);
  node.ready.push_back(effect);
}

void TestNetwork::perform(TestNode& node, ReadRefused& effect) {
  if (node.reads.erase(effect.context) == 0) fail(node, "refuses a read twice or unasked");
  node.refused.push_back(effect);
}

void TestNetwork::perform(TestNode& node, Proposed& effect) { node.proposed = effect.id; }

// ---- judgement

void TestNetwork::judge(TestNode& node) {
  const Core& core = *node.core;
  if (auto wrong = check(core)) fail(node, *wrong);
  if (auto wrong = check_since(node.before, core)) fail(node, *wrong);
  const bool leads = core.role() == Role::leader;
  const auto armed = [&](Timer timer) { return node.armed[static_cast<std::size_t>(timer)]; };
  if (armed(Timer::election) == leads) fail(node, "the election timer does not fit the role");
  if (armed(Timer::heartbeat) != leads || armed(Timer::quorum) != leads)
    fail(node, "a leader's timers do not fit");
  if (!leads && armed(Timer::contact) != core.in_contact()) fail(node, "the contact timer does not fit");
  if (!leads && armed(Timer::notice)) fail(node, "a follower keeps a leader's timer");
  if (leads && armed(Timer::contact)) fail(node, "a leader keeps a contact timer");
  judge_disk(node);
  node.before = remember(core);
}

void TestNetwork::judge_disk(TestNode& node) {
  const Core& core = *node.core;
  if (node.bodies.size() != core.log().size())
    return fail(node, "the log told to the host is another length");
  const std::size_t durable = core.durable_index().value;
  if (node.disk.log.size() < durable) return fail(node, "calls durable what the disk does not hold");
  // What is on the disk must be what the core says, and stay so whatever prefix of the pending writes
  // survives.
  std::size_t least = node.disk.log.size();
  for (const AppendToLog& pending : node.disk.appends) {
    if (pending.truncate_from) least = std::min<std::size_t>(least, pending.truncate_from->value - 1);
  }
  if (durable > least) return fail(node, "calls durable what a pending write will cut");
  if (durable > 0 && node.disk.log[durable - 1].identity != core.log()[durable - 1]) {
    fail(node, "calls durable another entry than the disk holds");
  }
}

// ---- convenience

void TestNetwork::settle(std::size_t limit) {
  for (std::size_t count = 0; count < limit && !failure_;) {
    bool moved = false;
    for (std::size_t i = 1; i <= nodes_.size(); ++i) {
      while (!holding_.contains(NodeId(i)) && (complete_save(NodeId(i)) || complete_append(NodeId(i))))
        moved = true;
    }
    if (!flights_.empty()) {
      deliver(0);
      moved = true;
    }
    ++count;
    if (!moved) return;
  }
}

bool TestNetwork::elect(NodeId id) {
  fire(id, Timer::election);
  settle();
  return alive(id) && core(id).role() == Role::leader;
}

void TestNetwork::heartbeat(NodeId id) {
  fire(id, Timer::heartbeat);
  settle();
}

void TestNetwork::lose_contact() {
  for (std::size_t i = 1; i <= nodes_.size(); ++i) fire(NodeId(i), Timer::contact);
}

}  // namespace reel::raft
