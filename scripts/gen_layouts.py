#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes user/python/layout_table.inc.h: how to walk CPython 3.6 to 3.12, and
user/python/object_table.inc.h: how to read the objects of CPython 3.6 to 3.15.

Compiles, for each version, a program that prints offsetof() of everything that
layout_fields.inc.h or object_fields.inc.h asks for, against that version's own
headers, and runs it. From 3.13 on interpreters carry the offsets of the walk themselves.

usage: scripts/gen_layouts.py [INCLUDE_DIR...]

INCLUDE_DIR holds Python.h. Those of pyenv's Pythons (PYENV_ROOT, ~/.pyenv) and those
in /usr/include are used for versions that are not given (Debian's libpython3.14-dev and
libpython3.15-dev have the newest). Exits with 1 when a minor version is missing.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "user/python"
# Field list, table made of it, first and last minor version.
TABLES = [
    (PYTHON / "layout_fields.inc.h", PYTHON / "layout_table.inc.h", 6, 12),
    (PYTHON / "object_fields.inc.h", PYTHON / "object_table.inc.h", 6, 15),
]
LINE = re.compile(r'^FIELD\((\w+), (\d+), (\d+), "\w+", ([\w ]+), ([\w.]+)\)$', re.M)

# Headers beyond Python.h that define the types, those that a version has.
HEADERS = [
    "frameobject.h",
    "internal/mem.h",
    "internal/pystate.h",  # 3.7
    "internal/pycore_pystate.h",
    "internal/pycore_interp.h",
    "internal/pycore_runtime.h",
    "internal/pycore_frame.h",
    "internal/pycore_interpframe_structs.h",  # 3.14
    "internal/pycore_interpframe.h",
    "internal/pycore_dict.h",  # 3.11
    "internal/pycore_gc.h",  # 3.9
]

KIND_SHIFT = """
\tPyASCIIObject text;
\tunsigned int word, shift = 0;

\tmemset(&text, 0, sizeof(text));
\ttext.state.kind = 1;
\tmemcpy(&word, &text.state, sizeof(word));
\twhile (!(word & 1))
\t\tword >>= 1, shift++;
\tprintf("unicode_kind_shift %u\\n", shift);
"""


def minor_of(include):
    text = (include / "patchlevel.h").read_text()
    major, minor = (int(re.search(rf"define PY_{part}_VERSION\s+(\d+)", text)[1]) for part in ("MAJOR", "MINOR"))
    return minor if major == 3 else None


def version_of(include):
    return re.search(r'define PY_VERSION\s+"([^"]+)"', (include / "patchlevel.h").read_text())[1]


def probe_source(fields, include, minor):
    lines = ["#define Py_BUILD_CORE 1", "#include <Python.h>", "#include <stddef.h>", "#include <stdio.h>", "#include <string.h>"]
    lines += ['#include "structmember.h"'] if minor < 9 else []
    lines += [f'#include "{name}"' for name in HEADERS if (include / name).exists()]
    lines += ["int main(void)", "{"]
    text = fields.read_text()
    for name, first, last, c_type, member in LINE.findall(text):
        if int(first) <= minor <= int(last):
            value = f"sizeof({c_type})" if member == "SIZE" else f"offsetof({c_type}, {member})"
            lines.append(f'\tprintf("{name} %u\\n", (unsigned int){value});')
    if "unicode_state" in text:
        lines.append(KIND_SHIFT)
    return "\n".join([*lines, "\treturn 0;", "}", ""])


def probe(fields, include, minor):
    """The layout's fields by name, in the order of the list."""
    with tempfile.TemporaryDirectory() as directory:
        source, program = Path(directory, "probe.c"), Path(directory, "probe")
        source.write_text(probe_source(fields, include, minor))
        # Debian's pyconfig.h names the one of the machine by a path below the parent.
        places = [include, include / "internal", include.parent]
        subprocess.run(
            [os.environ.get("CC", "cc"), "-w", *(f"-I{place}" for place in places), source, "-o", program],
            check=True,
        )
        output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return [line.split() for line in output.splitlines()]


def entry(fields, minor, include):
    text = "".join(f"\t\t.{name} = {value},\n" for name, value in probe(fields, include, minor))
    return f"\t/* {version_of(include)} */\n\t[{minor}] = {{\n{text}\t}},\n"


def installed_includes():
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [*Path("/usr/include").glob("python3.*/Python.h"), *pyenv.glob("versions/3.*/include/python3.*/Python.h")]
    return [path.parent for path in found]


def main(arguments):
    includes = {}
    for include in [*installed_includes(), *map(Path, arguments)]:
        includes[minor_of(include)] = include
    for fields, table, first, last in TABLES:
        missing = [f"3.{minor}" for minor in range(first, last + 1) if minor not in includes]
        if missing:
            sys.exit(f"gen_layouts: no headers of {', '.join(missing)}")
        text = "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n"
        text += "/* Made by scripts/gen_layouts.py from the headers of the versions named; do not edit. */\n"
        text += "".join(entry(fields, minor, includes[minor]) for minor in range(first, last + 1))
        table.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
