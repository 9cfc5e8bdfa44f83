// Programs of the reader-group workload: members that read the cluster's partitions together, and an operator that creates
// partitions and writes to them meanwhile.
//
// A member is done with what it was handed at once, or after a while, or with part of it; fails at transactions, which it
// tries again, skips or stops at; it leaves and joins, is slow to release, and crashes (then a new member comes). What happens goes to the oracle (model/reader_group_oracle.h), and what
// is handed over to the feed's. At the end the group must have come to the end of every partition.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "harness/oracles.h"
#include "node/client_message.h"
#include "sim/decisions.h"

namespace reel::harness {

struct MemberMemory {
  std::uint64_t lives = 0;
  std::uint64_t draws = 0;
  std::uint32_t moves = 0;
};

struct MemberPlan {
  const io::ParcelCodec* call_codec = nullptr;
  std::vector<NodeId> nodes;  // the first is asked first
  NodeId self;
  io::Duration patience = io::seconds(1);
  std::uint32_t moves_max = 6;  // in all its lives: leaving and joining again, silences
  std::uint64_t seed = 0;
};

[[nodiscard]] std::unique_ptr<io::Host> make_group_member(io::Ports& ports, const MemberPlan& plan,
                                                          MemberMemory& memory, Oracles& oracles,
                                                          sim::Decisions& decisions);

// Survives the operator's crashes.
struct OperatorMemory {
  std::uint32_t partitions = 0;  // that are there, as it knows
  std::uint64_t lives = 0;
  std::uint64_t draws = 0;
  // Of the appends to each partition that it created.
  struct Stream {
    SessionId session;
    std::uint64_t submitted = 0;
    std::uint64_t answered = 0;
  };
  std::map<GroupId, Stream> streams;
};

struct OperatorPlan {
  const io::ParcelCodec* call_codec = nullptr;
  std::vector<NodeId> nodes;
  NodeId self;
  std::uint32_t partitions_from = 1;   // there are from the start
  std::uint32_t partitions_total = 1;  // that it creates, one after the other
  std::uint32_t transactions = 50;     // to each that it created
  io::Duration think_mean = io::milliseconds(300);
  std::uint64_t seed = 0;
};

[[nodiscard]] std::unique_ptr<io::Host> make_operator(io::Ports& ports, const OperatorPlan& plan,
                                                      OperatorMemory& memory, Oracles& oracles,
                                                      sim::Decisions& decisions);

}  // namespace reel::harness
