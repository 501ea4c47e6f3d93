# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Exact call statistics: the same counts that cProfile has, and what becomes of a program meanwhile."""

import json
import marshal
import subprocess
from pathlib import Path

from call_programs import COUNTED, PROGRAMS
from harness import clean_environment, per_python

# The order of sets must not make one run differ from another.
FIXED = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def read_stats(path):
    """What a pstats file has: calls by function, calls by (caller, function)."""
    functions, edges = {}, {}
    for function, (primitive, calls, _, _, callers) in marshal.loads(Path(path).read_bytes()).items():
        functions[function] = (calls, primitive)
        for caller, counts in callers.items():
            edges[caller, function] = counts[0]
    return functions, edges


def start_program(env, name):
    """The program after its two calls of work(): a line on stdin is for the third."""
    script = env.py.script(PROGRAMS[name] + COUNTED, f"work_{name}.py")
    target = env.py.popen([script], env={**clean_environment(), **FIXED}, stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    return target


def attach(env, target, *options):
    """keelback calls on it, once the probes are there."""
    counter = env.popen("calls", "-v", "-p", target.pid, *options, stderr=subprocess.STDOUT)
    env.wait_line(counter, "counting")
    return counter


def go_on(target):
    target.stdin.write("go\n")
    target.stdin.close()


def finish(counter, timeout=60):
    output, _ = counter.communicate(timeout=timeout)
    print(output)
    assert counter.returncode == 0, counter.returncode
    return output


def count_calls(env, name, *options):
    """(functions, edges) of one call of work(), as keelback counts them."""
    path = Path(env.tmp, "keelback.pstats")
    target = start_program(env, name)
    counter = attach(env, target, "--exact", "--time", "none", "-o", path, *options)
    go_on(target)
    finish(counter)
    functions, edges = read_stats(path)
    # The line that the program waited for.
    return ({key: value for key, value in functions.items() if key[2] != "decode" or "codecs" not in key[0]},
            {edge: calls for edge, calls in edges.items() if "codecs" not in edge[1][0]})


def profile_calls(env, name, *options):
    """The same by cProfile."""
    path = Path(env.tmp, "cprofile.json")
    script = env.py.script(PROGRAMS[name] + COUNTED, f"work_{name}.py")
    env.py.run([script, path, *options], env={**clean_environment(), **FIXED})
    functions, edges = json.loads(path.read_text())
    return ({tuple(json.loads(key)): tuple(value) for key, value in functions.items()},
            {tuple(map(tuple, json.loads(key))): value[0] for key, value in edges.items()})


def check_same(env, name, where, ours, theirs):
    differing = {key: (ours.get(key), theirs.get(key)) for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)}
    for key, (a, b) in sorted(differing.items(), key=str)[:20]:
        print(f"{name}: {where}: {key}: keelback {a}, cProfile {b}")
    return differing


AROUND = "main", "<module>", "runcall"  # what calls work()


def functions_of(name, functions):
    """Python functions that work() called."""
    if name == "threads":  # the rest is how threading waits, and who is profiled from where on
        return {key: value for key, value in functions.items() if key[2] in ("square", "helper", "worker")}
    return {key: value for key, value in functions.items() if key[0] != "~" and key[2] not in AROUND}


def edges_of(name, edges, theirs):
    """Pairs of Python functions, where cProfile names the caller that the interpreter's stack has."""
    # From 3.14 on cProfile always counts C functions, and names them as callers.
    by_c = {callee for caller, callee in theirs if caller[0] == "~"}
    # Thrown into through the generator that delegates to it, which cProfile has not seen begin.
    thrown = ("generator",) if name == "mix" else ()
    return {(caller, callee): calls for (caller, callee), calls in edges.items()
            if "~" not in (caller[0], callee[0]) and caller[2] not in AROUND and callee not in by_c
            and callee[2] not in thrown}


def compare(env, name):
    ours, our_edges = count_calls(env, name)
    theirs, their_edges = profile_calls(env, name)
    ours, theirs = functions_of(name, ours), functions_of(name, theirs)
    assert len(theirs) > 2
    functions = check_same(env, name, "calls", ours, theirs)
    if name == "threads":
        return functions, {}
    return functions, check_same(env, name, "edges", edges_of(name, our_edges, their_edges),
                                 edges_of(name, their_edges, their_edges))


def check_programs(env, compare):
    """All of them; compare: (functions, edges) that differ."""
    failed = {}
    for name in PROGRAMS:
        functions, edges = compare(env, name)
        if functions or edges:
            failed[name] = (len(functions), len(edges))
    assert not failed, failed


@per_python(timeout=180)
def test_counts_are_those_of_cprofile(env):
    check_programs(env, compare)
