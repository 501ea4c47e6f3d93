# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""keelback itself stopped, interrupted, killed, without room for its report, or without rights."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from harness import children_of, once, start
from sampling import Sampling, sample, unnamed, wait_until

BUSY = '''
import time
def busy():
    start = time.process_time()
    while True:
        for i in range(1000): pass
        count[0] += 1
count = [0]
print("ready", flush=True)
busy()
'''

# Nearly every sample is a stack of its own: 2^16 ways down, below a number of frames.
DISTINCT = '''
import random, sys, time
SOURCE = """
def {0}{1}(n):
    if n:
        if n & 1:
            return left{2}(n >> 1)
        return right{2}(n >> 1)
    x = 0
    x += 1
    x += 2
    return x
"""
DEPTH = 16
for i in range(DEPTH + 1):
    for side in ("left", "right"):
        exec(SOURCE.format(side, i, i + 1))
globals()["left%d" % (DEPTH + 1)] = globals()["right%d" % (DEPTH + 1)] = lambda n: n
def distinct(depth):
    if depth:
        distinct(depth - 1)
    while True:
        left0(random.getrandbits(16) | 1 << 16)
print("ready", flush=True)
distinct(int(sys.argv[1]))
'''


def launch_busy(env, text=BUSY, depth=0):
    env.py = env.python("3.12")
    target = env.py.popen([env.py.script(text), depth])
    env.wait_line(target, "ready")
    return target


def cpu_of(pid):
    """Seconds of CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def let_run(pid, seconds, timeout=60):
    """Waits until a process has used that much CPU time."""
    used = cpu_of(pid)
    wait_until(lambda: cpu_of(pid) >= used + seconds, f"{seconds} s of CPU time", timeout)


def stopped_for(env, text, seconds, rate, depth=0):
    """Samples with the reader stopped for some time. Returns the profile and the CPU seconds sampled."""
    target = launch_busy(env, text, depth)
    sampling = Sampling(env, "-r", rate, "-p", target.pid).ready()
    before = cpu_of(target.pid)
    sampling.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)  # what is tested is the time itself
    sampling.process.send_signal(signal.SIGCONT)
    let_run(target.pid, 0.3)
    profile = sampling.stop().check()
    return profile, cpu_of(target.pid) - before


@once
def test_reader_stopped(env):
    """10 s without a reader, and nothing is lost."""
    profile, cpu = stopped_for(env, BUSY, 10, 1000)
    assert profile.attempted > 0.7 * 1000 * cpu, f"{profile.attempted} samples in {cpu} s: {profile.log}"
    assert profile.count("busy") >= 0.999 * profile.attempted, profile.log


@once
def test_reader_stopped_and_table_full(env):
    """More new stacks than entries in the table: what does not fit is counted."""
    profile, cpu = stopped_for(env, DISTINCT, 12, 2000)
    assert profile.ledger.get("stacks_full", 0) > 100, profile.log
    assert profile.attempted > 0.7 * 2000 * cpu, f"{profile.attempted} samples in {cpu} s: {profile.log}"


@once
def test_reader_stopped_and_ring_full(env):
    """More bytes than the ring holds: likewise, and no name is missing."""
    profile, cpu = stopped_for(env, DISTINCT, 4, 20000, depth=60)
    assert profile.ledger.get("ring_full", 0) > 1000, profile.log
    assert profile.total > 10000, profile.log
    # Each of these samples takes as long as the target has between two of them.
    assert profile.attempted > 0.3 * 20000 * cpu, f"{profile.attempted} samples in {cpu} s: {profile.log}"
    assert not any(unnamed(frame) for stack, _ in profile.stacks for frame in stack)


@once
def test_distinct_stacks(env):
    """With the reader at work there is room for all of them, at the highest rate."""
    target = launch_busy(env, DISTINCT)
    profile = sample(env, "-r", 20000, "-p", target.pid, "-d", 3)
    assert len(profile.stacks) > 3000, len(profile.stacks)
    profile.check_unknown()


@once
def test_interrupted_once(env):
    target = launch_busy(env)
    for how in (signal.SIGINT, signal.SIGTERM):
        sampling = Sampling(env, "-p", target.pid).ready()
        let_run(target.pid, 0.2)
        profile = sampling.stop(how).check()
        assert profile.count("busy") > 100, profile.log
    assert target.poll() is None


@once
def test_interrupted_twice(env):
    """The second interrupt ends it at once, here while it waits for its command."""
    env.py = env.python("3.12")
    script = env.py.script("""
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready", flush=True)
while True: time.sleep(1)
""")
    sampling = Sampling(env, "--", env.py.path, script).ready()
    env.wait_line(sampling.process, "ready")
    sampling.process.send_signal(signal.SIGINT)
    sampling.wait_log("waiting for the command")
    time.sleep(0.1)  # two in the same instant are one request
    sampling.process.send_signal(signal.SIGINT)
    assert sampling.process.wait(5) == 128 + signal.SIGINT


@once
def test_interrupted_command(env):
    """An interrupt for keelback alone is passed on; the report and the command's status come out."""
    target = env.python("3.12")
    sampling = Sampling(env, "--", target.path, target.script(BUSY))
    env.wait_line(sampling.process, "ready")
    sampling.ready()
    let_run(children_of(sampling.process.pid)[0], 0.2)
    profile = sampling.stop(status=128 + signal.SIGINT).check()
    assert "busy" in profile.names(), profile.log


def owned(kind, pid):
    """Ids of a process's BPF programs, links or maps."""
    entries = [file.read_text() for file in Path(f"/proc/{pid}/fdinfo").iterdir()]
    # A link's entry names its program, too.
    found = [re.search(rf"^{kind}_id:\s*(\d+)$", entry, re.M) for entry in entries]
    return {int(match[1]) for match in found if match}


def existing(kind):
    done = subprocess.run(["bpftool", "-j", kind], stdout=subprocess.PIPE, check=True)
    return {entry["id"] for entry in json.loads(done.stdout)}


def text_of(pid):
    """The executable pages of the interpreter, as the process has them and as its files have them."""
    pairs = []
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            fields = line.split()
            if "x" not in fields[1] or "python" not in fields[-1]:
                continue
            first, last = (int(part, 16) for part in fields[0].split("-"))
            memory.seek(first)
            with open(fields[-1], "rb") as file:
                file.seek(int(fields[2], 16))
                pairs.append((memory.read(last - first), file.read(last - first)))
    return pairs


def patched(pid):
    """Does a probe lie in the process's copy of the interpreter?"""
    return any(in_memory[: len(in_file)] != in_file for in_memory, in_file in text_of(pid))


@once
def test_killed(env):
    """The target runs on, and nothing of keelback stays in the kernel or in the target's text."""
    target = launch_busy(env)
    sampling = Sampling(env, "-r", 10000, "-p", target.pid).ready()
    pid = sampling.process.pid
    ours = {kind: owned(kind, pid) for kind in ("prog", "link", "map")}
    assert all(ours.values()), ours
    assert patched(target.pid)
    let_run(target.pid, 0.2)
    sampling.process.kill()
    sampling.process.wait()
    for kind, ids in ours.items():
        wait_until(lambda kind=kind, ids=ids: not ids & existing(kind), f"{kind}s are gone")
    wait_until(lambda: not patched(target.pid), "the probes are gone")
    let_run(target.pid, 0.2)
    assert target.poll() is None


@once
def test_killed_with_a_command(env):
    """The command runs on."""
    target = env.python("3.12")
    sampling = Sampling(env, "--", target.path, target.script(BUSY))
    env.wait_line(sampling.process, "ready")
    command = children_of(sampling.process.pid)[0]
    sampling.process.kill()
    sampling.process.wait()
    let_run(command, 0.2)


def check_failed(done, *texts):
    assert done.returncode == 1, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    for text in texts:
        assert text in lines[0], done.stderr


@once
def test_full_device(env):
    target = launch_busy(env)
    for format in ("collapsed", "pstats", "flamegraph", "pstats-file", "recording"):
        done = env.keelback("sample", "-q", "-p", target.pid, "-d", 0.5, "-f", format, "-o", "/dev/full", check=False)
        check_failed(done, "/dev/full", "No space left")
        with open("/dev/full", "w") as full:
            options = ["-q", "-p", target.pid, "-d", 0.3, "-f", format]
            process = env.popen("sample", *options, stdout=full, stderr=subprocess.PIPE)
            _, stderr = process.communicate(timeout=20)
        check_failed(subprocess.CompletedProcess([], process.returncode, "", stderr), "No space left")


@once
def test_full_disk(env):
    """A file system that is full before the report is done."""
    target = launch_busy(env, DISTINCT, depth=20)
    small = env.temp_dir("small")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "small", small], check=True)
    try:
        for name in ("out.folded", "out.html", "out.kb"):
            options = ["-q", "-r", 5000, "-p", target.pid, "-d", 3, "-o", f"{small}/{name}"]
            done = env.keelback("sample", *options, check=False)
            check_failed(done, name, "No space left")
            for left in Path(small).iterdir():
                left.unlink()
    finally:
        subprocess.run(["umount", small], check=True)


@once
def test_reader_of_the_report_ends(env):
    """A closed pipe is no crash and no noise."""
    target = launch_busy(env, DISTINCT)
    process = env.popen("sample", "-q", "-p", target.pid, "-d", 1, "-f", "collapsed", stderr=subprocess.PIPE)
    process.stdout.close()
    process.wait(20)
    assert process.returncode in (1, 128 + signal.SIGPIPE), process.returncode
    assert len(process.stderr.read().splitlines()) <= 1


@once
def test_without_rights(env):
    """As nobody: one line that names what is missing."""
    target = launch_busy(env)
    for args in (["-p", target.pid], ["-a"], ["--", target.args[0], "-c", "pass"]):
        command = [env.keelback_path, "sample", "-d", 1, *args]
        process = start(command, stderr=subprocess.PIPE, user=65534, group=65534, extra_groups=[], cwd="/")
        _, stderr = process.communicate(timeout=20)
        assert process.returncode == 4, stderr
        assert len(stderr.splitlines()) == 1 and "CAP_" in stderr, stderr
