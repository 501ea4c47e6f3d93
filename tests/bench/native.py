# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Native stacks: what unwinding costs in the kernel, and keelback beside `perf record --call-graph dwarf`."""

import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path

import bench_stats
import slowdown
from contenders import Keelback

RATE = 1000
FRAMES = 15
LEAD = 0.1
PYTHON = "debian-3.11"  # stripped, and not in a root of its own, where perf would not find its files
VERSIONS = (PYTHON, "sid-3.15", "pyenv-3.12", "pyenv-3.8")
ROOT = "_start"


class KeelbackNative(Keelback):
    name = "keelback --native"
    options = ("-n",)


class Perf:
    """perf, switched on and off through its control pipe; result() also makes it unwind what it has."""

    name = "perf record --call-graph dwarf"

    def __init__(self, bench, pid, rate, cpu, **kwargs):
        self.bench, self.on = bench, []
        self.data = bench.tmp / "perf.data"
        control, ack = bench.tmp / "perf.control", bench.tmp / "perf.ack"
        for pipe in (control, ack):
            pipe.unlink(missing_ok=True)
            os.mkfifo(pipe)
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", rate, "--call-graph", "dwarf", "-D", "-1"]
        command += ["--control", f"fifo:{control},{ack}", "-p", pid, "-o", self.data]
        self.process = bench.start(command, cpu, stderr=subprocess.DEVNULL)
        self.control, self.ack = open(control, "w"), open(ack)
        self.setup_cpu = self._cpu()

    def _cpu(self):
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) * 1e-9

    def _switch(self, word):
        self.control.write(word + "\n")
        self.control.flush()
        self.ack.readline()
        return time.monotonic()

    def start(self, begin, window, count, parity):
        self.thread = threading.Thread(target=self._toggle, args=(begin, window, count, parity), daemon=True)
        self.thread.start()

    def _toggle(self, begin, window, count, parity):
        for index in range(parity, count, 2):
            time.sleep(max(begin + index * window - time.monotonic(), 0))
            switched_on = self._switch("enable")
            time.sleep(max(begin + (index + 1) * window - time.monotonic(), 0))
            self.on.append((switched_on, self._switch("disable")))
        self.cpu = self._cpu() - self.setup_cpu

    def result(self):
        self.thread.join()
        # The files of the target are read while it runs.
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.bench.kill(self.process)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["perf", "script", "-i", self.data, "-F", "comm,ip,sym,dso", "--no-inline"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        stacks = [stack.splitlines() for stack in done.stdout.split("\n\n") if stack.strip()]
        return {
            "on": self.on,
            "cpu": self.cpu,
            "report_cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "samples": len(stacks),
            "whole": sum(bool(re.search(rf"\b{ROOT}\b", stack[-1])) for stack in stacks),
            "bytes": self.data.stat().st_size,
        }


def bpf_time(bench, python, kind, seconds):
    """ns per sample in the kernel, and the mean depth of the stacks."""
    target = bench.target(python, "steady.py", FRAMES, bench.tmp / "progress", cpu=bench.target_cpu)
    stacks = bench.tmp / "stacks"
    try:
        cpu = bench.profiler_cpu("spare")
        profiler = kind(bench, target.pid, 10000, cpu, stacks=stacks, run_stats=True, always=True)
        profiler.start(time.monotonic() + LEAD, seconds, 1, 0)
        result = profiler.result()
    finally:
        bench.kill(target)
    found = profiler.stacks()
    depth = sum(len(frames) * count for frames, count in found) / max(sum(count for _, count in found), 1)
    return result["programs"]["on_clock"]["ns_per_run"], depth


def bpf_times(bench, rounds, seconds, say):
    """{(interpreter, "plain" or "native"): (median ns, frames)}"""
    values = {}
    for _ in range(rounds):
        for version in VERSIONS:
            for name, kind in (("plain", Keelback), ("native", KeelbackNative)):
                if version in bench.pythons:
                    found = bpf_time(bench, bench.pythons[version], kind, seconds)
                    values.setdefault((version, name), []).append(found)
                    say(f"BPF {name} on {version}: {found[0]:.0f} ns, {found[1]:.1f} frames")
    return {key: tuple(map(statistics.median, zip(*found))) for key, found in values.items()}


def whole_stacks(bench, seconds):
    """Samples, and those whose stacks reach the start, at RATE without a break."""
    target = bench.target(bench.pythons[PYTHON], "native.py", FRAMES, bench.tmp / "progress", cpu=bench.target_cpu)
    stacks = bench.tmp / "stacks"
    try:
        profiler = KeelbackNative(bench, target.pid, RATE, bench.profiler_cpu("spare"), stacks=stacks, always=True)
        profiler.start(time.monotonic() + LEAD, seconds, 1, 0)
        profiler.result()
    finally:
        bench.kill(target)
    found = profiler.stacks()
    whole = sum(count for frames, count in found if frames[0][1] == ROOT)
    return sum(count for _, count in found), whole


def beside_perf(bench, windows, say):
    """A row for each profiler: keelback without native frames for comparison."""
    rows = []
    for kind in (Keelback, KeelbackNative, Perf):
        if kind is Perf and not shutil.which("perf"):
            say("no perf here: install linux-perf")
            continue
        results, ratios = slowdown.measure(
            bench, bench.pythons[PYTHON], FRAMES, "spare", [(kind, RATE)], windows, program="native.py"
        )
        result = results[0]
        on = sum(end - begin for begin, end in result["on"])
        row = {"name": kind.name, "slowdown": bench_stats.slowdown(ratios), "cpu_percent": 100 * result["cpu"] / on}
        row["report_cpu"] = result.get("report_cpu", result.get("stop_cpu", 0))
        row |= {name: result.get(name, 0) for name in ("samples", "whole", "bytes")}
        if kind is KeelbackNative:
            row["samples"], row["whole"] = whole_stacks(bench, windows * slowdown.WINDOW)
        rows.append(row)
        slow = row["slowdown"]
        say(
            f"{kind.name}: {slow.mean:.2f} % [{slow.low:.2f}, {slow.high:.2f}] slower, {row['cpu_percent']:.2f} % CPU,"
            f" {row['whole']} of {row['samples']} stacks whole, {row['report_cpu']:.2f} s for the report"
        )
    return rows
