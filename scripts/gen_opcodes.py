#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes user/python/opcode_table.inc.h: the names of the instructions of CPython 3.6 to 3.15.

Asks each interpreter of the Python matrix (scripts/python-matrix.sh list) what its own modules opcode and dis
call each number that may stand in a code object, those that the interpreter puts there itself included, and
which instruction a specialized one stands for. Interpreters of one minor version must agree.

usage: scripts/gen_opcodes.py [--check]

--check compares with the table that is there instead. Exits with 1 when a minor version is missing, when
interpreters disagree, or when the table differs.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "user/python/opcode_table.inc.h"
FIRST, LAST = 6, 15
WIDTH = 96

# dis of 3.11 to 3.15 has all names by number, and for specialized ones the name that they stand for; before,
# nothing is specialized. Numbers above 255 exist only within the compiler.
QUESTION = """
import dis, json, opcode
names = list(getattr(dis, "_all_opname", opcode.opname))[:256]
bases = dict(getattr(dis, "deoptmap", {}))
for name in names:
    base = name[len("INSTRUMENTED_"):] if name.startswith("INSTRUMENTED_") else None
    if base in names:
        bases[name] = base
print(json.dumps([names, bases]))
"""


def ask(root, path):
    """[names by number ("" where there is none), {name: base name}] of an interpreter."""
    command = [path, "-c", QUESTION]
    if root != "/":
        command = [ROOT / "scripts/in-rootfs.sh", root, *command]
    names, bases = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return ["" if name.startswith("<") else name for name in names], bases


def ask_all():
    """The answers by minor version."""
    answers = {}
    matrix = subprocess.run([ROOT / "scripts/python-matrix.sh", "list"], check=True, capture_output=True, text=True)
    for line in matrix.stdout.splitlines():
        name, version, root, path, _ = line.split("\t")
        minor, answer = int(version.split(".")[1]), ask(root, path)
        if answers.setdefault(minor, answer) != answer:
            sys.exit(f"gen_opcodes: {name} disagrees with another 3.{minor}")
    missing = [f"3.{minor}" for minor in range(FIRST, LAST + 1) if minor not in answers]
    if missing:
        sys.exit(f"gen_opcodes: no interpreter for {', '.join(missing)}")
    return answers


def filled(items, indent, join=" "):
    """The items in lines of at most WIDTH characters."""
    lines, line = [], ""
    for item in items:
        if line and len(indent) * 8 + len(line) + len(join) + len(item) > WIDTH:
            lines.append(indent + line + "\n")
            line = ""
        line += (join if line else "") + item
    return "".join(lines) + indent + line + "\n"


def entry(minor, names, bases):
    """One string literal per line of the text, names in the order of their numbers, each ended by a zero."""
    text = filled([name + "\\0" for name in names], "\t\t", "").replace("\t\t", '\t\t"').replace("\n", '"\n')
    pairs = [f"{{ {number}, {names.index(bases[name])} }}," for number, name in enumerate(names) if name in bases]
    table = f"static const uint8_t bases_{minor}[][2] = {{\n{filled(pairs, chr(9))}}};\n" if pairs else ""
    of_version = f"\t[{minor}] = {{ .names =\n{text.rstrip(chr(10))}"
    of_version += f",\n\t\t.bases = bases_{minor}, .n_bases = {len(pairs)} }},\n" if pairs else " },\n"
    return table, of_version


def make_table():
    entries = [entry(minor, *answer) for minor, answer in sorted(ask_all().items())]
    text = "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n"
    text += "/* Made by scripts/gen_opcodes.py from the interpreters' own modules; do not edit. */\n"
    text += "/* clang-format off */\n"
    text += "".join(table for table, _ in entries)
    text += "static const struct version versions[] = {\n" + "".join(names for _, names in entries) + "};\n"
    return text + "/* clang-format on */\n"


def main(arguments):
    text = make_table()
    if arguments == ["--check"]:
        if text != TABLE.read_text():
            sys.exit(f"gen_opcodes: {TABLE} is not what the interpreters say")
        return
    TABLE.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
