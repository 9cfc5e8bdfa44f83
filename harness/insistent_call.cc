#include "harness/insistent_call.h"

#include <utility>

#include "harness/refusal.h"
#include "io/wire/codec.h"
#include "node/client/question.h"

namespace reel::harness {
namespace {

// Asks one question, and stops the loop at its end.
class Asking final : public io::Host {
 public:
  Asking(real::Loop& loop, RealClient& client, const ClientCall& call, io::Duration patience)
      : loop_(loop), ports_(client.ports()), question_(options_of(client, call, patience)) {
    client.attach(*this);
  }

  const client::Question& question() const { return question_; }
  void give_up() {
    question_.give_up(calls_);
    send();
  }

  void on_start() override { pump(); }
  void on_wake() override { pump(); }
  void on_reply(io::CallId call, io::Parcel body) override {
    if (!body.is<ClientReply>()) return on_call_failed(call);
    question_.on_reply(call, body.get<ClientReply>(), ports_.clock.now());
    pump();
  }
  void on_call_failed(io::CallId call) override {
    question_.on_failed(call, ports_.clock.now());
    pump();
  }

 private:
  static client::QuestionOptions options_of(RealClient& client, const ClientCall& call,
                                            io::Duration patience) {
    client::QuestionOptions options;
    options.nodes = client.everyone();
    options.body = call;
    if (patience.ns > 0) options.deadline = client.ports().clock.now().monotonic + patience;
    return options;
  }

  void pump() {
    question_.pump(ports_.clock.now(), calls_);
    send();
    ports_.clock.wake_at(question_.deadline());
    if (question_.answer()) loop_.stop();
  }
  void send() {
    for (const io::CallId cancelled : std::exchange(calls_.cancels(), {})) ports_.remote.cancel(cancelled);
    for (client::OutgoingCall& call : std::exchange(calls_.calls(), {})) {
      ports_.remote.call(call.to, call.call, io::Parcel::of(std::move(call.body), wire::kClientCallCodec));
    }
  }

  real::Loop& loop_;
  io::Ports& ports_;
  client::Calls calls_;
  client::Question question_;
};

}  // namespace

ClientReply insist(real::Loop& loop, RealClient& client, const ClientCall& call, io::Duration patience,
                   const std::string& who) {
  Asking asking(loop, client, call, patience);
  asking.on_start();
  if (!asking.question().answer()) loop.run();
  const auto& answer = asking.question().answer();
  if (!answer) {
    asking.give_up();
    refuse(who + ": interrupted before there was an answer");
  }
  if (*answer) return **answer;
  if (answer->error().code != ErrorCode::deadline_exceeded) return answer->error();
  refuse(who + ": no answer for " + std::to_string(patience.ns / 1'000'000'000) +
         " s: see `reel status`; is a majority of the nodes up?");
}

}  // namespace reel::harness
