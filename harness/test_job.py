#!/usr/bin/env python3
"""The stages of harness/test. Each has a limit in seconds; all together stay below the budget of the whole.

What is counted: every ctest test, and every build, check and campaign as one. A stage that could not run because an
earlier one failed, or because time was up, counts as failed: silence is not success.
"""

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"

BUDGET_S = 25 * 60
BUDGET_CI_S = 75 * 60
RESERVE_S = 15  # for the summary and for processes to die

SCRIPTS = ("harness/install", "harness/build", "harness/run", "harness/test", "harness/checks/format",
           "harness/checks/replay_traces", ".ci/run", "fuzz/run_fuzzers")


class Run:
    def __init__(self, budget_s):
        self.started = time.monotonic()
        self.deadline = self.started + budget_s - RESERVE_S
        self.passed = 0
        self.failed = []
        self.stages = {}

    def elapsed(self):
        return time.monotonic() - self.started

    def say(self, text):
        print(text, flush=True)

    def stage(self, name, command, limit_s, needs=(), count=None):
        """Runs one stage and counts it, or what count() says it consists of. True if all of it passed."""
        broken = [each for each in needs if not self.stages.get(each)]
        left = int(self.deadline - time.monotonic())
        self.say(f"\n== {name}  [{self.elapsed():.0f} s]")
        if broken or left < 1:
            reason = f"{broken[0]} failed" if broken else "the time is up"
            self.say(f"not run: {reason}")
            self.failed.append(f"{name} (not run: {reason})")
            self.stages[name] = False
            return False
        status, output = run_limited([str(part) for part in command], min(limit_s, left))
        passed, failed = count(status, output) if count else ((0, [name]) if status else (1, []))
        shown = output if failed or not count else ""
        if shown.strip():
            self.say(shown.strip())
        self.passed += passed
        self.failed += failed
        self.stages[name] = status == 0 and not failed
        return self.stages[name]

    def summary(self):
        self.say(f"\n== all  [{self.elapsed():.0f} s]")
        for name in self.failed:
            self.say(f"FAILED: {name}")
        self.say(f"{self.passed} passed, {len(self.failed)} failed")
        return 1 if self.failed else 0


def run_limited(command, limit_s):
    """(exit status, output). A command that takes longer than its limit dies with all its children."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", start_new_session=True, stdin=subprocess.DEVNULL)
    try:
        output, _ = process.communicate(timeout=limit_s)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        end_group(process)
        output, _ = process.communicate()
        return 1, f"{output}\nstopped after its limit of {limit_s} s: {' '.join(command)}"
    except BaseException:
        end_group(process)
        raise


def end_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def ctest(run, name, build, limit_s, needs, exclude=None):
    report = build / "ctest.xml"
    report.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", build, "-j", os.cpu_count(), "--output-on-failure", "--output-junit", report,
               "--no-tests=error", *(["--exclude-regex", exclude] if exclude else [])]

    def count(status, output):
        if not report.is_file():
            return 0, [f"{name} (ctest wrote no report)"]
        by_status = {}
        for case in xml.parse(report).getroot().findall("testcase"):
            by_status.setdefault(case.get("status"), []).append(case.get("name"))
        passed = len(by_status.pop("run", []))
        bad = by_status.pop("fail", [])
        skipped = [each for names in by_status.values() for each in names]
        run.say(f"{passed} passed, {len(bad)} failed" + (f", skipped: {', '.join(skipped)}" if skipped else ""))
        if status and not bad:
            bad = [f"{name} (ctest ended with status {status})"]
        return passed, bad

    return run.stage(name, command, limit_s, needs, count)


def build_stage(run, preset, targets, limit_s):
    return run.stage(f"build {preset}", ["harness/build", preset, *targets], limit_s)


def checks(run):
    folder = Path("harness/checks")
    run.stage("the checks themselves", [folder / "checks_test.py"], 60)
    run.stage("scripts", ["shellcheck", *SCRIPTS], 60)
    run.stage("housekeeping", [folder / "housekeeping.py"], 30)
    run.stage("format", [folder / "format"], 60)
    run.stage("determinism", [folder / "determinism.py"], 60)
    run.stage("includes", [folder / "includes.py", BUILD / "release"], 60, ["build release"])
    run.stage("symbols", [folder / "symbols.py", BUILD / "release"], 120, ["build release"])


def program(preset, name):
    """A shell command's worth of path, found when the stage runs; the build before it has made it."""
    found = subprocess.run(["harness/build", "--path", preset, name], cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip() or f"build/{preset}/{name}"


def by_hand(run):
    build_stage(run, "release", [], 1200)
    checks(run)
    ctest(run, "tests", BUILD / "release", 600, ["build release"])
    reel = program("release", "reel")
    run.stage("simulation", [reel, "sim", "--seeds", "1..200"], 180, ["build release"])
    run.stage("golden traces", ["harness/checks/replay_traces", reel], 120, ["build release"])


def commit_number():
    done = subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return int(done.stdout or 0)


def deeper(run):
    """What CI adds. Seeds and the sixth of the planted bugs rotate with the number of commits, so a failure can be repeated."""
    number = commit_number()
    build_stage(run, "clang", ["reel-sim"], 600)
    run.stage("identity", ["harness/checks/identity.py", f"{program('release', 'reel')}=100",
                           f"{program('clang', 'reel-sim')}=100"], 300, ["build release", "build clang"])
    first = 1_000_000 + 10_000 * number
    run.stage("new seeds", [program("release", "reel"), "sim", "--seeds", f"{first}..{first + 1999}"], 300,
              ["build release"])
    build_stage(run, "asan", [], 1500)
    # The real nodes of two of these start by the dozen, on three cores' worth of work each under sanitizers; the third
    # installs a package, which nobody links with sanitizers inside. What calm runs notice takes hundreds of seeds to say, and
    # says nothing of memory that the other simulations do not.
    ctest(run, "tests under sanitizers", BUILD / "asan", 1500, ["build asan"],
          exclude=r"^(durability|bench|client_library)$|^Noticed\.CalmRuns")
    run.stage("identity under sanitizers", ["harness/checks/identity.py", f"{program('release', 'reel')}=40",
                                            f"{program('asan', 'reel-sim')}=40"], 300,
              ["build release", "build asan"])
    run.stage("tidy", ["harness/checks/tidy.py", BUILD / "release", "240"], 400, ["build release"])
    run.stage("fuzzing", ["fuzz/run_fuzzers", "20"], 900)
    run.stage("planted bugs", ["fuzz/planted/run", "--no-assertions", "--share", f"{number % 6}/6"], 900)


def main():
    in_ci = os.environ.get("CI") == "true"
    run = Run(BUDGET_CI_S if in_ci else BUDGET_S)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        by_hand(run)
        if in_ci:
            deeper(run)
        else:
            reel = program("release", "reel")
            run.stage("identity", ["harness/checks/identity.py", f"{reel}=20"], 120, ["build release"])
    except KeyboardInterrupt:
        run.failed.append("interrupted")
    finally:
        status = run.summary()
    return status


if __name__ == "__main__":
    sys.exit(main())
