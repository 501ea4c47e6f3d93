#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Are the sampled times of `keelback calls` true? The share of calls in a program where it should be half.

usage: tests/bench/call_times.py [--keelback PATH] [--python ID ...] [--program NAME ...] [--rounds N]
                                                                            (as root; docs/OVERHEAD.md)

Each program runs something that calls a lot, and a loop that calls nothing, by turns. Before and after it is
observed it times both itself, which is what is true; what the profilers say is printed as it would be if that were
50 %. Times are processor time.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))

import harness  # noqa: E402

TARGET = '''
import sys, time
clock = time.process_time

def leaf(x):
    return x

class Thing:
    def method(self, a, b, c):
        self.total = a + b
        return c

thing = Thing()

def generator(n):
    for i in range(n):
        yield i

def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def longer(n):
    total = 0
    for i in range(12):
        total += n & i
    return total

def leaves():
    for i in range(20000): leaf(i)

def methods():
    t = thing
    for i in range(20000): t.method(i, 1, 2)

def resumptions():
    for i in generator(20000): pass

def recursion():
    for i in range(20): fib(14)

def longer_calls():
    for i in range(5000): longer(i)

def loop():
    s = 0
    for i in range(turns): s += i

def both(n):
    totals = [0, 0]
    for i in range(n):
        began = clock()
        calls()
        between = clock()
        loop()
        totals[0] += between - began
        totals[1] += clock() - between
    return totals

calls, turns = globals()[sys.argv[1]], 20000
for i in range(4):
    mine, its = both(30)
    turns = int(turns * mine / its)
print("ready", flush=True)
for line in sys.stdin:
    how, n = line.split()
    if how == "cProfile":
        import cProfile, pstats
        profile = cProfile.Profile()
        profile.runcall(both, int(n))
        times = {name: row[3] for (_, _, name), row in pstats.Stats(profile).stats.items()}
        print(times[sys.argv[1]], times["loop"], flush=True)
    else:
        print(*both(int(n)), flush=True)
'''
PROGRAMS = "leaves", "methods", "resumptions", "recursion", "longer_calls"


class Program:
    def __init__(self, py, script, name):
        self.process = py.popen([script, name], stdin=subprocess.PIPE)
        self.name = name
        self.process.stdout.readline()

    def do(self, rounds, how="run"):
        """Seconds in calls and in the loop."""
        self.process.stdin.write(f"{how} {rounds}\n")
        self.process.stdin.flush()
        return tuple(map(float, self.process.stdout.readline().split()))

    def end(self):
        self.process.kill()
        self.process.wait()


def observe(program, keelback, rounds, output, *options):
    """Seconds in calls and in the loop, as keelback has them."""
    command = [keelback, "calls", "-v", "--exact", "--clock", "cpu", "-r", "4000", "-p", str(program.process.pid), *options]
    counter = subprocess.Popen([*command, "-f", "json", "-o", output], stderr=subprocess.PIPE, text=True)
    while "counting" not in counter.stderr.readline():
        if counter.poll() is not None:
            sys.exit("call_times: keelback does not start")
    program.do(rounds)
    counter.send_signal(2)
    said = counter.communicate()[1]
    if counter.returncode:
        sys.exit(f"call_times: {said}")
    times = {function["name"]: function["cumtime"] for function in json.loads(Path(output).read_text())["functions"]}
    return times[program.name], times["loop"]


def share(of, true):
    """Per cent in calls, if the true times were equal."""
    ratio = of[0] / of[1] / (true[0] / true[1])
    return 100 * ratio / (1 + ratio)


def measure(py, name, args, directory):
    """(cProfile, as sampled, as corrected), each the median of the repetitions."""
    script = Path(directory, "target.py")
    script.write_text(TARGET)
    output = str(Path(directory, "calls.json"))
    found = []
    for _ in range(args.repeat):
        program = Program(py, str(script), name)
        try:
            row = []
            for options in (("--as-sampled",), ()):
                before = program.do(args.rounds)
                seen = observe(program, args.keelback, args.rounds, output, *options)
                after = program.do(args.rounds)
                row.append(share(seen, (before[0] + after[0], before[1] + after[1])))
            found.append((share(program.do(max(args.rounds // 4, 1), "cProfile"), program.do(args.rounds)), *row))
        finally:
            program.end()
    return tuple(statistics.median(column) for column in zip(*found))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keelback", default=str(Path(__file__).parents[2] / "build/keelback"))
    parser.add_argument("--python", action="append", help="of scripts/python-matrix.sh list; may be given more than once; default: all")
    parser.add_argument("--program", action="append", choices=PROGRAMS, help="may be given more than once; default: leaves")
    parser.add_argument("--rounds", type=int, default=200, help="of 20,000 calls")
    parser.add_argument("--repeat", type=int, default=1)
    args = parser.parse_args()
    print("| | program | cProfile | as sampled | keelback calls |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as directory:
        Path(directory).chmod(0o755)
        for py in harness.load_matrix():
            if args.python and py.id not in args.python:
                continue
            for name in args.program or ["leaves"]:
                shares = measure(py, name, args, directory)
                print(f"| {py.id} | {name} |", *(f"{value:.1f} % |" for value in shares), flush=True)


if __name__ == "__main__":
    main()
