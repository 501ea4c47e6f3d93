#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""usage: make_seeds.py TARGET DIRECTORY: writes first inputs for fuzz_TARGET into the directory."""

import json
import marshal
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def numbers(*values):
    return b"".join(map(varint, values))


def linetable_seeds():
    """Tables of real code objects in this interpreter's format; made ones in the older formats."""
    kind = 2 if sys.version_info >= (3, 11) else 1
    for function in (json.loads, json.dumps, json.JSONEncoder.iterencode):
        code = function.__code__
        yield struct.pack("<Bi", kind, code.co_firstlineno) + code.co_linetable
    yield struct.pack("<Bi", 0, 10) + bytes([0, 1, 6, 1, 20, 255, 254, 127, 0, 100])
    yield struct.pack("<Bi", 1, 10) + bytes([6, 1, 20, 128, 254, 127, 0, 100, 8, 255])


def recording_seeds():
    """A whole recording as sections without frames, its two cut forms, and a header alone."""
    texts = [b"", b"host", b"file.py", b"main", b"work", "caf\u00e9".encode()]
    strings = varint(0) + b"".join(varint(len(text)) + text for text in texts)
    meta = numbers(0) + struct.pack("<d", 1000.0) + numbers(1, 8, 10**9, 1, 1, 1, 0)
    sections = [
        (2, strings),
        (1, meta),
        (3, numbers(0, 200, 2, 2, 12345, 7, 3, 1, 5) + numbers(1, 202, 2, 2, 12346, 7, 3, 0, 0)),
        (4, numbers(0, 0, 200, 2, 3) + numbers(1, 1, 202, 2, 0)),
        (5, numbers(0) + numbers(0, 2, 3, 2) + numbers(0, 2, 4, 40) + numbers(1, 0, 5, 0)),
        (6, numbers(0) + numbers(0, 8) + numbers(1, 44) + numbers(1, 46) + numbers(2, 0)),
        (7, numbers(0) + numbers(0, 0) + numbers(1, 1) + numbers(2, 2) + numbers(1, 3)),
        (8, numbers(0, 1, 5) + numbers(1, 3, 300)),
        (9, numbers(4) + b"good" + numbers(305)),
        (3, numbers(1, 202, 2, 2, 12346, 7, 3, 4, 5)),
        (8, numbers(0, 1, 2)),
        # Single samples, the second of them a wait that began before the first.
        (14, numbers(2000, 0, 1, 5, 1) + numbers(1000, 1, 3, 300, 8)),
        (0x80 | 90, b"skipped"),
        (10, numbers(307)),
    ]
    packed = [struct.pack("<BH", kind, len(raw)) + raw for kind, raw in sections]
    yield b"\x01" + b"".join(packed)
    yield b"\x01" + calls_recording()
    yield b"\x02" + calls_recording()[:-4]
    yield b"\x02" + b"".join(packed[:8])
    yield b"\x02" + b"".join(packed[:-1])
    header = b"\x89KBR\r\n\x1a\n" + struct.pack("<IHHIII", 0x01020304, 1, 0, 0, 0, 0)
    yield b"\x00" + header + struct.pack("<I", zlib.crc32(header))


def calls_recording():
    """A recording of call statistics, as sections without frames."""
    texts = [b"", b"a.py", b"f", b"~", b"<built-in method builtins.len>", b"lost", b"calls lost"]
    strings = varint(0) + b"".join(varint(len(text)) + text for text in texts)
    times = struct.pack("<dd", 0.5, 1.25)
    sections = [
        (2, strings),
        (32, numbers(1, 1, 0, 1, 8, 10**9, 2, 10**8) + struct.pack("<d", 0.01) + numbers(1, 0, 0, 2)),
        (40, numbers(1)),
        (36, numbers(0, 14, 16, 99, 1, 0, 0, 2, 0)),
        (33, numbers(0) + numbers(1, 2, 10) + numbers(3, 4, 0)),
        (34, numbers(1, 7, 6) + times + numbers(0, 2, 2) + times),
        (35, numbers(0, 1, 0, 7, 6) + times + numbers(0, 0, 1, 3, 0) + times),
        (37, numbers(0, 0, 1, 7, 6) + times + numbers(0, 1, 1, 7, 6) + times),
        (38, numbers(1, 5) + times),
        (39, numbers(5, 6, 0, 3) + numbers(2, 2, 1, 9)),
        (34, numbers(1, 9, 7) + times),
        (10, numbers(11)),
    ]
    return b"".join(struct.pack("<BH", kind, len(raw)) + raw for kind, raw in sections)


def pstats_seeds():
    """Files of cProfile, profile and profiling.sampling, in each version of the format."""
    f, g, c = ("/a/b.py", 1, "f"), ("/a/c.py", 20, "caf\u00e9"), ("~", 0, "<built-in method builtins.len>")
    exact = {f: (1, 3, 0.25, 1.0, {g: (1, 1, 0.1, 0.2), f: (2, 0, 0.0, 0.5)}), g: (1, 1, 0.5, 1.5, {})}
    exact[c] = (9, 9, 1e-06, 1e-06, {f: (9, 9, 1e-06, 1e-06)})
    counts = {f: (3, 3, 0, 1.5, {g: 3}), g: (2**31, 2**40, 0.0, 2.0, {})}
    sampled = {**counts, ("__sampled__",): True}
    for stats in (exact, counts, sampled):
        for version in range(marshal.version + 1):
            yield marshal.dumps(stats, version)


def unwind_seeds():
    """An .eh_frame of one function with a frame pointer, and a whole library of a few functions."""
    cie = bytes([1]) + b"zR\0" + bytes([1, 0x78, 16, 1, 0x1B, 0x0C, 7, 8, 0x90, 1, 0, 0])
    frame = bytes([0x41, 0x0E, 16, 0x86, 2, 0x43, 0x0D, 6, 0x60, 0x0C, 7, 8])
    fde = struct.pack("<iI", 0x1000, 0x40) + b"\0" + frame + bytes(3)
    table = struct.pack("<II", len(cie) + 4, 0) + cie
    yield b"\x01" + table + struct.pack("<II", len(fde) + 4, len(table) + 4) + fde + bytes(4)
    source = b"""
    static int f(int n) { volatile char a[n]; return a[0]; }
    static int g(void) { return f(1) + f(2); }
    struct method { const char *name; void *function; long flags; const char *doc; };
    static struct method methods[] = { { "g", g, 4, "doc" }, { "f", f, 8, 0 }, { 0, 0, 0, 0 } };
    static struct { long base[5]; const char *name, *doc; long size; struct method *methods; }
        module = { { 1 }, "module", 0, -1, methods };
    static struct { int slot; void *function; } slots[] = { { 66, f }, { 64, methods }, { 0, 0 } };
    static struct { const char *name; int basic, item; long flags; void *slots; }
        spec = { "module.Type", 32, 0, 1 << 9, slots };
    void *PyInit_module(void) { return spec.name ? (void *)&module : 0; }
    """
    with tempfile.NamedTemporaryFile(suffix=".so") as library:
        command = ["cc", "-shared", "-nostdlib", "-O1", "-x", "c", "-", "-o", library.name]
        subprocess.run(command, input=source, check=True)
        yield b"\x00" + Path(library.name).read_bytes()


def remote_seeds():
    """For each version: objects of all types, each holding the next ones."""
    pointer, small = 0xB << 60, 3
    words = []
    for i in range(2048):
        words.append((0xA << 60) + i // 8 % 16 if i % 8 == 1 else pointer + (i * 7 + 8) % 2048 if i % 8 > 2 else small)
    for minor in range(10):
        yield bytes([minor]) + struct.pack("<2048Q", *words)


def census_seeds():
    """An object of each type in blocks of 256 bytes, with tables in a block and outside, where a large one lies, too."""
    types = "type int str bytes list tuple dict set Class Slots float generator bytearray array deque".split()
    outside, inside = 0xC << 60, 0xB << 60
    for minor in range(6, 16):
        head = {6: 4, 7: 4}.get(minor, 2)
        bodies = {
            "int": [8 if minor >= 12 else 1, 5],
            "str": [5, 77, 0x64 if minor < 14 else 0x6400, 0x6F6C6C6568],
            "bytes": [5, 77, 0x6F6C6C6568],
            "list": [2, outside | 512, 4],
            "tuple": [2, outside | 1536, outside | 514],
            "dict": [2, 9, outside | 1024, 0],
            "set": [1, 1, 7, outside | 520],
            "Slots": [outside | 1536, inside | 600],
            "float": [1],
            "generator": [0, inside | 40],
            "bytearray": [3, 8, outside | 530, outside | 530, 0],
            "array": [3, outside | 540, 4, outside | 900],
            "deque": [3, outside | 550, outside | 550, 3, 5],
        }
        without_gc = ("int", "str", "bytes", "float", "bytearray", "array")
        items = []
        for i, name in enumerate(types):
            at = (48 + i * 256) // 8 + (0 if name in without_gc else head + (2 if name == "Class" and minor > 10 else 0))
            words = [1, 0xA << 60 | i, *bodies.get(name, [])]
            items += [((at + j) << 1, word) for j, word in enumerate(words)]
        # A table of keys: up to 3.10 its size is the second word; and a tuple of 100.
        keys = [1, 8, 0, 3, 5] if minor <= 10 else [1, 0x0303, 3, 5]
        items += [((1024 + i) << 1 | 1, word) for i, word in enumerate(keys)]
        items += [((1536 + i) << 1 | 1, word) for i, word in enumerate([1, 0xA << 60 | 5, 100, inside | 10])]
        yield bytes([minor - 6, 15 if minor >= 8 else 31, 7]) + b"".join(struct.pack("<HQ", *item) for item in items)


def check_history_seeds():
    """Histories of a dozen checks: times that move, exact counts with functions, one base; and what a crash leaves."""
    facts = {"machine": {"architecture": "x86_64", "cpu": "c", "cpus": 2}, "python": {"base": "3.12.1", "head": "3.12.1"}}
    functions = [{"name": "f", "file": "a.py", "line": 3, "seconds": 0.5}, {"name": "g", "file": "", "seconds": 1e-3}]
    counts = [{"metric": "calls", "name": "f", "file": "a.py", "line": 3, "base": 1, "head": 9}]
    for base in ({}, {"base_label": "v1"}):
        lines = []
        for i in range(12):
            metrics = {"cpu": {"base": [1, 1.01], "head": [1 + i // 8, 1.02 + i / 50]}, "calls": {"base": [7], "head": [7 + i // 6]}}
            entry = {"keelback_check": 1, "time": 17 * 10**8 + i, "label": f"c{i}", **base, **facts, "metrics": metrics}
            lines.append(json.dumps({**entry, "functions": functions, "counts": counts}))
        yield "\n".join(lines).encode()
        yield "\n".join(lines)[:-40].encode()


def main():
    makers = {"linetable": linetable_seeds, "recording": recording_seeds}
    makers.update(pstats=pstats_seeds, unwind=unwind_seeds, remote=remote_seeds, census=census_seeds)
    makers.update(check_history=check_history_seeds)
    if len(sys.argv) != 3 or sys.argv[1] not in makers:
        sys.exit(__doc__)
    directory = Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(makers[sys.argv[1]]()):
        (directory / f"seed-{i}").write_bytes(seed)


if __name__ == "__main__":
    main()
