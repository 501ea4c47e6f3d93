# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""keelback memory: many processes at once, limits that are reached, and ends of all kinds."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import uuid
from pathlib import Path

import memory
from containers import Container
from harness import once, per_python

BOTH_WAYS = ("pyenv-3.8", "pyenv-3.13", "debian-3.11", "sid-3.14", "sid-3.15")

# Keeps 2,000 bytes a time, at the line of hold(), as often as it is told to.
HOLDER = """
import os, sys
kept = []
def hold():
    kept.append(bytearray(2000))
os.write(1, b"ready\\n")
for line in sys.stdin:
    for i in range(int(line)):
        hold()
    os.write(1, b"done\\n")
"""
HOLD_LINE = 5


def tell(target, n):
    target.stdin.write(f"{n}\n")
    target.stdin.flush()


def held(traced):
    """Bytes and blocks at hold()'s line, which keeps bytearrays and the list of them."""
    rows = [row for row in traced.rows if row["file"].endswith("target.py") and row["line"] == HOLD_LINE]
    return sum(row["bytes"] for row in rows), sum(row["blocks"] for row in rows)


@once(timeout=240)
def test_several(env):
    """Several Pythons at once, each by the way that it allows, whether they are named or found."""
    pythons = [env.python(id) for id in BOTH_WAYS]
    targets = [python.popen([python.script(HOLDER)], stdin=subprocess.PIPE) for python in pythons]
    for target in targets:
        env.wait_line(target, "ready")
    for i, chosen in enumerate((["-p", ",".join(str(target.pid) for target in targets)], ["-a"])):
        output = f"{env.tmp}/{i}.jsonl"
        # Of all processes of the machine: growth only, so that others are not slowed down.
        keelback = memory.start_keelback(env, *chosen, "-f", "jsonl", "-o", output, *["--growth"] * i)
        for n, target in enumerate(targets):
            tell(target, 100 * (n + 1))
            env.wait_line(target, "done")
        assert memory.end_keelback(keelback) == 0
        traced = memory.Traced(output)
        ours = {process["pid"]: process for process in traced.processes}
        for n, (target, python) in enumerate(zip(targets, pythons)):
            process = ours[target.pid]
            assert process["exact"] == (not i and "stripped" not in python.traits), process
            wanted = 100 * (n + 1) * 2000
            assert wanted <= process["heap"]["current"] < wanted + 200_000, (python.id, wanted, process)
        size, blocks = held(traced)
        assert size >= 100 * 15 * 2000 and blocks >= 100 * 15
    assert all(target.poll() is None for target in targets)


@once(timeout=120)
def test_container(env):
    """Of a container: its processes and no others, those that start later included."""
    env.py = env.python("sid-3.14")
    program = env.py.script(HOLDER)
    # Probes come some milliseconds after it began.
    fill = env.py.script("import os, time; time.sleep(0.5); kept = [bytearray(3000) for i in range(2000)]; time.sleep(0.5); os.kill(os.getpid(), 9)", "fill.py")
    beside = env.py.popen([program], stdin=subprocess.PIPE)
    env.wait_line(beside, "ready")
    pipe = env.tmp + "/pipe"
    os.mkfifo(pipe)
    with Container(env.py.root, ["/bin/sh", "-c", f"exec {env.py.path} {program} < {pipe}"]) as container:
        with open(pipe, "w") as file:
            container.wait_output("ready")
            keelback = memory.start_keelback(env, "--container", container.id, "-f", "jsonl", "-o", env.tmp + "/x")
            for line in ("50\n", "50\n"):
                file.write(line)
                file.flush()
            tell(beside, 700)
            env.wait_line(beside, "done")
            deadline = time.monotonic() + 20
            while container.output().count("done") < 2:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            container.exec([env.py.path, fill], check=False)
            assert memory.end_keelback(keelback) == 0
    traced = memory.Traced(env.tmp + "/x")
    pids = [process["pid"] for process in traced.processes]
    assert container.pid in pids and beside.pid not in pids and len(pids) == 2, pids
    size, blocks = held(traced)
    assert 100 * 2000 <= size < 150 * 2000, (size, blocks)
    late, = [process for process in traced.processes if process["pid"] != container.pid]
    assert late["attached_ns"] > 0 and 2000 * 3000 <= late["heap"]["current"] < 2000 * 3100 + 2_000_000, late


@per_python(where=lambda py: py.id in ("pyenv-3.11", "debian-3.11", "sid-3.14"))
def test_when(env):
    """--when rss>SIZE: the profile of what led there, by itself, and the target goes on."""
    target = env.py.popen([env.py.script(HOLDER)], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    keelback = memory.start_keelback(env, "-p", target.pid, "--when", "rss>100M", "-f", "jsonl", "-o", env.tmp + "/x")
    for _ in range(30):
        tell(target, 2000)
        env.wait_line(target, "done")
        time.sleep(0.2)  # 10,000 blocks a second are not too many for growth
    assert keelback.wait(30) == 0
    assert "rss>100M holds" in Path(env.tmp, "words").read_text()
    traced = memory.Traced(env.tmp + "/x")
    process, = traced.processes
    assert process["rss"] > 100 << 20, process
    size, _ = held(traced)
    assert 80_000_000 < size <= 30 * 2000 * 2100 and size > process["heap"]["current"] * 0.9, (size, process)
    tell(target, 1)
    env.wait_line(target, "done")


@contextlib.contextmanager
def memory_cgroup(limit):
    """A cgroup whose memory is limited; yields the file that processes are put into it by."""
    v1 = Path("/sys/fs/cgroup/memory")
    base = v1 if v1.is_dir() else next(path for path in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
                                       if (path / "cgroup.controllers").exists())
    if base != v1 and "memory" not in (base / "cgroup.subtree_control").read_text():
        (base / "cgroup.subtree_control").write_text("+memory")
    group = base / f"keelback-test-{uuid.uuid4().hex[:12]}"
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if base == v1 else "memory.max")).write_text(str(limit))
        yield group / "cgroup.procs"
    finally:
        for _ in range(500):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.01)


@per_python(where=lambda py: py.id in BOTH_WAYS, timeout=120)
def test_oom(env):
    """A process that the OOM killer ends leaves what it had then: where its memory went."""
    with memory_cgroup(96 << 20) as procs:
        target = env.py.popen([env.py.script(HOLDER)], stdin=subprocess.PIPE)
        env.wait_line(target, "ready")
        procs.write_text(str(target.pid))
        keelback = memory.start_keelback(env, "-p", target.pid, "-f", "jsonl", "-o", env.tmp + "/x")
        tell(target, 10_000_000)
        assert target.wait(60) == -signal.SIGKILL
        assert keelback.wait(30) == 0
    traced = memory.Traced(env.tmp + "/x")
    process, = traced.processes
    size, _ = held(traced)
    # Paused now and then where it is growth.
    floor = 80_000_000 if process["exact"] else 20_000_000
    assert floor < size < 110_000_000, (size, process)
    assert traced.rows[0]["line"] == HOLD_LINE, traced.rows[:3]
    assert process["exact"] or size > 80_000_000 or traced.ledger.get("paused_ms"), (size, traced.ledger)


# Threads that end while they are allocating: by exit of the process, by os._exit(), by a signal.
ENDS = """
import os, sys, threading, time, _thread
def churn():
    kept = []
    while True:
        kept.append(bytearray(1500))
        if len(kept) > 50:
            del kept[:]
def short():
    kept = [bytearray(1500) for i in range(20)]
for i in range(3):
    _thread.start_new_thread(churn, ())
print("ready", flush=True)
sys.stdin.readline()
until = time.time() + 1
while time.time() < until:
    threads = [threading.Thread(target=short) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("done", flush=True)
sys.stdin.readline()
if sys.argv[1] == "exit":
    os._exit(0)
if sys.argv[1] == "thread":
    time.sleep(0.1)
os.kill(os.getpid(), 9)
"""


@per_python(where=lambda py: py.id in ("pyenv-3.7", "pyenv-3.12", "debian-3.11", "sid-3.15"), timeout=120)
def test_threads_end(env):
    """Threads that end in mid-allocation take nothing with them: the sums of lines are the process's."""
    for how in "exit", "thread":
        target = env.py.popen([env.py.script(ENDS), how], stdin=subprocess.PIPE)
        env.wait_line(target, "ready")
        output = f"{env.tmp}/{how}.jsonl"
        keelback = memory.start_keelback(env, "-p", target.pid, "-f", "jsonl", "-o", output)
        tell(target, "")
        env.wait_line(target, "done")
        tell(target, "")
        target.wait(30)
        assert keelback.wait(30) == 0
        traced = memory.Traced(output)
        process, = traced.processes
        heap = process["heap"]
        assert sum(row["bytes"] for row in traced.rows) == heap["current"] + process["native"]["current"]
        total = heap["total_blocks"] + process["native"]["total_blocks"]
        assert sum(row["total_blocks"] for row in traced.rows) <= total
        # 150 blocks are alive at most in the threads' lists; what else there is is small, or is marked.
        limit = 3 * 60 * 1600 + 40 * 1600 + 300_000
        assert heap["current"] < limit or not process["exact"] and traced.ledger.get("paused_ms"), (process, traced.ledger)
        assert process["unfinished"] <= 3 or traced.ledger["alloc_unfinished"] == process["unfinished"]


def links_of_kernel():
    """The ids of all BPF links."""
    done = subprocess.run(["bpftool", "link", "list", "-j"], stdout=subprocess.PIPE, check=True)
    return {link["id"] for link in json.loads(done.stdout or "[]")}


@per_python(where=lambda py: py.id in ("pyenv-3.10", "sid-3.14"))
def test_nothing_left(env):
    """SIGKILL of keelback: its links go, the target runs on, at its own pace, and can be traced again."""
    target = env.py.popen([env.py.script(HOLDER)], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    keelback = memory.start_keelback(env, "-p", target.pid)
    ours = {int(link) for fd in Path(f"/proc/{keelback.pid}/fdinfo").iterdir()
            for link in re.findall(r"^link_id:\t(\d+)", fd.read_text(), re.M)}
    assert ours and ours <= links_of_kernel()
    keelback.kill()
    keelback.wait()
    deadline = time.monotonic() + 20
    while ours & links_of_kernel():  # the kernel frees them a little later
        assert time.monotonic() < deadline, ours & links_of_kernel()
        time.sleep(0.05)
    tell(target, 1000)
    env.wait_line(target, "done")
    keelback = memory.start_keelback(env, "-p", target.pid, "-f", "jsonl", "-o", env.tmp + "/x")
    tell(target, 100)
    env.wait_line(target, "done")
    assert memory.end_keelback(keelback) == 0
    size, blocks = held(memory.Traced(env.tmp + "/x"))
    assert 100 * 2000 <= size < 100 * 2000 + 50_000, (size, blocks)
    target.stdin.close()
    assert target.wait(20) == 0


MILLIONS = """
import gc, os
from itertools import repeat
gc.disable()
class Item(object):
    __slots__ = ("a", "b")
kept = [Item() for i in repeat(None, 10000000)]
os.kill(os.getpid(), 9)
"""
MILLIONS_LINE = 7


def trace_millions(env, *options):
    done = env.keelback("memory", *options, "-f", "jsonl", "--value", "live", "-o", env.tmp + "/x", "--",
                        *env.py.command([env.py.script(MILLIONS)]), check=False)
    assert done.returncode == 128 + signal.SIGKILL
    traced = memory.Traced(env.tmp + "/x")
    process, = traced.processes
    rows = [row for row in traced.rows if row["file"].endswith("target.py") and row["line"] == MILLIONS_LINE]
    return traced, process, sum(row["bytes"] for row in rows), sum(row["blocks"] for row in rows)


@once(timeout=400)
def test_ten_million_exact(env):
    """Of ten million live blocks, all that have no room are counted, in blocks and bytes, and said."""
    env.py = env.python("pyenv-3.11")
    traced, process, size, blocks = trace_millions(env)
    heap = process["heap"]
    print(process, traced.ledger)
    assert process["exact"] and heap["total_blocks"] > 10_000_000
    assert heap["blocks"] <= 1 << 21 and blocks > heap["blocks"] * 0.9
    assert sum(row["bytes"] for row in traced.rows) == heap["current"]
    # What is followed, and what is not, are all that there are; 48 bytes each.
    assert process["lost_blocks"] + blocks >= 10_000_000 and process["lost_bytes"] >= 48 * (10_000_000 - blocks)
    assert traced.ledger["blocks_full"] == process["lost_blocks"]


@per_python(where=lambda py: py.id in ("debian-3.11", "sid-3.14"), timeout=240)
def test_ten_million_growth(env):
    """In pools they are few."""
    traced, process, size, blocks = trace_millions(env)
    print(process, traced.ledger)
    wanted = 10_000_000 * (48 + 8)
    assert not process["exact"] and not process["lost_blocks"]
    assert 0.95 * wanted < size < 1.2 * wanted or traced.ledger.get("paused_ms"), (size, traced.ledger)
    assert sum(row["bytes"] for row in traced.rows) == process["heap"]["current"] + process["native"]["current"]
