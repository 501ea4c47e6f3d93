# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Targets that end, sleep, recurse, finalize, run many threads, or have garbage in their memory."""

import os
import signal
import subprocess

from harness import once, per_python
from sampling import Sampling, base, go, sample, unnamed, wait_until


LOOP = '''
import time
def looping():
    while True:
        for i in range(1000): pass
print("ready", flush=True)
looping()
'''


def ended(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@per_python
def test_killed(env):
    target = env.py.popen([env.py.script(LOOP)])
    env.wait_line(target, "ready")
    sampling = Sampling(env, "-r", 10000, "-p", target.pid).ready()
    used = cpu_of(target.pid)
    wait_until(lambda: cpu_of(target.pid) > used + 0.1, "CPU time of the target")
    target.send_signal(signal.SIGKILL)
    profile = sampling.finish(timeout=10).check()
    assert profile.count("looping") > 300, profile.log


def cpu_of(pid):
    """Seconds of CPU time that a process has used."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


FORKS = '''
import os, time
def parent():
    for i in range(600):
        pid = os.fork()
        if not pid:
            child()
        os.waitpid(pid, 0)
def child():
    start = time.process_time()
    while time.process_time() < start + .001: pass
    os._exit(0)
parent()
'''


@per_python
def test_forking(env):
    profile = sample(env, "-r", 5000, "--processes", "--", *env.py.command([env.py.script(FORKS)]))
    assert profile.count("child") > 600, profile.log
    pids = {stack[0].name for stack, _ in profile.stacks if "child" in map(base, stack)}
    assert len(pids) > 500, f"{len(pids)} children: {profile.log}"
    # A thread that is interrupted in a page fault may be just copying the page that is to be read.
    profile.check_unknown(0.01)


# No call returns before its time with EINTR, while the process is sampled 10,000 times a second.
WAITING = '''
import ctypes, errno, select, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.epoll_wait.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
epoll = select.epoll()
events = ctypes.create_string_buffer(256)
interrupted = calls = early = 0

def burner():
    while not done: sum(range(1000))

done = False
print("ready", flush=True)
sys.stdin.readline()
threading.Thread(target=burner).start()
end = time.time() + 1.5
while time.time() < end:
    start = time.monotonic()
    result = libc.epoll_wait(epoll.fileno(), events, 4, 5)
    calls += 1
    if result < 0: interrupted += 1
    if time.monotonic() - start < .004: early += 1
done = True
print("result", interrupted, early, calls, flush=True)
'''


@per_python
def test_epoll_wait(env):
    target = env.py.popen([env.py.script(WAITING)], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    sampling = Sampling(env, "-r", 10000, "-p", target.pid).ready()
    go(target)
    interrupted, early, calls = map(int, env.wait_line(target, "result").split()[1:])
    profile = sampling.finish().check()
    assert profile.count("burner") > 1000, profile.log
    assert calls > 50 and interrupted == early == 0, f"{interrupted} of {calls} calls interrupted, {early} early"


MANY_THREADS = '''
import sys, threading, time
N = 500
started = threading.Barrier(N + 1)
def working(n):
    started.wait()
    start = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
    while time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) < start + .004: pass
    done.wait()
done = threading.Event()
threading.stack_size(256 << 10)
threads = [threading.Thread(target=working, args=(i,)) for i in range(N)]
for thread in threads: thread.start()
print("ready", flush=True)
sys.stdin.readline()
started.wait()
time.sleep(.1)
done.set()
for thread in threads: thread.join()
'''


@per_python
def test_500_threads(env):
    """Half of the versions attached to, half launched."""
    script = env.py.script(MANY_THREADS)
    if env.py.version[1] % 2:
        target = env.py.popen([script], stdin=subprocess.PIPE)
        env.wait_line(target, "ready")
        sampling = Sampling(env, "-r", 2000, "--threads", "-p", target.pid).ready()
        go(target)
        profile = sampling.finish().check()
    else:
        profile = sample(env, "-r", 2000, "--threads", "--", *env.py.command([script]))
    threads = {stack[0].name for stack, _ in profile.stacks if "working" in map(base, stack)}
    assert len(threads) > 450, f"{len(threads)} threads: {profile.log}"
    profile.check_unknown()


RECURSION = '''
import sys, threading, time
def down(n):
    if n:
        return down(n - 1)
    return bottom()
def bottom():
    start = time.process_time()
    while time.process_time() < start + .4: pass
sys.setrecursionlimit(30000)
threading.stack_size(1 << 29)
thread = threading.Thread(target=down, args=(int(sys.argv[1]),))
thread.start()
thread.join()
'''


@per_python
def test_deep_recursion(env):
    """Deeper than the limit: counted and marked as truncated, the leaf's side kept."""
    command = env.py.command([env.py.script(RECURSION), 20000])
    profile = sample(env, "-r", 1000, "--", *command)
    truncated = [(stack, n) for stack, n in profile.stacks if stack[0].name == "<truncated>"]
    assert sum(n for _, n in truncated) == profile.ledger.get("truncated"), profile.log
    deep = [(stack, n) for stack, n in truncated if base(stack[-1]) == "bottom"]
    assert sum(n for _, n in deep) > 250, profile.log
    assert all(len(stack) >= 1024 and base(stack[1]) == "down" for stack, _ in deep)
    profile.check_unknown()


@per_python
def test_recursion_within_the_limit(env):
    """1,000 frames are whole."""
    profile = sample(env, "-r", 1000, "--", *env.py.command([env.py.script(RECURSION), 1000]))
    deep = [(stack, n) for stack, n in profile.stacks if base(stack[-1]) == "bottom"]
    assert sum(n for _, n in deep) > 250, profile.log
    assert {sum(base(frame) == "down" for frame in stack) for stack, _ in deep} == {1001}
    assert "truncated" not in profile.ledger, profile.log


# Python code that runs while modules are torn down, a lot to free, and a daemon thread meanwhile, which must
# not keep the module alive.
FINALIZING = '''
import atexit, threading, time
def clock(get=time.clock_gettime, which=time.CLOCK_THREAD_CPUTIME_ID):
    return get(which)

class Last:
    def __del__(self, clock=clock):
        start = clock()
        while clock() < start + .3: pass

def at_exit():
    start = clock()
    while clock() < start + .2: pass

space = {}
exec("def daemon():\\n while True:\\n  for i in range(1000): pass", space)
atexit.register(at_exit)
last = Last()
garbage = [[object()] * 3 for _ in range(300000)]
threading.Thread(target=space["daemon"], daemon=True).start()
'''


@per_python
def test_finalizing(env):
    profile = sample(env, "-r", 2000, "--", *env.py.command([env.py.script(FINALIZING)]))
    assert profile.count("at_exit") > 100, profile.log
    assert profile.count("__del__") > 350, profile.log
    profile.check_unknown(0.005)


# While a thread is in C without the GIL, another one writes garbage over its frames and a code object.
GARBAGE = '''
import ctypes, hashlib, random, sys, threading, time
random.seed(int(sys.argv[1]))
FRAME_SIZE = 80
frames = []
def outer(): middle()
def middle(): inner()
def inner():
    frame = sys._getframe()
    while frame:
        frames.append(frame)
        frame = frame.f_back
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", ROUNDS)

def rounds_for(seconds):
    start = time.time()
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 100000)
    return int(100000 * seconds / (time.time() - start))

def word(address):
    return ctypes.c_uint64.from_address(address)

def address_of(frame):
    return id(frame) if sys.version_info < (3, 11) else word(id(frame) + 24).value

def values(start):
    return random.choice([
        0, 1, 2 ** 64 - 1, 0xffff888000000000, 0x4141414141414141, start, start + 8, start ^ 0xfff8,
        id(sys), id("text"), id(outer.__code__), id(None), start + random.randrange(-4096, 4096),
        random.getrandbits(64), random.getrandbits(47)])

def scribble(start, size, first):
    at = start + random.randrange(first, size, 8)
    slot = word(at)
    saved = slot.value
    slot.value = values(start)
    pause()
    slot.value = saved

def pause():
    end = time.time() + .002
    while time.time() < end: pass

ROUNDS = rounds_for(4)
print("ready", flush=True)
sys.stdin.readline()
thread = threading.Thread(target=outer)
thread.start()
while len(frames) < 3: time.sleep(.01)
time.sleep(.05)
end = time.time() + 2
code = compile("pass", "x" * 50, "exec")
while time.time() < end:
    scribble(address_of(random.choice(frames[:3])), FRAME_SIZE, 0)
    if random.random() < .3:
        scribble(id(inner.__code__), 144, 16)
print("restored", flush=True)
'''


@per_python(timeout=120)
def test_garbage_frames(env):
    """Whatever lies in the target's memory: keelback goes on, the other samples are right, all are counted."""
    seed = env.py.version[1]
    target = env.py.popen([env.py.script(GARBAGE), seed], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    sampling = Sampling(env, "-r", 10000, "-p", target.pid).ready()
    go(target)
    env.wait_line(target, "restored")
    profile = sampling.stop(timeout=20).check()
    failed = profile.attempted - profile.total
    assert profile.total > 1000, profile.log
    assert failed > 20, profile.log
    assert profile.count("scribble") > 0.3 * profile.total, profile.log
    target.kill()


# Code objects take each other's addresses all the time.
REPLACED = '''
import sys, time
SOURCE = """
def outer_{0}():
    inner_{0}()

def inner_{0}():
    start = time.process_time()
    while time.process_time() < start + .002: pass
"""
end = time.process_time() + 1.5
n = 0
while time.process_time() < end:
    n += 1
    space = {"time": time}
    exec(compile(SOURCE.format(n), "<generated %d>" % n, "exec"), space)
    space["outer_%d" % n]()
'''


@per_python
def test_replaced_code(env):
    """Names are those of the code that ran, not of what lay at its address before."""
    profile = sample(env, "-r", 5000, "--", *env.py.command([env.py.script(REPLACED)]))
    right = wrong = 0
    for stack, count in profile.stacks:
        names = [frame for frame in stack if base(frame).startswith(("outer_", "inner_"))]
        numbers = {base(frame).partition("_")[2] for frame in names}
        numbers |= {frame.file.strip("<>").split()[1] for frame in names}
        if len(numbers) > 1:
            wrong += count
            print(count, *names)
        elif names:
            right += count
    assert right > 4000, profile.log
    assert wrong == 0, f"{wrong} of {wrong + right} samples carry names of other code"


NAMES = ["größe", "数据处理", "𐐀𐐁", "naïve_ﬁ"[:5], "x" * 300]
# It begins with nothing: a program that was launched through another one takes some time to be identified.
UNICODE = "import time\nwhile time.process_time() < .25: pass\n" + "".join(
    f"def {name}():\n    start = time.process_time()\n    while time.process_time() < start + .1: pass\n{name}()\n"
    for name in NAMES
)


@per_python
def test_names_in_unicode(env):
    for file in ("ascii.py", "größe.py", "数据 und 🎉.py"):
        script = env.py.script("# coding: utf-8\n" + UNICODE, file)
        profile = sample(env, "-r", 1000, "--", *env.py.command([script]))
        for name in NAMES:
            count = sum(n for stack, n in profile.stacks if stack[-1].name == name and stack[-1].file == script)
            assert count > 30, f"{name} in {script}: {profile.names()}"
        assert not any(unnamed(frame) for stack, _ in profile.stacks for frame in stack)


@once
def test_pid_that_ends_at_once(env):
    """Between the command line and the first look the process may be gone."""
    env.py = env.python("3.12")
    for _ in range(10):
        target = env.py.popen(["-S", "-c", "pass"])
        done = env.keelback("sample", "-p", target.pid, "-d", 1, check=False, timeout=20)
        target.wait()
        assert done.returncode in (0, 2, 4), done.stderr
        if done.returncode:
            assert len(done.stderr.splitlines()) == 1, done.stderr
