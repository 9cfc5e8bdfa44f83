// The feed oracle: what readers with filters were shown, held against the log. One oracle watches one partition. It judges
// every transaction for itself: neither the node's nor the client's idea of a match is asked.
//
// A reader walks through the ids. Whatever it passes by, because it got a later transaction or was told that the node
// looked further, must not match; whatever it gets must match, and be what stands there. Nodes show only what they have
// applied, and say so first; so each fact is judged at once.
//
// Names of what can be violated (stable):
//   filtered-feed  a reader was not shown a match, or twice, or what does not match, or not what stands in the log; or it
//                  was told that something was looked at that no node has applied
//
// Cost: O(locks) for each transaction and each reader that passes it. Memory: about 60 bytes a transaction, and 16 a lock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "model/violation.h"
#include "node/types.h"

namespace reel::model {

// What a reader may see of a transaction.
struct Shown {
  std::uint64_t time = 0;  // commit time
  std::uint32_t header = 0;
  std::uint64_t digest = 0;    // of everything else
  std::vector<LockKey> locks;  // of all modes
  bool operator==(const Shown&) const = default;
};

// What a reader asked for: all of it must hold.
struct Wanted {
  std::uint64_t time_min = 0;
  std::uint32_t header_mask = 0;
  std::uint32_t header_value = 0;
  std::optional<LockKey> lock;
};

class FeedOracle {
 public:
  using Finding = std::optional<Violation>;
  // Numbers the readers; chosen by the caller.
  using Reader = std::uint64_t;

  // Ids come as 0, 1, 2, …; what is known (from another node) need not be told again, and changes nothing.
  bool knows(TxnId id) const { return id.value < log_.size(); }
  void applied(TxnId id, const Shown& transaction);
  // The reader starts, or starts again, at `from`.
  void opened(Reader reader, TxnId from, const Wanted& wanted);
  [[nodiscard]] Finding fed(Reader reader, TxnId id, const Shown& transaction);
  // The reader goes on at `next`: there is nothing for it before that.
  [[nodiscard]] Finding passed(Reader reader, TxnId next);

 private:
  struct Progress {
    Wanted wanted;
    TxnId next;
  };
  std::vector<Shown> log_;
  std::map<Reader, Progress> readers_;
};

}  // namespace reel::model
