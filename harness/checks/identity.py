#!/usr/bin/env python3
"""The same seed is the same run: identity.py PROGRAM=SEEDS...

Each PROGRAM (reel, or reel-sim of another compiler or optimisation) simulates the seeds 1..SEEDS and prints one hash
over all events of all of these runs. The first program does so twice. Wherever two disagree, the first seed that
differs is searched for and named. Slow builds get fewer seeds; the first program is asked for as many again.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import tree

TIMEOUT_S = 900


def chain(program, first, last):
    """The hash over all events of the seeds first..last."""
    command = [program, "sim", "--seeds", f"{first}..{last}", "--jobs", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    try:
        report = json.loads(done.stdout.strip().splitlines()[-1])
        if report["seeds"] != last - first + 1:
            raise SystemExit(f"identity: {' '.join(command)} ran {report['seeds']} seeds only")
        return report["chain"]
    except (ValueError, IndexError, KeyError):
        words = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise SystemExit(f"identity: {' '.join(command)} ended with status {done.returncode}: {words}") from None


def first_difference(one, other, seeds):
    """The first seed that differs, known that 1..seeds does; None if none differs alone (it varies from run to run)."""
    low, high = 1, seeds
    while low < high:
        middle = (low + high) // 2
        if chain(one, low, middle) != chain(other, low, middle):
            high = middle
        else:
            low = middle + 1
    return low if chain(one, low, low) != chain(other, low, low) else None


def main():
    try:
        runs = [(program, int(seeds)) for program, seeds in (each.rsplit("=", 1) for each in sys.argv[1:])]
        reference = runs[0][0]
    except (ValueError, IndexError):
        raise SystemExit("usage: identity.py PROGRAM=SEEDS...") from None
    asked = [(reference, seeds) for seeds in sorted({seeds for _, seeds in runs})] + runs
    with ThreadPoolExecutor(2) as pool:
        chains = list(pool.map(lambda each: chain(each[0], 1, each[1]), asked))
    expected = {seeds: found for (_, seeds), found in zip(asked, chains[:len(asked) - len(runs)])}
    findings = []
    for (program, seeds), found in zip(runs, chains[len(asked) - len(runs):]):
        if found != expected[seeds]:
            seed = first_difference(reference, program, seeds)
            where = f"first at seed {seed}" if seed else "and not the same from run to run"
            findings.append(f"{program}: seeds 1..{seeds} give {found}, {reference} says {expected[seeds]}, {where}")
    tree.finish("identity", findings, ", ".join(f"{program} {seeds} seeds" for program, seeds in runs))


if __name__ == "__main__":
    main()
