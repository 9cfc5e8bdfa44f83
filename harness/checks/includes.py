#!/usr/bin/env python3
"""Who may include whom: includes.py [BUILD]

Direct includes are held against the table of rooms, and pure rooms against a list of headers that open a door to the
world. With a build directory the compiler's own dependency files are checked too: what a pure object reaches by any
path stays in the rooms that its room may reach, and never touches Cap'n Proto, KJ or liburing.
"""

import re
import subprocess
import sys
from pathlib import Path

import tree

# Direct includes. A room may always include itself.
MAY_INCLUDE = {
    "io/ports": (),
    "messages": ("io/ports",),
    "io/wire": ("io/ports", "messages"),
    "io/schema": (),
    "io/real": ("io/ports", "io/wire", "io/schema", "messages"),
    "node": ("io/ports", "messages"),
    "model": ("io/ports", "messages", "node"),
    "sim": ("io/ports", "io/wire"),
}
# Headers through which time, chance, threads, files, sockets or processes come in.
DOORS = re.compile(
    r"^(thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier|stop_token|execution|"
    r"chrono|ctime|time\.h|random|fstream|filesystem|iostream|syncstream|csignal|cmath|math\.h|cfenv|locale|"
    r"unistd\.h|fcntl\.h|pthread\.h|signal\.h|poll\.h|dirent\.h|dlfcn\.h|netdb\.h|sched\.h|"
    r"(sys|linux|arpa|netinet|net|asm|kj|capnp)/.*|liburing.*|boost/.*|zstd.*|nlohmann/.*|CLI/.*|toml.*|spdlog/.*)$")
NEVER_REACHED = re.compile(r"^/usr/(local/)?include/(capnp/|kj/|liburing)")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)


def direct_includes(text):
    """[(line, path in quotes or None, path in angle brackets or None)]; commented-out ones are no includes."""
    visible = re.sub(r"/\*.*?\*/", lambda match: "\n" * match.group().count("\n"), text, flags=re.S)
    return [(visible.count("\n", 0, match.start()) + 1, match.group(1), match.group(2))
            for match in INCLUDE.finditer(visible)]


def check_file(path, text, exists, allowed):
    """Findings of one source. exists(path): a file of the tree."""
    room = tree.room_of(path)
    findings = []
    if room not in MAY_INCLUDE:
        return findings
    for line, quoted, angled in direct_includes(text):
        target = quoted or angled
        if quoted and exists(quoted):
            other = tree.room_of(quoted)
            if other != room and other not in MAY_INCLUDE[room] and not allowed.allows(path, quoted):
                findings.append(f"{path}:{line}: room {room} may not include {quoted} (room {other})")
        elif quoted and room != "io/real":
            if not allowed.allows(path, quoted):
                findings.append(f'{path}:{line}: "{quoted}" is no file of this tree; write its path from the root')
        elif tree.is_pure(path) and DOORS.match(target) and not allowed.allows(path, target):
            findings.append(f"{path}:{line}: <{target}> opens a door to the world in the pure room {room}")
    return findings


def reachable_rooms(room):
    reached = {room}
    while True:
        more = reached | {other for each in reached for other in MAY_INCLUDE.get(each, ())}
        if more == reached:
            return reached
        reached = more


def dependencies(build):
    """{object: [header or source, absolute or relative to the build]} as the compiler reported them to ninja."""
    ninja = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True)
    objects, current = {}, None
    for line in ninja.stdout.splitlines():
        if line and not line.startswith(" "):
            current = objects.setdefault(line.split(":")[0], []) if "#deps" in line else None
        elif line.strip() and current is not None:
            current.append(line.strip())
    return objects


def check_dependencies(build, allowed):
    findings, count = [], 0
    objects = dependencies(build)
    for source, output in tree.compile_commands(build):
        reached = objects.get(str(output.relative_to(build))) or objects.get(str(output))
        if not tree.is_pure(source) or tree.is_test(source) or not reached:
            continue
        count += 1
        rooms = reachable_rooms(tree.room_of(source))
        for header in reached:
            path = Path(build, header).resolve()
            if NEVER_REACHED.match(str(path)):
                findings.append(f"{source}: reaches {path}, though only indirectly")
            elif path.is_relative_to(tree.ROOT) and not path.is_relative_to(build):
                relative = str(path.relative_to(tree.ROOT))
                if tree.room_of(relative) not in rooms and not allowed.allows(source, relative):
                    findings.append(f"{source}: reaches {relative}, which its room may not know")
    if count == 0:
        findings.append(f"{build} holds no dependency of a pure room: build it first")
    return findings, count


def main():
    allowed = tree.Allowed("include")
    files = tree.sources(".h", ".cc")
    findings = []
    for path in files:
        text = (tree.ROOT / path).read_text(errors="replace")
        findings += check_file(path, text, lambda p: (tree.ROOT / p).is_file(), allowed)
    what = f"{len(files)} files"
    if len(sys.argv) > 1:
        more, objects = check_dependencies(Path(sys.argv[1]).resolve(), allowed)
        findings += more
        what += f", {objects} objects of pure rooms"
    tree.finish("includes", findings + allowed.unused(), what)


if __name__ == "__main__":
    main()
