#include "harness/space_time.h"

#include <gtest/gtest.h>

#include <sstream>

#include "harness/tampering_for_tests.h"

namespace reel::harness {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

SimulationOptions harsh(std::uint64_t seed) {
  SimulationOptions options;
  options.seed = seed;
  options.setting = Setting::harsh;
  return options;
}

// A diagram that does not fit on a screen, or breaks its lines, is not read.
TEST(SpaceTime, FitsOnAScreen) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    for (const SpaceTimeSize size : {SpaceTimeSize{}, SpaceTimeSize{24, 80}}) {
      const std::vector<std::string> lines = lines_of(draw_space_time({harsh(seed), {}, {}}, size));
      EXPECT_LE(lines.size(), size.lines_max);
      EXPECT_GE(lines.size(), size.lines_max / 2);
      for (const std::string& line : lines) EXPECT_LE(line.size(), size.columns_max) << line;
    }
  }
}

// The turning points of a short run could be missing, or stand in another machine's column.
TEST(SpaceTime, ShowsElectionsMessagesAndTheFailure) {
  Tampering tampering;
  tampering.replies = [](ClientReply& reply) {
    auto* result = std::get_if<AppendResult>(&reply);
    if (result != nullptr && !result->runs.empty()) ++result->runs.front().id;
  };
  SimulationOptions options = harsh(1);
  options.setting = Setting::calm;
  options.workload = Workload::append;
  options.nodes = 3;
  options.cuts.requests = 3;
  const std::string text = draw_space_time({options, {}, tampering.between()}, {});
  for (const char* words : {"node 1", "node 3", "client 101", "boots", "LEADS t1", "vote? t1", "vote yes t1",
                            "append ", "commits ", "> append #1", "FAILS: durability"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  }
}

// Watching could change the run that is watched.
TEST(SpaceTime, ChangesNothing) {
  Simulation watched(harsh(2));
  RunReport report;
  {
    const SpaceTime diagram(watched);
    report = watched.run();
  }
  EXPECT_EQ(report.chain, Simulation(harsh(2)).run().chain);
}

}  // namespace
}  // namespace reel::harness
