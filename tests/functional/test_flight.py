# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The timeline, the flight recorder and the statistics while sampling."""

import re
import signal
import subprocess
from pathlib import Path

from harness import once, per_python, start
from sampling import Profile, base, go, wait_until

# Two phases of a second and a half of CPU time each; the program says when the second begins, and waits before it.
PHASES = '''
import sys, time

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def first():
    burn(1.5)

def second():
    burn(1.5)

first()
print("between", flush=True)
sys.stdin.readline()
time.sleep(1.2)
second()
print("done", flush=True)
sys.stdin.readline()
'''


def record(env, *args, output):
    """Starts keelback and the phases below it, and waits until they have begun."""
    command = env.py.command([env.py.script(PHASES)])
    return start(
        [env.keelback_path, "sample", *args, "-o", output, "--", *command],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def names(path):
    profile = Profile(Path(path).read_text(), "")
    return {base(frame) for stack, _ in profile.stacks for frame in stack}


@per_python(where=lambda py: py.id in ("pyenv-3.6", "pyenv-3.12", "sid-3.15"))
def test_keep(env):
    """On request the last second, which has the first phase in it; at the end the second one, and not the first."""
    out = Path(env.tmp, "out.folded")
    recorder = record(env, "--keep", 1, output=out)
    env.wait_line(recorder, "between")
    recorder.send_signal(signal.SIGUSR2)
    wait_until(Path(env.tmp, "out-1.folded").exists, "the first file")
    go(recorder)
    env.wait_line(recorder, "done")
    recorder.send_signal(signal.SIGUSR2)
    wait_until(Path(env.tmp, "out-2.folded").exists, "the second file")
    _, stderr = recorder.communicate("\n")
    assert recorder.returncode == 0, stderr
    first, second = names(Path(env.tmp, "out-1.folded")), names(Path(env.tmp, "out-2.folded"))
    assert "first" in first and "second" not in first, first
    assert "second" in second and "first" not in second, second
    assert re.search(r"wrote the last 1\.0 s to .*out-2\.folded: \d+ samples", stderr), stderr
    assert "samples attempted" in stderr and out.exists()


@once
def test_when(env):
    """Written when the condition comes to hold: not while it does not, and not each second that it does."""
    env.py = env.python("3.12")
    out = Path(env.tmp, "out.folded")
    recorder = record(env, "--keep", 20, "--when", "cpu<5%", output=out)
    env.wait_line(recorder, "between")
    assert not Path(env.tmp, "out-1.folded").exists()
    go(recorder)
    wait_until(Path(env.tmp, "out-1.folded").exists, "the file", timeout=10)
    env.wait_line(recorder, "done")
    _, stderr = recorder.communicate("\n")
    assert recorder.returncode == 0, stderr
    assert "first" in names(Path(env.tmp, "out-1.folded")), stderr
    assert stderr.count("wrote the last") <= 2, stderr


@once
def test_timeline(env):
    """A recording with a timeline has each sample with its time, and the same sums as one without."""
    env.py = env.python("3.12")
    out = Path(env.tmp, "out.kb")
    recorder = record(env, "--timeline", output=out)
    env.wait_line(recorder, "between")
    go(recorder)
    env.wait_line(recorder, "done")
    recorder.communicate("\n")
    plain = env.keelback("convert", out, "-f", "collapsed").stdout
    profile = Profile(plain, "")
    assert profile.count("first") > 500 and profile.count("second") > 500, plain


@once
def test_realtime_stats(env):
    env.py = env.python("3.12")
    recorder = record(env, "--realtime-stats", output=Path(env.tmp, "out.folded"))
    env.wait_line(recorder, "between")
    go(recorder)
    env.wait_line(recorder, "done")
    _, stderr = recorder.communicate("\n")
    lines = re.findall(
        r"keelback: (\d+) s: (\d+) samples/s \((\d+) to (\d+)\), (\d+) in all.*; \d+ process(?:es)?, own CPU ([\d.]+) %", stderr
    )
    assert len(lines) >= 2, stderr
    for _, rate, slowest, fastest, _, _ in lines:
        assert int(slowest) <= int(rate) <= int(fastest), stderr
    totals = [int(line[4]) for line in lines]
    assert totals == sorted(totals) and totals[-1] > 500, stderr
