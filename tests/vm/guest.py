# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What runs in the virtual machine: keelback on its kernel, case by case.

Results go to the console, a line each, for run.py: `@case NAME passed|failed SECONDS`, and `@end` after the
last. What a failed case says stands before its line.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

from programs import FIGHT, SHARES, SPENDING
from sampling import Profile

PYTHON = sys.executable
TIMEOUT = 240  # of one command; emulated processors are slow
SECONDS = 8  # of a target's CPU time
WANTED = {"tenth": 0.1, "fifth": 0.2, "three": 0.3, "rest": 0.4}
# Of a share, in percentage points. A sampled share of 0.4 among 2,000 samples has a standard deviation of 1.1.
TOLERANCE = 4
FEWEST = 1000  # samples in a profile of SECONDS at 1,000 Hz: TCG delivers fewer interrupts than asked for

# Short-lived children, forked and executed, each with a name of its own to be found by.
FAMILY = """
import os, subprocess, sys, time

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def forked():
    burn(.3)
    os._exit(0)

for turn in range(4):
    child = os.fork()
    if not child:
        forked()
    os.waitpid(child, 0)
    subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
"""
CHILD = """
import time
def executed():
    end = time.process_time() + .3
    while time.process_time() < end:
        pass
executed()
"""

DEEP = """
import sys, time
sys.setrecursionlimit(10000)

def down(depth):
    if depth:
        return down(depth - 1)
    end = time.process_time() + float(sys.argv[2])
    while time.process_time() < end:
        pass

down(int(sys.argv[1]))
"""

# Threads that start while the program is observed, beside a child process.
THREADS = """
import subprocess, sys, threading, time

def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass

def thread_0(): burn(2)
def thread_1(): burn(2)
def thread_2(): burn(2)

print("ready", flush=True)
sys.stdin.readline()
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
threads = [threading.Thread(target=function) for function in (thread_0, thread_1, thread_2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
child.wait()
print("shares")
"""

# Two named tasks, one in a gather(), one awaited by a third.
TASKS = """
import asyncio, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
async def worker(ms):
    while time.process_time() < 6:
        burn(ms / 1000)
        await asyncio.sleep(0)
async def awaits(task):
    await task
async def main():
    loop = asyncio.get_running_loop()
    direct = loop.create_task(worker(30), name="direct")
    await asyncio.gather(loop.create_task(awaits(direct), name="awaiter"), loop.create_task(worker(10), name="gathered"))
asyncio.run(main())
"""

# The program kills itself, so that what is alive then is all that there will be.
GROWTH = """
import os, time
kept, end = [None] * 5000, time.monotonic() + 8
for i in range(5000):
    hot = [b"x" * (600 + j) for j in range(100)]
    kept[i] = bytes(700 + i)
    time.sleep(0.01)
    if time.monotonic() > end:
        break
os.kill(os.getpid(), 9)
"""
KEPT = 6

CASES = []


def case(function):
    CASES.append(function)
    return function


def release():
    """The kernel's version as numbers to compare."""
    return tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups()))


def keelback(*args, status=0):
    """Runs it and returns (stdout, stderr)."""
    command = ["/bin/keelback", *map(str, args)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
    if done.returncode != status:
        print(f"{' '.join(command)}\nstatus {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
    assert done.returncode == status, f"status {done.returncode}, not {status}"
    return done.stdout, done.stderr


def script(name, text):
    Path("/tmp", name).write_text(text)
    return f"/tmp/{name}"


def check_shares(profile, truth):
    """Each function's share of the samples in any of them is what the program measured itself."""
    counts = {name: profile.count(name) for name in WANTED}
    total = sum(counts.values())
    print(f"  {profile.attempted} samples attempted {profile.ledger}")
    assert total >= FEWEST, f"only {total} samples"
    for name in WANTED:
        share, true = 100 * counts[name] / total, 100 * truth[name]
        print(f"  {name}: {share:.1f} %, in truth {true:.1f} %")
        assert abs(share - true) < TOLERANCE, f"{name}: {share:.1f} % sampled, {true:.1f} % in truth"
    assert profile.unknown <= profile.total / 1000, f"{profile.unknown} of {profile.total} are unknown"


def shares_in(output):
    """What SHARES printed about itself."""
    line = re.search(r"^shares(.*)$", output, re.MULTILINE)[1]
    return {name: float(part) for name, part in (field.split("=") for field in line.split())}


def collapsed_of(command, *options):
    """Profile of a launched command, and what that printed."""
    out = "/tmp/out.folded"
    printed, log = keelback("sample", "-f", "collapsed", "-o", out, *options, "--", *command)
    return Profile(Path(out).read_text(), log).check(), printed


def start_waiting(name, text, *args, before=None):
    """A target that has announced itself and waits for a line on its stdin."""
    command = [PYTHON, script(name, text), *map(str, args)]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    target = subprocess.Popen(command, preexec_fn=before, **pipes)
    assert target.stdout.readline() == "ready\n"
    return target


def start_shares(**kwargs):
    return start_waiting("shares.py", SHARES, SECONDS, "wait", **kwargs)


def sampled_target(target, *options):
    """Samples a waiting target until it ends. Returns its profile and what it says is true."""
    out = "/tmp/out.folded"
    command = ["/bin/keelback", "sample", "-f", "collapsed", "-o", out, *map(str, options)]
    sampler = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    time.sleep(4)  # for it to load, on an emulated processor
    output, _ = target.communicate("go\n", timeout=TIMEOUT)
    if sampler.poll() is None and "-p" not in options:
        sampler.send_signal(signal.SIGINT)
    _, log = sampler.communicate(timeout=TIMEOUT)
    assert sampler.returncode == 0, f"status {sampler.returncode}\n{log}"
    return Profile(Path(out).read_text(), log).check(), shares_in(output)


@case
def test_doctor():
    """All that is required is there; what came with later kernels is known to be missing."""
    out, _ = keelback("doctor", "--json")
    features = {row["name"]: row for row in json.loads(out)}
    table, _ = keelback("doctor")
    print(table)
    assert all(row["available"] for row in features.values() if row["required"])
    for name, since in (("iter_num", (6, 4)), ("uprobe_multi", (6, 6))):
        assert features[name]["available"] == (release() >= since), f"{name} on {release()}"
    for name in ("tp_tick", "cgroup2", "map_files", "jit", "statistics"):
        assert features[name]["available"], name


@case
def test_every_configuration_loads():
    """The verifier takes every program in every configuration, with and without what newer kernels have."""
    budgets = "test_verifier_budgets"  # are the host kernel's
    done = subprocess.run(["/bin/test_load", budgets], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    assert done.returncode == 0


@case
def test_launch():
    profile, printed = collapsed_of([PYTHON, script("shares.py", SHARES), SECONDS])
    check_shares(profile, shares_in(printed))


@case
def test_tasks():
    """asyncio's running tasks, whose walk is the longest that the verifier sees."""
    profile, _ = collapsed_of([PYTHON, script("tasks.py", TASKS)], "--async", "running")
    chains = {}
    for stack, count in profile.stacks:
        chain = tuple(frame.name for frame in stack if frame.name.startswith("<task"))
        chains[chain] = chains.get(chain, 0) + count
    print(f"  {profile.attempted} samples attempted {profile.ledger} {profile.notes}, by task {chains}")
    direct = chains[("<task Task-1>", "<task awaiter>", "<task direct>")]
    gathered = chains[("<task Task-1>", "<task gathered>")]
    assert direct + gathered >= FEWEST / 2 and abs(direct / (direct + gathered) - 0.75) < 0.06, chains


@case
def test_memory_pauses():
    """Blocks that are let go while growth is not observed are found; those that stay are not lost."""
    program = script("growth.py", GROWTH)
    output, _ = keelback("memory", "--growth", "--duty", 50, "-f", "jsonl", "--value", "live", "--", PYTHON, program,
                         status=128 + signal.SIGKILL)
    records = [json.loads(line) for line in output.splitlines()]
    rows = {row["line"]: row for row in records if row["type"] == "row" and row["file"].endswith("growth.py")}
    notes = {entry["name"]: entry["count"] for row in records if row["type"] == "ledger" for entry in row["entries"]}
    print(f"  {notes}, kept {rows.get(KEPT)}")
    assert notes["paused_ms"] and notes["freed_unseen"], notes
    assert rows[KEPT]["blocks"] == rows[KEPT]["total_blocks"] > 0, rows[KEPT]


@case
def test_attach():
    target = start_shares()
    profile, truth = sampled_target(target, "-p", target.pid)
    check_shares(profile, truth)


@case
def test_threads():
    """Threads of a process, also later ones, but not the processes that it starts (inherit_thread)."""
    target = start_waiting("threads.py", THREADS, CHILD)
    profile, _ = sampled_target(target, "-p", target.pid)
    counts = [profile.count(f"thread_{n}") for n in range(3)]
    print(f"  {profile.attempted} samples attempted {profile.ledger}, by thread {counts}")
    assert min(counts) >= 200 and max(counts) < 1.3 * min(counts), counts
    assert not profile.count("executed"), "a child process, unasked"


@case
def test_cgroup():
    """A process in a control group, and not the one beside it."""
    group = Path("/sys/fs/cgroup/kb-test")
    group.mkdir()
    target = start_shares(before=lambda: Path(group, "cgroup.procs").write_text(str(os.getpid())))
    beside = subprocess.Popen([PYTHON, script("deep.py", DEEP), "3", str(SECONDS)])
    profile, truth = sampled_target(target, "--cgroup", "kb-test", "-r", 1000)
    beside.kill()
    beside.wait()
    check_shares(profile, truth)
    assert not profile.count("down"), "a process that is in another group"


@case
def test_tick_everywhere():
    """Timer interrupts as the clock, every process of the machine."""
    target = start_shares()
    profile, _ = sampled_target(target, "-a")
    print(f"  {profile.attempted} samples attempted {profile.ledger}")
    assert profile.total >= SECONDS * 50  # Debian's CONFIG_HZ is 250
    assert set(WANTED) <= profile.names()


@case
def test_children():
    """Children that are forked or executed are followed from their first frame."""
    profile, _ = collapsed_of([PYTHON, script("family.py", FAMILY), CHILD], "--processes")
    print(f"  {profile.attempted} samples attempted {profile.ledger} {profile.notes}")
    roots = profile.by_root()
    found = [root for root in roots if any(frame.name == "executed" for stack, _ in roots[root] for frame in stack)]
    assert len(found) == 4, f"{len(found)} executed children of 4: {sorted(roots)}"
    assert profile.count("forked") >= 100
    assert profile.unknown <= profile.total / 100


def timed_of(mode, text, *args):
    """Profile of time of a launched program, and what that printed after `used`."""
    out = "/tmp/out.folded"
    command = [PYTHON, script("timed.py", text), *map(str, args)]
    printed, log = keelback("sample", "--mode", mode, "-f", "collapsed", "-o", out, "--", *command)
    profile = Profile(Path(out).read_text(), log)
    assert "does not add up" not in log, log
    used = re.search(r"^used (.*)$", printed, re.MULTILINE)[1].split()
    return profile, {name: float(part) for name, part in (field.split("=") for field in used)}


@case
def test_waits():
    """Waiting beside running, and waits for the GIL, as the programs measure it."""
    profile, used = timed_of("wall", SPENDING, 8)
    found = {name: profile.count(name) / 1e6 for name in used}
    print(f"  {found} seconds, in truth {used}; {profile.ledger} {profile.notes}")
    for name in used:
        share, true = 100 * found[name] / sum(found.values()), 100 * used[name] / sum(used.values())
        assert abs(share - true) < TOLERANCE, f"{name}: {share:.1f} %, {true:.1f} % in truth"
    profile, used = timed_of("gil-wait", FIGHT)
    found = {name: profile.count(name) / 1e6 for name in ("first", "second")}
    print(f"  {found} seconds, in truth {used}; {profile.ledger} {profile.notes}")
    assert profile.count("<GIL held by>") > 0
    for name in ("first", "second"):
        # Stacks with the function as waiter or as holder: both threads' waits.
        assert found[name] > 0.5 * (used[name] - used["queued_" + name])


@case
def test_deep():
    """As many frames as are kept, and more than that."""
    for depth, flag in ((1000, "good"), (4000, "truncated")):
        profile, _ = collapsed_of([PYTHON, script("deep.py", DEEP), depth, 2])
        print(f"  {depth} frames: {profile.attempted} samples attempted {profile.ledger}")
        deepest = max(sum(frame.name == "down" for frame in stack) for stack, _ in profile.stacks)
        assert deepest >= min(depth + 1, 1024)
        assert profile.ledger[flag] > profile.attempted / 2


# Processes that are preempted in each other's probes, mostly where code is new.
CALLED = """
import os, time
time.sleep(5)
for child in range(6):
    if not os.fork():
        spaces = []  # so that no code object is where another one was
        for i in range(200):
            space = {}
            spaces.append(space)
            exec("def f_%d_%d(n): return f_%d_%d(n - 1) if n else abs(n)" % ((child, i) * 2), space)
            space["f_%d_%d" % (child, i)](4)
        os._exit(0)
for _ in range(6):
    os.wait()
"""


@case
def test_calls():
    """Counts are exact where threads are preempted in a probe's program, and before Linux 6.4."""
    mode = Path("/sys/kernel/debug/sched/preempt").read_text()
    assert "(full)" in mode, mode
    out, names = "/tmp/calls.json", [f"f_{child}_{i}" for child in range(6) for i in range(200)]
    keelback("calls", "--builtins", "--time", "none", "-o", out, "--", PYTHON, script("called.py", CALLED))
    calls = json.loads(Path(out).read_text())
    counted = {f["name"]: f["ncalls"] for f in calls["functions"]}
    print(f"  {calls['ledger']}")
    wrong = {name: counted.get(name) for name in names if counted.get(name) != 5}
    print(f"  {len(wrong)} of {len(names)} are wrong, such as {list(wrong.items())[:5]}")
    assert not wrong
    assert counted["<built-in method builtins.abs>"] == 1200


AUDITED = r'''
import json, os, sys
seen = []
def hook(event, args):
    if event.startswith(("guest.", "os.")):
        seen.append([event, len(args)])
sys.addaudithook(hook)
sys.audit("guest.event", 1, "two", [3.5, None], {"a": b"b"})
os.listdir("/")
os.mkdir("/tmp/audited")
for i in range(1000): sys.audit("guest.loop", i)
print(json.dumps(seen), flush=True)
'''


@case
def test_audit():
    """Events are those that a hook sees; semaphores are raised and programs sleep without uprobe_multi, too."""
    out = "/tmp/audit.jsonl"
    printed, log = keelback("audit", "-e", "guest.*,os.*", "--stack", "-o", out, "--", PYTHON, script("audited.py", AUDITED))
    records = [json.loads(line) for line in Path(out).read_text().splitlines()]
    events = [record for record in records if record["type"] == "event"]
    print(f"  {log.strip()}")
    first = [n for n, event in enumerate(events) if event["event"] == "guest.event"][0]
    hooked = json.loads(printed)
    assert [[event["event"], len(event["args"])] for event in events[first:]] == hooked and len(hooked) == 1003
    assert events[first]["args"] == [1, "two", [3.5, None], {"dict": [["a", {"bytes": "62"}]]}]
    assert events[first]["stack"][0]["line"] == 8, events[first]["stack"]
    assert records[-1]["seen"] == records[-1]["reported"] == len(events)


@case
def test_ps():
    target = start_shares()
    out, _ = keelback("ps")
    target.kill()
    target.wait()
    print(out)
    assert re.search(rf"^\s*{target.pid}\b.*\b3\.\d+", out, re.MULTILINE)


@case
def test_faults():
    """A death with its threads and C stack; values of it only where the kernel can hold it."""
    code = "import os, threading, time\ndef waits(): time.sleep(60)\ndef dies(): os.abort()\n"
    code += "threading.Thread(target=waits, daemon=True).start()\ntime.sleep(1)\ndies()"
    command = ["--", PYTHON, "-c", code]
    out, log = keelback("faults", "--native", "--json", *command, status=128 + signal.SIGABRT)
    report = json.loads(out)
    print(log, report)
    assert "1 deaths seen = 1 good" in log
    assert report["signal_name"] == "SIGABRT" and report["cgroup"].startswith("/")
    stacks = [[frame["name"] for frame in thread["frames"]] for thread in report["threads"]]
    assert stacks[0][0] == "waits" and stacks[1] == ["dies", "<module>"], stacks
    assert report["c_stack_end"] == "" and len(report["c_stack"]) > 8
    held = release() >= (6, 18)
    _, log = keelback("faults", "--locals", *command, status=128 + signal.SIGABRT if held else 4)
    assert held or "this kernel cannot hold a process" in log


@case
def test_demo():
    """What `make demo` runs."""
    _, log = keelback("sample", "-o", "/tmp/demo.kb", "--", PYTHON, "/keelback/scripts/demo_program.py", 10)
    table, _ = keelback("convert", "/tmp/demo.kb", "--sort", "tottime", "--limit", 12, "--no-summary")
    keelback("convert", "/tmp/demo.kb", "-o", "/tmp/demo.html")
    print(table + log)
    assert "demo_program.py" in table or "tokenize" in table
    assert Path("/tmp/demo.html").read_text().startswith("<!")


def main():
    wanted = re.compile(sys.argv[1] if len(sys.argv) > 1 else "")
    print(f"@kernel {os.uname().release}", flush=True)
    for function in CASES:
        if not wanted.search(function.__name__):
            continue
        began = time.monotonic()
        print(f"-- {function.__name__}", flush=True)
        try:
            function()
            result = "passed"
        except Exception:
            traceback.print_exc(file=sys.stdout)
            result = "failed"
        print(f"@case {function.__name__} {result} {time.monotonic() - began:.1f}", flush=True)
    print("@end", flush=True)


main()
