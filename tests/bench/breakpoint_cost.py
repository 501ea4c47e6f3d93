#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `keelback calls --function` costs: each call of the chosen function, and everything else.

usage: tests/bench/breakpoint_cost.py [--keelback PATH] [--python PATH] [--rounds N]      (as root; docs/OVERHEAD.md)

A program times rounds of calls of two functions, on its own processor clock. While one of them is watched, its rounds say what a hit costs, and
those of the other one whether anything else becomes slower. Rounds with and without alternate, so that what else the
machine does falls on both; shown are medians, and for what is not hit the quartiles of the ratio of neighbours.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
CALLS = {"hit": 2000, "other": 1000000}

TARGET = """
import sys, time

def hit(n):
    return n

def other(n):
    return n

def rounds(function, n):
    clock = time.process_time
    began = clock()
    for i in range(n):
        function(i)
    return (clock() - began) / n * 1e9

print("ready", flush=True)
for line in sys.stdin:
    name, n = line.split()
    print(rounds(globals()[name], int(n)), flush=True)
"""


def start_counter(keelback, pid, output):
    """keelback, once it watches."""
    counter = subprocess.Popen([keelback, "calls", "-v", "-p", str(pid), "--function", "__main__:hit", "-f", "json", "-o", output],
                               stderr=subprocess.PIPE, text=True)
    for line in counter.stderr:
        if "counting" in line:
            return counter
    sys.exit(f"breakpoint_cost: keelback ended with status {counter.wait()}")


def measure(target, name):
    """ns per call in one round."""
    target.stdin.write(f"{name} {CALLS[name]}\n")
    target.stdin.flush()
    return float(target.stdout.readline())


def compare(args, target, output):
    """{(function, watched): [ns per call]}"""
    times = {(name, watched): [] for name in CALLS for watched in (False, True)}
    for _ in range(args.rounds):
        for watched in (False, True):
            counter = start_counter(args.keelback, target.pid, output) if watched else None
            for name in CALLS:
                times[name, watched].append(measure(target, name))
            if counter:
                counter.send_signal(signal.SIGINT)
                counter.communicate()
                found = json.loads(Path(output).read_text())["functions"][0]["ncalls"]
                assert found == CALLS["hit"], found
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keelback", default=REPO / "build" / "keelback")
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    if os.geteuid():
        sys.exit("breakpoint_cost: needs root")
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "target.py")
        script.write_text(TARGET)
        with subprocess.Popen([args.python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as target:
            target.stdout.readline()
            times = compare(args, target, Path(directory, "counts.json"))
            target.stdin.close()
    for name in CALLS:
        without, watched = (statistics.median(times[name, key]) for key in (False, True))
        print(f"{name}: {without:.1f} ns a call, {watched:.1f} while `hit` is watched")
    ratios = sorted(b / a for a, b in zip(times["other", False], times["other", True]))
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"other: slower by {100 * (middle - 1):+.2f} % (quartiles {100 * (low - 1):+.2f} to {100 * (high - 1):+.2f} %)")


main()
