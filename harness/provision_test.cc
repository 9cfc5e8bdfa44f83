#include "harness/provision.h"

#include <gtest/gtest.h>

#include "io/ports/disk.h"

namespace reel::harness {
namespace {

journal::Options small_journal() {
  journal::Options options;
  options.file_bytes = 1u << 18;
  options.identity_sectors = 16;
  options.batch_bytes_max = 1u << 16;
  return options;
}

// Simulated clusters that begin on another format than real ones would test something that nobody runs.
TEST(Provision, AnImageHoldsWhatInitMakes) {
  const std::vector<NodeId> voters{NodeId(1), NodeId(2), NodeId(3)};
  const auto groups = initial_groups(voters, 2);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].group, GroupId(1));
  EXPECT_EQ(groups[1].group, GroupId(2));
  EXPECT_EQ(groups[0].configuration.members(), voters);
  const DiskImage image =
      format_image({io::ClusterId(1), NodeId(2), Incarnation(0)}, small_journal(), groups);
  ASSERT_TRUE(image.contains("superblock"));
  ASSERT_TRUE(image.contains("hardstate"));
  ASSERT_TRUE(image.contains("manifest"));
  EXPECT_EQ(image.size(), 4u) << "and the first file of the journal";
  for (const auto& [name, content] : image) EXPECT_EQ(content.size() % io::kSectorBytes, 0u) << name;
}

// The same cluster must begin on the same bytes, or no run could be repeated; two nodes must not.
TEST(Provision, AnImageDependsOnNothingButItsArguments) {
  const auto groups = initial_groups({NodeId(1)}, 1);
  const journal::SuperblockContent who{io::ClusterId(1), NodeId(1), Incarnation(0)};
  EXPECT_EQ(format_image(who, small_journal(), groups), format_image(who, small_journal(), groups));
  const journal::SuperblockContent other{io::ClusterId(1), NodeId(2), Incarnation(0)};
  EXPECT_NE(format_image(who, small_journal(), groups), format_image(other, small_journal(), groups));
}

}  // namespace
}  // namespace reel::harness
