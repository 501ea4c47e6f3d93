# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Every interpreter, attached to and launched: the right functions in the right shares, and no stack that cannot be."""

import itertools
import re
import subprocess

from harness import per_python
from programs import SHARES, TINY_CALLS, CallGraph
from sampling import Sampling, base, go, sample

SHARE_SECONDS = 1.5  # by its own clock, which runs on while a virtual machine does not
SHARE_SAMPLES = 10000
SHARE_OFF = 0.02

TINY_SECONDS = 6
TINY_SAMPLES = 100000


def reported_shares(line):
    """What the program says of itself."""
    return {name: float(share) for name, share in re.findall(r"(\w+)=([\d.]+)", line)}


def check_shares(profile, line):
    truth = reported_shares(line)
    counts = {name: profile.count(name) for name in truth}
    total = sum(counts.values())
    assert total >= SHARE_SAMPLES, f"only {total} samples: {profile.log}"
    for name, share in truth.items():
        found = counts[name] / total
        assert abs(found - share) <= SHARE_OFF, f"{name} has {found:.4f} of the samples, {share} of the time"
    profile.check_unknown()


@per_python
def test_attach(env):
    target = env.py.popen([env.py.script(SHARES), SHARE_SECONDS, "wait"], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    sampling = Sampling(env, "-r", 10000, "-p", target.pid).ready()
    go(target)
    line = env.wait_line(target, "shares")
    check_shares(sampling.finish().check(), line)


@per_python
def test_launch(env):
    command = env.py.command([env.py.script(SHARES), SHARE_SECONDS])
    sampling = Sampling(env, "-r", 10000, "--", *command)
    line = env.wait_line(sampling.process, "shares")
    check_shares(sampling.finish().check(), line)


def of_program(stack, file):
    """The part of a stack that is the program's own: imports lead out of it. None: it has none."""
    own = list(itertools.takewhile(lambda frame: frame.file == file, stack))
    return own or None


@per_python
def test_no_impossible_stack(env):
    script = env.py.script(TINY_CALLS)
    profile = sample(env, "-r", 20000, "--lines", "--", *env.py.command([script, TINY_SECONDS]))
    graph = CallGraph(TINY_CALLS, env.py.version)
    checked = impossible = 0
    for stack, count in profile.stacks:
        own = of_program(stack, script)
        if not own:
            continue  # the interpreter's own start and end
        checked += count
        wrong = graph.impossible([(base(frame), frame.line) for frame in own])
        if wrong:
            impossible += count
            print(count, wrong, *stack)
    assert checked >= TINY_SAMPLES, f"only {checked} samples: {profile.log}"
    assert impossible == 0, f"{impossible} of {checked} stacks are impossible"
    profile.check_unknown()
