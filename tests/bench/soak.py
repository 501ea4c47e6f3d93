#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""keelback faults and keelback audit for minutes at load: memory that stays, and every event accounted for.

usage: tests/bench/soak.py [--keelback PATH] [--minutes N] [--only NAME] [--json FILE]    (as root; docs/OVERHEAD.md)

Runs at the same time, each over programs that count for themselves what they do:
  faults     `faults -a`: Pythons of four versions that die all the time, forked and just started, and a new image
             of an interpreter every ten seconds
  audit-one  `audit -p --stack`: a program that opens, imports, compiles and raises events of its own
  audit-all  `audit -a -e soak.*`: programs that start, raise events and end, all the time
  summary    `audit -a -e soak.* --summary` of the same
Every ten seconds it reads the resident memory, the files and the memory of the maps of each keelback. The status is
1 when an event is neither reported nor in the ledger, or when memory grew after the first minute.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests/functional"))
from harness import load_matrix  # noqa: E402

SAMPLE_SECONDS = 10
IMAGE_SECONDS = 10  # a new image of an interpreter
SETTLE_SECONDS = 3  # from a process's start until its image is surely known
# Memory at the end may be so much more than after a minute: what the allocator keeps of one burst of reports.
GROWTH_KB = 1024

# Children that die, `rate` a second, until its stdin ends; then says how many were ended by a signal.
DIES = """
import ctypes, os, resource, select, subprocess, sys, threading, time
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def die(n, how):
    if n: die(n - 1, how)
    elif how % 3: ctypes.string_at(0)
    else: os.abort()
def lives(): time.sleep(100)
if sys.argv[1] == "now":
    time.sleep(float(sys.argv[2]))
    die(5, 1)
rate, dead, n = float(sys.argv[1]), 0, 0
print("ready", flush=True)
sys.stdin.readline()
while not select.select([sys.stdin], [], [], 1 / rate)[0]:
    n += 1
    if n % 10 == 0:
        dead += subprocess.call([sys.executable, __file__, "now", "0"]) < 0
        continue
    pid = os.fork()
    if not pid:
        if n % 4 == 0: threading.Thread(target=lives, daemon=True).start()
        die(n % 40, n)
    dead += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
print(dead, flush=True)
"""

# Raises events between a line and the next; its own hook counts them.
RAISES = """
import os, select, sys, time
seen = 0
def hook(event, args):
    global seen
    seen += 1
sys.addaudithook(hook)
def work(n):
    with open("/etc/hostname") as file: file.read()
    exec(compile("x = %d" % n, "<soak>", "exec"), {})
    sys.modules.pop("this_is_no_module", None)
    try: import this_is_no_module
    except ImportError: pass
    for i in range(40):
        sys.audit("own.event", i, "text" * (n % 100), b"bytes", None, True, 1.5, ("tuple", [n, {"key": n}]), sys.path)
print("ready", flush=True)
sys.stdin.readline()
seen, n = 0, 0
while not select.select([sys.stdin], [], [], 0.02)[0]:
    n += 1
    work(n)
print(seen, flush=True)
os._exit(0)  # what ends the interpreter raises events, too
"""

# Raises so many events and ends; or, as the parent, starts such ones and raises some itself until its stdin ends.
STARTS = """
import select, subprocess, sys
def raises(n):
    for i in range(n): sys.audit("soak.%d" % (i % 4), i, "some text", ("a", 1))
    return n
if sys.argv[1] == "child":
    raises(200)
    sys.exit()
print("ready", flush=True)
sys.stdin.readline()
raised = 0
while not select.select([sys.stdin], [], [], 0.5)[0]:
    raised += raises(500)
    subprocess.check_call([sys.executable, __file__, "child"])
    raised += 200
print(raised, flush=True)
"""


class Program:
    """One that counts for itself, started by a line and ended by another (or by the end of its input)."""

    def __init__(self, python, script, *args):
        command = python.command([script, *args])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self):
        """What it counted."""
        self.process.stdin.write("end\n")
        self.process.stdin.close()
        count = int(self.process.stdout.readline())
        self.process.wait()
        return count


class Watcher:
    """A keelback: counts the lines it writes that contain `mark`, and samples its memory."""

    def __init__(self, keelback, args, mark):
        self.args, self.lines, self.others, self.log, self.samples, self.mark = args, 0, 0, "", [], mark.encode()
        command = [keelback, *map(str, args)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for line in self.process.stderr:
            self.log += line.decode()
            if b"watching" in line or b"audit events of" in line:
                break
        self.threads = [threading.Thread(target=read, daemon=True) for read in (self._count, self._read_log)]
        for thread in self.threads:
            thread.start()

    def _count(self):
        for line in self.process.stdout:
            if self.mark in line:
                count = re.search(rb'"count": ?(\d+)', line) if "--summary" in self.args else None
                self.lines += int(count[1]) if count else 1
            else:
                self.others += 1

    def _read_log(self):
        for line in self.process.stderr:
            self.log += line.decode()

    def sample(self, seconds):
        proc = Path("/proc", str(self.process.pid))
        status = dict(re.findall(r"^(VmRSS|VmData):\s*(\d+) kB", (proc / "status").read_text(), re.M))
        memory, files = 0, list((proc / "fdinfo").iterdir())
        for path in files:
            info = path.read_text()
            if "map_type" in info:
                memory += int(re.search(r"memlock:\s*(\d+)", info)[1])
        times = (proc / "stat").read_text().rpartition(")")[2].split()[11:13]
        cpu = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
        sample = dict(seconds=round(seconds), rss_kb=int(status["VmRSS"]), data_kb=int(status["VmData"]))
        self.samples.append({**sample, "maps_kb": memory // 1024, "files": len(files), "cpu_seconds": cpu})

    def end(self):
        """The ledger: (seen, {what became of them: how many})."""
        self.process.send_signal(signal.SIGINT)
        for thread in self.threads:
            thread.join()
        self.process.wait()
        line = [line for line in self.log.splitlines() if re.search(r"(deaths|events) seen", line)][-1]
        self.said = line.removeprefix("keelback: ")
        seen = int(re.search(r"(\d+) (?:deaths|events) seen", line)[1])
        return seen, {name: int(n) for n, name in re.findall(r"[=+] (\d+) (\w+)", line.split(";")[0])}


class Images(threading.Thread):
    """A new file of an interpreter, run until it dies, again and again: its image is known to nobody."""

    def __init__(self, python, script, directory):
        super().__init__(daemon=True)
        self.python, self.script, self.directory = python, script, directory
        self.dead, self.ends = 0, threading.Event()

    def run(self):
        path = Path(self.directory, "python3.11")
        while not self.ends.wait(IMAGE_SECONDS):
            shutil.copy(self.python.path, path)
            self.dead += subprocess.call([path, self.script, "now", str(SETTLE_SECONDS)]) < 0
            path.unlink()


def verdict(name, watcher, raised, exact):
    """Prints what became of the events, and the memory; true when both are as they must be."""
    seen, ledger = watcher.end()
    lost = sum(n for reason, n in ledger.items() if reason not in ("good", "partial", "reported"))
    # Others on the machine may die of signals meanwhile: of those that are lost one does not know whose they were.
    accounted = watcher.lines + lost == raised if exact else watcher.lines <= raised <= watcher.lines + lost
    accounted = accounted and seen == sum(ledger.values())
    minute = next((sample for sample in watcher.samples if sample["seconds"] >= 60), watcher.samples[0])
    first, last = watcher.samples[0], watcher.samples[-1]
    peak = max(sample["rss_kb"] for sample in watcher.samples)
    constant = last["rss_kb"] <= minute["rss_kb"] + GROWTH_KB and last["maps_kb"] <= minute["maps_kb"] + GROWTH_KB
    print(f"{name}: keelback {' '.join(map(str, watcher.args))}")
    print(f"  raised {raised}, reported {watcher.lines}, lost {lost} ({watcher.said})")
    for what, sample in (("start", first), ("1 minute", minute), ("end", last)):
        print(f"  {what:8} RSS {sample['rss_kb']} kB, maps {sample['maps_kb']} kB, {sample['files']} files")
    print(f"  peak RSS {peak} kB, CPU {last['cpu_seconds']:.1f} s of {last['seconds']} s")
    print(f"  {'all accounted for' if accounted else 'NOT ACCOUNTED FOR'}, {'constant' if constant else 'GREW'}", flush=True)
    return accounted and constant


def soak(args, directory):
    pythons = {python.id: python for python in load_matrix()}
    scripts = {}
    for name, text in (("dies", DIES), ("raises", RAISES), ("starts", STARTS)):
        scripts[name] = os.path.join(directory, f"soak_{name}.py")
        Path(scripts[name]).write_text(text)
    runs, images = {}, None  # name: (watcher, programs)
    wanted = lambda name: not args.only or name in args.only

    def watch(name, options, programs, mark):
        runs[name] = (Watcher(args.keelback, options, mark), programs)

    if wanted("faults"):
        programs = [Program(pythons[id], scripts["dies"], 10) for id in ("pyenv-3.8", "debian-3.11", "pyenv-3.13", "sid-3.14")]
        images = Images(pythons["debian-3.11"], scripts["dies"], directory)
        watch("faults", ["faults", "-a", "-v", "--native", "--json"], programs, scripts["dies"])
    if wanted("audit-one"):
        program = Program(pythons["pyenv-3.12"], scripts["raises"])
        watch("audit-one", ["audit", "-v", "--stack", "-f", "jsonl", "-p", program.process.pid], [program], '"type":"event"')
    if wanted("audit-all") or wanted("summary"):
        programs = [Program(pythons[id], scripts["starts"], "parent") for id in ("pyenv-3.8", "debian-3.11", "sid-3.14")]
        events = ["-e", "soak.*", "-f", "jsonl"]
        watch("audit-all", ["audit", "-a", "-v", *events], programs, '"type":"event"')
        watch("summary", ["audit", "-a", "-v", "--summary", *events], programs, '"type":"count"')
    return run(args, runs, images)


def run(args, runs, images):
    time.sleep(SETTLE_SECONDS)
    programs = {program for _, programs in runs.values() for program in programs}
    for program in programs:
        program.go()
    if images:
        images.start()
    start = time.monotonic()
    while True:
        passed = time.monotonic() - start
        for watcher, _ in runs.values():
            watcher.sample(passed)
        if passed >= 60 * args.minutes:
            break
        time.sleep(SAMPLE_SECONDS - passed % SAMPLE_SECONDS)
    if images:
        images.ends.set()
        images.join()
    counts = {program: program.end() for program in programs}
    time.sleep(SETTLE_SECONDS)  # what was raised last has been written
    good = True
    for name, (watcher, its) in runs.items():
        raised = sum(counts[program] for program in its) + (images.dead if name == "faults" else 0)
        good &= verdict(name, watcher, raised, name != "faults")
    if args.json:
        args.json.write_text(json.dumps({name: watcher.samples for name, (watcher, _) in runs.items()}))
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keelback", default=str(REPO / "build/keelback"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--only", action="append", choices=["faults", "audit-one", "audit-all", "summary"])
    parser.add_argument("--json", type=Path, help="all samples")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kb-soak-") as directory:
        os.chmod(directory, 0o755)
        sys.exit(0 if soak(args, directory) else 1)


if __name__ == "__main__":
    main()
