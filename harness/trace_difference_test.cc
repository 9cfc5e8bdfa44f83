#include "harness/trace_difference.h"

#include <gtest/gtest.h>

#include "harness/recording.h"

namespace reel::harness {
namespace {

sim::Trace recorded(std::uint64_t seed, const std::vector<sim::Override>& overrides = {}) {
  SimulationOptions options;
  options.seed = seed;
  options.workload = Workload::append;
  options.cuts.storm = io::seconds(1);
  RecordingOptions recording;
  recording.overrides = overrides;
  return record(options, recording).trace;
}

// Two recordings of one run could be told apart by what says nothing about it.
TEST(TraceDifference, TheSameRunIsTheSame) {
  sim::Trace other = recorded(1);
  other.build = "another compiler";
  const TraceDifference difference = difference_of(recorded(1), other);
  EXPECT_TRUE(difference.same()) << describe(difference);
}

// The first difference could be named without its cause, or another one than the first.
TEST(TraceDifference, OneOtherChoiceIsNamed) {
  const sim::ChoiceKey latency{sim::Choice::net_latency, 1, 0,
                               3};  // of the fourth parcel from node 1 to node 2
  const sim::Trace plain = recorded(1);
  const sim::Trace late = recorded(1, {{latency, 3'000'000}});
  const TraceDifference difference = difference_of(plain, late);
  ASSERT_FALSE(difference.same());
  ASSERT_EQ(difference.made_from.size(), 1u);
  EXPECT_EQ(difference.made_from[0], "override net_latency place 1 node 0 #3 = 3000000 only in the second");
  ASSERT_TRUE(difference.index.has_value());
  for (std::uint64_t i = 0; i < *difference.index; ++i) ASSERT_EQ(plain.records[i], late.records[i]);
  EXPECT_NE(plain.records[*difference.index], late.records[*difference.index]);
  EXPECT_NE(difference.why.find("net_latency place 1 node 0 #3 is "), std::string::npos) << difference.why;
  EXPECT_NE(difference.why.find("3000000 in the second"), std::string::npos) << difference.why;
  EXPECT_NE(describe(difference).find("why: "), std::string::npos);
}

// A trace of another program would be explained by a choice that nobody made.
TEST(TraceDifference, AnotherProgramIsSuspectedWhenEveryChoiceIsTheSame) {
  const sim::Trace plain = recorded(2);
  sim::Trace other = plain;
  other.records[400].content ^= 1;
  other.failure = sim::TraceFailure{"durability", "durability", "lost"};
  const TraceDifference difference = difference_of(plain, other);
  EXPECT_EQ(difference.index, 400u);
  EXPECT_NE(difference.why.find("another program"), std::string::npos);
  EXPECT_NE(difference.verdict.find("the first passes, the second fails by durability"), std::string::npos);
}

// Of runs with other seeds and options everything differs: what they were made from has to come first.
TEST(TraceDifference, SeedsAndOptionsAreCompared) {
  sim::Trace other = recorded(3);
  other.options["nodes"] = "5";
  const std::string text = describe(difference_of(recorded(1), other));
  EXPECT_EQ(text.find("seed 1 / 3\noption nodes: not given / '5'\n"), 0u) << text;
}

}  // namespace
}  // namespace reel::harness
