# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Functions and lines chosen by name: exact counts, callers, latencies, and what else is said."""

import json
import subprocess
from pathlib import Path

from harness import once, per_python

# Each function counts itself. A line on stdin starts a round, whose counts are printed.
PROGRAM = '''
import functools, json, os, sys, threading, time

COUNTS = {}

def count(name):
    COUNTS[name] = COUNTS.get(name, 0) + 1

def plain(n):
    count("plain")
    if n:
        return n
    return None

class Thing:
    def __init__(self):
        self.made = plain(1)
    def method(self, n):
        count("method")
        return [plain(i) for i in range(n)]
    @staticmethod
    def static():
        count("static")
    @classmethod
    def of_class(cls):
        count("of_class")
    @property
    def double(self):
        count("double")
        return 2

def outer(n):
    def inner(i):
        count("inner")
        return lambda: i + n
    return [inner(i)() for i in range(n)]

def wrapping(function):
    @functools.wraps(function)
    def wrapper(*args):
        count("wrapper")
        return function(*args)
    return wrapper

@wrapping
def wrapped(n):
    count("wrapped")
    return n

def generator(n):
    count("generator")
    for i in range(n):
        yield i

def factorial(n):
    count("factorial")
    return n * factorial(n - 1) if n > 1 else 1

def fails(n):
    count("fails")
    if n % 2:
        raise ValueError(n)
    return n

def looping(n):
    total = 0
    for i in range(n):              # the loop
        if i % 3 == 0:
            total += i              # a third
        total += 1                  # each turn
    while total > n:                # the other loop
        total //= 2
    return total

def naps(seconds):
    time.sleep(seconds)

def in_thread(n):
    for i in range(n):
        plain(i)

def functions():
    for i in range(100):
        plain(i % 2)
    thing = Thing()
    for i in range(10):
        thing.method(i), outer(4), wrapped(i), list(generator(5))
        Thing.static(), Thing.of_class(), thing.double

def recursion():
    for i in range(20):
        factorial(i)
    for i in range(50):
        try:
            fails(i)
        except ValueError:
            pass

def lines():
    for i in range(7):
        looping(30)

def threads():
    started = [threading.Thread(target=in_thread, args=(200,)) for _ in range(4)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()

def latency():
    for i in range(30):
        naps(0.004)

def forks():
    for i in range(2):
        child = os.fork()
        if not child:
            for i in range(50):
                plain(i)
            os._exit(0)
        os.waitpid(child, 0)

print("ready", flush=True)
for line in sys.stdin:
    COUNTS.clear()
    globals()[line.strip()]()
    print(json.dumps(COUNTS), flush=True)
'''
SPLIT = PROGRAM.splitlines()


def line_of(mark):
    """The number of the line that ends with this comment."""
    return 1 + next(number for number, line in enumerate(SPLIT) if line.endswith("# " + mark))


def start(env):
    target = env.py.popen([env.py.script(PROGRAM)], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    return target


def do_round(target, name):
    target.stdin.write(name + "\n")
    target.stdin.flush()
    return json.loads(target.stdout.readline())


def count(env, target, name, *functions, options=()):
    """(keelback's JSON, the program's own counts) of a round while these functions are watched."""
    path = Path(env.tmp, "counts.json")
    chosen = [option for function in functions for option in ("--function", function)]
    counter = env.popen("calls", "-v", "-p", target.pid, *chosen, *options, "-o", path, stderr=subprocess.STDOUT)
    env.wait_line(counter, "counting")
    own = do_round(target, name)
    counter.send_signal(2)
    output, _ = counter.communicate(timeout=60)
    assert counter.returncode == 0, output
    found = json.loads(path.read_text())
    print(json.dumps(found["ledger"]))
    return found, own


def calls_of(found, name):
    return next((function for function in found["functions"] if function["name"] == name), None)


def check_counts(found, expected):
    counts = {function["name"]: function["ncalls"] for function in found["functions"]}
    assert counts == expected, (counts, expected)
    seen = {entry["name"]: entry["count"] for entry in found["ledger"]}
    assert seen["reported"] == sum(expected.values()), seen
    assert not [entry for entry in found["ledger"] if not entry["reported"] and not entry["note"]], found["ledger"]


@per_python(timeout=120)
def test_counts_are_the_programs_own(env):
    target = start(env)
    found, own = count(env, target, "functions", "__main__:plain", "__main__:Thing.method",
                       "__main__:outer.<locals>.inner", "__main__:generator")
    check_counts(found, {name: own[name] for name in ("plain", "method", "inner", "generator")})
    callers = {caller["name"]: caller["ncalls"] for caller in calls_of(found, "plain")["callers"]}
    by_method = "method" if env.py.version >= (3, 12) else "<listcomp>"
    assert callers == {"functions": 100, "__init__": 1, by_method: sum(range(10))}, callers

    # All wrappers are looked through; a second look finds the same process as before.
    found, own = count(env, target, "functions", "__main__:Thing.static", "__main__:Thing.of_class",
                       "__main__:Thing.double", "__main__:wrapped", options=("--time", "none"))
    assert {chosen["remark"] for chosen in found["chosen"]} == {"times were not asked for"}, found["chosen"]
    check_counts(found, {name: own[name] for name in ("static", "of_class", "double", "wrapped")})
    assert calls_of(found, "wrapped")["callers"][0]["name"] == "wrapper"


@per_python(timeout=120)
def test_recursion_and_exceptions(env):
    target = start(env)
    found, own = count(env, target, "recursion", "__main__:factorial")
    check_counts(found, {"factorial": own["factorial"]})
    assert calls_of(found, "factorial")["primitive"] == 20, calls_of(found, "factorial")
    callers = {caller["name"]: caller["ncalls"] for caller in calls_of(found, "factorial")["callers"]}
    assert callers == {"recursion": 20, "factorial": own["factorial"] - 20}, callers
    assert found["chosen"][0]["n"] == own["factorial"], found["chosen"]
    # Half of the calls have no return.
    found, own = count(env, target, "recursion", "__main__:fails")
    check_counts(found, {"fails": own["fails"]})
    assert found["chosen"][0]["n"] == 25, found["chosen"]


@per_python(timeout=120)
def test_lines(env):
    target, turns = start(env), 7 * 30
    file = "target.py"
    found, _ = count(env, target, "lines", f"{file}:{line_of('each turn')}", f"{file}:{line_of('a third')}")
    assert {(function["line"], function["ncalls"]) for function in found["functions"]} == {
        (line_of("each turn"), turns), (line_of("a third"), turns // 3)}, found["functions"]
    # As settrace() counts them: once for each turn, and once for its end.
    found, _ = count(env, target, "lines", f"{file}:{line_of('the loop')}")
    assert found["functions"][0]["ncalls"] == turns + 7, found["functions"]
    # A function's first line is the function.
    found, own = count(env, target, "functions", f"{file}:{1 + SPLIT.index('def plain(n):')}")
    check_counts(found, {"plain": own["plain"]})


@per_python(timeout=120)
def test_threads_and_latencies(env):
    target = start(env)
    found, _ = count(env, target, "threads", "__main__:plain")  # which threads do not count together
    check_counts(found, {"plain": 800})

    found, _ = count(env, target, "latency", "__main__:naps")
    chosen = found["chosen"][0]
    assert chosen["n"] == sum(bucket["count"] for bucket in chosen["buckets"]) == 30, chosen
    # A sleep takes no less than it should, and only a machine that stands still doubles most of them.
    assert all(bucket["to"] > 0.004 for bucket in chosen["buckets"]), chosen
    assert 0.0036 < chosen["p50"] < 0.008 and chosen["p50"] <= chosen["p90"] <= chosen["p99"], chosen
    assert abs(calls_of(found, "naps")["cumtime"] - chosen["mean"] * 30) < 1e-6, chosen


@per_python(timeout=120)
def test_children(env):
    found, _ = count(env, start(env), "forks", "__main__:plain", options=("--children",))
    check_counts(found, {"plain": 100})


LATE = '''
def late(n):
    return n
'''
IMPORTS = '''
import sys
sys.path.insert(0, {directory!r})
sys.stdin.readline()
import later
sys.stdin.readline()
for i in range(123):
    later.late(i)
'''


@per_python(timeout=120)
def test_command_imports_later(env):
    env.py.script(LATE, "later.py")
    script = env.py.script(IMPORTS.format(directory=env.tmp), "imports.py")
    counter = env.popen("calls", "-vv", "--function", "later:late", "-f", "json", "-o", Path(env.tmp, "counts.json"), "--",
                        *env.py.command([script]), stdin=subprocess.PIPE, stderr=subprocess.STDOUT)
    counter.stdin.write("import\n")
    counter.stdin.flush()
    env.wait_line(counter, "later:late is watched")
    counter.stdin.write("call\n")
    counter.stdin.close()
    counter.stdin = None
    output, _ = counter.communicate(timeout=60)
    assert counter.returncode == 0, output
    found = json.loads(Path(env.tmp, "counts.json").read_text())
    check_counts(found, {"late": 123})
    assert [entry for entry in found["ledger"] if entry["name"] == "chosen_late"], found["ledger"]


@per_python(where=lambda py: py.version in ((3, 6), (3, 10), (3, 14)), timeout=120)
def test_what_is_not_there(env):
    target = start(env)
    for name, text in (("__main__:plan", "did you mean 'plain'?"), ("__man__:plain", "did you mean '__main__'?"),
                       ("__main__:Thing.metod", "did you mean 'method'?"), ("__main__:Thing", "choose a method"),
                       ("__main__:outer.<locals>.none", "defines no 'none'"), ("__main__:COUNTS", "no Python function"),
                       ("nowhere.py:12", "no code of a file 'nowhere.py'"), ("target.py:3", "functions begin at")):
        done = env.keelback("calls", "-p", target.pid, "--function", name, check=False)
        assert done.returncode == 1, (name, done.returncode)
        assert text in done.stderr and done.stderr.count("\n") == 1, done.stderr


@once
def test_wrong_usage(env):
    five = [option for number in range(5) for option in ("--function", f"__main__:f{number}")]
    for options, text in ((five, "at most 4"), (("--function", "work"), "neither MODULE:FUNCTION"),
                          (("--function", "x.py:0"), "counted from 1"), (("--function", "a:b", "--duty", "2%"), "only --time none goes with it")):
        done = env.keelback("calls", "-p", 1, *options, check=False)
        assert done.returncode == 2 and text in done.stderr, done.stderr
