// Reel's client, the values: what applications submit, apply and are told. Shared by the blocking client (reel/client.h) and
// the asynchronous one (reel/async_client.h). Nothing here needs Cap'n Proto, nor any other header of Reel.
//
// A partition is one totally ordered log of transactions with ids 0, 1, 2, … A view is the application's own state, made by
// applying them in order. A transaction is made from a view (`execute`) and names, as locks, the keys on which it depends
// or which it changes: it commits only if nothing that the view had not applied has changed their keys; else it is executed
// again on a newer view.
//
//   earlier, not applied yet \ this one     write lock   read lock   append lock
//   write or append lock                     conflict     conflict       ok
//   read lock                                    ok           ok         ok
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reel {

struct Error {
  enum class Code : std::uint8_t {
    unreachable,        // nobody answers, or not in time
    unauthorized,       // the cluster does not know this token, or it has not the rights
    no_such_partition,  // the cluster has none with this number
    not_mounted,        // by this client; or it is no member of this reader group
    mounted_already,    // or it is a member of this reader group already, or has not left it yet
    no_room,            // too much is outstanding
    closed,             // this client, or it is being closed
    refused,            // by the cluster, for another reason
    wrong_use,
  };
  Code code{};
  std::string text{};  // one sentence: what happened, and what to do
};
[[nodiscard]] const char* name_of(Error::Code code);

struct ConnectOptions {
  std::vector<std::string> addresses{};        // HOST:PORT; one that answers is enough, it knows the others
  std::string token{};                         // either this,
  std::string token_file{};                    // or the file whose first line it is
  std::chrono::milliseconds patience{10'000};  // to find the cluster
  // Which partition a key belongs to; needed by transactions that name none. Called on the client's thread.
  std::function<std::uint32_t(std::string_view)> partition_of{};

  std::chrono::milliseconds submit_timeout{30'000};  // of transactions that say nothing else
  std::uint32_t attempts_max = 16;                   // likewise: that the lock rule refuses
  std::chrono::milliseconds retry_min{1};            // before an execution after a refusal; doubles
  std::chrono::milliseconds retry_max{200};
  // For each partition.
  std::uint32_t outstanding_max = 4096;         // submissions that are not applied yet; at most 8192
  std::uint64_t outstanding_bytes = 16u << 20;  // of them, that are not answered yet
  std::uint64_t prefetch_bytes = 4u << 20;      // fetched, and not applied yet
};

// One transaction, as the application made it. At most 1 MiB of data and 256 locks.
struct Draft {
  std::uint32_t header = 0;
  std::string data{};
  std::vector<std::string> write_locks{};
  std::vector<std::string> read_locks{};
  std::vector<std::string> append_locks{};
};

// Why the lock rule refused an attempt.
struct Conflict {
  bool stale = false;    // changes as far back as the view are forgotten; else:
  std::string key{};     // this key
  std::uint64_t id = 0;  // was changed by this transaction; stale: what changed before this one is forgotten
};

// What an execution is made from.
struct Attempt {
  std::uint32_t number = 1;
  std::optional<std::uint64_t> applied{};  // the highest id in the view
  std::optional<Conflict> conflict{};      // of the last attempt that was sent
};

// Names a request for good: see resolve().
struct RequestId {
  std::uint64_t session_high = 0;
  std::uint64_t session_low = 0;
  std::uint64_t sequence = 0;  // 0: there was no request
  bool operator==(const RequestId&) const = default;
};

struct Outcome {
  enum class Kind : std::uint8_t {
    committed,
    conflict,  // refused by the lock rule, and not tried again; it never commits
    vetoed,    // by `execute`; it never commits
    burned,    // not tried any more, at its deadline or by cancel(); it never commits
    failed,    // `text` says why; it never commits
    unknown,   // it may have committed: nobody answered in time
  };
  Kind kind{};
  RequestId request{};
  std::uint64_t id = 0;        // committed
  std::uint64_t time = 0;      // committed: nanoseconds since 1970
  std::uint32_t attempts = 0;  // executions
  std::optional<Conflict> conflict{};
  std::string text{};
  bool committed() const { return kind == Kind::committed; }
};
[[nodiscard]] const char* name_of(Outcome::Kind kind);

// What became of a committed transaction in the view of the client that submitted it.
enum class Applied : std::uint8_t {
  applied,
  skipped,     // by the dead-letter hook
  unreported,  // the partition was unmounted, or the client closed, before the view came so far
};

struct Transaction {
  // Where to. Nothing: ConnectOptions::partition_of(key) says.
  std::optional<std::uint32_t> partition{};
  std::string key{};
  // Makes the transaction from the view, which stands still meanwhile. Called at least once, and again after conflicts.
  // Nothing: the application does not want it any more.
  std::function<std::optional<Draft>(const Attempt&)> execute;
  std::chrono::milliseconds timeout{0};  // 0: ConnectOptions::submit_timeout
  std::uint32_t attempts_max = 0;        // 0: ConnectOptions::attempts_max
  // An attempt was refused, and another one is allowed. False: there is none.
  std::function<bool(const Conflict&)> on_conflict{};
  // Exactly one on_failed; or one on_committed, then one on_applied.
  std::function<void(const Outcome&)> on_committed{};
  std::function<void(const Outcome&, Applied)> on_applied{};
  std::function<void(const Outcome&)> on_failed{};
};

// As it stands in the log. The data lies in memory of the client's: valid during the call.
struct CommittedTransaction {
  std::uint32_t partition = 0;
  std::uint64_t id = 0;
  std::uint64_t time = 0;  // of its commit: nanoseconds since 1970, rising with the ids
  RequestId request{};
  std::uint32_t header = 0;
  std::string_view data{};
};

// A transaction whose application failed.
struct DeadLetter {
  const CommittedTransaction& transaction;
  std::string why;
  std::uint32_t failures = 0;  // of this one, in a row
};
enum class Verdict : std::uint8_t {
  retry,  // after a pause that doubles
  skip,   // the view goes on behind it
  stop,   // the view stands still until resume(); other partitions go on
};

struct ViewState {
  enum class Status : std::uint8_t { running, retrying, stopped, failed };
  Status status{};
  std::uint32_t partition = 0;
  std::uint64_t next = 0;        // the first id that is not applied
  std::uint64_t high_water = 0;  // the first id that is not committed, as far as the feed has told
  std::string why{};             // empty while running
};
[[nodiscard]] const char* name_of(ViewState::Status status);

struct Mount {
  std::uint64_t from = 0;  // the first id that the view does not hold yet
  // Applies one transaction to the view, wholly or not at all; one after the other, in order. An error is one sentence; a
  // std::exception counts as one.
  std::function<std::expected<void, std::string>(const CommittedTransaction&)> apply;
  // Without it: retry apply_attempts_max times, then stop.
  std::function<Verdict(const DeadLetter&)> dead_letter{};
  std::uint32_t apply_attempts_max = 5;
  // The view is stopped, or failed: nothing more is applied.
  std::function<void(const ViewState&)> on_stopped{};
};

// A partition that a reader group gave to one of its members.
struct Share {
  std::uint32_t partition = 0;
  std::uint64_t epoch = 0;  // which time it was given to somebody
  std::uint64_t next = 0;   // gained: where it begins. Later: the first id that is not applied
  // As of the last answer of the cluster: the group's position. Whoever has the share next begins there.
  std::uint64_t kept = 0;
  ViewState::Status status{};
  std::string why{};  // empty while running
};

// A named group of readers, to whose members the cluster gives its partitions, each to one of them at a time. It keeps the
// group's position in each: what is done is never given out again, what is not is given out again by whoever is next. So
// each transaction is applied at least once, by somebody.
struct ReaderGroup {
  std::string name;  // 1 to 128 letters, digits, '.', '_', '-', ':' or '/'
  // Applies one transaction; each partition's one after the other, in order.
  std::function<std::expected<void, std::string>(const CommittedTransaction&)> apply;
  // Without it: retry apply_attempts_max times, then stop.
  std::function<Verdict(const DeadLetter&)> dead_letter{};
  std::uint32_t apply_attempts_max = 5;
  // False: what is applied, or skipped, is done. True: the application says so, with done().
  bool done_by_hand = false;
  std::function<void(const Share&)> on_gained{};
  std::function<void(const Share&)> on_lost{};
  // A share stands still, until resume() or until it is lost.
  std::function<void(const ViewState&)> on_stopped{};
  // The cluster refuses this member, or sends it damage: it gets nothing more. Once.
  std::function<void(const Error&)> on_failed{};
  // A member that the cluster does not hear of for so long loses its shares; it notices by itself. 100 ms to an hour.
  std::chrono::milliseconds patience{10'000};
  std::chrono::milliseconds report_delay{1'000};  // from progress to when the cluster hears of it
  std::uint64_t prefetch_bytes = 16u << 20;       // of all its shares: fetched, and not applied yet
};

struct Found {
  std::uint64_t id = 0;
  std::uint64_t time = 0;
  RequestId request{};
  std::uint32_t header = 0;
  std::string data{};
};

// What became of a request.
struct Resolution {
  enum class Kind : std::uint8_t { committed, burned, undecided };
  Kind kind{};
  std::uint64_t id = 0;    // committed
  std::uint64_t time = 0;  // committed
};

}  // namespace reel
