# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Does the same allocations again and again, and traces itself when it is told to: memory_cost.py says how.

usage: allocating.py heavy|ordinary FILE

FILE is 64 bytes that both have mapped: units done, CLOCK_MONOTONIC of the last one in ns, the wanted mode and the present one.
"""

import json
import mmap
import re
import struct
import sys
import time
import tracemalloc

TEXT = json.dumps([{"id": i, "name": "name %d" % i, "tags": ["a", "b", str(i)]} for i in range(100)])


def heavy():
    """Little but allocations: objects of all sizes that come and go, and a heap that grows and goes."""
    kept = []
    for _ in range(2):
        nodes = [{"name": str(j) * 3, "links": [j]} for j in range(1500)]
        kept.append(nodes[::3])
        kept.append(["x" * (j % 900) for j in range(1500)])


def ordinary():
    """What programs do: parse, count, sort, format."""
    for _ in range(4):
        rows = json.loads(TEXT)
        rows.sort(key=lambda row: row["name"])
        total = sum(row["id"] ** 2 % 7 for row in rows)
        words = len(re.findall("name", TEXT))
        ", ".join(row["name"] for row in rows)
        for _ in range(7000):
            total = (total + words) % 199


def memray_tracker(python_allocators):
    import memray

    file = memray.FileDestination(sys.argv[2] + ".memray", overwrite=True)
    return memray.Tracker(destination=file, trace_python_allocators=python_allocators)


class Modes:
    """1 to 99: tracemalloc with so many frames; 100, 101: memray, without and with Python's allocators."""

    def __init__(self):
        self.mode, self.tracker = 0, None

    def switch(self, mode):
        if self.tracker:
            self.tracker.__exit__(None, None, None)
            self.tracker = None
        elif self.mode:
            tracemalloc.stop()
        if mode >= 100:
            self.tracker = memray_tracker(mode > 100)
            self.tracker.__enter__()
        elif mode:
            tracemalloc.start(mode)
        self.mode = mode


def main():
    work = {"heavy": heavy, "ordinary": ordinary}[sys.argv[1]]
    with open(sys.argv[2], "r+b") as file:
        shared = mmap.mmap(file.fileno(), 64)
    modes, done = Modes(), 0
    while True:
        work()
        done += 1
        struct.pack_into("QQ", shared, 0, done, time.monotonic_ns())
        wanted = struct.unpack_from("Q", shared, 16)[0]
        if wanted != modes.mode:
            modes.switch(wanted)
            struct.pack_into("Q", shared, 24, wanted)


main()
