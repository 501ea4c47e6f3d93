#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the modes of waiting cost for each switch of the scheduler, by the kernel's own count of time in BPF programs.

usage: tests/bench/switch_cost.py [--keelback PATH] [--python PATH] [--seconds N]      (as root; docs/OVERHEAD.md)

A thread goes to sleep and wakes up some thousand times a second from so many frames down (few enough to be walked each
time), two threads pass a byte to and fro as fast as they can (many more times than may be walked), or they fight for the
GIL. They are observed, or run beside a target that does nothing: then their switches only pass the filter. The kernel's
two looks at the clock for each run, some 50 ns, are in all figures.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")
BPFTOOL = shutil.which("bpftool", path="/usr/sbin:/usr/bin:/sbin:/bin")

CASES = [
    ("wall", "nap", 5),
    ("wall", "nap", 50),
    ("wall", "nap", 200),
    ("wall", "ping", 900),
    ("gil-wait", "fight", 5),
    ("gil-wait", "fight", 50),
]

TARGET = """
import os, sys, threading, time
sys.setrecursionlimit(3000)

def down(n, function):
    return down(n - 1, function) if n > 1 else function()

def nap():
    while True:
        time.sleep(.0002)

def ping():
    while True:
        os.write(to[1], b"x")
        os.read(fro[0], 1)

def pong():
    while True:
        os.read(to[0], 1)
        os.write(fro[1], b"x")

def fight():
    while True:
        pass

def idle():
    time.sleep(3600)

kind, depth = sys.argv[1], int(sys.argv[2])
to, fro = os.pipe(), os.pipe()
functions = {"nap": [nap], "ping": [ping, pong], "fight": [fight, fight], "idle": [idle]}[kind]
for function in functions:
    threading.Thread(target=down, args=(depth, function), daemon=True).start()
print("ready", flush=True)
time.sleep(3600)
"""


def start(python, kind, depth):
    process = subprocess.Popen([python, "-c", TARGET, kind, str(depth)], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def programs(bpftool):
    """The programs on_switch that are loaded, by id: time in ns and runs so far. Others may be running keelback."""
    done = subprocess.run([bpftool, "-j", "prog", "show", "name", "on_switch"], stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout or "[]")
    found = found if isinstance(found, list) else [found]
    return {item["id"]: (item.get("run_time_ns", 0), item.get("run_cnt", 0)) for item in found if "id" in item}


def measure(args, mode, target):
    """Per second: ns in the program, its runs, waits accounted and waits not walked."""
    command = [args.keelback, "sample", "--mode", mode, "-p", str(target.pid), "-v", "-f", "collapsed", "-o", "/dev/null"]
    others = programs(args.bpftool)
    sampler = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in sampler.stderr:
        if "keelback: sampling" in line:
            break
    time.sleep(0.3)
    own = max(set(programs(args.bpftool)) - set(others))
    before = programs(args.bpftool)[own], time.monotonic()
    time.sleep(args.seconds)
    after = programs(args.bpftool)[own], time.monotonic()
    sampler.send_signal(2)
    log = sampler.stderr.read()
    sampler.wait()
    seconds = after[1] - before[1]
    waits = re.search(r"(\d+) (?:samples and )?waits attempted", log)
    skipped = re.search(r"(\d+) waits_not_walked", log)
    everything = seconds + 0.35  # the log's figures are of the whole run
    return {
        "ns": (after[0][0] - before[0][0]) / seconds,
        "runs": (after[0][1] - before[0][1]) / seconds,
        "waits": int(waits[1]) / everything if waits else 0,
        "skipped": int(skipped[1]) / everything if skipped else 0,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keelback", default="build/keelback")
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()
    args.bpftool = BPFTOOL or sys.exit("switch_cost: no bpftool")
    enabled = STATISTICS.read_text()
    STATISTICS.write_text("1")
    idle = start(args.python, "idle", 1)
    try:
        for mode, kind, depth in CASES:
            load = start(args.python, kind, depth)
            beside, observed = measure(args, mode, idle), measure(args, mode, load)
            filtered = beside["ns"] / max(beside["runs"], 1)
            added = observed["ns"] - filtered * observed["runs"]
            print(
                f"{mode:8} {kind:5} {depth:3} frames: a switch of others {filtered:4.0f} ns; a wait {added / max(observed['waits'], 1):5.0f} ns"
                f" more, of {observed['waits']:6.0f} a second, {observed['skipped']:6.0f} of them not walked;"
                f" {observed['runs']:6.0f} switches, {observed['ns'] / 1e7:.2f} % of a CPU",
                flush=True,
            )
            load.kill()
    finally:
        idle.kill()
        STATISTICS.write_text(enabled)


if __name__ == "__main__":
    main()
