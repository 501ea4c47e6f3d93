# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What moves the interpreter off the plain path: machine code of the JIT, greenlets, coroutines that C drives."""

from harness import once, per_python
from sampling import Sampling, base, sample

JIT = '''
import sys, time

def inner(n):
    t = 0
    for i in range(n):
        t += i * 3 % 7
    return t

def alpha(n):
    t = 0
    for i in range(n):
        t += i & 3
        if t > 1000: t -= 999
    return t

def beta(n):
    s = 0
    for i in range(n // 10):
        s += inner(10)
    return s

assert sys._jit.is_enabled()
clock = time.process_time
used = [0, 0]
end = clock() + 2
while clock() < end:
    a = clock(); alpha(20000); b = clock(); beta(20000); c = clock()
    used[0] += b - a
    used[1] += c - b
print("shares alpha=%.5f" % (used[0] / sum(used)), flush=True)
'''


def has_jit(py):
    return "jit" in py.traits


# A trace that the JIT compiled keeps the frames of the functions in it, and does not store each instruction's address
# in them: functions are right, lines are those of the trace's last side exit or call.
@per_python(where=has_jit)
def test_jit(env):
    command = env.py.command([env.py.script(JIT)])
    sampling = Sampling(env, "-r", 5000, "--", "/usr/bin/env", "PYTHON_JIT=1", *command)
    truth = float(env.wait_line(sampling.process, "alpha=").partition("alpha=")[2])
    profile = sampling.finish().check()
    alpha, beta = profile.count("alpha"), profile.count("beta")
    assert alpha + beta > 6000, profile.log
    assert abs(alpha / (alpha + beta) - truth) < 0.03, f"{alpha} and {beta} samples, not {truth}"
    profile.check_unknown()


# Two greenlets and the main program take turns; none may be seen below another.
GREENLETS = '''
import time
from greenlet import greenlet

def burn():
    end = time.thread_time() + .002
    while time.thread_time() < end:
        pass

def inner_a():
    burn()
    main.switch()
    burn()

def outer_a():
    while True:
        inner_a()

def inner_b():
    burn()
    main.switch()

def outer_b():
    while True:
        inner_b()

def turn():
    a.switch()
    b.switch()
    burn()

main = greenlet.getcurrent()
a, b = greenlet(outer_a), greenlet(outer_b)
for _ in range(150):
    turn()
'''


@once
def test_greenlets(env):
    env.py = env.python("debian-3.11")  # whose greenlet module is a package
    profile = sample(env, "-r", 5000, "--", *env.py.command([env.py.script(GREENLETS)]))
    parts = {"outer_a": 0, "outer_b": 0, "turn": 0}
    for stack, count in profile.stacks:
        names = list(map(base, stack))
        if "burn" not in names:
            continue
        found = [name for name in parts if name in names]
        assert len(found) == 1, stack
        assert found == ["turn"] or names[names.index(found[0]) + 1] == found[0].replace("outer", "inner"), stack
        parts[found[0]] += count
    total = sum(parts.values())
    assert total > 2000, profile.log
    for name, share in (("outer_a", 0.5), ("outer_b", 0.25), ("turn", 0.25)):
        assert abs(parts[name] / total - share) < 0.05, parts
    profile.check_unknown()


# Coroutines and generators that C code resumes: map() sends, sum() iterates, a context manager's exit is called.
DRIVEN = '''
import contextlib, time

try:
    clock = time.thread_time
except AttributeError:  # 3.6
    clock = time.process_time

def burn():
    end = clock() + .002
    while clock() < end:
        pass

async def awaited():
    burn()

async def coroutine():
    await awaited()

def values():
    for i in range(3):
        burn()
        yield i

@contextlib.contextmanager
def context():
    yield
    burn()

def drive():
    with contextlib.suppress(StopIteration):
        list(map(coroutine().send, [None]))
    sum(values())
    with context():
        pass

for _ in range(100):
    drive()
'''


@per_python
def test_driven_by_c(env):
    profile = sample(env, "-r", 2000, "--", *env.py.command([env.py.script(DRIVEN)]))
    callers = {"awaited": 0, "values": 0, "context": 0}
    for stack, count in profile.stacks:
        names = list(map(base, stack))
        if "burn" not in names:
            continue
        burn = names.index("burn")
        caller = [name for name in names[:burn] if not name.startswith("<")][-1]
        assert "drive" in names[:burn], stack
        assert caller != "awaited" or "coroutine" in names[:burn], stack
        callers[caller] += count
    total = sum(callers.values())
    assert total > 800, profile.log
    for name, share in (("awaited", 0.2), ("values", 0.6), ("context", 0.2)):
        assert abs(callers[name] / total - share) < 0.06, callers
    profile.check_unknown()
