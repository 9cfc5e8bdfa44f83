// reel::AsyncClient: Reel's client for programs that live on a KJ event loop.
//
//   auto client = reel::AsyncClient::connect(network, timer, {.addresses = {"127.0.0.1:7101"}, .token_file = "token"})
//                     .wait(wait_scope);
//   client->mount(0, {.apply = [](const reel::CommittedTransaction& one) { …; return std::expected<void, std::string>(); }});
//   auto outcome = client->submit({.partition = 0, .execute = [](const reel::Attempt&) { return reel::Draft{…}; }})
//                      ->outcome.wait(wait_scope);
//
// Everything belongs to the one thread of its event loop, callbacks too; they run between the loop's turns, and may call
// anything here but for destroying the client. An exception out of a callback other than `apply` and `dead_letter` ends
// the process. Promises may be dropped: what they stand for goes on. Destruction cancels everything at once and tells nobody:
// call close() first.
#pragma once

#include <kj/async-io.h>
#include <kj/timer.h>

#include "reel/types.h"

namespace reel {

class AsyncClient {
 public:
  // Finds the cluster; fails with a sentence that says what to do.
  [[nodiscard]] static kj::Promise<std::expected<kj::Own<AsyncClient>, Error>> connect(
      kj::Network& network, kj::Timer& timer, ConnectOptions options);
  ~AsyncClient() noexcept(false);
  KJ_DISALLOW_COPY(AsyncClient);

  // The cluster's number.
  [[nodiscard]] std::uint64_t cluster() const;

  [[nodiscard]] std::expected<void, Error> mount(std::uint32_t partition, Mount mount);
  // Cancels the partition's submissions; ready when all have ended.
  [[nodiscard]] kj::Promise<void> unmount(std::uint32_t partition);
  [[nodiscard]] std::optional<ViewState> view(std::uint32_t partition) const;
  // Lets a stopped view go on; false if it is not stopped.
  bool resume(std::uint32_t partition, Verdict verdict);

  // Becomes a member of a reader group as soon as the cluster hears of it.
  [[nodiscard]] std::expected<void, Error> join(ReaderGroup group);
  // Applies nothing more, and says so, so that others need not wait out this member's patience. True when the cluster knows;
  // false after `timeout`, or if it was no member: gone it is all the same.
  [[nodiscard]] kj::Promise<bool> leave(const std::string& group, std::chrono::milliseconds timeout);
  // With done_by_hand: all before `next` in this share is done. Of a share that is lost it means nothing.
  void done(const std::string& group, const Share& share, std::uint64_t next);
  // Lets a stopped share go on; false if it is not stopped.
  bool resume(const std::string& group, std::uint32_t partition, Verdict verdict);
  // Of this member; by partition. Nothing: it is no member.
  [[nodiscard]] std::optional<std::vector<Share>> shares(const std::string& group) const;

  struct Submitted {
    std::uint64_t number = 0;  // for cancel()
    kj::Promise<Outcome> outcome;
  };
  [[nodiscard]] std::expected<Submitted, Error> submit(Transaction transaction);
  // Why submit() would not take it now; nothing: it would.
  [[nodiscard]] std::optional<Error> refusal(const Transaction& transaction) const;
  // Ends it soon, in whatever turns out to be true.
  void cancel(std::uint64_t number);
  // Ready when something has ended, so that a submit that had no room may be tried again.
  [[nodiscard]] kj::Promise<void> when_room();
  // True when all that was submitted before has its outcome, and with `applied` is applied too; false after `timeout`.
  [[nodiscard]] kj::Promise<bool> flush(bool applied, std::chrono::milliseconds timeout);

  // The id that the next committed transaction will get; if not linearizable: as far as some node knows.
  [[nodiscard]] kj::Promise<std::expected<std::uint64_t, Error>> high_water(
      std::uint32_t partition, bool linearizable, std::chrono::milliseconds timeout);
  // One committed transaction; nothing: there is none with this id yet.
  [[nodiscard]] kj::Promise<std::expected<std::optional<Found>, Error>> lookup(
      std::uint32_t partition, std::uint64_t id, std::chrono::milliseconds timeout);
  // What became of a request. With `burn` it never commits, if it has not yet.
  [[nodiscard]] kj::Promise<std::expected<Resolution, Error>> resolve(std::uint32_t partition,
                                                                      const RequestId& request, bool burn,
                                                                      std::chrono::milliseconds timeout);

  // Takes no more submissions; ready when all are applied, or after `timeout` have been cancelled. Once.
  [[nodiscard]] kj::Promise<void> close(std::chrono::milliseconds timeout);

  class Inside;
  explicit AsyncClient(kj::Own<Inside> inside);

 private:
  kj::Own<Inside> inside_;
};

}  // namespace reel
