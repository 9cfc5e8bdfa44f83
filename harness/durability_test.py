#!/usr/bin/env python3
"""Durability for real: what a node has acknowledged survives every power loss that its disk operations allow.

A killed process proves nothing, the page cache outlives it. So a real node's disk is recorded while real clients append;
then crash images are built from the recording: everything that was durable at a cut, and of the rest any subset, torn
at sectors. The real program is started on each image, and must hold what it had promised by the cut, byte for byte,
ids without gaps, and go on appending. Some lives on images are recorded and crashed again, in the middle of recovery
too. The same with three nodes that all lose power at one moment. At last the node's own count of syncs is held against
the kernel's count of flushes.

Defects that it was shown to find, each planted alone: a journal that calls a batch durable when it is written, before
the sync (2nd image); a leader that counts its own copy before it is durable (4th image); a follower that acknowledges
before its sync (8th loss of all three); a disk that answers a sync without one (300 syncs counted, 0 flushes).
"""

import argparse
import json
import os
import random
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from real_cluster import Cluster, Failure, Workspace, run_reel

DEEP = os.environ.get("CI") == "true"
IMAGES = 600 if DEEP else 100
TRIOS = 60 if DEEP else 10
SYNCED_APPENDS = 1000 if DEEP else 300
JOURNAL_FILE_MIB = 8  # the smallest; it has room for 512 batches, then the next file is made and begun


def say(text):
    print(text, flush=True)


def make_lines(draw, name, count):
    """Unlike each other and of many sizes; some are no text, some empty but for their name, a few are large."""
    lines = []
    for i in range(count):
        size = draw.choice((0, 8, 100, 100, 100, 300, 3000)) if draw.random() < 0.99 else 100_000
        body = draw.randbytes(size).replace(b"\n", b"\0") if draw.random() < 0.2 else draw.randbytes(size // 2).hex().encode()
        lines.append(f"{name} {i} ".encode() + body)
    return lines


def append_side_by_side(cluster, draw, sizes, name):
    """Several clients at once, each with its own number of requests in flight. Returns their lines."""
    inputs = [make_lines(draw, f"{name}{k}", count) for k, (count, _) in enumerate(sizes)]
    with ThreadPoolExecutor(len(sizes)) as pool:
        appends = [pool.submit(cluster.append, lines, "--outstanding", outstanding)
                   for lines, (_, outstanding) in zip(inputs, sizes)]
        reports = [append.result() for append in appends]
    for lines, report in zip(inputs, reports):
        if report["count"] != len(lines):
            raise Failure(f"{len(lines)} lines were appended, and `reel append` reports {report['count']}")
    return inputs


def check_log_of_inputs(log, inputs):
    """Every line once, and each client's lines in its order."""
    if len(log) != sum(map(len, inputs)) or set(log) != {line for lines in inputs for line in lines}:
        raise Failure(f"the log's {len(log)} transactions are not the {sum(map(len, inputs))} lines that went in")
    place = {line: i for i, line in enumerate(log)}
    for lines in inputs:
        places = [place[line] for line in lines]
        if places != sorted(places):
            raise Failure("a client's transactions changed their order")


def check_prefix(log, full, promised):
    if len(log) < promised:
        raise Failure(f"acknowledged transactions are lost: {promised} were promised, {len(log)} are there")
    for i, (got, expected) in enumerate(zip(log, full)):
        if got != expected:
            raise Failure(f"transaction {i} is not what was acknowledged")
    if len(log) > len(full):
        raise Failure(f"transactions from nowhere: {len(log)} are there, {len(full)} were appended")


def promised_of(report):
    return max((each["next"] for each in report["promised"]), default=0)


def crash_image(reel, recording, directory, *flags):
    done = run_reel(reel, "disk", "crash-image", recording, "--dir", directory, "--json", *flags)
    if done.returncode != 0:
        raise Failure(f"no crash image: {done.stderr.decode(errors='replace').strip()}")
    return json.loads(done.stdout)


# ---- one node


def record_one_node(cluster, draw, recording):
    """A life before the recording, then a recorded one that ends by SIGKILL. Returns the whole log."""
    cluster.create()
    cluster.start(1)
    cluster.wait_for_leader()
    inputs = append_side_by_side(cluster, draw, [(300, 1)], "before")
    cluster.kill()
    cluster.start(1, record=recording)
    follower = threading.Thread(target=lambda: run_reel(cluster.reel, "feed", *cluster.connect(), "--follow",
                                                        "--limit", 500), daemon=True)
    follower.start()
    inputs += append_side_by_side(cluster, draw, [(400, 1), (600, 16), (1500, 256), (100, 4)], "recorded")
    inputs += append_side_by_side(cluster, draw, [(1000, 1)], "alone")
    follower.join()
    log = cluster.read()
    check_log_of_inputs(log, inputs)
    cluster.kill()
    return log


class ImageTrial:
    """One crash image after another, each in its own directory, with its own port."""

    def __init__(self, cluster, recording, name_changes, log):
        self.cluster = cluster
        self.recording = recording
        self.name_changes = name_changes  # numbers of the records that make or remove a file
        self.log = log
        self.totals = {}
        self.lock = threading.Lock()

    def count(self, report):
        with self.lock:
            for name in ("durable", "applied", "lost", "torn", "undone_names", "shortened_files"):
                self.totals[name] = self.totals.get(name, 0) + report[name]

    def run(self, seed):
        directory = self.cluster.directory / f"image-{seed}"
        directory.mkdir()
        try:
            self.try_image(seed, directory)
        except Failure as failure:
            raise Failure(f"crash image of seed {seed}: {failure}") from None
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def try_image(self, seed, directory):
        flags = ["--seed", seed, "--tear", 512 if seed % 4 == 0 else 4096]
        if seed % 5 == 0:  # new files are rare, and chance would seldom cut beside them
            draw = random.Random(seed)
            flags += ["--cut", draw.choice(self.name_changes) + draw.randrange(1, 80)]
        report = crash_image(self.cluster.reel, self.recording, directory / "node1", *flags)
        self.count(report)
        promised = promised_of(report)
        with Twin(self.cluster, directory) as node:
            if seed % 3 != 0:
                self.check(node, promised)
                return
            # Crash again, anywhere between the first look at the disk and the first new transactions.
            node.start(1, record=directory / "again")
            if seed % 2 == 0:
                self.check_running(node, promised)
            node.kill()
            again = crash_image(self.cluster.reel, directory / "again", directory / "twice", "--seed", seed)
            self.count(again)
            self.check(node, promised, data=directory / "twice", promised_again=promised_of(again))

    def check(self, node, promised, data=None, promised_again=0):
        node.start(1, data=data)
        self.check_running(node, promised, promised_again)
        status = node.terminate(1)
        if status != 0:
            raise Failure(f"the node stopped with status {status}: {node.last_words(1)}")

    def check_running(self, node, promised, promised_again=0):
        node.wait_for_leader()
        whole = node.read()
        if len(whole) < promised_again:
            raise Failure(f"the life on the image promised {promised_again} transactions, {len(whole)} are there")
        log = [line for line in whole if not line.startswith(b"after ")]
        check_prefix(log, self.log, promised)
        report = node.append([f"after {time.monotonic_ns()}".encode()])
        if report["count"] != 1 or report["first"] < len(log):
            raise Failure(f"it holds {len(log)} transactions and gives the next one the id {report['first']}")


class Twin(Cluster):
    """The same cluster with the same name, elsewhere: other ports, other directories."""

    def __init__(self, original, directory):
        super().__init__(original.reel, directory, nodes=len(original.nodes), settings=original.settings,
                         journal_file_mib=original.journal_file_mib, election_ms=original.election_ms)
        self.number = original.number


def one_node(reel, workspace, seed, images):
    started = time.monotonic()
    directory = workspace / "one"
    directory.mkdir()
    recording = directory / "recording"
    with Cluster(reel, directory, nodes=1, journal_file_mib=JOURNAL_FILE_MIB, election_ms=60) as cluster:
        log = record_one_node(cluster, random.Random(seed), recording)
        summary = json.loads(cluster.run("disk", "recording", recording, "--json"))
        if summary["acknowledgements"] == 0 or summary["syncs"] == 0 or promised_of(summary) != len(log):
            raise Failure(f"the recording does not hold what happened: {summary['acknowledgements']} acknowledgements, "
                          f"{promised_of(summary)} of {len(log)} transactions promised")
        trial = ImageTrial(cluster, recording, summary["name_changes"], log)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for _ in pool.map(trial.run, range(seed, seed + images)):
                pass
    totals = trial.totals
    # A recording in which nothing was ever in flight would prove nothing.
    for name in ("applied", "lost", "torn", "undone_names"):
        if images >= 100 and totals[name] == 0:
            raise Failure(f"among {images} crash images no write was {name}: the cuts prove too little")
    say(f"one node: {len(log)} transactions, {summary['syncs']} syncs, {images} power losses and {images // 3} more "
        f"during recovery survived in {time.monotonic() - started:.1f} s; of what was in flight "
        f"{totals['applied']} writes survived, {totals['lost']} were lost, {totals['torn']} torn; "
        f"{totals['undone_names']} names undone, {totals['shortened_files']} new files cut short")


# ---- three nodes


def moments(draw, recordings, count):
    """When the power fails: just after an acknowledgement left, most often; else anywhere."""
    acknowledged = [ns for each in recordings for ns in each["acknowledged_ns"]]
    first = min(each["first_ns"] for each in recordings)
    last = max(each["last_ns"] for each in recordings)
    for i in range(count):
        yield draw.choice(acknowledged) + draw.randrange(20_000) if i % 3 else draw.randrange(first, last)


def three_nodes(reel, workspace, seed, crashes):
    started = time.monotonic()
    draw = random.Random(seed)
    directory = workspace / "three"
    directory.mkdir()
    with Cluster(reel, directory, journal_file_mib=JOURNAL_FILE_MIB, election_ms=150) as cluster:
        cluster.create()
        recordings = {node: directory / f"recording{node}" for node in cluster.nodes}
        for node in cluster.nodes:
            cluster.start(node, record=recordings[node])
        inputs = append_side_by_side(cluster, draw, [(150, 1), (600, 16), (1500, 256)], "three")
        cluster.wait_for_leader()
        log = cluster.read()
        check_log_of_inputs(log, inputs)
        cluster.kill()
        summaries = [json.loads(cluster.run("disk", "recording", recordings[node], "--json")) for node in cluster.nodes]
        for number, moment in enumerate(moments(draw, summaries, crashes)):
            try:
                crash_three(cluster, recordings, moment, seed + number, log, inputs)
            except Failure as failure:
                raise Failure(f"power loss of three nodes, crash {number}, at {moment} ns: {failure}") from None
    say(f"three nodes: {crashes} power losses of all at one moment survived in {time.monotonic() - started:.1f} s")


def crash_three(cluster, recordings, moment, seed, log, inputs):
    directory = cluster.directory / "image"
    directory.mkdir()
    try:
        promised = 0
        for node in cluster.nodes:
            report = crash_image(cluster.reel, recordings[node], directory / f"node{node}",
                                 "--at", moment, "--seed", seed * 3 + node)
            promised = max(promised, promised_of(report))
        with Twin(cluster, directory) as twin:
            twin.start_all()
            twin.wait_for_leader()
            logs = [twin.read(node) for node in twin.nodes]
            if any(each != logs[0] for each in logs):
                raise Failure("the three nodes hold different logs")
            check_prefix(logs[0][:promised], log, promised)
            # What was in flight may have survived or not, but not in parts that nobody appended, and not twice.
            known = {line for lines in inputs for line in lines}
            if len(set(logs[0])) != len(logs[0]) or not known.issuperset(logs[0]):
                raise Failure("the log holds something twice, or something that nobody appended")
            if twin.append([b"after the power loss"])["first"] != len(logs[0]):
                raise Failure("the next id does not follow the last")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


# ---- the kernel's count


def flush_counter(path):
    """A function that reads how many flushes the disk under `path` has completed, or why there is none."""
    device = os.stat(path).st_dev
    link = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not link.exists():
        return None, f"the file system of {path} lies on no block device that /sys shows"
    folder = link.resolve()
    if (folder / "partition").exists():
        folder = folder.parent
    fields = (folder / "stat").read_text().split()
    if len(fields) < 16:
        return None, f"{folder}/stat of this kernel counts no flushes"
    return lambda: int((folder / "stat").read_text().split()[15]), ""


def count_flushes(reel, workspace, seed):
    directory = workspace / "flushes"
    directory.mkdir()
    read, why = flush_counter(directory)
    if read is None:
        return say(f"flushes: not compared, {why}")
    with Cluster(reel, directory, nodes=1, election_ms=60) as cluster:
        cluster.create()
        cluster.start(1)
        cluster.wait_for_leader()
        lines = make_lines(random.Random(seed), "flush", SYNCED_APPENDS)
        quiet_from, quiet_at = read(), time.monotonic()
        time.sleep(0.5)
        others_per_s = (read() - quiet_from) / (time.monotonic() - quiet_at)
        # One request at a time, so one sync at a time: no two of them can share a flush.
        flushes_before = read()
        syncs_before = cluster.status()[1]["syncs"]
        appending = time.monotonic()
        cluster.append(lines, "--outstanding", 1)
        syncs = cluster.status()[1]["syncs"] - syncs_before
        flushes = read() - flushes_before
        others = others_per_s * (time.monotonic() - appending)
    if syncs < len(lines):
        raise Failure(f"{len(lines)} transactions one by one took only {syncs} syncs")
    if flushes < syncs:
        raise Failure(f"the node counts {syncs} syncs, the kernel only {flushes} flushes")
    quiet = others_per_s < 20
    if quiet and flushes > 1.5 * syncs + 2 * others + 50:
        raise Failure(f"the node counts {syncs} syncs, the kernel {flushes} flushes, and nobody else writes")
    say(f"flushes: the node counts {syncs} syncs for {len(lines)} transactions one by one, the kernel {flushes}"
        + ("" if quiet else f" (others write too, {others_per_s:.0f} a second: only the lower bound was checked)"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reel", required=True, help="the program")
    parser.add_argument("--seed", type=int, default=1, help="of inputs, cuts and images")
    parser.add_argument("--images", type=int, default=IMAGES, help="power losses of one node")
    parser.add_argument("--trios", type=int, default=TRIOS, help="power losses of three nodes at once")
    parser.add_argument("--keep", action="store_true", help="leave directories and recordings in place")
    options = parser.parse_args()
    reel = Path(options.reel).resolve()
    try:
        with Workspace("durability", options.keep) as workspace:
            one_node(reel, workspace, options.seed, options.images)
            three_nodes(reel, workspace, options.seed, options.trios)
            count_flushes(reel, workspace, options.seed)
    except Failure as failure:
        say(f"durability: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
