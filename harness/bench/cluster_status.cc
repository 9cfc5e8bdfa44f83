#include "harness/bench/cluster_status.h"

#include <map>

#include "harness/command/command.h"
#include "io/wire/codec.h"
#include "node/client/driver.h"

namespace reel::harness {
namespace {

constexpr io::Duration kRound = io::milliseconds(2);

class StatusRounds final : public client::Driver {
 public:
  StatusRounds(real::Loop& loop, RealClient& client, std::uint32_t nodes, const std::function<void()>& look)
      : Driver(client.ports(), wire::kClientCallCodec),
        loop_(loop),
        client_(client),
        nodes_(nodes),
        look_(look) {
    client.attach(*this);
    ask();
  }

  bool done() const { return ready_.size() == nodes_; }
  std::vector<StatusResult> take() const {
    std::vector<StatusResult> statuses;
    for (const auto& [node, status] : ready_) statuses.push_back(status);
    return statuses;
  }
  const std::optional<CommandError>& refusal() const { return refusal_; }

  void on_other_reply(io::CallId, const ClientReply* reply) override {
    const auto* status = reply == nullptr ? nullptr : std::get_if<StatusResult>(reply);
    if (status != nullptr && status->ready) ready_[status->node] = *status;
    if (done()) loop_.stop();
  }
  void on_alarm() override { ask(); }

 private:
  void ask() {
    try {
      look_();
    } catch (const CommandError& error) {  // exceptions do not cross the loop
      refusal_ = error;
      return loop_.stop();
    }
    for (const NodeId node : client_.nodes()) {
      if (!ready_.contains(node)) call(node, StatusCall{});
    }
    set_alarm(ports().clock.now().monotonic + kRound);
  }

  real::Loop& loop_;
  RealClient& client_;
  std::uint32_t nodes_;
  const std::function<void()>& look_;
  std::map<NodeId, StatusResult> ready_;
  std::optional<CommandError> refusal_;
};

}  // namespace

std::vector<StatusResult> await_ready(real::Loop& loop, const ConnectFlags& flags, std::uint32_t nodes,
                                      io::Duration patience, const std::function<void()>& look) {
  const io::Instant deadline = real::monotonic_now() + patience;
  while (real::monotonic_now() < deadline) {
    look();
    RealClient client(loop, flags, deadline - real::monotonic_now());
    if (client.nodes().size() < nodes) continue;  // some do not listen yet
    StatusRounds rounds(loop, client, nodes, look);
    rounds.flush();
    const bool done =
        loop.run_until([&] { return rounds.done() || rounds.refusal(); }, deadline - real::monotonic_now());
    if (rounds.refusal()) throw CommandError(*rounds.refusal());
    if (done) return rounds.take();
  }
  refuse("the nodes of the benchmark did not become ready in time: is the machine overloaded?");
}

}  // namespace reel::harness
