# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `keelback calls` costs a program for each call, beside cProfile, and whether windows hold their bound."""

import json

import costs
from costs import Observer, Program

PYTHON = "sid-3.14"
ENTRY_GOAL = 0.9  # µs a call
MEASURED_GOAL = 1.4
DUTY_GOAL = 2.0  # %

TARGET = """
import cProfile, sys, time

def leaf(x):
    return x

def leaves(n):
    for i in range(n):
        leaf(i)

def never():
    pass

def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def walk(n):
    if n:
        yield from walk(n - 1)
    yield n

class Item:
    def __init__(self, value):
        self.value = value
    def key(self):
        return self.value
    def weight(self, factor):
        return self.key() * factor

def mixed(n):
    for i in range(n):
        fib(6)
        sorted([Item(-j) for j in range(5)], key=Item.key)
        sum(item.weight(2) for item in map(Item, range(5)))
        list(walk(3))

def calls(function, n):
    # in each of its rounds
    def of(n):
        profile = cProfile.Profile(builtins=False)
        profile.runcall(globals()[function], n)
        return sum(entry.callcount for entry in profile.getstats() if not isinstance(entry.code, str))
    return (of(n) - of(0)) // n

def measure(function, n, per):
    function = globals()[function]
    clock = time.process_time_ns
    began = clock()
    function(n)
    return (clock() - began) / n / per

def profiled(function, n, per):
    profile = cProfile.Profile(builtins=False)
    profile.enable()
    try:
        return measure(function, n, per)
    finally:
        profile.disable()

def steady(seconds):
    # ns of processor time a call, over so long
    clock, end, n = time.process_time_ns, time.monotonic() + seconds, 0
    began = clock()
    while time.monotonic() < end:
        leaves(20000)
        n += 20000
    return (clock() - began) / n

print("ready", flush=True)
for line in sys.stdin:
    print(eval(line), flush=True)
"""

# Pieces of work, and how many calls are in each of their rounds: mixed is asked.
WORK = {"leaves": 100000, "mixed": 1000}

WAYS = {
    "`--time none`": ["--exact", "--time", "none"],
    "`--time sampled`": ["--exact"],
    "`--time measured`": ["--exact", "--time", "measured"],
    "`--time measured --clock cpu`": ["--exact", "--time", "measured", "--clock", "cpu"],
}


class Counted:
    """Measures a piece of work while keelback counts it, and sees to it that it did."""

    def __init__(self, bench, program, options, work, calls):
        self.bench, self.program, self.options, self.work, self.calls = bench, program, options, work, calls

    def __call__(self):
        output = self.bench.tmp / "calls.json"
        observer = Observer(self.bench, "calls", "-v", "-p", self.program.pid, *self.options, "-o", output)
        ns = self.program.work(self.work)
        observer.end()
        # What the program does around its work is among them.
        found = sum(function["ncalls"] for function in json.loads(output.read_text())["functions"])
        if not self.calls <= found <= self.calls + 10:
            raise RuntimeError(f"{found} calls counted of {self.calls}")
        return ns


def per_call(bench, rounds, say):
    """{(work, way): (ns that a call takes longer, ns of one without)}"""
    found = {}
    for name, n in WORK.items():
        program = Program(bench, bench.pythons[PYTHON], TARGET)
        try:
            per = program.work(f"calls({name!r}, 10)")
            work = f"({name!r}, {n}, {per!r})"
            ways = {way: Counted(bench, program, options, "measure" + work, n * per) for way, options in WAYS.items()}
            ways["cProfile"] = lambda: program.work("profiled" + work)
            pairs = costs.by_turns(rounds, lambda: program.work("measure" + work), ways)
        finally:
            program.end()
        for way, values in pairs.items():
            alone = sum(base for _, base in values) / len(values)
            found[name, way] = (costs.added(values), alone)
            say(f"calls, {name}, {way}: {found[name, way][0]} ns a call longer than {alone:.0f}")
    return found


def bounded(bench, rounds, seconds, say):
    """{way: percent by which a program of nothing but calls is slower}: windows, and a chosen function not called."""
    program = Program(bench, bench.pythons[PYTHON], TARGET)
    output = bench.tmp / "calls.json"

    def beside(*options):
        observer = Observer(bench, "calls", "-v", "-p", program.pid, *options, "-o", output)
        ns = program.work(f"steady({seconds})")
        observer.end()
        return ns

    ways = {
        "`--duty 2%`": lambda: beside("--duty", "2%"),
        "`--function` that is not called": lambda: beside("--function", "__main__:never"),
        "nothing": lambda: program.work(f"steady({seconds})"),
    }
    try:
        pairs = costs.by_turns(rounds, ways["nothing"], ways)
    finally:
        program.end()
    found = {way: costs.slower(values) for way, values in pairs.items()}
    for way, value in found.items():
        say(f"calls, {way}: {value} % slower")
    return found


def run(bench, setup, say):
    return {
        "calls": per_call(bench, setup["call_rounds"], say),
        "bounded": bounded(bench, setup["duty_rounds"], setup["duty_seconds"], say),
    }


def text(results, goals, table, interval):
    """The section of docs/BENCHMARKS.md."""
    rows = []
    for way in [*WAYS, "cProfile"]:
        row = [way]
        for name in WORK:
            value, alone = results["calls"][name, way]
            row += [interval(value), f"{alone:.0f}"]
        rows.append(row)
    for way, goal in (("`--time none`", ENTRY_GOAL), ("`--time sampled`", ENTRY_GOAL), ("`--time measured`", MEASURED_GOAL)):
        for name in WORK:
            goals.at_most(f"a call with {way}, {name}", results["calls"][name, way][0].mean / 1000, goal, "µs")
    bounds = results["bounded"]
    duty, chosen, nothing = (bounds[way] for way in ("`--duty 2%`", "`--function` that is not called", "nothing"))
    goals.at_most("slowdown with `--duty 2%`, a program of nothing but calls", duty.mean, DUTY_GOAL, "%")
    goals.add("slowdown by a chosen function that is not called", "interval has 0, or lies below", interval(chosen, " %"), chosen.low <= max(0, nothing.high))
    head = ["", "a call longer by, ns: tiny functions alone", "one without", "methods, recursion, generators", "one without"]
    return (
        f"## Calls\n\n`keelback calls` beside cProfile without builtins, on {PYTHON}: processor time of one program that works by turns"
        " without, with each of them, and again without; medians and their 95 % intervals. keelback is on another CPU,"
        " and its counts are checked.\n\n"
        + table(head, rows)
        + "\nA program of nothing but calls of a tiny function, for some seconds by turns; `nothing` compares it with itself.\n\n"
        + table(["", "slower by, %"], [(way, interval(value)) for way, value in bounds.items()])
    )
