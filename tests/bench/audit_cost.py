# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What an audit event costs a program that is observed, beside hooks in C and in Python.

Programs that raise the same event in a loop, one for each way of observing, are told to do so by turns, so that
what the machine does meanwhile meets all of them. Needs a C compiler for the hook in C.
"""

import subprocess
import time

import bench_stats
from costs import Observer, Program

PYTHONS = ("pyenv-3.8", "debian-3.11", "pyenv-3.13", "sid-3.14")

HOOK = """
#include <stdint.h>
static volatile uint64_t n;
int hook(const char *event, void *args, void *data) { n++; return 0; }
"""

TARGET = """
import sys, time
kind, library = sys.argv[1], sys.argv[2]
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
    print(loop(int(line)), flush=True)
"""

# Name, and the options of keelback that observes it.
WAYS = {
    "nobody": None,
    "C hook": None,
    "Python hook": None,
    "Python hook, JSON": None,
    "keelback, another event": ["-e", "other.event"],
    "keelback `--summary`": ["-e", "bench.event", "--summary"],
    "keelback, text": ["-e", "bench.event"],
    "keelback `--stack`": ["-e", "bench.event", "--stack"],
}
SETTLE = 0.3  # seconds: what keelback has yet to write is not the next one's


def measure(bench, python, library, rounds, events):
    """{way: (ns for an event, keelback's ledger)}"""
    programs, observers = {}, {}
    try:
        for way, options in WAYS.items():
            programs[way] = Program(bench, python, TARGET, way, library)
            if options:
                observers[way] = Observer(bench, "audit", "-v", "-p", programs[way].pid, *options, "-o", "/dev/null")
        times = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way, program in programs.items():
                times[way].append(program.work(str(events)))
                if way in observers:
                    time.sleep(SETTLE)
        said = {way: observer.end() for way, observer in observers.items()}
    finally:
        for program in programs.values():
            program.end()
    return {way: (bench_stats.median_interval(values), said.get(way, "")) for way, values in times.items()}


def run(bench, setup, say):
    source, library = bench.tmp / "hook.c", bench.tmp / "hook.so"
    source.write_text(HOOK)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    found = {}
    for id in PYTHONS:
        # The root of another distribution may have an older C library: a counter needs none.
        found[id] = measure(bench, bench.pythons[id], library, setup["audit_rounds"], setup["audit_events"])
        for way, (ns, said) in found[id].items():
            say(f"audit, {id}, {way}: {ns.mean:.0f} ns [{ns.low:.0f}, {ns.high:.0f}] {said}")
    return found


def text(results, goals, table, interval):
    rows = []
    for way in WAYS:
        values = [results[id][way][0] for id in results]
        rows.append((way, *(f"{ns.mean:.0f} [{ns.low:.0f}, {ns.high:.0f}]" for ns in values)))
    return (
        "## Audit events\n\nns for one event with an int, a str and None, whoever looks; programs by turns, medians and their 95 % intervals."
        " keelback is on another CPU.\n\n" + table(("", *results), rows)
    )
