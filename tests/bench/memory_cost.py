#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What tracing allocations costs: keelback memory beside tracemalloc (1 and 25 frames) and memray.

    sudo tests/bench/memory_cost.py [--pairs N] [--python ID] [--keelback PATH]

A program that does the same work again and again has a processor of its own; each tracer is switched on in it and off again,
and how fast it is with it is compared with how fast it was just before. Printed are medians of these pairs, with the
extremes. tracemalloc and memray are switched by the program itself, keelback attaches to it; of growth its first seconds,
in which it may see more, are left out; the first one stands in a row of its own. The exact way needs PYTHONMALLOC=malloc in builds that
have their allocator inlined, so there it is compared with the same program under that.
"""

import argparse
import mmap
import os
import signal
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "functional"))
import harness  # noqa: E402

WINDOW = 0.6  # s
GROWTH_WINDOW = 5  # growth pauses and goes on: some of both …
GROWTH_SETTLES = 9  # … when more events than that have come at the start
PROGRAMS = {"heavy": "allocation-heavy", "ordinary": "ordinary"}
# Name → the mode of targets/allocating.py.
OWN = {"tracemalloc, 1 frame": 1, "tracemalloc, 25 frames": 25, "memray": 100, "memray, Python's allocators": 101}
GOALS = {("keelback --growth", "heavy"): 15, ("keelback --growth", "ordinary"): 2}


class Target:
    def __init__(self, python, program, tmp, cpu, environment):
        self.path = Path(tmp, "shared")
        self.path.write_bytes(bytes(64))
        with open(self.path, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 64)
        python.tmp = str(tmp)
        script = python.script((HERE / "targets" / "allocating.py").read_text(), "allocating.py")
        self.process = python.popen([script, program, self.path], stdout=-3,
                                    env={**harness.clean_environment(), **environment})
        os.sched_setaffinity(self.process.pid, {cpu})
        while self.progress()[0] < 20:
            time.sleep(0.05)

    def progress(self):
        while True:  # until it is not written at the same time
            first, second = struct.unpack_from("QQ", self.shared), struct.unpack_from("QQ", self.shared)
            if first == second:
                return first

    def speed(self, seconds):
        """Units per second, of those that end within the window and the next one or two."""
        count, start = self.progress()
        time.sleep(seconds)
        while self.progress()[0] < count + 2:
            assert self.process.poll() is None
            time.sleep(0.01)
        after, end = self.progress()
        return (after - count) / (end - start) * 1e9

    def switch(self, mode):
        struct.pack_into("Q", self.shared, 16, mode)
        while struct.unpack_from("Q", self.shared, 24)[0] != mode:
            assert self.process.poll() is None
            time.sleep(0.01)
        time.sleep(0.1)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Keelback:
    """keelback memory, attached to a target."""

    def __init__(self, path, way, target, cpu):
        self.words = Path(target.path.parent, "words")
        with open(self.words, "w") as words:
            self.process = harness.start([path, "memory", "-v", way, "-p", target.process.pid, "-o", "/dev/null", "-f", "jsonl"],
                                         stderr=words)
        os.sched_setaffinity(self.process.pid, {cpu})
        while "tracing the memory of" not in self.words.read_text():
            assert self.process.poll() is None, self.words.read_text()
            time.sleep(0.02)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


def pairs_of(target, n, begin, end, window=WINDOW):
    """[slowdown in %] of n pairs."""
    slowdowns = []
    for _ in range(n):
        before = target.speed(window)
        with_it = begin()
        slowdowns.append(100 * (before / with_it - 1))
        end()
    return slowdowns


def of_own(target, mode, n):
    def begin():
        target.switch(mode)
        return target.speed(WINDOW)

    return pairs_of(target, n, begin, lambda: target.switch(0))


def of_keelback(target, keelback, way, cpu, n, settle, window=WINDOW):
    running = []

    def begin():
        running.append(Keelback(keelback, way, target, cpu))
        time.sleep(settle)
        return target.speed(window)

    def end():
        running.pop().end()
        time.sleep(0.2)

    return pairs_of(target, n, begin, end, window)


def measure(python, keelback, tmp, cpus, n, say):
    """{(contender, program): [slowdown in %]}."""
    ours, its = cpus[0], cpus[-1]
    results = {}
    stripped = "stripped" in python.traits
    for program, title in PROGRAMS.items():
        target = Target(python, program, tmp, its, {})
        for name, mode in OWN.items():
            if mode < 100 or Path(python.root, "usr/lib/python3/dist-packages/memray").exists():
                results[name, program] = of_own(target, mode, n)
        results["keelback --growth", program] = of_keelback(target, keelback, "--growth", ours, n, GROWTH_SETTLES, GROWTH_WINDOW)
        results["keelback --growth, first second", program] = of_keelback(target, keelback, "--growth", ours, n, 0, 0.8)
        if not stripped:
            results["keelback --exact", program] = of_keelback(target, keelback, "--exact", ours, n, 0.2)
        base = target.speed(2 * WINDOW)
        target.kill()
        if stripped:
            target = Target(python, program, tmp, its, {"PYTHONMALLOC": "malloc"})
            results["PYTHONMALLOC=malloc alone", program] = [100 * (base / target.speed(WINDOW) - 1) for _ in range(3)]
            results["keelback --exact", program] = of_keelback(target, keelback, "--exact", ours, n, 0.2)
            target.kill()
        for (name, of), values in results.items():
            if of == program:
                say(f"{python.id}, {title}: {name}: {summary(values)}")
    return results


def summary(values):
    return f"{statistics.median(values):.1f} % [{min(values):.1f}, {max(values):.1f}]"


def rows(results):
    """For a table: contender, and a cell for each program."""
    names = list(dict.fromkeys(name for name, _ in results))
    return [(name, *(summary(results[name, program]) if (name, program) in results else "–" for program in PROGRAMS))
            for name in names]


def goals(results):
    """(what, goal in %, measured in %)."""
    return [(f"slowdown by {name}, {PROGRAMS[program]} program", goal, statistics.median(results[name, program]))
            for (name, program), goal in GOALS.items() if (name, program) in results]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--python", default="sid-3.14")
    parser.add_argument("--keelback", default=str(harness.REPO / "build" / "keelback"))
    args = parser.parse_args()
    python = {python.id: python for python in harness.load_matrix()}[args.python]
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[0]})
    with tempfile.TemporaryDirectory(prefix="keelback-bench-") as tmp:
        results = measure(python, args.keelback, tmp, cpus, args.pairs, lambda text: print(text, flush=True))
    for row in rows(results):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
