#!/usr/bin/env python3
"""The same seed is the same run: identity.py PROGRAM=SEEDS...

Each PROGRAM (reel, or reel-sim of another compiler or optimisation) simulates the seeds 1..SEEDS and prints a hash of
each run's whole history of events. The first program runs twice. Wherever two disagree, the first seed that differs
is named. Slow builds get fewer seeds: a program is compared with the first over the seeds that both ran.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tree

TIMEOUT_S = 900


def hashes(program, seeds):
    """{seed: hash}"""
    verb = ["sim"] if Path(program).name == "reel" else []
    command = [program, *verb, "--seeds", f"1..{seeds}", "--json", "--hashes"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    try:
        report = json.loads(done.stdout.strip().splitlines()[-1])
        return {int(seed): value for seed, value in report["hashes"].items()}
    except (ValueError, IndexError, KeyError):
        words = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise SystemExit(f"identity: {' '.join(command)} ended with status {done.returncode}: {words}") from None


def difference(first, second):
    """The first seed that both ran and that differs, or None."""
    return next((seed for seed in sorted(first.keys() & second.keys()) if first[seed] != second[seed]), None)


def main():
    try:
        runs = [(program, int(seeds)) for program, seeds in (each.rsplit("=", 1) for each in sys.argv[1:])]
        runs.insert(0, runs[0])
    except (ValueError, IndexError):
        raise SystemExit("usage: identity.py PROGRAM=SEEDS...") from None
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda each: hashes(*each), runs))
    findings = []
    for (program, seeds), found in zip(runs, results):
        if len(found) != seeds:
            findings.append(f"{program}: {seeds} seeds were asked for, {len(found)} hashes came")
        seed = difference(results[0], found)
        if seed is not None:
            findings.append(f"{program}: seed {seed} is {found[seed]}, but {runs[0][0]} says {results[0][seed]}")
    tree.finish("identity", findings, ", ".join(f"{program} {seeds} seeds" for program, seeds in runs))


if __name__ == "__main__":
    main()
