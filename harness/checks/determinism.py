#!/usr/bin/env python3
"""The determinism rules that can be read off the source of the pure rooms, tests included.

symbols.py sees what the objects call; this sees what leaves no symbol: distributions of <random> that are only
templates, iteration over unordered containers, order by address, floating point, two draws in one expression.
"""

import re

import tree

RULES = [
    ("distribution", r"\bstd::\w+_distribution\b|\bstd::generate_canonical\b",
     "its algorithm is the library's own; draw integers from the decision stream"),
    ("shuffle", r"\bstd::(ranges::)?(random_)?(shuffle|sample)\b",
     "its algorithm is the library's own; permute with drawn integers"),
    ("engine", r"\b(std::)?(random_device|mt19937(_64)?|minstd_rand0?|default_random_engine|ranlux\w+)\b",
     "chance comes from keyed hashes and the decision stream only"),
    ("clock", r"\bstd::chrono\b|\bclock_gettime\b|\b__rdtscp?\b|\b__builtin_ia32_rdtsc", "time comes from io::Clock only"),
    ("thread", r"\bstd::(jthread|thread|async|mutex|shared_mutex|condition_variable)\b|\bco_await\b",
     "pure code runs on one thread and never blocks"),
    ("float", r"\b(float|double)\b", "rounding differs between compilers; use integers"),
    ("address", r"\bstd::(map|set|multimap|multiset)\s*<\s*(const\s+)?[\w:]+\s*(const\s*)?\*|\bu?intptr_t\b|"
                r"\bstd::hash\s*<[^>]*\*|\bstd::(less|greater)\s*<[^>]*\*\s*>",
     "addresses differ from run to run; order by an id"),
    ("build stamp", r"\b__(DATE|TIME|TIMESTAMP)__\b", "two builds of one source must behave the same"),
    ("volatile", r"\bvolatile\b|\basm\b", "pure code leaves the machine to the compiler"),
]
COMPILED = [(name, re.compile(pattern), why) for name, pattern, why in RULES]
UNORDERED = re.compile(r"\bunordered_(?:multi)?(?:map|set)\s*<")
# A draw names its function; the calls to the left and right of a comma, an operator or within one argument list are
# unsequenced, and GCC and Clang order them differently.
DRAW = re.compile(r"\bdraw\w*\s*\(|\bdecisions\w*\s*(?:\.|->|\(\)\s*\.)\s*"
                  r"(?:below|range|permille|exponential|pick|bits)\s*\(")


def line_of(code, position):
    return code.count("\n", 0, position) + 1


def end_of_template(code, start):
    """Behind the '>' that closes the '<' at start."""
    depth = 0
    for position in range(start, len(code)):
        if code[position] == "<":
            depth += 1
        elif code[position] == ">" and code[position - 1] != "-":
            depth -= 1
            if depth == 0:
                return position + 1
        elif code[position] in ";{":
            break
    return start


def unordered_names(code):
    """Variables and type aliases that are unordered containers."""
    names = set()
    for match in UNORDERED.finditer(code):
        behind = code[end_of_template(code, match.end() - 1):]
        if name := re.match(r"\s*[&*]?\s*(\w+)\s*[;={,)(]", behind):
            names.add(name[1])
        if alias := re.search(r"using\s+(\w+)\s*=\s*(?:std::)?$", code[:match.start()]):
            names |= set(re.findall(rf"\b{alias[1]}\s*[&*]?\s*(\w+)\s*[;={{,)(]", code))
    return names


def iterations(code, names):
    for name in sorted(names):
        loop = rf"for\s*\([^;()]*:\s*(?:[\w.>-]*(?:\.|->))?{name}\s*\)|\b{name}\s*(?:\.|->)\s*c?begin\s*\("
        for match in re.finditer(loop, code):
            yield line_of(code, match.start()), name


def expressions(code):
    """(position, text) of what lies between semicolons and braces: an over-approximation of full expressions."""
    start = 0
    for match in re.finditer(r"[;{}]", code):
        yield start, code[start:match.start()]
        start = match.end()


def double_draws(code):
    """Lines of expressions with two draws that no sequencing operator divides."""
    for start, text in expressions(code):
        for part in re.split(r"&&|\|\||\?|:(?!:)", re.sub(r"::", "  ", text)):
            calls = list(DRAW.finditer(part))
            if len(calls) > 1:
                yield line_of(code, start + len(text) - len(text.lstrip()))
                break


def check_file(path, text, header_code=""):
    """[(rule, finding)]; header_code: of the header beside a .cc, where its members are declared."""
    code = tree.code_only(text)
    findings = []
    for name, pattern, why in COMPILED:
        if name == "float" and tree.is_test(path):
            continue  # a test may look at statistics; it decides nothing
        for match in pattern.finditer(code):
            findings.append((name, f"{path}:{line_of(code, match.start())}: {match.group().strip()}: {why}"))
    for line, name in iterations(code, unordered_names(code) | unordered_names(header_code)):
        findings.append(("iteration", f"{path}:{line}: iterates over {name}, an unordered container"))
    for line in double_draws(code):
        findings.append(("two draws", f"{path}:{line}: two draws in one expression have no order; name the first"))
    return findings


def main():
    allowed = tree.Allowed("rule")
    files = [path for path in tree.sources(".h", ".cc") if tree.is_pure(path)]
    findings = []
    for path in files:
        header = (tree.ROOT / path).with_suffix(".h")
        header_code = tree.code_only(header.read_text()) if path.endswith(".cc") and header.is_file() else ""
        for rule, finding in check_file(path, (tree.ROOT / path).read_text(), header_code):
            if not allowed.allows(path, rule.replace(" ", "_")):
                findings.append(finding)
    tree.finish("determinism", findings + allowed.unused(), f"{len(files)} files of pure rooms")


if __name__ == "__main__":
    main()
