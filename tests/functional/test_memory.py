# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""keelback memory: compared with tracemalloc on the same programs."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import memory
from harness import once, per_python


def is_stripped(py):
    return "stripped" in py.traits


def keeps_functions(py):
    return not is_stripped(py)


def trace_attached(env, text, *options, frames=1):
    """Runs a program under tracemalloc and keelback at the same time; what both say."""
    gates = memory.Gates(env.tmp)
    program = env.py.script(memory.FRAME % text)
    target = env.py.popen([program], env=gates.environment(True, FRAMES=str(frames)))
    env.wait_line(target, "ready")
    gates.await_waiter(target.pid, 0)
    output = env.tmp + "/out.jsonl"
    keelback = memory.start_keelback(env, "-p", target.pid, "-f", "jsonl", "-o", output, *options)
    gates.open(0)
    gates.await_waiter(target.pid, 1)
    assert memory.end_keelback(keelback) == 0
    gates.open(1)
    assert target.wait(60) == 0
    return memory.Traced(output), gates.figures()


def check_identical(traced, figures):
    process, = traced.processes
    heap = process["heap"]
    assert process["exact"] and process["lost_blocks"] == 0 and process["unfinished"] == 0
    memory.print_differences(traced, figures)
    said = {"current": heap["current"], "peak": heap["peak"], "blocks": heap["blocks"]}
    assert said == {name: figures[name] for name in said}, f"{said}, tracemalloc {figures}"
    assert sum(row["bytes"] for row in traced.rows) == heap["current"]
    share = memory.agreement(traced.lines(), figures["lines"])
    assert share >= 0.99, f"{share:.2%} of the bytes agree by line"


@per_python(where=keeps_functions, timeout=240)
def test_exact_plain(env):
    check_identical(*trace_attached(env, memory.PLAIN))


@per_python(where=keeps_functions, timeout=240)
def test_exact_threads(env):
    check_identical(*trace_attached(env, memory.THREADS))


@per_python(where=keeps_functions, timeout=240)
def test_exact_realloc(env):
    check_identical(*trace_attached(env, memory.REALLOC))


@per_python(where=keeps_functions, timeout=240)
def test_exact_large(env):
    check_identical(*trace_attached(env, memory.LARGE))


def trace_launched(env, text, *options, **setting):
    """One run under tracemalloc and one under `keelback memory -- COMMAND`, of the same program."""
    gates = memory.Gates(env.temp_dir("alone"))
    program = env.py.script(memory.FRAME % text)
    target = env.py.popen([program], env=gates.environment(True, **setting))
    env.wait_line(target, "ready")
    gates.open(0)
    gates.open(1)
    assert target.wait(60) == 0
    figures = gates.figures()

    gates = memory.Gates(env.temp_dir("traced"))
    output = env.tmp + "/out.jsonl"
    keelback = memory.start_keelback(env, *options, "-f", "jsonl", "--value", "live", "-o", output, "--",
                                     *env.py.command([program]), env=gates.environment(False, DIE="1"))
    env.wait_line(keelback, "ready")
    gates.await_waiter(keelback.pid, 0)
    keelback.send_signal(signal.SIGUSR1)
    memory.await_words(env, "forgotten")
    gates.open(0)
    keelback.communicate(timeout=60)
    assert keelback.returncode == 128 + signal.SIGKILL
    return memory.Traced(output), figures


def check_nearly_identical(env, traced, figures, threads=0):
    """To the byte, but for what libc allocates for itself, which is malloc as well: for each thread that is new
    a table of thread-local storage, of 272 or 288 bytes."""
    own = threads * (272 if env.py.version == (3, 11) else 288)
    process, = traced.processes
    heap = process["heap"]
    assert process["exact"] and process["lost_blocks"] == process["unfinished"] == 0
    memory.print_differences(traced, figures)
    room = 0 if env.py.version == (3, 11) else 64
    for name in ("current", "peak"):
        assert abs(heap[name] - figures[name] - own) <= room, f"{name}: {heap}, tracemalloc {figures}"
    # The list that tracemalloc's own figures are put into is among them, if it is a new block.
    assert heap["blocks"] - figures["blocks"] - threads in (-1, 0), f"{heap}, tracemalloc {figures}"
    share = memory.agreement(traced.lines(), figures["lines"])
    assert share >= 0.99, f"{share:.2%} of the bytes agree by line"


@per_python(where=is_stripped, timeout=240)
def test_launched_plain(env):
    check_nearly_identical(env, *trace_launched(env, memory.PLAIN, "--exact", PYTHONMALLOC="malloc"))


@per_python(where=is_stripped, timeout=240)
def test_launched_threads(env):
    check_nearly_identical(env, *trace_launched(env, memory.THREADS, "--exact", PYTHONMALLOC="malloc"), threads=4)


@per_python(where=is_stripped, timeout=240)
def test_launched_realloc(env):
    check_nearly_identical(env, *trace_launched(env, memory.REALLOC, "--exact", PYTHONMALLOC="malloc"))


@per_python(where=is_stripped, timeout=240)
def test_launched_large(env):
    check_nearly_identical(env, *trace_launched(env, memory.LARGE, "--exact", PYTHONMALLOC="malloc"))


LOAD = '''
import sys, tracemalloc
snapshot = tracemalloc.Snapshot.load(sys.argv[1])
statistics = snapshot.statistics("lineno")
assert snapshot.statistics("traceback") and snapshot.statistics("filename", True)
filtered = snapshot.filter_traces([tracemalloc.Filter(True, "*target.py"), tracemalloc.Filter(False, "*", None, True, 77)])
print(sum(s.size for s in statistics), sum(s.count for s in statistics), len(snapshot.traces), len(filtered.traces))
snapshot.compare_to(snapshot, "lineno")
print(statistics[0].traceback, snapshot.traces[0].traceback.format()[0])
'''


@once(timeout=240)
def test_formats(env):
    """One recording in every format; every Python's tracemalloc opens the file that is made for it."""
    env.py = env.python("pyenv-3.8")
    gates = memory.Gates(env.tmp)
    target = env.py.popen([env.py.script(memory.FRAME % memory.PLAIN)], env=gates.environment(True))
    env.wait_line(target, "ready")
    gates.await_waiter(target.pid, 0)
    recording = env.tmp + "/a.kb"
    keelback = memory.start_keelback(env, "-p", target.pid, "-o", recording)
    gates.open(0)
    gates.await_waiter(target.pid, 1)
    assert memory.end_keelback(keelback) == 0
    gates.open(1)
    target.wait(60)
    figures = gates.figures()

    env.keelback("memory", "--load", recording, "-o", env.tmp + "/a.jsonl")
    check_identical(memory.Traced(env.tmp + "/a.jsonl"), figures)
    env.keelback("memory", "--load", recording, "-o", env.tmp + "/a.tracemalloc")
    for python in env.pythons:
        output = python.run([python.script(LOAD, "load.py"), env.tmp + "/a.tracemalloc"])
        size, blocks, traces, filtered = map(int, output.splitlines()[0].split())
        assert (size, blocks, traces) == (figures["current"], figures["blocks"], figures["blocks"]), output
        assert 0 < filtered <= traces
        assert "target.py" in output.splitlines()[1]

    def all_of(format, *options):
        return env.keelback("memory", "--load", recording, "-f", format, *options).stdout

    folded = all_of("collapsed").splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in folded) == figures["current"]
    folded = all_of("collapsed", "--blocks").splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in folded) == figures["blocks"]
    assert "<html" in all_of("flamegraph")
    table = all_of("table", "--group", "traceback", "--limit", "2")
    assert "Memory by stacks: alive" in table and "kept = work()" in table
    only = all_of("table", "--include", "*target.py:40", "--no-summary")
    assert len([line for line in only.splitlines() if "target.py" in line]) == 1, only
    assert "target.py" not in all_of("table", "--exclude", "*target.py", "--no-summary", "--limit", "0")
    cumulative = memory_rows(all_of("jsonl", "--cumulative"))
    work = [row for row in cumulative if row["function"] == "<module>" and "target.py" in row["file"]]
    assert max(row["bytes"] for row in work) > figures["current"] * 0.9, work
    compared = env.keelback("memory", "--load", recording, "--compare", recording).stdout
    assert f"In all {figures['current']} bytes in {figures['blocks']} blocks before" in compared
    assert "target.py" not in compared  # nothing has changed
    converted = env.keelback("convert", recording, "-f", "collapsed").stdout.splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in converted) == figures["current"]


def memory_rows(text):
    return [record for record in map(json.loads, text.splitlines()) if record["type"] == "row"]


@per_python(where=is_stripped, timeout=240)
def test_growth(env):
    """Of a heap that grows, lines get what tracemalloc says they have. Pools hold blocks of one size, and are
    counted whole, so a few more bytes are seen."""
    traced, figures = trace_launched(env, memory.GROWING)
    process, = traced.processes
    assert not process["exact"] and "growth" in process["way"]
    memory.print_differences(traced, figures)
    share = memory.agreement(traced.lines(), figures["lines"])
    assert share >= 0.95, f"{share:.2%} of the bytes agree by line"
    assert 0.95 < process["heap"]["current"] / figures["current"] < 1.25, (process, figures["current"])
