#include "model/consensus_oracle.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace reel::model {
namespace {

constexpr GroupId kGroup{1};
constexpr NodeId kA{11};
constexpr NodeId kB{22};
constexpr NodeId kC{33};
constexpr NodeId kLearner{44};

EntryIdentity entry(std::uint64_t term, std::uint64_t index, std::uint64_t content = 0) {
  return {Term(term), Index(index), EntryKind::transactions, 8, Checksum{content, 0}};
}

// A cluster of three that tells the oracle what its nodes do. Each verb gives the oracle's answer: the
// violated rule's name, or "" if there is nothing to say.
class Cluster {
 public:
  Cluster() : oracle_({kA, kB, kC}) {
    for (const NodeId node : {kA, kB, kC}) EXPECT_EQ(boot(node, 1), "");
  }

  std::string boot(NodeId node, std::uint64_t life, EntryId last = {}, std::uint64_t term = 0,
                   NodeId vote = {}, std::uint64_t commit = 0) {
    lives_.resize(std::max<std::size_t>(lives_.size(), node.value + 1));
    lives_[node.value] = Incarnation(life);
    return tell(node, node::NoteBooted{kGroup, {Term(term), vote}, Index{1}, last, Index(commit)});
  }
  std::string state(NodeId node, std::uint64_t term, NodeId vote = {}) {
    return tell(node, node::NoteHardState{kGroup, {Term(term), vote}});
  }
  std::string role(NodeId node, Role role, std::uint64_t term) {
    return tell(node, node::NoteRole{kGroup, role, Term(term), role == Role::leader ? node : NodeId{}});
  }
  std::string append(NodeId node, EntryIdentity identity) {
    return tell(node, node::NoteAppended{kGroup, identity});
  }
  std::string truncate(NodeId node, std::uint64_t from) {
    return tell(node, node::NoteTruncated{kGroup, Index(from)});
  }
  std::string durable(NodeId node, std::uint64_t index) {
    return tell(node, node::NoteDurable{kGroup, Index(index)});
  }
  std::string commit(NodeId node, std::uint64_t index) {
    return tell(node, node::NoteCommitted{kGroup, Index(index)});
  }
  std::string apply(NodeId node, EntryIdentity identity, std::uint64_t digest = 0) {
    return tell(node, node::NoteApplied{kGroup,
                                        identity,
                                        TxnId(identity.index.value * 10),
                                        digest == 0 ? identity.index.value * 1'000 : digest,
                                        {}});
  }
  void crash(NodeId node) { oracle_.crashed(node); }
  std::string tell(NodeId node, const node::Note& note) {
    const auto violation = oracle_.observe(node, lives_[node.value], note);
    if (violation) {
      EXPECT_GT(violation->sentence.size(), 20u);
    }
    return violation ? violation->oracle : "";
  }
  void set_life(NodeId node, std::uint64_t life) { lives_[node.value] = Incarnation(life); }

  // `leader` is elected with the votes of `voters`, itself among them.
  std::string elect(NodeId leader, std::uint64_t term, std::vector<NodeId> voters) {
    for (const NodeId voter : voters) {
      if (const std::string broken = state(voter, term, leader); !broken.empty()) return broken;
    }
    return role(leader, Role::leader, term);
  }
  // Every one of `nodes` appends the entry and makes it durable.
  std::string replicate(std::vector<NodeId> nodes, EntryIdentity identity) {
    for (const NodeId node : nodes) {
      if (const std::string broken = append(node, identity); !broken.empty()) return broken;
      if (const std::string broken = durable(node, identity.index.value); !broken.empty()) return broken;
    }
    return "";
  }
  // A leads term 1; entries 1 to `entries` of that term are on all three and committed at A.
  void prepare(std::uint64_t entries) {
    EXPECT_EQ(elect(kA, 1, {kA, kB, kC}), "");
    for (std::uint64_t i = 1; i <= entries; ++i) EXPECT_EQ(replicate({kA, kB, kC}, entry(1, i)), "");
    EXPECT_EQ(commit(kA, entries), "");
  }
  const ConsensusOracle& oracle() const { return oracle_; }

 private:
  ConsensusOracle oracle_;
  std::vector<Incarnation> lives_;
};

TEST(ConsensusOracle, AWholeLifeIsLegal) {
  // An oracle that cries out at a correct run is worse than none.
  Cluster cluster;
  cluster.prepare(3);
  for (const NodeId node : {kB, kC}) EXPECT_EQ(cluster.commit(node, 3), "");
  for (const NodeId node : {kA, kB, kC}) {
    for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(cluster.apply(node, entry(1, i)), "");
  }
  // A adds two entries that nobody gets, and dies; B goes on in term 2, and A's tail is cut when it returns.
  EXPECT_EQ(cluster.append(kA, entry(1, 4)), "");
  EXPECT_EQ(cluster.append(kA, entry(1, 5)), "");
  EXPECT_EQ(cluster.durable(kA, 4), "");
  cluster.crash(kA);
  EXPECT_EQ(cluster.elect(kB, 2, {kB, kC}), "");
  EXPECT_EQ(cluster.replicate({kB, kC}, entry(2, 4)), "");
  EXPECT_EQ(cluster.commit(kB, 4), "");
  EXPECT_EQ(cluster.boot(kA, 2, {Term{1}, Index{4}}, 1, kA, 2), "");
  EXPECT_EQ(cluster.state(kA, 2), "");
  EXPECT_EQ(cluster.truncate(kA, 4), "");
  EXPECT_EQ(cluster.replicate({kA}, entry(2, 4)), "");
  EXPECT_EQ(cluster.commit(kA, 4), "");
  for (std::uint64_t i = 1; i <= 4; ++i) EXPECT_EQ(cluster.apply(kA, entry(i < 4 ? 1 : 2, i)), "");
  EXPECT_EQ(cluster.tell(kA, node::NoteMark{"somewhere"}), "");
  EXPECT_EQ(cluster.oracle().committed(kGroup), Index{4});
  EXPECT_EQ(cluster.oracle().leader_of(kGroup, Term{2}), kB);
  EXPECT_EQ(cluster.oracle().counters().elections, 2u);
  EXPECT_EQ(cluster.oracle().counters().committed, 4u);
}

// ---- election safety

TEST(ConsensusOracle, TwoLeadersInOneTerm) {
  // Two leaders of a term would both commit. Two of different terms at one time are legal.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
  EXPECT_EQ(cluster.elect(kC, 2, {kB, kC}), "");
  EXPECT_EQ(cluster.state(kA, 2, kA), "");
  EXPECT_EQ(cluster.role(kA, Role::leader, 2), "election-safety");
}

TEST(ConsensusOracle, ALeaderWithoutAQuorumOfVotes) {
  // A candidate could count a vote that nobody gave, or a learner's.
  Cluster cluster;
  EXPECT_EQ(cluster.boot(kLearner, 1), "");
  EXPECT_EQ(cluster.state(kLearner, 1, kA), "");
  EXPECT_EQ(cluster.elect(kA, 1, {kA}), "election-safety");
}

TEST(ConsensusOracle, LeadingATermTwice) {
  // A leader that stepped down and leads the same term again has lost what it promised meanwhile. Saying
  // twice that it leads is no second election.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
  EXPECT_EQ(cluster.role(kA, Role::leader, 1), "");
  EXPECT_EQ(cluster.role(kA, Role::follower, 1), "");
  EXPECT_EQ(cluster.role(kA, Role::leader, 1), "election-safety");
}

// ---- leader completeness

TEST(ConsensusOracle, ALeaderWithoutACommittedEntry) {
  // Log freshness ignored in votes: a short log would win and overwrite what was committed.
  for (const bool complete : {false, true}) {
    Cluster cluster;
    EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
    EXPECT_EQ(cluster.replicate({kA, kB}, entry(1, 1)), "");
    EXPECT_EQ(cluster.commit(kA, 1), "");
    if (complete) {
      EXPECT_EQ(cluster.replicate({kC}, entry(1, 1)), "");
    }
    EXPECT_EQ(cluster.elect(kC, 2, {kB, kC}), complete ? "" : "leader-completeness");
  }
}

TEST(ConsensusOracle, ALateLeaderOfAnOldTermNeedsNotKnow) {
  // Votes may arrive late: a leader of term 2 that wins after term 3 committed is legal, since it cannot
  // commit.
  Cluster cluster;
  EXPECT_EQ(cluster.state(kC, 1, kC), "");
  EXPECT_EQ(cluster.state(kC, 2, kC), "");
  EXPECT_EQ(cluster.state(kB, 2, kC), "");
  EXPECT_EQ(cluster.elect(kA, 3, {kA, kB}), "");
  EXPECT_EQ(cluster.replicate({kA, kB}, entry(3, 1)), "");
  EXPECT_EQ(cluster.commit(kA, 1), "");
  EXPECT_EQ(cluster.role(kC, Role::leader, 2), "");
}

TEST(ConsensusOracle, ACommitThatALaterLeaderLacks) {
  // The old leader could count copies that it must not count, after a new one was elected without them.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB, kC}), "");
  EXPECT_EQ(cluster.replicate({kA}, entry(1, 1)), "");
  EXPECT_EQ(cluster.elect(kC, 2, {kB, kC}), "");
  EXPECT_EQ(cluster.replicate({kB}, entry(1, 1)), "");
  EXPECT_EQ(cluster.commit(kA, 1), "leader-completeness");
}

// ---- the log

TEST(ConsensusOracle, ALeaderThatTruncates) {
  // A leader could cut its own log on the word of another leader of its term.
  Cluster cluster;
  cluster.prepare(1);
  EXPECT_EQ(cluster.append(kA, entry(1, 2)), "");
  EXPECT_EQ(cluster.truncate(kA, 2), "leader-append-only");
}

TEST(ConsensusOracle, OneIdentityTwoContents) {
  // One (term, index) could carry two bodies; the same one on two nodes is what replication is.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
  EXPECT_EQ(cluster.append(kA, entry(1, 1, 5)), "");
  EXPECT_EQ(cluster.append(kB, entry(1, 1, 5)), "");
  EXPECT_EQ(cluster.append(kC, entry(1, 1, 6)), "log-matching");
}

TEST(ConsensusOracle, OneIdentityTwoPredecessors) {
  // A follower that skips the consistency check could put an entry behind another log.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
  EXPECT_EQ(cluster.append(kA, entry(1, 1)), "");
  EXPECT_EQ(cluster.elect(kC, 2, {kB, kC}), "");
  EXPECT_EQ(cluster.append(kC, entry(2, 1)), "");
  EXPECT_EQ(cluster.append(kC, entry(2, 2)), "");
  EXPECT_EQ(cluster.append(kB, entry(2, 1)), "");
  EXPECT_EQ(cluster.append(kB, entry(2, 2)), "");
  EXPECT_EQ(cluster.append(kA, entry(2, 2)), "log-matching");
}

TEST(ConsensusOracle, AnEntryThatNobodyProposed) {
  // A follower could make up an entry, or take over another group's.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
  EXPECT_EQ(cluster.append(kB, entry(1, 1)), "phantom-entry");
}

TEST(ConsensusOracle, LogsWithGapsOrFallingTerms) {
  // An append could leave a gap, repeat an index without a truncation, or go back in terms.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
  EXPECT_EQ(cluster.elect(kA, 2, {kA, kB}), "");
  EXPECT_EQ(cluster.append(kA, entry(2, 2)), "log-shape");
  EXPECT_EQ(cluster.append(kA, entry(2, 1)), "");
  EXPECT_EQ(cluster.append(kA, entry(2, 1)), "log-shape");
  EXPECT_EQ(cluster.append(kA, entry(1, 2)), "log-shape");
  EXPECT_EQ(cluster.append(kB, entry(0, 1)), "log-shape");
  EXPECT_EQ(cluster.durable(kA, 2), "log-shape");
  EXPECT_EQ(cluster.truncate(kB, 1), "log-shape");
  EXPECT_EQ(cluster.truncate(kB, 0), "log-shape");
}

// ---- commitment

TEST(ConsensusOracle, ACommitWithoutADurableQuorum) {
  // An acknowledgement before the sync: the leader counts copies that a power loss would take.
  for (const bool synced : {false, true}) {
    Cluster cluster;
    EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
    EXPECT_EQ(cluster.replicate({kA}, entry(1, 1)), "");
    EXPECT_EQ(cluster.append(kB, entry(1, 1)), "");
    EXPECT_EQ(cluster.append(kC, entry(1, 1)), "");
    if (synced) {
      EXPECT_EQ(cluster.durable(kB, 1), "");
    }
    EXPECT_EQ(cluster.commit(kA, 1), synced ? "" : "commit-quorum");
  }
}

TEST(ConsensusOracle, LearnersDoNotCount) {
  // A leader could count a learner's copy.
  Cluster cluster;
  EXPECT_EQ(cluster.boot(kLearner, 1), "");
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
  EXPECT_EQ(cluster.replicate({kA, kLearner}, entry(1, 1)), "");
  EXPECT_EQ(cluster.commit(kA, 1), "commit-quorum");
}

TEST(ConsensusOracle, CopiesOfAnotherTermDoNotCount) {
  // A leader could take a follower's durable index for agreement, though another entry stands there.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
  EXPECT_EQ(cluster.replicate({kA}, entry(1, 1)), "");
  EXPECT_EQ(cluster.elect(kC, 2, {kB, kC}), "");
  EXPECT_EQ(cluster.replicate({kC}, entry(2, 1)), "");
  EXPECT_EQ(cluster.commit(kC, 1), "commit-quorum");
}

TEST(ConsensusOracle, CommitOfAnOldTermByCounting) {
  // Figure 8 of the paper: an entry of an earlier term on a quorum can still be overwritten.
  for (const bool own_term : {false, true}) {
    Cluster cluster;
    EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
    EXPECT_EQ(cluster.replicate({kA}, entry(1, 1)), "");
    EXPECT_EQ(cluster.role(kA, Role::follower, 1), "");
    EXPECT_EQ(cluster.elect(kA, 2, {kA, kB}), "");
    EXPECT_EQ(cluster.replicate({kB}, entry(1, 1)), "");
    if (own_term) {
      EXPECT_EQ(cluster.replicate({kA, kB}, entry(2, 2)), "");
    }
    EXPECT_EQ(cluster.commit(kA, own_term ? 2 : 1), own_term ? "" : "commit-own-term");
  }
}

TEST(ConsensusOracle, AFollowerThatCommitsFirst) {
  // A follower could take its own log's end for the leader's commit index.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
  EXPECT_EQ(cluster.replicate({kA, kB}, entry(1, 1)), "");
  EXPECT_EQ(cluster.commit(kB, 1), "commit-own-term");
}

TEST(ConsensusOracle, CommitIndexesDoNotFall) {
  // Within a life the commit index only rises; after a restart it may start anywhere below.
  Cluster cluster;
  cluster.prepare(3);
  EXPECT_EQ(cluster.commit(kB, 3), "");
  cluster.crash(kC);
  EXPECT_EQ(cluster.boot(kC, 2, {Term{1}, Index{3}}, 1, kA, 2), "");
  EXPECT_EQ(cluster.commit(kC, 2), "");
  EXPECT_EQ(cluster.commit(kC, 3), "");
  EXPECT_EQ(cluster.commit(kC, 4), "commit-monotone");
  EXPECT_EQ(cluster.commit(kB, 2), "commit-monotone");
}

TEST(ConsensusOracle, ABootThatKnowsOfCommitsItDoesNotHold) {
  // A commit index may be on disk before the entry is: that is legal, and nothing may be applied from it.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB, kC}), "");
  EXPECT_EQ(cluster.replicate({kA, kB, kC}, entry(1, 1)), "");
  EXPECT_EQ(cluster.replicate({kA, kB}, entry(1, 2)), "");
  EXPECT_EQ(cluster.commit(kA, 2), "");
  EXPECT_EQ(cluster.append(kC, entry(1, 2)), "");
  EXPECT_EQ(cluster.commit(kC, 2), "");
  cluster.crash(kC);
  EXPECT_EQ(cluster.boot(kC, 2, {Term{1}, Index{1}}, 1, kA, 2), "");
  EXPECT_EQ(cluster.apply(kC, entry(1, 1)), "");
  EXPECT_EQ(cluster.apply(kC, entry(1, 2)), "apply-order");
  EXPECT_EQ(cluster.commit(kC, 1), "");
  EXPECT_EQ(cluster.replicate({kC}, entry(1, 2)), "");
  EXPECT_EQ(cluster.commit(kC, 2), "");
}

TEST(ConsensusOracle, ABootWithMoreThanWasCommitted) {
  // A manifest could claim a commit index that no quorum ever reached.
  Cluster cluster;
  cluster.prepare(2);
  EXPECT_EQ(cluster.replicate({kA, kB, kC}, entry(1, 3)), "");
  cluster.crash(kC);
  EXPECT_EQ(cluster.boot(kC, 2, {Term{1}, Index{3}}, 1, kA, 3), "commit-quorum");
}

TEST(ConsensusOracle, ACommitOfAnotherEntry) {
  // A follower could take the leader's commit index beyond what the message has checked.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kC, 1, {kC, kB}), "");
  EXPECT_EQ(cluster.replicate({kC}, entry(1, 1)), "");
  EXPECT_EQ(cluster.elect(kA, 2, {kA, kB}), "");
  EXPECT_EQ(cluster.replicate({kA, kB}, entry(2, 1)), "");
  EXPECT_EQ(cluster.commit(kA, 1), "");
  EXPECT_EQ(cluster.commit(kC, 1), "committed-overwritten");
}

TEST(ConsensusOracle, ATruncationOfCommittedEntries) {
  // A stale append could cut what is committed, whether or not the node knows that it is.
  for (const bool knew : {false, true}) {
    Cluster cluster;
    cluster.prepare(2);
    if (knew) {
      EXPECT_EQ(cluster.commit(kB, 2), "");
    }
    EXPECT_EQ(cluster.replicate({kB}, entry(1, 3)), "phantom-entry");
    EXPECT_EQ(cluster.append(kA, entry(1, 3)), "");
    EXPECT_EQ(cluster.append(kB, entry(1, 3)), "");
    EXPECT_EQ(cluster.truncate(kB, 3), "");
    EXPECT_EQ(cluster.truncate(kB, 2), "committed-overwritten");
  }
}

TEST(ConsensusOracle, ATruncationInAnOlderTermThanTheCommit) {
  // Five nodes: one that still follows the leader of term 4 may cut an entry that term 5 committed without
  // it.
  const NodeId d{4};
  const NodeId e{5};
  const NodeId f{6};
  ConsensusOracle oracle({kA, kB, d, e, f});
  const auto tell = [&](NodeId node, const node::Note& note) {
    const auto violation = oracle.observe(node, Incarnation{1}, note);
    return violation ? std::string(violation->oracle) : std::string();
  };
  const auto vote = [&](NodeId node, std::uint64_t term, NodeId candidate) {
    EXPECT_EQ(tell(node, node::NoteHardState{kGroup, {Term(term), candidate}}), "");
  };
  const auto take = [&](NodeId node, EntryIdentity identity) {
    EXPECT_EQ(tell(node, node::NoteAppended{kGroup, identity}), "");
    EXPECT_EQ(tell(node, node::NoteDurable{kGroup, identity.index}), "");
  };
  const auto lead = [&](NodeId node, std::uint64_t term) {
    EXPECT_EQ(tell(node, node::NoteRole{kGroup, Role::leader, Term(term), node}), "");
  };
  for (const NodeId node : {kA, kB, d, e, f})
    EXPECT_EQ(tell(node, node::NoteBooted{kGroup, {}, Index{1}, {}, {}}), "");
  for (const NodeId node : {kA, kB, d}) vote(node, 1, kA);
  lead(kA, 1);
  take(kA, entry(1, 1));
  take(kB, entry(1, 1));
  for (const NodeId node : {d, e, f}) vote(node, 2, f);
  lead(f, 2);
  take(f, entry(2, 1));
  for (const NodeId node : {f, e, d}) vote(node, 3, f);
  vote(kB, 3, f);
  EXPECT_EQ(tell(f, node::NoteRole{kGroup, Role::follower, Term{3}, {}}), "");
  lead(f, 3);
  for (const NodeId node : {kA, d, e}) vote(node, 4, kA);
  lead(kA, 4);
  take(kA, entry(4, 2));
  for (const NodeId node : {d, e}) {
    take(node, entry(1, 1));
    take(node, entry(4, 2));
  }
  EXPECT_EQ(tell(kA, node::NoteCommitted{kGroup, Index{2}}), "");
  EXPECT_EQ(tell(kB, node::NoteTruncated{kGroup, Index{1}}), "");
  take(kB, entry(2, 1));
  EXPECT_EQ(tell(d, node::NoteTruncated{kGroup, Index{2}}), "committed-overwritten");
}

// ---- application

TEST(ConsensusOracle, AppliedOutOfOrder) {
  // An entry could be applied twice, be left out, or be applied before it is committed here.
  Cluster cluster;
  cluster.prepare(3);
  EXPECT_EQ(cluster.apply(kA, entry(1, 1)), "");
  EXPECT_EQ(cluster.apply(kA, entry(1, 1)), "apply-order");
  EXPECT_EQ(cluster.apply(kA, entry(1, 3)), "apply-order");
  EXPECT_EQ(cluster.apply(kB, entry(1, 1)), "apply-order");
  EXPECT_EQ(cluster.commit(kB, 1), "");
  EXPECT_EQ(cluster.apply(kB, entry(1, 1)), "");
  EXPECT_EQ(cluster.apply(kB, entry(1, 2)), "apply-order");
}

TEST(ConsensusOracle, ARestartAppliesFromTheStart) {
  // A state machine that is empty after a restart must take in everything again.
  Cluster cluster;
  cluster.prepare(2);
  EXPECT_EQ(cluster.apply(kA, entry(1, 1)), "");
  cluster.crash(kA);
  EXPECT_EQ(cluster.boot(kA, 2, {Term{1}, Index{2}}, 1, kA, 2), "");
  EXPECT_EQ(cluster.apply(kA, entry(1, 2)), "apply-order");
  EXPECT_EQ(cluster.apply(kA, entry(1, 1)), "");
  EXPECT_EQ(cluster.apply(kA, entry(1, 2)), "");
}

TEST(ConsensusOracle, AnotherStateAtTheSameIndex) {
  // Two nodes could apply the same entry and differ afterwards.
  Cluster cluster;
  cluster.prepare(1);
  EXPECT_EQ(cluster.commit(kB, 1), "");
  EXPECT_EQ(cluster.apply(kA, entry(1, 1), 77), "");
  EXPECT_EQ(cluster.apply(kB, entry(1, 1), 78), "state-machine-safety");
}

TEST(ConsensusOracle, AnotherContentIsApplied) {
  // The body that is applied could be another than the one that was agreed on.
  Cluster cluster;
  cluster.prepare(1);
  EXPECT_EQ(cluster.apply(kA, entry(1, 1, 9)), "state-machine-safety");
  Cluster again;
  again.prepare(1);
  EXPECT_EQ(again.apply(kA, entry(2, 1)), "committed-overwritten");
}

// ---- restarts

TEST(ConsensusOracle, ADurableEntryIsLost) {
  // A restart may lose what was only in memory, and nothing that was reported durable.
  for (const std::uint64_t left : {0u, 1u, 2u, 3u}) {
    Cluster cluster;
    EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
    for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(cluster.append(kA, entry(1, i)), "");
    EXPECT_EQ(cluster.durable(kA, 2), "");
    cluster.crash(kA);
    const EntryId last{Term(left == 0 ? 0u : 1u), Index(left)};
    EXPECT_EQ(cluster.boot(kA, 2, last, 1, kA), left < 2 ? "durable-lost" : "");
  }
}

TEST(ConsensusOracle, ATruncationThatWasNotDurable) {
  // After a truncation either log may come back, until the new entries are durable; then what was cut must
  // stay away.
  for (const bool durable : {false, true}) {
    for (const bool old_log : {false, true}) {
      Cluster cluster;
      EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
      EXPECT_EQ(cluster.replicate({kA}, entry(1, 1)), "");
      EXPECT_EQ(cluster.elect(kC, 2, {kB, kC}), "");
      EXPECT_EQ(cluster.append(kC, entry(2, 1)), "");
      EXPECT_EQ(cluster.state(kA, 2), "");
      EXPECT_EQ(cluster.role(kA, Role::follower, 2), "");
      EXPECT_EQ(cluster.truncate(kA, 1), "");
      EXPECT_EQ(cluster.append(kA, entry(2, 1)), "");
      if (durable) {
        EXPECT_EQ(cluster.durable(kA, 1), "");
      }
      cluster.crash(kA);
      const EntryId last{Term(old_log ? 1u : 2u), Index{1}};
      EXPECT_EQ(cluster.boot(kA, 2, last, 2), durable && old_log ? "durable-lost" : "");
    }
  }
}

TEST(ConsensusOracle, AnUnknownEntryIsFound) {
  // A torn tail could be accepted as an entry that nobody ever wrote.
  Cluster cluster;
  cluster.prepare(1);
  cluster.crash(kB);
  EXPECT_EQ(cluster.boot(kB, 2, {Term{1}, Index{2}}, 1, kA), "durable-lost");
}

TEST(ConsensusOracle, ALeaderForgetsItsTerm) {
  // Who led a term and does not know it could lead it again.
  for (const bool remembers : {false, true}) {
    Cluster cluster;
    EXPECT_EQ(cluster.elect(kA, 1, {kA, kB, kC}), "");
    cluster.crash(kA);
    EXPECT_EQ(cluster.boot(kA, 2, {}, remembers ? 1 : 0, remembers ? kA : NodeId{}),
              remembers ? "" : "hard-state");
  }
}

TEST(ConsensusOracle, VotesThatNobodyReliedOnMayBeLost) {
  // A vote that was noted in memory and never sent may be gone after a crash; what an election needed may
  // not.
  Cluster cluster;
  EXPECT_EQ(cluster.state(kB, 1, kC), "");
  cluster.crash(kB);
  EXPECT_EQ(cluster.boot(kB, 2, {}, 1), "");
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB, kC}), "");
  // Three voted; the quorum may have been A and B, or A and C.
  cluster.crash(kC);
  EXPECT_EQ(cluster.boot(kC, 2), "");
  cluster.crash(kB);
  EXPECT_EQ(cluster.boot(kB, 3), "hard-state");
}

TEST(ConsensusOracle, AVoterForgetsOnlyItsVote) {
  // The term survives and the vote does not: the node could vote twice in it.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB}), "");
  cluster.crash(kB);
  EXPECT_EQ(cluster.boot(kB, 2, {}, 1), "hard-state");
}

TEST(ConsensusOracle, AnAcknowledgerForgetsTheTerm) {
  // A node that acknowledged in term 2 and restarts in term 1 could help an old leader to commit something
  // else.
  Cluster cluster;
  EXPECT_EQ(cluster.elect(kA, 1, {kA, kB, kC}), "");
  EXPECT_EQ(cluster.elect(kA, 2, {kA, kB}), "");
  EXPECT_EQ(cluster.state(kC, 2), "");
  EXPECT_EQ(cluster.append(kA, entry(2, 1)), "");
  EXPECT_EQ(cluster.durable(kA, 1), "");
  EXPECT_EQ(cluster.replicate({kC}, entry(2, 1)), "");
  EXPECT_EQ(cluster.commit(kA, 1), "");
  cluster.crash(kC);
  EXPECT_EQ(cluster.boot(kC, 2, {Term{2}, Index{1}}, 1, kA), "hard-state");
}

TEST(ConsensusOracle, AHardStateThatNeverWas) {
  // A foreign or corrupt table could bring a term from the future, or another vote.
  Cluster cluster;
  EXPECT_EQ(cluster.state(kA, 1, kB), "");
  cluster.crash(kA);
  EXPECT_EQ(cluster.boot(kA, 2, {}, 2), "hard-state");
  Cluster other;
  EXPECT_EQ(other.state(kA, 1, kB), "");
  other.crash(kA);
  EXPECT_EQ(other.boot(kA, 2, {}, 1, kC), "hard-state");
}

TEST(ConsensusOracle, TermsAndVotesWithinALife) {
  // A term could fall, a vote could change, or a term could come out of nowhere.
  Cluster cluster;
  EXPECT_EQ(cluster.state(kA, 1), "");
  EXPECT_EQ(cluster.state(kA, 1, kB), "");
  EXPECT_EQ(cluster.state(kA, 1, kB), "");
  EXPECT_EQ(cluster.state(kA, 1, kC), "hard-state");
  EXPECT_EQ(cluster.state(kA, 1), "hard-state");
  EXPECT_EQ(cluster.state(kA, 0), "hard-state");
  EXPECT_EQ(cluster.state(kA, 3), "hard-state");
  EXPECT_EQ(cluster.state(kA, 2), "");
}

TEST(ConsensusOracle, NotesOfAnotherLife) {
  // A node that is dead, or not yet born, could still act: a zombie thread, a host that forgot to drop it.
  Cluster cluster;
  cluster.prepare(1);
  cluster.crash(kB);
  EXPECT_EQ(cluster.commit(kB, 1), "life");
  EXPECT_EQ(cluster.boot(kB, 1, {Term{1}, Index{1}}, 1, kA), "life");
  EXPECT_EQ(cluster.boot(kB, 2, {Term{1}, Index{1}}, 1, kA), "");
  EXPECT_EQ(cluster.commit(kB, 1), "");
  cluster.set_life(kB, 1);
  EXPECT_EQ(cluster.apply(kB, entry(1, 1)), "life");
  cluster.set_life(kA, 2);
  EXPECT_EQ(cluster.commit(kA, 1), "life");
}

TEST(ConsensusOracle, GroupsDoNotMix) {
  // What one group elected or committed could be held against another; a group number from nowhere could cost
  // memory.
  Cluster cluster;
  cluster.prepare(2);
  const GroupId other{7};
  EXPECT_EQ(cluster.tell(kA, node::NoteHardState{other, {Term{1}, kB}}), "life");
  EXPECT_EQ(cluster.tell(kA, node::NoteBooted{other, {}, Index{1}, {}, {}}), "");
  EXPECT_EQ(cluster.tell(kA, node::NoteHardState{other, {Term{1}, kB}}), "");
  EXPECT_EQ(cluster.oracle().committed(other), Index{});
  EXPECT_EQ(cluster.oracle().committed(kGroup), Index{2});
  EXPECT_EQ(cluster.tell(kA, node::NoteBooted{GroupId{4'000'000'000}, {}, Index{1}, {}, {}}), "life");
  EXPECT_EQ(cluster.tell(kA, node::NoteCommitted{GroupId{4'000'000'000}, Index{1}}), "life");
}

TEST(ConsensusOracle, TooManyNodesAreRefused) {
  // Node numbers from nowhere could grow the tables without end.
  ConsensusOracle oracle({kA, kB, kC});
  std::size_t refused = 0;
  for (std::uint64_t i = 100; i < 300; ++i) {
    const auto violation =
        oracle.observe(NodeId(i), Incarnation{1}, node::NoteBooted{kGroup, {}, Index{1}, {}, {}});
    refused += violation ? 1 : 0;
  }
  EXPECT_EQ(refused, 200 - (ConsensusOracle::kNodesMax - 3));
}

}  // namespace
}  // namespace reel::model
