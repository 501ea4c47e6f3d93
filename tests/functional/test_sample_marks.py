# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Frames that are no functions: where C code called Python, and garbage collections."""

import re

from harness import once, per_python
from sampling import GC, NATIVE, base, sample

# Python called by Python, and by C code: sorted() with a key function, and a method of C called by name.
CALLS = '''
import time

def leaf(x):
    for i in range(3000): pass
    return x

def direct():
    leaf(1)

def through_c():
    sorted(range(5), key=leaf)

def twice():
    sorted(range(3), key=lambda x: through_c() or x)

end = time.process_time() + .4
while time.process_time() < end:
    direct()
    through_c()
    twice()
'''


def own_names(stack, script):
    """The stack from the program's first frame on, as names, with marks."""
    at = next((i for i, frame in enumerate(stack) if frame.file == script), len(stack))
    return [frame.name if frame == NATIVE else base(frame) for frame in stack[at:]]


def chains(profile, script):
    """How often each chain of names below the program's first frame ends in leaf()."""
    found = {}
    for stack, count in profile.marked_stacks:
        names = own_names(stack, script)
        if names[-1:] == ["leaf"]:
            found[" ".join(names[1:])] = found.get(" ".join(names[1:]), 0) + count
    return found


@per_python
def test_native_marks(env):
    """A mark where C code called Python and nowhere else, never at the root; none where the version does not tell."""
    script = env.py.script(CALLS)
    profile = sample(env, "-r", 2000, "--", *env.py.command([script]))
    mark = " <native>" if env.py.version >= (3, 11) else ""
    found = chains(profile, script)
    print(found)
    expected = {"direct leaf", f"through_c{mark} leaf", f"twice{mark} <lambda> through_c{mark} leaf"}
    assert min(found.get(chain, 0) for chain in expected) >= 20, f"{found}: {profile.log}"
    # A sample may fall between the instructions that put a frame on the chain.
    others = {chain: count for chain, count in found.items() if chain not in expected}
    assert sum(others.values()) <= 3, f"{others}: {profile.log}"
    for stack, _ in profile.marked_stacks:
        assert stack[0] != NATIVE and stack[-1] != NATIVE, stack


@once
def test_native_marks_left_out(env):
    env.py = env.python("3.12")
    script = env.py.script(CALLS)
    profile = sample(env, "--no-native-marks", "--", *env.py.command([script]))
    assert "through_c leaf" in chains(profile, script), profile.log
    assert all(NATIVE not in stack for stack, _ in profile.marked_stacks)


# Collections of known length by the thread's own clock, and one that runs a finalizer for long.
COLLECTIONS = '''
import gc, time

try:
    clock = time.thread_time
except AttributeError:  # 3.6
    clock = time.process_time

def work(seconds):
    end = clock() + seconds
    while clock() < end: pass

class Node:
    def __init__(self):
        self.me = self
    def __del__(self):
        finalizer()

def finalizer():
    work(.1)

gc.disable()
heap = [[i] for i in range(200000)]
start = clock()
collecting = 0
while clock() < start + .8:
    before = clock()
    gc.collect()
    collecting += clock() - before
    work(.02)
share = collecting / (clock() - start)
Node()
gc.collect()
print("share=%.5f" % share, flush=True)
'''

SHARE_OFF = 0.03


def below(profile, name):
    """The frames behind that function in each stack that has it: list of (frames, count)."""
    found = []
    for stack, count in profile.marked_stacks:
        at = next((i for i, frame in enumerate(stack) if base(frame) == name), None)
        if at is not None:
            found.append((stack[at + 1 :], count))
    return found


@per_python
def test_collections(env):
    """Samples during a collection say so, as many as it took time; others do not."""
    script = env.py.script(COLLECTIONS)
    command = env.py.command([script])
    with open(env.tmp + "/stdout", "w+") as output:
        profile = sample(env, "-r", 2000, "--", *command, stdout=output)
        output.seek(0)
        share = float(re.search(r"share=([\d.]+)", output.read())[1])
    loop = collecting = 0
    for stack, count in profile.marked_stacks:
        if any(base(frame) in ("Node", "__del__") for frame in stack) or not stack[0].file == script:
            continue
        if GC in stack:
            assert stack[-1] == GC, stack
            collecting += count
        if GC in stack or stack[-1].name == "work":
            loop += count
    assert loop >= 800, f"{loop} samples: {profile.log}"
    assert abs(collecting / loop - share) <= SHARE_OFF, f"{collecting} of {loop} samples, {share} of the time"
    # A finalizer runs in a collection. 3.15 tells where it began, before the mark is the leaf.
    finalizers = below(profile, "__del__")
    assert sum(count for _, count in finalizers) >= 100, profile.log
    if env.py.version >= (3, 15):
        assert all(GC not in rest for rest, _ in finalizers), finalizers
        assert all(GC in stack for stack, _ in profile.marked_stacks if any(base(f) == "__del__" for f in stack))
    else:
        assert all(rest[-1:] == [GC] for rest, _ in finalizers), finalizers


@once
def test_collections_left_out(env):
    env.py = env.python("3.12")
    profile = sample(env, "--no-gc", "--", *env.py.command([env.py.script(COLLECTIONS)]))
    assert profile.count("__del__") >= 50, profile.log
    assert all(GC not in stack for stack, _ in profile.marked_stacks)
