#include "harness/list_client.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "harness/programs.h"
#include "io/ports/endian.h"

namespace reel::harness {
namespace {

using Kind = client::SubmitOutcome::Kind;
using Ending = client::SubmitOutcome::Ending;
using Verb = model::Access::Verb;

enum Place : std::uint32_t { kListDraw = 40 };
constexpr io::Duration kPatience = io::seconds(4);
constexpr std::size_t kListMax = 48;  // then a new one is begun
constexpr std::uint64_t kValuesOfOneClient = 1'000'000'000;

// Of a transaction, as it lies in its data: 16 bytes each, little-endian, key and value.
struct Append {
  std::uint64_t key = 0;
  std::uint64_t value = 0;
};

std::vector<std::byte> encode(const std::vector<Append>& appends) {
  std::vector<std::byte> data(appends.size() * 16);
  for (std::size_t each = 0; each < appends.size(); ++each) {
    io::store(data.data() + each * 16, appends[each].key);
    io::store(data.data() + each * 16 + 8, appends[each].value);
  }
  return data;
}

class ListProgram final : public client::Driver {
 public:
  ListProgram(io::Ports& ports, const ListPlan& plan, ListMemory& memory, Oracles& oracles,
              sim::Decisions& decisions)
      : Driver(ports, *plan.call_codec),
        plan_(plan),
        memory_(memory),
        oracles_(oracles),
        decisions_(decisions),
        generations_(plan.keys) {
    ++memory_.lives;
    memory_.lost = memory_.operations - memory_.answered;
    memory_.history.begin_life(plan.self.value * 1000 + memory_.lives);
    client::ReaderOptions reader;
    reader.nodes = plan.nodes;
    reader.group = kListGroup;
    reader.wait = io::milliseconds(500);
    reader.call_timeout = io::seconds(1);
    reader.seed = plan.seed;
    open_reader(reader);
    oracles.feed_opened(kListGroup, plan.self, TxnId(0));
    client::SubmitterOptions submitter;
    submitter.nodes = plan.nodes;
    submitter.group = kListGroup;
    submitter.session.high = decisions_.bits(key());
    submitter.session.low = decisions_.bits(key());
    submitter.call_timeout = io::milliseconds(400);
    submitter.grace = io::seconds(2);
    submitter.seed = decisions_.bits(key());
    submitter.attempts_max = 2 + static_cast<std::uint32_t>(below(8));
    submitter.call_transactions_max = 1 + static_cast<std::uint32_t>(below(8));
    submitter.calls_in_flight_max = 1 + static_cast<std::uint32_t>(below(4));
    open_submitter(submitter);
  }

  void on_start() override {
    set_alarm(ports().clock.now().monotonic);
    flush();
  }
  void on_alarm() override;
  void on_transaction(const log::Transaction& transaction) override;
  void on_submitted(const client::SubmitOutcome& outcome) override;
  void on_progress() override;

 private:
  // What a client was asked for; which list that is shows when it is executed.
  struct Step {
    Verb verb{};
    std::uint32_t list = 0;
  };
  struct Order {
    std::vector<Step> steps;
    bool strict = false;  // write locks wherever they do
    std::vector<ClientHistory::Attempt> attempts;
  };

  sim::ChoiceKey key() {
    return {sim::Choice::workload, kListDraw, static_cast<std::uint32_t>(plan_.self.value), ++memory_.draws};
  }
  std::uint64_t below(std::uint64_t bound) { return decisions_.below(key(), bound); }

  Order draw_order();
  void submit();
  void cancel_one();
  client::Prepared execute(Order& order);
  std::uint64_t newest(std::uint32_t list);

  ListPlan plan_;
  ListMemory& memory_;
  Oracles& oracles_;
  sim::Decisions& decisions_;
  std::vector<std::uint64_t> generations_;    // of each list: which one is in use, as far as the view shows
  std::map<client::SubmitId, Order> orders_;  // outstanding
  std::uint64_t submits_ = 0;
  RepeatMarks repeats_;
};

// ---- orders -----------------------------------------------------------------------------------------------------

ListProgram::Order ListProgram::draw_order() {
  Order order;
  for (std::uint64_t steps = 1 + below(4); steps > 0; --steps) {
    const bool reads = below(2) == 0;
    order.steps.push_back({reads ? Verb::read : Verb::write, static_cast<std::uint32_t>(below(plan_.keys))});
  }
  order.strict = below(3) == 0;
  return order;
}

void ListProgram::submit() {
  ++memory_.operations;
  const io::Instant now = ports().clock.now().monotonic;
  const bool hurried = plan_.impatient && below(4) == 0;
  const io::Duration patience =
      hurried ? io::microseconds(static_cast<std::int64_t>(below(60'000))) : kPatience;
  // An outcome is told in a later turn: by then the order is here.
  const client::SubmitId next(++submits_);
  orders_.emplace(next, draw_order());
  const client::SubmitId id = submitter()->submit(
      {[this, next](const client::View&) { return execute(orders_.at(next)); }, now + patience});
  if (id != next) oracles_.complain("submit-outcome", "submits are not numbered 1, 2, 3");
}

void ListProgram::cancel_one() {
  if (orders_.empty()) return;
  const auto chosen = std::next(orders_.begin(), static_cast<std::ptrdiff_t>(below(orders_.size())));
  submitter()->cancel(chosen->first, ports().clock.now());
}

void ListProgram::on_alarm() {
  while (memory_.operations < plan_.operations && orders_.size() < plan_.outstanding &&
         submitter()->can_submit()) {
    submit();
    if (below(3) == 0) break;
  }
  if (plan_.impatient && below(12) == 0) cancel_one();
  if (memory_.operations >= plan_.operations && orders_.empty()) return;
  const auto pause = decisions_.pause(key(), static_cast<std::uint64_t>(plan_.think_mean.ns));
  set_alarm(ports().clock.now().monotonic + io::Duration{static_cast<std::int64_t>(pause)});
}

// ---- execution --------------------------------------------------------------------------------------------------

std::uint64_t ListProgram::newest(std::uint32_t list) {
  std::uint64_t& generation = generations_[list];
  while (memory_.history.length(generation * plan_.keys + list) >= kListMax) ++generation;
  return generation * plan_.keys + list;
}

client::Prepared ListProgram::execute(Order& order) {
  ClientHistory& history = memory_.history;
  // It is executed again because it can no longer commit as it was.
  if (!order.attempts.empty()) history.aborted(order.attempts.back());
  const ClientHistory::Attempt attempt = history.begin(plan_.clock());
  order.attempts.push_back(attempt);
  struct Uses {
    bool read = false;
    bool appended = false;
  };
  std::map<std::uint64_t, Uses> lists;
  std::vector<Append> appends;
  for (const Step& step : order.steps) {
    const std::uint64_t list = newest(step.list);
    if (step.verb == Verb::read) {
      lists[list].read = true;
      history.read(attempt, list);
    } else {
      lists[list].appended = true;
      appends.push_back({list, plan_.self.value * kValuesOfOneClient + ++memory_.values});
      history.append(attempt, list, appends.back().value);
    }
  }
  client::Prepared prepared;
  prepared.data = encode(appends);
  for (const auto& [list, uses] : lists) {
    const log::LockKey lock = log::lock_key("list " + std::to_string(list), 1);
    if (uses.appended && order.strict) {
      prepared.write_locks.push_back(lock);
      continue;
    }
    if (uses.read) prepared.read_locks.push_back(lock);
    if (uses.appended) prepared.append_locks.push_back(lock);
  }
  return prepared;
}

void ListProgram::on_transaction(const log::Transaction& transaction) {
  oracles_.fed(kListGroup, plan_.self, transaction);
  const std::span<const std::byte> data = transaction.record.data;
  for (std::size_t at = 0; at + 16 <= data.size(); at += 16) {
    memory_.history.apply(io::load<std::uint64_t>(data.data() + at),
                          io::load<std::uint64_t>(data.data() + at + 8));
  }
  submitter()->applied(transaction.id);
}

// ---- outcomes ---------------------------------------------------------------------------------------------------

void ListProgram::on_submitted(const client::SubmitOutcome& outcome) {
  const auto found = orders_.find(outcome.submit);
  if (found == orders_.end()) return oracles_.complain("submit-outcome", "a submit ended twice");
  const Order& order = found->second;
  oracles_.mark(mark_of(outcome.kind));
  if (outcome.ending == Ending::expired) oracles_.mark("submit.session_expired");
  switch (outcome.kind) {
    case Kind::committed:
      memory_.history.committed(order.attempts.back(), plan_.clock());
      oracles_.acknowledged(kListGroup, outcome.session, {outcome.sequence, 1, outcome.id, outcome.time});
      break;
    case Kind::conflict:
    case Kind::stale:
    case Kind::vetoed:
    case Kind::burned:
      if (!order.attempts.empty()) memory_.history.aborted(order.attempts.back());
      break;
    case Kind::failed:
      oracles_.complain("client-refused", "a submit was refused: " + outcome.error->text);
      break;
    case Kind::unknown: break;
  }
  orders_.erase(found);
  ++memory_.answered;
}

void ListProgram::on_progress() {
  repeats_.tell(submitter()->repeats(), oracles_);
  if (readers().front()->failure()) oracles_.complain("feed", *readers().front()->failure());
  if (submitter()->failure()) oracles_.complain("client-refused", submitter()->failure()->text);
}

}  // namespace

std::unique_ptr<io::Host> make_list_client(io::Ports& ports, const ListPlan& plan, ListMemory& memory,
                                           Oracles& oracles, sim::Decisions& decisions) {
  return std::make_unique<ListProgram>(ports, plan, memory, oracles, decisions);
}

}  // namespace reel::harness
