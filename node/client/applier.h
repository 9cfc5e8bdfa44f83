// Applier: applies the transactions of one partition to one view, each once and in order, as pure logic. What the
// application fails at is tried again after a pause that doubles, skipped by the application's own word, or the view stands
// still until resume(). Nothing is ever applied past a transaction that failed.
//
// A std::exception out of `apply` or `dead_letter` counts as a failure. Transactions are applied where they lie in the feed's
// answer: no copy. Bounds are whoever feeds it's: it says how many bytes wait.
#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "io/ports/time.h"
#include "node/log/record.h"
#include "node/types.h"

namespace reel::client {

// What became of a committed transaction in a view.
enum class Application : std::uint8_t {
  applied,
  skipped,     // by the dead-letter hook, or by resume()
  unreported,  // the partition was unmounted before its view came so far
};

// A transaction whose application failed.
struct Poison {
  GroupId partition;
  const log::Transaction& transaction;
  std::string why;
  std::uint32_t failures = 0;  // of this one, in a row
};
enum class Verdict : std::uint8_t {
  retry,  // after a pause that doubles
  skip,   // the view goes on behind it
  stop,   // the view stands still until resume()
};

enum class ViewStatus : std::uint8_t {
  running,
  retrying,  // at a poison transaction
  stopped,   // at a poison transaction, until resume()
  failed,    // nothing more comes: the feed is damaged, or the cluster refuses to send it
};
[[nodiscard]] const char* name_of(ViewStatus status);

struct ViewState {
  using Status = ViewStatus;
  Status status{};
  TxnId next;        // the first id that is not applied
  TxnId high_water;  // as far as the feed has told
  std::string why;   // of the last failure; empty while running
};

struct ApplierOptions {
  // Applies one transaction to the view: wholly, or not at all. A failure is one sentence.
  std::function<std::expected<void, std::string>(GroupId, const log::Transaction&)> apply;
  // What to do about a transaction whose application failed. Without it: retry apply_attempts_max times, then stop.
  std::function<Verdict(const Poison&)> dead_letter{};
  std::uint32_t apply_attempts_max = 5;
  io::Duration retry_min = io::milliseconds(20);
  io::Duration retry_max = io::seconds(5);
};

class Applier {
 public:
  struct Passed {
    TxnId id;
    Application how{};
  };

  // `next` is the first id that the view does not hold.
  Applier(GroupId group, ApplierOptions options, TxnId next, std::uint64_t seed);

  // The next transaction; it lies in `memory`. With a filter ids have gaps, else they follow each other.
  void take(const log::Transaction& transaction, const Bytes& memory);
  // Applies the first that waits, if it may be now. Returns what is done with; nothing: there is nothing to do for now.
  std::optional<Passed> apply_one(const io::Now& now);
  // Lets a stopped view go on; one that is skipped is returned. Requires stopped().
  std::optional<Passed> resume(Verdict verdict);
  // Nothing more comes.
  void fail(std::string why);
  // Applies nothing more, even when a callback asks for it from within apply_one().
  void close() { closed_ = true; }
  // Forgets what waits; what follows begins at next() again. A view that stood still at one of them runs.
  void drop();

  GroupId group() const { return group_; }
  TxnId next() const { return next_; }  // the first id that the view does not hold
  ViewStatus status() const { return status_; }
  const std::string& why() const { return why_; }  // of the last failure; empty while running
  bool stopped() const { return status_ == ViewStatus::stopped; }
  bool applying() const { return applying_; }  // from within `apply`, which is at next()
  bool idle() const { return queue_.empty() && status_ == ViewStatus::running; }
  std::uint64_t bytes() const { return bytes_; }  // that wait
  // When apply_one() has something to do; kNever if it needs something from outside first.
  io::Instant deadline(const io::Now& now) const;
  // True once after each time that the view stood still, or failed.
  bool take_news() { return std::exchange(news_, false); }

 private:
  struct Waiting {
    log::Transaction transaction;  // lies in `memory`
    Bytes memory;
  };

  std::expected<void, std::string> apply(const log::Transaction& transaction);
  Verdict verdict_on(const Poison& poison);
  std::optional<Passed> poisoned(std::string why, const io::Now& now);
  Passed pass(Application how);
  void stop(ViewStatus status, std::string why);

  GroupId group_;
  ApplierOptions options_;
  std::uint64_t seed_;
  std::deque<Waiting> queue_;
  std::uint64_t bytes_ = 0;
  TxnId next_;
  ViewStatus status_ = ViewStatus::running;
  std::string why_;
  std::uint32_t failures_ = 0;  // of the front of the queue
  io::Instant retry_at_;        // retrying
  bool applying_ = false;
  bool closed_ = false;
  bool news_ = false;
};

}  // namespace reel::client
