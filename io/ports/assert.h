// Assertions state what a programmer got wrong; they stay on in release builds. Peer input, files and users never
// trip one: such bytes are checked and refused as values. REEL_NO_NODE_ASSERTIONS compiles them out, only to prove
// that the oracles of the simulator do not lean on them (fuzz/planted).
#pragma once

namespace reel::io {
// Prints "assertion failed: text (file:line)" and aborts. In a simulation the world's hook records the trace first.
[[noreturn]] void assertion_failed(const char* text, const char* file, int line);
// Called before the abort; nullptr for none. May leave by throwing: the simulator turns a failure into a finding.
using AssertionHook = void (*)(const char* text, const char* file, int line);
AssertionHook set_assertion_hook(AssertionHook hook);
}  // namespace reel::io

#ifdef REEL_NO_NODE_ASSERTIONS
#define REEL_ASSERT(condition)  \
  do {                          \
    (void)sizeof(!(condition)); \
  } while (false)
#else
#define REEL_ASSERT(condition)                                      \
  do {                                                              \
    if (!(condition)) [[unlikely]]                                  \
      ::reel::io::assertion_failed(#condition, __FILE__, __LINE__); \
  } while (false)
#endif

// Holds in every build, also with node assertions compiled out: simulator, checkers and adapters use it.
#define REEL_CHECK(condition)                                       \
  do {                                                              \
    if (!(condition)) [[unlikely]]                                  \
      ::reel::io::assertion_failed(#condition, __FILE__, __LINE__); \
  } while (false)
