#include "harness/overload_client.h"

#include <optional>

namespace reel::harness {
namespace {

// A node that still reads its superblock hears no calls; a call waits as long.
constexpr io::Duration kNodesBoot = io::seconds(3);

// Listens to the calls that a program makes.
class Tap final : public io::Remote {
 public:
  Tap(const io::Ports& ports, NodeId self, OverloadMemory& load, Oracles& oracles)
      : ports_(ports), self_(self), load_(load), oracles_(oracles) {}

  void call(NodeId to, io::CallId call, io::Parcel body) override {
    ++load_.calls;
    callees_[call] = to;
    oracles_.asks(self_, to, ports_.clock.now().monotonic);
    ports_.remote.call(to, call, std::move(body));
  }
  void cancel(io::CallId call) override {
    callees_.erase(call);
    ports_.remote.cancel(call);
  }
  // Whom that call, which has ended now, was made to; 0 if it was cancelled before.
  NodeId ended(io::CallId call) {
    const auto node = callees_.extract(call);
    return node.empty() ? NodeId() : node.mapped();
  }

 private:
  io::Ports ports_;
  NodeId self_;
  OverloadMemory& load_;
  Oracles& oracles_;
  std::map<io::CallId, NodeId> callees_;
};

struct Tapped {
  Tapped(const io::Ports& ports, NodeId self, OverloadMemory& load, Oracles& oracles)
      : tap(ports, self, load, oracles), tapped{ports.clock, ports.network, ports.disk, ports.service, tap} {}
  Tap tap;
  io::Ports tapped;
};

class OverloadClient final : private Tapped, public AppendProgram {
 public:
  OverloadClient(io::Ports& ports, NodeId self, const AppendPlan& plan, bool quiet, AppendMemory& memory,
                 OverloadMemory& load, Oracles& oracles, sim::Decisions& decisions)
      : Tapped(ports, self, load, oracles),
        AppendProgram(tapped, self, plan, memory, oracles, decisions),
        self_(self),
        quiet_(quiet),
        memory_(memory),
        load_(load),
        oracles_(oracles) {
    oracles.free_to_ask(self);  // what an earlier life was told died with it
  }

  void on_reply(io::CallId call, io::Parcel body) override {
    const NodeId node = tap.ended(call);
    const auto* error = body.is<ClientReply>() ? std::get_if<CallError>(&body.get<ClientReply>()) : nullptr;
    if (error != nullptr && node.value != 0) {
      if (error->code == ErrorCode::overloaded) {
        ++load_.refused;
        oracles_.told_to_wait(self_, node, tapped.clock.now().monotonic + error->retry_after);
      } else {
        oracles_.free_to_ask(self_);
      }
    }
    AppendProgram::on_reply(call, std::move(body));
  }
  void on_call_failed(io::CallId call) override {
    tap.ended(call);
    oracles_.free_to_ask(self_);
    AppendProgram::on_call_failed(call);
  }
  void on_progress() override {
    const io::Instant now = tapped.clock.now().monotonic;
    const std::uint64_t timed_out = appender()->repeats().timed_out;
    if (!born_) born_ = now;
    if (now - *born_ <= kNodesBoot) {
      timed_out_early_ = timed_out;
    } else if (quiet_ && !memory_.stopped && timed_out > timed_out_early_) {
      oracles_.waited_too_long(self_);
    }
    AppendProgram::on_progress();
  }

 private:
  NodeId self_;
  bool quiet_;
  const AppendMemory& memory_;
  OverloadMemory& load_;
  Oracles& oracles_;
  std::optional<io::Instant> born_;
  std::uint64_t timed_out_early_ = 0;
};

}  // namespace

std::unique_ptr<io::Host> make_overload_client(io::Ports& ports, NodeId self, const AppendPlan& plan,
                                               bool quiet, AppendMemory& memory, OverloadMemory& load,
                                               Oracles& oracles, sim::Decisions& decisions) {
  return std::make_unique<OverloadClient>(ports, self, plan, quiet, memory, load, oracles, decisions);
}

}  // namespace reel::harness
