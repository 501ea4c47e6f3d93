# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""keelback calls on programs that live: windows, attaching again and again, threads, forks, deep recursion, sudden ends."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from containers import Container
from harness import once, per_python
from test_calls import attach, finish, read_stats

NEW = (3, 11), (3, 12), (3, 14)

# Serves requests and counts them itself. Prints its counters when a line comes.
SERVER = """
import sys, threading
counts = {"handle": 0, "parse": 0}
def parse(n):
    counts["parse"] += 1
    return sum(range(WORK))
def handle(n):
    counts["handle"] += 1
    for i in range(3):
        parse(i)
stop = False
def serve():
    while not stop:
        handle(1)
thread = threading.Thread(target=serve)
thread.daemon = True
thread.start()
print("ready", flush=True)
for line in sys.stdin:
    print(counts["handle"], counts["parse"], flush=True)
"""


def ask(target):
    target.stdin.write("\n")
    target.stdin.flush()
    return list(map(int, target.stdout.readline().split()))


def by_name(path):
    functions, _ = read_stats(path)
    return {key[2]: value for key, value in functions.items()}


def ledger(output):
    seen, reported, lost = map(int, re.search(r"Calls: seen (\d+) = reported (\d+) \+ lost (\d+)", output).groups())
    assert seen == reported + lost
    return seen, lost


def programs_of(process):
    """Ids of the BPF programs that a process has loaded."""
    found = set()
    for file in Path(f"/proc/{process.pid}/fdinfo").iterdir():
        found.update(map(int, re.findall(r"^prog_id:\s*(\d+)$", file.read_text(), re.M)))
    assert found
    return found


def check_gone(programs):
    """The kernel frees programs some milliseconds after their last user."""
    deadline = time.monotonic() + 10
    while True:
        listed = json.loads(subprocess.run(["bpftool", "-j", "prog", "show"], stdout=subprocess.PIPE, check=True).stdout)
        left = programs & {program["id"] for program in listed}
        if not left:
            return
        assert time.monotonic() < deadline, f"programs {left} are still there"
        time.sleep(.1)


ATTACHES = int(os.environ.get("KEELBACK_ATTACHES", "25"))


def requests_per_second(target):
    """Of the program's processor time: other processes take some of the machine's."""
    def look():
        ticks = sum(map(int, Path(f"/proc/{target.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
        return ask(target)[0], ticks / os.sysconf("SC_CLK_TCK")

    before = look()
    time.sleep(1)
    after = look()
    return (after[0] - before[0]) / (after[1] - before[1])


@per_python(where=lambda py: py.version in NEW, timeout=60 + 4 * ATTACHES)
def test_attach_again_and_again(env):
    """The counts of each session lie between what the program counted around and inside it."""
    target = env.py.popen([env.py.script(SERVER.replace("WORK", "9"))], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    rate = requests_per_second(target)
    for turn in range(ATTACHES):
        path = Path(env.tmp, f"{turn}.pstats")
        outer = ask(target)
        counter = attach(env, target, "--exact", "--time", "none", "-o", path)
        inner = ask(target)
        time.sleep(0.02)
        inner = [after - before for before, after in zip(inner, ask(target))]
        programs = programs_of(counter) if turn == ATTACHES - 1 else set()
        counter.send_signal(signal.SIGINT)
        finish(counter)
        check_gone(programs)
        outer = [after - before for before, after in zip(outer, ask(target))]
        ours = by_name(path)
        for name, least, most in zip(("handle", "parse"), inner, outer):
            assert least <= ours[name][0] <= most, (turn, name, least, ours[name], most)
            assert ours[name][1] == ours[name][0], "no recursion here"
    print(f"{ATTACHES} times: {rate:.0f} requests per second of its own before, {requests_per_second(target):.0f} after")


@per_python(where=lambda py: py.version in NEW)
def test_windows(env):
    """Rates of a server in windows: the interval holds what the program itself counts, as a rule."""
    target = env.py.popen([env.py.script(SERVER.replace("WORK", "500"))], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    counter = env.popen("calls", "-p", target.pid, "-d", 4, "--duty", "5%", "--json", "--time", "none")
    time.sleep(0.5)
    before, began = ask(target), time.monotonic()
    time.sleep(3)
    after, ended = ask(target), time.monotonic()
    output, _ = counter.communicate(timeout=30)
    assert counter.returncode == 0
    result = json.loads(output)
    print({key: value for key, value in result.items() if not isinstance(value, (list, dict))})
    for index, name in enumerate(("handle", "parse")):
        true = (after[index] - before[index]) / (ended - began)
        rate = next(row["rate"] for row in result["functions"] if row["name"] == name)
        print(name, "program", true, "keelback", rate)
        # The interval is of what was seen in windows; the cost that is taken off them is not exact.
        assert rate["low"] / 1.3 < true < rate["high"] * 1.3, (name, true, rate)


DEEP = """
import sys, threading
def down(n):
    return n and down(n - 1)
def run():
    down(20000)
sys.setrecursionlimit(100000)
threading.stack_size(512 << 20)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(2):
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
print("done", flush=True)
"""


@per_python(timeout=120)
def test_recursion_20000_deep(env):
    target = env.py.popen([env.py.script(DEEP)], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    path = Path(env.tmp, "deep.pstats")
    counter = attach(env, target, "--exact", "--time", "none", "-o", path)
    target.stdin.write("go\n")
    target.stdin.close()
    env.wait_line(target, "done", timeout=60)
    finish(counter)
    assert by_name(path)["down"] == (2 * 20001, 2), by_name(path)["down"]


THREADS = """
import sys, threading
def leaf():
    pass
def work():
    gate.wait()
    for _ in range(100):
        leaf()
gate = threading.Event()
threads = [threading.Thread(target=work) for _ in range(500)]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.readline()
gate.set()
for thread in threads:
    thread.join()
print("done", flush=True)
"""


@per_python(where=lambda py: py.version in ((3, 8), *NEW), timeout=120)
def test_500_threads(env):
    target = env.py.popen([env.py.script(THREADS)], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    path = Path(env.tmp, "threads.pstats")
    counter = attach(env, target, "--exact", "--time", "none", "-o", path)
    target.stdin.write("go\n")
    target.stdin.close()
    env.wait_line(target, "done", timeout=60)
    finish(counter)
    _, edges = read_stats(path)
    assert by_name(path)["leaf"] == (50000, 50000)
    assert [calls for (caller, callee), calls in edges.items() if callee[2] == "leaf" and caller[2] == "work"] == [50000]


FORKS = """
import os, sys
def leaf():
    pass
def child():
    for _ in range(100):
        leaf()
for _ in range(10):
    pid = os.fork()
    if not pid:
        child()
        os._exit(0)
    os.waitpid(pid, 0)
if len(sys.argv) > 1:
    os.execv(sys.executable, [sys.executable, "-c", "def after():\\n  pass\\nfor _ in range(7): after()"])
"""


@per_python(where=lambda py: py.root == "/")
def test_fork_and_exec_of_a_command(env):
    """Children are counted from their first call, and what a program executes."""
    path = Path(env.tmp, "forks.pstats")
    env.keelback("calls", "--time", "none", "-o", path, "--", *env.py.command([env.py.script(FORKS), "exec"]))
    ours = by_name(path)
    assert ours["leaf"] == (1000, 1000) and ours["child"] == (10, 10), ours
    assert ours["after"] == (7, 7), ours


@per_python(where=lambda py: py.version in NEW)
def test_killed_keelback_leaves_nothing(env):
    target = env.py.popen([env.py.script(SERVER.replace("WORK", "9"))], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    counter = attach(env, target, "--exact")
    time.sleep(0.2)
    programs = programs_of(counter)
    counter.kill()
    counter.wait()
    before = ask(target)
    time.sleep(0.5)
    after = ask(target)
    assert after[0] > before[0], "the program runs on"
    check_gone(programs)


@per_python(where=lambda py: py.version in NEW)
def test_target_killed(env):
    target = env.py.popen([env.py.script(SERVER.replace("WORK", "9"))], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    counter = attach(env, target, "--exact")
    time.sleep(0.3)
    target.kill()
    output = finish(counter)
    seen, lost = ledger(output)
    assert seen > 100 and not lost, output


@per_python(where=lambda py: py.version in NEW)
def test_measured_times(env):
    """Clocked calls: a function that sleeps, one that burns; with time on the CPU only the second counts."""
    script = env.py.script("import time\n"
                           "def nap():\n  time.sleep(.05)\n"
                           "def burn():\n  end = time.process_time() + .05\n  while time.process_time() < end: pass\n"
                           "def main():\n  for _ in range(6): nap(), burn()\n"
                           "print('ready', flush=True)\ninput()\nmain()\n")
    for clock in "wall", "cpu":
        target = env.py.popen([script], stdin=subprocess.PIPE)
        env.wait_line(target, "ready")
        path = Path(env.tmp, f"{clock}.pstats")
        counter = attach(env, target, "--exact", "--time", "measured", "--clock", clock, "-o", path)
        target.stdin.write("go\n")
        target.stdin.close()
        finish(counter)
        import marshal

        stats = {key[2]: value for key, value in marshal.loads(path.read_bytes()).items()}
        nap, burn, whole = (stats[name][3] for name in ("nap", "burn", "main"))
        print(clock, nap, burn, whole)
        assert .29 < burn, burn
        assert nap > .29 if clock == "wall" else nap < .05, nap
        assert abs(whole - nap - burn) < .05, (whole, nap, burn)
        if clock == "cpu":
            assert burn < .45, burn


LOOP = """
exec("def leaf_%s():\\n  pass" % __import__("sys").argv[1])
leaf = globals()["leaf_" + __import__("sys").argv[1]]
print("running", flush=True)
while True:
    leaf()
"""


@once
def test_container(env):
    """By name, from the host: a program in a container, in windows, and none of the one beside it."""
    env.py = env.python("sid-3.15")
    command = [env.py.path, env.py.script(LOOP)]
    with Container(env.py.root, [*command, "seen"]) as container, Container(env.py.root, [*command, "beside"]) as beside:
        container.wait_output("running")
        beside.wait_output("running")
        done = env.keelback("calls", "--container", container.id, "-d", 3, "--duty", "20%", "--json", "--time", "none")
        names = set(json.loads(done.stdout)["func_profiles"])
        assert "leaf_seen" in names and "leaf_beside" not in names, names
