# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""usage: sampling_windows.py PID RATE COLLECTOR [OUTPUT]

Runs CPython's own profiling.sampling on a process in every other window of a schedule. Its loop catches up
on samples that are due, so that stopping it with a signal would give bursts; instead its own
SampleProfiler.sample() is called for each window, with one profiler and one collector as its command line makes
them. COLLECTOR is pstats (its default) or collapsed.

Prints "ready", reads START WINDOW COUNT PARITY, samples, prints a line of JSON: tests/bench/toggle_sampler.c's
protocol.
"""

import contextlib
import io
import json
import sys
import time

import profiling.sampling.sample as sampling
from profiling.sampling.pstats_collector import PstatsCollector
from profiling.sampling.stack_collector import CollapsedStackCollector

COLLECTORS = {"pstats": PstatsCollector, "collapsed": CollapsedStackCollector}


def sample_window(profiler, collector, seconds):
    """Samples; returns how many samples were taken, those that failed included."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        profiler.sample(collector, seconds)
    return int(output.getvalue().split()[1])  # "Captured N samples in …"


def run(profiler, collector, start, window, count, parity):
    result = {"attempted": 0, "failed": 0, "on": []}
    failed = collector.collect_failed_sample

    def count_failed():
        result["failed"] += 1
        return failed()

    collector.collect_failed_sample = count_failed
    cpu = 0
    if parity < 0:  # without a break
        window, count, parity = window * count, 1, 0
    for index in range(count):
        if index % 2 != parity:
            continue
        time.sleep(max(start + index * window - time.monotonic(), 0))
        began, cpu_before = time.monotonic(), time.process_time()
        result["attempted"] += sample_window(profiler, collector, start + (index + 1) * window - began)
        cpu += time.process_time() - cpu_before
        result["on"].append([began, time.monotonic()])
    result["cpu"] = cpu
    result["samples"] = result["attempted"] - result["failed"]
    return result


def main(pid, rate, kind, output=None):
    interval = int(1_000_000 / int(rate))
    collector = COLLECTORS[kind](interval, skip_idle=False)
    profiler = sampling.SampleProfiler(int(pid), interval, all_threads=False)
    setup = time.process_time()
    print("ready", flush=True)
    start, window, count, parity = sys.stdin.readline().split()
    result = run(profiler, collector, float(start), float(window), int(count), int(parity))
    result["setup_cpu"] = setup
    if output:
        with contextlib.redirect_stdout(io.StringIO()):
            collector.export(output)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
