#include "harness/bench/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fstream>
#include <utility>

#include "harness/command/command.h"

namespace reel::harness {
namespace {

// "VmHWM:     1234 kB" of /proc/PID/status.
std::uint64_t status_bytes(pid_t process, const std::string& key) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10) * 1024;
  }
  return 0;
}

// Only what is safe between fork and exec.
[[noreturn]] void become(const std::vector<char*>& arguments, const char* log, pid_t parent) {
  const int output = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int input = open("/dev/null", O_RDONLY);
  sigset_t none;
  sigemptyset(&none);
  const bool ready = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && output >= 0 &&
                     input >= 0 && dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
                     dup2(output, STDERR_FILENO) >= 0 && setpgid(0, 0) == 0 &&
                     sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
  if (ready) execv("/proc/self/exe", arguments.data());
  _exit(127);
}

}  // namespace

std::int64_t cpu_ns_of(pid_t process) {
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

std::uint64_t peak_rss_bytes_of(pid_t process) { return status_bytes(process, "VmHWM"); }
std::uint64_t rss_bytes_of(pid_t process) { return status_bytes(process, "VmRSS"); }

Child::Child(const std::vector<std::string>& arguments, const std::string& log) : log_(log) {
  std::vector<std::string> words{"reel"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t parent = getpid();
  id_ = fork();
  if (id_ == 0) become(pointers, log_.c_str(), parent);
  if (id_ < 0) refuse(std::string("cannot start another process: ") + std::strerror(errno));
}

Child::Child(Child&& other) noexcept : id_(std::exchange(other.id_, -1)), log_(std::move(other.log_)) {}

Child::~Child() { kill(); }

bool Child::running() {
  if (id_ < 0) return false;
  if (waitpid(id_, nullptr, WNOHANG) == 0) return true;
  id_ = -1;
  return false;
}

void Child::kill() {
  if (id_ < 0) return;
  ::kill(id_, SIGKILL);
  while (waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
  }
  id_ = -1;
}

std::string Child::last_words() const {
  std::ifstream log(log_);
  std::string last;
  for (std::string line; std::getline(log, line);) {
    if (!line.empty()) last = line;
  }
  return last.empty() ? "it said nothing" : last;
}

}  // namespace reel::harness
