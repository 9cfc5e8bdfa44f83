// A run as text: one column for each machine, time downward. What is said twice is folded, heartbeats are left out, and of
// a long run the turning points and the last events before the end are kept, so that it fits on a screen.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "harness/simulation.h"
#include "harness/trial.h"

namespace reel::harness {

struct SpaceTimeSize {
  std::size_t lines_max = 60;     // with the faults above and the failure below
  std::size_t columns_max = 120;  // of a line; at least 40
};

// Watches a simulation from before its run until the text is asked for; outlived by it.
class SpaceTime final : private sim::Observer, private node::StepObserver {
 public:
  explicit SpaceTime(Simulation& simulation);
  ~SpaceTime() override;
  SpaceTime(const SpaceTime&) = delete;
  SpaceTime& operator=(const SpaceTime&) = delete;

  [[nodiscard]] std::string text(const SpaceTimeSize& size = {}) const;

 private:
  // How much a row explains; the least goes first.
  enum class Weight : std::uint8_t { answer, traffic, decision, turn };
  struct Row {
    io::Instant time;
    std::size_t column = 0;  // of `columns_`; its size: the world
    std::optional<std::size_t> from;
    std::string text;
    Weight weight = Weight::traffic;
    std::uint32_t times = 1;
  };
  class Canvas;

  void on_event(const sim::EventRecord& record) override;
  void on_step(const node::Node& node, const io::Now& now, const node::Event& event,
               const node::Effects& effects) override;
  void on_received(NodeId self, const node::ReceivedParcel& received);
  void on_note(NodeId self, const node::Note& note);
  void add(NodeId machine, std::string text, Weight weight, std::optional<NodeId> from = std::nullopt);
  std::size_t column_of(NodeId machine) const;
  std::vector<std::size_t> chosen(std::size_t count) const;
  void draw(const Row& row, std::size_t width, std::size_t columns_max, std::string& out) const;

  Simulation& simulation_;
  std::vector<NodeId> columns_;
  std::vector<Row> rows_;
  std::size_t dropped_ = 0;  // rows of little weight, long before the end
};

// The run of this trial, in this process.
[[nodiscard]] std::string draw_space_time(const Trial& trial, const SpaceTimeSize& size = {});

}  // namespace reel::harness
