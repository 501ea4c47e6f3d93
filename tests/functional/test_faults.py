# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`keelback faults`: functions and lines are those that faulthandler prints for the same death."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from containers import Container
from crashes import CRASH, DRIVER, MANY, WAITS, WAYS, of_json, parse
from harness import once, per_python
from test_sample_reader import existing, owned, patched


def ledger(text):
    """Deaths seen and what became of them, from the last line on stderr."""
    line = [line for line in text.splitlines() if "deaths seen" in line][-1]
    seen = int(re.search(r"(\d+) deaths seen", line)[1])
    sums = line.split(";")[0].partition("=")[2]
    return seen, {name: int(n) for n, name in re.findall(r"(\d+) (\w+)", sums)}


def reports(text):
    return [json.loads(line) for line in text.splitlines()]


@per_python(timeout=180)
def test_as_faulthandler(env):
    """Each way to die, in a child of the target that has just been started, with and without faulthandler."""
    script, driver = env.py.script(CRASH, "crash.py"), env.py.script(DRIVER, "driver.py")
    said = str(Path(env.tmp, "said"))
    command = env.py.command([driver, script, said, *WAYS])
    out = Path(env.tmp, "reports")
    done = env.keelback("faults", "--json", "-o", out, "--", *command)
    found = reports(out.read_text())
    assert len(found) == 2 * len(WAYS), [report["command"] for report in found]
    assert ledger(done.stderr) == (len(found), {"good": len(found)}), done.stderr
    for number, (way, (signal, guess)) in enumerate(WAYS.items()):
        expected = parse(Path(f"{said}.{way}").read_text())
        assert expected and sum(current for current, _ in expected) == 1, way
        for report in found[2 * number : 2 * number + 2]:
            assert script in report["command"] and f" {way} " in report["command"], report["command"]
            assert of_json(report) == expected, f"{way}:\n{of_json(report)}\n--- is not\n{expected}"
            assert (report["signal_name"], report["kind"]) == (signal, "death"), report
            assert re.search(guess, report["guess"]), f"{way}: {report['guess']!r}"
            assert report["python"].startswith(env.py.minor), report["python"]
    threads = {report["command"].split()[-2]: report["threads"] for report in found}
    assert len(threads["threaded"]) == 4 and len(threads["deep"][0]["frames"]) == 100


class Watching:
    """keelback faults in the background: ready when it watches; finish() gives reports and the ledger's line."""

    def __init__(self, env, *args):
        self.out = Path(env.temp_dir("watching"), "reports")
        self.process = env.popen("faults", "-v", "--json", "-o", self.out, *args, stderr=subprocess.PIPE)
        self.log = ""
        self.wait("watching")

    def wait(self, text):
        """Reads its log up to a line with that text."""
        for line in self.process.stderr:
            self.log += line
            if text in line:
                return
        raise AssertionError(f"ended without {text!r}: {self.log}")

    def await_reports(self, n, timeout=20):
        deadline = time.monotonic() + timeout
        while len(self.reports()) < n:
            assert time.monotonic() < deadline, f"{self.reports()}, {n} expected"
            time.sleep(0.02)
        return self.reports()

    def reports(self):
        text = self.out.read_text() if self.out.exists() else ""
        return reports(text[: text.rfind("\n") + 1])

    def finish(self, interrupt=True):
        if interrupt:
            self.process.send_signal(signal.SIGINT)
        self.log += self.process.stderr.read()
        assert self.process.wait() == 0, self.log
        return self.reports(), self.log


def expected_of(env, args, cwd):
    """What faulthandler says of the same death."""
    process = env.py.popen(["-X", "faulthandler", *args], stderr=subprocess.PIPE, stdin=subprocess.PIPE, cwd=cwd)
    _, text = process.communicate("\n")
    assert process.returncode < 0, process.returncode
    return parse(text)


@per_python
def test_running_before(env):
    """A process that ran before keelback, and has a thread that dies while three others wait."""
    env.py.script(CRASH, "crash.py")
    args = [env.py.script(WAITS, "waits.py"), "threaded", env.tmp]
    target = env.py.popen(args, stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    watching = Watching(env, "-p", target.pid)
    target.communicate("\n")
    assert target.returncode == -signal.SIGSEGV
    found, log = watching.finish(interrupt=False)
    assert len(found) == 1 and of_json(found[0]) == expected_of(env, args, env.tmp)
    assert ledger(log) == (1, {"good": 1}), log
    assert found[0]["pid"] == found[0]["tid"] == target.pid


@per_python
def test_just_started(env):
    """Processes that die in their first statement, of an interpreter that has been seen once."""
    watching = Watching(env, "-a")
    env.py.run(["-c", "import time; time.sleep(.5)"])
    code = "def dies():\n  import os; os.abort()\ndies()"
    for _ in range(5):
        process = env.py.popen(["-c", code])
        assert process.wait() == -signal.SIGABRT
        time.sleep(0.05)
    watching.await_reports(5)
    found, log = watching.finish()
    mine = [report for report in found if code.split()[1] in report["command"]]
    frames = [("<string>", "2", "dies"), ("<string>", "3", "<module>")]
    assert [of_json(report) for report in mine] == [[(True, frames)]] * 5, mine
    seen, sums = ledger(log)
    assert sum(sums.values()) == seen, log


def natively(env, way):
    """A death with its C stack, beside gdb's opinion on the core that it leaves."""
    script = env.py.script(CRASH, "crash.py")
    os.chmod(env.tmp, 0o777)
    out = Path(env.tmp, "reports")
    command = env.py.command(["-B", "-c", CHDIR, env.tmp, script, way, Path(env.tmp, "file")])
    env.keelback("faults", "--native", "--json", "-o", out, "--", *command, check=False)
    (report,) = reports(out.read_text())
    (core,) = Path(env.tmp).glob("core*")
    return report, gdb_frames(env, core)


# Enters a directory, also within a root: there the core is written.
CHDIR = """
import os, resource, runpy, sys, time
time.sleep(.5)
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
os.chdir(sys.argv[1])
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# gdb makes up frames of inlined functions and of tail calls, which are on no stack.
GDB = """
import gdb
frame = gdb.newest_frame()
while frame:
    if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
        print("FRAME %x %s" % (frame.pc(), frame.name()))
    frame = frame.older()
"""


def gdb_frames(env, core):
    script = Path(env.tmp, "frames.py")
    script.write_text(GDB)
    exe = env.py.root.rstrip("/") + os.path.realpath(env.py.root.rstrip("/") + env.py.path).removeprefix(env.py.root.rstrip("/"))
    sysroot = ["-ex", f"set sysroot {env.py.root}"] if env.py.root != "/" else []
    command = ["gdb", "-nx", "-batch", "-ex", "set backtrace past-main on", *sysroot, "-ex", f"file {exe}", "-ex", f"core-file {core}", "-x", script]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return re.findall(r"^FRAME ([0-9a-f]+) (.*)$", done.stdout, re.M)


@contextlib.contextmanager
def plain_cores():
    """Cores go to the directory of who dies; what the machine does with them otherwise comes back."""
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()
    if before != "core\n":
        pattern.write_text("core\n")
    try:
        yield
    finally:
        if before != "core\n":
            pattern.write_text(before)


@per_python(timeout=120)
def test_c_stack(env):
    """Return addresses and functions of the innermost frames are gdb's; the stack reaches its root."""
    with plain_cores():
        report, expected = natively(env, "in_sort")
    stack = report["c_stack"]
    assert report["c_stack_end"] == "" and len(stack) == len(expected) > 15, (len(stack), len(expected), report)
    for frame, (address, name) in zip(stack, expected):
        assert int(frame["address"], 16) == int(address, 16), (frame, address, name)
    compared = 0
    for frame, (_, name) in list(zip(stack, expected))[:15]:
        # gdb takes another of several names for one address, and symbols for what lies behind them.
        if name != "None" and frame["name"]:
            assert name.lstrip("_").split("@")[0] == frame["name"].lstrip("_") or same_place(env, frame, name), (frame, name)
            compared += 1
    assert compared >= 2, (stack[:15], expected[:15])


def same_place(env, frame, name):
    """Are both names symbols of the same address in the file?"""
    path = env.py.root.rstrip("/") + frame["file"] if env.py.root != "/" else frame["file"]
    listed = ""
    for option in ("-n", "-nD"):
        done = subprocess.run(["nm", option, path], capture_output=True, text=True)
        listed += done.stdout
    places = {}
    for line in listed.splitlines():
        fields = line.split()
        if len(fields) == 3:
            places.setdefault(fields[2].split("@")[0], set()).add(fields[0])
    return bool(places.get(name, set()) & places.get(frame["name"], set()))


@once(timeout=120)
def test_c_stack_of_short_life(env):
    """The mappings of a process that dies at once after loading a library, in text as 3.14 writes it."""
    env.py = env.python("pyenv-3.12")
    done = env.keelback("faults", "--native", "--", env.py.path, "-c", "import ctypes; ctypes.string_at(0)", check=False)
    assert done.returncode == 128 + signal.SIGSEGV
    stack = done.stdout.partition("Current thread's C stack trace (most recent call first):\n")[2]
    lines = stack.splitlines()
    assert re.fullmatch(r'  Binary file ".*/_ctypes\..*\.so", at string_at\+0x[0-9a-f]+ \[0x[0-9a-f]+\]', lines[1]), stack
    assert "at _start+0x" in lines[-1] and "<" not in stack, stack


@per_python(where=lambda py: py.root != "/")
def test_container(env):
    """By its name, with another PID than the host's; the process outside is left out."""
    script = env.py.script(CRASH, "crash.py")
    wait = "import time; print('up', flush=True); time.sleep(600)"
    crash = [env.py.path, script, "null", "x"]
    with Container(env.py.root, [env.py.path, "-c", wait], state_root=None) as container:
        container.wait_output("up")
        watching = Watching(env, "--container", container.id)
        container.exec([env.py.path, "-c", "pass"])
        env.py.run(["-c", f"import subprocess; subprocess.call({crash!r})"])
        done = container.exec(crash, check=False)
        assert done.returncode == 128 + signal.SIGSEGV, done
        watching.await_reports(1)
        expected = parse(container.exec([env.py.path, "-X", "faulthandler", *crash[1:]], check=False).stderr)
        watching.await_reports(2)
        cgroup = container.cgroup_path
    found, log = watching.finish()
    assert [of_json(report) for report in found] == [expected, expected] and expected, log
    for report in found:
        assert report["cgroup"] == cgroup and report["container"] == container.id, report
        assert report["ns_pid"] != report["pid"] and report["ns_pid"] < 1000, report
    assert ledger(log) == (2, {"good": 2}), log


@once(timeout=300)
def test_one_after_another(env):
    """A thousand, each named in full, and nothing is lost."""
    deaths = int(os.environ.get("KEELBACK_DEATHS", 1000))
    env.py = env.python("debian-3.11")
    out = Path(env.tmp, "reports")
    done = env.keelback("faults", "--json", "-o", out, "--", *env.py.command([env.py.script(MANY), "serial", deaths]))
    found = reports(out.read_text())
    assert ledger(done.stderr) == (deaths, {"good": deaths}), done.stderr
    assert len(found) == len({report["pid"] for report in found}) == deaths
    names = {tuple(frame[2] for frame in of_json(report)[0][1]) for report in found}
    assert names == {("string_at", "die", "<module>")}, names
    print(f"in the kernel: {sorted(r['kernel_ns'] for r in found)[deaths // 2] / 1000:.0f} us each")


@once(timeout=120)
def test_at_once(env):
    """What does not fit is counted: seen = reported + lost."""
    env.py = env.python("debian-3.11")
    out = Path(env.tmp, "reports")
    command = env.py.command([env.py.script(MANY), "once", 100])
    done = env.keelback("faults", "--native", "--json", "-o", out, "--", *command)
    found = reports(out.read_text())
    seen, sums = ledger(done.stderr)
    assert seen == sum(sums.values()) == 100, done.stderr
    assert len(found) == sums.get("good", 0) + sums.get("truncated", 0), done.stderr
    for report in found:
        if not report["partial"]:
            assert [frame[2] for frame in of_json(report)[0][1]] == ["die", "child", "<module>"], report


@once
def test_killed(env):
    """SIGKILL leaves nothing in the kernel; the target dies as it would have."""
    env.py = env.python("pyenv-3.12")
    env.py.script(CRASH, "crash.py")
    target = env.py.popen([env.py.script(WAITS, "waits.py"), "null", env.tmp], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    watching = Watching(env, "--native", "-p", target.pid)
    ours = {kind: owned(kind, watching.process.pid) for kind in ("prog", "link", "map")}
    assert all(ours.values()) and patched(target.pid), ours
    watching.process.kill()
    watching.process.wait()
    deadline = time.monotonic() + 20
    while any(ids & existing(kind) for kind, ids in ours.items()) or patched(target.pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    target.communicate("\n")
    assert target.returncode == -signal.SIGSEGV


SLEEPS = """
import sys, threading, time
def napping():
    time.sleep(600)
def spinning():
    while True: pass
def looping():
    while True: time.sleep(.05)
def main():
    for name in sys.argv[1:-1]:
        threading.Thread(target=globals()[name], name=name, daemon=True).start()
    print("ready", flush=True)
    globals()[sys.argv[-1]]()
main()
"""


def asleep(env, *args):
    env.py = env.python("pyenv-3.13")
    target = env.py.popen([env.py.script(SLEEPS), *args])
    env.wait_line(target, "ready")
    return target


def functions(report):
    return sorted(frames[0][2] for _, frames in of_json(report))


@once
def test_other_signals(env):
    """SIGTERM and SIGKILL, with who has sent them; a process that ends by itself is none of it."""
    targets = [asleep(env, "napping", "napping") for _ in range(2)]
    quits = env.py.popen(["-c", "import os, threading, time\nthreading.Thread(target=time.sleep, args=(9,)).start()\nprint('ready', flush=True)\ntime.sleep(.5)\nos._exit(3)"])
    env.wait_line(quits, "ready")
    pids = [target.pid for target in targets]
    watching = Watching(env, "-p", ",".join(map(str, [*pids, quits.pid])), "--signals", "SIGTERM,kill")
    for target, number in zip(targets, (signal.SIGTERM, signal.SIGKILL)):
        target.send_signal(number)
        assert target.wait() == -number
    assert quits.wait() == 3
    found, log = watching.finish(interrupt=False)
    assert [report["signal_name"] for report in found] == ["SIGTERM", "SIGKILL"], log
    for report in found:
        assert functions(report) == ["napping", "napping"] and report["sender"] == os.getpid(), report
        assert sum(thread["current"] for thread in report["threads"]) == 1
    assert ledger(log) == (2, {"good": 2}), log


@contextlib.contextmanager
def little_memory(env):
    """The cgroup.procs of a cgroup that may use 64 MB, of v1 or v2."""
    for place, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        directory = Path(place, f"keelback-{os.getpid()}")
        try:
            directory.mkdir()
        except OSError:
            continue
        try:
            if (directory / limit).exists():
                (directory / limit).write_text(str(64 << 20))
                yield directory / "cgroup.procs"
                return
        finally:
            for _ in range(100):
                with contextlib.suppress(OSError):
                    directory.rmdir()
                    break
                time.sleep(0.05)
    env.skip("no cgroup can be made that limits memory")


@once
def test_oom(env):
    """The OOM killer's victim; what is killed otherwise meanwhile is not reported."""
    env.py = env.python("pyenv-3.13")
    code = "import sys\nopen(sys.argv[1], 'w').write('0')\ndef eats():\n  x = []\n  while True: x.append(bytearray(1 << 20))\neats()"
    with little_memory(env) as procs:
        watching = Watching(env, "-a", "--oom")
        other = asleep(env, "napping")
        target = env.py.popen(["-c", code, procs])
        assert target.wait() == -signal.SIGKILL
        other.kill()
        (report,) = [r for r in watching.await_reports(1) if r["pid"] == target.pid]
        found, log = watching.finish()
    assert len(found) == 1, found
    assert report["oom"] and report["signal_name"] == "SIGKILL" and "memory" in report["guess"], report
    assert functions(report) == ["eats"], report


@once
def test_registered(env):
    """A signal that is ignored: a dump, values included, and the process notices nothing."""
    target = asleep(env, "napping", "looping")
    watching = Watching(env, "-p", target.pid, "--register", "URG", "--locals")
    for n in (1, 2):
        target.send_signal(signal.SIGURG)
        report = watching.await_reports(n)[-1]
        assert functions(report) in (["looping", "napping"],), report
        assert (report["kind"], report["signal_name"], report["sender"]) == ("signal", "SIGURG", os.getpid()), report
        values = [local for thread in report["threads"] for frame in thread["frames"] for local in frame.get("locals", [])]
        assert {"name": "name", "value": "'napping'"} in values, values
    assert target.poll() is None
    watching.finish()


HANDLES = """
import signal, time
signal.signal(signal.SIGUSR1, lambda *args: print("handled", flush=True))
print("ready", flush=True)
while True: time.sleep(60)
"""


@once
def test_chained(env):
    """With --chain the process still does what it does: its handler runs."""
    env.py = env.python("pyenv-3.12")
    target = env.py.popen([env.py.script(HANDLES)])
    env.wait_line(target, "ready")
    watching = Watching(env, "-p", target.pid, "--register", "USR1", "--chain")
    target.send_signal(signal.SIGUSR1)
    env.wait_line(target, "handled")
    (report,) = watching.await_reports(1)
    assert report["signal_name"] == "SIGUSR1" and report["kind"] == "signal"
    watching.finish()
    # Without a handler it dies of it, which is one report, and no attempt to look at what is gone.
    dies = asleep(env, "napping", "napping")
    watching = Watching(env, "-p", dies.pid, "--register", "USR1", "--chain")
    dies.send_signal(signal.SIGUSR1)
    assert dies.wait() == -signal.SIGUSR1
    found, log = watching.finish(interrupt=False)
    assert [(report["signal_name"], report["kind"]) for report in found] == [("SIGUSR1", "death")], found
    assert functions(found[0]) == ["napping", "napping"] and "dumps" not in log, log


@once
def test_later(env):
    """After a time, again and again; then ended, if that is wanted."""
    target = asleep(env, "spinning")
    watching = Watching(env, "-p", target.pid, "--later", 0.3, "--repeat")
    found = watching.await_reports(3)
    assert all(report["kind"] == "later" and functions(report) == ["spinning"] for report in found), found
    assert target.poll() is None
    watching.finish()
    done = env.keelback("faults", "--later", 0.5, "--exit", "--", env.py.path, env.py.script(SLEEPS), "napping", check=False)
    assert done.returncode == 128 + signal.SIGKILL
    assert "Timeout (0.5 s)!" in done.stdout and "in napping" in done.stdout, done.stdout


@once
def test_hang(env):
    """A thread that stands still is told of once, and one that wakes up now and then is not."""
    still, lively = asleep(env, "looping", "spinning"), asleep(env, "looping")
    watching = Watching(env, "-p", f"{still.pid},{lively.pid}", "--hang", 1)
    watching.await_reports(1)
    time.sleep(2)
    found, log = watching.finish()
    assert [(report["kind"], report["pid"], report["tid"]) for report in found] == [("hang", still.pid, still.pid)], found
    assert functions(found[0]) == ["looping", "spinning"] and found[0]["seconds"] >= 1


@once
def test_directory(env):
    """Each report a file; the oldest make room. What others have put there stays."""
    env.py = env.python("debian-3.11")
    directory = Path(env.temp_dir("reports"))
    (directory / "other").write_text("x" * 100000)
    command = [env.py.path, env.py.script(MANY), "serial", 7]
    done = env.keelback("faults", "--directory", directory, "--max-files", 3, "--", *command)
    names = sorted(file.name for file in directory.iterdir())
    assert names.pop() == "other" and len(names) == 3 and "4 older reports were removed" in done.stderr, (names, done.stderr)
    assert all(re.fullmatch(r"keelback-\d{8}T\d{6}\.\d{6}Z-\d{4}-\d+-SIGSEGV\.txt", name) for name in names), names
    assert [int(name.split("-")[2]) for name in names] == [4, 5, 6], names
    assert "Fatal Python error: Segmentation fault" in (directory / names[0]).read_text()
    # Those of earlier runs count.
    env.keelback("faults", "--json", "--directory", directory, "--max-bytes", "1K", "--", *command)
    names = sorted(file.name for file in directory.iterdir())
    assert len(names) == 2 and names[0].endswith(".json"), names


TEXT = r"""Process \d+ \(python3\.12\): Segmentation fault \(SIGSEGV\)
  command    \S*python3\.12 -c def f\(\): import ctypes; ctypes\.string_at\(16\) f\(\)
  python     3\.12\.\d+
  time       \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} UTC
  thread     \d+
  cgroup     /\S*
  fault      read at 0x0000000000000010: NULL dereference, at offset 16

Fatal Python error: Segmentation fault

Current thread 0x[0-9a-f]{16} \[python3\.12\] \(most recent call first\):
  File "\S*/ctypes/__init__\.py", line \d+ in string_at
  File "<string>", line 1 in f
  File "<string>", line 2 in <module>
"""


@once
def test_text(env):
    """The whole report, on stdout; the command's status is keelback's."""
    python = env.python("pyenv-3.12")
    code = "def f(): import ctypes; ctypes.string_at(16)\nf()"
    done = env.keelback("faults", "--", python.path, "-c", code, check=False)
    shown = done.stdout.replace("\ufffd", " ")
    assert re.fullmatch(TEXT, shown), shown
    assert done.returncode == 128 + signal.SIGSEGV
    assert re.search(r"^keelback: 1 deaths seen = 1 good$", done.stderr, re.M), done.stderr
    appended = Path(env.tmp, "log")
    for _ in range(2):
        env.keelback("faults", "-o", appended, "--", python.path, "-c", code, check=False)
    assert appended.read_text().count("Fatal Python error") == 2


@per_python
def test_values(env):
    """A process that dies is held for its values, and dies of what it would have died of."""
    script = env.py.script(CRASH, "crash.py")
    driver = env.py.script("import subprocess, sys, time\ntime.sleep(.5)\nfor way in sys.argv[2:]:\n    print(way, subprocess.call([sys.executable, sys.argv[1], way, '%s']))" % Path(env.tmp, "bus"))
    ways = {"null": -11, "abort": -6, "overflow": -11, "bus": -7, "threaded": -11}
    out = Path(env.tmp, "reports")
    done = env.keelback("faults", "--locals", "--json", "-o", out, "--", *env.py.command([driver, script, *ways]))
    assert done.stdout == "".join(f"{way} {status}\n" for way, status in ways.items()), done.stdout
    found = reports(out.read_text())
    assert len(found) == len(ways) and all(report["held"] for report in found), done.stderr
    for way, report in zip(ways, found):
        (frames,) = [thread["frames"] for thread in report["threads"] if thread["current"]]
        values = [{v["name"]: v["value"] for v in frame.get("locals", [])} for frame in frames]
        at = [frame["name"] for frame in frames].index("dig")
        assert [values[at + n] for n in range(4)] == [{"n": str(n), "how": repr(way)} for n in range(4)], values
        assert set(values[at + 5]) == {"self", "how"} and values[at + 5]["self"].startswith("<Class at 0x"), values
    assert "not_held" not in done.stderr, done.stderr


@once
def test_killed_while_holding(env):
    """Without keelback a process that is held goes on and dies, with its own status."""
    env.py = env.python("pyenv-3.12")
    env.py.script(CRASH, "crash.py")
    target = env.py.popen([env.py.script(WAITS, "waits.py"), "null", env.tmp], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    watching = Watching(env, "--locals", "-p", target.pid)
    watching.process.send_signal(signal.SIGSTOP)  # does not let go
    target.stdin.write("\n")
    target.stdin.flush()
    time.sleep(0.1)
    watching.process.kill()
    assert target.wait() == -signal.SIGSEGV
    watching.process.wait()


@once
def test_signals_of_others(env):
    """Debuggers, handlers, and processes that do not die are left alone."""
    env.py = env.python("pyenv-3.12")
    code = (
        "import signal, os, ctypes\n"
        "signal.signal(signal.SIGSEGV, lambda *a: print('handled', flush=True))\n"
        "os.kill(os.getpid(), signal.SIGSEGV)\n"
        "signal.signal(signal.SIGSEGV, signal.SIG_IGN)\n"
        "os.kill(os.getpid(), signal.SIGSEGV)\n"
        "print('alive', flush=True)\n"
    )
    done = env.keelback("faults", "--locals", "--", env.py.path, "-c", code)
    assert done.stdout == "handled\nalive\n" and ledger(done.stderr) == (0, {}), done


@once
def test_many_threads(env):
    """More than are shown: the one that died is, and the others are counted."""
    env.py = env.python("debian-3.11")
    code = "import threading, time, os\ndef nap(): time.sleep(60)\nfor i in range(300): threading.Thread(target=nap, daemon=True).start()\nos.abort()"
    done = env.keelback("faults", "--json", "--", env.py.path, "-c", code, check=False)
    (report,) = reports(done.stdout)
    assert (len(report["threads"]), report["left_out"], report["partial"]) == (257, 44, True), report["left_out"]
    assert report["threads"][-1]["current"] and sum(thread["current"] for thread in report["threads"]) == 1
    assert "1 deaths seen = 1 truncated; beside them 44 fault_threads" in done.stderr, done.stderr
