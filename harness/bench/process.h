// What processes cost: processor time by nanoseconds, from the kernel's own clock of each process, and the most memory
// that one ever held. And a child process of this very program that never outlives us.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace reel::harness {

// User and system time of all threads of a process so far, kernel workers of its io_uring included. 0 if it is gone.
[[nodiscard]] std::int64_t cpu_ns_of(pid_t process);
// The most memory it had at once, and what it has now, in bytes. 0 if it is gone.
[[nodiscard]] std::uint64_t peak_rss_bytes_of(pid_t process);
[[nodiscard]] std::uint64_t rss_bytes_of(pid_t process);

// This program, run as a child with other arguments. It is killed with its parent, whatever ends that.
class Child {
 public:
  // Its output goes to the file `log`. Refuses (CommandError) if the system has no room for another process.
  Child(const std::vector<std::string>& arguments, const std::string& log);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();

  pid_t id() const { return id_; }
  [[nodiscard]] bool running();
  // SIGKILL, and waits for the end.
  void kill();
  // The last line that it said, for error messages.
  [[nodiscard]] std::string last_words() const;

 private:
  pid_t id_ = -1;
  std::string log_;
};

}  // namespace reel::harness
