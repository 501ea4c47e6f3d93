# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Programs whose memory tracemalloc measures while keelback traces it, and what both say.

The program waits at two gates, in flock(), which allocates nothing. At the first keelback begins and the
program, when it is let on, has tracemalloc forget everything; at the second both have their figures.
"""

import collections
import fcntl
import json
import os
import pathlib
import signal
import time

FRAME = '''
import array, fcntl, gc, json, os, sys, threading
import tracemalloc, _tracemalloc
TRACE = os.environ["TRACE"] == "1"
if TRACE:
    clear, measure = tracemalloc.clear_traces, tracemalloc.get_traced_memory
    tracemalloc.start(int(os.environ.get("FRAMES", "1")))
else:
    def clear(): pass
    def measure(): return figures[0], figures[1]
fds = [os.open(os.environ["GATE"] + str(i), os.O_RDWR) for i in range(2)]
figures = array.array("Q", [0, 0])

def gate(i):
    fcntl.flock(fds[i], fcntl.LOCK_EX)
    fcntl.flock(fds[i], fcntl.LOCK_UN)

%s

def measured():
    figures[0], figures[1] = measure()

# Once for nothing, so that caches and free lists are filled.
gc.disable()
for fd in range(3):
    clear()
    measured()
pid, kill = os.getpid(), os.kill
gc.collect()  # empties free lists
os.write(1, b"ready\\n")
gate(0)
clear()
kept = work()
while len(os.listdir("/proc/self/task")) > 1:  # a joined thread frees its state a little later
    pass
spike = bytearray(1 << 20)  # the peak is here, and not within measuring it
del spike
measured()
measured()  # what the first one left in free lists is in both figures now
if not TRACE and os.environ.get("DIE"):
    kill(pid, 9)  # what is alive now is all that there will be
gate(1)
if TRACE:
    traces = _tracemalloc._get_traces()  # take_snapshot() would allocate a frame
    tracemalloc.stop()
    lines = {}
    for trace in traces:
        key = "%%s:%%d" %% trace[2][0]
        size, count = lines.get(key, (0, 0))
        lines[key] = size + trace[1], count + 1
    with open(os.environ["GATE"] + "figures", "w") as file:
        json.dump({"current": figures[0], "peak": figures[1], "blocks": len(traces), "lines": lines}, file)
'''

PLAIN = '''
class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

def tree(depth):
    if not depth:
        return [depth]
    return {"left": tree(depth - 1),
            "right": tree(depth - 1),
            "name": "node %d" % depth}

def work():
    kept = []
    for i in range(300):
        kept.append(Point(i * 1000, float(i)))
    kept.append(tree(6))
    gone = [str(i) * 10 for i in range(500)]
    kept.append(set(gone[:50]))
    del gone
    kept.append({i: "value %d" % i for i in range(200)})
    kept.append("x" * 200000)
    return kept
'''

# Four threads that take turns, so that what they do is the same in every run.
THREADS = '''
import _thread

def fill(kept, own, following):
    for i in range(200):
        if i % 10 == 0:
            own.acquire()
        kept.append("%d-%d" % (i, i * 1000))
        kept.append(bytearray(i % 700))
        temporary = [j for j in range(1000, 1000 + i % 30)]
        if i % 10 == 9:
            following.release()

def work():
    lists = [[] for i in range(4)]
    turns = [_thread.allocate_lock() for i in range(4)]
    for turn in turns:
        turn.acquire()
    for i in range(4):
        _thread.start_new_thread(fill, (lists[i], turns[i], turns[(i + 1) % 4]))
    turns[0].release()
    while len(os.listdir("/proc/self/task")) > 1:
        pass
    return lists
'''

REALLOC = '''
def grow(n):
    one = []
    for i in range(n):
        one.append(b"ab" * (1 + i % 9))
    while len(one) > n // 3:
        one.pop()
    return one

def buffers():
    data = bytearray()
    for i in range(300):
        data.extend(b"0123456789" * 7)
    del data[500:]
    return data

def text():
    result = ""
    for i in range(300):
        result += "abc %d " % i
    return result

def work():
    return [grow(n) for n in (10, 100, 3000)] + [buffers() for i in range(5)] + [text()]
'''

LARGE = '''
import mmap

def work():
    kept = []
    for i in range(20):
        kept.append(bytearray(200000 + i))
        kept.append(array.array("d", [0.0] * 3000))
        kept.append(bytes(70000))
    kept.append(mmap.mmap(-1, 1 << 20))
    numbers = array.array("q")
    for i in range(3000):
        numbers.append(i)
    kept.append(numbers)
    del kept[3:9]
    return kept
'''

# A heap that only grows, at several places. Sizes vary: where several lines take turns with blocks of one size,
# it may be always the same one that meets a full pool.
GROWING = '''
class Node:
    def __init__(self, i):
        self.name = "n" * (i * 7919 % 150)
        self.links = [i] * (i * 104729 % 23)

def nodes(n):
    return [Node(i) for i in range(n)]

def numbers(n):
    return {i: float(i) for i in range(n)}

def texts(n):
    return [str(i) * 20 for i in range(n)]

def buffers(n):
    return [bytearray(2000) for i in range(n)]

def work():
    return nodes(60000), numbers(120000), texts(60000), buffers(6000)
'''

class Gates:
    """The two gates of a program, closed by holding their locks."""

    def __init__(self, tmp):
        self.path = tmp + "/gate"
        self.fds = []
        for i in range(2):
            self.fds.append(os.open(self.path + str(i), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC))
            fcntl.flock(self.fds[-1], fcntl.LOCK_EX)

    def environment(self, trace, **more):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment.update(GATE=self.path, TRACE=str(int(trace)), PYTHONHASHSEED="0", **more)
        return environment

    def open(self, i):
        fcntl.flock(self.fds[i], fcntl.LOCK_UN)

    def await_waiter(self, pid, i):
        """Until the process waits at the gate: the kernel knows by /proc/locks that somebody is blocked."""
        inode = os.fstat(self.fds[i]).st_ino
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for line in pathlib.Path("/proc/locks").read_text().splitlines():
                if "->" in line and line.split()[6].endswith(f":{inode}"):
                    return
            time.sleep(0.01)
        raise AssertionError(f"process {pid} does not come to gate {i}")

    def figures(self):
        with open(self.path + "figures") as file:
            return json.load(file)


def start_keelback(case, *args, **kwargs):
    """Starts `keelback memory`, until it traces; its words go to a file."""
    words = pathlib.Path(case.tmp, "words")
    with open(words, "w") as file:
        process = case.popen("memory", "-v", *args, stderr=file, **kwargs)
    deadline = time.monotonic() + 60
    while "tracing the memory of" not in words.read_text():
        assert process.poll() is None, f"keelback ended with {process.returncode}: {words.read_text()}"
        assert time.monotonic() < deadline, words.read_text()
        time.sleep(0.01)
    return process


def await_words(env, text):
    """Until keelback has said so."""
    words = pathlib.Path(env.tmp, "words")
    deadline = time.monotonic() + 60
    while text not in words.read_text():
        assert time.monotonic() < deadline, words.read_text()
        time.sleep(0.01)


def end_keelback(process):
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    return process.returncode


def record(env, text=PLAIN):
    """A recording of a program whose figures are tracemalloc's."""
    env.py = env.python("pyenv-3.8")
    gates = Gates(env.tmp)
    target = env.py.popen([env.py.script(FRAME % text)], env=gates.environment(True))
    env.wait_line(target, "ready")
    gates.await_waiter(target.pid, 0)
    recording = env.tmp + "/a.kb"
    keelback = start_keelback(env, "-p", target.pid, "-o", recording)
    gates.open(0)
    gates.await_waiter(target.pid, 1)
    assert end_keelback(keelback) == 0
    gates.open(1)
    target.wait(60)
    return recording, gates.figures()


class Traced:
    """What `-f jsonl` says."""

    def __init__(self, path):
        records = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
        self.meta = records[0]
        self.processes = [record for record in records if record["type"] == "process"]
        self.rows = [record for record in records if record["type"] == "row"]
        self.ledger = {entry["name"]: entry["count"]
                       for record in records if record["type"] == "ledger" for entry in record["entries"]}

    def lines(self):
        """What tracemalloc knows of: Python's own."""
        return {f"{row['file']}:{row['line']}": (row["bytes"], row["blocks"]) for row in self.rows if not row["native"]}


def agreement(ours, theirs):
    """The share of tracemalloc's bytes that stand at the same line in ours."""
    ours = {key.replace("<no Python frame>", "<unknown>"): value for key, value in ours.items()}
    total = sum(size for size, _ in theirs.values())
    return sum(min(size, ours.get(key, (0, 0))[0]) for key, (size, _) in theirs.items()) / total


def print_differences(traced, figures):
    """For the case's log: lines of which the two say something else."""
    lines = traced.lines()
    for key in sorted(set(lines) | set(figures["lines"])):
        ours, theirs = lines.get(key), figures["lines"].get(key)
        if ours is None or theirs is None or list(ours) != list(theirs):
            print(key, "keelback", ours, "tracemalloc", theirs)
