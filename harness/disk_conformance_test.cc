// The contract of io::Disk, the same list of tests that the real disk passes (io/real/disk_contract.h), on the simulated
// one: so the model of the world is itself held against the world.
#include <gtest/gtest.h>

#include <memory>

#include "io/real/disk_contract.h"
#include "sim/world.h"

namespace reel::harness {
namespace {

// Keeps the ports of one life and what comes back.
class Recorder final : public io::Host {
 public:
  Recorder(io::Ports& ports, io::Ports** place, std::vector<io::DiskResult>* results) : results_(results) {
    *place = &ports;
  }
  void on_start() override {}
  void on_disk(io::DiskResult result) override { results_->push_back(std::move(result)); }

 private:
  std::vector<io::DiskResult>* results_;
};

class SimulatedDiskWorld final : public real::DiskWorld {
 public:
  SimulatedDiskWorld() : world_(sim::WorldOptions{}) {
    sim::MachineOptions machine;
    machine.id = io::NodeId(1);
    machine.factory = [this](io::Ports& ports) {
      return std::make_unique<Recorder>(ports, &ports_, &results_);
    };
    world_.add(machine);
    boot();
  }
  io::Disk& disk() override { return ports_->disk; }
  std::vector<io::DiskResult> pump() override {
    while (results_.empty() && world_.step()) {
    }
    EXPECT_FALSE(world_.failed()) << world_.failure()->text;
    return std::exchange(results_, {});
  }
  void reopen() override {
    world_.crash(io::NodeId(1), sim::CrashOrder{});  // without power loss: what was completed is still seen
    boot();
  }

 private:
  void boot() {
    world_.boot(io::NodeId(1));
    while (!world_.running(io::NodeId(1)) && world_.step()) {
    }
  }

  io::Ports* ports_ = nullptr;
  std::vector<io::DiskResult> results_;
  sim::World world_;
};

class SimulatedDiskContract : public testing::TestWithParam<std::size_t> {};

// The simulated disk could promise more, or less, than the real one: what is proved in the simulator would not hold.
TEST_P(SimulatedDiskContract, Holds) {
  SimulatedDiskWorld world;
  real::disk_contract()[GetParam()].check(world);
}

INSTANTIATE_TEST_SUITE_P(Disk, SimulatedDiskContract,
                         testing::Range<std::size_t>(0, real::disk_contract().size()),
                         [](const testing::TestParamInfo<std::size_t>& one) {
                           return std::string(real::disk_contract()[one.param].name);
                         });

}  // namespace
}  // namespace reel::harness
