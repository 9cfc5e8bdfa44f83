#include "harness/view_client.h"

#include <algorithm>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

#include "harness/shared_clock.h"
#include "io/ports/endian.h"
#include "io/wire/codec.h"

namespace reel::harness {
namespace {

using client::Application;
using client::Verdict;
using Kind = client::SubmitOutcome::Kind;

enum Place : std::uint32_t { kViewDraw = 40 };
constexpr io::Duration kPatience = io::seconds(4);
constexpr io::Duration kGrace = io::seconds(2);
constexpr io::Duration kQuestionPatience = io::seconds(5);
// How late a program may hear of an end that is due.
constexpr io::Duration kSlack = io::milliseconds(200);
constexpr std::uint32_t kKeys = 6;

// What a transaction does to those who apply it.
enum class Sort : std::uint64_t {
  good,
  recovers,  // fails twice
  throws,    // once
  skipped,   // fails always; the dead-letter hook skips it
  stops,     // fails always; the view stands still until it is told to skip it
};
constexpr std::uint64_t kSorts = 5;

struct Content {
  std::uint64_t client = 0;
  std::uint64_t life = 0;
  std::uint64_t number = 0;
  Sort sort{};
};
constexpr std::size_t kContentBytes = 32;

std::vector<std::byte> encode(const Content& content) {
  std::vector<std::byte> data(kContentBytes);
  io::store(data.data(), content.client);
  io::store(data.data() + 8, content.life);
  io::store(data.data() + 16, content.number);
  io::store(data.data() + 24, static_cast<std::uint64_t>(content.sort));
  return data;
}

std::optional<Content> parse(std::span<const std::byte> data) {
  if (data.size() != kContentBytes) return std::nullopt;
  const auto sort = io::load<std::uint64_t>(data.data() + 24);
  if (sort >= kSorts) return std::nullopt;
  return Content{io::load<std::uint64_t>(data.data()), io::load<std::uint64_t>(data.data() + 8),
                 io::load<std::uint64_t>(data.data() + 16), static_cast<Sort>(sort)};
}

log::LockKey key_of(std::uint64_t key) { return log::lock_key("view key " + std::to_string(key), 1); }

class ViewProgram final : public io::Host {
 public:
  ViewProgram(io::Ports& ports, const ViewPlan& plan, ViewMemory& memory, ViewTruth& truth, Oracles& oracles,
              sim::Decisions& decisions)
      : clock_(ports.clock),
        ports_{clock_, ports.network, ports.disk, ports.service, ports.remote},
        plan_(plan),
        memory_(memory),
        truth_(truth),
        oracles_(oracles),
        decisions_(decisions) {
    ++memory_.lives;
    memory_.lost = memory_.operations - memory_.answered;
    if (!plan.durable) memory_.applied.clear();
    client_.emplace(ports_, *plan.call_codec, draw_options());
  }

  void on_start() override {
    for (std::uint32_t group = 1; group <= plan_.partitions; ++group) mount(GroupId(group));
    client_->on_start();
    clock_.wake_program_at(now());
  }
  void on_wake() override {
    if (clock_.program_alarm() <= now()) act();
    client_->on_wake();
  }
  void on_reply(io::CallId call, io::Parcel body) override;
  void on_call_failed(io::CallId call) override { client_->on_call_failed(call); }

 private:
  struct View {
    TxnId next;
    TxnId told;                          // the log's oracle has seen what is below
    std::uint32_t failures = 0;          // of `next`
    std::map<std::uint64_t, TxnId> own;  // of this life: by number
    std::map<TxnId, std::uint64_t> digests;
    std::set<TxnId> skips;
    bool unmounting = false;
  };
  struct Order {
    GroupId group;
    Sort sort{};
    std::uint64_t key = 0;
    bool reads = false;
    std::uint32_t attempts = 0;
    bool vetoed = false;
    std::optional<model::LockRequest> last;  // what the last attempt asked for
    std::optional<client::SubmitOutcome> committed;
    io::Instant ends_by;
  };
  struct Ended {
    GroupId group;
    client::SubmitOutcome outcome;
  };

  io::Instant now() const { return ports_.clock.now().monotonic; }
  std::uint64_t bits() {
    return decisions_.bits(
        {sim::Choice::workload, kViewDraw, static_cast<std::uint32_t>(plan_.self.value), ++memory_.draws});
  }
  std::uint64_t below(std::uint64_t bound) {
    return decisions_.below(
        {sim::Choice::workload, kViewDraw, static_cast<std::uint32_t>(plan_.self.value), ++memory_.draws},
        bound);
  }
  bool one_in(std::uint64_t count) { return below(count) == 0; }
  void complain(const char* oracle, const std::string& text) { oracles_.complain(oracle, text); }

  client::ClientOptions draw_options();
  void mount(GroupId group);
  // ---- the view
  std::expected<void, std::string> apply(GroupId group, const log::Transaction& transaction);
  Verdict judge(const client::Poison& poison);
  void on_stopped(GroupId group, const client::ViewState& state);
  void see(GroupId group, const log::Transaction& transaction);
  void pass(GroupId group, const log::Transaction& transaction);
  // ---- what it does
  void act();
  void submit();
  std::optional<client::Prepared> execute(Order& order, std::uint64_t number, const client::View& view);
  void cancel_one();
  void flush();
  void ask();
  void look_up(GroupId group);
  void resolve_one();
  void remount(GroupId group);
  void let_stopped_views_go_on();
  void close();
  // ---- what it is told
  void on_committed(std::uint64_t number, const client::SubmitOutcome& outcome);
  void on_applied(std::uint64_t number, const client::SubmitOutcome& outcome, Application how);
  void on_failed(std::uint64_t number, const client::SubmitOutcome& outcome);
  void check_refusal(const Order& order, const Refusal& refusal);
  void check_in_time(const char* oracle, io::Instant ends_by);
  void end(std::uint64_t number, const client::SubmitOutcome& outcome);
  void check_resolved(const Ended& ended, const ResolveResult& result);
  // Registers a question, and returns what must be called at its end.
  std::function<void()> question();

  SharedClock clock_;
  io::Ports ports_;
  ViewPlan plan_;
  ViewMemory& memory_;
  ViewTruth& truth_;
  Oracles& oracles_;
  sim::Decisions& decisions_;
  std::map<GroupId, View> views_;
  std::map<std::uint64_t, Order> orders_;  // that have not ended, by number
  std::map<std::uint64_t, client::SubmissionId> submissions_;
  std::vector<Ended> ended_;  // the newest few
  std::uint64_t numbers_ = 0;
  std::map<std::uint64_t, io::Instant> questions_;  // by number: when they must have ended
  std::uint64_t asked_ = 0;
  bool closing_ = false;
  std::optional<client::Client> client_;  // last: its callbacks use all of the above
};

client::ClientOptions ViewProgram::draw_options() {
  client::ClientOptions options;
  options.nodes = plan_.nodes;
  options.entropy.high = bits();
  options.entropy.low = bits();
  options.partition_of = [partitions = plan_.partitions](std::string_view key) {
    return GroupId(1 + static_cast<std::uint32_t>(io::digest64(std::as_bytes(std::span(key))) % partitions));
  };
  options.submit_timeout = kPatience;
  options.prefetch_bytes = std::uint64_t{64} << below(12);
  options.apply_max = 1 + static_cast<std::uint32_t>(below(32));
  options.submitter.call_timeout = io::milliseconds(400);
  options.submitter.grace = kGrace;
  options.submitter.attempts_max = 2 + static_cast<std::uint32_t>(below(8));
  options.submitter.call_transactions_max = 1 + static_cast<std::uint32_t>(below(8));
  options.submitter.calls_in_flight_max = 1 + static_cast<std::uint32_t>(below(4));
  options.reader.bytes_max = 256u << below(8);
  options.reader.wait = io::milliseconds(500);
  options.reader.call_timeout = io::seconds(1);
  return options;
}

void ViewProgram::mount(GroupId group) {
  View& view = views_[group];
  const TxnId from = memory_.applied[group];
  view.next = view.told = from;
  view.failures = 0;
  view.unmounting = false;
  oracles_.feed_opened(group, plan_.self, from);
  client::MountOptions options;
  options.from = from;
  options.retry_min = io::milliseconds(2);
  options.retry_max = io::milliseconds(100);
  options.apply = [this](GroupId of, const log::Transaction& transaction) { return apply(of, transaction); };
  options.dead_letter = [this](const client::Poison& poison) { return judge(poison); };
  options.on_stopped = [this](GroupId of, const client::ViewState& state) { on_stopped(of, state); };
  if (!client_->mount(group, std::move(options))) complain("view-order", "a partition cannot be mounted");
}

// ---- answers, garbled ---------------------------------------------------------------------------------------------

void ViewProgram::on_reply(io::CallId call, io::Parcel body) {
  if (plan_.troubled && one_in(32)) {
    oracles_.mark("client.garbled");
    switch (below(5)) {
      case 0: client_->on_reply(call, body); break;  // and once more below
      case 1: client_->on_reply(call, io::parcel_of(Bytes::copy_of("garbage"))); break;
      case 2: client_->on_reply(call, wire::parcel(ClientReply(AppendResult{}))); break;
      case 3: client_->on_reply(call, wire::parcel(ClientReply(StatusResult{}))); break;
      default: client_->on_reply(io::CallId(call.value + 1'000'000), body); break;
    }
  }
  client_->on_reply(call, std::move(body));
}

// ---- the view -----------------------------------------------------------------------------------------------------

// Once for each life's look at a transaction, however often it is applied.
void ViewProgram::see(GroupId group, const log::Transaction& transaction) {
  View& view = views_[group];
  if (transaction.id < view.told) return;
  view.told = transaction.id + 1;
  oracles_.fed(group, plan_.self, transaction);
}

void ViewProgram::pass(GroupId group, const log::Transaction& transaction) {
  View& view = views_[group];
  view.digests[transaction.id] = io::digest64(transaction.record.data);
  const auto content = parse(transaction.record.data);
  if (content && content->client == plan_.self.value && content->life == memory_.lives) {
    view.own[content->number] = transaction.id;
  }
  see(group, transaction);
  view.failures = 0;
  view.next = transaction.id + 1;
  memory_.applied[group] = view.next;
}

std::expected<void, std::string> ViewProgram::apply(GroupId group, const log::Transaction& transaction) {
  View& view = views_[group];
  if (view.unmounting) complain("view-order", "an unmounted view is applied to");
  if (transaction.id != view.next) {
    const bool past = view.failures > 0 && transaction.id > view.next;
    complain(past ? "view-poison" : "view-order", "transaction " + std::to_string(transaction.id.value) +
                                                      " is applied where " + std::to_string(view.next.value) +
                                                      (past ? " failed and was not skipped" : " comes next"));
  }
  const auto content = parse(transaction.record.data);
  const Sort sort = content ? content->sort : Sort::good;
  const std::uint32_t before = view.failures;
  const bool fails = sort == Sort::skipped || sort == Sort::stops || (sort == Sort::recovers && before < 2) ||
                     (sort == Sort::throws && before < 1);
  if (!fails) {
    pass(group, transaction);
    return {};
  }
  ++view.failures;
  oracles_.mark("client.poison");
  if (sort == Sort::throws) throw std::runtime_error("poison");
  return std::unexpected(std::string("poison"));
}

Verdict ViewProgram::judge(const client::Poison& poison) {
  View& view = views_[poison.partition];
  if (poison.transaction.id != view.next || poison.failures != view.failures || poison.why != "poison") {
    complain("view-poison", "failure " + std::to_string(poison.failures) + " of transaction " +
                                std::to_string(poison.transaction.id.value) + " is told where failure " +
                                std::to_string(view.failures) + " of transaction " +
                                std::to_string(view.next.value) + " happened");
  }
  const auto content = parse(poison.transaction.record.data);
  if (!content || (content->sort != Sort::skipped && content->sort != Sort::stops)) return Verdict::retry;
  if (poison.failures < 2) return Verdict::retry;
  if (content->sort == Sort::skipped) {
    view.skips.insert(poison.transaction.id);
    pass(poison.partition, poison.transaction);
    return Verdict::skip;
  }
  // From here on it is known; it is passed when the program says so.
  see(poison.partition, poison.transaction);
  view.digests[poison.transaction.id] = io::digest64(poison.transaction.record.data);
  if (content->client == plan_.self.value && content->life == memory_.lives) {
    view.own[content->number] = poison.transaction.id;
  }
  return Verdict::stop;
}

void ViewProgram::on_stopped(GroupId group, const client::ViewState& state) {
  if (state.status == client::ViewState::Status::failed) complain("feed", state.why);
  if (state.next != views_[group].next)
    complain("view-poison", "a view stopped elsewhere than at its poison");
  oracles_.mark("client.view_stopped");
}

void ViewProgram::let_stopped_views_go_on() {
  for (auto& [group, view] : views_) {
    const auto state = client_->view(group);
    if (!state || view.unmounting || state->status != client::ViewState::Status::stopped || !one_in(3))
      continue;
    const bool again = one_in(3);
    if (again) {
      view.failures = 0;
    } else {
      view.skips.insert(view.next);
      ++view.next;
      view.failures = 0;
      memory_.applied[group] = view.next;
    }
    if (!client_->resume(group, again ? Verdict::retry : Verdict::skip)) {
      complain("view-poison", "a stopped view does not go on");
    }
  }
}

// ---- what it does -------------------------------------------------------------------------------------------------

void ViewProgram::act() {
  const bool more = memory_.operations < plan_.operations;
  while (!closing_ && memory_.operations < plan_.operations && orders_.size() < plan_.outstanding) {
    submit();
    if (one_in(3)) break;
  }
  if (plan_.troubled && one_in(12)) cancel_one();
  if (!closing_ && one_in(6)) flush();
  if (!closing_ && one_in(3)) ask();
  if (!closing_ && more && one_in(24))
    remount(GroupId(1 + static_cast<std::uint32_t>(below(plan_.partitions))));
  let_stopped_views_go_on();
  for (const auto& [number, ends_by] : questions_) check_in_time("question-deadline", ends_by);
  if (!more && orders_.empty() && !closing_ && memory_.lives % 2 == 0) close();
  client_->pump();
  const auto pause = decisions_.pause(
      {sim::Choice::workload, kViewDraw, static_cast<std::uint32_t>(plan_.self.value), ++memory_.draws},
      static_cast<std::uint64_t>(plan_.think_mean.ns));
  clock_.wake_program_at(memory_.closed ? io::kNever
                                        : now() + io::Duration{static_cast<std::int64_t>(pause)});
}

void ViewProgram::submit() {
  const std::uint64_t number = ++numbers_;
  Order order;
  order.key = below(kKeys);
  order.reads = one_in(3);
  order.sort = plan_.troubled && one_in(8) ? static_cast<Sort>(below(kSorts)) : Sort::good;
  const bool hurried = plan_.troubled && one_in(5);
  const io::Duration patience =
      hurried ? io::microseconds(1 + static_cast<std::int64_t>(below(60'000))) : kPatience;
  order.ends_by = now() + patience + kGrace + kSlack;
  client::Submission submission;
  if (one_in(2)) {
    order.group = GroupId(1 + static_cast<std::uint32_t>(below(plan_.partitions)));
    submission.partition = order.group;
  } else {
    submission.key = "key " + std::to_string(order.key);
    order.group = GroupId(1 + static_cast<std::uint32_t>(
                                  io::digest64(std::as_bytes(std::span(submission.key))) % plan_.partitions));
  }
  submission.timeout = patience;
  submission.attempts_max = one_in(3) ? 1 + static_cast<std::uint32_t>(below(3)) : 0;
  submission.execute = [this, number](const client::View& view) {
    return execute(orders_.at(number), number, view);
  };
  if (one_in(3)) {
    submission.on_conflict = [this, number](const Refusal& refusal) {
      Order& refused = orders_.at(number);
      check_refusal(refused, refusal);
      refused.vetoed = one_in(4);
      return !refused.vetoed;
    };
  }
  submission.on_committed = [this, number](const auto& outcome) { on_committed(number, outcome); };
  submission.on_applied = [this, number](const auto& outcome, Application how) {
    on_applied(number, outcome, how);
  };
  submission.on_failed = [this, number](const auto& outcome) { on_failed(number, outcome); };
  const View& view = views_[order.group];
  const bool expected = !view.unmounting && !client_->refusal(order.group);
  const auto taken = client_->submit(std::move(submission));
  if (taken.has_value() != expected) complain("submit-outcome", "refusal() is not what submit() does");
  if (!taken) return;
  ++memory_.operations;
  orders_.emplace(number, std::move(order));
  submissions_.emplace(number, *taken);
}

std::optional<client::Prepared> ViewProgram::execute(Order& order, std::uint64_t number,
                                                     const client::View& view) {
  const TxnId next = views_[order.group].next;
  const std::optional<TxnId> applied = next.value == 0 ? std::nullopt : std::optional(next - 1);
  if (view.applied != applied) complain("submit-view", "an execution is not based on the newest view");
  if (order.vetoed) complain("submit-outcome", "an attempt is made that the application did not want");
  ++order.attempts;
  if (order.attempts > 1 && one_in(16)) return std::nullopt;
  client::Prepared prepared;
  prepared.data = encode({plan_.self.value, memory_.lives, number, order.sort});
  const log::LockKey key = key_of(order.key);
  if (order.reads) {
    prepared.read_locks = {key};
    prepared.append_locks = {key_of((order.key + 1) % kKeys)};
  } else {
    prepared.write_locks = {key};
  }
  order.last = {prepared.write_locks, prepared.read_locks, prepared.append_locks, view.applied};
  return prepared;
}

void ViewProgram::cancel_one() {
  if (submissions_.empty()) return;
  const auto chosen =
      std::next(submissions_.begin(), static_cast<std::ptrdiff_t>(below(submissions_.size())));
  client_->cancel(chosen->second);
}

// All that is outstanding now must have ended when it ends well.
void ViewProgram::flush() {
  const bool applied = one_in(2);
  const io::Duration timeout = io::milliseconds(static_cast<std::int64_t>(below(4000)));
  const io::Instant due = now() + timeout;
  std::vector<std::uint64_t> before;
  for (const auto& [number, order] : orders_) {
    if (applied || !order.committed) before.push_back(number);
  }
  const auto ended = question();
  client_->flush(applied, timeout, [this, applied, before, due, ended](bool well) {
    ended();
    oracles_.mark(well ? "client.flushed" : "client.flush_late");
    if (!well && now() < due) complain("flush", "a flush ended badly before its time");
    for (const std::uint64_t number : before) {
      const auto open = orders_.find(number);
      if (well && open != orders_.end() && (applied || !open->second.committed)) {
        complain("flush", "submission " + std::to_string(number) + " was flushed, and has not ended");
      }
    }
  });
}

std::function<void()> ViewProgram::question() {
  const std::uint64_t number = ++asked_;
  questions_[number] = now() + kQuestionPatience + kSlack;
  return [this, number] {
    if (questions_.erase(number) == 0) complain("question-deadline", "a question was answered twice");
  };
}

void ViewProgram::ask() {
  const GroupId group(1 + static_cast<std::uint32_t>(below(plan_.partitions)));
  const std::uint64_t what = below(3);
  if (what == 1) return look_up(group);
  if (what == 2) return resolve_one();
  const bool linearizable = !one_in(4);
  const TxnId least = linearizable ? std::max(truth_.acknowledged[group], views_[group].next) : TxnId();
  const auto ended = question();
  client_->high_water(group, linearizable, kQuestionPatience, [=, this](const auto& answer) {
    ended();
    if (!answer) return;
    oracles_.mark("client.high_water");
    if (*answer < least) {
      complain("high-water", "a linearizable high-water mark is " + std::to_string(answer->value) +
                                 ", below " + std::to_string(least.value) + ", which was known before");
    }
  });
}

void ViewProgram::look_up(GroupId group) {
  const TxnId end = std::max(truth_.acknowledged[group], views_[group].next);
  const TxnId id = TxnId(below(end.value + 2));
  const auto ended = question();
  client_->lookup(group, id, kQuestionPatience, [=, this](const auto& answer) {
    ended();
    if (!answer) {
      if (answer.error().code == ErrorCode::malformed) complain("lookup", answer.error().text);
      return;
    }
    oracles_.mark(*answer ? "client.lookup_found" : "client.lookup_absent");
    if (!*answer) {
      if (id < end)
        complain("lookup", "transaction " + std::to_string(id.value) + " is committed, and not found");
      return;
    }
    const auto record = log::parse_record((*answer)->record.span());
    const auto known = views_[group].digests.find(id);
    if (known == views_[group].digests.end()) return;
    if (!record || io::digest64(record->data) != known->second) {
      complain("lookup", "transaction " + std::to_string(id.value) + " is not what the view was given");
    }
  });
}

void ViewProgram::resolve_one() {
  if (ended_.empty()) return;
  const Ended chosen = ended_[below(ended_.size())];
  const auto told = question();
  client_->resolve(chosen.group, chosen.outcome.session, chosen.outcome.sequence, one_in(2),
                   kQuestionPatience, [this, chosen, told](const auto& answer) {
                     told();
                     if (answer) check_resolved(chosen, *answer);
                   });
}

void ViewProgram::check_resolved(const Ended& ended, const ResolveResult& result) {
  oracles_.mark("client.resolved");
  const client::SubmitOutcome& outcome = ended.outcome;
  if (result.outcome() == ResolveOutcome::burned) {
    oracles_.burned(ended.group, outcome.session, outcome.sequence);
  }
  const bool committed = outcome.kind == Kind::committed;
  // Undecided promises nothing: a leader that was deposed and does not know it may say so.
  if (outcome.kind == Kind::unknown || result.undecided) return;
  if (committed != result.committed.has_value() || (committed && result.committed->id != outcome.id)) {
    complain("resolve", "a request that ended as " + std::string(client::name_of(outcome.kind)) +
                            " is resolved as something else");
  }
}

void ViewProgram::remount(GroupId group) {
  View& view = views_[group];
  if (view.unmounting) return;
  view.unmounting = true;
  oracles_.mark("client.unmounted");
  client_->unmount(group, [this, group] {
    for (const auto& [number, order] : orders_) {
      if (order.group == group) complain("submit-outcome", "a partition is gone before its submissions");
    }
    if (!closing_) mount(group);
  });
}

void ViewProgram::close() {
  closing_ = true;
  client_->close(io::seconds(5), [this] {
    oracles_.mark("client.closed");
    memory_.closed = true;
    if (!orders_.empty()) complain("submit-outcome", "a client is closed before its submissions have ended");
  });
}

// ---- what it is told ----------------------------------------------------------------------------------------------

void ViewProgram::check_in_time(const char* oracle, io::Instant ends_by) {
  if (now() > ends_by) {
    complain(oracle, "something ends " + std::to_string((now() - ends_by).ns) + " ns after it had to");
  }
}

void ViewProgram::check_refusal(const Order& order, const Refusal& refusal) {
  if (!order.last) return complain("submit-outcome", "what was never executed was refused");
  if (refusal.code == RefusalCode::conflict) {
    oracles_.conflicted(order.group, *order.last, refusal.lock, refusal.id);
  } else if (refusal.code == RefusalCode::stale) {
    oracles_.stale(order.group, *order.last, refusal.id);
  }
}

void ViewProgram::on_committed(std::uint64_t number, const client::SubmitOutcome& outcome) {
  const auto found = orders_.find(number);
  if (found == orders_.end() || found->second.committed) {
    return complain("submit-outcome", "a submission ended twice");
  }
  Order& order = found->second;
  check_in_time("submit-deadline", order.ends_by);
  order.committed = outcome;
  oracles_.acknowledged(order.group, outcome.session, {outcome.sequence, 1, outcome.id, outcome.time});
  TxnId& end = truth_.acknowledged[order.group];
  end = std::max(end, outcome.id + 1);
}

void ViewProgram::on_applied(std::uint64_t number, const client::SubmitOutcome& outcome, Application how) {
  const auto found = orders_.find(number);
  if (found == orders_.end() || !found->second.committed || found->second.committed->id != outcome.id) {
    return complain("submit-outcome", "what was never told as committed is told as applied");
  }
  const View& view = views_[found->second.group];
  const std::string name =
      "submission " + std::to_string(number) + ", transaction " + std::to_string(outcome.id.value) + ",";
  if (how == Application::unreported) {
    if (!view.unmounting && !closing_) complain("submit-outcome", name + " is given up by a mounted view");
  } else {
    const auto own = view.own.find(number);
    if (outcome.id >= view.next || own == view.own.end() || own->second != outcome.id) {
      complain("submit-outcome", name + " is told as applied, and is not in the view");
    }
    if (view.skips.contains(outcome.id) != (how == Application::skipped)) {
      complain("submit-outcome", name + " was skipped and is told as applied, or the other way round");
    }
    oracles_.mark(how == Application::skipped ? "client.own_skipped" : "client.own_applied");
  }
  end(number, outcome);
}

void ViewProgram::on_failed(std::uint64_t number, const client::SubmitOutcome& outcome) {
  const auto found = orders_.find(number);
  if (found == orders_.end() || found->second.committed) {
    return complain("submit-outcome", "a submission ended twice");
  }
  const Order& order = found->second;
  check_in_time("submit-deadline", order.ends_by);
  const bool refused = outcome.kind == Kind::conflict || outcome.kind == Kind::stale;
  if (refused && outcome.refused == order.attempts) check_refusal(order, *outcome.refusal);
  if (outcome.kind == Kind::failed)
    complain("client-refused", "a submit was refused: " + outcome.error->text);
  // It was told that this request never commits.
  const bool never = outcome.kind != Kind::unknown && outcome.sequence.value > 0;
  if (never) oracles_.burned(order.group, outcome.session, outcome.sequence);
  end(number, outcome);
}

void ViewProgram::end(std::uint64_t number, const client::SubmitOutcome& outcome) {
  if (outcome.sequence.value > 0) {
    if (ended_.size() >= 16) ended_.erase(ended_.begin());
    ended_.push_back({orders_.at(number).group, outcome});
  }
  orders_.erase(number);
  submissions_.erase(number);
  ++memory_.answered;
}

}  // namespace

std::unique_ptr<io::Host> make_view_client(io::Ports& ports, const ViewPlan& plan, ViewMemory& memory,
                                           ViewTruth& truth, Oracles& oracles, sim::Decisions& decisions) {
  return std::make_unique<ViewProgram>(ports, plan, memory, truth, oracles, decisions);
}

}  // namespace reel::harness
