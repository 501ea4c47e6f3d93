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
    recording, figures = memory.record(env)
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
    assert env.keelback("convert", recording).stdout == env.keelback("memory", "--load", recording).stdout
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


# A server that keeps something of every request, at one line, and much more that it lets go.
SERVER = '''
import json, socketserver, sys, threading, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
log = []

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "numbers": list(range(300))}).encode()
        log.append("request %s of a client" % self.path * 400)  # the leak
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
thread = threading.Thread(target=server.serve_forever)
thread.daemon = True
thread.start()
print("ready", flush=True)
n = 0
while True:
    urllib.request.urlopen("http://127.0.0.1:%d/%d" % (server.server_address[1], n)).read()
    n += 1
'''
LEAK_LINE = 9


@per_python(where=lambda py: py.id in ("pyenv-3.8", "debian-3.11", "sid-3.14"), timeout=120)
def test_leak(env):
    """The leak of a running server is the first line of the report."""
    target = env.py.popen([env.py.script(SERVER)])
    env.wait_line(target, "ready")
    out = env.keelback("memory", "-p", target.pid, "-d", 6, "--leaks", "--limit", "3").stdout
    rows = out.splitlines()[2:]
    assert f"target.py:{LEAK_LINE} " in rows[0], out
    assert "exact" in out if keeps_functions(env.py) else "estimate of growth" in out
    assert target.poll() is None


@once
def test_limits(env):
    """A table that is full is said, and what is not followed is in no figure but the total."""
    env.py = env.python("pyenv-3.11")
    program = env.py.script("kept = [bytearray(50) for i in range(20000)]\nimport os\nos.kill(os.getpid(), 9)\n")
    done = env.keelback("memory", "-f", "jsonl", "--value", "live", "--live-max", 5000, "-o", env.tmp + "/x", "--",
                        env.py.path, program, check=False)
    assert done.returncode == 128 + signal.SIGKILL
    traced = memory.Traced(env.tmp + "/x")
    process, = traced.processes
    heap = process["heap"]
    assert process["lost_blocks"] > 30000 and traced.ledger["blocks_full"] == process["lost_blocks"]
    assert heap["blocks"] <= 5000 and sum(row["bytes"] for row in traced.rows) == heap["current"]
    # Every block is in the total.
    assert sum(row["total_blocks"] for row in traced.rows) <= heap["total_blocks"]
    done = env.keelback("memory", "--live-max", 5000, "--", env.py.path, "-c", "x = [[] for i in range(9000)]")
    assert "incomplete:" in done.stdout and "--live-max" in done.stdout


FORK = '''
import os, sys
kept = [bytearray(1000) for i in range(3000)]
pid = os.fork()
if not pid:
    sys.stdin.readline()
    del kept
    mine = [bytes(5000 + i) for i in range(100)]
    print("child", os.getpid(), flush=True)
    os.kill(os.getpid(), 9)
print("forked", flush=True)
os.waitpid(pid, 0)
os.kill(os.getpid(), 9)
'''


@per_python(where=lambda py: py.id in ("pyenv-3.8", "pyenv-3.13", "debian-3.11", "sid-3.14"))
def test_fork(env):
    """What a child frees of its parent's is subtracted from nobody; what it allocates is its own."""
    process = env.popen("memory", "-f", "jsonl", "--value", "live", "-o", env.tmp + "/x", "--",
                        *env.py.command([env.py.script(FORK)]), stdin=subprocess.PIPE)
    env.wait_line(process, "forked")
    time.sleep(0.5)  # probes come to the child when keelback has heard of it
    process.stdin.write("\n")
    process.stdin.flush()
    process.communicate(timeout=60)
    traced = memory.Traced(env.tmp + "/x")
    parent, child = sorted(traced.processes, key=lambda process: -process["heap"]["current"])
    assert parent["heap"]["current"] > 3000 * 1000
    assert child["pid"] != parent["pid"]
    assert child["attached_ns"] > 0
    assert 100 * 5000 < child["heap"]["current"] < 1000 * 1000, child
    # Each bytearray is an object and a buffer; of growth only the buffer is seen.
    assert child["frees_before"] > (5000 if child["exact"] else 2900), child
    assert traced.ledger["freed_before"] >= child["frees_before"]


WAITING = '''
import os, sys, time
pool = []
def allocate():
    pool.append(bytearray(12345))
    return pool[-1]
print("ready", flush=True)
for line in sys.stdin:
    for i in range(int(line)):
        allocate()
    print("done", hex(id(pool[-1])), flush=True)
'''


@per_python(where=lambda py: py.id in ("pyenv-3.6", "pyenv-3.12"))
def test_requests(env):
    """SIGUSR1 forgets, SIGUSR2 resets the peak, --address shows where one block came from."""
    target = env.py.popen([env.py.script(WAITING)], stdin=subprocess.PIPE)

    def ask(n):
        target.stdin.write(f"{n}\n")
        target.stdin.flush()
        return int(env.wait_line(target, "done").split()[1], 0)

    env.wait_line(target, "ready")
    keelback = memory.start_keelback(env, "-p", target.pid, "-f", "jsonl", "-o", env.tmp + "/x")
    ask(100)
    keelback.send_signal(signal.SIGUSR1)
    memory.await_words(env, "forgotten")
    ask(10)
    assert memory.end_keelback(keelback) == 0
    heap = memory.Traced(env.tmp + "/x").processes[0]["heap"]
    assert 10 * 12345 < heap["current"] < 12 * 12345, heap

    keelback = env.popen("memory", "-v", "-p", target.pid, "--address", "0x10", stderr=subprocess.PIPE)
    time.sleep(1)
    address = ask(1)
    keelback.send_signal(signal.SIGINT)
    _, words = keelback.communicate(timeout=60)
    assert keelback.returncode == 1 and "no live block with 0x10" in words, words
    # With --when it ends by itself; the object's own block begins before its id where it is tracked.
    done = env.keelback("memory", "-p", target.pid, "-d", 60, "--when", "rss>1M")
    assert "current" in done.stdout and "rss>1M holds" in done.stderr
    assert address


@per_python(where=lambda py: py.id in ("pyenv-3.9", "debian-3.11"))
def test_killed(env):
    """When keelback is killed nothing is left in the target, which runs on."""
    target = env.py.popen([env.py.script(WAITING)], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    for _ in range(2):
        keelback = memory.start_keelback(env, "-p", target.pid)
        keelback.kill()
        keelback.wait()
        target.stdin.write("1000\n")
        target.stdin.flush()
        env.wait_line(target, "done")
    target.stdin.close()
    assert target.wait(20) == 0


@per_python(where=lambda py: py.id in ("pyenv-3.7", "pyenv-3.13"))
def test_debug_hooks(env):
    """Under -X dev blocks have other addresses within; the figures stay what the program asked for."""
    environment = dict(os.environ, PYTHONMALLOC="debug")
    target = env.py.popen([env.py.script(WAITING)], stdin=subprocess.PIPE, env=environment)
    env.wait_line(target, "ready")
    keelback = memory.start_keelback(env, "-p", target.pid, "-f", "jsonl", "-o", env.tmp + "/x")
    target.stdin.write("300\n")
    target.stdin.flush()
    env.wait_line(target, "done")
    assert memory.end_keelback(keelback) == 0
    traced = memory.Traced(env.tmp + "/x")
    process, = traced.processes
    line = [row for row in traced.rows if row["function"] == "allocate" and row["bytes"] > 10000]
    assert 300 * 12346 <= sum(row["bytes"] for row in line) < 303 * 12346, line
    assert process["frees"] > 0 and process["unfinished"] == 0


@once
def test_refused(env):
    """What cannot be exact is refused, not estimated."""
    target = env.python("debian-3.11").popen(["-c", "print('ready', flush=True); input()"], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    done = env.keelback("memory", "--exact", "-p", target.pid, check=False)
    assert done.returncode == 4 and "PYTHONMALLOC=malloc from its start" in done.stderr, done.stderr
