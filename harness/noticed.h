// Which coverage marks are the notice of which fault (faults.md: armed, fired, noticed). A mark is reached by the code
// under test, on a branch that a healthy run does not take; harness/noticed_test.cc proves this for each rule: the mark
// is absent from calm runs, and a run with this kind alone reaches it.
//
// A mark counts for a kind if that kind fired at most kNoticedWithin before it, and each firing is noticed at most once: so
// noticed <= fired, and what another fault caused long after is not credited. A mark that several faults lead to counts
// only during the storm: afterwards nodes outside the core break for good, which is no fault of the catalogue.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/ports/time.h"
#include "sim/fault_kind.h"

namespace reel::harness {

struct NoticeRule {
  sim::FaultKind kind{};
  const char* mark = nullptr;
  bool names_its_cause = false;  // nothing else leads there: it counts whenever it comes after the fault
};
// The others count if they come so soon after the fault.
inline constexpr io::Duration kNoticedWithin = io::seconds(3);
[[nodiscard]] std::span<const NoticeRule> notice_rules();

class Noticed {
 public:
  // Counts into these counters. With rare branches armed in the code under test (REEL_BUGGIFY), a mark may be their
  // doing: only those that name their cause count.
  Noticed(sim::FaultCounters& counters, bool rare_branches)
      : counters_(counters), credulous_(!rare_branches) {}

  // To be called after every event: remembers when each kind fired last.
  void at(io::Instant now) {
    if (counters_.fires() != fires_) [[unlikely]]
      look(now);
  }
  // `deliberate`: clients may have caused it for no reason; then it is counted, and nobody is credited.
  void marked(std::string_view name, io::Instant now, bool deliberate = false);
  void storm_is_over() { credulous_ = false; }
  // How often each mark was reached.
  [[nodiscard]] std::map<std::string, std::uint64_t> marks() const;

 private:
  struct Mark {
    std::uint64_t count = 0;
    std::vector<const NoticeRule*> rules;
  };
  void look(io::Instant now);

  sim::FaultCounters& counters_;
  bool credulous_;
  std::uint64_t fires_ = 0;
  std::array<std::uint64_t, sim::kFaultKinds> fired_{};
  std::array<io::Instant, sim::kFaultKinds> fired_at_{};
  std::map<std::string, Mark, std::less<>> marks_;
};

}  // namespace reel::harness
