// A teller of the simulated bank: accounts are its view of the log, in memory, and each operation is checked against that
// view and submitted with the locks that make the view the right one. Several tellers work on few accounts, some of their
// submits have hardly any time, some are cancelled. Every outcome goes to the oracles: the bank's own books, the lock rule,
// exactly once, burns; and every submit must end in time. At the end the histories of all tellers are judged by themselves for
// strict serializability: the existence of an account and its balance are lists of the operations on them, a read lock is a
// read, an append lock an append, a write lock both.
//
//   operation                 locks
//   open an account           write its existence
//   deposit                   read its existence, append to its balance: deposits do not hinder each other
//   transfer                  read the existence of both, write both balances
//   close, paying out         write its existence and its balance
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
struct BankMemory {
  std::uint32_t operations = 0;  // begun
  std::uint32_t answered = 0;
  std::uint32_t lost = 0;  // the client crashed meanwhile
  std::uint64_t lives = 0;
  std::uint64_t draws = 0;  // so that no life repeats another
  ClientHistory history;
};

struct BankPlan {
  const io::ParcelCodec* call_codec = nullptr;
  std::vector<NodeId> nodes;  // the first is asked first
  NodeId self;
  std::uint32_t operations = 0;
  std::uint32_t accounts = 4;     // shared by all tellers
  std::uint32_t outstanding = 4;  // submits at once
  bool impatient = true;          // some submits have hardly any time, some are cancelled
  io::Duration think_mean = io::milliseconds(30);
  std::uint64_t seed = 0;
  std::function<std::uint64_t()> clock;  // one clock for all tellers: the world's
};

[[nodiscard]] std::unique_ptr<io::Host> make_bank_client(io::Ports& ports, const BankPlan& plan,
                                                         BankMemory& memory, Oracles& oracles,
                                                         sim::Decisions& decisions);

}  // namespace reel::harness
