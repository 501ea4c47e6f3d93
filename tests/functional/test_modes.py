# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--mode: only what a thread does in one state, compared with what the program itself knows of its states."""

import subprocess
from pathlib import Path

from harness import per_python
from programs import FIGHT, SPENDING
from sampling import Profile, Sampling, base, go, wait_until

# Three states, each for its time by the thread's own clock, which is printed.
STATES = '''
import sys, time, zlib
try:
    clock = time.thread_time
except AttributeError:  # 3.6
    clock = time.process_time
data = bytes(range(256)) * 16000

def burn(seconds):
    end = clock() + seconds
    while clock() < end:
        pass

def holding():
    burn(.03)

def released():
    end = clock() + .04
    while clock() < end:
        zlib.compress(data, 1)

def resumed():
    burn(.01)
    yield

def handling():
    try:
        raise ValueError("x")
    except ValueError:
        burn(.02)
        list(resumed())

used = dict.fromkeys(("holding", "released", "handling"), 0.0)
end = clock() + 1.5
while clock() < end:
    for function in (holding, released, handling):
        start = clock()
        function()
        used[function.__name__] += clock() - start
print("used", *("%s=%.4f" % item for item in used.items()), flush=True)
'''


def run_states(env, mode):
    """The profile, the samples in each function, and the share of on-CPU time that it had."""
    target = [*env.py.command([env.py.script(STATES)])]
    run = Sampling(env, "-r", 2000, "--mode", mode, "--", *target, stdout=subprocess.PIPE)
    profile = run.finish().check()
    line = env.wait_line(run.process, "used ")
    used = {name: float(value) for name, value in (item.split("=") for item in line.split()[1:])}
    counts = {name: profile.count(name) for name in used}
    return profile, counts, {name: value / sum(used.values()) for name, value in used.items()}


@per_python
def test_gil(env):
    """Samples of a thread that holds the GIL; those without it are noted apart."""
    profile, counts, used = run_states(env, "gil")
    in_phases = sum(counts.values()) + profile.notes["other_state"]
    assert counts["released"] <= 0.03 * in_phases, f"{counts}: {profile.log}"
    for name in ("holding", "handling"):
        assert abs(counts[name] / in_phases - used[name]) < 0.06, f"{counts}, {used}: {profile.log}"
    assert abs(profile.notes["other_state"] / in_phases - used["released"]) < 0.06, f"{used}: {profile.log}"


@per_python
def test_exception(env):
    """Samples of a thread that handles an exception, in a generator that the handler resumes as well."""
    profile, counts, used = run_states(env, "exception")
    everything = profile.attempted + profile.notes["other_state"]
    assert counts["holding"] + counts["released"] <= 0.01 * everything, f"{counts}: {profile.log}"
    assert abs(counts["handling"] / everything - used["handling"]) < 0.06, f"{counts}, {used}: {profile.log}"
    assert profile.count("resumed") > 0.2 * counts["handling"], profile.log


def in_mode(env, mode, *args, **kwargs):
    """The profile of a run, and what the target printed after `used`."""
    run = Sampling(env, "--mode", mode, *args, stdout=subprocess.PIPE, **kwargs)
    profile = run.finish()
    check_time(profile)
    words = env.wait_line(run.process, "used ").split()[1:]
    return profile, {name: float(value) for name, value in (word.split("=") for word in words)}


def check_time(profile):
    """What holds for profiles of time: the ledger adds up, and nothing is left out for want of a stack."""
    assert "does not add up" not in profile.log, profile.log
    assert profile.attempted == sum(profile.ledger.values()), profile.ledger
    assert profile.notes.get("lost_wait_ns", 0) < 0.01 * 1e3 * profile.total, profile.log


def seconds(profile, name):
    """Time in a function and what it called: collapsed stacks of time have microseconds."""
    return profile.count(name) / 1e6


@per_python
def test_wall(env):
    """Running and waiting of every kind, as the program measures it: each share within 2 points."""
    target = env.py.command([env.py.script(SPENDING), 2])
    profile, used = in_mode(env, "wall", "-r", 2000, "--", *target)
    found = {name: seconds(profile, name) for name in used}
    for name in used:
        share, expected = found[name] / sum(found.values()), used[name] / sum(used.values())
        assert abs(share - expected) < 0.02, f"{name}: {found}, {used}: {profile.log}"
    # Each of the three threads has all of its time.
    assert abs(seconds(profile, "writer") / sum(used.values()) - 1) < 0.05, profile.log
    assert abs(sum(found.values()) / sum(used.values()) - 1) < 0.05, f"{found}, {used}: {profile.log}"


# Threads that sleep before, while and after they are observed; they do nothing else.
SLEEPERS = '''
import sys, threading, time

def forever():
    threading.Event().wait()

def for_ever():
    forever()

def waking():
    while True:
        time.sleep(.3)

for function in (for_ever, waking):
    thread = threading.Thread(target=function)
    thread.daemon = True
    thread.start()
print("ready", flush=True)
sys.stdin.readline()
'''


@per_python
def test_sleeping_before_and_after(env):
    """A thread that sleeps all the time has its stack and all of the time, others theirs to both ends."""
    target = env.py.popen([env.py.script(SLEEPERS)], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    run = Sampling(env, "--mode", "wall", "-p", target.pid, "-d", 1).finish()
    check_time(run)
    for name in ("for_ever", "forever", "waking"):
        # A wait that ends while its thread is being looked at, at the start, is not known: .3 s here.
        least = 0.6 if name == "waking" else 0.9
        assert least < seconds(run, name) < 1.6, f"{name} {seconds(run, name)}: {run.log}"
    main = [stack for stack, count in run.stacks if count > 900000 and len(stack) <= 3]
    assert any(base(frame) == "<module>" for stack in main for frame in stack), run.stacks
    go(target)


@per_python
def test_gil_wait(env):
    """Two threads that fight for the GIL: who waits, who holds it, and for how long."""
    profile, used = in_mode(env, "gil-wait", "--", *env.py.command([env.py.script(FIGHT)]))
    for waiter, holder in (("first", "second"), ("second", "first")):
        waited = held = nobody = 0
        for stack, count in profile.stacks:
            names = [base(frame) for frame in stack]
            at = names.index("<GIL held by>") if "<GIL held by>" in names else len(names)
            if waiter in names[:at]:
                waited += count / 1e6
                held += count / 1e6 if holder in names[at:] else 0
                nobody += count / 1e6 if at == len(names) else 0
        low, high = used[waiter] - used[f"queued_{waiter}"], used[waiter]
        assert 0.9 * low <= waited <= 1.1 * high, f"{waiter}: {waited}, {used}: {profile.log}"
        # Who has dropped it on request waits until the other, which may be queueing for a processor, has it.
        message = f"{holder} held it {held} of {waited}, nobody {nobody}: {profile.log}"
        assert held > 0.9 * (waited - nobody) and nobody < 0.5 * waited, message


@per_python(where=lambda py: py.minor in ("3.7", "3.12"))
def test_waits_that_last(env):
    """A recording of a session that is killed has the waits that had not ended."""
    target = env.py.popen([env.py.script(SLEEPERS)], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    path = Path(env.tmp, "killed.kb")
    sampler = env.popen("sample", "--mode", "wall", "-p", target.pid, "-o", path, "-q")

    def recorded(name):
        text = env.keelback("convert", "--partial", path, "-f", "collapsed", check=False).stdout
        return seconds(Profile(text, ""), name)

    wait_until(lambda: path.exists() and recorded("for_ever") > 1, "a wait that lasts is recorded")
    sampler.kill()
    sampler.wait()
    assert 0.5 < recorded("waking") < 20
    go(target)


# Two threads that pass a byte to and fro from far down their stacks.
PING_PONG = '''
import os, sys, threading, time
sys.setrecursionlimit(3000)

def down(n, function):
    if n:
        down(n - 1, function)
    else:
        function()

def ping():
    while time.perf_counter() < end:
        os.write(to[1], b"x")
        os.read(fro[0], 1)
    os.close(to[1])

def pong():
    while os.read(to[0], 1):
        os.write(fro[1], b"x")

to, fro = os.pipe(), os.pipe()
start = time.perf_counter()
end = start + 1
threads = [threading.Thread(target=down, args=(900, function)) for function in (ping, pong)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("used", "ping=%.5f" % (time.perf_counter() - start), flush=True)
'''


@per_python(where=lambda py: py.minor in ("3.8", "3.12", "3.15"))
def test_too_many_waits(env):
    """Walking is bounded: what exceeds the bound has its time, under a marker, and is told of."""
    profile, used = in_mode(env, "wall", "--", *env.py.command([env.py.script(PING_PONG)]))
    assert profile.notes["waits_not_walked"] > 0.2 * profile.attempted, profile.log
    # Two threads, and the main one that waits for them.
    assert abs(profile.total / 1e6 / used["ping"] - 3) < 0.3, f"{profile.total}, {used}: {profile.log}"
    assert profile.count("<waits not walked>") > 0, profile.log
    assert profile.count("ping") > 0 and profile.count("pong") > 0, profile.log


NAPS = """
import time
def long_nap(): time.sleep(.3)
def short_nap(): time.sleep(.005)
# What a launched interpreter does before it is identified is not in the profile: not the first nap, then.
end = time.perf_counter() + .5
while time.perf_counter() < end:
    pass
start = time.perf_counter()
for i in range(2):
    long_nap()
    for j in range(20):
        short_nap()
print("used", "all=%.5f" % (time.perf_counter() - start), flush=True)
"""


@per_python(where=lambda py: py.minor in ("3.9", "3.14"))
def test_min_wait(env):
    """Shorter waits are only counted."""
    target = env.py.command([env.py.script(NAPS)])
    profile, _ = in_mode(env, "wall", "--min-wait", "250ms", "--", *target)
    assert seconds(profile, "long_nap") > 0.59, profile.log
    assert seconds(profile, "short_nap") < 0.1, profile.log
    assert profile.notes["short_waits"] >= 20, profile.log
