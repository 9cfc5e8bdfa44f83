#!/usr/bin/env python3
"""The client library as a stranger meets it: installed, found by CMake, built into the examples, run against real nodes.

The bank of harness/examples runs in several instances that are killed at any moment, nodes too; what they did is held
against books that are kept here, from the log alone. client_library_test.py --reel PROGRAM --build DIRECTORY [unittest arguments]
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import time
import unittest
from pathlib import Path

from real_cluster import Cluster, Failure, Workspace, child, last_line, leader_of

REEL = None
BUILD = None
EXAMPLES = Path(__file__).resolve().parent / "examples"
BUILD_TIMEOUT_S = 300
TELLERS = 3
ACCOUNTS = 3
OPERATIONS = 300
STORM_S = 8


def made(*command, directory=None):
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=BUILD_TIMEOUT_S, cwd=directory)
    if done.returncode != 0:
        raise Failure(f"{command[0]} {command[1]} failed: {(done.stdout + done.stderr).decode(errors='replace')[-2000:]}")
    return done.stdout.decode(errors="replace")


class Books:
    """A bank, kept in the order of the log. What the bank forbids is a Failure."""

    def __init__(self):
        self.accounts, self.came_in, self.went_out, self.references = {}, 0, 0, {}
        self.history, self.histories = 0xcbf29ce484222325, []

    def take(self, transaction, data):
        operation, reference = re.fullmatch(r"(.*) #(\S+)", data.decode()).groups()
        if reference in self.references:
            raise Failure(f"transactions {self.references[reference]} and {transaction} are both {reference}")
        self.references[reference] = transaction
        verb, account, *rest = operation.split()
        amount = int(rest[-1]) if rest else 0
        is_open, held = account in self.accounts, self.accounts.get(account, 0)
        to = rest[0] if verb == "transfer" else account
        if is_open == (verb == "open") or to not in self.accounts and verb != "open":
            raise Failure(f"transaction {transaction} is '{operation}', on an account that is {'' if is_open else 'not '}open")
        if verb in ("withdraw", "transfer") and amount > held or verb == "close" and amount != held:
            raise Failure(f"transaction {transaction} is '{operation}', but there is {held}")
        if verb == "open":
            self.accounts[account] = 0
        elif verb == "deposit":
            self.accounts[account] += amount
            self.came_in += amount
        else:
            self.accounts[account] -= amount
            if verb == "transfer":
                self.accounts[to] += amount
            else:
                self.went_out += amount
            if verb == "close":
                del self.accounts[account]
        for byte in data:
            self.history = (self.history ^ byte) * 0x100000001b3 % 2**64
        self.histories.append(self.history)
        if sum(self.accounts.values()) != self.came_in - self.went_out:
            raise Failure(f"behind transaction {transaction} the accounts do not hold what came in and did not go out")


class Teller:
    """One instance of the bank, and what it said."""

    def __init__(self, bank, cluster, name, seed, operations=OPERATIONS):
        self.name = name
        self.said = cluster.directory / f"{name}.out"
        self.words = cluster.directory / f"{name}.err"
        with open(self.said, "wb") as said, open(self.words, "wb") as words:
            self.process = child([bank, "teller", *cluster.connect(), "--name", name, "--seed", seed, "--accounts", ACCOUNTS,
                                  "--operations", operations], stdout=said, stderr=words)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def check(self, books, log):
        """What it was told is true; returns how many of its operations committed."""
        committed = 0
        for line in self.said.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                continue  # it died while it wrote
            kind, *rest = line.split(maxsplit=2) if not line.startswith("{") else ("report", line)
            if kind == "committed":
                committed += 1
                if books.references.get(rest[1].strip()) != int(rest[0]):
                    raise Failure(f"{rest[1].strip()} was told to be transaction {rest[0]}, and is not")
            elif kind == "never" and rest[0].strip() in books.references:
                raise Failure(f"{rest[0].strip()} was told never to commit, and is in the log")
            elif kind == "report":
                report = json.loads(line)
                if report["next"] and books.histories[report["next"] - 1] != int(report["history"], 16):
                    raise Failure(f"{self.name} has seen another history than the log's")
        return committed


class ClientLibrary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        workspace = Workspace("client-library")
        cls.addClassCleanup(workspace.__exit__)
        cls.directory = workspace.__enter__()
        cls.prefix = cls.directory / "prefix"
        made("cmake", "--install", BUILD, "--component", "client", "--prefix", cls.prefix)
        cls.examples = cls.build(EXAMPLES, "examples")

    @classmethod
    def build(cls, sources, name):
        """Of a copy: a stranger has nothing but the package."""
        copy, build = cls.directory / name / "source", cls.directory / name / "build"
        shutil.copytree(sources, copy)
        made("cmake", "-G", "Ninja", "-S", copy, "-B", build, f"-DCMAKE_PREFIX_PATH={cls.prefix}")
        made("ninja", "-C", build)
        return build

    def cluster(self, name, nodes=3):
        directory = self.directory / name
        directory.mkdir()
        cluster = Cluster(REEL, directory, nodes=nodes, journal_file_mib=8, election_ms=200)
        self.addCleanup(cluster.__exit__)
        cluster.create()
        cluster.start_all()
        cluster.wait_for_leader()
        return cluster

    def test_headers_bring_nothing_else_with_them(self):
        """A user of the blocking client would have to compile Cap'n Proto's headers, or Reel's own."""
        source = self.directory / "only.cc"
        source.write_text("#include <reel/client.h>\n")
        reached = made("c++", "-std=c++23", f"-I{self.prefix}/include", "-M", source)
        for word in ("/kj/", "/capnp/", "harness/", "node/", "io/"):
            self.assertNotIn(word, reached)
        installed = sorted(path.name for path in (self.prefix / "include").rglob("*.h"))
        self.assertEqual(installed, ["async_client.h", "client.h", "types.h"])

    def test_the_examples_run_against_a_development_cluster(self):
        """What a newcomer copies first must work, on threads and on KJ's event loop, and refuse with a sentence."""
        data = self.directory / "up"
        up = child([REEL, "up", "--dir", data])
        try:
            greeting = b""
            while b"reel status" not in greeting:
                line = up.stdout.readline()
                self.assertTrue(line, last_line(up.stderr.read() if up.poll() is not None else b""))
                greeting += line
            address = re.search(rb"--connect (\S+)", greeting).group(1).decode()
            said = made(self.examples / "greeting", address, data / "token", "first words")
            self.assertEqual(said, "0 first words\n")
            said = made(self.examples / "greeting_async", address.split(",")[1], data / "token", "second words")
            self.assertEqual(said, "1 second words\n")
            strange = self.directory / "strange-token"
            strange.write_text("0" * 64 + "\n")
            strange.chmod(0o600)
            for program, token, says in (("greeting", strange, "does not know this token"),
                                         ("greeting_async", strange, "does not know this token"),
                                         ("greeting", self.directory / "none", "none")):
                done = subprocess.run([self.examples / program, address.split(",")[0], token, "x"], capture_output=True,
                                      timeout=60)
                self.assertEqual(done.returncode, 1)
                self.assertIn(says, done.stderr.decode())
        finally:
            up.terminate()
            up.wait()
            up.stdout.close()
            up.stderr.close()

    def judge(self, cluster, bank, tellers):
        log = cluster.read()
        books = Books()
        for transaction, data in enumerate(log):
            books.take(transaction, data)
        committed = sum(teller.check(books, log) for teller in tellers)
        audit = json.loads(made(bank, "audit", *cluster.connect()))
        self.assertEqual(audit["accounts"], books.accounts)
        self.assertEqual(audit["next"], len(log))
        self.assertEqual(int(audit["history"], 16), books.history)
        self.assertEqual((audit["came_in"], audit["went_out"]), (books.came_in, books.went_out))
        return committed

    def test_a_bank_whose_instances_and_nodes_are_killed(self):
        """Money could be made or lost, a deposit go into a closed account, or instances see different histories."""
        cluster = self.cluster("bank")
        bank = self.examples / "bank"
        chance = random.Random(7)
        tellers = [Teller(bank, cluster, f"t{number}", number) for number in range(TELLERS)]
        working = list(tellers)
        ends = time.monotonic() + STORM_S
        killed_node = None
        while time.monotonic() < ends:
            time.sleep(chance.uniform(0.1, 0.5))
            at = chance.randrange(TELLERS)
            working[at].kill()
            tellers.append(Teller(bank, cluster, f"t{len(tellers)}", len(tellers)))
            working[at] = tellers[-1]
            if killed_node:
                cluster.start(killed_node)
                killed_node = None
            elif chance.random() < 0.4 and leader_of(cluster.status()):
                killed_node = leader_of(cluster.status())
                cluster.kill(killed_node)
        if killed_node:
            cluster.start(killed_node)
        for teller in working:
            self.assertEqual(teller.process.wait(timeout=120), 0, last_line(teller.words.read_bytes()))
        self.assertGreater(self.judge(cluster, bank, tellers), OPERATIONS // 2)

    def test_a_deposit_without_its_read_lock_is_found(self):
        """A check that has never found anything may look at nothing."""
        source = self.directory / "planted-source"
        shutil.copytree(EXAMPLES, source)
        text = (source / "bank" / "bank.cc").read_text()
        line = '    draft.read_locks = {existence};\n    draft.append_locks = {balance};\n'
        self.assertEqual(text.count(line), 1)
        (source / "bank" / "bank.cc").write_text(text.replace(line, line.split("\n", 1)[1]))
        bank = self.build(source, "planted") / "bank"
        cluster = self.cluster("planted-bank", nodes=1)
        tellers = [Teller(bank, cluster, f"t{number}", number, operations=2000) for number in range(TELLERS)]
        for teller in tellers:
            teller.process.wait(timeout=120)
        self.assertTrue(any(b"the account is not open" in teller.words.read_bytes() for teller in tellers),
                        "no instance noticed")
        with self.assertRaisesRegex(Failure, "deposit .* on an account that is not open"):
            self.judge(cluster, bank, tellers)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reel", required=True, help="the program")
    parser.add_argument("--build", required=True, help="the build directory that is installed from")
    options, rest = parser.parse_known_args()
    global REEL, BUILD
    REEL, BUILD = Path(options.reel).resolve(), Path(options.build).resolve()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=1)


if __name__ == "__main__":
    main()
