#!/usr/bin/env python3
"""The main job of harness/run: a real cluster of three processes survives a killed leader, and proves it.

Steps: start three nodes; append the input through a pipe, SIGKILL the leader while it goes on, restart the node;
wait until all three agree; read the log back from each node while the other two are stopped; compare byte for byte;
run 200 simulation seeds; report. Anything unexpected ends the job with one line and exit status 1.
"""

import argparse
import gzip
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from real_cluster import free_ports

ROOT = Path(__file__).resolve().parent.parent
NODES = (1, 2, 3)
SEEDS = 200
DEFAULT_LINES_MAX = 200_000
LINE_BYTES_MAX = 1 << 20  # kTransactionBytesMax of node/types.h
BLOCK_BYTES = 1 << 18
FREE_BYTES_MIN = 2 << 30
TEXT_DIRECTORIES = ("/usr/share/common-licenses", "/usr/share/doc")

START_TIMEOUT_S = 60
FAILOVER_TIMEOUT_S = 60
APPEND_TIMEOUT_S = 1800
AGREE_TIMEOUT_S = 120
FEED_TIMEOUT_S = 600
SIM_TIMEOUT_S = 1800
KILL_AT = 0.25         # the leader dies when this share of the input is committed
HELD_BACK_FROM = 0.75  # the rest of the input is appended only after the kill
KILL_PATIENCE_S = 10   # a tiny input may not commit a quarter before it is complete: then kill anyway


class Failure(Exception):
    """What went wrong, in one line."""


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- input


def text_files():
    for directory in TEXT_DIRECTORIES:
        for parent, folders, names in os.walk(directory):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(parent, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield path


def read_text(path):
    """The bytes of a text file, unpacked; nothing for what is not text or cannot be read."""
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            content = file.read(64 << 20)
    except (OSError, EOFError):
        return b""
    return b"" if b"\0" in content else content


def write_default_input(target):
    """Up to DEFAULT_LINES_MAX lines of what is installed here, bytes unchanged, empty lines included."""
    lines = 0
    with open(target, "wb") as out:
        for path in text_files():
            for line in read_text(path).split(b"\n")[:-1]:
                if len(line) > LINE_BYTES_MAX:
                    continue
                out.write(line + b"\n")
                lines += 1
                if lines == DEFAULT_LINES_MAX:
                    return
    if lines == 0:
        raise Failure("no text is installed under /usr/share/doc: give a file, harness/run FILE")


def measure_input(path):
    """(lines, bytes of their content). A last line without a newline is a line."""
    lines = content_bytes = 0
    with open(path, "rb") as file:
        for line in file:
            lines += 1
            length = len(line) - line.endswith(b"\n")
            content_bytes += length
            if length > LINE_BYTES_MAX:
                raise Failure(f"line {lines} of {path} has {length} bytes; "
                              f"a transaction holds at most {LINE_BYTES_MAX}")
    if lines == 0:
        raise Failure(f"{path} is empty: give a file with at least one line")
    return lines, content_bytes


# ---- cluster


def file_system_of(path):
    best = ("", "unknown")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        mount = left.split()[4]
        inside = mount == "/" or path == mount or path.startswith(mount + "/")
        if inside and len(mount) >= len(best[0]):
            best = (mount, right.split()[0])
    return best[1]


def make_work_directory():
    """On a real disk: what is in memory proves nothing about durability."""
    for candidate in (ROOT / "build", Path("/var/tmp"), Path(tempfile.gettempdir())):
        if not os.access(candidate, os.W_OK) or file_system_of(str(candidate)) in ("tmpfs", "ramfs"):
            continue
        if shutil.disk_usage(candidate).free >= FREE_BYTES_MIN:
            return Path(tempfile.mkdtemp(prefix="run-", dir=candidate))
    raise Failure("found no writable directory on a real disk with 2 GiB free: tried build/, /var/tmp and "
                  + tempfile.gettempdir())


class Cluster:
    """Three `reel node` processes; these and all children die with this process (setpriv --pdeathsig)."""

    def __init__(self, reel, directory):
        self.reel = reel
        self.directory = directory
        self.processes = {}
        self.silence = "nothing"  # why the last question for the status had no answer
        self.addresses = {node: f"127.0.0.1:{port}" for node, port in zip(NODES, free_ports(len(NODES)))}
        self.token_file = directory / "token"
        descriptor = os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")

    def create(self):
        cluster = secrets.randbits(62) + 1
        for node in NODES:
            data = self.directory / f"node{node}"
            peers = [argument for peer in NODES for argument in ("--peer", f"{peer}={self.addresses[peer]}")]
            self.run("node", "init", "--cluster", str(cluster), "--node", str(node), "--dir", str(data), *peers)
            peer_table = ",\n".join(f'  {{ node = {p}, address = "{self.addresses[p]}" }}' for p in NODES)
            self.config_of(node).write_text(
                f'cluster = {cluster}\nnode = {node}\ndir = "{data}"\nlisten = "{self.addresses[node]}"\n'
                f'token_file = "{self.token_file}"\npeers = [\n{peer_table}\n]\n')

    def config_of(self, node):
        return self.directory / f"node{node}.toml"

    def log_of(self, node):
        return self.directory / f"node{node}.log"

    def start(self, node):
        with open(self.log_of(node), "ab") as log:
            self.processes[node] = self.child("node", "--config", str(self.config_of(node)),
                                              stdout=log, stderr=log, process_group=0)

    def child(self, *arguments, **settings):
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **settings}
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", self.reel, *arguments], **settings)

    def kill(self, node):
        process = self.processes[node]
        process.kill()
        process.wait()

    def signal_others(self, node, number):
        for other in NODES:
            if other != node:
                self.processes[other].send_signal(number)

    def check_alive(self):
        for node, process in self.processes.items():
            if process.poll() is not None:
                raise Failure(f"node {node} ended by itself with status {process.returncode}: "
                              + self.last_words(node))

    def last_words(self, node):
        lines = self.log_of(node).read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    def connect_arguments(self, nodes=NODES):
        return ["--connect", ",".join(self.addresses[node] for node in nodes), "--token-file", str(self.token_file)]

    def run(self, *arguments, timeout=60):
        try:
            done = subprocess.run([self.reel, *arguments], capture_output=True, timeout=timeout,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Failure(f"`reel {arguments[0]}` gave no answer within {timeout} s") from None
        if done.returncode != 0:
            raise Failure(f"`reel {' '.join(arguments[:2])}` failed: {one_line(done.stderr)}")
        return done.stdout

    def status(self):
        """{node: its part of `reel status --json`} of those that answer."""
        try:
            answer = json.loads(self.run("status", *self.connect_arguments(), "--json", timeout=20))
        except (Failure, ValueError) as reason:
            self.silence = str(reason)
            return {}
        return {each["node"]: each for each in answer.get("nodes", []) if "role" in each}

    def wait_for(self, what, condition, timeout_s):
        deadline = time.monotonic() + timeout_s
        while True:
            status = self.status()
            if condition(status):
                return status
            self.check_alive()
            if time.monotonic() > deadline:
                raise Failure(f"waited {timeout_s} s for {what}; they say: {summary(status) or self.silence}")
            time.sleep(0.02)

    def stop(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in self.processes.values():
            process.wait()


def one_line(output):
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def summary(status):
    return ", ".join(f"{node}: {each['role']}, commit {each.get('commit')}" for node, each in sorted(status.items()))


def leader_of(status):
    leaders = [each for each in status.values() if each["role"] == "leader"]
    return max(leaders, key=lambda each: each["term"])["node"] if leaders else None


def committed_of(status):
    return max((each.get("high_water", 0) for each in status.values()), default=0)


# ---- append


class Feeder(threading.Thread):
    """Writes the input into the pipe of `reel append`, and holds the last part back until the leader is dead."""

    def __init__(self, path, pipe):
        super().__init__(daemon=True)
        self.path = path
        self.pipe = pipe
        self.leader_is_dead = threading.Event()

    def run(self):
        size = os.path.getsize(self.path)
        hold_at = int(size * HELD_BACK_FROM)
        try:
            with open(self.path, "rb") as file, self.pipe:
                self.copy(file, hold_at)
                self.pipe.flush()
                self.leader_is_dead.wait()
                self.copy(file, size - hold_at)
        except BrokenPipeError:
            pass  # append has ended, and its exit status tells why

    def copy(self, file, count):
        while count > 0:
            block = file.read(min(BLOCK_BYTES, count))
            if not block:
                return
            self.pipe.write(block)
            count -= len(block)


def append_and_kill_the_leader(cluster, path, lines):
    """Returns append's own report and the node that was killed."""
    append = cluster.child("append", *cluster.connect_arguments(), "--json", stdin=subprocess.PIPE)
    feeder = Feeder(path, append.stdin)
    append.stdin = None  # the feeder's now
    try:
        feeder.start()
        patience = time.monotonic() + KILL_PATIENCE_S
        status = cluster.wait_for(
            "a leader",
            lambda s: leader_of(s) and (committed_of(s) >= lines * KILL_AT or time.monotonic() > patience),
            FAILOVER_TIMEOUT_S)
        victim = leader_of(status)
        say(f"killing node {victim}, the leader, while appending goes on")
        cluster.kill(victim)
        del cluster.processes[victim]
        feeder.leader_is_dead.set()
        cluster.wait_for("another leader", lambda s: leader_of(s) not in (None, victim), FAILOVER_TIMEOUT_S)
        say(f"starting node {victim} again")
        cluster.start(victim)
        output, _ = append.communicate(timeout=APPEND_TIMEOUT_S)
        if append.returncode != 0:
            raise Failure(f"`reel append` failed with status {append.returncode}")
        return json.loads(output), victim
    except subprocess.TimeoutExpired:
        raise Failure(f"`reel append` did not finish within {APPEND_TIMEOUT_S} s") from None
    except ValueError:
        raise Failure("`reel append --json` did not print JSON") from None
    finally:
        feeder.leader_is_dead.set()
        if append.poll() is None:
            append.kill()
            append.wait()


# ---- read back


def expected_blocks(path):
    """The input as `reel feed` prints it: every line ends in a newline, the last one too."""
    last = b"\n"
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            last = block
            yield block
    if not last.endswith(b"\n"):
        yield b"\n"


def feed(cluster, node, *flags):
    return cluster.child("feed", *cluster.connect_arguments([node]), "--from", "0", *flags)


def finish(process, node):
    if process.wait(timeout=FEED_TIMEOUT_S) != 0:
        raise Failure(f"`reel feed` from node {node} failed with status {process.returncode}")


def compare_content(cluster, node, path):
    lines_before = 0
    process = feed(cluster, node)
    try:
        for block in expected_blocks(path):
            got = process.stdout.read(len(block))
            if got != block:
                if len(got) < len(block):
                    finish(process, node)  # why it ended, if it knows
                same = next((i for i, (a, b) in enumerate(zip(got, block)) if a != b), min(len(got), len(block)))
                where = lines_before + block.count(b"\n", 0, same)
                what = "the log ends early" if same == len(got) else "the log differs from the input"
                raise Failure(f"node {node}: {what} at transaction {where:,}")
            lines_before += block.count(b"\n")
        if process.stdout.read(1):
            raise Failure(f"node {node}: the log goes on after {lines_before - 1:,}, the last of the input")
        finish(process, node)
    finally:
        process.kill()
        process.wait()


def compare_ids(cluster, node, lines):
    process = feed(cluster, node, "--json")
    expected = 0
    try:
        for line in process.stdout:
            got = json.loads(line)["id"]
            if got != expected:
                raise Failure(f"node {node}: where id {expected} must be, the log has id {got}")
            expected += 1
        finish(process, node)
        if expected != lines:
            raise Failure(f"node {node}: {expected:,} ids for {lines:,} transactions")
    except (ValueError, KeyError):
        raise Failure(f"node {node}: `reel feed --json` printed a line without an id") from None
    finally:
        process.kill()
        process.wait()


def read_back(cluster, path, lines):
    for node in NODES:
        say(f"reading the whole log from node {node} alone, the other two stopped")
        cluster.check_alive()
        cluster.signal_others(node, signal.SIGSTOP)
        try:
            compare_content(cluster, node, path)
            compare_ids(cluster, node, lines)
        finally:
            cluster.signal_others(node, signal.SIGCONT)


# ---- simulation


def simulate(cluster):
    say(f"simulating {SEEDS} seeds")
    process = cluster.child("sim", "--seeds", f"1..{SEEDS}", "--json")
    try:
        output, _ = process.communicate(timeout=SIM_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Failure(f"{SEEDS} seeds did not finish within {SIM_TIMEOUT_S} s") from None
    finally:
        process.kill()
        process.wait()
    try:
        report = json.loads(output)
    except ValueError:
        raise Failure(f"`reel sim --json` ended with status {process.returncode} and without a report") from None
    if report["failures"]:
        first = (report.get("failing") or [{}])[0]
        raise Failure(f"{report['failures']} of {report['seeds']} seeds failed, first seed {first.get('seed')} "
                      f"by oracle {first.get('oracle')}; see it with: {cluster.reel} sim --seed {first.get('seed')}")
    if process.returncode != 0:
        raise Failure(f"`reel sim` found no failure and ended with status {process.returncode}")
    return report


# ---- the job


def run_cluster(cluster, path, lines):
    cluster.create()
    for node in NODES:
        cluster.start(node)
    status = cluster.wait_for("three nodes and a leader", lambda s: len(s) == len(NODES) and leader_of(s),
                              START_TIMEOUT_S)
    say(f"three nodes are up, node {leader_of(status)} leads")
    appended, victim = append_and_kill_the_leader(cluster, path, lines)
    if (appended["first"], appended["last"], appended["count"]) != (0, lines - 1, lines):
        raise Failure(f"{lines:,} lines were appended, and `reel append` reports {json.dumps(appended)}")
    cluster.wait_for(
        "all three nodes to report the same commit",
        lambda s: len(s) == len(NODES) and len({each["commit"] for each in s.values()}) == 1
        and all(each["high_water"] == lines for each in s.values()),
        AGREE_TIMEOUT_S)
    read_back(cluster, path, lines)
    return appended, victim


def report(reel, lines, content_bytes, appended, victim, sim):
    shown = os.path.relpath(reel, ROOT)
    seconds = max(appended["seconds"], 1e-9)
    print(f"""
transactions   {lines:,}, {content_bytes / 1e6:.1f} MB, one per line
throughput     {lines / seconds:,.0f} per second, {content_bytes / 1e6 / seconds:.1f} MB/s, all on this machine
failover       node {victim}, the leader, was killed on the way: longest gap {appended['gap_ms_max']:.0f} ms
read back      from each of the three nodes alone: identical byte for byte, ids 0 to {lines - 1:,} without gaps
simulation     {sim['seeds']} seeds, {sim['events']:,} events, {sim['failures']} failures

Try next:
  {shown} up                          a development cluster; Ctrl-C stops it
  {shown} sim --minutes 1             look for trouble in a minute of new seeds
  {shown} bench append                how fast it is here, beside what this machine allows""")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reel", required=True, help="the program")
    parser.add_argument("--input", help="one transaction per line; default: installed documentation")
    parser.add_argument("--keep", action="store_true", help="leave data directories and logs in place")
    options = parser.parse_args()

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    directory = cluster = None
    try:
        directory = make_work_directory()
        path = options.input or str(directory / "input")
        if not options.input:
            write_default_input(path)
        lines, content_bytes = measure_input(path)
        say(f"input: {lines:,} lines, {content_bytes / 1e6:.1f} MB; data in {directory}")
        cluster = Cluster(os.path.abspath(options.reel), directory)
        appended, victim = run_cluster(cluster, path, lines)
        cluster.stop()
        sim = simulate(cluster)
        report(cluster.reel, lines, content_bytes, appended, victim, sim)
        return 0
    except Failure as failure:
        say(f"harness/run: {failure}")
        return 1
    except KeyboardInterrupt:
        say("harness/run: interrupted")
        return 130
    finally:
        if cluster:
            cluster.stop()
        if directory and not options.keep:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
