#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What CPython's static probes function__entry and function__return cost a call, with nothing attached that looks.

usage: sudo tests/bench/usdt_cost.py [ROUNDS]

A probe has a semaphore: when that is raised the interpreter prepares the probe's arguments (file, function, line) for
each call. This is apart from the trap: once the semaphore alone is raised, then the probe is watched too.
Beside them: `keelback calls`, which probes the code of RESUME, with all that it counts. Medians, in nanoseconds per call.
"""

import ctypes
import os
import re
import statistics
import struct
import subprocess
import sys

from pathlib import Path

sys.dont_write_bytecode = True
REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "functional"))
import harness

PERF_EVENT_OPEN = 298  # x86-64
UPROBE_TYPE = int(Path("/sys/bus/event_source/devices/uprobe/type").read_text())
REF_CTR_SHIFT = 32  # /sys/bus/event_source/devices/uprobe/format/ref_ctr_offset: config:32-63

TARGET = """
import sys, time
def leaf():
    pass
def loop(n):
    for _ in range(n):
        leaf()
for line in sys.stdin:
    begin = time.process_time_ns()
    loop(int(line))
    print((time.process_time_ns() - begin) / int(line), flush=True)
"""

def file_offset(path, address):
    for line in subprocess.run(["readelf", "-lW", path], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines():
        match = re.match(r"\s*LOAD\s+(0x\w+)\s+(0x\w+)\s+0x\w+\s+(0x\w+)", line)
        if match:
            offset, start, size = (int(field, 16) for field in match.groups())
            if start <= address < start + size:
                return address - start + offset
    raise ValueError(hex(address))

def find_probe(path, name):
    """File offsets of a static probe and of its semaphore."""
    notes = subprocess.run(["readelf", "-nW", path], stdout=subprocess.PIPE, text=True, check=True).stdout
    match = re.search(rf"Name: {name}\s+Location: (0x\w+), Base: 0x\w+, Semaphore: (0x\w+)", notes)
    return match and [file_offset(path, int(field, 16)) for field in match.groups()]

def watch(path, offset, semaphore, pid):
    """A uprobe that counts and does nothing else; its file descriptor."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    attr = struct.pack("IIQQQQQIIQQ", UPROBE_TYPE, 112, semaphore << REF_CTR_SHIFT, 0, 0, 0, 0, 0, 0,
                       ctypes.addressof(name), offset).ljust(112, b"\0")
    fd = ctypes.CDLL(None, use_errno=True).syscall(PERF_EVENT_OPEN, attr, pid, -1, -1, 8)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return fd

def measure(target, n=300000):
    target.stdin.write(f"{n}\n")
    target.stdin.flush()
    return float(target.stdout.readline())

def cases_of(path):
    """Name → probes to watch. Those of the collector lend their places, which the loop does not come to."""
    unused = [find_probe(path, name)[0] for name in ("gc__start", "gc__done")]
    entry, leave = find_probe(path, "function__entry"), find_probe(path, "function__return")
    return {"nobody looks": [],
            "semaphore of function__entry raised": [(unused[0], entry[1])],
            "both semaphores raised": [(unused[0], entry[1]), (unused[1], leave[1])],
            "function__entry watched": [entry],
            "both watched": [entry, leave]}

def run_python(py, rounds):
    path = py.root.rstrip("/") + py.path
    if not find_probe(path, "function__entry"):
        print(f"{py.id}: has no function__entry")
        return
    target = py.popen([py.script(TARGET)], stdin=subprocess.PIPE)
    figures = {}
    for _ in range(rounds):
        for name, probes in cases_of(path).items():
            fds = [watch(path, *probe, target.pid) for probe in probes]
            figures.setdefault(name, []).append(measure(target))
            for fd in fds:
                os.close(fd)
        counter = subprocess.Popen([REPO / "build/keelback", "calls", "-v", "-p", str(target.pid), "--exact", "--time",
                                    "none", "-o", "/dev/null", "-f", "json"], stderr=subprocess.PIPE, text=True)
        while "counting" not in counter.stderr.readline():
            pass
        figures.setdefault("keelback calls --time none", []).append(measure(target))
        counter.send_signal(2)
        counter.wait()
    target.stdin.close()
    for name, values in figures.items():
        print(f"{py.id}: {name}: {statistics.median(values):.0f}")

def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    for py in harness.load_matrix():
        if "usdt" in py.traits:
            py.tmp = "/tmp"
            run_python(py, rounds)

main()
