#!/usr/bin/env python3
"""Tests of the checks: a check that never fires guards nothing, so each rule is shown a violation it must find."""

import subprocess
import tempfile
import unittest
from pathlib import Path

import determinism
import housekeeping
import includes
import symbols
import tree


class NothingAllowed:
    def allows(self, path, what):
        return False


def include_findings(path, text):
    known = {"io/ports/bytes.h", "io/wire/codec.h", "io/real/rpc.h", "node/message.h", "node/raft/raft.h", "sim/world.h"}
    return includes.check_file(path, text, known.__contains__, NothingAllowed())


class Includes(unittest.TestCase):
    def test_rooms(self):
        """A pure room could quietly grow a dependency on the world, or a lower room on a higher one."""
        for path, include in [("node/raft/raft.cc", '"sim/world.h"'), ("node/group.cc", '"io/wire/codec.h"'),
                              ("io/ports/bytes.cc", '"node/message.h"'), ("io/wire/codec.cc", '"node/raft/raft.h"'),
                              ("sim/world.cc", '"node/raft/raft.h"'), ("sim/world.cc", '"io/real/rpc.h"'),
                              ("io/real/rpc.cc", '"node/raft/raft.h"'), ("model/checker.cc", '"sim/world.h"')]:
            self.assertEqual(len(include_findings(path, f"#include {include}\n")), 1, (path, include))

    def test_allowed_rooms(self):
        """The table itself could be refused."""
        for path, include in [("node/raft/raft.cc", '"io/ports/bytes.h"'), ("io/wire/codec.cc", '"node/message.h"'),
                              ("model/invariants.cc", '"node/raft/raft.h"'), ("sim/world.cc", '"io/wire/codec.h"'),
                              ("harness/reel.cc", '"io/real/rpc.h"'), ("io/real/rpc.cc", "<kj/async.h>"),
                              ("node/raft/raft.cc", "<vector>")]:
            self.assertEqual(include_findings(path, f"#include {include}\n"), [], (path, include))

    def test_doors(self):
        """A system header could bring in threads, time or files."""
        for header in ("thread", "chrono", "random", "fstream", "unistd.h", "sys/mman.h", "kj/async.h", "liburing.h"):
            self.assertEqual(len(include_findings("node/node.cc", f"  #  include <{header}>\n")), 1, header)

    def test_unknown_file(self):
        """An include relative to its folder would escape the table."""
        self.assertEqual(len(include_findings("node/raft/raft.cc", '#include "quorum.h"\n')), 1)

    def test_comments(self):
        """An include inside a comment is none."""
        self.assertEqual(include_findings("node/node.cc", "// #include <thread>\n/*\n#include <thread>\n*/\n"), [])


class Determinism(unittest.TestCase):
    def rules(self, text, header=""):
        return [rule for rule, _ in determinism.check_file("node/x.cc", text, tree.code_only(header))]

    def test_rules(self):
        """Each forbidden construct could slip through in one of its spellings."""
        for rule, text in [
                ("distribution", "std::uniform_int_distribution<int> d(0, 3);"),
                ("shuffle", "std::ranges::shuffle(v, g);"),
                ("engine", "std::mt19937_64 g(1);"),
                ("clock", "auto t = std::chrono::steady_clock::now();"),
                ("thread", "std::jthread t;"),
                ("float", "double ratio = 0.5;"),
                ("address", "std::map<const Node*, int> order;"),
                ("address", "auto n = reinterpret_cast<std::uintptr_t>(p);"),
                ("build stamp", "const char* when = __DATE__;"),
                ("iteration", "std::unordered_map<int, std::vector<int>> m; void f() { for (auto& [k, v] : m) g(k); }"),
                ("iteration", "std::unordered_set<int> s; int f() { return *s.begin(); }"),
                ("two draws", "f(draw(a), draw(b));"),
                ("two draws", "auto x = decisions_.below(a, 2) + decisions_.below(b, 2);")]:
            self.assertIn(rule, self.rules(text), text)

    def test_members_of_the_header(self):
        """A member declared in the header and iterated in the source is still unordered."""
        self.assertIn("iteration", self.rules("void f() { for (auto& e : table_) g(e); }",
                                              "class A { std::unordered_map<int, int> table_; };"))

    def test_aliases(self):
        """An alias hides what it names."""
        self.assertIn("iteration", self.rules("using Table = std::unordered_map<int, int>; Table t;\n"
                                              "void f() { for (auto& e : t) g(e); }"))

    def test_innocent(self):
        """Words in comments and strings, lookups, ordered maps, sequenced draws and one draw per statement are fine."""
        for text in ["// a double in a comment, and std::shuffle", 'log("no float here");',
                     "std::unordered_map<int, int> m; bool f() { return m.find(3) != m.end(); }",
                     "std::map<int, Node*> by_id;", "const auto a = draw(x); const auto b = draw(y);",
                     "if (draw(x) && draw(y)) f();", "return one ? draw(x) : draw(y);"]:
            self.assertEqual(self.rules(text), [], text)


class Symbols(unittest.TestCase):
    SOURCE = """
        #include <chrono>
        #include <fstream>
        #include <map>
        #include <random>
        #include <thread>
        #include <unordered_map>
        static int counter = 0;
        thread_local int per_thread = 0;
        const char* const kNames[] = {"a", "b"};
        static const int* const kPointers[] = {&counter};
        int count(int n) { static std::map<int, int> cache; return ++counter + ++per_thread + cache[n] + *kPointers[n]; }
        const char* name(int n) { return kNames[n]; }
        unsigned entropy() { std::random_device device; return device(); }
        long now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
        void start() { std::thread([] {}).join(); }
        void file() { std::ofstream("x") << 1; }
        void insert(std::unordered_map<int, int>& map) { map[1] = 2; }
        double scale(double a, int b) { return a * b; }
        unsigned long long ticks() { return __builtin_ia32_rdtsc(); }
    """

    def test_object(self):
        """A call, a static or an instruction could leave no trace that the check knows."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "planted.cc")
            source.write_text(self.SOURCE)
            subprocess.run(["g++", "-std=c++23", "-O2", "-c", source, "-o", f"{source}.o"], check=True)
            found = symbols.check_object("node/planted.cc", f"{source}.o")
        text = "\n".join(each[2] for each in found)
        for expected in ["(chance)", "(clock)", "(thread)", "(file)", "(unordered container)", "mutable static counter",
                         "mutable static per_thread", "mutable static count(int)::cache", "rdtsc in ticks", "mulsd"]:
            self.assertIn(expected, text)
        for innocent in ["kNames", "kPointers", "guard variable"]:
            self.assertNotIn(innocent, text)

    def test_names(self):
        """C functions must match whole names only."""
        for symbol in ["clock_gettime", "open64", "read", "pthread_create", "getenv", "fork", "sqrt", "fprintf"]:
            self.assertIsNotNone(symbols.denied(symbol), symbol)
        for symbol in ["memcpy", "reel::journal::Reader::read(int)", "reel::open", "XXH3_64bits", "abort", "readable"]:
            self.assertIsNone(symbols.denied(symbol), symbol)


class Housekeeping(unittest.TestCase):
    def test_tests_say_why(self):
        """A test without its sentence passes unread."""
        self.assertEqual(list(housekeeping.unexplained_tests("TEST(A, B) {\n  int x;\n}\n")), [1])
        self.assertEqual(list(housekeeping.unexplained_tests("// It could.\nTEST(A, B) {}\n"
                                                             "TEST(A, C) {\n  // It might.\n}\n")), [])


class Exceptions(unittest.TestCase):
    def test_unused(self):
        """An exception could outlive its reason."""
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("# comment\nsymbol a.cc open a reason\nsymbol b.cc close another reason\n")
            file.flush()
            allowed = tree.Allowed("symbol", Path(file.name))
            self.assertTrue(allowed.allows("a.cc", "open"))
            self.assertFalse(allowed.allows("a.cc", "close"))
            self.assertEqual(len(allowed.unused()), 1)


if __name__ == "__main__":
    unittest.main()
