#include "harness/insistent_call.h"

#include <algorithm>
#include <optional>

#include "harness/refusal.h"
#include "io/wire/codec.h"
#include "node/client/driver.h"

namespace reel::harness {
namespace {

constexpr io::Duration kCallTimeout = io::seconds(2);
constexpr io::Duration kPauseMin = io::milliseconds(5);
constexpr io::Duration kPauseMax = io::milliseconds(250);

// Errors that pass: with another node, or in time.
bool may_pass(ErrorCode code) {
  return code == ErrorCode::not_leader || code == ErrorCode::unavailable || code == ErrorCode::overloaded ||
         code == ErrorCode::deadline_exceeded;
}

// At most one call is out; an alarm is set for its end, or for the next one.
class Question final : public client::Driver {
 public:
  Question(real::Loop& loop, RealClient& client, const ClientCall& call, io::Duration patience)
      : Driver(client.ports(), wire::kClientCallCodec), loop_(loop), nodes_(client.everyone()), body_(call) {
    client.attach(*this);
    const io::Instant now = ports().clock.now().monotonic;
    deadline_ = patience.ns == 0 ? io::kNever : now + patience;
    ask(now);
  }

  const std::optional<ClientReply>& answer() const { return answer_; }
  bool out_of_patience() const { return out_of_patience_; }

  void on_other_reply(io::CallId call, const ClientReply* reply) override {
    if (call != asked_ || answer_) return;
    asked_ = io::CallId(0);
    const auto* error = reply == nullptr ? nullptr : std::get_if<CallError>(reply);
    if (reply != nullptr && (error == nullptr || !may_pass(error->code))) {
      answer_ = *reply;
      return loop_.stop();
    }
    turn_to(error == nullptr ? NodeId() : error->hint);
  }

  void on_alarm() override {
    const io::Instant now = ports().clock.now().monotonic;
    if (now >= deadline_) {
      out_of_patience_ = true;
      give_up();
      return loop_.stop();
    }
    if (asked_.value == 0) return ask(now);
    give_up();
    turn_to(NodeId());
  }

  void give_up() {
    if (asked_.value != 0) ports().remote.cancel(asked_);
    asked_ = io::CallId(0);
    set_alarm(io::kNever);
  }

 private:
  void ask(io::Instant now) {
    asked_ = call(nodes_[target_], body_);
    set_alarm(std::min(deadline_, now + kCallTimeout));
  }

  // The first hint is followed at once; everything else waits longer and longer.
  void turn_to(NodeId hint) {
    const auto known = std::find(nodes_.begin(), nodes_.end(), hint);
    const bool at_once = known != nodes_.end() && failures_ == 0;
    target_ = known != nodes_.end() ? static_cast<std::size_t>(known - nodes_.begin())
                                    : (target_ + 1) % nodes_.size();
    const io::Duration pause =
        at_once ? io::Duration{0} : client::backoff(kPauseMin, kPauseMax, failures_, target_);
    ++failures_;
    set_alarm(std::min(deadline_, ports().clock.now().monotonic + pause));
  }

  real::Loop& loop_;
  std::vector<NodeId> nodes_;
  ClientCall body_;
  io::Instant deadline_;
  std::size_t target_ = 0;
  std::uint32_t failures_ = 0;
  io::CallId asked_;  // 0: none is out
  std::optional<ClientReply> answer_;
  bool out_of_patience_ = false;
};

}  // namespace

ClientReply insist(real::Loop& loop, RealClient& client, const ClientCall& call, io::Duration patience,
                   const std::string& who) {
  Question question(loop, client, call, patience);
  question.flush();
  loop.run();
  if (question.answer()) return *question.answer();
  question.give_up();
  if (!question.out_of_patience()) refuse(who + ": interrupted before there was an answer");
  refuse(who + ": no answer for " + std::to_string(patience.ns / 1'000'000'000) +
         " s: see `reel status`; is a majority of the nodes up?");
}

}  // namespace reel::harness
