#include "sim/leak_guard.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace reel::sim {
namespace {

// Not a state of the simulation: whether simulated code runs on this thread, which the interposed functions
// must know.
thread_local int armed_depth = 0;

[[noreturn]] void leaked(const char* function) {
  armed_depth = 0;
  constexpr const char* kWhat = "leak guard: simulated code reached ";
  constexpr const char* kWhy = "(); a simulation must not depend on the real world\n";
  const bool written = write(STDERR_FILENO, kWhat, std::strlen(kWhat)) >= 0 &&
                       write(STDERR_FILENO, function, std::strlen(function)) >= 0 &&
                       write(STDERR_FILENO, kWhy, std::strlen(kWhy)) >= 0;
  if (!written) _exit(134);
  std::abort();
}

void check(const char* function) {
  if (armed_depth > 0) [[unlikely]]
    leaked(function);
}

// The next definition of an interposed function, found once.
template <class Function>
Function next(std::atomic<void*>& cache, const char* name) {
  void* found = cache.load(std::memory_order_relaxed);
  if (found == nullptr) {
    found = dlsym(RTLD_NEXT, name);
    cache.store(found, std::memory_order_relaxed);
  }
  return reinterpret_cast<Function>(found);
}

}  // namespace

LeakGuard::LeakGuard() { ++armed_depth; }
LeakGuard::~LeakGuard() { --armed_depth; }
LeakGuard::Exempt::Exempt() : depth_(armed_depth) { armed_depth = 0; }
LeakGuard::Exempt::~Exempt() { armed_depth = depth_; }
bool LeakGuard::armed() { return armed_depth > 0; }

}  // namespace reel::sim

// NOLINTBEGIN: these are libc's names and signatures.
#define REEL_NEXT(function)                     \
  static std::atomic<void*> next_of_##function; \
  auto* const real = reel::sim::next<decltype(&::function)>(next_of_##function, #function)

extern "C" {

int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
  reel::sim::check("clock_gettime");
  REEL_NEXT(clock_gettime);
  return real(clock, time);
}

int gettimeofday(struct timeval* time, void* zone) noexcept {
  reel::sim::check("gettimeofday");
  REEL_NEXT(gettimeofday);
  return real(time, zone);
}

time_t time(time_t* result) noexcept {
  reel::sim::check("time");
  REEL_NEXT(time);
  return real(result);
}

int nanosleep(const struct timespec* wanted, struct timespec* left) {
  reel::sim::check("nanosleep");
  REEL_NEXT(nanosleep);
  return real(wanted, left);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec* wanted, struct timespec* left) {
  reel::sim::check("clock_nanosleep");
  REEL_NEXT(clock_nanosleep);
  return real(clock, flags, wanted, left);
}

ssize_t getrandom(void* buffer, size_t length, unsigned flags) {
  reel::sim::check("getrandom");
  REEL_NEXT(getrandom);
  return real(buffer, length, flags);
}

int getentropy(void* buffer, size_t length) {
  reel::sim::check("getentropy");
  REEL_NEXT(getentropy);
  return real(buffer, length);
}

// The mode is read as libc reads it, whether or not it was given.
#define REEL_INTERPOSE_OPEN(function)              \
  int function(const char* path, int flags, ...) { \
    reel::sim::check(#function);                   \
    va_list arguments;                             \
    va_start(arguments, flags);                    \
    const mode_t mode = va_arg(arguments, mode_t); \
    va_end(arguments);                             \
    REEL_NEXT(function);                           \
    return real(path, flags, mode);                \
  }
REEL_INTERPOSE_OPEN(open)
REEL_INTERPOSE_OPEN(open64)

int openat(int directory, const char* path, int flags, ...) {
  reel::sim::check("openat");
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  REEL_NEXT(openat);
  return real(directory, path, flags, mode);
}

FILE* fopen(const char* path, const char* mode) {
  reel::sim::check("fopen");
  REEL_NEXT(fopen);
  return real(path, mode);
}

FILE* fopen64(const char* path, const char* mode) {
  reel::sim::check("fopen64");
  REEL_NEXT(fopen64);
  return real(path, mode);
}

int socket(int domain, int type, int protocol) noexcept {
  reel::sim::check("socket");
  REEL_NEXT(socket);
  return real(domain, type, protocol);
}

// Clang's AddressSanitizer learns of threads through its own pthread_create, which a second definition would
// hide.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REEL_KEEP_PTHREAD_CREATE
#endif
#endif
#ifndef REEL_KEEP_PTHREAD_CREATE
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) noexcept {
  reel::sim::check("pthread_create");
  REEL_NEXT(pthread_create);
  return real(thread, attributes, start, argument);
}
#endif

}  // extern "C"
// NOLINTEND
