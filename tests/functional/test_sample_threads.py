# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Threads: each is found, with and without the GIL, and gets its own samples."""

import re
import subprocess

from harness import once, per_python
from sampling import Sampling, base, go, sample

# Two threads whose time passes without the GIL.
RELEASED = '''
import hashlib, threading, time, zlib
data = bytes(range(256)) * 4000

def cpu():
    return time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)

def hashing():
    while cpu() < .5:
        hashlib.sha256(data).digest()

def packing():
    while cpu() < .5:
        zlib.compress(data, 1)

threads = [threading.Thread(target=function) for function in (hashing, packing)]
for thread in threads: thread.start()
for thread in threads: thread.join()
'''

# Each thread runs a function of its own and tells its native id and how long it ran.
TWENTY = '''
import ctypes, sys, threading, time
gettid = ctypes.CDLL(None).syscall
N = int(sys.argv[1])
for i in range(N):
    exec("def run_%d():\\n while not done:\\n  for j in range(1000): pass\\n" % i)
done = False
started = threading.Barrier(N + 1)

def thread(i):
    ids[i] = gettid(186)
    started.wait()
    globals()["run_%d" % i]()

ids = {}
threads = [threading.Thread(target=thread, args=(i,)) for i in range(N)]
for t in threads: t.start()
started.wait()
print("ids", *(ids[i] for i in range(N)), flush=True)
sys.stdin.readline()
done = True
for t in threads: t.join()
'''


@per_python
def test_without_the_gil(env):
    """A thread that released the GIL is still found: by far most samples are in the two functions."""
    profile = sample(env, "-r", 2000, "--", *env.py.command([env.py.script(RELEASED)]))
    found = profile.count("hashing"), profile.count("packing")
    assert min(found) > 800, f"{found}: {profile.log}"
    assert profile.ledger.get("not_python_thread", 0) <= 0.02 * profile.attempted, profile.log


def root_of_thread(stack):
    """The function run_N that a stack is in."""
    return next((base(frame) for frame in stack if base(frame).startswith("run_")), None)


def check_threads(profile, ids):
    """Samples in run_N are of the thread with the Nth id; each thread has some."""
    seen = set()
    for stack, _ in profile.stacks:
        kind, tid, _ = stack[0].name.split(" ", 2)
        function = root_of_thread(stack)
        if function is None:
            continue
        assert kind == "thread"
        assert ids[int(function[4:])] == int(tid), f"{function} in thread {tid}, not {ids[int(function[4:])]}"
        seen.add(function)
    return seen


def start_threads(env, n):
    target = env.py.popen([env.py.script(TWENTY), n], stdin=subprocess.PIPE)
    ids = [int(word) for word in env.wait_line(target, "ids").split()[1:]]
    return target, ids


@per_python
def test_twenty_threads(env):
    target, ids = start_threads(env, 20)
    profile = sample(env, "-p", target.pid, "-r", 2000, "-d", 1.5, "--threads")
    seen = check_threads(profile, ids)
    assert len(seen) == 20, f"only {sorted(seen)}"
    profile.check_unknown()
    go(target)


@per_python
def test_one_thread(env):
    target, ids = start_threads(env, 4)
    profile = sample(env, "-p", target.pid, "-t", ids[2], "-r", 2000, "-d", 0.5, "--threads")
    assert profile.total > 50, profile.log
    assert check_threads(profile, ids) == {"run_2"}
    assert {stack[0].name.split()[1] for stack, _ in profile.stacks} == {str(ids[2])}
    go(target)


# Named threads; one that threading does not know; one that starts late; one whose name is not for lines.
NAMED = """
import _thread, sys, threading, time
end = time.time() + float(sys.argv[1])

def busy():
    while time.time() < end:
        for i in range(1000): pass

def unnamed(): busy()
def late(): busy()
def odd(): busy()
def plain(): busy()

_thread.start_new_thread(unnamed, ())
named = [("w\u00f6rker one", plain), ("a;b\\nc", odd), ("late one", late)]
threads = [threading.Thread(target=f, name=n) for n, f in named]
for t in threads[:2]: t.start()
time.sleep(1.2)
threads[2].start()
for t in threads: t.join()
time.sleep(.2)
"""


@per_python(where=lambda py: py.version in ((3, 6), (3, 11), (3, 12), (3, 15)))
def test_names_of_threads(env):
    """threading.Thread.name, of threads that were there, that start later, and of those that have none."""
    command = env.py.command([env.py.script(NAMED), 3.5])
    profile = sample(env, "-r", 1000, "--threads", "--", *command)
    names = {}
    for stack, _ in profile.stacks:
        for function in ("unnamed", "late", "odd", "plain"):
            if any(base(frame) == function for frame in stack):
                names.setdefault(function, set()).add(stack[0].name.split(" ", 2)[2])
    assert names["plain"] == {"w\u00f6rker one"} and names["late"] == {"late one"}, names
    [odd] = names["odd"]
    assert odd[0] == "a" and odd[-1] == "c" and ";" not in odd and "\n" not in odd, names
    assert names["unnamed"].isdisjoint({"late one", "w\u00f6rker one"}), names

# Many threads that sleep most of the time; tells the processor's time that they took.
SLEEPY = """
import sys, threading, time
ready = threading.Barrier(101)
go = threading.Event()
def sleepy():
    ready.wait()
    go.wait()
    for i in range(100):
        for j in range(5000): pass
        time.sleep(.02)
threads = [threading.Thread(target=sleepy) for i in range(100)]
for t in threads: t.start()
ready.wait()
print("ready", flush=True)
sys.stdin.readline()
before = time.process_time()
go.set()
for t in threads: t.join()
print("ran", time.process_time() - before, flush=True)
"""


@once
def test_threads_that_sleep_most_of_the_time(env):
    """Redrawing the clock's period does not lose the time that such a thread ran before."""
    python = env.python("3.11")
    target = python.popen([python.script(SLEEPY)], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    sampling = Sampling(env, "-r", 1000, "-p", target.pid).ready()
    go(target)
    ran = float(env.wait_line(target, "ran").split()[1])
    profile = sampling.finish()
    assert profile.attempted > 0.4 * 1000 * ran, f"{profile.attempted} samples of {ran} s: {profile.log}"


@per_python
def test_threads_that_start_later(env):
    """Threads get the clock when they start, in a process that is attached to and in one that is launched."""
    program = env.py.script("""
import sys, threading, time
def late():
    while time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) < .3: pass
def nested():
    t = threading.Thread(target=late); t.start(); t.join()
print("ready", flush=True)
sys.stdin.readline()
for _ in range(2):
    t = threading.Thread(target=nested); t.start(); t.join()
""")
    target = env.py.popen([program], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    sampling = Sampling(env, "-p", target.pid).ready()
    go(target)
    profile = sampling.finish().check()
    assert 500 < profile.count("late") < 700, profile.log
    launched = sample(env, "--", *env.py.command([program]))
    assert 500 < launched.count("late") < 700, launched.log


# Runs code in an interpreter of its own, in the main thread and in another.
SUBINTERPRETER = '''
import threading
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = """
import time
def in_sub_{0}():
    end = time.process_time() + .4
    while time.process_time() < end: pass
in_sub_{0}()
"""

def run(name):
    interpreters.run_string(interpreters.create(), code.format(name))

def in_main():
    run("main")

def in_thread():
    run("thread")

in_main()
thread = threading.Thread(target=in_thread)
thread.start()
thread.join()
'''


def check_interpreters(profile):
    """Stacks of sub-interpreters have its number as their root, and others have none."""
    roots = {"in_sub_main": set(), "in_sub_thread": set()}
    for stack, _ in profile.stacks:
        for frame in stack:
            if base(frame) in roots:
                roots[base(frame)].add(stack[0].name)
            if base(frame) in ("in_main", "in_thread") and not roots.keys() & {base(other) for other in stack}:
                assert not stack[0].name.startswith("<interpreter"), stack
    names = [name for found in roots.values() for name in found]
    assert len(names) == 2 and len(set(names)) == 2, roots
    assert all(re.fullmatch(r"<interpreter [1-9]\d*>", name) for name in names), roots


@per_python(where=lambda py: py.version >= (3, 8))
def test_subinterpreter(env):
    """The stack is that of the interpreter that runs, and where its thread state leads on, of its caller."""
    profile = sample(env, "-r", 2000, "--", *env.py.command([env.py.script(SUBINTERPRETER)]))
    for name in ("in_sub_main", "in_sub_thread"):
        assert profile.count(name) > 500, f"{profile.count(name)} samples in {name}: {profile.log}"
    check_interpreters(profile)
    profile.check_unknown()


@once
def test_unknown_thread(env):
    """A thread id that is not the process's."""
    env.py = env.python("3.11")
    target, _ = start_threads(env, 1)
    done = env.keelback("sample", "-p", target.pid, "-t", 1, "-d", 1, check=False)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "1" in done.stderr, done.stderr


