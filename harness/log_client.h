// A client whose history is judged on its own, without looking inside: it appends single transactions, asks for the
// linearizable high-water mark, and reads the log from the front, one operation at a time, as plain blocking code on a
// fiber. Operations that it did not live to see answered stay open in the history.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "harness/oracles.h"
#include "model/history.h"
#include "sim/decisions.h"
#include "sim/fiber.h"

namespace reel::harness {

// Survives the client's crashes.
struct LogClientMemory {
  std::vector<model::Operation> history;
  std::uint32_t operations = 0;  // begun
  std::uint32_t answered = 0;
  std::uint32_t lost = 0;  // open for ever: the client crashed meanwhile
  std::uint64_t lives = 0;
  std::uint64_t sessions = 0;
  Index known;               // applied, as it was told
  std::uint64_t values = 0;  // appended or tried
  // The prefix that it has read: how long, its digest, and what it saw there.
  TxnId position;
  std::uint64_t digest = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> seen;  // id, value
};

struct LogClientPlan {
  const io::ParcelCodec* call_codec = nullptr;
  GroupId group{2};
  std::vector<NodeId> nodes;
  NodeId self;
  std::uint32_t operations = 0;
  io::Duration think_mean = io::milliseconds(30);
  io::Duration call_timeout = io::milliseconds(400);
  std::uint64_t seed = 0;
  std::function<std::uint64_t()> clock;  // one clock for all clients: the world's
};

[[nodiscard]] std::unique_ptr<io::Host> make_log_client(io::Ports& ports, const LogClientPlan& plan,
                                                        LogClientMemory& memory, Oracles& oracles,
                                                        sim::Decisions& decisions);

// Judges what all log clients of one partition saw; a sentence if it cannot be explained.
struct LogVerdict {
  bool legal = true;
  bool known = true;  // false: the budget of the checker was used up
  std::string text;
};
[[nodiscard]] LogVerdict judge_log_histories(const std::vector<std::unique_ptr<LogClientMemory>>& memories);

}  // namespace reel::harness
