#include "io/ports/assert.h"

#include <cstdio>
#include <cstdlib>

namespace reel::io {
namespace {
// The one mutable static of the pure rooms: a hook for reports, never read by a decision. Thread-local, because
// campaigns run one world per thread.
thread_local AssertionHook hook_of_this_thread = nullptr;
}  // namespace

AssertionHook set_assertion_hook(AssertionHook hook) {
  AssertionHook previous = hook_of_this_thread;
  hook_of_this_thread = hook;
  return previous;
}

void assertion_failed(const char* text, const char* file, int line) {
  if (hook_of_this_thread != nullptr) hook_of_this_thread(text, file, line);
  std::fprintf(stderr, "assertion failed: %s (%s:%d)\n", text, file, line);
  std::fflush(stderr);
  std::abort();
}
}  // namespace reel::io
