# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""keelback memory: one block's traceback, flame graphs and pprof, beside what tracemalloc says of the same blocks."""

import subprocess
from pathlib import Path

import exports
import memory
import pages
from browser import Browser
from harness import once, per_python

# Objects whose blocks begin before them (collected ones), with them, and buffers of their own.
ADDRESSES = """
import os, sys, tracemalloc
class Point(object):
    def __init__(self, x):
        self.x = x
def make_point():
    return Point(5)
def make_bytes():
    return bytes(bytearray(3000))
def make_text():
    return "text" * 50 + str(len(kept))
def make_set():
    return set([1, 2])
kept = []
if sys.argv[1] == "trace":
    tracemalloc.start(25)
print("ready", flush=True)
while sys.stdin.readline():
    for make in make_point, make_bytes, make_text, make_set:
        o = make()
        kept.append(o)
        frames = [(f.filename, f.lineno) for f in tracemalloc.get_object_traceback(o) or ()]
        if sys.version_info < (3, 7):
            frames.reverse()  # the most recent call first, then
        print("made", hex(id(o)), sys.getsizeof(o), frames, flush=True)
"""


def traceback_places(lines):
    """[(file, line)] of what --address prints."""
    places = [line.strip().split(" (")[0].rpartition(":") for line in lines]
    return [(file, int(line)) for file, _, line in places if file.startswith("/") and line.isdigit()]


class Addresses:
    """keelback memory --address -, which has answered nothing yet."""

    def __init__(self, env, target, *options):
        self.env = env
        self.process = memory.start_keelback(env, "-p", target.pid, "--address", "-", *options, stdin=subprocess.PIPE)

    def ask(self, address):
        """The lines of the answer, which the next question's refusal ends."""
        self.process.stdin.write(f"{address}\n-\n")
        self.process.stdin.flush()
        lines = []
        while not lines or "'-' is no address" not in lines[-1]:
            lines.append(self.env.wait_line(self.process, ""))
        return lines[:-1]

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0


@per_python(where=lambda py: "stripped" not in py.traits, timeout=120)
def test_address(env):
    """An object's id() is enough; its stack is that of tracemalloc.get_object_traceback()."""
    target = env.py.popen([env.py.script(ADDRESSES), "trace"], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    addresses = Addresses(env, target)
    target.stdin.write("\n")
    target.stdin.flush()
    for _ in range(4):
        _, address, size, frames = env.wait_line(target, "made").split(maxsplit=3)
        first, *lines = addresses.ask(address)
        print(first, *lines)
        block = int(first.split(" at ")[1].split(",")[0], 0)
        assert block <= int(address, 0) < block + int(first.split()[2]) and int(first.split()[2]) >= int(size) - 16
        # 3.11's own look-up misses blocks of instances with inline values.
        assert traceback_places(lines) == eval(frames) or frames.strip() == "[]" and size != "3033", (lines, frames)
    assert "no live block with 0x10 " in addresses.ask("0x10")[0]
    addresses.end()


@per_python(where=lambda py: "stripped" in py.traits, timeout=120)
def test_address_growth(env):
    """Large blocks have their own line; a small object is in its pool, whose first user's line is given."""
    target = env.py.popen([env.py.script(ADDRESSES), "alone"], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    addresses = Addresses(env, target)
    target.stdin.write("\n" * 300)
    target.stdin.flush()
    made = [env.wait_line(target, "made").split() for _ in range(1200)]
    first, *lines = addresses.ask(made[-3][1])
    assert int(first.split()[2]) >= 3000 and "(libc)" in first, first
    assert traceback_places(lines)[-1] == (env.tmp + "/target.py", 9), lines
    first, *lines = addresses.ask(made[-1][1])  # 300 sets need new pools
    assert "(pool)" in first and traceback_places(lines)[-1][0] == env.tmp + "/target.py", lines
    addresses.end()


@once(timeout=120)
def test_pprof(env):
    """go tool pprof reads it: four sample types, whose sums are tracemalloc's and the process's own."""
    recording, figures = memory.record(env)
    path = env.tmp + "/heap.pb.gz"
    env.keelback("memory", "--load", recording, "-o", path)
    types, samples, locations = exports.pprof_raw(env, path)
    assert types == ["alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"]
    sums = [sum(values[i] for values, _, _ in samples) for i in range(4)]
    assert sums[2:] == [figures["blocks"], figures["current"]], (sums, figures)
    process, = memory.Traced(write(env, recording, "jsonl")).processes
    assert sums[:2] == [process["heap"]["total_blocks"], process["heap"]["total"]]
    by_line = {}
    for values, stack, labels in samples:
        assert labels["domain"] in ("raw", "mem", "obj") and int(labels["pid"]) > 0
        function, file, line, _ = locations[stack[0]]
        size, count = by_line.get(f"{file}:{line}", (0, 0))
        by_line[f"{file}:{line}"] = size + values[3], count + values[2]
    assert memory.agreement(by_line, figures["lines"]) >= 0.99
    top = exports.pprof(env, path, "-top", "-sample_index=inuse_space", "-nodefraction=0")
    assert "work" in top and "tree" in top, top
    assert "Type: alloc_objects" in exports.pprof(env, path, "-top", "-sample_index=alloc_objects")


def write(env, recording, format, *options):
    path = Path(env.tmp, "".join(["out", *options]) + (".html" if format == "flamegraph" else "." + format))
    env.keelback("memory", "--load", recording, "-f", format, "-o", path, *options)
    return path


def size_text(size):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.1f} {unit}" if unit != "B" else f"{size:,} B"
        size /= 1024


@once(timeout=240)
def test_flamegraph(env):
    """The page shows the sums that the collapsed stacks have, by bytes and by blocks, in its unit."""
    recording, figures = memory.record(env)
    process, = memory.Traced(write(env, recording, "jsonl")).processes
    heap = process["heap"]
    values = {("live", "bytes"): figures["current"], ("live", "blocks"): figures["blocks"],
              ("peak", "bytes"): figures["peak"], ("peak", "blocks"): heap["peak_blocks"],
              ("total", "bytes"): heap["total"], ("total", "blocks"): heap["total_blocks"]}
    with Browser(env.tmp) as browser:
        for (value, unit), wanted in values.items():
            options = ["--value", value] + ["--blocks"] * (unit == "blocks")
            stacks = exports.collapsed(write(env, recording, "collapsed", *options).read_text())
            assert sum(count for _, count in stacks) == wanted, (value, unit)
            page = pages.FlamePage(browser, write(env, recording, "flamegraph", *options))
            page.browser.move(*page.at(0.5, 0))
            shown = size_text(wanted) if unit == "bytes" else f"{wanted:,}"
            name = "memory" if unit == "bytes" else "blocks"
            assert f"{name}{shown}" in page.text("tip"), (value, unit, page.text("tip"))
            assert "attempted blocks are shown, 0 failed" in page.text("ledger"), page.text("ledger")


# Memory of C code that is not the interpreter's: by ctypes, and in the libraries of modules.
NATIVE = """
import ctypes, os, sqlite3, sys, zlib
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.realloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
kept = []
def by_malloc():
    kept.append(libc.malloc(100000))
    kept[-1] = libc.realloc(kept[-1], 200000)
def by_zlib():
    kept.append(zlib.compressobj(9))
def by_sqlite():
    db = sqlite3.connect(":memory:")
    db.executescript("create table t (a); insert into t values ('" + "x" * 20000 + "')")
    kept.append(db)
def by_python():
    kept.append(bytearray(100000))
    kept[-1].extend(b"x" * 150000)
def freed():
    libc.free(libc.malloc(300000))
print("ready", flush=True)
sys.stdin.readline()
for i in range(20):
    by_malloc(); by_zlib(); by_sqlite(); by_python(); freed()
print("done", flush=True)
sys.stdin.readline()
"""


@per_python(where=lambda py: "stripped" in py.traits or py.id in ("pyenv-3.6", "pyenv-3.12"), timeout=120)
def test_native(env):
    """malloc of other code than the interpreter's: apart from Python's, with the line of Python that called it."""
    target = env.py.popen([env.py.script(NATIVE)], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    recording = env.tmp + "/a.kb"
    exact = "stripped" not in env.py.traits
    keelback = memory.start_keelback(env, "-p", target.pid, "-o", recording, *["--libc"] * exact)
    target.stdin.write("\n")
    target.stdin.flush()
    env.wait_line(target, "done")
    assert memory.end_keelback(keelback) == 0
    traced = memory.Traced(write(env, recording, "jsonl"))
    sums = {}
    for row in traced.rows:
        key = row["function"], row["native"]
        sums[key] = sums.get(key, 0) + row["bytes"]
    print(sums)
    # ctypes has some for itself.
    assert 20 * 200000 <= sums["by_malloc", True] < 20 * 200000 + 2000 and sums.get(("by_malloc", False), 0) < 50000
    # A compressor of level 9 has some 260 kB, by PyMem_RawMalloc(), whose caller malloc returns to.
    assert 20 * 250_000 < sums["by_zlib", not exact] < 20 * 300_000 and sums.get(("by_zlib", exact), 0) < 50000
    assert sums["by_sqlite", True] > 20 * 20_000
    assert 20 * 250_000 <= sums["by_python", False] < 20 * 300_000 and ("by_python", True) not in sums
    assert ("freed", True) not in sums
    process, = traced.processes
    native = sum(size for (_, is_native), size in sums.items() if is_native)
    assert process["native"]["current"] == native
    assert process["heap"]["current"] == sum(sums.values()) - native
    assert native <= process["native"]["peak"] <= native + 1_000_000
    stacks = exports.collapsed(write(env, recording, "collapsed").read_text())
    assert sum(size for stack, size in stacks if stack[-1] == "<native>") == native
    _, samples, _ = exports.pprof_raw(env, write(env, recording, "pprof"))
    assert sum(values[3] for values, _, labels in samples if labels["domain"] == "native") == native
    only = memory.Traced(write(env, recording, "jsonl", "--domain", "native"))
    assert sum(row["bytes"] for row in only.rows) == native and all(row["native"] for row in only.rows)
    table = write(env, recording, "table").read_text()
    assert "[native] " + env.tmp + "/target.py" in table and "  native current" in table
