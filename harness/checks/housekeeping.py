#!/usr/bin/env python3
"""The tree keeps its promises: every room says what it is for, tests say what they guard, nothing is half done."""

import re

import tree

ROOM_READMES = ("io", "node", "model", "sim", "harness", "fuzz", "traces")
NO_DRAWERS = re.compile(r"(^|[/_])(utils?|common|misc|helpers?)(\.|/|$)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|PLACEHOLDER)\b")
TEST = re.compile(r"^(TEST|TEST_F|TEST_P|TYPED_TEST|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\(", re.M)
TEXT = (".h", ".cc", ".py", ".md", ".txt", ".capnp", ".sh", ".cmake", "/run", "/test", "/install", "/build")


def unexplained_tests(text):
    """Lines of tests without a comment right above them or as the first thing in their body."""
    for match in TEST.finditer(text):
        above = text[:match.start()].rstrip("\n").rsplit("\n", 1)[-1]
        body = text[match.start():].split("{", 1)
        inside = body[1].lstrip() if len(body) > 1 else ""
        if not above.lstrip().startswith("//") and not inside.startswith("//"):
            yield text.count("\n", 0, match.start()) + 1


def main():
    findings = []
    for room in ROOM_READMES:
        if not (tree.ROOT / room / "README.md").is_file():
            findings.append(f"{room}/: has no README.md")
    files = tree.sources(*TEXT)
    for path in files:
        if NO_DRAWERS.search(path):
            findings.append(f"{path}: a name that says nothing; name the file after what it does")
        if path.startswith("harness/checks/"):
            continue
        text = (tree.ROOT / path).read_text(errors="replace")
        for match in UNFINISHED.finditer(text):
            findings.append(f"{path}:{text.count(chr(10), 0, match.start()) + 1}: unfinished: {match.group()}")
        if tree.is_test(path):
            findings += [f"{path}:{line}: the test does not say what could go wrong" for line in unexplained_tests(text)]
    tree.finish("housekeeping", findings, f"{len(files)} files")


if __name__ == "__main__":
    main()
