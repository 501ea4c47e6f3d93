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
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))

import harness  # noqa: E402
from call_programs import EQUAL  # noqa: E402

RATE = 4000  # Hz
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


def observe(program, keelback, rounds, output):
    """Seconds in calls and in the loop, as keelback has them, and how many it has taken off those in calls."""
    command = [keelback, "calls", "-v", "--exact", "--clock", "cpu", "-r", str(RATE), "-p", str(program.process.pid)]
    counter = subprocess.Popen([*command, "-f", "json", "-o", output], stderr=subprocess.PIPE, text=True)
    while "counting" not in counter.stderr.readline():
        if counter.poll() is not None:
            sys.exit("call_times: keelback does not start")
    program.do(rounds)
    counter.send_signal(2)
    said = counter.communicate()[1]
    if counter.returncode:
        sys.exit(f"call_times: {said}")
    result = json.loads(Path(output).read_text())
    times = {function["name"]: function["cumtime"] for function in result["functions"]}
    taken_off = sum(entry["count"] for entry in result["ledger"] if entry["name"] == "aftermath") / RATE
    return times[program.name], times["loop"], taken_off


def share(calls, loop, true):
    """Per cent in calls, if the true times were equal."""
    ratio = calls / loop / (true[0] / true[1])
    return 100 * ratio / (1 + ratio)


def measure(py, script, name, args, output):
    """(cProfile, as sampled, less what was taken off)."""
    program = Program(py, script, name)
    try:
        before = program.do(args.rounds)
        calls, loop, taken_off = observe(program, args.keelback, args.rounds, output)
        true = [sum(both) for both in zip(before, program.do(args.rounds))]
        profiled = program.do(max(args.rounds // 4, 1), "cProfile")
        return share(*profiled, true), share(calls + taken_off, loop, true), share(calls, loop, true)
    finally:
        program.end()


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
        script = Path(directory, "target.py")
        script.write_text(EQUAL)
        for py in harness.load_matrix():
            if args.python and py.id not in args.python:
                continue
            for name in args.program or ["leaves"]:
                found = [measure(py, str(script), name, args, str(Path(directory, "calls.json"))) for _ in range(args.repeat)]
                cells = (" ".join(f"{value:.1f}" for value in column) + " % |" for column in zip(*found))
                print(f"| {py.id} | {name} |", *cells, flush=True)


if __name__ == "__main__":
    main()
