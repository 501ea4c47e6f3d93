# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `keelback calls --function` costs: each call of the chosen function, and everything else.

A program times calls of two functions on its own processor clock. While one of them is watched, its rounds say what a
hit costs, and those of the other one whether anything else becomes slower.
"""

import json

import costs
from costs import Observer, Program

PYTHONS = ("debian-3.11", "sid-3.14")
CALLS = {"hit": 2000, "other": 1000000}

TARGET = """
import sys, time

def hit(n):
    return n

def other(n):
    return n

def rounds(function, n):
    clock = time.process_time_ns
    began = clock()
    for i in range(n):
        function(i)
    return (clock() - began) / n

print("ready", flush=True)
for line in sys.stdin:
    print(eval(line), flush=True)
"""


def measure(bench, python, rounds):
    """{what: [(ns a call while it is watched, without)]}"""
    program, output = Program(bench, python, TARGET), bench.tmp / "functions.json"
    work = {name: f"rounds({name}, {n})" for name, n in CALLS.items()}

    def watched(name, *options):
        observer = Observer(bench, "calls", "-v", "-p", program.pid, "--function", "__main__:hit", *options, "-o", output)
        ns = program.work(work[name])
        observer.end()
        counted = json.loads(output.read_text())["functions"][0]["ncalls"]
        if counted != (CALLS["hit"] if name == "hit" else 0):
            raise RuntimeError(f"{counted} calls counted of {name}")
        return ns

    try:
        hit = {"a call of it": lambda: watched("hit"), "the same with `--time none`": lambda: watched("hit", "--time", "none")}
        found = costs.by_turns(rounds, lambda: program.work(work["hit"]), hit)
        other = {"a call of another function": lambda: watched("other")}
        return {**found, **costs.by_turns(rounds, lambda: program.work(work["other"]), other)}
    finally:
        program.end()


def run(bench, setup, say):
    found = {}
    for id in PYTHONS:
        pairs = measure(bench, bench.pythons[id], setup["function_rounds"])
        for what, values in pairs.items():
            found[id, what] = costs.added(values), costs.slower(values)
            say(f"functions, {id}, {what}: {found[id, what][0]} ns longer")
    return found


def text(results, goals, table, interval):
    rows = []
    for (id, what), (ns, percent) in results.items():
        rows.append((id, what, interval(ns), interval(percent) if percent.mean < 100 else "–"))
        if "another" in what:
            goals.add(f"slowdown of other functions on {id}", "interval has 0, or lies below", interval(percent, " %"), percent.low <= 0)
    return (
        "## Chosen functions\n\nWhat `keelback calls --function` adds to calls of a function that does nothing, in processor time;"
        " by turns without and with it, medians and their 95 % intervals.\n\n"
        + table(("interpreter", "", "longer by, ns", "slower by, %"), rows)
    )
