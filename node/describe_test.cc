#include "node/describe.h"

#include <gtest/gtest.h>

namespace reel::node {
namespace {

PeerMessage message_of(PeerBody body, std::uint32_t group = 1) {
  return {GroupId(group), Term(4), Incarnation(1), std::move(body)};
}

Entry entry_of(std::uint64_t index) {
  Entry entry;
  entry.identity.term = Term(3);
  entry.identity.index = Index(index);
  return entry;
}

// A diagram that says the wrong range, term or answer sends its reader after the wrong bug.
TEST(Describe, SaysWhatMattersOfAMessage) {
  AppendRequest append;
  append.commit = Index(4);
  EXPECT_EQ(describe(message_of(append)), "");  // a heartbeat
  append.entries = {entry_of(5)};
  EXPECT_EQ(describe(message_of(append)), "append 5 t4 c4");
  append.entries.push_back(entry_of(6));
  EXPECT_EQ(describe(message_of(append, 3)), "g3 append 5..6 t4 c4");
  AppendReply reply;
  reply.rejected = Index(9);
  reply.hint = {Term(2), Index(7)};
  EXPECT_EQ(describe(message_of(reply)), "rejects 9, hint 7");
  reply.accepted = true;
  reply.match = Index(6);
  EXPECT_EQ(describe(message_of(reply)), "holds 6");
  EXPECT_EQ(describe(message_of(VoteRequest{true, false, {Term(3), Index(8)}})), "prevote? t4 last 8/t3");
  EXPECT_EQ(describe(message_of(VoteReply{false, true, Term(4)})), "vote yes t4");
  EXPECT_EQ(describe(message_of(TimeoutNow{})), "campaign! t4");
}

// The same of calls and answers: what was asked, and how it ended.
TEST(Describe, SaysWhatMattersOfACall) {
  AppendCall append;
  append.group = GroupId(1);
  append.first = Sequence(5);
  append.count = 3;
  EXPECT_EQ(describe(ClientCall(append)), "append #5..7");
  EXPECT_EQ(describe(ClientCall(ResolveCall{GroupId(2), {}, {}, Sequence(4), true})), "g2 resolve #4");
  AppendResult result;
  result.runs.push_back({Sequence(5), 2, TxnId(10), 0});
  result.refusals.push_back({Sequence(7), RefusalCode::conflict, 0, TxnId(3)});
  EXPECT_EQ(describe(ClientReply(result)), "#5..6 is 10..11, #7 Conflict");
  EXPECT_EQ(describe(ClientReply(CallError{ErrorCode::not_leader, NodeId(2), {}, 0, ""})), "NotLeader");
  EXPECT_EQ(describe(ClientReply(ResolveResult{})), "resolved: burned");
}

// A node that was never booted has no disk, no groups and no name; asking for its state must not need them.
TEST(Describe, ANodeThatDoesNothingYet) {
  const Node node{NodeOptions{}};
  const std::string state = describe(node, io::Instant{});
  EXPECT_NE(state.find("recovering"), std::string::npos) << state;
  EXPECT_EQ(state.find("group "), std::string::npos) << state;
}

}  // namespace
}  // namespace reel::node
