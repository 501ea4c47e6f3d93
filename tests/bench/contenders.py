# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The profilers that are compared, behind one interface, and the programs that they look at.

All of them follow the same schedule: on in every other window of a fixed length. How each is switched on and off:

- keelback and the empty program: kb_sampler__pause(), in tests/bench/toggle_sampler.c.
- profiling.sampling: its own SampleProfiler.sample(), called for each window (peers/sampling_windows.py).
- austin: SIGCONT and SIGSTOP. It does not catch up on what it missed.

A peer trusts the paths in /proc/PID/maps, so it runs in the mount namespace of its target.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "functional"))

from harness import IN_ROOTFS, MATRIX, load_matrix, start  # noqa: E402

END_TIMEOUT = 60
INVALID = ":INVALID:"
NICE = -10  # of targets and profilers alike: unrelated programs take less from both
NEW, OLD = "sid-3.15", "trixie-3.13"


class Bench:
    """One run of the benchmarks: where things are, and what has been started and must end."""

    def __init__(self, build, tmp):
        self.keelback = Path(build).resolve() / "keelback"
        self.driver = Path(build).resolve() / "tests" / "bench" / "toggle_sampler"
        self.tmp = Path(tmp)
        self.pythons = {python.id: python for python in load_matrix()}
        missing = {NEW, OLD} - self.pythons.keys()
        if missing:
            raise SystemExit(f"bench: no {' and no '.join(sorted(missing))}: run scripts/python-matrix.sh make")
        self.peers = self._find_peers()
        self.cpus = sorted(os.sched_getaffinity(0))
        self.processes = []
        for program in [*HERE.glob("targets/*.py"), *HERE.glob("peers/*.py")]:
            shutil.copy(program, self.tmp)
        if "austin" in self.peers:
            # It needs nothing but a C library, so it can run in the root of its target.
            shutil.copy(self.peers["austin"][0] + self.peers["austin"][1], self.tmp / "austin")

    @staticmethod
    def _find_peers():
        done = subprocess.run([str(MATRIX), "peers"], stdout=subprocess.PIPE, text=True, check=True)
        rows = (line.split("\t") for line in done.stdout.splitlines())
        return {name: (root, path) for name, root, path in rows}

    @property
    def new(self):
        """The interpreter that most is measured on."""
        return self.pythons[NEW]

    @property
    def old(self):
        """The newest interpreter that austin knows."""
        return self.pythons[OLD]

    @property
    def target_cpu(self):
        return self.cpus[-1]

    def profiler_cpu(self, place):
        """`spare`: another one than the target's; `shared`: the same."""
        return self.cpus[0] if place == "spare" else self.target_cpu

    def start(self, command, cpu=None, **kwargs):
        """Starts a command. With a CPU it takes precedence there, like all others that are measured against it."""
        if cpu is not None:
            command = ["taskset", "-c", str(cpu), "nice", "-n", NICE, *command]
        process = start(command, **kwargs)
        self.processes.append(process)
        if cpu is not None:
            # Where the scheduler groups by session, what counts is the group's.
            group = Path(f"/proc/{process.pid}/autogroup")
            if group.exists():
                group.write_text(str(NICE))
        return process

    def end(self, process, signum=signal.SIGTERM):
        """Ends it and returns what it still printed."""
        if process.poll() is None:
            process.send_signal(signum)
            process.send_signal(signal.SIGCONT)
        try:
            output, _ = process.communicate(timeout=END_TIMEOUT)
        finally:
            self.kill(process)
        return output

    def kill(self, process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def kill_all(self):
        for process in list(self.processes):
            self.kill(process)

    def target(self, python, program, *args, cpu=None):
        """Starts a program of targets/ and waits until it says that it is ready."""
        command = python.command(["-B", self.tmp / program, *args])
        process = self.start(command, cpu, stdin=subprocess.PIPE)
        expect_ready(process)
        return process


def expect_ready(process):
    line = process.stdout.readline()
    if line.strip() != "ready":
        raise RuntimeError(f"{process.args}: {line.strip() or 'ended'} (status {process.poll()})")


class Profiler:
    """Attached to a process when made; start() gives it its schedule; result() waits for what it has to tell.

    The result has at least: on (times at which it was switched on and off), attempted, samples, failed, cpu
    (seconds of its own while on), setup_cpu.
    """

    def __init__(self, bench, command, cpu, env=None):
        kwargs = {"env": {**os.environ, **env}} if env else {}
        self.bench = bench
        self.process = bench.start(command, cpu, stdin=subprocess.PIPE, **kwargs)
        expect_ready(self.process)

    def start(self, begin, window, count, parity):
        self.process.stdin.write(f"{begin!r} {window!r} {count} {parity}\n")
        self.process.stdin.flush()

    def result(self):
        output, _ = self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(f"{self.process.args} failed with status {self.process.returncode}")
        self.bench.kill(self.process)
        return json.loads(output.splitlines()[-1])


class Keelback(Profiler):
    name = "keelback"
    env = None
    options = ()

    def __init__(self, bench, pid, rate, cpu, *, stacks=None, run_stats=False, always=False):
        self.stacks_file = stacks
        who = ["-a"] if pid is None else ["-p", pid]
        command = [bench.driver, *who, "-r", rate, *self.options]
        command += ["-s"] if run_stats else []
        command += ["-T"] if always else []
        command += ["-o", stacks] if stacks else []
        super().__init__(bench, command, cpu, self.env)

    def result(self):
        result = super().result()
        result["failed"] = result["attempted"] - result["samples"]
        return result

    FRAME = re.compile(r"(.*) \((.*?)(?::(\d+))?\)")

    def stacks(self):
        """[([(file, function, line), …], count)] of what was written to `stacks`."""
        return parse_stacks(self.stacks_file, self.FRAME, (2, 1, 3))


class Empty(Keelback):
    """The floor: the same clock, with a BPF program that returns at once."""

    name = "empty program"
    env = {"KEELBACK_EMPTY_PROGRAM": "1"}


class Sampling(Profiler):
    name = "profiling.sampling"
    FRAME = re.compile(r"(.*):(.*):(-?\d+)")

    def __init__(self, bench, pid, rate, cpu, *, stacks=None, always=False):
        self.stacks_file, self.always = stacks, always
        python = bench.peers["profiling.sampling"][1]
        kind = ["collapsed", stacks] if stacks else ["pstats"]
        script = bench.tmp / "sampling_windows.py"
        super().__init__(bench, [IN_ROOTFS, "--with", pid, python, "-B", script, pid, rate, *kind], cpu)

    def start(self, begin, window, count, parity):
        super().start(begin, window, count, -1 if self.always else parity)

    def stacks(self):
        return parse_stacks(self.stacks_file, self.FRAME, (1, 2, 3))


class Austin(Profiler):
    name = "austin"
    FRAME = re.compile(r"(.*):(.*):(-?\d+)")
    RATES = re.compile(r"Error rate : (\d+)/(\d+)")

    def __init__(self, bench, pid, rate, cpu, *, stacks=None, always=False):
        self.bench, self.always, self.stacks_file = bench, always, stacks
        self.output = stacks or bench.tmp / f"austin-{pid}.mojo"
        form = [] if stacks else ["-b"]  # its smaller format, where nobody reads it
        interval = f"{1000000 // rate}us"
        command = [IN_ROOTFS, "--with", pid, bench.tmp / "austin", *form, "-i", interval]
        command += ["-p", pid, "-o", self.output]
        self.process = bench.start(command, cpu, stderr=subprocess.PIPE)
        self.log = ""
        self._await("version:")  # then it begins
        self.process.send_signal(signal.SIGSTOP)
        self.on = []

    def _await(self, text):
        while text not in self.log:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError(f"austin: {self.log}")
            self.log += re.sub(r"\x1b\[[\d;]*m", "", line)

    def _cpu(self):
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) * 1e-9

    def start(self, begin, window, count, parity):
        if self.always:
            window, count, parity = window * count, 1, 0
        self.setup_cpu = self._cpu()
        self.thread = threading.Thread(target=self._toggle, args=(begin, window, count, parity), daemon=True)
        self.thread.start()

    def _toggle(self, begin, window, count, parity):
        for index in range(parity, count, 2):
            time.sleep(max(begin + index * window - time.monotonic(), 0))
            switched_on = time.monotonic()
            self.process.send_signal(signal.SIGCONT)
            time.sleep(max(begin + (index + 1) * window - time.monotonic(), 0))
            self.process.send_signal(signal.SIGSTOP)
            self.on.append((switched_on, time.monotonic()))
        self.cpu = self._cpu() - self.setup_cpu

    def result(self):
        self.thread.join()
        self.process.send_signal(signal.SIGTERM)
        self.process.send_signal(signal.SIGCONT)
        self._await("Error rate")
        self.bench.kill(self.process)
        failed, attempted = map(int, self.RATES.search(self.log).groups())
        if not self.stacks_file:
            self.output.unlink()
        return {
            "on": self.on,
            "attempted": attempted,
            "failed": failed,
            "samples": attempted - failed,
            "cpu": self.cpu,
            "setup_cpu": self.setup_cpu,
        }

    def stacks(self):
        return parse_stacks(self.stacks_file, self.FRAME, (1, 2, 3), metric=True)


def parse_stacks(path, pattern, groups, metric=False):
    """Collapsed stacks as [([(file, function, line), …], count)]; frames of processes and threads are left out.

    With `metric` each line is one sample and its number is a time. What austin itself marks as invalid is
    left out: it is among its failed samples.
    """
    stacks = []
    for row in Path(path).read_text(errors="replace").splitlines():
        text, _, number = row.rpartition(" ")
        if not text or row.startswith("#") or INVALID in text:
            continue
        frames = []
        for frame in text.split(";"):
            match = pattern.fullmatch(frame)
            if match and not re.fullmatch(r"[PT]\d+", match[groups[0]]):
                file, function, line_number = (match[group] for group in groups)
                frames.append((file, function, max(int(line_number or 0), 0)))  # 0, -1, none: no line
            elif not re.fullmatch(r"(tid:|P|T)\d+(:\d+)*", frame):
                frames.append(("", frame, 0))
        stacks.append((frames, 1 if metric else int(number)))
    return stacks
