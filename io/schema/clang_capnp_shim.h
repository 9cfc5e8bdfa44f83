// Force-included by clang only. KJ 0.9 leaves out `const char* == StringPtr` where the language rewrites
// operators (C++20), and Clang then refuses capnp/blob.h; GCC does not. This gives the missing comparison. It
// calls the member by name: `b == a` would be rewritten into this function and recurse for ever.
#pragma once

#include <kj/string.h>

namespace kj {
inline bool operator==(const char* a, const StringPtr& b) { return b.operator==(StringPtr(a)); }
}  // namespace kj
