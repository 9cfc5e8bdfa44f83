#include "harness/log_client.h"

#include <algorithm>
#include <cstring>

#include "harness/insistent_caller.h"
#include "model/linearizability.h"
#include "model/sequential.h"
#include "model/witness.h"
#include "node/log/record.h"

namespace reel::harness {
namespace {

enum Place : std::uint32_t { kVerb = 10, kThink, kSession };

class LogClient {
 public:
  LogClient(const LogClientPlan& plan, LogClientMemory& memory, Oracles& oracles, sim::Decisions& decisions)
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
      const std::uint64_t number = memory_.operations++;
      switch (decisions_.below(key(kVerb, number), 4)) {
        case 0:
        case 1: append(host); break;
        case 2: high_water(host); break;
        default: read(host); break;
      }
      ++memory_.answered;
      host.sleep({static_cast<std::int64_t>(
          decisions_.pause(key(kThink, number), static_cast<std::uint64_t>(plan_.think_mean.ns)))});
    }
  }

 private:
  sim::ChoiceKey key(Place place, std::uint64_t counter) const {
    return {sim::Choice::workload, place, static_cast<std::uint32_t>(plan_.self.value), counter};
  }
  std::uint64_t bits(Place place, std::uint64_t counter) { return decisions_.bits(key(place, counter)); }

  std::size_t begin(std::uint64_t verb, model::Words input) {
    model::Operation operation;
    operation.process = plan_.self.value * 1000 + memory_.lives;
    operation.call = plan_.clock();
    operation.verb = verb;
    operation.input = input;
    memory_.history.push_back(operation);
    return memory_.history.size() - 1;
  }
  void end(std::size_t operation, model::Words output) {
    memory_.history[operation].returned = plan_.clock();
    memory_.history[operation].output = output;
  }

  // nullopt: its session was dropped, and the operation stays open.
  template <class Result>
  std::optional<Result> insist(sim::FiberHost& host, const ClientCall& call) {
    auto result = caller_.insist<Result>(host, call, plan_.call_timeout);
    if (result) return std::move(*result);
    if (result.error().code == ErrorCode::expired) {
      memory_.known = std::max(memory_.known, Index(result.error().limit));
      new_session(memory_.known);
    } else {
      oracles_.complain("client-refused", std::string("a log client was refused: ") + result.error().text);
    }
    return std::nullopt;
  }

  void new_session(Index opened) {
    const std::uint64_t number = memory_.sessions++;
    session_ = {bits(kSession, number * 2), bits(kSession, number * 2 + 1)};
    opened_ = opened;
    next_ = Sequence(1);
    oracles_.session_opened(plan_.group, session_, false);
  }

  void append(sim::FiberHost& host) {
    const std::uint64_t value = io::keyed_hash(plan_.seed, {plan_.self.value, ++memory_.values}) >> 1;
    std::byte data[8];
    std::memcpy(data, &value, sizeof data);
    log::TransactionInput input;
    input.data = data;
    std::vector<std::byte> block;
    log::append_record(block, input);
    AppendCall call;
    call.group = plan_.group;
    call.session = session_;
    call.opened = opened_;
    call.first = next_;
    call.count = 1;
    call.block = Bytes::copy_of(block);
    ++next_;
    const std::size_t operation = begin(model::log_verb::kAppend, {value, 0});
    const SessionId session = session_;
    const auto result = insist<AppendResult>(host, call);
    if (!result) return;
    if (result->runs.size() != 1 || result->runs[0].count != 1) {
      return oracles_.complain("client-answer",
                               "an append of one transaction was answered with several runs");
    }
    oracles_.acknowledged(plan_.group, session, result->runs[0]);
    end(operation, {result->runs[0].id.value, 0});
  }

  void high_water(sim::FiberHost& host) {
    const std::size_t operation = begin(model::log_verb::kHighWater, {});
    const auto result = insist<HighWaterResult>(host, HighWaterCall{plan_.group, true});
    if (result) end(operation, {result->high_water.value, 0});
  }

  // Everything that the node shows from where the last read stopped; together, a prefix of the log.
  void read(sim::FiberHost& host) {
    const std::size_t operation = begin(model::log_verb::kPrefix, {});
    const auto result = insist<FeedResult>(host, FeedCall{plan_.group, memory_.position, 1u << 20, {}});
    if (!result) return;
    for (const Bytes& payload : result->entries) {
      log::for_each_transaction(payload.span(), memory_.position, [&](const log::Transaction& transaction) {
        if (transaction.id != memory_.position || transaction.record.data.size() != 8) {
          return oracles_.complain("feed", "a log client's read skipped or garbled a transaction");
        }
        std::uint64_t value = 0;
        std::memcpy(&value, transaction.record.data.data(), sizeof value);
        memory_.digest = model::log_digest(memory_.digest, value);
        memory_.seen.emplace_back(transaction.id.value, value);
        ++memory_.position;
      });
    }
    end(operation, {memory_.position.value, memory_.digest});
  }

  LogClientPlan plan_;
  LogClientMemory& memory_;
  Oracles& oracles_;
  sim::Decisions& decisions_;
  InsistentCaller caller_;
  SessionId session_;
  Index opened_;
  Sequence next_{1};
};

}  // namespace

std::unique_ptr<io::Host> make_log_client(io::Ports& ports, const LogClientPlan& plan,
                                          LogClientMemory& memory, Oracles& oracles,
                                          sim::Decisions& decisions) {
  auto client = std::make_shared<LogClient>(plan, memory, oracles, decisions);
  return std::make_unique<sim::FiberHost>(ports, [client](sim::FiberHost& host) { client->run(host); });
}

LogVerdict judge_log_histories(const std::vector<std::unique_ptr<LogClientMemory>>& memories) {
  std::vector<model::Operation> history;
  model::LogModel log;
  for (const auto& memory : memories) {
    history.insert(history.end(), memory->history.begin(), memory->history.end());
    for (const auto& [id, value] : memory->seen) log.learn(id, value);
  }
  log.seal(history);
  const model::SequentialModel sequential = log.model();
  model::CheckOptions options;
  options.steps_max = 5'000'000;
  const model::CheckResult result = model::check_linearizability(sequential, history, options);
  LogVerdict verdict;
  if (result.verdict == model::Verdict::unknown) {
    verdict.known = false;
  } else if (result.verdict == model::Verdict::illegal) {
    verdict.legal = false;
    const model::Operation& offender = history[result.offender];
    verdict.text = "no order of the clients' operations explains what process " +
                   std::to_string(offender.process) + " saw between " + std::to_string(offender.call) +
                   " and " + std::to_string(offender.returned) + " ns";
  } else if (const auto wrong = model::check_witness(sequential, history, result.order)) {
    verdict.legal = false;
    verdict.text = "the checker's own witness is wrong: " + *wrong;
  }
  return verdict;
}

}  // namespace reel::harness
