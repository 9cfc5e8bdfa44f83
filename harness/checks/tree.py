"""What every check shares: the rooms, the tracked sources, and the exceptions that allowed.txt grants with a reason."""

import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CHECKS = Path(__file__).resolve().parent

# Rooms with code that must behave the same in production and in the simulator (design: the determinism rules).
PURE_ROOMS = ("io/ports", "io/wire", "node", "model", "sim")
ROOMS = PURE_ROOMS + ("io/real", "io/schema", "harness", "fuzz")
# Node's message types are a target of their own: rooms that carry messages may include them without knowing a node.
MESSAGE_TYPES = ("node/types.h", "node/message.h", "node/client_message.h", "node/note.h")


def room_of(path):
    """The room of a path relative to the root; 'messages' for node's message types; None outside all rooms."""
    if path in MESSAGE_TYPES:
        return "messages"
    return next((room for room in sorted(ROOMS, key=len, reverse=True) if path.startswith(room + "/")), None)


def sources(*suffixes):
    """Sources of this tree, tracked or about to be, relative to the root, in order."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            cwd=ROOT, check=True, capture_output=True).stdout
    paths = sorted({name.decode() for name in listed.split(b"\0") if name})
    return [path for path in paths if path.endswith(suffixes) and (ROOT / path).is_file()]


def is_pure(path):
    """Bound by the determinism rules. A benchmark is a program that measures pure code from outside."""
    return (room_of(path) == "messages" or room_of(path) in PURE_ROOMS) and not path.endswith("_benchmark.cc")


def is_test(path):
    return path.endswith("_test.cc")


_TOKENS = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)"|"(?:\\.|[^"\\\n])*"|'
    r"(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.S)


def code_only(text):
    """The text with comments, strings and character literals blanked; line numbers stay."""
    return _TOKENS.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


class Allowed:
    """Lines of allowed.txt: kind, path pattern, what, reason. An entry that nothing needs any more is a finding."""

    def __init__(self, kind, file=CHECKS / "allowed.txt"):
        self.entries = []
        for number, line in enumerate(file.read_text().splitlines(), 1):
            fields = line.split(None, 3)
            if not fields or line.startswith("#"):
                continue
            if len(fields) < 4:
                raise SystemExit(f"{file}:{number}: needs four fields: kind, path, what, reason")
            if fields[0] == kind:
                self.entries.append([fields[1], fields[2], f"{file.name}:{number}", 0])

    def allows(self, path, what):
        for entry in self.entries:
            if fnmatch.fnmatchcase(path, entry[0]) and fnmatch.fnmatchcase(what, entry[1]):
                entry[3] += 1
                return True
        return False

    def unused(self):
        return [f"{entry[2]}: nothing needs this exception any more: {entry[0]} {entry[1]}"
                for entry in self.entries if entry[3] == 0]


def compile_commands(build):
    """[(source relative to the root, object file)] of a configured build directory, sources of this tree only."""
    database = Path(build) / "compile_commands.json"
    if not database.is_file():
        raise SystemExit(f"{build} is not configured: run harness/build first")
    commands = []
    for each in json.loads(database.read_text()):
        source = Path(each["directory"], each["file"]).resolve()
        if source.is_relative_to(ROOT) and not source.is_relative_to(ROOT / "build"):
            output = re.search(r" -o (\S+)", each["command"]).group(1)
            commands.append((str(source.relative_to(ROOT)), Path(each["directory"], output)))
    return commands


def finish(name, findings, checked):
    """Prints the findings, or how much was looked at; exits 1 or 0."""
    for finding in findings:
        print(finding)
    if findings:
        print(f"{name}: {len(findings)} findings")
        sys.exit(1)
    print(f"{name}: ok, {checked}")
    sys.exit(0)
