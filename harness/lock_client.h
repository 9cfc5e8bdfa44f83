// A client that contends for keys: it reads the log of its partition, and appends transactions with locks on a few keys
// that it shares with others, based on what it has read, now and then on less. It repeats requests, executes refused ones
// again under the same request id, gives requests up and resolves them, and changes its session. Every answer goes to the
// oracles: the lock rule, exactly once, burns.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "harness/oracles.h"
#include "sim/decisions.h"
#include "sim/fiber.h"

namespace reel::harness {

// Survives the client's crashes.
struct LockClientMemory {
  std::uint32_t operations = 0;  // begun
  std::uint32_t answered = 0;
  std::uint32_t lost = 0;  // the client crashed meanwhile
  std::uint64_t lives = 0;
  std::uint64_t draws = 0;  // so that no life repeats another
  TxnId position;           // everything below it is applied
  Index known;              // applied, as it was told
};

// The partition of lock clients.
inline constexpr GroupId kLockGroup{3};

struct LockClientPlan {
  const io::ParcelCodec* call_codec = nullptr;
  GroupId group = kLockGroup;
  bool looks = false;  // asks what became of a request, before it resolves it
  std::vector<NodeId> nodes;
  NodeId self;
  std::uint32_t operations = 0;
  std::uint32_t keys = 8;  // shared by all clients
  bool repeats = true;     // repeats requests, and gives some up, for no reason
  io::Duration think_mean = io::milliseconds(30);
  io::Duration call_timeout = io::milliseconds(400);
  std::uint64_t seed = 0;
};

// The key that lock clients call by this number.
[[nodiscard]] log::LockKey lock_client_key(std::uint32_t number);

[[nodiscard]] std::unique_ptr<io::Host> make_lock_client(io::Ports& ports, const LockClientPlan& plan,
                                                         LockClientMemory& memory, Oracles& oracles,
                                                         sim::Decisions& decisions);

}  // namespace reel::harness
