// A program on client::Client: views of several partitions that it mounts and unmounts, submissions that contend for few
// keys, poison transactions in every log, questions, flushes and clean ends. Between it and its ports stands a garbler: some
// answers come twice, or as something else, or not at all.
//
// What is demanded of the client, besides what the log's and the locks' oracles know:
//   view-order      a view is applied to in order of id, each transaction once, from where it was mounted
//   view-poison     nothing is applied past a poison transaction that was not skipped; failures are counted
//   submit-outcome  each submission ends once, and as it says: what is told as applied is in the view, and is its own
//   submit-deadline and question-deadline   everything ends in time
//   flush           it waits for all that was before it, and is late only after its timeout
//   high-water      a linearizable one is not below what anybody was told before
//   lookup          it finds what is committed, and nothing else
//   resolve         it says of an ended request what its outcome said
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "harness/oracles.h"
#include "node/client/client.h"
#include "sim/decisions.h"

namespace reel::harness {

// Survives the client's crashes.
struct ViewMemory {
  std::uint32_t operations = 0;  // submissions that were begun
  std::uint32_t answered = 0;
  std::uint32_t lost = 0;  // the client crashed meanwhile
  std::uint64_t lives = 0;
  std::uint64_t draws = 0;           // so that no life repeats another
  std::map<GroupId, TxnId> applied;  // how far its views are: the next id of each
  bool closed = false;               // it follows no longer
};

// What all clients of a run together were told.
struct ViewTruth {
  std::map<GroupId, TxnId> acknowledged;  // one above the highest id
};

struct ViewPlan {
  const io::ParcelCodec* call_codec = nullptr;
  std::vector<NodeId> nodes;
  NodeId self;
  std::uint32_t partitions = 1;  // groups 1, 2, …
  std::uint32_t operations = 0;
  std::uint32_t outstanding = 4;
  bool durable = false;  // its views survive a crash; else they begin anew
  bool troubled = true;  // garbled answers, hardly any time, cancellations, poison
  io::Duration think_mean = io::milliseconds(30);
};

[[nodiscard]] std::unique_ptr<io::Host> make_view_client(io::Ports& ports, const ViewPlan& plan,
                                                         ViewMemory& memory, ViewTruth& truth,
                                                         Oracles& oracles, sim::Decisions& decisions);

}  // namespace reel::harness
