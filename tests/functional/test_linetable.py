# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Line tables against each interpreter's own reading of them, for every code object of its standard library."""

import subprocess
from pathlib import Path

from harness import per_python

# A whole standard library; Debian's without its tests has some 9,000 code objects, a complete one some 60,000.
OBJECTS_MIN = 5000
UNITS_MIN = 500000

# Runs in the interpreter under test, 3.6 and later; the stream's format is described in tests/tools/linetable_check.c.
DUMP = r"""
import dis, os, struct, sys

LOCATION, RANGES, LNOTAB = 2, 1, 0
KIND = LOCATION if sys.version_info >= (3, 11) else RANGES if sys.version_info >= (3, 10) else LNOTAB


def runs_of(code, units):
    if KIND != LNOTAB:
        for start, end, line in code.co_lines():
            if end > start:
                yield start // 2, end // 2, max(line or 0, 0)
        return
    starts = [(start // 2, line) for start, line in dis.findlinestarts(code) if start // 2 < units]
    for i, (start, line) in enumerate(starts):
        end = starts[i + 1][0] if i + 1 < len(starts) else units
        if end > start:
            yield start, end, line


def dump(code, path, out):
    units = len(code.co_code) // 2
    table = code.co_lnotab if KIND == LNOTAB else code.co_linetable
    runs = list(runs_of(code, units))
    covered = sum(end - start for start, end, line in runs)
    assert covered == units, (path, code, covered, units)
    name = (path + ":" + code.co_name).encode("utf-8", "replace")
    out.write(struct.pack("<BiIIII", KIND, code.co_firstlineno, units, len(table), len(runs), len(name)))
    out.write(table)
    for run in runs:
        out.write(struct.pack("<IIi", *run))
    out.write(name)
    for const in code.co_consts:
        if hasattr(const, "co_code"):
            dump(const, path, out)


def main():
    with open(sys.argv[1], "wb") as out:
        for folder, folders, files in os.walk(os.path.dirname(os.__file__)):
            folders[:] = sorted(set(folders) - {"site-packages", "dist-packages", "__pycache__"})
            for name in sorted(files):
                path = os.path.join(folder, name)
                if not name.endswith(".py"):
                    continue
                try:
                    with open(path, "rb") as source:
                        code = compile(source.read(), path, "exec", dont_inherit=True)
                except (SyntaxError, ValueError, RecursionError, UnicodeError):
                    continue  # examples of bad source, templates
                dump(code, path, out)


main()
"""


@per_python(timeout=180)
def test_lines_of_standard_library(env):
    stream = Path(env.tmp, "lines.bin")
    env.py.run(["-W", "ignore", "-S", env.py.script(DUMP, "dump.py"), stream])
    tool = Path(env.keelback_path).parent / "tests" / "tools" / "linetable_check"
    done = subprocess.run([str(tool), str(stream)], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout
    objects, units = int(done.stdout.split()[0]), int(done.stdout.split()[3])
    assert objects >= OBJECTS_MIN and units >= UNITS_MIN, done.stdout
