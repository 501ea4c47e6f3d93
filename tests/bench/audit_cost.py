#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What an audit event costs a program that is observed, beside hooks in C and in Python.

usage: tests/bench/audit_cost.py [--keelback PATH] [--python PATH ...] [--rounds N] [--events N]
                                                                            (as root; docs/OVERHEAD.md)

Programs that raise the same event in a loop, one for each way of observing, are told to do so by turns, so that
what the machine does meanwhile meets all of them. Needs a C compiler for the hook in C.
"""

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOOK = """
#include <stdint.h>
static volatile uint64_t n;
int hook(const char *event, void *args, void *data) { n++; return 0; }
"""

TARGET = """
import sys, time
kind, library, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == "C hook":
    import ctypes
    ctypes.pythonapi.PySys_AddAuditHook(ctypes.CDLL(library).hook, None)
elif kind == "Python hook":
    seen = 0
    def hook(event, args):
        global seen
        seen += 1
    sys.addaudithook(hook)
elif kind == "Python hook, JSON":
    import json
    file = open("/dev/null", "w")
    def hook(event, args):
        if event == "bench.event":
            file.write(json.dumps([time.time_ns(), event, args]))
    sys.addaudithook(hook)
def loop(n, audit=sys.audit, clock=time.perf_counter_ns):
    start = clock()
    for i in range(n): audit("bench.event", i, "/some/path", None)
    return (clock() - start) / n
print("ready", flush=True)
for line in sys.stdin:
    print(loop(events), flush=True)
"""

# Name, and the options of keelback that observes it.
WAYS = [
    ("nobody", None),
    ("C hook", None),
    ("Python hook", None),
    ("Python hook, JSON", None),
    ("keelback, another event", ["-e", "other.event", "-o", "/dev/null"]),
    ("keelback --summary", ["-e", "bench.event", "--summary", "-o", "/dev/null"]),
    ("keelback, text", ["-e", "bench.event", "-o", "/dev/null"]),
    ("keelback --stack", ["-e", "bench.event", "--stack", "-o", "/dev/null"]),
]


class Program:
    """One of the programs, and the keelback that observes it."""

    def __init__(self, python, keelback, way, options, library, events):
        self.way, self.times, self.observer = way, [], None
        command = [python, "-c", TARGET, way, library, str(events)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        if options:
            command = [keelback, "audit", "-v", "-p", str(self.process.pid), *options]
            self.observer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            while "audit events of" not in self.observer.stderr.readline():
                if self.observer.poll() is not None:
                    sys.exit("audit_cost: keelback does not start")

    def round(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.times.append(float(self.process.stdout.readline()))
        if self.observer:
            time.sleep(0.3)  # what it has yet to write is not the next one's

    def end(self):
        """The last line of keelback, its ledger."""
        said = ""
        if self.observer:
            self.observer.send_signal(signal.SIGINT)
            said = self.observer.communicate()[1].strip().splitlines()[-1]
        self.process.kill()
        self.process.wait()
        return said


def measure(args, python, library):
    programs = [Program(python, args.keelback, way, options, library, args.events) for way, options in WAYS]
    try:
        for _ in range(args.rounds):
            for program in programs:
                program.round()
    finally:
        said = [program.end() for program in programs]
    version = subprocess.run([python, "-V"], stdout=subprocess.PIPE, text=True).stdout.strip()
    print(f"{version} ({python}), {args.events} events, median of {args.rounds} rounds")
    hook = statistics.median(programs[2].times)
    for program, line in zip(programs, said):
        ns = statistics.median(program.times)
        print(f"  {program.way:26} {ns:8.0f} ns  {ns / hook:5.2f} of a Python hook  {line.removeprefix('keelback: ')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keelback", default=str(Path(__file__).parents[2] / "build/keelback"))
    parser.add_argument("--python", action="append", help="may be given more than once; default: this one")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--events", type=int, default=20000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as directory:
        source, library = Path(directory, "hook.c"), Path(directory, "hook.so")
        source.write_text(HOOK)
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        for python in args.python or [sys.executable]:
            measure(args, python, str(library))


if __name__ == "__main__":
    main()
