// Aborts a simulation in which simulated code reaches the real clock, entropy, threads, files or sockets. The
// functions of libc that lead there are interposed (strong symbols); they check a flag of this thread, which
// World sets while it runs. What libc does inside itself, raw system calls, rdtsc and rdrand are not seen
// (reference/platform.md).
#pragma once

namespace reel::sim {

// While one lives on this thread, an interposed function aborts the process and says which one it was.
class LeakGuard {
 public:
  LeakGuard();
  ~LeakGuard();
  LeakGuard(const LeakGuard&) = delete;
  LeakGuard& operator=(const LeakGuard&) = delete;

  // For the harness's own needs inside a run (a progress line, a real library behind a simulated port).
  class Exempt {
   public:
    Exempt();
    ~Exempt();
    Exempt(const Exempt&) = delete;
    Exempt& operator=(const Exempt&) = delete;

   private:
    int depth_;
  };

  static bool armed();
};

}  // namespace reel::sim
