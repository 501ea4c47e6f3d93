#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes user/python/layout_table.inc.h: how to walk CPython 3.6 to 3.12.

Compiles, for each version, a program that prints offsetof() of everything that
user/python/layout_fields.inc.h asks for, against that version's own headers,
and runs it. From 3.13 on interpreters carry their offsets themselves.

usage: scripts/gen_layouts.py [INCLUDE_DIR...]

INCLUDE_DIR holds Python.h; without one, those of pyenv's Pythons are used
(PYENV_ROOT, ~/.pyenv). Exits with 1 when a minor version is missing.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIELDS = ROOT / "user/python/layout_fields.inc.h"
TABLE = ROOT / "user/python/layout_table.inc.h"
FIRST, LAST = 6, 12
LINE = re.compile(r'^FIELD\((\w+), (\d+), (\d+), "\w+", (\w+), ([\w.]+)\)$', re.M)

# Headers beyond Python.h that define the types, those that a version has.
HEADERS = [
    "frameobject.h",
    "internal/mem.h",
    "internal/pystate.h",  # 3.7
    "internal/pycore_pystate.h",
    "internal/pycore_interp.h",
    "internal/pycore_runtime.h",
    "internal/pycore_frame.h",
]

TAIL = """
\tPyASCIIObject text;
\tunsigned int word, shift = 0;

\tmemset(&text, 0, sizeof(text));
\ttext.state.kind = 1;
\tmemcpy(&word, &text.state, sizeof(word));
\twhile (!(word & 1))
\t\tword >>= 1, shift++;
\tprintf("unicode_kind_shift %u\\n", shift);
\treturn 0;
}
"""


def minor_of(include):
    text = (include / "patchlevel.h").read_text()
    major, minor = (int(re.search(rf"define PY_{part}_VERSION\s+(\d+)", text)[1]) for part in ("MAJOR", "MINOR"))
    return minor if major == 3 else None


def version_of(include):
    return re.search(r'define PY_VERSION\s+"([^"]+)"', (include / "patchlevel.h").read_text())[1]


def probe_source(include, minor):
    lines = ["#define Py_BUILD_CORE 1", "#include <Python.h>", "#include <stddef.h>", "#include <stdio.h>", "#include <string.h>"]
    lines += [f'#include "{name}"' for name in HEADERS if (include / name).exists()]
    lines += ["int main(void)", "{"]
    for name, first, last, c_type, member in LINE.findall(FIELDS.read_text()):
        if int(first) <= minor <= int(last):
            value = f"sizeof({c_type})" if member == "SIZE" else f"offsetof({c_type}, {member})"
            lines.append(f'\tprintf("{name} %u\\n", (unsigned int){value});')
    return "\n".join(lines) + TAIL


def probe(include, minor):
    """The layout's fields by name, in the order of the list."""
    with tempfile.TemporaryDirectory() as directory:
        source, program = Path(directory, "probe.c"), Path(directory, "probe")
        source.write_text(probe_source(include, minor))
        subprocess.run(
            [os.environ.get("CC", "cc"), "-w", "-I", include, "-I", include / "internal", source, "-o", program],
            check=True,
        )
        output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return [line.split() for line in output.splitlines()]


def entry(minor, include):
    fields = "".join(f"\t\t.{name} = {value},\n" for name, value in probe(include, minor))
    return f"\t/* {version_of(include)} */\n\t[{minor}] = {{\n{fields}\t}},\n"


def pyenv_includes():
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return sorted(path.parent for path in root.glob("versions/3.*/include/python3.*/Python.h"))


def main(arguments):
    includes = {}
    for include in [Path(name) for name in arguments] or pyenv_includes():
        includes[minor_of(include)] = include
    missing = [f"3.{minor}" for minor in range(FIRST, LAST + 1) if minor not in includes]
    if missing:
        sys.exit(f"gen_layouts: no headers of {', '.join(missing)}")
    text = "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n"
    text += "/* Made by scripts/gen_layouts.py from the headers of the versions named; do not edit. */\n"
    text += "".join(entry(minor, includes[minor]) for minor in range(FIRST, LAST + 1))
    TABLE.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
