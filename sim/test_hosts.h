// Small programs for the tests of this room.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/world.h"

namespace reel::sim {

// What a host heard, in order, as text; kept outside of it, so it outlives crashes.
struct Heard {
  std::vector<std::string> lines;
  std::vector<io::Instant> times;
  std::size_t count(std::string_view prefix) const {
    std::size_t found = 0;
    for (const std::string& line : lines) found += line.starts_with(prefix) ? 1 : 0;
    return found;
  }
};

// Writes down everything, and does what the test gave it to do.
class ScriptHost final : public io::Host {
 public:
  struct Script {
    std::function<void(io::Ports&)> start = [](io::Ports&) {};
    std::function<void(io::Ports&)> wake = [](io::Ports&) {};
    std::function<void(io::Ports&, io::NodeId, const io::Parcel&)> received = [](io::Ports&, io::NodeId,
                                                                                 const io::Parcel&) {};
    std::function<void(io::Ports&, const io::DiskResult&)> disk = [](io::Ports&, const io::DiskResult&) {};
    std::function<void(io::Ports&, io::CallId, const io::Parcel&)> call = [](io::Ports&, io::CallId,
                                                                             const io::Parcel&) {};
  };

  ScriptHost(io::Ports& ports, const Script& script, Heard& heard)
      : ports_(ports), script_(script), heard_(heard) {}

  void on_start() override {
    hear("start");
    script_.start(ports_);
  }
  void on_wake() override {
    hear("wake");
    script_.wake(ports_);
  }
  void on_disk(io::DiskResult result) override {
    hear(std::string("disk ") + io::name_of(result.verb) + " " + io::name_of(result.status));
    script_.disk(ports_, result);
  }
  void on_received(io::NodeId from, io::Parcel parcel) override {
    const std::string body =
        parcel.is<io::Bytes>() ? std::string(parcel.get<io::Bytes>().text()) : std::string("?");
    hear("received " + std::to_string(from.value) + " " + body);
    script_.received(ports_, from, parcel);
  }
  void on_peer_up(io::NodeId peer, io::ConnectionId) override { hear("up " + std::to_string(peer.value)); }
  void on_peer_down(io::NodeId peer, io::ConnectionId) override {
    hear("down " + std::to_string(peer.value));
  }
  void on_call(io::CallId call, io::Rights, io::Parcel body) override {
    hear("call " + std::string(body.get<io::Bytes>().text()));
    script_.call(ports_, call, body);
  }
  void on_call_cancelled(io::CallId call) override { hear("cancelled " + std::to_string(call.value)); }
  void on_reply(io::CallId call, io::Parcel body) override {
    hear("reply " + std::to_string(call.value) + " " + std::string(body.get<io::Bytes>().text()));
  }
  void on_call_failed(io::CallId call) override { hear("failed " + std::to_string(call.value)); }

 private:
  void hear(std::string line) {
    heard_.lines.push_back(std::move(line));
    heard_.times.push_back(ports_.clock.now().monotonic);
  }

  io::Ports& ports_;
  const Script& script_;
  Heard& heard_;
};

// Adds a machine with this script; script and heard outlive the world.
inline void add_script(World& world, std::uint64_t id, const ScriptHost::Script& script, Heard& heard,
                       MachineRole role = MachineRole::node) {
  MachineOptions options;
  options.id = io::NodeId(id);
  options.role = role;
  options.factory = [&script, &heard](io::Ports& ports) -> std::unique_ptr<io::Host> {
    return std::make_unique<ScriptHost>(ports, script, heard);
  };
  world.add(std::move(options));
}

inline io::Parcel text_parcel(std::string_view text) { return io::parcel_of(io::Bytes::copy_of(text)); }

// A machine that gossips: wakes, sends to a drawn peer, writes and syncs now and then, all keyed by its own counter.
class GossipHost final : public io::Host {
 public:
  GossipHost(io::Ports& ports, std::uint64_t seed, std::uint64_t self, std::uint64_t machines)
      : ports_(ports), seed_(seed), self_(self), machines_(machines) {}

  void on_start() override {
    ports_.disk.submit({.op = io::DiskOpId(++op_),
                        .verb = io::DiskVerb::create,
                        .file = io::FileId(1),
                        .name = "f" + std::to_string(draw(1'000'000)),
                        .offset = 0,
                        .length = 16 * io::kSectorBytes,
                        .data = {}});
    arm();
  }
  void on_wake() override {
    const io::NodeId to(draw(machines_) + 1);
    ports_.network.send(to, text_parcel("gossip " + std::to_string(step_)));
    if (open_ && !writing_ && draw(3) == 0) write();
    arm();
  }
  void on_received(io::NodeId from, io::Parcel) override {
    if (draw(4) == 0) ports_.network.send(from, text_parcel("echo"));
  }
  void on_disk(io::DiskResult result) override {
    if (result.verb == io::DiskVerb::create) open_ = result.status == io::DiskStatus::ok;
    if (result.verb == io::DiskVerb::write) {
      writing_ = false;
      ports_.disk.submit({.op = io::DiskOpId(++op_),
                          .verb = io::DiskVerb::sync,
                          .file = io::FileId(1),
                          .name = {},
                          .offset = 0,
                          .length = 0,
                          .data = {}});
    }
  }

 private:
  std::uint64_t draw(std::uint64_t bound) { return io::keyed_hash(seed_, {self_, ++step_}) % bound; }
  void arm() {
    const auto wait = static_cast<std::int64_t>(draw(2'000) + 100);
    ports_.clock.wake_at(ports_.clock.now().monotonic + io::microseconds(wait));
  }
  void write() {
    writing_ = true;
    const std::uint64_t pages = 1 + draw(3);
    io::Buffer buffer = io::Buffer::allocate(pages * io::kSectorBytes);
    std::memset(buffer.data(), static_cast<int>(step_ & 255), buffer.size());
    ports_.disk.submit({.op = io::DiskOpId(++op_),
                        .verb = io::DiskVerb::write,
                        .file = io::FileId(1),
                        .name = {},
                        .offset = draw(12) * io::kSectorBytes,
                        .length = pages * io::kSectorBytes,
                        .data = {std::move(buffer).freeze()}});
  }

  io::Ports& ports_;
  std::uint64_t seed_, self_, machines_;
  std::uint64_t step_ = 0;
  std::uint64_t op_ = 0;
  bool open_ = false;
  bool writing_ = false;
};

inline void add_gossip(World& world, std::uint64_t machines) {
  for (std::uint64_t i = 1; i <= machines; ++i) {
    MachineOptions options;
    options.id = io::NodeId(i);
    options.factory = [&world, i, machines](io::Ports& ports) -> std::unique_ptr<io::Host> {
      const std::uint64_t life = world.life(io::NodeId(i));
      return std::make_unique<GossipHost>(ports, world.decisions().seed() + life, i, machines);
    };
    world.add(std::move(options));
  }
}

}  // namespace reel::sim
