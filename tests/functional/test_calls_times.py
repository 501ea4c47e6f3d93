# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sampled times of calls that are counted at the same time: what probes leave behind is taken off."""

import json
import subprocess
from pathlib import Path

from call_programs import EQUAL
from harness import per_python


def do_rounds(target, rounds, how="run"):
    """Seconds in calls and in the loop, as the program itself or cProfile has them."""
    target.stdin.write(f"{how} {rounds}\n")
    target.stdin.flush()
    return [float(seconds) for seconds in target.stdout.readline().split()]


def count(env, target, *options):
    """keelback's JSON of 60 rounds."""
    path = Path(env.tmp, "calls.json")
    counter = env.popen("calls", "-v", "-p", target.pid, "--exact", "--clock", "cpu", "-r", 4000, "-f", "json", "-o", path, *options,
                        stderr=subprocess.STDOUT)
    env.wait_line(counter, "counting")
    do_rounds(target, 60)
    counter.send_signal(2)
    output, _ = counter.communicate(timeout=60)
    assert counter.returncode == 0, output
    result = json.loads(path.read_text())
    result["taken off"] = sum(entry["count"] for entry in result["ledger"] if entry["name"] == "aftermath")
    return result


def share(calls, loop):
    return calls / (calls + loop)


@per_python(where=lambda py: py.version in ((3, 8), (3, 11), (3, 14)), timeout=120)
def test_what_probes_leave_behind(env):
    """The share of calls is nearer to what is true than cProfile's."""
    target = env.py.popen([env.py.script(EQUAL), "leaves"], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    before = do_rounds(target, 60)
    result = count(env, target)
    true = share(*map(sum, zip(before, do_rounds(target, 60))))
    profiled = share(*do_rounds(target, 10, "cProfile"))
    times = {function["name"]: function for function in result["functions"]}
    calls, loop = times["leaves"]["cumtime"], times["loop"]["cumtime"]
    ours, raw = share(calls, loop), share(calls + result["taken off"] / 4000, loop)
    print(f"true {true:.3f}, keelback {ours:.3f}, as sampled {raw:.3f}, cProfile {profiled:.3f}")
    assert result["taken off"] > 0, result["ledger"]
    assert abs(ours - true) < abs(profiled - true)

    # Times are still those of a tree: a caller's are its own and those of what it called.
    own = times["leaves"]["tottime"] + times["leaf"]["tottime"]
    assert abs(calls - own) < 0.01 * calls, (calls, own)
    (caller,) = times["leaf"]["callers"]
    assert caller["name"] == "leaves" and abs(caller["cumtime"] - times["leaf"]["cumtime"]) < 1e-9, caller


@per_python(where=lambda py: py.version == (3, 12))
def test_times_as_sampled(env):
    target = env.py.popen([env.py.script(EQUAL), "leaves"], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    assert count(env, target, "--as-sampled")["taken off"] == 0
