// Scenarios of the core, as transcripts: who times out, what is delivered, held or lost, which disk is slow,
// who crashes. The numbers S… are those of the project's list of bugs that broke other systems.
#include "node/raft/raft.h"

#include <gtest/gtest.h>

#include "io/ports/checksum.h"
#include "node/raft/configuration_codec.h"
#include "node/raft/test_network.h"

namespace reel::raft {
namespace {

constexpr NodeId kA(1);
constexpr NodeId kB(2);
constexpr NodeId kC(3);
constexpr NodeId kD(4);
constexpr NodeId kE(5);

#define EXPECT_SOUND(network) EXPECT_EQ((network).failure().value_or(""), "")

bool is_append(const Flight& flight) { return std::holds_alternative<AppendRequest>(flight.message.body); }
bool is_append_reply(const Flight& flight) {
  return std::holds_alternative<AppendReply>(flight.message.body);
}
bool carries_entries(const Flight& flight) {
  const auto* append = std::get_if<AppendRequest>(&flight.message.body);
  return append != nullptr && !append->entries.empty();
}

PeerMessage message(Term term, PeerBody body, Incarnation incarnation = Incarnation(1)) {
  return {GroupId(1), term, incarnation, std::move(body)};
}

Entry entry(std::uint64_t term, std::uint64_t index, const std::string& content = "x") {
  const Bytes payload = Bytes::copy_of(content);
  return {{Term(term), Index(index), EntryKind::transactions, static_cast<std::uint32_t>(payload.size()),
           io::checksum(payload.span())},
          payload};
}

EntryId id(std::uint64_t term, std::uint64_t index) { return {Term(term), Index(index)}; }

// A core alone, with a log of the given terms, all durable.
Core core_with(std::vector<std::uint64_t> terms, HardState hard_state, std::size_t voters = 3,
               Index commit = {}) {
  Options options;
  options.self = kA;
  options.group = GroupId(1);
  options.incarnation = Incarnation(1);
  Recovered recovered;
  recovered.hard_state = hard_state;
  recovered.commit = commit;
  for (std::size_t i = 1; i <= voters; ++i) recovered.configuration.voters.push_back(NodeId(i));
  for (std::size_t i = 0; i < terms.size(); ++i) recovered.log.push_back(entry(terms[i], i + 1).identity);
  return Core(options, std::move(recovered));
}

Output step(Core& core, const Input& input) {
  Output out;
  core.step(input, out);
  EXPECT_EQ(check(core).value_or(""), "");
  return out;
}

template <class Kind>
std::vector<Kind> only(const Output& out) {
  std::vector<Kind> found;
  for (const Effect& effect : out) {
    if (const auto* one = std::get_if<Kind>(&effect)) found.push_back(*one);
  }
  return found;
}

template <class Body>
std::vector<std::pair<Outgoing, Body>> sent(const Output& out) {
  std::vector<std::pair<Outgoing, Body>> found;
  for (const Outgoing& outgoing : only<Outgoing>(out)) {
    if (const auto* body = std::get_if<Body>(&outgoing.message.body)) found.emplace_back(outgoing, *body);
  }
  return found;
}

std::size_t holders(TestNetwork& network, EntryId wanted) {
  std::size_t count = 0;
  for (std::size_t i = 1; i <= network.size(); ++i) {
    const std::vector<Entry>& log = network.node(NodeId(i)).disk.log;
    if (wanted.index.value <= log.size() && log[wanted.index.value - 1].identity.id() == wanted) ++count;
  }
  return count;
}

// ---- the ordinary course

TEST(Raft, OneNodeAlone) {
  // A single voter could wait for ever for somebody else's vote or acknowledgement.
  TestNetwork network(1);
  EXPECT_TRUE(network.elect(kA));
  const EntryId first = network.propose(kA);
  network.settle();
  EXPECT_EQ(network.core(kA).commit(), first.index);
  network.read(kA, 7);
  ASSERT_EQ(network.node(kA).ready.size(), 1u);
  EXPECT_EQ(network.node(kA).ready[0].index, first.index);
  EXPECT_SOUND(network);
}

TEST(Raft, ElectsReplicatesCommits) {
  // The plain case: one leader, and every entry reaches every log and every commit index.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  EXPECT_EQ(network.core(kA).term(), Term(1));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(network.propose(kA).term, Term(1));
  network.settle();
  network.heartbeat(kA);
  for (const NodeId node : {kA, kB, kC}) {
    EXPECT_EQ(network.core(node).leader(), kA);
    EXPECT_EQ(network.core(node).commit(), Index(11));
    EXPECT_EQ(network.node(node).disk.log.size(), 11u);
  }
  EXPECT_TRUE(network.core(kA).has_committed_in_term());
  EXPECT_SOUND(network);
}

TEST(Raft, OnlyALeaderTakesProposals) {
  // A follower that took a proposal would make an entry that no leader of its term created.
  TestNetwork network(3);
  EXPECT_EQ(network.propose(kB), EntryId{});
  ASSERT_TRUE(network.elect(kA));
  EXPECT_EQ(network.propose(kB), EntryId{});
  EXPECT_SOUND(network);
}

TEST(Raft, IdleFollowersLearnOfCommits) {
  // Followers that hear of a commit only with new entries never apply the last one (S37).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  const EntryId last = network.propose(kA);
  network.settle();
  EXPECT_EQ(network.core(kA).commit(), last.index);
  EXPECT_LT(network.core(kB).commit(), last.index);
  network.heartbeat(kA);
  EXPECT_EQ(network.core(kB).commit(), last.index);
  EXPECT_EQ(network.core(kC).commit(), last.index);
  EXPECT_SOUND(network);
}

TEST(Raft, WhoeverHoldsACommitHearsOfItSoon) {
  // Who reads at a follower would see what is committed one heartbeat late, and who tells followers of everything at once pays
  // a message for each commit.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.fire(kA, Timer::notice);
  network.settle();
  const EntryId first = network.propose(kA);
  network.settle();
  EXPECT_LT(network.core(kB).commit(), first.index);
  network.propose(kA);  // tells it along the way
  network.settle();
  EXPECT_EQ(network.core(kB).commit(), first.index);
  network.hold_disk(kC, true);
  const EntryId last = network.propose(kA);
  network.settle();
  EXPECT_EQ(network.core(kA).commit(), last.index);
  network.fire(kA, Timer::notice);
  network.settle();
  EXPECT_EQ(network.core(kB).commit(), last.index);
  EXPECT_LT(network.core(kC).commit(), last.index);  // it does not hold it, so there is nothing to tell
  EXPECT_EQ(network.fire(kA, Timer::notice), false);
  network.hold_disk(kC, false);
  network.settle();
  network.fire(kA, Timer::notice);
  network.settle();
  EXPECT_EQ(network.core(kC).commit(), last.index);
  EXPECT_SOUND(network);
}

TEST(Raft, WholeClusterPowerLoss) {
  // What was acknowledged must survive the loss of every memory at once.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  EntryId last;
  for (int i = 0; i < 20; ++i) last = network.propose(kA);
  network.settle();
  for (const NodeId node : {kA, kB, kC}) network.crash(node);
  for (const NodeId node : {kA, kB, kC}) network.restart(node);
  ASSERT_TRUE(network.elect(kC));
  EXPECT_GT(network.core(kC).term(), Term(1));
  network.heartbeat(kC);
  EXPECT_GE(network.core(kA).commit(), last.index);
  EXPECT_EQ(network.core(kA).at(last.index)->id(), last);
  EXPECT_SOUND(network);
}

// ---- elections

TEST(Raft, IsolatedNodeKeepsItsTerm) {
  // Without PreVote a node that was cut off comes back with a high term and deposes a healthy leader.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.isolate(kC);
  for (int i = 0; i < 10; ++i) {
    network.fire(kC, Timer::election);
    network.settle();
  }
  EXPECT_EQ(network.core(kC).term(), Term(1));
  EXPECT_EQ(network.core(kC).role(), Role::pre_candidate);
  network.heal();
  network.fire(kC, Timer::election);
  network.settle();
  EXPECT_EQ(network.core(kA).role(), Role::leader);
  network.heartbeat(kA);
  EXPECT_EQ(network.core(kC).leader(), kA);
  EXPECT_EQ(network.core(kA).term(), Term(1));
  EXPECT_SOUND(network);
}

TEST(Raft, NoPreVoteNearALeaderNorForAnOldLog) {
  // A pre-vote for somebody who could not win, or who need not, starts elections that disturb.
  Core core = core_with({1, 2}, {Term(2), NodeId()});
  const auto asks = [&](Term term, EntryId last) {
    const Output out = step(core, Received{kB, message(term, VoteRequest{true, false, last})});
    const auto replies = sent<VoteReply>(out);
    EXPECT_EQ(replies.size(), 1u);
    EXPECT_EQ(core.term(), Term(2));
    EXPECT_EQ(replies.at(0).second.asked, term);
    return replies.at(0).second.granted;
  };
  EXPECT_TRUE(asks(Term(3), id(2, 2)));
  EXPECT_TRUE(asks(Term(3), id(2, 9)));
  EXPECT_FALSE(asks(Term(3), id(2, 1)));
  EXPECT_FALSE(asks(Term(3), id(1, 9)));
  EXPECT_FALSE(asks(Term(2), id(1, 1)));
  step(core, Received{kC, message(Term(2), AppendRequest{id(2, 2), Index(), 1, {}})});
  EXPECT_FALSE(asks(Term(3), id(2, 9)));
  step(core, TimedOut{Timer::contact});
  EXPECT_TRUE(asks(Term(3), id(2, 9)));
}

TEST(Raft, NoVoteForAnOldLog) {
  // A vote that ignores the log lets a node lead that lacks committed entries (Raft §5.4.1).
  for (const auto& [last, granted] : std::vector<std::pair<EntryId, bool>>{
           {id(1, 9), false}, {id(2, 2), false}, {id(2, 3), true}, {id(2, 4), true}, {id(3, 1), true}}) {
    Core core = core_with({1, 2, 2}, {Term(3), NodeId()});
    const Output out = step(core, Received{kB, message(Term(4), VoteRequest{false, false, last})});
    ASSERT_EQ(sent<VoteReply>(out).size(), 1u);
    EXPECT_EQ(sent<VoteReply>(out)[0].second.granted, granted);
    EXPECT_EQ(core.term(), Term(4));
  }
}

TEST(Raft, OneVoteInATerm) {
  // Two votes of one node in one term make two leaders; a repeated request must get the same answer.
  Core core = core_with({}, {});
  const auto granted = [&](NodeId from) {
    const Output out = step(core, Received{from, message(Term(1), VoteRequest{false, false, {}})});
    return sent<VoteReply>(out).at(0).second.granted;
  };
  EXPECT_TRUE(granted(kB));
  EXPECT_FALSE(granted(kC));
  EXPECT_TRUE(granted(kB));
}

TEST(Raft, StickinessIgnoresLaterTerms) {
  // A removed or confused node must not depose a leader that the others hear (thesis §4.2.3).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  for (const NodeId node : {kA, kB}) {
    network.input(node, Received{kC, message(Term(9), VoteRequest{false, false, id(8, 100)})});
    EXPECT_EQ(network.core(node).term(), Term(1));
  }
  ASSERT_EQ(network.flights().size(), 2u);
  for (const Flight& flight : network.flights())
    EXPECT_FALSE(std::get<VoteReply>(flight.message.body).granted);
  network.fire(kB, Timer::contact);
  network.input(kB, Received{kC, message(Term(9), VoteRequest{false, false, id(8, 100)})});
  EXPECT_EQ(network.core(kB).term(), Term(9));
}

TEST(Raft, HigherTermNodeIsNotStuck) {
  // A node with a larger term ignores the leader, and stickiness ignores the node: without an answer both
  // stay (S14).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.isolate(kC);
  network.fire(kC, Timer::contact);
  network.input(kC, Received{kB, message(Term(5), VoteRequest{false, false, id(4, 9)})});
  EXPECT_EQ(network.core(kC).term(), Term(5));
  network.heal();
  network.flights().clear();
  network.heartbeat(kA);
  EXPECT_EQ(network.core(kA).role(), Role::follower);
  EXPECT_EQ(network.core(kA).term(), Term(5));
  network.lose_contact();
  ASSERT_TRUE(network.elect(kA));
  EXPECT_EQ(network.core(kC).leader(), kA);
  EXPECT_SOUND(network);
}

TEST(Raft, LowerTermPreVoteIsAnswered) {
  // A candidate of the past must learn the present term, or it asks in vain for ever (S15).
  Core core = core_with({1, 5}, {Term(5), NodeId()});
  const Output out = step(core, Received{kB, message(Term(2), VoteRequest{true, false, id(1, 1)})});
  ASSERT_EQ(sent<VoteReply>(out).size(), 1u);
  EXPECT_EQ(sent<VoteReply>(out)[0].first.message.term, Term(5));
  Core behind = core_with({1}, {Term(1), NodeId()});
  step(behind, TimedOut{Timer::election});
  step(behind, Received{kB, message(Term(5), VoteReply{true, false, Term(2)})});
  EXPECT_EQ(behind.term(), Term(5));
}

TEST(Raft, VoteWaitsForTheDisk) {
  // A vote that is heard before it is durable can be given again after a crash (S18).
  TestNetwork network(3);
  network.hold_disk(kB, true);
  network.isolate(kC);
  network.fire(kA, Timer::election);
  network.settle();
  EXPECT_EQ(network.core(kB).vote(), kA);
  EXPECT_EQ(network.core(kA).role(), Role::candidate);
  network.crash(kB);
  network.restart(kB);
  EXPECT_EQ(network.core(kB).vote(), NodeId());
  network.hold_disk(kB, false);
  network.heal();
  network.isolate(kA);
  EXPECT_TRUE(network.elect(kC));  // in the same term, with B's vote: legal only because A never got it
  network.heal();
  network.settle();
  EXPECT_SOUND(network);
}

TEST(Raft, CandidateAsksOnlyOnceItsOwnVoteIsDurable) {
  // Otherwise it can win, crash, forget, and win the same term again with another log.
  TestNetwork network(3);
  network.hold_disk(kA, true);
  network.fire(kA, Timer::election);
  network.deliver_all();
  EXPECT_EQ(network.core(kA).role(), Role::candidate);
  EXPECT_EQ(network.core(kB).term(), Term());
  network.hold_disk(kA, false);
  network.settle();
  EXPECT_EQ(network.core(kA).role(), Role::leader);
  EXPECT_SOUND(network);
}

TEST(Raft, AnswersOfAnotherCampaignDoNotCount) {
  // Late votes or pre-votes of an earlier term could be added to those of a later one (S19).
  Core core = core_with({}, {}, 5);
  step(core, TimedOut{Timer::election});
  step(core, Received{kB, message(Term(0), VoteReply{true, true, Term(1)})});
  EXPECT_EQ(core.role(), Role::pre_candidate);
  step(core, Received{kB, message(Term(0), VoteReply{true, true, Term(1)})});  // the same again
  step(core, Received{kC, message(Term(0), VoteReply{true, true, Term(9)})});
  EXPECT_EQ(core.role(), Role::pre_candidate);
  Output out = step(core, Received{kC, message(Term(0), VoteReply{true, true, Term(1)})});
  EXPECT_EQ(core.role(), Role::candidate);
  step(core, HardStateDurable{only<SaveHardState>(out).at(0).ticket});
  step(core, Received{kD, message(Term(1), VoteReply{true, true, Term(1)})});  // a pre-vote is no vote
  step(core, Received{kE, message(Term(1), VoteReply{true, true, Term(1)})});
  step(core, Received{kB, message(Term(1), VoteReply{false, true, Term(1)})});
  EXPECT_EQ(core.role(), Role::candidate);
  step(core, Received{kC, message(Term(1), VoteReply{false, true, Term(1)})});
  EXPECT_EQ(core.role(), Role::leader);
  EXPECT_GT(core.counters().stale, 0u);
}

TEST(Raft, AVoteOfAnEarlierTermDoesNotCount) {
  // B voted in term 1, the answer is late, and the candidate is in term 2 by now (S19).
  Core core = core_with({}, {});
  for (const std::uint64_t term : {1u, 2u}) {
    step(core, TimedOut{Timer::election});
    const Output out = step(core, Received{kB, message(Term(term - 1), VoteReply{true, true, Term(term)})});
    step(core, HardStateDurable{only<SaveHardState>(out).at(0).ticket});
  }
  ASSERT_EQ(core.role(), Role::candidate);
  ASSERT_EQ(core.term(), Term(2));
  step(core, Received{kB, message(Term(1), VoteReply{false, true, Term(1)})});
  EXPECT_EQ(core.role(), Role::candidate);
  step(core, Received{kB, message(Term(2), VoteReply{false, true, Term(2)})});
  EXPECT_EQ(core.role(), Role::leader);
}

TEST(Raft, LostElectionEndsTheCampaign) {
  // A candidate that a majority refused waits for its timer instead of counting on.
  Core core = core_with({}, {});
  step(core, TimedOut{Timer::election});
  step(core, Received{kB, message(Term(1), VoteReply{true, false, Term(1)})});
  EXPECT_EQ(core.role(), Role::follower);
  EXPECT_EQ(core.term(), Term(1));
}

TEST(Raft, CheckQuorum) {
  // A leader that hears nobody must not go on believing that it leads (S16).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.fire(kA, Timer::quorum);
  EXPECT_EQ(network.core(kA).role(), Role::leader);
  for (const NodeId other : {kB, kC}) network.cut(other, kA);  // it can send, not hear
  network.heartbeat(kA);
  network.fire(kA, Timer::quorum);
  EXPECT_EQ(network.core(kA).role(), Role::follower);
  network.lose_contact();
  EXPECT_TRUE(network.elect(kB));
  EXPECT_SOUND(network);
}

// ---- commit

TEST(Raft, Figure8) {
  // Counting copies of an earlier term's entry commits what a later leader may still overwrite (Raft figure
  // 8, S26).
  TestNetwork network(5);
  ASSERT_TRUE(network.elect(kA));  // term 1
  network.lose = carries_entries;
  const EntryId two = network.propose(kA);
  // (a) term 1's second entry reaches B only.
  network.lose = [](const Flight& flight) { return carries_entries(flight) && flight.to != kB; };
  network.input(kA, PeerReset{kB});
  network.settle();
  EXPECT_EQ(holders(network, two), 2u);
  EXPECT_LT(network.core(kA).commit(), two.index);
  // (b) A crashes; E leads with the votes of C and D and writes an entry of its own that goes nowhere.
  network.crash(kA);
  network.lose_contact();
  network.lose = carries_entries;
  ASSERT_TRUE(network.elect(kE));
  EXPECT_EQ(network.core(kE).last_id(), (EntryId{Term(2), two.index}));
  network.crash(kE);
  // (c) A is back, leads again, and replicates the old entry to C: a majority holds it.
  network.restart(kA);
  network.lose_contact();
  network.lose = [](const Flight& flight) {
    const auto* append = std::get_if<AppendRequest>(&flight.message.body);
    if (append == nullptr || append->entries.empty()) return false;
    return flight.to == kD || append->entries.back().identity.term == flight.message.term;
  };
  EXPECT_FALSE(network.elect(kA));  // hears of E's term
  ASSERT_TRUE(network.elect(kA));
  // Only the old entry travels: as a message of one entry to C.
  network.input(kC, Received{kA, message(network.core(kA).term(),
                                         AppendRequest{id(1, 1), Index(1), 1, {network.node(kA).bodies[1]}},
                                         Incarnation(2))});
  network.heartbeat(kA);
  EXPECT_EQ(holders(network, two), 3u);
  EXPECT_EQ(network.core(kA).progress()[0].second.match, two.index);
  EXPECT_EQ(network.core(kA).progress()[1].second.match, two.index);
  EXPECT_EQ(network.core(kA).commit(), Index(1));
  // (d) A crashes; E leads and overwrites it everywhere. Nothing committed was lost.
  network.crash(kA);
  network.restart(kE);
  network.lose = nullptr;
  network.lose_contact();
  network.fire(kE, Timer::election);
  network.settle();
  if (network.core(kE).role() != Role::leader) {
    network.lose_contact();
    ASSERT_TRUE(network.elect(kE));
  }
  network.heartbeat(kE);
  EXPECT_EQ(holders(network, two), 1u);  // the crashed A
  EXPECT_SOUND(network);
}

TEST(Raft, CommitNoMoreThanThisMessageChecked) {
  // A heartbeat's commit index could cover a tail of ours that the leader does not have (S27, S28).
  Core core = core_with({1, 1, 2, 2, 2}, {Term(3), NodeId()});
  step(core, Received{kB, message(Term(3), AppendRequest{id(1, 1), Index(5), 1, {}})});
  EXPECT_EQ(core.commit(), Index(1));
  step(core, Received{kB, message(Term(3), AppendRequest{id(1, 1), Index(5), 1, {entry(1, 2)}})});
  EXPECT_EQ(core.commit(), Index(2));
  step(core, Received{kB, message(Term(3), AppendRequest{id(3, 5), Index(5), 1, {}})});
  EXPECT_EQ(core.commit(), Index(2));
  step(core, Received{kB, message(Term(3), AppendRequest{id(1, 2), Index(3), 1, {entry(3, 3)}})});
  EXPECT_EQ(core.commit(), Index(3));
  EXPECT_EQ(core.last_index(), Index(3));
}

TEST(Raft, CommitIndexNeverFalls) {
  // A late message carries an older commit index.
  Core core = core_with({1, 1}, {Term(1), NodeId()});
  step(core, Received{kB, message(Term(1), AppendRequest{id(1, 2), Index(2), 1, {}})});
  step(core, Received{kB, message(Term(1), AppendRequest{id(1, 2), Index(1), 1, {}})});
  EXPECT_EQ(core.commit(), Index(2));
}

TEST(Raft, LeaderCommitsBeforeItsOwnDisk) {
  // The leader's disk is one of three: a slow one must not hold the others up, and a crash must not lose the
  // entry.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.hold_disk(kA, true);
  const EntryId last = network.propose(kA);
  network.settle();
  EXPECT_EQ(network.core(kA).commit(), last.index);
  EXPECT_LT(network.core(kA).durable_index(), last.index);
  network.crash(kA);
  network.hold_disk(kA, false);
  network.restart(kA);
  EXPECT_LT(network.core(kA).last_index(), last.index);
  network.lose_contact();
  EXPECT_FALSE(network.elect(kA));
  network.lose_contact();
  ASSERT_TRUE(network.elect(kB));
  network.heartbeat(kB);
  EXPECT_EQ(network.core(kA).at(last.index)->id(), last);
  EXPECT_SOUND(network);
}

TEST(Raft, OwnLogCountsOnlyWhenDurable) {
  // A leader that counts its memory commits with one disk too few (S54).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.hold_disk(kA, true);
  network.cut_both(kA, kC);
  const EntryId last = network.propose(kA);
  network.settle();
  EXPECT_EQ(holders(network, last), 1u);
  EXPECT_LT(network.core(kA).commit(), last.index);
  network.complete_all(kA);
  EXPECT_EQ(network.core(kA).commit(), last.index);
  EXPECT_SOUND(network);
}

TEST(Raft, AcknowledgementWaitsForTheDisk) {
  // An append that is acknowledged from memory is lost by a power cut (S53); a heartbeat must not wait for a
  // slow disk.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.isolate(kC);
  network.hold_disk(kB, true);
  const EntryId last = network.propose(kA);
  network.settle();
  EXPECT_EQ(network.core(kB).last_id(), last);
  EXPECT_LT(network.core(kA).commit(), last.index);
  network.heartbeat(kA);
  network.heartbeat(kA);
  EXPECT_LT(network.core(kA).commit(), last.index);
  network.fire(kA, Timer::quorum);
  EXPECT_EQ(network.core(kA).role(), Role::leader);
  network.complete_all(kB);
  network.settle();
  EXPECT_EQ(network.core(kA).commit(), last.index);
  EXPECT_SOUND(network);
}

TEST(Raft, AcknowledgementWaitsForTheTerm) {
  // An acknowledgement in a term that a crash forgets lets the node vote in that term again.
  Core core = core_with({}, {});
  const Output out = step(core, Received{kB, message(Term(4), AppendRequest{{}, Index(), 1, {entry(4, 1)}})});
  const auto replies = sent<AppendReply>(out);
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_TRUE(replies[0].second.accepted);
  EXPECT_EQ(replies[0].first.after_hard_state, only<SaveHardState>(out).at(0).ticket);
  EXPECT_EQ(replies[0].first.after_append, only<AppendToLog>(out).at(0).ticket);
}

// ---- the follower's log

TEST(Raft, LateAppendsCutNothing) {
  // An old append that arrives after a newer one must not take the newer one's entries away (S29).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.settle();
  network.propose(kA);
  network.propose(kA);
  network.propose(kA);
  std::vector<Flight> to_b;
  for (const Flight& flight : network.flights()) {
    if (flight.to == kB && carries_entries(flight)) to_b.push_back(flight);
  }
  ASSERT_EQ(to_b.size(), 3u);
  network.settle();
  const Core before = network.core(kB);
  for (const std::size_t late : {0u, 2u, 1u, 0u}) network.input(kB, Received{kA, to_b[late].message});
  EXPECT_EQ(network.core(kB).log(), before.log());
  EXPECT_EQ(network.core(kB).durable_index(), before.durable_index());
  network.settle();
  EXPECT_SOUND(network);
}

TEST(Raft, ReorderedPipelineCatchesUp) {
  // Appends that overtake each other are rejected; the leader must come back to them by itself.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  EntryId last;
  for (int i = 0; i < 8; ++i) last = network.propose(kA);
  std::reverse(network.flights().begin(), network.flights().end());
  network.settle();
  network.heartbeat(kA);
  network.heartbeat(kA);
  EXPECT_EQ(network.core(kB).last_id(), last);
  EXPECT_EQ(network.core(kA).commit(), last.index);
  EXPECT_SOUND(network);
}

TEST(Raft, CommittedEntriesStay) {
  // Whoever asks to overwrite a committed entry is wrong; obeying loses data, aborting lets a peer kill us
  // (S29, S33).
  Core core = core_with({1, 1, 1}, {Term(1), NodeId()}, 3, Index(2));
  const Output out =
      step(core, Received{kB, message(Term(2), AppendRequest{id(1, 1), Index(), 1, {entry(2, 2)}})});
  EXPECT_TRUE(sent<AppendReply>(out).empty());
  EXPECT_TRUE(only<AppendToLog>(out).empty());
  EXPECT_EQ(core.last_index(), Index(3));
  EXPECT_EQ(core.counters().impossible, 1u);
  step(core, Received{kB, message(Term(2), AppendRequest{id(1, 2), Index(), 1, {entry(2, 3)}})});
  EXPECT_EQ(core.last_id(), id(2, 3));
}

TEST(Raft, AnotherEntryWithTheSameIdIsRefused) {
  // Log Matching is broken by somebody: neither side may silently win.
  Core core = core_with({1, 1}, {Term(1), NodeId()});
  step(core, Received{kB, message(Term(1), AppendRequest{id(1, 1), Index(2), 1, {entry(1, 2, "other")}})});
  EXPECT_EQ(core.counters().impossible, 1u);
  EXPECT_EQ(core.commit(), Index(0));
}

TEST(Raft, CompletionOfAnOverwrittenEntryProvesNothing) {
  // A, B and C in turn write index 1 of our log; the first write's completion must not be taken for the
  // third's, though both have the same term and index (ABA, S30).
  Core core = core_with({}, {}, 5);
  const auto ticket = [](const Output& out) { return only<AppendToLog>(out).at(0).ticket; };
  Output out =
      step(core, Received{kB, message(Term(1), AppendRequest{{}, Index(), 1, {entry(1, 1), entry(1, 2)}})});
  const Ticket first = ticket(out);
  out = step(core, Received{kC, message(Term(2), AppendRequest{{}, Index(), 1, {entry(2, 1)}})});
  const Ticket second = ticket(out);
  EXPECT_EQ(only<AppendToLog>(out)[0].truncate_from, Index(1));
  out = step(core, Received{kD, message(Term(3), AppendRequest{{}, Index(), 1, {entry(1, 1), entry(1, 2)}})});
  const Ticket third = ticket(out);
  EXPECT_EQ(sent<AppendReply>(out).at(0).first.after_append, third);
  step(core, AppendDurable{first});
  EXPECT_EQ(core.durable_index(), Index(0));
  // Asked again meanwhile, the answer still waits for the third write.
  out = step(core, Received{kD, message(Term(3), AppendRequest{{}, Index(), 1, {entry(1, 1)}})});
  EXPECT_EQ(sent<AppendReply>(out).at(0).first.after_append, third);
  step(core, AppendDurable{second});
  EXPECT_EQ(core.durable_index(), Index(0));
  step(core, AppendDurable{third});
  EXPECT_EQ(core.durable_index(), Index(2));
}

TEST(Raft, OwnCompletionAfterLosingAndRegainingTheLead) {
  // The completion of a write from an earlier leadership must not count for what stands at that index now
  // (S31).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.hold_disk(kA, true);
  network.isolate(kA);
  for (int i = 0; i < 3; ++i) network.propose(kA);
  network.fire(kA, Timer::quorum);
  network.fire(kA, Timer::quorum);
  EXPECT_EQ(network.core(kA).role(), Role::follower);
  network.lose_contact();
  ASSERT_TRUE(network.elect(kB));
  network.propose(kB);
  network.settle();
  network.heal();
  network.heartbeat(kB);  // A hears of the new term
  ASSERT_TRUE(network.complete_save(kA));
  network.settle();
  EXPECT_EQ(network.core(kA).last_id(), network.core(kB).last_id());
  const Index durable = network.core(kA).durable_index();
  network.complete_append(kA);
  EXPECT_EQ(network.core(kA).durable_index(), durable);
  network.complete_all(kA);
  EXPECT_EQ(network.core(kA).durable_index(), network.core(kA).last_index());
  EXPECT_SOUND(network);
}

// ---- replication

TEST(Raft, DivergenceOverManyTermsMeetsQuickly) {
  // Two logs that differ in many terms could take a round trip per entry to meet (S35).
  constexpr std::uint64_t kTerms = 12;
  constexpr std::uint64_t kEach = 50;
  std::vector<std::uint64_t> odd;
  std::vector<std::uint64_t> even;
  odd.reserve(kTerms * kEach);
  even.reserve(kTerms * kEach);
  for (std::uint64_t term = 1; term <= kTerms; ++term) {
    for (std::uint64_t i = 0; i < kEach; ++i) {
      odd.push_back(term % 2 == 1 ? term : term - (term > 1 ? 1 : 0));
      even.push_back(term % 2 == 0 ? term : (term > 1 ? term - 1 : 1));
    }
  }
  TestNetwork network(3);
  for (const NodeId node : {kA, kB, kC}) network.crash(node);
  const auto load = [&](NodeId node, const std::vector<std::uint64_t>& terms) {
    std::vector<Entry> log;
    for (std::size_t i = 0; i < terms.size(); ++i) log.push_back(entry(terms[i], i + 1));
    network.preload(node, {Term(kTerms + 1), NodeId()}, std::move(log));
  };
  load(kA, even);
  load(kC, even);
  load(kB, odd);
  for (const NodeId node : {kA, kB, kC}) network.restart(node);
  network.cut_both(kA, kB);
  ASSERT_TRUE(network.elect(kA));
  network.heal();
  network.sent = 0;
  std::size_t rejections = 0;
  network.lose = [&](const Flight& flight) {
    const auto* reply = std::get_if<AppendReply>(&flight.message.body);
    if (reply != nullptr && !reply->accepted) ++rejections;
    return false;
  };
  network.heartbeat(kA);
  EXPECT_EQ(network.core(kB).last_id(), network.core(kA).last_id());
  EXPECT_GT(rejections, 1u);
  EXPECT_LE(rejections, kTerms + 1);
  EXPECT_SOUND(network);
}

TEST(Raft, WindowIsBounded) {
  // A leader that pipelines without bound drowns a slow follower and its own memory.
  Options options;
  options.inflight_messages_max = 4;
  options.append_entries_max = 2;
  TestNetwork network(3, {}, options);
  ASSERT_TRUE(network.elect(kA));
  network.isolate(kC);
  network.settle();
  EntryId last;
  for (int i = 0; i < 50; ++i) last = network.propose(kA);
  EXPECT_EQ(std::count_if(network.flights().begin(), network.flights().end(), carries_entries), 4);
  network.settle();
  EXPECT_EQ(network.core(kB).last_id(), last);
  EXPECT_SOUND(network);
}

TEST(Raft, WindowIsBoundedInBytes) {
  // A few large entries weigh as much as many small ones.
  Options options;
  options.inflight_bytes_max = 60;
  options.append_bytes_max = 40;
  TestNetwork network(2, {}, options);
  ASSERT_TRUE(network.elect(kA));
  for (int i = 0; i < 50; ++i) network.propose(kA);  // some 14 bytes each
  std::size_t bytes = 0;
  for (const Flight& flight : network.flights()) {
    std::size_t one = 0;
    for (const Entry& sent_entry : std::get<AppendRequest>(flight.message.body).entries)
      one += sent_entry.payload.size();
    EXPECT_LE(one, 40u);
    bytes += one;
  }
  EXPECT_GT(bytes, 20u);
  EXPECT_LE(bytes, 100u);
  network.settle();
  EXPECT_EQ(network.core(kB).last_index(), Index(51));
  EXPECT_SOUND(network);
}

TEST(Raft, LostWindowIsSentAgain) {
  // The window is full, all of it was lost, and nobody will ever acknowledge it (S36).
  Options options;
  options.inflight_messages_max = 4;
  TestNetwork network(3, {}, options);
  ASSERT_TRUE(network.elect(kA));
  network.settle();
  network.lose = carries_entries;
  EntryId last;
  for (int i = 0; i < 10; ++i) last = network.propose(kA);
  network.settle();
  network.lose = nullptr;
  network.heartbeat(kA);  // notices that nothing comes
  network.heartbeat(kA);  // asks
  EXPECT_EQ(network.core(kB).last_id(), last);
  EXPECT_EQ(network.core(kA).commit(), last.index);
  EXPECT_SOUND(network);
}

TEST(Raft, LostProbeIsSentAgain) {
  // In probe one message is out; if it is lost, only the heartbeat can free the peer.
  TestNetwork network(3);
  network.lose = carries_entries;
  network.fire(kA, Timer::election);
  network.settle();
  ASSERT_EQ(network.core(kA).role(), Role::leader);
  network.lose = nullptr;
  network.heartbeat(kA);
  EXPECT_EQ(network.core(kB).last_id(), network.core(kA).last_id());
  EXPECT_EQ(network.core(kA).commit(), Index(1));
  EXPECT_SOUND(network);
}

TEST(Raft, LostAcknowledgementsAreRepeated) {
  // Everything arrived and was written, and every acknowledgement was lost.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.lose = is_append_reply;
  const EntryId last = network.propose(kA);
  network.settle();
  EXPECT_LT(network.core(kA).commit(), last.index);
  network.lose = nullptr;
  network.heartbeat(kA);
  network.heartbeat(kA);
  EXPECT_EQ(network.core(kA).commit(), last.index);
  EXPECT_SOUND(network);
}

TEST(Raft, NewLeadershipKnowsNothing) {
  // Match values of a former leadership speak of entries that others have cut meanwhile (S32).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.cut_both(kA, kC);
  network.cut_both(kB, kC);
  for (int i = 0; i < 5; ++i) network.propose(kA);
  network.settle();
  EXPECT_EQ(network.core(kA).progress()[0].second.match, Index(6));
  network.lose_contact();
  network.input(kA, DiskFailed{});
  EXPECT_TRUE(network.core(kA).progress().empty());
  network.propose(kA);
  network.heartbeat(kB);
  network.hold_disk(kA, false);
  network.input(kA, HardStateDurable{});
  network.lose = is_append;
  ASSERT_TRUE(network.elect(kA));
  for (const auto& [node, peer] : network.core(kA).progress()) EXPECT_EQ(peer.match, Index(0));
  EXPECT_SOUND(network);
}

TEST(Raft, AFormerLifesAcknowledgementIsVoid) {
  // A node that came back with less than it acknowledged must get it again, and counts only for what it says
  // now.
  Core core = core_with({1}, {Term(1), NodeId()});
  Output out = step(core, TimedOut{Timer::election});
  out = step(core, Received{kB, message(Term(1), VoteReply{true, true, Term(2)})});
  step(core, HardStateDurable{only<SaveHardState>(out).at(0).ticket});
  step(core, Received{kB, message(Term(2), VoteReply{false, true, Term(2)})});
  ASSERT_EQ(core.role(), Role::leader);
  const auto answer = [&](std::uint64_t incarnation, AppendReply reply) {
    return step(core, Received{kC, message(Term(2), reply, Incarnation(incarnation))});
  };
  answer(4, {true, Index(2), {}, {}, 0});
  const auto match = [&] { return core.progress().at(1).second.match; };
  EXPECT_EQ(match(), Index(2));
  // Life 5 holds nothing: it is sent everything.
  out = answer(5, {false, {}, {}, Index(2), 0});
  EXPECT_EQ(match(), Index(0));
  ASSERT_EQ(sent<AppendRequest>(out).size(), 1u);
  EXPECT_EQ(sent<AppendRequest>(out)[0].second.previous, EntryId{});
  answer(4, {true, Index(2), {}, {}, 0});  // late, from the former life
  EXPECT_EQ(match(), Index(0));
  answer(5, {true, Index(1), {}, {}, 0});
  EXPECT_EQ(match(), Index(1));
}

TEST(Raft, AWipedFollowerIsRefilled) {
  // The whole way: a follower crashes with its last writes lost, and gets them again in the same leadership.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  for (int i = 0; i < 5; ++i) network.propose(kA);
  network.settle();
  network.hold_disk(kB, true);
  const EntryId last = network.propose(kA);
  network.settle();
  network.crash(kB);
  network.hold_disk(kB, false);
  network.restart(kB);
  EXPECT_LT(network.core(kB).last_index(), last.index);
  for (int i = 0; i < 3; ++i) network.heartbeat(kA);
  EXPECT_EQ(network.core(kB).last_id(), last);
  EXPECT_SOUND(network);
}

// ---- reads

TEST(Raft, ReadWaitsForAQuorum) {
  // A leader that was replaced without knowing it would answer with the past.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.isolate(kA);
  network.read(kA, 1);
  network.settle();
  EXPECT_TRUE(network.node(kA).ready.empty());
  network.lose_contact();
  ASSERT_TRUE(network.elect(kB));
  network.propose(kB);
  network.settle();
  network.heal();
  network.heartbeat(kA);
  EXPECT_TRUE(network.node(kA).ready.empty());
  ASSERT_EQ(network.node(kA).refused.size(), 1u);
  EXPECT_EQ(network.node(kA).refused[0].context, 1u);
  EXPECT_SOUND(network);
}

TEST(Raft, FreshLeaderReadsOnlyAfterItsOwnCommit) {
  // A new leader does not know yet how far its predecessor committed (S46).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  const EntryId last = network.propose(kA);
  network.settle();
  EXPECT_LT(network.core(kB).commit(), last.index);
  network.crash(kA);
  network.lose_contact();
  network.lose = carries_entries;
  ASSERT_TRUE(network.elect(kB));
  network.read(kB, 5);
  network.settle();
  EXPECT_TRUE(network.node(kB).ready.empty());
  network.lose = nullptr;
  network.heartbeat(kB);
  network.heartbeat(kB);
  ASSERT_EQ(network.node(kB).ready.size(), 1u);
  EXPECT_GE(network.node(kB).ready[0].index, last.index);
  EXPECT_SOUND(network);
}

TEST(Raft, AnEarlierRoundConfirmsNoLaterRead) {
  // Delayed or repeated answers to an older round say nothing about a read that came after it (S47).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.fire(kA, Timer::heartbeat);
  std::vector<Flight> late;
  while (!network.flights().empty()) {
    if (is_append_reply(network.flights().front())) {
      late.push_back(network.flights().front());
      network.drop(0);
    } else {
      network.deliver(0);
    }
  }
  ASSERT_EQ(late.size(), 2u);
  network.isolate(kA);
  network.read(kA, 1);
  for (int twice = 0; twice < 2; ++twice) {
    for (const Flight& flight : late) network.input(kA, Received{flight.from, flight.message});
  }
  EXPECT_TRUE(network.node(kA).ready.empty());
  network.heal();
  network.heartbeat(kA);
  EXPECT_EQ(network.node(kA).ready.size(), 1u);
  EXPECT_SOUND(network);
}

TEST(Raft, LostReadRoundIsRepeated) {
  // A read whose round was lost must not hang until the client gives up (S49).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.lose = is_append;
  network.read(kA, 1);
  network.read(kA, 2);
  network.settle();
  EXPECT_TRUE(network.node(kA).ready.empty());
  network.lose = nullptr;
  network.heartbeat(kA);
  EXPECT_EQ(network.node(kA).ready.size(), 2u);
  EXPECT_SOUND(network);
}

TEST(Raft, ManyReadsShareARound) {
  // A round per read would send thousands of messages where one will do.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.sent = 0;
  for (std::uint64_t i = 0; i < 100; ++i) network.read(kA, i);
  network.settle();
  EXPECT_EQ(network.node(kA).ready.size(), 100u);
  EXPECT_LE(network.sent, 8u);
  EXPECT_SOUND(network);
}

TEST(Raft, FollowerRefusesReadsAndNamesTheLeader) {
  // A read at the wrong node must end, and say where to go.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.read(kB, 3);
  ASSERT_EQ(network.node(kB).refused.size(), 1u);
  EXPECT_EQ(network.node(kB).refused[0].leader, kA);
}

// ---- transfer

TEST(Raft, TransferToALaggingTarget) {
  // The target must first get everything, then win although the others still hear the leader (S20, S21).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.cut_both(kA, kC);
  for (int i = 0; i < 5; ++i) network.propose(kA);
  network.settle();
  network.heal();
  network.input(kA, Transfer{kC});
  EXPECT_EQ(network.propose(kA), EntryId{});
  network.settle();
  EXPECT_EQ(network.core(kA).role(), Role::leader);
  network.heartbeat(kA);
  network.heartbeat(kA);
  EXPECT_EQ(network.core(kC).role(), Role::leader);
  EXPECT_EQ(network.core(kA).role(), Role::follower);
  EXPECT_EQ(network.core(kC).term(), Term(2));
  EXPECT_SOUND(network);
}

TEST(Raft, TransferIsGivenUp) {
  // A target that died must not keep the leader from taking proposals for ever (S21).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.crash(kC);
  network.input(kA, Transfer{kC});
  network.settle();
  EXPECT_EQ(network.propose(kA), EntryId{});
  network.heartbeat(kA);
  network.fire(kA, Timer::quorum);
  EXPECT_EQ(network.core(kA).transfer_target(), kC);
  network.heartbeat(kA);
  network.fire(kA, Timer::quorum);
  EXPECT_EQ(network.core(kA).transfer_target(), NodeId());
  EXPECT_NE(network.propose(kA), EntryId{});
  EXPECT_SOUND(network);
}

TEST(Raft, LostTransferOrderIsRepeated) {
  // TimeoutNow is one message, and messages get lost.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.lose = [](const Flight& flight) { return std::holds_alternative<TimeoutNow>(flight.message.body); };
  network.input(kA, Transfer{kB});
  network.settle();
  network.lose = nullptr;
  network.heartbeat(kA);
  EXPECT_EQ(network.core(kB).role(), Role::leader);
  EXPECT_SOUND(network);
}

TEST(Raft, TransferToNobodyUseful) {
  // To itself, to a stranger, to a learner, at a follower: nothing may change.
  TestNetwork network(4, Configuration{{kA, kB, kC}, {}, {kD}});
  ASSERT_TRUE(network.elect(kA));
  for (const NodeId target : {kA, kD, NodeId(9)}) network.input(kA, Transfer{target});
  network.input(kB, Transfer{kC});
  EXPECT_EQ(network.core(kA).transfer_target(), NodeId());
  EXPECT_NE(network.propose(kA), EntryId{});
  EXPECT_SOUND(network);
}

// ---- disks

TEST(Raft, FailedDiskGivesUpTheLead) {
  // A leader that cannot write blocks everybody while its heartbeats go out (S17).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.input(kA, DiskFailed{});
  EXPECT_EQ(network.core(kA).role(), Role::follower);
  network.fire(kA, Timer::election);
  EXPECT_EQ(network.core(kA).role(), Role::follower);
  network.lose_contact();
  EXPECT_TRUE(network.elect(kB));
  EXPECT_SOUND(network);
}

TEST(Raft, StalledDiskGivesUpTheLead) {
  // A disk that hangs reports nothing: no completion within the quorum timer is the sign (S17).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.hold_disk(kA, true);
  network.propose(kA);
  network.settle();
  network.fire(kA, Timer::quorum);
  EXPECT_EQ(network.core(kA).role(), Role::leader);
  network.heartbeat(kA);
  network.fire(kA, Timer::quorum);
  EXPECT_EQ(network.core(kA).role(), Role::follower);
  EXPECT_SOUND(network);
}

TEST(Raft, LogAheadOfTheHardState) {
  // Journal and hard state are two streams: a crash can keep an entry and lose its term. The node has seen
  // that term.
  Core core = core_with({1, 3}, {Term(2), kC});
  EXPECT_EQ(core.term(), Term(3));
  EXPECT_EQ(core.vote(), NodeId());
  Output out;
  core.start(out);
  ASSERT_EQ(only<SaveHardState>(out).size(), 1u);
  EXPECT_EQ(only<SaveHardState>(out)[0].state, (HardState{Term(3), NodeId()}));
}

// ---- membership

TEST(Raft, LearnersReplicateAndDoNotCount) {
  // A learner that counts lets a minority commit; one that campaigns disturbs.
  TestNetwork network(4, Configuration{{kA, kB, kC}, {}, {kD}});
  ASSERT_TRUE(network.elect(kA));
  network.isolate(kB);
  network.isolate(kC);
  const EntryId last = network.propose(kA);
  network.settle();
  EXPECT_EQ(network.core(kD).last_id(), last);
  EXPECT_LT(network.core(kA).commit(), last.index);
  network.fire(kD, Timer::election);
  EXPECT_EQ(network.core(kD).role(), Role::follower);
  network.heal();
  network.heartbeat(kA);
  network.heartbeat(kA);
  EXPECT_EQ(network.core(kA).commit(), last.index);
  EXPECT_SOUND(network);
}

TEST(Raft, ConfigurationTakesEffectOnAppendAndRollsBack) {
  // A configuration that outlives its entry leaves nodes with different quorums (S2).
  TestNetwork network(5, Configuration{{kA, kB, kC}, {}, {}});
  ASSERT_TRUE(network.elect(kA));
  network.heartbeat(kA);
  const Configuration before = network.core(kA).configuration();
  const Configuration joint{{kA, kD, kE}, {kA, kB, kC}, {}};
  network.isolate(kA);
  ASSERT_NE(network.propose(kA, joint), EntryId{});
  EXPECT_EQ(network.core(kA).configuration(), joint);
  EXPECT_EQ(network.core(kA).progress().size(), 4u);
  EXPECT_EQ(network.propose(kA, joint), EntryId{});  // one at a time
  network.lose_contact();
  ASSERT_TRUE(network.elect(kB));
  network.heal();
  network.heartbeat(kB);
  network.heartbeat(kB);
  EXPECT_EQ(network.core(kA).configuration(), before);
  EXPECT_SOUND(network);
}

TEST(Raft, RolledBackConfigurationAfterARestart) {
  // The same, when the node restarted in between: it must still know what was in force before.
  TestNetwork network(5, Configuration{{kA, kB, kC}, {}, {}});
  ASSERT_TRUE(network.elect(kA));
  network.heartbeat(kA);
  const Configuration before = network.core(kA).configuration();
  network.isolate(kA);
  ASSERT_NE(network.propose(kA, {{kA, kD, kE}, {kA, kB, kC}, {}}), EntryId{});
  network.crash(kA);
  network.restart(kA);
  EXPECT_TRUE(network.core(kA).configuration().joint());
  network.lose_contact();
  ASSERT_TRUE(network.elect(kB));
  network.heal();
  network.heartbeat(kB);
  network.heartbeat(kB);
  EXPECT_EQ(network.core(kA).configuration(), before);
  EXPECT_SOUND(network);
}

TEST(Raft, JointConfigurationNeedsBothHalves) {
  // A majority of only one half must neither commit nor confirm a read (S11, S48).
  const std::vector<std::pair<NodeId, NodeId>> absent{{kD, kE}, {kB, kC}};
  for (const auto& [one, other] : absent) {
    TestNetwork network(5, Configuration{{kA, kB, kC}, {}, {}});
    ASSERT_TRUE(network.elect(kA));
    network.heartbeat(kA);
    network.isolate(one);
    network.isolate(other);
    const EntryId joint = network.propose(kA, {{kA, kD, kE}, {kA, kB, kC}, {}});
    network.settle();
    network.read(kA, 1);
    for (int i = 0; i < 3; ++i) network.heartbeat(kA);
    EXPECT_EQ(holders(network, joint), 3u);
    EXPECT_LT(network.core(kA).commit(), joint.index);
    EXPECT_TRUE(network.node(kA).ready.empty());
    network.heal();
    for (int i = 0; i < 3; ++i) network.heartbeat(kA);
    EXPECT_EQ(network.core(kA).commit(), joint.index);
    EXPECT_EQ(network.node(kA).ready.size(), 1u);
    const EntryId left = network.propose(kA, {{kA, kD, kE}, {}, {}});
    network.settle();
    EXPECT_EQ(network.core(kA).commit(), left.index);
    EXPECT_EQ(network.core(kA).progress().size(), 2u);
    EXPECT_SOUND(network);
  }
}

TEST(Raft, ConfigurationChangeWaitsForTheOwnTerm) {
  // A new leader that changes the voters before it committed anything may form a quorum disjoint from the old
  // (S1).
  TestNetwork network(3);
  network.lose = carries_entries;
  network.fire(kA, Timer::election);
  network.settle();
  ASSERT_EQ(network.core(kA).role(), Role::leader);
  EXPECT_EQ(network.propose(kA, {{kA, kB}, {kA, kB, kC}, {}}), EntryId{});
  network.lose = nullptr;
  network.heartbeat(kA);
  EXPECT_NE(network.propose(kA, {{kA, kB}, {kA, kB, kC}, {}}), EntryId{});
}

TEST(Raft, RemovedLeaderLeavesOnceItsRemovalIsCommitted) {
  // A leader outside the configuration must not count itself, and not lead on (S6).
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.heartbeat(kA);
  ASSERT_NE(network.propose(kA, {{kB, kC}, {kA, kB, kC}, {}}), EntryId{});
  network.settle();
  ASSERT_NE(network.propose(kA, {{kB, kC}, {}, {}}), EntryId{});
  network.settle();
  EXPECT_EQ(network.core(kA).role(), Role::follower);
  network.fire(kA, Timer::election);
  EXPECT_EQ(network.core(kA).role(), Role::follower);
  network.lose_contact();
  EXPECT_TRUE(network.elect(kB));
  EXPECT_SOUND(network);
}

TEST(Raft, RemovedNodeWithTheLongestLogIsStillNeeded) {
  // Only A holds the entry that removes A: nobody else can win, and if A may not campaign nobody ever leads
  // (S13).
  TestNetwork network(2);
  ASSERT_TRUE(network.elect(kA));
  ASSERT_NE(network.propose(kA, {{kB}, {kA, kB}, {}}), EntryId{});
  network.settle();
  network.isolate(kA);
  ASSERT_NE(network.propose(kA, {{kB}, {}, {}}), EntryId{});
  network.crash(kA);
  network.restart(kA);
  network.heal();
  network.lose_contact();
  EXPECT_FALSE(network.elect(kB));
  network.lose_contact();
  network.fire(kA, Timer::election);
  network.settle();
  network.heartbeat(kA);
  EXPECT_EQ(network.core(kB).configuration(), (Configuration{{kB}, {}, {}}));
  EXPECT_EQ(network.core(kA).role(), Role::follower);  // committed its removal
  network.lose_contact();
  EXPECT_TRUE(network.elect(kB));
  EXPECT_SOUND(network);
}

// ---- what peers must not be able to do

TEST(Raft, MalformedMessagesAreRefusedAndCounted) {
  // Bytes from a peer could break an assumption of the protocol code and abort the node or poison its log.
  const Bytes junk = Bytes::copy_of("junk");
  Entry bad_configuration = entry(1, 1, "junk");
  bad_configuration.identity.kind = EntryKind::configuration;
  Entry too_large = entry(1, 1);
  too_large.identity.size = kEntryBytesMax + 1;
  Entry bad_kind = entry(1, 1);
  bad_kind.identity.kind = static_cast<EntryKind>(99);
  const std::uint64_t huge = ~std::uint64_t{0};
  const std::vector<Received> bad{
      {NodeId(), message(Term(1), AppendRequest{})},
      {kA, message(Term(1), AppendRequest{})},
      {kB, message(Term(0), AppendRequest{})},
      {kB, message(Term(huge), AppendRequest{})},
      {kB, {GroupId(2), Term(1), Incarnation(1), AppendRequest{}}},
      {kB, message(Term(1), AppendRequest{id(0, 3), {}, 0, {}})},
      {kB, message(Term(1), AppendRequest{id(2, 3), {}, 0, {}})},
      {kB, message(Term(1), AppendRequest{{}, {}, 0, {entry(1, 2)}})},
      {kB, message(Term(1), AppendRequest{{}, {}, 0, {entry(1, 1), entry(1, 3)}})},
      {kB, message(Term(2), AppendRequest{{}, {}, 0, {entry(2, 1), entry(1, 2)}})},
      {kB, message(Term(1), AppendRequest{{}, {}, 0, {entry(2, 1)}})},
      {kB, message(Term(1), AppendRequest{{}, {}, 0, {bad_configuration}})},
      {kB, message(Term(1), AppendRequest{{}, {}, 0, {too_large}})},
      {kB, message(Term(1), AppendRequest{{}, {}, 0, {bad_kind}})},
      {kB,
       message(Term(1), AppendRequest{{}, {}, 0, std::vector<Entry>(kAppendEntriesMax + 1, entry(1, 1))})},
      {kB, message(Term(1), VoteRequest{false, false, id(1, 1)})},
      {kB, message(Term(2), VoteRequest{true, true, id(1, 1)})},
      {kB, message(Term(1), VoteReply{false, true, Term(2)})},
      {kB, message(Term(3), VoteReply{true, true, Term(2)})},
      {kB, message(Term(1), VoteReply{true, false, Term(0)})},
      {kB, message(Term(1), AppendReply{false, {}, id(1, 5), Index(4), 0})},
  };
  Core core = core_with({}, {});
  const Core before = core;
  for (std::size_t i = 0; i < bad.size(); ++i) {
    EXPECT_TRUE(step(core, bad[i]).empty()) << i;
    EXPECT_EQ(core.counters().malformed, i + 1) << i;
    EXPECT_EQ(core, before) << i;
  }
}

TEST(Raft, ImpossibleAnswersAreRefusedAndCounted) {
  // Acknowledgements of what was never sent would commit what nobody holds.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.settle();
  network.hold_disk(kA, true);
  network.isolate(kA);
  network.propose(kA);
  Core& core = network.core(kA);
  const std::uint64_t before = core.counters().impossible;
  const Term term = core.term();
  network.input(kA, Received{kB, message(term, AppendReply{true, Index(99), {}, {}, 0})});
  network.input(kA, Received{kB, message(term, AppendReply{true, Index(1), {}, {}, 99})});
  network.input(kA, Received{kB, message(term, AppendReply{false, {}, {}, Index(99), 0})});
  network.input(kA, Received{kB, message(term, AppendReply{false, {}, {}, Index(0), 0})});
  network.input(kA, Received{kB, message(term, AppendRequest{})});  // another leader of our term
  EXPECT_EQ(core.counters().impossible, before + 5);
  EXPECT_EQ(core.role(), Role::leader);
  network.input(kA,
                Received{NodeId(9), message(term, AppendReply{true, Index(2), {}, {}, 0})});  // a stranger
  EXPECT_EQ(core.commit(), Index(1));
  EXPECT_SOUND(network);
}

TEST(Raft, UnsureOfItsHead) {
  // A node that may have forgotten what it acknowledged must neither vote, campaign nor count (recovery.md
  // §4.6).
  Options options;
  options.self = kA;
  options.group = GroupId(1);
  options.incarnation = Incarnation(1);
  Recovered recovered;
  recovered.configuration.voters = {kA, kB, kC};
  recovered.condition = Condition::head_uncertain;
  Core core(options, recovered);
  step(core, TimedOut{Timer::election});
  EXPECT_EQ(core.role(), Role::follower);
  for (const bool pre : {true, false}) {
    const Output out = step(core, Received{kB, message(Term(2), VoteRequest{pre, false, id(1, 9)})});
    EXPECT_FALSE(sent<VoteReply>(out).at(0).second.granted);
  }
  const Output out = step(core, Received{kB, message(Term(2), AppendRequest{{}, Index(), 1, {entry(1, 1)}})});
  EXPECT_EQ(core.last_index(), Index(1));
  EXPECT_EQ(sent<AppendReply>(out).at(0).second.match, Index(0));
}

// ---- a regular value

TEST(Raft, CopiesBehaveAndCompareAlike) {
  // The explorer merges states by digest and goes on from copies: hidden state would make both wrong.
  TestNetwork network(3);
  ASSERT_TRUE(network.elect(kA));
  network.propose(kA);
  Core copy = network.core(kA);
  EXPECT_EQ(copy, network.core(kA));
  EXPECT_EQ(copy.digest(), network.core(kA).digest());
  const Output left = step(copy, TimedOut{Timer::heartbeat});
  EXPECT_FALSE(copy == network.core(kA));
  EXPECT_NE(copy.digest(), network.core(kA).digest());
  const Output right = step(network.core(kA), TimedOut{Timer::heartbeat});
  EXPECT_EQ(copy, network.core(kA));
  EXPECT_EQ(copy.digest(), network.core(kA).digest());
  EXPECT_EQ(left.size(), right.size());
}

TEST(Raft, RareBranchesAreLegal) {
  // Armed rare branches (tiny messages, tiny windows, spurious probes) may slow things down and break
  // nothing.
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Options options;
    options.buggify_seed = seed;
    TestNetwork network(3, {}, options);
    ASSERT_TRUE(network.elect(kA));
    EntryId last;
    for (int i = 0; i < 20; ++i) last = network.propose(kA);
    network.settle();
    for (int i = 0; i < 3; ++i) network.heartbeat(kA);
    EXPECT_EQ(network.core(kA).commit(), last.index) << seed;
    EXPECT_EQ(network.core(kC).commit(), last.index) << seed;
    EXPECT_SOUND(network);
  }
}

}  // namespace
}  // namespace reel::raft
