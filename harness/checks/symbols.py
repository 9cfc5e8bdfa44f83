#!/usr/bin/env python3
"""What pure code may ask of the system: symbols.py BUILD

Looks at the objects of the pure rooms in a build directory: undefined symbols against a deny list (clocks, chance,
threads, files, sockets, processes, floating point), mutable statics by the section they lie in, and instructions that
no symbol betrays (rdtsc, rdrand, floating-point arithmetic; x86-64 only).
"""

import os
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tree

DENIED = {
    "clock": r"clock_\w+|gettimeofday|time|times|clock|ftime|timespec_get|(local|gm|mk)time\w*|strftime|\w*sleep|"
             r"timer_\w+|timerfd_\w+|std::chrono::.*now.*|std::this_thread::.*",
    "chance": r"getrandom|getentropy|s?rand(om)?(_r)?|\w*rand48\w*|arc4random\w*|std::random_device::.*",
    "thread": r"pthread_\w+|thrd_\w+|mtx_\w+|std::thread.*|std::condition_variable.*|std::__atomic_futex\w*.*|"
              r"std::call_once.*|sched_\w+|futex\w*",
    "file": r"open(at)?(64)?|creat(64)?|p?(read|write)v?(64)?(2)?|close|f(data)?sync|f(re|d)?open(64)?|f(read|write)|"
            r"v?d?f?printf|put(s|char|c)|fput\w+|fflush|std(in|out|err)|perror|\w*stat(at|x|fs|vfs)?(64)?|opendir|"
            r"readdir\w*|unlink(at)?|rename(at2?)?|mkdir(at)?|m(un|re)?map(64)?|mprotect|msync|ioctl|fcntl(64)?|"
            r"fallocate\w*|posix_\w+|io_uring_\w+|std::filesystem::.*|std::basic_(i|o)?fstream.*|"
            r"std::basic_filebuf.*|std::(cout|cin|cerr|clog)|std::ios_base::Init::.*",
    "network": r"socket|connect|bind|listen|accept4?|send(to|msg|mmsg)?|recv(from|msg|mmsg)?|p?poll|epoll_\w+|"
               r"p?select|eventfd\w*|pipe2?|getaddrinfo|kj::.*|capnp::.*",
    "process": r"v?fork|exec\w+|p?system|popen|(secure_)?getenv|setenv|get(p|t|u|g)id|signal|sigaction|raise|kill|"
               r"syscall|dl(open|sym|vsym)|sysconf|getrusage|getauxval",
    "float": r"(pow|exp2?|log(2|10|1p)?|sqrt|cbrt|sin|cos|tan|f?ceil|floor|l?l?round|rint|fmod|ldexp|frexp)[fl]?|"
             r"strto(f|d|ld)|ato[f]|std::__detail::.*distribution.*",
    "unordered container": r"std::__detail::_Prime_rehash_policy::.*",
}
DENY = [(kind, re.compile(f"^(?:{pattern})$")) for kind, pattern in DENIED.items()]
MUTABLE_SECTION = re.compile(r"^(\.data|\.bss|\.tdata|\.tbss)(\.|$)(?!rel\.ro)|^\*COM\*$")
COMPILERS_OWN = re.compile(r"^(guard variable for |__odr_asan|\.Lubsan|__asan|typeinfo |vtable |DW\.ref\.)")
INSTRUCTION = re.compile(
    r"^\s+[0-9a-f]+:\t(?P<name>rdtscp?|rdrand|rdseed|v?(?:add|sub|mul|div|sqrt|u?comi)s[sd]|v?cvt\w*s[sd]2?\w*)\b")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")


def squeeze(name):
    return name.replace(" ", "")


def denied(symbol):
    """The kind of door that an undefined symbol opens, or None."""
    return next((kind for kind, pattern in DENY if pattern.match(symbol)), None)


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout


def undefined_symbols(path):
    lines = output_of("nm", "-u", "-C", str(path)).splitlines()
    return sorted({re.sub(r"@.*$", "", line.strip().split(" ", 1)[1]) for line in lines if line.strip()[1:2] == " "})


def mutable_statics(path):
    names = set()
    for line in output_of("objdump", "-t", "-C", str(path)).splitlines():
        match = re.match(r"^[0-9a-f]{16} (.{7}) (\S+)\t[0-9a-f]{16}\s+(?:\.hidden )?(.*)$", line)
        if not match or not MUTABLE_SECTION.match(match[2]) or COMPILERS_OWN.match(match[3]):
            continue
        # Thread-local objects carry no type flag; "d" marks the section itself.
        if "O" in match[1] or (match[2].startswith(".t") and "d" not in match[1]):
            names.add(match[3])
    return sorted(names)


def special_instructions(path):
    """{function: mnemonics} of instructions whose results differ from run to run, or that are floating point."""
    found, function = {}, "?"
    for line in output_of("objdump", "-d", "-C", "--no-show-raw-insn", str(path)).splitlines():
        if match := FUNCTION.match(line):
            function = match[1]
        elif match := INSTRUCTION.match(line):
            found.setdefault(function, set()).add(match["name"])
    return found


def check_object(source, path):
    """[(kind of exception, what, text)] of one object."""
    found = []
    for symbol in undefined_symbols(path):
        if kind := denied(symbol):
            found.append(("symbol", squeeze(symbol), f"{source}: calls {symbol} ({kind})"))
    for name in mutable_statics(path):
        found.append(("static", squeeze(name), f"{source}: mutable static {name}"))
    if platform.machine() == "x86_64":
        for function, mnemonics in sorted(special_instructions(path).items()):
            found.append(("float", squeeze(function), f"{source}: {', '.join(sorted(mnemonics))} in {function}"))
    return found


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: symbols.py BUILD")
    objects = [(source, path) for source, path in tree.compile_commands(Path(sys.argv[1]).resolve())
               if tree.is_pure(source) and not tree.is_test(source) and path.is_file()]
    allowed = {kind: tree.Allowed(kind) for kind in ("symbol", "static", "float")}
    findings = [] if objects else ["no object of a pure room is built: build first"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for source, found in zip(objects, pool.map(lambda each: check_object(*each), objects)):
            findings += [text for kind, what, text in found if not allowed[kind].allows(source[0], what)]
    for each in allowed.values():
        findings += each.unused()
    tree.finish("symbols", sorted(set(findings)), f"{len(objects)} objects")


if __name__ == "__main__":
    main()
