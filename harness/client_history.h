// What one client of the simulator saw, kept for the transactional checker: its transactions, and its view of the log as
// lists. Each attempt of a submit is a transaction of its own, so one that commits although another was executed in its place
// shows; what a crash cut off stays unknown.
//
// Reads are kept as lengths, since a view only grows: memory is 32 bytes an access and 8 bytes for each value and life.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/transactions.h"

namespace reel::harness {

class ClientHistory {
 public:
  using Attempt = std::size_t;

  // Another life of the client: another process to the checker, with an empty view.
  void begin_life(std::uint64_t process);
  // The view: transactions of the log append these, in this order.
  void apply(std::uint64_t key, std::uint64_t value) { views_.back()[key].push_back(value); }
  [[nodiscard]] std::size_t length(std::uint64_t key) const;

  [[nodiscard]] Attempt begin(std::uint64_t time);
  // In the attempt's own order. It reads the view as it is now, with what it has appended itself behind it.
  void read(Attempt attempt, std::uint64_t key);
  void append(Attempt attempt, std::uint64_t key, std::uint64_t value);
  void committed(Attempt attempt, std::uint64_t time);
  void aborted(Attempt attempt);

  // As the checker wants it; the lists that it refers to are kept in `lists`, and here.
  void add_to(std::vector<model::ClientTransaction>& history,
              std::deque<std::vector<std::uint64_t>>& lists) const;

 private:
  struct Kept {
    model::Access::Verb verb{};
    std::uint64_t key = 0;
    std::uint64_t value = 0;  // append
    std::size_t length = 0;   // read: of the view
  };
  struct Transaction {
    std::uint64_t process = 0;
    std::uint64_t call = 0;
    std::uint64_t returned = model::ClientTransaction::kOpen;
    model::Fate fate = model::Fate::unknown;
    std::size_t view = 0;
    std::vector<Kept> accesses;
  };
  using View = std::map<std::uint64_t, std::vector<std::uint64_t>>;

  std::uint64_t process_ = 0;
  std::deque<View> views_;  // of each life
  std::vector<Transaction> transactions_;
};

// Judges what all clients saw together, and nothing else: a sentence if it is not strictly serializable.
[[nodiscard]] std::optional<std::string> judge_histories(std::span<const ClientHistory* const> clients);

}  // namespace reel::harness
