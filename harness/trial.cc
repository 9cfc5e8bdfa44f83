#include "harness/trial.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <unordered_set>

#include "io/ports/assert.h"

namespace reel::harness {
namespace {

// ---- signatures ---------------------------------------------------------------------------------------------------

// Numbers become '#', and several of them in a row one.
std::string without_numbers(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (std::isdigit(static_cast<unsigned char>(text[i])) == 0) {
      out += text[i];
      continue;
    }
    if (out.ends_with('#')) continue;
    if (out.ends_with("#, ") || out.ends_with("#,") || out.ends_with("# ")) {
      out.resize(out.rfind('#') + 1);
    } else {
      out += '#';
    }
  }
  return out;
}

// Checkers of histories name the anomaly first and then tell an example of it.
bool tells_examples(std::string_view oracle) {
  return oracle == "linearizability" || oracle == "strict-serializability";
}

// ---- what a child tells its parent --------------------------------------------------------------------------------

class Writer {
 public:
  void number(std::uint64_t value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);  // the same process image reads it
  }
  void text(const std::string& value) {
    number(value.size());
    bytes_ += value;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    if (rest_.size() < sizeof value) {
      whole_ = false;
      return 0;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  std::string text() {
    const std::uint64_t size = number();
    if (size > rest_.size()) {
      whole_ = false;
      return {};
    }
    const std::string value(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
  }
  bool whole() const { return whole_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool whole_ = true;
};

std::string encode(const TrialOutcome& outcome) {
  Writer out;
  out.number(static_cast<std::uint64_t>(outcome.end));
  out.text(outcome.failure.oracle);
  out.text(outcome.failure.signature);
  out.text(outcome.failure.text);
  out.number(static_cast<std::uint64_t>(outcome.time_ns));
  out.number(outcome.events);
  out.number(outcome.commits);
  out.number(outcome.draws.size());
  for (const sim::Override& draw : outcome.draws) {
    out.number(static_cast<std::uint64_t>(draw.key.kind));
    out.number(draw.key.place);
    out.number(draw.key.node);
    out.number(draw.key.counter);
    out.number(draw.value);
  }
  return out.bytes();
}

std::optional<TrialOutcome> decode(std::string_view bytes) {
  Reader in(bytes);
  TrialOutcome outcome;
  outcome.end = static_cast<TrialEnd>(in.number());
  outcome.failure.oracle = in.text();
  outcome.failure.signature = in.text();
  outcome.failure.text = in.text();
  outcome.time_ns = static_cast<std::int64_t>(in.number());
  outcome.events = in.number();
  outcome.commits = in.number();
  const std::uint64_t draws = in.number();
  for (std::uint64_t i = 0; i < draws && i < bytes.size(); ++i) {
    sim::Override draw;
    draw.key.kind = static_cast<sim::Choice>(in.number());
    draw.key.place = static_cast<std::uint32_t>(in.number());
    draw.key.node = static_cast<std::uint32_t>(in.number());
    draw.key.counter = in.number();
    draw.value = in.number();
    outcome.draws.push_back(draw);
  }
  if (!in.whole()) return std::nullopt;
  return outcome;
}

// ---- the child ----------------------------------------------------------------------------------------------------

class Chosen final : public sim::DecisionListener {
 public:
  void on_draw(const sim::ChoiceKey& key, std::uint64_t value) override {
    if (known_.insert(key).second) draws.push_back({key, value});  // some ask the same again
  }
  void on_default(const sim::ChoiceKey&, std::uint64_t) override {}
  void on_identity(const sim::ChoiceKey&, std::uint64_t) override {}
  std::vector<sim::Override> draws;

 private:
  std::unordered_set<sim::ChoiceKey, sim::ChoiceKeyHash> known_;  // looked up, never iterated
};

TrialOutcome play(const Trial& trial, const TrialLimits& limits, bool wants_draws) {
  Chosen chosen;
  Simulation simulation(trial.options, trial.overrides, trial.between, wants_draws ? &chosen : nullptr);
  if (limits.time_max != io::kNever) simulation.stop_at(limits.time_max);
  bool unending = false;
  class Bound final : public sim::Observer {
   public:
    Bound(sim::World& world, std::uint64_t events_max, bool& exceeded)
        : world_(world), events_max_(events_max), exceeded_(exceeded) {}
    void on_event(const sim::EventRecord&) override {
      if (world_.events() <= events_max_ || world_.failed()) return;
      exceeded_ = true;
      world_.fail("bound", "bound", "more events than a trial may have");
    }

   private:
    sim::World& world_;
    std::uint64_t events_max_;
    bool& exceeded_;
  };
  Bound bound(simulation.world(), limits.events_max, unending);
  simulation.world().add_observer(&bound);
  const RunReport report = simulation.run();
  simulation.world().remove_observer(&bound);
  TrialOutcome outcome;
  outcome.end = unending ? TrialEnd::unending : report.failure ? TrialEnd::failed : TrialEnd::passed;
  if (report.failure)
    outcome.failure = {report.failure->oracle, report.failure->signature, report.failure->text};
  outcome.time_ns = report.simulated_ns;
  outcome.events = report.events;
  outcome.commits = report.commits;
  outcome.draws = std::move(chosen.draws);
  return outcome;
}

struct Child {
  pid_t process = 0;
  int pipe = -1;
  std::size_t index = 0;
  std::string bytes;
};

Child start(const Trial& trial, const TrialLimits& limits, bool wants_draws) {
  int ends[2];
  REEL_CHECK(pipe(ends) == 0);
  std::fflush(nullptr);
  Child child;
  child.process = fork();
  REEL_CHECK(child.process >= 0);
  if (child.process > 0) {
    close(ends[1]);
    child.pipe = ends[0];
    return child;
  }
  close(ends[0]);
  const rlimit cpu{limits.cpu_seconds_max, limits.cpu_seconds_max + 1};
  const rlimit core{0, 0};
  (void)setrlimit(RLIMIT_CPU, &cpu);
  (void)setrlimit(RLIMIT_CORE, &core);
  const std::string bytes = encode(play(trial, limits, wants_draws));
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t written = write(ends[1], bytes.data() + at, bytes.size() - at);
    if (written <= 0) _exit(1);
    at += static_cast<std::size_t>(written);
  }
  _exit(0);
}

// Waits until one of them has more to say; true if it has said everything.
bool read_more(Child& child) {
  char buffer[65536];
  const ssize_t got = read(child.pipe, buffer, sizeof buffer);
  if (got > 0) child.bytes.append(buffer, static_cast<std::size_t>(got));
  return got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
}

TrialOutcome finish(Child& child) {
  close(child.pipe);
  int status = 0;
  while (waitpid(child.process, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    if (auto outcome = decode(child.bytes)) return *std::move(outcome);
  }
  TrialOutcome outcome;
  outcome.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  const bool late = outcome.signal == SIGXCPU || outcome.signal == SIGKILL;
  outcome.end = late ? TrialEnd::unending : TrialEnd::crashed;
  return outcome;
}

void stop(Child& child) {
  kill(child.process, SIGKILL);
  (void)finish(child);
}

}  // namespace

std::string signature_of(const sim::TraceFailure& failure) {
  std::string_view text = failure.text;
  if (failure.oracle == "assertion") text = text.substr(0, text.rfind(" ("));  // the place in a file moves
  text = text.substr(0, text.find("; "));
  if (tells_examples(failure.oracle)) text = text.substr(0, text.find(':'));
  std::string signature = failure.oracle + " | ";
  // Oracles that have more than one place name it in their own signature; an assertion's is its text and a path.
  if (failure.oracle != "assertion") signature += failure.signature + " | ";
  return signature + without_numbers(text);
}

TrialOutcome run_trial(const Trial& trial, const TrialLimits& limits, bool wants_draws) {
  Child child = start(trial, limits, wants_draws);
  while (!read_more(child)) {
  }
  return finish(child);
}

std::optional<Found> first_with(const std::string& signature, std::span<const Trial> trials,
                                const TrialLimits& limits) {
  std::vector<Child> running;
  std::size_t next = 0;
  Found best{trials.size(), {}};
  while (true) {
    while (next < best.index && running.size() < std::max(1u, limits.jobs)) {
      running.push_back(start(trials[next], limits, false));
      running.back().index = next++;
    }
    if (running.empty()) break;
    std::vector<pollfd> waiting;
    for (const Child& child : running) waiting.push_back({child.pipe, POLLIN, 0});
    if (poll(waiting.data(), waiting.size(), -1) < 0) continue;
    for (std::size_t i = running.size(); i-- > 0;) {
      if (waiting[i].revents == 0 || !read_more(running[i])) continue;
      const std::size_t index = running[i].index;
      TrialOutcome outcome = finish(running[i]);
      if (index < best.index && outcome.has(signature)) best = {index, std::move(outcome)};
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (std::size_t i = running.size(); i-- > 0;) {
      if (running[i].index < best.index) continue;
      stop(running[i]);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  if (best.index == trials.size()) return std::nullopt;
  return best;
}

}  // namespace reel::harness
