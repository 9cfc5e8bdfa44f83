#!/usr/bin/env python3
"""The benchmarks keep their contract: the objects that they end with, and nothing left behind.

Runs each for a moment; no figure is judged, a busy machine would decide. bench_test.py --reel PROGRAM
"""

import argparse
import json
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from real_cluster import Workspace

REEL = None
SHARED = {"what", "nodes", "size", "outstanding", "seconds", "cpu_us_per_txn", "cpu_cores", "peak_rss_mib"}
LOAD = SHARED | {"tps", "p50_us", "p99_us", "p999_us", "syncs_per_1000", "disk_write_p50_us", "loopback_rtt_us"}


def processes_of(directory):
    """Command lines that name this directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(directory) in entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                found.append(entry.parent.name)
        except OSError:
            pass  # it ended meanwhile
    return found


class Bench(unittest.TestCase):
    def setUp(self):
        workspace = Workspace("bench")
        self.directory = workspace.__enter__()
        self.addCleanup(workspace.__exit__)

    def run_bench(self, *arguments):
        done = subprocess.run([REEL, "bench", *arguments, "--json"], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("\n"), 1, done.stdout)
        return json.loads(done.stdout)

    def nothing_is_left(self):
        self.assertEqual(list(self.directory.iterdir()), [])
        self.assertEqual(processes_of(self.directory), [])

    def test_sessions(self):
        """Sessions could starve, or the object lack what a comparison needs."""
        figures = self.run_bench("sessions", "--seconds", "3", "--sessions", "9", "--connections", "2",
                                 "--dir", str(self.directory))
        self.assertLessEqual(SHARED | {"tps", "p50_us", "p99_us", "sessions", "connections"}, figures.keys())
        self.assertGreater(figures["tps"], 0)
        self.assertGreater(figures["slowest_over_fastest"], 0)
        self.nothing_is_left()

    def test_feed(self):
        """Readers could get nothing, or the object lack what a comparison needs."""
        figures = self.run_bench("feed", "--seconds", "0.3", "--readers", "3", "--transactions", "20000",
                                 "--dir", str(self.directory))
        self.assertLessEqual(SHARED | {"tps", "mb_s", "readers", "tps_per_core"}, figures.keys())
        self.assertGreater(figures["tps"], 0)
        self.assertAlmostEqual(figures["mb_s"] * 1e6 / figures["tps"], 128, delta=1)
        self.nothing_is_left()

    def test_floor(self):
        """A field that is missing or empty would make every comparison with the floor meaningless."""
        figures = self.run_bench("floor", "--seconds", "0.3", "--dir", str(self.directory))
        self.assertLessEqual(LOAD, figures.keys())
        self.assertEqual((figures["what"], figures["nodes"], figures["size"]), ("floor", 3, 128))
        for key in LOAD - {"what"}:
            self.assertGreater(figures[key], 0, key)
        # One durable write on each of three nodes per transaction. The answer waits for two of them, so with few
        # transactions many of the third ones are still under way at the end.
        self.assertGreaterEqual(figures["syncs_per_1000"], 2000)
        self.assertLessEqual(figures["syncs_per_1000"], 3150)
        self.nothing_is_left()

    def test_append(self):
        """Appends that were not all answered, or not in the order of their ids, would still look fast."""
        figures = self.run_bench("append", "--outstanding", "256", "--seconds", "0.5", "--dir", str(self.directory))
        self.assertLessEqual(LOAD | {"floor_p50_us"}, figures.keys())
        self.assertEqual((figures["what"], figures["outstanding"]), ("append", 256))
        self.assertGreater(figures["tps"] * figures["seconds"], 256)
        self.assertLess(figures["syncs_per_1000"], 3000)  # group commit
        self.assertLessEqual(figures["p50_us"], figures["p99_us"])
        self.assertLessEqual(figures["p99_us"], figures["p999_us"])
        self.nothing_is_left()

    def test_append_at_a_rate(self):
        """An open loop that waits for answers is a closed one, and hides what it should show."""
        figures = self.run_bench("append", "--rate", "2000", "--clients", "3", "--seconds", "2",
                                 "--dir", str(self.directory))
        self.assertLessEqual(SHARED | {"tps", "p50_us", "p99_us", "sent_p99_us", "offered_tps"}, figures.keys())
        self.assertEqual((figures["loop"], figures["clients"]), ("open", 3))
        self.assertAlmostEqual(figures["offered_tps"], 2000, delta=400)
        self.assertGreater(figures["tps"], 0)
        self.assertLessEqual(figures["sent_p50_us"], figures["p50_us"] * 1.05)  # due before it is handed over
        self.nothing_is_left()

    def test_overload(self):
        """An overload that offers no more than the peak proves nothing, nor one that counts what was not answered."""
        figures = self.run_bench("overload", "--clients", "8", "--seconds", "2", "--dir", str(self.directory))
        self.assertLessEqual(SHARED | {"tps", "peak_tps", "offered_tps", "goodput_ratio", "refused", "given_up",
                                       "leader_changes", "sent_p99_us"}, figures.keys())
        self.assertGreater(figures["offered_tps"], figures["peak_tps"])
        self.assertGreater(figures["given_up"], 0)
        self.assertGreater(figures["goodput_ratio"], 0)
        self.assertLess(figures["tps"], figures["offered_tps"])
        self.nothing_is_left()

    def test_contention(self):
        """Clients that never meet measure no contention; and conflicts must not end in failures."""
        hot = self.run_bench("contention", "--clients", "6", "--keys", "1", "--seconds", "3",
                             "--dir", str(self.directory))
        self.assertLessEqual(SHARED | {"tps", "p50_us", "p99_us", "keys", "executions_per_commit", "refused", "failed",
                                       "slowest_over_fastest"}, hot.keys())
        self.assertGreater(hot["tps"], 0)
        self.assertGreater(hot["refused"], 0)
        reads = self.run_bench("contention", "--clients", "6", "--keys", "1", "--seconds", "1", "--write-locks", "0",
                               "--read-locks", "100", "--dir", str(self.directory))
        self.assertEqual((reads["refused"], reads["failed"]), (0, 0))  # readers do not refuse each other
        self.assertGreater(reads["tps"], 0)
        self.nothing_is_left()

    def test_recovery(self):
        """A node that answers before it has read its log would recover in no time."""
        figures = self.run_bench("recovery", "--log-mib", "8", "--dir", str(self.directory))
        self.assertLessEqual(SHARED | {"log_bytes", "ready_ms"}, figures.keys())
        self.assertGreaterEqual(figures["log_bytes"], 8 << 20)
        self.assertGreater(figures["ready_ms"], 0)
        self.nothing_is_left()

    def test_sim(self):
        """Rates per second of somebody else's time, or of a campaign that found a bug, are no figures."""
        figures = self.run_bench("sim", "--seeds", "1..5")
        self.assertLessEqual(SHARED | {"events_per_s", "seeds_per_min", "sim_to_wall", "commits_per_cpu_s",
                                       "elections_per_cpu_s", "faults_per_s"}, figures.keys())
        self.assertEqual((figures["seeds"], figures["failures"]), (5, 0))
        self.assertGreater(figures["commits_per_cpu_s"], 0)

    def test_check(self):
        """A judge that is fast and wrong would look good."""
        done = subprocess.run([REEL, "bench", "check", "--percent", "2", "--json"], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        figures = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertLessEqual({"registers", "kv-one-object", "keys", "list-append"}, {each["history"] for each in figures})
        for each in figures:
            self.assertLessEqual({"what", "history", "operations", "ms", "read_ms"}, each.keys())
            self.assertTrue(each["verdict_as_expected"], each)
            self.assertGreater(each["operations"], 0)
            self.assertGreater(each["ms"], 0)

    def test_a_killed_benchmark_takes_its_nodes_along(self):
        """Nodes that outlive their benchmark would go on writing to somebody's disk for ever."""
        with subprocess.Popen([REEL, "bench", "append", "--dir", str(self.directory)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as bench:
            until = time.monotonic() + 60
            while len(processes_of(self.directory)) < 7 and time.monotonic() < until:
                time.sleep(0.05)
            self.assertGreaterEqual(len(processes_of(self.directory)), 7)
            bench.send_signal(signal.SIGKILL)
        while processes_of(self.directory) and time.monotonic() < until:
            time.sleep(0.05)
        self.assertEqual(processes_of(self.directory), [])

    def test_an_interrupted_benchmark_cleans_up(self):
        """Gigabytes of a run that nobody waited for would fill the disk."""
        with subprocess.Popen([REEL, "bench", "append", "--dir", str(self.directory)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as bench:
            until = time.monotonic() + 60
            while len(processes_of(self.directory)) < 7 and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(1)
            bench.send_signal(signal.SIGINT)
            self.assertEqual(bench.wait(60), 1)
            self.assertEqual(bench.stderr.read(), "reel: interrupted\n")
        self.nothing_is_left()

    def test_wrong_use(self):
        """A benchmark of something else than was asked for misleads whoever reads it."""
        for arguments, says in [(("append", "--outstanding", "0"), "--outstanding"),
                                (("append", "--nodes", "8"), "--nodes"),
                                (("floor", "--seconds", "0"), "--seconds"),
                                (("append", "--rate", "-1"), "--rate"),
                                (("overload", "--times", "0"), "--times"),
                                (("contention", "--write-locks", "60", "--read-locks", "50"), "--write-locks"),
                                (("recovery", "--log-mib", "0"), "--log-mib"),
                                (("sim", "--seeds", "5..1"), "5..1"),
                                (("check", "--history", "none"), "no workload 'none'"),
                                (("check", "--percent", "0"), "--percent"),
                                (("nothing",), "")]:
            done = subprocess.run([REEL, "bench", *arguments], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(says, done.stderr)
        done = subprocess.run([REEL, "bench", "floor", "--dir", "/proc"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


def main():
    global REEL
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reel", required=True)
    options, rest = parser.parse_known_args()
    REEL = str(Path(options.reel).resolve())
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
