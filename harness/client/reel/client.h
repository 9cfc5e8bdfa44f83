// reel::Client: Reel's client for programs of threads.
//
//   auto client = reel::Client::connect({.addresses = {"127.0.0.1:7101"}, .token_file = "reel-data/token"});
//   if (!client) fail(client.error().text);
//   (*client)->mount(0, {.apply = [&](const reel::CommittedTransaction& one) { …; return {}; }});
//   reel::Pending pending = (*client)->submit({.partition = 0, .execute = [&](const reel::Attempt&) { return reel::Draft{…}; }});
//   if (pending.wait().committed()) …
//
// Threads: every function may be called from any thread. All callbacks (execute, apply, on_…) run one after the other on the
// client's own thread, so what only they touch needs no lock. From within a callback submit(), cancel(), view(), resume(),
// join(), done() and shares() may be called; whatever waits may not, and is a programmer's error that ends the process. An exception out of a callback
// other than `apply` and `dead_letter` ends it too.
//
// Everything ends: submissions at their deadline (and some seconds to find out what became of them), questions at theirs.
#pragma once

#include <memory>

#include "reel/types.h"

namespace reel {

// One submission, as its submitter sees it. Copies are of the same. It may outlive the client.
class Pending {
 public:
  // Its outcome.
  [[nodiscard]] Outcome wait() const;
  // Nothing: it has none yet.
  [[nodiscard]] std::optional<Outcome> wait_for(std::chrono::milliseconds limit) const;
  // What became of it in this client's own view; nothing: that is open yet, or it did not commit. To read one's own write,
  // wait for this.
  [[nodiscard]] std::optional<Applied> wait_applied_for(std::chrono::milliseconds limit) const;
  // Ends it soon, in whatever turns out to be true.
  void cancel() const;

  struct State;
  explicit Pending(std::shared_ptr<State> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<State> state_;
};

class Client {
 public:
  // Finds the cluster.
  [[nodiscard]] static std::expected<std::unique_ptr<Client>, Error> connect(ConnectOptions options);
  // Closes, if nobody has: waits for what is outstanding for at most a few seconds.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // The cluster's number.
  [[nodiscard]] std::uint64_t cluster() const;

  [[nodiscard]] std::expected<void, Error> mount(std::uint32_t partition, const Mount& mount);
  // Cancels the partition's submissions, and returns when all have ended.
  std::expected<void, Error> unmount(std::uint32_t partition);
  // Nothing: it is not mounted.
  [[nodiscard]] std::optional<ViewState> view(std::uint32_t partition) const;
  // Lets a stopped view go on; false if it is not stopped.
  bool resume(std::uint32_t partition, Verdict verdict);
  // Waits until the view holds everything that is committed now, by whomever; false after `timeout`, or if it stopped.
  [[nodiscard]] bool catch_up(std::uint32_t partition, std::chrono::milliseconds timeout);

  // Becomes a member of a reader group as soon as the cluster hears of it; its callbacks run on the client's thread.
  [[nodiscard]] std::expected<void, Error> join(const ReaderGroup& group);
  // Applies nothing more, and says so, so that others need not wait out this member's patience. True when the cluster knows;
  // false after `timeout`, or if it was no member: gone it is all the same.
  bool leave(const std::string& group, std::chrono::milliseconds timeout);
  // With done_by_hand: all before `next` in this share is done. Of a share that is lost it means nothing. Does not wait; may be
  // called within a callback.
  void done(const std::string& group, const Share& share, std::uint64_t next);
  // Lets a stopped share go on; false if it is not stopped.
  bool resume(const std::string& group, std::uint32_t partition, Verdict verdict);
  // Of this member; by partition. Nothing: it is no member.
  [[nodiscard]] std::optional<std::vector<Share>> shares(const std::string& group) const;

  // Waits for room if there is none, for as long as the transaction's own timeout; within a callback it does not wait, and
  // ends as `failed`.
  [[nodiscard]] Pending submit(Transaction transaction);
  // True when all that was submitted before has its outcome, and with `applied` is applied too; false after `timeout`.
  bool flush(bool applied, std::chrono::milliseconds timeout);

  // The id that the next committed transaction will get; if not linearizable: as far as some node knows.
  [[nodiscard]] std::expected<std::uint64_t, Error> high_water(std::uint32_t partition, bool linearizable,
                                                               std::chrono::milliseconds timeout) const;
  // One committed transaction; nothing: there is none with this id yet.
  [[nodiscard]] std::expected<std::optional<Found>, Error> lookup(std::uint32_t partition, std::uint64_t id,
                                                                  std::chrono::milliseconds timeout) const;
  // What became of a request. With `burn` it never commits, if it has not yet.
  [[nodiscard]] std::expected<Resolution, Error> resolve(std::uint32_t partition, const RequestId& request,
                                                         bool burn, std::chrono::milliseconds timeout) const;

  // Takes no more submissions; returns when all are applied, or after `timeout` have been cancelled.
  void close(std::chrono::milliseconds timeout);

  class Inside;
  explicit Client(std::unique_ptr<Inside> inside);

 private:
  std::unique_ptr<Inside> inside_;
};

}  // namespace reel
