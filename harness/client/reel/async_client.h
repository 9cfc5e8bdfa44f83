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
