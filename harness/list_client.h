// A client whose transactions read and append to lists, as Elle's list-append does: lists are its view of the log, reads come
// from there, and locks make the view the right one. What it saw is judged for strict serializability at the end of the run,
// from the histories of all of these clients alone; the lock oracle does not watch their partition.
//
//   a transaction's key is   locked for
//   read                     read
//   appended to              append, or now and then write
//   read and appended to     write, or read and append
//
// A list that is long enough is left for a new one, so that there are always some that nobody has written to.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "harness/client_history.h"
#include "harness/oracles.h"
#include "node/client/driver.h"
#include "sim/decisions.h"

namespace reel::harness {

// Survives the client's crashes.
struct ListMemory {
  std::uint32_t operations = 0;  // begun
  std::uint32_t answered = 0;
  std::uint32_t lost = 0;  // the client crashed meanwhile
  std::uint64_t lives = 0;
  std::uint64_t draws = 0;   // so that no life repeats another
  std::uint64_t values = 0;  // nor a value
  ClientHistory history;
};

struct ListPlan {
  const io::ParcelCodec* call_codec = nullptr;
  std::vector<NodeId> nodes;  // the first is asked first
  NodeId self;
  std::uint32_t operations = 0;
  std::uint32_t keys = 4;         // lists at one time, shared by all clients
  std::uint32_t outstanding = 4;  // submits at once
  bool impatient = true;          // some submits have hardly any time, some are cancelled
  io::Duration think_mean = io::milliseconds(30);
  std::uint64_t seed = 0;
  std::function<std::uint64_t()> clock;  // one clock for all clients: the world's
};

[[nodiscard]] std::unique_ptr<io::Host> make_list_client(io::Ports& ports, const ListPlan& plan,
                                                         ListMemory& memory, Oracles& oracles,
                                                         sim::Decisions& decisions);

}  // namespace reel::harness
