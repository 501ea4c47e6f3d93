#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Measures keelback beside profiling.sampling and austin, and writes docs/BENCHMARKS.md.

Needs root, two CPUs and a machine that is otherwise idle. --quick (4 minutes) is for trying a change out and
writes its tables to the build directory only; the whole takes about 35 minutes.
"""

import argparse
import datetime
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))

import accuracy  # noqa: E402
import kernel_side  # noqa: E402
import machine  # noqa: E402
import memory_cost  # noqa: E402
import native  # noqa: E402
import report  # noqa: E402
import slowdown  # noqa: E402
from contenders import Bench  # noqa: E402

REPO = Path(__file__).resolve().parents[2]
PLACES = ("spare", "shared")

# Windows are counted in pairs of one without and one with the profiler, 0.3 s each.
FULL = {
    "rates": (100, 1000, 10000),
    "depths": (15, 55, 205),
    "rounds": 1,
    "pairs": 10,
    "goal_pairs": 120,
    "tick_pairs": 600,
    "bpf_rounds": 5,
    "bpf_seconds": 0.5,
    "accuracy": (
        ("shares.py", 1000, 5),
        ("shares.py", 10000, 10.5),
        ("six.py", 10000, 10.5),
        ("aliasing.py", 10000, 10.5),
        ("tiny.py", 10000, 5),
    ),
    "system_seconds": 30,
    "native_pairs": 60,
    "memory_pairs": 5,
    "call_rounds": 12,
    "duty_rounds": 10,
    "duty_seconds": 8,
    "function_rounds": 12,
    "audit_rounds": 9,
    "audit_events": 20000,
    "census_rounds": 8,
    "census_seconds": 2,
}
QUICK = {
    "rates": (1000,),
    "depths": (55,),
    "rounds": 1,
    "pairs": 8,
    "goal_pairs": 15,
    "tick_pairs": 15,
    "bpf_rounds": 1,
    "bpf_seconds": 0.5,
    "accuracy": (
        ("shares.py", 1000, 3),
        ("six.py", 10000, 3),
        ("aliasing.py", 10000, 2),
        ("tiny.py", 10000, 2),
    ),
    "system_seconds": 5,
    "native_pairs": 10,
    "memory_pairs": 2,
    "call_rounds": 6,
    "duty_rounds": 6,
    "duty_seconds": 2,
    "function_rounds": 6,
    "audit_rounds": 6,
    "audit_events": 5000,
    "census_rounds": 6,
    "census_seconds": 1,
}
PROCESSES = 50


def measure(bench, setup, parts, say):
    """Runs the parts and returns what they gave, by name."""
    results = {}
    if "bpf" in parts:
        results["bpf"] = kernel_side.bpf_times(bench, setup["bpf_rounds"], setup["bpf_seconds"], say)
    if "slowdown" in parts:
        cells = slowdown.plan(bench, setup["rates"], setup["depths"], PLACES)
        windows = [2 * setup[pairs] + 1 for pairs in ("pairs", "goal_pairs")]
        slowdown.run(bench, cells, setup["rounds"], *windows, say)
        results["cells"] = cells
    if "goals" in parts:
        windows = 2 * setup["goal_pairs"] + 1
        tick_windows = 2 * setup["tick_pairs"] + 1
        results["tick"] = {place: slowdown.alone(bench, "tick", tick_windows, place) for place in PLACES}
        results["empty"] = slowdown.against_empty(bench, 1000, windows, PLACES)
        for place in PLACES:
            say(f"tick, {place}: {report.interval(results['tick'][place].slowdown)}")
            say(f"1 kHz against the empty program, {place}: {report.interval(results['empty'][place])}")
    if "accuracy" in parts:
        results["accuracy"] = accuracy.run(bench, setup["accuracy"], say)
    if "native" in parts:
        times = native.bpf_times(bench, setup["bpf_rounds"], setup["bpf_seconds"], say)
        rows = native.beside_perf(bench, 2 * setup["native_pairs"] + 1, say)
        results["native"] = {"bpf": times, "rows": rows}
    if "system" in parts:
        results["system"] = kernel_side.system_wide(bench, PROCESSES, setup["system_seconds"], say)
    if "memory" in parts:
        python = bench.pythons["sid-3.14"]
        results["memory"] = memory_cost.measure(python, str(bench.driver.parents[2] / "keelback"), bench.tmp, bench.cpus,
                                                setup["memory_pairs"], say)
    for name, cost in report.COSTS.items():
        if name in parts:
            results[name] = cost.run(bench, setup, say)
    return results


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", default="build", help="build directory")
    parser.add_argument("--quick", action="store_true", help="a small part of everything")
    parser.add_argument("--output", type=Path, help="default: docs/BENCHMARKS.md, quick: BUILD/bench/quick.md")
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="for the order of runs")
    parser.add_argument("parts", nargs="*", help=f"{' '.join(report.PARTS)}; default: all")
    args = parser.parse_args()
    unknown = set(args.parts) - set(report.PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}")
    return args


def interrupted(signum, frame):
    raise KeyboardInterrupt


def main():
    args = options()
    if os.geteuid() != 0:
        sys.exit("bench: needs root")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("bench: needs two CPUs, one of which it leaves to the profilers")
    signal.signal(signal.SIGTERM, interrupted)
    random.seed(args.seed)
    began = time.monotonic()

    def say(text):
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    directory = Path(args.build, "bench")
    directory.mkdir(exist_ok=True)
    output = args.output or (directory / "quick.md" if args.quick else REPO / "docs" / "BENCHMARKS.md")
    shm = Path("/dev/shm")  # not on a disk, whose writing would be noise
    with tempfile.TemporaryDirectory(prefix="kb-bench-", dir=shm if shm.is_dir() else None) as tmp:
        bench = Bench(args.build, tmp)
        os.sched_setaffinity(0, {bench.cpus[0]})
        try:
            facts = machine.describe(bench)
            results = measure(bench, QUICK if args.quick else FULL, args.parts or report.PARTS, say)
        finally:
            bench.kill_all()
    facts["took"] = f"{time.monotonic() - began:.0f} s"
    facts["date"] = datetime.date.today().isoformat()
    facts["run"] = "--quick, too short for firm figures" if args.quick else "full"
    if results.keys() - report.COSTS:
        text = report.tables(facts, results)
        print("\n" + text)
        report.write(output, text)
    for name in results.keys() & report.COSTS:
        text = report.cost_section(name, facts, results)
        print("\n" + text)
        report.write(output, text, name)
    (directory / "results.json").write_text(json.dumps(report.as_json(facts, results), indent=1, default=str))
    say(f"written: {output}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")
