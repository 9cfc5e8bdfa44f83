#!/usr/bin/env python3
"""The command line is a contract: help with examples, one clear line for what goes wrong, exit statuses, nothing lost.

Runs the real program on real directories: command_line_test.py --reel PROGRAM [unittest arguments]
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from real_cluster import Cluster, Workspace, child, data_of, free_ports, leader_of, make_token_file, run_reel

REEL = None
SECRET = "0123456789abcdef" * 4
SESSION = "0123456789abcdef" * 2
SESSION_WINDOW = 16384  # kSessionWindow of node/log/sessions.h
LINE_BYTES_MAX = 1 << 20  # kTransactionBytesMax of node/types.h
APPENDED_LINES = 100_000
FINDING, USAGE = 1, 2


def digest_of(directory):
    """Of every name and byte below; the lock's content is a comment."""
    whole = hashlib.sha256()
    for path in sorted(Path(directory).rglob("*")):
        whole.update(str(path.relative_to(directory)).encode())
        if path.is_file() and path.name != "LOCK":
            whole.update(path.read_bytes())
    return whole.hexdigest()


class Contract(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        workspace = Workspace("command-line")
        self.directory = workspace.__enter__()
        self.addCleanup(workspace.__exit__)

    def succeeds(self, *arguments, **settings):
        done = run_reel(REEL, *arguments, **settings)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def refused(self, status, says, *arguments, prefix=(), **settings):
        """Ends with this status and one line on stderr that has these words in it."""
        if prefix:
            done = subprocess.run([*prefix, str(REEL), *map(str, arguments)], capture_output=True, timeout=60,
                                  stdin=subprocess.DEVNULL)
        else:
            done = run_reel(REEL, *arguments, **settings)
        self.check_refusal(done.returncode, done.stderr, status, says, arguments)
        return done.stdout

    def check_refusal(self, returncode, stderr, status, says, what):
        text = stderr.decode(errors="replace")
        self.assertEqual(returncode, status, f"{what}: {text}")
        self.assertEqual(text.count("\n"), 1, f"not one line: {what}: {text}")
        self.assertTrue(text.startswith("reel: ") and text.endswith("\n"), f"{what}: {text}")
        for words in [says] if isinstance(says, str) else says:
            self.assertIn(words, text, f"{what}")

    def init(self, name="data", cluster=7, node=1, peers=("1=127.0.0.1:7101",)):
        directory = self.directory / name
        self.succeeds("node", "init", "--cluster", cluster, "--node", node, "--dir", directory, "--journal-file-mib", 8,
                      *(word for peer in peers for word in ("--peer", peer)))
        return directory

    def config(self, **changes):
        """A configuration that is right but for the changes; None leaves a key out."""
        port = free_ports(1)[0]
        keys = {"cluster": 7, "node": 1, "dir": str(self.directory / "data"), "listen": f"127.0.0.1:{port}",
                "token_file": str(self.token_file()), "journal_file_mib": 8,
                "peers": [{"node": 1, "address": f"127.0.0.1:{port}"}]}
        keys.update(changes)
        lines = []
        for key, value in keys.items():
            if value is None:
                continue
            if isinstance(value, list):
                tables = ", ".join("{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in each.items()) + " }"
                                   for each in value)
                lines.append(f"{key} = [ {tables} ]")
            else:
                lines.append(f"{key} = {json.dumps(value)}")
        path = self.directory / "node.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def token_file(self):
        path = self.directory / "token"
        if not path.exists():
            path.write_text(SECRET + "\n")
            path.chmod(0o600)
        return path

    def cluster(self, nodes=3, **settings):
        directory = self.directory / "cluster"
        directory.mkdir()
        cluster = Cluster(REEL, directory, nodes=nodes, **{"journal_file_mib": 8, "election_ms": 200, **settings})
        self.addCleanup(cluster.__exit__)
        cluster.create()
        cluster.start_all()
        cluster.wait_for_leader()
        return cluster


class Help(Contract):
    def commands(self, *path):
        text = self.succeeds(*path, "--help").decode()
        yield path, text
        if "\nSubcommands:\n" not in text:
            return
        listed = text.split("\nSubcommands:\n", 1)[1].split("\n\n", 1)[0]
        for name in re.findall(r"^  (\S+)", listed, re.M):
            yield from self.commands(*path, name)

    def test_every_command_explains_itself(self):
        """A command without help, or help without an example, sends its user to the source."""
        seen = {" ".join(path): text for path, text in self.commands()}
        for name in ("up", "node", "node init", "append", "submit", "resolve", "lookup", "feed", "status",
                     "admin", "admin partition", "admin partition list", "admin partition describe", "sim", "replay",
                     "shrink", "trace hash", "trace dump", "trace view", "trace diff", "check", "disk crash-image", "bench"):
            self.assertIn(name, seen)
        for name, text in seen.items():
            self.assertIn("Usage: reel", text)
            self.assertRegex(text, r"Examples?: +reel", f"reel {name} --help has no example")

    def test_version(self):
        """Whoever reports a bug must be able to say of what."""
        self.assertRegex(self.succeeds("--version").decode(), r"^reel \d+\.\d+")


class WrongUse(Contract):
    def test_words_that_mean_nothing(self):
        """A misspelt word must not run something else, nor end in a page of text."""
        self.refused(USAGE, ["needs a command", "reel --help"])
        self.refused(USAGE, ["no command 'apend'", "reel --help"], "apend")
        self.refused(USAGE, ["no flag '--verbose'", "reel --help"], "--verbose")
        self.refused(USAGE, ["--colour", "reel append --help"], "append", "--colour", "red")
        self.refused(USAGE, ["needs a command", "reel trace --help"], "trace")
        self.refused(USAGE, ["no command 'hsah'", "reel trace --help"], "trace", "hsah", "x")
        self.refused(USAGE, ["more", "reel status --help"], "status", "more")

    def test_values_that_mean_nothing(self):
        """A number that is none, or is out of range, must not wrap around into one that is."""
        self.refused(USAGE, ["--from", "-1"], "feed", "--from", -1)
        self.refused(USAGE, ["--from", "x"], "feed", "--from", "x")
        self.refused(USAGE, ["--from"], "feed", "--from", 1 << 64)
        self.refused(USAGE, ["--header-value", "--header-mask"], "feed", "--header-mask", 6, "--header-value", 9)
        self.refused(USAGE, ["--header-mask"], "feed", "--header-mask", 1 << 32)
        self.refused(USAGE, ["--from-time"], "feed", "--from-time", -1)
        self.refused(USAGE, ["--header"], "append", "--header", 1 << 32)
        self.refused(USAGE, ["--outstanding", "8192"], "append", "--outstanding", 100_000)
        self.refused(USAGE, ["--outstanding"], "append", "--outstanding", 0)
        self.refused(USAGE, ["--partitions", "1 to 1024"], "up", "--partitions", 1025)
        self.refused(USAGE, ["--nodes", "1 to 7"], "up", "--nodes", 8)
        self.refused(USAGE, ["--port"], "up", "--port", 65535)
        self.refused(USAGE, ["--seeds"], "sim", "--seeds")
        self.refused(USAGE, ["1..200"], "sim", "--seeds", "9..3")
        self.refused(USAGE, ["unknown workload"], "sim", "--workload", "waltz")
        self.refused(USAGE, ["--connect", "HOST:PORT"], "status", "--connect", "nohost", "--token-file",
                     self.token_file())
        self.refused(USAGE, ["--connect", "HOST:PORT"], "status", "--connect", "127.0.0.1:70000", "--token-file",
                     self.token_file())
        self.refused(USAGE, ["--token-file"], "status", env={"PATH": os.environ["PATH"]})
        self.refused(USAGE, ["--config"], "node")
        self.assertEqual(list(self.directory.iterdir()), [self.directory / "token"])

    def test_transactions(self):
        """A lock on the wrong key, or a session that is somebody else's, would be a wrong answer that looks right."""
        self.refused(USAGE, ["--based-on"], "append", "--based-on", -1)
        self.refused(USAGE, ["--based-on"], "append", "--based-on", "x")
        self.refused(USAGE, ["lock", "empty"], "append", "--lock-write", "")
        self.refused(USAGE, ["lock", "empty"], "append", "--lock-read", "a", "--lock-append", "")
        self.refused(USAGE, ["at most 256 locks"], "append", *(word for i in range(257) for word in ("--lock-read", i)))
        self.refused(USAGE, ["other"], "append", "--lock-write", "key", "other")
        for session in ("x", "1", "12345", ":1", "1:", "1:2:3", SESSION + "0", "0x" + SESSION[2:], "-1:1"):
            self.refused(USAGE, ["--session", "32 hexadecimal digits"], "append", f"--session={session}")
            self.refused(USAGE, ["--session", "32 hexadecimal digits"], "resolve", f"--session={session}", "--sequence", 1)
        self.refused(USAGE, ["--session"], "append", "--first-sequence", 2)
        self.refused(USAGE, ["--session"], "append", "--opened", 2)
        self.refused(USAGE, ["--first-sequence", "1 to"], "append", "--session", SESSION, "--first-sequence", 0)
        self.refused(USAGE, ["--first-sequence", "1 to"], "append", "--session", SESSION, "--first-sequence", 1 << 63)
        self.refused(USAGE, ["--sequence", "1 to"], "resolve", "--session", SESSION, "--sequence", 0)
        self.refused(USAGE, ["--sequence is required"], "resolve", "--session", SESSION)
        self.refused(USAGE, ["--session is required"], "resolve", "--sequence", 1)
        self.refused(USAGE, ["partition is required"], "admin", "partition", "describe")
        self.refused(USAGE, ["FILE is required"], "submit")
        self.refused(USAGE, ["--session", "32 hexadecimal digits"], "submit", "-", "--session", "x")
        self.refused(USAGE, ["--opened", "--session"], "submit", "-", "--opened", "0=1")
        self.refused(USAGE, ["PARTITION=INDEX"], "submit", "-", "--session", SESSION, "--opened", "7")
        self.refused(USAGE, ["--outstanding", "1 to"], "submit", "-", "--outstanding", 0)
        self.refused(USAGE, ["--deadline-ms", "1 to"], "submit", "-", "--deadline-ms", 0)
        self.refused(USAGE, ["--id is required"], "lookup")
        self.refused(USAGE, ["partition"], "admin", "partition", "describe", "first")
        self.refused(USAGE, ["needs a command"], "admin", "partition")
        self.refused(USAGE, ["no command 'split'"], "admin", "partition", "split")

    def test_init_values(self):
        """A node that is not a member of its own cluster, or stands in it twice, could never serve."""
        directory = self.directory / "data"
        good = ["node", "init", "--dir", directory]
        self.refused(USAGE, ["every node"], *good, "--cluster", 7, "--node", 1, "--peer", "2=127.0.0.1:7101")
        self.refused(USAGE, ["twice"], *good, "--cluster", 7, "--node", 1, "--peer", "1=127.0.0.1:7101", "--peer",
                     "1=127.0.0.1:7102")
        self.refused(USAGE, ["NODE=HOST:PORT"], *good, "--cluster", 7, "--node", 1, "--peer", "127.0.0.1:7101")
        self.refused(USAGE, ["1 to 65535"], *good, "--cluster", 7, "--node", 1, "--peer", "1=127.0.0.1:0")
        self.refused(USAGE, ["--cluster"], *good, "--cluster", 0, "--node", 1, "--peer", "1=127.0.0.1:7101")
        self.refused(USAGE, ["--cluster"], *good, "--node", 1, "--peer", "1=127.0.0.1:7101")
        self.refused(USAGE, ["--partitions", "1 to 1024"], *good, "--cluster", 7, "--node", 1, "--peer",
                     "1=127.0.0.1:7101", "--partitions", 0)
        self.refused(USAGE, ["--journal-file-mib"], *good, "--cluster", 7, "--node", 1, "--peer", "1=127.0.0.1:7101",
                     "--journal-file-mib", 1)
        self.assertFalse(directory.exists())


class Directories(Contract):
    def as_nobody(self):
        """A prefix that runs a command without root's rights; skips where there is none."""
        if os.geteuid() != 0:
            return ()
        for path in (self.directory, self.directory.parent):
            path.chmod(path.stat().st_mode | 0o055)
        prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        if subprocess.run([*prefix, str(REEL), "--version"], capture_output=True).returncode != 0:
            self.skipTest("nobody may not execute the program where it lies")
        return prefix

    def test_init_takes_only_new_directories(self):
        """An operator who repeats a command must not lose a replica's data."""
        data = self.init()
        before = digest_of(data)
        self.refused(FINDING, ["already", "nothing was changed", "choose an empty directory"], "node", "init",
                     "--cluster", 8, "--node", 2, "--dir", data, "--peer", "2=127.0.0.1:7101")
        self.assertEqual(digest_of(data), before)
        file = self.directory / "file"
        file.write_text("precious")
        arguments = ["--cluster", 7, "--node", 1, "--peer", "1=127.0.0.1:7101"]
        self.refused(FINDING, ["not a directory", "choose another"], "node", "init", "--dir", file, *arguments)
        self.refused(FINDING, ["cannot make directory"], "node", "init", "--dir", file / "below", *arguments)
        self.assertEqual(file.read_text(), "precious")

    def test_init_where_it_may_not_write(self):
        """A refusal by the system must say where, and what to look at."""
        prefix = self.as_nobody()
        self.directory.chmod(0o555)
        self.refused(FINDING, ["Permission denied", "permissions"], "node", "init", "--dir", self.directory / "data",
                     "--cluster", 7, "--node", 1, "--peer", "1=127.0.0.1:7101", prefix=prefix)
        self.directory.chmod(0o755)

    def test_a_node_that_may_not_write(self):
        """A read-only directory must stop a node at its start, not at its first write."""
        prefix = self.as_nobody()
        data = self.init()
        config = self.config()
        if prefix:
            os.chown(self.token_file(), 65534, 65534)
        for path in (data, *data.iterdir()):
            path.chmod(0o555)
        self.refused(FINDING, ["not writable", "permissions"], "node", "--config", config, prefix=prefix)

    def test_directories_of_somebody_else(self):
        """A node on another's data would break the promises of both."""
        data = self.init()
        before = digest_of(data)
        self.refused(FINDING, ["cluster 7 node 1", "its own data directory"], "node", "--config", self.config(cluster=8))
        two = [{"node": 1, "address": "127.0.0.1:7101"}, {"node": 2, "address": "127.0.0.1:7102"}]
        self.refused(FINDING, ["cluster 7 node 1", "its own data directory"], "node", "--config",
                     self.config(node=2, peers=two))
        self.assertEqual(digest_of(data), before)

    def test_directories_of_nobody(self):
        """A wiped disk must not pass as a fresh node, and no foreign directory be written to."""
        (self.directory / "empty").mkdir()
        foreign = self.directory / "foreign"
        foreign.mkdir()
        (foreign / "letter").write_text("dear reader")
        before = digest_of(self.directory / "empty"), digest_of(foreign)
        self.refused(FINDING, ["is empty", "reel node init"], "node", "--config",
                     self.config(dir=str(self.directory / "empty")))
        self.refused(FINDING, ["no node's data", "reel node init"], "node", "--config", self.config(dir=str(foreign)))
        self.refused(FINDING, ["cannot open directory", "reel node init"], "node", "--config",
                     self.config(dir=str(self.directory / "missing")))
        self.assertEqual((digest_of(self.directory / "empty"), digest_of(foreign)), before)
        self.assertFalse((self.directory / "missing").exists())

    def test_damaged_tables(self):
        """A node must not make up a hard state that it cannot read."""
        for name, words in (("hardstate", "hardstate"), ("manifest", "manifest"), ("superblock", "superblock")):
            data = self.init(name)
            size = (data / name).stat().st_size
            with open(data / name, "r+b") as file:
                file.write(random.Random(1).randbytes(size))
            self.refused(FINDING, words, "node", "--config", self.config(dir=str(data)))

    def test_second_process_on_one_directory(self):
        """Two processes that write one journal would destroy it."""
        cluster = self.cluster(nodes=1)
        process = cluster.processes[1].pid
        other = self.config(cluster=cluster.number, dir=str(cluster.data_of(1)))
        self.refused(FINDING, ["in use by process", str(process), "stop it"], "node", "--config", other)
        cluster.append([b"still alive"])
        self.assertEqual(cluster.read(), [b"still alive"])


class Configurations(Contract):
    def refused_config(self, says, **changes):
        self.refused(FINDING, says, "node", "--config", self.config(**changes))

    def test_files(self):
        """A file that is not there, or is something else, must be named."""
        self.refused(FINDING, ["nosuch.toml", "No such file"], "node", "--config", self.directory / "nosuch.toml")
        self.refused(FINDING, ["is a directory"], "node", "--config", self.directory)
        path = self.directory / "bad.toml"
        path.write_text("cluster = 7\nnode = = 1\n")
        self.refused(FINDING, ["bad.toml, line 2"], "node", "--config", path)
        path.write_bytes(random.Random(2).randbytes(3 << 20))
        self.refused(FINDING, ["bad.toml"], "node", "--config", path)

    def test_keys(self):
        """A misspelt key that is ignored would leave its default in force, silently."""
        data = self.init()
        before = digest_of(data)
        self.refused_config(["unknown key 'colour'", "spelling"], colour="red")
        self.refused_config(["'cluster' is missing"], cluster=None)
        self.refused_config(["'node' must be"], node="one")
        self.refused_config(["'node' must be"], node=-1)
        self.refused_config(["'journal_file_mib' must be"], journal_file_mib=5000)
        self.refused_config(["'journal_file_mib' must be"], journal_file_mib=1)
        self.refused_config(["'peers' must list"], peers=None)
        self.refused_config(["does not list this node"], peers=[{"node": 9, "address": "127.0.0.1:7101"}])
        self.refused_config(["unknown key 'port'"], peers=[{"node": 1, "address": "127.0.0.1:7101", "port": 1}])
        self.refused_config(["stands twice"], peers=[{"node": 1, "address": "127.0.0.1:7101"},
                                                     {"node": 1, "address": "127.0.0.1:7102"}])
        self.refused_config(["'heartbeat_ms'"], heartbeat_ms=500, election_timeout_ms=600)
        self.refused_config(["'disk_engine'"], disk_engine="floppy")
        self.refused_config(["'record' lies in"], record=str(data / "recording"))
        self.assertEqual(digest_of(data), before)

    def test_addresses(self):
        """A wrong port must not end as a node that nobody can reach."""
        self.init()
        self.refused_config(["'listen'", "1 to 65535"], listen="127.0.0.1:0")
        self.refused_config(["'listen'", "1 to 65535"], listen="127.0.0.1:70000")
        self.refused_config(["'listen'", "HOST:PORT"], listen="7101")
        self.refused_config(["cannot listen on 192.0.2.1", "address of this machine"], listen="192.0.2.1:7101")
        self.refused_config(["cannot listen on no.such.host.invalid"], listen="no.such.host.invalid:7101")

    def test_a_port_in_use(self):
        """Whoever starts a node twice must be told which port, and keep the first."""
        self.init()
        cluster = self.cluster(nodes=1)
        taken = cluster.addresses[1]
        self.refused_config([f"cannot listen on {taken}", "in use", "another"], listen=taken)
        self.assertEqual(cluster.append([b"a"])["count"], 1)

    def test_tokens(self):
        """A token that others can read, or is missing or short, protects nothing."""
        self.init()
        token = self.token_file()
        self.refused_config(["token file", "No such file"], token_file=str(self.directory / "nosuch"))
        token.chmod(0o644)
        self.refused_config(["can be read by others", "chmod 600"])
        token.chmod(0o600)
        for content, says in (("", "is empty"), ("short\n", "16 to 256"), (f"write {SECRET}\n", "neither TOKEN"),
                              (f"read {SECRET}\n", "all rights"), (SECRET + " " + SECRET + " x\n", "neither TOKEN")):
            token.write_text(content)
            self.refused_config([says])

    def test_a_recording_is_never_overwritten(self):
        """A restart must not destroy the evidence of the life before."""
        self.init()
        recording = self.directory / "recording"
        recording.write_text("evidence")
        self.refused_config(["cannot make recording", "choose a new file"], record=str(recording))
        self.assertEqual(recording.read_text(), "evidence")


class Clients(Contract):
    def test_clusters_that_cannot_be_reached(self):
        """A client that waits for ever in silence looks like one that works."""
        nobody = f"127.0.0.1:{free_ports(1)[0]}"
        flags = ["--connect", nobody, "--token-file", self.token_file()]
        started = time.monotonic()
        self.refused(FINDING, [f"no node answers at {nobody}", "refused", "--connect"], "status", *flags)
        self.assertLess(time.monotonic() - started, 8)
        self.refused(FINDING, [f"no node answers at {nobody}"], "feed", *flags)
        self.refused(FINDING, [f"no node answers at {nobody}"], "append", *flags, input=b"a\n")

    def test_tokens(self):
        """A wrong token must be told from a dead cluster, and a reader's token must not append."""
        reader = "reader0123456789reader"
        cluster = Cluster(REEL, self.directory, nodes=1, election_ms=60, journal_file_mib=8)
        self.addCleanup(cluster.__exit__)
        cluster.token_file.write_text(f"{SECRET}\nread {reader}\n")
        cluster.create()
        cluster.start(1)
        cluster.wait_for_leader()
        cluster.append([b"a"])
        for name, token, says in (("wrong", "x" * 64, ["does not know this token", "token file"]),):
            path = self.directory / name
            path.write_text(token + "\n")
            path.chmod(0o600)
            for command in ("status", "feed", "append"):
                self.refused(FINDING, says, command, "--connect", cluster.addresses[1], "--token-file", path)
            path.chmod(0o640)
            self.refused(FINDING, ["can be read by others", "chmod 600"], "status", "--connect", cluster.addresses[1],
                         "--token-file", path)
        self.refused(FINDING, ["token file", "No such file"], "status", "--connect", cluster.addresses[1],
                     "--token-file", self.directory / "nosuch")
        path = self.directory / "reader"
        path.write_text(reader + "\n")
        path.chmod(0o600)
        flags = ["--connect", cluster.addresses[1], "--token-file", path]
        self.assertEqual(self.succeeds("feed", *flags), b"a\n")
        self.refused(FINDING, ["Unauthorized"], "append", *flags, input=b"b\n")
        self.assertEqual(cluster.read(), [b"a"])

    def test_two_clusters_at_once(self):
        """Addresses of two clusters in one list would spread a log over both."""
        one = self.cluster(nodes=1)
        (self.directory / "two").mkdir()
        two = Cluster(REEL, self.directory / "two", nodes=1, election_ms=60, journal_file_mib=8)
        self.addCleanup(two.__exit__)
        shutil.copyfile(one.token_file, two.token_file)
        two.create()
        two.start(1)
        self.refused(FINDING, ["different clusters", "--connect"], "append", "--connect",
                     f"{one.addresses[1]},{two.addresses[1]}", "--token-file", one.token_file, input=b"a\n")

    def test_lines_above_the_limit(self):
        """What came before a line that is too long is kept, and counted; nothing after it may slip in."""
        cluster = self.cluster(nodes=1)
        most = b"m" * LINE_BYTES_MAX
        cluster.append([b"first", most])
        too_long = b"second\nthird\n" + most + b"x\nfourth\n"
        stdout = self.refused(FINDING, ["line 3", str(LINE_BYTES_MAX), "2..3", "split it"], "append",
                              *cluster.connect(), "--json", input=too_long)
        self.assertEqual(stdout, b"")
        self.refused(FINDING, ["line 1 ", "nothing was committed"], "append", *cluster.connect(), input=most + b"xxx")
        self.assertEqual(cluster.read(), [b"first", most, b"second", b"third"])

    def test_limits_of_a_node(self):
        """A limit that a node has and does not keep, or keeps without a word, helps nobody."""
        cluster = self.cluster(nodes=1, settings="limits = { transaction_kib = 1 }\n")
        cluster.append([b"x" * 1024])
        self.refused(FINDING, ["TooLarge", "above the limit"], "append", *cluster.connect(), input=b"y" * 1025)
        self.assertEqual(cluster.read(), [b"x" * 1024])

    def test_input_of_every_shape(self):
        """Empty lines, a missing last newline, carriage returns and zeros are data, not decoration."""
        cluster = self.cluster(nodes=1)
        self.assertEqual(json.loads(self.succeeds("append", *cluster.connect(), "--json", input=b""))["count"], 0)
        lines = [b"", b"a\r", b"\0\0", "tränenreich ∀".encode(), b"\xff\xfe", b"", b"last without newline"]
        report = json.loads(self.succeeds("append", *cluster.connect(), "--json", input=b"\n".join(lines)))
        self.assertEqual((report["first"], report["last"], report["count"]), (0, len(lines) - 1, len(lines)))
        self.assertEqual(cluster.read(), lines)
        self.assertEqual(self.succeeds("feed", *cluster.connect()), b"".join(line + b"\n" for line in lines))
        self.assertEqual(self.succeeds("feed", *cluster.connect(), "--from", 2, "--limit", 2), b"\0\0\n" + lines[3] + b"\n")
        self.assertEqual(self.succeeds("feed", *cluster.connect(), "--from", 100), b"")

    def test_feeds_of_a_part(self):
        """A filter or a time that is lost on its way shows too much, or nothing, and the reader never ends."""
        cluster = self.cluster()
        for header in range(6):
            self.succeeds("append", *cluster.connect(), "--header", header, input=b"%d\n" % header)

        def feed(*flags):
            return self.succeeds("feed", *cluster.connect(), *flags).split()

        times = [json.loads(line)["time"] for line in self.succeeds("feed", *cluster.connect(), "--json").splitlines()]
        self.assertEqual(feed("--header-mask", "0x1", "--header-value", 1), [b"1", b"3", b"5"])
        self.assertEqual(feed("--header-mask", 6, "--header-value", 4, "--from", 5), [b"5"])
        self.assertEqual(feed("--header-mask", 8, "--header-value", 8), [])
        self.assertEqual(feed("--lock", "nobody/has/it"), [])
        self.assertEqual(feed("--from-time", times[4]), [b"4", b"5"])
        self.assertEqual(feed("--from-time", times[4] + 1, "--from", 1), [b"5"])
        self.assertEqual(feed("--from-time", times[5] + 1), [])
        self.assertEqual(feed("--from-time", times[3], "--header-mask", 1), [b"4"])

    def test_partitions_that_are_not_there(self):
        """A typing error in a partition must not wait for ever, nor make one."""
        cluster = self.cluster(nodes=1)
        self.refused(FINDING, ["no such partition"], "append", *cluster.connect(), "--partition", 7, input=b"a\n")
        self.refused(FINDING, ["no such partition"], "feed", *cluster.connect(), "--partition", 7)

    def test_output_that_nobody_takes(self):
        """A full disk under the output must not look like a short log; a closed pipe is no error."""
        cluster = self.cluster(nodes=1)
        cluster.append([b"x" * 1000] * 500)
        with open("/dev/full", "wb") as full:
            feed = child([REEL, "feed", *cluster.connect()], stdout=full)
            _, stderr = feed.communicate(timeout=60)
        self.check_refusal(feed.returncode, stderr, FINDING, ["writing the output failed"], "feed")
        feed = child([REEL, "feed", *cluster.connect(), "--follow"])
        feed.stdout.read(10)
        feed.stdout.close()
        cluster.append([b"x" * 1000] * 100)
        self.assertEqual(feed.wait(timeout=60), 0)
        self.assertEqual(feed.stderr.read(), b"")
        feed.stderr.close()

    def test_ctrl_c(self):
        """Whoever interrupts an append must learn what is in the log."""
        cluster = self.cluster(nodes=1)
        append = child([REEL, "append", *cluster.connect(), "--json"], stdin=subprocess.PIPE)
        append.stdin.write(b"one\ntwo\n")
        append.stdin.flush()
        cluster.wait_until("two lines", lambda s: s[1]["high_water"] == 2)
        append.send_signal(signal.SIGINT)
        append.wait(timeout=60)
        stdout, stderr = append.communicate()
        self.check_refusal(append.returncode, stderr, FINDING, ["interrupted", "2 transactions", "0..1"], "append")
        self.assertEqual(stdout, b"")



class Submit(Contract):
    """`reel submit`: a file of transactions of their own."""

    def file(self, *lines):
        path = self.directory / "lines.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" if isinstance(line, dict) else line + "\n" for line in lines))
        return path

    def outcomes(self, stdout):
        *lines, end = [json.loads(line) for line in stdout.splitlines()]
        self.assertEqual([each["line"] for each in lines], list(range(1, len(lines) + 1)))
        self.assertEqual(end["lines"], len(lines) + end["unsent"])
        return lines, end

    def test_nothing_is_sent_of_a_file_that_is_not_understood(self):
        """Half of a file that was committed for good could not be taken back, nor its line be found."""
        for lines, says in (((' {"data": "x"}', "{"), "line 2 is not JSON"),
                            (({"data": "x"}, "[1]"), "line 2 is not a JSON object"),
                            (({"data": "x"}, "", {"data": "y"}), "line 2 is not JSON"),
                            (({"data": "x", "wrte": ["k"]},), ["line 1", "'wrte'", "means nothing"]),
                            (({"data": "x"}, {"data": "x", "write": "k"}), ["line 2", "write", "list of keys"]),
                            (({"header": 1},), ["line 1", "data or data_base64"]),
                            (({"data_base64": "x"},), ["line 1", "not base64"]),
                            (({"data": "x", "based_on": -1},), ["line 1", "based_on", "whole number"]),
                            (({"data": "x", "partition": 0, "key": "k"},), ["line 1", "both"]),
                            (({"data": "x" * (LINE_BYTES_MAX + 1)},), ["line 1", "limit of 1048576 bytes"])):
            self.refused(FINDING, ["nothing was sent", *([says] if isinstance(says, str) else says)], "submit",
                         self.file(*lines), "--token-file", self.token_file())
        self.refused(USAGE, ["key", "--partitions"], "submit", self.file({"data": "x", "key": "k"}), "--token-file",
                     self.token_file())
        self.refused(FINDING, ["cannot be read"], "submit", self.directory / "none", "--token-file", self.token_file())

    def test_each_line_has_its_outcome(self):
        """Of many lines each must be known to be committed or not, and why; a repetition must say the same."""
        cluster = self.cluster(nodes=1, partitions=3)
        path = self.file({"data": "open ann", "write": ["ann"]},
                         {"data": "open bob", "write": ["bob"], "partition": 2, "header": 7},
                         {"data": "blind", "write": ["ann"]},
                         {"data": "list", "append": ["ann"], "read": ["carl"]},
                         {"data_base64": "AP8="},
                         {"data": "spread", "key": "some key"})
        command = ("submit", path, *cluster.connect(), "--json", "--outstanding", 1, "--partitions", 3)
        stdout = self.refused(FINDING, ["1 of 6 were not committed", "line 3 conflicts", "transaction 0", "'ann'", "write lock"],
                              *command)
        lines, end = self.outcomes(stdout)
        self.assertEqual([each["outcome"] for each in lines], ["committed"] * 2 + ["conflict"] + ["committed"] * 3)
        self.assertEqual({name: lines[2][name] for name in ("lock", "key", "id")}, {"lock": "write", "key": "ann", "id": 0})
        self.assertEqual([(each["partition"], each["id"]) for each in lines[:2] + lines[3:5]], [(0, 0), (2, 0), (0, 1), (0, 2)])
        self.assertEqual((end["committed"], end["conflict"], end["unknown"]), (5, 1, 0))
        again, _ = self.outcomes(self.refused(FINDING, ["line 3 conflicts"], *command, "--session", end["session"],
                                              "--opened", end["opened"]))
        self.assertEqual(again[:2] + again[3:], lines[:2] + lines[3:])
        self.assertEqual((again[2]["outcome"], again[2]["id"]), ("conflict", 1))  # the newest change is named
        feed = [json.loads(line) for line in self.succeeds("feed", *cluster.connect(), "--json").splitlines()]
        self.assertEqual([data_of(each) for each in feed][:3], [b"open ann", b"list", b"\x00\xff"])
        one = json.loads(self.succeeds("lookup", *cluster.connect(), "--partition", 2, "--id", 0, "--json"))
        self.assertEqual((one["data"], one["header"], one["sequence"], one["session"]), ("open bob", 7, 1, end["session"]))
        # What follows from them, from standard input, in words.
        text = self.succeeds("submit", "-", *cluster.connect(), input=b'{"data": "x", "write": ["ann"], "based_on": 1}')
        self.assertRegex(text.decode(), r"^session [0-9a-f]{32}: 1 of 1 committed\n$")
        self.assertIn("0 of 0", self.succeeds("submit", "-", *cluster.connect(), input=b"").decode())
        self.refused(FINDING, ["line 1", "based on 9", "nothing was sent"], "submit", "-", *cluster.connect(),
                     input=b'{"data": "x", "based_on": 9}')
        self.refused(FINDING, ["line 1", "partition 3", "not there"], "submit", "-", *cluster.connect(),
                     input=b'{"data": "x", "partition": 3}')

    def test_a_file_happens_once_although_a_leader_dies(self):
        """Lines could be lost or doubled when the leader dies in their midst, or the script runs again."""
        cluster = self.cluster()
        count = 20_000
        path = self.file(*({"data": f"line {i}", "append": ["list"]} for i in range(count)))
        command = [REEL, "submit", path, *cluster.connect(), "--session", SESSION, "--json"]
        process = child(command)
        leader = leader_of(cluster.wait_until("some lines", lambda s: leader_of(s) and s[leader_of(s)]["high_water"] > 500))
        cluster.kill(leader)
        stdout, stderr = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, stderr)
        lines, end = self.outcomes(stdout)
        self.assertEqual(end["committed"], count)
        log = cluster.read(*cluster.processes)
        self.assertEqual([log[each["id"]] for each in lines], [b"line %d" % i for i in range(count)])
        self.assertEqual(len(log), count)
        again, _ = self.outcomes(self.succeeds("submit", self.file(*({"data": f"line {i}", "append": ["list"]}
                                                                     for i in range(count - 100, count))),
                                               *cluster.connect(*cluster.processes), "--json"))
        self.assertEqual(len(cluster.read(*cluster.processes)), count + 100)

    def test_a_deadline_ends_it_for_good(self):
        """A line whose time is up must be known to be lost, or to be unknown: never both said and done."""
        cluster = self.cluster()
        cluster.wait_for_leader()
        cluster.kill(1, 2)
        stdout = self.refused(FINDING, ["line 1 has an unknown outcome", "session"], "submit", "-", *cluster.connect(),
                              "--session", SESSION, "--json", input=b'{"data": "x", "deadline_ms": 100}')
        self.assertEqual(self.outcomes(stdout)[0][0]["outcome"], "unknown")
        cluster.start(1)
        cluster.wait_for_leader()
        answer = json.loads(self.succeeds("resolve", *cluster.connect(), "--session", SESSION, "--sequence", 1, "--json"))
        self.assertEqual(len(cluster.read(*cluster.processes)), 0 if answer["burned"] else 1)

    def test_looking_changes_nothing(self):
        """Whoever only looks must not burn what is on its way, nor be told of what is not there."""
        cluster = self.cluster(nodes=1)
        look = ("resolve", *cluster.connect(), "--session", SESSION, "--sequence", 1, "--no-burn")
        self.assertIn("undecided", self.succeeds(*look).decode())
        self.assertTrue(json.loads(self.succeeds(*look, "--json"))["undecided"])
        self.succeeds("append", *cluster.connect(), "--session", SESSION, input=b"after all\n")
        answer = json.loads(self.succeeds(*look, "--json"))
        self.assertEqual((answer["id"], answer["undecided"], answer["burned"]), (0, False, False))
        self.assertEqual(self.succeeds("lookup", *cluster.connect(), "--id", 0), b"after all\n")
        self.refused(FINDING, ["no transaction 1"], "lookup", *cluster.connect(), "--id", 1)
        self.refused(FINDING, ["no such partition"], "lookup", *cluster.connect(), "--id", 0, "--partition", 9)


class Transactions(Contract):
    def append(self, cluster, line, *flags):
        return json.loads(self.succeeds("append", *cluster.connect(), "--json", *flags, input=line + b"\n"))

    def append_refused(self, cluster, line, says, *flags):
        return json.loads(self.refused(FINDING, says, "append", *cluster.connect(), "--json", *flags,
                                       input=line + b"\n"))

    def resolve(self, cluster, session, sequence, *flags):
        return json.loads(self.succeeds("resolve", *cluster.connect(), "--json", "--session", session, "--sequence",
                                        sequence, *flags))

    def test_locks(self):
        """A withdrawal that is based on an old balance must be refused, and its user told by what; others must not be."""
        cluster = self.cluster(nodes=1)
        ann = ("--lock-write", "account/ann")
        self.assertEqual(self.append(cluster, b"opened", *ann)["first"], 0)
        report = self.append_refused(cluster, b"blind", ["'account/ann'", "transaction 0", "based on nothing", "--based-on"],
                                     *ann)
        self.assertEqual(report["refusals"], [{"sequence": 1, "reason": "Conflict", "lock": "write",
                                               "key": "account/ann", "id": 0}])
        self.assertEqual((report["count"], report["refused"], report["first"]), (0, 1, None))
        self.assertEqual(self.append(cluster, b"-10", *ann, "--based-on", 0)["first"], 1)
        self.append_refused(cluster, b"-10 too late", ["'account/ann'", "transaction 1", "based on 0"], *ann,
                            "--based-on", 0)
        # The matrix: reads ask and leave nothing, appends leave something and ask nothing.
        self.assertEqual(self.append(cluster, b"a", "--lock-read", "other", "--lock-append", "list")["first"], 2)
        self.assertEqual(self.append(cluster, b"b", "--lock-write", "other", "--lock-append", "list")["first"], 3)
        report = self.append_refused(cluster, b"c", ["'list'", "read lock", "transaction 3"], "--lock-write", "free",
                                     "--lock-read", "list", "--based-on", 2)
        self.assertEqual(report["refusals"][0]["lock"], "read")
        self.assertEqual(self.append(cluster, b"d", "--lock-read", "list", "--based-on", 3, "--header", 7)["first"], 4)
        self.refused(FINDING, ["--based-on 5", "ends with 4"], "append", *cluster.connect(), "--based-on", 5, input=b"x\n")
        self.assertEqual(cluster.read(), [b"opened", b"-10", b"a", b"b", b"d"])

    def test_every_refusal_is_listed(self):
        """Among many lines those that were refused must be known, or none of them can be repeated."""
        cluster = self.cluster(nodes=1)
        stdout = self.refused(FINDING, ["2 of 3 were refused", "line 2", "transaction 0"], "append", *cluster.connect(),
                              "--json", "--lock-write", "k", input=b"1\n2\n3\n")
        report = json.loads(stdout)
        self.assertEqual((report["count"], report["refused"], report["last_sequence"]), (1, 2, 3))
        self.assertEqual([(each["sequence"], each["id"]) for each in report["refusals"]], [(2, 0), (3, 0)])
        self.refused(FINDING, ["2 of 2 were refused"], "append", *cluster.connect(), "--lock-read", b"\xff",
                     "--lock-write", "k", input=b"1\n2\n")
        self.append_refused(cluster, b"1", ["conflicts"], "--lock-write", "k", "--lock-read", b"\xff")

    def test_a_command_that_is_repeated(self):
        """A script that crashed, or whose leader died, must be able to run its command again and have it happen once."""
        cluster = self.cluster()
        lines = b"one\ntwo\nthree\n"
        command = ("append", *cluster.connect(), "--json", "--session", SESSION)
        first = json.loads(self.succeeds(*command, input=lines))
        self.assertEqual((first["session"], first["first_sequence"], first["last_sequence"]), (SESSION, 1, 3))
        cluster.append([b"another"])
        cluster.wait_for_leader()
        cluster.kill(leader_of(cluster.status()))
        again = json.loads(self.succeeds(*command, input=lines))
        self.assertEqual((again["first"], again["last"], again["count"]), (first["first"], first["last"], 3))
        self.assertEqual(self.resolve(cluster, SESSION, 2)["id"], first["first"] + 1)
        # Going on: what is known joins, what is new is appended; a hole is not waited for.
        more = json.loads(self.succeeds(*command, "--first-sequence", 3, input=b"three\nfour\n"))
        self.assertEqual((more["first"], more["last"], more["last_sequence"]), (2, 4, 4))
        self.refused(FINDING, ["goes on with sequence 5, not with 7", "--first-sequence"], *command, "--first-sequence",
                     7, input=b"seven\n")
        # A session that `append` drew is continued by what it printed.
        drawn = self.append(cluster, b"five")
        again = self.append(cluster, b"five", "--session", drawn["session"], "--opened", drawn["opened"],
                            "--first-sequence", drawn["first_sequence"])
        self.assertEqual(again["first"], drawn["first"])
        self.assertEqual(cluster.read(*cluster.processes), [b"one", b"two", b"three", b"another", b"four", b"five"])

    def test_burned(self):
        """What was declared lost must stay lost: somebody may have done its work again."""
        cluster = self.cluster(nodes=1)
        done = self.append(cluster, b"one")
        answer = self.resolve(cluster, done["session"], 1, "--opened", done["opened"])
        self.assertEqual((answer["id"], answer["burned"]), (0, False))
        self.assertGreater(answer["time"], 1_000_000_000)
        self.assertIn("committed as 0 at", self.succeeds("resolve", *cluster.connect(), "--session", done["session"],
                                                         "--sequence", 1).decode())
        half = f"{int(SESSION[:16], 16):x}:{int(SESSION[16:], 16):x}"
        for session in (SESSION, half):
            self.assertEqual(self.resolve(cluster, session, 1), {"session": SESSION, "sequence": 1, "burned": True,
                                                                 "id": None, "time": None})
        report = self.append_refused(cluster, b"late", ["burned", "sequence 1"], "--session", SESSION)
        self.assertEqual(report["refusals"], [{"sequence": 1, "reason": "Burned"}])
        self.assertEqual(self.append(cluster, b"anew", "--session", SESSION, "--first-sequence", 2)["first"], 1)
        self.assertEqual(cluster.read(), [b"one", b"anew"])

    def test_forgotten(self):
        """A request older than its session's window cannot be told from a new one: it must not be taken for one."""
        cluster = self.cluster(nodes=1)
        lines = b"x\n" * (SESSION_WINDOW + 1)
        self.succeeds("append", *cluster.connect(), "--session", SESSION, input=lines)
        self.refused(FINDING, [SESSION, "expired", "sequences 1..1", "unknown", "reel feed"], "append", *cluster.connect(),
                     "--session", SESSION, input=b"x\n")
        self.refused(FINDING, ["expired", "forgotten", "reel feed"], "resolve", *cluster.connect(), "--session", SESSION,
                     "--sequence", 1)
        self.assertEqual(len(cluster.read()), SESSION_WINDOW + 1)

    def test_without_a_majority(self):
        """A question that nobody can answer must end, and say that the burn may still happen."""
        cluster = self.cluster()
        cluster.wait_for_leader()
        cluster.kill(1, 2)
        flags = [*cluster.connect(), "--session", SESSION]
        self.refused(FINDING, ["burned or not", "no answer for 1 s", "reel status"], "resolve", *flags, "--sequence", 1,
                     "--patience", 1)
        self.refused(FINDING, ["nothing was committed", "no answer for 1 s"], "append", *flags, "--based-on", 0,
                     "--patience", 1, input=b"x\n")
        self.refused(FINDING, ["it is not known", f"--session {SESSION} --first-sequence 1"], "append", *flags,
                     "--patience", 1, input=b"x\n")

    def test_partitions(self):
        """Each partition is a log of its own: ids, locks and sessions of one must not show in another."""
        cluster = self.cluster(partitions=3)
        lock = ("--lock-write", "k", "--session", SESSION)
        for partition in (0, 2):
            report = self.append(cluster, b"%d" % partition, "--partition", partition, *lock)
            self.assertEqual(report["first"], 0)
        self.assertTrue(self.resolve(cluster, SESSION, 1, "--partition", 1)["burned"])
        self.assertFalse(self.resolve(cluster, SESSION, 1, "--partition", 2)["burned"])
        for partition, output in ((0, b"0\n"), (1, b""), (2, b"2\n")):
            self.assertEqual(self.succeeds("feed", *cluster.connect(), "--partition", partition), output)
        listed = json.loads(self.succeeds("admin", "partition", "list", *cluster.connect(), "--json"))["partitions"]
        self.assertEqual([(each["partition"], each["high_water"], len(each["replicas"])) for each in listed],
                         [(0, 1, 3), (1, 0, 3), (2, 1, 3)])
        table = self.succeeds("admin", "partition", "list", *cluster.connect()).decode().splitlines()
        self.assertEqual(len(table), 4)
        for each in listed:
            self.assertIn(each["leader"], cluster.nodes)
            one = json.loads(self.succeeds("admin", "partition", "describe", each["partition"], *cluster.connect(), "--json"))
            self.assertEqual((one["partition"], one["leader"]), (each["partition"], each["leader"]))
            self.assertEqual({peer["node"] for peer in one["peers"]}, set(cluster.nodes) - {one["leader"]})
        nodes = json.loads(self.succeeds("status", *cluster.connect(), "--json"))["nodes"]
        self.assertEqual([[each["partition"] for each in node["partitions"]] for node in nodes], [[0, 1, 2]] * 3)
        self.refused(FINDING, ["no such partition 3", "0..2"], "admin", "partition", "describe", 3, *cluster.connect())
        self.refused(FINDING, ["no such partition"], "resolve", *cluster.connect(), "--partition", 3, "--session",
                     SESSION, "--sequence", 1)
        created = json.loads(self.succeeds("admin", "partition", "create", "--total", 5, *cluster.connect(), "--json"))
        self.assertEqual(created, {"before": 3, "partitions": 5, "ready": True})
        self.assertEqual(self.succeeds("append", *cluster.connect(), "--partition", 4, input=b"new\n").decode().split()[1], "1")
        self.assertEqual(self.succeeds("feed", *cluster.connect(), "--partition", 4), b"new\n")
        self.assertIn(b"6 partitions", self.succeeds("admin", "partition", "create", *cluster.connect()))
        self.refused(FINDING, ["TooLarge", "1024"], "admin", "partition", "create", "--total", 1025, *cluster.connect())
        self.refused(USAGE, "--total", "admin", "partition", "create", "--total", 16385, *cluster.connect())
        cluster.kill(1)
        text = self.succeeds("admin", "partition", "describe", 0, *cluster.connect()).decode()
        self.assertRegex(text, r"\n +1 +\S+ +unreachable: ")
        self.assertIn(" 2/3 ", self.succeeds("admin", "partition", "list", *cluster.connect()).decode())


class Groups(Contract):
    def test_members_share_the_partitions(self):
        """Two readers that get the same transactions do everything twice; a position that is lost does it again."""
        cluster = self.cluster(partitions=4)
        for partition in range(4):
            lines = b"".join(b"%d.%d\n" % (partition, n) for n in range(50))
            self.succeeds("append", *cluster.connect(), "--partition", partition, input=lines)
        first = self.succeeds("feed", *cluster.connect(), "--group", "billing", "--member-patience", 2000)
        self.assertEqual(sorted(first.split()), sorted(b"%d.%d" % (p, n) for p in range(4) for n in range(50)))
        self.assertEqual(self.succeeds("feed", *cluster.connect(), "--group", "billing", "--member-patience", 2000), b"")
        told = json.loads(self.succeeds("admin", "group", "describe", "billing", *cluster.connect(), "--json"))
        self.assertEqual([(each["partition"], each["next"], each["lag"], each["owner"]) for each in told["positions"]],
                         [(partition, 50, 0, "") for partition in range(4)])
        members = [child([REEL, "feed", *cluster.connect(), "--group", "billing", "--member-patience", 2000, "--follow",
                          "--json"]) for _ in range(2)]
        for member in members:
            self.addCleanup(lambda member=member: (member.kill(), member.wait(), member.stdout.close()))
        self.wait_for_shares(cluster, 2)
        for partition in range(4):
            self.succeeds("append", *cluster.connect(), "--partition", partition, input=b"more\n")
        self.wait_for_positions(cluster, 51)
        members[0].kill()  # without a word: its partitions go to the other one
        members[0].wait()
        for partition in range(4):
            self.succeeds("append", *cluster.connect(), "--partition", partition, input=b"last\n")
        self.wait_for_positions(cluster, 52)
        members[1].terminate()
        self.assertEqual(members[1].wait(timeout=20), 0)
        read = [[json.loads(line) for line in member.stdout.read().splitlines()] for member in members]
        told = [[(each["partition"], each["id"]) for each in lines] for lines in read]
        self.assertEqual(len(told[0]), 2)
        self.assertEqual(len(told[1]), 6)
        self.assertEqual(sorted(told[0] + told[1]), [(partition, id) for partition in range(4) for id in (50, 51)])
        self.assertEqual(self.succeeds("admin", "group", "list", *cluster.connect()), b"billing\n")
        self.succeeds("admin", "group", "remove", "billing", *cluster.connect())
        self.refused(FINDING, "no such reader group", "admin", "group", "describe", "billing", *cluster.connect())
        self.refused(USAGE, "--group", "feed", *cluster.connect(), "--group", "a b")
        self.refused(USAGE, "--from", "feed", *cluster.connect(), "--group", "a", "--from", 3)

    def wait_for_shares(self, cluster, each):
        self.wait_for(cluster, lambda told: len(told["members"]) == 2 and not any(p["heir"] for p in told["positions"])
                      and all(sum(p["owner"] == m["member"] for p in told["positions"]) == each for m in told["members"]))

    def wait_for_positions(self, cluster, next):
        self.wait_for(cluster, lambda told: all(p["next"] == next for p in told["positions"]))

    def wait_for(self, cluster, holds):
        deadline = time.monotonic() + 30
        while True:
            told = json.loads(self.succeeds("admin", "group", "describe", "billing", *cluster.connect(), "--json"))
            if holds(told):
                return
            self.assertLess(time.monotonic(), deadline, told)
            time.sleep(0.1)


class Files(Contract):
    def test_traces(self):
        """A damaged trace that is believed would blame code that is innocent."""
        trace = self.directory / "good.trace"
        self.succeeds("sim", "--seed", 5, "--trace", trace)
        self.succeeds("replay", trace)
        good = trace.read_bytes()
        bad = self.directory / "bad.trace"
        commands = (["replay"], ["replay", "--until", "1s"], ["replay", "--step"], ["replay", "--culprit"],
                    ["replay", "--fork", 2, "--at", "1s"], ["shrink"], ["trace", "hash"], ["trace", "dump"],
                    ["trace", "view"], ["trace", "diff", trace])
        for content in (b"", b"not a trace", good[:len(good) // 2], good[:-1], good[:100] + b"\xff" + good[101:],
                        good[:-100] + bytes([good[-100] ^ 1]) + good[-99:]):
            bad.write_bytes(content)
            for command in commands:
                self.refused(FINDING, ["bad.trace"], *command, bad)
        for command in commands:
            self.refused(FINDING, ["nosuch.trace", "No such file"], *command, self.directory / "nosuch.trace")
            self.refused(FINDING, [str(self.directory)], *command, self.directory)
        self.refused(FINDING, ["cannot write"], "sim", "--seed", 5, "--trace", self.directory / "no" / "where")

    def test_time_travel(self):
        """Whoever looks into a run must see that run, and hear in one line what cannot be looked at."""
        trace, other = self.directory / "one.trace", self.directory / "other.trace"
        self.succeeds("sim", "--seed", 5, "--trace", trace)
        self.succeeds("sim", "--seed", 6, "--trace", other)
        state = self.succeeds("replay", trace, "--until", "1.5s", "--inspect", "node1").decode()
        self.assertRegex(state, r"^node 1 at 1\.\d+ s, event \d+: ")
        self.assertNotIn("\nnode 2 at", state)
        event = re.search(r"event (\d+)", state)[1]
        there = self.succeeds("replay", trace, "--until", event, "--inspect", "node1").decode()
        stepped = self.succeeds("replay", trace, "--step", input=f"g 20000\ng 1.5s\ni node1\nb\nn\ni node1\nq\n".encode()).decode()
        self.assertEqual(stepped.count(there), 2, stepped)
        future = json.loads(self.succeeds("replay", trace, "--fork", 3, "--at", "2s", "--json"))
        self.assertEqual((future["futures"], future["failed"]), (3, 0))
        diagram = self.succeeds("trace", "view", trace).decode().splitlines()
        self.assertLessEqual(len(diagram), 60)
        self.assertLessEqual(max(map(len, diagram)), 120)
        self.assertEqual(self.succeeds("trace", "diff", trace, trace), b"the same run\n")
        done = run_reel(REEL, "trace", "diff", trace, other)
        self.assertEqual(done.returncode, FINDING)
        self.assertIn(b"seed 5 / 6\n", done.stdout)
        self.refused(FINDING, ["does not fail"], "shrink", trace)
        self.refused(FINDING, ["does not fail"], "shrink", "--seed", 5)
        self.refused(FINDING, ["does not fail"], "replay", trace, "--culprit")
        self.refused(USAGE, ["a trace or --seed"], "shrink")
        self.refused(USAGE, ["a trace or --seed"], "shrink", trace, "--seed", 5)
        self.refused(USAGE, ["1..5"], "shrink", "--seed", "x1..5")
        self.refused(USAGE, ["no moment of a run"], "replay", trace, "--until", "soon")
        self.refused(USAGE, ["no machine 'node9'"], "replay", trace, "--until", "1s", "--inspect", "node9")
        self.refused(USAGE, ["--inspect needs --until"], "replay", trace, "--inspect", "node1")
        self.refused(USAGE, ["--fork needs --at"], "replay", trace, "--fork", 3)
        self.refused(USAGE, ["one of"], "replay", trace, "--step", "--until", "1s")
        self.refused(USAGE, ["one trace"], "replay", trace, other, "--step")

    def test_recordings(self):
        """Evidence that is damaged must not be taken for evidence."""
        recording = self.directory / "recording"
        data = self.init()
        node = child([REEL, "node", "--config", self.config(record=str(recording))])
        node.stdout.readline()
        node.terminate()
        node.communicate(timeout=60)
        good = recording.read_bytes()
        self.assertIn("records", json.loads(self.succeeds("disk", "recording", recording, "--json")))
        self.succeeds("disk", "crash-image", recording, "--dir", self.directory / "image")
        before = digest_of(self.directory / "image")
        self.refused(FINDING, ["not empty", "choose a new one"], "disk", "crash-image", recording, "--dir",
                     self.directory / "image")
        self.assertEqual(digest_of(self.directory / "image"), before)
        recording.write_bytes(good[:1000] + b"\xff" + good[1001:])
        self.refused(FINDING, ["recording"], "disk", "crash-image", recording, "--dir", self.directory / "other")
        self.assertFalse((self.directory / "other").exists())
        recording.write_bytes(b"something else")
        self.refused(FINDING, ["not a disk recording"], "disk", "recording", recording)
        self.refused(FINDING, ["cannot read recording"], "disk", "recording", self.directory / "nosuch")
        self.refused(USAGE, ["--cut"], "disk", "crash-image", recording, "--cut", -1, "--dir", self.directory / "other")
        self.assertTrue(data.exists())


class Development(Contract):
    """`reel up`"""

    def up(self, *flags):
        """The process, when it serves; its --connect and --token-file."""
        process = child([REEL, "up", "--dir", self.directory / "up", *flags])
        self.addCleanup(self.end, process)
        addresses = None
        for line in process.stdout:
            if b"reel status" in line:
                addresses = line.split()[-1].decode()
                break
        self.assertIsNotNone(addresses, process.stderr.read() if addresses is None else "")
        return process, ["--connect", addresses, "--token-file", self.directory / "up" / "token"]

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def stop(self, process, number):
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, stderr)
        self.assertEqual(stderr, b"", "something was said in between")
        self.assertTrue(stdout.endswith(b"stopped\n"), stdout)

    def test_a_cluster_that_comes_and_goes(self):
        """What a newcomer tries first: data that is gone after Ctrl-C, or noise, would be the last he tries."""
        process, connect = self.up()
        self.assertEqual(stat.S_IMODE((self.directory / "up" / "token").stat().st_mode), 0o600)
        self.assertEqual(json.loads(self.succeeds("append", *connect, "--json", input=b"one\ntwo\n"))["last"], 1)
        time.sleep(2.5)  # notices that are late
        status = json.loads(self.succeeds("status", *connect, "--json"))
        self.assertEqual([each["reachable"] for each in status["nodes"]], [True] * 3)
        self.assertEqual(sorted(each["role"] for each in status["nodes"]), ["follower", "follower", "leader"])
        self.refused(FINDING, ["in use by process", str(process.pid)], "up", "--dir", self.directory / "up")
        self.refused(USAGE, ["holds a cluster already", "--nodes"], "up", "--dir", self.directory / "up", "--nodes", 5)
        self.stop(process, signal.SIGINT)
        process, connect = self.up()
        self.succeeds("append", *connect, input=b"three\n")
        self.assertEqual(self.succeeds("feed", *connect), b"one\ntwo\nthree\n")
        self.stop(process, signal.SIGTERM)

    def test_one_node(self):
        """The smallest cluster is the one that people embed in their tests."""
        process, connect = self.up("--nodes", 1)
        self.succeeds("append", *connect, input=b"alone\n")
        self.assertEqual(self.succeeds("feed", *connect), b"alone\n")
        self.stop(process, signal.SIGINT)

    def test_directories_that_are_taken(self):
        """A development cluster must not move into somebody's documents."""
        up = self.directory / "up"
        up.mkdir()
        (up / "thesis").write_text("years of work")
        before = digest_of(up)
        self.refused(FINDING, ["not empty", "another --dir"], "up", "--dir", up)
        self.assertEqual(digest_of(up), before)
        self.refused(FINDING, [str(up / "thesis")], "up", "--dir", up / "thesis")
        self.assertEqual(digest_of(up), before)

    def test_ports_that_are_taken(self):
        """A cluster whose configuration names somebody else's port could never start again."""
        cluster = self.cluster(nodes=1)
        port = int(cluster.addresses[1].split(":")[1])
        self.refused(FINDING, [f"port {port}", "in use", "another --port"], "up", "--dir", self.directory / "up",
                     "--port", port)
        self.assertFalse((self.directory / "up").exists())


class Histories(Contract):
    """`reel check`: histories of any system, in the formats that they are written in."""

    STALE = [(0, "invoke", "write", 1), (0, "ok", "write", 1), (1, "invoke", "write", 2), (1, "ok", "write", 2),
             (2, "invoke", "read", None), (2, "ok", "read", 1)]

    def write(self, name, lines):
        path = self.directory / name
        path.write_text("\n".join(lines) + "\n")
        return path

    @staticmethod
    def edn(value):
        return "nil" if value is None else str(value)

    def formats(self, events):
        return [self.write("history.jsonl", [json.dumps(dict(zip(("process", "type", "f", "value"), event)))
                                             for event in events]),
                self.write("history.edn", [f"{{:process {p}, :type :{t}, :f :{f}, :value {self.edn(v)}}}"
                                           for p, t, f, v in events]),
                self.write("vector.edn", ["["] + [f"{{:process {p}, :type :{t}, :f :{f}, :value {self.edn(v)}}}"
                                                  for p, t, f, v in events] + ["]"]),
                self.write("history.log", ["INFO  jepsen.core - Running"] +
                           [f"INFO  jepsen.util - {p}\t:{t}\t:{f}\t{self.edn(v)}" for p, t, f, v in events])]

    def check(self, status, *arguments, **settings):
        done = run_reel(REEL, "check", *arguments, **settings)
        self.assertEqual(done.returncode, status, f"{arguments}: {done.stderr.decode()}{done.stdout.decode()}")
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode()

    def test_every_format_has_the_same_verdict(self):
        """The same history in another notation could be judged differently."""
        for path in self.formats(self.STALE):
            shown = json.loads(self.check(FINDING, "--model", "register", "--json", path))
            self.assertEqual((shown["model"], shown["verdict"], shown["operations"]), ("register", "illegal", 3), path)
            self.assertEqual(shown["first_bad"]["operation"], 2)
            self.assertEqual([each["operation"] for each in shown["core"]], [0, 1, 2])
            self.assertIn("process 2 read 1", shown["reason"])
            self.assertIsNone(shown["witness"])
        for path in self.formats(self.STALE[:-1] + [(2, "ok", "read", 2)]):
            shown = json.loads(self.check(0, "--model", "register", "--json", path))
            self.assertEqual((shown["verdict"], shown["witness"], shown["first_bad"]), ("ok", [0, 1, 2], None))
            self.assertIn("ok: linearizable", self.check(0, "--model", "register", path))
        self.assertIn("ok: linearizable", self.check(0, "--model", "register", "-", input=path.read_bytes()))

    def test_the_words_of_a_history(self):
        """What the same words mean depends on where they come from; which meaning was used must be said."""
        path = self.write("history.jsonl", ['{"process": 0, "type": "invoke", "f": "cas", "value": [0, 1]}',
                                            '{"process": 0, "type": "fail", "f": "cas", "value": [0, 1]}'])
        arguments = ("--model", "cas-register", "--initial", "0", path)
        self.assertIn("--initial 0 --nil absent --failed-cas evidence --unknown maybe", self.check(FINDING, *arguments))
        self.assertIn("--failed-cas ignored", self.check(0, *arguments, "--failed-cas", "ignored"))
        self.check(0, "--model", "cas-register", path)

    def test_transactions(self):
        """An anomaly without its name and its reason helps nobody; so does a verdict on another level than was asked."""
        path = self.write("history.edn", [
            "{:process 0, :type :invoke, :f :txn, :value [[:append :x 1] [:r :y nil]]}",
            "{:process 1, :type :invoke, :f :txn, :value [[:append :y 1] [:r :x nil]]}",
            "{:process 0, :type :ok, :f :txn, :value [[:append :x 1] [:r :y []]]}",
            "{:process 1, :type :ok, :f :txn, :value [[:append :y 1] [:r :x []]]}"])
        shown = json.loads(self.check(FINDING, "--model", "list-append", "--json", path))
        self.assertEqual((shown["verdict"], [each["name"] for each in shown["anomalies"]]), ("illegal", ["G2-item"]))
        self.assertEqual(shown["anomalies"][0]["transactions"], [0, 1])
        self.assertEqual((shown["first_bad"]["operation"], shown["first_bad"]["line"]), (1, 4))
        self.assertEqual(shown["strongest"], ["strong-snapshot-isolation"])
        text = self.check(0, "--model", "list-append", "--isolation", "snapshot-isolation", path)
        self.assertIn("ok: snapshot-isolation\nG2-item: T0 before T1: T0 read key :y", text)

    def test_an_unknown_verdict_has_its_own_word(self):
        """Nobody may take a check that gave up for one that passed."""
        path = self.formats(self.STALE)[0]
        shown = json.loads(self.check(FINDING, "--model", "register", "--budget", 1, "--json", path))
        self.assertEqual(shown["verdict"], "unknown")
        self.assertIn("budget of 1 steps", shown["reason"])
        self.assertIn("unknown: the budget", self.check(FINDING, "--model", "register", "--budget", 1, path))

    def test_refusals(self):
        """A damaged file could be judged as far as it goes; an option that means nothing could be ignored."""
        good = self.formats(self.STALE)[0]
        bad = self.write("bad.jsonl", good.read_text().splitlines()[:3] + ['{"process": 1, "type"'])
        self.refused(USAGE, [f"{bad}:4: ", "a ':' is missing behind a key"], "check", "--model", "register", bad)
        self.refused(USAGE, ["--model is required"], "check", good)
        self.refused(USAGE, ["--model is one of register", "queue"], "check", "--model", "queue", good)
        self.refused(USAGE, ["cannot read the history", "nowhere"], "check", "--model", "kv", self.directory / "nowhere")
        self.refused(USAGE, ["cannot read the history"], "check", "--model", "kv", self.directory)
        self.refused(USAGE, ["--format is one of"], "check", "--model", "kv", "--format", "xml", good)
        self.refused(USAGE, ["--nil is one of absent, any"], "check", "--model", "kv", "--nil", "some", good)
        self.refused(USAGE, ["--failed-cas means nothing to the model kv"], "check", "--model", "kv", "--failed-cas",
                     "ignored", good)
        self.refused(USAGE, ["--isolation is one of"], "check", "--model", "list-append", "--isolation", "high", good)
        self.refused(USAGE, ["--budget must be"], "check", "--model", "register", "--budget", 0, good)
        self.refused(USAGE, ["the initial value '[' is no value"], "check", "--model", "register", "--initial", "[", good)
        twice = self.write("twice.edn", [f"{{:process {p}, :type :invoke, :f :txn, :value [[:append :x 1]]}}" for p in (0, 1)])
        self.refused(USAGE, ["T0 (called at line 1) and T1 (called at line 2) both write 1 to key :x"], "check", "--model",
                     "list-append", twice)
        self.refused(USAGE, ["history.jsonl:1: the value of a transaction"], "check", "--model", "list-append", good)


class Clusters(Contract):
    def test_a_dead_node_is_shown(self):
        """An operator must see who is dead, and that the others are not; one address must be enough for that."""
        cluster = self.cluster()
        leader = leader_of(cluster.status())
        dead = next(node for node in cluster.nodes if node != leader)
        cluster.kill(dead)
        for addresses in (cluster.connect(), cluster.connect(leader)):
            nodes = json.loads(self.succeeds("status", *addresses, "--json"))["nodes"]
            self.assertEqual([each["node"] for each in nodes], [1, 2, 3])
            self.assertEqual({each["node"]: each["reachable"] for each in nodes},
                             {node: node != dead for node in cluster.nodes})
            table = self.succeeds("status", *addresses).decode().splitlines()
            self.assertEqual(len(table), 4)
            self.assertRegex(table[dead], rf"^ +{dead} +{cluster.addresses[dead]} +unreachable: .*refused")
            self.assertIn("leader", table[leader])

    def test_one_address_is_enough(self):
        """A client that knows one node must find the leader, wherever it is and whoever was down at first."""
        cluster = self.cluster()
        leader = leader_of(cluster.status())
        follower = next(node for node in cluster.nodes if node != leader)
        done = self.succeeds("append", *cluster.connect(follower), "--json", input=b"one\n")
        self.assertEqual(json.loads(done)["count"], 1)
        # A node that is down when the client starts leads later.
        cluster.kill(leader)
        append = child([REEL, "append", *cluster.connect(follower), "--json"], stdin=subprocess.PIPE)
        self.addCleanup(lambda: append.poll() is None and append.kill())
        append.stdin.write(b"two\n")
        append.stdin.flush()
        cluster.wait_until("a new leader", lambda s: max((e["high_water"] for e in s.values()), default=0) == 2)
        second = leader_of(cluster.status())
        cluster.start(leader)
        cluster.wait_for_leader()
        cluster.kill(second)
        append.stdin.write(b"three\n")
        append.stdin.close()
        append.stdin = None
        stdout, stderr = append.communicate(timeout=60)
        self.assertEqual(append.returncode, 0, stderr)
        self.assertEqual(json.loads(stdout)["count"], 2)
        self.assertEqual(self.succeeds("feed", *cluster.connect(leader)), b"one\ntwo\nthree\n")

    def test_a_reader_finds_what_was_just_appended(self):
        """Followers learn of a commit later; a newcomer's first two commands must not show him an empty log."""
        cluster = self.cluster()
        for i in range(30):
            cluster.append([f"line {i}".encode()])
            node = i % 3 + 1
            output = self.succeeds("feed", *cluster.connect(node), "--from", i)
            self.assertEqual(output, f"line {i}\n".encode(), f"from node {node}")

    def test_follow(self):
        """A reader at the end of the log must see what comes, soon, in order, and across a dead leader."""
        cluster = self.cluster()
        cluster.append([b"before"])
        feed = child([REEL, "feed", *cluster.connect(), "--follow", "--json", "--limit", 4])
        self.addCleanup(lambda: feed.poll() is None and feed.kill())
        self.assertEqual(data_of(json.loads(feed.stdout.readline())), b"before")
        started = time.monotonic()
        cluster.append([b"one"])
        self.assertEqual(data_of(json.loads(feed.stdout.readline())), b"one")
        self.assertLess(time.monotonic() - started, 3)
        cluster.kill(leader_of(cluster.status()))
        cluster.append([b"two", b"three"])
        rest = [data_of(json.loads(feed.stdout.readline())) for _ in range(2)]
        self.assertEqual(rest, [b"two", b"three"])
        self.assertEqual(feed.wait(timeout=60), 0)
        feed.stdout.close()
        feed.stderr.close()

    def test_without_a_majority(self):
        """An append that can never commit must say so when its user's patience ends, and what it knows."""
        cluster = self.cluster()
        cluster.append([b"a"])
        cluster.wait_for_leader()
        cluster.kill(1, 2)
        self.refused(FINDING, ["committed nothing for 2 s", "reel status", "of 1 more it is not known"], "append",
                     *cluster.connect(), "--patience", 2, input=b"b\n")
        self.assertEqual(self.succeeds("feed", *cluster.connect(3)), b"a\n")

    def test_exactly_once_although_leaders_die(self):
        """A repeated call that commits twice, or a lost one, is what a log must never do."""
        cluster = self.cluster()
        lines = [b"%d %s" % (i, random.Random(i).randbytes(i % 40).hex().encode()) for i in range(APPENDED_LINES)]
        append = child([REEL, "append", *cluster.connect(), "--json"], stdin=subprocess.PIPE)
        self.addCleanup(lambda: append.poll() is None and append.kill())
        killed, go_on = [], threading.Semaphore(0)
        thirds = [lines[APPENDED_LINES * k // 3:APPENDED_LINES * (k + 1) // 3] for k in range(3)]

        def write():
            with append.stdin as pipe:
                for third in thirds:
                    pipe.write(b"".join(line + b"\n" for line in third))
                    if third is not thirds[-1]:
                        go_on.acquire()  # the rest comes when a leader has died

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        for third in range(2):
            wanted = APPENDED_LINES * third // 3 + APPENDED_LINES // 6
            status = cluster.wait_until("appends", lambda s: leader_of(s) and s[leader_of(s)]["high_water"] >= wanted)
            victim = leader_of(status)
            cluster.kill(victim)
            killed.append(victim)
            go_on.release()
            cluster.wait_until("a new leader", lambda s: leader_of(s) not in (None, victim))
            cluster.start(victim)
            cluster.wait_until("the restarted node", lambda s: len(s) == 3 and all(e["ready"] for e in s.values()))
        writer.join()
        append.stdin = None
        stdout, stderr = append.communicate(timeout=120)
        self.assertEqual(append.returncode, 0, stderr)
        report = json.loads(stdout)
        self.assertEqual((report["first"], report["last"], report["count"]), (0, APPENDED_LINES - 1, APPENDED_LINES))
        self.assertGreater(report["retries"], 0, f"the leaders {killed} died and nobody noticed: the test proves little")
        cluster.wait_for_leader()
        for node in cluster.nodes:
            self.assertTrue(cluster.read(node) == lines, f"the log of node {node} is not what went in")


def main():
    global REEL
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reel", required=True, help="the program")
    options, rest = parser.parse_known_args()
    REEL = Path(options.reel).resolve()
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
