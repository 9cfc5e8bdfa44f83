#include "node/cluster/commands.h"

#include <gtest/gtest.h>

namespace reel::cluster {
namespace {

std::vector<Command> samples() {
  raft::Configuration three{{NodeId(1), NodeId(2), NodeId(3)}, {}, {}};
  Report report{{"billing", MemberId{1, 2}, ReaderGroupCall::Verb::join, io::seconds(10), {}}, 7};
  report.call.progress = {{GroupId(1), Epoch(3), TxnId(100), false}, {GroupId(4), Epoch(1), TxnId(0), true}};
  return {CreatePartitions{3, 8, three}, report, ExpireMember{"billing", MemberId{9, 9}},
          RevokeShare{"a/b:c", GroupId(2), Epoch(5)}, RemoveReaderGroup{"old.one"}};
}

TEST(Commands, ComeBackAsTheyWere) {
  // A field lost here would make replicas disagree with the leader that answered.
  const std::vector<Command> commands = samples();
  const auto bytes = encode(commands);
  const auto back = decode(bytes);
  ASSERT_TRUE(back.has_value()) << back.error();
  EXPECT_EQ(*back, commands);
  std::size_t bound = kCommandsHeaderBytes;
  for (const Command& command : commands) bound += encoded_bytes(command);
  EXPECT_LE(bytes.size(), bound);
}

TEST(Commands, DamageIsRefusedOrReadAsSomethingThatEncodesTheSame) {
  // Payloads come from disks and peers: no byte of them may be believed unseen, or read past.
  const auto bytes = encode(samples());
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(decode(std::span(bytes).first(cut)).has_value()) << cut;
  }
  std::size_t accepted = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      auto damaged = bytes;
      damaged[at] ^= static_cast<std::byte>(1 << bit);
      const auto back = decode(damaged);
      if (!back) continue;
      ++accepted;
      EXPECT_EQ(encode(*back), damaged) << at;
    }
  }
  EXPECT_GT(accepted, 0u);  // numbers have many legal values
}

TEST(Commands, NamesArePlain) {
  // They are printed, typed and used as keys by people.
  EXPECT_TRUE(is_reader_group_name("billing-2.eu/west:a_b"));
  EXPECT_TRUE(is_reader_group_name(std::string(kReaderGroupNameBytesMax, 'x')));
  EXPECT_FALSE(is_reader_group_name(std::string(kReaderGroupNameBytesMax + 1, 'x')));
  for (const char* bad : {"", " ", "a b", "a\n", "\xc3\xa4", "a,b"}) {
    EXPECT_FALSE(is_reader_group_name(bad)) << bad;
  }
}

}  // namespace
}  // namespace reel::cluster
