# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What sampling costs in the kernel by its own statistics, and system-wide with many processes."""

import random
import signal
import statistics
import time

from contenders import NEW, OLD, Empty, Keelback, expect_ready
from programs import TINY_CALLS

RATE = 10000
FRAMES = (15, 55, 205)
VERSIONS = (NEW, OLD, "pyenv-3.11", "pyenv-3.8")
LEAD = 0.1
SETTLE = 1.0


def ns_per_sample(result, kind, frames):
    """Of a run with statistics; the kernel's measuring of it (two clock reads) is included."""
    if kind is Keelback and result["depth"] != frames:
        raise RuntimeError(f"stacks of {result['depth']} frames instead of {frames}")
    program = "on_clock_empty" if kind is Empty else "on_clock"
    return result["programs"][program]["ns_per_run"]


def bpf_time(bench, kind, python, frames, seconds):
    """ns in the sampling program per sample at 10 kHz."""
    target = bench.target(python, "steady.py", frames, bench.tmp / "progress", cpu=bench.target_cpu)
    try:
        cpu = bench.profiler_cpu("spare")
        profiler = kind(bench, target.pid, RATE, cpu, run_stats=True, always=True)
        profiler.start(time.monotonic() + LEAD, seconds, 1, 0)
        result = profiler.result()
    finally:
        bench.kill(target)
    return ns_per_sample(result, kind, frames)


def bpf_times(bench, rounds, seconds, say):
    """{(interpreter, frames): median ns of the rounds}; frames 0 is the empty program."""
    present = [bench.pythons[version] for version in VERSIONS if version in bench.pythons]
    jobs = [(Keelback, python, frames) for python in present for frames in FRAMES]
    jobs.append((Empty, present[0], 0))
    values = {}
    for _ in range(rounds):
        random.shuffle(jobs)
        for kind, python, frames in jobs:
            ns = bpf_time(bench, kind, python, frames or FRAMES[1], seconds)
            values.setdefault((python.id, frames), []).append(ns)
            say(f"BPF {kind.name} on {python.id}, {frames} frames: {ns:.0f} ns")
    return {key: statistics.median(ns) for key, ns in values.items()}


def system_wide(bench, processes, seconds, say):
    """keelback -a in tick mode over many busy processes of all versions: its CPU and memory."""
    tiny = bench.tmp / "tiny.py"
    tiny.write_text(TINY_CALLS)
    pythons = list(bench.pythons.values())
    busy = []
    try:
        for index in range(processes):
            python = pythons[index % len(pythons)]
            if index % 2:
                command = python.command(["-B", tiny, 10 * seconds + 600])
            else:
                frames = FRAMES[index // 2 % len(FRAMES)]
                command = python.command(["-B", bench.tmp / "steady.py", frames, "/dev/null"])
            process = bench.start(command)
            busy.append(process)
            expect_ready(process)
            process.send_signal(signal.SIGSTOP)  # else the last ones would take long to start
        for process in busy:
            process.send_signal(signal.SIGCONT)
        time.sleep(SETTLE)
        profiler = Keelback(bench, None, "tick", None, always=True)
        profiler.start(time.monotonic() + LEAD, seconds, 1, 0)
        result = profiler.result()
    finally:
        for process in busy:
            bench.kill(process)
    elapsed = sum(end - begin for begin, end in result["on"])
    result["cpu_percent"] = 100 * result["cpu"] / elapsed
    result["seconds"] = elapsed
    memory = result["memory"]
    say(
        f"system-wide, {processes} processes: {result['cpu_percent']:.2f} % of a core, resident"
        f" {memory['rss_bytes'] / 2**20:.1f} MiB, maps {memory['maps_bytes'] / 2**20:.1f} MiB,"
        f" {result['samples']} of {result['attempted']} samples, {result['processes']} processes"
    )
    return result
