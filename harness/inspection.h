// What can be read of a simulated run at one moment, and where such a moment is.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "harness/simulation.h"

namespace reel::harness {

// A moment of a run: after so many events, or before the first event that is later than a time.
struct Moment {
  std::optional<std::uint64_t> events;
  io::Instant time;  // if there is no number of events
};
// "12.3s", "450ms", "70us" or "5ns" into the run, or a number of events; the error is a sentence.
[[nodiscard]] std::expected<Moment, std::string> parse_moment(std::string_view text);
// Nothing of the run is missing before the moment: the next event would be beyond it.
[[nodiscard]] bool is_reached(const Moment& moment, const sim::World& world);

// "node2", "node 2", "client101" or a number: a machine of this run; nullopt if it has none such.
[[nodiscard]] std::optional<NodeId> machine_by_name(const Simulation& simulation, std::string_view name);

// A machine, readable: whether it runs; of a replica everything that its node tells (node/describe.h); its disk; what is
// under way to it.
[[nodiscard]] std::string inspect(Simulation& simulation, NodeId machine);

// Says of each event in a few words what it was. Outlived by the simulation.
class Narrator final : private sim::Observer, private node::StepObserver {
 public:
  explicit Narrator(Simulation& simulation);
  ~Narrator() override;
  Narrator(const Narrator&) = delete;
  Narrator& operator=(const Narrator&) = delete;

  // One line about the last event: its number, time, machine, kind, and what was received or asked.
  [[nodiscard]] std::string last() const;

 private:
  void on_event(const sim::EventRecord& record) override;
  void on_step(const node::Node& node, const io::Now& now, const node::Event& event,
               const node::Effects& effects) override;

  Simulation& simulation_;
  sim::EventRecord record_;
  std::uint64_t number_ = 0;
  std::string step_;  // of the event that is under way
  std::string text_;
};

}  // namespace reel::harness
