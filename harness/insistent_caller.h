// A blocking client's way to an answer: repeats a call, at whoever leads, until it is answered. For fibers.
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "io/ports/parcel.h"
#include "node/client_message.h"
#include "sim/fiber.h"

namespace reel::harness {

class InsistentCaller {
 public:
  InsistentCaller(std::vector<NodeId> nodes, NodeId self, const io::ParcelCodec& codec, std::uint64_t seed)
      : nodes_(std::move(nodes)),
        codec_(codec),
        seed_(seed),
        target_(static_cast<std::size_t>(self.value % nodes_.size())) {}

  // One attempt, at the node that answered last. An error of code `unavailable` stands for no answer.
  [[nodiscard]] ClientReply once(sim::FiberHost& host, const ClientCall& call, io::Duration timeout);

  // Until there is a Result, an error that repeating does not change, or `until` (of the host's clock) has passed: then
  // the error is deadline_exceeded.
  template <class Result>
  std::expected<Result, CallError> insist(sim::FiberHost& host, const ClientCall& call, io::Duration timeout,
                                          io::Instant until = io::kNever) {
    for (std::uint32_t attempt = 0;; ++attempt) {
      ClientReply reply = once(host, call, timeout);
      if (auto* result = std::get_if<Result>(&reply)) return std::move(*result);
      if (const auto* error = std::get_if<CallError>(&reply); error != nullptr && is_final(error->code)) {
        return std::unexpected(*error);
      }
      if (host.now().monotonic >= until) return std::unexpected(too_late());
      go_on(host, reply, attempt);
    }
  }

 private:
  static bool is_final(ErrorCode code);
  static CallError too_late();
  // Turns to the node that the reply names, or the next one, after a pause.
  void go_on(sim::FiberHost& host, const ClientReply& reply, std::uint32_t attempt);

  std::vector<NodeId> nodes_;
  const io::ParcelCodec& codec_;
  std::uint64_t seed_;
  std::size_t target_;
  std::uint64_t pauses_ = 0;
};

}  // namespace reel::harness
