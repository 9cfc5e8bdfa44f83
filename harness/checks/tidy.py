#!/usr/bin/env python3
"""clang-tidy on what changed: tidy.py BUILD [SECONDS]

Changed means: since the merge base with origin/main, or, on that branch itself, since the last commit; changes that
are not committed count too. REEL_TIDY_BASE names another base. Stops starting files after SECONDS (default 180) and
says how many it left.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tree

# The build may be GCC's: its own warning flags are unknown to clang.
EXTRA = ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-error", "--extra-arg=-fno-caret-diagnostics"]
CLANG_SHIM = "io/schema/clang_capnp_shim.h"  # without it clang cannot read Cap'n Proto's headers


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=tree.ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def base_commit():
    if base := os.environ.get("REEL_TIDY_BASE"):
        return base
    merge_base = git("merge-base", "HEAD", "origin/main")
    return merge_base if merge_base and merge_base != git("rev-parse", "HEAD") else git("rev-parse", "HEAD~1")


def changed_sources(base, known):
    """Sources to look at: changed ones, and for a changed header the source beside it."""
    listed = (git("diff", "--name-only", base) or "").splitlines()
    listed += (git("ls-files", "--others", "--exclude-standard") or "").splitlines()
    chosen = set()
    for path in listed:
        source = path[:-2] + ".cc" if path.endswith(".h") else path
        if source in known:
            chosen.add(source)
    return sorted(chosen)


def tidy(build, path, deadline):
    """What clang-tidy says about one file; None if time was up before it started."""
    if time.monotonic() > deadline:
        return None
    command = ["clang-tidy-19", "-p", str(build), "--quiet", *EXTRA, str(tree.ROOT / path)]
    if (tree.ROOT / CLANG_SHIM).is_file():
        command.insert(-1, f"--extra-arg=-include{tree.ROOT / CLANG_SHIM}")
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True)
    lines = [line.replace(f"{tree.ROOT}/", "") for line in done.stdout.splitlines()]
    findings = [line for line in lines if ": error: " in line or ": warning: " in line]
    if done.returncode != 0 and not findings:
        findings = [f"{path}: clang-tidy failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}"]
    return findings


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: tidy.py BUILD [SECONDS]")
    build = Path(sys.argv[1]).resolve()
    deadline = time.monotonic() + float(sys.argv[2] if len(sys.argv) == 3 else 180)
    base = base_commit()
    if not base:
        print("tidy: skipped, there is no earlier commit to compare with (a shallow clone?)")
        return
    files = changed_sources(base, {source for source, _ in tree.compile_commands(build)})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda path: tidy(build, path, deadline), files))
    left = sum(result is None for result in results)
    if left:
        print(f"tidy: time is up, {left} of {len(files)} changed files were not looked at")
    findings = sorted({finding for result in results for finding in result or []})
    tree.finish("tidy", findings, f"{len(files) - left} files changed since {base[:10]}")


if __name__ == "__main__":
    main()
