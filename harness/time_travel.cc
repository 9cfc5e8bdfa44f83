#include "harness/time_travel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>

#include "harness/recording.h"
#include "io/ports/assert.h"

namespace reel::harness {
namespace {

// Processes that wait behind a run that is stepped through.
constexpr std::uint64_t kCheckpoints = 48;
constexpr std::uint64_t kCheckpointEventsMin = 500;
// A future that goes on for so long is taken for one that does not fail.
constexpr std::uint32_t kFutureCpuSeconds = 20;
constexpr std::size_t kCommandMax = 256;
// Keys the seeds of futures.
constexpr std::uint64_t kFuture = 0x6675'7475'7265;

std::expected<Trial, std::string> trial_of(const sim::Trace& trace) {
  const auto options = options_of(trace);
  if (!options) return std::unexpected(options.error());
  return Trial{*options, trace.overrides, {}};
}

void wait_for(pid_t process, int* status) {
  while (waitpid(process, status, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

std::expected<void, std::string> play_until(const sim::Trace& trace, const Moment& moment,
                                            const std::function<void(Simulation&)>& look) {
  const auto trial = trial_of(trace);
  if (!trial) return std::unexpected(trial.error());
  Simulation simulation(trial->options, trial->overrides);
  const sim::Replayer replayer(simulation.world(), trace);
  bool looked = false;
  if (!is_reached(moment, simulation.world())) {
    simulation.between_events([&] {
      if (replayer.divergence() || !is_reached(moment, simulation.world())) return true;
      looked = true;
      look(simulation);
      return false;
    });
    (void)simulation.run();
  }
  if (replayer.divergence()) return std::unexpected(replayer.divergence()->text);
  if (!looked) look(simulation);
  return {};
}

// ---- stepping -----------------------------------------------------------------------------------------------------

namespace {

class Stepper {
 public:
  Stepper(const sim::Trace& trace, Trial trial, int in)
      : trial_(std::move(trial)),
        in_(in),
        every_(std::max(kCheckpointEventsMin, trace.events / kCheckpoints)) {}

  std::expected<void, std::string> run() {
    void* const page =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return std::unexpected("no memory to share with the run's processes");
    shared_ = new (page) Shared();
    shared_->target = 0;
    const bool child = leave_checkpoint(0);
    if (child) play();  // does not return
    const bool died = shared_->died;
    munmap(page, sizeof(Shared));
    if (died) return std::unexpected("the process that played the run died");
    return {};
  }

 private:
  // What the processes of one run tell each other; only one of them runs at a time.
  struct Shared {
    std::uint64_t target = 0;  // events after which the next command is read
    bool quit = false;
    bool died = false;
    bool seen_end = false;
    std::uint64_t end = 0;  // events of the whole run, once it was seen
  };

  // True in the process that goes on. The one that stays behind returns, with false, when all is over (only the first), or
  // ends when somebody wants to go back beyond it.
  bool leave_checkpoint(std::uint64_t here) {
    while (true) {
      std::fflush(nullptr);
      const pid_t child = fork();
      if (child == 0) return true;
      if (child < 0) {
        shared_->died = shared_->quit = true;
      } else {
        int status = 0;
        wait_for(child, &status);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) shared_->died = shared_->quit = true;
      }
      if (shared_->quit || shared_->target < here) {
        if (here == 0) return false;
        _exit(0);
      }
    }
  }

  [[noreturn]] void play() {
    Simulation simulation(trial_.options, trial_.overrides, trial_.between);
    const Narrator narrator(simulation);
    simulation_ = &simulation;
    narrator_ = &narrator;
    serve();
    simulation.between_events([this] {
      const std::uint64_t events = simulation_->world().events();
      if (events == stepped_) return true;  // a function of the harness, or something void
      stepped_ = events;
      if (events >= checkpoint_ + every_ && events < shared_->target) {
        checkpoint_ = events;
        (void)leave_checkpoint(events);
      }
      serve();
      return true;
    });
    (void)simulation.run();
    shared_->seen_end = true;
    shared_->end = simulation.world().events();
    shared_->target = shared_->end;
    ended_ = true;
    while (true) serve();
  }

  // Reads commands as long as they are about this moment.
  void serve() {
    while (simulation_->world().events() >= shared_->target) {
      std::string line;
      show();
      if (!read_line(line)) finish();
      obey(line);
    }
  }

  void show() {
    const std::uint64_t events = simulation_->world().events();
    if (shown_ && shown_at_ == events) return;
    shown_ = true;
    shown_at_ = events;
    if (events == 0) {
      std::printf("event 0: nothing has happened\n");
    } else {
      std::printf("%s\n", narrator_->last().c_str());
    }
    const auto& failure = simulation_->world().failure();
    if (ended_)
      std::printf("%s\n", failure ? ("the run fails: " + failure->text).c_str() : "the run is over");
    std::fflush(stdout);
  }

  [[noreturn]] void finish() {
    shared_->quit = true;
    std::fflush(nullptr);
    _exit(0);
  }

  // A byte at a time: what is behind the line belongs to whichever process goes on.
  bool read_line(std::string& line) const {
    if (isatty(in_) != 0) {
      std::printf("(n)ext [N], (b)ack [N], (g)o MOMENT, (i)nspect [MACHINE], (q)uit > ");
      std::fflush(stdout);
    }
    while (line.size() < kCommandMax) {
      char c = 0;
      const ssize_t got = read(in_, &c, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return !line.empty();
      if (c == '\n') return true;
      line += c;
    }
    return true;
  }

  void obey(const std::string& line) {
    const std::size_t space = std::min(line.find(' '), line.size());
    const std::string verb = line.substr(0, space);
    const std::string argument = space < line.size() ? line.substr(space + 1) : "";
    if (verb == "q" || verb == "quit") finish();
    if (verb == "i" || verb == "inspect") return look(argument);
    if (verb == "g" || verb == "go") return go(argument);
    const bool back = verb == "b" || verb == "back";
    if (!back && verb != "n" && verb != "next" && !verb.empty()) return complain(line);
    std::uint64_t count = 1;
    if (!argument.empty()) {
      const auto moment = parse_moment(argument);
      if (!moment || !moment->events) return complain(line);
      count = *moment->events;
    }
    const std::uint64_t here = simulation_->world().events();
    jump(back ? here - std::min(count, here) : here + std::min(count, UINT64_MAX - here));
  }

  void go(const std::string& where) {
    const auto moment = parse_moment(where);
    if (!moment) {
      std::printf("%s\n", moment.error().c_str());
      return;
    }
    if (moment->events) return jump(*moment->events);
    // How many events there are until then, another process has to find out.
    std::uint64_t* const found = static_cast<std::uint64_t*>(
        mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    if (found == MAP_FAILED) return;
    const pid_t child = fork();
    if (child == 0) {
      Simulation simulation(trial_.options, trial_.overrides, trial_.between);
      simulation.stop_at(moment->time);
      simulation.between_events([&] { return !is_reached(*moment, simulation.world()); });
      (void)simulation.run();
      *found = simulation.world().events();
      _exit(0);
    }
    int status = 0;
    if (child > 0) wait_for(child, &status);
    const std::uint64_t events = *found;
    munmap(found, sizeof(std::uint64_t));
    jump(events);
  }

  void jump(std::uint64_t target) {
    if (shared_->seen_end) target = std::min(target, shared_->end);
    shared_->target = target;
    shown_ = false;
    if (target >= simulation_->world().events()) return;
    std::fflush(nullptr);
    _exit(0);  // the checkpoint before the target goes on
  }

  void look(const std::string& name) const {
    if (!name.empty()) {
      const auto machine = machine_by_name(*simulation_, name);
      std::printf("%s", machine ? inspect(*simulation_, *machine).c_str()
                                : ("this run has no machine '" + name + "'\n").c_str());
    } else {
      for (const NodeId node : simulation_->replicas())
        std::printf("%s", inspect(*simulation_, node).c_str());
    }
    std::fflush(stdout);
  }

  static void complain(const std::string& line) {
    std::printf("'%s' is no command: next [N], back [N], go MOMENT, inspect [MACHINE], quit\n", line.c_str());
    std::fflush(stdout);
  }

  Trial trial_;
  int in_;
  std::uint64_t every_;
  Shared* shared_ = nullptr;
  Simulation* simulation_ = nullptr;
  const Narrator* narrator_ = nullptr;
  std::uint64_t stepped_ = 0;
  std::uint64_t checkpoint_ = 0;
  bool ended_ = false;
  bool shown_ = false;
  std::uint64_t shown_at_ = 0;
};

}  // namespace

std::expected<void, std::string> step_through(const sim::Trace& trace, int in) {
  auto trial = trial_of(trace);
  if (!trial) return std::unexpected(trial.error());
  return Stepper(trace, *std::move(trial), in).run();
}

// ---- other futures ------------------------------------------------------------------------------------------------

namespace {

struct Future {
  pid_t process = 0;
  int pipe = -1;
  std::uint32_t number = 0;
  std::string said;
};

// Forks futures off a run at one moment after the other.
class Forker {
 public:
  Forker(const Past& past, std::uint32_t count, std::uint32_t jobs)
      : trial_(past.trial), wanted_(past.signature), count_(count), jobs_(std::max(1u, jobs)) {}

  // At each of the moments, which rise. A future never returns from here.
  std::vector<Futures> at(std::span<const Moment> moments,
                          const std::function<void(const Futures&)>& progress) {
    Simulation simulation(trial_.options, trial_.overrides, trial_.between);
    const Narrator narrator(simulation);
    std::vector<Futures> found;
    std::size_t next = 0;
    const auto look = [&] {
      while (next < moments.size() && is_reached(moments[next], simulation.world())) {
        ++next;
        const bool goes_on = fork_all(simulation, narrator, found);
        if (!goes_on) return true;
        if (progress) progress(found.back());
      }
      return next < moments.size();
    };
    bool future = false;
    if (look() && !tells_) {
      simulation.between_events([&] { return tells_ || look(); });
      future = true;
    }
    if (future || tells_) (void)simulation.run();
    if (tells_) tell(simulation);
    // Beyond the run's end there is nothing to choose any more.
    for (; next < moments.size(); ++next) {
      found.push_back(past(simulation, narrator));
      found.back().count = count_;
      if (const auto& failure = simulation.world().failure()) {
        const std::string signature = signature_of({failure->oracle, failure->signature, failure->text});
        found.back().failed = count_;
        found.back().alike = signature == wanted_ ? count_ : 0;
        found.back().signatures.assign(count_, signature);
      }
    }
    return found;
  }

 private:
  static Futures past(Simulation& simulation, const Narrator& narrator) {
    Futures futures;
    futures.events = simulation.world().events();
    futures.time = simulation.world().time();
    futures.last = futures.events == 0 ? "event 0: nothing has happened" : narrator.last();
    return futures;
  }

  // False in a future, which is to go on with its run.
  bool fork_all(Simulation& simulation, const Narrator& narrator, std::vector<Futures>& found) {
    Futures futures = past(simulation, narrator);
    futures.count = count_;
    std::vector<std::string> said(count_);
    std::vector<Future> running;
    for (std::uint32_t next = 0; next < count_ || !running.empty();) {
      if (next < count_ && running.size() < jobs_) {
        Future future;
        if (start(simulation, next, future)) return false;
        if (future.process > 0) running.push_back(future);
        ++next;
        continue;
      }
      collect(running, said);
    }
    for (const std::string& signature : said) {
      if (signature.empty()) continue;
      ++futures.failed;
      if (signature == wanted_) ++futures.alike;
      futures.signatures.push_back(signature);
    }
    found.push_back(std::move(futures));
    return true;
  }

  // True in the future.
  bool start(Simulation& simulation, std::uint32_t number, Future& future) {
    int ends[2];
    if (pipe(ends) != 0) return false;
    std::fflush(nullptr);
    future.process = fork();
    future.number = number;
    future.pipe = ends[0];
    if (future.process != 0) {
      close(ends[1]);
      if (future.process < 0) close(ends[0]);
      return false;
    }
    close(ends[0]);
    const rlimit cpu{kFutureCpuSeconds, kFutureCpuSeconds + 1};
    const rlimit core{0, 0};
    (void)setrlimit(RLIMIT_CPU, &cpu);
    (void)setrlimit(RLIMIT_CORE, &core);
    tells_ = true;
    tells_to_ = ends[1];
    sim::World& world = simulation.world();
    world.decisions().reseed(io::keyed_hash(trial_.options.seed, {kFuture, world.events(), number}));
    return true;
  }

  [[noreturn]] void tell(Simulation& simulation) const {
    std::string signature;
    if (const auto& failure = simulation.world().failure())
      signature = signature_of({failure->oracle, failure->signature, failure->text});
    for (std::size_t at = 0; at < signature.size();) {
      const ssize_t written = write(tells_to_, signature.data() + at, signature.size() - at);
      if (written <= 0) break;
      at += static_cast<std::size_t>(written);
    }
    _exit(0);
  }

  // Waits until one of them has said something or ended.
  static void collect(std::vector<Future>& running, std::vector<std::string>& said) {
    std::vector<pollfd> waiting;
    for (const Future& future : running) waiting.push_back({future.pipe, POLLIN, 0});
    if (poll(waiting.data(), waiting.size(), -1) < 0) return;
    for (std::size_t i = running.size(); i-- > 0;) {
      if (waiting[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t got = read(running[i].pipe, buffer, sizeof buffer);
      if (got > 0) {
        running[i].said.append(buffer, static_cast<std::size_t>(got));
        continue;
      }
      close(running[i].pipe);
      int status = 0;
      wait_for(running[i].process, &status);
      const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
      if (signal != 0 && signal != SIGXCPU && signal != SIGKILL)
        running[i].said = "died of signal " + std::to_string(signal);
      said[running[i].number] = running[i].said;
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  Trial trial_;
  std::string wanted_;
  std::uint32_t count_;
  std::uint32_t jobs_;
  bool tells_ = false;  // this process is a future
  int tells_to_ = -1;
};

// From `first` to `last`, both included, as evenly as whole numbers allow.
std::vector<Moment> between(std::uint64_t first, std::uint64_t last, std::uint32_t points) {
  std::vector<Moment> moments;
  const std::uint64_t steps = std::min<std::uint64_t>(last - first, std::max(2u, points) - 1);
  for (std::uint64_t i = 0; i <= steps; ++i) {
    const std::uint64_t at = steps == 0 ? first : first + (last - first) * i / steps;
    moments.push_back({at, {}});
  }
  return moments;
}

std::size_t largest_rise(const std::vector<Futures>& curve) {
  std::size_t best = 1;
  const auto rise = [&curve](std::size_t i) {
    return static_cast<std::int64_t>(curve[i].alike) - static_cast<std::int64_t>(curve[i - 1].alike);
  };
  for (std::size_t i = 2; i < curve.size(); ++i) {
    if (rise(i) > rise(best)) best = i;
  }
  return best;
}

}  // namespace

std::expected<Past, std::string> past_of(const sim::Trace& trace) {
  auto trial = trial_of(trace);
  if (!trial) return std::unexpected(trial.error());
  return Past{*std::move(trial), trace.events, trace.failure ? signature_of(*trace.failure) : ""};
}

Futures fork_at(const Past& past, const Moment& moment, std::uint32_t count, std::uint32_t jobs) {
  return Forker(past, count, jobs).at(std::span(&moment, 1), {}).front();
}

Culprit find_culprit(const Past& past, const CulpritOptions& options) {
  REEL_CHECK(!past.signature.empty());
  Culprit culprit;
  const auto look = [&](std::span<const Moment> moments) {
    return Forker(past, options.futures, options.jobs).at(moments, options.progress);
  };
  culprit.curve = look(between(0, past.events, options.points));
  for (std::uint32_t round = 0; round < options.rounds && culprit.curve.size() > 1; ++round) {
    const std::size_t jump = largest_rise(culprit.curve);
    const std::uint64_t low = culprit.curve[jump - 1].events;
    const std::uint64_t high = culprit.curve[jump].events;
    if (high - low <= 1) break;
    const std::vector<Moment> closer = between(low, high, std::max(3u, options.points));
    std::vector<Futures> found = look(std::span(closer).subspan(1, closer.size() - 2));
    // One entry of the queue may be several events, so that a point comes to lie on its neighbour.
    std::erase_if(found,
                  [low, high](const Futures& point) { return point.events <= low || point.events >= high; });
    if (found.empty()) break;
    culprit.curve.insert(culprit.curve.begin() + static_cast<std::ptrdiff_t>(jump),
                         std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  }
  if (culprit.curve.size() > 1) culprit.jump = largest_rise(culprit.curve);
  return culprit;
}

}  // namespace reel::harness
