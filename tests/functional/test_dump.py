# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`keelback dump`: what faulthandler says, values, threads that run, and a target that notices nothing."""

import json
import os
import re
import subprocess
import threading
from pathlib import Path

from containers import Container
from harness import children_of, once, per_python, start
from programs import TASKS

# Dumps of each adversarial program; KEELBACK_DUMPS=1000 for a long run.
DUMPS = int(os.environ.get("KEELBACK_DUMPS", 12))

# Threads wait in all kinds of frames; the main thread has itself dumped by faulthandler, and stays in that line, with
# the GIL if that is asked for.
BLOCKED = """
import ctypes, faulthandler, functools, os, sys, threading, time
event = threading.Event()
ready = threading.Barrier(6)

def wait():
    ready.wait()
    event.wait()

def deep(n):
    if n:
        return deep(n - 1)
    wait()

def generator():
    yield [wait() for _ in range(1)]

class Class:
    def method(self, key):
        wait()
        return key

    @functools.wraps(deep)
    def wrapped(*args, **keywords):
        return (lambda: wait())()

    def in_class(self):
        class Inner:
            wait()

targets = [
    lambda: deep(60),
    lambda: next(generator()),
    lambda: sorted([1], key=Class().method),
    Class().wrapped,
    Class().in_class,
]
threads = [threading.Thread(target=target, daemon=True, name="t%d" % i) for i, target in enumerate(targets)]
for thread in threads: thread.start()
ready.wait()
time.sleep(.5)
out = open(sys.argv[1], "w")
nap = (ctypes.PyDLL if sys.argv[2] == "gil" else ctypes.CDLL)(None).sleep
name = "odd \\u4f60 \\xe9 \\U0001f600 %s.py" % ("x" * 20)
code = compile("\\n\\ndef last(): faulthandler.dump_traceback(out, all_threads=True), print('ready', flush=True), nap(600)\\nlast()", name, "exec")
exec(code)
"""


def without_names(text):
    return re.sub(r" \[[^\n]*\] \(most", " (most", text)


def check_faulthandler(env, gil):
    expected = Path(env.tmp, "expected")
    target = env.py.popen([env.py.script(BLOCKED), expected, gil])
    env.wait_line(target, "ready")
    done = env.keelback("dump", "-p", target.pid)
    wanted = expected.read_text()
    assert wanted.count("Thread 0x") == 5 and wanted.count("Current thread") == 1
    if gil != "gil":
        wanted = wanted.replace("Current thread", "Thread")
    # From 3.14 faulthandler names threads as the kernel does.
    assert without_names(done.stdout) == without_names(wanted), f"\n{done.stdout}\n--- is not\n{wanted}"
    names = re.findall(r"hread 0x[0-9a-f]{16} \[(.*)\] \(most", done.stdout)
    assert sorted(names) == ["MainThread", "t0", "t1", "t2", "t3", "t4"], names


@per_python
def test_as_faulthandler(env):
    check_faulthandler(env, "no gil")


@per_python
def test_current_thread(env):
    """The one that holds the GIL, while it waits in C code."""
    check_faulthandler(env, "gil")


VALUES = """
import enum, sys, threading, time
class Color(enum.Enum):
    RED = 1
class Point:
    def __init__(self, x): self.x = x
def block():
    print("ready", flush=True)
    time.sleep(600)
def function(number, text, *args, flag=True, **keywords):
    items = [1, 2.5, None, {"k": (1,)}]
    color, point, big = Color.RED, Point(7), 3 ** 100
    shared = "cell"
    def inner(own):
        local = own + shared
        class Body:
            attribute = 5
            block()
        return local
    if number < 0:
        unbound = 1
    del text
    return inner("x")
function(3, "gone", "a", b"b", key={1})
"""


@per_python
def test_locals(env):
    target = env.py.popen([env.py.script(VALUES)])
    env.wait_line(target, "ready")
    [process] = json.loads(env.keelback("dump", "-p", target.pid, "--locals", "--json").stdout)
    [thread] = process["threads"]
    assert thread["state"] == "asleep" and thread["name"] == "MainThread" and thread["tid"] == target.pid
    frames = {frame["name"]: frame for frame in thread["frames"]}
    assert list(frames) == ["block", "Body", "inner", "function", "<module>"]
    assert not any(frame["racy"] for frame in thread["frames"])
    values = {name: {v["name"]: v["value"] for v in frame["locals"]} for name, frame in frames.items()}
    kinds = {v["name"]: v["kind"] for v in frames["function"]["locals"]}
    assert values["block"] == {} and values["<module>"] == {}
    assert values["Body"]["attribute"] == "5"
    assert values["inner"] == {"own": "'x'", "local": "'xcell'", "shared": "'cell'"}
    function = values["function"]
    assert re.fullmatch(r"<Point at 0x[0-9a-f]+ x=7>", function.pop("point"))
    assert re.fullmatch(r"<function (function.<locals>.)?inner at 0x[0-9a-f]+>", function.pop("inner"))
    assert function == {
        "number": "3",
        "args": "('a', b'b')",
        "flag": "True",
        "keywords": "{'key': {1}}",
        "items": "[1, 2.5, None, {'k': (1,)}]",
        "color": "<Color.RED: 1>",
        "big": str(3**100),
        "shared": "'cell'",
    }
    assert kinds["shared"] == "cell" and kinds["number"] == "local"
    assert {v["kind"] for v in frames["inner"]["locals"] if v["name"] == "shared"} == {"free"}
    text = env.keelback("dump", "-p", target.pid, "--opcodes").stdout.splitlines()
    assert re.search(r"in block at CALL\w*$", text[1]) and not any(" at " in line for line in text[2:]), text
    text = env.keelback("dump", "-p", target.pid, "--locals", "--length", 2, "--items", 1).stdout
    assert "\n    number = 3\n" in text and "\n    items = [1, ... (4 items)]\n" in text
    assert "\n    shared = 'ce'... (4 characters)\n" in text


# Calls whose stacks can only be a0 a1 a2 a0 … or b0 b1 b2 b0 …, to a depth that changes all the time. A stack that
# was torn mixes them, or leaves one out.
ADVERSARY = """
import random, sys, threading, time
for family in "ab":
    for i in range(3):
        exec('''
def {f}{i}(n, nap):
    if n:
        {f}{j}(n - 1, nap)
        return n
    if nap:
        time.sleep(nap)
'''.format(f=family, i=i, j=(i + 1) % 3))
def run(nap):
    i = 0
    while True:
        i += 1
        (a0 if i % 2 else b0)(i * 7 % 97, nap and random.random() * nap)
def runs(): run(0)
def naps(): run(.002)
def flickers(): run(.00002)
threads = [threading.Thread(target=f, name=f.__name__, daemon=True) for f in (runs, naps, flickers)]
for thread in threads: thread.start()
print("ready", flush=True)
time.sleep(86400)
"""


def check_adversary(thread):
    """What is wrong with a stack of the adversarial program; None: it can be."""
    frames = [(frame["name"], frame["line"]) for frame in reversed(thread["frames"])]
    names = [name for name, _ in frames]
    if thread["name"] not in names:
        return None  # it has not arrived there yet
    stack = frames[names.index(thread["name"]) + 1 :]
    if not stack:
        return None
    if stack[0][0] != "run":
        return f"{stack[0]} is no run()"
    for (caller, line), (callee, _) in zip(stack[1:], stack[2:]):
        if callee[1:].isdigit():
            if callee != f"{caller[0]}{(int(caller[1:]) + 1) % 3}":
                return f"{caller} does not call {callee}"
            if line != 4:
                return f"{caller} calls in line {line}"
    if len(stack) > 1 and stack[1][0] not in ("a0", "b0", "random"):
        return f"run() does not call {stack[1]}"
    return None


def states_of(pid):
    """The states of all threads of a process."""
    states = set()
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            states.add(path.read_text().rpartition(")")[2].split()[0])
        except OSError:
            pass
    return states


class Watch:
    """Looks at the states of processes all the time."""

    def __init__(self, *pids):
        self.pids, self.seen, self.done = pids, set(), threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.done.wait(0.001):
            for pid in self.pids:
                self.seen |= states_of(pid)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.done.set()
        self.thread.join()


@per_python(timeout=60 + 2 * DUMPS)
def test_adversarial_recursion(env):
    target = env.py.popen([env.py.script(ADVERSARY)])
    env.wait_line(target, "ready")
    how = dict.fromkeys(("asleep", "running", "unread"), 0)
    with Watch(target.pid) as watch:
        for _ in range(DUMPS):
            [process] = json.loads(env.keelback("dump", "-p", target.pid, "--json").stdout)
            threads = {thread["name"]: thread for thread in process["threads"]}
            assert set(threads) == {"MainThread", "runs", "naps", "flickers"}, sorted(threads)
            for thread in threads.values():
                how[thread["state"]] += 1
                problem = check_adversary(thread)
                assert problem is None, f"{problem}: {thread}"
            assert threads["MainThread"]["state"] == "asleep"
    assert how["unread"] <= 2 + DUMPS // 20, how
    assert how["running"] >= 2 and how["asleep"] >= DUMPS, how
    print(how)
    assert not watch.seen & set("Tt"), watch.seen


# Waits in the system call itself: Python's own functions would hide that it was interrupted.
EPOLL = """
import ctypes, os, select, sys
libc = ctypes.CDLL(None, use_errno=True)
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        break
else:
    print("ready", flush=True)
    sys.stdin.readline()
    sys.exit()
epoll = select.epoll()
def waits():
    while True:
        n = libc.epoll_wait(epoll.fileno(), ctypes.create_string_buffer(64), 1, -1)
        os.write(2, b"interrupted: %d\\n" % ctypes.get_errno())
waits()
"""


@once(timeout=120)
def test_no_system_call_is_interrupted(env):
    """A hundred processes in epoll_wait, whose memory is read many times."""
    errors = Path(env.tmp, "errors")
    with errors.open("w") as stderr:
        python = env.python("3.12")
        target = python.popen([python.script(EPOLL), 100], stdin=subprocess.PIPE, stderr=stderr)
    env.wait_line(target, "ready")
    children = children_of(target.pid)
    assert len(children) == 100
    with Watch(*children) as watch:
        for _ in range(3):
            done = env.keelback("dump", "-p", target.pid, "--children", "--locals", "--json")
            processes = {process["pid"]: process for process in json.loads(done.stdout)}
            assert set(processes) == {target.pid, *children}
            for pid in children:
                [thread] = processes[pid]["threads"]
                assert thread["state"] == "asleep" and thread["frames"][0]["name"] == "waits", thread
    assert watch.seen <= {"S", "R"} and "S" in watch.seen, watch.seen
    assert errors.read_text() == ""


DEEP = """
import sys, time
sys.setrecursionlimit(5000)
def deep(n):
    if n: return deep(n - 1)
    print("ready", flush=True)
    time.sleep(600)
deep(1500)
"""


@per_python
def test_deep_stack(env):
    target = env.py.popen([env.py.script(DEEP)])
    env.wait_line(target, "ready")
    lines = env.keelback("dump", "-p", target.pid).stdout.splitlines()
    assert len(lines) == 102 and lines[-1] == "  ..." and lines[2].endswith("line 5 in deep"), lines[-3:]
    lines = env.keelback("dump", "-p", target.pid, "--limit", 0).stdout.splitlines()
    assert len(lines) == 1503 and lines[-1].endswith("line 8 in <module>"), lines[-3:]
    assert len(env.keelback("dump", "-p", target.pid, "--limit", 7).stdout.splitlines()) == 9


# A sub-interpreter in a thread of its own, and one in the main thread.
SUBINTERPRETERS = """
import threading
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
def run(code):
    interpreters.run_string(interpreters.create(), code)
def in_thread():
    run("def in_sub(): import time; time.sleep(600)\\nin_sub()")
threading.Thread(target=in_thread, daemon=True).start()
run("def in_main_sub():\\n import time; print('ready', flush=True); time.sleep(600)\\nin_main_sub()")
"""


@per_python(where=lambda py: py.version >= (3, 8))
def test_subinterpreters(env):
    target = env.py.popen([env.py.script(SUBINTERPRETERS)])
    env.wait_line(target, "ready")
    [process] = json.loads(env.keelback("dump", "-p", target.pid, "--json").stdout)
    found = {}
    for thread in process["threads"]:
        assert thread["state"] == "asleep", thread
        names = [frame["name"] for frame in thread["frames"]]
        found.setdefault((thread["interpreter"] > 0, thread["tid"] == target.pid), []).extend(names)
    assert found[True, True] == ["in_main_sub", "<module>"], found
    assert "in_thread" in found[False, False] and found[False, True] == ["run", "<module>"], found
    if env.py.version >= (3, 9):  # before, the GIL of both is one, and the other thread may wait for it
        assert found[True, False] == ["in_sub", "<module>"], found
    text = env.keelback("dump", "-p", target.pid).stdout
    assert re.search(r"^Thread 0x[0-9a-f]{16}( \[.*\])? in interpreter \d+ \(most recent call first\):$", text, re.M), text


@once
def test_several_processes(env):
    """One that cannot be read does not keep the others from being shown."""
    python = env.python("3.11")
    sleeping = [python.popen([python.script(DEEP)]) for _ in range(2)]
    for target in sleeping:
        env.wait_line(target, "ready")
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    pids = [target.pid for target in sleeping]
    done = env.keelback("dump", "-p", f"{pids[0]},{other.pid},{pids[1]}")
    assert f"process {other.pid} is not a Python process" in done.stderr and len(done.stderr.splitlines()) == 1
    heads = re.findall(r"^Process (\d+), Python 3\.11\.\d+: .*target.py$", done.stdout, re.M)
    assert list(map(int, heads)) == pids, done.stdout
    [one] = json.loads(env.keelback("dump", "-p", pids[0], "-t", pids[0], "--json").stdout)
    assert [thread["tid"] for thread in one["threads"]] == [pids[0]]
    failed = env.keelback("dump", "-p", pids[0], "-t", other.pid, check=False)
    assert failed.returncode == 2 and len(failed.stderr.splitlines()) == 1, failed.stderr
    other.kill()
    file = Path(env.tmp, "dump.txt")
    assert env.keelback("dump", "-p", pids[0], "--main-thread", "-o", file).stdout == ""
    assert file.read_text().count("Thread 0x") == 1


@once
def test_container(env):
    """By its name, from the host: ids of threads are the host's."""
    python = env.python("sid-3.15")
    with Container(python.root, [python.path, python.script(DEEP)], state_root=None) as container:
        container.wait_output("ready")
        [process] = json.loads(env.keelback("dump", "--container", container.id, "--json", "--locals").stdout)
        assert process["pid"] == container.pid and process["ns_pid"] == 1, process
        [thread] = process["threads"]
        assert thread["tid"] == container.pid and thread["frames"][0]["name"] == "deep"
        assert thread["frames"][0]["locals"] == [{"name": "n", "kind": "local", "value": "0"}]


def read_tasks(env, *arguments):
    """The tasks of the program by their outermost coroutine: (task, names of its coroutines from there)."""
    target = env.py.popen([env.py.script(TASKS), *arguments])
    env.wait_line(target, "ready")
    mode = "running" if arguments[0] == "blocked" else "all"
    done = env.keelback("dump", "-p", target.pid, "--async", mode, "--locals", "--json")
    [process] = json.loads(done.stdout)
    tasks = process["tasks"]
    for task in tasks:
        # Python's own futures have a Python __await__.
        task["chain"] = [f["name"] for f in reversed(task["frames"]) if f["name"] != "__await__"]
        assert not task["racy"], task
    for task in tasks:
        task["by"] = {tuple(tasks[i]["chain"][:1]) for i in task["awaited_by"]}
    text = env.keelback("dump", "-p", target.pid, "--async", mode).stdout
    return process, tasks, text.partition("\nTasks (most recent call first):\n")[2]


def check_all_tasks(env, kind):
    _, tasks, text = read_tasks(env, "waiting", kind, "no thread")
    chains = sorted(".".join(task["chain"]) for task in tasks)
    wanted = ["gathers", "iterates.generator.leaf.sleep", "leaf.sleep", "main.sleep", "middle.leaf.sleep"]
    wanted += ["middle.middle.middle.leaf.sleep", "waits"]
    if env.py.version >= (3, 11) and kind == "c":
        wanted += ["group.__aexit__" if env.py.version < (3, 13) else "group.__aexit__._aexit", "leaf.sleep"]
    assert [chain for chain in chains if not chain.startswith("group")] == [
        chain for chain in sorted(wanted) if not chain.startswith("group")
    ], chains
    by = {".".join(task["chain"]): task["by"] for task in tasks if task["by"]}
    assert by["middle.middle.middle.leaf.sleep"] == {("waits",)} and by["middle.leaf.sleep"] == {("gathers",)}, by
    if env.py.version >= (3, 11) and kind == "c":
        leaves = [task["by"] for task in tasks if task["chain"] == ["leaf", "sleep"]]
        assert sorted(map(sorted, leaves)) == [[("gathers",)], [("group",)]], leaves
    if env.py.version >= (3, 8):
        names = {task["name"]: task["chain"][0] for task in tasks}
        assert names["inner"] == "middle" and names["iterates"] == "iterates", names
        assert kind != "c" or names["Task-1"] == "main", names
    inner = next(task for task in tasks if len(task["chain"]) == 5)
    values = [{v["name"]: v["value"] for v in frame["locals"]} for frame in inner["frames"]]
    assert [v["n"] for v in values if "n" in v] == ["0", "1", "2"], values
    assert not any(task["running"] for task in tasks)
    assert text.count("Task ") == len(tasks) and "\n│   └── Task " in text, text


@per_python
def test_tasks(env):
    check_all_tasks(env, "c")


@per_python
def test_tasks_of_python_code(env):
    """asyncio's Task in Python, which is used where a program derives from it."""
    check_all_tasks(env, "python")


@per_python(where=lambda py: py.version != (3, 6) or "symbols" in py.traits)
def test_running_task(env):
    """Which task keeps the event loop from running?"""
    process, tasks, text = read_tasks(env, "blocked", "c", "thread")
    [task] = tasks
    assert task["running"] and task["chain"] == ["blocks"], task
    [thread] = [thread for thread in process["threads"] if thread["ident"] == task["thread"]]
    assert thread["tid"] != process["pid"] and thread["frames"][0]["name"] == "blocks", thread
    assert f"running in thread {task['thread']}" in text, text

# C code that calls Python that calls C code, asleep and, in another thread, running.
NATIVE = """
import hashlib, sys, threading, time
def key(x):
    print("ready", flush=True)
    time.sleep(600)
def calls():
    sorted([1], key=key)
def hashes():
    data = b"x" * (1 << 20)
    while True:
        hashlib.sha256(data).digest()
if sys.argv[1] == "hashes":
    threading.Thread(target=hashes, name="hashes", daemon=True).start()
calls()
"""


@per_python
def test_native(env):
    target = env.py.popen([env.py.script(NATIVE), "sleeps"])
    env.wait_line(target, "ready")
    [process] = json.loads(env.keelback("dump", "-p", target.pid, "--native", "--json").stdout)
    frames = [(frame["kind"], frame["name"], os.path.basename(frame["file"])) for frame in process["threads"][0]["frames"]]
    python = [name for kind, name, _ in frames if kind == "python"]
    assert python == ["key", "calls", "<module>"], frames
    shown = [name for _, name, _ in frames]
    files = [file for _, _, file in frames]
    assert frames[0][0] == "native" and files[0].startswith("libc"), frames
    assert {"select", "clock_nanosleep"} & set(shown[: shown.index("key")]), frames
    between = files[shown.index("key") + 1 : shown.index("calls")]
    assert len(between) >= 3 and all("python" in file for file in between), frames
    assert shown[-1] == "_start" and not any("EvalFrame" in name for name in shown), frames
    if "symbols" in env.py.traits:
        assert {"list_sort", "listsort"} & set(shown), frames
    text = env.keelback("dump", "-p", target.pid, "--native", "--limit", 1).stdout.splitlines()
    assert sum(line.startswith("  File ") for line in text) == 1 and text[-1] == "  ...", text
    assert text[1].startswith('  Binary file "/') and ', at ' in text[1], text


@per_python(where=lambda py: py.version in ((3, 8), (3, 12), (3, 15)))
def test_native_of_running_thread(env):
    target = env.py.popen([env.py.script(NATIVE), "hashes"])
    env.wait_line(target, "ready")
    [process] = json.loads(env.keelback("dump", "-p", target.pid, "--native", "--timeout", 20, "--json").stdout)
    [thread] = [thread for thread in process["threads"] if thread["name"] == "hashes"]
    kinds = [frame["kind"] for frame in thread["frames"]]
    names = [frame["name"] for frame in thread["frames"] if frame["kind"] == "python"]
    assert thread["state"] == "running" and names[:2] == ["hashes", "run"], thread
    assert kinds[0] == "native" and kinds[-1] == "native", thread


@once
def test_without_privileges(env):
    """What sleeps and is one's own can be read; what runs cannot, and says so."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
    program = Path(env.tmp, "keelback")
    program.write_bytes(Path(env.keelback_path).read_bytes())  # where nobody may read it
    program.chmod(0o755)
    Path(env.tmp).chmod(0o755)
    python = env.python("debian-3.11")
    target = start([*nobody, *python.command([python.script(NATIVE), "hashes"])])
    env.wait_line(target, "ready")
    command = [*nobody, program, "dump", "-p", str(target.pid), "--timeout", "0.3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "[MainThread]" in done.stdout and "in key\n" in done.stdout, done.stdout
    assert "[hashes] (most recent call first):\n  <could not be read: it was running>\n" in done.stdout, done.stdout
    assert re.search(r"warning: threads that run cannot be sampled: .*CAP_BPF", done.stderr), done.stderr
    failed = subprocess.run([*nobody, program, "dump", "-p", "1"], capture_output=True, text=True)
    assert failed.returncode == 4 and "CAP_SYS_PTRACE" in failed.stderr, failed.stderr
