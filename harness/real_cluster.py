"""Real nodes as child processes, for tests: `reel node` on directories of their own, driven through the command line.

Every child dies with the test (setpriv --pdeathsig), and a Workspace removes what it made.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ANSWER_TIMEOUT_S = 60
POLL_S = 0.01
# What is in memory proves nothing about a disk, and O_DIRECT needs one.
NO_DISK = ("tmpfs", "ramfs", "overlay")


class Failure(Exception):
    """What went wrong, in one line."""


def file_system_of(path):
    done = subprocess.run(["stat", "--file-system", "--format=%T", str(path)], capture_output=True, text=True)
    return done.stdout.strip()


class Workspace:
    """A directory on a real disk that is gone afterwards."""

    def __init__(self, name, keep=False):
        self.keep = keep
        candidates = [path for path in (ROOT / "build", Path("/var/tmp"), Path(tempfile.gettempdir()))
                      if path.is_dir() and os.access(path, os.W_OK)]
        on_disk = [path for path in candidates if file_system_of(path) not in NO_DISK]
        self.path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=(on_disk or candidates)[0]))

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        if not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def child(command, **settings):
    settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, command)], **settings)


def make_token_file(path):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32) + "\n")
    return path


def last_line(output):
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


class Cluster:
    """`nodes` processes on loopback. `settings` are more lines of every node's configuration."""

    def __init__(self, reel, directory, nodes=3, settings="", journal_file_mib=64, election_ms=600,
                 partitions=1):
        self.reel = str(reel)
        self.directory = Path(directory)
        self.nodes = range(1, nodes + 1)
        self.settings = settings
        self.journal_file_mib = journal_file_mib
        self.election_ms = election_ms
        self.partitions = partitions
        self.number = secrets.randbits(62) + 1
        self.processes = {}
        self.addresses = {}
        self.token_file = make_token_file(self.directory / "token")
        self.choose_addresses()

    def choose_addresses(self):
        ports = free_ports(len(self.nodes))
        self.addresses = {node: f"127.0.0.1:{port}" for node, port in zip(self.nodes, ports)}

    def data_of(self, node):
        return self.directory / f"node{node}"

    def create(self):
        peers = [word for node in self.nodes for word in ("--peer", f"{node}={self.addresses[node]}")]
        for node in self.nodes:
            self.run("node", "init", "--cluster", self.number, "--node", node, "--dir", self.data_of(node),
                     "--journal-file-mib", self.journal_file_mib, "--partitions", self.partitions, *peers)

    def configure(self, node, data=None, record=None):
        """Writes the node's configuration and returns its path."""
        peers = ",\n".join(f'  {{ node = {each}, address = "{address}" }}' for each, address in self.addresses.items())
        path = self.directory / f"node{node}.toml"
        path.write_text(f'cluster = {self.number}\nnode = {node}\ndir = "{data or self.data_of(node)}"\n'
                        f'listen = "{self.addresses[node]}"\ntoken_file = "{self.token_file}"\n'
                        f'journal_file_mib = {self.journal_file_mib}\nelection_timeout_ms = {self.election_ms}\n'
                        f'heartbeat_ms = {max(self.election_ms // 5, 1)}\n'
                        + (f'record = "{record}"\n' if record else "") + self.settings + f"peers = [\n{peers}\n]\n")
        return path

    def start(self, node, data=None, record=None):
        """Returns when the node listens."""
        config = self.configure(node, data, record)
        log = open(self.directory / f"node{node}.log", "wb")
        process = child([self.reel, "node", "--config", config], stderr=log)
        log.close()
        self.processes[node] = process
        if not process.stdout.readline():
            process.wait()
            raise Failure(f"node {node} did not start: {self.last_words(node)}")

    def start_all(self):
        for node in self.nodes:
            self.start(node)

    def last_words(self, node):
        return last_line((self.directory / f"node{node}.log").read_bytes())

    def kill(self, *nodes):
        """As a power loss of the process: nothing is flushed, nobody says goodbye."""
        nodes = nodes or list(self.processes)
        for node in nodes:
            self.processes[node].kill()
        for node in nodes:
            process = self.processes.pop(node)
            process.wait()
            process.stdout.close()

    def terminate(self, node):
        """Asks the node to stop; returns its exit status."""
        process = self.processes.pop(node)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=ANSWER_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failure(f"node {node} did not stop on SIGTERM") from None
        finally:
            process.stdout.close()
        return process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in self.processes.values():
            process.wait()
            process.stdout.close()
        self.processes.clear()

    def run(self, *arguments, timeout=ANSWER_TIMEOUT_S, **settings):
        done = run_reel(self.reel, *arguments, timeout=timeout, **settings)
        if done.returncode != 0:
            raise Failure(f"`reel {arguments[0]}` ended with status {done.returncode}: {last_line(done.stderr)}")
        return done.stdout

    def connect(self, *nodes):
        addresses = ",".join(self.addresses[node] for node in nodes or self.nodes)
        return ["--connect", addresses, "--token-file", str(self.token_file)]

    def append(self, lines, *flags):
        """Appends complete lines of bytes; returns the report."""
        return json.loads(self.run("append", *self.connect(), "--json", *flags,
                                   input=b"".join(line + b"\n" for line in lines)))

    def read(self, *nodes):
        """The whole log as [bytes], its ids checked to be 0, 1, 2, …"""
        output = self.run("feed", *self.connect(*nodes), "--from", "0", "--json")
        log = []
        for line in output.splitlines():
            transaction = json.loads(line)
            if transaction["id"] != len(log):
                raise Failure(f"id {transaction['id']} stands where id {len(log)} must be")
            log.append(data_of(transaction))
        return log

    def status(self):
        """{node: its part of `reel status --json`} of those that answer; {} if nobody does."""
        done = run_reel(self.reel, "status", *self.connect(), "--json")
        if done.returncode != 0:
            return {}
        return {each["node"]: each for each in json.loads(done.stdout)["nodes"] if each.get("reachable")}

    def wait_until(self, what, condition, timeout_s=ANSWER_TIMEOUT_S):
        deadline = time.monotonic() + timeout_s
        while True:
            for node, process in self.processes.items():
                if process.poll() is not None:
                    raise Failure(f"node {node} ended by itself with status {process.returncode}: "
                                  + self.last_words(node))
            status = self.status()
            if condition(status):
                return status
            if time.monotonic() > deadline:
                raise Failure(f"waited {timeout_s} s for {what}")
            time.sleep(POLL_S)

    def wait_for_leader(self, timeout_s=ANSWER_TIMEOUT_S):
        """All running nodes serve, one leads, and everything that it has is committed and applied everywhere."""
        def settled(status):
            leader = leader_of(status)
            if leader is None or len(status) != len(self.processes):
                return False
            last = status[leader]["partitions"][0]["last"]
            return all(each.get("applied") == last for each in status.values())
        return leader_of(self.wait_until("a leader whom all follow", settled, timeout_s))


def run_reel(reel, *arguments, timeout=ANSWER_TIMEOUT_S, **settings):
    if "input" not in settings:
        settings.setdefault("stdin", subprocess.DEVNULL)
    try:
        return subprocess.run([str(reel), *map(str, arguments)], capture_output=True, timeout=timeout, **settings)
    except subprocess.TimeoutExpired:
        raise Failure(f"`reel {arguments[0]}` gave no answer within {timeout} s") from None


def data_of(transaction):
    return bytes.fromhex(transaction["data_hex"]) if "data_hex" in transaction else transaction["data"].encode()


def leader_of(status):
    leaders = [each for each in status.values() if each.get("role") == "leader"]
    return max(leaders, key=lambda each: each["term"])["node"] if leaders else None
