#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Keeps files and functions small enough to be read, and every file under its licence.

A file has at most 600 lines, a C function at most 80 (from its declaration to its closing brace), and one of
the first five lines has the SPDX identifier. Prints `file:line: message` and exits 1 for what does not fit;
-v adds medians and maxima. There is no list of exceptions.
"""

import argparse
import re
import statistics
import sys
from pathlib import Path

FILE_MAX = 600
FUNCTION_MAX = 80
SPDX = "SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause"
SPDX_WITHIN = 5

TOPS = ("user", "bpf", "include", "tests", "scripts")
SUFFIXES = {".c", ".h", ".py", ".sh", ".mk", ".js", ".css", ".html"}
# Recorded and expected output is data, however its files are called.
DATA = ("tests/golden", "tests/recordings")

# What must not be taken for braces, and preprocessor lines, whose branches need not balance.
NOT_CODE = re.compile(
    r"""/\*.*?\*/ | //(?:\\\n|[^\n])* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | ^[ \t]*\#(?:\\\n|[^\n])*""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\)")
# The last parenthesis of a declaration, which are its parameters, with the name before them.
PARAMETERS = re.compile(r"(\w+)\s*\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)\s*$")


def blank(match):
    """What replaces a match of NOT_CODE: nothing but its line ends; a literal leaves a token."""
    return ("0" if match[0][0] in "\"'" else " ") + "\n" * match[0].count("\n")


def function_name(declaration):
    """The name of the function whose declaration comes before a brace, or None if it is none."""
    match = PARAMETERS.search(ATTRIBUTE.sub(" ", declaration))
    if not match or "=" in declaration:
        return None
    name, parameters = match.groups()
    # BPF_PROG(name, …), BPF_KPROBE(name, …) and their like.
    return parameters.split(",")[0].strip() if name.startswith("BPF_") else name


def c_functions(text):
    """Yields (name, first line, last line) of each function of a C file, by tracking braces."""
    code = NOT_CODE.sub(blank, text)
    depth = 0
    line = start = 1  # start: the first line of what has come since the last declaration ended
    declaration = ""
    name = None
    for index, char in enumerate(code):
        if char == "\n":
            line += 1
        if char == "{":
            if depth == 0:
                name = function_name(declaration)
            depth += 1
        elif char == "}":
            # At the left margin only a definition ends: heals what macros may have left unbalanced.
            depth = 0 if code[index - 1] == "\n" else max(depth - 1, 0)
            if depth == 0:
                if name:
                    yield name, start, line
                name, declaration = None, ""
        elif depth == 0 and char == ";":
            declaration = ""
        elif depth == 0 and (declaration or not char.isspace()):
            if not declaration:
                start = line
            declaration += char


class Checker:
    """Measures the tree below root; messages collects what is wrong with it."""

    def __init__(self, root):
        self.root = root
        self.messages = []
        self.files = []  # (lines, path)
        self.functions = []  # (lines, path:line name)

    def check(self):
        for top in TOPS:
            for path in sorted((self.root / top).rglob("*")):
                name = path.relative_to(self.root).as_posix()
                if path.is_file() and path.suffix in SUFFIXES and not name.startswith(DATA):
                    self.check_file(name, path.read_text(errors="replace"))
        return self.messages

    def check_file(self, name, text):
        lines = text.splitlines()
        self.files.append((len(lines), name))
        if len(lines) > FILE_MAX:
            self.messages.append(f"{name}:{len(lines)}: {len(lines)} lines, the limit is {FILE_MAX}")
        if not any(SPDX in line for line in lines[:SPDX_WITHIN]):
            self.messages.append(f"{name}:1: the first {SPDX_WITHIN} lines have no {SPDX}")
        if name.endswith((".c", ".h")):
            for function, first, last in c_functions(text):
                size = last - first + 1
                self.functions.append((size, f"{name}:{first} {function}"))
                if size > FUNCTION_MAX:
                    self.messages.append(f"{name}:{first}: {function} has {size} lines, the limit is {FUNCTION_MAX}")

    def summary(self):
        for what, sizes in (("files", self.files), ("functions", self.functions)):
            if sizes:
                longest, where = max(sizes)
                median = statistics.median_low([size for size, _ in sizes])
                yield f"{len(sizes)} {what}: median {median} lines, longest {longest} ({where})"


def main():
    parser = argparse.ArgumentParser(description="Checks file sizes, function sizes and licence lines.")
    parser.add_argument("-v", "--verbose", action="store_true", help="print medians and maxima")
    parser.add_argument("root", nargs="?", default=Path(__file__).parent.parent, type=Path, help="the tree to check")
    args = parser.parse_args()
    checker = Checker(args.root.resolve())
    for message in checker.check():
        print(message)
    if args.verbose:
        print(*checker.summary(), sep="\n")
    return 1 if checker.messages else 0


if __name__ == "__main__":
    sys.exit(main())
