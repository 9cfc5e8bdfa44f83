#include "harness/lock_client.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>

#include "harness/insistent_caller.h"
#include "node/log/record.h"

namespace reel::harness {
namespace {

enum Place : std::uint32_t { kLockDraw = 20 };
constexpr std::uint32_t kAttemptsMax = 6;  // of one transaction that keeps being refused

class LockClient {
 public:
  LockClient(const LockClientPlan& plan, LockClientMemory& memory, Oracles& oracles,
             sim::Decisions& decisions)
      : plan_(plan),
        memory_(memory),
        oracles_(oracles),
        decisions_(decisions),
        caller_(plan.nodes, plan.self, *plan.call_codec, plan.seed) {
    ++memory_.lives;
    memory_.lost = memory_.operations - memory_.answered;
    new_session(memory_.known);
  }

  void run(sim::FiberHost& host) {
    while (memory_.operations < plan_.operations) {
      ++memory_.operations;
      act(host);
      ++memory_.answered;
      host.sleep({static_cast<std::int64_t>(
          decisions_.pause(key(), static_cast<std::uint64_t>(plan_.think_mean.ns)))});
    }
  }

 private:
  // One transaction as this client drew it.
  struct Drawn {
    model::LockRequest request;
    std::vector<std::byte> record;
  };

  sim::ChoiceKey key() {
    return {sim::Choice::workload, kLockDraw, static_cast<std::uint32_t>(plan_.self.value), ++memory_.draws};
  }
  std::uint64_t below(std::uint64_t bound) { return decisions_.below(key(), bound); }

  void new_session(Index opened) {
    const std::uint64_t high = decisions_.bits(key());
    session_ = {high, decisions_.bits(key())};
    opened_ = opened;
    next_ = Sequence(1);
    oracles_.session_opened(plan_.group, session_, false);
  }

  void act(sim::FiberHost& host) {
    if (below(20) == 0) new_session(memory_.known);
    if (below(3) != 0) read(host);
    switch (plan_.repeats ? below(10) : 9) {
      case 0: return give_up(host);
      case 1: return repeat(host);
      default: return transact(host);
    }
  }

  // ---- drawing

  log::LockKey draw_key() { return lock_client_key(static_cast<std::uint32_t>(below(plan_.keys))); }

  // Up to three keys, each written, read or appended; based on what was read, now and then on less.
  Drawn draw() {
    Drawn drawn;
    std::vector<log::LockKey> writes, reads, appends;
    const std::uint64_t count = below(4);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t mode = below(4);
      (mode < 2 ? writes : mode == 2 ? reads : appends).push_back(draw_key());
    }
    const std::uint64_t lag = below(5) == 0 ? below(40) : 0;
    if (memory_.position.value > lag) drawn.request.based_on = TxnId(memory_.position.value - 1 - lag);
    drawn.request.writes = writes;
    drawn.request.reads = reads;
    drawn.request.appends = appends;
    const std::uint64_t value = decisions_.bits(key());
    std::byte data[8];
    std::memcpy(data, &value, sizeof data);
    log::TransactionInput input;
    input.data = data;
    input.write_locks = writes;
    input.read_locks = reads;
    input.append_locks = appends;
    input.based_on = drawn.request.based_on;
    log::append_record(drawn.record, input);
    return drawn;
  }

  AppendCall call_of(Sequence first, const std::vector<Drawn>& drawn) const {
    std::vector<std::byte> block;
    for (const Drawn& one : drawn) block.insert(block.end(), one.record.begin(), one.record.end());
    AppendCall call;
    call.group = plan_.group;
    call.session = session_;
    call.opened = opened_;
    call.first = first;
    call.count = static_cast<std::uint32_t>(drawn.size());
    call.block = Bytes::copy_of(block);
    return call;
  }

  Sequence take(std::uint64_t count) {
    const Sequence first = next_;
    next_ += count;
    return first;
  }

  // ---- answers

  // nullopt: the session is gone; whatever was asked under it was not taken, or is too old to be told.
  template <class Result>
  std::optional<Result> insist(sim::FiberHost& host, const ClientCall& call) {
    auto result = caller_.insist<Result>(host, call, plan_.call_timeout);
    if (result) return std::move(*result);
    const CallError& error = result.error();
    if (error.code == ErrorCode::expired) {
      oracles_.mark("client.session_expired");
      memory_.known = std::max(memory_.known, Index(error.limit));
      new_session(memory_.known);
    } else {
      oracles_.complain("client-refused", std::string("a lock client was refused: ") + error.text);
    }
    return std::nullopt;
  }

  // Tells the oracles, and returns the sequences that were refused by the lock rule.
  std::vector<Sequence> take_answer(const AppendCall& call, const std::vector<Drawn>& drawn,
                                    const AppendResult& result) {
    std::uint64_t covered = result.refusals.size();
    for (const CommittedRun& run : result.runs) {
      covered += run.count;
      oracles_.acknowledged(plan_.group, call.session, run);
    }
    if (covered != call.count) oracles_.complain("client-answer", "an answer does not cover its call");
    std::vector<Sequence> refused;
    for (const Refusal& refusal : result.refusals) {
      if (refusal.sequence < call.first || refusal.sequence >= call.first + call.count) {
        oracles_.complain("client-answer", "a refusal of another request");
        continue;
      }
      const model::LockRequest& request = drawn[refusal.sequence - call.first].request;
      switch (refusal.code) {
        case RefusalCode::conflict:
          oracles_.conflicted(plan_.group, request, refusal.lock, refusal.id);
          refused.push_back(refusal.sequence);
          break;
        case RefusalCode::stale:
          oracles_.stale(plan_.group, request, refusal.id);
          refused.push_back(refusal.sequence);
          break;
        case RefusalCode::burned: oracles_.burned(plan_.group, call.session, refusal.sequence); break;
      }
    }
    return refused;
  }

  // ---- what it does

  void read(sim::FiberHost& host) {
    const auto result = insist<FeedResult>(host, FeedCall{plan_.group, memory_.position, 1u << 20, {}});
    if (!result) return;
    for (const Bytes& payload : result->entries) {
      log::for_each_transaction(payload.span(), memory_.position, [&](const log::Transaction& transaction) {
        if (transaction.id == memory_.position) ++memory_.position;
      });
    }
  }

  // A few transactions in one call; what is refused is read up on and executed again under its request id.
  void transact(sim::FiberHost& host) {
    std::vector<Drawn> drawn(1 + below(3));
    for (Drawn& one : drawn) one = draw();
    const AppendCall call = call_of(take(drawn.size()), drawn);
    const auto result = insist<AppendResult>(host, call);
    if (!result) return;
    for (const Sequence sequence : take_answer(call, drawn, *result)) execute_again(host, sequence);
  }

  void execute_again(sim::FiberHost& host, Sequence sequence) {
    const SessionId session = session_;
    for (std::uint32_t attempt = 0; attempt < kAttemptsMax && session == session_; ++attempt) {
      read(host);
      const std::vector<Drawn> drawn{draw()};
      const AppendCall call = call_of(sequence, drawn);
      const auto result = insist<AppendResult>(host, call);
      if (!result || take_answer(call, drawn, *result).empty()) return;
    }
  }

  // The same request twice: whatever committed is told again, and nothing commits twice.
  void repeat(sim::FiberHost& host) {
    const std::vector<Drawn> drawn{draw()};
    const AppendCall call = call_of(take(1), drawn);
    for (int time = 0; time < 2; ++time) {
      const auto result = insist<AppendResult>(host, call);
      if (!result) return;
      take_answer(call, drawn, *result);
    }
  }

  // Asks, hardly waits, and then wants to know for good. Copies of the request may still be on their way.
  void give_up(sim::FiberHost& host) {
    const std::vector<Drawn> drawn{draw()};
    const AppendCall call = call_of(take(1), drawn);
    if (below(4) != 0) {
      (void)caller_.once(host, call, io::microseconds(static_cast<std::int64_t>(below(3000))));
    }
    const SessionId session = session_;
    if (plan_.looks && !look(host, call.first)) return;
    const auto result = insist<ResolveResult>(host, ResolveCall{plan_.group, session, opened_, call.first});
    if (!result) return;
    if (result->undecided) {
      oracles_.complain("client-answer", "a request was resolved, and it is still not decided");
    } else if (result->committed) {
      oracles_.acknowledged(plan_.group, session, *result->committed);
    } else {
      oracles_.mark("client.resolved_as_burned");
      oracles_.burned(plan_.group, session, call.first);
      const auto late = insist<AppendResult>(host, call);
      if (late) take_answer(call, drawn, *late);
    }
  }

  // Burns nothing. False: the session is gone.
  bool look(sim::FiberHost& host, Sequence sequence) {
    const SessionId session = session_;
    const auto result =
        insist<ResolveResult>(host, ResolveCall{plan_.group, session, opened_, sequence, false});
    if (!result) return false;
    switch (result->outcome()) {
      case ResolveOutcome::committed: oracles_.acknowledged(plan_.group, session, *result->committed); break;
      case ResolveOutcome::burned:
        oracles_.complain("client-answer", "a request was burned that nobody resolved");
        break;
      case ResolveOutcome::undecided: oracles_.mark("client.undecided"); break;
    }
    return true;
  }

  LockClientPlan plan_;
  LockClientMemory& memory_;
  Oracles& oracles_;
  sim::Decisions& decisions_;
  InsistentCaller caller_;
  SessionId session_;
  Index opened_;
  Sequence next_{1};
};

}  // namespace

log::LockKey lock_client_key(std::uint32_t number) {
  return log::lock_key("key " + std::to_string(number), 1);
}

std::unique_ptr<io::Host> make_lock_client(io::Ports& ports, const LockClientPlan& plan,
                                           LockClientMemory& memory, Oracles& oracles,
                                           sim::Decisions& decisions) {
  auto client = std::make_shared<LockClient>(plan, memory, oracles, decisions);
  return std::make_unique<sim::FiberHost>(ports, [client](sim::FiberHost& host) { client->run(host); });
}

}  // namespace reel::harness
