#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""BPF run time per sample of two or more builds, in turns on one target: what a change costs or saves.

Which of them is first changes from round to round. Pairs are those of one round; the first build is what the
others are compared with.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import kernel_side
from contenders import NEW, Bench, Empty, Keelback


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("builds", nargs="+", help="build directories with tests/bench/toggle_sampler")
    parser.add_argument("--python", default=NEW, help="an interpreter of scripts/python-matrix.sh list")
    parser.add_argument("--frames", type=int, nargs="+", default=kernel_side.FRAMES)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.4)
    return parser.parse_args()


def one_run(bench, kind, target, frames, seconds):
    profiler = kind(bench, target.pid, kernel_side.RATE, bench.cpus[0], run_stats=True, always=True)
    profiler.start(time.monotonic() + kernel_side.LEAD, seconds, 1, 0)
    return kernel_side.ns_per_sample(profiler.result(), kind, frames)


def compare(benches, python, frames, rounds, seconds):
    """[[ns of the builds, then of an empty program] of each round]"""
    first = benches[0]
    target = first.target(python, "steady.py", frames, first.tmp / "progress", cpu=first.target_cpu)
    contenders = [(bench, Keelback) for bench in benches] + [(first, Empty)]
    rows = []
    try:
        for index in range(rounds):
            turn = list(enumerate(contenders))
            turn = turn[index % len(turn) :] + turn[: index % len(turn)]
            row = {place: one_run(bench, kind, target, frames, seconds) for place, (bench, kind) in turn}
            rows.append([row[place] for place in range(len(contenders))])
    finally:
        first.kill(target)
    return rows


def say(frames, builds, rows):
    columns = list(zip(*rows))
    for build, column in zip([*builds, "an empty program"], columns):
        change = statistics.median(ns - base for ns, base in zip(column, columns[0]))
        print(
            f"{frames:4} frames  {build:28} minimum {min(column):6.0f}, median {statistics.median(column):6.0f} ns"
            f"  paired difference {change:+6.0f}",
            flush=True,
        )


def main():
    args = options()
    with tempfile.TemporaryDirectory(prefix="kb-bench-", dir="/dev/shm") as tmp:
        benches = [Bench(build, tmp) for build in args.builds]
        python = benches[0].pythons[args.python]
        try:
            for frames in args.frames:
                say(frames, args.builds, compare(benches, python, frames, args.rounds, args.seconds))
        finally:
            for bench in benches:
                bench.kill_all()


if __name__ == "__main__":
    main()
