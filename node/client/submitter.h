// Submitter: transactions with optimistic locks from submit to outcome, as pure logic. The application says how to make a
// transaction from what it has applied; the submitter has it executed, appends it, has it executed again when the lock rule
// refuses it, and ends every submit in exactly one outcome.
//
// Invariants
// - No submit commits twice. All attempts share one request id, and an attempt is never replaced before the cluster has
//   refused it: a refused content stays refused for ever (changes are not undone and the window's floor only rises), so
//   at most the newest content of a request can commit, however late copies of it come.
// - "Never commits" is only said of what was never sent, or was refused, or is burned in the log by a resolve.
// - After a refusal by transaction N a submit is executed again only when the application's view has passed N: before, it
//   could only be refused again.
// - A sequence is in at most one call at a time, and always with its own session. A session is opened by burning its first
//   sequence: nothing of value is sent under a session that may not be there. When a session was dropped, what was never
//   sent, or is refused, moves to a new one; what was sent and not answered is unknown, for nobody remembers it.
//
// Bounds: outstanding_max submits; records up to bytes_max plus one (a record is made when there is room to send it and
// kept until it is answered); calls_in_flight_max appends and kResolvesInFlightMax resolves; an outcome at the latest
// `grace` after the submit's deadline, counted from the first pump() behind it. Nothing lingers: all that may be sent is
// sent by the next pump().
//
// Failures: nodes that do not lead, do not answer or are overloaded are asked again, others in turn, with pauses, until the
// deadline; then the request is resolved. Unauthorized and no_such_partition end everything (failure()).
//
// Cost: O(log outstanding) a submit and an attempt, one copy of its bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "io/ports/time.h"
#include "node/client/calls.h"
#include "node/client_message.h"
#include "node/log/record.h"
#include "node/log/sessions.h"

namespace reel::client {

// Numbers the submits of one Submitter: 1, 2, 3, …
using SubmitId = io::Strong<struct SubmitTag>;

// A transaction as the application made it. Its base is the view that it was made from.
struct Prepared {
  std::uint32_t header = 0;
  std::vector<std::byte> data;
  std::vector<log::LockKey> write_locks;
  std::vector<log::LockKey> read_locks;
  std::vector<log::LockKey> append_locks;
  std::uint64_t intent = 0;
};

// What an attempt is made from.
struct View {
  SubmitId submit;
  std::optional<TxnId> applied;    // the highest transaction that the application has applied
  std::uint32_t attempt = 1;       // counts executions
  std::optional<Refusal> refusal;  // of the last attempt that was sent
  std::uint32_t refused = 0;       // which attempt that was
};

struct TransactionContext {
  // Called within pump(), at least once unless the submit ends before; must not call the Submitter. Nothing: the
  // application does not want it any more (its veto). Reads the same state that applied() was told of.
  std::function<std::optional<Prepared>(const View&)> execute;
  io::Instant deadline = io::kNever;
  std::uint32_t attempts_max = 0;  // that are sent and refused; 0: SubmitterOptions::attempts_max
  // Called when the lock rule has refused an attempt and another one is allowed; must not call the Submitter. False: there
  // is none.
  std::function<bool(const Refusal&)> on_conflict{};
};

struct SubmitOutcome {
  enum class Kind : std::uint8_t {
    committed,
    conflict,  // refused by the lock rule, and not tried again
    stale,     // likewise: based on less than is remembered
    vetoed,    // by the application; `refusal` says what it was refused for before, if it was
    burned,    // it never commits: resolved so, or never sent
    failed,    // `error`: not taken, and repeating does not help
    unknown,   // it may have committed: nobody answered in time, or nobody remembers (`ending`)
  };
  // What brought it to its end.
  enum class Ending : std::uint8_t { answered, attempts, veto, deadline, cancelled, expired, refused };

  SubmitId submit;
  Kind kind{};
  Ending ending{};
  SessionId session;  // the request id; sequence 0: it was never given one
  Sequence sequence;
  TxnId id;                        // committed
  std::uint64_t time = 0;          // committed: HLC nanoseconds
  std::uint32_t attempts = 0;      // executions; those that were never sent count too
  std::optional<Refusal> refusal;  // the last one
  std::uint32_t refused = 0;       // the attempt that it is of
  std::optional<CallError> error;
};
[[nodiscard]] const char* name_of(SubmitOutcome::Kind kind);

struct SubmitterOptions {
  std::vector<NodeId> nodes;  // whom to ask; not empty
  GroupId group{1};
  SessionId session;  // drawn at random for this submitter alone; later sessions are derived from it
  Index opened;       // AppendCall::opened
  std::uint32_t outstanding_max = 4096;  // submits; <= kSessionWindow / 2
  std::uint64_t bytes_max = 16u << 20;   // records that are not answered yet
  std::uint32_t attempts_max = 16;       // of one submit that are sent and refused
  std::uint32_t call_transactions_max = 1024;
  std::uint32_t call_bytes_max = 512u << 10;
  std::uint32_t calls_in_flight_max = 8;
  io::Duration call_timeout = io::seconds(2);  // then the call counts as lost
  io::Duration grace = io::seconds(5);         // to resolve, after a deadline or a cancellation
  io::Duration session_idle_max =
      io::seconds(600);                            // then a new one is drawn: the old one may be dropped soon
  io::Duration backoff_min = io::milliseconds(5);  // of calls
  io::Duration backoff_max = io::milliseconds(500);
  io::Duration retry_min = io::milliseconds(1);  // before an execution after a refusal
  io::Duration retry_max = io::milliseconds(200);
  std::uint64_t seed = 0;  // jitter of pauses
};

class Submitter {
 public:
  static constexpr std::uint32_t kResolvesInFlightMax = 64;

  explicit Submitter(const SubmitterOptions& options);

  // False: wait for outcomes first.
  bool can_submit() const;
  SubmitId submit(TransactionContext context);
  // The application's view holds everything up to here. Only rises.
  void applied(TxnId id);
  // Ends it soon, in whatever turns out to be true. A submit that has ended is left alone.
  void cancel(SubmitId submit, const io::Now& now);
  // Takes no more submits; those that are outstanding go on until idle().
  void close() { closed_ = true; }

  // Executes and sends what may be sent. Call once after submits, views, replies and wakes.
  void pump(const io::Now& now, Calls& out);
  // True if the call was this submitter's.
  bool on_reply(io::CallId call, const ClientReply& reply, const io::Now& now, Calls& out);
  bool on_failed(io::CallId call, const io::Now& now, Calls& out);
  // When pump() must be called again at the latest.
  io::Instant deadline() const;
  // What has ended since the last time, in the order in which it ended.
  std::vector<SubmitOutcome> take_outcomes() { return std::exchange(outcomes_, {}); }
  bool has_outcomes() const { return !outcomes_.empty(); }

  bool idle() const { return requests_.empty(); }
  std::size_t outstanding() const { return requests_.size(); }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t sessions() const { return generation_ + 1; }  // drawn so far
  // Set when going on makes no sense (unauthorized, no such partition): nothing is sent any more.
  const std::optional<CallError>& failure() const { return failure_; }
  const Repeats& repeats() const { return repeats_; }
  NodeId target() const { return options_.nodes[target_]; }

 private:
  using Kind = SubmitOutcome::Kind;
  using Ending = SubmitOutcome::Ending;
  struct Number {
    std::uint64_t generation = 0;  // of the session
    Sequence sequence;             // 0: none yet
    auto operator<=>(const Number&) const = default;
  };
  enum class State : std::uint8_t {
    fresh,      // to be executed, and numbered
    behind,     // refused: the view must pass `needs` first
    paused,     // refused: to be executed again at `due`
    ready,      // to be sent, for the first time or again
    sent,       // in a call
    resolving,  // given up: to be resolved, or being resolved
  };
  struct Request {
    TransactionContext context;
    State state = State::fresh;
    Number number;
    Index opened;
    std::vector<std::byte> record;
    bool exposed =
        false;  // a copy of the record may be on its way: only the cluster knows what becomes of it
    bool repeated = false;       // the record was in a call that was lost
    bool alone = false;          // in a call of its own: some call with it was called malformed
    std::uint32_t attempts = 0;  // executions
    std::uint32_t refusals = 0;
    std::optional<Refusal> refusal;
    std::uint32_t refused = 0;  // the attempt that was refused last
    TxnId needs;
    io::Instant due;
    io::Instant deadline;
    Ending ending{};  // resolving: why
  };
  struct Sent {
    enum class What : std::uint8_t { append, resolve, open } what{};
    NodeId to;
    io::Instant expires;
    Number first;
    std::vector<SubmitId> submits;  // of first, first + 1, …
  };

  // ---- sessions
  SessionId session_of(std::uint64_t generation) const;
  void draw_session();
  bool session_has_room() const;
  void leave_session(std::uint64_t generation);

  // ---- requests
  void execute(SubmitId id);
  void make_ready(SubmitId id, Request& request, const Prepared& prepared);
  void execute_some(const io::Now& now);
  bool wants_another(const Request& request, const Refusal& refusal);
  void refused(SubmitId id, Request& request, const Refusal& refusal, const io::Now& now);
  void give_up(SubmitId id, Ending why, const io::Now& now);
  void detach(SubmitId id, Request& request);
  void drop_record(Request& request);
  void set_deadline(SubmitId id, Request& request, io::Instant deadline);
  SubmitOutcome outcome_of(SubmitId id, const Request& request, Kind kind, Ending ending) const;
  void finish(SubmitId id, SubmitOutcome outcome);
  void finish(SubmitId id, Kind kind, Ending ending);

  // ---- calls
  bool has_room() const;
  bool has_something_to_execute() const;
  void note_sent(io::CallId call, Sent sent, const io::Now& now);
  void open_session(const io::Now& now, Calls& out);
  void send_resolves(const io::Now& now, Calls& out);
  void send_ready(const io::Now& now, Calls& out);
  void time_out(const io::Now& now, Calls& out);
  void forget_call(const Sent& sent);
  void lose(const Sent& sent, NodeId hint, io::Duration at_least, const io::Now& now);
  void succeeded(const io::Now& now);
  void on_error(const Sent& sent, const CallError& error, const io::Now& now, Calls& out);
  void on_expired(const Sent& sent, const CallError& error);
  void on_appended(const Sent& sent, const AppendResult& result, const io::Now& now);
  void on_resolved(const Sent& sent, const ResolveResult& result);
  void reject(const Sent& sent, const CallError& error, const io::Now& now);
  void fail(const CallError& error, Calls& out);

  SubmitterOptions options_;
  std::map<SubmitId, Request> requests_;
  // Each request is in the one that its state says.
  std::set<SubmitId> fresh_;
  std::set<std::pair<TxnId, SubmitId>> behind_;
  std::set<std::pair<io::Instant, SubmitId>> paused_;
  std::map<Number, SubmitId> ready_;
  std::set<SubmitId> resolves_;  // those that are in no call
  // And in these, if it has a number, and a deadline.
  std::map<Number, SubmitId> numbered_;
  std::set<std::pair<io::Instant, SubmitId>> deadlines_;

  std::map<io::CallId, Sent> calls_;
  std::uint32_t appends_ = 0;  // of the calls
  std::uint32_t resolving_ = 0;
  bool opening_ = false;
  std::vector<SubmitOutcome> outcomes_;
  std::optional<TxnId> applied_;
  SubmitId last_;
  std::uint64_t bytes_ = 0;

  std::uint64_t generation_ = 0;
  bool open_ = false;  // the cluster knows the newest session
  Index known_;        // applied, as we were told
  Sequence next_{2};
  io::Instant used_{INT64_MIN};  // the last answer

  bool closed_ = false;
  bool executing_ = false;
  bool pipelining_ = false;  // a call succeeded since the last failure
  std::size_t target_ = 0;
  std::uint32_t failures_ = 0;  // in a row
  io::Instant resume_at_{INT64_MIN};
  Repeats repeats_;
  std::optional<CallError> failure_;
};

}  // namespace reel::client
