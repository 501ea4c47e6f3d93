# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--mode: only what a thread does in one state, compared with what the program itself knows of its states."""

import subprocess

from harness import once, per_python
from sampling import Sampling, go, sample

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
